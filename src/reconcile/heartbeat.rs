//! The heartbeat: by what clocks the record is to be read, and until when it is known that tasks ran.
//!
//! Once a second, while a task runs and the engine is there, one row says so for all of them. When nobody recorded how a
//! task ended, because the host lost its power or Neargate and the engine were away together, it has ended at the last
//! heartbeat at which it was seen to run, never later: what cannot be shown is not billed.
//!
//! The same row says how far the wall clock is ahead of one that only runs ([`crate::meter::Clocks`]). All times of a task,
//! Neargate's and the engine's, are recorded by the wall clock as it stood when its interval was opened; and it is not opened
//! before that clock is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::Reconciler;
use crate::domain::{
    ClockReading, ClockStretch, ContainerState, Observation, Task, TaskId, TimestampMs, UsageChange,
};
use crate::engine::EngineState;
use crate::meter::{Clocks, is_same_offset};
use crate::store::StoreError;

/// What is known of the host's clocks.
#[derive(Default)]
pub(super) struct Pulse {
    clocks: tokio::sync::Mutex<Clocks>,
    /// The last heartbeat of the process before this one.
    before: OnceCell<Option<Beat>>,
    /// A new stretch was written, and the answer was an error: it may be on record or not.
    is_in_doubt: AtomicBool,
}

/// When something was seen to run.
#[derive(Clone, Debug)]
pub(super) struct Beat {
    /// Under which start of the host; `None` for the present one.
    boot_id: Option<String>,
    /// When.
    reading: ClockReading,
}

impl Beat {
    /// By the wall clock of then.
    pub(super) const fn wall(&self) -> TimestampMs {
        self.reading.wall
    }

    fn of_stretch(stretch: &ClockStretch) -> Self {
        Self {
            boot_id: Some(stretch.boot_id.clone()),
            reading: ClockReading {
                wall: stretch.last_wall(),
                running_ms: stretch.last_ms,
            },
        }
    }
}

impl Reconciler {
    /// Reads what is on record, once, before anything is noted.
    pub(super) async fn earlier_beat(&self) -> Result<Option<Beat>, StoreError> {
        let read = async {
            let stretches = self.parts.store.clock_stretches().await?;
            let last = stretches.last().map(Beat::of_stretch);
            *self.pulse.clocks.lock().await = Clocks::new(stretches);
            Ok(last)
        };
        self.pulse.before.get_or_try_init(|| read).await.cloned()
    }

    /// Sees to it that the clocks are on record as they are now. True when that was news.
    pub(super) async fn note_clocks(&self, always: bool) -> Result<bool, StoreError> {
        self.earlier_beat().await?;
        let mut clocks = self.pulse.clocks.lock().await;
        if self.pulse.is_in_doubt.load(Ordering::Relaxed) {
            *clocks = Clocks::new(self.parts.store.clock_stretches().await?);
            self.pulse.is_in_doubt.store(false, Ordering::Relaxed);
        }
        let boot_id = match self.parts.engine_status.get().0 {
            EngineState::Ok(info) => info.boot_id.unwrap_or_default(),
            // The host may have been started anew: that is known when the engine is back.
            EngineState::Unknown | EngineState::Away { .. } => return Ok(false),
        };
        let reading = self.parts.clock.reading();
        if clocks.goes_on(&boot_id, reading) {
            if always {
                let stretch = clocks.note(&boot_id, reading);
                // Nobody waits for a heartbeat.
                drop(clocks);
                self.parts.store.note_clock(stretch).await?;
            }
            return Ok(false);
        }
        // A new stretch must be on record before anything is that refers to it.
        let mut next = clocks.clone();
        let stretch = next.note(&boot_id, reading);
        self.pulse.is_in_doubt.store(true, Ordering::Relaxed);
        self.parts.store.note_clock(stretch).await?;
        self.pulse.is_in_doubt.store(false, Ordering::Relaxed);
        *clocks = next;
        Ok(true)
    }

