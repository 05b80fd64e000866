//! Services: recorded as a whole, under their version, together with the tasks that a round starts and stops.
//!
//! Users and planner write the same row, one after the other: whoever has not seen the newest version is refused
//! and has to look again. So no call here decides which of the two was right.

mod described;

use sqlx::SqliteConnection;

pub use described::{DescribedService, Wanted};

use super::client_token::{self, ClientToken};
use super::column::{from_json, from_time, from_word, to_json, to_time, to_unsigned};
use super::page::List;
use super::task::{accept, stop};
use super::task_row::NewTaskRow;
use super::{Page, PageRequest, Store, StoreError, cluster, deployment, event};
use crate::domain::{
    ClusterName, Deployment, DeploymentId, DesiredStatus, HealthStatus, LastStatus, NewEvent,
    Service, ServiceKey, ServiceRevision, ServiceStatus, ServiceTask, StopCode, StopRequest, Task,
    TaskId, TimestampMs,
};

/// The calls that tokens are given with.
const CREATE_SERVICE: &str = "CreateService";
const CREATE_TASK_SET: &str = "CreateTaskSet";

/// What is recorded of a service at once, or not at all.
#[derive(Clone, Debug)]
pub struct ServiceRecord {
    /// The service, with the version that was read.
    pub service: Service,
    /// Deployments that are over, as they ended.
    pub retired: Vec<Deployment>,
    /// A revision that it is moved to for the first time.
    pub revision: Option<ServiceRevision>,
    /// Tasks that it starts.
    pub start: Vec<Task>,
    /// Tasks that it asks to stop.
    pub stop: Vec<(TaskId, StopRequest)>,
    /// Tasks that go to their end, and whose failure is counted.
    pub counted: Vec<TaskId>,
    /// Stopped tasks that it has taken note of.
    pub noted: Vec<TaskId>,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// The call that made a task set of it, if it came with a token.
    pub made_by: Option<(ClientToken, DeploymentId)>,
}

impl ServiceRecord {
    /// When that is.
    fn at(&self) -> TimestampMs {
        let first = self.events.first();
        first.map_or(self.service.created_at, |event| event.at)
    }

    /// Only the service itself, and what happened to it.
    pub fn of(service: Service, events: Vec<NewEvent>) -> Self {
        Self {
            service,
            retired: Vec::new(),
            revision: None,
            start: Vec::new(),
            stop: Vec::new(),
            counted: Vec::new(),
            noted: Vec::new(),
            events,
            made_by: None,
        }
    }
}

