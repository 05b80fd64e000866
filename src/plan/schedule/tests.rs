use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{ScheduleDefinition, ScheduleTarget, ScheduleTimeZone, TaskOverrides};

/// So many minutes and seconds after a full hour.
fn at(minutes: i64, seconds: i64) -> TimestampMs {
    TimestampMs::from_millis(1_793_491_200_000 + (minutes * 60 + seconds) * 1_000)
}

/// Runs every ten minutes, and was created at 0:01.
fn schedule(policy: ConcurrencyPolicy, missed: MissedRuns) -> Schedule {
    let target = ScheduleTarget {
        cluster: "default".parse().unwrap(),
        task_definition: "web".parse().unwrap(),
        count: 1,
        overrides: TaskOverrides::default(),
        overrides_document: serde_json::json!({}),
        enable_execute_command: false,
        tags: BTreeMap::new(),
        group: None,
        propagate_tags: false,
    };
    let definition = ScheduleDefinition {
        expression: "cron(0/10 * * * ? *)".parse().unwrap(),
        time_zone: ScheduleTimeZone::default(),
        start_date: None,
        end_date: None,
        description: None,
        state: ScheduleState::Enabled,
        concurrency_policy: policy,
        missed_runs: missed,
        starting_deadline: None,
        target,
    };
    Schedule::new("nightly".parse().unwrap(), definition, at(1, 0))
}

fn task(n: u8) -> ScheduledTask {
    ScheduledTask {
        id: format!("{n:032x}").parse().unwrap(),
        is_stopping: false,
    }
}

fn look(schedule: &Schedule, tasks: &[ScheduledTask], now: TimestampMs) -> SchedulePlan {
    plan(ScheduleWorld {
        schedule,
        tasks,
        now,
    })
}

/// For which times it starts a run, and drops ones, with the outcome.
fn told(plan: &SchedulePlan) -> (Option<i64>, Vec<(i64, RunOutcome)>) {
    let minutes = |time: TimestampMs| time.since(at(0, 0)).as_millis() / 60_000;
    let dropped = plan.dropped.iter();
    (
        plan.start.as_ref().map(|run| minutes(run.scheduled_for)),
        dropped
            .map(|run| (minutes(run.scheduled_for), run.outcome))
            .collect(),
    )
}

use ConcurrencyPolicy::{Allow, Forbid, Replace};
use MissedRuns::{RunOnce, Skip};

#[test]
fn it_waits_for_its_time_and_runs_once() {
    let schedule = schedule(Allow, RunOnce);
    let before = look(&schedule, &[], at(9, 59));
    assert!(before.is_empty(&schedule));
    assert_eq!(before.wake_at, Some(at(10, 0)));
    let then = look(&schedule, &[], at(10, 0));
    assert_eq!(told(&then), (Some(10), vec![]));
    assert_eq!(then.start.as_ref().unwrap().reason, None);
    assert_eq!(then.wake_at, Some(at(20, 0)));
    // The decision is recorded: it is not made again, whatever the clock does.
    for now in [at(10, 0), at(10, 1), at(19, 59), at(0, 0)] {
        let again = look(&then.schedule, &[task(1)], now);
        assert!(again.is_empty(&then.schedule), "{now}");
        assert_eq!(again.wake_at, Some(at(20, 0)));
    }
    assert_eq!(
        told(&look(&then.schedule, &[], at(20, 0))),
        (Some(20), vec![])
    );
}

#[test]
fn allow_runs_them_beside_each_other() {
    let plan = look(&schedule(Allow, RunOnce), &[task(1)], at(10, 3));
    assert_eq!(told(&plan), (Some(10), vec![]));
    assert!(plan.stop.is_empty());
}

#[test]
fn forbid_skips_while_an_earlier_run_goes_on() {
    let schedule = schedule(Forbid, RunOnce);
    let plan = look(&schedule, &[task(1)], at(10, 0));
    assert_eq!(told(&plan), (None, vec![(10, RunOutcome::Skipped)]));
    let why = plan.dropped[0].reason.as_deref().unwrap();
    assert_eq!(
        why,
        "task 00000000000000000000000000000001 of an earlier run still goes on"
    );
    // It is not made up for when that one ends.
    assert!(look(&plan.schedule, &[], at(11, 0)).is_empty(&plan.schedule));
    assert_eq!(
        told(&look(&plan.schedule, &[], at(20, 0))),
        (Some(20), vec![])
    );
}

#[test]
fn replace_stops_the_earlier_run_first_and_begins_when_it_has_stopped() {
    let schedule = schedule(Replace, Skip);
    let mut tasks = [task(1), task(2)];
    tasks[1].is_stopping = true;
    let plan = look(&schedule, &tasks, at(10, 0));
    assert_eq!(told(&plan), (None, vec![]));
    let stopped: Vec<_> = plan.stop.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(stopped, [task(1).id]);
    assert!(
        plan.stop[0]
            .1
            .starts_with("Replaced by the run of schedule nightly for 20")
    );
    // While they come to their end, nothing happens; however long that takes, the run is not late for it.
    tasks[0].is_stopping = true;
    let still = look(&plan.schedule, &tasks, at(12, 0));
    assert!(still.is_empty(&plan.schedule), "{still:#?}");
    let then = look(&plan.schedule, &[], at(15, 0));
    assert_eq!(told(&then), (Some(10), vec![]));
    assert_eq!(then.schedule.pending, None);
    // Should they take until the next one, that one is run instead.
    let next = look(&plan.schedule, &tasks, at(20, 0));
    assert_eq!(told(&next), (None, vec![(10, RunOutcome::Skipped)]));
    assert_eq!(
        told(&look(&next.schedule, &[], at(20, 1))),
        (Some(20), vec![])
    );
}

