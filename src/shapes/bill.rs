//! A bill, as it travels.
//!
//! Exact figures are integers: milliseconds × thousandths of a vCPU, milliseconds × MiB, billionths of the currency's
//! unit. The decimal ones beside them are for people and say the same; only shares are rounded. [`csv`] and [`focus`]
//! write a bill as tables for other programs.

mod csv;
mod focus;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::usage::{exact, gb_seconds, six_decimals, vcpu_seconds};
use crate::domain::{DurationMs, InstanceId, TimestampMs, task_arn};
use crate::meter::bill as meter;
use crate::meter::money::{Nanos, decimal};
use crate::meter::sheet::PriceSheet;

/// What tasks reserved, used and cost within a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// Which Neargate made it.
    pub instance_id: String,
    /// Its first moment.
    #[schema(format = DateTime)]
    pub from: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    pub to: String,
    /// When it was made. Tasks that go on are counted until then.
    #[schema(format = DateTime)]
    pub as_of: String,
    /// What the lines stand for: `task`, `family`, `service`, `cluster`, `tag:KEY`, `day` or `hour`.
    pub group_by: String,
    /// What it is priced with.
    pub price_sheet: BillSheet,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<BillSheet>,
    /// Days, hours and tasks in their order, all else by cost, the highest first.
    pub items: Vec<BillLine>,
    /// All lines together.
    pub total: BillLine,
    /// What no task pays for; absent where there is nothing of it, and on bills of one cluster or family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<BillOperator>,
    /// What one should know about the figures.
    pub notes: Vec<String>,
}

/// What is the operator's own cost, on no line and in no total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillOperator {
    /// For how long sandboxes were kept ready for tasks, together, in the hours that begin in the bill's time: milliseconds.
    pub warm_sandbox_ms: i64,
}

/// A bill that was issued, and never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedBill {
    /// Counts up from 1, without holes.
    pub number: u64,
    /// When.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// What it says.
    pub bill: Bill,
}

/// A bill that was issued, as a list has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuedBillSummary {
    /// Counts up from 1, without holes.
    pub number: u64,
    /// When.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// Its first moment.
    #[schema(format = DateTime)]
    pub from: String,
    /// The first moment after it.
    #[schema(format = DateTime)]
    pub to: String,
    /// What its lines stand for.
    pub group_by: String,
    /// What it is priced with.
    pub price_sheet: String,
    /// What it is in.
    pub currency: String,
    /// What all of it costs, with nine decimals.
    pub cost: String,
}

impl From<IssuedBill> for IssuedBillSummary {
    fn from(issued: IssuedBill) -> Self {
        let bill = issued.bill;
        Self {
            number: issued.number,
            issued_at: issued.issued_at,
            from: bill.from,
            to: bill.to,
            group_by: bill.group_by,
            price_sheet: bill.price_sheet.name,
            currency: bill.price_sheet.currency,
            cost: bill.total.cost,
        }
    }
}

/// A price sheet, as a bill names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillSheet {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Where its prices come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What they are in.
    #[schema(examples("USD"))]
    pub currency: String,
}

impl BillSheet {
    fn new(sheet: &PriceSheet) -> Self {
        Self {
            name: sheet.name.clone(),
            description: sheet.description.clone(),
            source: sheet.source.clone(),
            currency: sheet.currency.to_string(),
        }
    }
}

/// What some tasks reserved, used and cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillLine {
    /// Which family, service, cluster, value of the tag, day, hour or task it is about; absent for those that have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The cluster, where the line is about one task, cluster or service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The task, where the line is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<BillTask>,
    /// How many tasks are in it.
    pub tasks: u64,
    /// How many of them go on.
    pub running: u64,
    /// Of how many the end is estimated.
    pub estimated: u64,
    /// How long they held their reservations, together.
    pub duration_ms: i64,
    /// Exact: thousandths of a vCPU × milliseconds that they reserved.
    pub milli_vcpu_ms: i64,
    /// Exact: MiB × milliseconds that they reserved.
    pub mib_ms: i64,
    /// vCPU × seconds that they reserved, with six decimals.
    pub vcpu_seconds: String,
    /// GB (1,024 MiB) × seconds that they reserved, with six decimals.
    pub gb_seconds: String,
    /// What they were measured to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<BillUsed>,
    /// What it cost, with nine decimals.
    #[schema(examples("0.024341667"))]
    pub cost: String,
    /// The same in billionths of the currency's unit.
    pub cost_nano: i64,
    /// What of it is for what.
    pub parts: BillParts,
    /// How much of the total that is, in percent: of the cost, or where nothing costs anything, of the CPU.
    #[schema(examples("12.34"))]
    pub share: String,
    /// What it would have cost by the other price sheet, with nine decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_cost: Option<String>,
    /// The same in billionths of the currency's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_cost_nano: Option<i64>,
}

