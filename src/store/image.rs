//! Images that Neargate brought to the engine, and who may need an image.
//!
//! The engine has the images; this is only a note of which of them are not the user's, and when they were used last.
//! A note that a crash prevents, or leaves behind, costs room on the engine's disk and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Store, StoreError, event};
use crate::domain::{KeptImage, NewEvent, PulledImage, TimestampMs};

impl Store {
    /// Notes that images were brought to the engine, which counts as a use. One that is noted keeps its first name.
    pub async fn note_pulled_images(
        &self,
        images: Vec<PulledImage>,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let now = now.as_millis();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    for image in &images {
                        sqlx::query!(
                            "INSERT INTO pulled_images (image_id, reference, last_used_at) VALUES (?1, ?2, ?3)
                             ON CONFLICT (image_id) DO UPDATE SET last_used_at = excluded.last_used_at",
                            image.id,
                            image.reference,
                            now
                        )
                        .execute(&mut *db)
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// All images that are noted.
    pub async fn pulled_images(&self) -> Result<Vec<KeptImage>, StoreError> {
        let rows = sqlx::query!(
            "SELECT image_id, reference, last_used_at FROM pulled_images ORDER BY image_id"
        )
        .fetch_all(self.readers())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| KeptImage {
                image: PulledImage {
                    id: row.image_id,
                    reference: row.reference,
                },
                last_used_at: TimestampMs::from_millis(row.last_used_at),
            })
            .collect())
    }

