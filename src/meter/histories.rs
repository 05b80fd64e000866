//! Ten thousand made-up histories of a task, each told twice: as the loop would see it, through the planner, the meter and
//! the clocks; and as it was, by an oracle that knows nothing of them and keeps the true time.
//!
//! In a history Neargate is killed, the host's clock is set, the engine goes away and comes back, looks are lost, late and
//! doubled, and the host may lose its power. Where the engine recorded the end, both must agree to the millisecond; where
//! nobody did, within one heartbeat, and never in favour of the bill.
//!
//! What that costs is worked out by the other oracle, from the true length: bills and roll-ups of the record must agree with
//! it to the billionth.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::bill::oracle::{History, Written, WrittenSheet};
use super::bill::{Biller, GroupBy, Period};
use super::rollup::roll_up;
use super::sheet::{PriceSheet, SheetText};
use super::*;
use crate::domain::{
    ClockReading, ContainerState, CpuUnits, MemoryMib, Observation, TaskSize, TaskUse, UsageRecord,
    UsageStep,
};
use crate::plan::fixtures::{at, container, name, seen, spec, task};
use crate::plan::task::{Next, Sighting, plan};

const HISTORIES: u64 = 10_000;
const BEAT_MS: i64 = 1_000;
const EPOCH: i64 = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

/// What truly happens, by a clock that nobody sets.
struct Truth {
    opened: i64,
    started: i64,
    ended: i64,
    /// Someone takes the container away after that, before anybody looked: nobody recorded the end.
    is_lost: bool,
    /// When the wall clock is set, and by how much it is ahead from then on.
    steps: Vec<(i64, i64)>,
    /// When Neargate is down, or the engine is away.
    silences: Vec<(i64, i64)>,
}

impl Truth {
    fn draw(random: &mut StdRng) -> Self {
        let opened = random.random_range(2_000..5_000);
        let started = opened + random.random_range(1..4_000);
        let ended = started + random.random_range(1..60_000);
        let mut steps: Vec<(i64, i64)> = Vec::new();
        let mut offset = EPOCH;
        for _ in 0..random.random_range(0..3) {
            let time = random.random_range(1_000..70_000);
            let by = [HOUR, -HOUR, 60_000, -7_000_000, 90_000][random.random_range(0..5)];
            steps.push((time, by));
        }
        steps.sort_unstable();
        for step in &mut steps {
            offset += step.1;
            step.1 = offset;
        }
        let silences = (0..random.random_range(0..4))
            .map(|_| {
                let from = random.random_range(opened + 1..70_000);
                (from, from + random.random_range(1..9_000))
            })
            .collect();
        Self {
            opened,
            started,
            ended,
            is_lost: random.random_bool(0.2),
            steps,
            silences,
        }
    }

    fn reading(&self, time: i64) -> ClockReading {
        let offset = self.steps.iter().rev().find(|step| step.0 <= time);
        let offset = offset.map_or(EPOCH, |step| step.1);
        ClockReading {
            wall: at(time + offset),
            running_ms: time,
        }
    }

    fn is_silent(&self, time: i64) -> bool {
        self.silences
            .iter()
            .any(|(from, until)| (*from..*until).contains(&time))
    }

    /// What the engine says at `time`, by the wall clocks of whenever things happened.
    fn observation(&self, time: i64) -> Observation {
        if time < self.started {
            return seen(&[("web", ContainerState::Created)]);
        }
        if time >= self.ended && self.is_lost {
            return seen(&[]);
        }
        let state = if time < self.ended {
            ContainerState::Running
        } else {
            ContainerState::Exited {
                exit_code: Some(0),
                oom_killed: false,
                finished_at: self.reading(self.ended).wall,
                error: None,
            }
        };
        let mut observation = seen(&[("web", state)]);
        let web = observation.containers.get_mut(&name("web")).unwrap();
        web.started_at = Some(self.reading(self.started).wall);
        observation
    }
}

/// The loop, as far as it concerns one task: what it keeps, and what it does at a look.
#[derive(Clone)]
struct Loop {
    task: Task,
    clocks: Clocks,
    opened_in: i64,
    interval: Option<UsageInterval>,
    alive: Option<TimestampMs>,
}

impl Loop {
    fn carry(&self, time: TimestampMs, now: ClockReading) -> TimestampMs {
        match &self.interval {
            None => time,
            Some(open) => {
                self.clocks
                    .carried_on(open.opened_at, self.opened_in, time, now.running_ms)
            }
        }
    }

