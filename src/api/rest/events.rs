//! Events: a list, and the live stream.
//!
//! The stream reads the same list: when the store says that there is a newer event, it asks for those after
//! the last one that it gave. So it has no queue that could overflow, no event is missed or doubled, and a
//! client that reads slowly only makes its own stream slow.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{self, Sse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params};
use super::limit::stream_slot;
use super::openapi::Common;
use super::problem::{ApiError, Kind};
use crate::control::Control;
use crate::domain::{self, EventKind};
use crate::shapes::{Event, Page};
use crate::store::{EventFilter, StoreError};

/// Where an `EventSource` that lost its connection goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How many events the stream reads at once: the most that it ever holds.
const READ_AT_ONCE: u32 = 256;
/// What the opaque token of a page begins with, before it is encoded.
const TOKEN_PREFIX: &str = "events:";

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_events))
        .routes(routes!(stream_events))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListEvents {
    /// Only events after the one with this `seq`.
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Option<String>,
    /// Only events of this kind: `TaskStateChange`, say.
    kind: Option<String>,
    /// Only events about this: a task ID, `family:revision`, a cluster's name, or `neargate`.
    subject: Option<String>,
    /// Only events in this cluster.
    cluster: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Events, oldest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(ListEvents),
    responses((status = 200, description = "A page of events.", body = Page<Event>), Common)
)]
async fn list_events(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListEvents>,
) -> Result<Json<Page<Event>>, ApiError> {
    let control = &rest.state.control;
    let mut check = Check::default();
    let after = check.number("after", query.after.as_deref(), 0..=u64::MAX);
    let filter = filter(
        &mut check,
        query.kind.as_deref(),
        query.subject,
        query.cluster.as_deref(),
    );
    let limit = check.limit(query.limit.as_deref(), &rest.state.limits);
    if query.after.is_some() && query.next_token.is_some() {
        check.add(
            "after",
            "is there together with nextToken",
            "send the one or the other",
        );
    }
    check.done()?;
    let after = match &query.next_token {
        Some(token) => read_token(token)?,
        None => after.unwrap_or(0),
    };
    let events = control.events(after, &filter, limit).await?;
    let next_token = match events.last() {
        Some(last) if events.len() == limit as usize => {
            let more = !control.events(last.seq, &filter, 1).await?.is_empty();
            more.then(|| write_token(last.seq))
        }
        _ => None,
    };
    Ok(Json(Page {
        items: events.iter().map(Event::from).collect(),
        next_token,
    }))
}

fn filter(
    check: &mut Check,
    kind: Option<&str>,
    subject: Option<String>,
    cluster: Option<&str>,
) -> EventFilter {
    let kinds: Vec<&str> = EventKind::all().map(EventKind::as_str).collect();
    EventFilter {
        kind: check.word("kind", kind, EventKind::parse, &kinds),
        subject,
        cluster: check.parse("cluster", cluster),
    }
}

fn write_token(seq: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{seq}"))
}

fn read_token(token: &str) -> Result<u64, ApiError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        text.strip_prefix(TOKEN_PREFIX)?.parse().ok()
    };
    read().ok_or_else(|| StoreError::BadToken.into())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct StreamEvents {
    /// Begin after the event with this `seq`; from now on unless said otherwise. The header `Last-Event-ID`
    /// stands above it.
    #[param(value_type = Option<u64>, minimum = 0)]
    after: Option<String>,
    /// Only events of this kind: `TaskStateChange`, say.
    kind: Option<String>,
    /// Only events about this: a task ID, `family:revision`, a cluster's name, or `neargate`.
    subject: Option<String>,
    /// Only events in this cluster.
    cluster: Option<String>,
}

