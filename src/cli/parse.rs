//! What is typed on a command line, turned into what is meant.

use std::path::PathBuf;

use crate::domain::Family;
use crate::shapes::Tag;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A definition that is registered: `family` or `family:revision`.
    Definition(String),
    /// A file that is to be registered first.
    File(Source),
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `-`
    Stdin,
    /// A file.
    Path(PathBuf),
}

/// A variable of a container's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EnvArg {
    /// The container; the only one of the task if none is named.
    pub(super) container: Option<String>,
    /// The variable.
    pub(super) name: String,
    /// Its value; may be empty.
    pub(super) value: String,
}

/// What cannot be a family is a file: it has a dot or a slash in it, or is `-`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    if is_definition(text) {
        return Ok(Target::Definition(text.to_owned()));
    }
    if text == "-" || text.contains(['/', '.', '\\']) {
        return source(text).map(Target::File);
    }
    Err("write a file (task.yaml, ./task), or FAMILY, or FAMILY:REVISION".to_owned())
}

/// Whether `text` is `family` or `family:revision`.
pub(super) fn is_definition(text: &str) -> bool {
    let (family, revision) = match text.split_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (text, None),
    };
    let is_number = |text: &str| text.parse::<u32>().is_ok_and(|number| number > 0);
    text != "-" && family.parse::<Family>().is_ok() && revision.is_none_or(is_number)
}

/// `family:revision`, where both are needed.
pub(super) fn revision(text: &str) -> Result<String, String> {
    if text.contains(':') && is_definition(text) {
        Ok(text.to_owned())
    } else {
        Err("write FAMILY:REVISION, as in web:3".to_owned())
    }
}

/// `-` is stdin.
pub(super) fn source(text: &str) -> Result<Source, String> {
    match text {
        "" => Err("is empty".to_owned()),
        "-" => Ok(Source::Stdin),
        path => Ok(Source::Path(PathBuf::from(path))),
    }
}

/// `CONTAINER:NAME=VALUE`, or `NAME=VALUE` for the only container. A value may hold anything.
pub(super) fn env(text: &str) -> Result<EnvArg, String> {
    const FORM: &str = "write CONTAINER:NAME=VALUE, or NAME=VALUE where there is one container";
    let (variable, value) = text.split_once('=').ok_or(FORM)?;
    let (container, name) = match variable.split_once(':') {
        Some((container, name)) => (Some(container), name),
        None => (None, variable),
    };
    if name.is_empty() || container.is_some_and(str::is_empty) {
        return Err(FORM.to_owned());
    }
    Ok(EnvArg {
        container: container.map(str::to_owned),
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

/// `KEY=VALUE`, or `KEY` for an empty value.
pub(super) fn tag(text: &str) -> Result<Tag, String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err("write KEY=VALUE".to_owned());
    }
    Ok(Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_family_unless_it_cannot_be_one() {
        for text in ["web", "web:3", "my_app-2"] {
            assert_eq!(target(text), Ok(Target::Definition(text.to_owned())));
        }
        for text in [
            "web.yaml",
            "./web",
            "task-definitions/web.yaml",
            "../x.json",
            "a.b",
        ] {
            assert_eq!(target(text), Ok(Target::File(Source::Path(text.into()))));
        }
        assert_eq!(target("-"), Ok(Target::File(Source::Stdin)));
        for text in ["", "web:", "web:0", "web:latest", "web:1:2", "two words"] {
            assert!(target(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_environment_variable_may_name_its_container() {
        let arg = |container: Option<&str>, name: &str, value: &str| EnvArg {
            container: container.map(str::to_owned),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(env("web:PORT=80"), Ok(arg(Some("web"), "PORT", "80")));
        assert_eq!(env("PORT=80"), Ok(arg(None, "PORT", "80")));
        assert_eq!(
            env("web:URL=http://a:1/?x=y"),
            Ok(arg(Some("web"), "URL", "http://a:1/?x=y"))
        );
        assert_eq!(env("EMPTY="), Ok(arg(None, "EMPTY", "")));
        for text in ["", "PORT", "=80", "web:=80", ":PORT=80"] {
            assert!(env(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn tags_and_revisions() {
        assert_eq!(
            tag("team=a=b"),
            Ok(Tag {
                key: "team".to_owned(),
                value: "a=b".to_owned()
            })
        );
        assert_eq!(
            tag("team"),
            Ok(Tag {
                key: "team".to_owned(),
                value: String::new()
            })
        );
        assert!(tag("=x").is_err());
        assert_eq!(revision("web:3"), Ok("web:3".to_owned()));
        assert!(revision("web").is_err() && revision("web:x").is_err());
    }
}