/// The services that `$rest` picks, which is all that follows the name of the table.
macro_rules! service_rows {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            ServiceRow,
            "SELECT seq, cluster, name, status, desired_count, configuration, tags, deployments, task_sets,
                    completed, is_steady, waiting, created_at, deleted_at, version
               FROM services " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    /// Records a new service, whose version is 1. `false` if the same call, by its token, has done so before. Fails with
    /// [`StoreError::AlreadyExists`] if its cluster has one of that name that is not INACTIVE.
    pub async fn create_service(
        &self,
        record: ServiceRecord,
        token: Option<ClientToken>,
    ) -> Result<bool, StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let key = &record.service.key;
                    let now = record.service.created_at;
                    cluster::require(db, &key.cluster).await?;
                    if let Some(token) = &token
                        && is_repeated(db, key, token, now).await?
                    {
                        return Ok(false);
                    }
                    if !insert(db, &record.service).await? {
                        return Err(StoreError::AlreadyExists {
                            what: format!("service `{}`", key.name),
                        });
                    }
                    if let Some(token) = &token {
                        let cluster = &key.cluster;
                        client_token::remember(db, cluster, CREATE_SERVICE, token, &now, now)
                            .await?;
                    }
                    put_rest(db, &record).await?;
                    Ok(true)
                })
            })
            .await
    }

    /// Whether a call with this token has made the service of that name, in the time that tokens are kept.
    pub async fn has_created_service(
        &self,
        key: &ServiceKey,
        token: &ClientToken,
        now: TimestampMs,
    ) -> Result<bool, StoreError> {
        let found = async {
            let mut reader = self.readers().acquire().await?;
            is_repeated(&mut reader, key, token, now).await
        };
        self.readers().of(found).await
    }

    /// The task set that a call with this token has made, if there was one in the time that tokens are kept.
    pub async fn task_set_of_token(
        &self,
        cluster: &ClusterName,
        token: &ClientToken,
        now: TimestampMs,
    ) -> Result<Option<DeploymentId>, StoreError> {
        let found = async {
            let mut reader = self.readers().acquire().await?;
            replayed_set(&mut reader, cluster, token, now).await
        };
        self.readers().of(found).await
    }

    /// Records what has become of a service. `record.service.version` must be the one that was read; the row has the
    /// next one then. Fails with [`StoreError::Stale`] if somebody else recorded it in between.
    pub async fn record_service(&self, record: ServiceRecord) -> Result<(), StoreError> {
        let rows: Vec<NewTaskRow> = record
            .start
            .iter()
            .map(NewTaskRow::new)
            .collect::<Result<_, _>>()?;
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    if !update(db, &record.service).await? {
                        return Err(StoreError::Stale);
                    }
                    put_rest(db, &record).await?;
                    if let Some((token, id)) = &record.made_by {
                        let (cluster, now) = (&record.service.key.cluster, record.at());
                        let made = replayed_set(db, cluster, token, now).await?;
                        // The same call was quicker: whoever looks again finds what it made.
                        if made.is_some() {
                            return Err(StoreError::Stale);
                        }
                        client_token::remember(db, cluster, CREATE_TASK_SET, token, id, now)
                            .await?;
                    }
                    for row in &rows {
                        accept(db, row, &[]).await?;
                    }
                    for (task, request) in &record.stop {
                        stop(db, task, request).await?;
                    }
                    count(db, &record.counted).await?;
                    note(db, &record.noted).await
                })
            })
            .await
    }

    /// The service of that name, or the last one that had it.
    pub async fn service(&self, key: &ServiceKey) -> Result<Option<Service>, StoreError> {
        let found = async {
            let mut reader = self.readers().acquire().await?;
            find(&mut reader, key).await
        };
        self.readers().of(found).await
    }

    /// The services of a cluster, or of all, that are not INACTIVE, newest first.
    pub async fn services(
        &self,
        cluster: Option<&ClusterName>,
        request: &PageRequest,
    ) -> Result<Page<Service>, StoreError> {
        let before: i64 = request.after(List::Services)?.unwrap_or(i64::MAX);
        let cluster = cluster.map(ClusterName::as_str);
        let limit = request.rows();
        let rows = service_rows!(
            "WHERE seq < ?1 AND status <> 'INACTIVE' AND (?2 IS NULL OR cluster = ?2)
             ORDER BY seq DESC LIMIT ?3",
            before,
            cluster,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } = request.page(List::Services, rows, |row| row.seq)?;
        let items = items.into_iter().map(Service::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The services that have to be kept or brought to their end.
    pub async fn unfinished_services(&self) -> Result<Vec<ServiceKey>, StoreError> {
        let rows = sqlx::query_as!(
            KeyRow,
            "SELECT cluster, name FROM services INDEXED BY services_by_name WHERE status <> 'INACTIVE'"
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(ServiceKey::try_from).collect()
    }

    /// Those of them that may have something to do: they are not in their steady state, or have a task that does not
    /// run and count as healthy. Costs as much as there are live tasks of services.
    pub async fn unsettled_services(&self) -> Result<Vec<ServiceKey>, StoreError> {
        let rows = sqlx::query_as!(
            KeyRow,
            "SELECT cluster, name FROM services INDEXED BY services_by_name
              WHERE status <> 'INACTIVE'
                AND (is_steady = 0 OR EXISTS
                     (SELECT 1 FROM tasks INDEXED BY tasks_of_services
                       WHERE tasks.cluster = services.cluster AND task_group = 'service:' || services.name
                         AND is_noted = 0 AND task_group GLOB 'service:*'
                         AND (last_status <> 'RUNNING' OR planned_status <> 'RUNNING'
                              OR stop_requested_at IS NOT NULL OR health <> 'HEALTHY')))"
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(ServiceKey::try_from).collect()
    }

    /// The tasks of a service that have not stopped, and those that have and were not taken note of; oldest first.
    pub async fn service_tasks(&self, key: &ServiceKey) -> Result<Vec<ServiceTask>, StoreError> {
        let found = async {
            let mut reader = self.readers().acquire().await?;
            tasks_of(&mut reader, key).await
        };
        self.readers().of(found).await
    }

    /// How many tasks that have not stopped a deployment has of each capacity provider.
    pub async fn placed_tasks(
        &self,
        key: &ServiceKey,
        deployment: &str,
    ) -> Result<std::collections::BTreeMap<String, u32>, StoreError> {
        let (cluster, group) = (key.cluster.as_str(), key.name.group());
        let rows = sqlx::query!(
            r#"SELECT json_extract(spec, '$.launch.capacityProvider') AS "provider: String", count(*) AS "count!: i64"
                 FROM tasks INDEXED BY tasks_unstopped_by_group
                WHERE task_group = ?2 AND cluster = ?1 AND last_status <> 'STOPPED' AND started_by = ?3
                GROUP BY 1"#,
            cluster,
            group,
            deployment
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .filter_map(|row| Some((row.provider?, row.count)))
            .map(|(provider, count)| Ok((provider, to_unsigned("tasks.count", count)?)))
            .collect()
    }
}

async fn find(db: &mut SqliteConnection, key: &ServiceKey) -> Result<Option<Service>, StoreError> {
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    let row = service_rows!(
        "WHERE cluster = ?1 AND name = ?2 ORDER BY seq DESC LIMIT 1",
        cluster,
        name
    )
    .fetch_optional(db)
    .await?;
    row.map(Service::try_from).transpose()
}

async fn tasks_of(
    db: &mut SqliteConnection,
    key: &ServiceKey,
) -> Result<Vec<ServiceTask>, StoreError> {
    let (cluster, group) = (key.cluster.as_str(), key.name.group());
    let rows = sqlx::query_as!(
        ServiceTaskRow,
        "SELECT id, started_by, created_at, last_status, planned_status, stop_requested_at, health,
                    started_at, stopped_at, stop_code, stopped_reason, waiting, protected_until, is_counted
               FROM tasks INDEXED BY tasks_of_services
              WHERE cluster = ?1 AND task_group = ?2 AND is_noted = 0 AND task_group GLOB 'service:*'
              ORDER BY seq",
        cluster,
        group
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(ServiceTask::try_from).collect()
}

/// The columns that are written each time.
struct Written {
    status: &'static str,
    configuration: String,
    tags: String,
    deployments: String,
    task_sets: String,
    completed: Option<String>,
    deleted_at: Option<i64>,
    version: i64,
}

impl Written {
    fn new(service: &Service) -> Result<Self, StoreError> {
        Ok(Self {
            status: service.status.as_str(),
            configuration: to_json(&service.configuration)?,
            tags: to_json(&service.tags)?,
            deployments: to_json(&service.deployments)?,
            task_sets: to_json(&service.task_sets)?,
            completed: service.last_completed.as_ref().map(to_json).transpose()?,
            deleted_at: from_time(service.deleted_at),
            version: i64::try_from(service.version).unwrap_or(i64::MAX),
        })
    }
}

async fn replayed_set(
    db: &mut SqliteConnection,
    cluster: &ClusterName,
    token: &ClientToken,
    now: TimestampMs,
) -> Result<Option<DeploymentId>, StoreError> {
    client_token::replay(db, cluster, CREATE_TASK_SET, token, now).await
}

/// Whether the call with this token was carried out before, and what it has made is still what has the name.
async fn is_repeated(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    token: &ClientToken,
    now: TimestampMs,
) -> Result<bool, StoreError> {
    let made: Option<TimestampMs> =
        client_token::replay(&mut *db, &key.cluster, CREATE_SERVICE, token, now).await?;
    let Some(made) = made.map(TimestampMs::as_millis) else {
        return Ok(false);
    };
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    let newest = sqlx::query_scalar!(
        "SELECT created_at FROM services WHERE cluster = ?1 AND name = ?2 ORDER BY seq DESC LIMIT 1",
        cluster,
        name
    )
    .fetch_optional(db)
    .await?;
    Ok(newest == Some(made))
}

async fn insert(db: &mut SqliteConnection, service: &Service) -> Result<bool, StoreError> {
    let (cluster, name) = (service.key.cluster.as_str(), service.key.name.as_str());
    let created_at = service.created_at.as_millis();
    let row = Written::new(service)?;
    let inserted = sqlx::query!(
        "INSERT INTO services
            (cluster, name, status, desired_count, configuration, tags, deployments, completed,
             is_steady, waiting, created_at, deleted_at, version, task_sets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT DO NOTHING",
        cluster,
        name,
        row.status,
        service.desired_count,
        row.configuration,
        row.tags,
        row.deployments,
        row.completed,
        service.is_steady,
        service.waiting,
        created_at,
        row.deleted_at,
        row.version,
        row.task_sets
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// False if the row has another version, or does not exist.
pub(super) async fn update(
    db: &mut SqliteConnection,
    service: &Service,
) -> Result<bool, StoreError> {
    let (cluster, name) = (service.key.cluster.as_str(), service.key.name.as_str());
    let row = Written::new(service)?;
    let updated = sqlx::query!(
        "UPDATE services
            SET status = ?4, desired_count = ?5, configuration = ?6, tags = ?7, deployments = ?8,
                completed = ?9, is_steady = ?10, waiting = ?11, deleted_at = ?12, task_sets = ?13,
                version = version + 1
          WHERE cluster = ?1 AND name = ?2 AND status <> 'INACTIVE' AND version = ?3",
        cluster,
        name,
        row.version,
        row.status,
        service.desired_count,
        row.configuration,
        row.tags,
        row.deployments,
        row.completed,
        service.is_steady,
        service.waiting,
        row.deleted_at,
        row.task_sets
    )
    .execute(db)
    .await?;
    Ok(updated.rows_affected() > 0)
}

async fn put_rest(db: &mut SqliteConnection, record: &ServiceRecord) -> Result<(), StoreError> {
    let key = &record.service.key;
    // The oldest first, so that the list of all is in the order in which they were begun.
    let deployments = record.service.deployments.iter().chain(&record.retired);
    for one in deployments.rev() {
        deployment::put(db, key, one).await?;
    }
    if let Some(revision) = &record.revision {
        deployment::insert_revision(db, key, revision).await?;
    }
    if !record.retired.is_empty() {
        deployment::prune(db, key).await?;
    }
    for one in &record.events {
        event::insert(db, one).await?;
    }
    Ok(())
}

/// Has whatever was decided about a service so far refused as stale.
pub(super) async fn outdate(db: &mut SqliteConnection, key: &ServiceKey) -> Result<(), StoreError> {
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    sqlx::query!(
        "UPDATE services SET version = version + 1
          WHERE cluster = ?1 AND name = ?2 AND status <> 'INACTIVE'",
        cluster,
        name
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn count(db: &mut SqliteConnection, tasks: &[TaskId]) -> Result<(), StoreError> {
    if tasks.is_empty() {
        return Ok(());
    }
    let ids = to_json(tasks)?;
    sqlx::query!(
        "UPDATE tasks SET is_counted = 1 WHERE id IN (SELECT value FROM json_each(?1))",
        ids
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn note(db: &mut SqliteConnection, tasks: &[TaskId]) -> Result<(), StoreError> {
    if tasks.is_empty() {
        return Ok(());
    }
    let ids = to_json(tasks)?;
    sqlx::query!(
        "UPDATE tasks SET is_noted = 1 WHERE id IN (SELECT value FROM json_each(?1))",
        ids
    )
    .execute(db)
    .await?;
    Ok(())
}

struct ServiceRow {
    seq: i64,
    cluster: String,
    name: String,
    status: String,
    desired_count: i64,
    configuration: String,
    tags: String,
    deployments: String,
    task_sets: String,
    completed: Option<String>,
    is_steady: i64,
    waiting: Option<String>,
    created_at: i64,
    deleted_at: Option<i64>,
    version: i64,
}

impl TryFrom<ServiceRow> for Service {
    type Error = StoreError;

    fn try_from(row: ServiceRow) -> Result<Self, StoreError> {
        Ok(Self {
            key: ServiceKey {
                cluster: row.cluster.parse()?,
                name: row.name.parse()?,
            },
            status: from_word("service.status", &row.status, ServiceStatus::parse)?,
            desired_count: to_unsigned("service.desiredCount", row.desired_count)?,
            configuration: from_json("service.configuration", &row.configuration)?,
            tags: from_json("service.tags", &row.tags)?,
            deployments: from_json("service.deployments", &row.deployments)?,
            task_sets: from_json("service.taskSets", &row.task_sets)?,
            last_completed: row
                .completed
                .map(|text| from_json("service.completed", &text))
                .transpose()?,
            is_steady: row.is_steady != 0,
            waiting: row.waiting,
            created_at: TimestampMs::from_millis(row.created_at),
            deleted_at: to_time(row.deleted_at),
            version: to_unsigned("service.version", row.version)?,
        })
    }
}

struct KeyRow {
    cluster: String,
    name: String,
}

impl TryFrom<KeyRow> for ServiceKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            cluster: row.cluster.parse()?,
            name: row.name.parse()?,
        })
    }
}

struct ServiceTaskRow {
    id: String,
    started_by: Option<String>,
    created_at: i64,
    last_status: String,
    planned_status: String,
    stop_requested_at: Option<i64>,
    health: Option<String>,
    started_at: Option<i64>,
    stopped_at: Option<i64>,
    stop_code: Option<String>,
    stopped_reason: Option<String>,
    waiting: Option<String>,
    protected_until: Option<i64>,
    is_counted: i64,
}

impl TryFrom<ServiceTaskRow> for ServiceTask {
    type Error = StoreError;

    fn try_from(row: ServiceTaskRow) -> Result<Self, StoreError> {
        let planned = from_word(
            "task.plannedStatus",
            &row.planned_status,
            DesiredStatus::parse,
        )?;
        Ok(Self {
            id: row.id.parse()?,
            deployment: row.started_by.unwrap_or_default(),
            created_at: TimestampMs::from_millis(row.created_at),
            last_status: from_word("task.lastStatus", &row.last_status, LastStatus::parse)?,
            desired_status: if row.stop_requested_at.is_some() {
                DesiredStatus::Stopped
            } else {
                planned
            },
            health: row
                .health
                .map(|word| from_word("task.health", &word, HealthStatus::parse))
                .transpose()?,
            started_at: to_time(row.started_at),
            stopped_at: to_time(row.stopped_at),
            stop_code: row
                .stop_code
                .map(|word| from_word("task.stopCode", &word, StopCode::parse))
                .transpose()?,
            stopped_reason: row.stopped_reason,
            waiting: row.waiting,
            protected_until: to_time(row.protected_until),
            is_counted: row.is_counted != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ServiceConfiguration;
    use crate::store::testing::{Fixture, at, stopped};

    fn service() -> Service {
        Service {
            key: ServiceKey {
                cluster: "default".parse().unwrap(),
                name: "web".parse().unwrap(),
            },
            status: ServiceStatus::Active,
            desired_count: 1,
            configuration: ServiceConfiguration::default(),
            tags: std::collections::BTreeMap::new(),
            deployments: Vec::new(),
            task_sets: Vec::new(),
            last_completed: None,
            is_steady: true,
            waiting: None,
            created_at: at(0),
            deleted_at: None,
            version: 1,
        }
    }

    #[tokio::test]
    async fn what_was_decided_before_a_task_was_protected_is_stale() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let service = service();
        let record = || ServiceRecord::of(service.clone(), Vec::new());
        store.create_service(record(), None).await.unwrap();
        let mut task = fixture.task();
        task.group = service.key.name.group();
        store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        let protect = || store.protect_task(&task.id, &service.key, Some(at(9_000)), at(1_000));
        let protected = protect().await.unwrap().unwrap();
        assert_eq!(protected.protected_until, Some(at(9_000)));
        let stale = store.record_service(record()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let ended = stopped(task.clone());
        store.record_task(&ended, &[], &[]).await.unwrap();
        assert_eq!(protect().await.unwrap(), None, "it ends already");
    }

    #[tokio::test]
    async fn a_token_makes_one_service_of_two_calls() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let mut service = service();
        let token = |hash: &str| {
            Some(ClientToken {
                token: "t".to_owned(),
                request_hash: hash.to_owned(),
            })
        };
        let create = |service: &Service, token| {
            store.create_service(ServiceRecord::of(service.clone(), Vec::new()), token)
        };
        assert_eq!(create(&service, token("h")).await, Ok(true));
        service.created_at = at(5);
        assert_eq!(create(&service, token("h")).await, Ok(false));
        let (key, other) = (&service.key, token("x").unwrap());
        let reused = store.has_created_service(key, &other, at(5)).await;
        assert_eq!(reused, Err(StoreError::TokenReused));
        let stored = store.service(key).await.unwrap().unwrap();
        assert_eq!(stored.created_at, at(0), "it is the first one");
        let without = create(&service, None).await;
        assert!(matches!(without, Err(StoreError::AlreadyExists { .. })));
        // Tasks have tokens of their own.
        let task = fixture.task();
        let run = store.create_tasks(std::slice::from_ref(&task), token("x"));
        assert_eq!(run.await, Ok(crate::store::Created::New));
    }

    #[tokio::test]
    async fn a_service_is_unsettled_until_it_is_steady_and_has_noted_every_end() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let mut service = service();
        let record = |service: &Service| ServiceRecord::of(service.clone(), Vec::new());
        store.create_service(record(&service), None).await.unwrap();
        assert_eq!(store.unsettled_services().await.unwrap(), []);

        let mut task = fixture.task();
        task.group = service.key.name.group();
        store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        let all = std::slice::from_ref(&service.key);
        assert_eq!(store.unsettled_services().await.unwrap(), all, "it starts");
        let ended = stopped(task.clone());
        store.record_task(&ended, &[], &[]).await.unwrap();
        assert_eq!(
            store.unsettled_services().await.unwrap(),
            all,
            "it has ended, and the service does not know"
        );
        let noted = ServiceRecord {
            noted: vec![task.id],
            ..record(&service)
        };
        store.record_service(noted).await.unwrap();
        assert_eq!(store.unsettled_services().await.unwrap(), []);
        service.version = 2;
        service.is_steady = false;
        store.record_service(record(&service)).await.unwrap();
        assert_eq!(store.unsettled_services().await.unwrap(), all);
    }
}
