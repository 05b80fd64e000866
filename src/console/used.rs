//! What was reserved beside what was used, over time: on the page of costs, and on that of a service.
//!
//! What a task used is known as a sum over its life, and taken as spread evenly over that; so are these figures.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::Router;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::ask::{Asked, chosen, names};
use super::chart::Lines;
use super::format::Svg;
use super::frame::{Frame, Nav};
use super::period::Range;
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::control::BillQuery;
use crate::domain::{ServiceKey, TimestampMs, display};
use crate::meter::bill::{GroupBy, Subject, Sums};
use crate::store::UsageFilter;

/// Up to so many tasks that go on in a cluster, its services' pages have these pictures: they are read for each step.
const MOST_RUNNING: u64 = 300;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/services/{cluster}/{service}/use", get(page))
}

#[derive(Debug, Default, Deserialize)]
struct UsedQuery {
    range: Option<String>,
}

#[derive(Template)]
#[template(path = "service_used_page.html")]
struct UsedPage {
    frame: Frame,
    service_path: String,
    used: ServiceUsed,
}

async fn page(
    visit: Visit,
    Path((cluster, service)): Path<(String, String)>,
    Asked(asked): Asked<UsedQuery>,
) -> Result<Response, ApiError> {
    let none = || ApiError::new(Kind::NotFound, "the address names no service");
    let service = ServiceKey {
        cluster: names("cluster", Some(&cluster))?.ok_or_else(none)?,
        name: names("service", Some(&service))?.ok_or_else(none)?,
    };
    visit.control().service(&service).await?;
    let range = chosen("range", asked.range.as_deref(), |word| {
        Range::parse(word, Range::OF_USE)
    })?;
    let service_path = format!("/services/{}/{}", service.cluster, service.name);
    let path = format!("{service_path}/use");
    let page = UsedPage {
        used: of_service(&visit, &service, &path, range.map(Range::word)).await?,
        frame: visit.frame(Nav::Overview, format!("Use of service {}", service.name)),
        service_path,
    };
    visit.show(&page)
}

/// Averages over the steps of a time. `None` where nobody knows.
pub(super) struct Used {
    steps: Vec<(TimestampMs, TimestampMs)>,
    labels: Vec<String>,
    /// Thousandths of a vCPU.
    cpu: Columns,
    /// KiB.
    memory: Columns,
}

#[derive(Default)]
struct Columns {
    reserved: Vec<Option<u64>>,
    used: Vec<Option<u64>>,
}

impl Columns {
    /// Where no task was, nothing was reserved, and there was nothing to measure.
    fn new(count: usize) -> Self {
        Self {
            reserved: vec![Some(0); count],
            used: vec![None; count],
        }
    }

    fn draw(&self, title: &str, labels: &[String], say: &dyn Fn(u64) -> String) -> Svg {
        let lines = Lines {
            title: title.to_owned(),
            labels: labels.to_vec(),
            reserved: self.reserved.clone(),
            used: self.used.clone(),
        };
        lines.draw(say)
    }
}

impl Used {
    /// Nothing, in each of `steps`.
    pub(super) fn new(range: Range, steps: &[(TimestampMs, TimestampMs)]) -> Self {
        Self {
            labels: steps
                .iter()
                .map(|(from, _)| range.label_of(*from))
                .collect(),
            cpu: Columns::new(steps.len()),
            memory: Columns::new(steps.len()),
            steps: steps.to_vec(),
        }
    }

    /// What tasks came to in the step at that place.
    pub(super) fn add(&mut self, place: usize, sums: &Sums) {
        let Some((from, to)) = self.steps.get(place) else {
            return;
        };
        // The step that goes on has only begun.
        let length = i128::from(to.since(*from).as_millis().max(1));
        let average = |amount: i128| Some(u64::try_from(amount / length).unwrap_or_default());
        let reserved = &sums.accrued.reserved;
        self.cpu.reserved[place] = average(reserved.milli_vcpu_ms);
        self.memory.reserved[place] = average(reserved.mib_ms.saturating_mul(1_024));
        if sums.used.tasks > 0 {
            // A thousandth of a vCPU for a millisecond is 1,000 ns.
            self.cpu.used[place] = average(sums.used.cpu_ns / 1_000);
            self.memory.used[place] = average(sums.used.memory_kib_ms);
        }
    }

    /// CPU, on average.
    pub(super) fn cpu(&self) -> Svg {
        let say = |milli: u64| format!("{}.{:03} vCPU", milli / 1_000, milli % 1_000);
        self.cpu.draw("CPU, reserved and used", &self.labels, &say)
    }

    /// Memory, on average.
    pub(super) fn memory(&self) -> Svg {
        let say = |kib: u64| display::bytes(kib.saturating_mul(1_024));
        self.memory
            .draw("Memory, reserved and used", &self.labels, &say)
    }
}

/// The use of a service, for its page: a template has it as a field and writes `{{ used }}`. The page links `chart.css`.
#[derive(Template)]
#[template(path = "service_used.html")]
pub(super) struct ServiceUsed {
    /// Each time that can be looked at: its link, its name, and whether it is the one that is shown.
    ranges: Vec<(String, &'static str, bool)>,
    pictures: Option<(Svg, Svg)>,
    note: Option<&'static str>,
}

impl HtmlSafe for ServiceUsed {}

/// What the tasks of `service` reserved and used. `path` is that of its page, `range` the parameter of that name.
pub(super) async fn of_service(
    visit: &Visit,
    service: &ServiceKey,
    path: &str,
    range: Option<&str>,
) -> Result<ServiceUsed, ApiError> {
    let range = range
        .and_then(|word| Range::parse(word, Range::OF_USE))
        .unwrap_or(Range::Day);
    let ranges = Range::OF_USE
        .iter()
        .map(|one| {
            (
                format!("{path}?range={}#use", one.word()),
                one.label(),
                *one == range,
            )
        })
        .collect();
    let mut shown = ServiceUsed {
        ranges,
        pictures: None,
        note: None,
    };
    let cluster = visit.control().cluster(&service.cluster).await;
    if cluster.is_ok_and(|cluster| cluster.running_tasks > MOST_RUNNING) {
        shown.note = Some(
            "So many tasks go on in this cluster that there is no picture here; GET /v1/usage has the figures.",
        );
        return Ok(shown);
    }
    let steps = range.steps(visit.now);
    let wanted = BillQuery {
        filter: UsageFilter {
            cluster: Some(service.cluster.clone()),
            family: None,
        },
        from: steps.first().map(|step| step.0),
        to: steps.last().map(|step| step.1),
        group_by: GroupBy::Service,
        price_sheet: None,
        compare: None,
    };
    let all = visit.control().bill(wanted.clone()).await?;
    let is_its = |subject: &Subject| matches!(subject, Subject::Service(Some((cluster, name))) if *cluster == service.cluster && *name == service.name);
    if !all.lines.iter().any(|line| is_its(&line.subject)) {
        shown.note = Some("Its tasks reserved nothing in that time: there is no data.");
        return Ok(shown);
    }
    let mut used = Used::new(range, &steps);
    for (place, (from, to)) in steps.iter().enumerate() {
        let of_step = BillQuery {
            from: Some(*from),
            to: Some(*to),
            ..wanted.clone()
        };
        let bill = visit.control().bill(of_step).await?;
        for line in bill.lines.iter().filter(|line| is_its(&line.subject)) {
            used.add(place, &line.sums);
        }
    }
    shown.pictures = Some((used.cpu(), used.memory()));
    Ok(shown)
}
