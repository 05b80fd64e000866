//! How a task lies in its tables: one row of `tasks`, and one of `containers` for each container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::StoreError;
use super::column::{from_json, from_time, from_word, to_json, to_time, to_unsigned};
use crate::domain::{
    ContainerName, ContainerRecord, ContainerStatus, DesiredStatus, HealthStatus, LastStatus,
    LimitsEnforcedBy, NetworkBinding, PullProgress, StopCode, StopRequest, Task, TaskId, TaskSpec,
    TimestampMs,
};

/// A row of `tasks`. `seq` is its place in every list.
pub(super) struct TaskRow {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) cluster: String,
    pub(super) spec: String,
    pub(super) task_group: String,
    pub(super) started_by: Option<String>,
    pub(super) tags: String,
    pub(super) overrides: String,
    pub(super) stop_requested_at: Option<i64>,
    pub(super) stop_request_reason: Option<String>,
    pub(super) stop_request_code: Option<String>,
    pub(super) planned_status: String,
    pub(super) stop_code: Option<String>,
    pub(super) stopped_reason: Option<String>,
    pub(super) waiting: Option<String>,
    pub(super) last_status: String,
    pub(super) address: Option<String>,
    pub(super) protected_until: Option<i64>,
    pub(super) created_at: i64,
    pub(super) pull_started_at: Option<i64>,
    pub(super) pull_stopped_at: Option<i64>,
    pub(super) limits_enforced_by: Option<String>,
    pub(super) pull_current_bytes: Option<i64>,
    pub(super) pull_total_bytes: Option<i64>,
    pub(super) started_at: Option<i64>,
    pub(super) healthy_at: Option<i64>,
    pub(super) stopping_at: Option<i64>,
    pub(super) execution_stopped_at: Option<i64>,
    pub(super) stopped_at: Option<i64>,
    pub(super) cleaned_at: Option<i64>,
    pub(super) version: i64,
    /// A JSON array of [`ContainerRow`]: with its containers in it, a task is read by one query.
    pub(super) containers: String,
}

/// The rows of `tasks` that `$rest` and `$more` pick, which are all that follows the name of the table.
macro_rules! task_rows {
    ($rest:literal $(+ $more:literal)* $(, $argument:expr)+) => {
        sqlx::query_as!(
            $crate::store::task_row::TaskRow,
            "SELECT seq, id, cluster, spec, task_group, started_by, tags, overrides,
                    stop_requested_at, stop_request_reason, stop_request_code,
                    planned_status, stop_code, stopped_reason, waiting,
                    last_status, address, limits_enforced_by, protected_until, created_at, pull_started_at, pull_stopped_at,
                    pull_current_bytes, pull_total_bytes, started_at, healthy_at, stopping_at, execution_stopped_at, stopped_at, cleaned_at, version,
                    (SELECT json_group_array(json_object(
                                'name', name, 'last_status', containers.last_status, 'runtime_id', runtime_id,
                                'image_digest', image_digest, 'started_at', containers.started_at,
                                'finished_at', finished_at, 'exit_code', exit_code, 'reason', reason,
                                'health', health, 'network_bindings', json(network_bindings),
                                'attempt', attempt, 'restart_count', restart_count))
                       FROM containers WHERE task_id = tasks.id) AS 'containers!: String'
               FROM tasks " + $rest $(+ $more)*
            $(, $argument)+
        )
    };
}
pub(super) use task_rows;

