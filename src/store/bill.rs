//! What bills are made of: usage with the names that it is grouped by.
//!
//! Service and tags are read from the tasks, which keep them as they were when they were run: the database refuses to
//! change them. So a bill of the past does not change when a service is renamed or somebody tags something anew.

use std::collections::{BTreeMap, HashMap};

use super::column::from_json;
use super::{Page, PageRequest, Store, StoreError, UsageFilter};
use crate::domain::{ServiceName, TimestampMs, UsageRecord};

impl Store {
    /// The same as [`Store::usage_of_tasks`], with the service and the tags of each task.
    pub async fn usage_records(
        &self,
        filter: &UsageFilter,
        from: TimestampMs,
        to: TimestampMs,
        request: &PageRequest,
    ) -> Result<Page<UsageRecord>, StoreError> {
        let Page { items, next } = self.usage_of_tasks(filter, from, to, request).await?;
        let ids: Vec<&str> = items
            .iter()
            .map(|usage| usage.interval.task_id.as_str())
            .collect();
        let ids = serde_json::json!(ids).to_string();
        let rows = sqlx::query!(
            r#"SELECT id, task_group, tags FROM tasks WHERE id IN (SELECT value FROM json_each(?1))"#,
            ids
        )
        .fetch_all(self.readers())
        .await?;
        let mut names: HashMap<String, (String, String)> = rows
            .into_iter()
            .map(|row| (row.id, (row.task_group, row.tags)))
            .collect();
        let items = items.into_iter().map(|usage| {
            let id = usage.interval.task_id.as_str();
            let (service, tags) = match names.remove(id) {
                Some((group, tags)) => (
                    ServiceName::of_group(&group),
                    from_json("task.tags", &tags)?,
                ),
                None => (None, BTreeMap::new()),
            };
            Ok(UsageRecord {
                usage,
                service,
                tags,
            })
        });
        Ok(Page {
            items: items.collect::<Result<_, StoreError>>()?,
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpuUnits, MemoryMib, Task, UsageChange, UsageInterval};
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn a_record_has_the_service_and_the_tags_that_the_task_was_run_with() {
        let fixture = Fixture::new().await;
        let mut of_service = fixture.task();
        of_service.group = "service:shop".to_owned();
        of_service.tags = BTreeMap::from([("team".to_owned(), "=blue".to_owned())]);
        let alone = fixture.task();
        for task in [&of_service, &alone] {
            let tasks = std::slice::from_ref(task);
            fixture.store.create_tasks(tasks, None).await.unwrap();
            let open = [UsageChange::Open(opened(task))];
            fixture.store.record_task(task, &[], &open).await.unwrap();
        }
        let page = fixture
            .store
            .usage_records(
                &UsageFilter::default(),
                at(0),
                at(99),
                &PageRequest::first(9),
            )
            .await
            .unwrap();
        let found: Vec<_> = page
            .items
            .into_iter()
            .map(|record| (record.usage.interval.task_id, record.service, record.tags))
            .collect();
        let service = Some("shop".parse().unwrap());
        assert_eq!(
            found,
            [
                (of_service.id, service, of_service.tags),
                (alone.id, None, BTreeMap::new())
            ]
        );
    }

    fn opened(task: &Task) -> UsageInterval {
        UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(10),
            closed: None,
        }
    }
}
