//! Bugs that a storm, or the writing of it, has brought to light: each as a short story of its own, which
//! is the same every time.

use std::time::Duration;

use neargate::control::BillQuery;
use neargate::domain::{
    EndEvidence, LastStatus, LimitsEnforcedBy, StopCode, Task, TaskId, TimestampMs,
};
use neargate::engine::docker::Settings;
use neargate::engine::docker::daemon::Daemon as _;
use neargate::engine::sim::{CallFault, CallKind, ContainerSnapshot, Fault, RebootExit, SimConfig};
use neargate::meter::bill::GroupBy;
use neargate::reconcile::Limits;
use neargate::store::UsageFilter;
use serde_json::{Value, json};

use super::ledger::Ledger;
use super::mortal::Fuse;
use super::world::World;
use super::{WORKLOAD, in_virtual_time, story};

mod clock;
mod writes;

/// A world with so many warm sandboxes, in which Neargate has run for a second.
async fn world(warm_sandboxes: u32) -> World {
    slow_world(warm_sandboxes, 0).await
}

/// The same, where each call takes so long.
async fn slow_world(warm_sandboxes: u32, call_latency_ms: u32) -> World {
    let config = SimConfig {
        call_latency_ms,
        call_deadline_ms: 1_000,
        ..SimConfig::default()
    };
    let settings = Settings {
        warm_sandboxes,
        ..Settings::default()
    };
    let mut world = World::new(1, config, settings, Limits::default()).await;
    world.start();
    secs(&world, 1).await;
    world
}

async fn secs(world: &World, seconds: u64) {
    world.pass(Duration::from_secs(seconds)).await;
}

fn container(name: &str, command: &[&str]) -> Value {
    json!({ "name": name, "image": WORKLOAD, "command": command, "memory": 64, "stopTimeout": 1 })
}

async fn run(world: &World, containers: &[Value]) -> TaskId {
    let document = json!({ "family": "storm", "containerDefinitions": containers });
    let control = &world.life.as_ref().unwrap().control;
    story::run_document(control, &document, 1).await.unwrap()[0].clone()
}

async fn stop(world: &World, task: &TaskId) {
    let control = &world.life.as_ref().unwrap().control;
    control.stop_task(task, None).await.unwrap();
}

async fn task(world: &World, id: &TaskId) -> Task {
    world.store.task(id).await.unwrap().unwrap()
}

fn warm(world: &World) -> Vec<ContainerSnapshot> {
    let mut all = world.daemon.containers();
    all.retain(|one| one.name.starts_with("neargate-warm-"));
    all
}

fn late(after_ms: u32) -> CallFault {
    CallFault::TimesOutThenHappens { after_ms }
}

#[test]
fn a_container_that_the_task_can_do_without_does_not_hold_it_up() {
    in_virtual_time(async {
        let world = world(0).await;
        let mut extra = container("extra", &["sleep"]);
        extra["image"] = json!("missing/app");
        extra["essential"] = json!(false);
        let id = run(&world, &[extra, container("main", &["sleep"])]).await;
        secs(&world, 5).await;
        assert_eq!(task(&world, &id).await.last_status, LastStatus::Running);
    });
}

/// Runs a container that is started again each second, lets `trouble` happen while its first attempt runs, and
/// stops it some time later. Everything that the ledger knows of must hold at any time.
fn started_again_whatever_happens(trouble: impl Fn(&mut World)) -> Task {
    in_virtual_time(async {
        let mut world = world(0).await;
        let mut ledger = Ledger::default();
        let mut main = container("main", &["exit", "--code", "1", "--after-ms", "1000"]);
        main["restartPolicy"] = json!({ "enabled": true });
        let id = run(&world, &[main, container("side", &["sleep"])]).await;
        for turn in 0..600 {
            match turn {
                // The first attempt ends at about 1,000 ms.
                9 => trouble(&mut world),
                500 => stop(&world, &id).await,
                _ => {}
            }
            world.pass(Duration::from_millis(100)).await;
            if world.life.as_ref().unwrap().over.is_cancelled() {
                world.kill();
                world.start();
            }
            ledger.check(&world).await.unwrap();
        }
        world.pass(Duration::from_mins(1)).await;
        ledger.check(&world).await.unwrap();
        ledger.check_end(&world).unwrap();
        let ended = task(&world, &id).await;
        let usage = world.store.usage(&id).await.unwrap().unwrap();
        let closed = usage.interval.closed.map(|(at, _)| at);
        assert_eq!(
            closed, ended.execution_stopped_at,
            "one interval, to its end"
        );
        ended
    })
}

