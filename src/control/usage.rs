//! Use cases of the meter.

use super::{Control, ControlError};
use crate::domain::{TaskId, TaskUse, TimestampMs};
use crate::store::{Page, PageRequest, UsageFilter};

impl Control {
    /// What a task has reserved and used; `None` while it was not handed to the engine.
    pub async fn task_usage(&self, id: &TaskId) -> Result<Option<TaskUse>, ControlError> {
        Ok(self.store.usage(id).await?)
    }

    /// The usage of the tasks whose intervals lie at least partly between `from` and `to`.
    pub async fn usage(
        &self,
        filter: UsageFilter,
        from: TimestampMs,
        to: TimestampMs,
        page: PageRequest,
    ) -> Result<Page<TaskUse>, ControlError> {
        Ok(self.store.usage_of_tasks(&filter, from, to, &page).await?)
    }
}
