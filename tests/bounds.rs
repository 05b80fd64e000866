//! What is bounded stays within its bound.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use neargate::clock::{Clock, RandomIds, SystemClock};
use neargate::domain::{IdSource, InstanceId};
use neargate::engine::docker::daemon::Daemon;
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{CallKind, SimConfig, SimDaemon};
use neargate::engine::{ContainerState, Engine, Hint, NoSecrets, Observation};
use tokio::task::JoinHandle;

use crate::engine_contract::{SimTime, order};
use crate::harness::workload;

/// From a call of the simulated daemon to its effect.
const LATENCY_MS: u32 = 40;

/// The adapter on a daemon that takes its time, and what lets time pass for that one.
fn slow_engine() -> (SimDaemon, Arc<DockerEngine>, JoinHandle<()>) {
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
    (daemon, engine, driver)
}

/// More starts at once only make each one slower, so the adapter lets only so many through, in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_once_are_bounded() {
    let (daemon, engine, driver) = slow_engine();
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

/// A real daemon keeps whoever asks about a container waiting until it has cleaned up after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_told_costs_no_look_at_the_container() {
    let (daemon, engine, driver) = slow_engine();
    let order = order(&[("main", &["sleep", "--term-code", "6"])]);
    let mut hints = engine.hints().await.unwrap();
    engine
        .advance(&order, Observation::default())
        .await
        .unwrap();
    let name = format!("neargate-{}-main", order.task_id);
    assert!(daemon.kill_container(&name, "SIGTERM"));
    while hints.next().await != Some(Hint::Task(order.task_id.clone())) {}
    daemon.take_calls();
    let seen = engine.observe(&order).await.unwrap();
    let main = seen.containers.values().next().unwrap();
    let code = match main.state {
        ContainerState::Exited { exit_code, .. } => exit_code,
        _ => None,
    };
    assert_eq!(code, Some(6), "{main:?}");
    let asked = daemon.take_calls();
    assert!(asked.iter().all(|call| call.subject != name), "{asked:#?}");
    driver.abort();
}
