//! After a task has stopped: have the engine itself say when its containers ended; keep its logs, and of one that failed
//! under a service the last lines once more beside that service's deployment; remove its objects; and record that
//! nothing is left. Before a container is started again: keep the log of the attempt that has ended.
//!
//! In this order, so that a crash in between only leads to its repetition and never to a lost log. How long the
//! kept logs stay after that is bounded here as well.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};

use super::Reconciler;
use super::heartbeat::TaskClock;
use super::round::RoundError;
use crate::domain::{
    ContainerName, EARLIER_ATTEMPTS_KEPT, Goal, LastLine, LastLines, Observation, Task, TaskId,
    has_failed,
};
use crate::engine::{EngineError, LogRequest, LogStream};
use crate::plan::task as plan;
use crate::store::{KeptLine, StoreError};

impl Reconciler {
    pub(super) async fn clean(&self, mut task: Task, by: &TaskClock) -> Result<(), RoundError> {
        self.confirm_ends(&mut task, by).await?;
        for (name, record) in &task.containers {
            if record.started_at.is_some() {
                // The one before may be what is there still.
                for attempt in record.attempt.saturating_sub(1)..=record.attempt {
                    self.keep_log(&task, name, attempt).await?;
                }
            }
        }
        self.keep_last_lines(&task).await?;
        self.parts.engine.remove(&task.id).await?;
        let mut cleaned = task.clone();
        cleaned.cleaned_at = Some(self.parts.clock.now());
        let recorded = self.record(&mut task, cleaned, &[], by).await;
        // Also after an error: it may be on record all the same, and then nobody comes here again.
        self.cleaned.notify_one();
        recorded?;
        Ok(())
    }

    /// Asks the engine itself when the containers ended, as long as it knows: what told of it was a little late.
    async fn confirm_ends(&self, task: &mut Task, by: &TaskClock) -> Result<(), RoundError> {
        let order = self.order(task, Goal::Run, by);
        let seen = self.parts.engine.confirm(&order).await?;
        let seen = by.carried(seen, None, self.parts.clock.reading())?;
        let confirmed = plan::confirm_ends(task, &seen);
        self.record(task, confirmed, &[], by).await?;
        Ok(())
    }

    /// Keeps the logs of attempts to run containers that are over, since what is left of them is removed before the
    /// next attempt. Of each container, the logs of the last few are kept.
    pub(super) async fn keep_earlier_logs(
        &self,
        task: &Task,
        seen: &Observation,
    ) -> Result<(), RoundError> {
        for (name, observed) in &seen.containers {
            let due = task.containers.get(name).map(|record| record.attempt);
            if due.is_none_or(|due| observed.attempt >= due) || observed.started_at.is_none() {
                continue;
            }
            self.keep_log(task, name, observed.attempt).await?;
            if let Some(oldest) = observed.attempt.checked_sub(EARLIER_ATTEMPTS_KEPT) {
                let logs = self.parts.store.logs();
                logs.forget(&task.id, name, oldest).await?;
            }
        }
        Ok(())
    }

    /// Copies the end of a failed task's kept logs to the deployment that it belongs to, where it outlives them.
    async fn keep_last_lines(&self, task: &Task) -> Result<(), RoundError> {
        let failed = has_failed(task.stop_code, task.stopped_reason.as_deref());
        let (true, Some(_), Some(deployment)) = (failed, task.service(), &task.started_by) else {
            return Ok(());
        };
        let mut containers: Vec<_> = task.containers.iter().collect();
        // What ended badly has the first word.
        containers.sort_by_key(|(_, record)| record.exit_code.is_none_or(|code| code == 0));
        let mut last = LastLines::default();
        for (name, record) in containers {
            match self.end_of_log(&task.id, name, record.attempt).await {
                Ok(lines) => last.add(lines),
                Err(error) => {
                    tracing::warn!(task = %task.id, container = %name, %error, "a kept log cannot be read");
                }
            }
        }
        let (store, lines) = (&self.parts.store, last.into_lines());
        if !lines.is_empty() {
            store.keep_last_lines(&task.id, deployment, &lines).await?;
        }
        Ok(())
    }

    /// The last lines that a container wrote, of its newest attempt that has written any.
    async fn end_of_log(
        &self,
        task: &TaskId,
        container: &ContainerName,
        newest: u32,
    ) -> Result<Vec<LastLine>, StoreError> {
        let logs = self.parts.store.logs();
        for attempt in (newest.saturating_sub(1)..=newest).rev() {
            if !logs.has(task, container, attempt) {
                continue;
            }
            let tail = Some(LastLines::LINES as u64);
            let kept = logs.read(task, container, attempt, None, tail).await?;
            let lines: Vec<LastLine> = kept
                .map_ok(|line| LastLine {
                    container: container.clone(),
                    at: line.at,
                    stderr: line.stderr,
                    text: start_of(&line.text),
                })
                .try_collect()
                .await?;
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
        Ok(Vec::new())
    }

    /// Sees to it, now and then, that the kept logs of tasks that are over do not fill the disk.
    pub(super) async fn prune_logs(self: Arc<Self>) {
        let limits = &self.parts.limits;
        loop {
            let (logs, now) = (self.parts.store.logs(), self.parts.clock.now());
            match logs.prune(limits.kept_logs, now).await {
                Ok(0) => {}
                Ok(tasks) => tracing::info!(tasks, "the oldest kept logs were removed"),
                Err(error) => tracing::warn!(%error, "kept logs cannot be removed"),
            }
            tokio::time::sleep(limits.prune_every).await;
        }
    }

    async fn keep_log(
        &self,
        task: &Task,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), RoundError> {
        let logs = self.parts.store.logs();
        if logs.has(&task.id, container, attempt) {
            return Ok(());
        }
        let request = LogRequest {
            task_id: task.id.clone(),
            container: container.clone(),
            attempt,
            follow: false,
            since: None,
            tail: None,
        };
        let mut lines = match self.parts.engine.logs(request).await {
            Ok(lines) => lines,
            // Somebody else removed it, or has begun to, and its log with it.
            Err(EngineError::NotFound(_)) => return Ok(()),
            Err(error) if !error.retryable() => {
                tracing::warn!(task = %task.id, %container, %error, "a log cannot be kept");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let limit = self.parts.limits.kept_log_bytes;
        let mut writer = logs.writer(&task.id, container, attempt, limit).await?;
        while let Some(line) = lines.next().await {
            let line = match line {
                Ok(line) => line,
                // The engine will not tell more the next time either: what came is kept.
                Err(error) if !error.retryable() => {
                    tracing::warn!(task = %task.id, %container, %error, "a log cannot be kept to its end");
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            let stderr = line.stream == LogStream::Stderr;
            writer
                .append(&KeptLine {
                    at: line.at,
                    stderr,
                    text: line.text.to_vec(),
                })
                .await?;
        }
        writer.finish().await?;
        Ok(())
    }
}

/// As much of a line as is kept of it at most, as text.
fn start_of(line: &[u8]) -> String {
    let start = line.get(..LastLines::BYTES).unwrap_or(line);
    String::from_utf8_lossy(start).into_owned()
}
