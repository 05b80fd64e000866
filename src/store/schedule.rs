//! Schedules: recorded as a whole, under their version, together with the runs that were decided and their tasks.
//!
//! That an occurrence is run once rests on three things that hold in one transaction: `decided_until` never goes back,
//! an occurrence has one row of `schedule_runs`, and a stale version is refused.

use sqlx::SqliteConnection;

use super::column::{from_json, from_word, to_json, to_unsigned};
use super::page::List;
use super::task::{accept, stop};
use super::task_row::NewTaskRow;
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{
    ClusterName, NewEvent, RunCause, RunOutcome, Schedule, ScheduleName, ScheduleRun,
    ScheduledTask, StopRequest, Task, TaskId, TimestampMs,
};

/// How many runs are remembered of each schedule, the newest of them.
pub const RUNS_KEPT: u32 = 100;

/// What is recorded of a schedule at once, or not at all.
#[derive(Clone, Debug)]
pub struct ScheduleRecord {
    /// The schedule, with the version that was read.
    pub schedule: Schedule,
    /// Occurrences that were decided about, oldest first.
    pub runs: Vec<ScheduleRun>,
    /// Tasks that start.
    pub start: Vec<Task>,
    /// Tasks that are asked to stop.
    pub stop: Vec<(TaskId, StopRequest)>,
    /// What happened.
    pub events: Vec<NewEvent>,
}

impl ScheduleRecord {
    /// Only the schedule itself, and what happened to it.
    pub fn of(schedule: Schedule, events: Vec<NewEvent>) -> Self {
        Self {
            schedule,
            runs: Vec::new(),
            start: Vec::new(),
            stop: Vec::new(),
            events,
        }
    }
}

