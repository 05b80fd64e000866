//! Budgets: how they stand is looked at whenever something began or ended, and when a threshold can be reached by what goes
//! on; in between, one small question a second tells that there is nothing to do.
//!
//! A look reads what has ended since the one before, and what goes on. What follows is recorded with its events in one
//! transaction, so a crash costs a look. Nothing here ever ends a task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Reconciler;
use crate::domain::{
    Budget, BudgetState, ClusterName, Counted, Hold, MOST_BUDGETS, ServiceName, TimestampMs,
};
use crate::meter::budget::{BudgetSums, PeriodSum, fingerprint};
use crate::meter::sheet::PriceSheet;
use crate::plan::budget::{self as plan, BudgetWorld, Spent};
use crate::store::{BudgetPulse, BudgetRecord, LedgerLook, PageRequest, StoreError};

/// What the last look found. Losing it costs a look.
#[derive(Debug, Default)]
struct LastLook {
    /// What it looked at.
    pulse: Option<BudgetPulse>,
    /// When there is something to see although nothing has begun or ended.
    wake_at: Option<TimestampMs>,
    /// The budgets that kept tasks from beginning, and whose.
    holding: BTreeSet<(String, String)>,
}

impl Reconciler {
    /// Looks after the budgets as long as the loop runs.
    pub(super) async fn keep_budgets(self: Arc<Self>) {
        let mut last = LastLook::default();
        loop {
            tokio::time::sleep(self.parts.limits.measure_every).await;
            match self.look_at_budgets(&mut last).await {
                Ok(()) => {}
                // Somebody changed one meanwhile: that is seen next time.
                Err(StoreError::Stale) => last.pulse = None,
                Err(error) => {
                    last.pulse = None;
                    tracing::warn!(%error, "the budgets cannot be looked at");
                }
            }
        }
    }

    /// What keeps a task in `cluster`, of `service` if it belongs to one, with `tags` from beginning, if anything does.
    pub(super) async fn hold(
        &self,
        cluster: &ClusterName,
        service: Option<&ServiceName>,
        tags: &BTreeMap<String, String>,
    ) -> Result<Option<Hold>, StoreError> {
        let now = self.parts.clock.now();
        let budgets = self.parts.store.budgets_that_stop(now).await?;
        Ok(Hold::of(&budgets, now, cluster, service, tags))
    }

    async fn look_at_budgets(&self, last: &mut LastLook) -> Result<(), StoreError> {
        let pulse = self.parts.store.budget_pulse().await?;
        let now = self.parts.clock.now();
        let is_due = last.wake_at.is_none_or(|at| at <= now);
        if last.pulse == Some(pulse) && (pulse.budgets == 0 || !is_due) {
            return Ok(());
        }
        let mut holding = BTreeSet::new();
        if pulse.budgets > 0 {
            let (budgets, wake_at) = self.count_budgets(now).await?;
            last.wake_at = Some(wake_at);
            let held = budgets.iter().filter(|one| one.holds(now).is_some());
            holding
                .extend(held.map(|one| (one.name.to_string(), one.definition.scope.to_string())));
        }
        if !last.holding.is_subset(&holding) {
            self.ring_held().await?;
        }
        (last.pulse, last.holding) = (Some(pulse), holding);
        Ok(())
    }

    /// Counts them, and records what has become of them. Gives them as they are now, and when to look again.
    async fn count_budgets(
        &self,
        now: TimestampMs,
    ) -> Result<(Vec<Budget>, TimestampMs), StoreError> {
        let store = &self.parts.store;
        let most = u32::try_from(MOST_BUDGETS).unwrap_or(PageRequest::MAX_LIMIT);
        let budgets = store.budgets(&PageRequest::first(most)).await?.items;
        let mut records = Vec::new();
        let mut sums = Vec::new();
        for budget in &budgets {
            match self
                .parts
                .prices
                .sheet(Some(&budget.definition.price_sheet))
            {
                Ok(sheet) => {
                    let counted = self.counted(budget, sheet, now).await?;
                    sums.push((budget, BudgetSums::new(budget, Some(&counted), sheet, now)));
                }
                Err(fault) => {
                    tracing::warn!(budget = %budget.name, "{}", fault.message);
                    records.extend(uncounted(budget));
                }
            }
        }
        let before = self.earlier_beat().await?.map(|beat| beat.wall());
        let seq = store
            .ledger_since(0, |look| match look {
                LedgerLook::Ended(seq, record, was) => {
                    for (_, sum) in &mut sums {
                        sum.closed(seq, &record, was);
                    }
                }
                LedgerLook::Open(record) => {
                    let interval = &record.usage.interval;
                    let until =
                        self.alive_until(&interval.task_id, interval.opened_at, before, now);
                    for (_, sum) in &mut sums {
                        sum.open(&record, until);
                    }
                }
            })
            .await?;
        let mut now_are = Vec::new();
        let mut wake_at = TimestampMs::from_millis(i64::MAX);
        for (budget, sum) in &sums {
            let plan = plan::plan(BudgetWorld {
                budget,
                earlier: sum.earlier.as_ref().map(spent),
                present: spent(&sum.present),
                counted: &sum.counted(seq),
                hourly_nano: sum.hourly_nano,
                now,
            });
            wake_at = wake_at.min(plan.wake_at);
            let changes = plan.changes(budget);
            let budget = Budget {
                state: plan.state,
                ..(*budget).clone()
            };
            if changes {
                records.push(BudgetRecord {
                    budget: budget.clone(),
                    events: plan.events,
                });
            }
            now_are.push(budget);
        }
        if !records.is_empty() || seq > 0 {
            store.record_budgets(records, Some(seq)).await?;
        }
        Ok((now_are, wake_at))
    }

    /// What tasks that have ended come to, as far as that is counted; once for each budget, all of its period is read.
    async fn counted(
        &self,
        budget: &Budget,
        sheet: &PriceSheet,
        now: TimestampMs,
    ) -> Result<Counted, StoreError> {
        let counted = budget.state.counted.clone();
        if let Some(counted) = counted.filter(|it| it.prices == fingerprint(sheet)) {
            return Ok(counted);
        }
        let mut sums = BudgetSums::new(budget, None, sheet, now);
        let from = sums.present.from;
        let store = &self.parts.store;
        let seq = store.ended_since(from, |record| sums.ended(record)).await?;
        Ok(sums.counted(seq))
    }

    /// Asks for a look at whatever a budget may have kept from beginning.
    async fn ring_held(&self) -> Result<(), StoreError> {
        self.ring_services().await;
        for task in &self.parts.store.provisioning_tasks(u32::MAX).await? {
            self.parts.bell.ring(task);
        }
        Ok(())
    }
}

fn spent(sum: &PeriodSum) -> Spent {
    Spent {
        from: sum.from,
        to: sum.to,
        nano: sum.total_nano(),
    }
}

/// A budget whose prices are gone stands as it stood; when they are back, it is counted anew.
fn uncounted(budget: &Budget) -> Option<BudgetRecord> {
    budget.state.counted.as_ref()?;
    let state = BudgetState {
        counted: None,
        ..budget.state.clone()
    };
    Some(BudgetRecord {
        budget: Budget {
            state,
            ..budget.clone()
        },
        events: Vec::new(),
    })
}
