//! What a task adds to the roll-ups: what it held, used and cost in each hour and on each day of its life. PURE.
//!
//! The parts are those that [`bill`](super::bill) cuts a period into, and what a task costs between two moments is a
//! difference (see [`sheet`](super::sheet)). So roll-ups come to what single tasks come to, to the last unit, and a bill is
//! the same whether it was made of these or of those.

use super::bill::{Held, Period, accrued_within};
use super::sheet::PriceSheet;
use crate::domain::{RolledPart, TimestampMs, UsageRecord, UsageStep};

/// What the task of `record` adds, priced by sheets of these `terms`. `None` while it goes on, and for terms that are none.
pub fn roll_up(record: &UsageRecord, terms: &[String]) -> Option<Vec<RolledPart>> {
    let sheets = terms.iter().map(|terms| PriceSheet::of_terms(terms));
    let sheets: Vec<PriceSheet> = sheets.collect::<Option<_>>()?;
    let (closed_at, _) = record.usage.interval.closed?;
    let mut parts = Vec::new();
    for step in UsageStep::ALL {
        let mut from = step.start_of(record.usage.interval.opened_at);
        // The hour in which it began has a part also if it has no length.
        loop {
            let to = TimestampMs::from_millis(from.as_millis().saturating_add(step.length_ms()));
            let period = Period { from, to };
            let costs = sheets.iter().map(|sheet| {
                accrued_within(sheet, &record.usage.interval, period, closed_at).rolled()
            });
            parts.push(RolledPart {
                step,
                starts_at: from,
                usage: Held::within(record, period, closed_at).rolled(record, from),
                costs: costs.collect(),
            });
            if to >= closed_at {
                break;
            }
            from = to;
        }
    }
    Some(parts)
}
