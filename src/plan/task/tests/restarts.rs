//! Containers that are started again without their task.

use super::*;
use crate::domain::{DurationMs, RestartPolicy};
use crate::meter;

/// A container that is started again if it ran for 3 s and did not end with 7.
fn restarted(text: &str) -> ContainerDefinition {
    ContainerDefinition {
        restart_policy: Some(RestartPolicy {
            ignored_exit_codes: vec![7],
            attempt_period: DurationMs::from_secs(3),
        }),
        ..container(text)
    }
}

/// A task of these, which all run since 2,000 ms.
fn running(containers: Vec<ContainerDefinition>) -> Task {
    let states: Vec<_> = containers
        .iter()
        .map(|one| (one.name.to_string(), ContainerState::Running))
        .collect();
    let states: Vec<_> = states
        .iter()
        .map(|(name, state)| (name.as_str(), state.clone()))
        .collect();
    let task = plan(&task(spec(containers)), Sighting::NeverAsked, at(1_500)).task;
    let task = plan(&task, Sighting::Seen(&seen(&states)), at(2_100)).task;
    assert_eq!(task.last_status, LastStatus::Running);
    task
}

fn look(task: &Task, states: &[(&str, ContainerState)], now: i64) -> TaskPlan {
    plan(task, Sighting::Seen(&seen(states)), at(now))
}

/// A report of `web` alone, by that attempt, which was started at that time.
fn attempt(attempt: u32, state: ContainerState, started_at: i64) -> Observation {
    let mut report = seen(&[("web", state)]);
    let web = report.containers.get_mut(&name("web")).unwrap();
    (web.attempt, web.runtime_id) = (attempt, format!("id-{attempt}"));
    web.started_at = web.started_at.map(|_| at(started_at));
    report
}

fn web(task: &Task) -> &ContainerRecord {
    &task.containers[&name("web")]
}

fn messages(plan: &TaskPlan) -> Vec<&str> {
    let told = plan.events.iter().map(|event| event.message.as_str());
    told.collect()
}

#[test]
fn an_essential_container_is_started_again_and_its_task_goes_on() {
    let before = running(vec![restarted("web")]);
    let ended = look(&before, &[("web", exited(1, 5_000))], 5_010);
    let task = &ended.task;
    assert_eq!(
        (task.last_status, task.desired_status(), ended.next),
        (
            LastStatus::Running,
            DesiredStatus::Running,
            Next::Advance(Goal::Run)
        )
    );
    assert_eq!(
        (
            web(task).last_status,
            web(task).attempt,
            web(task).restart_count
        ),
        (ContainerStatus::Pending, 1, 0),
        "it is decided, and has not happened"
    );
    assert_eq!(
        messages(&ended),
        ["container web ended with exit code 1 and is started again, attempt 1"]
    );
    assert_eq!(ended.events[0].kind, EventKind::TaskNotice);
    assert_eq!(meter::fold(&before, task), [], "one interval goes on");

    // What the earlier attempt has left says nothing any more, however often it is seen.
    let again = look(task, &[("web", exited(1, 5_000))], 5_020);
    assert_eq!((&again.task, again.next), (task, ended.next));
    assert!(again.events.is_empty());

    let created = attempt(1, ContainerState::Created, 0);
    let created = plan(task, Sighting::Seen(&created), at(5_030));
    assert_eq!(web(&created.task).restart_count, 0);
    let runs = attempt(1, ContainerState::Running, 5_040);
    let runs = plan(&created.task, Sighting::Seen(&runs), at(5_050));
    assert_eq!(
        (runs.next, runs.task.last_status),
        (Next::Nothing, LastStatus::Running)
    );
    let record = web(&runs.task);
    assert_eq!(
        (record.last_status, record.restart_count, record.started_at),
        (ContainerStatus::Running, 1, Some(at(5_040)))
    );
    assert_eq!(
        (record.exit_code, record.finished_at),
        (None, None),
        "the end of the earlier attempt is not the container's"
    );
    assert_eq!(runs.task.started_at, before.started_at);

    // It ends for good: with the code and the time of its last attempt.
    let end = attempt(1, exited(7, 9_000), 5_040);
    let end = plan(&runs.task, Sighting::Seen(&end), at(9_010));
    assert_eq!(
        (end.task.last_status, end.next),
        (LastStatus::Stopped, Next::Clean)
    );
    assert_eq!(
        (web(&end.task).exit_code, web(&end.task).restart_count),
        (Some(7), 1)
    );
    assert_eq!(end.task.execution_stopped_at, Some(at(9_000)));
    assert_eq!(
        end.task.stopped_reason.as_deref(),
        Some("Essential container in task exited")
    );
    assert_eq!(
        messages(&end)[0],
        "container web ended with exit code 7 and is not started again: 7 is among the ignoredExitCodes of its restartPolicy"
    );
}

