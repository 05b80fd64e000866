//! Scenarios of a task's life, and what must hold in every one.

mod restarts;

use proptest::prelude::*;

use super::*;
use crate::domain::{Condition, DurationMs, HealthCheck, StartFailure, StopRequest};
use crate::plan::fixtures::{after, at, container, exited, name, seen, spec, task};

fn running_task() -> Task {
    let task = accepted();
    let task = plan(&task, Sighting::NeverAsked, at(1_500)).task;
    plan(
        &task,
        Sighting::Seen(&seen(&[("web", ContainerState::Running)])),
        at(2_100),
    )
    .task
}

fn accepted() -> Task {
    task(spec(vec![container("web")]))
}

fn stop(mut task: Task, reason: Option<&str>) -> Task {
    task.stop_request = Some(StopRequest {
        at: at(3_000),
        code: StopCode::UserInitiated,
        reason: reason.map(str::to_owned),
    });
    task
}

#[test]
fn the_engine_is_asked_only_after_the_interval_can_be_opened() {
    let plan = plan(&accepted(), Sighting::NeverAsked, at(1_500));
    assert_eq!(plan.task.last_status, LastStatus::Pending);
    assert_eq!(plan.task.pull_started_at, Some(at(1_500)));
    assert_eq!(plan.next, Next::Advance(Goal::Run));
    assert_eq!(plan.events.len(), 1);
}

#[test]
fn it_is_running_once_every_container_has_been_started() {
    let mut two = task(spec(vec![
        container("web"),
        after(container("log"), "web", Condition::Start),
    ]));
    two = plan(&two, Sighting::NeverAsked, at(1_500)).task;
    let half = plan(
        &two,
        Sighting::Seen(&seen(&[("web", ContainerState::Running)])),
        at(2_100),
    );
    assert_eq!(
        (half.task.last_status, half.next),
        (LastStatus::Pending, Next::Advance(Goal::Run))
    );
    assert!(half.events.is_empty());

    let both = seen(&[
        ("web", ContainerState::Running),
        ("log", ContainerState::Running),
    ]);
    let whole = plan(&half.task, Sighting::Seen(&both), at(2_200));
    assert_eq!(
        (whole.task.last_status, whole.next),
        (LastStatus::Running, Next::Nothing)
    );
    assert_eq!(whole.task.started_at, Some(at(2_000)), "the engine's time");
    let behind = plan(&half.task, Sighting::Seen(&both), at(1_900));
    assert_eq!(behind.task.started_at, Some(at(1_900)), "not in the future");
    assert_eq!(whole.task.address.as_deref(), Some("172.18.0.2"));
}

