//! Tasks: the list of them, and one of them with its life, its containers, its log, and the way to stop it.

mod life;
mod log;
mod view;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::ask::{Asked, chosen, names};
use super::form::Action;
use super::format::{Badge, Paging, Svg, When, query};
use super::frame::{Frame, Nav};
use super::visit::Visit;
use crate::api::ApiError;
use crate::control::Control;
use crate::domain::{
    ContainerName, ContainerStatus, LastStatus, ServiceName, Task, TaskId, TaskUse, TimestampMs,
    display,
};
use crate::shapes::{StopTaskRequest, Tag};
use crate::store::{PageRequest, TaskFilter};

/// How many tasks a page lists.
const LISTED: u32 = 50;
/// The most characters of a reason in a list.
const REASON_LISTED: usize = 160;
/// How long a page waits for what the engine says of health checks.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/tasks", get(list))
        .route("/tasks/{task}", get(show))
        .route("/tasks/{task}/log.txt", get(log_file))
        .route("/tasks/{task}/stop", get(ask_to_stop).post(stop))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    cluster: Option<String>,
    service_name: Option<String>,
    family: Option<String>,
    last_status: Option<String>,
    next_token: Option<String>,
}

/// What is filtered by, as the form shows it.
struct Filters {
    cluster: String,
    service_name: String,
    family: String,
    last_status: String,
    /// Each status, and whether it is chosen.
    statuses: Vec<(&'static str, bool)>,
}

impl Filters {
    fn is_empty(&self) -> bool {
        [
            &self.cluster,
            &self.service_name,
            &self.family,
            &self.last_status,
        ]
        .iter()
        .all(|one| one.is_empty())
    }
}

/// A task in the list.
struct Row {
    id: String,
    short_id: String,
    definition: String,
    definition_path: String,
    of: String,
    cluster: String,
    status: Badge,
    health: Option<Badge>,
    created: When,
    why: String,
}

#[derive(Template)]
#[template(path = "tasks.html")]
struct ListPage {
    frame: Frame,
    filters: Filters,
    rows: Vec<Row>,
    paging: Paging,
}

async fn list(visit: Visit, Asked(asked): Asked<ListQuery>) -> Result<Response, ApiError> {
    let service: Option<ServiceName> = names("serviceName", asked.service_name.as_deref())?;
    let last_status = chosen(
        "lastStatus",
        asked.last_status.as_deref(),
        LastStatus::parse,
    )?;
    let filter = TaskFilter {
        cluster: names("cluster", asked.cluster.as_deref())?,
        family: names("family", asked.family.as_deref())?,
        group: service.map(|name| name.group()),
        last_status,
        ..TaskFilter::default()
    };
    let token = asked.next_token.filter(|token| !token.is_empty());
    let page = PageRequest {
        limit: LISTED,
        token: token.clone(),
    };
    let page = visit.control().tasks(filter, page).await?;
    let text = Option::unwrap_or_default;
    let filters = Filters {
        cluster: text(asked.cluster),
        service_name: text(asked.service_name),
        family: text(asked.family),
        last_status: text(asked.last_status),
        statuses: LastStatus::ALL
            .iter()
            .filter(|status| is_recorded(**status))
            .map(|status| (status.as_str(), Some(*status) == last_status))
            .collect(),
    };
    let asked_for = query(&[
        ("cluster", &filters.cluster),
        ("serviceName", &filters.service_name),
        ("family", &filters.family),
        ("lastStatus", &filters.last_status),
    ]);
    let shown = ListPage {
        frame: visit.frame(Nav::Tasks, "Tasks"),
        filters,
        rows: page.items.iter().map(|task| row(task, visit.now)).collect(),
        paging: Paging::new("/tasks", &asked_for, token.as_deref(), page.next.as_deref()),
    };
    visit.show(&shown)
}

/// The others stand for what AWS has and Neargate does not.
const fn is_recorded(status: LastStatus) -> bool {
    matches!(
        status,
        LastStatus::Provisioning
            | LastStatus::Pending
            | LastStatus::Running
            | LastStatus::Stopping
            | LastStatus::Stopped
    )
}

fn row(task: &Task, now: TimestampMs) -> Row {
    let id = task.id.to_string();
    let why = task.stopped_reason.as_ref().or(task.waiting.as_ref());
    let mut why: String = why.map(String::as_str).unwrap_or_default().to_owned();
    if why.chars().count() > REASON_LISTED {
        why = why.chars().take(REASON_LISTED).collect();
        why.push('…');
    }
    Row {
        short_id: id.chars().take(8).collect(),
        id,
        definition: task.spec.definition.to_string(),
        definition_path: definition_path(task),
        of: task.group.clone(),
        cluster: task.cluster.to_string(),
        status: Badge::status(task.last_status.as_str()),
        health: health(task),
        created: When {
            at: task.created_at,
            now,
        },
        why,
    }
}

fn definition_path(task: &Task) -> String {
    let definition = &task.spec.definition;
    format!(
        "/task-definitions/{}/{}",
        definition.family, definition.revision
    )
}

/// Only of a task that runs: of one that is over it says nothing.
fn health(task: &Task) -> Option<Badge> {
    let health = task
        .checked_health()
        .filter(|_| task.last_status == LastStatus::Running)?;
    Some(Badge::status(health.as_str()))
}

#[derive(Debug, Default, Deserialize)]
struct ShowQuery {
    container: Option<String>,
    find: Option<String>,
    wrap: Option<String>,
}

/// The log as the page shows it.
struct LogView {
    tail: log::Tail,
    /// Each container, and whether only its lines are wanted.
    containers: Vec<(String, bool)>,
    find: String,
    wraps: bool,
    /// What is said where there is no line.
    nothing: &'static str,
    /// Where the script follows it.
    stream: String,
    file: String,
}

#[derive(Template)]
#[template(path = "task.html")]
struct TaskPage {
    frame: Frame,
    id: String,
    desired: Option<String>,
    badge: Badge,
    health: Option<Badge>,
    waiting: Option<String>,
    stop_code: Option<(&'static str, &'static str)>,
    stopped_reason: Option<String>,
    definition: String,
    definition_path: String,
    cluster: String,
    service: Option<String>,
    facts: Vec<(&'static str, String)>,
    tags: Vec<Tag>,
    created: When,
    life: Svg,
    steps: Vec<life::Step>,
    graph: Option<Svg>,
    containers: Vec<view::Container>,
    usage: Vec<(&'static str, String)>,
    log: LogView,
    can_stop: bool,
    /// What to type for a shell, or why there is none.
    exec: Result<String, &'static str>,
}

async fn show(
    visit: Visit,
    Path(text): Path<String>,
    Asked(asked): Asked<ShowQuery>,
) -> Result<Response, ApiError> {
    let control = visit.control();
    let id = control.find_task(&text).await?;
    let container: Option<ContainerName> = names("container", asked.container.as_deref())?;
    let find = asked.find.unwrap_or_default();
    let (task, usage) = tokio::try_join!(control.task(&id), control.task_usage(&id))?;
    let checks = async { Ok(checks(control, &task).await) };
    let tail = log::tail(control, &id, container.clone(), &find);
    let (tail, checks) = tokio::try_join!(tail, checks)?;
    let log = LogView {
        tail,
        containers: task
            .spec
            .containers
            .iter()
            .map(|one| (one.name.to_string(), Some(&one.name) == container.as_ref()))
            .collect(),
        wraps: asked.wrap.is_some_and(|wrap| !wrap.is_empty()),
        nothing: match (find.is_empty(), task.last_status) {
            (false, _) => "No line has that in it.",
            (true, LastStatus::Stopped) => "It wrote nothing.",
            (true, _) => "Nothing was written yet.",
        },
        stream: log_path(&format!("/v1/tasks/{id}/logs"), container.as_ref()),
        file: log_path(&format!("/tasks/{id}/log.txt"), container.as_ref()),
        find,
    };
    let page = task_page(&visit, &task, usage.as_ref(), &checks, log)?;
    visit.show(&page)
}

fn log_path(path: &str, container: Option<&ContainerName>) -> String {
    match container {
        Some(container) => format!("{path}?{}", query(&[("container", container.as_str())])),
        None => path.to_owned(),
    }
}

fn task_page(
    visit: &Visit,
    task: &Task,
    usage: Option<&TaskUse>,
    checks: &BTreeMap<ContainerName, String>,
    log: LogView,
) -> Result<TaskPage, ApiError> {
    let now = visit.now;
    let id = task.id.to_string();
    let cost = match usage {
        Some(usage) => visit.control().task_cost(usage)?,
        None => None,
    };
    let cost = cost.map(|(cost, currency)| format!("{cost} {}", currency.as_str()));
    let title = format!("Task {}", id.chars().take(8).collect::<String>());
    Ok(TaskPage {
        frame: visit.frame(Nav::Tasks, title),
        desired: words::desired(task),
        badge: Badge::status(task.last_status.as_str()),
        health: health(task),
        waiting: task.waiting.clone(),
        stop_code: task
            .stop_code
            .map(|code| (code.as_str(), words::stop_code(code))),
        stopped_reason: task.stopped_reason.clone(),
        definition: task.spec.definition.to_string(),
        definition_path: definition_path(task),
        cluster: task.cluster.to_string(),
        service: task.service().map(|service| service.name.to_string()),
        facts: facts(task, now),
        tags: Tag::list(&task.tags),
        created: When {
            at: task.created_at,
            now,
        },
        life: life::picture(task, now),
        steps: life::steps(task),
        graph: view::dependencies(task),
        containers: view::containers(task, checks, now),
        usage: usage
            .map(|usage| view::usage(usage, cost, now))
            .unwrap_or_default(),
        log,
        can_stop: can_stop(task),
        exec: exec(task),
        id,
    })
}

/// What else there is to say, in lines of a name and a text.
fn facts(task: &Task, now: TimestampMs) -> Vec<(&'static str, String)> {
    let size = format!(
        "{} vCPU, {} MiB",
        display::vcpu(task.spec.reserved_cpu().0.into()),
        task.spec.reserved_memory()
    );
    let network = match &task.address {
        Some(address) => address.clone(),
        None if task.last_status == LastStatus::Stopped => "had none".to_owned(),
        None => "has none yet".to_owned(),
    };
    let mut facts = vec![("Size", size), ("Address", network)];
    if let Some(by) = task.limits {
        facts.push(("Limits", view::limits(by).to_owned()));
    }
    facts.push(("Group", task.group.clone()));
    if let Some(started_by) = &task.started_by {
        facts.push(("Started by", started_by.clone()));
    }
    if let Some(until) = task.protected_until.filter(|until| *until > now) {
        facts.push((
            "Protected",
            format!("until {until}, from scaling in and from deployments"),
        ));
    }
    if let Some(pull) = task.pull {
        let size = display::bytes;
        let text = format!("{} of {}", size(pull.current_bytes), size(pull.total_bytes));
        facts.push(("Pull", text));
    }
    facts
}

fn can_stop(task: &Task) -> bool {
    task.stop_request.is_none() && task.last_status != LastStatus::Stopped
}

fn exec(task: &Task) -> Result<String, &'static str> {
    if !task.spec.enable_execute_command {
        return Err("It was not run with enableExecuteCommand, so nobody can run commands in it.");
    }
    if task.last_status != LastStatus::Running {
        return Err("It does not run, so no command can be run in it.");
    }
    let running = |name: &&ContainerName| {
        let record = task.containers.get(*name);
        record.is_some_and(|record| record.last_status == ContainerStatus::Running)
    };
    let names = task.spec.containers.iter().map(|one| &one.name);
    let container = names.clone().find(running).or(names.clone().next());
    let container = container.map(ToString::to_string).unwrap_or_default();
    Ok(format!(
        "neargate exec -it {} -c {container} -- sh",
        task.id
    ))
}

/// What health checks said last, where there are some and the engine tells it soon.
async fn checks(control: &Control, task: &Task) -> BTreeMap<ContainerName, String> {
    let has_check = task
        .spec
        .containers
        .iter()
        .any(|one| one.health_check.is_some());
    if !has_check || task.last_status != LastStatus::Running {
        return BTreeMap::new();
    }
    let Ok(Ok(Some(sight))) = tokio::time::timeout(PATIENCE, control.task_sight(&task.id)).await
    else {
        return BTreeMap::new();
    };
    let containers = sight.seen.containers.into_iter();
    containers
        .filter_map(|(name, seen)| Some((name, seen.health_output?)))
        .collect()
}

#[derive(Debug, Default, Deserialize)]
struct FileQuery {
    container: Option<String>,
}

async fn log_file(
    visit: Visit,
    Path(text): Path<String>,
    Asked(asked): Asked<FileQuery>,
) -> Result<Response, ApiError> {
    let control = visit.control();
    let id = control.find_task(&text).await?;
    let container = names("container", asked.container.as_deref())?;
    let text = log::file(control, &id, container).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}.log\""),
        ),
    ];
    Ok((headers, text).into_response())
}