#[test]
fn an_attempt_that_began_and_ended_between_two_looks_is_counted() {
    let task = running(vec![restarted("web")]);
    let task = look(&task, &[("web", exited(1, 5_000))], 5_010).task;
    let end = attempt(1, exited(1, 5_500), 5_040);
    let end = plan(&task, Sighting::Seen(&end), at(60_000));
    let record = web(&end.task);
    assert_eq!(
        (record.restart_count, record.attempt, record.last_status),
        (1, 1, ContainerStatus::Stopped),
        "it did not run for 3 s, whenever somebody looks"
    );
    assert_eq!(end.task.stop_code, Some(StopCode::EssentialContainerExited));
}

#[test]
fn one_that_ran_too_short_ends_as_without_a_policy() {
    let task = running(vec![restarted("web")]);
    let end = look(&task, &[("web", exited(1, 4_999))], 60_000);
    assert_eq!(end.task.last_status, LastStatus::Stopped);
    assert_eq!(
        messages(&end)[0],
        "container web ended with exit code 1 and is not started again: \
         it ran 2 s, less than the restartAttemptPeriod of 3 s"
    );
}

#[test]
fn one_that_is_not_essential_ends_alone_when_it_is_not_started_again() {
    let mut side = restarted("side");
    side.essential = false;
    let task = running(vec![container("web"), side]);
    let states = |side| [("web", ContainerState::Running), ("side", side)];
    let end = look(&task, &states(exited(7, 9_000)), 9_010);
    assert_eq!(
        (end.task.last_status, end.next),
        (LastStatus::Running, Next::Nothing)
    );
    let again = look(&task, &states(exited(0, 9_000)), 9_010);
    assert_eq!(again.next, Next::Advance(Goal::Run));
}

#[test]
fn nothing_is_started_again_in_a_task_that_stops() {
    let running = running(vec![restarted("web"), container("other")]);
    let both = [("web", exited(1, 9_000)), ("other", exited(0, 9_000))];
    let end = look(&running, &both, 9_010);
    assert_eq!(end.task.last_status, LastStatus::Stopped);
    assert_eq!(
        (web(&end.task).attempt, web(&end.task).exit_code),
        (0, Some(1))
    );
    assert_eq!(
        messages(&end)[0],
        "container web ended with exit code 1 and is not started again: its task stops"
    );

    let stopping = stop(running, None);
    let end = look(&stopping, &both, 9_010);
    assert_eq!(
        (web(&end.task).attempt, web(&end.task).exit_code),
        (0, Some(1))
    );
    assert_eq!(end.events.len(), 1, "{:?}", messages(&end));
}

