//! Identifiers and names. A value that exists is well formed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where identifiers come from. Randomness is an input, so that a simulation can repeat itself.
pub trait IdSource: Send + Sync {
    /// 128 bits that no earlier call gave.
    fn next_id(&self) -> u128;
}

/// A name or identifier that does not have the form it must have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}` is not valid: {rule}")]
pub struct InvalidName {
    /// What was to be named, in lower case: `cluster name`.
    pub what: &'static str,
    /// The text that was given, cut to 64 characters.
    pub value: String,
    /// The rule that it breaks, as the end of a sentence.
    pub rule: &'static str,
}

impl InvalidName {
    fn new(what: &'static str, value: &str, rule: &'static str) -> Self {
        Self {
            what,
            value: value.chars().take(64).collect(),
            rule,
        }
    }
}

/// The letters, digits, hyphens and underscores of which ECS makes names, up to 255 of them.
fn is_ecs_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

const NAME_RULE: &str = "use up to 255 letters, digits, hyphens and underscores";

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName::new($what, text, $rule))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_newtype!(
    /// The name of a cluster.
    ClusterName, "cluster name", is_ecs_name, NAME_RULE
);
text_newtype!(
    /// The name of a task definition without its revision.
    Family, "family", is_ecs_name, NAME_RULE
);
text_newtype!(
    /// The name of a container within its task.
    ContainerName, "container name", is_ecs_name, NAME_RULE
);
text_newtype!(
    /// The name of a volume within its task, or within its cluster for one that outlives its tasks.
    VolumeName, "volume name", is_ecs_name, NAME_RULE
);
text_newtype!(
    /// The name of a service within its cluster.
    ServiceName, "service name", is_ecs_name, NAME_RULE
);
text_newtype!(
    /// The name of a schedule: what Amazon EventBridge Scheduler allows in its.
    ScheduleName, "schedule name", is_schedule_name, "use up to 64 letters, digits and the characters . _ -"
);
text_newtype!(
    /// The name of a budget.
    BudgetName, "budget name", is_schedule_name, "use up to 64 letters, digits and the characters . _ -"
);
text_newtype!(
    /// The name of a log group: what `CloudWatch` Logs allows in its.
    LogGroupName, "log group name", is_log_group_name,
    "use up to 512 letters, digits and the characters . - _ / #"
);
text_newtype!(
    /// A task's identifier: 32 lower-case hexadecimal digits, as in an ECS task ARN.
    TaskId, "task ID", |t| is_hex(t, 32), "a task ID has 32 hexadecimal digits, in lower case"
);
text_newtype!(
    /// Tells one Neargate's objects on an engine from another's: 8 lower-case hexadecimal digits, drawn
    /// when its database is made and kept for as long as that lives.
    InstanceId, "instance ID", |t| is_hex(t, 8), "an instance ID has 8 hexadecimal digits, in lower case"
);

text_newtype!(
    /// The ID of a service's revision: 19 digits, as at the end of ECS's ARN of one.
    ServiceRevisionId, "service revision", |t| t.len() == 19 && t.bytes().all(|b| b.is_ascii_digit()),
    "the ID of a service revision has 19 digits"
);
text_newtype!(
    /// What a client of the API calls itself, as `alice@laptop`. Nobody has verified it.
    ClientName, "client name", |t| (1..=ClientName::LONGEST).contains(&t.len()) && t.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
    "use up to 128 visible ASCII characters and spaces"
);
text_newtype!(
    /// The name of a secret: what AWS Secrets Manager and the Parameter Store allow in theirs.
    SecretName, "secret name", is_secret_name,
    "use up to 255 letters, digits and the characters / _ + = . @ -, with no / at the beginning or the end"
);

text_newtype!(
    /// The name that a container engine has for one of its runtimes: `runc`, `runsc`, `io.containerd.kata.v2`.
    RuntimeName, "runtime", is_runtime_name, "use up to 100 letters, digits and the characters . _ -"
);

text_newtype!(
    /// A region in the form of AWS's: `eu-central-1`.
    Region, "region", is_region, "a region is written as in us-east-1"
);
text_newtype!(
    /// An account's number: twelve digits.
    AccountId, "account", |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit()), "an account has twelve digits"
);

