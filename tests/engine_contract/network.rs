//! Networks, ports, and warm sandboxes.

use std::time::{Duration, Instant};

use neargate::domain::{
    ContainerState, NetworkMode, NetworkObservation, Observation, PortMapping, Protocol,
};

use super::{World, adapter, name, order, state};
use crate::harness::PATIENCE;

pub async fn an_only_container_owns_its_network_when_no_sandbox_is_ready(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    let first = world.run(&mut order).await;
    let sandbox = world
        .daemon
        .inspect_container(&format!("neargate-{}", order.task_id))
        .await
        .unwrap();
    assert_eq!(sandbox, None, "one container is enough");
    let NetworkObservation::Up {
        address: Some(_), ..
    } = &first.network
    else {
        panic!("{:?}", first.network);
    };
    world.after_a_crash();
    let adopted = world.run(&mut order).await;
    assert_eq!(adopted.network, first.network);
    let id = |seen: &Observation| seen.containers[&name("main")].runtime_id.clone();
    assert_eq!(id(&first), id(&adopted), "adopted, not made anew");
    let stopped = world.stop(&mut order).await;
    assert_eq!(
        world.engine.observe(&order).await.unwrap().network,
        NetworkObservation::Absent,
        "it ended with its process, and cut nobody off; {stopped:?}"
    );
}

pub async fn a_host_port_that_is_taken_ends_the_start(world: &mut World) {
    let published = |containers: &[(&str, &[&str])], host_port: u16| {
        let mut order = order(containers);
        order.spec.network_mode = NetworkMode::Bridge;
        order.spec.containers[0].port_mappings = vec![PortMapping {
            container_port: 80,
            host_port: Some(host_port),
            protocol: Protocol::Tcp,
        }];
        order
    };
    let mut first = published(&[("main", &["sleep"])], 0);
    let NetworkObservation::Up { bindings, .. } = world.run(&mut first).await.network else {
        panic!("no network");
    };
    let taken = bindings[0].host_port;
    assert_ne!(taken, 0, "the engine chose one");
    let sleep: &[&str] = &["sleep"];
    let both = [("main", sleep), ("side", sleep)];
    for containers in [&both[..1], &both] {
        let mut second = published(containers, taken);
        let seen = world
            .drive(&mut second, "the start to have failed", |seen| {
                seen.failure.is_some()
                    || matches!(state(seen, "main"), Some(ContainerState::Exited { .. }))
            })
            .await;
        let reason = match (&seen.failure, state(&seen, "main")) {
            (Some(failure), _) => failure.reason.clone(),
            (None, Some(ContainerState::Exited { error, .. })) => error.unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(
            reason.starts_with("Cannot") && reason.contains(&taken.to_string()),
            "{reason}"
        );
    }
}

pub async fn the_network_of_a_cluster_that_is_gone_is_removed_once_no_task_is_on_it(
    world: &mut World,
) {
    let mut order = order(&[("main", &["sleep"])]);
    "blue".clone_into(&mut order.cluster);
    world.run(&mut order).await;
    let blue = std::collections::BTreeSet::from(["blue".to_owned()]);
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
    world.engine.remove_clusters(&blue).await.unwrap();
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
    world.engine.remove(&order.task_id).await.unwrap();
    world.engine.remove_clusters(&blue).await.unwrap();
    assert!(!world.engine.clusters().await.unwrap().contains("blue"));
    // Whoever comes back gets a new one.
    world.run(&mut order).await;
    assert!(world.engine.clusters().await.unwrap().contains("blue"));
}

pub async fn a_network_that_somebody_has_pruned_is_made_again(world: &mut World) {
    let mut first = order(&[("main", &["sleep"])]);
    world.run(&mut first).await;
    world.engine.remove(&first.task_id).await.unwrap();
    let network = format!("neargate-{}-default", world.instance);
    world.daemon.remove_network(&network).await.unwrap();
    let mut second = order(&[("main", &["sleep"])]);
    let seen = world.engine.observe(&second).await.unwrap();
    let error = world.engine.advance(&second, seen).await.unwrap_err();
    assert!(error.retryable(), "{error:?}");
    world.run(&mut second).await;
}

pub async fn warm_sandboxes_are_used_once_and_given_back(world: &mut World) {
    world.engine = adapter(&world.daemon, &world.instance, 2);
    let _hints = world.engine.hints().await.unwrap();
    let warm = async || {
        let listed = world
            .daemon
            .list_containers(&format!("neargate.instance={}", world.instance))
            .await
            .unwrap();
        let warm = listed
            .into_iter()
            .filter(|one| one.name.contains("-warm-") && one.status == "running");
        warm.map(|one| one.id).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        let warm = warm().await;
        if warm.len() == 2 {
            break warm;
        }
        assert!(
            Instant::now() < deadline,
            "two warm sandboxes; instead: {warm:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (mut one, mut two) = (
        order(&[("main", &["sleep"])]),
        order(&[("main", &["sleep"])]),
    );
    let (first, second) = tokio::join!(world.run(&mut one), world.run(&mut two));
    assert_ne!(first.network, second.network, "two tasks never share one");
    for order in [&one, &two] {
        let sandbox = world
            .daemon
            .inspect_container(&format!("neargate-{}", order.task_id))
            .await
            .unwrap()
            .unwrap();
        assert!(before.contains(&sandbox.id), "a warm one was taken");
    }
}
