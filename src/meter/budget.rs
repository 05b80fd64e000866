//! What the tasks that a budget covers have cost. PURE.
//!
//! The same figures as a bill of that time, to the last billionth. Tasks that have ended go in once, whenever their end is
//! read from the ledger, and stay in the sum; tasks that go on are looked at anew each time. So the cost of knowing how a
//! budget stands grows with what happened since and with what goes on, not with the history.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::sheet::PriceSheet;
use crate::domain::{Budget, Counted, TimestampMs, UsageInterval, UsageRecord};

/// How far the growth is looked ahead.
const AHEAD_MS: i64 = 3_600_000;

/// A period of a budget, and what tasks come to in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodSum {
    /// Its first moment.
    pub from: TimestampMs,
    /// The first one after it.
    pub to: TimestampMs,
    /// What tasks that have ended come to: billionths.
    pub closed_nano: i128,
    /// What those come to that go on, until now or until it was over.
    pub open_nano: i128,
}

impl PeriodSum {
    const fn new((from, to): (TimestampMs, TimestampMs), closed_nano: i128) -> Self {
        Self {
            from,
            to,
            closed_nano,
            open_nano: 0,
        }
    }

    /// Both together.
    pub fn total_nano(&self) -> i64 {
        to_i64(self.closed_nano.saturating_add(self.open_nano))
    }
}

/// Adds up what the tasks of one budget have cost: in the period of now, and in the one that was recorded last if that is over.
#[derive(Clone, Debug)]
pub struct BudgetSums<'a> {
    budget: &'a Budget,
    sheet: &'a PriceSheet,
    now: TimestampMs,
    /// The one that was recorded last, if it is over.
    pub earlier: Option<PeriodSum>,
    /// The one of now.
    pub present: PeriodSum,
    /// How much the tasks that go on will cost in the next hour.
    pub hourly_nano: i128,
    until_seq: i64,
}

impl<'a> BudgetSums<'a> {
    /// Goes on where `counted` ends; `None` where all of the present period is still to be added.
    pub fn new(
        budget: &'a Budget,
        counted: Option<&Counted>,
        sheet: &'a PriceSheet,
        now: TimestampMs,
    ) -> Self {
        let period = budget.definition.period;
        let present = period.around(now);
        let recorded = counted.map(|counted| period.around(counted.from));
        // A clock that was set back does not take a period back.
        let present = recorded.filter(|it| it.0 > present.0).unwrap_or(present);
        let so_far = counted.map_or(0, |counted| counted.closed_nano.into());
        let is_earlier = |it: &(TimestampMs, TimestampMs)| it.0 < present.0;
        let earlier = recorded.filter(is_earlier);
        let of_present = if earlier.is_some() { 0 } else { so_far };
        Self {
            budget,
            sheet,
            now,
            earlier: earlier.map(|it| PeriodSum::new(it, so_far)),
            present: PeriodSum::new(present, of_present),
            hourly_nano: 0,
            until_seq: counted.map_or(0, |counted| counted.until_seq),
        }
    }

    /// A task that has ended; `seq` is the number of that change in the ledger. What is counted already is not again. If its
    /// end was moved, it `was` at another time, until which it was counted.
    pub fn closed(&mut self, seq: i64, record: &UsageRecord, was: Option<TimestampMs>) {
        if seq <= self.until_seq {
            return;
        }
        self.until_seq = seq;
        self.ended(record);
        let Some(was) = was.filter(|_| self.covers(record)) else {
            return;
        };
        let mut before = record.usage.interval.clone();
        before.closed = before.closed.map(|(_, evidence)| (was, evidence));
        let sheet = self.sheet;
        let take = |sum: &mut PeriodSum| {
            let cost = cost_between(sheet, &before, sum.from, sum.to);
            sum.closed_nano = sum.closed_nano.saturating_sub(cost);
        };
        take(&mut self.present);
        self.earlier.iter_mut().for_each(take);
    }

    /// A task that had ended before anybody counted.
    pub fn ended(&mut self, record: &UsageRecord) {
        if !self.covers(record) {
            return;
        }
        let (sheet, interval) = (self.sheet, &record.usage.interval);
        let add = |sum: &mut PeriodSum| {
            let cost = cost_between(sheet, interval, sum.from, sum.to);
            sum.closed_nano = sum.closed_nano.saturating_add(cost);
        };
        add(&mut self.present);
        self.earlier.iter_mut().for_each(add);
    }

    /// What the ledger had changed up to `seq` is in it.
    pub fn skip_to(&mut self, seq: i64) {
        self.until_seq = self.until_seq.max(seq);
    }

