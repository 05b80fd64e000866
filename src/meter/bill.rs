//! A bill: what tasks reserved and cost within a period, grouped and added up. PURE.
//!
//! Records go in one by one, so a bill takes as much room as it has lines. Every figure of a line is a sum of what
//! [`PriceSheet::accrued`] gives for single tasks, in whole numbers; so however a period is grouped or cut, its
//! lines come to the same total, to the last unit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Reserved;
use super::sheet::{Accrued, PriceSheet};
use crate::domain::{
    ClusterName, EndEvidence, FamilyRevision, ServiceName, TaskId, TimestampMs, UsageRecord,
};

/// The most lines that a bill may have.
pub const MOST_LINES: usize = 50_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What the lines of a bill stand for. Days and hours are those of UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Single tasks.
    Task,
    /// What tasks were run from, without the revision.
    Family,
    /// The services that tasks belong to.
    Service,
    /// Where tasks ran.
    Cluster,
    /// The value of the tag of that key, which tasks were run with.
    Tag(String),
    /// When it was.
    Day,
    /// When it was.
    Hour,
}

impl GroupBy {
    /// The words that [`GroupBy::parse`] knows.
    pub const WORDS: &str = "task, family, service, cluster, tag:KEY, day, hour";

    /// What `text` asks for.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "task" => Self::Task,
            "family" => Self::Family,
            "service" => Self::Service,
            "cluster" => Self::Cluster,
            "day" => Self::Day,
            "hour" => Self::Hour,
            _ => match text.strip_prefix("tag:") {
                Some(key) if !key.is_empty() && key.chars().count() <= 128 => {
                    Self::Tag(key.to_owned())
                }
                _ => return None,
            },
        })
    }

    /// How long the steps are into which the period is cut, if it is.
    const fn step_ms(&self) -> Option<i64> {
        match self {
            Self::Day => Some(DAY_MS),
            Self::Hour => Some(HOUR_MS),
            Self::Task | Self::Family | Self::Service | Self::Cluster | Self::Tag(_) => None,
        }
    }
}

/// As it is typed.
impl std::fmt::Display for GroupBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task => f.write_str("task"),
            Self::Family => f.write_str("family"),
            Self::Service => f.write_str("service"),
            Self::Cluster => f.write_str("cluster"),
            Self::Tag(key) => write!(f, "tag:{key}"),
            Self::Day => f.write_str("day"),
            Self::Hour => f.write_str("hour"),
        }
    }
}

/// From when to when. A moment belongs to it from `from` up to, but not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first moment.
    pub from: TimestampMs,
    /// The first moment after it.
    pub to: TimestampMs,
}

/// Of whom a line is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One task.
    Task(Box<TaskSubject>),
    /// The tasks of a family, by its name.
    Family(String),
    /// The tasks of a service in a cluster; `None` for those that belong to none.
    Service(Option<(ClusterName, ServiceName)>),
    /// The tasks in a cluster.
    Cluster(ClusterName),
    /// The tasks with that value of the tag; `None` for those without the tag.
    Tag(Option<String>),
    /// All tasks, in the step of time that begins then.
    Time(TimestampMs),
}

/// One task, as a line names it; in the order in which they began.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskSubject {
    /// When it began.
    pub opened_at: TimestampMs,
    /// Which one it is.
    pub id: TaskId,
    /// When it ended, if it has.
    pub closed_at: Option<TimestampMs>,
    /// Where it ran.
    pub cluster: ClusterName,
    /// What it was run from: family and revision.
    pub definition: (String, u32),
    /// The service that it belongs to, if it does to one.
    pub service: Option<ServiceName>,
    /// The tags that it was run with.
    pub tags: BTreeMap<String, String>,
}

/// What tasks come to within a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// How many tasks are in it at all.
    pub tasks: u64,
    /// How many of them go on, and are counted until now.
    pub running: u64,
    /// Of how many the end is estimated.
    pub estimated: u64,
    /// How long they held their reservations, together.
    pub duration_ms: i64,
    /// What they reserved and cost.
    pub accrued: Accrued,
    /// What they used, as far as somebody could look.
    pub used: Used,
    /// What they would have cost by the other sheet.
    pub compared: Accrued,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.running += other.running;
        self.estimated += other.estimated;
        self.duration_ms = self.duration_ms.saturating_add(other.duration_ms);
        self.accrued = self.accrued + other.accrued;
        self.used = self.used + other.used;
        self.compared = self.compared + other.compared;
    }
}

