//! The first page: what there is, what runs, what is wrong, what it costs, what happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::events::{EventRow, newest};
use super::format::{Badge, Paging, Svg, When, segment};
use super::frame::{Frame, Nav};
use super::visit::Visit;
use super::{Console, bars};
use crate::api::ApiError;
use crate::control::BillQuery;
use crate::domain::display::Tone;
use crate::domain::{
    Capacity, Cluster, ClusterName, LastStatus, StopCode, Task, TimestampMs, display,
};
use crate::meter::bill::GroupBy;
use crate::meter::money::Nanos;
use crate::shapes::{Requester, Service, ServiceDeployment};
use crate::store::{OpenUse, PageRequest, TaskFilter, UsageFilter};

/// Services on a page.
const SERVICES: u32 = 50;
/// Clusters that are shown; `neargate clusters` has all.
const CLUSTERS: u32 = 20;
/// Events of the feed.
const EVENTS: u32 = 15;
/// Tasks that wait, and tasks that failed, as far as they are shown.
const TASKS: u32 = 10;
/// Stopped tasks, the newest ones, among which those are looked for that failed.
const STOPPED: u32 = 50;
/// For how long a task that failed is shown.
const FAILED_WITHIN_MS: i64 = 3_600_000;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/", get(overview))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    host: Option<HostView>,
    clusters: Vec<ClusterRow>,
    has_more_clusters: bool,
    services: Vec<ServiceRow>,
    paging: Paging,
    problems: Vec<ProblemRow>,
    waiting: Vec<ProblemRow>,
    cost: Cost,
    events: Vec<EventRow>,
}

/// What all clusters together hold of the host.
struct HostView {
    cpu: Holding,
    memory: Holding,
}

/// How much of one thing is held.
struct Holding {
    bar: Svg,
    text: String,
}

struct ClusterRow {
    name: String,
    running: u64,
    pending: u64,
    services: u64,
    /// As far as it is known what the host has.
    holdings: Option<HostView>,
}

/// A service in a table.
pub(super) struct ServiceRow {
    key: String,
    path: String,
    name: String,
    cluster: String,
    definition: String,
    desired: u32,
    running: u32,
    healthy: u32,
    status: Badge,
    note: String,
    deployed: Option<When>,
    by: String,
}

/// Something that is wrong, or waits.
struct ProblemRow {
    key: String,
    path: String,
    name: String,
    what: Badge,
    why: String,
    when: Option<When>,
}

/// What the page says of the cost.
enum Cost {
    Known(CostView),
    /// It is being added up.
    Underway,
    Unknown,
}

/// What this month has cost so far.
#[derive(Clone)]
pub(super) struct CostView {
    today: String,
    month: String,
    currency: String,
    sheet: String,
    days: Svg,
    days_text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    next_token: Option<String>,
}

