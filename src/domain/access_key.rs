//! Access keys: what the clients of AWS sign their requests with (Signature Version 4).

use std::fmt;

use super::{AccessKeyId, TimestampMs, UserName};

/// What whoever has a key may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// What changes nothing: operations that describe, list and get.
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Admin, Self::ReadOnly];

    /// `admin` or `read-only`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ReadOnly => "read-only",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub id: AccessKeyId,
    /// Whose it is. One user may have several keys, so that one can be replaced by the next.
    pub user: UserName,
    /// What it allows.
    pub role: Role,
    /// When it was made.
    pub created_at: TimestampMs,
    /// Since when it is not taken any more.
    pub revoked_at: Option<TimestampMs>,
}
