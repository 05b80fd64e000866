//! A bill in FOCUS, the `FinOps` Open Cost and Usage Specification, version 1.2, so that cost tools read it.
//!
//! Each line of the bill becomes a row for its CPU, one for its memory, and where the sheet has a price for each task,
//! one for that: a row of FOCUS has one unit. The rows come to the bill's total.
//!
//! What Neargate does not have is left out, as the specification wants it, not made up: there are no discounts, so all
//! four costs are the same; there is no published price list, so there are neither unit prices nor SKUs; there are no
//! regions. The billing account is the Neargate, sub accounts are its clusters. FOCUS's times have whole seconds;
//! `x_DurationMs` has the milliseconds.

use super::csv::{Cell, table};
use super::{Bill, BillLine, full_seconds};

/// The columns, in the order of the specification, and then our own.
pub(super) const HEAD: [&str; 35] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_DurationMs",
    "x_Family",
    "x_PriceSheet",
    "x_Service",
];

/// One thing that is paid for.
struct Charge {
    what: &'static str,
    unit: &'static str,
    /// × 10^-9
    consumed: i128,
    priced: i128,
    cost_nano: i64,
}

impl Bill {
    /// As a table of FOCUS 1.2.
    pub fn focus(&self) -> String {
        let rows = self.items.iter().flat_map(|line| {
            let charges = charges(line).into_iter();
            charges.map(|charge| self.focus_row(line, &charge))
        });
        table(&HEAD, rows)
    }

    fn focus_row(&self, line: &BillLine, charge: &Charge) -> Vec<Cell> {
        let task = line.task.as_ref();
        let (start, end) = self.focus_period(line);
        let cost = || Cell::plain(Some(decimal(charge.cost_nano.into())));
        let word = |word: &str| Cell::Plain(word.to_owned());
        let who = match (&line.name, task) {
            (_, Some(task)) => format!("a task of {}:{}", task.family, task.revision),
            (Some(name), None) => format!("the tasks of {} {name}", self.group_by),
            (None, None) => format!("the tasks without {}", self.group_by),
        };
        let tags = task.map(|task| serde_json::json!(task.tags).to_string());
        vec![
            cost(),
            Cell::text(Some(&self.instance_id)),
            Cell::Text(format!("Neargate {}", self.instance_id)),
            word(&self.price_sheet.currency),
            word(&full_seconds(&self.to, true)),
            word(&full_seconds(&self.from, false)),
            word("Usage"),
            Cell::Null,
            Cell::Text(format!(
                "{} of {who}, by the price sheet {}",
                charge.what, self.price_sheet.name
            )),
            word("Usage-Based"),
            word(&full_seconds(&end, true)),
            word(&full_seconds(&start, false)),
            Cell::plain(Some(decimal(charge.consumed))),
            word(charge.unit),
            cost(),
            cost(),
            word("Neargate"),
            cost(),
            Cell::plain(Some(decimal(charge.priced))),
            word(charge.unit),
            word("Neargate"),
            word("Neargate"),
            Cell::text(task.map(|task| task.task_arn.as_str())),
            Cell::text(task.and(line.name.as_deref())),
            Cell::plain(task.map(|_| "Task")),
            word("Compute"),
            word("Neargate Tasks"),
            word("Containers"),
            Cell::text(line.cluster.as_deref()),
            Cell::text(line.cluster.as_deref()),
            Cell::text(tags.as_deref()),
            Cell::plain(Some(line.duration_ms)),
            Cell::text(task.map(|task| task.family.as_str())),
            Cell::text(Some(&self.price_sheet.name)),
            Cell::text(task.and_then(|task| task.service.as_deref())),
        ]
    }

    /// From when to when `line` is: that part of the bill's period in which the task was, or the day, or the hour.
    fn focus_period(&self, line: &BillLine) -> (String, String) {
        // The API writes all times alike, so that their texts are in the order of time.
        let within = |start: &str, end: &str| {
            let start = start.max(self.from.as_str()).to_owned();
            let end = end.min(self.to.as_str()).max(start.as_str()).to_owned();
            (start, end)
        };
        if let Some(task) = &line.task {
            return within(
                &task.opened_at,
                task.closed_at.as_ref().unwrap_or(&self.as_of),
            );
        }
        let step = match self.group_by.as_str() {
            "hour" => jiff::SignedDuration::from_hours(1),
            "day" => jiff::SignedDuration::from_hours(24),
            _ => return (self.from.clone(), self.to.clone()),
        };
        let start = line.name.as_deref().unwrap_or_default();
        let end = start.parse::<jiff::Timestamp>().ok();
        match end.and_then(|start| start.checked_add(step).ok()) {
            Some(end) => within(start, &format!("{end:.3}")),
            None => (self.from.clone(), self.to.clone()),
        }
    }
}

fn charges(line: &BillLine) -> Vec<Charge> {
    let parts = &line.parts;
    // Thousandths × milliseconds, or MiB × milliseconds, as billionths of what they make in an hour.
    let hours = |amount: i64, unit: i128| {
        let hour = unit * 3_600_000;
        (i128::from(amount) * 1_000_000_000 + hour / 2) / hour
    };
    let mut charges = vec![
        Charge {
            what: "vCPUs",
            unit: "vCPU-Hours",
            consumed: hours(line.milli_vcpu_ms, 1_000),
            priced: hours(parts.billed_milli_vcpu_ms, 1_000),
            cost_nano: parts.vcpu_nano,
        },
        Charge {
            what: "Memory",
            // 1,024 MiB: by the specification's own units that is a GiB, and a GB has 10^9 bytes.
            unit: "GiB-Hours",
            consumed: hours(line.mib_ms, 1_024),
            priced: hours(parts.billed_mib_ms, 1_024),
            cost_nano: parts.memory_nano,
        },
    ];
    if parts.tasks_nano != 0 {
        let tasks = i128::from(parts.billed_tasks) * 1_000_000_000;
        charges.push(Charge {
            what: "Runs",
            unit: "Tasks",
            consumed: tasks,
            priced: tasks,
            cost_nano: parts.tasks_nano,
        });
    }
    charges
}

fn decimal(nanos: i128) -> String {
    crate::meter::money::decimal(nanos, 9)
}
