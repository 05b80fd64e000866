//! Figures for Prometheus. Every label has a value from a short list, so that callers cannot make them grow.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::Rest;
use super::usage_metrics::UsageMetrics;
use crate::control::ControlError;
use crate::engine::EngineState;
use crate::store::PageRequest;

/// The content type of the figures.
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The upper ends of the duration's buckets, in seconds. A call that writes should lie under 2 ms.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TaskState {
    state: &'static str,
}

/// The figures of the API, and those of the server that are read when somebody asks.
pub(super) struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    streams: Gauge,
    engine_up: Gauge,
    waiting: Gauge,
    tasks: Family<TaskState, Gauge>,
    last_event: Counter,
    usage: UsageMetrics,
}

impl Metrics {
    /// All at zero.
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("neargate");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which Neargate this is", version);
        let metrics = Self {
            answers: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            streams: Gauge::default(),
            engine_up: Gauge::default(),
            waiting: Gauge::default(),
            tasks: Family::default(),
            last_event: Counter::default(),
            usage: UsageMetrics::default(),
            registry,
        };
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "http_requests",
            "Requests that were answered",
            self.answers.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time until an answer began",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests in work",
            self.in_flight.clone(),
        );
        registry.register(
            "http_streams_open",
            "Answers that are being streamed",
            self.streams.clone(),
        );
        registry.register(
            "engine_up",
            "Whether the container engine answers",
            self.engine_up.clone(),
        );
        registry.register(
            "queue_length",
            "Tasks that wait for a look of the loop",
            self.waiting.clone(),
        );
        registry.register(
            "tasks",
            "Tasks on their way to RUNNING, and RUNNING",
            self.tasks.clone(),
        );
        registry.register(
            "events",
            "Events that were ever recorded",
            self.last_event.clone(),
        );
        self
    }

    /// Counts a request as in work for as long as the result is kept.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight(&self.in_flight)
    }

    /// Counts an answer.
    pub(super) fn answered(
        &self,
        method: &'static str,
        route: String,
        status: StatusCode,
        time: Duration,
    ) {
        self.durations
            .get_or_create(&Route {
                method,
                route: route.clone(),
            })
            .observe(time.as_secs_f64());
        self.answers
            .get_or_create(&Answer {
                method,
                route,
                status: status.as_u16(),
            })
            .inc();
    }

    /// All figures, as Prometheus reads them. Reads a row for each cluster, service and task that goes on, and no history.
    pub(super) async fn text(&self, rest: &Rest) -> Result<String, String> {
        let control = &rest.state.control;
        let up = matches!(control.engine_status().0, EngineState::Ok(_));
        self.engine_up.set(i64::from(up));
        self.waiting.set(signed(control.queue_length()));
        let streams = rest
            .state
            .limits
            .streams
            .saturating_sub(rest.streams.available_permits());
        self.streams.set(signed(streams));
        let newest = *control.event_seq().borrow();
        self.last_event
            .inc_by(newest.saturating_sub(self.last_event.get()));
        self.count_tasks(rest)
            .await
            .map_err(|error| error.to_string())?;
        let mut text = String::new();
        encode_registry(&mut text, &self.registry).map_err(|error| error.to_string())?;
        self.usage.write(control, &mut text).await?;
        encode_eof(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    async fn count_tasks(&self, rest: &Rest) -> Result<(), ControlError> {
        let (mut pending, mut running) = (0_u64, 0_u64);
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let clusters = rest.state.control.clusters(page).await?;
            for cluster in &clusters.items {
                pending += cluster.pending_tasks;
                running += cluster.running_tasks;
            }
            let Some(token) = clusters.next else { break };
            page = PageRequest {
                limit: PageRequest::MAX_LIMIT,
                token: Some(token),
            };
        }
        for (state, count) in [("pending", pending), ("running", running)] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.tasks.get_or_create(&TaskState { state }).set(count);
        }
        Ok(())
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A request in work.
pub(super) struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
