//! A command in a task's container, over a WebSocket.
//!
//! A browser sends no `Authorization` with a WebSocket and asks nobody before it opens one to another site, so the
//! guards of all routes (`guard`) have to hold for the upgrade, and do: the origin's most of all. What is refused
//! before the upgrade is a problem document like any other; after it, one comes as the last message.
//!
//! A session takes a slot, and ends with the command, with its client (which is asked for a sign of life) or with
//! the server. A command whose session ended before it is told so by SIGHUP, and killed if that does not help.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::stream::{BoxStream, SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::task_tracker::TaskTrackerToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment};
use super::openapi::Common;
use super::problem::{ApiError, Kind};
use super::tasks::TaskText;
use crate::control::{ControlError, ExecuteCommand, OpenContainer};
use crate::engine::{
    EngineError, Exec, ExecOutput, ExecProcess, ExecSignal, LogStream, TerminalSize,
};
use crate::shapes::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecReport, ExecSize, Problem};

/// The largest message of a client.
pub(super) const MESSAGE_BYTES: usize = 1_048_576;
/// How long a client may take to say what is to be run.
const START_TIME: Duration = Duration::from_secs(10);
/// How often a client is asked whether it is there. One that is gone is noticed by this, however little the
/// command has to say; one that is there may be idle for as long as it likes.
pub(super) const PING_EVERY: Duration = Duration::from_secs(20);
/// How long the last message may take.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);
/// How long a command that was left alone may go on after SIGHUP.
const HANG_UP_TIME: Duration = Duration::from_secs(5);
/// How often somebody who waits for an exit code looks: at first, and at the most.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new().routes(routes!(exec))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ExecParams {
    /// The container; may be left out for a task that has one.
    container: Option<String>,
}

/// Runs a command in a container of a task that runs, over a WebSocket. Only for tasks with `enableExecuteCommand`.
///
/// The first message is a text, an `ExecInput` of the type `start` with the command. After it, binary messages
/// are what the command reads, and texts are `resize`, `signal` and `endOfInput`. In the other direction, binary
/// messages are what it writes, each with a first byte that says where to (1: standard output, 2: standard
/// error), and the last message is a text, an `ExecReport`: `exited` with the exit code, or `failed`.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/exec", tag = "tasks",
    params(
        ("task" = String, Path, description = "Its ID, or the first digits of it."),
        ExecParams,
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket now. Its texts are `ExecInput` and `ExecReport`.", body = inline(ExecTexts)),
        (status = 404, description = "There is no such task or container.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task has no `enableExecuteCommand`, or the container does not run.", body = Problem, content_type = "application/problem+json"),
        (status = 426, description = "The request does not ask for a WebSocket.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn exec(
    State(rest): State<Arc<Rest>>,
    Segment(TaskText(text)): Segment<TaskText>,
    Params(params): Params<ExecParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let mut check = Check::default();
    let container = check.parse("container", params.container.as_deref());
    check.done()?;
    let upgrade = websocket(upgrade)?;
    let slot = Slot::take(&rest)?;
    let id = rest.state.control.find_task(&text).await?;
    let open = rest.state.control.open_container(&id, container).await?;
    Ok(upgrade.on_upgrade(move |socket| session(rest, open, socket, slot)))
}

/// The texts of both directions, for the document.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct ExecTexts {
    input: ExecInput,
    report: ExecReport,
}

/// The upgrade that was asked for, with its bounds.
pub(super) fn websocket(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<WebSocketUpgrade, ApiError> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::new(
            Kind::UpgradeRequired,
            "the request does not ask for a WebSocket",
        )
        .hint("use neargate exec, or a WebSocket client of version 13")
        .internal(&rejection)
    })?;
    Ok(upgrade
        .max_frame_size(MESSAGE_BYTES)
        .max_message_size(MESSAGE_BYTES))
}

/// The right to a session, for as long as it is kept; the server waits for it when it stops.
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    token: TaskTrackerToken,
}

impl Slot {
    pub(super) fn take(rest: &Rest) -> Result<Self, ApiError> {
        let stopping = || {
            ApiError::new(
                Kind::Stopping,
                "the server is stopping; no new sessions are begun",
            )
            .retry_soon()
        };
        if rest.state.stop.is_cancelled() {
            return Err(stopping());
        }
        let permit = Arc::clone(&rest.sessions).try_acquire_owned();
        let permit = permit.map_err(|_| {
            let limit = rest.state.limits.sessions;
            ApiError::new(
                Kind::TooManyStreams,
                format!("{limit} sessions are open, which is the limit"),
            )
            .hint("end one that is no longer needed")
            .retry_soon()
        })?;
        Ok(Self {
            _permit: permit,
            token: rest.state.sessions.token(),
        })
    }
}

