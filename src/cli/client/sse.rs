//! The live stream of events, as server-sent events.
//!
//! Source: WHATWG HTML, "Server-sent events", "Parsing an event stream". Only what the API sends is acted
//! on; other fields are skipped, as the standard says.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::lines::LineBuffer;
use super::{ByteStream, Client, ClientError};
use crate::shapes::{Event, Problem};

/// The longest silence: the server says something, if only a comment, far more often.
const SILENCE: Duration = Duration::from_mins(1);
/// The largest event that is read.
const LARGEST: usize = 1 << 20;

/// Events as they happen.
pub(in crate::cli) struct EventStream {
    client: Client,
    bytes: ByteStream,
    parser: Parser,
}

impl EventStream {
    pub(super) fn new(client: Client, bytes: ByteStream) -> Self {
        Self {
            client,
            bytes,
            parser: Parser::default(),
        }
    }

    /// The next event. The stream has no end of its own: that it ends is an error, and so is silence.
    pub(in crate::cli) async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(message) = self.parser.take() {
                return self.decode(&message);
            }
            if self.parser.len() > LARGEST {
                return Err(self.client.foreign("an event of it is larger than 1 MiB"));
            }
            match tokio::time::timeout(SILENCE, self.bytes.next()).await {
                Ok(Some(chunk)) => self.parser.push(&chunk?),
                Ok(None) => return Err(self.ended()),
                Err(_) => return Err(self.client.too_slow(SILENCE)),
            }
        }
    }

    fn decode(&self, message: &Message) -> Result<Event, ClientError> {
        let wrong = |error: serde_json::Error| {
            self.client
                .foreign(&format!("its event is not understood: {error}"))
        };
        // What goes wrong after the head of the answer is out can only be said in the stream itself.
        if message.kind == "problem" {
            let problem: Problem = serde_json::from_str(&message.data).map_err(wrong)?;
            return Err(ClientError::Refused(Box::new(problem)));
        }
        serde_json::from_str(&message.data).map_err(wrong)
    }

    fn ended(&self) -> ClientError {
        ClientError::Lost {
            endpoint: self.client.endpoint().to_owned(),
            reason: "the stream ended".to_owned(),
        }
    }
}

/// One message of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    kind: String,
    data: String,
}

/// Puts the messages together.
#[derive(Debug, Default)]
struct Parser {
    lines: LineBuffer,
    message: Message,
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) {
        self.lines.push(chunk);
    }

    /// The next whole message. One without data is only an `id` or a sign of life, and is skipped.
    fn take(&mut self) -> Option<Message> {
        while let Some(line) = self.lines.take_line() {
            if line.is_empty() {
                let mut message = std::mem::take(&mut self.message);
                if message.data.pop().is_some() {
                    return Some(message);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&line);
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                // Each line of the data ends with a new line, and the last of those does not count.
                "data" => {
                    self.message.data.push_str(value);
                    self.message.data.push('\n');
                }
                "event" => value.clone_into(&mut self.message.kind),
                // `id` is not kept: it is the event's own `seq`.
                _ => {}
            }
        }
        None
    }

    fn len(&self) -> usize {
        self.lines.len() + self.message.data.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_do_not_depend_on_where_chunks_end() {
        let text = ": alive\n\nid: 7\nevent: TaskStateChange\ndata: {\"a\":\ndata: 1}\n\nretry: 5\n\nid:8\ndata:x\r\n\r\ndata: cut";
        for size in 1..=text.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                parser.push(chunk);
                while let Some(message) = parser.take() {
                    events.push((message.kind, message.data));
                }
            }
            let message = |kind: &str, data: &str| (kind.to_owned(), data.to_owned());
            assert_eq!(
                events,
                [message("TaskStateChange", "{\"a\":\n1}"), message("", "x")],
                "{size}"
            );
        }
    }
}
