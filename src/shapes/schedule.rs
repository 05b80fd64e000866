//! Schedules: the words of Amazon EventBridge Scheduler, in camelCase, and those of a Kubernetes `CronJob` where
//! EventBridge has none. What a schedule runs is what `RunTask` takes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PropagateTags, Tag, TaskOverride};
use crate::control::{ScheduleRunView, ScheduleView};
use crate::domain::{self, ContainerStatus, TimestampMs};

/// Asks for a schedule, or says all that one is to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateScheduleRequest {
    /// Unique: up to 64 letters, digits and the characters `.`, `_` and `-`. Not needed where the path says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it runs: `rate(5 minutes)`, `cron(0 12 * * ? *)` (minutes hours day-of-month month day-of-week year) or
    /// `at(2026-11-20T13:00:00)`.
    #[serde(default)]
    #[schema(required = true, max_length = 256)]
    pub schedule_expression: String,
    /// Where these times are read: a name of the IANA database; `UTC` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 50)]
    pub schedule_expression_timezone: Option<String>,
    /// It does not run before that; RFC 3339. The first occurrence of a rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub start_date: Option<String>,
    /// It does not run after that; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub end_date: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 512)]
    pub description: Option<String>,
    /// `ENABLED` unless said otherwise. While it is `DISABLED` it misses nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ScheduleState>,
    /// What happens when it is time and tasks of an earlier run still go on; `allow` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency_policy: Option<ConcurrencyPolicy>,
    /// What happens with runs whose time passed while Neargate was not there; `runOnce` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_runs: Option<MissedRuns>,
    /// A run that could not begin so many seconds after its time does not begin at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 2_147_483_647)]
    pub starting_deadline_seconds: Option<u32>,
    /// What it runs.
    #[serde(default)]
    #[schema(required = true)]
    pub target: ScheduleTarget,
}

/// What a schedule runs: the input of `RunTask`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleTarget {
    /// Where its tasks are to run; `default` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What they run: `family` for its newest active revision at that time, or `family:revision`.
    #[serde(default)]
    #[schema(required = true)]
    pub task_definition: String,
    /// How many tasks a run has; 1 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub count: Option<u32>,
    /// What these tasks change of their definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<TaskOverride>,
    /// Whether people may run commands in them: `neargate exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_execute_command: Option<bool>,
    /// Keys and values to find them by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub tags: Option<Vec<Tag>>,
    /// `TASK_DEFINITION`: they get its tags, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagate_tags: Option<PropagateTags>,
    /// What they belong to; `family:<family>` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub group: Option<String>,
}

/// Whether a schedule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduleState {
    /// It does.
    #[default]
    Enabled,
    /// It does not.
    Disabled,
}

/// What happens when it is time and tasks of an earlier run still go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

/// What happens with runs whose time passed while Neargate was not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum MissedRuns {
    /// However many there are, one is made up for: the latest.
    #[default]
    RunOnce,
    /// They are let be.
    Skip,
}

macro_rules! same_words {
    ($($shape:ident { $($value:ident),+ })+) => {$(
        impl From<domain::$shape> for $shape {
            fn from(value: domain::$shape) -> Self {
                match value { $(domain::$shape::$value => Self::$value),+ }
            }
        }

        impl From<$shape> for domain::$shape {
            fn from(value: $shape) -> Self {
                match value { $($shape::$value => Self::$value),+ }
            }
        }
    )+};
}

same_words! {
    ScheduleState { Enabled, Disabled }
    ConcurrencyPolicy { Allow, Forbid, Replace }
    MissedRuns { RunOnce, Skip }
}

/// A schedule. Times are RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Unique.
    pub name: String,
    /// When it runs.
    pub schedule_expression: String,
    /// Where these times are read.
    pub schedule_expression_timezone: String,
    /// It does not run before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub start_date: Option<String>,
    /// It does not run after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub end_date: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it runs.
    pub state: ScheduleState,
    /// What happens when an earlier run still goes on.
    pub concurrency_policy: ConcurrencyPolicy,
    /// What happens with runs that were missed.
    pub missed_runs: MissedRuns,
    /// A run that could not begin so many seconds after its time does not begin at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline_seconds: Option<u32>,
    /// What it runs.
    pub target: ScheduleTarget,
    /// Its next three occurrences; none while it is `DISABLED`, or when it is over.
    pub next_runs: Vec<String>,
    /// The occurrence whose run waits for tasks of earlier ones to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub pending_run: Option<String>,
    /// Tasks of it that have not stopped.
    pub running_task_ids: Vec<String>,
    /// What became of the newest occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<ScheduleRun>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its user last changed it.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// What became of an occurrence of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleRun {
    /// Its time: that of the expression, or when a user asked for it.
    #[schema(format = DateTime)]
    pub scheduled_for: String,
    /// Who made it: `schedule` or `user`.
    pub cause: String,
    /// `STARTED`; `SKIPPED` for the sake of another run; `MISSED` while Neargate was not there; `FAILED` before it had
    /// tasks.
    pub outcome: String,
    /// Why, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When that was recorded.
    #[schema(format = DateTime)]
    pub decided_at: String,
    /// Its tasks as they are now.
    pub tasks: Vec<ScheduleRunTask>,
}

