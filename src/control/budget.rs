//! Use cases of budgets.

use std::collections::BTreeMap;

use super::{Attempts, Control, ControlError, Obstacle};
use crate::domain::{
    Budget, BudgetAction, BudgetDefinition, BudgetName, BudgetPeriod, BudgetScope, BudgetState,
    ClusterName, Hold, MOST_BUDGETS, TimestampMs,
};
use crate::meter::budget::{BudgetSums, PeriodSum};
use crate::store::{BudgetRecord, LedgerLook, Page, PageRequest, StoreError};

/// What a budget is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBudget {
    /// Whose cost counts.
    pub scope: BudgetScope,
    /// In which time.
    pub period: BudgetPeriod,
    /// How much, in billionths.
    pub limit_nano: i64,
    /// What the limit is in, if that is said: then it must be the currency of the price sheet.
    pub currency: Option<String>,
    /// The price sheet, if not the operator's choice.
    pub price_sheet: Option<String>,
    /// Percents of the limit at which there is an event, the lowest first.
    pub thresholds: Vec<u32>,
    /// What follows when all of it is spent.
    pub action: BudgetAction,
}

/// A budget, and how it stands now.
#[derive(Clone, Debug)]
pub struct BudgetView {
    /// The budget.
    pub budget: Budget,
    /// What its tasks have come to in the present period; `None` while its price sheet is missing.
    pub spent: Option<PeriodSum>,
    /// What keeps its tasks from beginning, if it does.
    pub hold: Option<Hold>,
}

impl Control {
    /// Makes a budget, or makes one say what `wanted` says.
    pub async fn put_budget(
        &self,
        name: &BudgetName,
        wanted: PutBudget,
    ) -> Result<BudgetView, ControlError> {
        let definition = self.definition_of(wanted).await?;
        let mut attempts = Attempts::default();
        loop {
            let now = self.clock.now();
            let put = match self.store.budget(name).await? {
                Some(budget) => self.redefine(budget, definition.clone(), now).await,
                None => self.create(name, definition.clone(), now).await?,
            };
            if attempts.landed(put)? {
                return self.budget(name).await;
            }
        }
    }

    async fn definition_of(&self, wanted: PutBudget) -> Result<BudgetDefinition, ControlError> {
        let sheet = self.price_sheet("priceSheet", wanted.price_sheet.as_deref())?;
        let currency = sheet.currency.as_str();
        if let Some(sent) = wanted.currency.filter(|sent| sent != currency) {
            return Err(ControlError::invalid(
                "currency",
                format!(
                    "is {sent}, but the price sheet \"{}\" is in {currency}",
                    sheet.name
                ),
                "name a price sheet in that currency: priceSheet: own",
            ));
        }
        if let Some(cluster) = wanted.scope.cluster() {
            self.cluster(cluster).await?;
        }
        Ok(BudgetDefinition {
            scope: wanted.scope,
            period: wanted.period,
            limit_nano: wanted.limit_nano,
            price_sheet: sheet.name.clone(),
            currency: currency.to_owned(),
            thresholds: wanted.thresholds,
            action: wanted.action,
        })
    }

