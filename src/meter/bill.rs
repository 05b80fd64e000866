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
    ClusterName, EndEvidence, FamilyRevision, RolledCost, RolledUse, ServiceName, TaskCounts,
    TaskId, TimestampMs, UsageGroup, UsageInterval, UsageRecord, UsageStep,
};

/// The most lines that a bill may have.
pub const MOST_LINES: usize = 50_000;

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

    /// The steps into which the period is cut, if it is.
    pub const fn step(&self) -> Option<UsageStep> {
        match self {
            Self::Day => Some(UsageStep::Day),
            Self::Hour => Some(UsageStep::Hour),
            Self::Task | Self::Family | Self::Service | Self::Cluster | Self::Tag(_) => None,
        }
    }

    /// How long they are.
    fn step_ms(&self) -> Option<i64> {
        self.step().map(UsageStep::length_ms)
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

impl Period {
    /// Whether something that went on from `opened_at` until `end` is in it. What has no length is where it began.
    fn has(self, opened_at: TimestampMs, end: TimestampMs) -> bool {
        opened_at < self.to && (end > self.from || opened_at >= self.from)
    }
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

impl Sums {
    /// What a roll-up says, and what that costs.
    fn rolled(usage: &RolledUse, costs: &[RolledCost], with_carried: bool) -> Self {
        let mut counts = usage.opened;
        if with_carried {
            counts += usage.carried;
        }
        let reserved = Reserved {
            milli_vcpu_ms: usage.milli_vcpu_ms,
            mib_ms: usage.mib_ms,
        };
        let mut costs = costs.iter().map(|cost| Accrued::of_rolled(reserved, cost));
        Self {
            tasks: counts.tasks,
            running: 0,
            estimated: counts.estimated,
            duration_ms: i64::try_from(usage.duration_ms).unwrap_or(i64::MAX),
            accrued: costs.next().unwrap_or_default(),
            used: Used {
                tasks: counts.measured,
                cpu_ns: usage.used_cpu_ns,
                memory_kib_ms: usage.used_memory_kib_ms,
                reserved: Reserved {
                    milli_vcpu_ms: usage.measured_milli_vcpu_ms,
                    mib_ms: usage.measured_mib_ms,
                },
            },
            compared: costs.next().unwrap_or_default(),
        }
    }
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
    /// For how long sandboxes waited for tasks, together, in milliseconds. On no line: it is the operator's cost.
    pub warm_sandbox_ms: i64,
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
                warm_sandbox_ms: 0,
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
        if !self.bill.period.has(opened_at, end) {
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

    /// Adds what rolled-up tasks come to in a piece of the period: `usage`, and what that costs by the bill's sheet, and by
    /// the one that it is compared with, if it is. The pieces must not
    /// overlap, and the period must begin with one or not touch any. Where the period is not cut into steps, `starts_at`
    /// may be its beginning for several of them, of which only the first has tasks that were carried into it.
    pub fn add_piece(
        &mut self,
        group: Option<&UsageGroup>,
        starts_at: TimestampMs,
        usage: &RolledUse,
        costs: &[RolledCost],
    ) -> Result<(), TooManyLines> {
        let is_first = starts_at == self.bill.period.from;
        let (subject, is_first_of_line) = match (self.bill.group_by.step(), group) {
            (None, Some(group)) => (self.subject_of(group), is_first),
            (step, _) => {
                let step = step.unwrap_or(UsageStep::Hour);
                let line = step.start_of(starts_at);
                (Subject::Time(line), is_first || line == starts_at)
            }
        };
        let sums = |with_carried| Sums::rolled(usage, costs, with_carried);
        self.bill.total += sums(is_first);
        self.add_line(subject, &sums(is_first_of_line))
    }

    /// Adds what `record`, which is rolled up, has in `edge` of the period, of which no roll-up says what is in it.
    pub fn add_edge(&mut self, record: &UsageRecord, edge: Period) -> Result<(), TooManyLines> {
        let Some((closed_at, _)) = record.usage.interval.closed else {
            return Ok(());
        };
        if !edge.has(record.usage.interval.opened_at, closed_at) {
            return Ok(());
        }
        let usage = Held::within(record, edge, closed_at).rolled(record, edge.from);
        let sheets = std::iter::once(&self.bill.sheet).chain(&self.bill.compared_with);
        let costs = sheets
            .map(|sheet| accrued_within(sheet, &record.usage.interval, edge, closed_at).rolled());
        let costs: Vec<RolledCost> = costs.collect();
        self.add_piece(Some(&UsageGroup::of(record)), edge.from, &usage, &costs)
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
        let (interval, as_of) = (&record.usage.interval, self.bill.as_of);
        let held = Held::within(record, part, as_of);
        let compared = self.bill.compared_with.as_ref();
        Sums {
            tasks: 1,
            running: u64::from(interval.closed.is_none()),
            estimated: u64::from(held.is_estimated),
            duration_ms: held.duration_ms,
            accrued: accrued_within(&self.bill.sheet, interval, part, as_of),
            used: held.used,
            compared: compared.map_or_else(Accrued::default, |sheet| {
                accrued_within(sheet, interval, part, as_of)
            }),
        }
    }

    /// Of whom the line is that a group's tasks are on; a day's or an hour's is not known from that.
    fn subject_of(&self, group: &UsageGroup) -> Subject {
        match &self.bill.group_by {
            GroupBy::Service => {
                let service = group.service.clone();
                Subject::Service(service.map(|service| (group.cluster.clone(), service)))
            }
            GroupBy::Cluster => Subject::Cluster(group.cluster.clone()),
            GroupBy::Tag(key) => Subject::Tag(group.tags.get(key).cloned()),
            GroupBy::Family | GroupBy::Task | GroupBy::Day | GroupBy::Hour => {
                Subject::Family(group.family.to_string())
            }
        }
    }

    fn subject(&self, record: &UsageRecord) -> Subject {
        let interval = &record.usage.interval;
        let FamilyRevision { family, revision } = &interval.definition;
        match &self.bill.group_by {
            GroupBy::Family | GroupBy::Service | GroupBy::Cluster | GroupBy::Tag(_) => {
                self.subject_of(&UsageGroup::of(record))
            }
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

/// What a task held and used within a part of the time, whatever it costs.
pub(super) struct Held {
    duration_ms: i64,
    reserved: Reserved,
    used: Used,
    is_estimated: bool,
}

impl Held {
    /// What `record` held within `part`; of a task that goes on, until `as_of`.
    pub(super) fn within(record: &UsageRecord, part: Period, as_of: TimestampMs) -> Self {
        let interval = &record.usage.interval;
        let end = interval.closed.map_or(as_of, |(at, _)| at);
        let from = interval.opened_at.max(part.from);
        let duration_ms = end.min(part.to).since(from).as_millis();
        let reserved = Reserved::over(interval, duration_ms);
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
        Self {
            duration_ms,
            reserved,
            used: used.unwrap_or_default(),
            is_estimated: matches!(interval.closed, Some((_, EndEvidence::Estimated))),
        }
    }

    /// The same as a roll-up of what begins at `starts_at` has it.
    pub(super) fn rolled(&self, record: &UsageRecord, starts_at: TimestampMs) -> RolledUse {
        let counts = TaskCounts {
            tasks: 1,
            estimated: u64::from(self.is_estimated),
            measured: self.used.tasks,
        };
        let mut usage = RolledUse {
            duration_ms: self.duration_ms.into(),
            milli_vcpu_ms: self.reserved.milli_vcpu_ms,
            mib_ms: self.reserved.mib_ms,
            used_cpu_ns: self.used.cpu_ns,
            used_memory_kib_ms: self.used.memory_kib_ms,
            measured_milli_vcpu_ms: self.used.reserved.milli_vcpu_ms,
            measured_mib_ms: self.used.reserved.mib_ms,
            ..RolledUse::default()
        };
        if record.usage.interval.opened_at >= starts_at {
            usage.opened = counts;
        } else {
            usage.carried = counts;
        }
        usage
    }
}

/// What `interval` comes to within `part` by `sheet`; of one that goes on, until `as_of`.
pub(super) fn accrued_within(
    sheet: &PriceSheet,
    interval: &UsageInterval,
    part: Period,
    as_of: TimestampMs,
) -> Accrued {
    // Of a task that goes on, nobody knows what comes after now.
    let known = |at: TimestampMs| match interval.closed {
        Some(_) => at,
        None => at.min(as_of),
    };
    sheet.accrued(interval, known(part.to)) - sheet.accrued(interval, known(part.from))
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
pub(super) mod oracle;
#[cfg(test)]
mod tests;
