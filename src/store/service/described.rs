//! Services as they are shown: their tasks are counted by the database, and only so many of them are read as are shown.

use sqlx::{Connection as _, SqliteConnection};

use super::{ServiceTaskRow, find};
use crate::domain::{AlikeTasks, Event, Service, ServiceKey, ServiceTask, TimestampMs};
use crate::store::column::to_unsigned;
use crate::store::{Store, StoreError, event};

/// How much of a service is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// So many of its tasks, the oldest.
    pub tasks: u32,
    /// So many of its events, the newest.
    pub events: u32,
}

/// A service, all of one moment: an event never tells of what the service does not show yet.
#[derive(Clone, Debug)]
pub struct DescribedService {
    /// The service.
    pub service: Service,
    /// Its tasks that have not stopped, and those that have and were not taken note of, counted.
    pub counted: Vec<AlikeTasks>,
    /// The oldest of them.
    pub tasks: Vec<ServiceTask>,
    /// What happened to it since it was created, newest first.
    pub events: Vec<Event>,
}

impl Store {
    /// The service of that name, or the last one that had it, as it counts at `now`. A connection is waited for only once:
    /// while much goes on, that is what takes the time.
    pub async fn described_service(
        &self,
        key: &ServiceKey,
        wanted: Wanted,
        now: TimestampMs,
    ) -> Result<Option<DescribedService>, StoreError> {
        let described = async {
            let mut reader = self.readers().acquire().await?;
            let mut moment = reader.begin().await?;
            let Some(service) = find(&mut moment, key).await? else {
                return Ok(None);
            };
            let counted = count(&mut moment, &service, now).await?;
            let tasks = match wanted.tasks {
                0 => Vec::new(),
                most => oldest(&mut moment, key, most).await?,
            };
            let events = match wanted.events {
                0 => Vec::new(),
                most => event::of_service(&mut moment, key, service.created_at, most).await?,
            };
            moment.rollback().await?;
            Ok(Some(DescribedService {
                service,
                counted,
                tasks,
                events,
            }))
        };
        self.readers().of(described).await
    }

    /// The tasks of each of `services`, in their order, as they count at `now`.
    pub async fn counted_tasks(
        &self,
        services: &[Service],
        now: TimestampMs,
    ) -> Result<Vec<Vec<AlikeTasks>>, StoreError> {
        let counted = async {
            let mut reader = self.readers().acquire().await?;
            let mut all = Vec::with_capacity(services.len());
            for service in services {
                all.push(count(&mut reader, service, now).await?);
            }
            Ok(all)
        };
        self.readers().of(counted).await
    }
}

/// The tasks of `service` by all that [`AlikeTasks`] says they are alike in. Of each kind it has the one that was started last,
/// with whose row SQLite answers: so whoever looks a moment later counts none as beyond its grace period that is not.
async fn count(
    db: &mut SqliteConnection,
    service: &Service,
    now: TimestampMs,
) -> Result<Vec<AlikeTasks>, StoreError> {
    let ServiceKey { cluster, name } = &service.key;
    let (cluster, group) = (cluster.as_str(), name.group());
    let settling = service.configuration.settling().as_millis();
    let now = now.as_millis();
    let settled_since = now.saturating_sub(settling);
    let rows = sqlx::query!(
        r#"SELECT count(*) AS "count!: i64", id AS "id!: String", started_by, created_at AS "created_at!: i64",
                  last_status AS "last_status!: String", planned_status AS "planned_status!: String",
                  stop_requested_at, health, max(started_at) AS "started_at: i64", stopped_at, stop_code, stopped_reason, waiting,
                  protected_until, is_counted AS "is_counted!: i64"
             FROM tasks INDEXED BY tasks_of_services
            WHERE cluster = ?1 AND task_group = ?2 AND is_noted = 0 AND task_group GLOB 'service:*'
            GROUP BY started_by, last_status, planned_status, stop_requested_at IS NULL, health,
                     started_at IS NULL, started_at > ?3, started_at > ?4"#,
        cluster,
        group,
        now,
        settled_since
    )
    .fetch_all(db)
    .await?;
    let alike = rows.into_iter().map(|row| {
        let count = to_unsigned("service.tasks", row.count)?;
        let sample = ServiceTaskRow {
            id: row.id,
            started_by: row.started_by,
            created_at: row.created_at,
            last_status: row.last_status,
            planned_status: row.planned_status,
            stop_requested_at: row.stop_requested_at,
            health: row.health,
            started_at: row.started_at,
            stopped_at: row.stopped_at,
            stop_code: row.stop_code,
            stopped_reason: row.stopped_reason,
            waiting: row.waiting,
            protected_until: row.protected_until,
            is_counted: row.is_counted,
        };
        Ok(AlikeTasks {
            sample: sample.try_into()?,
            count,
        })
    });
    alike.collect()
}

