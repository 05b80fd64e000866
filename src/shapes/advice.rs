//! Advice on sizes, as it travels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::usage::exact;
use crate::domain::TaskSize;
use crate::meter::advice as meter;
use crate::meter::bill::Period;
use crate::meter::money::Nanos;
use crate::meter::sheet::PriceSheet;

/// For each family and service, the smallest of Fargate's sizes that would have covered what its tasks used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rightsizing {
    /// The first moment of what was looked at.
    #[schema(format = DateTime)]
    pub from: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    pub to: String,
    /// How much more than what was used the size has, in percent.
    pub margin_percent: u32,
    /// The price sheet that costs are of.
    pub price_sheet: String,
    /// What they are in.
    #[schema(examples("USD"))]
    pub currency: String,
    /// The largest saving first.
    pub items: Vec<Advice>,
}

/// What is advised to a family or a service, why, and what it would have saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The family.
    pub family: String,
    /// Where its tasks run.
    pub cluster: String,
    /// The service that they belong to; absent for those that belong to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What the newest of them reserves.
    pub current: AdvisedSize,
    /// The size that is advised; absent where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advised: Option<AdvisedSize>,
    /// Why none is advised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many tasks there were.
    pub tasks: u64,
    /// How many of them were measured.
    pub measured: u64,
    /// How long those ran, together.
    pub measured_ms: i64,
    /// Thousandths of a vCPU that the busiest of them used, on average over its life.
    pub used_milli_vcpu: i64,
    /// The most memory that one of them had at one time.
    pub peak_bytes: u64,
    /// What all of them cost, with nine decimals.
    pub cost: String,
    /// What they would have cost at the size that is advised.
    pub advised_cost: String,
    /// The difference, in billionths of the currency's unit; negative where they need more than they have.
    pub saving_nano: i64,
    /// The same with nine decimals.
    pub saving: String,
}

/// CPU and memory of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvisedSize {
    /// In CPU units: 1,024 make one vCPU.
    pub cpu: u32,
    /// In MiB.
    pub memory: u32,
}

impl From<TaskSize> for AdvisedSize {
    fn from(size: TaskSize) -> Self {
        Self {
            cpu: size.cpu().0,
            memory: size.memory().0,
        }
    }
}

impl Rightsizing {
    /// `advice` that was made of `period`, priced by `sheet`.
    pub fn new(
        advice: &[meter::Advice],
        period: Period,
        margin_percent: u32,
        sheet: &PriceSheet,
    ) -> Self {
        Self {
            from: period.from.to_string(),
            to: period.to.to_string(),
            margin_percent,
            price_sheet: sheet.name.clone(),
            currency: sheet.currency.to_string(),
            items: advice.iter().map(Advice::new).collect(),
        }
    }
}

impl Advice {
    fn new(advice: &meter::Advice) -> Self {
        let evidence = &advice.evidence;
        let (cpu, memory) = evidence.current;
        let (advised, reason) = match advice.verdict {
            meter::Verdict::Size(size) => (Some(size.into()), None),
            meter::Verdict::TooLittleSeen => (
                None,
                Some("too little was measured: 3 tasks or 1 h are needed"),
            ),
            meter::Verdict::NoneIsLargeEnough => (None, Some("no size is large enough")),
        };
        let money = |amount: Nanos| amount.to_string();
        Self {
            family: advice.whose.family.to_string(),
            cluster: advice.whose.cluster.to_string(),
            service: advice.whose.service.as_ref().map(ToString::to_string),
            current: AdvisedSize {
                cpu: cpu.0,
                memory: memory.0,
            },
            advised,
            reason: reason.map(str::to_owned),
            tasks: evidence.tasks,
            measured: evidence.measured,
            measured_ms: evidence.measured_ms,
            used_milli_vcpu: evidence.milli_vcpu,
            peak_bytes: evidence.peak_bytes,
            cost: money(advice.cost),
            advised_cost: money(advice.advised_cost),
            saving_nano: exact(advice.saving().0),
            saving: money(advice.saving()),
        }
    }
}
