//! Keeps the connection to the engine: says whether it is there, passes its hints on as rings of the bell,
//! and sweeps: once whenever the connection is new, and now and then, for the hints that never came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::round::RoundError;
use super::{Reconciler, pause_after};
use crate::domain::{EventKind, NewEvent, TaskId};
use crate::engine::{EngineError, EngineState, Fingerprint, Hint};

impl Reconciler {
    /// Watches the engine until `stop`.
    pub(super) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let watched = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                watched = self.watch_once() => watched,
            };
            let (was_up, error) = match watched {
                Ok(()) => (
                    true,
                    EngineError::Away("the connection for its events ended".to_owned()),
                ),
                Err(Lost { was_up, error }) => (was_up, error),
            };
            failures = if was_up { 1 } else { failures + 1 };
            self.tell_away(&error).await;
            let pause =
                pause_after(failures, &self.parts.limits).min(std::time::Duration::from_secs(5));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// From a new connection to its end.
    async fn watch_once(&self) -> Result<(), Lost> {
        let engine = &self.parts.engine;
        let info = engine.info().await.map_err(Lost::before)?;
        // Listen first and look after that: what happens in between is then told twice, not never.
        let mut hints = engine.hints().await.map_err(Lost::before)?;
        self.tell_up(EngineState::Ok(info)).await;
        self.take_the_pulse().await;
        self.ring_unfinished().await;
        let mut last = BTreeMap::new();
        let mut sweep_at = Instant::now();
        loop {
            tokio::select! {
                // However many hints there are, the sweep has its turn; it is due again only a while after it was made, and
                // then hints have theirs.
                biased;
                () = tokio::time::sleep_until(sweep_at) => {
                    match self.sweep(&mut last).await {
                        Ok(()) => {}
                        Err(RoundError::Engine(error @ EngineError::Away(_))) => return Err(Lost::after(error)),
                        Err(error) => tracing::warn!(%error, "the sweep failed and is repeated later"),
                    }
                    sweep_at = Instant::now() + self.parts.limits.sweep_every;
                }
                hint = hints.next() => match hint {
                    Some(Hint::Task(task)) => self.parts.bell.ring(&task),
                    Some(Hint::Everything) => self.ring_unfinished().await,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Compares what the engine lists with what is recorded: rings for what changed or is missing, and
    /// removes what carries our label and belongs to no unfinished task.
    async fn sweep(&self, last: &mut BTreeMap<TaskId, Fingerprint>) -> Result<(), RoundError> {
        // The list comes first: a task that is accepted after it cannot be taken for a leftover.
        let listed = self.parts.engine.survey().await?;
        let unfinished: BTreeSet<TaskId> = self
            .parts
            .store
            .unfinished_tasks()
            .await?
            .into_iter()
            .collect();
        for task in &unfinished {
            let now = listed.get(task);
            if now.is_none() || now != last.get(task) {
                self.parts.bell.ring(task);
            }
        }
        // What a task's round rang for is lost when it is given up right after it was recorded.
        for service in &self.parts.store.unsettled_services().await? {
            self.parts.bell.ring(service);
        }
        // Alarms go by a clock that never jumps, schedules by one that may.
        let now = self.parts.clock.now();
        for schedule in &self.parts.store.due_schedules(now).await? {
            self.parts.bell.ring(schedule);
        }
        for task in listed.keys().filter(|task| !unfinished.contains(*task)) {
            self.remove_leftover(task).await?;
        }
        *last = listed;
        self.sweep_clusters().await
    }

    /// Removes what the engine has for clusters that are gone.
    async fn sweep_clusters(&self) -> Result<(), RoundError> {
        let mut gone = self.parts.engine.clusters().await?;
        if gone.is_empty() {
            return Ok(());
        }
        // The engine was asked first: what it had then was made for a cluster that existed.
        for name in self.parts.store.cluster_names().await? {
            gone.remove(name.as_str());
        }
        if !gone.is_empty() {
            tracing::info!(clusters = ?gone, "the networks of clusters that are gone are removed");
            self.parts.engine.remove_clusters(&gone).await?;
        }
        Ok(())
    }

    async fn remove_leftover(&self, task: &TaskId) -> Result<(), RoundError> {
        let recorded = self.parts.store.task(task).await?;
        if recorded.as_ref().is_some_and(|task| !task.is_finished()) {
            return Ok(());
        }
        tracing::warn!(%task, "the engine has something of a task that is over; it is removed");
        self.parts.engine.remove(task).await?;
        if recorded.is_none() {
            self.tell(format!(
                "removed what the engine had of task {task}, which is not recorded here"
            ))
            .await;
        }
        Ok(())
    }

    async fn ring_unfinished(&self) {
        match self.parts.store.unfinished_tasks().await {
            Ok(tasks) => tasks.iter().for_each(|task| self.parts.bell.ring(task)),
            Err(error) => tracing::error!(%error, "the unfinished tasks cannot be read"),
        }
    }

    async fn tell_up(&self, state: EngineState) {
        if self
            .parts
            .engine_status
            .set(state.clone(), self.parts.clock.now())
            && let EngineState::Ok(info) = state
        {
            tracing::info!(
                kind = info.kind,
                version = info.version,
                host = info.host,
                "the engine answers"
            );
            self.tell(format!(
                "the engine answers: {} {} on {}",
                info.kind, info.version, info.host
            ))
            .await;
        }
    }

    async fn tell_away(&self, error: &EngineError) {
        let state = EngineState::Away {
            reason: error.to_string(),
        };
        if self.parts.engine_status.set(state, self.parts.clock.now()) {
            tracing::warn!(%error, "the engine is away; tasks go on, changes wait");
            self.tell(format!(
                "{error}; tasks go on, changes wait until it is back"
            ))
            .await;
        }
    }

    async fn tell(&self, message: String) {
        let event = NewEvent {
            at: self.parts.clock.now(),
            kind: EventKind::Server,
            cluster: None,
            subject: "neargate".to_owned(),
            status: None,
            message,
        };
        if let Err(error) = self.parts.store.record_event(event).await {
            tracing::error!(%error, "an event cannot be recorded");
        }
    }
}

/// The connection was lost, or never made.
struct Lost {
    was_up: bool,
    error: EngineError,
}

impl Lost {
    fn before(error: EngineError) -> Self {
        Self {
            was_up: false,
            error,
        }
    }

    fn after(error: EngineError) -> Self {
        Self {
            was_up: true,
            error,
        }
    }
}
