//! Secrets, as they are listed: everything but the value, which no answer ever has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// A secret, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredSecret {
    /// Unique; what `valueFrom` may say.
    pub name: String,
    /// The same as an ARN, for tools that want one in `valueFrom`.
    pub arn: String,
    /// Counts up from 1 with every value that it is given; the newest alone is kept.
    pub version: u64,
    /// When it was put for the first time.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its value was put.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<&domain::Secret> for StoredSecret {
    fn from(secret: &domain::Secret) -> Self {
        Self {
            name: secret.name.to_string(),
            arn: domain::arn("secretsmanager", format_args!("secret:{}", secret.name)),
            version: secret.version,
            created_at: secret.created_at.to_string(),
            updated_at: secret.updated_at.to_string(),
        }
    }
}
