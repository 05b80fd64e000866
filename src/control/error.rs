//! Why a use case was refused or failed.

use crate::domain::Faults;
use crate::engine::EngineError;
use crate::store::StoreError;

/// Why a use case was refused or failed. Every front has its own words on the wire for each of these.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The thing is not there.
    #[error("{what} does not exist")]
    NotFound {
        /// By its name: `cluster "blue"`.
        what: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What was sent is wrong; all of it.
    #[error("{0}")]
    Invalid(Faults),
    /// It cannot be done in the state that things are in.
    #[error("{message}")]
    Conflict {
        /// Fact first.
        message: String,
        /// The way out.
        hint: Option<String>,
        /// What a front tells apart by more than words.
        obstacle: Obstacle,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine refused or failed; only where a use case reads from it.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What stands in the way of a use case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The state of the thing itself.
    State,
    /// Something has the name already.
    NameInUse,
    /// The revision is INACTIVE.
    InactiveRevision,
    /// The cluster's container instance is DRAINING.
    Draining,
    /// No empty host could take the task. The message is a reason of ECS's, a colon and the detail.
    HostTooSmall,
    /// There are as many as there may be.
    Limit,
}

impl ControlError {
    pub(super) fn not_found(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotFound {
            what: what.into(),
            hint: Some(hint.into()),
        }
    }

    pub(super) fn conflict(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::blocked(Obstacle::State, message, hint)
    }

    pub(super) fn blocked(
        obstacle: Obstacle,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Conflict {
            message: message.into(),
            hint: Some(hint.into()),
            obstacle,
        }
    }

    pub(super) fn invalid(path: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut faults = Faults::default();
        faults.add_with_hint(path, message, hint);
        Self::Invalid(faults)
    }
}