    async fn create(
        &self,
        name: &BudgetName,
        definition: BudgetDefinition,
        now: TimestampMs,
    ) -> Result<Result<(), StoreError>, ControlError> {
        let most = i64::try_from(MOST_BUDGETS).unwrap_or(i64::MAX);
        if self.store.budget_pulse().await?.budgets >= most {
            return Err(ControlError::blocked(
                Obstacle::Limit,
                format!("there are {MOST_BUDGETS} budgets already, and no more can be made"),
                "delete one that is not needed: neargate budget delete NAME",
            ));
        }
        let budget = Budget {
            name: name.clone(),
            definition,
            state: BudgetState::default(),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let event = budget.event(None, &format!("was made: {}", said(&budget)), now);
        Ok(match self.store.create_budget(budget, event).await {
            // It was not there when it was read.
            Err(StoreError::AlreadyExists { .. }) => Err(StoreError::Stale),
            created => created,
        })
    }

    async fn redefine(
        &self,
        mut budget: Budget,
        definition: BudgetDefinition,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        if budget.definition == definition {
            return Ok(());
        }
        budget.redefine(definition, now);
        let event = budget.event(None, &format!("was changed: {}", said(&budget)), now);
        let record = BudgetRecord {
            budget,
            events: vec![event],
        };
        self.store.record_budgets(vec![record], None).await
    }

    /// Deletes a budget. Tasks that it kept from beginning begin.
    pub async fn delete_budget(&self, name: &BudgetName) -> Result<(), ControlError> {
        let budget = self.known_budget(name).await?;
        let event = budget.event(None, "was deleted", self.clock.now());
        match self.store.delete_budget(name, event).await {
            Err(StoreError::NotFound { .. }) => Err(no_such_budget(name)),
            result => Ok(result?),
        }
    }

    /// One budget, as it stands now.
    pub async fn budget(&self, name: &BudgetName) -> Result<BudgetView, ControlError> {
        let budget = self.known_budget(name).await?;
        let views = self.budget_views(vec![budget]).await?;
        views.into_iter().next().ok_or_else(|| no_such_budget(name))
    }

    /// Budgets by name, as they stand now.
    pub async fn budgets(&self, page: PageRequest) -> Result<Page<BudgetView>, ControlError> {
        let Page { items, next } = self.store.budgets(&page).await?;
        let items = self.budget_views(items).await?;
        Ok(Page { items, next })
    }

    /// Whether tasks in `cluster` with `tags`, which belong to no service, may begin.
    pub(super) async fn check_budgets(
        &self,
        cluster: &ClusterName,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let budgets = self.store.budgets_that_stop(now).await?;
        match Hold::of(&budgets, now, cluster, None, tags) {
            Some(hold) => Err(ControlError::conflict(hold.reason, Hold::HINT)),
            None => Ok(()),
        }
    }

    async fn known_budget(&self, name: &BudgetName) -> Result<Budget, ControlError> {
        let budget = self.store.budget(name).await?;
        budget.ok_or_else(|| no_such_budget(name))
    }

    async fn budget_views(&self, budgets: Vec<Budget>) -> Result<Vec<BudgetView>, ControlError> {
        let now = self.clock.now();
        let mut sums = Vec::new();
        for budget in &budgets {
            let sheet = self.prices.sheet(Some(&budget.definition.price_sheet));
            let Ok(sheet) = sheet else {
                sums.push(None);
                continue;
            };
            let recorded = budget.state.counted.as_ref();
            let mut sum = BudgetSums::new(budget, recorded, sheet, now);
            if recorded.is_none() {
                let from = sum.present.from;
                let seq = self.store.ended_since(from, |one| sum.ended(one)).await?;
                sum.skip_to(seq);
            }
            sums.push(Some(sum));
        }
        self.store
            .ledger_since(0, |look| match look {
                LedgerLook::Ended(seq, record, was) => {
                    for sum in sums.iter_mut().flatten() {
                        sum.closed(seq, &record, was);
                    }
                }
                LedgerLook::Open(record) => {
                    for sum in sums.iter_mut().flatten() {
                        sum.open(&record, now);
                    }
                }
            })
            .await?;
        let spent: Vec<Option<PeriodSum>> = sums
            .iter()
            .map(|sum| sum.as_ref().map(|sum| sum.present))
            .collect();
        let views = budgets.into_iter().zip(spent);
        Ok(views
            .map(|(budget, spent)| BudgetView {
                hold: budget.holds(now),
                budget,
                spent,
            })
            .collect())
    }
}

/// `10.00 USD a month for cluster default`.
fn said(budget: &Budget) -> String {
    let definition = &budget.definition;
    let period = match definition.period {
        BudgetPeriod::Day => "day",
        BudgetPeriod::Month => "month",
    };
    let limit = definition.money(definition.limit_nano);
    format!("{limit} a {period} for {}", definition.scope)
}

fn no_such_budget(name: &BudgetName) -> ControlError {
    ControlError::not_found(
        format!("budget \"{name}\""),
        "neargate budget list lists those that do",
    )
}