/// A task of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleRunTask {
    /// Which.
    pub task_id: String,
    /// What is.
    pub last_status: String,
    /// Why it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<String>,
    /// The same in words, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// That of the essential container that ended first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// Occurrences that are shown in advance.
const SHOWN: usize = 3;

fn seconds(length: domain::DurationMs) -> Option<u32> {
    u32::try_from(length.as_millis() / 1_000).ok()
}

impl From<&ScheduleView> for Schedule {
    fn from(view: &ScheduleView) -> Self {
        let schedule = &view.schedule;
        let definition = &schedule.definition;
        let text = |at: TimestampMs| at.to_string();
        Self {
            name: schedule.name.to_string(),
            schedule_expression: definition.expression.to_string(),
            schedule_expression_timezone: definition.time_zone.to_string(),
            start_date: definition.start_date.map(text),
            end_date: definition.end_date.map(text),
            description: definition.description.clone(),
            state: definition.state.into(),
            concurrency_policy: definition.concurrency_policy.into(),
            missed_runs: definition.missed_runs.into(),
            starting_deadline_seconds: definition.starting_deadline.and_then(seconds),
            target: ScheduleTarget::from(&definition.target),
            next_runs: schedule.upcoming(SHOWN).into_iter().map(text).collect(),
            pending_run: schedule.pending.as_ref().map(|run| text(run.scheduled_for)),
            running_task_ids: view.tasks.iter().map(|task| task.id.to_string()).collect(),
            last_run: view.last_run.as_ref().map(ScheduleRun::from),
            created_at: text(schedule.created_at),
            updated_at: text(schedule.updated_at),
        }
    }
}

impl Schedule {
    /// What asks for just this schedule.
    pub fn request(&self) -> CreateScheduleRequest {
        CreateScheduleRequest {
            name: Some(self.name.clone()),
            schedule_expression: self.schedule_expression.clone(),
            schedule_expression_timezone: Some(self.schedule_expression_timezone.clone()),
            start_date: self.start_date.clone(),
            end_date: self.end_date.clone(),
            description: self.description.clone(),
            state: Some(self.state),
            concurrency_policy: Some(self.concurrency_policy),
            missed_runs: Some(self.missed_runs),
            starting_deadline_seconds: self.starting_deadline_seconds,
            target: self.target.clone(),
        }
    }
}

impl From<&domain::ScheduleTarget> for ScheduleTarget {
    fn from(target: &domain::ScheduleTarget) -> Self {
        let overrides: Option<TaskOverride> =
            serde_json::from_value(target.overrides_document.clone()).ok();
        Self {
            cluster: Some(target.cluster.to_string()),
            task_definition: target.task_definition.to_string(),
            count: Some(target.count),
            overrides: overrides.filter(|sent| *sent != TaskOverride::default()),
            enable_execute_command: Some(target.enable_execute_command),
            tags: Some(Tag::list(&target.tags)),
            propagate_tags: target
                .propagate_tags
                .then_some(PropagateTags::TaskDefinition),
            group: target.group.clone(),
        }
    }
}

impl From<&ScheduleRunView> for ScheduleRun {
    fn from(view: &ScheduleRunView) -> Self {
        let run = &view.run;
        Self {
            scheduled_for: run.scheduled_for.to_string(),
            cause: run.cause.to_string(),
            outcome: run.outcome.to_string(),
            reason: run.reason.clone(),
            decided_at: run.decided_at.to_string(),
            tasks: view.tasks.iter().map(ScheduleRunTask::from).collect(),
        }
    }
}

impl From<&domain::Task> for ScheduleRunTask {
    fn from(task: &domain::Task) -> Self {
        let essential = task.spec.containers.iter().filter(|one| one.essential);
        let ended = essential
            .filter_map(|one| task.containers.get(&one.name))
            .filter(|record| record.last_status == ContainerStatus::Stopped)
            .min_by_key(|record| (record.finished_at.is_none(), record.finished_at));
        Self {
            task_id: task.id.to_string(),
            last_status: task.last_status.to_string(),
            stop_code: task.stop_code.map(|code| code.to_string()),
            reason: task.stopped_reason.clone().or_else(|| task.waiting.clone()),
            exit_code: ended.and_then(|record| record.exit_code),
        }
    }
}
