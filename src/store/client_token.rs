//! Client tokens: what makes a call that is repeated have the effect of one. Each call of each cluster has its own.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::SqliteConnection;

use super::StoreError;
use super::column::{from_json, to_json};
use crate::domain::{ClusterName, DurationMs, TimestampMs};

/// How long a client token is remembered, as ECS does.
pub const TOKENS_KEPT: DurationMs = DurationMs::from_secs(24 * 60 * 60);

/// What makes a call that is repeated have the effect of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientToken {
    /// `clientToken`, in the words of the caller.
    pub token: String,
    /// The same for the same request.
    pub request_hash: String,
}

/// What the call with this token was answered with, if it was carried out before. Fails with
/// [`StoreError::TokenReused`] if that was another request.
pub(super) async fn replay<T: DeserializeOwned>(
    db: &mut SqliteConnection,
    cluster: &ClusterName,
    call: &str,
    token: &ClientToken,
    now: TimestampMs,
) -> Result<Option<T>, StoreError> {
    let (cluster, too_old) = (cluster.as_str(), too_old(now));
    let known = sqlx::query!(
        "SELECT request_hash, answer FROM client_tokens
          WHERE cluster = ?1 AND call = ?2 AND token = ?3 AND created_at > ?4",
        cluster,
        call,
        token.token,
        too_old
    )
    .fetch_optional(db)
    .await?;
    match known {
        None => Ok(None),
        Some(known) if known.request_hash == token.request_hash => {
            from_json("clientToken.answer", &known.answer).map(Some)
        }
        Some(_) => Err(StoreError::TokenReused),
    }
}

/// Remembers the answer of a call, as part of the job that carries it out.
pub(super) async fn remember(
    db: &mut SqliteConnection,
    cluster: &ClusterName,
    call: &str,
    token: &ClientToken,
    answer: &impl Serialize,
    now: TimestampMs,
) -> Result<(), StoreError> {
    let too_old = too_old(now);
    sqlx::query!("DELETE FROM client_tokens WHERE created_at <= ?1", too_old)
        .execute(&mut *db)
        .await?;
    let (cluster, answer, at) = (cluster.as_str(), to_json(answer)?, now.as_millis());
    sqlx::query!(
        "INSERT INTO client_tokens (cluster, call, token, request_hash, answer, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        cluster,
        call,
        token.token,
        token.request_hash,
        answer,
        at
    )
    .execute(db)
    .await?;
    Ok(())
}

fn too_old(now: TimestampMs) -> i64 {
    now.as_millis().saturating_sub(TOKENS_KEPT.as_millis())
}
