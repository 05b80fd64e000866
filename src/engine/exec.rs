//! Processes that people start in a container that runs: what is asked for, and what comes of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use super::{EngineError, LogStream};
use crate::domain::{ContainerName, TaskId};

/// A process that is to be started beside those of a container that runs.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The task.
    pub task_id: TaskId,
    /// The container, whose user, folder, environment and limits it gets.
    pub container: ContainerName,
    /// The program and its arguments; at least one word. They may carry a secret, and are kept nowhere.
    pub command: Vec<String>,
    /// Gives it a terminal: then all that it writes is standard output.
    pub tty: bool,
    /// Whether it has an input; otherwise it reads an end at once.
    pub stdin: bool,
    /// How large its terminal is at first.
    pub size: Option<TerminalSize>,
}

/// Without the command, which may carry a secret.
impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecRequest")
            .field("task_id", &self.task_id)
            .field("container", &self.container)
            .field("tty", &self.tty)
            .finish_non_exhaustive()
    }
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A signal that a person can send to such a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecSignal {
    /// SIGHUP: whoever started it is gone.
    HangUp,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl ExecSignal {
    /// As signals are called: `SIGINT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HangUp => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
            Self::Kill => "SIGKILL",
        }
    }
}

/// A process that was started.
pub struct Exec {
    /// What it writes, until it has closed its outputs.
    pub output: BoxStream<'static, Result<ExecOutput, EngineError>>,
    /// What it reads. Shutting it down is the end of its input.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// The process itself.
    pub process: Arc<dyn ExecProcess>,
}

/// A piece of what a process wrote: any bytes, cut anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// Where to.
    pub stream: LogStream,
    /// What.
    pub bytes: Bytes,
}

/// A process that was started in a container. It goes on when this is dropped.
#[async_trait]
pub trait ExecProcess: Send + Sync + 'static {
    /// Tells its terminal how large it is.
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError>;

    /// Sends it a signal. [`EngineError::Refused`] where that cannot be done: Docker's API has no call for it,
    /// so it takes an engine on this machine. Signalling what has ended succeeds.
    async fn signal(&self, signal: ExecSignal) -> Result<(), EngineError>;

    /// Its exit code; `None` while it runs.
    async fn exit_code(&self) -> Result<Option<i64>, EngineError>;
}
