//! `neargate register`: documents become revisions. All files are tried, whatever is wrong with some.

use std::io::Read as _;
use std::path::Path;

use clap::Args;

use super::Session;
use super::client::{Answer, Syntax};
use super::failure::Failure;
use super::parse::{self, Source};
use crate::shapes::TaskDefinition;

/// The largest document that is read; the server takes less, and says how much.
const LARGEST_DOCUMENT: u64 = 16 << 20;

/// Register task definitions
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A file that ends in .json is JSON; every other one, and stdin, is YAML.

Example:
  neargate register task-definitions/*.yaml")]
pub(super) struct RegisterArgs {
    /// Task definitions in YAML or JSON; `-` is stdin
    #[arg(required = true, value_name = "FILE", value_parser = parse::source)]
    files: Vec<Source>,
}

pub(super) async fn execute(session: &mut Session, args: RegisterArgs) -> Result<u8, Failure> {
    let mut code = 0;
    for file in &args.files {
        match register(session, file).await {
            Ok(answer) => {
                if !session.console.document(&answer.document)? {
                    session.console.line(&answer.value.task_definition)?;
                }
            }
            Err(failure) => {
                session.console.complain(&failure);
                code = failure.code();
            }
        }
    }
    Ok(code)
}

/// Registers what `source` holds; the fields that have no effect are said.
pub(super) async fn register(
    session: &mut Session,
    source: &Source,
) -> Result<Answer<TaskDefinition>, Failure> {
    let name = source.name();
    let document = source.read()?;
    let answer = session.client.register(source.syntax(), document).await;
    let answer = answer.map_err(|error| Failure::of_document(&name, error))?;
    for warning in &answer.value.warnings {
        session.console.warn(&format!("{name}: {warning}"));
    }
    Ok(answer)
}

impl Source {
    /// As it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "<stdin>".to_owned(),
            Self::Path(path) => path.display().to_string(),
        }
    }

    /// How it is written.
    pub(super) fn syntax(&self) -> Syntax {
        let is_json = |path: &Path| {
            path.extension()
                .is_some_and(|end| end.eq_ignore_ascii_case("json"))
        };
        match self {
            Self::Path(path) if is_json(path) => Syntax::Json,
            _ => Syntax::Yaml,
        }
    }

    /// What it holds, if that is not more than any document may have.
    pub(super) fn read(&self) -> Result<Vec<u8>, Failure> {
        let unreadable = |error: std::io::Error| {
            let hint = if error.kind() == std::io::ErrorKind::NotFound {
                "a registered definition is named without a dot or slash: neargate definitions"
            } else {
                "name a file that you may read, or - for standard input"
            };
            Failure::new(format!("{} cannot be read: {error}", self.name()), hint)
        };
        let mut document = Vec::new();
        let limit = LARGEST_DOCUMENT + 1;
        match self {
            Self::Stdin => std::io::stdin().take(limit).read_to_end(&mut document),
            Self::Path(path) => {
                let file = std::fs::File::open(path).map_err(unreadable)?;
                file.take(limit).read_to_end(&mut document)
            }
        }
        .map_err(unreadable)?;
        if document.len() as u64 > LARGEST_DOCUMENT {
            return Err(Failure::new(
                format!("{} is larger than 16 MiB", self.name()),
                "the server takes documents of up to 1 MiB: is that the right file?",
            ));
        }
        Ok(document)
    }
}