/// What tasks were measured to use. Where a period cuts a task, its use is taken as spread evenly over its length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// How many tasks were measured.
    pub tasks: u64,
    /// CPU time, in nanoseconds.
    pub cpu_ns: i128,
    /// Memory over time: KiB × milliseconds.
    pub memory_kib_ms: i128,
    /// What those tasks reserved, which that is to be compared with.
    pub reserved: Reserved,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            tasks: self.tasks + other.tasks,
            cpu_ns: self.cpu_ns.saturating_add(other.cpu_ns),
            memory_kib_ms: self.memory_kib_ms.saturating_add(other.memory_kib_ms),
            reserved: self.reserved + other.reserved,
        }
    }
}

impl Used {
    /// How much of the CPU that was reserved stood idle, in hundredths of a percent; `None` when nothing was measured.
    pub fn idle_vcpu(&self) -> Option<i128> {
        // A thousandth of a vCPU for a millisecond is 1,000 ns.
        idle(
            self.cpu_ns,
            self.reserved.milli_vcpu_ms.saturating_mul(1_000),
        )
    }

    /// The same for memory.
    pub fn idle_memory(&self) -> Option<i128> {
        idle(
            self.memory_kib_ms,
            self.reserved.mib_ms.saturating_mul(1_024),
        )
    }
}

fn idle(used: i128, reserved: i128) -> Option<i128> {
    (reserved > 0).then(|| share(reserved.saturating_sub(used), reserved))
}

/// A line of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Of whom it is.
    pub subject: Subject,
    /// What they come to.
    pub sums: Sums,
}

/// What tasks reserved and cost within a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Of when it is; of tasks that go on, until `as_of` at the latest.
    pub period: Period,
    /// When it was made.
    pub as_of: TimestampMs,
    /// What the lines stand for.
    pub group_by: GroupBy,
    /// What it is priced with.
    pub sheet: PriceSheet,
    /// What it is compared with.
    pub compared_with: Option<PriceSheet>,
    /// Steps of time and tasks in their order, all else by cost, the highest first.
    pub lines: Vec<Line>,
    /// All of it. A task that is in several steps of time is one task.
    pub total: Sums,
}

/// More lines than a bill may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyLines;

/// Makes a bill of records that come one by one.
#[derive(Debug)]
pub struct Biller {
    bill: Bill,
    lines: BTreeMap<Subject, Sums>,
}

impl Biller {
    /// A bill of `period`, as things stand at `now`.
    pub fn new(
        period: Period,
        now: TimestampMs,
        group_by: GroupBy,
        sheet: PriceSheet,
        compared_with: Option<PriceSheet>,
    ) -> Self {
        Self {
            bill: Bill {
                period,
                as_of: now,
                group_by,
                sheet,
                compared_with,
                lines: Vec::new(),
                total: Sums::default(),
            },
            lines: BTreeMap::new(),
        }
    }

    /// Adds what `record` has within the period, if it has anything. Each record must be added once.
    pub fn add(&mut self, record: &UsageRecord) -> Result<(), TooManyLines> {
        let Period { from, to } = self.bill.period;
        let interval = &record.usage.interval;
        let opened_at = interval.opened_at;
        let end = interval.closed.map_or(self.bill.as_of, |(at, _)| at);
        let end = end.max(opened_at);
        let is_before = end <= from && opened_at < from;
        if opened_at >= to || is_before {
            return Ok(());
        }
        let first = opened_at.max(from);
        let last = end.min(to);
        let Some(step) = self.bill.group_by.step_ms() else {
            let sums = self.sums(record, Period { from, to });
            let subject = self.subject(record);
            self.bill.total += sums;
            return self.add_line(subject, &sums);
        };
        self.bill.total += self.sums(record, Period { from, to });
        let mut start = first.as_millis().div_euclid(step).saturating_mul(step);
        loop {
            let next = start.saturating_add(step);
            let part = Period {
                from: from.max(TimestampMs::from_millis(start)),
                to: to.min(TimestampMs::from_millis(next)),
            };
            let sums = self.sums(record, part);
            self.add_line(Subject::Time(TimestampMs::from_millis(start)), &sums)?;
            if next >= last.as_millis() {
                return Ok(());
            }
            start = next;
        }
    }

