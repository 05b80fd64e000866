//! A schedule: tasks that are run at the times that an expression means.
//!
//! What the user wants (`definition`) is written by the use cases alone, how far the scheduler has come
//! (`decided_until`, `pending`) by the planner alone. Both write the row under its `version`.
//!
//! Names are those of Amazon EventBridge Scheduler, and those of a Kubernetes `CronJob` where EventBridge has none.

mod cron;
mod expression;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use expression::{Due, InvalidExpression, ScheduleExpression, ScheduleTimeZone, Timing};

use super::task::ecs_names;
use super::{
    ClusterName, DurationMs, EventKind, Faults, IdSource, NewEvent, RegisteredTaskDefinition,
    ScheduleName, Task, TaskDefinitionReference, TaskId, TaskOverrides, TaskSpec, TimestampMs,
};

/// What begins `startedBy` of a schedule's tasks: `schedule/nightly`. No other task may have it.
pub const STARTED_BY_SCHEDULE: &str = "schedule/";

impl ScheduleName {
    /// What its tasks are started by.
    pub fn started_by(&self) -> String {
        format!("{STARTED_BY_SCHEDULE}{self}")
    }

    /// The schedule that starts tasks with this `startedBy`, if one does.
    pub fn of_started_by(started_by: &str) -> Option<Self> {
        started_by.strip_prefix(STARTED_BY_SCHEDULE)?.parse().ok()
    }
}

/// Whether a schedule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduleState {
    /// It does.
    #[default]
    Enabled,
    /// It does not, and misses nothing meanwhile.
    Disabled,
}

ecs_names!(ScheduleState {
    Enabled = "ENABLED",
    Disabled = "DISABLED",
});

/// What happens when it is time and tasks of an earlier run still go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConcurrencyPolicy {
    /// They run beside each other.
    #[default]
    Allow,
    /// The run is skipped.
    Forbid,
    /// They are stopped, and when they have stopped the run begins.
    Replace,
}

ecs_names!(ConcurrencyPolicy {
    Allow = "allow",
    Forbid = "forbid",
    Replace = "replace",
});

/// What happens with runs whose time has passed while Neargate was not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissedRuns {
    /// However many there are, one is made up for: the latest.
    #[default]
    RunOnce,
    /// They are let be.
    Skip,
}

ecs_names!(MissedRuns {
    RunOnce = "runOnce",
    Skip = "skip",
});

/// What a schedule runs: what `RunTask` takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleTarget {
    /// Where.
    pub cluster: ClusterName,
    /// What; without a revision, the newest active one each time.
    pub task_definition: TaskDefinitionReference,
    /// How many tasks.
    pub count: u32,
    /// What a run changes.
    pub overrides: TaskOverrides,
    /// The same as it was sent, to be given back.
    pub overrides_document: serde_json::Value,
    /// Whether people may run commands in them.
    pub enable_execute_command: bool,
    /// Keys and values to find them by.
    pub tags: BTreeMap<String, String>,
    /// `family:<family>` unless something is said.
    pub group: Option<String>,
    /// Whether they get the tags of their task definition, too.
    pub propagate_tags: bool,
}

impl ScheduleTarget {
    /// What its tasks run, when its definition is `registered`; or all that is wrong with that.
    pub fn spec(&self, registered: &RegisteredTaskDefinition) -> Result<TaskSpec, Faults> {
        let spec = TaskSpec::new(registered.definition.clone(), registered.revision);
        self.overrides.apply(TaskSpec {
            enable_execute_command: self.enable_execute_command,
            ..spec
        })
    }

    /// The tags of its tasks, when its definition is `registered`. Its own count before those of the definition.
    fn task_tags(&self, registered: &RegisteredTaskDefinition) -> BTreeMap<String, String> {
        let mut tags = BTreeMap::new();
        let sent = registered.document["tags"].as_array();
        for tag in sent.into_iter().flatten().filter(|_| self.propagate_tags) {
            if let Some(key) = tag["key"].as_str() {
                let value = tag["value"].as_str().unwrap_or_default();
                tags.insert(key.to_owned(), value.to_owned());
            }
        }
        tags.extend(self.tags.clone());
        tags
    }
}

/// What the user wants of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleDefinition {
    /// At which times it runs.
    pub expression: ScheduleExpression,
    /// Where these times are read.
    pub time_zone: ScheduleTimeZone,
    /// Not before that.
    pub start_date: Option<TimestampMs>,
    /// Not after that.
    pub end_date: Option<TimestampMs>,
    /// For people.
    pub description: Option<String>,
    /// Whether it runs.
    pub state: ScheduleState,
    /// What happens when an earlier run still goes on.
    pub concurrency_policy: ConcurrencyPolicy,
    /// What happens with runs that were missed.
    pub missed_runs: MissedRuns,
    /// A run that could not begin so long after its time does not begin at all.
    pub starting_deadline: Option<DurationMs>,
    /// What it runs.
    pub target: ScheduleTarget,
}

/// A run whose time has come and that waits for the tasks before it to stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRun {
    /// Its time.
    pub scheduled_for: TimestampMs,
    /// What is to be said of it.
    pub reason: Option<String>,
}

/// A schedule, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Unique.
    pub name: ScheduleName,
    /// What the user wants.
    pub definition: ScheduleDefinition,
    /// The first occurrence of a rate without a start: when its expression was set.
    pub anchored_at: TimestampMs,
    /// Up to here, it was decided about every occurrence. It only grows, whatever the clock does; this is why none is
    /// run twice.
    pub decided_until: TimestampMs,
    /// The run that was decided and waits.
    pub pending: Option<PendingRun>,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When the user last changed it.
    pub updated_at: TimestampMs,
    /// Goes up by one with every record, so that a stale one is refused.
    pub version: u64,
}