/// What clients of AWS are most often set to.
impl Default for Region {
    fn default() -> Self {
        Self("us-east-1".to_owned())
    }
}

/// One that nobody has.
impl Default for AccountId {
    fn default() -> Self {
        Self("000000000000".to_owned())
    }
}

/// Words of lower-case letters and, last, a number.
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-').rev();
    let number = parts.next().unwrap_or_default();
    let words: Vec<&str> = parts.collect();
    let is_of =
        |part: &str, kind: fn(&u8) -> bool| !part.is_empty() && part.as_bytes().iter().all(kind);
    text.len() <= 32
        && words.len() >= 2
        && is_of(number, u8::is_ascii_digit)
        && words.iter().all(|word| is_of(word, u8::is_ascii_lowercase))
}

fn is_log_group_name(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b))
}

text_newtype!(
    /// The public half of an access key, in the form of AWS's: `AKIA` and 16 letters and digits of base 32.
    AccessKeyId, "access key ID", is_access_key_id, "an access key ID is AKIA and 16 of the characters A-Z and 2-7"
);
text_newtype!(
    /// Whose an access key is: what IAM allows in the name of a user.
    UserName, "user name", is_user_name, "use up to 64 letters, digits and the characters + = , . @ _ -"
);

/// The digits of base 32 (RFC 4648).
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn is_access_key_id(text: &str) -> bool {
    text.strip_prefix("AKIA")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| BASE32.contains(&b)))
}

fn is_user_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

fn is_schedule_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..")
}

fn is_runtime_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=100).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(plain)
}

fn is_secret_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    text.len() <= 255
        && text.bytes().all(plain)
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl TaskId {
    /// A new identifier from `ids`.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(format!("{:032x}", ids.next_id()))
    }
}

impl AccessKeyId {
    /// A new one from `ids`.
    pub fn generate(ids: &dyn IdSource) -> Self {
        let bits = ids.next_id();
        // 80 of them, five for each digit; the others are folded in, for a source that only counts.
        let bits = bits ^ (bits << 48);
        let digit = |place: u32| {
            let index = (bits >> (123 - 5 * place)) & 31;
            char::from(BASE32[usize::try_from(index).unwrap_or_default()])
        };
        Self(format!("AKIA{}", (0..16).map(digit).collect::<String>()))
    }
}

impl ServiceRevisionId {
    /// A new one from `ids`.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(super::deployment::digits(ids))
    }
}

impl ClientName {
    /// The most characters.
    pub const LONGEST: usize = 128;
}

impl InstanceId {
    /// A new identifier from `ids`.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(format!("{:032x}", ids.next_id())[..8].to_owned())
    }
}

/// One revision of a task definition, written `family:revision`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FamilyRevision {
    /// The family.
    pub family: Family,
    /// Counts up from 1 within the family; never used twice.
    pub revision: u32,
}

impl fmt::Display for FamilyRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family, self.revision)
    }
}

/// Which revision of a family is meant: `family` for the newest active one, or `family:revision`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskDefinitionReference {
    /// The family.
    pub family: Family,
    /// The revision, or the newest active one.
    pub revision: Option<u32>,
}

impl FromStr for TaskDefinitionReference {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            what: "task definition",
            value: text.chars().take(64).collect(),
            rule: "write family, or family:revision with a revision from 1 on",
        };
        let (family, revision) = match text.split_once(':') {
            None => (text, None),
            Some((family, revision)) => {
                let digits = revision.bytes().all(|b| b.is_ascii_digit());
                let number = revision.parse().ok().filter(|number| digits && *number > 0);
                (family, Some(number.ok_or_else(invalid)?))
            }
        };
        Ok(Self {
            family: family.parse().map_err(|_| invalid())?,
            revision,
        })
    }
}

impl TryFrom<String> for TaskDefinitionReference {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<TaskDefinitionReference> for String {
    fn from(reference: TaskDefinitionReference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for TaskDefinitionReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}:{revision}", self.family),
            None => self.family.fmt(f),
        }
    }
}
