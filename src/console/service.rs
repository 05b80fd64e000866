//! A service: what is being deployed, as a picture; its tasks; what became of earlier deployments; what differs between two
//! of its revisions. What one can do with it is in [`super::service_action`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Console;
use super::bars;
use super::events::EventRow;
use super::format::{Badge, Paging, Svg, When, query};
use super::frame::{Frame, Nav};
use super::overview::{by, service_path, state, task_path};
use super::service_action::Act;
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::control::ServiceView;
use crate::domain::{
    ClusterName, ServiceKey, ServiceName, ServiceRevisionId, ServiceTask, TaskDefinitionReference,
    TimestampMs,
};
use crate::shapes::diff::diff;
use crate::shapes::{LogLine, Service, ServiceDeployment, ServiceRevision, TaskDefinition};
use crate::store::PageRequest;

/// Deployments of the history on a page.
const DEPLOYMENTS: u32 = 10;
/// Tasks that are shown; `neargate ps` has all.
const TASKS: u32 = 50;
/// Events that are shown; the page of events has all.
const EVENTS: usize = 20;
/// Bytes of what failed tasks last wrote, on one page; `neargate service history` has all.
const LAST_LINES_BYTES: usize = 20 * 1_024;
/// Fields that are shown of what differs.
const CHANGES: usize = 200;
/// Characters of one value of them.
const VALUE_SHOWN: usize = 200;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/services/{cluster}/{service}", get(service))
        .route("/services/{cluster}/{service}/revisions", get(revisions))
}

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    frame: Frame,
    /// What was asked for last, if one comes from there.
    done: Option<&'static str>,
    service: Service,
    state: Badge,
    state_text: String,
    deployments: Vec<Picture>,
    bounds: String,
    acts: Vec<(String, &'static str)>,
    tasks: Vec<TaskRow>,
    hidden_tasks: u32,
    history: Vec<PastRow>,
    paging: Paging,
    events: Vec<EventRow>,
    created: Option<When>,
    all_events: String,
    /// Where the page of what it reserved and used is.
    use_path: String,
}

/// A deployment that has tasks, as a picture.
struct Picture {
    key: String,
    definition: String,
    role: &'static str,
    status: Badge,
    reason: String,
    bar: Svg,
    text: String,
}

struct TaskRow {
    id: String,
    path: String,
    status: Badge,
    health: Option<Badge>,
    deployment: String,
    begun: When,
    note: String,
}

/// A deployment of the history.
struct PastRow {
    key: String,
    id: String,
    status: Badge,
    definition: String,
    revision: String,
    by: String,
    begun: Option<When>,
    ended: Option<When>,
    why: String,
    failed: u32,
    failures: Vec<FailureRow>,
    /// What differs from the deployment before.
    diff: Option<String>,
}

struct FailureRow {
    task: String,
    path: String,
    when: Option<When>,
    reason: String,
    lines: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    next_token: Option<String>,
    done: String,
}

/// The service that a path names.
pub(super) fn key(cluster: &str, name: &str) -> Result<ServiceKey, ApiError> {
    let nowhere = || {
        ApiError::new(Kind::NotFound, "there is no such service")
            .hint("the overview lists those that there are")
    };
    Ok(ServiceKey {
        cluster: cluster.parse::<ClusterName>().map_err(|_| nowhere())?,
        name: name.parse::<ServiceName>().map_err(|_| nowhere())?,
    })
}