impl TaskRow {
    /// The task, with what is known of its containers.
    pub(super) fn into_task(self) -> Result<Task, StoreError> {
        let spec: TaskSpec = from_json("task.spec", &self.spec)?;
        // One that nothing was recorded of has no row: it was not asked for yet.
        let mut containers: BTreeMap<ContainerName, ContainerRecord> = spec
            .containers
            .iter()
            .map(|container| (container.name.clone(), ContainerRecord::default()))
            .collect();
        let rows: Vec<ContainerRow> = from_json("task.containers", &self.containers)?;
        for row in rows {
            containers.insert(row.name.parse()?, row.try_into()?);
        }
        let stop_code = self
            .stop_code
            .map(|word| from_word("task.stopCode", &word, StopCode::parse))
            .transpose()?;
        Ok(Task {
            id: self.id.parse()?,
            cluster: self.cluster.parse()?,
            spec,
            group: self.task_group,
            started_by: self.started_by,
            tags: from_json("task.tags", &self.tags)?,
            overrides: from_json("task.overrides", &self.overrides)?,
            stop_request: to_stop_request(
                self.stop_requested_at,
                self.stop_request_code.as_deref(),
                self.stop_request_reason,
            )?,
            planned_status: from_word(
                "task.plannedStatus",
                &self.planned_status,
                DesiredStatus::parse,
            )?,
            stop_code,
            stopped_reason: self.stopped_reason,
            waiting: self.waiting,
            last_status: from_word("task.lastStatus", &self.last_status, LastStatus::parse)?,
            containers,
            address: self.address,
            limits: self
                .limits_enforced_by
                .map(|word| from_word("task.limits", &word, LimitsEnforcedBy::parse))
                .transpose()?,
            protected_until: to_time(self.protected_until),
            created_at: TimestampMs::from_millis(self.created_at),
            pull_started_at: to_time(self.pull_started_at),
            pull_stopped_at: to_time(self.pull_stopped_at),
            pull: to_pull(self.pull_current_bytes, self.pull_total_bytes)?,
            started_at: to_time(self.started_at),
            healthy_at: to_time(self.healthy_at),
            stopping_at: to_time(self.stopping_at),
            execution_stopped_at: to_time(self.execution_stopped_at),
            stopped_at: to_time(self.stopped_at),
            cleaned_at: to_time(self.cleaned_at),
            version: to_unsigned("task.version", self.version)?,
        })
    }
}

fn to_stop_request(
    at: Option<i64>,
    code: Option<&str>,
    reason: Option<String>,
) -> Result<Option<StopRequest>, StoreError> {
    let (Some(at), Some(code)) = (at, code) else {
        return Ok(None);
    };
    Ok(Some(StopRequest {
        at: TimestampMs::from_millis(at),
        code: from_word("task.stopRequestCode", code, StopCode::parse)?,
        reason,
    }))
}

fn to_pull(current: Option<i64>, total: Option<i64>) -> Result<Option<PullProgress>, StoreError> {
    let (Some(current), Some(total)) = (current, total) else {
        return Ok(None);
    };
    Ok(Some(PullProgress {
        current_bytes: to_unsigned("task.pullCurrentBytes", current)?,
        total_bytes: to_unsigned("task.pullTotalBytes", total)?,
    }))
}

/// A task that is about to be accepted, with its documents turned into text before the writer is reached.
pub(super) struct NewTaskRow {
    pub(super) task: Task,
    spec: String,
    tags: String,
    overrides: String,
}

impl NewTaskRow {
    pub(super) fn new(task: &Task) -> Result<Self, StoreError> {
        Ok(Self {
            spec: to_json(&task.spec)?,
            tags: to_json(&task.tags)?,
            overrides: to_json(&task.overrides)?,
            task: task.clone(),
        })
    }

    /// Writes the task's row, and those of its containers if there is anything to say of them yet. `false` if there is a
    /// task of that ID already, or if its cluster does not exist.
    pub(super) async fn insert(&self, db: &mut SqliteConnection) -> Result<bool, StoreError> {
        let task = &self.task;
        let (id, cluster) = (task.id.as_str(), task.cluster.as_str());
        let family = task.spec.family().as_str();
        let stop = task.stop_request.as_ref();
        let stop_requested_at = stop.map(|request| request.at.as_millis());
        let stop_request_reason = stop.and_then(|request| request.reason.as_deref());
        let stop_request_code = stop.map(|request| request.code.as_str());
        let created_at = task.created_at.as_millis();
        let version = to_signed(task.version);
        let health = task.checked_health().map(HealthStatus::as_str);
        // What the planner and the engine have to say is written by `update`, as it always is.
        let inserted = sqlx::query!(
            "INSERT INTO tasks
                (id, cluster, family, spec, task_group, started_by, tags, overrides,
                 stop_requested_at, stop_request_reason, created_at,
                 planned_status, last_status, version, stop_request_code, health)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'RUNNING', 'PROVISIONING', ?12, ?13, ?14
              WHERE EXISTS (SELECT 1 FROM clusters WHERE name = ?2 AND deleted_at IS NULL)
             ON CONFLICT (id) DO NOTHING",
            id,
            cluster,
            family,
            self.spec,
            task.group,
            task.started_by,
            self.tags,
            self.overrides,
            stop_requested_at,
            stop_request_reason,
            created_at,
            version,
            stop_request_code,
            health
        )
        .execute(&mut *db)
        .await?
        .rows_affected();
        if inserted == 0 {
            return Ok(false);
        }
        if !is_new(task) {
            update(db, task, task.version).await?;
        }
        let is_new = |record: &ContainerRecord| *record == ContainerRecord::default();
        if !task.containers.values().all(is_new) {
            put_containers(db, task).await?;
        }
        Ok(true)
    }
}

