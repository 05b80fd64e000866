//! What tasks use, beside what they reserve: looked at while they run, and once more when they have ended.
//!
//! CPU time, traffic and bytes of disks are counted by the kernel or the engine, so they are only read. Memory over time
//! nobody counts: it is sampled about every second, and each sample stands for the time since the one before. All of what
//! is known here can be lost: it is on record every few seconds, and the last look comes before anything is removed, in
//! the transaction that records the end.
//!
//! Looking must stay cheap however many tasks there are: the memory of a task costs two small files of the kernel, all
//! counts are written in few commits, and a pass that takes long makes the next one come later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Reconciler;
use super::heartbeat::TaskClock;
use crate::domain::{
    ClockReading, ContainerState, LastStatus, LimitsEnforcedBy, MeasuredUse, Observation, Task,
    TaskId, TimestampMs,
};
use crate::engine::{Look, MeasureTarget, UseReading};
use crate::store::StoreError;

/// In each of so many passes everything about another part of the tasks is looked at and put on record, so that no pass
/// has all of the work.
const LOOKS_PER_RECORD: usize = 10;
/// So many tasks are put on record at once: whoever else has something to record does not wait for all of them.
const TASKS_PER_COMMIT: usize = 32;
/// A pass is followed by a pause of so many times its own length, which bounds what it costs to 1 % of a processor: what it
/// reads, and what is written of it beside.
const PAUSE_PER_PASS: u32 = 200;
/// But no longer a pause than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The tasks that run, as far as they were seen to.
#[derive(Default)]
pub(super) struct Meters {
    all: Mutex<BTreeMap<TaskId, Meter>>,
    /// When all that are in sight were last seen to run: a heartbeat costs the same however many there are.
    beat: Mutex<Option<ClockReading>>,
}

/// Adds up the memory of one task.
#[derive(Clone, Debug)]
struct Meter {
    target: Arc<MeasureTarget>,
    memory_kib_ms: u64,
    /// By the clock of the task.
    until: TimestampMs,
    /// The same by the clock that only runs.
    until_ms: i64,
    /// As it was sampled last.
    memory_kib: Option<u64>,
    /// When it was last put on record, by the clock that only runs.
    recorded_ms: Option<i64>,
    /// When its own round last saw it to run.
    alive_at: ClockReading,
    /// Since then the engine was there: had it ended, that would have been told.
    is_in_sight: bool,
}

impl Meter {
    /// A meter that goes on where the record ends, or begins where the task did. `task_now` is the time by the clock of the
    /// task, as these are.
    fn new(
        task: &Task,
        began: Option<TimestampMs>,
        on_record: Option<MeasuredUse>,
        task_now: TimestampMs,
        now: ClockReading,
    ) -> Self {
        let began = began.unwrap_or(task_now);
        let until = on_record.map_or(began, |used| used.measured_until);
        Self {
            target: Arc::new(MeasureTarget {
                task: task.id.clone(),
                containers: task
                    .spec
                    .containers
                    .iter()
                    .map(|one| one.name.clone())
                    .collect(),
            }),
            memory_kib_ms: on_record.map_or(0, |used| used.memory_kib_ms),
            until,
            until_ms: now.running_ms - task_now.since(until).as_millis(),
            memory_kib: None,
            recorded_ms: on_record.map(|_| now.running_ms),
            alive_at: now,
            is_in_sight: true,
        }
    }

    /// When it was last seen to run, where all that are in sight were at `beat`.
    fn seen_by(&self, beat: Option<ClockReading>) -> ClockReading {
        let later =
            |beat: &ClockReading| self.is_in_sight && beat.running_ms > self.alive_at.running_ms;
        beat.filter(later).unwrap_or(self.alive_at)
    }

    /// A sample stands for the time since the one before.
    fn sample(&mut self, memory_bytes: u64, now: ClockReading) {
        let memory_kib = memory_bytes / 1_024;
        self.add(memory_kib, now.running_ms - self.until_ms);
        self.memory_kib = Some(memory_kib);
    }

    fn add(&mut self, memory_kib: u64, length_ms: i64) {
        let length_ms = length_ms.max(0);
        let more = memory_kib.saturating_mul(length_ms.unsigned_abs());
        self.memory_kib_ms = self.memory_kib_ms.saturating_add(more);
        self.until = TimestampMs::from_millis(self.until.as_millis() + length_ms);
        self.until_ms += length_ms;
    }

    fn used(&self, reading: &UseReading) -> Option<MeasuredUse> {
        let counts = reading.counts?;
        Some(MeasuredUse {
            cpu_ns: counts.cpu_ns,
            memory_kib_ms: self.memory_kib_ms,
            memory_peak_bytes: counts.memory_peak_bytes,
            network_rx_bytes: counts.network_rx_bytes,
            network_tx_bytes: counts.network_tx_bytes,
            block_read_bytes: counts.block_read_bytes,
            block_write_bytes: counts.block_write_bytes,
            measured_until: self.until,
            source: reading.source,
        })
    }

