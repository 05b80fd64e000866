//! The history of services: their deployments, the revisions that these moved to, and what failed tasks last wrote.
//!
//! It is written with the service itself, as part of the same job, but for the last lines of failed tasks: they come when
//! a task's log is kept, and nobody waits for them. All of it is bounded by service.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::column::{from_json, to_json};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError};
use crate::domain::{
    ContainerName, Deployment, DeploymentId, LastLine, ServiceKey, ServiceRevision,
    ServiceRevisionId, TaskId, TimestampMs,
};

/// So many deployments of a service are remembered, and as many revisions.
const KEPT: u32 = 1_000;
/// Of so many failed tasks of a deployment, the last lines are: twice as many as are told of, since logs are kept in
/// another order than the ends of tasks are noted in.
const LINES_KEPT: u32 = 10;

impl Store {
    /// The deployments of a service that were begun at or after `since`, newest first.
    pub async fn service_deployments(
        &self,
        key: &ServiceKey,
        since: TimestampMs,
        request: &PageRequest,
    ) -> Result<Page<Deployment>, StoreError> {
        let before: i64 = request.after(List::Deployments)?.unwrap_or(i64::MAX);
        let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
        let (since, limit) = (since.as_millis(), request.rows());
        let rows = sqlx::query!(
            "SELECT seq, deployment FROM service_deployments
              WHERE cluster = ?1 AND service = ?2 AND seq < ?3 AND created_at >= ?4
              ORDER BY seq DESC LIMIT ?5",
            cluster,
            name,
            before,
            since,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } = request.page(List::Deployments, rows, |row| row.seq)?;
        let items = items
            .iter()
            .map(|row| from_json("service.deployment", &row.deployment));
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// A deployment of a service.
    pub async fn service_deployment(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
    ) -> Result<Option<Deployment>, StoreError> {
        let (cluster, name, id) = (key.cluster.as_str(), key.name.as_str(), id.as_str());
        let found = sqlx::query_scalar!(
            "SELECT deployment FROM service_deployments WHERE id = ?3 AND cluster = ?1 AND service = ?2",
            cluster,
            name,
            id
        )
        .fetch_optional(self.readers())
        .await?;
        found
            .map(|text| from_json("service.deployment", &text))
            .transpose()
    }

    /// A revision of a service.
    pub async fn service_revision(
        &self,
        key: &ServiceKey,
        id: &ServiceRevisionId,
    ) -> Result<Option<ServiceRevision>, StoreError> {
        let (cluster, name, id) = (key.cluster.as_str(), key.name.as_str(), id.as_str());
        let found = sqlx::query_scalar!(
            "SELECT revision FROM service_revisions WHERE id = ?3 AND cluster = ?1 AND service = ?2",
            cluster,
            name,
            id
        )
        .fetch_optional(self.readers())
        .await?;
        found
            .map(|text| from_json("service.revision", &text))
            .transpose()
    }

    /// The digests of the images that the newest tasks of a service's revision ran, by container, as far as they are known.
    pub async fn image_digests(
        &self,
        key: &ServiceKey,
        id: &ServiceRevisionId,
    ) -> Result<BTreeMap<ContainerName, String>, StoreError> {
        let (cluster, name, id) = (key.cluster.as_str(), key.name.as_str(), id.as_str());
        let rows = sqlx::query!(
            r#"SELECT containers.name AS "name!", image_digest AS "digest!", MAX(tasks.seq) AS "newest: i64"
                 FROM service_deployments
                 JOIN tasks ON started_by = service_deployments.id
                 JOIN containers ON task_id = tasks.id
                WHERE service_deployments.cluster = ?1 AND service = ?2 AND service_revision = ?3
                  AND image_digest IS NOT NULL
                GROUP BY containers.name"#,
            cluster,
            name,
            id
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.name.parse()?, row.digest)))
            .collect()
    }

    /// Keeps what a failed task of a deployment last wrote. Doing so again changes nothing.
    pub async fn keep_last_lines(
        &self,
        task: &TaskId,
        deployment: &str,
        lines: &[LastLine],
    ) -> Result<(), StoreError> {
        let (task, deployment, lines) = (task.clone(), deployment.to_owned(), to_json(lines)?);
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let task = task.as_str();
                    sqlx::query!(
                        "INSERT INTO failed_task_lines (task_id, deployment, lines) VALUES (?1, ?2, ?3)
                         ON CONFLICT (task_id) DO NOTHING",
                        task,
                        deployment,
                        lines
                    )
                    .execute(&mut *db)
                    .await?;
                    sqlx::query!(
                        "DELETE FROM failed_task_lines WHERE deployment = ?1 AND seq <=
                             (SELECT seq FROM failed_task_lines WHERE deployment = ?1
                               ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
                        deployment,
                        LINES_KEPT
                    )
                    .execute(db)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    /// What the failed tasks of a deployment last wrote, as far as it was kept.
    pub async fn last_lines(
        &self,
        deployment: &DeploymentId,
    ) -> Result<BTreeMap<TaskId, Vec<LastLine>>, StoreError> {
        let deployment = deployment.as_str();
        let rows = sqlx::query!(
            "SELECT task_id, lines FROM failed_task_lines WHERE deployment = ?1",
            deployment
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok((
                    row.task_id.parse()?,
                    from_json("failedTask.lines", &row.lines)?,
                ))
            })
            .collect()
    }
}