/// Whether `task` is as every task begins, so that what [`NewTaskRow::insert`] writes says it all.
fn is_new(task: &Task) -> bool {
    task.planned_status == DesiredStatus::Running
        && task.last_status == LastStatus::Provisioning
        && task.stop_code.is_none()
        && task.stopped_reason.is_none()
        && task.waiting.is_none()
        && task.address.is_none()
        && task.limits.is_none()
        && task.pull.is_none()
        && [
            task.pull_started_at,
            task.pull_stopped_at,
            task.started_at,
            task.healthy_at,
            task.stopping_at,
            task.execution_stopped_at,
            task.stopped_at,
            task.cleaned_at,
        ]
        .iter()
        .all(Option::is_none)
}

/// Writes what the planner decided and the engine reported, if the row still has the task's version, and
/// gives it `next_version`. `false` if the row has another version or does not exist.
pub(super) async fn update(
    db: &mut SqliteConnection,
    task: &Task,
    next_version: u64,
) -> Result<bool, StoreError> {
    let id = task.id.as_str();
    let (version, next_version) = (to_signed(task.version), to_signed(next_version));
    let planned_status = task.planned_status.as_str();
    let stop_code = task.stop_code.map(StopCode::as_str);
    let last_status = task.last_status.as_str();
    let limits_enforced_by = task.limits.map(LimitsEnforcedBy::as_str);
    let pull_started_at = from_time(task.pull_started_at);
    let pull_stopped_at = from_time(task.pull_stopped_at);
    let pull_current_bytes = task.pull.map(|pull| to_signed(pull.current_bytes));
    let pull_total_bytes = task.pull.map(|pull| to_signed(pull.total_bytes));
    let started_at = from_time(task.started_at);
    let healthy_at = from_time(task.healthy_at);
    let stopping_at = from_time(task.stopping_at);
    let execution_stopped_at = from_time(task.execution_stopped_at);
    let stopped_at = from_time(task.stopped_at);
    let cleaned_at = from_time(task.cleaned_at);
    let health = task.checked_health().map(HealthStatus::as_str);
    let updated = sqlx::query!(
        "UPDATE tasks
            SET planned_status = ?3, stop_code = ?4, stopped_reason = ?5, waiting = ?6,
                last_status = ?7, address = ?8, pull_started_at = ?9, pull_stopped_at = ?10,
                started_at = ?11, stopping_at = ?12, execution_stopped_at = ?13, stopped_at = ?14,
                cleaned_at = ?15, version = ?16, pull_current_bytes = ?17, pull_total_bytes = ?18,
                health = ?19, limits_enforced_by = ?20, healthy_at = ?21
          WHERE id = ?1 AND version = ?2",
        id,
        version,
        planned_status,
        stop_code,
        task.stopped_reason,
        task.waiting,
        last_status,
        task.address,
        pull_started_at,
        pull_stopped_at,
        started_at,
        stopping_at,
        execution_stopped_at,
        stopped_at,
        cleaned_at,
        next_version,
        pull_current_bytes,
        pull_total_bytes,
        health,
        limits_enforced_by,
        healthy_at
    )
    .execute(db)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// Writes what is known of the task's containers. A container that is not named is left as it is.
pub(super) async fn put_containers(
    db: &mut SqliteConnection,
    task: &Task,
) -> Result<(), StoreError> {
    let rows: Vec<ContainerRow> = task
        .containers
        .iter()
        .map(|(name, record)| ContainerRow::new(name, record))
        .collect();
    let (id, rows) = (task.id.as_str(), to_json(&rows)?);
    sqlx::query!(
        "INSERT INTO containers
            (task_id, name, last_status, runtime_id, image_digest, started_at, finished_at,
             exit_code, reason, health, network_bindings, attempt, restart_count)
         SELECT ?1, value ->> 'name', value ->> 'last_status', value ->> 'runtime_id',
                value ->> 'image_digest', value ->> 'started_at', value ->> 'finished_at',
                value ->> 'exit_code', value ->> 'reason', value ->> 'health', value -> 'network_bindings',
                value ->> 'attempt', value ->> 'restart_count'
           FROM json_each(?2) WHERE TRUE
         ON CONFLICT (task_id, name) DO UPDATE
            SET last_status = excluded.last_status, runtime_id = excluded.runtime_id,
                image_digest = excluded.image_digest, started_at = excluded.started_at,
                finished_at = excluded.finished_at, exit_code = excluded.exit_code,
                reason = excluded.reason, health = excluded.health,
                network_bindings = excluded.network_bindings,
                attempt = excluded.attempt, restart_count = excluded.restart_count",
        id,
        rows
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The task of that ID.
pub(super) async fn read(
    db: impl SqliteExecutor<'_>,
    id: &TaskId,
) -> Result<Option<Task>, StoreError> {
    let id = id.as_str();
    let row = task_rows!("WHERE id = ?1", id).fetch_optional(db).await?;
    row.map(TaskRow::into_task).transpose()
}

/// Those of these tasks that there are, in no order.
pub(super) async fn read_all(
    db: impl SqliteExecutor<'_>,
    ids: &[TaskId],
) -> Result<Vec<Task>, StoreError> {
    let ids = to_json(&ids)?;
    let rows = task_rows!("WHERE id IN (SELECT value FROM json_each(?1))", ids)
        .fetch_all(db)
        .await?;
    rows.into_iter().map(TaskRow::into_task).collect()
}

/// A version counts up from 0 by one, so it never comes near the bound.
fn to_signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// A row of `containers`, as it travels in a JSON document, without the task's ID.
#[derive(Serialize, Deserialize)]
struct ContainerRow {
    name: String,
    last_status: String,
    runtime_id: Option<String>,
    image_digest: Option<String>,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    exit_code: Option<i64>,
    reason: Option<String>,
    health: String,
    network_bindings: Vec<NetworkBinding>,
    attempt: u32,
    restart_count: u32,
}

impl ContainerRow {
    fn new(name: &ContainerName, record: &ContainerRecord) -> Self {
        Self {
            name: name.to_string(),
            last_status: record.last_status.as_str().to_owned(),
            runtime_id: record.runtime_id.clone(),
            image_digest: record.image_digest.clone(),
            started_at: from_time(record.started_at),
            finished_at: from_time(record.finished_at),
            exit_code: record.exit_code,
            reason: record.reason.clone(),
            health: record.health.as_str().to_owned(),
            network_bindings: record.network_bindings.clone(),
            attempt: record.attempt,
            restart_count: record.restart_count,
        }
    }
}

impl TryFrom<ContainerRow> for ContainerRecord {
    type Error = StoreError;

    fn try_from(row: ContainerRow) -> Result<Self, StoreError> {
        Ok(Self {
            last_status: from_word(
                "container.lastStatus",
                &row.last_status,
                ContainerStatus::parse,
            )?,
            runtime_id: row.runtime_id,
            image_digest: row.image_digest,
            started_at: to_time(row.started_at),
            finished_at: to_time(row.finished_at),
            exit_code: row.exit_code,
            reason: row.reason,
            health: from_word("container.health", &row.health, HealthStatus::parse)?,
            network_bindings: row.network_bindings,
            attempt: row.attempt,
            restart_count: row.restart_count,
        })
    }
}
