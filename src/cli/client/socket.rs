//! A WebSocket to the API: reqwest asks for it as for anything else, so that the token, the proxy and what is
//! said of a refusal are the same; what is left of the connection is given frames.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::header::{CONNECTION, UPGRADE};
use reqwest::{Method, StatusCode, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{ANSWER_TIMEOUT, Client, ClientError, Query};
use crate::shapes::{ExecInput, ExecReport};

/// The largest message that is read or sent.
const MESSAGE_BYTES: usize = 1 << 20;
/// How long the other side may be silent: it asks for a sign of life three times as often.
const SILENCE: Duration = Duration::from_mins(1);

/// Sends on a WebSocket.
pub(in crate::cli) struct SocketSender {
    sink: SplitSink<WebSocketStream<Upgraded>, Message>,
}

/// Receives on a WebSocket.
pub(in crate::cli) struct SocketReceiver {
    client: Client,
    stream: SplitStream<WebSocketStream<Upgraded>>,
}

/// What came.
pub(in crate::cli) enum Received {
    /// Bytes.
    Bytes(bytes::Bytes),
    /// The last word of the server about a command.
    Report(ExecReport),
    /// The other side has closed the connection in order.
    Closed,
}

impl Client {
    /// A session in a container of a task, in which a command is still to be started.
    pub(in crate::cli) async fn exec(
        &self,
        id: &str,
        container: Option<&str>,
    ) -> Result<(SocketSender, SocketReceiver), ClientError> {
        self.socket(&["v1", "tasks", id, "exec"], &[("container", container)])
            .await
    }

    /// A connection to a port of a task: bytes in both directions, nothing at all when no more will be sent.
    pub(in crate::cli) async fn forward(
        &self,
        id: &str,
        port: u16,
    ) -> Result<(SocketSender, SocketReceiver), ClientError> {
        let port = port.to_string();
        self.socket(&["v1", "tasks", id, "forward"], &[("port", Some(&port))])
            .await
    }

    async fn socket(
        &self,
        path: &[&str],
        query: &Query<'_>,
    ) -> Result<(SocketSender, SocketReceiver), ClientError> {
        let key = generate_key();
        let request = self
            .request(Method::GET, path, query)?
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", &key);
        let sent = tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await;
        let sent = sent.map_err(|_| self.too_slow(ANSWER_TIMEOUT))?;
        let response = sent.map_err(|error| self.lost(&error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.check(response).await?;
            return Err(self.foreign("it does not speak WebSocket"));
        }
        let accepted = response.headers().get("Sec-WebSocket-Accept");
        if accepted.is_none_or(|accepted| *accepted != derive_accept_key(key.as_bytes())) {
            return Err(self.foreign("its WebSocket is none"));
        }
        let connection = response
            .upgrade()
            .await
            .map_err(|error| self.lost(&error))?;
        let config = WebSocketConfig::default()
            .max_frame_size(Some(MESSAGE_BYTES))
            .max_message_size(Some(MESSAGE_BYTES));
        let socket = WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await;
        let (sink, stream) = socket.split();
        let client = self.clone();
        Ok((SocketSender { sink }, SocketReceiver { client, stream }))
    }
}

impl SocketSender {
    /// Sends bytes. What the other side does not hear any more is no error here: the receiver learns it.
    pub(in crate::cli) async fn bytes(&mut self, bytes: bytes::Bytes) {
        let _ = self.sink.send(Message::Binary(bytes)).await;
    }

    /// Sends a message about a command.
    pub(in crate::cli) async fn input(&mut self, input: &ExecInput) {
        // Made of texts and numbers, so this cannot fail.
        let text = serde_json::to_string(input).unwrap_or_default();
        let _ = self.sink.send(Message::Text(text.into())).await;
    }

    /// Takes leave.
    pub(in crate::cli) async fn close(&mut self) {
        let _ = self.sink.send(Message::Close(None)).await;
    }
}

impl SocketReceiver {
    /// What comes next.
    pub(in crate::cli) async fn next(&mut self) -> Result<Received, ClientError> {
        loop {
            let next = tokio::time::timeout(SILENCE, self.stream.next()).await;
            let next = next.map_err(|_| self.client.too_slow(SILENCE))?;
            return Ok(match next {
                Some(Ok(Message::Binary(bytes))) => Received::Bytes(bytes),
                Some(Ok(Message::Text(text))) => {
                    Received::Report(self.client.decode(text.as_bytes())?)
                }
                Some(Ok(Message::Close(_))) | None => Received::Closed,
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(self.lost(&error)),
            });
        }
    }

    fn lost(&self, error: &Error) -> ClientError {
        ClientError::Lost {
            endpoint: self.client.endpoint().to_owned(),
            reason: error.to_string(),
        }
    }
}
