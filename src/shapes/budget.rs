//! Budgets: what tasks may cost. Money is text with all nine decimals, and beside it a whole number of billionths.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::BudgetView;
use crate::domain;
use crate::meter::money::{Nanos, decimal, round_half_up};

/// Asks for a budget, or says all that one is to be. It covers one of `cluster`, `service` and `tag`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutBudgetRequest {
    /// Unique: up to 64 letters, digits and the characters `.`, `_` and `-`. Not needed where the path says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Covers all tasks in that cluster; with `service`, where that one runs, which is `default` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Covers the tasks of that service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Covers the tasks that are run with that tag, as `team=blue`, in every cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// When the limit begins anew. Days and months are those of UTC.
    #[serde(default)]
    #[schema(required = true)]
    pub period: BudgetPeriod,
    /// How much, in the currency of the price sheet: `"25.00"`, with up to nine decimals.
    #[serde(default)]
    #[schema(required = true)]
    pub limit: String,
    /// What the limit is in; that of the price sheet, which is refused if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What costs are worked out with; the operator's choice unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_sheet: Option<String>,
    /// Percents of the limit at which there is an event, each once in a period; 50, 80 and 100 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 10)]
    pub thresholds: Option<Vec<u32>>,
    /// What follows when all of it is spent; `notify` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<BudgetAction>,
}

/// When a limit begins anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetPeriod {
    /// At midnight, UTC.
    Day,
    /// At midnight of the first, UTC.
    #[default]
    Month,
}

/// What follows when all of a limit is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetAction {
    /// Events, nothing else.
    #[default]
    Notify,
    /// No task that it covers begins before the next period. Those that have begun go on.
    StopNewTasks,
}

impl From<BudgetPeriod> for domain::BudgetPeriod {
    fn from(period: BudgetPeriod) -> Self {
        match period {
            BudgetPeriod::Day => Self::Day,
            BudgetPeriod::Month => Self::Month,
        }
    }
}

impl From<domain::BudgetPeriod> for BudgetPeriod {
    fn from(period: domain::BudgetPeriod) -> Self {
        match period {
            domain::BudgetPeriod::Day => Self::Day,
            domain::BudgetPeriod::Month => Self::Month,
        }
    }
}

impl From<BudgetAction> for domain::BudgetAction {
    fn from(action: BudgetAction) -> Self {
        match action {
            BudgetAction::Notify => Self::Notify,
            BudgetAction::StopNewTasks => Self::StopNewTasks,
        }
    }
}

impl From<domain::BudgetAction> for BudgetAction {
    fn from(action: domain::BudgetAction) -> Self {
        match action {
            domain::BudgetAction::Notify => Self::Notify,
            domain::BudgetAction::StopNewTasks => Self::StopNewTasks,
        }
    }
}

/// A budget, and how it stands. Times are RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Unique.
    pub name: String,
    /// The cluster whose tasks it covers, or in which the service is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The service whose tasks it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The tag of the tasks that it covers, as `team=blue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// When the limit begins anew.
    pub period: BudgetPeriod,
    /// When the present period began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub period_start: Option<String>,
    /// When the next one begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub period_end: Option<String>,
    /// How much.
    pub limit: String,
    /// The same in billionths.
    pub limit_nano: i64,
    /// What money is in.
    pub currency: String,
    /// What costs are worked out with.
    pub price_sheet: String,
    /// What its tasks have come to in the present period, those that go on until now: the same as on a bill of that time.
    /// Absent while the price sheet is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
    /// The same in billionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_nano: Option<i64>,
    /// How much of the limit that is, with two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_percent: Option<String>,
    /// Percents of the limit at which there is an event.
    pub thresholds: Vec<u32>,
    /// Those of them that there was an event of in the present period.
    pub reached: Vec<u32>,
    /// What follows when all of it is spent.
    pub action: BudgetAction,
    /// No task that it covers begins before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub stops_until: Option<String>,
    /// What such tasks are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its user last changed it.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

impl From<&BudgetView> for Budget {
    fn from(view: &BudgetView) -> Self {
        let domain::Budget {
            name,
            definition,
            state,
            created_at,
            updated_at,
            ..
        } = &view.budget;
        let (service, tag) = match &definition.scope {
            domain::BudgetScope::Cluster(_) => (None, None),
            domain::BudgetScope::Service { name, .. } => (Some(name.to_string()), None),
            domain::BudgetScope::Tag { key, value } => (None, Some(format!("{key}={value}"))),
        };
        let spent_nano = view.spent.map(|sum| sum.total_nano());
        let percent = |nano: i64| {
            let exact = i128::from(nano.max(0)) * 10_000;
            decimal(round_half_up(exact, definition.limit_nano.into()), 2)
        };
        let is_of_now = |sum: crate::meter::budget::PeriodSum| state.period_start == Some(sum.from);
        Self {
            name: name.to_string(),
            cluster: definition.scope.cluster().map(ToString::to_string),
            service,
            tag,
            period: definition.period.into(),
            period_start: view.spent.map(|sum| sum.from.to_string()),
            period_end: view.spent.map(|sum| sum.to.to_string()),
            limit: Nanos(definition.limit_nano.into()).to_string(),
            limit_nano: definition.limit_nano,
            currency: definition.currency.clone(),
            price_sheet: definition.price_sheet.clone(),
            spent: spent_nano.map(|nano| Nanos(nano.into()).to_string()),
            spent_nano,
            spent_percent: spent_nano.map(percent),
            thresholds: definition.thresholds.clone(),
            reached: if view.spent.is_none_or(is_of_now) {
                state.told.clone()
            } else {
                Vec::new()
            },
            action: definition.action.into(),
            stops_until: view.hold.as_ref().map(|hold| hold.until.to_string()),
            reason: view.hold.as_ref().map(|hold| hold.reason.clone()),
            created_at: created_at.to_string(),
            updated_at: updated_at.to_string(),
        }
    }
}
