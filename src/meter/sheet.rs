//! Price sheets: what a task costs, as a function of the time up to which one asks. PURE.
//!
//! [`PriceSheet::accrued`] is the whole of it: what a task has reserved and cost from its beginning up to a moment.
//! What it cost between two moments is the difference, so that a bill can be cut into hours, days or months at
//! whatever instants and the parts come to the whole, to the last billionth.
//!
//! The rules, which `docs/bill.md` tells users:
//! - each millisecond costs what the sheet says of it; an interval across a change of price is cut there;
//! - what rounding up and the minimum add is added when the task has ended: to its last millisecond, at the price
//!   that holds then;
//! - a price for each task is due in its first millisecond;
//! - before the sheet's first price nothing is charged, and the bill says so.

mod read;
mod terms;

use std::collections::BTreeMap;

use super::Reserved;
use super::money::{Currency, Nanos, round_half_up};
use crate::domain::{RolledCost, TimestampMs, UsageInterval};

pub use read::{SheetError, SheetText};
pub use terms::differ_from;

/// What a sheet's prices are, and how it counts time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSheet {
    /// What it is called: the name of its file, without `.toml`.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Where its prices come from.
    pub source: Option<String>,
    /// What they are in.
    pub currency: Currency,
    /// A task's length is rounded up to a multiple of that many milliseconds, once.
    pub granularity_ms: i64,
    /// A task is billed as that long at least.
    pub minimum_ms: i64,
    /// From when on which price holds, the earliest first.
    prices: Vec<Price>,
}

/// What holds from some time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    from: TimestampMs,
    rate: Rate,
}

/// Prices in 10^-12 of the currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rate {
    vcpu_hour: i128,
    gb_hour: i128,
    task: i128,
}

/// Billionths of the currency's unit, as a fraction: what an [`Exact`] is a multiple of.
///
/// 10^-12 per hour × thousandths of a vCPU × milliseconds is this × 128, × MiB × milliseconds is this × 125.
const FRACTION: i128 = 128 * 1_000 * 3_600_000 * 1_000;

/// Money before it is rounded: multiples of a billionth / [`FRACTION`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Exact {
    vcpu: i128,
    memory: i128,
    tasks: i128,
}

impl Exact {
    fn add(&mut self, rate: Rate, amount: Reserved) {
        let of = |price: i128, amount: i128, factor: i128| {
            price.saturating_mul(amount).saturating_mul(factor)
        };
        let vcpu = of(rate.vcpu_hour, amount.milli_vcpu_ms, 128);
        let memory = of(rate.gb_hour, amount.mib_ms, 125);
        self.vcpu = self.vcpu.saturating_add(vcpu);
        self.memory = self.memory.saturating_add(memory);
    }

    /// Rounded so that the parts come to what their sum is rounded to.
    fn rounded(self) -> Cost {
        let round = |exact: i128| Nanos(round_half_up(exact, FRACTION));
        let vcpu = round(self.vcpu);
        let with_memory = round(self.vcpu.saturating_add(self.memory));
        let all = self.vcpu.saturating_add(self.memory);
        let all = round(all.saturating_add(self.tasks));
        Cost {
            vcpu,
            memory: with_memory - vcpu,
            tasks: all - with_memory,
        }
    }
}

/// What something cost, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// For CPU.
    pub vcpu: Nanos,
    /// For memory.
    pub memory: Nanos,
    /// For being tasks at all.
    pub tasks: Nanos,
}

impl Cost {
    /// All of it.
    pub fn total(self) -> Nanos {
        self.vcpu + self.memory + self.tasks
    }
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            vcpu: self.vcpu + other.vcpu,
            memory: self.memory + other.memory,
            tasks: self.tasks + other.tasks,
        }
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            vcpu: self.vcpu - other.vcpu,
            memory: self.memory - other.memory,
            tasks: self.tasks - other.tasks,
        }
    }
}