    /// What it comes to at the end of the task, of which the counts were read after that. What was used since the last
    /// sample is taken to be as much as then; of a task that was never sampled, its peak all the time.
    fn last(&self, reading: &UseReading, ended: TimestampMs) -> Option<MeasuredUse> {
        let peak_kib = reading.counts?.memory_peak_bytes / 1_024;
        let mut whole = self.clone();
        let left = ended.since(self.until).as_millis();
        whole.add(self.memory_kib.unwrap_or(peak_kib), left);
        whole.used(reading)
    }
}

impl Meters {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Meter>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) -> MutexGuard<'_, Option<ClockReading>> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine is away: what runs is not seen to any more.
    pub(super) fn lose_sight(&self) {
        let beat = self.beat().take();
        for meter in self.lock().values_mut().filter(|one| one.is_in_sight) {
            meter.alive_at = meter.seen_by(beat);
            meter.is_in_sight = false;
        }
    }

    pub(super) fn is_any_in_sight(&self) -> bool {
        self.lock().values().any(|meter| meter.is_in_sight)
    }

    /// Whatever is in sight was seen to run.
    pub(super) fn seen_alive(&self, now: ClockReading) {
        *self.beat() = Some(now);
    }

    /// When a task was last seen to run by this process.
    pub(super) fn last_alive(&self, task: &TaskId) -> Option<ClockReading> {
        let beat = *self.beat();
        self.lock().get(task).map(|meter| meter.seen_by(beat))
    }

    /// Nothing more is to be measured of a task.
    pub(super) fn forget(&self, task: &TaskId) {
        self.lock().remove(task);
    }
}

/// What is to be looked at, with when it was last put on record. The engine may not get to all of them, so nobody is to come
/// last each time; those of whom nothing is on record come first.
fn longest_waiting_first<T>(mut waiting: Vec<(Option<i64>, T)>) -> Vec<T> {
    waiting.sort_by_key(|(recorded_ms, _)| *recorded_ms);
    waiting.into_iter().map(|(_, target)| target).collect()
}

/// When the first of a task's containers began, as far as is known.
fn began(task: &Task, seen: Option<&Observation>) -> Option<TimestampMs> {
    let recorded = task.containers.values().filter_map(|one| one.started_at);
    let seen = seen.into_iter().flat_map(|seen| seen.containers.values());
    recorded.chain(seen.filter_map(|one| one.started_at)).min()
}

impl Reconciler {
    /// A task was looked at, and what was `seen` is by its clock: from now on it is measured, if it runs.
    pub(super) async fn begin_to_measure(
        &self,
        task: &Task,
        seen: &Observation,
        by: &TaskClock,
    ) -> Result<(), StoreError> {
        let runs = |state: &ContainerState| *state == ContainerState::Running;
        if !seen.containers.values().any(|one| runs(&one.state)) {
            return Ok(());
        }
        if let Some(meter) = self.meters.lock().get_mut(&task.id) {
            (meter.alive_at, meter.is_in_sight) = (self.parts.clock.reading(), true);
            return Ok(());
        }
        let meter = self.meter(task, Some(seen), by).await?;
        self.meters.lock().insert(task.id.clone(), meter);
        Ok(())
    }

    async fn meter(
        &self,
        task: &Task,
        seen: Option<&Observation>,
        by: &TaskClock,
    ) -> Result<Meter, StoreError> {
        // Of one that nobody has seen to run before, nothing is on record.
        let is_known = task.containers.values().any(|one| one.started_at.is_some());
        let on_record = if is_known {
            self.parts.store.usage(&task.id).await?
        } else {
            None
        };
        let now = self.parts.clock.reading();
        let began = began(task, seen);
        let on_record = on_record.and_then(|found| found.used);
        Ok(Meter::new(task, began, on_record, by.now(now), now))
    }

    /// What a task has used that is about to be recorded as STOPPED: nothing of it runs, and nothing was removed. `None`
    /// where only the samples that are on record already say so.
    pub(super) async fn last_use(
        &self,
        old: &Task,
        new: &Task,
        by: &TaskClock,
    ) -> Result<Option<MeasuredUse>, StoreError> {
        let ends = old.last_status != LastStatus::Stopped && new.last_status == LastStatus::Stopped;
        let ended = new
            .containers
            .values()
            .filter_map(|one| one.finished_at)
            .max();
        if !ends || new.limits != Some(LimitsEnforcedBy::TaskCgroup) {
            return Ok(None);
        }
        let known = self.meters.lock().get(&new.id).cloned();
        let meter = match known {
            Some(meter) => meter,
            None => self.meter(new, None, by).await?,
        };
        let targets = [Arc::clone(&meter.target)];
        let readings = self.parts.engine.measure(&targets, Look::All).await;
        let reading = readings.get(&new.id);
        Ok(reading.and_then(|reading| meter.last(reading, ended.unwrap_or(meter.until))))
    }