    /// A task that goes on, and was seen to until `until`.
    pub fn open(&mut self, record: &UsageRecord, until: TimestampMs) {
        if !self.covers(record) {
            return;
        }
        let (sheet, interval) = (self.sheet, &record.usage.interval);
        let known = until.min(self.now);
        let add = |sum: &mut PeriodSum| {
            let cost = cost_between(sheet, interval, sum.from.min(known), sum.to.min(known));
            sum.open_nano = sum.open_nano.saturating_add(cost);
        };
        add(&mut self.present);
        self.earlier.iter_mut().for_each(add);
        let in_an_hour = TimestampMs::from_millis(self.now.as_millis().saturating_add(AHEAD_MS));
        let growth = cost_between(sheet, interval, self.now, in_an_hour);
        self.hourly_nano = self.hourly_nano.saturating_add(growth);
    }

    /// All changes of the ledger up to `seq` are in it.
    pub fn counted(&self, seq: i64) -> Counted {
        Counted {
            from: self.present.from,
            closed_nano: to_i64(self.present.closed_nano),
            until_seq: seq.max(self.until_seq),
            prices: fingerprint(self.sheet),
        }
    }

    fn covers(&self, record: &UsageRecord) -> bool {
        let cluster = &record.usage.interval.cluster;
        let scope = &self.budget.definition.scope;
        scope.covers(cluster, record.service.as_ref(), &record.tags)
    }
}

fn cost_between(
    sheet: &PriceSheet,
    interval: &UsageInterval,
    from: TimestampMs,
    to: TimestampMs,
) -> i128 {
    let until = |at| sheet.accrued(interval, at).cost.total();
    (until(to) - until(from)).0
}

fn to_i64(nano: i128) -> i64 {
    i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX })
}

