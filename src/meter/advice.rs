//! Advice on sizes: the smallest of Fargate's that would have covered what tasks were measured to use. PURE.
//!
//! What a size would have cost is known only when the size is: an [`Advisor`] sees the evidence, a [`Quote`] prices what it
//! decided. Up to [`MOST_KEPT`] records are kept in between; of more, all are read once more. What is known of a task's CPU is its whole CPU
//! time, so the evidence is the average over the life of the busiest task, and the margin has to cover its peaks; of
//! memory the peak itself is known.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::bill::Period;
use super::money::Nanos;
use super::sheet::PriceSheet;
use crate::domain::{
    ClusterName, CpuUnits, Family, MemoryMib, ServiceName, TaskSize, TimestampMs, UsageInterval,
    UsageRecord,
};

/// So many measured tasks are evidence, however short they were;
pub const ENOUGH_TASKS: u64 = 3;
/// so are fewer that have run for so many milliseconds together.
pub const ENOUGH_MS: i64 = 3_600_000;

/// So many records are kept until they can be priced.
pub const MOST_KEPT: usize = 50_000;

/// Whose size the advice is about: tasks of one family, in one service or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whose {
    /// Where they run.
    pub cluster: ClusterName,
    /// What they are run from.
    pub family: Family,
    /// The service that they belong to, if they do to one.
    pub service: Option<ServiceName>,
}

impl Whose {
    fn of(record: &UsageRecord) -> Self {
        let interval = &record.usage.interval;
        Self {
            cluster: interval.cluster.clone(),
            family: interval.definition.family.clone(),
            service: record.service.clone(),
        }
    }
}

/// What was seen of some tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How many there were.
    pub tasks: u64,
    /// How many of them were measured.
    pub measured: u64,
    /// How long those ran, together.
    pub measured_ms: i64,
    /// Thousandths of a vCPU that the busiest of them used on average, rounded up.
    pub milli_vcpu: i64,
    /// The most memory that one of them had at one time.
    pub peak_bytes: u64,
    /// What the newest task reserved.
    pub current: (CpuUnits, MemoryMib),
    newest: TimestampMs,
}

impl Evidence {
    fn add(&mut self, record: &UsageRecord, now: TimestampMs) {
        let interval = &record.usage.interval;
        self.tasks += 1;
        if interval.opened_at >= self.newest {
            self.newest = interval.opened_at;
            self.current = (interval.cpu, interval.memory);
        }
        let Some(used) = &record.usage.used else {
            return;
        };
        let length = interval.length(now).as_millis();
        self.measured += 1;
        self.measured_ms = self.measured_ms.saturating_add(length);
        self.peak_bytes = self.peak_bytes.max(used.memory_peak_bytes);
        // A thousandth of a vCPU for a millisecond is 1,000 ns.
        let average = i128::from(used.cpu_ns).div_ceil_by(i128::from(length.max(1)) * 1_000);
        self.milli_vcpu = self.milli_vcpu.max(average);
    }

    fn is_enough(&self) -> bool {
        self.measured >= ENOUGH_TASKS || (self.measured > 0 && self.measured_ms >= ENOUGH_MS)
    }

    /// The smallest size that covers this with `margin_percent` to spare.
    fn decide(&self, margin_percent: u32) -> Verdict {
        if !self.is_enough() {
            return Verdict::TooLittleSeen;
        }
        let with_margin = |amount: i128| amount * i128::from(100 + margin_percent);
        let milli_vcpu = with_margin(self.milli_vcpu.into());
        let bytes = with_margin(self.peak_bytes.into());
        let covers = |size: &TaskSize| {
            i128::from(size.cpu().as_milli_vcpu()) * 100 >= milli_vcpu
                && i128::from(size.memory().as_bytes()) * 100 >= bytes
        };
        TaskSize::all()
            .find(covers)
            .map_or(Verdict::NoneIsLargeEnough, Verdict::Size)
    }
}

/// Division of what is not negative, rounded up, within 64 bits.
trait DivCeil {
    fn div_ceil_by(self, divisor: Self) -> i64;
}

impl DivCeil for i128 {
    fn div_ceil_by(self, divisor: Self) -> i64 {
        i64::try_from((self + divisor - 1) / divisor).unwrap_or(i64::MAX)
    }
}

/// What is advised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// That size.
    Size(TaskSize),
    /// Nothing yet: too few tasks were measured, and not for long enough.
    TooLittleSeen,
    /// They used more than the largest size has.
    NoneIsLargeEnough,
}

/// The first pass: what was seen.
#[derive(Debug)]
pub struct Advisor {
    now: TimestampMs,
    seen: BTreeMap<Whose, Evidence>,
    /// What was seen, unless it was too much to be kept.
    kept: Option<Vec<(Whose, UsageInterval)>>,
    most_kept: usize,
}

