//! Use cases of the meter.

use super::{Control, ControlError};
use crate::domain::{DurationMs, TaskId, TaskUse, TimestampMs};
use crate::engine::EngineState;
use crate::meter::money::{Currency, Nanos};
use crate::store::{Page, PageRequest, UsageFilter, UsageTotals};

/// How late the end of a task may be noticed, where figures must not be taken back.
const LAG: DurationMs = DurationMs::from_secs(10);

impl Control {
    /// What a task has reserved and used; `None` while it was not handed to the engine.
    pub async fn task_usage(&self, id: &TaskId) -> Result<Option<TaskUse>, ControlError> {
        Ok(self.store.usage(id).await?)
    }

    /// What a task has cost so far by the operator's price sheet, and in which currency; `None` where that says no prices.
    pub fn task_cost(&self, usage: &TaskUse) -> Result<Option<(Nanos, Currency)>, ControlError> {
        let sheet = self.price_sheet("priceSheet", None)?;
        let accrued = sheet.accrued(&usage.interval, self.now());
        Ok(sheet
            .has_prices()
            .then(|| (accrued.cost.total(), sheet.currency)))
    }

    /// What tasks came to since the beginning, by cluster and by service. Of those that go on, what lies back further than
    /// ten seconds, and nothing from when on the engine did not answer: they may have ended.
    pub async fn usage_totals(&self) -> Result<UsageTotals, ControlError> {
        let (engine, since) = self.engine_status.get();
        let seen = match engine {
            EngineState::Ok(_) => self.now(),
            EngineState::Unknown | EngineState::Away { .. } => since,
        };
        let until = TimestampMs::from_millis(seen.as_millis() - LAG.as_millis());
        Ok(self.store.usage_totals(until).await?)
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
