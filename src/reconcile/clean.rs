//! After a task has stopped: keep its logs, remove its objects, and record that nothing is left. Before a container is
//! started again: keep the log of the attempt that has ended.
//!
//! In this order, so that a crash in between only leads to its repetition and never to a lost log. How long the
//! kept logs stay after that is bounded here as well.

use std::sync::Arc;

use futures_util::StreamExt;

use super::Reconciler;
use super::round::RoundError;
use crate::domain::{ContainerName, EARLIER_ATTEMPTS_KEPT, Observation, Task};
use crate::engine::{EngineError, LogRequest, LogStream};
use crate::store::KeptLine;

impl Reconciler {
    pub(super) async fn clean(&self, mut task: Task) -> Result<(), RoundError> {
        for (name, record) in &task.containers {
            if record.started_at.is_some() {
                // The one before may be what is there still.
                for attempt in record.attempt.saturating_sub(1)..=record.attempt {
                    self.keep_log(&task, name, attempt).await?;
                }
            }
        }
        self.parts.engine.remove(&task.id).await?;
        let mut cleaned = task.clone();
        cleaned.cleaned_at = Some(self.parts.clock.now());
        self.record(&mut task, cleaned, &[]).await?;
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
            let line = line?;
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