    fn look(&mut self, observation: Option<Observation>, now: ClockReading) {
        let stretch = self.clocks.note("boot", now);
        if self.interval.is_none() {
            self.opened_in = stretch.seq;
        }
        let carried = observation.map(|mut observation| {
            observation.last_alive = self.alive.map(|alive| self.carry(alive, now));
            for one in observation.containers.values_mut() {
                one.started_at = one.started_at.map(|time| self.carry(time, now));
                if let ContainerState::Exited { finished_at, .. } = &mut one.state {
                    *finished_at = self.carry(*finished_at, now);
                }
                if one.state == ContainerState::Running {
                    self.alive = Some(now.wall);
                }
            }
            observation
        });
        let sighting = carried
            .as_ref()
            .map_or(Sighting::NeverAsked, Sighting::Seen);
        let plan = plan(&self.task, sighting, self.carry(now.wall, now));
        for change in fold(&self.task, &plan.task) {
            match change {
                UsageChange::Open(open) => {
                    assert!(self.interval.replace(open).is_none(), "opened twice");
                }
                UsageChange::Close { at, evidence } => {
                    let open = self.interval.as_mut().unwrap();
                    assert!(
                        open.closed.replace((at, evidence)).is_none(),
                        "closed twice"
                    );
                }
                UsageChange::Measure(_) | UsageChange::Confirm { .. } => {}
            }
        }
        self.task = plan.task;
        assert!(plan.next != Next::Nothing || self.interval.is_some());
    }
}

/// The true length, and how far off the meter may be: it may never bill more. `looks` are the times at which Neargate
/// looked at the clocks.
fn oracle(truth: &Truth, last_beat: i64, looks: &[i64]) -> (i64, i64) {
    let length = truth.ended - truth.opened;
    let stretch = |time: i64| truth.steps.iter().filter(|step| step.0 <= time).count();
    let is_known = |time: &i64| stretch(*time) == stretch(truth.ended);
    if !truth.is_lost && !looks.iter().any(is_known) {
        // The clock that it ended by was set again before anybody saw it.
        let before = looks.iter().rev().find(|time| **time <= truth.ended);
        return (
            length,
            truth.ended - before.copied().unwrap_or(truth.opened),
        );
    }
    if truth.is_lost {
        // From the last heartbeat to the end nobody saw it, but it is known to have started.
        (length, truth.ended - last_beat.max(truth.started))
    } else {
        (length, 0)
    }
}

/// The record of one history, and the true length where that is on record; `None` where there is nothing of it.
fn play(seed: u64) -> Option<(UsageRecord, Option<i64>)> {
    let mut random = StdRng::seed_from_u64(seed);
    let truth = Truth::draw(&mut random);
    let mut size = spec(vec![container("web")]);
    let cpu = [256, 1_024, 16_384][random.random_range(0..3)];
    let memory = MemoryMib(2 * cpu);
    size.size = Some(TaskSize::new(CpuUnits(cpu), memory).unwrap());
    let mut loop_ = Loop {
        task: task(size),
        clocks: Clocks::default(),
        opened_in: 0,
        interval: None,
        alive: None,
    };
    loop_.clocks.note("boot", truth.reading(1));
    let mut last_beat = 0;
    let mut looks = vec![1, truth.opened];
    loop_.look(None, truth.reading(truth.opened));
    let mut time = truth.opened;
    let (mut is_seen, mut was_killed) = (false, false);
    while loop_.task.last_status != LastStatus::Stopped {
        time += random.random_range(1..700);
        assert!(time < 300_000, "seed {seed}: it never ends");
        if truth.is_silent(time) {
            is_seen = false;
            continue;
        }
        looks.push(time);
        // A hint may be lost: then somebody else's heartbeat is all that happens for a while.
        if time < truth.ended && is_seen && random.random_bool(0.5) {
            loop_.clocks.note("boot", truth.reading(time));
            loop_.alive = Some(truth.reading(time).wall);
            last_beat = time;
            continue;
        }
        if truth.is_lost && last_beat == 0 && time >= truth.ended {
            // Nobody ever saw it run: it is not there, and is made again.
            return None;
        }
        // Killed before any of it was recorded: it is as if nobody had looked.
        if random.random_bool(0.1) {
            loop_
                .clone()
                .look(Some(truth.observation(time)), truth.reading(time));
            looks.pop();
            (is_seen, was_killed) = (false, true);
            continue;
        }
        for _ in 0..random.random_range(1..3) {
            loop_.look(Some(truth.observation(time)), truth.reading(time));
        }
        is_seen = (truth.started..truth.ended).contains(&time);
        if is_seen {
            last_beat = time;
        }
    }
    let interval = loop_.interval.unwrap();
    let (closed, evidence) = interval.closed.unwrap();
    let length = closed.as_millis() - interval.opened_at.as_millis();
    let (true_length, tolerance) = oracle(&truth, last_beat, &looks);
    let expected = true_length;
    assert!(
        length <= expected && length >= expected - tolerance,
        "seed {seed}: {length} ms, and it was {expected} (-{tolerance}) ms, {evidence:?}, steps {:?}",
        truth.steps
    );
    let expected = if truth.is_lost {
        EndEvidence::Estimated
    } else {
        EndEvidence::Engine
    };
    assert_eq!(evidence, expected, "seed {seed}");
    // Without a silence at its end, the last heartbeat is not long ago.
    if !truth.is_silent(truth.ended) && truth.silences.is_empty() && !was_killed {
        assert!(tolerance <= BEAT_MS, "seed {seed}: {tolerance}");
    }
    let known = (tolerance == 0).then_some(true_length);
    let record = UsageRecord {
        usage: TaskUse {
            interval,
            used: None,
        },
        service: None,
        tags: BTreeMap::new(),
    };
    Some((record, known))
}

