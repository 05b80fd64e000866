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

use tokio::sync::OnceCell;

use super::Reconciler;
use crate::domain::{
    ClockReading, ClockStretch, ContainerState, Observation, Task, TaskId, TimestampMs, UsageChange,
};
use crate::engine::EngineState;
use crate::meter::Clocks;
use crate::store::StoreError;

/// What is known of the host's clocks.
#[derive(Default)]
pub(super) struct Pulse {
    clocks: tokio::sync::Mutex<Clocks>,
    /// The last heartbeat of the process before this one.
    before: OnceCell<Option<TimestampMs>>,
}

impl Reconciler {
    /// Reads what is on record, once, before anything is noted.
    pub(super) async fn earlier_beat(&self) -> Result<Option<TimestampMs>, StoreError> {
        let read = async {
            let stretches = self.parts.store.clock_stretches().await?;
            let last = stretches.last().map(ClockStretch::last_wall);
            *self.pulse.clocks.lock().await = Clocks::new(stretches);
            Ok(last)
        };
        self.pulse.before.get_or_try_init(|| read).await.copied()
    }

    /// Sees to it that the clocks are on record as they are now. True when that was news.
    pub(super) async fn note_clocks(&self, always: bool) -> Result<bool, StoreError> {
        self.earlier_beat().await?;
        let mut clocks = self.pulse.clocks.lock().await;
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
        self.parts.store.note_clock(stretch).await?;
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
        let now = self.parts.clock.now();
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
        let seen = self.meters.last_alive(task);
        seen.or(before.filter(|_| !began_since)).unwrap_or(now)
    }

    /// When a task was last seen to run, by the wall clock.
    pub(super) async fn last_alive(&self, task: &Task) -> Result<Option<TimestampMs>, StoreError> {
        let before = self.earlier_beat().await?;
        Ok(self.meters.last_alive(&task.id).or(before))
    }

    /// Before the changes of an interval are recorded: the clock that they were read from is on record.
    pub(super) async fn clock_is_known(&self, changes: &[UsageChange]) -> Result<(), StoreError> {
        let opens = |change: &UsageChange| matches!(change, UsageChange::Open(_));
        if changes.iter().any(opens) && self.note_clocks(false).await? {
            // The time of the opening may have been read before it was set: the round is done again.
            return Err(StoreError::Stale);
        }
        Ok(())
    }

    /// The clock of a task: the wall clock as it stood when its interval was opened.
    pub(super) async fn clock_of(&self, task: &Task) -> Result<TaskClock, StoreError> {
        if task.pull_started_at.is_none() {
            return Ok(TaskClock(None));
        }
        self.note_clocks(false).await?;
        if !self.pulse.clocks.lock().await.was_ever_set() {
            return Ok(TaskClock(None));
        }
        let opening = self.parts.store.opening(&task.id).await?;
        let clocks = self.pulse.clocks.lock().await.clone();
        Ok(TaskClock(opening.map(|(at, seq)| (clocks, at, seq))))
    }
}

/// By which all times of a task go, so that a step of the wall clock changes no length.
pub(super) struct TaskClock(Option<(Clocks, TimestampMs, i64)>);

impl TaskClock {
    /// A time by the wall clock of whenever that was.
    pub(super) fn carry(&self, at: TimestampMs, now: ClockReading) -> TimestampMs {
        match &self.0 {
            None => at,
            Some((clocks, opened_at, seq)) => {
                clocks.carried_on(*opened_at, *seq, at, now.running_ms)
            }
        }
    }

    /// What the engine said, by this clock; `None` where it is the same.
    pub(super) fn carried(&self, seen: &Observation, now: ClockReading) -> Option<Observation> {
        self.0.as_ref()?;
        let mut seen = seen.clone();
        let carry = |at: &mut TimestampMs| *at = self.carry(*at, now);
        for one in seen.containers.values_mut() {
            one.started_at.iter_mut().for_each(carry);
            if let ContainerState::Exited { finished_at, .. } = &mut one.state {
                carry(finished_at);
            }
        }
        seen.last_alive.iter_mut().for_each(carry);
        Some(seen)
    }
}