#[test]
fn a_stop_before_the_next_attempt_leaves_the_end_of_the_one_before() {
    let task = running(vec![restarted("web")]);
    let task = look(&task, &[("web", exited(1, 5_000))], 5_010).task;
    let stopping = stop(task, None);
    let created = attempt(1, ContainerState::Created, 0);
    let waits = plan(&stopping, Sighting::Seen(&created), at(5_100));
    assert_eq!(waits.next, Next::Advance(Goal::Stop { since: at(5_100) }));
    let end = plan(&waits.task, Sighting::Seen(&seen(&[])), at(5_200)).task;
    let record = web(&end);
    assert_eq!(end.last_status, LastStatus::Stopped);
    assert_eq!(
        (record.last_status, record.exit_code, record.restart_count),
        (ContainerStatus::Stopped, Some(1), 0)
    );
    assert_eq!(
        end.execution_stopped_at,
        Some(at(5_000)),
        "the bill ends there"
    );
}

#[test]
fn one_that_cannot_be_started_again_ends_its_task_with_the_reason() {
    let task = running(vec![restarted("web")]);
    let oom = ContainerState::Exited {
        exit_code: Some(137),
        oom_killed: true,
        finished_at: at(5_000),
        error: None,
    };
    let task = look(&task, &[("web", oom)], 5_010).task;
    assert_eq!(web(&task).attempt, 1);
    let mut report = seen(&[]);
    report.failure = Some(StartFailure {
        container: Some(name("web")),
        reason: "CannotPullContainerError: gone".to_owned(),
    });
    let end = plan(&task, Sighting::Seen(&report), at(5_100)).task;
    assert_eq!(end.stop_code, Some(StopCode::EssentialContainerExited));
    assert_eq!(
        end.stopped_reason.as_deref(),
        Some("Essential container in task exited: web: CannotPullContainerError: gone")
    );
    assert_eq!(
        (web(&end).restart_count, web(&end).exit_code),
        (0, Some(137))
    );
}

#[test]
fn a_task_whose_network_has_ended_is_not_kept_alive_by_a_restart() {
    for network in [NetworkObservation::Down, NetworkObservation::Absent] {
        let task = running(vec![restarted("web")]);
        let mut report = seen(&[("web", exited(137, 9_000))]);
        report.network = network.clone();
        let end = plan(&task, Sighting::Seen(&report), at(9_010)).task;
        assert_eq!(
            (end.last_status, web(&end).attempt),
            (LastStatus::Stopped, 0)
        );

        // Between two attempts, too: whoever comes next would have another address.
        let between = look(&task, &[("web", exited(1, 9_000))], 9_010).task;
        let mut report = seen(&[]);
        report.network = network;
        let end = plan(&between, Sighting::Seen(&report), at(9_020)).task;
        assert_eq!(end.desired_status(), DesiredStatus::Stopped);
    }
}

#[test]
fn nobody_knows_how_it_ended_and_so_it_is_not_started_again() {
    let task = running(vec![restarted("web")]);
    let end = look(&task, &[("web", ContainerState::Lost)], 9_010).task;
    assert_eq!(end.stop_code, Some(StopCode::TerminationNotice));
}

#[test]
fn an_attempt_that_an_older_backup_does_not_know_is_where_the_count_goes_on() {
    let before = running(vec![restarted("web")]);
    let seen = attempt(5, ContainerState::Running, 60_000);
    let found = plan(&before, Sighting::Seen(&seen), at(61_000)).task;
    assert_eq!(
        (
            web(&found).attempt,
            web(&found).restart_count,
            web(&found).last_status,
            web(&found).started_at
        ),
        (5, 5, ContainerStatus::Running, Some(at(60_000)))
    );
    let ended = attempt(5, exited(1, 70_000), 60_000);
    let again = plan(&found, Sighting::Seen(&ended), at(70_010)).task;
    assert_eq!((web(&again).attempt, web(&again).restart_count), (6, 5));
    // One that was created and not started yet is the one that is due.
    let made = attempt(5, ContainerState::Created, 0);
    let found = plan(&before, Sighting::Seen(&made), at(61_000)).task;
    assert_eq!(
        (
            web(&found).attempt,
            web(&found).restart_count,
            web(&found).last_status
        ),
        (5, 0, ContainerStatus::Pending)
    );
}
