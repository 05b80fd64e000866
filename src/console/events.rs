//! What happened: the whole history, newest first, with filters and a search.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::format::{Paging, When, query, segment};
use super::frame::{Frame, Nav};
use super::overview::{service_path, task_path};
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::domain::{Event, EventKind, TaskId, TimestampMs};
use crate::store::{EVENTS_LOOKED_THROUGH, EventFilter, PageRequest};

/// Events on a page.
const EVENTS: u32 = 100;
/// Clusters that one can choose from.
const CLUSTERS: u32 = 100;
/// The most characters of a search.
const LONGEST: usize = 200;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/events", get(events))
}

/// An event in a list.
pub(super) struct EventRow {
    pub(super) seq: u64,
    pub(super) when: When,
    pub(super) kind: &'static str,
    pub(super) cluster: String,
    pub(super) subject: String,
    /// Where more about its subject is.
    pub(super) path: Option<String>,
    pub(super) message: String,
}

impl EventRow {
    /// `event`, as it is shown at `now`.
    pub(super) fn of(Event { seq, event }: &Event, now: TimestampMs) -> Self {
        Self {
            seq: *seq,
            when: When { at: event.at, now },
            kind: event.kind.as_str(),
            cluster: event.cluster.clone().unwrap_or_default(),
            path: path(event.kind, event.cluster.as_deref(), &event.subject),
            subject: event.subject.clone(),
            message: event.message.clone(),
        }
    }
}

fn path(kind: EventKind, cluster: Option<&str>, subject: &str) -> Option<String> {
    match kind {
        EventKind::ServiceEvent => Some(service_path(cluster?, subject)),
        EventKind::TaskDefinitionRegistered | EventKind::TaskDefinitionDeregistered => {
            let (family, revision) = subject.rsplit_once(':')?;
            let (family, revision) = (segment(family), segment(revision));
            Some(format!("/task-definitions/{family}/{revision}"))
        }
        _ => subject
            .parse::<TaskId>()
            .ok()
            .map(|id| task_path(id.as_str())),
    }
}

/// The newest events.
pub(super) async fn newest(visit: &Visit, limit: u32) -> Result<Vec<EventRow>, ApiError> {
    let all = EventFilter::default();
    let past = visit.control().events_before(u64::MAX, &all, "", limit);
    let past = past.await?;
    let row = |event: &Event| EventRow::of(event, visit.now);
    Ok(past.events.iter().map(row).collect())
}

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    frame: Frame,
    asked: Asked,
    kinds: Vec<(&'static str, bool)>,
    clusters: Vec<(String, bool)>,
    events: Vec<EventRow>,
    paging: Paging,
    /// How many events were looked through without an end.
    looked_through: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    kind: String,
    cluster: String,
    subject: String,
    text: String,
    before: String,
}

async fn events(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, ApiError> {
    let control = visit.control();
    let filter = filter(&asked)?;
    let before = match asked.before.as_str() {
        "" => u64::MAX,
        text => text
            .parse()
            .map_err(|_| wrong("before", "is not the number of an event"))?,
    };
    let text: String = asked.text.trim().chars().take(LONGEST).collect();
    let past = control
        .events_before(before, &filter, &text, EVENTS)
        .await?;
    let clusters = control.clusters(PageRequest::first(CLUSTERS)).await?;
    let row = |event: &Event| EventRow::of(event, visit.now);
    let rows: Vec<EventRow> = past.events.iter().map(row).collect();
    let looked_through = past
        .before
        .filter(|_| rows.len() < EVENTS as usize)
        .map(|_| EVENTS_LOOKED_THROUGH);
    let page = EventsPage {
        kinds: EventKind::all()
            .map(|kind| (kind.as_str(), kind.as_str() == asked.kind))
            .collect(),
        clusters: clusters
            .items
            .iter()
            .map(|cluster| cluster.name.to_string())
            .map(|name| (name.clone(), name == asked.cluster))
            .collect(),
        paging: paging(&asked, past.before),
        frame: Frame {
            // Older pages do not change.
            is_live: asked.before.is_empty(),
            ..visit.frame(Nav::Events, "Events")
        },
        asked,
        events: rows,
        looked_through,
    };
    visit.show(&page)
}

fn filter(asked: &Asked) -> Result<EventFilter, ApiError> {
    let kind = match asked.kind.as_str() {
        "" => None,
        word => Some(EventKind::parse(word).ok_or_else(|| wrong("kind", "is no kind of event"))?),
    };
    let cluster = match asked.cluster.as_str() {
        "" => None,
        name => Some(
            name.parse()
                .map_err(|_| wrong("cluster", "is not the name of a cluster"))?,
        ),
    };
    let subject = asked.subject.trim();
    Ok(EventFilter {
        kind,
        cluster,
        subject: (!subject.is_empty()).then(|| subject.to_owned()),
    })
}

fn paging(asked: &Asked, before: Option<u64>) -> Paging {
    let to = |before: &str| {
        let pairs = [
            ("kind", asked.kind.as_str()),
            ("cluster", &asked.cluster),
            ("subject", &asked.subject),
            ("text", &asked.text),
            ("before", before),
        ];
        format!("/events?{}", query(&pairs))
    };
    Paging {
        first: (!asked.before.is_empty()).then(|| to("")),
        next: before.map(|before| to(&before.to_string())),
    }
}

fn wrong(name: &str, what: &str) -> ApiError {
    ApiError::new(Kind::InvalidRequest, format!("{name} {what}"))
        .hint("begin anew at /events, and choose from the lists there")
}
