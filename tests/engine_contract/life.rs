//! How a task comes up, ends, is found again, and is removed.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use neargate::clock::{Clock, SystemClock};
use neargate::domain::{Condition, ContainerState, NetworkObservation, Observation};
use neargate::engine::Hint;
use neargate::engine::docker::daemon::ContainerSpec;

use super::{World, name, order, state};
use crate::harness::{PATIENCE, workload};

pub async fn a_task_that_was_never_asked_for_is_absent(world: &mut World) {
    let order = order(&[("main", &["sleep"])]);
    let seen = world.engine.observe(&order).await.unwrap();
    assert_eq!(seen, Observation::default());
    world.engine.remove(&order.task_id).await.unwrap();
}

pub async fn a_task_comes_up_with_an_address_and_only_once(world: &mut World) {
    let mut order = order(&[("one", &["sleep"]), ("two", &["sleep"])]);
    let first = world.run(&mut order).await;
    let NetworkObservation::Up {
        address: Some(address),
        ..
    } = &first.network
    else {
        panic!("{:?}", first.network);
    };
    address.parse::<std::net::Ipv4Addr>().unwrap();
    let again = world.run(&mut order).await;
    world.after_a_crash();
    let adopted = world.run(&mut order).await;
    for container in ["one", "two"] {
        let id = |seen: &Observation| seen.containers[&name(container)].runtime_id.clone();
        assert_eq!(id(&first), id(&again));
        assert_eq!(id(&first), id(&adopted), "adopted, not made anew");
    }
}

pub async fn the_end_of_a_task_that_is_missed_is_known_before_it_is_told(world: &mut World) {
    for is_missed in [false, true] {
        let mut times = 0;
        // Who asks the daemon too soon is told by it, when all is over.
        for _ in 0..10 {
            times += u32::from(was_seen_ending(world, is_missed).await);
            if times > 0 {
                break;
            }
        }
        assert_eq!(times > 0, is_missed);
    }
}

/// Whether the end of a container was seen before the daemon told of it.
async fn was_seen_ending(world: &mut World, is_missed: bool) -> bool {
    let mut order = order(&[("main", &["sleep"])]);
    order.is_missed = is_missed;
    let id = world.run(&mut order).await.containers[&name("main")]
        .runtime_id
        .clone();
    // Nobody listens to the daemon's events here, so only the process itself tells of its end.
    world.daemon.signal_container(&id, "SIGKILL").await.unwrap();
    let mut was_ending = false;
    let deadline = Instant::now() + PATIENCE;
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let seen = world.engine.observe(&order).await.unwrap();
        let main = &seen.containers[&name("main")];
        if let ContainerState::Exited { exit_code, .. } = main.state {
            assert_eq!((exit_code, main.is_ending), (Some(137), false));
            return was_ending;
        }
        was_ending |= main.is_ending;
        assert!(Instant::now() < deadline, "{seen:#?}");
    }
}

pub async fn an_exit_has_its_code_and_a_time_that_lies_after_its_start(world: &mut World) {
    let before = SystemClock.now();
    let mut order = order(&[("main", &["exit", "--code", "3", "--after-ms", "50"])]);
    world.run(&mut order).await;
    let (seen, code) = world.ended(&order, "main").await;
    assert_eq!(code, Some(3));
    let Some(ContainerState::Exited {
        finished_at,
        oom_killed,
        error,
        ..
    }) = state(&seen, "main")
    else {
        unreachable!();
    };
    let started_at = seen.containers[&name("main")].started_at.unwrap();
    assert!(before <= started_at && started_at < finished_at && finished_at <= SystemClock.now());
    assert_eq!((oom_killed, error), (false, None));
}

pub async fn a_process_that_obeys_ends_with_its_own_code_and_one_that_does_not_is_killed(
    world: &mut World,
) {
    let mut order = order(&[
        ("good", &["sleep", "--term-code", "5"]),
        ("bad", &["ignore-sigterm"]),
    ]);
    world.run(&mut order).await;
    let seen = world.stop(&mut order).await;
    let code = |container: &str| match state(&seen, container) {
        Some(ContainerState::Exited { exit_code, .. }) => exit_code,
        other => panic!("{container}: {other:?}"),
    };
    assert_eq!((code("good"), code("bad")), (Some(5), Some(137)));
}

pub async fn what_depends_is_started_later_and_stopped_earlier(world: &mut World) {
    let mut order = order(&[("base", &["sleep"]), ("top", &["sleep"])]);
    order.spec.containers[1].depends_on = vec![neargate::domain::Dependency {
        container: name("base"),
        condition: Condition::Start,
    }];
    let seen = world.run(&mut order).await;
    let started = |text: &str| seen.containers[&name(text)].started_at.unwrap();
    assert!(started("base") <= started("top"));
    let seen = world.stop(&mut order).await;
    let finished = |text: &str| match state(&seen, text) {
        Some(ContainerState::Exited { finished_at, .. }) => finished_at,
        other => panic!("{text}: {other:?}"),
    };
    assert!(finished("top") <= finished("base"));
}