#[test]
fn a_container_is_started_again_and_again_and_counted() {
    let task = started_again_whatever_happens(|_| {});
    let main = &task.containers[&"main".parse().unwrap()];
    // 50 s, each attempt of which takes a little more than one.
    assert!((30..=50).contains(&main.restart_count), "{main:?}");
    assert_eq!(task.stop_code, Some(StopCode::UserInitiated));
}

#[test]
fn a_container_is_started_again_exactly_once_whatever_call_is_late_or_lost() {
    let kinds = [
        CallKind::Create,
        CallKind::Start,
        CallKind::Remove,
        CallKind::Inspect,
    ];
    for kind in kinds {
        for fault in [
            CallFault::TimesOutBefore,
            CallFault::TimesOutAfter,
            CallFault::AwayAfter,
            late(500),
            late(5_000),
            late(20_000),
        ] {
            let task = started_again_whatever_happens(|world| {
                world.daemon.fail_next(kind, fault.clone());
            });
            let main = &task.containers[&"main".parse().unwrap()];
            assert!(main.restart_count >= 20, "{kind} {fault:?}: {main:?}");
        }
    }
}

#[test]
fn a_container_is_started_again_when_neargate_is_killed_at_any_call_of_it() {
    for calls in 0..12 {
        for after in [false, true] {
            let task = started_again_whatever_happens(|world| {
                let life = world.life.as_ref().unwrap();
                *life.fuse.lock().unwrap() = Some(Fuse { calls, after });
            });
            let main = &task.containers[&"main".parse().unwrap()];
            assert!(main.restart_count >= 20, "{calls} {after}: {main:?}");
        }
    }
}

#[test]
fn a_health_check_whose_event_was_lost_is_noticed() {
    in_virtual_time(async {
        let world = world(0).await;
        let mut web = container("web", &["serve", "--delay-ms", "45000"]);
        web["healthCheck"] = json!({
            "command": ["CMD", "/workload", "health"],
            "interval": 5, "timeout": 2, "retries": 1, "startPeriod": 120,
        });
        let mut after = container("after", &["sleep"]);
        after["dependsOn"] = json!([{ "containerName": "web", "condition": "HEALTHY" }]);
        let id = run(&world, &[web, after]).await;
        secs(&world, 40).await;
        world.daemon.inject(Fault::EventsLost { count: 100 });
        secs(&world, 65).await;
        assert_eq!(task(&world, &id).await.last_status, LastStatus::Running);
    });
}

#[test]
fn a_start_that_was_given_up_never_starts_a_container_a_second_time() {
    in_virtual_time(async {
        let world = world(0).await;
        // Those of the sandbox and of `main` come first.
        for _ in 0..2 {
            let at_once = CallFault::Slow { by_ms: 0 };
            world.daemon.fail_next(CallKind::Start, at_once);
        }
        world.daemon.fail_next(CallKind::Start, late(4_000));
        let mut extra = container("extra", &["exit", "--code", "0"]);
        extra["essential"] = json!(false);
        let id = run(&world, &[container("main", &["sleep"]), extra]).await;
        let mut ledger = Ledger::default();
        for _ in 0..100 {
            world.pass(Duration::from_millis(100)).await;
            ledger.check(&world).await.unwrap();
        }
        assert_eq!(task(&world, &id).await.last_status, LastStatus::Running);
    });
}

#[test]
fn a_start_that_was_given_up_brings_nothing_to_life_after_the_end() {
    for after_ms in (1_200..1_500).step_by(20) {
        in_virtual_time(async {
            let world = slow_world(0, 20).await;
            let at_once = CallFault::Slow { by_ms: 0 };
            world.daemon.fail_next(CallKind::Start, at_once);
            world.daemon.fail_next(CallKind::Start, late(after_ms));
            let id = run(&world, &[container("main", &["sleep"])]).await;
            world.pass(Duration::from_millis(500)).await;
            stop(&world, &id).await;
            let mut ledger = Ledger::default();
            for _ in 0..150 {
                world.pass(Duration::from_millis(20)).await;
                ledger.check(&world).await.unwrap();
            }
            secs(&world, 2).await;
            assert!(task(&world, &id).await.is_finished());
        });
    }
}