#[test]
fn the_end_of_an_essential_container_ends_the_task_with_its_exit_code_and_time() {
    let plan = plan(
        &running_task(),
        Sighting::Seen(&seen(&[("web", exited(3, 5_000))])),
        at(5_040),
    );
    let task = &plan.task;
    assert_eq!(
        (task.last_status, plan.next),
        (LastStatus::Stopped, Next::Clean)
    );
    assert_eq!(task.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(
        task.stopped_reason.as_deref(),
        Some("Essential container in task exited")
    );
    assert_eq!(task.containers[&name("web")].exit_code, Some(3));
    assert_eq!(task.execution_stopped_at, Some(at(5_000)));
    assert_eq!(task.stopped_at, Some(at(5_040)));
}

#[test]
fn the_end_of_an_essential_container_is_decided_before_it_is_known_how() {
    let mut report = seen(&[("web", ContainerState::Running)]);
    report.containers.get_mut(&name("web")).unwrap().is_ending = true;
    let ending = plan(&running_task(), Sighting::Seen(&report), at(5_010));
    assert_eq!(ending.task.last_status, LastStatus::Stopping);
    assert_eq!(
        ending.next,
        Next::Advance(Goal::Stop { since: at(5_010) }),
        "the others are asked to stop"
    );
    assert_eq!(ending.task.containers[&name("web")].exit_code, None);
    let told = seen(&[("web", exited(3, 5_000))]);
    let ended = plan(&ending.task, Sighting::Seen(&told), at(5_050)).task;
    assert_eq!(ended.last_status, LastStatus::Stopped);
    assert_eq!(ended.containers[&name("web")].exit_code, Some(3));
    assert_eq!(ended.execution_stopped_at, Some(at(5_000)));
    let whole = plan(&running_task(), Sighting::Seen(&told), at(5_050)).task;
    let why = |task: &Task| (task.stop_code, task.stopped_reason.clone());
    assert_eq!(why(&ended), why(&whole), "as if it had been told at once");
}

#[test]
fn only_what_ends_a_running_task_for_good_ends_it_early() {
    let mut report = seen(&[("web", ContainerState::Running)]);
    report.containers.get_mut(&name("web")).unwrap().is_ending = true;
    let goes_on = |task: &Task| {
        let plan = plan(task, Sighting::Seen(&report), at(5_010));
        plan.task.desired_status() == DesiredStatus::Running
    };
    let starting = plan(&accepted(), Sighting::NeverAsked, at(1_500)).task;
    assert!(goes_on(&starting), "it is to be RUNNING first");
    let mut restarts = running_task();
    restarts.spec.containers[0].restart_policy = Some(RestartPolicy {
        ignored_exit_codes: Vec::new(),
        attempt_period: DurationMs::from_secs(60),
    });
    assert!(goes_on(&restarts));
    let mut optional = running_task();
    optional.spec.containers[0].essential = false;
    assert!(goes_on(&optional));
    assert!(!goes_on(&running_task()));
}

#[test]
fn a_container_that_is_not_essential_may_end() {
    let mut side = container("side");
    side.essential = false;
    let mut task = task(spec(vec![container("web"), side]));
    task = plan(&task, Sighting::NeverAsked, at(1_500)).task;
    let report = seen(&[("web", ContainerState::Running), ("side", exited(1, 2_500))]);
    let plan = plan(&task, Sighting::Seen(&report), at(2_600));
    assert_eq!(plan.task.last_status, LastStatus::Running);
    assert_eq!(plan.task.desired_status(), DesiredStatus::Running);
}

#[test]
fn an_end_moves_back_to_what_the_engine_has_on_record_and_nowhere_else() {
    let told = seen(&[("web", exited(3, 5_035))]);
    let stopped = plan(&running_task(), Sighting::Seen(&told), at(5_100)).task;
    assert_eq!(stopped.execution_stopped_at, Some(at(5_035)));
    let confirmed = |finished_at, attempt| {
        let mut seen = seen(&[("web", exited(3, finished_at))]);
        seen.containers.get_mut(&name("web")).unwrap().attempt = attempt;
        confirm_ends(&stopped, &seen)
    };
    for (engine, is) in [(5_000, 5_000), (5_035, 5_035), (9_000, 5_035), (0, 2_000)] {
        let task = confirmed(engine, 0);
        let record = &task.containers[&name("web")];
        assert_eq!(record.finished_at, Some(at(is)), "{engine}");
        assert_eq!(task.execution_stopped_at, Some(at(is)), "{engine}");
    }
    assert_eq!(confirmed(5_000, 1), stopped, "another attempt");
    let runs = seen(&[("web", ContainerState::Running)]);
    assert_eq!(confirm_ends(&stopped, &runs), stopped);
    assert_eq!(confirm_ends(&stopped, &seen(&[])), stopped, "it is gone");
}

#[test]
fn an_out_of_memory_kill_is_said_in_the_words_of_ecs() {
    let oom = ContainerState::Exited {
        exit_code: Some(137),
        oom_killed: true,
        finished_at: at(4_000),
        error: None,
    };
    let plan = plan(
        &running_task(),
        Sighting::Seen(&seen(&[("web", oom)])),
        at(4_010),
    );
    assert_eq!(
        plan.task.containers[&name("web")].reason.as_deref(),
        Some("OutOfMemoryError: Container killed due to memory usage")
    );
    assert_eq!(
        plan.task.stop_code,
        Some(StopCode::EssentialContainerExited)
    );
}

#[test]
fn a_user_stops_a_running_task() {
    let task = stop(running_task(), Some("enough"));
    let live = seen(&[("web", ContainerState::Running)]);
    let stopping = plan(&task, Sighting::Seen(&live), at(3_010));
    assert_eq!(stopping.task.last_status, LastStatus::Stopping);
    assert_eq!(
        stopping.next,
        Next::Advance(Goal::Stop { since: at(3_010) })
    );
    assert_eq!(stopping.task.stop_code, Some(StopCode::UserInitiated));
    assert_eq!(stopping.task.stopped_reason.as_deref(), Some("enough"));

    let later = plan(&stopping.task, Sighting::Seen(&live), at(9_000));
    assert_eq!(
        later.next,
        Next::Advance(Goal::Stop { since: at(3_010) }),
        "the time does not move"
    );

    let done = plan(
        &later.task,
        Sighting::Seen(&seen(&[("web", exited(0, 9_500))])),
        at(9_510),
    );
    assert_eq!(done.task.last_status, LastStatus::Stopped);
    assert_eq!(
        done.task.stop_code,
        Some(StopCode::UserInitiated),
        "the first reason stays"
    );
}

#[test]
fn a_task_that_was_never_handed_over_stops_without_the_engine() {
    let plan = plan(&stop(accepted(), None), Sighting::NeverAsked, at(3_010));
    assert_eq!(
        (plan.task.last_status, plan.next),
        (LastStatus::Stopped, Next::Nothing)
    );
    assert!(plan.task.is_finished());
    assert_eq!(
        plan.task.stopped_reason.as_deref(),
        Some("Task stopped by user")
    );
}

#[test]
fn what_cannot_be_started_stops_the_task_in_the_words_of_ecs() {
    let mut report = seen(&[]);
    let reason = "CannotPullContainerError: manifest unknown".to_owned();
    report.failure = Some(StartFailure {
        container: Some(name("web")),
        reason: reason.clone(),
    });
    let pending = plan(&accepted(), Sighting::NeverAsked, at(1_500)).task;
    let plan = plan(&pending, Sighting::Seen(&report), at(2_000));
    assert_eq!(plan.task.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(plan.task.stopped_reason, Some(reason.clone()));
    assert_eq!(plan.task.containers[&name("web")].reason, Some(reason));
    assert_eq!(
        (plan.task.last_status, plan.next),
        (LastStatus::Stopped, Next::Clean)
    );
}

#[test]
fn silence_of_the_engine_changes_nothing_but_what_the_task_says_it_waits_for() {
    let before = running_task();
    let plan = plan(
        &before,
        Sighting::Unknown("the engine is away: refused"),
        at(9_000),
    );
    assert_eq!(
        plan.task,
        Task {
            waiting: Some("the engine is away: refused".to_owned()),
            ..before
        }
    );
    assert_eq!((plan.events.len(), plan.next), (0, Next::Nothing));
}

#[test]
fn a_container_that_somebody_removed_has_ended_and_nobody_knows_how() {
    let plan = plan(&running_task(), Sighting::Seen(&seen(&[])), at(4_000));
    let record = &plan.task.containers[&name("web")];
    assert_eq!(
        (record.last_status, record.exit_code),
        (ContainerStatus::Stopped, None)
    );
    assert_eq!(
        plan.task.stop_code,
        Some(StopCode::EssentialContainerExited)
    );
    assert!(
        plan.task
            .stopped_reason
            .as_deref()
            .unwrap()
            .contains("removed by somebody")
    );
    assert_eq!(plan.task.last_status, LastStatus::Stopped);
}

#[test]
fn containers_whose_network_has_ended_are_stopped() {
    let mut report = seen(&[("web", ContainerState::Running)]);
    report.network = NetworkObservation::Down;
    let plan = plan(&running_task(), Sighting::Seen(&report), at(4_000));
    assert_eq!(plan.task.last_status, LastStatus::Stopping);
    assert!(
        plan.task
            .stopped_reason
            .as_deref()
            .unwrap()
            .contains("network namespace ended")
    );
}

fn any_sighting() -> impl Strategy<Value = Option<Observation>> {
    let state = prop_oneof![
        Just(None),
        Just(Some(ContainerState::Created)),
        Just(Some(ContainerState::Running)),
        (0..3_i64, 2_000..90_000_i64).prop_map(|(code, end)| Some(exited(code, end))),
    ];
    let network = prop_oneof![
        Just(NetworkObservation::Absent),
        Just(NetworkObservation::Down),
        Just(crate::plan::fixtures::up())
    ];
    let failure = prop::option::weighted(
        0.1,
        Just(StartFailure {
            container: None,
            reason: "no".to_owned(),
        }),
    );
    prop::option::weighted(
        0.8,
        (state.clone(), state, network, failure).prop_map(|(web, side, network, failure)| {
            let states: Vec<(&str, ContainerState)> = [("web", web), ("side", side)]
                .into_iter()
                .filter_map(|(n, s)| Some((n, s?)))
                .collect();
            Observation {
                network,
                failure,
                ..seen(&states)
            }
        }),
    )
}

proptest! {
    /// Whatever an engine reports, in whatever order: states only go forward, each change has exactly one
    /// event, a decision to stop is never taken back, and what has ended keeps its end.
    #[test]
    fn a_task_only_moves_forward(
        sightings in prop::collection::vec(any_sighting(), 1..12),
        stop_at in prop::option::of(0..12_usize),
    ) {
        let mut side = container("side");
        side.essential = false;
        let mut now = 1_500;
        let mut task = task(spec(vec![container("web"), side]));
        for (round, sighting) in sightings.iter().enumerate() {
            if stop_at == Some(round) {
                task = stop(task, None);
            }
            now += 1_000;
            let reason = "the engine is away";
            let sighting = match (task.last_status, sighting) {
                (LastStatus::Provisioning, _) => Sighting::NeverAsked,
                (_, Some(observation)) => Sighting::Seen(observation),
                (_, None) => Sighting::Unknown(reason),
            };
            let plan = plan(&task, sighting, at(now));
            let new = &plan.task;
            prop_assert!(new.last_status >= task.last_status);
            prop_assert_eq!(plan.events.len(), usize::from(new.last_status != task.last_status));
            prop_assert!(new.planned_status >= task.planned_status);
            if task.stopped_reason.is_some() {
                prop_assert_eq!(&new.stopped_reason, &task.stopped_reason);
            }
            for (name, record) in &task.containers {
                if record.finished_at.is_some() {
                    prop_assert_eq!(record, &new.containers[name]);
                }
            }
            if new.last_status == LastStatus::Stopped {
                prop_assert!(new.stopped_reason.is_some(), "a stopped task says why");
                prop_assert!(new.containers.values().all(|one| one.last_status == ContainerStatus::Stopped));
                if let Sighting::Seen(observation) = sighting {
                    let live = observation.containers.values().any(|one| one.state == ContainerState::Running);
                    prop_assert!(!live || task.last_status == LastStatus::Stopped, "stopped with a live container");
                }
            }
            task = plan.task;
        }
    }
}

#[test]
fn what_ran_when_the_host_went_down_ended_nobody_knows_how() {
    let running = running_task();
    let plan = plan(
        &running,
        Sighting::Seen(&seen(&[("web", ContainerState::Lost)])),
        at(90_000),
    );
    let task = &plan.task;
    let record = &task.containers[&name("web")];
    assert_eq!((record.exit_code, record.finished_at), (None, None));
    assert_eq!(record.reason.as_deref(), Some(HOST_WENT_DOWN));
    assert_eq!(task.last_status, LastStatus::Stopped);
    assert_eq!(task.stop_code, Some(StopCode::TerminationNotice));
    let reason = task.stopped_reason.as_deref().unwrap();
    assert!(
        reason.contains("web: the host was started anew"),
        "{reason}"
    );
    let changes = crate::meter::fold(&running, task);
    let estimated = crate::domain::UsageChange::Close {
        at: at(90_000),
        evidence: crate::domain::EndEvidence::Estimated,
    };
    assert_eq!(changes, [estimated], "the made-up time is no evidence");
}

#[test]
fn a_restart_of_the_host_does_not_change_what_was_recorded_before() {
    let mut running = running_task();
    running.spec.containers[0].essential = false;
    let exited = plan(
        &running,
        Sighting::Seen(&seen(&[("web", exited(0, 5_000))])),
        at(5_040),
    )
    .task;
    let after = plan(
        &exited,
        Sighting::Seen(&seen(&[("web", ContainerState::Lost)])),
        at(90_000),
    )
    .task;
    let record = &after.containers[&name("web")];
    assert_eq!(record.exit_code, Some(0));
    assert_eq!(record.finished_at, Some(at(5_000)));
}

#[test]
fn what_holds_a_task_to_its_size_is_recorded() {
    let mut report = seen(&[("web", ContainerState::Running)]);
    report.limits = Some(crate::domain::LimitsEnforcedBy::TaskCgroup);
    let task = plan(&running_task(), Sighting::Seen(&report), at(2_200)).task;
    assert_eq!(task.limits, report.limits);
    // Containers that are gone say nothing about it.
    let task = plan(&task, Sighting::Seen(&seen(&[])), at(2_300)).task;
    assert_eq!(task.limits, report.limits);
}

#[test]
fn a_task_without_room_waits_and_says_for_what_and_one_that_never_fits_fails_at_once() {
    let now = Shortage::Now("it waits for memory: 512 MiB needed, 100 MiB free".to_owned());
    let waits = plan(&accepted(), Sighting::NoRoom(&now), at(1_500));
    assert_eq!(waits.next, Next::Nothing);
    assert_eq!(waits.task.last_status, LastStatus::Provisioning);
    assert_eq!(waits.task.pull_started_at, None, "waiting is free");
    assert_eq!(waits.task.waiting, Some(now.to_string()));
    let goes_on = plan(&waits.task, Sighting::NeverAsked, at(1_600));
    assert_eq!(goes_on.task.last_status, LastStatus::Pending);
    assert_eq!(goes_on.task.waiting, None);

    let never = Shortage::Never("RESOURCE:MEMORY: the task needs more".to_owned());
    let fails = plan(&accepted(), Sighting::NoRoom(&never), at(1_500)).task;
    assert_eq!(fails.last_status, LastStatus::Stopped);
    assert_eq!(fails.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(fails.stopped_reason, Some(never.to_string()));
    assert!(fails.is_finished(), "the engine has nothing of it");
}

/// The container `web` runs and its health check failed, saying `output`.
fn unhealthy(output: &str) -> Observation {
    let mut seen = seen(&[("web", ContainerState::Running)]);
    let web = seen.containers.get_mut(&name("web")).unwrap();
    web.health = HealthStatus::Unhealthy;
    web.health_output = Some(output.to_owned());
    seen
}

#[test]
fn what_a_failing_check_said_stays_when_the_container_has_ended() {
    let sick = plan(
        &running_task(),
        Sighting::Seen(&unhealthy("refused")),
        at(3_000),
    )
    .task;
    let said = "health check failed: refused";
    assert_eq!(sick.containers[&name("web")].reason.as_deref(), Some(said));
    let ended = plan(
        &stop(sick.clone(), None),
        Sighting::Seen(&seen(&[("web", exited(143, 5_000))])),
        at(5_000),
    );
    assert_eq!(
        ended.task.containers[&name("web")].reason.as_deref(),
        Some(said)
    );

    // It recovers: nothing is held against it.
    let mut well = seen(&[("web", ContainerState::Running)]);
    well.containers.get_mut(&name("web")).unwrap().health = HealthStatus::Healthy;
    let well = plan(&sick, Sighting::Seen(&well), at(4_000)).task;
    assert_eq!(well.containers[&name("web")].reason, None);
}

#[test]
fn one_failed_check_of_a_healthy_container_is_no_reason_yet() {
    let mut seen = unhealthy("refused");
    seen.containers.get_mut(&name("web")).unwrap().health = HealthStatus::Healthy;
    let task = plan(&running_task(), Sighting::Seen(&seen), at(3_000)).task;
    assert_eq!(task.containers[&name("web")].reason, None);
}

#[test]
fn when_a_task_first_was_healthy_is_kept() {
    let mut task = running_task();
    task.spec.containers[0].health_check = Some(HealthCheck {
        command: vec!["CMD".to_owned(), "/check".to_owned()],
        interval: DurationMs::from_secs(5),
        timeout: DurationMs::from_secs(2),
        retries: 3,
        start_period: DurationMs::from_secs(0),
    });
    for (health, now, kept) in [
        (HealthStatus::Unknown, 3_000, None),
        (HealthStatus::Healthy, 4_000, Some(4_000)),
        (HealthStatus::Unhealthy, 5_000, Some(4_000)),
        (HealthStatus::Healthy, 6_000, Some(4_000)),
    ] {
        let mut seen = seen(&[("web", ContainerState::Running)]);
        seen.containers.get_mut(&name("web")).unwrap().health = health;
        task = plan(&task, Sighting::Seen(&seen), at(now)).task;
        assert_eq!(task.healthy_at, kept.map(at), "{health} at {now}");
    }
    let unchecked = running_task();
    assert_eq!(unchecked.healthy_at, None);
}

#[test]
fn a_task_replaced_for_its_health_says_what_the_check_said() {
    let mut sick = plan(
        &running_task(),
        Sighting::Seen(&unhealthy("refused")),
        at(3_000),
    )
    .task;
    sick.stop_request = Some(StopRequest {
        at: at(3_000),
        code: StopCode::ServiceSchedulerInitiated,
        reason: Some(FAILED_HEALTH_CHECKS.to_owned()),
    });
    let plan = plan(&sick, Sighting::Seen(&unhealthy("refused")), at(3_100));
    assert_eq!(
        plan.task.stopped_reason.as_deref(),
        Some("Task failed container health checks: web: health check failed: refused")
    );
}

#[test]
fn a_paused_container_is_waited_for_and_its_task_runs_on() {
    let mut frozen = seen(&[("web", ContainerState::Running)]);
    frozen.containers.get_mut(&name("web")).unwrap().is_paused = true;
    let plan_of = |task: &Task, seen: &Observation| plan(task, Sighting::Seen(seen), at(3_000));
    let paused = plan_of(&running_task(), &frozen);
    assert_eq!(
        (paused.task.last_status, paused.next),
        (LastStatus::Running, Next::Nothing)
    );
    let waiting = paused.task.waiting.as_deref().unwrap();
    assert!(waiting.contains("container web was paused"), "{waiting}");
    assert!(waiting.ends_with("docker unpause id-of-web"), "{waiting}");
    let goes_on = plan_of(&paused.task, &seen(&[("web", ContainerState::Running)]));
    assert_eq!(goes_on.task.waiting, None);
    let stopped = plan_of(&stop(paused.task, None), &frozen);
    assert_eq!(stopped.next, Next::Advance(Goal::Stop { since: at(3_000) }));
}