    /// Beats as long as the loop runs.
    pub(super) async fn beat_on(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.parts.limits.measure_every).await;
            self.beat().await;
        }
    }

    /// The engine has come: notes by what clocks and with how much room things go on.
    pub(super) async fn take_the_pulse(&self) {
        let noted = async {
            self.note_clocks(true).await?;
            match self.parts.engine_status.capacity() {
                Ok(capacity) => {
                    let now = self.parts.clock.now();
                    self.parts.store.note_capacity(now, capacity).await
                }
                Err(_) => Ok(()),
            }
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the clocks and the capacity cannot be recorded");
        }
    }

    /// One beat, for all that runs.
    async fn beat(&self) {
        if !matches!(self.parts.engine_status.get().0, EngineState::Ok(_)) {
            self.meters.lose_sight();
            return;
        }
        if !self.meters.is_any_in_sight() {
            return;
        }
        let now = self.parts.clock.reading();
        match self.note_clocks(true).await {
            Ok(_) => self.meters.seen_alive(now),
            Err(error) => tracing::warn!(%error, "the heartbeat cannot be recorded"),
        }
    }

    /// The same as [`Reconciler::last_alive`], of a task that the process `before` this one may have seen last.
    pub(super) fn alive_until(
        &self,
        task: &TaskId,
        opened_at: TimestampMs,
        before: Option<TimestampMs>,
        now: TimestampMs,
    ) -> TimestampMs {
        let began_since = before.is_none_or(|before| opened_at > before);
        let seen = self.meters.last_alive(task).map(|seen| seen.wall);
        seen.or(before.filter(|_| !began_since)).unwrap_or(now)
    }

    /// When a task was last seen to run, by its clock.
    pub(super) async fn last_alive(
        &self,
        task: &Task,
        by: &TaskClock,
    ) -> Result<Option<TimestampMs>, StoreError> {
        let before = self.earlier_beat().await?;
        let seen = self.meters.last_alive(&task.id).map(|reading| Beat {
            boot_id: None,
            reading,
        });
        let now = self.parts.clock.reading();
        Ok(seen.or(before).map(|beat| by.beat(&beat, now)))
    }

    /// Before the changes of an interval are recorded: the clock that they were read from is on record.
    pub(super) async fn clock_is_known(
        &self,
        changes: &[UsageChange],
        by: &TaskClock,
    ) -> Result<(), StoreError> {
        let opens = |change: &UsageChange| matches!(change, UsageChange::Open(_));
        if !changes.iter().any(opens) {
            return Ok(());
        }
        let is_news = self.note_clocks(false).await?;
        let reading = self.parts.clock.reading();
        let is_on_record = self.pulse.clocks.lock().await.is_shown_by(reading);
        // The time of the opening was read before the clock was set, or the clock was set while the engine is away, so that
        // nobody could note it: the round is done again.
        if is_news || !is_on_record || !by.still_holds(reading) {
            return Err(StoreError::Stale);
        }
        Ok(())
    }

    /// The clock of a task: the wall clock as it stood when its interval was opened.
    pub(super) async fn clock_of(&self, task: &Task) -> Result<TaskClock, StoreError> {
        let is_opened = task.pull_started_at.is_some();
        if is_opened {
            self.note_clocks(false).await?;
        }
        let reading = self.parts.clock.reading();
        let mut clock = TaskClock {
            offset_ms: reading.offset_ms(),
            is_on_record: true,
            opened: None,
        };
        if !is_opened {
            return Ok(clock);
        }
        let clocks = {
            let clocks = self.pulse.clocks.lock().await;
            // While the engine is away, a step of the clock is not noted.
            clock.is_on_record = clocks.is_shown_by(reading);
            clocks.was_ever_set().then(|| clocks.clone())
        };
        if let Some(clocks) = clocks {
            let opening = self.parts.store.opening(&task.id).await?;
            clock.opened = opening.map(|(at, seq)| (clocks, at, seq));
        }
        Ok(clock)
    }
}

/// By which all times of a task go, so that a step of the wall clock changes no length: neither one before a round of the
/// task nor one in the middle of it.
pub(super) struct TaskClock {
    /// How far the wall clock was ahead of the one that only runs when this was made.
    offset_ms: i64,
    /// Whether that is on record.
    is_on_record: bool,
    /// What is on record of the clocks, and when and in which stretch the interval was opened; `None` where the wall clock
    /// was never set.
    opened: Option<(Clocks, TimestampMs, i64)>,
}

impl TaskClock {
    /// Now. That goes by the clock that only runs, so it does not matter whether the other was set since this was made.
    pub(super) fn now(&self, reading: ClockReading) -> TimestampMs {
        let running_on = self.opened.as_ref().and_then(|(clocks, _, seq)| {
            let boot_id = &clocks.last()?.boot_id;
            clocks.running_on(*seq, boot_id, reading.running_ms)
        });
        let wall = reading.running_ms.saturating_add(self.offset_ms);
        running_on.unwrap_or(TimestampMs::from_millis(wall))
    }

    /// When a heartbeat was.
    fn beat(&self, beat: &Beat, now: ClockReading) -> TimestampMs {
        let running_on = self.opened.as_ref().and_then(|(clocks, _, seq)| {
            let boot_id = beat.boot_id.as_ref().or(Some(&clocks.last()?.boot_id))?;
            clocks.running_on(*seq, boot_id, beat.reading.running_ms)
        });
        running_on.unwrap_or_else(|| self.carry(beat.reading.wall, now))
    }

    /// Whether times that the engine tells by the wall clock, as it is now, can be understood by what is on record.
    fn still_holds(&self, reading: ClockReading) -> bool {
        self.is_on_record && is_same_offset(self.offset_ms, reading)
    }

    /// A time by the wall clock of whenever that was.
    fn carry(&self, at: TimestampMs, now: ClockReading) -> TimestampMs {
        match &self.opened {
            None => at,
            Some((clocks, opened_at, seq)) => {
                clocks.carried_on(*opened_at, *seq, at, now.running_ms)
            }
        }
    }

    /// What the engine said, by this clock. Of a container that is as it was in `before`, that was already done. Fails when
    /// the clock was set since this was made: then nobody knows which of its times are by which clock.
    pub(super) fn carried(
        &self,
        mut seen: Observation,
        before: Option<&Observation>,
        now: ClockReading,
    ) -> Result<Observation, StoreError> {
        if !self.still_holds(now) {
            return Err(StoreError::Stale);
        }
        let carry = |at: &mut TimestampMs| *at = self.carry(*at, now);
        for (name, one) in &mut seen.containers {
            if before.and_then(|before| before.containers.get(name)) == Some(one) {
                continue;
            }
            one.started_at.iter_mut().for_each(carry);
            if let ContainerState::Exited { finished_at, .. } = &mut one.state {
                carry(finished_at);
            }
        }
        Ok(seen)
    }
}
