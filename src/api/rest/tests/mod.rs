//! The API as its callers see it, in this process: a real store in a folder of its own, and an engine that
//! is away unless a test says otherwise.

mod bad_input;
mod documents;
mod guards;
mod listener;
mod resources;
mod retention;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::api::{ApiLimits, ApiState, Auth, Hosts, router};
use crate::bell::Bell;
use crate::clock::{Clock, SystemClock};
use crate::control::Control;
use crate::domain::{ContainerName, ContainerStatus, IdSource, LastStatus, TaskId, TimestampMs};
use crate::engine::{
    Engine, EngineError, EngineInfo, EngineState, EngineStatus, Exec, ExecRequest, Fingerprint,
    Hint, LogLine, LogRequest, LogStream, Observation, Order,
};
use crate::store::Store;

const HELLO: &str = include_str!("../../../../task-definitions/hello.yaml");
const YAML: &str = "application/yaml";
const JSON: &str = "application/json";

/// Identifiers that differ in their first digits, of which the first four are zeros.
#[derive(Default)]
struct Counting(AtomicU64);

impl IdSource for Counting {
    fn next_id(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1) << 96
    }
}

/// What the engine does when it is asked for a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Logs {
    #[default]
    Away,
    /// Two lines, the second of which is no UTF-8.
    Two,
    /// A line with what no reader should be misled by.
    Evil,
    /// A line, and then nothing for as long as somebody listens.
    Endless,
    /// A line, and then an error.
    Broken,
}

/// An engine that is away, except for logs.
struct StubEngine(Logs);

fn away<T>() -> Result<T, EngineError> {
    Err(EngineError::Away("secret socket path".to_owned()))
}

#[async_trait]
impl Engine for StubEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        away()
    }

    async fn observe(&self, _: &Order) -> Result<Observation, EngineError> {
        away()
    }

    async fn advance(&self, _: &Order, _: Observation) -> Result<Observation, EngineError> {
        away()
    }

    async fn remove(&self, _: &TaskId) -> Result<(), EngineError> {
        away()
    }

    async fn survey(&self) -> Result<BTreeMap<TaskId, Fingerprint>, EngineError> {
        away()
    }

    async fn logs(
        &self,
        _: LogRequest,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError> {
        let line = |text: &'static [u8]| LogLine {
            at: TimestampMs::from_millis(1_000),
            stream: LogStream::Stdout,
            text: Bytes::from_static(text),
        };
        let first = futures_util::stream::iter([Ok(line(b"one"))]);
        match self.0 {
            Logs::Away => away(),
            Logs::Two => Ok(first
                .chain(futures_util::stream::iter([Ok(line(b"\xfftwo"))]))
                .boxed()),
            Logs::Evil => Ok(futures_util::stream::iter([Ok(line(
                b"<script>alert(1)</script> \x1b[1;31mred\x1b[0m \x1b[2J\xff",
            ))])
            .boxed()),
            Logs::Endless => Ok(first.chain(futures_util::stream::pending()).boxed()),
            Logs::Broken => Ok(first.chain(futures_util::stream::iter([away()])).boxed()),
        }
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>, EngineError> {
        away()
    }

    async fn read_files(
        &self,
        _: &TaskId,
        _: &ContainerName,
        _: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        away()
    }

    async fn write_files(
        &self,
        _: &TaskId,
        _: &ContainerName,
        _: &str,
        _: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        away()
    }

    async fn exec(&self, _: ExecRequest) -> Result<Exec, EngineError> {
        away()
    }

    async fn stats(&self, _: &TaskId, _: &ContainerName, _: bool) -> Result<Value, EngineError> {
        away()
    }

    async fn clusters(&self) -> Result<BTreeSet<String>, EngineError> {
        away()
    }

    async fn remove_clusters(&self, _: &BTreeSet<String>) -> Result<(), EngineError> {
        away()
    }

    async fn shut_down(&self) {}
}

/// What a test changes of the API.
#[derive(Default)]
pub(crate) struct Setting {
    pub(crate) limits: ApiLimits,
    pub(crate) token: Option<&'static str>,
    pub(crate) logs: Logs,
    /// Whether there are pages for people.
    pub(crate) pages: bool,
}

/// An API.
pub(crate) struct Api {
    router: Router,
    state: ApiState,
    pub(crate) store: Store,
    engine_status: EngineStatus,
    stop: CancellationToken,
    _folder: TempDir,
}