/// Records a revision, which is new.
pub(super) async fn insert_revision(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    revision: &ServiceRevision,
) -> Result<(), StoreError> {
    let (cluster, name, id) = (
        key.cluster.as_str(),
        key.name.as_str(),
        revision.id.as_str(),
    );
    let text = to_json(revision)?;
    sqlx::query!(
        "INSERT INTO service_revisions (id, cluster, service, revision) VALUES (?1, ?2, ?3, ?4)",
        id,
        cluster,
        name,
        text
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Records a deployment as it is now.
pub(super) async fn put(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    deployment: &Deployment,
) -> Result<(), StoreError> {
    let (id, text) = (deployment.id.as_str(), to_json(deployment)?);
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    let revision = deployment.service_revision.as_str();
    let created_at = deployment.created_at.as_millis();
    sqlx::query!(
        "INSERT INTO service_deployments (id, cluster, service, service_revision, created_at, deployment)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET deployment = excluded.deployment
          WHERE deployment <> excluded.deployment",
        id,
        cluster,
        name,
        revision,
        created_at,
        text
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets the oldest of a service's deployments and revisions, where there are too many.
pub(super) async fn prune(db: &mut SqliteConnection, key: &ServiceKey) -> Result<(), StoreError> {
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    sqlx::query!(
        "DELETE FROM service_deployments WHERE cluster = ?1 AND service = ?2 AND seq <=
             (SELECT seq FROM service_deployments WHERE cluster = ?1 AND service = ?2
               ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
        cluster,
        name,
        KEPT
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "DELETE FROM service_revisions WHERE cluster = ?1 AND service = ?2 AND seq <=
             (SELECT seq FROM service_revisions WHERE cluster = ?1 AND service = ?2
               ORDER BY seq DESC LIMIT 1 OFFSET ?3)",
        cluster,
        name,
        KEPT
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn of_a_deployment_the_newest_failed_tasks_lines_are_kept() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let line = |text: &str| LastLine {
            container: "app".parse().unwrap(),
            at: at(1),
            stderr: true,
            text: text.to_owned(),
        };
        let id = DeploymentId::generate(&fixture.ids);
        let mut tasks = Vec::new();
        for _ in 0..=LINES_KEPT {
            let task = fixture.created().await;
            let lines = [line(task.id.as_str())];
            store
                .keep_last_lines(&task.id, id.as_str(), &lines)
                .await
                .unwrap();
            store
                .keep_last_lines(&task.id, id.as_str(), &[line("again")])
                .await
                .unwrap();
            tasks.push(task.id);
        }
        let kept = store.last_lines(&id).await.unwrap();
        assert_eq!(kept.len(), LINES_KEPT as usize);
        assert!(!kept.contains_key(&tasks[0]), "the oldest goes first");
        let newest = tasks.last().unwrap();
        assert_eq!(kept[newest], [line(newest.as_str())]);
        let other = DeploymentId::generate(&fixture.ids);
        assert!(store.last_lines(&other).await.unwrap().is_empty());
    }
}