#[test]
fn a_name_that_is_taken_fails_the_task_and_uses_up_no_warm_sandbox() {
    in_virtual_time(async {
        let world = world(2).await;
        let before = warm(&world);
        assert_eq!(before.len(), 2);
        world.daemon.inject(Fault::Unreachable { for_ms: 3_000 });
        let two = [container("one", &["sleep"]), container("two", &["sleep"])];
        let id = run(&world, &two).await;
        world.daemon.inject(Fault::NameTaken {
            name: format!("neargate-{id}"),
        });
        secs(&world, 40).await;
        let task = task(&world, &id).await;
        assert_eq!(
            task.stop_code,
            Some(StopCode::TaskFailedToStart),
            "{task:#?}"
        );
        assert!(task.is_finished());
        assert_eq!(warm(&world), before);
    });
}

#[test]
fn a_warm_sandbox_whose_claim_was_lost_is_never_given_to_another_task() {
    in_virtual_time(async {
        let mut world = world(1).await;
        let claimed = warm(&world).remove(0).id;
        world.daemon.fail_next(CallKind::Rename, late(20_000));
        let first = run(&world, &[container("main", &["sleep"])]).await;
        world.pass(Duration::from_millis(50)).await;
        world.kill();
        world.start();
        stop(&world, &first).await;
        secs(&world, 3).await;
        let second = run(&world, &[container("main", &["sleep"])]).await;
        secs(&world, 60).await;
        let second = task(&world, &second).await;
        assert_eq!(second.last_status, LastStatus::Running, "{second:#?}");
        let all = world.daemon.containers();
        assert!(all.iter().all(|one| one.id != claimed));
    });
}

#[test]
fn an_only_container_is_not_started_in_a_warm_sandbox_that_has_ended() {
    in_virtual_time(async {
        let world = world(1).await;
        let ended = warm(&world).remove(0).id;
        world.daemon.inject(Fault::EventsLost { count: 100 });
        assert!(world.daemon.kill_container(&ended, "SIGKILL"));
        let id = run(&world, &[container("main", &["sleep"])]).await;
        world.pass(Duration::from_secs(2)).await;
        let task = task(&world, &id).await;
        assert_eq!(task.last_status, LastStatus::Running, "{task:#?}");
        let joins_it = format!("container:{ended}");
        let all = world.daemon.containers();
        assert!(all.iter().all(|one| one.network_mode != joins_it));
    });
}

#[test]
fn an_only_container_whose_sandbox_could_not_be_named_is_made_anew_without_it() {
    in_virtual_time(async {
        let world = world(1).await;
        let before = warm(&world);
        world.daemon.inject(Fault::Unreachable { for_ms: 3_000 });
        let id = run(&world, &[container("main", &["sleep"])]).await;
        world.daemon.inject(Fault::NameTaken {
            name: format!("neargate-{id}"),
        });
        secs(&world, 40).await;
        let task = task(&world, &id).await;
        assert_eq!(task.last_status, LastStatus::Running, "{task:#?}");
        assert_eq!(warm(&world), before, "it is there for the next task");
        let joined = format!("container:{}", before[0].id);
        let all = world.daemon.containers();
        assert!(all.iter().all(|one| one.network_mode != joined));
    });
}

#[test]
fn warm_sandboxes_that_cannot_be_started_do_not_pile_up() {
    in_virtual_time(async {
        let mut world = world(0).await;
        world.shut_down().await;
        world.settings.warm_sandboxes = 2;
        world.daemon.inject(Fault::AddressesGone);
        world.start();
        secs(&world, 600).await;
        let left = warm(&world).len();
        assert!(left <= 10, "{left} after ten minutes");
        world.daemon.inject(Fault::Calm);
        secs(&world, 65).await;
        assert_eq!(warm(&world).len(), 2);
        world.shut_down().await;
        assert_eq!(world.daemon.containers(), [], "all is given back");
    });
}

#[test]
fn a_network_that_somebody_has_pruned_is_made_again() {
    in_virtual_time(async {
        let world = world(0).await;
        let first = run(&world, &[container("main", &["exit", "--code", "0"])]).await;
        secs(&world, 5).await;
        assert!(task(&world, &first).await.is_finished());
        let network = format!("neargate-{}-default", world.store.instance_id());
        world.daemon.remove_network(&network).await.unwrap();
        let second = run(&world, &[container("main", &["sleep"])]).await;
        secs(&world, 5).await;
        let second = task(&world, &second).await;
        assert_eq!(second.last_status, LastStatus::Running, "{second:#?}");
    });
}

