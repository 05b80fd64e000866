//! What is bounded stays within its bound.

use std::sync::Arc;

use futures_util::future::join_all;
use neargate::clock::{Clock, RandomIds, SystemClock};
use neargate::domain::{IdSource, InstanceId};
use neargate::engine::docker::daemon::Daemon;
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{CallKind, SimConfig, SimDaemon};
use neargate::engine::{Engine, NoSecrets, Observation};

use crate::engine_contract::{SimTime, order};
use crate::harness::workload;

/// From a call of the simulated daemon to its effect.
const LATENCY_MS: u32 = 40;

/// More starts at once only make each one slower, so the adapter lets only so many through, in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_once_are_bounded() {
    let config = SimConfig {
        call_latency_ms: LATENCY_MS,
        ..SimConfig::default()
    };
    let daemon = SimDaemon::new(config, Arc::new(SimTime));
    daemon.add_image(workload());
    let driver = tokio::spawn(daemon.drive());
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let settings = Settings {
        warm_sandboxes: 0,
        starts_at_once: 2,
        ..Settings::default()
    };
    let seam: Arc<dyn Daemon> = Arc::new(daemon.clone());
    let engine = DockerEngine::new(
        "sim",
        seam,
        InstanceId::generate(&RandomIds),
        ids,
        settings,
        Arc::new(NoSecrets),
    );

    let two: &[(&str, &[&str])] = &[("one", &["sleep"]), ("two", &["sleep"])];
    let orders: Vec<_> = (0..4).map(|_| order(two)).collect();
    let seen = join_all(
        orders
            .iter()
            .map(|order| engine.advance(order, Observation::default())),
    )
    .await;
    assert!(
        seen.iter()
            .all(|seen| seen.as_ref().is_ok_and(|seen| seen.containers.len() == 2)),
        "{seen:?}"
    );

    let mut starts: Vec<i64> = daemon
        .calls()
        .iter()
        .filter(|call| call.kind == CallKind::Start)
        .map(|call| call.at.as_millis())
        .collect();
    starts.sort_unstable();
    assert_eq!(
        starts.len(),
        12,
        "a sandbox and two containers for each task"
    );
    // Any three starts in a row take longer than one latency, or three were under way at once.
    for three in starts.windows(3) {
        let took = three[2] - three[0];
        assert!(
            took >= i64::from(LATENCY_MS) - 1,
            "three starts within {took} ms: {starts:?}"
        );
    }
    assert!(SystemClock.now().as_millis() >= starts[11]);
    driver.abort();
}
