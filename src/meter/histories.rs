//! Ten thousand made-up histories of a task, each told twice: as the loop would see it, through the planner, the meter and
//! the clocks; and as it was, by an oracle that knows nothing of them and keeps the true time.
//!
//! In a history Neargate is killed, the host's clock is set, the engine goes away and comes back, looks are lost, late and
//! doubled, and the host may lose its power. Where the engine recorded the end, both must agree to the millisecond; where
//! nobody did, within one heartbeat, and never in favour of the bill.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::domain::{ClockReading, ContainerState, Observation};
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

fn play(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let truth = Truth::draw(&mut random);
    let mut loop_ = Loop {
        task: task(spec(vec![container("web")])),
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
    let mut is_seen = false;
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
            return;
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
    let (expected, tolerance) = oracle(&truth, last_beat, &looks);
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
    if !truth.is_silent(truth.ended) && truth.silences.is_empty() {
        assert!(tolerance <= BEAT_MS, "seed {seed}: {tolerance}");
    }
}

#[test]
fn ten_thousand_histories_cost_what_they_must() {
    let first = std::env::var("NEARGATE_TEST_FIRST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_u64);
    for seed in first..first + HISTORIES {
        play(seed);
    }
}