pub async fn an_executable_that_is_not_there_is_said_by_name(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    order.spec.containers[0].entry_point = Some(vec!["/does-not-exist".to_owned()]);
    let seen = world.run(&mut order).await;
    let Some(ContainerState::Exited {
        error: Some(error), ..
    }) = state(&seen, "main")
    else {
        panic!("{seen:#?}");
    };
    assert!(error.starts_with("CannotStartContainerError: "), "{error}");
    assert!(error.contains("/does-not-exist"), "{error}");
    let later = world.engine.observe(&order).await.unwrap();
    assert!(
        matches!(
            state(&later, "main"),
            Some(ContainerState::Exited { error: Some(_), .. })
        ),
        "it is still known when somebody looks again: {later:#?}"
    );
}

pub async fn a_name_that_somebody_else_has_is_a_failure_and_theirs_stays_untouched(
    world: &mut World,
) {
    let mut order = order(&[("main", &["sleep"])]);
    let taken = format!("neargate-{}-main", order.task_id);
    let theirs = ContainerSpec {
        name: taken.clone(),
        image: workload().to_owned(),
        network_mode: "none".to_owned(),
        ..ContainerSpec::default()
    };
    let id = world.daemon.create_container(&theirs).await.unwrap();
    world.foreign.push(id.clone());
    let seen = world
        .drive(&mut order, "the clash", |seen| seen.failure.is_some())
        .await;
    let reason = seen.failure.unwrap().reason;
    assert!(
        reason.starts_with("CannotCreateContainerError: ") && reason.contains(&taken),
        "{reason}"
    );
    world.engine.remove(&order.task_id).await.unwrap();
    let theirs = world
        .daemon
        .inspect_container(&id)
        .await
        .unwrap()
        .expect("it is still there");
    assert_eq!((theirs.name, theirs.status.as_str()), (taken, "created"));
}

pub async fn removing_leaves_nothing_and_may_be_repeated(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    assert!(
        world
            .engine
            .survey()
            .await
            .unwrap()
            .contains_key(&order.task_id)
    );
    world.engine.remove(&order.task_id).await.unwrap();
    world.engine.remove(&order.task_id).await.unwrap();
    assert!(
        !world
            .engine
            .survey()
            .await
            .unwrap()
            .contains_key(&order.task_id)
    );
    assert_eq!(
        world.engine.observe(&order).await.unwrap(),
        Observation::default()
    );
}

pub async fn a_survey_tells_when_something_has_changed(world: &mut World) {
    let mut order = order(&[("main", &["sleep"])]);
    world.run(&mut order).await;
    let before = world.engine.survey().await.unwrap();
    assert_eq!(before, world.engine.survey().await.unwrap());
    world.stop(&mut order).await;
    assert_ne!(before, world.engine.survey().await.unwrap());
}

pub async fn the_end_of_a_container_is_hinted_at(world: &mut World) {
    let mut order = order(&[("main", &["exit", "--after-ms", "300"])]);
    let mut hints = world.engine.hints().await.unwrap();
    world.run(&mut order).await;
    let hinted = async {
        while let Some(hint) = hints.next().await {
            if hint == Hint::Task(order.task_id.clone()) {
                return;
            }
        }
        panic!("the hints ended");
    };
    tokio::time::timeout(PATIENCE, hinted)
        .await
        .expect("a hint");
    world.ended(&order, "main").await;
}

pub async fn what_was_created_under_an_earlier_start_of_the_host_ended_nobody_knows_how(
    world: &mut World,
) {
    let order = order(&[("main", &["exit", "--code", "0"])]);
    let boot = world.daemon.host().await.unwrap().unwrap().boot_id();
    assert!(boot.is_some());
    let labels = [
        ("neargate.instance", world.instance.as_str()),
        ("neargate.role", "container"),
        ("neargate.task", order.task_id.as_str()),
        ("neargate.container", "main"),
        ("neargate.boot", "an-earlier-one"),
    ];
    let spec = ContainerSpec {
        name: format!("neargate-{}-main", order.task_id),
        image: workload().to_owned(),
        labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        cmd: Some(vec!["exit".to_owned()]),
        network_mode: "none".to_owned(),
        ..ContainerSpec::default()
    };
    let id = world.daemon.create_container(&spec).await.unwrap();
    world.daemon.start_container(&id).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = world.engine.observe(&order).await.unwrap();
        if state(&seen, "main") == Some(ContainerState::Lost) {
            return;
        }
        assert!(
            state(&seen, "main") == Some(ContainerState::Running) && Instant::now() < deadline,
            "waited for it to be lost; instead: {seen:#?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As when it was accepted before the engine had said which runtimes it has.
pub async fn a_runtime_that_the_engine_does_not_have_ends_the_start_and_those_that_it_has_are_said(
    world: &mut World,
) {
    let mut order = order(&[("main", &["sleep"])]);
    order.spec.runtime = Some("kata".parse().unwrap());
    let seen = world
        .drive(&mut order, "the start to have failed", |seen| {
            seen.failure.is_some()
        })
        .await;
    let reason = seen.failure.unwrap().reason;
    assert!(
        reason
            .starts_with("CannotCreateContainerError: the engine has no runtime `kata`; it has: ")
            && reason.contains("runc"),
        "{reason}"
    );
}
