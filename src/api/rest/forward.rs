//! A connection to a port of a task, over a WebSocket: the guards are those of `exec`, and so are the slots.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::exec::{PING_EVERY, Slot, websocket};
use super::extract::{Check, Params, Segment};
use super::openapi::Common;
use super::problem::ApiError;
use super::tasks::TaskText;
use crate::shapes::Problem;

/// How much is read at once.
const PIECE_BYTES: usize = 32 * 1_024;
/// How long the last message may take.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(forward))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ForwardParams {
    /// The port at which the task listens.
    #[param(value_type = u16, minimum = 1, maximum = 65535, required = true)]
    port: Option<String>,
}

/// A connection to a port of a task, over a WebSocket.
///
/// Binary messages are what is sent and received; an empty one says that no more will be sent. The task must
/// listen at its own address. Only for tasks with `enableExecuteCommand`.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/forward", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it."), ForwardParams),
    responses(
        (status = 101, description = "The connection is a WebSocket now, and leads to the task.", body = Vec<u8>),
        (status = 404, description = "There is no such task.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task has no `enableExecuteCommand` or no network, or nothing listens there.", body = Problem, content_type = "application/problem+json"),
        (status = 426, description = "The request does not ask for a WebSocket.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn forward(
    State(rest): State<Arc<Rest>>,
    Segment(TaskText(text)): Segment<TaskText>,
    Params(params): Params<ForwardParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let mut check = Check::default();
    if params.port.is_none() {
        check.add(
            "port",
            "is missing",
            "say at which port the task listens, as port=80",
        );
    }
    let port = check.number("port", params.port.as_deref(), 1..=u64::from(u16::MAX));
    check.done()?;
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or_default();
    let upgrade = websocket(upgrade)?;
    let slot = Slot::take(&rest)?;
    let id = rest.state.control.find_task(&text).await?;
    let stream = rest.state.control.connect_to_task(&id, port).await?;
    Ok(upgrade.on_upgrade(move |socket| session(rest, stream, socket, slot)))
}

async fn session(rest: Arc<Rest>, stream: TcpStream, socket: WebSocket, slot: Slot) {
    // A piece that is small is as urgent as a large one.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    let (mut sink, messages) = socket.split();
    let code = tokio::select! {
        () = send(reader, &mut sink) => close_code::NORMAL,
        () = take_in(messages, writer) => close_code::NORMAL,
        () = rest.state.stop.cancelled() => close_code::AWAY,
    };
    let close = Message::Close(Some(CloseFrame {
        code,
        reason: "".into(),
    }));
    // Whoever is gone hears nothing.
    let _ = tokio::time::timeout(LAST_WORDS_TIME, sink.send(close)).await;
    drop(slot);
}

/// Sends what the task sends, until it sends no more.
async fn send(mut reader: OwnedReadHalf, sink: &mut SplitSink<WebSocket, Message>) {
    let mut pings = tokio::time::interval(PING_EVERY);
    let mut piece = BytesMut::with_capacity(PIECE_BYTES);
    loop {
        piece.reserve(PIECE_BYTES);
        let message = tokio::select! {
            read = reader.read_buf(&mut piece) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => Message::Binary(piece.split().freeze()),
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

/// Hands on what the client sends, until it goes away.
async fn take_in(mut messages: SplitStream<WebSocket>, mut writer: OwnedWriteHalf) {
    while let Some(Ok(message)) = messages.next().await {
        let written = match message {
            Message::Binary(bytes) if bytes.is_empty() => writer.shutdown().await,
            Message::Binary(bytes) => writer.write_all(&bytes).await,
            Message::Close(_) => return,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => Ok(()),
        };
        if written.is_err() {
            return;
        }
    }
}
