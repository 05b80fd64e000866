//! Lists of tasks.
//!
//! A list reads along one index, the narrowest that the filter allows, and the query names it: should the
//! index ever stop fitting, the build fails instead of the list becoming slow. What has not stopped lies in
//! an index of its own, so that a long history does not slow down the questions that are asked most.

use super::page::List;
use super::task_row::{TaskRow, task_rows};
use super::{Page, PageRequest, Store, StoreError};
use crate::domain::{ClusterName, DesiredStatus, Family, LastStatus, LaunchType, Task, TaskId};

/// Which tasks are wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Where they run.
    pub cluster: Option<ClusterName>,
    /// What they were run from, whatever the revision.
    pub family: Option<Family>,
    /// What the caller wanted to find them by.
    pub started_by: Option<String>,
    /// Their group.
    pub group: Option<String>,
    /// What should be.
    pub desired_status: Option<DesiredStatus>,
    /// What is.
    pub last_status: Option<LastStatus>,
    /// On which kind of host they say that they run.
    pub launch_type: Option<LaunchType>,
}

/// What a list reads along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Along {
    Unstopped,
    UnstoppedOfGroup,
    Stopped,
    StartedBy,
    Group,
    Family,
    Cluster,
    Everything,
}

impl TaskFilter {
    fn along(&self) -> Along {
        let is_unstopped = self
            .last_status
            .is_some_and(|status| status != LastStatus::Stopped)
            // No task that has stopped was meant to run: a CHECK of the table says so.
            || self.desired_status == Some(DesiredStatus::Running);
        if is_unstopped && self.group.is_some() {
            Along::UnstoppedOfGroup
        } else if is_unstopped {
            Along::Unstopped
        } else if self.started_by.is_some() {
            Along::StartedBy
        } else if self.group.is_some() {
            Along::Group
        } else if self.family.is_some() {
            Along::Family
        } else if self.last_status == Some(LastStatus::Stopped) {
            Along::Stopped
        } else if self.cluster.is_some() {
            Along::Cluster
        } else {
            Along::Everything
        }
    }
}

