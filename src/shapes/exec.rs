//! What travels over the WebSocket of a command that runs in a container, beside the bytes themselves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;

/// A text message of whoever runs the command. What the command is to read comes in binary messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum ExecInput {
    /// The first message. The command is not in the URL, which ends in the logs of proxies.
    Start {
        /// The program and its arguments; no shell is added.
        command: Vec<String>,
        /// With a terminal: then all of its output is standard output.
        #[serde(default)]
        tty: bool,
        /// With an input; otherwise the command reads an end at once.
        #[serde(default)]
        stdin: bool,
        /// How large the terminal is at first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<ExecSize>,
    },
    /// The terminal has another size.
    Resize {
        /// Its new one.
        size: ExecSize,
    },
    /// Sends a signal to the command.
    Signal {
        /// `SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGTERM` or `SIGKILL`.
        signal: String,
    },
    /// The command's input ends here.
    EndOfInput,
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecSize {
    /// Characters in a row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

/// A text message to whoever runs the command, and the last one. What the command writes comes in binary
/// messages, whose first byte says where to: 1 for standard output, 2 for standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ExecReport {
    /// The command has ended.
    Exited {
        /// Its exit code; 128 and the signal, if one ended it.
        exit_code: i64,
    },
    /// Something else has ended the session; the command is told by a SIGHUP, if it was started and that can be.
    Failed {
        /// What.
        problem: Problem,
    },
}

/// The first byte of a message with standard output.
pub const EXEC_STDOUT: u8 = 1;
/// The first byte of a message with standard error.
pub const EXEC_STDERR: u8 = 2;