/// What a task has come to, from its beginning up to some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accrued {
    /// What it reserved.
    pub reserved: Reserved,
    /// What is paid for: that, and what rounding up and the minimum add.
    pub billed: Reserved,
    /// How many tasks are paid for: none or one.
    pub billed_tasks: u64,
    /// What that costs.
    pub cost: Cost,
    /// Milliseconds of it for which the sheet has no price yet.
    pub unpriced_ms: i64,
}

impl std::ops::Add for Accrued {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            reserved: self.reserved + other.reserved,
            billed: self.billed + other.billed,
            billed_tasks: self.billed_tasks.saturating_add(other.billed_tasks),
            cost: self.cost + other.cost,
            unpriced_ms: self.unpriced_ms.saturating_add(other.unpriced_ms),
        }
    }
}

impl std::ops::Sub for Accrued {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            reserved: self.reserved - other.reserved,
            billed: self.billed - other.billed,
            billed_tasks: self.billed_tasks.saturating_sub(other.billed_tasks),
            cost: self.cost - other.cost,
            unpriced_ms: self.unpriced_ms.saturating_sub(other.unpriced_ms),
        }
    }
}

impl Accrued {
    /// What a roll-up keeps of it, beside what was reserved.
    pub(super) fn rolled(&self) -> RolledCost {
        RolledCost {
            billed_milli_vcpu_ms: self.billed.milli_vcpu_ms,
            billed_mib_ms: self.billed.mib_ms,
            billed_tasks: self.billed_tasks.into(),
            vcpu_nano: self.cost.vcpu.0,
            memory_nano: self.cost.memory.0,
            tasks_nano: self.cost.tasks.0,
            unpriced_ms: self.unpriced_ms.into(),
        }
    }

    /// The reverse.
    pub(super) fn of_rolled(reserved: Reserved, rolled: &RolledCost) -> Self {
        Self {
            reserved,
            billed: Reserved {
                milli_vcpu_ms: rolled.billed_milli_vcpu_ms,
                mib_ms: rolled.billed_mib_ms,
            },
            billed_tasks: u64::try_from(rolled.billed_tasks).unwrap_or_default(),
            cost: Cost {
                vcpu: Nanos(rolled.vcpu_nano),
                memory: Nanos(rolled.memory_nano),
                tasks: Nanos(rolled.tasks_nano),
            },
            unpriced_ms: i64::try_from(rolled.unpriced_ms).unwrap_or(i64::MAX),
        }
    }
}

impl PriceSheet {
    /// Whether it says what anything costs.
    pub fn has_prices(&self) -> bool {
        !self.prices.is_empty()
    }

    /// What `interval` has come to before `until`. Of a task that goes on, what comes after `until` is not known, so
    /// `until` must not lie after now.
    pub fn accrued(&self, interval: &UsageInterval, until: TimestampMs) -> Accrued {
        let opened_at = interval.opened_at;
        if until <= opened_at {
            return Accrued::default();
        }
        let closed_at = interval.closed.map(|(at, _)| at.max(opened_at));
        let end = closed_at.map_or(until, |closed_at| closed_at.min(until));
        let mut exact = Exact::default();
        let mut unpriced_ms = 0;
        for (rate, length) in self.pieces(opened_at, end) {
            match rate {
                Some(rate) => exact.add(rate, Reserved::over(interval, length)),
                None => unpriced_ms += length,
            }
        }
        if let Some(rate) = self.rate_at(opened_at) {
            exact.tasks = rate.task.saturating_mul(FRACTION / 1_000);
        }
        let reserved = Reserved::over(interval, end.since(opened_at).as_millis());
        let mut billed = reserved;
        if let Some(closed_at) = closed_at
            && closed_at <= until
        {
            let length = closed_at.since(opened_at).as_millis();
            let added = Reserved::over(interval, self.billed_ms(length) - length);
            billed = billed + added;
            let last = TimestampMs::from_millis(closed_at.as_millis() - 1).max(opened_at);
            if let Some(rate) = self.rate_at(last) {
                exact.add(rate, added);
            }
        }
        Accrued {
            reserved,
            billed,
            billed_tasks: 1,
            cost: exact.rounded(),
            unpriced_ms,
        }
    }

