//! What transitions do to a usage interval.

use super::*;
use crate::domain::{ContainerState, CpuUnits, DurationMs, MemoryMib};
use crate::plan::fixtures::{at, container, exited, seen, spec, task};
use crate::plan::task::{Sighting, confirm_ends, plan};

/// The interval that follows from a task's rounds, each with what was seen and when.
fn interval_of(rounds: &[(Sighting<'_>, i64)]) -> (UsageInterval, usize) {
    let mut task = task(spec(vec![container("web")]));
    let mut interval: Option<UsageInterval> = None;
    let mut changes = 0;
    for (sighting, now) in rounds {
        let next = plan(&task, *sighting, at(*now)).task;
        for change in fold(&task, &next) {
            changes += 1;
            match change {
                UsageChange::Open(opened) => {
                    assert!(interval.replace(opened).is_none(), "opened twice");
                }
                UsageChange::Measure(_) | UsageChange::Confirm { .. } => {
                    unreachable!("a round measures nothing, and confirms nothing")
                }
                UsageChange::Close { at, evidence } => {
                    let open = interval.as_mut().expect("closed before it was opened");
                    assert!(
                        open.closed.replace((at, evidence)).is_none(),
                        "closed twice"
                    );
                }
            }
        }
        task = next;
    }
    (interval.expect("never opened"), changes)
}

#[test]
fn its_end_moves_back_to_the_engines_own() {
    let mut task = task(spec(vec![container("web")]));
    for (sighting, now) in [
        (Sighting::NeverAsked, 1_500),
        (Sighting::Seen(&seen(&[("web", exited(0, 5_035))])), 5_100),
    ] {
        task = plan(&task, sighting, at(now)).task;
    }
    let confirmed = confirm_ends(&task, &seen(&[("web", exited(0, 5_000))]));
    let to = |millis| vec![UsageChange::Confirm { at: at(millis) }];
    assert_eq!(fold(&task, &confirmed), to(5_000));
    assert_eq!(fold(&confirmed, &task), [], "never later");
    let mut cleaned = confirmed.clone();
    cleaned.cleaned_at = Some(at(6_000));
    assert_eq!(fold(&confirmed, &cleaned), []);
}

#[test]
fn it_lasts_from_before_the_pull_to_the_engines_own_finish_time() {
    let live = seen(&[("web", ContainerState::Running)]);
    let ended = seen(&[("web", exited(0, 5_000))]);
    let (interval, changes) = interval_of(&[
        (Sighting::NeverAsked, 1_500),
        (Sighting::Seen(&live), 2_100),
        (Sighting::Unknown("away"), 4_000),
        (Sighting::Seen(&ended), 60_000),
        (Sighting::Seen(&ended), 61_000),
    ]);
    assert_eq!(interval.opened_at, at(1_500));
    assert_eq!(interval.closed, Some((at(5_000), EndEvidence::Engine)));
    assert_eq!(
        (interval.cpu, interval.memory),
        (CpuUnits(256), MemoryMib(512))
    );
    assert_eq!(changes, 2);

    let reserved = Reserved::of(&interval, at(99_000));
    assert_eq!(
        reserved,
        Reserved {
            milli_vcpu_ms: 3_500 * 250,
            mib_ms: 3_500 * 512
        }
    );
}

#[test]
fn a_task_that_never_started_is_closed_when_that_was_clear() {
    let mut failed = seen(&[]);
    failed.failure = Some(crate::domain::StartFailure {
        container: None,
        reason: "no".to_owned(),
    });
    let (interval, _) = interval_of(&[
        (Sighting::NeverAsked, 1_500),
        (Sighting::Seen(&failed), 2_000),
    ]);
    assert_eq!(
        interval.closed,
        Some((at(2_000), EndEvidence::NeverStarted))
    );
}

#[test]
fn an_end_that_nobody_recorded_is_estimated_and_says_so() {
    let live = seen(&[("web", ContainerState::Running)]);
    let gone = seen(&[]);
    let (interval, _) = interval_of(&[
        (Sighting::NeverAsked, 1_500),
        (Sighting::Seen(&live), 2_100),
        (Sighting::Seen(&gone), 4_000),
    ]);
    assert_eq!(interval.closed, Some((at(4_000), EndEvidence::Estimated)));
}

#[test]
fn an_end_before_the_beginning_counts_as_nothing() {
    let ended = seen(&[("web", exited(0, 1_200))]);
    let (interval, _) = interval_of(&[
        (Sighting::NeverAsked, 9_000),
        (Sighting::Seen(&ended), 9_100),
    ]);
    assert_eq!(interval.length(at(99_000)), DurationMs::from_millis(0));
}

#[test]
fn waiting_for_room_costs_nothing() {
    let shortage = crate::domain::Shortage::Now("waiting for 512 MiB".to_owned());
    let waiting = task(spec(vec![container("web")]));
    let still = plan(&waiting, Sighting::NoRoom(&shortage), at(60_000)).task;
    assert_eq!(fold(&waiting, &still), []);
    // It begins when there is room, not when it was asked for.
    let begun = plan(&still, Sighting::NeverAsked, at(90_000)).task;
    let opened_at = fold(&still, &begun)
        .into_iter()
        .find_map(|change| match change {
            UsageChange::Open(interval) => Some(interval.opened_at),
            _ => None,
        });
    assert_eq!(opened_at, Some(at(90_000)));
}

#[test]
fn the_time_spent_stopping_counts() {
    let live = seen(&[("web", ContainerState::Running)]);
    let begun = plan(
        &task(spec(vec![container("web")])),
        Sighting::NeverAsked,
        at(1_500),
    )
    .task;
    let mut running = plan(&begun, Sighting::Seen(&live), at(2_100)).task;
    running.stop_request = Some(crate::domain::StopRequest {
        at: at(10_000),
        code: crate::domain::StopCode::UserInitiated,
        reason: None,
    });
    let stopping = plan(&running, Sighting::Seen(&live), at(10_010)).task;
    assert_eq!(fold(&running, &stopping), [], "its container still runs");
    let ended = seen(&[("web", exited(137, 40_000))]);
    let stopped = plan(&stopping, Sighting::Seen(&ended), at(40_020)).task;
    let close = UsageChange::Close {
        at: at(40_000),
        evidence: EndEvidence::Engine,
    };
    assert_eq!(fold(&stopping, &stopped), [close]);
}

#[test]
fn a_container_that_is_started_again_neither_ends_the_interval_nor_begins_one() {
    let mut web = container("web");
    web.restart_policy = Some(crate::domain::RestartPolicy {
        ignored_exit_codes: Vec::new(),
        attempt_period: DurationMs::from_secs(1),
    });
    let begun = plan(&task(spec(vec![web])), Sighting::NeverAsked, at(1_500)).task;
    let live = seen(&[("web", ContainerState::Running)]);
    let running = plan(&begun, Sighting::Seen(&live), at(2_100)).task;
    let ended = seen(&[("web", exited(1, 9_000))]);
    let again = plan(&running, Sighting::Seen(&ended), at(9_010)).task;
    assert_eq!(again.last_status, LastStatus::Running);
    assert_eq!(fold(&running, &again), []);
}

#[test]
fn an_end_that_nobody_recorded_is_when_the_task_was_last_seen_to_run() {
    let live = seen(&[("web", ContainerState::Running)]);
    for (last_alive, end) in [(Some(3_000), 3_000), (Some(1_000), 2_000), (None, 60_000)] {
        let mut gone = seen(&[("web", ContainerState::Lost)]);
        gone.last_alive = last_alive.map(at);
        let (interval, _) = interval_of(&[
            (Sighting::NeverAsked, 1_500),
            (Sighting::Seen(&live), 2_100),
            (Sighting::Seen(&gone), 60_000),
        ]);
        assert_eq!(interval.closed, Some((at(end), EndEvidence::Estimated)));
    }
}