impl Store {
    /// Tasks, newest first.
    pub async fn tasks(
        &self,
        filter: &TaskFilter,
        request: &PageRequest,
    ) -> Result<Page<Task>, StoreError> {
        let before: i64 = request.after(List::Tasks)?.unwrap_or(i64::MAX);
        let rows = self.rows(filter, before, request.rows()).await?;
        let Page { items, next } = request.page(List::Tasks, rows, |row| row.seq)?;
        let tasks = items.into_iter().map(TaskRow::into_task);
        Ok(Page {
            items: tasks.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// The rows of a list that lie before `before`: one query, once for each index that it can read along.
    async fn rows(
        &self,
        filter: &TaskFilter,
        before: i64,
        limit: i64,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let cluster = filter.cluster.as_ref().map(ClusterName::as_str);
        let family = filter.family.as_ref().map(Family::as_str);
        let started_by = filter.started_by.as_deref();
        let group = filter.group.as_deref();
        let desired_status = filter.desired_status.map(DesiredStatus::as_str);
        let last_status = filter.last_status.map(LastStatus::as_str);
        let launch_type = filter.launch_type.map(LaunchType::as_str);

        macro_rules! along {
            ($index:literal) => {
                task_rows!(
                    $index
                        + " AND seq < ?1
                            AND (?2 IS NULL OR cluster = ?2)
                            AND (?3 IS NULL OR family = ?3)
                            AND (?4 IS NULL OR started_by = ?4)
                            AND (?5 IS NULL OR task_group = ?5)
                            AND (?6 IS NULL OR last_status = ?6)
                            AND (?7 IS NULL OR ?7 = CASE WHEN stop_requested_at IS NULL
                                                         THEN planned_status ELSE 'STOPPED' END)
                            AND (?9 IS NULL OR coalesce(spec ->> '$.launch.launchType', 'FARGATE') = ?9)
                          ORDER BY seq DESC LIMIT ?8",
                    before,
                    cluster,
                    family,
                    started_by,
                    group,
                    last_status,
                    desired_status,
                    limit,
                    launch_type
                )
                .fetch_all(self.readers())
                .await?
            };
        }
        Ok(match filter.along() {
            // What has not stopped is not cleaned up either, and that index is in the order of the list.
            Along::Unstopped => along!(
                "INDEXED BY tasks_unfinished WHERE cleaned_at IS NULL AND last_status <> 'STOPPED'"
            ),
            Along::UnstoppedOfGroup => along!(
                "INDEXED BY tasks_unstopped_by_group WHERE last_status <> 'STOPPED' AND task_group = ?5"
            ),
            Along::Stopped => along!("INDEXED BY tasks_stopped WHERE last_status = 'STOPPED'"),
            Along::StartedBy => along!("INDEXED BY tasks_by_started_by WHERE started_by = ?4"),
            Along::Group => along!("INDEXED BY tasks_by_group WHERE task_group = ?5"),
            Along::Family => along!("INDEXED BY tasks_by_family WHERE family = ?3"),
            Along::Cluster => along!("INDEXED BY tasks_by_cluster WHERE cluster = ?2"),
            Along::Everything => along!("NOT INDEXED WHERE true"),
        })
    }

    /// The newest tasks that wait for something before they run, `most` of them at most. Costs as much as there are of those.
    pub async fn waiting_tasks(&self, most: u32) -> Result<Vec<Task>, StoreError> {
        let rows = task_rows!(
            "INDEXED BY tasks_waiting
              WHERE waiting IS NOT NULL AND last_status IN ('PROVISIONING', 'PENDING')
              ORDER BY seq DESC LIMIT ?1",
            most
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(TaskRow::into_task).collect()
    }

    /// The IDs that begin with `prefix`, up to `limit` of them, which tells whether it means one task.
    pub async fn tasks_by_id_prefix(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<TaskId>, StoreError> {
        // `g` sorts after every hexadecimal digit.
        let end = format!("{prefix}g");
        let ids = sqlx::query_scalar!(
            "SELECT id FROM tasks WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
            prefix,
            end,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        parse_ids(ids)
    }

    /// The tasks that were accepted and not yet handed to the engine, oldest first, `limit` of them at most.
    pub async fn provisioning_tasks(&self, limit: u32) -> Result<Vec<TaskId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM tasks INDEXED BY tasks_provisioning
              WHERE last_status = 'PROVISIONING' ORDER BY seq LIMIT ?1",
            limit
        )
        .fetch_all(self.readers())
        .await?;
        parse_ids(ids)
    }

    /// The tasks for which something is still to be done, oldest first. Costs as much as there are.
    pub async fn unfinished_tasks(&self) -> Result<Vec<TaskId>, StoreError> {
        let ids = sqlx::query_scalar!(
            "SELECT id FROM tasks INDEXED BY tasks_unfinished WHERE cleaned_at IS NULL ORDER BY seq"
        )
        .fetch_all(self.readers())
        .await?;
        parse_ids(ids)
    }
}

fn parse_ids(ids: Vec<String>) -> Result<Vec<TaskId>, StoreError> {
    ids.into_iter()
        .map(|id| TaskId::try_from(id).map_err(StoreError::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{StopCode, StopRequest};
    use crate::store::testing::{Fixture, at, cluster, stopped};

    /// Tasks `0` to `5`, of which `4` was asked to stop and `5` has stopped.
    async fn six(fixture: &Fixture) -> Vec<Task> {
        let store = &fixture.store;
        store.create_cluster(&cluster("blue"), at(1)).await.unwrap();
        let mut tasks: Vec<Task> = (0..6).map(|_| fixture.task()).collect();
        tasks[1].cluster = cluster("blue");
        tasks[2].spec.definition.family = "api".parse().unwrap();
        tasks[3].started_by = Some("me".to_owned());
        tasks[3].group = "mine".to_owned();
        for task in &tasks {
            let task = std::slice::from_ref(task);
            store.create_tasks(task, None).await.unwrap();
        }
        let request = StopRequest {
            at: at(2),
            code: StopCode::UserInitiated,
            reason: None,
        };
        store.request_stop(&tasks[4].id, request).await.unwrap();
        let ended = stopped(tasks[5].clone());
        store.record_task(&ended, &[], &[]).await.unwrap();
        tasks
    }

    async fn list(fixture: &Fixture, filter: TaskFilter, limit: u32) -> Vec<TaskId> {
        let mut ids = Vec::new();
        let mut request = PageRequest::first(limit);
        loop {
            let page = fixture.store.tasks(&filter, &request).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            ids.extend(page.items.into_iter().map(|task| task.id));
            request.token = page.next;
            if request.token.is_none() {
                return ids;
            }
        }
    }

    #[tokio::test]
    async fn every_filter_finds_what_it_says_in_pages_of_any_size() {
        let fixture = Fixture::new().await;
        let tasks = six(&fixture).await;
        let all = TaskFilter::default;
        let cases = [
            (all(), vec![5, 4, 3, 2, 1, 0]),
            (
                TaskFilter {
                    cluster: Some(cluster("blue")),
                    ..all()
                },
                vec![1],
            ),
            (
                TaskFilter {
                    family: Some("web".parse().unwrap()),
                    ..all()
                },
                vec![5, 4, 3, 1, 0],
            ),
            (
                TaskFilter {
                    started_by: Some("me".to_owned()),
                    ..all()
                },
                vec![3],
            ),
            (
                TaskFilter {
                    group: Some("mine".to_owned()),
                    ..all()
                },
                vec![3],
            ),
            (
                TaskFilter {
                    desired_status: Some(DesiredStatus::Running),
                    ..all()
                },
                vec![3, 2, 1, 0],
            ),
            (
                TaskFilter {
                    desired_status: Some(DesiredStatus::Stopped),
                    ..all()
                },
                vec![5, 4],
            ),
            (
                TaskFilter {
                    last_status: Some(LastStatus::Stopped),
                    ..all()
                },
                vec![5],
            ),
            (
                TaskFilter {
                    last_status: Some(LastStatus::Provisioning),
                    family: Some("web".parse().unwrap()),
                    cluster: Some(cluster("default")),
                    ..all()
                },
                vec![4, 3, 0],
            ),
        ];
        for (filter, expected) in cases {
            let expected: Vec<TaskId> = expected.iter().map(|n| tasks[*n].id.clone()).collect();
            for limit in [1, 2, 100] {
                let found = list(&fixture, filter.clone(), limit).await;
                assert_eq!(found, expected, "{filter:?} by {limit}");
            }
        }
    }

    #[tokio::test]
    async fn what_waits_before_it_runs_is_found_and_nothing_else() {
        let fixture = Fixture::new().await;
        let tasks = six(&fixture).await;
        for (number, status) in [
            (0, LastStatus::Pending),
            (2, LastStatus::Provisioning),
            (3, LastStatus::Running),
        ] {
            let id = &tasks[number].id;
            let mut task = fixture.store.task(id).await.unwrap().unwrap();
            task.waiting = Some("for room".to_owned());
            task.last_status = status;
            task.started_at = (status == LastStatus::Running).then_some(at(3));
            fixture.store.record_task(&task, &[], &[]).await.unwrap();
        }
        let store = &fixture.store;
        let ids = |most| async move {
            let found = store.waiting_tasks(most).await.unwrap();
            found.into_iter().map(|task| task.id).collect::<Vec<_>>()
        };
        let (newest, oldest) = (tasks[2].id.clone(), tasks[0].id.clone());
        assert_eq!(ids(1).await, std::slice::from_ref(&newest));
        assert_eq!(ids(9).await, [newest, oldest]);
    }

    #[tokio::test]
    async fn what_is_unfinished_is_listed_oldest_first() {
        let fixture = Fixture::new().await;
        let tasks = six(&fixture).await;
        let mut ended = fixture.store.task(&tasks[5].id).await.unwrap().unwrap();
        ended.cleaned_at = Some(at(10));
        fixture.store.record_task(&ended, &[], &[]).await.unwrap();
        let expected: Vec<TaskId> = tasks[..5].iter().map(|task| task.id.clone()).collect();
        assert_eq!(fixture.store.unfinished_tasks().await.unwrap(), expected);
    }

    #[tokio::test]
    async fn a_prefix_tells_whether_it_means_one_task() {
        let fixture = Fixture::new().await;
        let tasks = six(&fixture).await;
        let store = &fixture.store;
        let whole = tasks[2].id.as_str();
        assert_eq!(
            store.tasks_by_id_prefix(whole, 2).await.unwrap(),
            [tasks[2].id.clone()]
        );
        assert_eq!(store.tasks_by_id_prefix("feed", 2).await.unwrap().len(), 2);
        for prefix in ["0", "x", "FEED", "%", "feed%"] {
            assert!(
                store
                    .tasks_by_id_prefix(prefix, 2)
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
    }
}
