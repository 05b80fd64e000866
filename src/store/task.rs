//! Tasks: accepted once, asked to stop once, and recorded step by step.
//!
//! Each of the three writers of a task has its own call here, and none can write what belongs to another:
//! [`Store::request_stop`] for the user, [`Store::record_task`] for planner and engine, which only ever
//! write one after the other. A record that rests on an outdated reading is refused.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::client_token::{self, ClientToken};
use super::task_row::{self, Beside, NewTaskRow};
use super::writer::Undo;
use super::{Store, StoreError, event, log_group, service, usage};
use crate::domain::{
    Capacity, ClusterName, EventKind, NewEvent, ServiceKey, StopRequest, Task, TaskId, TimestampMs,
    UsageChange,
};

/// The call that tokens are given with.
const RUN_TASK: &str = "RunTask";

/// What became of a call to create tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// They are new.
    New,
    /// The same call was carried out before, and made these.
    Replayed(Vec<TaskId>),
}

impl Store {
    /// Accepts tasks, all of them or none, which must be of one cluster. The time of the call is that of the
    /// first task's creation.
    pub async fn create_tasks(
        &self,
        tasks: &[Task],
        token: Option<ClientToken>,
    ) -> Result<Created, StoreError> {
        self.create_told_tasks(tasks, Vec::new(), token).await
    }

    /// The same, with what is told of them beside that they are there.
    pub async fn create_told_tasks(
        &self,
        tasks: &[Task],
        told: Vec<NewEvent>,
        token: Option<ClientToken>,
    ) -> Result<Created, StoreError> {
        let Some(first) = tasks.first() else {
            return Ok(Created::New);
        };
        if tasks.iter().any(|task| task.cluster != first.cluster) {
            return Err(StoreError::Refused(
                "the tasks of one call must be of one cluster".to_owned(),
            ));
        }
        let (cluster, now) = (first.cluster.clone(), first.created_at);
        let rows: Vec<NewTaskRow> = tasks
            .iter()
            .map(NewTaskRow::new)
            .collect::<Result<_, _>>()?;
        let is_one_statement = token.is_none()
            && matches!(rows.as_slice(), [row] if row.is_new() && row.task.log_streams().next().is_none());
        self.writer()
            .write_as(Undo::of_one_statement(is_one_statement), move |db| {
                Box::pin(async move {
                    if let Some(token) = &token
                        && let Some(ids) =
                            client_token::replay(db, &cluster, RUN_TASK, token, now).await?
                    {
                        return Ok(Created::Replayed(ids));
                    }
                    for (place, row) in rows.iter().enumerate() {
                        let is_last = place + 1 == rows.len();
                        accept(db, row, if is_last { &told } else { &[] }).await?;
                    }
                    if let Some(token) = &token {
                        let ids: Vec<&TaskId> = rows.iter().map(|row| &row.task.id).collect();
                        client_token::remember(db, &cluster, RUN_TASK, token, &ids, now).await?;
                    }
                    Ok(Created::New)
                })
            })
            .await
    }

    /// The tasks that a call with this token has made, if there was one in the time that tokens are kept.
    pub async fn tasks_of_token(
        &self,
        cluster: &ClusterName,
        token: &ClientToken,
        now: TimestampMs,
    ) -> Result<Option<Vec<TaskId>>, StoreError> {
        let found = async {
            let mut reader = self.readers().acquire().await?;
            client_token::replay(&mut reader, cluster, RUN_TASK, token, now).await
        };
        self.readers().of(found).await
    }

    /// The task of that ID.
    pub async fn task(&self, id: &TaskId) -> Result<Option<Task>, StoreError> {
        task_row::read(self.readers(), id).await
    }

    /// Those of these tasks that there are, by their ID, with one query.
    pub async fn tasks_by_id(&self, ids: &[TaskId]) -> Result<BTreeMap<TaskId, Task>, StoreError> {
        let found = task_row::read_all(self.readers(), ids).await?;
        Ok(found
            .into_iter()
            .map(|task| (task.id.clone(), task))
            .collect())
    }

