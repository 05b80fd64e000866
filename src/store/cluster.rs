//! Clusters, with the number of tasks that are going on in each.

use serde_json::{Map, Value};
use sqlx::SqliteConnection;

use super::column::{from_json, to_json, to_unsigned};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{Cluster, ClusterName, DEFAULT_CLUSTER, EventKind, NewEvent, TimestampMs};

/// The clusters that exist and satisfy `$condition`. Counting costs as much as there are tasks that have
/// not stopped in them, because the index holds no others.
macro_rules! cluster_rows {
    ($condition:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            ClusterRow,
            r#"SELECT name, created_at, kept,
                      (SELECT count(*) FROM services INDEXED BY services_by_name
                        WHERE cluster = clusters.name AND status <> 'INACTIVE'
                      ) AS "active_services!: i64",
                      (SELECT count(*) FROM tasks INDEXED BY tasks_unstopped
                        WHERE cluster = clusters.name AND last_status <> 'STOPPED'
                          AND last_status IN ('PROVISIONING', 'PENDING', 'ACTIVATING')
                      ) AS "pending_tasks!: i64",
                      (SELECT count(*) FROM tasks INDEXED BY tasks_unstopped
                        WHERE cluster = clusters.name AND last_status <> 'STOPPED'
                          AND last_status = 'RUNNING'
                      ) AS "running_tasks!: i64"
                 FROM clusters
                WHERE deleted_at IS NULL AND "#
                + $condition,
            $($argument),+
        )
    };
}

impl Store {
    /// Creates a cluster. As in ECS, one that exists is returned as it is.
    pub async fn create_cluster(
        &self,
        name: &ClusterName,
        now: TimestampMs,
    ) -> Result<Cluster, StoreError> {
        self.create_cluster_with(name, &Map::new(), now).await
    }

    /// The same, with what is to be given back of it.
    pub async fn create_cluster_with(
        &self,
        name: &ClusterName,
        kept: &Map<String, Value>,
        now: TimestampMs,
    ) -> Result<Cluster, StoreError> {
        let (name, kept) = (name.clone(), to_json(kept)?);
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    create(db, name.as_str(), &kept, now).await?;
                    read(db, &name).await?.ok_or_else(|| not_found(&name))
                })
            })
            .await
    }

    /// Replaces parts of what is to be given back of a cluster; those that `parts` does not have stay.
    pub async fn keep_of_cluster(
        &self,
        name: &ClusterName,
        parts: &Map<String, Value>,
    ) -> Result<Cluster, StoreError> {
        let (name, parts) = (name.clone(), parts.clone());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let mut cluster = read(db, &name).await?.ok_or_else(|| not_found(&name))?;
                    cluster.kept.extend(parts);
                    let (text, kept) = (name.as_str(), to_json(&cluster.kept)?);
                    sqlx::query!("UPDATE clusters SET kept = ?1 WHERE name = ?2", kept, text)
                        .execute(db)
                        .await?;
                    Ok(cluster)
                })
            })
            .await
    }

    /// Has `change` change what is kept of a cluster. What it refuses with is the inner error, and nothing is changed then.
    pub async fn change_cluster<E: Send + 'static>(
        &self,
        name: &ClusterName,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<Cluster, E>, StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let mut cluster = read(db, &name).await?.ok_or_else(|| not_found(&name))?;
                    if let Err(refused) = change(&mut cluster.kept) {
                        return Ok(Err(refused));
                    }
                    let (text, kept) = (name.as_str(), to_json(&cluster.kept)?);
                    sqlx::query!("UPDATE clusters SET kept = ?1 WHERE name = ?2", kept, text)
                        .execute(db)
                        .await?;
                    Ok(Ok(cluster))
                })
            })
            .await
    }

    /// Deletes a cluster in which nothing goes on any more, and returns it as it was last. `default` stays.
    pub async fn delete_cluster(
        &self,
        name: &ClusterName,
        now: TimestampMs,
    ) -> Result<Cluster, StoreError> {
        if name.as_str() == DEFAULT_CLUSTER {
            return Err(StoreError::Refused(format!(
                "cluster `{DEFAULT_CLUSTER}` cannot be deleted"
            )));
        }
        let name = name.clone();
        self.writer()
            .write(move |db| Box::pin(async move { delete(db, &name, now).await }))
            .await
    }

    /// The cluster of that name.
    pub async fn cluster(&self, name: &ClusterName) -> Result<Option<Cluster>, StoreError> {
        let found = async { read(&mut *self.readers().acquire().await?, name).await };
        self.readers().of(found).await
    }

    /// The names of all clusters.
    pub async fn cluster_names(&self) -> Result<Vec<ClusterName>, StoreError> {
        let names =
            sqlx::query_scalar!("SELECT name FROM clusters WHERE deleted_at IS NULL ORDER BY name")
                .fetch_all(self.readers())
                .await?;
        let names = names.into_iter().map(ClusterName::try_from);
        Ok(names.collect::<Result<_, _>>()?)
    }

    /// The clusters by name.
    pub async fn clusters(&self, request: &PageRequest) -> Result<Page<Cluster>, StoreError> {
        let after: String = request.after(List::Clusters)?.unwrap_or_default();
        let rows = request.rows();
        let rows = cluster_rows!("name > ?1 ORDER BY name LIMIT ?2", after, rows)
            .fetch_all(self.readers())
            .await?;
        let clusters = rows.into_iter().map(Cluster::try_from);
        request.page(
            List::Clusters,
            clusters.collect::<Result<_, _>>()?,
            |cluster: &Cluster| cluster.name.clone(),
        )
    }
}

