//! The errors of other rooms as problems, all in one place.

use super::problem::{ApiError, Kind, failed};
use crate::control::ControlError;
use crate::engine::EngineError;
use crate::store::StoreError;

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NotFound { what, hint } => with_hint(
                Self::new(Kind::NotFound, format!("{what} does not exist")),
                hint,
            ),
            ControlError::Invalid(faults) => Self::invalid(&faults),
            ControlError::Conflict { message, hint, .. } => {
                with_hint(Self::new(Kind::Conflict, message), hint)
            }
            ControlError::Store(error) => error.into(),
            ControlError::Engine(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::new(Kind::NotFound, error.to_string()),
            StoreError::AlreadyExists { .. } => Self::new(Kind::AlreadyExists, error.to_string()),
            StoreError::ClusterInUse { .. } => Self::new(Kind::ClusterInUse, error.to_string())
                .hint("stop its tasks and wait until they are STOPPED: neargate ps lists them"),
            StoreError::TokenReused => Self::new(Kind::ClientTokenReused, error.to_string())
                .hint("send the very same request again, or another clientToken"),
            StoreError::BadToken => {
                Self::new(Kind::BadPageToken, "nextToken is not one of this list's")
                    .hint("send a nextToken as it was given, or none to begin at the first page")
            }
            StoreError::Sealed(text) => {
                let (text, hint) = text.split_once("; hint: ").unwrap_or((&text, ""));
                Self::new(Kind::SecretsSealed, text).hint(hint)
            }
            StoreError::Full => Self::new(Kind::DiskFull, "the disk is full; nothing was recorded")
                .hint("make room on the server's data folder, then send the request again"),
            StoreError::Closed => Self::new(
                Kind::Stopping,
                "the server is stopping; nothing was recorded",
            )
            .retry_soon(),
            StoreError::Stale | StoreError::Failed(_) => Self::new(
                Kind::StoreFailed,
                "the store could not carry out the request",
            )
            .hint("send the request again; a clientToken makes that safe")
            .internal(&error)
            .retry_soon(),
            StoreError::Refused(_)
            | StoreError::NoRoom
            | StoreError::Locked { .. }
            | StoreError::NewerDatabase { .. }
            | StoreError::Damaged(_)
            | StoreError::Unreadable { .. } => failed(&error),
        }
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        const RECOVERS: &str = "tasks wait until it is back; GET /readyz tells its state";
        match error {
            EngineError::Away(_) => {
                Self::new(Kind::EngineAway, "the container engine cannot be reached")
                    .hint(RECOVERS)
                    .retry_soon()
            }
            EngineError::Timeout { .. } => Self::new(
                Kind::EngineAway,
                "the container engine did not answer in time",
            )
            .hint(RECOVERS)
            .retry_soon(),
            EngineError::NotFound(_) => {
                Self::new(Kind::NotFound, "the container engine no longer has it")
            }
            EngineError::NameTaken(_) | EngineError::Refused(_) => Self::new(
                Kind::EngineRefused,
                "the container engine refused the request",
            )
            .hint("the server's log has its reason under this instance"),
            EngineError::Failed(_) => Self::new(
                Kind::EngineFailed,
                "the container engine could not carry out the request",
            )
            .hint("send the request again; GET /readyz tells its state")
            .retry_soon(),
        }
        .internal(&error)
    }
}

fn with_hint(error: ApiError, hint: Option<String>) -> ApiError {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