#[test]
fn of_missed_runs_the_latest_is_run_or_none() {
    let away_until = at(59, 0);
    let once = look(&schedule(Allow, RunOnce), &[], away_until);
    assert_eq!(told(&once), (Some(50), vec![]));
    let why = once.start.unwrap().reason.unwrap();
    assert!(why.starts_with("the times of 5 runs passed"), "{why}");
    assert!(look(&once.schedule, &[], away_until).is_empty(&once.schedule));

    let skip = look(&schedule(Allow, Skip), &[], away_until);
    assert_eq!(told(&skip), (None, vec![(50, RunOutcome::Missed)]));
    assert_eq!(skip.wake_at, Some(at(60, 0)));
    assert!(look(&skip.schedule, &[], away_until).is_empty(&skip.schedule));
}

#[test]
fn a_run_that_is_on_time_is_run_whatever_was_missed_before() {
    for missed in [RunOnce, Skip] {
        let plan = look(&schedule(Allow, missed), &[], at(30, 20));
        assert_eq!(told(&plan), (Some(30), vec![]), "{missed}");
        let said = plan.events.len() + usize::from(plan.start.unwrap().reason.is_some());
        assert_eq!(said, 1, "{missed}: that two were missed is told");
    }
    // A minute is on time.
    let plan = look(&schedule(Allow, Skip), &[], at(11, 0));
    assert_eq!(told(&plan), (Some(10), vec![]));
    let plan = look(&schedule(Allow, Skip), &[], at(11, 1));
    assert_eq!(told(&plan), (None, vec![(10, RunOutcome::Missed)]));
}

#[test]
fn a_run_does_not_begin_after_its_deadline() {
    let mut schedule = schedule(Allow, RunOnce);
    schedule.definition.starting_deadline = Some(DurationMs::from_secs(300));
    assert_eq!(told(&look(&schedule, &[], at(15, 0))), (Some(10), vec![]));
    let late = look(&schedule, &[], at(15, 1));
    assert_eq!(told(&late), (None, vec![(10, RunOutcome::Missed)]));
}

#[test]
fn a_missed_run_obeys_the_policy_too() {
    let plan = look(&schedule(Forbid, RunOnce), &[task(1)], at(35, 0));
    assert_eq!(told(&plan), (None, vec![(30, RunOutcome::Skipped)]));
}

#[test]
fn a_disabled_one_does_nothing_and_gives_up_what_waits() {
    let mut schedule = schedule(Replace, RunOnce);
    let mut waiting = look(&schedule, &[task(1)], at(10, 0)).schedule;
    schedule.definition.state = ScheduleState::Disabled;
    waiting.definition.state = ScheduleState::Disabled;
    let plan = look(&schedule, &[], at(30, 0));
    assert!(plan.is_empty(&schedule) && plan.wake_at.is_none());
    let plan = look(&waiting, &[], at(11, 0));
    assert_eq!(told(&plan), (None, vec![(10, RunOutcome::Skipped)]));
}

proptest! {
    /// Whatever the clock does, however often somebody looks, and whichever decisions a crash loses before they are
    /// recorded: no occurrence is started or dropped twice, and they are started in their order.
    #[test]
    fn never_twice(
        policy in prop_oneof![Just(Allow), Just(Forbid), Just(Replace)],
        missed in prop_oneof![Just(RunOnce), Just(Skip)],
        steps in proptest::collection::vec((-5_000_i64..8_000, any::<bool>(), 0_u8..3), 1..60),
    ) {
        let mut schedule = schedule(policy, missed);
        let mut now = at(1, 0);
        let mut seen = std::collections::BTreeSet::new();
        let mut last = None;
        for (seconds, is_lost, tasks) in steps {
            now = TimestampMs::from_millis((now.as_millis() + seconds * 1_000).max(at(0, 0).as_millis()));
            let tasks: Vec<_> = (0..tasks).map(task).collect();
            let plan = look(&schedule, &tasks, now);
            if let Some(run) = &plan.start {
                prop_assert!(policy == Allow || tasks.is_empty(), "beside another one");
                prop_assert!(run.scheduled_for <= now || schedule.pending.is_some(), "before its time");
            }
            if is_lost {
                continue;
            }
            let dropped = plan.dropped.iter().map(|run| run.scheduled_for);
            for time in dropped.chain(plan.start.iter().map(|run| run.scheduled_for)) {
                prop_assert!(seen.insert(time), "{time} twice");
            }
            if let Some(run) = &plan.start {
                prop_assert!(last < Some(run.scheduled_for));
                last = Some(run.scheduled_for);
            }
            prop_assert!(plan.schedule.decided_until >= schedule.decided_until);
            schedule = plan.schedule;
        }
    }
}