#[derive(Template)]
#[template(path = "task_stop.html")]
struct StopPage {
    frame: Frame,
    id: String,
    definition: String,
    status: Badge,
    service: Option<String>,
    /// Each container that runs, and how long it has to end.
    containers: Vec<(String, String)>,
    can_stop: bool,
}

async fn ask_to_stop(visit: Visit, Path(text): Path<String>) -> Result<Response, ApiError> {
    let task = found(&visit, &text).await?;
    let title = format!("Stop task {}?", short(&task.id));
    let page = StopPage {
        frame: visit.frame(Nav::Tasks, title),
        id: task.id.to_string(),
        definition: task.spec.definition.to_string(),
        status: Badge::status(task.last_status.as_str()),
        service: task.service().map(|service| service.name.to_string()),
        containers: task
            .spec
            .containers
            .iter()
            .map(|one| {
                (
                    one.name.to_string(),
                    display::length(one.stop_timeout.as_millis()),
                )
            })
            .collect(),
        can_stop: can_stop(&task),
    };
    visit.show(&page)
}

#[derive(Debug, Default, Deserialize)]
struct StopForm {
    #[serde(default)]
    reason: String,
}

async fn stop(Path(text): Path<String>, action: Action<StopForm>) -> Result<Response, ApiError> {
    let Action { visit, form } = action;
    let id = visit.control().find_task(&text).await?;
    let reason = Some(form.reason).filter(|reason| !reason.trim().is_empty());
    // The same rule as that of the API.
    let document = serde_json::json!({ "reason": reason });
    let request = StopTaskRequest::parse(&crate::shapes::Document::from_value(&document))
        .map_err(|faults| ApiError::invalid(&faults))?;
    visit.control().stop_task(&id, request.reason).await?;
    Ok(visit.go_on(&format!("/tasks/{id}")))
}

async fn found(visit: &Visit, text: &str) -> Result<Task, ApiError> {
    let id = visit.control().find_task(text).await?;
    Ok(visit.control().task(&id).await?)
}

fn short(id: &TaskId) -> String {
    id.as_str().chars().take(8).collect()
}
