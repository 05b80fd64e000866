//! Roll-ups: what tasks came to, hour by hour and day by day, so that nobody has to look at each of them again.
//!
//! A roll-up is the sum of what single tasks came to within a step of time, in whole numbers, so it says exactly what
//! they say. How many tasks there were needs one thing more: a task that is in several steps is one task. So those
//! that began in a step are counted apart from those that were carried into it.

use std::collections::BTreeMap;

use super::{BooksCheck, ClusterName, Family, ServiceName, TimestampMs, UsageRecord};

/// The steps of time that usage is rolled up by, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageStep {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
}

impl UsageStep {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// How long one is, in milliseconds.
    pub const fn length_ms(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 24 * 3_600_000,
        }
    }

    /// When the step began that `at` belongs to.
    pub const fn start_of(self, at: TimestampMs) -> TimestampMs {
        let length = self.length_ms();
        TimestampMs::from_millis(at.as_millis().div_euclid(length).saturating_mul(length))
    }

    /// When the first step begins that does not begin before `at`.
    pub const fn start_from(self, at: TimestampMs) -> TimestampMs {
        let last_ms = TimestampMs::from_millis(at.as_millis().saturating_sub(1));
        TimestampMs::from_millis(
            self.start_of(last_ms)
                .as_millis()
                .saturating_add(self.length_ms()),
        )
    }
}

/// What usage is grouped by, beside time: tasks of one group are never told apart in a roll-up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageGroup {
    /// Where the tasks ran.
    pub cluster: ClusterName,
    /// What they were run from, in any revision.
    pub family: Family,
    /// The service that they belong to, if they do to one.
    pub service: Option<ServiceName>,
    /// The tags that they were run with.
    pub tags: BTreeMap<String, String>,
}

impl UsageGroup {
    /// The group of the task that `record` is of.
    pub fn of(record: &UsageRecord) -> Self {
        let interval = &record.usage.interval;
        Self {
            cluster: interval.cluster.clone(),
            family: interval.definition.family.clone(),
            service: record.service.clone(),
            tags: record.tags.clone(),
        }
    }
}

/// How many tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// All of them.
    pub tasks: u64,
    /// Those of which the end is estimated.
    pub estimated: u64,
    /// Those that were measured.
    pub measured: u64,
}

impl std::ops::AddAssign for TaskCounts {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.estimated += other.estimated;
        self.measured += other.measured;
    }
}

/// What tasks reserved and used within a step, whatever it costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledUse {
    /// The tasks that began in it.
    pub opened: TaskCounts,
    /// Those that had begun before, and went on in it.
    pub carried: TaskCounts,
    /// How long they held their reservations in it, together.
    pub duration_ms: i128,
    /// Thousandths of a vCPU × milliseconds that they reserved.
    pub milli_vcpu_ms: i128,
    /// MiB × milliseconds that they reserved.
    pub mib_ms: i128,
    /// CPU time of those that were measured, in nanoseconds.
    pub used_cpu_ns: i128,
    /// Memory over time of those: KiB × milliseconds.
    pub used_memory_kib_ms: i128,
    /// Thousandths of a vCPU × milliseconds that those reserved.
    pub measured_milli_vcpu_ms: i128,
    /// MiB × milliseconds that those reserved.
    pub measured_mib_ms: i128,
}

impl std::ops::AddAssign for RolledUse {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.carried += other.carried;
        self.duration_ms += other.duration_ms;
        self.milli_vcpu_ms += other.milli_vcpu_ms;
        self.mib_ms += other.mib_ms;
        self.used_cpu_ns += other.used_cpu_ns;
        self.used_memory_kib_ms += other.used_memory_kib_ms;
        self.measured_milli_vcpu_ms += other.measured_milli_vcpu_ms;
        self.measured_mib_ms += other.measured_mib_ms;
    }
}

/// What that costs by one price sheet. Money is in billionths of the currency's unit; each task's was rounded by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledCost {
    /// Thousandths of a vCPU × milliseconds that are paid for.
    pub billed_milli_vcpu_ms: i128,
    /// MiB × milliseconds that are paid for.
    pub billed_mib_ms: i128,
    /// Tasks that are paid for.
    pub billed_tasks: i128,
    /// For CPU.
    pub vcpu_nano: i128,
    /// For memory.
    pub memory_nano: i128,
    /// For being tasks at all.
    pub tasks_nano: i128,
    /// Milliseconds for which the sheet has no price.
    pub unpriced_ms: i128,
}

impl std::ops::AddAssign for RolledCost {
    fn add_assign(&mut self, other: Self) {
        self.billed_milli_vcpu_ms += other.billed_milli_vcpu_ms;
        self.billed_mib_ms += other.billed_mib_ms;
        self.billed_tasks += other.billed_tasks;
        self.vcpu_nano += other.vcpu_nano;
        self.memory_nano += other.memory_nano;
        self.tasks_nano += other.tasks_nano;
        self.unpriced_ms += other.unpriced_ms;
    }
}