/// Fails unless the cluster exists.
pub(super) async fn require(
    db: &mut SqliteConnection,
    name: &ClusterName,
) -> Result<(), StoreError> {
    let text = name.as_str();
    sqlx::query_scalar!(
        r#"SELECT 1 AS "one: i64" FROM clusters WHERE name = ?1 AND deleted_at IS NULL"#,
        text
    )
    .fetch_optional(db)
    .await?
    .map(|_| ())
    .ok_or_else(|| not_found(name))
}

/// Creates the cluster that is meant when none is named.
pub(super) async fn create_default(
    db: &mut SqliteConnection,
    now: TimestampMs,
) -> Result<(), StoreError> {
    create(db, DEFAULT_CLUSTER, "{}", now).await
}

async fn create(
    db: &mut SqliteConnection,
    name: &str,
    kept: &str,
    now: TimestampMs,
) -> Result<(), StoreError> {
    let at = now.as_millis();
    let created = sqlx::query!(
        "INSERT INTO clusters (name, created_at, kept) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE
            SET created_at = excluded.created_at, deleted_at = NULL, kept = excluded.kept
          WHERE deleted_at IS NOT NULL",
        name,
        at,
        kept
    )
    .execute(&mut *db)
    .await?
    .rows_affected();
    if created > 0 {
        let kind = EventKind::ClusterCreated;
        event::insert(db, &change(kind, name, now, "was created")).await?;
    }
    Ok(())
}

async fn delete(
    db: &mut SqliteConnection,
    name: &ClusterName,
    now: TimestampMs,
) -> Result<Cluster, StoreError> {
    let cluster = read(db, name).await?.ok_or_else(|| not_found(name))?;
    let (text, at) = (name.as_str(), now.as_millis());
    let tasks = sqlx::query_scalar!(
        r#"SELECT count(*) AS "tasks!: i64" FROM tasks INDEXED BY tasks_unstopped
            WHERE cluster = ?1 AND last_status <> 'STOPPED'"#,
        text
    )
    .fetch_one(&mut *db)
    .await?;
    if tasks > 0 {
        return Err(StoreError::ClusterInUse {
            cluster: text.to_owned(),
            tasks: to_unsigned("cluster.tasks", tasks)?,
        });
    }
    sqlx::query!(
        "UPDATE clusters SET deleted_at = ?1 WHERE name = ?2",
        at,
        text
    )
    .execute(&mut *db)
    .await?;
    let kind = EventKind::ClusterDeleted;
    event::insert(db, &change(kind, text, now, "was deleted")).await?;
    Ok(cluster)
}

async fn read(
    db: &mut SqliteConnection,
    name: &ClusterName,
) -> Result<Option<Cluster>, StoreError> {
    let name = name.as_str();
    let row = cluster_rows!("name = ?1", name).fetch_optional(db).await?;
    row.map(Cluster::try_from).transpose()
}

fn change(kind: EventKind, name: &str, at: TimestampMs, what: &str) -> NewEvent {
    NewEvent {
        at,
        kind,
        cluster: Some(name.to_owned()),
        subject: name.to_owned(),
        status: None,
        message: format!("Cluster {name} {what}."),
    }
}

fn not_found(name: &ClusterName) -> StoreError {
    StoreError::not_found(format!("cluster `{name}`"))
}

struct ClusterRow {
    name: String,
    created_at: i64,
    pending_tasks: i64,
    running_tasks: i64,
    active_services: i64,
    kept: String,
}

impl TryFrom<ClusterRow> for Cluster {
    type Error = StoreError;

