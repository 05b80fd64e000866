//! Tasks.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Check, MaybeSent, Params, Segment, Sent};
use super::openapi::Common;
use super::problem::ApiError;
use super::{Rest, idempotence};
use crate::control::{Control, RunTask};
use crate::domain::{DesiredStatus, DurationMs, LastStatus, LaunchPlan, ServiceName};
use crate::shapes::{
    Page, ParsedRunTask, Problem, RunTaskRequest, RunTaskResponse, StopTaskRequest, Task,
    UpdateTaskProtectionRequest,
};
use crate::store::{ClientToken, TaskFilter};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_tasks, run_task))
        .routes(routes!(get_task))
        .routes(routes!(stop_task))
        .routes(routes!(protect_task))
}

/// For how long a task is protected unless the call says otherwise, as in ECS.
const PROTECTED_MINUTES: u32 = 120;

/// A task's ID, or enough of its beginning, as it stands in a path; `control` knows what it means.
pub(super) struct TaskText(pub(super) String);

impl FromStr for TaskText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// Runs tasks of one task definition.
///
/// They are recorded when the answer comes, and start after that; ask for a task or follow the
/// events to see how it goes. A `clientToken` makes the request safe to repeat.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks",
    request_body(content(
        (RunTaskRequest = "application/json"),
        (RunTaskRequest = "application/yaml"),
    )),
    responses(
        (status = 201, description = "The tasks that were accepted.", body = RunTaskResponse),
        (status = 404, description = "There is no such cluster or task definition.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The revision is INACTIVE, or the clientToken came with another request before.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full; nothing was recorded.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn run_task(
    State(control): State<Control>,
    Sent(document): Sent,
) -> Result<(StatusCode, Json<RunTaskResponse>), ApiError> {
    let parsed = ParsedRunTask::parse(&document).map_err(|faults| ApiError::invalid(&faults))?;
    let tasks = control.run_task(order(parsed)).await?;
    let tasks = tasks.iter().map(Task::from).collect();
    Ok((
        StatusCode::CREATED,
        Json(RunTaskResponse {
            tasks,
            warnings: Vec::new(),
        }),
    ))
}

/// The use case's words for what was asked.
pub(crate) fn order(parsed: ParsedRunTask) -> RunTask {
    let request_hash = request_hash(&parsed);
    RunTask {
        cluster: parsed.cluster,
        definition: parsed.task_definition,
        count: parsed.count,
        overrides: parsed.overrides,
        overrides_document: parsed.overrides_document,
        enable_execute_command: parsed.enable_execute_command,
        launch: LaunchPlan::default(),
        subnet: None,
        notes: Vec::new(),
        tags: parsed.tags,
        started_by: parsed.started_by,
        group: Some(parsed.group),
        client_token: parsed.client_token.map(|token| ClientToken {
            token,
            request_hash,
        }),
    }
}

/// Has a token stand for what `order` asks for and for `more`, what else was sent with it.
pub(in crate::api) fn ask_for_more(order: &mut RunTask, more: &Value) {
    if let Some(token) = &mut order.client_token {
        let both = json!({ "request": token.request_hash, "more": more });
        token.request_hash = idempotence::hash(&both);
    }
}

/// The same for requests that ask for the same, however they are written, and whatever their token.
fn request_hash(parsed: &ParsedRunTask) -> String {
    let request = json!({
        "cluster": parsed.cluster,
        "taskDefinition": parsed.task_definition.to_string(),
        "count": parsed.count,
        "overrides": parsed.overrides_document,
        "enableExecuteCommand": parsed.enable_execute_command,
        "tags": parsed.tags,
        "startedBy": parsed.started_by,
        "group": parsed.group,
    });
    idempotence::hash(&request)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListTasks {
    /// Only tasks of this cluster; of all clusters unless one is named.
    cluster: Option<String>,
    /// Only tasks that were run from this family.
    family: Option<String>,
    /// Only tasks with this `startedBy`.
    started_by: Option<String>,
    /// Only tasks of this group.
    group: Option<String>,
    /// Only tasks of this service, as its group `service:<name>` says.
    service_name: Option<String>,
    /// Only tasks that should be `RUNNING`, or only those that should be `STOPPED`.
    desired_status: Option<String>,
    /// Only tasks in this state.
    last_status: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Tasks, newest first.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks",
    params(ListTasks),
    responses((status = 200, description = "A page of tasks.", body = Page<Task>), Common)
)]
async fn list_tasks(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListTasks>,
) -> Result<Json<Page<Task>>, ApiError> {
    let mut check = Check::default();
    let desired: Vec<&str> = DesiredStatus::ALL
        .iter()
        .map(|status| status.as_str())
        .collect();
    let last: Vec<&str> = LastStatus::ALL
        .iter()
        .map(|status| status.as_str())
        .collect();
    let service: Option<ServiceName> = check.parse("serviceName", query.service_name.as_deref());
    if service.is_some() && query.group.is_some() {
        check.add(
            "group",
            "cannot be there together with serviceName",
            "a service's tasks have the group service:<name>",
        );
    }
    let filter = TaskFilter {
        cluster: check.parse("cluster", query.cluster.as_deref()),
        family: check.parse("family", query.family.as_deref()),
        started_by: query.started_by,
        group: service.map(|name| name.group()).or(query.group),
        desired_status: check.word(
            "desiredStatus",
            query.desired_status.as_deref(),
            DesiredStatus::parse,
            &desired,
        ),
        last_status: check.word(
            "lastStatus",
            query.last_status.as_deref(),
            LastStatus::parse,
            &last,
        ),
        launch_type: None,
    };
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let control = &rest.state.control;
    let mut page = control.tasks(filter, page).await?;
    control.renew_tags(&mut page.items).await?;
    Ok(Json(Page {
        items: page.items.iter().map(Task::from).collect(),
        next_token: page.next,
    }))
}

/// One task, with what it has used so far.
#[utoipa::path(
    get, path = "/v1/tasks/{task}", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it, if no other task has the same.")),
    responses(
        (status = 200, description = "The task.", body = Task),
        (status = 404, description = "There is no such task.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several tasks begin like this.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_task(
    State(control): State<Control>,
    Segment(TaskText(text)): Segment<TaskText>,
) -> Result<Json<Task>, ApiError> {
    let id = control.find_task(&text).await?;
    let (task, usage) = tokio::try_join!(control.task(&id), control.task_usage(&id))?;
    let mut tasks = [task];
    control.renew_tags(&mut tasks).await?;
    let [task] = tasks;
    Ok(Json(Task::with_usage(&task, usage.as_ref(), control.now())))
}

/// Asks a task to stop: its containers get SIGTERM, and SIGKILL when their `stopTimeout` is over.
///
/// Asking twice changes nothing.
#[utoipa::path(
    post, path = "/v1/tasks/{task}/stop", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it.")),
    request_body(content(
        (Option<StopTaskRequest> = "application/json"),
        (Option<StopTaskRequest> = "application/yaml"),
    )),
    responses(
        (status = 200, description = "The task, which is to stop.", body = Task),
        (status = 404, description = "There is no such task.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several tasks begin like this.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn stop_task(
    State(control): State<Control>,
    Segment(TaskText(text)): Segment<TaskText>,
    MaybeSent(document): MaybeSent,
) -> Result<Json<Task>, ApiError> {
    let request = match document {
        Some(document) => {
            StopTaskRequest::parse(&document).map_err(|faults| ApiError::invalid(&faults))?
        }
        None => StopTaskRequest::default(),
    };
    let id = control.find_task(&text).await?;
    let task = control.stop_task(&id, request.reason).await?;
    Ok(Json(Task::from(&task)))
}

/// Keeps a service's task from being ended by scaling in or a deployment, or takes that back.
#[utoipa::path(
    put, path = "/v1/tasks/{task}/protection", tag = "tasks",
    params(("task" = String, Path, description = "Its ID, or the first digits of it.")),
    request_body(content(
        (UpdateTaskProtectionRequest = "application/json"),
        (UpdateTaskProtectionRequest = "application/yaml"),
    )),
    responses(
        (status = 200, description = "The task.", body = Task),
        (status = 404, description = "There is no such task.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It belongs to no service, or it ends already.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn protect_task(
    State(control): State<Control>,
    Segment(TaskText(text)): Segment<TaskText>,
    Sent(document): Sent,
) -> Result<Json<Task>, ApiError> {
    let request = UpdateTaskProtectionRequest::parse(&document)
        .map_err(|faults| ApiError::invalid(&faults))?;
    let minutes = request.expires_in_minutes.unwrap_or(PROTECTED_MINUTES);
    let length = request
        .protection_enabled
        .then(|| DurationMs::from_secs(60 * minutes));
    let id = control.find_task(&text).await?;
    let task = control.protect_task(&id, length).await?;
    Ok(Json(Task::from(&task)))
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::shapes::{Document, Format};

    fn hash(text: &str) -> String {
        let document = Document::read(text.as_bytes(), Format::Yaml).unwrap();
        request_hash(&ParsedRunTask::parse(&document).unwrap())
    }

    #[test]
    fn the_hash_is_of_what_is_asked_for_and_not_of_how() {
        let plain = hash("taskDefinition: web\nclientToken: a");
        assert_eq!(plain.len(), 64);
        let spelled =
            r#"{"count": 1, "cluster": "default", "taskDefinition": "web", "clientToken": "b"}"#;
        assert_eq!(hash(spelled), plain);
        assert_ne!(hash("taskDefinition: web\ncount: 2"), plain);
        assert_ne!(hash("taskDefinition: web:1"), plain);
        let overrides =
            "taskDefinition: web\noverrides: {containerOverrides: [{name: a, command: [x]}]}";
        let reordered =
            "overrides: {containerOverrides: [{command: [x], name: a}]}\ntaskDefinition: web";
        assert_eq!(hash(overrides), hash(reordered));
        assert_ne!(hash(overrides), plain);
    }
}
