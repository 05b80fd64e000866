//! What containers wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{ContainerName, LastLine};
use crate::engine;

/// One line that a container wrote, or a piece of one that is longer than the engine keeps together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When, by the engine's clock.
    #[schema(format = DateTime)]
    pub at: String,
    /// The container that wrote it.
    pub container: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// What it wrote, without the line's end; bytes that are no UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// What it wrote, exactly, in Base64; only there when `text` is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_base64: Option<String>,
}

impl LogLine {
    /// `line`, which `container` wrote.
    pub fn new(container: &ContainerName, line: &engine::LogLine) -> Self {
        let exact = std::str::from_utf8(&line.text).is_ok();
        Self {
            at: line.at.to_string(),
            container: container.to_string(),
            stream: line.stream.as_str().to_owned(),
            text: String::from_utf8_lossy(&line.text).into_owned(),
            bytes_base64: (!exact).then(|| STANDARD.encode(&line.text)),
        }
    }

    /// The bytes that the container wrote.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_base64
            .as_deref()
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_else(|| self.text.clone().into_bytes())
    }
}

/// What is kept of a failed task's log is text.
impl From<&LastLine> for LogLine {
    fn from(line: &LastLine) -> Self {
        let stream = if line.stderr {
            engine::LogStream::Stderr
        } else {
            engine::LogStream::Stdout
        };
        Self {
            at: line.at.to_string(),
            container: line.container.to_string(),
            stream: stream.as_str().to_owned(),
            text: line.text.clone(),
            bytes_base64: None,
        }
    }
}