/// The schedules that `$rest` picks, which is all that follows the name of the table.
macro_rules! schedule_rows {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            ScheduleRow,
            "SELECT name, definition, anchored_at, decided_until, pending, created_at, updated_at, version
               FROM schedules " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    /// Records a new schedule. Fails with [`StoreError::AlreadyExists`] if there is one of that name.
    pub async fn create_schedule(
        &self,
        schedule: Schedule,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    if !insert(db, &schedule).await? {
                        return Err(StoreError::AlreadyExists {
                            what: format!("schedule `{}`", schedule.name),
                        });
                    }
                    event::insert(db, &event).await
                })
            })
            .await
    }

    /// Records what has become of a schedule, with its runs and their tasks. `record.schedule.version` must be the one
    /// that was read; the row has the next one then. Fails with [`StoreError::Stale`] if somebody else recorded it in
    /// between, or deleted it.
    pub async fn record_schedule(&self, record: ScheduleRecord) -> Result<(), StoreError> {
        let rows: Vec<NewTaskRow> = record
            .start
            .iter()
            .map(NewTaskRow::new)
            .collect::<Result<_, _>>()?;
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let Some(seq) = update(db, &record.schedule).await? else {
                        return Err(StoreError::Stale);
                    };
                    for run in &record.runs {
                        insert_run(db, seq, run).await?;
                    }
                    forget_old_runs(db, seq).await?;
                    for row in &rows {
                        accept(db, row, &[]).await?;
                    }
                    for (task, request) in &record.stop {
                        stop(db, task, request).await?;
                    }
                    for one in &record.events {
                        event::insert(db, one).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Deletes a schedule and the record of its runs. Its tasks go on.
    pub async fn delete_schedule(
        &self,
        name: &ScheduleName,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = name.as_str();
                    sqlx::query!(
                        "DELETE FROM schedule_runs
                          WHERE schedule = (SELECT seq FROM schedules WHERE name = ?1)",
                        text
                    )
                    .execute(&mut *db)
                    .await?;
                    let deleted = sqlx::query!("DELETE FROM schedules WHERE name = ?1", text)
                        .execute(&mut *db)
                        .await?;
                    if deleted.rows_affected() == 0 {
                        return Err(StoreError::not_found(format!("schedule `{name}`")));
                    }
                    event::insert(db, &event).await
                })
            })
            .await
    }

    /// The schedule of that name.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Option<Schedule>, StoreError> {
        let name = name.as_str();
        let row = schedule_rows!("WHERE name = ?1", name)
            .fetch_optional(self.readers())
            .await?;
        row.map(Schedule::try_from).transpose()
    }

    /// The schedules by name; only those that run their tasks in `cluster`, if one is named.
    pub async fn schedules(
        &self,
        cluster: Option<&ClusterName>,
        request: &PageRequest,
    ) -> Result<Page<Schedule>, StoreError> {
        let after: String = request.after(List::Schedules)?.unwrap_or_default();
        let cluster = cluster.map(ClusterName::as_str);
        let limit = request.rows();
        let rows = schedule_rows!(
            "WHERE name > ?1 AND (?2 IS NULL OR definition ->> '$.target.cluster' = ?2)
             ORDER BY name LIMIT ?3",
            after,
            cluster,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } =
            request.page(List::Schedules, rows, |row: &ScheduleRow| row.name.clone())?;
        let items = items.into_iter().map(Schedule::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The schedules that will run, or wait to.
    pub async fn active_schedules(&self) -> Result<Vec<ScheduleName>, StoreError> {
        let names = sqlx::query_scalar!(
            "SELECT name FROM schedules WHERE next_at IS NOT NULL OR pending IS NOT NULL"
        )
        .fetch_all(self.readers())
        .await?;
        let names = names.into_iter().map(ScheduleName::try_from);
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// Those of them whose time has come, and those that wait for tasks to stop. Costs as much as there are such.
    pub async fn due_schedules(&self, now: TimestampMs) -> Result<Vec<ScheduleName>, StoreError> {
        let now = now.as_millis();
        let names = sqlx::query_scalar!(
            "SELECT name FROM schedules INDEXED BY schedules_due WHERE next_at IS NOT NULL AND next_at <= ?1
              UNION
             SELECT name FROM schedules INDEXED BY schedules_pending WHERE pending IS NOT NULL",
            now
        )
        .fetch_all(self.readers())
        .await?;
        let names = names.into_iter().map(ScheduleName::try_from);
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// The tasks of a schedule that have not stopped.
    pub async fn scheduled_tasks(
        &self,
        name: &ScheduleName,
    ) -> Result<Vec<ScheduledTask>, StoreError> {
        let started_by = name.started_by();
        let rows = sqlx::query!(
            r#"SELECT id, stop_requested_at IS NOT NULL OR planned_status = 'STOPPED' AS "is_stopping!: bool"
                 FROM tasks INDEXED BY tasks_of_schedules
                WHERE started_by = ?1 AND last_status <> 'STOPPED' AND started_by GLOB 'schedule/*'
                ORDER BY seq"#,
            started_by
        )
        .fetch_all(self.readers())
        .await?;
        let task = |row: (String, bool)| {
            Ok(ScheduledTask {
                id: row.0.parse()?,
                is_stopping: row.1,
            })
        };
        rows.into_iter()
            .map(|row| task((row.id, row.is_stopping)))
            .collect()
    }

    /// What became of the occurrences of a schedule, newest first. [`RUNS_KEPT`] are remembered.
    pub async fn schedule_runs(
        &self,
        name: &ScheduleName,
        request: &PageRequest,
    ) -> Result<Page<ScheduleRun>, StoreError> {
        let before: i64 = request.after(List::ScheduleRuns)?.unwrap_or(i64::MAX);
        let (name, limit) = (name.as_str(), request.rows());
        let rows = sqlx::query_as!(
            RunRow,
            "SELECT seq, scheduled_for, cause, decided_at, outcome, reason, task_ids
               FROM schedule_runs INDEXED BY schedule_runs_by_schedule
              WHERE schedule = (SELECT seq FROM schedules WHERE name = ?1) AND seq < ?2
              ORDER BY seq DESC LIMIT ?3",
            name,
            before,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } = request.page(List::ScheduleRuns, rows, |row| row.seq)?;
        let items = items.into_iter().map(ScheduleRun::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// The columns that are written each time.
struct Written {
    definition: String,
    pending: Option<String>,
    next_at: Option<i64>,
    version: i64,
}

impl Written {
    fn new(schedule: &Schedule) -> Result<Self, StoreError> {
        let next = schedule.upcoming(1).first().copied();
        Ok(Self {
            definition: to_json(&schedule.definition)?,
            pending: schedule.pending.as_ref().map(to_json).transpose()?,
            next_at: next.map(TimestampMs::as_millis),
            version: i64::try_from(schedule.version).unwrap_or(i64::MAX),
        })
    }
}

async fn insert(db: &mut SqliteConnection, schedule: &Schedule) -> Result<bool, StoreError> {
    let row = Written::new(schedule)?;
    let (anchored_at, decided_until) = (
        schedule.anchored_at.as_millis(),
        schedule.decided_until.as_millis(),
    );
    let (name, created_at, updated_at) = (
        schedule.name.as_str(),
        schedule.created_at.as_millis(),
        schedule.updated_at.as_millis(),
    );
    let inserted = sqlx::query!(
        "INSERT INTO schedules
            (name, definition, anchored_at, decided_until, pending, next_at, created_at, updated_at, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO NOTHING",
        name,
        row.definition,
        anchored_at,
        decided_until,
        row.pending,
        row.next_at,
        created_at,
        updated_at,
        row.version
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// The number of the schedule; `None` if the row has another version, or does not exist.
async fn update(db: &mut SqliteConnection, schedule: &Schedule) -> Result<Option<i64>, StoreError> {
    let row = Written::new(schedule)?;
    let (anchored_at, decided_until) = (
        schedule.anchored_at.as_millis(),
        schedule.decided_until.as_millis(),
    );
    let (name, updated_at) = (schedule.name.as_str(), schedule.updated_at.as_millis());
    // Another one may have been given the name in between.
    let created_at = schedule.created_at.as_millis();
    let seq = sqlx::query_scalar!(
        "UPDATE schedules
            SET definition = ?3, anchored_at = ?4, decided_until = ?5, pending = ?6, next_at = ?7,
                updated_at = ?8, version = version + 1
          WHERE name = ?1 AND version = ?2 AND created_at = ?9
         RETURNING seq",
        name,
        row.version,
        row.definition,
        anchored_at,
        decided_until,
        row.pending,
        row.next_at,
        updated_at,
        created_at
    )
    .fetch_optional(db)
    .await?;
    Ok(seq)
}

async fn insert_run(
    db: &mut SqliteConnection,
    schedule: i64,
    run: &ScheduleRun,
) -> Result<(), StoreError> {
    let (scheduled_for, decided_at) = (run.scheduled_for.as_millis(), run.decided_at.as_millis());
    let (cause, outcome, tasks) = (
        run.cause.as_str(),
        run.outcome.as_str(),
        to_json(&run.tasks)?,
    );
    sqlx::query!(
        "INSERT INTO schedule_runs (schedule, scheduled_for, cause, decided_at, outcome, reason, task_ids)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        schedule,
        scheduled_for,
        cause,
        decided_at,
        outcome,
        run.reason,
        tasks
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn forget_old_runs(db: &mut SqliteConnection, schedule: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM schedule_runs
          WHERE schedule = ?1 AND seq <=
                (SELECT seq FROM schedule_runs INDEXED BY schedule_runs_by_schedule
                  WHERE schedule = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        schedule,
        RUNS_KEPT
    )
    .execute(db)
    .await?;
    Ok(())
}

struct ScheduleRow {
    name: String,
    definition: String,
    anchored_at: i64,
    decided_until: i64,
    pending: Option<String>,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl TryFrom<ScheduleRow> for Schedule {
    type Error = StoreError;

    fn try_from(row: ScheduleRow) -> Result<Self, StoreError> {
        let pending = row.pending.as_deref();
        let pending = pending.map(|text| from_json("schedule.pending", text));
        Ok(Self {
            name: row.name.parse()?,
            definition: from_json("schedule.definition", &row.definition)?,
            anchored_at: TimestampMs::from_millis(row.anchored_at),
            decided_until: TimestampMs::from_millis(row.decided_until),
            pending: pending.transpose()?,
            created_at: TimestampMs::from_millis(row.created_at),
            updated_at: TimestampMs::from_millis(row.updated_at),
            version: to_unsigned("schedule.version", row.version)?,
        })
    }
}

struct RunRow {
    seq: i64,
    scheduled_for: i64,
    cause: String,
    decided_at: i64,
    outcome: String,
    reason: Option<String>,
    task_ids: String,
}

impl TryFrom<RunRow> for ScheduleRun {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        Ok(Self {
            scheduled_for: TimestampMs::from_millis(row.scheduled_for),
            cause: from_word("run.cause", &row.cause, RunCause::parse)?,
            decided_at: TimestampMs::from_millis(row.decided_at),
            outcome: from_word("run.outcome", &row.outcome, RunOutcome::parse)?,
            reason: row.reason,
            tasks: from_json("run.tasks", &row.task_ids)?,
        })
    }
}

#[cfg(test)]
mod tests;
