//! Secrets: values that are kept under a name, and how a container definition refers to them.
//!
//! A [`SecretValue`] cannot be printed, compared or serialised by accident, and is wiped from memory when it
//! is dropped. Everything else in here carries names alone, and may be logged, stored and shown.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{InvalidName, SecretName, TimestampMs};

/// A secret, as it is recorded; its value is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Unique.
    pub name: SecretName,
    /// Counts up from 1 with every value that it is given.
    pub version: u64,
    /// When it was put for the first time.
    pub created_at: TimestampMs,
    /// When its value was put.
    pub updated_at: TimestampMs,
}

/// The value of a secret: any bytes, but not none.
#[derive(Clone)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// The most bytes that a value has, as in AWS Secrets Manager.
    pub const MOST_BYTES: usize = 65_536;

    /// `bytes`, unless they are none or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, UnusableSecret> {
        let bytes = Zeroizing::new(bytes);
        match bytes.len() {
            0 => Err(UnusableSecret::Empty),
            1..=Self::MOST_BYTES => Ok(Self(bytes)),
            _ => Err(UnusableSecret::TooLarge),
        }
    }

    /// The value itself. Whoever asks for it keeps it out of everything that is stored or shown.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as an environment variable can have it: text without a zero byte.
    pub fn as_text(&self) -> Result<&str, UnusableSecret> {
        let text = std::str::from_utf8(&self.0).map_err(|_| UnusableSecret::NoText)?;
        if text.contains('\0') {
            return Err(UnusableSecret::NoText);
        }
        Ok(text)
    }

    /// What stands under `key` in a value that is a JSON object: a text, or a number or truth value as text.
    pub fn json_key(&self, key: &str) -> Result<Self, UnusableSecret> {
        let document: serde_json::Value =
            serde_json::from_slice(&self.0).map_err(|_| UnusableSecret::NoJson)?;
        let object = document.as_object().ok_or(UnusableSecret::NoJson)?;
        let text = match object.get(key) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => {
                value.to_string()
            }
            Some(_) => return Err(UnusableSecret::NoScalar(key.to_owned())),
            None => return Err(UnusableSecret::NoKey(key.to_owned())),
        };
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(..)")
    }
}

/// For [`PartialEq`] of what holds one: in a time that does not depend on where two values differ.
impl PartialEq for SecretValue {
    fn eq(&self, other: &Self) -> bool {
        let differences = self.0.iter().zip(other.0.iter());
        self.0.len() == other.0.len() && differences.fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

impl Eq for SecretValue {}

/// Why a value cannot be kept or used. Never says what the value is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableSecret {
    /// It has no bytes.
    #[error("the value is empty")]
    Empty,
    /// It has more than [`SecretValue::MOST_BYTES`].
    #[error("the value has more than {} bytes", SecretValue::MOST_BYTES)]
    TooLarge,
    /// It is to be an environment variable and is not text.
    #[error(
        "the value is not text, as an environment variable must be; hint: hand it over with secretFiles"
    )]
    NoText,
    /// A key of it is wanted and it is not a JSON object.
    #[error("the value is not a JSON object, so it has no keys")]
    NoJson,
    /// It has no such key.
    #[error("the value is a JSON object without the key {0}")]
    NoKey(String),
    /// Under that key stands a list, an object or null.
    #[error("what stands in the value under the key {0} is neither text nor number")]
    NoScalar(String),
}

/// Where a definition takes a value from: `valueFrom` of ECS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretReference {
    /// The secret.
    pub name: SecretName,
    /// The key of its value, which is a JSON object then.
    pub json_key: Option<String>,
    /// It stood in an ARN of Secrets Manager, which ends in a hyphen and six random characters when it is
    /// written in full.
    pub maybe_suffixed: bool,
}

/// What a `valueFrom` can look like, as the end of a sentence.
const REFERENCE_RULE: &str = "write the name of a secret of Neargate (neargate secret list), NAME:JSON_KEY::, \
                              arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME";
/// The same for a file of environment variables.
const FILE_RULE: &str = "write the name of a secret of Neargate that holds the lines of the file \
                         (neargate secret put NAME --from-file FILE), or arn:aws:s3:::NAME";

