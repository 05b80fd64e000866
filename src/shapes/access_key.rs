//! Access keys, in the words of IAM. The secret is in the answer that makes a key, and in no other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// What is needed to make an access key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateAccessKeyRequest {
    /// Whose it is: up to 64 letters, digits and the characters `+ = , . @ _ -`. One user may have several.
    #[serde(default)]
    #[schema(required = true)]
    pub user_name: String,
    /// What it allows: `admin` everything, `read-only` the operations that change nothing.
    #[serde(default)]
    #[schema(required = true)]
    pub role: AccessKeyRole,
}

/// What an access key allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessKeyRole {
    /// Everything.
    Admin,
    /// The operations that change nothing.
    #[default]
    ReadOnly,
}

/// Whether a key is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum AccessKeyStatus {
    /// It is.
    Active,
    /// It was revoked.
    Inactive,
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Its public half: `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// Whose it is.
    pub user_name: String,
    /// What it allows.
    pub role: AccessKeyRole,
    /// Whether it is taken.
    pub status: AccessKeyStatus,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Since when it is not taken any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

/// An access key that was just made, with its secret, which is not shown again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewAccessKey {
    /// The key.
    #[serde(flatten)]
    pub key: AccessKey,
    /// Its secret: `AWS_SECRET_ACCESS_KEY`. Keep it: it is never shown again.
    pub secret_access_key: String,
}

/// Without the secret, so that it cannot get into a log by accident.
impl std::fmt::Debug for NewAccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewAccessKey({}, …)", self.key.access_key_id)
    }
}

impl From<domain::Role> for AccessKeyRole {
    fn from(role: domain::Role) -> Self {
        match role {
            domain::Role::Admin => Self::Admin,
            domain::Role::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<AccessKeyRole> for domain::Role {
    fn from(role: AccessKeyRole) -> Self {
        match role {
            AccessKeyRole::Admin => Self::Admin,
            AccessKeyRole::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<&domain::AccessKey> for AccessKey {
    fn from(key: &domain::AccessKey) -> Self {
        Self {
            access_key_id: key.id.to_string(),
            user_name: key.user.to_string(),
            role: key.role.into(),
            status: match key.revoked_at {
                None => AccessKeyStatus::Active,
                Some(_) => AccessKeyStatus::Inactive,
            },
            created_at: key.created_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}
