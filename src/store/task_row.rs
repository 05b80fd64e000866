//! How a task lies in its tables: one row of `tasks`, and one of `containers` for each container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::column::{from_json, from_time, from_word, to_json, to_time, to_unsigned};
use super::{StoreError, event};
use crate::domain::{
    Capacity, ContainerName, ContainerRecord, ContainerStatus, DesiredStatus, HealthStatus,
    LastStatus, LimitsEnforcedBy, NetworkBinding, NewEvent, PullProgress, StopCode, StopRequest,
    Task, TaskId, TaskSpec, TimestampMs, UsageInterval,
};

/// The words with which the triggers of `migrations/0002_at_once.sql` refuse a statement.
mod refusal {
    pub(super) const NO_CLUSTER: &str = "no such cluster";
    pub(super) const NOT_NEW: &str = "no new task";
    pub(super) const STALE: &str = "stale";
    pub(super) const NO_ROOM: &str = "no room";
}

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

    /// Writes the task's row with `told`, what is told of it, by one statement; by more of them if there is anything to say of
    /// the task yet. Refuses one that is there already, and one of a cluster that does not exist.
    pub(super) async fn insert(
        &self,
        db: &mut SqliteConnection,
        told: &[NewEvent],
    ) -> Result<(), StoreError> {
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
        let events = event::to_column(told)?;
        // What the planner and the engine have to say is written by `record`, as it always is.
        let inserted = sqlx::query!(
            "INSERT INTO accepted_tasks
                (id, cluster, family, spec, task_group, started_by, tags, overrides,
                 stop_requested_at, stop_request_reason, created_at, version, stop_request_code, health, events)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
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
            health,
            events
        )
        .execute(&mut *db)
        .await;
        match inserted.map_err(StoreError::from) {
            Ok(_) => {}
            Err(StoreError::Refused(why)) if why == refusal::NO_CLUSTER => {
                return Err(StoreError::not_found(format!("cluster `{cluster}`")));
            }
            Err(StoreError::Refused(why)) if why == refusal::NOT_NEW => {
                return Err(StoreError::AlreadyExists {
                    what: format!("task `{id}`"),
                });
            }
            Err(error) => return Err(error),
        }
        if self.is_new() {
            return Ok(());
        }
        record(db, task, task.version, &Beside::default()).await
    }

    /// Whether nothing is to be said of the task yet, so that [`NewTaskRow::insert`] is one statement.
    pub(super) fn is_new(&self) -> bool {
        let is_new = |record: &ContainerRecord| *record == ContainerRecord::default();
        is_new_task(&self.task) && self.task.containers.values().all(is_new)
    }
}

/// Whether `task` is as every task begins, so that what [`NewTaskRow::insert`] writes says it all.
fn is_new_task(task: &Task) -> bool {
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

/// What is recorded together with a task.
#[derive(Default)]
pub(super) struct Beside<'r> {
    /// What happened.
    pub(super) events: &'r [NewEvent],
    /// The usage interval that begins.
    pub(super) opened: Option<&'r UsageInterval>,
    /// What the host has, which must be enough for all intervals that are open then.
    pub(super) host: Option<Capacity>,
}

/// A row of `usage_intervals` that is to be, without the task's ID.
#[derive(Serialize)]
struct OpenedColumns<'r> {
    cluster: &'r str,
    family: &'r str,
    revision: u32,
    cpu_units: u32,
    memory_mib: u32,
    opened_at: i64,
}

/// Writes what the planner decided and the engine reported, with what is `beside` it, by one statement, and gives the row
/// `next_version`. A container that is not named is left as it is, and so is an interval that was opened before.
///
/// Fails with [`StoreError::Stale`] if the row has another version than the task or does not exist, and with
/// [`StoreError::NoRoom`] if the host has none.
pub(super) async fn record(
    db: &mut SqliteConnection,
    task: &Task,
    next_version: u64,
    beside: &Beside<'_>,
) -> Result<(), StoreError> {
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
    let containers = to_json(&container_rows(task))?;
    let opened = beside.opened.map(opened_columns).transpose()?;
    let host_cpu_units = beside.host.map(|host| to_signed(host.cpu_units));
    let host_memory_mib = beside.host.map(|host| to_signed(host.memory_mib));
    let events = event::to_column(beside.events)?;
    let recorded = sqlx::query!(
        "INSERT INTO recorded_tasks
            (id, version, planned_status, stop_code, stopped_reason, waiting, last_status, address, pull_started_at,
             pull_stopped_at, started_at, stopping_at, execution_stopped_at, stopped_at, cleaned_at, next_version,
             pull_current_bytes, pull_total_bytes, health, limits_enforced_by, healthy_at,
             containers, opened, host_cpu_units, host_memory_mib, events)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                 ?22, ?23, ?24, ?25, ?26)",
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
        healthy_at,
        containers,
        opened,
        host_cpu_units,
        host_memory_mib,
        events
    )
    .execute(db)
    .await;
    match recorded.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(StoreError::Refused(why)) if why == refusal::STALE => Err(StoreError::Stale),
        Err(StoreError::Refused(why)) if why == refusal::NO_ROOM => Err(StoreError::NoRoom),
        Err(error) => Err(error),
    }
}

fn container_rows(task: &Task) -> Vec<ContainerRow> {
    task.containers
        .iter()
        .map(|(name, record)| ContainerRow::new(name, record))
        .collect()
}

fn opened_columns(interval: &UsageInterval) -> Result<String, StoreError> {
    to_json(&OpenedColumns {
        cluster: interval.cluster.as_str(),
        family: interval.definition.family.as_str(),
        revision: interval.definition.revision,
        cpu_units: interval.cpu.0,
        memory_mib: interval.memory.0,
        opened_at: interval.opened_at.as_millis(),
    })
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
