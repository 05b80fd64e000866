//! Every fault, one by one.

use super::*;
use crate::domain::HealthStatus;

fn outcomes(world: &World, kind: CallKind) -> Vec<Outcome> {
    let calls = world.docker.calls().into_iter();
    calls
        .filter(|call| call.kind == kind)
        .map(|call| call.outcome)
        .collect()
}

#[tokio::test]
async fn a_call_may_fail_before_and_after_its_effect() {
    let world = World::new();
    let web = spec("web", "nginx");
    for (fault, away, is_there) in [
        (CallFault::AwayBefore, true, false),
        (CallFault::TimesOutBefore, false, false),
        (CallFault::AwayAfter, true, true),
        (CallFault::TimesOutAfter, false, true),
    ] {
        world.docker.fail_next(CallKind::Create, fault.clone());
        let created = world
            .during(10_000, world.docker.create_container(&web))
            .await;
        match created {
            Err(EngineError::Away(_)) => assert!(away),
            Err(EngineError::Timeout { what, limit_ms }) => {
                assert!(!away);
                assert_eq!((what.as_str(), limit_ms), ("Create web", 10_000));
            }
            other => panic!("{fault:?} gave {other:?}"),
        }
        let found = world.docker.inspect_container("web").await.unwrap();
        assert_eq!(found.is_some(), is_there, "{fault:?}");
        world.docker.remove_container("web").await.unwrap();
    }
    let effects = [Effect::None, Effect::None, Effect::Now, Effect::Now];
    assert_eq!(
        outcomes(&world, CallKind::Create),
        effects.map(Outcome::Unanswered)
    );
}

