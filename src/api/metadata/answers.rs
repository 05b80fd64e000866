//! The answers. Whoever asks without the right to gets the same one as for what does not exist.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::Key;
use super::key::split;
use crate::control::{Control, ControlError, TaskSight};
use crate::domain::{ContainerName, ContainerState};
use crate::shapes::{ContainerMetadata, TaskMetadata};

/// How long an answer may take. Docker takes one or two seconds for figures.
const ANSWER_TIME: Duration = Duration::from_secs(15);
/// Answers that are worked on at the same time, over all tasks; further ones wait their turn.
const AT_ONCE: usize = 64;

/// What the answers are made from. Clones share everything.
#[derive(Clone)]
pub(super) struct Answers(Arc<Inner>);

struct Inner {
    control: Control,
    key: Key,
    turns: Semaphore,
}

/// Who asks: what the path says, and where it comes from.
struct Caller {
    sight: TaskSight,
    container: ContainerName,
}

/// Why there is no answer.
enum Silence {
    /// Nothing is there for this caller.
    Nothing,
    /// The engine or the store did not answer.
    Failed(ControlError),
}

impl From<ControlError> for Silence {
    fn from(error: ControlError) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for Silence {
    fn into_response(self) -> Response {
        match self {
            Self::Nothing => (StatusCode::NOT_FOUND, "there is nothing here\n").into_response(),
            Self::Failed(error) => {
                tracing::debug!(%error, "the metadata endpoint has no answer");
                let text = "the engine did not answer; ask again\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

impl Answers {
    pub(super) fn new(control: Control, key: Key) -> Self {
        Self(Arc::new(Inner {
            control,
            key,
            turns: Semaphore::new(AT_ONCE),
        }))
    }

    /// What is answered to a caller at `peer`.
    pub(super) fn router(&self, peer: IpAddr) -> Router {
        let state = Asked {
            answers: self.clone(),
            peer,
        };
        Router::new()
            .route("/v4/{token}", get(container))
            .route("/v4/{token}/", get(container))
            .route("/v4/{token}/task", get(task))
            .route("/v4/{token}/task/", get(task))
            .route("/v4/{token}/taskWithTags", get(task_with_tags))
            .route("/v4/{token}/stats", get(stats))
            .route("/v4/{token}/stats/", get(stats))
            .route("/v4/{token}/task/stats", get(task_stats))
            .route("/v4/{token}/task/stats/", get(task_stats))
            .fallback(async || Silence::Nothing)
            .with_state(state)
    }
}

/// A connection's side of the state.
#[derive(Clone)]
struct Asked {
    answers: Answers,
    peer: IpAddr,
}

impl Asked {
    /// The task and the container that `token` belongs to, if the caller is that task.
    async fn caller(&self, token: &str) -> Result<Caller, Silence> {
        let inner = &self.answers.0;
        let (id, code) = split(token).ok_or(Silence::Nothing)?;
        let names = inner.control.container_names(&id).await?;
        let container = names
            .into_iter()
            .find(|name| inner.key.opens(code, &id, name))
            .ok_or(Silence::Nothing)?;
        let sight = inner.control.task_sight(&id).await?;
        let sight = sight.ok_or(Silence::Nothing)?;
        let own: Option<IpAddr> = sight.address().and_then(|address| address.parse().ok());
        if own != Some(self.peer) {
            tracing::warn!(task = %id, peer = %self.peer, "somebody else asked for what a task is told of itself");
            return Err(Silence::Nothing);
        }
        Ok(Caller { sight, container })
    }

    /// Answers in turn and in time.
    async fn answer<T, F>(&self, work: F) -> Result<T, Response>
    where
        F: Future<Output = Result<T, Silence>>,
    {
        let in_turn = async {
            let _turn = self.answers.0.turns.acquire().await;
            work.await
        };
        match tokio::time::timeout(ANSWER_TIME, in_turn).await {
            Ok(answer) => answer.map_err(IntoResponse::into_response),
            Err(_) => Err((StatusCode::TOO_MANY_REQUESTS, "ask again later\n").into_response()),
        }
    }

    async fn stats_of(
        &self,
        caller: &Caller,
        container: &ContainerName,
    ) -> Result<serde_json::Value, Silence> {
        let seen = caller.sight.seen.containers.get(container);
        if seen.is_none_or(|seen| seen.state != ContainerState::Running) {
            return Ok(serde_json::Value::Null);
        }
        let control = &self.answers.0.control;
        let task = &caller.sight.task.id;
        Ok(control.container_stats(task, container).await?)
    }

    async fn task(&self, token: &str, with_tags: bool) -> Result<Json<TaskMetadata>, Response> {
        let work = async {
            let TaskSight { task, seen } = &self.caller(token).await?.sight;
            let address = self.peer.to_string();
            let told = TaskMetadata::new(task, seen, Some(&address), with_tags);
            Ok(Json(told))
        };
        self.answer(work).await
    }
}

async fn container(
    State(asked): State<Asked>,
    Path(token): Path<String>,
) -> Result<Json<ContainerMetadata>, Response> {
    let work = async {
        let caller = asked.caller(&token).await?;
        let TaskSight { task, seen } = &caller.sight;
        let definition = task.spec.container(&caller.container);
        let definition = definition.ok_or(Silence::Nothing)?;
        let address = asked.peer.to_string();
        let told = ContainerMetadata::new(task, definition, seen, Some(&address));
        Ok(Json(told))
    };
    asked.answer(work).await
}

async fn task(
    State(asked): State<Asked>,
    Path(token): Path<String>,
) -> Result<Json<TaskMetadata>, Response> {
    asked.task(&token, false).await
}

async fn task_with_tags(
    State(asked): State<Asked>,
    Path(token): Path<String>,
) -> Result<Json<TaskMetadata>, Response> {
    asked.task(&token, true).await
}

async fn stats(
    State(asked): State<Asked>,
    Path(token): Path<String>,
) -> Result<Json<serde_json::Value>, Response> {
    let work = async {
        let caller = asked.caller(&token).await?;
        Ok(Json(asked.stats_of(&caller, &caller.container).await?))
    };
    asked.answer(work).await
}

/// Of every container that there is, by the engine's ID of it.
async fn task_stats(
    State(asked): State<Asked>,
    Path(token): Path<String>,
) -> Result<Json<serde_json::Value>, Response> {
    let work = async {
        let caller = asked.caller(&token).await?;
        let looks = caller.sight.seen.containers.iter().map(|(name, seen)| {
            let (asked, caller) = (&asked, &caller);
            async move {
                let figures = asked.stats_of(caller, name).await?;
                Ok::<_, Silence>((seen.runtime_id.clone(), figures))
            }
        });
        let all: Result<serde_json::Map<_, _>, _> = join_all(looks).await.into_iter().collect();
        Ok(Json(serde_json::Value::Object(all?)))
    };
    asked.answer(work).await
}
