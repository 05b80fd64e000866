//! The books of the meter, and what must hold in them whatever has happened: nothing is lost, nothing counted twice.

use std::collections::BTreeMap;

use super::{Capacity, RolledBooks, TimestampMs};

/// How long more may be reserved than there is, in milliseconds: an interval begins when it was decided to open it, which
/// is a moment before another one's end is on record.
const OVERLAP_MS: i64 = 1_000;

/// What all intervals come to, added up in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageSum {
    /// By what they were grouped before they were added up: `tasks`, `clusters`, …
    pub of: &'static str,
    /// How many groups.
    pub groups: i64,
    /// CPU units × milliseconds.
    pub cpu_unit_ms: i64,
    /// MiB × milliseconds.
    pub mib_ms: i64,
}

/// One interval, as far as it matters for what was reserved when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When it began.
    pub opened_at: TimestampMs,
    /// When it ended, if it has.
    pub closed_at: Option<TimestampMs>,
    /// What it reserved throughout.
    pub size: Capacity,
}

/// Everything that was read for the checks, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// All intervals added up in several ways.
    pub sums: Vec<UsageSum>,
    /// How many tasks were handed to the engine.
    pub tasks: i64,
    /// IDs of tasks with an interval too few or too many, or one that does not begin with the task.
    pub unopened: Vec<String>,
    /// IDs of tasks that have stopped and still reserve, or the reverse.
    pub unclosed: Vec<String>,
    /// IDs of tasks whose interval does not end when the engine said that they did.
    pub unexplained: Vec<String>,
    /// What is kept as reserved now, and what the open intervals come to.
    pub reserved: (Capacity, Capacity),
    /// All intervals.
    pub stretches: Vec<Stretch>,
    /// What there was to give, from when on.
    pub capacities: Vec<(TimestampMs, Capacity)>,
    /// The roll-ups.
    pub rolled: RolledBooks,
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooksCheck {
    /// What, in one sentence.
    pub what: &'static str,
    /// With which numbers.
    pub numbers: String,
    /// Where it does not hold; empty where it does.
    pub differences: Vec<String>,
}

impl Books {
    /// Every check, at the moment at which they were read.
    pub fn checks(&self, now: TimestampMs) -> Vec<BooksCheck> {
        vec![
            BooksCheck {
                what: "every task that was handed to the engine has one interval",
                numbers: format!("{} tasks, {} intervals", self.tasks, self.stretches.len()),
                differences: self.unopened(),
            },
            BooksCheck {
                what: "an interval is closed when its task has stopped, and not before",
                numbers: format!("{} are open", self.open()),
                differences: of_tasks(&self.unclosed, "has stopped and reserves, or the reverse"),
            },
            BooksCheck {
                what: "an interval ends when the engine said that its task did",
                numbers: format!("{} are closed", self.stretches.len() - self.open()),
                differences: of_tasks(&self.unexplained, "ended at another time than its interval"),
            },
            self.sums_agree(now),
            self.reservations_agree(),
            self.rolled.check(),
            self.capacity_is_conserved(now),
        ]
    }

    fn unopened(&self) -> Vec<String> {
        let mut differences = of_tasks(&self.unopened, "has no interval that begins with it");
        let there = i64::try_from(self.stretches.len()).unwrap_or(i64::MAX);
        let removed = self.rolled.removed.tasks;
        if differences.is_empty() && there + removed != self.tasks {
            differences.push(format!(
                "{} tasks have {there} intervals, and {removed} were removed",
                self.tasks
            ));
        }
        differences
    }

    fn open(&self) -> usize {
        let open = |one: &&Stretch| one.closed_at.is_none();
        self.stretches.iter().filter(open).count()
    }