async fn overview(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, ApiError> {
    let control = visit.control();
    let token = asked.next_token.filter(|token| !token.is_empty());
    let request = PageRequest {
        limit: SERVICES,
        token: token.clone(),
    };
    let services = control.services(None, request).await?;
    let shown: Vec<Service> = services
        .items
        .iter()
        .map(|view| Service::of(view, visit.now))
        .collect();
    let (host, _) = control.host().await?;
    let open = control.open_use().await?;
    let clusters = control.clusters(PageRequest::first(CLUSTERS)).await?;
    let mut problems: Vec<ProblemRow> = shown
        .iter()
        .filter_map(|service| failing(service, visit.now))
        .collect();
    problems.extend(failed_tasks(&visit).await?);
    let page = OverviewPage {
        frame: visit.frame(Nav::Overview, "Overview"),
        host: host.map(|host| HostView::of(host, sum(&open))),
        clusters: clusters
            .items
            .iter()
            .map(|cluster| ClusterRow::of(cluster, host, &open))
            .collect(),
        has_more_clusters: clusters.next.is_some(),
        services: shown
            .iter()
            .map(|service| ServiceRow::of(service, visit.now))
            .collect(),
        paging: Paging::new("/", "", token.as_deref(), services.next.as_deref()),
        problems,
        waiting: waiting_tasks(&visit).await?,
        cost: cost(&visit).await,
        events: newest(&visit, EVENTS).await?,
    };
    visit.show(&page)
}

fn sum(open: &BTreeMap<ClusterName, OpenUse>) -> OpenUse {
    open.values().fold(OpenUse::default(), |sum, one| OpenUse {
        reserved: sum.reserved.plus(one.reserved),
        used: sum.used.plus(one.used),
    })
}

impl HostView {
    fn of(host: Capacity, open: OpenUse) -> Self {
        let OpenUse { reserved, used } = open;
        let vcpu = |units: u64| format!("{} vCPU", display::vcpu(units));
        let memory = |mib: u64| display::bytes(mib.saturating_mul(1_048_576));
        Self {
            cpu: Holding::of(used.cpu_units, reserved.cpu_units, host.cpu_units, vcpu),
            memory: Holding::of(
                used.memory_mib,
                reserved.memory_mib,
                host.memory_mib,
                memory,
            ),
        }
    }
}

impl Holding {
    fn of(used: u64, reserved: u64, whole: u64, written: impl Fn(u64) -> String) -> Self {
        Self {
            bar: bars::capacity(used, reserved, whole),
            text: format!(
                "{} reserved, {} used, {} free of {}",
                written(reserved),
                written(used),
                written(whole.saturating_sub(reserved)),
                written(whole)
            ),
        }
    }
}

impl ClusterRow {
    fn of(
        cluster: &Cluster,
        host: Option<Capacity>,
        open: &BTreeMap<ClusterName, OpenUse>,
    ) -> Self {
        let open = open.get(&cluster.name).copied().unwrap_or_default();
        Self {
            name: cluster.name.to_string(),
            running: cluster.running_tasks,
            pending: cluster.pending_tasks,
            services: cluster.active_services,
            holdings: host.map(|host| HostView::of(host, open)),
        }
    }
}

/// Where a service's page is.
pub(super) fn service_path(cluster: &str, name: &str) -> String {
    format!("/services/{}/{}", segment(cluster), segment(name))
}

/// Who asked for something.
pub(super) fn by(requester: &Requester) -> String {
    let who = requester.who().unwrap_or("somebody who did not say");
    who.to_owned()
}

/// How a service is, in a word.
pub(super) fn state(service: &Service) -> Badge {
    let deployment = service.deployments.first();
    let rollout = deployment.map_or("", |one| one.rollout_state.as_str());
    match (service.status.as_str(), rollout) {
        ("ACTIVE", "FAILED") => Badge::new("failed", Tone::Bad),
        ("ACTIVE", "IN_PROGRESS") => Badge::new("deploying", Tone::Busy),
        ("ACTIVE", _) if service.steady => Badge::new("steady", Tone::Good),
        ("ACTIVE", _) => Badge::new("recovering", Tone::Busy),
        ("DRAINING", _) => Badge::new("being deleted", Tone::Past),
        (other, _) => Badge::status(other),
    }
}

impl ServiceRow {
    fn of(service: &Service, now: TimestampMs) -> Self {
        let primary = service.deployments.first();
        Self {
            key: format!("{}/{}", service.cluster, service.service_name),
            path: service_path(&service.cluster, &service.service_name),
            name: service.service_name.clone(),
            cluster: service.cluster.clone(),
            definition: service.task_definition.clone().unwrap_or_default(),
            desired: service.desired_count,
            running: service.running_count,
            healthy: service.healthy_count,
            status: state(service),
            note: service.waiting.clone().unwrap_or_default(),
            deployed: primary.and_then(|one| When::parse(&one.created_at, now)),
            by: primary.map_or_else(String::new, |one| by(&one.created_by)),
        }
    }
}

/// What is wrong with a service, if anything is: its newest deployment was given up, is being rolled back, or has tasks that
/// fail.
fn failing(service: &Service, now: TimestampMs) -> Option<ProblemRow> {
    let is_bad = |one: &&ServiceDeployment| {
        one.rollout_state == "FAILED" || one.failed_tasks > 0 || one.rollback.is_some()
    };
    let deployment = service.deployments.iter().find(is_bad)?;
    let failure = deployment.last_failure.as_ref();
    let why = match failure {
        Some(failure) => format!("{} ({})", failure.reason, deployment.rollout_state_reason),
        None => deployment.rollout_state_reason.clone(),
    };
    let at = failure.map_or(&deployment.updated_at, |failure| &failure.at);
    Some(ProblemRow {
        key: format!("{}/{}", service.cluster, service.service_name),
        path: service_path(&service.cluster, &service.service_name),
        name: format!("{} ({})", service.service_name, deployment.task_definition),
        what: Badge::deployment(&deployment.service_deployment_status),
        why,
        when: When::parse(at, now),
    })
}

/// Where a task's page is.
pub(super) fn task_path(id: &str) -> String {
    format!("/tasks/{}", segment(id))
}

/// Tasks of no service that failed of late.
async fn failed_tasks(visit: &Visit) -> Result<Vec<ProblemRow>, ApiError> {
    let filter = TaskFilter {
        last_status: Some(LastStatus::Stopped),
        ..TaskFilter::default()
    };
    let tasks = visit
        .control()
        .tasks(filter, PageRequest::first(STOPPED))
        .await?;
    let is_shown = |task: &&Task| {
        let stopped_at = task.stopped_at.unwrap_or(task.created_at);
        task.service().is_none()
            && has_failed(task)
            && visit.now.since(stopped_at).as_millis() < FAILED_WITHIN_MS
    };
    let row = |task: &Task| ProblemRow {
        key: task.id.to_string(),
        path: task_path(task.id.as_str()),
        name: name_of(task),
        what: Badge::new("failed", Tone::Bad),
        why: why(task),
        when: task.stopped_at.map(|at| When { at, now: visit.now }),
    };
    let failed = tasks.items.iter().filter(is_shown);
    Ok(failed.take(TASKS as usize).map(row).collect())
}

/// The definition that a task runs, and the first digits of its ID.
fn name_of(task: &Task) -> String {
    let spec = &task.spec;
    let id: String = task.id.as_str().chars().take(8).collect();
    format!("{} {id}", spec.definition)
}

/// Whether a task could not start, or an end of a container was none that is wished for.
fn has_failed(task: &Task) -> bool {
    let mut codes = task.containers.values().map(|one| one.exit_code);
    match task.stop_code {
        Some(StopCode::TaskFailedToStart) => true,
        Some(StopCode::EssentialContainerExited) => codes.any(|code| code != Some(0)),
        _ => false,
    }
}

fn why(task: &Task) -> String {
    let mut text = task.stopped_reason.clone().unwrap_or_default();
    for (name, container) in &task.containers {
        let reason = match (container.exit_code, &container.reason) {
            (_, Some(reason)) => reason.clone(),
            (Some(0) | None, None) => continue,
            (Some(code), None) => format!("exit code {code}"),
        };
        if !text.contains(&reason) {
            text = format!("{text}; {name}: {reason}");
        }
    }
    text
}

/// Tasks that wait for something, the newest first.
async fn waiting_tasks(visit: &Visit) -> Result<Vec<ProblemRow>, ApiError> {
    let row = |task: &Task| ProblemRow {
        key: task.id.to_string(),
        path: task_path(task.id.as_str()),
        name: name_of(task),
        what: Badge::status(task.last_status.as_str()),
        why: task.waiting.clone().unwrap_or_default(),
        when: Some(When {
            at: task.created_at,
            now: visit.now,
        }),
    };
    let tasks = visit.control().waiting_tasks(TASKS).await?;
    Ok(tasks.iter().map(row).collect())
}

/// What this month has cost so far, by day, as far as it is known yet: it takes its time.
async fn cost(visit: &Visit) -> Cost {
    let make = || cost_now(visit.clone());
    match visit.console.cost.get("", visit.now, make).await {
        Ok(Some(view)) => Cost::Known(view),
        Ok(None) => Cost::Underway,
        // A bill that cannot be made is no reason to show nothing else.
        Err(error) => {
            tracing::warn!(?error, "there is no bill for the overview");
            Cost::Unknown
        }
    }
}

/// The same from the records.
async fn cost_now(visit: Visit) -> Result<CostView, ApiError> {
    let bill = visit.control().bill(BillQuery {
        filter: UsageFilter::default(),
        from: None,
        to: None,
        group_by: GroupBy::Day,
        price_sheet: None,
        compare: None,
    });
    let bill = crate::shapes::Bill::new(&bill.await?, visit.control().instance_id());
    let today: String = visit.now.to_string().chars().take(10).collect();
    let nano = |line: &crate::shapes::BillLine| Nanos(line.cost_nano.into());
    let is_today = |line: &&crate::shapes::BillLine| {
        line.name
            .as_deref()
            .is_some_and(|name| name.starts_with(&today))
    };
    let days: Vec<i128> = bill
        .items
        .iter()
        .map(|line| line.cost_nano.into())
        .collect();
    let today = bill.items.iter().find(is_today).map(nano);
    let sheet = &bill.price_sheet;
    Ok(CostView {
        today: today.unwrap_or_default().rounded(),
        month: nano(&bill.total).rounded(),
        currency: sheet.currency.clone(),
        sheet: sheet.name.clone(),
        days_text: bill
            .items
            .iter()
            .map(|line| {
                format!(
                    "{:.10}: {}",
                    line.name.as_deref().unwrap_or_default(),
                    nano(line).rounded()
                )
            })
            .collect::<Vec<_>>()
            .join(", "),
        days: bars::sparkline(&days),
    })
}