/// Why a session is over.
enum End {
    Exited(i64),
    /// The client went away.
    Gone,
    Failed(ApiError),
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<axum::Error> for End {
    fn from(_: axum::Error) -> Self {
        Self::Gone
    }
}

async fn session(rest: Arc<Rest>, open: OpenContainer, socket: WebSocket, slot: Slot) {
    let (mut sink, mut messages) = socket.split();
    let stop = rest.state.stop.clone();
    let begun = tokio::select! {
        begun = begin(&rest, &open, &mut messages) => begun,
        () = stop.cancelled() => Err(stopping()),
    };
    let Exec {
        output,
        input,
        process,
    } = match begun {
        Ok(begun) => begun,
        Err(end) => return last_words(&mut sink, end, &open).await,
    };
    let end = tokio::select! {
        end = forward(output, &mut sink, process.as_ref()) => end,
        end = take_in(messages, input, process.as_ref()) => end,
        () = stop.cancelled() => stopping(),
    };
    if !matches!(end, End::Exited(_)) {
        let token = slot.token.clone();
        tokio::spawn(async move {
            hang_up(process.as_ref()).await;
            drop(token);
        });
    }
    last_words(&mut sink, end, &open).await;
}

fn stopping() -> End {
    End::Failed(
        ApiError::new(
            Kind::Stopping,
            "the server is stopping; the session is over",
        )
        .hint("the task goes on; run the command again when the server is back"),
    )
}

/// Waits to hear what is to be run, and starts it.
async fn begin(
    rest: &Rest,
    open: &OpenContainer,
    messages: &mut SplitStream<WebSocket>,
) -> Result<Exec, End> {
    let first = tokio::time::timeout(START_TIME, messages.next()).await;
    let text = match first {
        Ok(Some(Ok(Message::Text(text)))) => text,
        Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return Err(End::Gone),
        Ok(Some(Ok(_))) | Err(_) => return Err(not_understood("the first message is no start")),
    };
    let ExecInput::Start {
        command,
        tty,
        stdin,
        size,
    } = read(&text)?
    else {
        return Err(not_understood("the first message is no start"));
    };
    let wanted = ExecuteCommand {
        command,
        tty,
        stdin,
        size: size.map(terminal_size),
    };
    let begun = rest.state.control.execute_command(open, wanted).await;
    begun.map_err(|error: ControlError| End::Failed(error.into()))
}

/// The message is not repeated: it may hold a secret.
fn read(text: &str) -> Result<ExecInput, End> {
    serde_json::from_str(text).map_err(|_| not_understood("a text message is no ExecInput"))
}

fn not_understood(what: &str) -> End {
    End::Failed(
        ApiError::new(Kind::InvalidRequest, what)
            .hint("GET /openapi.json describes the messages of this WebSocket"),
    )
}

const fn terminal_size(size: ExecSize) -> TerminalSize {
    TerminalSize {
        columns: size.columns,
        rows: size.rows,
    }
}

/// Sends what the command writes, and waits for its end.
async fn forward(
    mut output: BoxStream<'static, Result<ExecOutput, EngineError>>,
    sink: &mut SplitSink<WebSocket, Message>,
    process: &dyn ExecProcess,
) -> End {
    let mut pings = tokio::time::interval(PING_EVERY);
    let exited = async {
        loop {
            let message = tokio::select! {
                piece = output.next() => match piece {
                    Some(piece) => Message::Binary(framed(&piece?)),
                    None => break,
                },
                _ = pings.tick() => Message::Ping(Bytes::new()),
            };
            sink.send(message).await?;
        }
        // A process may close its outputs and go on.
        let mut pause = LOOK_EVERY.0;
        loop {
            if let Some(code) = process.exit_code().await? {
                return Ok::<i64, End>(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY.1);
        }
    };
    match exited.await {
        Ok(code) => End::Exited(code),
        Err(end) => end,
    }
}

fn framed(piece: &ExecOutput) -> Bytes {
    let mut message = BytesMut::with_capacity(piece.bytes.len() + 1);
    message.put_u8(match piece.stream {
        LogStream::Stdout => EXEC_STDOUT,
        LogStream::Stderr => EXEC_STDERR,
    });
    message.put_slice(&piece.bytes);
    message.freeze()
}

/// Hands on what the client sends, until it goes away or sends nonsense.
async fn take_in(
    mut messages: SplitStream<WebSocket>,
    input: std::pin::Pin<Box<dyn AsyncWrite + Send>>,
    process: &dyn ExecProcess,
) -> End {
    // Gone, once it has ended or the command does not read any more.
    let mut input = Some(input);
    let result: Result<(), End> = async {
        while let Some(message) = messages.next().await {
            match message? {
                Message::Binary(bytes) => {
                    let Some(open) = input.as_mut() else { continue };
                    let written = async {
                        open.write_all(&bytes).await?;
                        open.flush().await
                    };
                    if written.await.is_err() {
                        input = None;
                    }
                }
                Message::Text(text) => obey(read(&text)?, &mut input, process).await?,
                Message::Close(_) => return Ok(()),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        Ok(())
    }
    .await;
    result.err().unwrap_or(End::Gone)
}

async fn obey(
    wanted: ExecInput,
    input: &mut Option<std::pin::Pin<Box<dyn AsyncWrite + Send>>>,
    process: &dyn ExecProcess,
) -> Result<(), End> {
    match wanted {
        ExecInput::Start { .. } => return Err(not_understood("the command was started before")),
        ExecInput::Resize { size } => {
            // A command that has just ended has no terminal any more, and that is told by its exit code.
            if let Err(error) = process.resize(terminal_size(size)).await {
                tracing::debug!(%error, "a terminal was not resized");
            }
        }
        ExecInput::Signal { signal } => {
            let Some(signal) = signal_of(&signal) else {
                return Err(not_understood(
                    "the signal is none of SIGHUP, SIGINT, SIGQUIT, SIGTERM and SIGKILL",
                ));
            };
            process.signal(signal).await.map_err(|error| {
                End::Failed(
                    ApiError::new(
                        Kind::EngineRefused,
                        "the command cannot be sent a signal here",
                    )
                    .hint("with a terminal (-it), Ctrl-C reaches it")
                    .internal(&error),
                )
            })?;
        }
        ExecInput::EndOfInput => {
            if let Some(mut open) = input.take() {
                // One that has ended reads no end.
                let _ = open.shutdown().await;
            }
        }
    }
    Ok(())
}

fn signal_of(name: &str) -> Option<ExecSignal> {
    const ALL: [ExecSignal; 5] = [
        ExecSignal::HangUp,
        ExecSignal::Interrupt,
        ExecSignal::Quit,
        ExecSignal::Terminate,
        ExecSignal::Kill,
    ];
    ALL.into_iter().find(|signal| signal.as_str() == name)
}

/// Ends a command that nobody listens to any more, as far as that can be done: its input has ended, it gets
/// SIGHUP, and after a while SIGKILL.
async fn hang_up(process: &dyn ExecProcess) {
    if let Err(error) = process.signal(ExecSignal::HangUp).await {
        tracing::info!(%error, "a command that was left alone may run on for as long as its container");
        return;
    }
    let ended = async {
        let mut pause = LOOK_EVERY.0;
        while let Ok(None) = process.exit_code().await {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_EVERY.1);
        }
    };
    if tokio::time::timeout(HANG_UP_TIME, ended).await.is_err()
        && let Err(error) = process.signal(ExecSignal::Kill).await
    {
        tracing::info!(%error, "a command that ignored SIGHUP was not killed");
    }
}

async fn last_words(sink: &mut SplitSink<WebSocket, Message>, end: End, open: &OpenContainer) {
    let (report, code) = match end {
        End::Gone => return,
        End::Exited(exit_code) => (ExecReport::Exited { exit_code }, close_code::NORMAL),
        End::Failed(error) => {
            let path = format!("/v1/tasks/{}/exec", open.task_id);
            let problem = error.into_problem(&path);
            (ExecReport::Failed { problem }, close_code::AWAY)
        }
    };
    // Made of texts and numbers, so this cannot fail.
    let text = serde_json::to_string(&report).unwrap_or_default();
    let close = CloseFrame {
        code,
        reason: "".into(),
    };
    let said = async {
        sink.send(Message::Text(text.into())).await?;
        sink.send(Message::Close(Some(close))).await
    };
    // Whoever is gone hears nothing.
    let _ = tokio::time::timeout(LAST_WORDS_TIME, said).await;
}