    /// Looks at what runs, again and again.
    pub(super) async fn measure_tasks(self: Arc<Self>) {
        let every = self.parts.limits.measure_every;
        for part in (0..LOOKS_PER_RECORD).cycle() {
            let began = Instant::now();
            self.measure_once(part).await;
            let pause = (began.elapsed() * PAUSE_PER_PASS).min(LONGEST_PAUSE);
            tokio::time::sleep(every.max(pause)).await;
        }
    }

    async fn measure_once(&self, part: usize) {
        let (mut whole, mut memory) = (Vec::new(), Vec::new());
        for (place, meter) in self.meters.lock().values().enumerate() {
            // What is new is looked at as a whole, so that there is something of it on record soon.
            let is_due = place % LOOKS_PER_RECORD == part || meter.recorded_ms.is_none();
            let target = Arc::clone(&meter.target);
            if is_due {
                whole.push((meter.recorded_ms, target));
            } else {
                memory.push(target);
            }
        }
        let whole = longest_waiting_first(whole);
        self.sample(&memory, Look::Memory).await;
        let measured = self.sample(&whole, Look::All).await;
        for some in measured.chunks(TASKS_PER_COMMIT) {
            if let Err(error) = self.parts.store.record_use(some.to_vec()).await {
                tracing::warn!(%error, "what tasks use cannot be recorded");
                return;
            }
            let now = self.parts.clock.reading();
            let mut meters = self.meters.lock();
            for (task, _) in some {
                if let Some(meter) = meters.get_mut(task) {
                    meter.recorded_ms = Some(now.running_ms);
                }
            }
        }
    }

    /// Adds one sample to each, and returns what they come to where everything was looked at.
    async fn sample(
        &self,
        targets: &[Arc<MeasureTarget>],
        look: Look,
    ) -> Vec<(TaskId, MeasuredUse)> {
        if targets.is_empty() {
            return Vec::new();
        }
        let readings = self.parts.engine.measure(targets, look).await;
        let now = self.parts.clock.reading();
        let mut meters = self.meters.lock();
        let mut measured = Vec::new();
        for (task, reading) in &readings {
            // One that has ended in between was measured to its end.
            let Some(meter) = meters.get_mut(task) else {
                continue;
            };
            meter.sample(reading.memory_bytes, now);
            measured.extend(meter.used(reading).map(|used| (task.clone(), used)));
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UseSource;
    use crate::engine::UseCounts;
    use crate::plan::fixtures::{at, container, spec, task};

    fn reading(memory_bytes: u64, peak: u64) -> UseReading {
        UseReading {
            source: UseSource::Cgroup,
            memory_bytes,
            counts: Some(UseCounts {
                memory_peak_bytes: peak,
                ..UseCounts::default()
            }),
        }
    }

    /// A host that has run for as long as there are times.
    fn now(ms: i64) -> ClockReading {
        ClockReading {
            wall: at(ms),
            running_ms: ms,
        }
    }

    fn meter() -> Meter {
        let task = task(spec(vec![container("web")]));
        Meter::new(&task, Some(at(1_000)), None, at(1_000), now(1_000))
    }

    #[test]
    fn each_sample_stands_for_the_time_since_the_one_before() {
        let mut meter = meter();
        meter.sample(4 * 1_024, now(2_000));
        let was_set = ClockReading {
            wall: at(9_999_999),
            running_ms: 2_500,
        };
        meter.sample(8 * 1_024, was_set);
        assert_eq!(
            (meter.memory_kib_ms, meter.until),
            (4_000 + 8 * 500, at(2_500))
        );
        let last = meter.last(&reading(0, 64 * 1_024), at(2_600)).unwrap();
        assert_eq!(last.memory_kib_ms, 8_000 + 8 * 100);
        assert_eq!(last.measured_until, at(2_600));
    }

    #[test]
    fn a_task_that_was_over_before_anybody_looked_is_taken_to_have_had_its_peak() {
        let last = meter().last(&reading(0, 64 * 1_024), at(1_050)).unwrap();
        assert_eq!(last.memory_kib_ms, 64 * 50);
    }

    #[test]
    fn whoever_has_waited_longest_comes_first() {
        let waiting = vec![
            (Some(7_000), "last"),
            (None, "first"),
            (Some(6_000), "then"),
        ];
        assert_eq!(longest_waiting_first(waiting), ["first", "then", "last"]);
    }

    #[test]
    fn after_a_restart_it_goes_on_where_the_record_ends() {
        let mut before = meter();
        before.sample(4 * 1_024, now(2_000));
        let on_record = before.used(&reading(0, 9_000)).unwrap();
        let task = task(spec(vec![container("web")]));
        let was_set = ClockReading {
            wall: at(9_999_999),
            running_ms: 4_000,
        };
        let began = Some(at(1_000));
        let mut after = Meter::new(&task, began, Some(on_record), at(4_000), was_set);
        after.sample(6 * 1_024, now(5_000));
        assert_eq!(after.memory_kib_ms, 4 * 1_000 + 6 * 3_000);
    }
}