    fn try_from(row: ClusterRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name.parse()?,
            created_at: TimestampMs::from_millis(row.created_at),
            pending_tasks: to_unsigned("cluster.pendingTasks", row.pending_tasks)?,
            running_tasks: to_unsigned("cluster.runningTasks", row.running_tasks)?,
            active_services: to_unsigned("cluster.activeServices", row.active_services)?,
            kept: from_json("cluster.kept", &row.kept)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LastStatus;
    use crate::store::testing::{Fixture, at, cluster, stopped};

    #[tokio::test]
    async fn the_default_cluster_is_there_from_the_start_and_stays() {
        let fixture = Fixture::new().await;
        let default = cluster(DEFAULT_CLUSTER);
        let found = fixture.store.cluster(&default).await.unwrap().unwrap();
        assert_eq!(found.created_at, at(0));
        let refused = fixture.store.delete_cluster(&default, at(1)).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
        assert_eq!(*fixture.store.event_seq().borrow(), 1);
    }

    #[tokio::test]
    async fn creating_what_exists_returns_it_without_a_second_event() {
        let fixture = Fixture::new().await;
        let name = cluster("blue");
        let first = fixture.store.create_cluster(&name, at(5)).await.unwrap();
        let second = fixture.store.create_cluster(&name, at(6)).await.unwrap();
        assert_eq!(first, second);
        assert_eq!(*fixture.store.event_seq().borrow(), 2);
    }

    #[tokio::test]
    async fn a_deleted_cluster_is_gone_and_can_be_created_again() {
        let fixture = Fixture::new().await;
        let name = cluster("blue");
        fixture.store.create_cluster(&name, at(5)).await.unwrap();
        fixture.store.delete_cluster(&name, at(6)).await.unwrap();
        assert_eq!(fixture.store.cluster(&name).await.unwrap(), None);
        let again = fixture.store.delete_cluster(&name, at(7)).await;
        assert!(
            matches!(again, Err(StoreError::NotFound { .. })),
            "{again:?}"
        );
        let new = fixture.store.create_cluster(&name, at(8)).await.unwrap();
        assert_eq!(new.created_at, at(8));
        assert_eq!(*fixture.store.event_seq().borrow(), 4);
    }

    #[tokio::test]
    async fn what_is_kept_of_a_cluster_is_given_back_part_by_part_until_it_is_deleted() {
        let fixture = Fixture::new().await;
        let name = cluster("blue");
        let map = |value: Value| value.as_object().unwrap().clone();
        let first = map(serde_json::json!({ "tags": [1], "settings": [2] }));
        let store = &fixture.store;
        let made = store.create_cluster_with(&name, &first, at(5)).await;
        assert_eq!(made.unwrap().kept, first);
        let parts = map(serde_json::json!({ "settings": [3] }));
        store.keep_of_cluster(&name, &parts).await.unwrap();
        let found = store.cluster(&name).await.unwrap().unwrap();
        let both = map(serde_json::json!({ "tags": [1], "settings": [3] }));
        assert_eq!(found.kept, both);
        store.delete_cluster(&name, at(6)).await.unwrap();
        let kept = store.keep_of_cluster(&name, &parts).await;
        assert!(matches!(kept, Err(StoreError::NotFound { .. })), "{kept:?}");
        let anew = store.create_cluster(&name, at(7)).await.unwrap();
        assert_eq!(anew.kept, Map::new());
    }

    #[tokio::test]
    async fn tasks_are_counted_and_keep_their_cluster() {
        let fixture = Fixture::new().await;
        let name = cluster("blue");
        fixture.store.create_cluster(&name, at(5)).await.unwrap();
        let mut tasks = [fixture.task(), fixture.task(), fixture.task()];
        for task in &mut tasks {
            task.cluster = name.clone();
        }
        fixture.store.create_tasks(&tasks, None).await.unwrap();
        let mut running = tasks[0].clone();
        running.last_status = LastStatus::Running;
        running.started_at = Some(at(9));
        fixture.store.record_task(&running, &[], &[]).await.unwrap();
        let ended = stopped(tasks[1].clone());
        fixture.store.record_task(&ended, &[], &[]).await.unwrap();

        let found = fixture.store.cluster(&name).await.unwrap().unwrap();
        assert_eq!((found.pending_tasks, found.running_tasks), (1, 1));
        let refused = fixture.store.delete_cluster(&name, at(10)).await;
        let cluster = "blue".to_owned();
        assert_eq!(refused, Err(StoreError::ClusterInUse { cluster, tasks: 2 }));
    }

    #[tokio::test]
    async fn clusters_come_in_pages_by_name() {
        let fixture = Fixture::new().await;
        for name in ["c", "a", "b"] {
            let name = cluster(name);
            fixture.store.create_cluster(&name, at(5)).await.unwrap();
        }
        let mut request = PageRequest::first(3);
        let page = fixture.store.clusters(&request).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        request.token = page.next;
        let page = fixture.store.clusters(&request).await.unwrap();
        let names: Vec<_> = page.items.iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, page.next), (vec!["default"], None));
    }
}
