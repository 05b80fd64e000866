//! Use cases of the meter.

use super::{Control, ControlError};
use crate::domain::{TaskId, TaskUse, TimestampMs};
use crate::store::{Page, PageRequest, UsageFilter};

impl Control {
    /// What a task has reserved and used; `None` while it was not handed to the engine.
    pub async fn task_usage(&self, id: &TaskId) -> Result<Option<TaskUse>, ControlError> {
        Ok(self.store.usage(id).await?)
    }

    /// The usage of the tasks whose intervals lie at least partly between `from` and `to`; without `from`, of all that are
    /// still on record.
    pub async fn usage(
        &self,
        filter: UsageFilter,
        from: Option<TimestampMs>,
        to: TimestampMs,
        page: PageRequest,
    ) -> Result<Page<TaskUse>, ControlError> {
        if let Some(from) = from {
            self.refuse_removed(from, None).await?;
        }
        let from = from.unwrap_or(TimestampMs::from_millis(0));
        Ok(self.store.usage_of_tasks(&filter, from, to, &page).await?)
    }
}