    fn sums_agree(&self, now: TimestampMs) -> BooksCheck {
        let mut total = (0_i128, 0_i128);
        for one in &self.stretches {
            let length = one.closed_at.unwrap_or(now).since(one.opened_at);
            let length = i128::from(length.as_millis());
            total.0 += length * i128::from(one.size.cpu_units);
            total.1 += length * i128::from(one.size.memory_mib);
        }
        let differs =
            |sum: &&UsageSum| (i128::from(sum.cpu_unit_ms), i128::from(sum.mib_ms)) != total;
        let told = |sum: &UsageSum| {
            format!(
                "the {} come to {} CPU unit-ms and {} MiB-ms, and all together to {} and {}",
                sum.of, sum.cpu_unit_ms, sum.mib_ms, total.0, total.1
            )
        };
        let groups: Vec<String> = self
            .sums
            .iter()
            .map(|sum| format!("{} {}", sum.groups, sum.of))
            .collect();
        BooksCheck {
            what: "tasks, services, families and clusters come to the same",
            numbers: format!(
                "{}: {} CPU unit-ms, {} MiB-ms",
                groups.join(", "),
                total.0,
                total.1
            ),
            differences: self.sums.iter().filter(differs).map(told).collect(),
        }
    }

    fn reservations_agree(&self) -> BooksCheck {
        let (kept, open) = self.reserved;
        let amount = |of: Capacity| format!("{} CPU units and {} MiB", of.cpu_units, of.memory_mib);
        BooksCheck {
            what: "what is reserved now is what the open intervals come to",
            numbers: amount(kept),
            differences: (kept != open)
                .then(|| format!("{} are kept, {} are open", amount(kept), amount(open)))
                .into_iter()
                .collect(),
        }
    }

    /// From when on the capacity is known: allocated and idle together are what there was, and no more was allocated.
    fn capacity_is_conserved(&self, now: TimestampMs) -> BooksCheck {
        let what = "allocated and idle together are the capacity times the time";
        let Some((first, _)) = self.capacities.first().copied() else {
            return BooksCheck {
                what,
                numbers: "no capacity is on record yet".to_owned(),
                differences: Vec::new(),
            };
        };
        // What was allocated before that can no longer be added up.
        let from = self.rolled.gone_until.map_or(first, |gone| gone.max(first));
        // Changes of what there is and of what is reserved, by time.
        let mut changes: BTreeMap<i64, (Option<Capacity>, i128, i128)> = BTreeMap::new();
        for (at, capacity) in &self.capacities {
            let at = (*at).max(from);
            changes.entry(at.as_millis()).or_default().0 = Some(*capacity);
        }
        let mut by_tasks = (0_i128, 0_i128);
        for one in &self.stretches {
            let until = one.closed_at.unwrap_or(now).max(from);
            let begin = one.opened_at.max(from).min(until);
            let (cpu, memory) = (
                i128::from(one.size.cpu_units),
                i128::from(one.size.memory_mib),
            );
            let length = i128::from(until.since(begin).as_millis());
            by_tasks = (by_tasks.0 + length * cpu, by_tasks.1 + length * memory);
            let opening = changes.entry(begin.as_millis()).or_default();
            (opening.1, opening.2) = (opening.1 + cpu, opening.2 + memory);
            let closing = changes.entry(until.as_millis()).or_default();
            (closing.1, closing.2) = (closing.1 - cpu, closing.2 - memory);
        }
        changes.entry(now.as_millis()).or_default();
        let mut sweep = Sweep::default();
        let mut before = from.as_millis();
        for (at, (capacity, cpu, memory)) in changes {
            sweep.pass(before, at);
            before = at;
            sweep.capacity = capacity.unwrap_or(sweep.capacity);
            sweep.reserved = (sweep.reserved.0 + cpu, sweep.reserved.1 + memory);
        }
        let mut differences = std::mem::take(&mut sweep.overdrawn);
        let sum = (
            sweep.allocated.0 + sweep.idle.0,
            sweep.allocated.1 + sweep.idle.1,
        );
        if sweep.allocated != by_tasks || sum != sweep.there_was {
            differences.push(format!(
                "CPU: {} allocated, {} by tasks, {} idle, of {}; memory: {} allocated, {} by tasks, {} idle, of {}",
                sweep.allocated.0, by_tasks.0, sweep.idle.0, sweep.there_was.0,
                sweep.allocated.1, by_tasks.1, sweep.idle.1, sweep.there_was.1
            ));
        }
        BooksCheck {
            what,
            numbers: format!(
                "since {from}: {} + {} = {} CPU unit-ms, {} + {} = {} MiB-ms",
                sweep.allocated.0,
                sweep.idle.0,
                sweep.there_was.0,
                sweep.allocated.1,
                sweep.idle.1,
                sweep.there_was.1
            ),
            differences,
        }
    }
}

