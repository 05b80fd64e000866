//! What can go wrong with the store, in the words that its callers act on.
//!
//! Every error is plain data and can be cloned, because one failed commit is the answer to every write
//! that was part of it. Causes are turned into text here and nowhere else.

use std::io;

use crate::domain::InvalidName;

/// Why the store did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} does not exist")]
    NotFound {
        /// The thing, with its kind: ``cluster `web` ``.
        what: String,
    },
    /// There is such a thing already.
    #[error("{what} exists already")]
    AlreadyExists {
        /// The thing, with its kind: `task 0123…`.
        what: String,
    },
    /// A cluster cannot be deleted while tasks of it have not stopped.
    #[error("cluster \"{cluster}\" still has {tasks} task{} that did not stop", if *tasks == 1 { "" } else { "s" })]
    ClusterInUse {
        /// Its name.
        cluster: String,
        /// How many of them there are.
        tasks: u64,
    },
    /// The write would break a rule that the database keeps.
    #[error("the record was refused: {0}")]
    Refused(String),
    /// The host has no room for a task: somebody else was given it in between.
    #[error("the host has no room left")]
    NoRoom,
    /// The task was recorded by somebody else in between: read it again.
    #[error("the task was changed in between")]
    Stale,
    /// The same client token came with another request.
    #[error("the client token was used before, with another request")]
    TokenReused,
    /// The token of a page is not one that was given out for this list.
    #[error("the page token is not valid")]
    BadToken,
    /// Another process uses the data directory.
    #[error("the data directory is in use by another Neargate ({})", pid_text(*.pid))]
    Locked {
        /// The process, if it could be read.
        pid: Option<u32>,
    },
    /// The database was written by a newer Neargate.
    #[error("the database has schema {found}, this Neargate knows up to {known}")]
    NewerDatabase {
        /// The schema of the database.
        found: i64,
        /// The newest schema that this binary has.
        known: i64,
    },
    /// The database is not whole. It is never repaired by guessing.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// One record or kept log cannot be understood; the others are not touched by that.
    #[error("{what} cannot be read: {why}")]
    Unreadable {
        /// The record, with its kind.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Secrets can be neither read nor written: their key file is not as it must be. Nothing was changed.
    #[error("{0}")]
    Sealed(String),
    /// There is no room left on the disk. Nothing was written.
    #[error("the disk is full")]
    Full,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else, as the database or the operating system says it.
    #[error("the store failed: {0}")]
    Failed(String),
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "its process is not known".to_owned(),
        |pid| format!("process {pid}"),
    )
}

impl StoreError {
    /// Whether the very same call may succeed later without anybody changing the call.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Full | Self::Failed(_) => true,
            // The call has to be made anew, from what is there now.
            Self::Stale
            | Self::NotFound { .. }
            | Self::AlreadyExists { .. }
            | Self::ClusterInUse { .. }
            | Self::Refused(_)
            | Self::NoRoom
            | Self::TokenReused
            | Self::BadToken
            // Somebody has to do something first.
            | Self::Locked { .. }
            | Self::NewerDatabase { .. }
            | Self::Damaged(_)
            | Self::Unreadable { .. }
            | Self::Sealed(_)
            | Self::Closed => false,
        }
    }

    /// Whether the error is about one write alone, so that SQLite's transaction around it still stands.
    ///
    /// After any other error the transaction may have been rolled back as a whole already, without a word
    /// (see "Response To Errors Within A Transaction" in SQLite's documentation).
    pub(super) const fn leaves_the_transaction(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::AlreadyExists { .. }
            | Self::ClusterInUse { .. }
            | Self::Refused(_)
            | Self::NoRoom
            | Self::Stale
            | Self::TokenReused
            | Self::BadToken
            | Self::Sealed(_)
            | Self::Unreadable { .. } => true,
            Self::Locked { .. }
            | Self::NewerDatabase { .. }
            | Self::Damaged(_)
            | Self::Full
            | Self::Closed
            | Self::Failed(_) => false,
        }
    }

    /// `what` does not exist.
    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// `what` is recorded and cannot be understood.
    pub(super) fn unreadable(what: impl Into<String>, why: &(impl ToString + ?Sized)) -> Self {
        Self::Unreadable {
            what: what.into(),
            why: why.to_string(),
        }
    }
}

/// SQLite's primary result codes that mean something to a caller. Source: <https://sqlite.org/rescode.html>.
mod code {
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const NOTADB: i32 = 26;
    /// `SQLITE_IOERR_SHMSIZE`: what a full disk looks like from the shared-memory file.
    pub(super) const IOERR_SHMSIZE: i32 = 4_874;
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code: i32 = error
                    .code()
                    .and_then(|text| text.parse().ok())
                    .unwrap_or_default();
                // The low byte is the primary code, whatever is above it says more.
                match code & 0xff {
                    _ if code == code::IOERR_SHMSIZE => Self::Full,
                    code::FULL => Self::Full,
                    code::CORRUPT | code::NOTADB => Self::Damaged(error.message().to_owned()),
                    code::CONSTRAINT => Self::Refused(error.message().to_owned()),
                    _ => Self::Failed(error.to_string()),
                }
            }
            sqlx::Error::Io(error) => error.into(),
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::ColumnDecode { index, source } => {
                Self::unreadable(format!("column {index}"), &source)
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError;
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<InvalidName> for StoreError {
    /// A name that is recorded was valid when it was written, so one that is not now is a broken record.
    fn from(error: InvalidName) -> Self {
        Self::unreadable(error.what, &error)
    }
}