impl Advisor {
    /// Has seen nothing. Tasks that go on are measured until `now`.
    pub fn new(now: TimestampMs) -> Self {
        Self::keeping(MOST_KEPT, now)
    }

    fn keeping(most_kept: usize, now: TimestampMs) -> Self {
        Self {
            now,
            seen: BTreeMap::new(),
            kept: Some(Vec::new()),
            most_kept,
        }
    }

    /// Looks at `record`.
    pub fn add(&mut self, record: &UsageRecord) {
        let (whose, interval) = (Whose::of(record), &record.usage.interval);
        self.kept = self
            .kept
            .take()
            .filter(|kept| kept.len() < self.most_kept)
            .map(|mut kept| {
                kept.push((whose.clone(), interval.clone()));
                kept
            });
        let evidence = self.seen.entry(whose).or_insert(Evidence {
            tasks: 0,
            measured: 0,
            measured_ms: 0,
            milli_vcpu: 0,
            peak_bytes: 0,
            current: (interval.cpu, interval.memory),
            newest: interval.opened_at,
        });
        evidence.add(record, self.now);
    }

    /// Decides, and goes on to price that: what `period` would have cost by `sheet`.
    pub fn decide(self, margin_percent: u32, period: Period, sheet: PriceSheet) -> Quote {
        let decided = self.seen.into_iter().map(|(whose, evidence)| {
            let advice = Advice {
                whose: whose.clone(),
                evidence,
                verdict: evidence.decide(margin_percent),
                cost: Nanos::default(),
                advised_cost: Nanos::default(),
            };
            (whose, advice)
        });
        let mut quote = Quote {
            now: self.now,
            period,
            sheet,
            advice: decided.collect(),
            is_complete: self.kept.is_some(),
        };
        for (whose, interval) in self.kept.into_iter().flatten() {
            quote.price(&whose, &interval);
        }
        quote
    }
}

/// What is advised to whom, and what it would have saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// To whom.
    pub whose: Whose,
    /// Why.
    pub evidence: Evidence,
    /// What.
    pub verdict: Verdict,
    /// What their tasks cost in the period.
    pub cost: Nanos,
    /// What they would have cost at the size that is advised; the same where none is.
    pub advised_cost: Nanos,
}

impl Advice {
    /// What the advice would have saved; less than nothing where more is needed.
    pub fn saving(&self) -> Nanos {
        self.cost - self.advised_cost
    }
}

/// What it would have cost.
#[derive(Debug)]
pub struct Quote {
    now: TimestampMs,
    period: Period,
    sheet: PriceSheet,
    advice: BTreeMap<Whose, Advice>,
    is_complete: bool,
}

impl Quote {
    /// Whether all that the first pass has seen is priced. Otherwise every record is to be given to [`Quote::add`].
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Prices `record`. One of somebody whom the first pass has not seen began in between, and is left out.
    pub fn add(&mut self, record: &UsageRecord) {
        self.price(&Whose::of(record), &record.usage.interval);
    }

    fn price(&mut self, whose: &Whose, interval: &UsageInterval) {
        let (cost, advised) = match self.advice.get(whose) {
            None => return,
            Some(advice) => {
                let mut at_size = interval.clone();
                if let Verdict::Size(size) = advice.verdict {
                    (at_size.cpu, at_size.memory) = (size.cpu(), size.memory());
                }
                (self.cost(interval), self.cost(&at_size))
            }
        };
        if let Some(advice) = self.advice.get_mut(whose) {
            advice.cost = advice.cost + cost;
            advice.advised_cost = advice.advised_cost + advised;
        }
    }

    fn cost(&self, interval: &UsageInterval) -> Nanos {
        let up_to = |at: TimestampMs| {
            let at = match interval.closed {
                Some(_) => at,
                None => at.min(self.now),
            };
            self.sheet.accrued(interval, at).cost.total()
        };
        up_to(self.period.to) - up_to(self.period.from)
    }

    /// All advice, the largest saving first.
    pub fn finish(self) -> Vec<Advice> {
        let mut advice: Vec<Advice> = self.advice.into_values().collect();
        advice.sort_by_key(|advice| Reverse(advice.saving()));
        advice
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EndEvidence, FamilyRevision, MeasuredUse, TaskUse, UseSource};
    use crate::meter::sheet::PriceBook;

    const HOUR: i64 = 3_600_000;
    const START: i64 = 1_767_225_600_000;
    const MIB: u64 = 1 << 20;

    fn at(millis: i64) -> TimestampMs {
        TimestampMs::from_millis(millis)
    }