    /// As how long a task of `length` milliseconds is billed.
    fn billed_ms(&self, length: i64) -> i64 {
        let rest = length % self.granularity_ms;
        let up = if rest == 0 {
            0
        } else {
            self.granularity_ms - rest
        };
        length.saturating_add(up).max(self.minimum_ms)
    }

    /// The time from `from` to `to`, cut where the price changes; how many milliseconds each piece has.
    fn pieces(&self, from: TimestampMs, to: TimestampMs) -> Vec<(Option<Rate>, i64)> {
        let mut pieces = Vec::new();
        let (mut at, mut rate) = (from, None);
        for price in &self.prices {
            let change = price.from.clamp(from, to);
            pieces.push((rate, change.since(at).as_millis()));
            (at, rate) = (change, Some(price.rate));
        }
        pieces.push((rate, to.since(at).as_millis()));
        pieces
    }

    fn rate_at(&self, at: TimestampMs) -> Option<Rate> {
        let held = self.prices.iter().rev().find(|price| price.from <= at);
        held.map(|price| price.rate)
    }
}

/// All price sheets that there are, and which one is meant when none is named.
#[derive(Clone, Debug)]
pub struct PriceBook {
    sheets: BTreeMap<String, PriceSheet>,
    default: String,
}

/// The sheet that is used unless the operator chooses another.
const DEFAULT_SHEET: &str = "fargate";

macro_rules! shipped {
    ($($name:literal),*) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/prices/", $name, ".toml")),
        )),*]
    };
}

/// The sheets that come with Neargate.
const SHIPPED: &[(&str, &str)] = shipped!("fargate", "fargate-arm", "lambda", "own");

impl PriceBook {
    /// The sheets that come with Neargate and the operator's `own`, which replace those of the same name.
    /// `default` is the one that is meant when none is named.
    pub fn new(own: &[SheetText], default: Option<&str>) -> Result<Self, SheetError> {
        let shipped = SHIPPED.iter().map(|(name, text)| SheetText {
            file: format!("prices/{name}.toml"),
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        });
        let mut sheets = BTreeMap::new();
        for text in shipped.chain(own.iter().cloned()) {
            let sheet = text.read()?;
            sheets.insert(sheet.name.clone(), sheet);
        }
        let book = Self {
            sheets,
            default: default.unwrap_or(DEFAULT_SHEET).to_owned(),
        };
        match book.sheet(None) {
            Ok(_) => Ok(book),
            Err(fault) => Err(SheetError {
                place: "price_sheet in the configuration".to_owned(),
                message: fault.message,
                hint: fault.hint,
            }),
        }
    }

    /// What each sheet that has prices says of them: see [`PriceSheet::terms`].
    pub fn terms(&self) -> Vec<String> {
        let priced = self.sheets.values().filter(|sheet| sheet.has_prices());
        let mut terms: Vec<String> = priced.map(PriceSheet::terms).collect();
        terms.sort();
        terms.dedup();
        terms
    }

    /// The sheet called `name`, or the one that is meant when none is named.
    pub fn sheet(&self, name: Option<&str>) -> Result<&PriceSheet, SheetFault> {
        let name = name.unwrap_or(&self.default);
        let Some(sheet) = self.sheets.get(name) else {
            let known: Vec<&str> = self.sheets.keys().map(String::as_str).collect();
            let shown: String = name.chars().take(64).collect();
            return Err(SheetFault {
                message: format!("there is no price sheet \"{shown}\""),
                hint: format!(
                    "there are {}; another goes into prices/ in the data folder, and is read when the server starts",
                    known.join(", ")
                ),
            });
        };
        if !sheet.has_prices() {
            return Err(SheetFault {
                message: format!("the price sheet \"{name}\" has no price yet"),
                hint: format!(
                    "write prices/{name}.toml in the data folder with a [[price]], as docs/bill.md shows, and start \
                     the server again"
                ),
            });
        }
        Ok(sheet)
    }
}

impl Default for PriceBook {
    /// What comes with Neargate.
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the sheets are part of the program, and a test reads them"
        )]
        Self::new(&[], None).expect("the shipped price sheets are valid")
    }
}

/// A sheet that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetFault {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

#[cfg(test)]
mod tests;