#[test]
fn a_pull_that_nobody_waits_for_is_given_up() {
    in_virtual_time(async {
        let world = world(0).await;
        let mut main = container("main", &["sleep"]);
        main["image"] = json!("stalled/app");
        let id = run(&world, &[main]).await;
        secs(&world, 2).await;
        assert_eq!(world.daemon.snapshot().pulls.len(), 1);
        stop(&world, &id).await;
        secs(&world, 2).await;
        assert!(task(&world, &id).await.is_finished());
        assert_eq!(world.daemon.snapshot().pulls, Vec::<String>::new());
    });
}

/// A world whose host has cgroups.
async fn world_with_cgroups() -> World {
    let mut config = SimConfig::default();
    "cgroupfs".clone_into(&mut config.info.cgroup_driver);
    let settings = Settings {
        warm_sandboxes: 0,
        ..Settings::default()
    };
    let mut world = World::new(1, config, settings, Limits::default()).await;
    world.start();
    secs(&world, 1).await;
    world
}

/// Runs a task of 0.25 vCPU and 512 MiB.
async fn run_with_size(world: &World, containers: &[Value]) -> TaskId {
    let document = json!({
        "family": "storm", "cpu": "256", "memory": "512", "containerDefinitions": containers,
    });
    let control = &world.life.as_ref().unwrap().control;
    story::run_document(control, &document, 1).await.unwrap()[0].clone()
}

fn container_of(world: &World, name: &str) -> ContainerSnapshot {
    let mut all = world.daemon.containers();
    all.retain(|one| one.labels.get("neargate.container").map(String::as_str) == Some(name));
    all.pop().unwrap()
}

#[test]
fn after_a_restart_of_the_host_no_exit_code_is_believed() {
    for (reports, while_it_looks) in [
        (RebootExit::Code0, true),
        (RebootExit::Code255, true),
        (RebootExit::Code0, false),
        (RebootExit::Code255, false),
    ] {
        in_virtual_time(async {
            let mut world = world(0).await;
            let id = run(&world, &[container("main", &["sleep"])]).await;
            secs(&world, 5).await;
            assert_eq!(task(&world, &id).await.last_status, LastStatus::Running);
            if !while_it_looks {
                world.kill();
            }
            let for_ms = 60_000;
            world.daemon.inject(Fault::HostReboot { reports, for_ms });
            secs(&world, 70).await;
            if !while_it_looks {
                world.start();
            }
            secs(&world, 10).await;
            let task = task(&world, &id).await;
            let record = task.containers.values().next().unwrap();
            assert_eq!(task.last_status, LastStatus::Stopped, "{task:#?}");
            assert_eq!(task.stop_code, Some(StopCode::TerminationNotice));
            assert_eq!((record.exit_code, record.finished_at), (None, None));
            let reason = record.reason.as_deref().unwrap();
            assert!(reason.contains("the host was started anew"), "{reason}");
            let usage = world.store.usage(&id).await.unwrap().unwrap();
            let (_, evidence) = usage.interval.closed.unwrap();
            assert_eq!(evidence, EndEvidence::Estimated);
        });
    }
}

#[test]
fn a_kill_for_the_memory_of_the_task_is_said_although_the_daemon_does_not_know() {
    in_virtual_time(async {
        let world = world_with_cgroups().await;
        let mut extra = container("extra", &["sleep"]);
        extra["essential"] = json!(false);
        let id = run_with_size(&world, &[container("main", &["sleep"]), extra]).await;
        secs(&world, 5).await;
        let running = task(&world, &id).await;
        assert_eq!(running.last_status, LastStatus::Running);
        assert_eq!(running.limits, Some(LimitsEnforcedBy::TaskCgroup));
        let killed = container_of(&world, "extra").id;
        world
            .daemon
            .inject(Fault::GroupOomKilled { container: killed });
        secs(&world, 5).await;
        let seen = task(&world, &id).await;
        assert_eq!(seen.last_status, LastStatus::Running);
        let reason =
            |task: &Task, name: &str| task.containers[&name.parse().unwrap()].reason.clone();
        assert_eq!(
            reason(&seen, "extra").as_deref(),
            Some("OutOfMemoryError: Container killed due to memory usage")
        );
        // The next one that ends had nothing to do with it.
        stop(&world, &id).await;
        secs(&world, 5).await;
        let seen = task(&world, &id).await;
        assert_eq!(seen.last_status, LastStatus::Stopped);
        assert_eq!(reason(&seen, "main"), None);
        assert_eq!(world.daemon.snapshot().groups, []);
    });
}