/// What tasks were measured to use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillUsed {
    /// How many tasks were measured.
    pub tasks: u64,
    /// vCPU × seconds, with six decimals.
    pub vcpu_seconds: String,
    /// GB (1,024 MiB) × seconds, with six decimals.
    pub gb_seconds: String,
    /// How much of the CPU that these tasks reserved stood idle, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("87.50"))]
    pub idle_vcpu: Option<String>,
    /// How much of the memory that these tasks reserved stood idle, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_memory: Option<String>,
}

/// What a cost is made of. Quantities are what is paid for: what was reserved, and what rounding up and the minimum add.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillParts {
    /// Thousandths of a vCPU × milliseconds.
    pub billed_milli_vcpu_ms: i64,
    /// MiB × milliseconds.
    pub billed_mib_ms: i64,
    /// Tasks.
    pub billed_tasks: u64,
    /// For CPU, in billionths of the currency's unit.
    pub vcpu_nano: i64,
    /// For memory.
    pub memory_nano: i64,
    /// For being tasks at all.
    pub tasks_nano: i64,
}

/// The task that a line is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillTask {
    /// Its name for those who know it by that.
    pub task_arn: String,
    /// The family that it was run from.
    pub family: String,
    /// The revision that it was run from.
    pub revision: u32,
    /// The service that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The tags that it was run with.
    pub tags: BTreeMap<String, String>,
    /// When it began.
    #[schema(format = DateTime)]
    pub opened_at: String,
    /// When it ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
}

impl Bill {
    /// `bill`, which the Neargate called `instance` made.
    pub fn new(bill: &meter::Bill, instance: &InstanceId) -> Self {
        let line = |sums: &meter::Sums| line(sums, &bill.total, bill.compared_with.is_some());
        let lines = bill.lines.iter();
        Self {
            instance_id: instance.to_string(),
            from: bill.period.from.to_string(),
            to: bill.period.to.to_string(),
            as_of: bill.as_of.to_string(),
            group_by: bill.group_by.to_string(),
            price_sheet: BillSheet::new(&bill.sheet),
            compared_with: bill.compared_with.as_ref().map(BillSheet::new),
            items: lines
                .map(|one| named(&one.subject, line(&one.sums)))
                .collect(),
            total: line(&bill.total),
            operator: (bill.warm_sandbox_ms > 0).then_some(BillOperator {
                warm_sandbox_ms: bill.warm_sandbox_ms,
            }),
            notes: notes(bill),
        }
    }
}

/// What one should know about the figures of `bill`.
fn notes(bill: &meter::Bill) -> Vec<String> {
    let total = &bill.total;
    let mut notes = Vec::new();
    if total.running > 0 {
        notes.push(format!(
            "{} {} on and {} counted until {}",
            tasks(total.running),
            if total.running == 1 { "goes" } else { "go" },
            if total.running == 1 { "is" } else { "are" },
            bill.as_of
        ));
    }
    if total.estimated > 0 {
        notes.push(format!(
            "of {} nobody recorded the end: it is estimated",
            tasks(total.estimated)
        ));
    }
    for (sheet, accrued) in [
        (Some(&bill.sheet), total.accrued),
        (bill.compared_with.as_ref(), total.compared),
    ] {
        if let Some(sheet) = sheet.filter(|_| accrued.unpriced_ms > 0) {
            notes.push(format!(
                "{} s lie before the first price of the sheet {} and cost nothing",
                decimal(accrued.unpriced_ms.into(), 3),
                sheet.name
            ));
        }
    }
    if bill.warm_sandbox_ms > 0 {
        notes.push(format!(
            "sandboxes were kept ready for {} s, taken together: they are the operator's, on no line and in no total",
            decimal(bill.warm_sandbox_ms.into(), 3)
        ));
    }
    if total.used.tasks > 0 && total.used.tasks < total.tasks {
        notes.push(format!(
            "of {} nobody could see what they used",
            tasks(total.tasks - total.used.tasks)
        ));
    }
    notes
}