async fn oldest(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    most: u32,
) -> Result<Vec<ServiceTask>, StoreError> {
    let (cluster, group) = (key.cluster.as_str(), key.name.group());
    let rows = sqlx::query_as!(
        ServiceTaskRow,
        "SELECT id, started_by, created_at, last_status, planned_status, stop_requested_at, health,
                    started_at, stopped_at, stop_code, stopped_reason, waiting, protected_until, is_counted
               FROM tasks INDEXED BY tasks_of_services
              WHERE cluster = ?1 AND task_group = ?2 AND is_noted = 0 AND task_group GLOB 'service:*'
              ORDER BY seq LIMIT ?3",
        cluster,
        group,
        most
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(ServiceTask::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        DurationMs, LastStatus, ServiceConfiguration, ServiceStatus, StopCode, StopRequest, Task,
    };
    use crate::store::ServiceRecord;
    use crate::store::testing::{Fixture, at};

    const GRACE_MS: u32 = 10_000;

    fn service() -> Service {
        Service {
            key: ServiceKey {
                cluster: "default".parse().unwrap(),
                name: "web".parse().unwrap(),
            },
            status: ServiceStatus::Active,
            desired_count: 1,
            configuration: ServiceConfiguration {
                health_check_grace_period: DurationMs::from_millis(GRACE_MS),
                ..ServiceConfiguration::default()
            },
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

    /// Tasks of two deployments, with and without health checks, in several states, begun before and after `now`.
    async fn tasks(fixture: &Fixture, service: &Service) -> Vec<Task> {
        let mut tasks = Vec::new();
        for number in 0..60_i64 {
            let mut task = fixture.task();
            task.group = service.key.name.group();
            task.started_by = Some(format!("ecs-svc/{}", number % 2));
            let one = std::slice::from_ref(&task);
            fixture.store.create_tasks(one, None).await.unwrap();
            if number % 5 != 0 {
                task.last_status = LastStatus::Running;
                task.started_at = Some(at(number * 1_000));
            }
            fixture.store.record_task(&task, &[], &[]).await.unwrap();
            if number % 7 == 0 {
                let request = StopRequest {
                    at: at(1),
                    code: StopCode::UserInitiated,
                    reason: None,
                };
                let stopped = fixture.store.request_stop(&task.id, request).await;
                stopped.unwrap();
            }
            tasks.push(task);
        }
        for (health, rest) in [("'HEALTHY'", 0), ("'UNHEALTHY'", 1), ("NULL", 2)] {
            let sql = format!("UPDATE tasks SET health = {health} WHERE seq % 3 = {rest}");
            fixture.execute(sql.leak()).await.unwrap();
        }
        tasks
    }

    #[tokio::test]
    async fn tasks_that_are_counted_together_count_as_they_do_one_by_one() {
        let fixture = Fixture::new().await;
        let (store, service) = (&fixture.store, service());
        let record = ServiceRecord::of(service.clone(), Vec::new());
        store.create_service(record, None).await.unwrap();
        tasks(&fixture, &service).await;
        let all = store.service_tasks(&service.key).await.unwrap();
        for now in [at(0), at(20_000), at(35_500), at(100_000)] {
            let wanted = Wanted {
                tasks: 7,
                events: 0,
            };
            let found = store.described_service(&service.key, wanted, now).await;
            let found = found.unwrap().unwrap();
            assert_eq!(found.tasks, all[..7]);
            let listed = store.counted_tasks(std::slice::from_ref(&service), now);
            assert_eq!(listed.await.unwrap(), std::slice::from_ref(&found.counted));
            let settling = service.configuration.settling();
            let kind = |task: &ServiceTask| {
                (
                    task.deployment.clone(),
                    task.last_status,
                    task.is_wanted(),
                    task.is_healthy(settling, now),
                )
            };
            let mut one_by_one: Vec<_> = all.iter().map(kind).collect();
            let together = found.counted.iter();
            let mut together: Vec<_> = together
                .flat_map(|alike| std::iter::repeat_n(kind(&alike.sample), alike.count as usize))
                .collect();
            one_by_one.sort();
            together.sort();
            assert_eq!(together, one_by_one, "{now}");
            assert!(found.counted.len() < 40, "{} kinds", found.counted.len());
        }
    }
}