/// Events as they happen, as Server-Sent Events.
///
/// `id` is the event's `seq`, `event` its kind, `data` the `Event`. Whoever loses the connection sends the
/// last `id` as `Last-Event-ID` and misses nothing.
#[utoipa::path(
    get, path = "/v1/events/stream", tag = "events",
    params(
        StreamEvents,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last `id` that was received."),
    ),
    responses(
        (status = 200, description = "The stream; the data of each event is an `Event`.", body = Event, content_type = "text/event-stream"),
        Common,
    )
)]
async fn stream_events(
    State(rest): State<Arc<Rest>>,
    headers: HeaderMap,
    Params(query): Params<StreamEvents>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, ApiError> {
    let control = rest.state.control.clone();
    let mut check = Check::default();
    let last_id = headers
        .get(LAST_EVENT_ID)
        .map(|id| id.to_str().unwrap_or_default());
    let after = match last_id {
        Some(id) => check.number("Last-Event-ID", Some(id), 0..=u64::MAX),
        None => check.number("after", query.after.as_deref(), 0..=u64::MAX),
    };
    let filter = filter(
        &mut check,
        query.kind.as_deref(),
        query.subject,
        query.cluster.as_deref(),
    );
    check.done()?;
    let slot = stream_slot(&rest)?;
    let newest = control.event_seq();
    let begin = *newest.borrow();
    let after = match after {
        Some(after) => known(&control, after, begin).await?,
        None => begin,
    };
    let feed = Feed {
        rest,
        filter,
        after,
        newest,
        read: VecDeque::new(),
        ended: false,
        _slot: slot,
    };
    let events = futures_util::stream::unfold(feed, |mut feed| async {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    Ok(Sse::new(events).keep_alive(sse::KeepAlive::default()))
}

/// `after`, unless there is no such event: then it comes from another database, and waiting for the numbers
/// to pass it would look as if nothing happened.
async fn known(control: &Control, after: u64, newest: u64) -> Result<u64, ApiError> {
    // `newest` may be a moment old, the list is not.
    let exists = after <= newest
        || !control
            .events(after.saturating_sub(1), &EventFilter::default(), 1)
            .await?
            .is_empty();
    if exists {
        return Ok(after);
    }
    Err(ApiError::new(
        Kind::InvalidRequest,
        format!("there is no event {after}; the newest is {newest}"),
    )
    .hint(
        "the server has another database than before: begin anew, without after and Last-Event-ID",
    ))
}

/// One stream of events.
struct Feed {
    rest: Arc<Rest>,
    filter: EventFilter,
    /// Everything up to here was read.
    after: u64,
    newest: watch::Receiver<u64>,
    /// What was read and not given yet.
    read: VecDeque<domain::Event>,
    ended: bool,
    _slot: OwnedSemaphorePermit,
}

impl Feed {
    /// The next event, when there is one; `None` when the server stops.
    async fn next(&mut self) -> Option<sse::Event> {
        loop {
            if self.ended || self.rest.state.stop.is_cancelled() {
                return None;
            }
            if let Some(event) = self.read.pop_front() {
                return Some(written(&event));
            }
            let newest = *self.newest.borrow_and_update();
            if newest > self.after {
                if let Err(error) = self.read_on(newest).await {
                    self.ended = true;
                    let problem = error.into_problem("/v1/events/stream");
                    return sse::Event::default()
                        .event("problem")
                        .json_data(problem)
                        .ok();
                }
                continue;
            }
            tokio::select! {
                () = self.rest.state.stop.cancelled() => return None,
                changed = self.newest.changed() => changed.ok()?,
            }
        }
    }

    /// Reads what comes after what was read; `newest` is recorded already.
    async fn read_on(&mut self, newest: u64) -> Result<(), ApiError> {
        let events = self
            .rest
            .state
            .control
            .events(self.after, &self.filter, READ_AT_ONCE)
            .await?;
        let last = events.last().map_or(self.after, |event| event.seq);
        // Fewer than asked for means that there are no others up to `newest`, whatever the filter.
        let is_all = events.len() < READ_AT_ONCE as usize;
        self.after = if is_all { last.max(newest) } else { last };
        self.read = events.into();
        Ok(())
    }
}

fn written(event: &domain::Event) -> sse::Event {
    let shown = Event::from(event);
    let named = sse::Event::default()
        .id(shown.seq.to_string())
        .event(&shown.kind);
    // An event is made of texts and numbers alone, so this cannot fail.
    named.json_data(&shown).unwrap_or_default()
}
