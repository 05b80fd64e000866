//! The same story twice gives the same world, byte for byte; and time may come in any steps.

use super::*;

/// A story with something of everything, told in steps of `step_ms`. Returns all that can be seen.
async fn story(step_ms: u32) -> String {
    let world = World::new();
    let docker = &world.docker;
    let mut events = docker.events("owner=us").await.unwrap();
    docker.ensure_network(&network("net")).await.unwrap();
    docker.inject(Fault::EventsLate {
        count: 2,
        by_ms: 2_500,
    });
    let sandbox = world.run(&publishing("sandbox", Some(0))).await;
    world.run(&joining("app", &sandbox)).await;
    world
        .run_workload("job", "exit --code 3 --after-ms 1500")
        .await;
    world
        .run(&checked(
            "sick",
            "serve --fail-health-after-ms 15000",
            "CMD /workload health",
        ))
        .await;
    world
        .run_workload("talk", "log --lines 100 --every-ms 333")
        .await;
    let mut pull = docker.pull_image("redis", None).await.unwrap();
    docker.fail_next(
        CallKind::Create,
        CallFault::TimesOutThenHappens { after_ms: 7_000 },
    );
    let late = spec("late", "nginx");
    let _ = world.during(10_000, docker.create_container(&late)).await;
    let early = (ready(&mut events), ready(&mut pull));
    docker.inject(Fault::SandboxKilled {
        of: "app".to_owned(),
    });
    docker.inject(Fault::ClockStep { by_ms: 77 });
    for _ in 0..30_000 / step_ms {
        world.pass(step_ms);
        docker.next_due();
    }
    let later = (ready(&mut events), world.log("talk").await);
    format!(
        "{early:?}{later:?}{:#?}{:#?}",
        docker.calls(),
        docker.snapshot()
    )
}

#[tokio::test]
async fn the_same_story_gives_the_same_world() {
    assert_eq!(story(1_000).await, story(1_000).await);
}

#[tokio::test]
async fn it_does_not_matter_in_which_steps_time_passes() {
    assert_eq!(story(30_000).await, story(50).await);
}

#[tokio::test]
async fn a_driver_makes_things_happen_by_themselves() {
    let world = World::new();
    let mut changes = world.docker.changes();
    let driver = tokio::spawn(world.docker.drive());
    world.run_workload("job", "exit --after-ms 5000").await;
    // The harness's loop: let everybody run, then move the clock to whoever wakes next.
    let mut woken = Vec::new();
    loop {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let Some(at) = world.clock.next_wake() else {
            break;
        };
        changes.mark_unchanged();
        woken.push(at.since(START).as_millis());
        world.clock.advance_to(at);
        changes.changed().await.unwrap();
    }
    assert_eq!(woken, [5_000]);
    driver.abort();
}

#[tokio::test]
async fn a_clock_wakes_in_order_and_forgets_who_left() {
    let clock = ManualClock::new(START);
    let at = |ms| START.plus(DurationMs::from_millis(ms));
    let late = clock.sleep_until(at(20));
    drop(clock.sleep_until(at(5)));
    let early = clock.sleep_until(at(10));
    assert_eq!(clock.next_wake(), Some(at(10)));
    clock.advance(DurationMs::from_millis(10));
    assert!(early.now_or_never().is_some());
    let mut late = late;
    assert!((&mut late).now_or_never().is_none());
    clock.advance_to(at(30));
    assert!(late.now_or_never().is_some());
    clock.advance_to(at(1));
    assert_eq!(clock.now(), at(30));
    assert!(clock.sleep_until(at(30)).now_or_never().is_some());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is asked and whatever goes wrong: one owner per address and port, live processes hold what
    /// they hold, and calm brings the daemon back.
    #[test]
    fn no_order_of_things_breaks_the_model(steps in proptest::collection::vec((0..24_u8, 0..4_u8), 1..120)) {
        let world = World::new();
        let mut pulls = Vec::new();
        for (what, which) in steps {
            step(&world, &mut pulls, what, &format!("app-{which}"));
            check(&world.docker.snapshot());
        }
        world.docker.inject(Fault::Calm);
        drop(pulls);
        let snapshot = world.docker.snapshot();
        assert!(snapshot.up && snapshot.pulls.is_empty());
    }
}

type Pull =
    futures_util::stream::BoxStream<'static, Result<crate::engine::PullProgress, EngineError>>;

fn step(world: &World, pulls: &mut Vec<Pull>, what: u8, name: &str) {
    let docker = &world.docker;
    let container = name.to_owned();
    // A call that would have to wait is given up: that, too, must not break anything.
    let _ = match what {
        0..=4 => docker
            .create_container(&publishing(name, Some(0)))
            .now_or_never()
            .is_some(),
        5 => docker
            .create_container(&joining(name, "app-0"))
            .now_or_never()
            .is_some(),
        6..=10 => docker.start_container(name).now_or_never().is_some(),
        11 => docker.remove_container(name).now_or_never().is_some(),
        12 => docker
            .signal_container(name, "SIGTERM")
            .now_or_never()
            .is_some(),
        13 => docker.inject(Fault::ContainerPaused { container }),
        14 => docker.inject(Fault::ContainerUnpaused { container }),
        15 => docker.inject(Fault::ContainerKilled { container }),
        16 => docker.inject(Fault::Restart {
            live_restore: name == "app-0",
            for_ms: 500,
        }),
        17 => docker.inject(Fault::HostReboot {
            reports: RebootExit::Code0,
            for_ms: 500,
        }),
        18 => docker.inject(Fault::RemovalsTake { ms: 300 }),
        19 => docker.inject(Fault::Unreachable { for_ms: 200 }),
        20 => match docker.pull_image("redis", None).now_or_never() {
            Some(Ok(mut pull)) => {
                ready(&mut pull);
                pulls.push(pull);
                true
            }
            _ => false,
        },
        21 => pulls.pop().is_some(),
        22 => docker.inject(Fault::Frozen { for_ms: 200 }),
        _ => {
            world.pass(250);
            true
        }
    };
}

fn check(snapshot: &Snapshot) {
    let mut ports = std::collections::BTreeSet::new();
    let mut addresses = std::collections::BTreeSet::new();
    for container in &snapshot.containers {
        assert_eq!(container.running, container.pid.is_some());
        assert_eq!(
            container.running,
            matches!(container.status, "running" | "paused")
        );
        assert!(container.running || container.bindings.is_empty());
        for binding in &container.bindings {
            assert!(ports.insert(binding.host_port), "{snapshot:#?}");
        }
        if let Some(address) = &container.ip_address {
            assert!(addresses.insert(address.clone()), "{snapshot:#?}");
        }
    }
    let held: usize = snapshot
        .networks
        .iter()
        .map(|network| network.addresses.len())
        .sum();
    assert_eq!(
        held,
        addresses.len(),
        "an address is held by nobody who runs"
    );
}