impl SecretReference {
    /// Reads `valueFrom`: a name, or an ARN of Secrets Manager or the Parameter Store whose last part is the
    /// name. Behind a name and in an ARN of Secrets Manager, `:json-key:version-stage:version-id` may follow,
    /// of which Neargate has the newest version alone.
    ///
    /// Source: Amazon ECS API reference, `Secret`, and "Pass Secrets Manager secrets through environment
    /// variables". The text is not part of the error: somebody may have written the value itself.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let invalid = || invalid(REFERENCE_RULE);
        let Some(arn) = text.strip_prefix("arn:") else {
            return Self::from_tail(text, false).ok_or_else(invalid);
        };
        // partition, service, region, account, resource
        let parts: Vec<&str> = arn.splitn(5, ':').collect();
        match parts[..] {
            [_, "secretsmanager", _, _, resource] => resource
                .strip_prefix("secret:")
                .and_then(|tail| Self::from_tail(tail, true)),
            [_, "ssm", _, _, resource] => resource
                .strip_prefix("parameter/")
                .filter(|tail| !tail.contains(':'))
                .and_then(|tail| Self::from_tail(tail, false)),
            _ => None,
        }
        .ok_or_else(invalid)
    }

    /// Reads the `value` of an environment file: a name, or the ARN of an object in S3, for which the secret
    /// `BUCKET/KEY` stands.
    pub fn parse_file(text: &str) -> Result<Self, InvalidName> {
        let name = match text.strip_prefix("arn:") {
            None => text,
            Some(arn) => match arn.splitn(5, ':').collect::<Vec<_>>()[..] {
                [_, "s3", _, _, object] => object,
                _ => return Err(invalid(FILE_RULE)),
            },
        };
        let name = name.parse().map_err(|_| invalid(FILE_RULE))?;
        Ok(Self {
            name,
            json_key: None,
            maybe_suffixed: false,
        })
    }

    /// `NAME[:json-key[:version-stage[:version-id]]]`
    fn from_tail(tail: &str, maybe_suffixed: bool) -> Option<Self> {
        let mut parts = tail.split(':');
        // The Parameter Store knows names that begin with a slash.
        let name = parts.next()?;
        let name = name.strip_prefix('/').unwrap_or(name).parse().ok()?;
        let json_key = parts.next().filter(|key| !key.is_empty());
        let newest = matches!(parts.next(), None | Some("" | "AWSCURRENT"))
            && matches!(parts.next(), None | Some(""))
            && parts.next().is_none();
        newest.then(|| Self {
            name,
            json_key: json_key.map(str::to_owned),
            maybe_suffixed,
        })
    }

    /// The names to look for, the first one first: as it is written, then without the six random characters
    /// that Secrets Manager puts at the end of an ARN.
    pub fn candidates(&self) -> impl Iterator<Item = SecretName> + '_ {
        let bare = self
            .maybe_suffixed
            .then(|| self.name.as_str().rsplit_once('-'))
            .flatten()
            .filter(|(_, end)| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric()))
            .and_then(|(bare, _)| bare.parse().ok());
        std::iter::once(self.name.clone()).chain(bare)
    }
}

fn invalid(rule: &'static str) -> InvalidName {
    InvalidName {
        what: "reference to a secret",
        value: String::new(),
        rule,
    }
}

/// What a container takes from the secret store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSecrets {
    /// Environment variables.
    #[serde(default)]
    pub variables: Vec<(String, SecretReference)>,
    /// Secrets that hold lines of environment variables; a variable of an earlier one wins, and one of
    /// `environment` or of [`Self::variables`] before all of them, as in ECS.
    #[serde(default)]
    pub environment_files: Vec<SecretReference>,
    /// Files.
    #[serde(default)]
    pub files: Vec<SecretFile>,
    /// Name and password for the registry of its image.
    #[serde(default)]
    pub registry: Option<SecretReference>,
}

impl ContainerSecrets {
    /// Everything that is referred to.
    pub fn references(&self) -> impl Iterator<Item = &SecretReference> {
        self.variables
            .iter()
            .map(|(_, reference)| reference)
            .chain(&self.environment_files)
            .chain(self.files.iter().map(|file| &file.from))
            .chain(&self.registry)
    }
}

/// A secret as a file in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    /// The folder, absolute; it is a file system in memory that holds nothing else.
    pub folder: String,
    /// The name in that folder.
    pub name: String,
    /// The value.
    pub from: SecretReference,
    /// Who may do what with it: the nine bits of chmod(1).
    pub mode: u32,
}

