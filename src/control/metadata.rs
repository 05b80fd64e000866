//! What the metadata endpoint tells a task of itself.

use std::collections::BTreeMap;

use super::{Control, ControlError};
use crate::domain::{ContainerName, Goal, NetworkObservation, Observation, Task, TaskId};
use crate::engine::Order;

/// A task as it is recorded, and as the engine sees it now.
#[derive(Clone, Debug)]
pub struct TaskSight {
    /// The record. It follows what the engine has by a moment.
    pub task: Task,
    /// What the engine has.
    pub seen: Observation,
}

impl TaskSight {
    /// The task's own address, while its network is up.
    pub fn address(&self) -> Option<&str> {
        match &self.seen.network {
            NetworkObservation::Up { address, .. } => address.as_deref(),
            NetworkObservation::Absent | NetworkObservation::Down => None,
        }
    }
}

impl Control {
    /// A task with what the engine has of it, asked now: a container may ask for itself before its own start
    /// is recorded. `None` for one that does not exist, or that is over.
    pub async fn task_sight(&self, id: &TaskId) -> Result<Option<TaskSight>, ControlError> {
        let Some(task) = self.store.task(id).await? else {
            return Ok(None);
        };
        if task.is_finished() {
            return Ok(None);
        }
        let order = Order {
            task_id: task.id.clone(),
            cluster: task.cluster.to_string(),
            spec: task.spec.clone(),
            goal: Goal::Run,
            known: BTreeMap::new(),
            attempts: BTreeMap::new(),
            digests: BTreeMap::new(),
            is_missed: false,
            now: self.clock.now(),
            wall: self.clock.now(),
        };
        let seen = self.engine.observe(&order).await?;
        Ok(Some(TaskSight { task, seen }))
    }

    /// The names of a task's containers; none for a task that does not exist.
    pub async fn container_names(&self, id: &TaskId) -> Result<Vec<ContainerName>, ControlError> {
        let task = self.store.task(id).await?;
        Ok(task
            .map(|task| task.containers.into_keys().collect())
            .unwrap_or_default())
    }

    /// What a container uses, as the engine tells it.
    pub async fn container_stats(
        &self,
        task: &TaskId,
        container: &ContainerName,
    ) -> Result<serde_json::Value, ControlError> {
        Ok(self.engine.stats(task, container, false).await?)
    }

    /// Why containers cannot ask about themselves; `None` while nothing speaks against it.
    pub fn no_metadata(&self) -> Option<String> {
        self.engine_status.no_metadata()
    }
}