#[tokio::test]
async fn a_call_that_was_given_up_may_still_happen() {
    let world = World::new();
    let fault = CallFault::TimesOutThenHappens { after_ms: 15_000 };
    world.docker.fail_next(CallKind::Create, fault);
    let web = spec("web", "nginx");
    let created = world
        .during(10_000, world.docker.create_container(&web))
        .await;
    assert!(matches!(created, Err(EngineError::Timeout { .. })));
    assert_eq!(world.docker.inspect_container("web").await, Ok(None));
    world.pass(5_000);
    assert!(
        world
            .docker
            .inspect_container("web")
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_list_may_hang_and_calls_may_be_slow_or_fail() {
    let world = World::new();
    world
        .docker
        .fail_next(CallKind::List, CallFault::TimesOutBefore);
    world
        .docker
        .fail_next(CallKind::List, CallFault::Slow { by_ms: 4_000 });
    let message = "database is locked".to_owned();
    world
        .docker
        .fail_next(CallKind::List, CallFault::Fails { message });
    let hung = world.during(10_000, world.docker.list_containers("")).await;
    assert!(matches!(hung, Err(EngineError::Timeout { .. })));
    let slow = world.during(4_000, world.docker.list_containers("")).await;
    assert_eq!(slow, Ok(Vec::new()));
    let failed = world.docker.list_containers("").await;
    assert_eq!(
        failed,
        Err(EngineError::Failed("database is locked".to_owned()))
    );
    assert_eq!(world.docker.list_containers("").await, Ok(Vec::new()));
}

#[tokio::test]
async fn latency_is_waited_for_on_the_clock() {
    let world = World::with(SimConfig {
        call_latency_ms: 30,
        ..SimConfig::default()
    });
    let info = world.docker.info();
    let mut info = std::pin::pin!(info);
    assert!(info.as_mut().now_or_never().is_none());
    world.pass(30);
    assert!(info.await.is_ok());
}

#[tokio::test]
async fn a_connection_that_is_lost_ends_streams_and_pulls_but_not_containers() {
    let world = World::new();
    let id = world
        .run_workload("job", "log --lines 100 --every-ms 1000")
        .await;
    let mut events = world.docker.events("owner=us").await.unwrap();
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = world.docker.container_logs(&id, follow).await.unwrap();
    let mut pull = world.docker.pull_image("redis", None).await.unwrap();
    assert_eq!((ready(&mut lines).len(), ready(&mut pull).len()), (1, 1));
    world.docker.inject(Fault::Unreachable { for_ms: 2_000 });
    assert!(is_over(&mut events));
    assert!(matches!(
        ready(&mut lines).last(),
        Some(Err(EngineError::Away(_)))
    ));
    assert!(matches!(
        ready(&mut pull).last(),
        Some(Err(EngineError::Away(_)))
    ));
    assert!(is_over(&mut lines) && is_over(&mut pull));
    assert!(matches!(
        world.docker.info().await,
        Err(EngineError::Away(_))
    ));
    world.pass(2_000);
    assert_eq!(world.status(&id).await, "running");
    assert_eq!(world.log(&id).await.len(), 3);
    let mut events = world.docker.events("owner=us").await.unwrap();
    world.docker.inject(Fault::StreamsCut);
    assert!(is_over(&mut events));
    assert!(world.docker.info().await.is_ok());
}

#[tokio::test]
async fn a_frozen_daemon_answers_late_or_too_late() {
    let world = World::new();
    world.docker.inject(Fault::Frozen { for_ms: 4_000 });
    let late = world.during(4_000, world.docker.info()).await;
    assert!(late.is_ok());
    let mut events = world.docker.events("owner=us").await.unwrap();
    world.run_workload("job", "exit --after-ms 100").await;
    world.docker.inject(Fault::Frozen { for_ms: 60_000 });
    assert!(ready(&mut events).is_empty());
    let never = world.during(10_000, world.docker.info()).await;
    assert!(matches!(never, Err(EngineError::Timeout { .. })));
    world.pass(50_000);
    assert_eq!(ready(&mut events).len(), 3);
}

#[tokio::test]
async fn a_restart_stops_containers_unless_they_are_restored_alive() {
    for live_restore in [true, false] {
        let world = World::new();
        let serve = world
            .run(&checked("app-a", "serve", "CMD /workload health"))
            .await;
        let deaf = world.run_workload("app-b", "ignore-sigterm").await;
        let job = world
            .run_workload("app-c", "exit --code 4 --after-ms 12000")
            .await;
        world.pass(10_000);
        let before = world.docker.containers();
        assert_eq!(world.look(&serve).await.health, Some(HealthStatus::Healthy));
        world.docker.inject(Fault::Restart {
            live_restore,
            for_ms: 5_000,
        });
        assert!(matches!(
            world.docker.info().await,
            Err(EngineError::Away(_))
        ));
        world.pass(5_000);
        let (serve, deaf, job) = (
            world.look(&serve).await,
            world.look(&deaf).await,
            world.look(&job).await,
        );
        if live_restore {
            assert_eq!(
                (serve.status.as_str(), deaf.status.as_str()),
                ("running", "running")
            );
            assert_eq!(serve.health, Some(HealthStatus::Unknown));
            assert_eq!(before[0].pid, world.docker.containers()[0].pid);
            assert_eq!(job.exit_code, 4);
            assert_eq!(job.finished_at, Some(START.plus(DurationMs::from_secs(12))));
        } else {
            let codes = [serve.exit_code, deaf.exit_code, job.exit_code];
            assert_eq!(codes, [0, 137, 143]);
            assert_eq!(
                serve.finished_at,
                Some(START.plus(DurationMs::from_secs(10)))
            );
        }
    }
}

#[tokio::test]
async fn a_reboot_makes_up_exit_codes_and_times() {
    for (reports, code) in [(RebootExit::Code255, 255), (RebootExit::Code0, 0)] {
        let world = World::new();
        let id = world.run(&publishing("web", Some(80))).await;
        let done = world.run_workload("done", "exit --code 9").await;
        world.pass(1_000);
        world.docker.inject(Fault::HostReboot {
            reports,
            for_ms: 60_000,
        });
        world.pass(60_000);
        let found = world.look(&id).await;
        assert_eq!((found.status.as_str(), found.exit_code), ("exited", code));
        assert_eq!(
            found.finished_at,
            Some(START.plus(DurationMs::from_secs(61)))
        );
        assert_eq!(world.look(&done).await.finished_at, Some(START));
        world.docker.start_container(&id).await.unwrap();
        assert_eq!(world.look(&id).await.bindings.len(), 1);
    }
}

#[tokio::test]
async fn the_daemons_clock_may_step() {
    let world = World::new();
    let id = world.run_workload("job", "exit --after-ms 1000").await;
    world.docker.inject(Fault::ClockStep { by_ms: -3_600_000 });
    world.pass(1_000);
    let found = world.look(&id).await;
    assert_eq!(found.status, "exited");
    assert!(found.finished_at < found.started_at);
}

#[tokio::test]
async fn events_are_lost_doubled_and_late() {
    let world = World::new();
    let mut events = world.docker.events("owner=us").await.unwrap();
    let mut actions =
        || -> Vec<String> { ready(&mut events).into_iter().map(|e| e.action).collect() };
    world.docker.inject(Fault::EventsLost { count: 1 });
    let id = world.run(&spec("web", "nginx")).await;
    assert_eq!(actions(), ["start"]);
    world.docker.inject(Fault::EventsDoubled { count: 1 });
    world.docker.signal_container(&id, "SIGTERM").await.unwrap();
    assert_eq!(actions(), ["kill", "kill", "die"]);
    world.docker.inject(Fault::EventsLate {
        count: 1,
        by_ms: 2_000,
    });
    world.docker.start_container(&id).await.unwrap();
    assert!(actions().is_empty());
    world.docker.remove_container(&id).await.unwrap();
    assert_eq!(actions(), ["kill", "die", "destroy"]);
    world.pass(2_000);
    assert_eq!(actions(), ["start"]);
}

#[tokio::test]
async fn a_full_disk_and_empty_pools_are_said_and_pass() {
    let world = World::new();
    let id = world.create(&spec("app-a", "nginx")).await;
    world.docker.inject(Fault::DiskFull);
    assert!(
        message(world.docker.create_container(&spec("app-b", "nginx")).await)
            .ends_with("no space left on device")
    );
    let mut pull = world.docker.pull_image("redis", None).await.unwrap();
    world.pass(1_000);
    let said = ready(&mut pull).pop().unwrap();
    assert!(
        said.unwrap_err()
            .to_string()
            .ends_with("no space left on device")
    );
    world.docker.inject(Fault::AddressesGone);
    world.docker.inject(Fault::DiskFreed);
    assert!(
        message(world.docker.start_container(&id).await).starts_with("no available IPv4 addresses")
    );
    assert!(world.docker.ensure_network(&network("net")).await.is_err());
    world
        .docker
        .fail_next(CallKind::Start, CallFault::AwayBefore);
    world.docker.inject(Fault::Calm);
    world.docker.start_container(&id).await.unwrap();
}

#[tokio::test]
async fn pulls_stall_slow_down_and_go_on() {
    let world = World::new();
    world.docker.inject(Fault::RegistryAway);
    let mut refused = world.docker.pull_image("redis", None).await.unwrap();
    assert!(matches!(
        ready(&mut refused).pop(),
        Some(Err(EngineError::Failed(_)))
    ));
    world.docker.inject(Fault::RegistryBack);
    world.docker.inject(Fault::LayersTake { ms: 60_000 });
    let mut pull = world.docker.pull_image("redis", None).await.unwrap();
    world.pass(59_999);
    assert_eq!(ready(&mut pull).len(), 1);
    world.docker.inject(Fault::PullsStall);
    world.pass(600_000);
    assert!(ready(&mut pull).is_empty());
    world.docker.inject(Fault::PullsResume);
    for _ in 0..5 {
        world.pass(60_000);
        ready(&mut pull);
    }
    assert!(world.docker.inspect_image("redis").await.unwrap().is_some());
}

#[tokio::test]
async fn others_lay_hands_on_containers() {
    let world = World::new();
    assert!(world.docker.inject(Fault::NameTaken {
        name: "web".to_owned()
    }));
    assert!(!world.docker.inject(Fault::NameTaken {
        name: "web".to_owned()
    }));
    let taken = world.docker.create_container(&spec("web", "nginx")).await;
    assert!(matches!(taken, Err(EngineError::NameTaken(_))));
    for name in ["app-a", "app-b", "app-c"] {
        world.run_workload(name, "ignore-sigterm").await;
    }
    assert!(world.docker.kill_container("app-a", "SIGKILL"));
    assert!(!world.docker.kill_container("app-a", "SIGKILL"));
    assert!(world.docker.inject(Fault::ContainerOomKilled {
        container: "app-b".to_owned()
    }));
    assert!(world.docker.remove_container_behind_our_back("app-c"));
    assert!(!world.docker.remove_container_behind_our_back("app-c"));
    let killed = world.look("app-a").await;
    assert_eq!((killed.exit_code, killed.oom_killed), (137, false));
    assert!(world.look("app-b").await.oom_killed);
    assert!(world.docker.inject(Fault::ImageRemoved {
        image: WORKLOAD.to_owned()
    }));
    let missing = world
        .docker
        .create_container(&workload("app-d", "serve"))
        .await;
    assert!(matches!(missing, Err(EngineError::NotFound(_))));
}

#[tokio::test]
async fn the_journal_says_who_was_touched() {
    let world = World::new();
    let id = world.run(&spec("web", "nginx")).await;
    let foreign = world.docker.add_foreign_container("foreign").unwrap();
    world
        .docker
        .signal_container("foreign", "SIGTERM")
        .await
        .unwrap();
    world.docker.remove_container(&id).await.unwrap();
    let calls = world.docker.take_calls();
    let kinds: Vec<CallKind> = calls.iter().map(|call| call.kind).collect();
    let expected = [
        CallKind::Create,
        CallKind::Start,
        CallKind::Signal,
        CallKind::Remove,
    ];
    assert_eq!(kinds, expected);
    let owners: Vec<&str> = calls
        .iter()
        .map(|call| call.container.as_ref().unwrap().labels["owner"].as_str())
        .collect();
    assert_eq!(owners, ["us", "us", "somebody-else", "us"]);
    assert_eq!(calls[2].container.as_ref().unwrap().id, foreign);
    assert!(world.docker.calls().is_empty());
}