    /// Writes down when images were used last.
    pub async fn keep_pulled_images(
        &self,
        last_used: BTreeMap<String, TimestampMs>,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    for (id, at) in &last_used {
                        let at = at.as_millis();
                        sqlx::query!(
                            "UPDATE pulled_images SET last_used_at = ?2 WHERE image_id = ?1",
                            id,
                            at
                        )
                        .execute(&mut *db)
                        .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Forgets an image that the engine does not have any more, and says what happened to it, if it is known.
    pub async fn forget_pulled_image(
        &self,
        id: String,
        what: Option<NewEvent>,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    sqlx::query!("DELETE FROM pulled_images WHERE image_id = ?1", id)
                        .execute(&mut *db)
                        .await?;
                    if let Some(event) = &what {
                        event::insert(db, event).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// The images that may be needed: those of tasks that are not over, with the digests that they were found to mean,
    /// and those of whatever a service that is not INACTIVE may be rolled to or back to: every ACTIVE revision of the
    /// families that it was deployed from, and the revisions of its deployments, of its task sets, and of the last that was COMPLETED.
    pub async fn needed_images(&self) -> Result<BTreeSet<String>, StoreError> {
        let of_tasks = sqlx::query_scalar!(
            r#"SELECT one.value ->> 'image' AS "image!: String"
                 FROM tasks INDEXED BY tasks_unfinished, json_each(tasks.spec, '$.containers') AS one
                WHERE cleaned_at IS NULL
                UNION
               SELECT containers.image_digest AS "image!: String"
                 FROM tasks INDEXED BY tasks_unfinished JOIN containers ON containers.task_id = tasks.id
                WHERE cleaned_at IS NULL AND containers.image_digest IS NOT NULL"#
        )
        .fetch_all(self.readers())
        .await?;
        let of_services = sqlx::query_scalar!(
            r#"WITH live AS (SELECT deployments, task_sets, completed FROM services
                              WHERE status <> 'INACTIVE'),
                    named (family, revision) AS (
                        SELECT completed ->> '$.task_definition.family', completed ->> '$.task_definition.revision'
                          FROM live WHERE completed IS NOT NULL
                        UNION
                        SELECT one.value ->> '$.task_definition.family', one.value ->> '$.task_definition.revision'
                          FROM live, json_each(live.deployments) AS one
                        UNION
                        SELECT one.value ->> '$.deployment.task_definition.family',
                               one.value ->> '$.deployment.task_definition.revision'
                          FROM live, json_each(live.task_sets) AS one)
               SELECT DISTINCT one.value ->> 'image' AS "image!: String"
                 FROM task_definitions AS definition, json_each(definition.parsed, '$.containers') AS one
                WHERE (definition.family, definition.revision) IN (SELECT family, revision FROM named)
                   OR (definition.status = 'ACTIVE' AND definition.family IN (SELECT family FROM named))"#
        )
        .fetch_all(self.readers())
        .await?;
        Ok(of_tasks.into_iter().chain(of_services).collect())
    }

    /// The images, and their digests, of tasks that have ended after `since`, each with the time of the last end.
    pub async fn used_images(
        &self,
        since: TimestampMs,
    ) -> Result<BTreeMap<String, TimestampMs>, StoreError> {
        let since = since.as_millis();
        let rows = sqlx::query!(
            r#"WITH ended AS (SELECT task_id, closed_at FROM usage_intervals INDEXED BY usage_intervals_by_closing
                               WHERE closed_at > ?1)
               SELECT one.value ->> 'image' AS "image!: String", max(ended.closed_at) AS "at!: i64"
                 FROM ended JOIN tasks ON tasks.id = ended.task_id, json_each(tasks.spec, '$.containers') AS one
                GROUP BY 1
                UNION ALL
               SELECT containers.image_digest AS "image!: String", max(ended.closed_at) AS "at!: i64"
                 FROM ended JOIN containers ON containers.task_id = ended.task_id
                WHERE containers.image_digest IS NOT NULL
                GROUP BY 1"#,
            since
        )
        .fetch_all(self.readers())
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (row.image, TimestampMs::from_millis(row.at)))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::domain::{
        CpuUnits, DeploymentCause, DeploymentId, DeploymentTarget, EndEvidence, FamilyRevision,
        LastStatus, MemoryMib, Occasion, Scale, Service, ServiceConfiguration, ServiceKey,
        ServiceStatus, Task, TaskSet, UsageChange, UsageInterval,
    };
    use crate::store::ServiceRecord;
    use crate::store::testing::{Fixture, at, definition, stopped};

    fn pulled(id: &str) -> PulledImage {
        PulledImage {
            id: format!("sha256:{id}"),
            reference: format!("app:{id}"),
        }
    }

    #[tokio::test]
    async fn images_are_noted_kept_and_forgotten() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let both = vec![pulled("1"), pulled("2")];
        store.note_pulled_images(both, at(5)).await.unwrap();
        let again = PulledImage {
            reference: "other:1".to_owned(),
            ..pulled("1")
        };
        store.note_pulled_images(vec![again], at(6)).await.unwrap();
        let used = BTreeMap::from([(pulled("2").id, at(9)), ("sha256:3".to_owned(), at(9))]);
        store.keep_pulled_images(used).await.unwrap();
        let kept = |id, last| KeptImage {
            image: pulled(id),
            last_used_at: at(last),
        };
        let all = store.pulled_images().await.unwrap();
        assert_eq!(all, [kept("1", 6), kept("2", 9)]);
        let forgotten = store.forget_pulled_image(pulled("1").id, None).await;
        forgotten.unwrap();
        assert_eq!(store.pulled_images().await.unwrap(), [kept("2", 9)]);
    }

    async fn register(fixture: &Fixture, family: &str, image: &str) -> FamilyRevision {
        let mut definition = definition(family);
        image.clone_into(&mut definition.containers[0].image);
        let registered = fixture
            .store
            .register_task_definition(&definition, &json!({}), &[], at(1))
            .await
            .unwrap();
        FamilyRevision {
            family: registered.definition.family,
            revision: registered.revision,
        }
    }

    /// Where a service moves to that runs this revision.
    fn target(definition: &FamilyRevision) -> DeploymentTarget {
        DeploymentTarget {
            task_definition: definition.clone(),
            service_revision: format!("{:019}", definition.revision).parse().unwrap(),
            settings: crate::domain::RevisionSettings::default(),
        }
    }

    #[tokio::test]
    async fn live_services_need_every_revision_that_they_can_go_to() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let mut revisions = Vec::new();
        for image in ["web:1", "web:2", "web:3", "web:4", "web:5"] {
            revisions.push(register(&fixture, "web", image).await);
        }
        register(&fixture, "job", "job:1").await;
        let of_set = register(&fixture, "set", "set:1").await;
        // 1 and 2 cannot be gone to any more, but 2 was COMPLETED last and 3 is being deployed.
        for gone in &revisions[..3] {
            store.deregister_task_definition(gone, at(2)).await.unwrap();
        }
        let mut service = Service {
            key: ServiceKey {
                cluster: "default".parse().unwrap(),
                name: "web".parse().unwrap(),
            },
            status: ServiceStatus::Active,
            desired_count: 1,
            configuration: ServiceConfiguration::default(),
            tags: BTreeMap::new(),
            deployments: Vec::new(),
            task_sets: Vec::new(),
            last_completed: Some(target(&revisions[1])),
            is_steady: true,
            waiting: None,
            created_at: at(0),
            deleted_at: None,
            version: 1,
        };
        let occasion = Occasion {
            cause: DeploymentCause::User,
            client: None,
            reason: "because".to_owned(),
            at: at(3),
        };
        let id = DeploymentId::generate(&fixture.ids);
        service.deploy(id, target(&revisions[2]), occasion.clone());
        let id = DeploymentId::generate(&fixture.ids);
        let scale = Scale::default();
        service.add_task_set(TaskSet::new(id, target(&of_set), scale, occasion));
        let record = |service: &Service| ServiceRecord::of(service.clone(), Vec::new());
        store.create_service(record(&service), None).await.unwrap();
        let needed = store.needed_images().await.unwrap();
        let expected = ["set:1", "web:2", "web:3", "web:4", "web:5"].map(str::to_owned);
        assert_eq!(needed, BTreeSet::from(expected));

        service.status = ServiceStatus::Inactive;
        service.deleted_at = Some(at(4));
        store.record_service(record(&service)).await.unwrap();
        assert_eq!(store.needed_images().await.unwrap(), BTreeSet::new());
    }