    /// The bill.
    pub fn finish(self) -> Bill {
        let lines = self.lines.into_iter();
        let mut lines: Vec<Line> = lines
            .map(|(subject, sums)| Line { subject, sums })
            .collect();
        let in_order = matches!(
            self.bill.group_by,
            GroupBy::Task | GroupBy::Day | GroupBy::Hour
        );
        if !in_order {
            lines.sort_by_key(|line| {
                let accrued = &line.sums.accrued;
                Reverse((accrued.cost.total(), accrued.reserved.milli_vcpu_ms))
            });
        }
        Bill { lines, ..self.bill }
    }

    fn add_line(&mut self, subject: Subject, sums: &Sums) -> Result<(), TooManyLines> {
        if let Some(line) = self.lines.get_mut(&subject) {
            *line += *sums;
            return Ok(());
        }
        if self.lines.len() >= MOST_LINES {
            return Err(TooManyLines);
        }
        self.lines.insert(subject, *sums);
        Ok(())
    }

    /// What `record` comes to within `part` of the period.
    fn sums(&self, record: &UsageRecord, part: Period) -> Sums {
        let interval = &record.usage.interval;
        // Of a task that goes on, nobody knows what comes after now.
        let known = |at: TimestampMs| match interval.closed {
            Some(_) => at,
            None => at.min(self.bill.as_of),
        };
        let within = |sheet: &PriceSheet| {
            sheet.accrued(interval, known(part.to)) - sheet.accrued(interval, known(part.from))
        };
        let accrued = within(&self.bill.sheet);
        let compared = self.bill.compared_with.as_ref().map(within);
        let end = interval.closed.map_or(self.bill.as_of, |(at, _)| at);
        let from = interval.opened_at.max(part.from);
        let reserved = accrued.reserved;
        let used = record.usage.used.as_ref().map(|measured| {
            let length = end.since(interval.opened_at).as_millis();
            let until = |at: TimestampMs| end.min(at).since(interval.opened_at).as_millis();
            let spread = |amount: u64| {
                let up_to = |at: TimestampMs| {
                    if at <= interval.opened_at {
                        return 0;
                    }
                    spread_evenly(amount, until(at), length)
                };
                up_to(part.to) - up_to(part.from)
            };
            Used {
                tasks: 1,
                cpu_ns: spread(measured.cpu_ns),
                memory_kib_ms: spread(measured.memory_kib_ms),
                reserved,
            }
        });
        Sums {
            tasks: 1,
            running: u64::from(interval.closed.is_none()),
            estimated: u64::from(matches!(interval.closed, Some((_, EndEvidence::Estimated)))),
            duration_ms: end.min(part.to).since(from).as_millis(),
            accrued,
            used: used.unwrap_or_default(),
            compared: compared.unwrap_or_default(),
        }
    }

    fn subject(&self, record: &UsageRecord) -> Subject {
        let interval = &record.usage.interval;
        let FamilyRevision { family, revision } = &interval.definition;
        match &self.bill.group_by {
            GroupBy::Family => Subject::Family(family.to_string()),
            GroupBy::Service => Subject::Service(
                record
                    .service
                    .clone()
                    .map(|service| (interval.cluster.clone(), service)),
            ),
            GroupBy::Cluster => Subject::Cluster(interval.cluster.clone()),
            GroupBy::Tag(key) => Subject::Tag(record.tags.get(key).cloned()),
            GroupBy::Task | GroupBy::Day | GroupBy::Hour => Subject::Task(Box::new(TaskSubject {
                opened_at: interval.opened_at,
                id: interval.task_id.clone(),
                closed_at: interval.closed.map(|(at, _)| at),
                cluster: interval.cluster.clone(),
                definition: (family.to_string(), *revision),
                service: record.service.clone(),
                tags: record.tags.clone(),
            })),
        }
    }
}

/// How much of `amount` belongs to the first `part` of `length` milliseconds; all of it when there is no length.
fn spread_evenly(amount: u64, part: i64, length: i64) -> i128 {
    if part >= length {
        return amount.into();
    }
    i128::from(amount) * i128::from(part) / i128::from(length)
}

/// `part` of `whole` in hundredths of a percent, half up; 0 of nothing.
pub fn share(part: i128, whole: i128) -> i128 {
    if whole <= 0 {
        return 0;
    }
    super::money::round_half_up(part.max(0).saturating_mul(10_000), whole)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
