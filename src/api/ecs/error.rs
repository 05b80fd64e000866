//! How an operation is refused: a code that programs decide by, and a message. Where the message is known to be one
//! that tools match on, it is ECS's.
//!
//! What goes wrong for reasons of our own becomes the same refusal as in REST, so that its cause stays in the log.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::written;
use crate::api::rest::{ApiError, harmless};
use crate::control::ControlError;
use crate::domain::{Faults, InvalidName};
use crate::store::StoreError;

/// A refusal as it travels.
pub(in crate::api) fn error(code: &str, message: &str) -> Value {
    json!({ "__type": code, "message": harmless(message) })
}

/// A refusal.
#[derive(Debug)]
pub(super) enum EcsError {
    /// The caller's doing.
    Refused {
        /// One of ECS's exceptions.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Ours.
    Failed(ApiError),
}

impl EcsError {
    /// A refusal with one of ECS's codes.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused {
            code,
            message: message.into(),
        }
    }

    /// `ClientException`: what most refusals are.
    pub(super) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    /// `InvalidParameterException`: a parameter is wrong.
    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    /// Everything that is wrong with what was sent, under `code`.
    pub(super) fn faults(code: &'static str, faults: &Faults) -> Self {
        let all: Vec<String> = faults
            .iter()
            .map(|fault| match &fault.hint {
                Some(hint) => format!("{}: {} ({hint})", fault.path, fault.message),
                None => format!("{}: {}", fault.path, fault.message),
            })
            .collect();
        Self::new(code, all.join("; "))
    }

    /// The refusal to keep one more of something, under `code`; what else went wrong stays what it is.
    pub(super) fn no_room(code: &'static str) -> impl FnOnce(ControlError) -> Self {
        move |error| match error {
            ControlError::Store(StoreError::Refused(why)) => Self::new(code, why),
            other => other.into(),
        }
    }

    /// There is no such cluster.
    pub(super) fn no_cluster() -> Self {
        Self::new("ClusterNotFoundException", "Cluster not found.")
    }

    /// There is no such service.
    pub(super) fn no_service() -> Self {
        Self::new("ServiceNotFoundException", "Service not found.")
    }
}

/// The error of a use case, where nothing more is known about it.
impl From<ControlError> for EcsError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Invalid(faults) => Self::faults("InvalidParameterException", &faults),
            ControlError::NotFound { what, .. } => Self::client(format!("{what} does not exist")),
            ControlError::Conflict { message, hint, .. } => Self::client(match hint {
                Some(hint) => format!("{message} ({hint})"),
                None => message,
            }),
            ControlError::Store(StoreError::BadToken) => {
                Self::parameter("Invalid token: nextToken is not one of this list's.")
            }
            ControlError::Store(StoreError::TokenReused) => Self::new(
                "ConflictException",
                "The clientToken was used before, with other parameters.",
            ),
            ControlError::Store(error @ StoreError::NotFound { .. }) => {
                Self::client(error.to_string())
            }
            other => Self::Failed(other.into()),
        }
    }
}

impl From<InvalidName> for EcsError {
    fn from(error: InvalidName) -> Self {
        Self::parameter(error.to_string())
    }
}

impl IntoResponse for EcsError {
    fn into_response(self) -> Response {
        match self {
            Self::Refused { code, message } => {
                written(StatusCode::BAD_REQUEST, &error(code, &message))
            }
            // It becomes a document where the request is known.
            Self::Failed(failure) => failure.into_response(),
        }
    }
}
