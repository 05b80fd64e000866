//! A stream of log lines: one JSON object a line, cut into chunks wherever the network likes.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;

use super::{ByteStream, Client, ClientError};
use crate::shapes::{LogLine, Problem};

/// The longest silence: after it the stream may hang, or the containers may have nothing to say.
const SILENCE: Duration = Duration::from_mins(1);
/// A container's line is cut by the engine long before this.
const LONGEST_LINE: usize = 4 << 20;

/// Log lines as they come.
pub(in crate::cli) struct LogStream {
    client: Client,
    bytes: ByteStream,
    lines: LineBuffer,
    is_over: bool,
    note: Option<String>,
}

impl LogStream {
    pub(super) fn new(client: Client, bytes: ByteStream, note: Option<String>) -> Self {
        Self {
            client,
            bytes,
            lines: LineBuffer::default(),
            is_over: false,
            note,
        }
    }

    /// What the server says about lines that are missing.
    pub(in crate::cli) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The next line; `None` when the log is at its end; [`ClientError::TooSlow`] when nothing came for a
    /// minute.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<LogLine>, ClientError> {
        loop {
            if let Some(line) = self.lines.take_line() {
                // An empty line only says that the connection is alive.
                if line.is_empty() {
                    continue;
                }
                return self.decode(&line).map(Some);
            }
            if self.is_over {
                let rest = self.lines.take_rest();
                // A log that ends within a line was cut off.
                return if rest.is_empty() {
                    Ok(None)
                } else {
                    Err(self.cut_off())
                };
            }
            match tokio::time::timeout(SILENCE, self.bytes.next()).await {
                Ok(Some(chunk)) => self.lines.push(&chunk?),
                Ok(None) => self.is_over = true,
                Err(_) => return Err(self.client.too_slow(SILENCE)),
            }
            if self.lines.len() > LONGEST_LINE {
                return Err(self
                    .client
                    .foreign("a line of its log is longer than 4 MiB"));
            }
        }
    }

    fn decode(&self, line: &[u8]) -> Result<LogLine, ClientError> {
        match serde_json::from_slice(line) {
            Ok(line) => Ok(line),
            // What goes wrong after the head of the answer is out can only be said in the stream itself.
            Err(error) => Err(match serde_json::from_slice::<Problem>(line) {
                Ok(problem) => ClientError::Refused(Box::new(problem)),
                Err(_) => self
                    .client
                    .foreign(&format!("its log is not understood: {error}")),
            }),
        }
    }

    fn cut_off(&self) -> ClientError {
        ClientError::Lost {
            endpoint: self.client.endpoint().to_owned(),
            reason: "the answer was cut off".to_owned(),
        }
    }
}

/// Bytes that have come and are not yet a whole line.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: BytesMut,
    /// How far there is no end of line.
    searched: usize,
}

impl LineBuffer {
    /// More bytes have come.
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// The next whole line, without its end.
    pub(super) fn take_line(&mut self) -> Option<BytesMut> {
        let Some(found) = self.bytes[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n')
        else {
            self.searched = self.bytes.len();
            return None;
        };
        let mut line = self.bytes.split_to(self.searched + found + 1);
        self.searched = 0;
        line.truncate(line.len() - 1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Some(line)
    }

    /// What is left after the last line.
    pub(super) fn take_rest(&mut self) -> BytesMut {
        self.searched = 0;
        self.bytes.split()
    }

    /// How many bytes wait for the end of their line.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text`, pushed in chunks of `size` bytes.
    fn lines(text: &str, size: usize) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            buffer.push(chunk);
            while let Some(line) = buffer.take_line() {
                lines.push(String::from_utf8(line.to_vec()).unwrap());
            }
        }
        lines.push(String::from_utf8(buffer.take_rest().to_vec()).unwrap());
        lines
    }

    #[test]
    fn lines_do_not_depend_on_where_chunks_end() {
        let text = "one\n\n\u{65e5}\u{672c}\r\nlong line\nrest";
        for size in 1..=text.len() {
            assert_eq!(
                lines(text, size),
                ["one", "", "\u{65e5}\u{672c}", "long line", "rest"],
                "{size}"
            );
        }
    }
}