impl Api {
    pub(in crate::api) async fn new() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn with(setting: Setting) -> Self {
        let folder = TempDir::new().unwrap();
        let ids: Arc<dyn IdSource> = Arc::new(Counting::default());
        let clock = SystemClock;
        let store = Store::open(&folder.path().join("data"), ids.as_ref(), clock.now())
            .await
            .unwrap();
        let engine_status = EngineStatus::new(clock.now());
        let control = Control::new(
            store.clone(),
            Arc::new(StubEngine(setting.logs)),
            engine_status.clone(),
            Bell::default(),
            Arc::new(clock),
            Arc::clone(&ids),
        );
        let stop = CancellationToken::new();
        let token = setting
            .token
            .map(|token| crate::api::ApiToken::new(token).unwrap());
        let pages =
            (setting.pages).then(|| crate::console::pages(control.clone(), token.clone(), &ids));
        let state = ApiState {
            control,
            auth: Auth {
                token,
                hosts: Hosts::new(
                    "127.0.0.1".parse().unwrap(),
                    ["neargate.example".to_owned()],
                ),
            },
            limits: setting.limits,
            ids,
            engine_kind: "sim".to_owned(),
            started_at: clock.now(),
            stop: stop.clone(),
            sessions: TaskTracker::new(),
        };
        Self {
            router: router(state.clone(), pages),
            state,
            store,
            engine_status,
            stop,
            _folder: folder,
        }
    }

    /// Sends a request as it is.
    async fn send(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.send(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 16 * 1_048_576).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(request("GET", path).body(Body::empty()).unwrap())
            .await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.call(request("DELETE", path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = request("POST", path).header(header::CONTENT_TYPE, content_type);
        self.call(request.body(body.into()).unwrap()).await
    }

    /// Registers `hello` and runs `count` tasks of it; their identifiers.
    pub(crate) async fn run_hello(&self, count: u32) -> Vec<String> {
        assert_eq!(
            self.post("/v1/task-definitions", YAML, HELLO).await.status,
            201
        );
        let body = format!("taskDefinition: hello\ncount: {count}");
        let answer = self.post("/v1/tasks", YAML, body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let tasks = answer.json()["tasks"].as_array().cloned().unwrap();
        tasks
            .iter()
            .map(|task| task["taskId"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Records that all containers of a task have been started.
    pub(crate) async fn set_running(&self, id: &str) {
        let mut task = self
            .store
            .task(&id.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        task.last_status = LastStatus::Running;
        task.pull_started_at = Some(task.created_at);
        task.pull_stopped_at = Some(task.created_at);
        task.started_at = Some(task.created_at);
        for container in task.containers.values_mut() {
            container.last_status = ContainerStatus::Running;
        }
        self.store.record_task(&task, &[], &[]).await.unwrap();
    }

    pub(crate) fn set_engine(&self, state: EngineState) {
        self.engine_status
            .set(state, TimestampMs::from_millis(5_000));
    }
}

/// A request by the server's own name.
pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1:6327")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The problem that this must be, as the lines of it that people read.
    #[track_caller]
    fn problem(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        assert!(
            problem["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty()),
            "{problem}"
        );
        assert!(
            problem["instance"]
                .as_str()
                .is_some_and(|instance| !instance.is_empty()),
            "{problem}"
        );
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let kind = text(&problem["type"]);
        let kind = kind.strip_prefix("urn:neargate:problem:").unwrap();
        let mut lines = vec![format!(
            "{} {kind}: {}",
            self.status.as_u16(),
            text(&problem["detail"])
        )];
        if problem["hint"].is_string() {
            lines.push(format!("hint: {}", text(&problem["hint"])));
        }
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        if errors.len() > 1 || errors.iter().any(|error| error["line"].is_number()) {
            for error in errors {
                let place = match (error["line"].as_u64(), error["column"].as_u64()) {
                    (Some(line), Some(column)) => format!("{line}:{column} "),
                    _ => String::new(),
                };
                lines.push(format!(
                    "{place}{}: {}",
                    text(&error["path"]),
                    text(&error["message"])
                ));
            }
        }
        lines.join("\n")
    }
}

/// Waits for `future`; fails with `what` if it does not come.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"))
}