/// Tells the prices of a sheet from others, also those of an earlier one of the same name.
pub fn fingerprint(sheet: &PriceSheet) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{sheet:?}").hash(&mut hasher);
    format!("{}/{:016x}", sheet.name, hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{
        BudgetAction, BudgetDefinition, BudgetPeriod, BudgetScope, BudgetState, CpuUnits,
        EndEvidence, MemoryMib, TaskUse,
    };
    use crate::meter::bill::{Biller, GroupBy, Period};
    use crate::meter::sheet::PriceBook;

    const DAY: i64 = 86_400_000;
    const NOW: i64 = 20_620 * DAY + 7 * 3_600_000 + 123;

    const fn at(ms: i64) -> TimestampMs {
        TimestampMs::from_millis(ms)
    }

    fn record(number: u32, cluster: &str, from: i64, to: Option<i64>) -> UsageRecord {
        UsageRecord {
            usage: TaskUse {
                interval: UsageInterval {
                    task_id: format!("{number:032x}").parse().unwrap(),
                    cluster: cluster.parse().unwrap(),
                    definition: crate::domain::FamilyRevision {
                        family: "web".parse().unwrap(),
                        revision: 1,
                    },
                    cpu: CpuUnits(256 << (number % 3)),
                    memory: MemoryMib(512 + number),
                    opened_at: at(from),
                    closed: to.map(|to| (at(to), EndEvidence::Engine)),
                },
                used: None,
            },
            service: None,
            tags: BTreeMap::new(),
        }
    }

    fn budget() -> Budget {
        Budget {
            name: "blue".parse().unwrap(),
            definition: BudgetDefinition {
                scope: BudgetScope::Cluster("default".parse().unwrap()),
                period: BudgetPeriod::Day,
                limit_nano: 1_000_000_000,
                price_sheet: "fargate".to_owned(),
                currency: "USD".to_owned(),
                thresholds: vec![100],
                action: BudgetAction::Notify,
            },
            state: BudgetState::default(),
            created_at: at(0),
            updated_at: at(0),
            version: 1,
        }
    }

    /// Tasks that end before, in and after the day before yesterday, yesterday and today, and some that go on.
    fn records() -> Vec<UsageRecord> {
        let mut records = Vec::new();
        for number in 0..400_u32 {
            let from = 20_617 * DAY + i64::from(number) * 700_001;
            let length = i64::from(number * number) * 997 % (2 * DAY);
            let to = (from + length < NOW).then_some(from + length);
            let cluster = if number % 5 == 0 { "other" } else { "default" };
            if from < NOW {
                records.push(record(number, cluster, from, to));
            }
        }
        records
    }

    /// What a bill of `[from, to)` says of the cluster.
    fn billed(records: &[UsageRecord], from: i64, to: i64, now: i64) -> i128 {
        let sheet = PriceBook::default().sheet(None).unwrap().clone();
        let period = Period {
            from: at(from),
            to: at(to),
        };
        let mut biller = Biller::new(period, at(now), GroupBy::Cluster, sheet, None);
        for record in records {
            biller.add(record).unwrap();
        }
        let bill = biller.finish();
        let default = crate::meter::bill::Subject::Cluster("default".parse().unwrap());
        let line = bill.lines.iter().find(|line| line.subject == default);
        line.map_or(0, |line| line.sums.accrued.cost.total().0)
    }

    #[test]
    fn a_budget_comes_to_what_the_bill_of_its_period_says() {
        let (book, budget) = (PriceBook::default(), budget());
        let sheet = book.sheet(None).unwrap();
        let records = records();
        let mut sums = BudgetSums::new(&budget, None, sheet, at(NOW));
        for record in &records {
            match record.usage.interval.closed {
                Some(_) => sums.ended(record),
                None => sums.open(record, at(NOW)),
            }
        }
        let today = 20_620 * DAY;
        let expected = billed(&records, today, today + DAY, NOW);
        assert!(expected > 0);
        assert_eq!(i128::from(sums.present.total_nano()), expected);
        assert_eq!(sums.earlier, None);
    }

    #[test]
    fn counting_on_in_steps_comes_to_the_same_and_both_periods_get_their_part() {
        let (book, budget) = (PriceBook::default(), budget());
        let sheet = book.sheet(None).unwrap();
        let yesterday = 20_619 * DAY;
        let evening = yesterday + 20 * 3_600_000;
        let records = records();
        // Yesterday evening: what had ended is counted.
        let mut sums = BudgetSums::new(&budget, None, sheet, at(evening));
        let ended_by = |record: &&UsageRecord, at_ms: i64| {
            let closed = record.usage.interval.closed;
            closed.is_some_and(|(closed, _)| closed <= at(at_ms))
        };
        for record in records.iter().filter(|one| ended_by(one, evening)) {
            sums.ended(record);
        }
        let counted = sums.counted(7);
        // Today: the rest, each told twice, and one that was counted before.
        let mut sums = BudgetSums::new(&budget, Some(&counted), sheet, at(NOW));
        let later = records.iter().filter(|one| !ended_by(one, evening));
        sums.closed(7, &record(9_999, "default", yesterday, Some(evening)), None);
        for (place, record) in later.enumerate() {
            if record.usage.interval.closed.is_none() {
                sums.open(record, at(NOW));
                continue;
            }
            let seq = 8 + i64::try_from(place).unwrap();
            sums.closed(seq, record, None);
            sums.closed(seq, record, None);
        }
        let earlier = sums.earlier.unwrap();
        let expected = billed(&records, yesterday, yesterday + DAY, NOW);
        assert_eq!(i128::from(earlier.total_nano()), expected);
        let expected = billed(&records, yesterday + DAY, yesterday + 2 * DAY, NOW);
        assert_eq!(i128::from(sums.present.total_nano()), expected);
        assert!(sums.hourly_nano > 0);
    }

    #[test]
    fn an_end_that_was_moved_is_counted_as_it_is_now() {
        let (book, budget) = (PriceBook::default(), budget());
        let sheet = book.sheet(None).unwrap();
        let first = record(1, "default", NOW - 7_200_000, Some(NOW - 1_000));
        let moved = record(1, "default", NOW - 7_200_000, Some(NOW - 5_000));
        let mut sums = BudgetSums::new(&budget, None, sheet, at(NOW));
        sums.closed(1, &first, None);
        sums.closed(2, &moved, Some(at(NOW - 1_000)));
        let expected = billed(&[moved], 20_620 * DAY, 20_621 * DAY, NOW);
        assert_eq!(i128::from(sums.present.total_nano()), expected);
    }

    #[test]
    fn what_was_not_seen_to_run_is_not_counted_and_a_clock_set_back_takes_nothing_back() {
        let (book, budget) = (PriceBook::default(), budget());
        let sheet = book.sheet(None).unwrap();
        let open = record(1, "default", NOW - 7_200_000, None);
        let mut seen = BudgetSums::new(&budget, None, sheet, at(NOW));
        seen.open(&open, at(NOW - 3_600_000));
        let mut all = BudgetSums::new(&budget, None, sheet, at(NOW));
        all.open(&open, at(NOW));
        let (half, whole) = (seen.present.total_nano(), all.present.total_nano());
        assert!((half * 2 - whole).abs() <= 1, "{half} {whole}");

        let counted = all.counted(3);
        let back = BudgetSums::new(&budget, Some(&counted), sheet, at(NOW - DAY));
        assert_eq!((back.present.from, back.earlier), (at(20_620 * DAY), None));
    }
}