/// The variables of an environment file: a line each, `NAME=value`; lines that begin with `#` are comments.
/// As in ECS, nothing is unquoted, and a line without a name or without a value has no effect.
///
/// Source: Amazon ECS developer guide, "Pass an individual environment variable"; amazon-ecs-agent.
pub fn environment_lines(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> SecretValue {
        SecretValue::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_value_does_not_print_itself() {
        assert_eq!(format!("{:?}", value("hunter2")), "SecretValue(..)");
        assert_eq!(format!("{:?}", SecretValue::new(Vec::new())), "Err(Empty)");
        let large = SecretValue::new(vec![b'x'; SecretValue::MOST_BYTES + 1]);
        assert_eq!(large, Err(UnusableSecret::TooLarge));
        assert!(value("a") == value("a") && value("a") != value("b") && value("a") != value("aa"));
    }

    #[test]
    fn a_reference_is_a_name_or_an_arn_that_ends_in_one() {
        for (text, name, key) in [
            ("db", "db", None),
            ("team/db.password", "team/db.password", None),
            ("/team/db", "team/db", None),
            ("db:password::", "db", Some("password")),
            ("db:password", "db", Some("password")),
            (
                "arn:aws:secretsmanager:us-east-1:123456789012:secret:db",
                "db",
                None,
            ),
            (
                "arn:aws-cn:secretsmanager:eu-west-1:1:secret:a/db-AbCdEf:user:AWSCURRENT:",
                "a/db-AbCdEf",
                Some("user"),
            ),
            (
                "arn:aws:ssm:us-east-1:123456789012:parameter/team/db",
                "team/db",
                None,
            ),
        ] {
            let reference = SecretReference::parse(text).unwrap();
            assert_eq!(
                (reference.name.as_str(), reference.json_key.as_deref()),
                (name, key),
                "{text}"
            );
        }
        for text in [
            "",
            "hunter2!",
            "db:key:AWSPREVIOUS:",
            "db:key::0123",
            "db:a:::b",
            "../db",
            "arn:aws:s3:::bucket/key",
            "arn:aws:ssm:us-east-1:1:parameter/db:3",
            "arn:aws:secretsmanager:us-east-1:1:db",
        ] {
            let error = SecretReference::parse(text).unwrap_err();
            assert!(
                text.is_empty() || !error.to_string().contains(text),
                "{error}"
            );
        }
    }

    #[test]
    fn an_arn_may_end_in_random_characters() {
        let names = |text: &str| -> Vec<String> {
            let reference = SecretReference::parse(text).unwrap();
            reference.candidates().map(String::from).collect()
        };
        let arn = "arn:aws:secretsmanager:us-east-1:1:secret:db-AbCdEf";
        assert_eq!(names(arn), ["db-AbCdEf", "db"]);
        assert_eq!(names("db-AbCdEf"), ["db-AbCdEf"]);
    }

    #[test]
    fn the_file_of_an_object_in_s3_is_the_secret_of_its_bucket_and_key() {
        let name = |text: &str| SecretReference::parse_file(text).map(|one| one.name.to_string());
        assert_eq!(
            name("arn:aws:s3:::bucket/web/app.env"),
            Ok("bucket/web/app.env".to_owned())
        );
        assert_eq!(name("app.env"), Ok("app.env".to_owned()));
        assert!(name("arn:aws:ssm:::parameter/app.env").is_err());
    }

    #[test]
    fn a_key_of_a_value_is_a_value() {
        let document = value(r#"{"user":"ann","port":5432,"list":[]}"#);
        assert_eq!(document.json_key("user"), Ok(value("ann")));
        assert_eq!(document.json_key("port"), Ok(value("5432")));
        assert_eq!(
            document.json_key("list"),
            Err(UnusableSecret::NoScalar("list".to_owned()))
        );
        assert_eq!(
            document.json_key("no"),
            Err(UnusableSecret::NoKey("no".to_owned()))
        );
        assert_eq!(value("hunter2").json_key("x"), Err(UnusableSecret::NoJson));
    }

    #[test]
    fn lines_of_an_environment_file() {
        let text = "# a comment\nA=1\n\nB=\"x=y\"\r\nC=\n=d\nnothing\n";
        let lines: Vec<_> = environment_lines(text).collect();
        assert_eq!(lines, [("A", "1"), ("B", "\"x=y\"")]);
    }
}