/// Goes through the time, from one change to the next.
#[derive(Default)]
struct Sweep {
    capacity: Capacity,
    reserved: (i128, i128),
    allocated: (i128, i128),
    idle: (i128, i128),
    there_was: (i128, i128),
    overdrawn: Vec<String>,
}

impl Sweep {
    fn pass(&mut self, from: i64, until: i64) {
        let length = i128::from((until - from).max(0));
        let there_is = (
            i128::from(self.capacity.cpu_units),
            i128::from(self.capacity.memory_mib),
        );
        self.there_was.0 += length * there_is.0;
        self.there_was.1 += length * there_is.1;
        self.allocated.0 += length * self.reserved.0;
        self.allocated.1 += length * self.reserved.1;
        self.idle.0 += length * (there_is.0 - self.reserved.0);
        self.idle.1 += length * (there_is.1 - self.reserved.1);
        let is_overdrawn = self.reserved.0 > there_is.0 || self.reserved.1 > there_is.1;
        if is_overdrawn && length > i128::from(OVERLAP_MS) {
            self.overdrawn.push(format!(
                "from {}, {} CPU units and {} MiB were reserved of {} and {} for {length} ms",
                TimestampMs::from_millis(from),
                self.reserved.0,
                self.reserved.1,
                there_is.0,
                there_is.1
            ));
        }
    }
}

fn of_tasks(ids: &[String], what: &str) -> Vec<String> {
    ids.iter().map(|id| format!("task {id} {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::from_millis(ms)
    }

    const fn size(cpu_units: u64, memory_mib: u64) -> Capacity {
        Capacity {
            cpu_units,
            memory_mib,
        }
    }

    fn books() -> Books {
        let stretch = |from, until: Option<i64>| Stretch {
            opened_at: at(from),
            closed_at: until.map(at),
            size: size(256, 512),
        };
        let sum = |of| UsageSum {
            of,
            groups: 1,
            cpu_unit_ms: 256 * 11_000,
            mib_ms: 512 * 11_000,
        };
        Books {
            sums: vec![sum("tasks"), sum("clusters")],
            tasks: 2,
            reserved: (size(256, 512), size(256, 512)),
            stretches: vec![stretch(1_000, Some(5_000)), stretch(3_000, None)],
            capacities: vec![
                (at(2_000), size(1_024, 2_048)),
                (at(6_000), size(512, 1_024)),
            ],
            ..Books::default()
        }
    }

    fn wrong(books: &Books) -> Vec<&'static str> {
        let checks = books.checks(at(10_000));
        let wrong = checks.iter().filter(|check| !check.differences.is_empty());
        wrong.map(|check| check.what).collect()
    }

    #[test]
    fn allocated_and_idle_are_what_there_was() {
        assert_eq!(wrong(&books()), Vec::<&str>::new());
        let checks = books().checks(at(10_000));
        let capacity = checks.last().unwrap();
        // 4 s of 1,024 and 4 s of 512; 3 s and 7 s of it reserved by a quarter each.
        assert_eq!(
            capacity.numbers,
            "since 1970-01-01T00:00:02.000Z: 2560000 + 3584000 = 6144000 CPU unit-ms, \
             5120000 + 7168000 = 12288000 MiB-ms"
        );
    }

    #[test]
    fn each_thing_that_is_wrong_is_found_by_its_check() {
        let mut lost = books();
        lost.unopened.push("a".to_owned());
        lost.unclosed.push("b".to_owned());
        lost.unexplained.push("c".to_owned());
        assert_eq!(wrong(&lost).len(), 3);

        let mut sums = books();
        sums.sums[1].mib_ms += 1;
        assert_eq!(
            wrong(&sums),
            ["tasks, services, families and clusters come to the same"]
        );
        let mut reserved = books();
        reserved.reserved.0 = size(0, 0);
        assert_eq!(
            wrong(&reserved),
            ["what is reserved now is what the open intervals come to"]
        );
        let mut overdrawn = books();
        overdrawn.capacities[0].1 = size(300, 2_048);
        assert_eq!(
            wrong(&overdrawn),
            ["allocated and idle together are the capacity times the time"]
        );
    }
}