/// What one task adds to one roll-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledPart {
    /// By what.
    pub step: UsageStep,
    /// When that step began.
    pub starts_at: TimestampMs,
    /// What it reserved and used in it.
    pub usage: RolledUse,
    /// What that costs, by each of the price sheets that were asked for.
    pub costs: Vec<RolledCost>,
}

/// Says what a task whose interval is closed adds to the roll-ups, by price sheets of these terms. `None` if the interval
/// is open, or the terms are none.
///
/// The store keeps roll-ups and adds to them; what is added is the meter's to say.
pub type RollUp = fn(&UsageRecord, &[String]) -> Option<Vec<RolledPart>>;

/// What some tasks come to, for the check of the roll-ups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledSum {
    /// How many.
    pub tasks: i64,
    /// Thousandths of a vCPU × milliseconds that they reserved.
    pub milli_vcpu_ms: i64,
    /// MiB × milliseconds that they reserved.
    pub mib_ms: i64,
}

impl std::fmt::Display for RolledSum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            tasks,
            milli_vcpu_ms,
            mib_ms,
        } = self;
        write!(
            f,
            "{tasks} tasks, {milli_vcpu_ms} mvCPU-ms, {mib_ms} MiB-ms"
        )
    }
}

/// The roll-ups, added up, beside what they are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RolledBooks {
    /// Before when intervals were removed, if any were.
    pub gone_until: Option<TimestampMs>,
    /// The intervals that are rolled up and there.
    pub intervals: RolledSum,
    /// Those that were removed.
    pub removed: RolledSum,
    /// All roll-ups by hour.
    pub hours: RolledSum,
    /// All roll-ups by day.
    pub days: RolledSum,
    /// How many roll-ups have no cost by a price sheet by which they must have one.
    pub unpriced: i64,
}

impl RolledBooks {
    /// Whether each interval was rolled up once.
    pub(super) fn check(&self) -> BooksCheck {
        let whole = RolledSum {
            tasks: self.intervals.tasks + self.removed.tasks,
            milli_vcpu_ms: self.intervals.milli_vcpu_ms + self.removed.milli_vcpu_ms,
            mib_ms: self.intervals.mib_ms + self.removed.mib_ms,
        };
        let steps = [("hour", self.hours), ("day", self.days)];
        let differs = steps.iter().filter(|(_, sum)| *sum != whole);
        let mut differences: Vec<String> = differs
            .map(|(step, sum)| {
                format!("the roll-ups by {step} come to {sum}, and what was rolled up to {whole}")
            })
            .collect();
        if self.unpriced > 0 {
            differences.push(format!("{} roll-ups lack what they cost", self.unpriced));
        }
        let removed = match self.gone_until {
            Some(at) => format!(
                "; the intervals of {} of them, from before {at}, were removed",
                self.removed.tasks
            ),
            None => String::new(),
        };
        BooksCheck {
            what: "the roll-ups by hour and by day come to what was rolled up",
            numbers: format!("{whole}{removed}"),
            differences,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_at_full_hours_and_at_midnight() {
        let at = TimestampMs::from_millis;
        let (hour, day) = (3_600_000, 86_400_000);
        for (step, now, start, next) in [
            (UsageStep::Hour, hour, hour, hour),
            (UsageStep::Hour, hour + 1, hour, 2 * hour),
            (UsageStep::Hour, -1, -hour, 0),
            (UsageStep::Day, day - 1, 0, day),
            (UsageStep::Day, day, day, day),
        ] {
            assert_eq!(step.start_of(at(now)), at(start), "{step:?} {now}");
            assert_eq!(step.start_from(at(now)), at(next), "{step:?} {now}");
        }
    }

    #[test]
    fn a_roll_up_that_is_lost_or_doubled_is_found_out() {
        let sum = |tasks| RolledSum {
            tasks,
            milli_vcpu_ms: 250 * tasks,
            mib_ms: 512 * tasks,
        };
        let right = RolledBooks {
            intervals: sum(2),
            removed: sum(3),
            hours: sum(5),
            days: sum(5),
            ..RolledBooks::default()
        };
        assert_eq!(right.check().differences, Vec::<String>::new());
        for wrong in [
            RolledBooks {
                hours: sum(4),
                ..right
            },
            RolledBooks {
                days: sum(6),
                ..right
            },
            RolledBooks {
                unpriced: 1,
                ..right
            },
        ] {
            assert_eq!(wrong.check().differences.len(), 1, "{wrong:?}");
        }
    }
}