fn tasks(count: u64) -> String {
    format!("{count} {}", if count == 1 { "task" } else { "tasks" })
}

/// The figures of `sums`, as a line that nobody is named on.
fn line(sums: &meter::Sums, total: &meter::Sums, is_compared: bool) -> BillLine {
    let accrued = &sums.accrued;
    let cost = accrued.cost;
    let all = total.accrued.cost.total().0;
    let share = if all > 0 {
        meter::share(cost.total().0, all)
    } else {
        let vcpu = |sums: &meter::Sums| sums.accrued.reserved.milli_vcpu_ms;
        meter::share(vcpu(sums), vcpu(total))
    };
    let compared = is_compared.then(|| sums.compared.cost.total());
    BillLine {
        name: None,
        cluster: None,
        task: None,
        tasks: sums.tasks,
        running: sums.running,
        estimated: sums.estimated,
        duration_ms: sums.duration_ms,
        milli_vcpu_ms: exact(accrued.reserved.milli_vcpu_ms),
        mib_ms: exact(accrued.reserved.mib_ms),
        vcpu_seconds: vcpu_seconds(accrued.reserved),
        gb_seconds: gb_seconds(accrued.reserved),
        used: (sums.used.tasks > 0).then(|| used(&sums.used)),
        cost: cost.total().to_string(),
        cost_nano: nano(cost.total()),
        parts: BillParts {
            billed_milli_vcpu_ms: exact(accrued.billed.milli_vcpu_ms),
            billed_mib_ms: exact(accrued.billed.mib_ms),
            billed_tasks: accrued.billed_tasks,
            vcpu_nano: nano(cost.vcpu),
            memory_nano: nano(cost.memory),
            tasks_nano: nano(cost.tasks),
        },
        share: decimal(share, 2),
        compared_cost: compared.map(|cost| cost.to_string()),
        compared_cost_nano: compared.map(nano),
    }
}

fn used(used: &meter::Used) -> BillUsed {
    let percent = |hundredths: i128| decimal(hundredths, 2);
    BillUsed {
        tasks: used.tasks,
        vcpu_seconds: six_decimals(used.cpu_ns, 1_000_000_000),
        gb_seconds: six_decimals(used.memory_kib_ms, 1_048_576_000),
        idle_vcpu: used.idle_vcpu().map(percent),
        idle_memory: used.idle_memory().map(percent),
    }
}

fn nano(amount: Nanos) -> i64 {
    exact(amount.0)
}

/// `line`, as that of `subject`.
fn named(subject: &meter::Subject, line: BillLine) -> BillLine {
    let (name, cluster, task) = match subject {
        meter::Subject::Task(task) => (
            Some(task.id.to_string()),
            Some(task.cluster.to_string()),
            Some(BillTask {
                task_arn: task_arn(&task.cluster, &task.id),
                family: task.definition.0.clone(),
                revision: task.definition.1,
                service: task.service.as_ref().map(ToString::to_string),
                tags: task.tags.clone(),
                opened_at: task.opened_at.to_string(),
                closed_at: task.closed_at.map(|at| at.to_string()),
            }),
        ),
        meter::Subject::Family(family) => (Some(family.clone()), None, None),
        meter::Subject::Service(Some((cluster, service))) => {
            (Some(service.to_string()), Some(cluster.to_string()), None)
        }
        meter::Subject::Service(None) | meter::Subject::Tag(None) => (None, None, None),
        meter::Subject::Cluster(cluster) => {
            (Some(cluster.to_string()), Some(cluster.to_string()), None)
        }
        meter::Subject::Tag(Some(value)) => (Some(value.clone()), None, None),
        meter::Subject::Time(start) => (Some(start.to_string()), None, None),
    };
    BillLine {
        name,
        cluster,
        task,
        ..line
    }
}

/// Seconds before and after a point in time of the API, when it is not on a full one.
fn full_seconds(text: &str, round_up: bool) -> String {
    let Ok(at) = text.parse::<jiff::Timestamp>() else {
        return text.to_owned();
    };
    let millis = at.as_millisecond();
    let up = DurationMs::from_millis(if round_up { 999 } else { 0 });
    let seconds = TimestampMs::from_millis(millis)
        .plus(up)
        .as_millis()
        .div_euclid(1_000);
    match jiff::Timestamp::from_second(seconds) {
        Ok(at) => at.to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