    /// Notes that a task is to stop, and returns it. Only the first request counts; one for a task that has
    /// stopped already changes nothing.
    pub async fn request_stop(
        &self,
        id: &TaskId,
        request: StopRequest,
    ) -> Result<Task, StoreError> {
        let id = id.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    stop(db, &id, &request).await?;
                    task_row::read(&mut *db, &id)
                        .await?
                        .ok_or_else(|| not_found(&id))
                })
            })
            .await
    }

    /// Has `service` spare its task until then, or no longer, and returns it; `None` if the task is to stop already.
    /// What was decided about the service without knowing of this is refused as stale.
    pub async fn protect_task(
        &self,
        id: &TaskId,
        service: &ServiceKey,
        until: Option<TimestampMs>,
        now: TimestampMs,
    ) -> Result<Option<Task>, StoreError> {
        let (id, service) = (id.clone(), service.clone());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let (text, until_ms) = (id.as_str(), until.map(TimestampMs::as_millis));
                    let cluster = sqlx::query_scalar!(
                        "UPDATE tasks SET protected_until = ?1
                          WHERE id = ?2 AND stop_requested_at IS NULL AND planned_status = 'RUNNING'
                         RETURNING cluster",
                        until_ms,
                        text
                    )
                    .fetch_optional(&mut *db)
                    .await?;
                    let Some(cluster) = cluster else {
                        return Ok(None);
                    };
                    event::insert(db, &protected(&id, cluster, until, now)).await?;
                    service::outdate(db, &service).await?;
                    task_row::read(&mut *db, &id).await
                })
            })
            .await
    }

    /// Records what the planner decided and the engine reported, with what happened and what that means for
    /// the bill, all at once. `task.version` must be the one that was read; the row has the next one then.
    /// The stop request of `task` is not written, whatever it says.
    ///
    /// Fails with [`StoreError::Stale`] if somebody else recorded the task in between, and with
    /// [`StoreError::Refused`] if its `lastStatus` would go back or the record makes no sense.
    pub async fn record_task(
        &self,
        task: &Task,
        events: &[NewEvent],
        usage: &[UsageChange],
    ) -> Result<(), StoreError> {
        self.record(task, events, usage, None).await
    }

    /// The same for a task that begins to reserve. Fails with [`StoreError::NoRoom`] if more would be reserved then than
    /// `host` has.
    pub async fn admit_task(
        &self,
        task: &Task,
        events: &[NewEvent],
        usage: &[UsageChange],
        host: Capacity,
    ) -> Result<(), StoreError> {
        self.record(task, events, usage, Some(host)).await
    }

    async fn record(
        &self,
        task: &Task,
        events: &[NewEvent],
        usage: &[UsageChange],
        host: Option<Capacity>,
    ) -> Result<(), StoreError> {
        let opened = usage.iter().find_map(|change| match change {
            UsageChange::Open(interval) => Some(interval.clone()),
            _ => None,
        });
        if let Some(interval) = &opened
            && interval.task_id != task.id
        {
            return Err(StoreError::Refused(format!(
                "a usage interval of task `{}` cannot be recorded with task `{}`",
                interval.task_id, task.id
            )));
        }
        let undo = Undo::of_one_statement(usage::only_opening(usage));
        let (task, events, usage) = (task.clone(), events.to_vec(), usage.to_vec());
        self.writer()
            .write_as(undo, move |db| {
                Box::pin(async move {
                    let beside = Beside {
                        events: &events,
                        opened: opened.as_ref(),
                        host,
                    };
                    let next_version = task.version.saturating_add(1);
                    match task_row::record(db, &task, next_version, &beside).await {
                        Err(StoreError::Stale) => return Err(stale_or_absent(db, &task.id).await?),
                        recorded => recorded?,
                    }
                    for change in &usage {
                        usage::apply(db, &task, change).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

/// Notes that a task is to stop, as part of the job that `db` carries out.
pub(super) async fn stop(
    db: &mut SqliteConnection,
    id: &TaskId,
    request: &StopRequest,
) -> Result<(), StoreError> {
    let (text, at, code) = (id.as_str(), request.at.as_millis(), request.code.as_str());
    let cluster = sqlx::query_scalar!(
        "UPDATE tasks SET stop_requested_at = ?1, stop_request_code = ?2, stop_request_reason = ?3
          WHERE id = ?4 AND stop_requested_at IS NULL AND last_status <> 'STOPPED'
         RETURNING cluster",
        at,
        code,
        request.reason,
        text
    )
    .fetch_optional(&mut *db)
    .await?;
    match cluster {
        Some(cluster) => event::insert(db, &stop_requested(id, cluster, request)).await,
        None => Ok(()),
    }
}

/// Accepts a task as part of the job that `db` carries out, with what is told of it after that.
pub(super) async fn accept(
    db: &mut SqliteConnection,
    row: &NewTaskRow,
    told: &[NewEvent],
) -> Result<(), StoreError> {
    let mut events = vec![accepted(&row.task)];
    events.extend_from_slice(told);
    row.insert(db, &events).await?;
    log_group::begin_streams(db, &row.task).await
}

/// Why a row was not there to be updated.
async fn stale_or_absent(db: &mut SqliteConnection, id: &TaskId) -> Result<StoreError, StoreError> {
    let text = id.as_str();
    let known = sqlx::query_scalar!(r#"SELECT 1 AS "one: i64" FROM tasks WHERE id = ?1"#, text)
        .fetch_optional(db)
        .await?;
    Ok(known.map_or_else(|| not_found(id), |_| StoreError::Stale))
}

fn accepted(task: &Task) -> NewEvent {
    let status = task.last_status;
    NewEvent {
        at: task.created_at,
        kind: EventKind::TaskStateChange,
        cluster: Some(task.cluster.to_string()),
        subject: task.id.to_string(),
        status: Some(status.to_string()),
        message: format!(
            "Task of {} was accepted and is {status}.",
            task.spec.definition
        ),
    }
}

fn stop_requested(task: &TaskId, cluster: String, request: &StopRequest) -> NewEvent {
    NewEvent {
        at: request.at,
        kind: EventKind::TaskStopRequested,
        cluster: Some(cluster),
        subject: task.to_string(),
        status: None,
        message: match &request.reason {
            Some(reason) => format!("Task was asked to stop: {reason}"),
            None => "Task was asked to stop.".to_owned(),
        },
    }
}

fn protected(
    task: &TaskId,
    cluster: String,
    until: Option<TimestampMs>,
    at: TimestampMs,
) -> NewEvent {
    NewEvent {
        at,
        kind: EventKind::TaskProtection,
        cluster: Some(cluster),
        subject: task.to_string(),
        status: None,
        message: match until {
            Some(until) => format!("Task is protected until {until}."),
            None => "Task is not protected any more.".to_owned(),
        },
    }
}

fn not_found(id: &TaskId) -> StoreError {
    StoreError::not_found(format!("task `{id}`"))
}

#[cfg(test)]
mod tests;
