//! Attempts to run a container: each runs once, and makes way for the next.

use std::collections::BTreeMap;

use neargate::domain::{Condition, ContainerState, DurationMs, Known, Observation, RestartPolicy};
use neargate::engine::EngineError;
use neargate::engine::docker::daemon::ContainerSpec;

use super::{World, log_of, name, order};
use crate::harness::workload;

pub async fn what_runs_is_not_discarded_and_what_has_ended_is(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let seen = world.run(&mut order).await;
    let id = &seen.containers[&name("main")].runtime_id;
    assert!(!world.daemon.discard_container(id).await.unwrap());
    let seen = world.stop(&mut order).await;
    assert!(seen.containers.contains_key(&name("main")), "{seen:#?}");
    assert!(world.daemon.discard_container(id).await.unwrap());
    assert!(world.daemon.discard_container(id).await.unwrap(), "again");
    let seen = world.engine.observe(&order).await.unwrap();
    assert_eq!(seen.containers, BTreeMap::new());
}

pub async fn a_container_that_is_recorded_as_started_is_not_made_again(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let seen = world.run(&mut order).await;
    world
        .daemon
        .remove_container(&seen.containers[&name("main")].runtime_id)
        .await
        .unwrap();
    order.known.insert(name("main"), Known::Started);
    let seen = world.engine.observe(&order).await.unwrap();
    let seen = world.engine.advance(&order, seen).await.unwrap();
    assert_eq!(seen.containers, BTreeMap::new());
}

pub async fn an_attempt_that_is_over_makes_way_for_the_next_one(world: &mut World) {
    let mut order = order(&[("main", &["exit", "--code", "3"]), ("side", &["sleep"])]);
    order.spec.containers[1].depends_on = vec![neargate::domain::Dependency {
        container: name("main"),
        condition: Condition::Start,
    }];
    let first = world.run(&mut order).await;
    let (ended, _) = world.ended(&order, "main").await;
    assert_eq!(ended.containers[&name("main")].attempt, 0);
    let id = |seen: &Observation, text: &str| seen.containers[&name(text)].runtime_id.clone();
    let mut before = id(&ended, "main");
    for attempt in [1, 2] {
        order.attempts.insert(name("main"), attempt);
        order.known.insert(name("side"), Known::Started);
        if attempt == 2 {
            world.after_a_crash();
        }
        let seen = world
            .drive(&mut order, "the next attempt to be started", |seen| {
                seen.containers.get(&name("main")).is_some_and(|one| {
                    one.attempt == attempt && one.state != ContainerState::Created
                })
            })
            .await;
        assert_ne!(
            id(&seen, "main"),
            before,
            "one that has run never runs again"
        );
        assert_eq!(
            id(&seen, "side"),
            id(&first, "side"),
            "nobody else is touched"
        );
        assert_eq!(seen.network, first.network, "the task keeps its address");
        let (ended, code) = world.ended(&order, "main").await;
        assert_eq!(code, Some(3));
        before = id(&ended, "main");
        let gone = world.engine.logs(log_of(&order, "main", attempt - 1, None));
        assert!(matches!(gone.await, Err(EngineError::NotFound(_))));
        let log = world.engine.logs(log_of(&order, "main", attempt, None));
        assert!(log.await.is_ok());
    }
}

pub async fn a_container_that_is_made_late_for_an_attempt_that_is_over_never_runs(
    world: &mut World,
) {
    let mut order = order(&[("main", &["exit", "--code", "3"])]);
    order.spec.containers[0].restart_policy = Some(RestartPolicy {
        ignored_exit_codes: Vec::new(),
        attempt_period: DurationMs::from_secs(60),
    });
    world.run(&mut order).await;
    let (ended, _) = world.ended(&order, "main").await;
    let inspect = async |id: &str| world.daemon.inspect_container(id).await.unwrap().unwrap();
    let first = inspect(&ended.containers[&name("main")].runtime_id).await;
    world.daemon.remove_container(&first.id).await.unwrap();
    let late = ContainerSpec {
        name: first.name.clone(),
        image: workload().to_owned(),
        labels: first.labels,
        network_mode: first.network_mode,
        ..ContainerSpec::default()
    };
    let late = world.daemon.create_container(&late).await.unwrap();
    order.attempts.insert(name("main"), 1);
    let seen = world
        .drive(&mut order, "the next attempt to be started", |seen| {
            seen.containers
                .get(&name("main"))
                .is_some_and(|one| one.attempt == 1 && one.started_at.is_some())
        })
        .await;
    assert_ne!(seen.containers[&name("main")].runtime_id, late);
    assert_eq!(world.daemon.inspect_container(&late).await.unwrap(), None);
}