#[test]
fn where_no_cgroup_can_be_made_the_size_is_spread_over_the_containers() {
    in_virtual_time(async {
        let world = world(0).await;
        let mut plain = container("plain", &["sleep"]);
        plain.as_object_mut().unwrap().remove("memory");
        let id = run_with_size(&world, &[container("main", &["sleep"]), plain]).await;
        secs(&world, 5).await;
        let seen = task(&world, &id).await;
        assert_eq!(seen.limits, Some(LimitsEnforcedBy::Containers));
        let (main, plain) = (container_of(&world, "main"), container_of(&world, "plain"));
        assert_eq!((main.cgroup_parent, plain.cgroup_parent), (None, None));
        let mib = 1024 * 1024;
        assert_eq!(
            (main.memory_bytes, plain.memory_bytes),
            (64 * mib, 448 * mib)
        );
        assert_eq!(
            (main.nano_cpus, plain.nano_cpus),
            (125_000_000, 125_000_000)
        );
    });
}

#[test]
fn the_cgroup_of_a_probe_that_the_daemon_removes_late_is_swept() {
    in_virtual_time(async {
        let mut world = world_with_cgroups().await;
        world.kill();
        world.daemon.fail_next(CallKind::Remove, late(2_000));
        world.start();
        secs(&world, 1).await;
        assert_ne!(world.daemon.snapshot().groups, [], "the probe is in it");
        secs(&world, 60).await;
        assert_eq!(world.daemon.snapshot().groups, []);
    });
}

#[test]
fn sandboxes_that_wait_cost_the_operator_and_no_task() {
    in_virtual_time(async {
        let mut world = world(2).await;
        let id = run(
            &world,
            &[container("main", &["exit", "--after-ms", "1000"])],
        )
        .await;
        secs(&world, 130).await;
        assert_eq!(task(&world, &id).await.last_status, LastStatus::Stopped);
        assert_eq!(warm(&world).len(), 2);
        let sum = async |world: &World| {
            let forever = TimestampMs::from_millis(i64::MAX);
            let sum = world
                .store
                .warm_sandbox_ms(TimestampMs::from_millis(0), forever);
            sum.await.unwrap()
        };
        // Two of them, for most of two minutes.
        let waited = sum(&world).await;
        assert!((180_000..=240_000).contains(&waited), "{waited}");
        world.kill();
        world.start();
        secs(&world, 70).await;
        let after = sum(&world).await;
        assert!(
            (90_000..=140_000).contains(&(after - waited)),
            "{after} after {waited}"
        );

        let control = &world.life.as_ref().unwrap().control;
        let query = |cluster: Option<&str>| BillQuery {
            filter: UsageFilter {
                cluster: cluster.map(|name| name.parse().unwrap()),
                family: None,
            },
            from: Some(TimestampMs::from_millis(0)),
            to: None,
            group_by: GroupBy::Family,
            price_sheet: None,
            compare: None,
        };
        let bill = control.bill(query(None)).await.unwrap();
        let usage = world.store.usage(&id).await.unwrap().unwrap();
        let length = usage.interval.length(world.now()).as_millis();
        assert_eq!((bill.total.tasks, bill.total.duration_ms), (1, length));
        assert_eq!(bill.warm_sandbox_ms, after);
        // Which cluster's tasks would have got them, nobody knows.
        let of_one = control.bill(query(Some("default"))).await.unwrap();
        assert_eq!((of_one.total, of_one.warm_sandbox_ms), (bill.total, 0));
        world.shut_down().await;
    });
}

#[test]
fn a_container_that_has_never_run_is_not_taken_for_one_that_has_ended() {
    // It was created, the next life removes it unstarted, and the daemon fails halfway or takes its time.
    let troubles = [
        Fault::RemovalsFail { count: 1 },
        Fault::RemovalsTake { ms: 5_000 },
    ];
    for trouble in troubles {
        for calls in 0..10 {
            in_virtual_time(async {
                let mut world = world(0).await;
                world.daemon.inject(trouble.clone());
                let after = true;
                *world.life.as_ref().unwrap().fuse.lock().unwrap() = Some(Fuse { calls, after });
                let command = ["exit", "--code", "5", "--after-ms", "500"];
                let id = run(&world, &[container("main", &command)]).await;
                secs(&world, 2).await;
                world.kill();
                world.start();
                secs(&world, 60).await;
                let ended = task(&world, &id).await;
                let record = ended.containers.values().next().unwrap();
                assert_eq!(record.exit_code, Some(5), "{calls} {trouble:?}: {ended:#?}");
            });
        }
    }
}