    /// A task of one vCPU and 4 GB that ran so long, and used so many vCPU-milliseconds and bytes at most.
    fn record(id: u32, family: &str, length: i64, used: Option<(u64, u64)>) -> UsageRecord {
        let used = used.map(|(vcpu_ms, memory_peak_bytes)| MeasuredUse {
            cpu_ns: vcpu_ms * 1_000_000,
            memory_kib_ms: 0,
            memory_peak_bytes,
            network_rx_bytes: 0,
            network_tx_bytes: 0,
            block_read_bytes: 0,
            block_write_bytes: 0,
            measured_until: at(START + length),
            source: UseSource::Cgroup,
        });
        let interval = UsageInterval {
            task_id: format!("{id:032x}").parse().unwrap(),
            cluster: "default".parse().unwrap(),
            definition: FamilyRevision {
                family: family.parse().unwrap(),
                revision: 1,
            },
            cpu: CpuUnits(1_024),
            memory: MemoryMib(4_096),
            opened_at: at(START),
            closed: Some((at(START + length), EndEvidence::Engine)),
        };
        UsageRecord {
            usage: TaskUse { interval, used },
            service: None,
            tags: BTreeMap::new(),
        }
    }

    fn advise(margin_percent: u32, records: &[UsageRecord]) -> Vec<Advice> {
        let sheet = PriceBook::default().sheet(None).unwrap().clone();
        let period = Period {
            from: at(START),
            to: at(START + 100 * HOUR),
        };
        let keeping = |most_kept: usize| {
            let mut advisor = Advisor::keeping(most_kept, at(START + 50 * HOUR));
            for record in records {
                advisor.add(record);
            }
            let mut quote = advisor.decide(margin_percent, period, sheet.clone());
            assert_eq!(quote.is_complete(), records.len() <= most_kept);
            if !quote.is_complete() {
                for record in records {
                    quote.add(record);
                }
            }
            quote.finish()
        };
        let advice = keeping(MOST_KEPT);
        assert_eq!(keeping(0), advice, "in one pass as in two");
        advice
    }

    fn size(cpu: u32, memory: u32) -> Verdict {
        Verdict::Size(TaskSize::new(CpuUnits(cpu), MemoryMib(memory)).unwrap())
    }

    #[test]
    fn the_smallest_size_that_covers_the_busiest_task_is_advised_with_what_it_saves() {
        let hour = 3_600_000;
        let records = [
            record(1, "web", HOUR, Some((hour / 5, 300 * MIB))),
            record(2, "web", HOUR, Some((hour / 10, 900 * MIB))),
            record(3, "web", HOUR, None),
        ];
        let [advice] = &advise(25, &records)[..] else {
            panic!("one family")
        };
        // 0.2 vCPU and 900 MiB, and a quarter more: 0.25 vCPU and 1,125 MiB.
        assert_eq!(advice.verdict, size(256, 2_048));
        let evidence = advice.evidence;
        assert_eq!((evidence.tasks, evidence.measured), (3, 2));
        assert_eq!((evidence.milli_vcpu, evidence.peak_bytes), (200, 900 * MIB));
        // Three hours at 0.04048 + 4 × 0.004445, and at a quarter of the one and half of the other.
        assert_eq!(advice.cost.0, 3 * 58_260_000);
        assert_eq!(advice.advised_cost.0, 3 * 19_010_000);
        assert_eq!(advice.saving().0, 3 * 39_250_000);
        // A little more CPU than a quarter of a vCPU needs the next size.
        assert_eq!(advise(26, &records)[0].verdict, size(512, 2_048));
        assert_eq!(advise(0, &records)[0].verdict, size(256, 1_024));
    }

    #[test]
    fn too_little_evidence_is_no_advice() {
        for (records, verdict) in [
            (vec![record(1, "web", HOUR, None)], Verdict::TooLittleSeen),
            (
                vec![record(1, "web", HOUR - 1, Some((1, 1)))],
                Verdict::TooLittleSeen,
            ),
            (vec![record(1, "web", HOUR, Some((1, 1)))], size(256, 512)),
            (
                (0..3)
                    .map(|id| record(id, "web", 50, Some((1, 1))))
                    .collect(),
                size(256, 512),
            ),
        ] {
            let advice = advise(20, &records);
            assert_eq!(advice[0].verdict, verdict, "{records:?}");
            let is_none = verdict == Verdict::TooLittleSeen;
            assert_eq!(advice[0].saving().0 == 0, is_none);
        }
    }

    #[test]
    fn who_needs_more_is_told_so_and_the_largest_saving_comes_first() {
        let hour = 3_600_000;
        let records = [
            record(1, "starved", HOUR, Some((hour, 4_096 * MIB))),
            record(2, "idle", HOUR, Some((1, MIB))),
            record(3, "vast", HOUR, Some((17 * hour, MIB))),
        ];
        let advice = advise(20, &records);
        let names: Vec<&str> = advice.iter().map(|one| one.whose.family.as_str()).collect();
        assert_eq!(names, ["idle", "vast", "starved"]);
        assert_eq!(advice[1].verdict, Verdict::NoneIsLargeEnough);
        assert_eq!(advice[2].verdict, size(2_048, 5_120));
        assert!(advice[2].saving().0 < 0);
    }
}