async fn service(
    visit: Visit,
    Path((cluster, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    let key = key(&cluster, &name)?;
    let control = visit.control();
    let (view, tasks, events) = control.service_with_tasks(&key, TASKS).await?;
    let shown = Service::of(&view, visit.now);
    let token = asked.next_token.filter(|token| !token.is_empty());
    let can_go_back = control.way_back(&view.service).await?.is_some();
    let request = PageRequest {
        limit: DEPLOYMENTS,
        token: token.clone(),
    };
    let past = control.service_deployments(&view.service, request).await?;
    let history: Vec<ServiceDeployment> = past
        .items
        .iter()
        .map(|one| ServiceDeployment::past(one, &view, visit.now))
        .collect();
    let path = service_path(&cluster, &name);
    let wanted = shown.desired_count;
    let bounds = (
        view.service.configuration.lower_bound(wanted),
        view.service.configuration.upper_bound(wanted),
    );
    let page = ServicePage {
        frame: visit.frame(Nav::Overview, format!("Service {name}")),
        done: Act::parse(&asked.done).map(Act::done),
        state: state(&shown),
        state_text: state_text(&shown),
        deployments: pictures(&shown, bounds),
        bounds: bounds_text(&shown, bounds),
        acts: Act::possible(&shown, can_go_back)
            .map(|act| (format!("{path}/{}", act.word()), act.label()))
            .collect(),
        hidden_tasks: hidden(&view, &tasks),
        tasks: task_rows(&view, &tasks, visit.now),
        history: past_rows(&history, &path, visit.now),
        paging: Paging::new(&path, "", token.as_deref(), past.next.as_deref()),
        events: events
            .iter()
            .take(EVENTS)
            .map(|event| EventRow::of(event, visit.now))
            .collect(),
        created: When::parse(&shown.created_at, visit.now),
        all_events: format!(
            "/events?{}",
            query(&[("subject", &name), ("cluster", &cluster)])
        ),
        use_path: format!("{path}/use"),
        service: shown,
    };
    visit.show(&page)
}

/// What it waits for, in one sentence.
fn state_text(service: &Service) -> String {
    match (service.status.as_str(), &service.waiting) {
        (_, Some(waiting)) => format!("It waits: {waiting}."),
        ("ACTIVE", None) if service.steady => {
            "It is in a steady state and waits for nothing.".to_owned()
        }
        ("ACTIVE", None) => "It is about to be looked at.".to_owned(),
        ("DRAINING", None) => "It was deleted, and its tasks are coming to their end.".to_owned(),
        _ => "It was deleted, and has no tasks left.".to_owned(),
    }
}

fn bounds_text(service: &Service, (lower, upper): (u32, u32)) -> String {
    let breaker = service.deployment_configuration.deployment_circuit_breaker;
    let breaker = breaker.unwrap_or_default();
    let breaker = match (breaker.enable, breaker.rollback) {
        (false, _) => "It goes on whatever fails: the circuit breaker is off",
        (true, false) => "The circuit breaker gives up on one whose tasks keep failing",
        (true, true) => "The circuit breaker rolls back one whose tasks keep failing",
    };
    format!(
        "While it deploys, {lower} healthy tasks are kept at least, and there are {upper} tasks at most. {breaker}."
    )
}

/// The deployments that have tasks, the new one first: how many are in which state, between the bounds.
fn pictures(service: &Service, (lower, upper): (u32, u32)) -> Vec<Picture> {
    let picture = |one: &ServiceDeployment| {
        let count = |status: &str| u64::from(one.task_counts.get(status).copied().unwrap_or(0));
        let healthy = u64::from(one.healthy_count);
        let running = u64::from(one.running_count).saturating_sub(healthy);
        let pending = u64::from(one.pending_count);
        let all: u64 = one.task_counts.values().copied().map(u64::from).sum();
        let stopping = all.saturating_sub(healthy + running + pending);
        let parts = [
            ("good", healthy),
            ("reserved", running),
            ("busy", pending),
            ("past", stopping),
        ];
        let is_new = one.status == "PRIMARY";
        let waits = match count("PROVISIONING") {
            0 => String::new(),
            count => format!(" ({count} of them not begun)"),
        };
        Picture {
            key: one.id.clone(),
            definition: one.task_definition.clone(),
            role: if is_new { "new" } else { "old" },
            status: Badge::deployment(&one.service_deployment_status),
            reason: one.rollout_state_reason.clone(),
            bar: bars::tasks(&parts, &[u64::from(lower), u64::from(upper)]),
            text: format!(
                "{healthy} healthy, {running} running and not healthy yet, {pending} on their way{waits}, {stopping} stopping, of {} wanted; {} failed",
                one.desired_count, one.failed_tasks
            ),
        }
    };
    service.deployments.iter().map(picture).collect()
}

/// How many tasks are counted and not shown.
fn hidden(view: &ServiceView, shown: &[ServiceTask]) -> u32 {
    let all: u32 = view.tasks.iter().map(|alike| alike.count).sum();
    all.saturating_sub(u32::try_from(shown.len()).unwrap_or(u32::MAX))
}

fn task_rows(view: &ServiceView, tasks: &[ServiceTask], now: TimestampMs) -> Vec<TaskRow> {
    let definitions: BTreeMap<&str, String> = view
        .service
        .deployments
        .iter()
        .map(|one| (one.id.as_str(), one.task_definition.to_string()))
        .collect();
    let row = |task: &ServiceTask| TaskRow {
        id: task.id.to_string(),
        path: task_path(task.id.as_str()),
        status: Badge::status(&task.last_status.to_string()),
        health: task.health.map(|health| Badge::status(&health.to_string())),
        deployment: definitions
            .get(task.deployment.as_str())
            .cloned()
            .unwrap_or_default(),
        begun: When {
            at: task.created_at,
            now,
        },
        note: match (&task.waiting, &task.stopped_reason) {
            (Some(waiting), _) => waiting.clone(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        },
    };
    tasks.iter().map(row).collect()
}

fn past_rows(history: &[ServiceDeployment], path: &str, now: TimestampMs) -> Vec<PastRow> {
    let mut room = LAST_LINES_BYTES;
    let before = history.iter().skip(1).map(Some).chain([None]);
    let rows = history.iter().zip(before).map(|(one, before)| PastRow {
        key: format!("past-{}", one.id),
        id: one.id.clone(),
        status: Badge::deployment(&one.service_deployment_status),
        definition: one.task_definition.clone(),
        revision: one.service_revision.clone(),
        by: by(&one.created_by),
        begun: When::parse(&one.created_at, now),
        ended: one
            .finished_at
            .as_deref()
            .and_then(|at| When::parse(at, now)),
        why: one.why(),
        failed: one.failed_tasks,
        failures: failures(one, &mut room, now),
        diff: before
            .filter(|before| before.service_revision != one.service_revision)
            .map(|before| {
                let pairs = [
                    ("from", before.service_revision.as_str()),
                    ("to", &one.service_revision),
                ];
                format!("{path}/revisions?{}", query(&pairs))
            }),
    });
    rows.collect()
}

/// The failed tasks of a deployment, with what they last wrote, as far as there is room on the page.
fn failures(deployment: &ServiceDeployment, room: &mut usize, now: TimestampMs) -> Vec<FailureRow> {
    let failures = deployment.failures.iter();
    failures
        .map(|failure| FailureRow {
            path: task_path(&failure.task_id),
            task: failure.task_id.clone(),
            when: When::parse(&failure.at, now),
            reason: failure.reason.clone(),
            lines: last_lines(&failure.last_lines, room),
        })
        .collect()
}

fn last_lines(lines: &[LogLine], room: &mut usize) -> String {
    let mut text = String::new();
    for line in lines {
        // A new line within it would look like another line of the log.
        let one = line.text.replace('\n', "\\n");
        let length = line.container.len() + one.len() + 4;
        if length > *room {
            text.push_str("… (neargate service history has all of it)\n");
            break;
        }
        *room -= length;
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} | {one}", line.container);
    }
    text
}

#[derive(Template)]
#[template(path = "revisions.html")]
struct RevisionsPage {
    frame: Frame,
    path: String,
    from: String,
    to: String,
    changes: Vec<ChangeRow>,
    hidden: usize,
}

struct ChangeRow {
    path: String,
    old: Option<String>,
    new: Option<String>,
}

#[derive(Deserialize)]
struct Two {
    from: String,
    to: String,
}

async fn revisions(
    visit: Visit,
    Path((cluster, name)): Path<(String, String)>,
    Query(two): Query<Two>,
) -> Result<Response, ApiError> {
    let key = key(&cluster, &name)?;
    let (from, old) = revision(&visit, &key, &two.from).await?;
    let (to, new) = revision(&visit, &key, &two.to).await?;
    let changes = diff(&old, &new);
    let shorten = |text: String| match text.char_indices().nth(VALUE_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let page = RevisionsPage {
        frame: Frame {
            is_live: false,
            ..visit.frame(Nav::Overview, format!("Two revisions of {name}"))
        },
        path: service_path(&cluster, &name),
        from,
        to,
        hidden: changes.len().saturating_sub(CHANGES),
        changes: changes
            .into_iter()
            .take(CHANGES)
            .map(|change| ChangeRow {
                path: shorten(change.path),
                old: change.old.map(shorten),
                new: change.new.map(shorten),
            })
            .collect(),
    };
    visit.show(&page)
}

/// The definition that a revision runs, and all that it says as a document.
async fn revision(visit: &Visit, key: &ServiceKey, id: &str) -> Result<(String, Value), ApiError> {
    let Ok(id) = id.parse::<ServiceRevisionId>() else {
        return Err(ApiError::new(Kind::NotFound, "there is no such revision")
            .hint("the history on the service's page leads to those that there are"));
    };
    let view = visit.control().service_revision(key, &id).await?;
    let definition = view.revision.task_definition.clone();
    let wanted = TaskDefinitionReference {
        family: definition.family.clone(),
        revision: Some(definition.revision),
    };
    // One that was deleted is not there any more; what is known of its images still is.
    let registered = visit.control().task_definition(&wanted).await.ok();
    let document = registered.map(|found| TaskDefinition::from(&found).document);
    let shown = ServiceRevision::from(&view);
    let document = json!({
        "taskDefinition": definition.to_string(),
        "definition": document,
        "enableExecuteCommand": shown.enable_execute_command,
        "propagateTags": shown.propagate_tags,
        "enableECSManagedTags": shown.enable_ecs_managed_tags,
        "other": shown.kept,
        "images": shown.container_images,
    });
    Ok((definition.to_string(), document))
}
