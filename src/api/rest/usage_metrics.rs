//! What tasks reserve and use, for Prometheus: by cluster and by service.
//!
//! Counters only grow, also across a restart: they are sums of the ledger. Of tasks that go on, what lies further back than
//! ten seconds is counted, so that an end that is noticed a little late takes nothing back; and what was shown once is never gone
//! below. Labels have bounds ([`crate::store::UsageTotals`]).

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::control::{Control, ControlError};
use crate::store::{Total, TotalName};

/// The service, and the cluster, of all that have no name of their own.
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCluster {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfService {
    cluster: String,
    service: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTasks {
    cluster: String,
    service: String,
    state: &'static str,
}

/// A figure that has decimals and only grows.
type Seconds = Counter<f64, AtomicU64>;

/// What was shown last.
#[derive(Debug, Default)]
pub(super) struct UsageMetrics(Mutex<Shown>);

#[derive(Debug, Default)]
struct Shown {
    clusters: BTreeMap<TotalName, Total>,
    services: BTreeMap<TotalName, Total>,
}

impl UsageMetrics {
    /// Writes the figures. Costs as much as there are names and tasks that go on.
    pub(super) async fn write(&self, control: &Control, text: &mut String) -> Result<(), String> {
        let told = |error: ControlError| error.to_string();
        let totals = control.usage_totals().await.map_err(told)?;
        let mut registry = Registry::with_prefix("neargate");
        let clusters = counters::<OfCluster>(&mut registry, "cluster");
        let services = counters::<OfService>(&mut registry, "service");
        let tasks: Family<OfTasks, Gauge> = Family::default();
        registry.register(
            "service_tasks",
            "Tasks that services want (desired), have on their way (pending) and have running",
            tasks.clone(),
        );
        {
            let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, total) in &totals.clusters {
                let total = grown(&mut shown.clusters, name, total);
                let (cluster, _) = name.clone().unwrap_or((OTHER.to_owned(), String::new()));
                add(&clusters, &OfCluster { cluster }, &total);
            }
            for (name, total) in &totals.services {
                let total = grown(&mut shown.services, name, total);
                // A service that is called `other` has a cluster.
                let (cluster, service) = name.clone().unwrap_or((String::new(), OTHER.to_owned()));
                add(&services, &OfService { cluster, service }, &total);
            }
        }
        for (name, counts) in &totals.counts {
            let (cluster, service) = name.clone().unwrap_or((String::new(), OTHER.to_owned()));
            for (state, count) in [
                ("desired", counts.desired),
                ("pending", counts.pending),
                ("running", counts.running),
            ] {
                let labels = OfTasks {
                    cluster: cluster.clone(),
                    service: service.clone(),
                    state,
                };
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                tasks.get_or_create(&labels).set(count);
            }
        }
        encode_registry(text, &registry).map_err(|error| error.to_string())
    }
}

type Families<L> = [Family<L, Seconds>; 4];

fn counters<L>(registry: &mut Registry, of: &str) -> Families<L>
where
    L: EncodeLabelSet + std::hash::Hash + Eq + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let mut counter = |what: &str, help: &str| {
        let family = Family::<L, Seconds>::default();
        registry.register(format!("{of}_{what}"), help.to_owned(), family.clone());
        family
    };
    [
        counter("reserved_vcpu_seconds", "vCPU-seconds that tasks reserved"),
        counter(
            "reserved_gb_seconds",
            "GB-seconds of memory that tasks reserved; 1024 MiB are a GB",
        ),
        counter(
            "used_vcpu_seconds",
            "CPU time that tasks were measured to use",
        ),
        counter(
            "used_gb_seconds",
            "GB-seconds of memory that tasks were measured to use",
        ),
    ]
}

fn add<L>(families: &Families<L>, labels: &L, total: &Total)
where
    L: std::hash::Hash + Eq + Clone,
{
    let figures = [
        seconds(total.cpu_unit_ms, 1_024 * 1_000),
        seconds(total.mib_ms, 1_024 * 1_000),
        seconds(total.cpu_ns, 1_000_000_000),
        seconds(total.memory_kib_ms, 1_048_576 * 1_000),
    ];
    for (family, figure) in families.iter().zip(figures) {
        // Two names that are written alike are added up.
        family.get_or_create(labels).inc_by(figure);
    }
}

/// Prometheus knows only floating-point numbers; rounding keeps the order.
fn seconds(amount: i128, unit: i128) -> f64 {
    let (whole, rest) = (amount / unit, amount % unit);
    whole as f64 + rest as f64 / unit as f64
}

/// What is to be shown: no less than before.
fn grown(shown: &mut BTreeMap<TotalName, Total>, name: &TotalName, total: &Total) -> Total {
    let before = shown.entry(name.clone()).or_default();
    *before = Total {
        cpu_unit_ms: before.cpu_unit_ms.max(total.cpu_unit_ms),
        mib_ms: before.mib_ms.max(total.mib_ms),
        cpu_ns: before.cpu_ns.max(total.cpu_ns),
        memory_kib_ms: before.memory_kib_ms.max(total.memory_kib_ms),
    };
    *before
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn what_was_shown_is_never_gone_below() {
        let mut shown = BTreeMap::new();
        let total = |cpu_ns| Total {
            cpu_ns,
            ..Total::default()
        };
        for (is, shows) in [(5, 5), (3, 5), (6, 6)] {
            assert_eq!(grown(&mut shown, &None, &total(is)), total(shows));
        }
        assert!((seconds(1_500, 1_000) - 1.5).abs() < f64::EPSILON);
    }
}
