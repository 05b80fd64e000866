//! What transitions do to a usage interval.

use super::*;
use crate::domain::{ContainerState, CpuUnits, DurationMs, MemoryMib};
use crate::plan::fixtures::{at, container, exited, seen, spec, task};
use crate::plan::task::{Sighting, plan};

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
                UsageChange::Measure(_) => unreachable!("a recorded change measures nothing"),
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