/// As it is written for both: the oracle reads the parts, the meter the text.
fn sheets() -> Vec<(WrittenSheet, PriceSheet)> {
    let plain = |vcpu: &str, gb: &str, task: &str| {
        Written::Plain(vcpu.to_owned(), gb.to_owned(), task.to_owned())
    };
    let sheets = [
        (1_000, 60_000, vec![(0, plain("0.04048", "0.004445", "0"))]),
        // Its price changes while many of them run.
        (
            700,
            1_500,
            vec![
                (0, plain("0.0123456789", "0.000000007", "0.0000000003")),
                (EPOCH + 20_001, plain("7.1", "0.123456789012", "0.000001")),
            ],
        ),
    ];
    let read = |(granularity_ms, minimum_ms, prices): (i64, i64, Vec<(i64, Written)>)| {
        let mut text = format!(
            "description = \"d\"\ncurrency = \"USD\"\ngranularity_ms = {granularity_ms}\nminimum_ms = {minimum_ms}\n"
        );
        for (from, price) in &prices {
            let Written::Plain(vcpu, gb, task) = price else {
                unreachable!()
            };
            let price = format!(
                "[[price]]\nfrom = \"{}\"\nvcpu_hour = \"{vcpu}\"\ngb_hour = \"{gb}\"\ntask = \"{task}\"\n",
                at(*from)
            );
            text.push_str(&price);
        }
        let written = WrittenSheet {
            granularity_ms,
            minimum_ms,
            prices,
        };
        let text = SheetText {
            file: "histories.toml".to_owned(),
            name: "histories".to_owned(),
            text,
        };
        (written, text.read().unwrap())
    };
    sheets.into_iter().map(read).collect()
}

/// What a task of that length costs, by the oracle.
fn oracle_cost(sheet: &WrittenSheet, interval: &UsageInterval, length: i64) -> BigInt {
    let opened = interval.opened_at.as_millis();
    let history = History {
        opened,
        closed: Some(opened + length),
        milli_vcpu: i64::from(interval.cpu.0) * 1_000 / 1_024,
        mib: interval.memory.0.into(),
    };
    sheet.cost(&history, 0, i64::MAX / 2, i64::MAX / 2)
}

/// What bills and roll-ups of all of them come to.
struct Money {
    sheets: Vec<(WrittenSheet, PriceSheet)>,
    billers: Vec<Biller>,
    expected: Vec<BigInt>,
}

impl Money {
    fn new() -> Self {
        let sheets = sheets();
        let period = Period {
            from: at(0),
            to: at(i64::MAX / 2),
        };
        let biller = |sheet: &(WrittenSheet, PriceSheet)| {
            Biller::new(period, period.to, GroupBy::Family, sheet.1.clone(), None)
        };
        Self {
            billers: sheets.iter().map(biller).collect(),
            expected: vec![BigInt::from(0); sheets.len()],
            sheets,
        }
    }

    /// Adds one record; of one whose end is estimated, nobody knows the length but by the record.
    fn add(&mut self, seed: u64, record: &UsageRecord, length: Option<i64>) {
        let interval = &record.usage.interval;
        let recorded = interval.length(interval.opened_at).as_millis();
        // By turns: what one sheet has found out of a history the other does too.
        let place = usize::from(seed.is_multiple_of(2));
        let (written, sheet) = &self.sheets[place];
        let parts = roll_up(record, &[sheet.terms()]).unwrap();
        let expected = oracle_cost(written, interval, length.unwrap_or(recorded));
        for step in UsageStep::ALL {
            let of_step = parts.iter().filter(|part| part.step == step);
            let rolled: i128 = of_step
                .map(|part| &part.costs[0])
                .map(|cost| cost.vcpu_nano + cost.memory_nano + cost.tasks_nano)
                .sum();
            assert_eq!(BigInt::from(rolled), expected, "seed {seed}, by {step:?}");
        }
        self.billers[place].add(record).unwrap();
        self.expected[place] += expected;
    }

    fn finish(self) {
        for (biller, expected) in self.billers.into_iter().zip(self.expected) {
            let total = biller.finish().total.accrued.cost.total();
            assert_eq!(BigInt::from(total.0), expected);
        }
    }
}

#[test]
fn ten_thousand_histories_cost_what_they_must() {
    let first = std::env::var("NEARGATE_TEST_FIRST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_u64);
    let (mut money, mut known) = (Money::new(), 0);
    for seed in first..first + HISTORIES {
        if let Some((record, length)) = play(seed) {
            known += u64::from(length.is_some());
            money.add(seed, &record, length);
        }
    }
    assert!(
        known > HISTORIES / 2,
        "only {known} have a length that is known"
    );
    money.finish();
}
