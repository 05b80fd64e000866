//! What a schedule does now: which of its occurrences is run, which is not and why, and what is stopped for it.
//!
//! An occurrence is decided about once. What is due is what lies between `decided_until` and now; the decision moves
//! `decided_until` behind it, and both are recorded in one transaction with the run's tasks. So a crash leaves all of it
//! or nothing, and a clock that is set back finds nothing due. Of several that are due at once, at most one is run, the
//! latest: whoever was away for a week does not want a week's runs at once.

use crate::domain::{
    ConcurrencyPolicy, Due, DurationMs, MissedRuns, NewEvent, PendingRun, RunOutcome, Schedule,
    ScheduleRun, ScheduleState, ScheduledTask, TaskId, TimestampMs,
};

/// A run that begins later than this after its time was missed: nobody was there to begin it.
///
/// Source: Amazon EventBridge Scheduler invokes its targets within 60 seconds of their time.
pub const ON_TIME: DurationMs = DurationMs::from_secs(60);

/// All that the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleWorld<'a> {
    /// As it is recorded.
    pub schedule: &'a Schedule,
    /// Its tasks that have not stopped.
    pub tasks: &'a [ScheduledTask],
    /// Now.
    pub now: TimestampMs,
}

/// What is to be recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct SchedulePlan {
    /// The schedule, with its progress.
    pub schedule: Schedule,
    /// The run that begins, if one does.
    pub start: Option<PendingRun>,
    /// Tasks that make room for one, each with the reason.
    pub stop: Vec<(TaskId, String)>,
    /// Occurrences that come to nothing, oldest first.
    pub dropped: Vec<ScheduleRun>,
    /// What happened beside runs.
    pub events: Vec<NewEvent>,
    /// When to look again.
    pub wake_at: Option<TimestampMs>,
}

impl SchedulePlan {
    /// Whether there is nothing to record.
    pub fn is_empty(&self, schedule: &Schedule) -> bool {
        self.schedule == *schedule
            && self.start.is_none()
            && self.stop.is_empty()
            && self.dropped.is_empty()
            && self.events.is_empty()
    }

    fn drop_run(&mut self, run: &PendingRun, outcome: RunOutcome, why: String, now: TimestampMs) {
        let run = ScheduleRun::not_started(run.scheduled_for, outcome, why, now);
        self.dropped.push(run);
    }
}

/// Decides.
pub fn plan(world: ScheduleWorld<'_>) -> SchedulePlan {
    let now = world.now;
    let mut plan = SchedulePlan {
        schedule: world.schedule.clone(),
        start: None,
        stop: Vec::new(),
        dropped: Vec::new(),
        events: Vec::new(),
        wake_at: None,
    };
    let waiting = plan.schedule.pending.take();
    if world.schedule.definition.state == ScheduleState::Disabled {
        if let Some(waiting) = waiting {
            let why = "the schedule was disabled before it could begin".to_owned();
            plan.drop_run(&waiting, RunOutcome::Skipped, why, now);
        }
        return plan;
    }
    let timing = world.schedule.timing();
    let due = timing.due(world.schedule.decided_until, now);
    let candidate = match due {
        None => waiting,
        Some(due) => {
            plan.schedule.decided_until = due.latest;
            if let Some(waiting) = waiting {
                let why = format!(
                    "the tasks before it had not stopped when the run for {} came",
                    due.latest
                );
                plan.drop_run(&waiting, RunOutcome::Skipped, why, now);
            }
            admit(&world, due, &mut plan)
        }
    };
    if let Some(candidate) = candidate {
        make_room(&world, candidate, &mut plan);
    }
    plan.wake_at = timing.next_after(plan.schedule.decided_until);
    plan
}

/// The run for the latest of what is due, unless it comes too late.
fn admit(world: &ScheduleWorld<'_>, due: Due, plan: &mut SchedulePlan) -> Option<PendingRun> {
    let definition = &world.schedule.definition;
    let late = world.now.since(due.latest);
    let mut run = PendingRun {
        scheduled_for: due.latest,
        reason: None,
    };
    let is_missed = late > ON_TIME;
    let missed = due.count - u32::from(!is_missed);
    let counted = counted(missed);
    let too_late = definition
        .starting_deadline
        .filter(|deadline| late > *deadline);
    if let (true, Some(deadline)) = (is_missed, too_late) {
        let why = format!(
            "{counted} passed while Neargate was not there, and the latest lies back more than {} s",
            deadline.as_millis() / 1_000
        );
        plan.drop_run(&run, RunOutcome::Missed, why, world.now);
        return None;
    }
    match (missed, definition.missed_runs) {
        (0, _) => {}
        (_, MissedRuns::RunOnce) => {
            let instead = if is_missed {
                "this one is run"
            } else {
                "only this one is run"
            };
            run.reason = Some(format!(
                "{counted} passed while Neargate was not there; {instead}"
            ));
        }
        (_, MissedRuns::Skip) if is_missed => {
            let why = format!("{counted} passed while Neargate was not there");
            plan.drop_run(&run, RunOutcome::Missed, why, world.now);
            return None;
        }
        (_, MissedRuns::Skip) => {
            let said = format!("{counted} passed while Neargate was not there");
            let event = world
                .schedule
                .event(Some(RunOutcome::Missed), &said, world.now);
            plan.events.push(event);
        }
    }
    Some(run)
}

fn counted(runs: u32) -> String {
    match runs {
        1 => "the time of 1 run".to_owned(),
        Due::MOST.. => format!("the times of {} runs or more", Due::MOST),
        _ => format!("the times of {runs} runs"),
    }
}

/// Begins a run, as far as tasks of earlier ones let it.
fn make_room(world: &ScheduleWorld<'_>, run: PendingRun, plan: &mut SchedulePlan) {
    let policy = world.schedule.definition.concurrency_policy;
    match policy {
        _ if world.tasks.is_empty() => plan.start = Some(run),
        ConcurrencyPolicy::Allow => plan.start = Some(run),
        ConcurrencyPolicy::Forbid => {
            let mut why = match world.tasks {
                [task] => format!("task {} of an earlier run still goes on", task.id),
                [task, rest @ ..] => format!(
                    "task {} and {} more of earlier runs still go on",
                    task.id,
                    rest.len()
                ),
                [] => String::new(),
            };
            if let Some(reason) = &run.reason {
                why = format!("{why} ({reason})");
            }
            plan.drop_run(&run, RunOutcome::Skipped, why, world.now);
        }
        ConcurrencyPolicy::Replace => {
            let why = format!(
                "Replaced by the run of schedule {} for {}",
                world.schedule.name, run.scheduled_for
            );
            let going = world.tasks.iter().filter(|task| !task.is_stopping);
            plan.stop = going.map(|task| (task.id.clone(), why.clone())).collect();
            plan.schedule.pending = Some(run);
        }
    }
}

#[cfg(test)]
mod tests;