    #[tokio::test]
    async fn tasks_need_what_they_run_and_have_used_it_when_they_are_over() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let mut task = fixture.created().await;
        let images = |more: &[&str]| more.iter().map(|&one| one.to_owned()).collect();
        let needed: BTreeSet<String> = images(&["busybox"]);
        assert_eq!(store.needed_images().await.unwrap(), needed);
        let record = async |task: &mut Task, usage: &[UsageChange]| {
            store.record_task(task, &[], usage).await.unwrap();
            task.version += 1;
        };
        task.last_status = LastStatus::Pending;
        for container in task.containers.values_mut() {
            container.image_digest = Some("sha256:01".to_owned());
        }
        let open = UsageChange::Open(UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(1_000),
            closed: None,
        });
        record(&mut task, &[open]).await;
        let needed: BTreeSet<String> = images(&["busybox", "sha256:01"]);
        assert_eq!(store.needed_images().await.unwrap(), needed);
        assert_eq!(store.used_images(at(0)).await.unwrap(), BTreeMap::new());

        let mut over = stopped(task);
        let close = UsageChange::Close {
            at: at(8_000),
            evidence: EndEvidence::Engine,
        };
        record(&mut over, &[close]).await;
        assert_eq!(store.needed_images().await.unwrap(), needed, "not cleaned");
        over.cleaned_at = Some(at(9_500));
        record(&mut over, &[]).await;
        assert_eq!(store.needed_images().await.unwrap(), BTreeSet::new());
        let used = needed.into_iter().map(|image| (image, at(8_000)));
        assert_eq!(store.used_images(at(7_999)).await.unwrap(), used.collect());
        assert_eq!(store.used_images(at(8_000)).await.unwrap(), BTreeMap::new());
    }
}