impl Schedule {
    /// A new one.
    pub fn new(name: ScheduleName, definition: ScheduleDefinition, now: TimestampMs) -> Self {
        Self {
            name,
            definition,
            anchored_at: now,
            decided_until: just_before(now),
            pending: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Takes what the user wants now. What lies back is no occurrence of a new expression.
    pub fn redefine(&mut self, definition: ScheduleDefinition, now: TimestampMs) {
        let times =
            |of: &ScheduleDefinition| (of.expression.clone(), of.time_zone.clone(), of.start_date);
        let old = std::mem::replace(&mut self.definition, definition);
        let new = &self.definition;
        if times(&old) != times(new) {
            self.anchored_at = now;
            self.decided_until = self.decided_until.max(just_before(now));
        } else if old.end_date != new.end_date || old.state != new.state {
            self.decided_until = self.decided_until.max(now);
        }
        self.updated_at = now;
    }

    /// What says when it runs.
    pub fn timing(&self) -> Timing<'_> {
        Timing {
            expression: &self.definition.expression,
            time_zone: &self.definition.time_zone,
            start: self.definition.start_date,
            end: self.definition.end_date,
            anchored_at: self.anchored_at,
        }
    }

    /// Its next occurrences, so many at most. None while it is DISABLED.
    pub fn upcoming(&self, count: usize) -> Vec<TimestampMs> {
        match self.definition.state {
            ScheduleState::Enabled => self.timing().upcoming(self.decided_until, count),
            ScheduleState::Disabled => Vec::new(),
        }
    }

    /// The tasks of one run, when the definition is `registered`; or all that is wrong with that.
    pub fn tasks(
        &self,
        registered: &RegisteredTaskDefinition,
        ids: &dyn IdSource,
        now: TimestampMs,
    ) -> Result<Vec<Task>, Faults> {
        let target = &self.definition.target;
        let spec = target.spec(registered)?;
        let tags = target.task_tags(registered);
        let new_task = |_| {
            let id = TaskId::generate(ids);
            let task = Task::new(id, target.cluster.clone(), spec.clone(), now);
            Task {
                group: target.group.clone().unwrap_or(task.group),
                started_by: Some(self.name.started_by()),
                tags: tags.clone(),
                overrides: target.overrides_document.clone(),
                ..task
            }
        };
        Ok((0..target.count).map(new_task).collect())
    }

    /// What is told of it.
    pub fn event(&self, status: Option<RunOutcome>, message: &str, at: TimestampMs) -> NewEvent {
        NewEvent {
            at,
            kind: EventKind::ScheduleEvent,
            cluster: Some(self.definition.target.cluster.to_string()),
            subject: self.name.to_string(),
            status: status.map(|status| status.to_string()),
            message: format!("(schedule {}) {message}", self.name),
        }
    }
}

const fn just_before(now: TimestampMs) -> TimestampMs {
    TimestampMs::from_millis(now.as_millis() - 1)
}

/// A task of a schedule that has not stopped, as far as the planner cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledTask {
    /// Which.
    pub id: TaskId,
    /// Whether somebody has asked it to stop.
    pub is_stopping: bool,
}

/// What became of an occurrence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunOutcome {
    /// Its tasks were recorded, and start.
    Started,
    /// It was skipped for the sake of another run.
    Skipped,
    /// Its time passed while Neargate was not there.
    Missed,
    /// Its tasks could not even be recorded.
    Failed,
}

ecs_names!(RunOutcome {
    Started = "STARTED",
    Skipped = "SKIPPED",
    Missed = "MISSED",
    Failed = "FAILED",
});

/// Who made a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// The schedule, as it was time.
    Schedule,
    /// A user, who did not want to wait for it.
    User,
}

ecs_names!(RunCause {
    Schedule = "schedule",
    User = "user",
});

/// An occurrence that was decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRun {
    /// Its time: that of the expression, or when the user asked for it.
    pub scheduled_for: TimestampMs,
    /// Who made it.
    pub cause: RunCause,
    /// When that was recorded.
    pub decided_at: TimestampMs,
    /// What became of it.
    pub outcome: RunOutcome,
    /// Why, if there is more to say.
    pub reason: Option<String>,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
}

impl ScheduleRun {
    /// One that began.
    pub fn started(
        scheduled_for: TimestampMs,
        cause: RunCause,
        tasks: &[Task],
        reason: Option<String>,
        now: TimestampMs,
    ) -> Self {
        Self {
            scheduled_for,
            cause,
            decided_at: now,
            outcome: RunOutcome::Started,
            reason,
            tasks: tasks.iter().map(|task| task.id.clone()).collect(),
        }
    }

    /// One that did not.
    pub fn not_started(
        scheduled_for: TimestampMs,
        outcome: RunOutcome,
        reason: impl Into<String>,
        now: TimestampMs,
    ) -> Self {
        Self {
            scheduled_for,
            cause: RunCause::Schedule,
            decided_at: now,
            outcome,
            reason: Some(reason.into()),
            tasks: Vec::new(),
        }
    }

    /// What is told of it.
    pub fn event(&self, schedule: &Schedule) -> NewEvent {
        let tasks: Vec<&str> = self.tasks.iter().map(TaskId::as_str).collect();
        let said = match self.outcome {
            RunOutcome::Started => format!("has started {}", tasks.join(", ")),
            RunOutcome::Skipped => "was skipped".to_owned(),
            RunOutcome::Missed => "was missed".to_owned(),
            RunOutcome::Failed => "has failed".to_owned(),
        };
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}"));
        let message = format!(
            "the run for {} {said}{}",
            self.scheduled_for,
            reason.unwrap_or_default()
        );
        schedule.event(Some(self.outcome), &message, self.decided_at)
    }
}
