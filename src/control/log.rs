//! Reading what a task's containers wrote: from the engine while it has them, from the store after that.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt, TryStreamExt};

use super::{Control, ControlError};
use crate::domain::{
    ContainerName, ContainerRecord, ContainerStatus, EARLIER_ATTEMPTS_KEPT, LastStatus, Task,
    TaskId, TimestampMs,
};
use crate::engine::{EngineError, LogLine, LogRequest, LogStream};

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Of one container; of all if none is named.
    pub container: Option<ContainerName>,
    /// Go on as new lines come, until the task has ended.
    pub follow: bool,
    /// Only lines from this time on.
    pub since: Option<TimestampMs>,
    /// Only so many lines from the end of each container.
    pub tail: Option<u64>,
}

/// A line, and who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskLogLine {
    /// Who wrote it.
    pub container: ContainerName,
    /// What.
    pub line: LogLine,
}

/// How often somebody who follows looks whether a container has been started.
const START_LOOK_EVERY: Duration = Duration::from_millis(100);

type Lines = BoxStream<'static, Result<TaskLogLine, ControlError>>;

impl Control {
    /// What a task's containers wrote. Lines of one container come in order; those of several come in the
    /// order of their times when nothing is followed, and as they are written when something is.
    pub async fn task_logs(&self, id: &TaskId, query: LogQuery) -> Result<Lines, ControlError> {
        let task = self.task(id).await?;
        let containers = wanted_containers(&task, &query)?;
        let mut streams = Vec::with_capacity(containers.len());
        for container in containers {
            streams.push(self.container_log(&task, container, &query).await?);
        }
        if query.follow {
            return Ok(streams.into_iter().collect::<SelectAll<_>>().boxed());
        }
        Ok(merge_by_time(streams))
    }

    /// What there is to say about lines that are missing; `None` when all is there that can be.
    pub async fn log_note(
        &self,
        id: &TaskId,
        query: &LogQuery,
    ) -> Result<Option<String>, ControlError> {
        let task = self.task(id).await?;
        let mut gone = wanted_containers(&task, query)?;
        gone.retain(|container| self.is_log_gone(&task, container));
        let names: Vec<&str> = gone.iter().map(ContainerName::as_str).collect();
        Ok((!names.is_empty()).then(|| {
            format!(
                "the log is not kept any more of: {}; logs of tasks that are over are removed when they are too old or \
                 too many (kept_logs_max_age_days and kept_logs_max_bytes of the server's configuration)",
                names.join(", ")
            )
        }))
    }

    /// Whether a container has run, and nothing of what it wrote is anywhere.
    fn is_log_gone(&self, task: &Task, container: &ContainerName) -> bool {
        let record = task.containers.get(container);
        let has_run = record.is_some_and(|record| record.started_at.is_some());
        let newest = attempt(task, container);
        let mut attempts = newest.saturating_sub(EARLIER_ATTEMPTS_KEPT)..=newest;
        let logs = self.store.logs();
        task.is_finished()
            && has_run
            && !attempts.any(|attempt| logs.has(&task.id, container, attempt))
    }

    /// What all attempts to run a container wrote, one after the other.
    async fn container_log(
        &self,
        task: &Task,
        container: ContainerName,
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        let attempt = attempt(task, &container);
        let earlier = self.earlier_logs(task, &container, attempt, query).await?;
        let newest = if query.follow && !has_started(task, &container) {
            self.log_from_its_start(task.id.clone(), container.clone(), attempt, query.clone())
        } else {
            self.log_now(task, container.clone(), attempt, query)
                .await?
        };
        let definition = task.spec.container(&container);
        let may_be_another = definition.is_some_and(|one| one.restart_policy.is_some());
        if !query.follow || !may_be_another {
            return Ok(earlier.chain(newest).boxed());
        }
        let later = self.later_logs(task.id.clone(), container, attempt, query.clone());
        Ok(earlier.chain(newest).chain(later).boxed())
    }

    /// What the attempts before `newest` wrote, as far as it is kept; of its last lines, those that the newest one does
    /// not have.
    async fn earlier_logs(
        &self,
        task: &Task,
        container: &ContainerName,
        newest: u32,
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        let mut parts = Vec::new();
        let mut left = query.tail;
        let counted = LogQuery {
            follow: false,
            ..query.clone()
        };
        if let (Some(left), 1..) = (&mut left, newest) {
            let lines = self
                .log_now(task, container.clone(), newest, &counted)
                .await?;
            *left = left.saturating_sub(count(lines).await?);
        }
        let oldest = newest.saturating_sub(EARLIER_ATTEMPTS_KEPT);
        for attempt in (oldest..newest).rev() {
            let query = LogQuery {
                tail: left,
                ..counted.clone()
            };
            if let Some(left) = &mut left {
                if *left == 0 {
                    break;
                }
                let lines = self
                    .log_now(task, container.clone(), attempt, &query)
                    .await?;
                *left = left.saturating_sub(count(lines).await?);
            }
            parts.push(
                self.log_now(task, container.clone(), attempt, &query)
                    .await?,
            );
        }
        parts.reverse();
        Ok(futures_util::stream::iter(parts).flatten().boxed())
    }

    /// What the attempts after `attempt` write, as each of them begins, until the container has ended for good.
    fn later_logs(
        &self,
        id: TaskId,
        container: ContainerName,
        attempt: u32,
        query: LogQuery,
    ) -> Lines {
        let query = LogQuery {
            tail: None,
            ..query
        };
        let begin = (self.clone(), attempt);
        let logs = futures_util::stream::try_unfold(begin, move |(this, attempt)| {
            let (id, container, query) = (id.clone(), container.clone(), query.clone());
            async move {
                let Some(next) = this.next_attempt(&id, &container, attempt).await? else {
                    return Ok::<_, ControlError>(None);
                };
                let task = this.task(&id).await?;
                let lines = this.log_now(&task, container, next, &query).await?;
                Ok(Some((lines, (this, next))))
            }
        });
        logs.try_flatten().boxed()
    }

    /// Waits for the attempt after `attempt` to run a container; `None` when there will be none.
    async fn next_attempt(
        &self,
        id: &TaskId,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<Option<u32>, ControlError> {
        let mut changed = self.store.event_seq();
        loop {
            let task = self.task(id).await?;
            let Some(record) = task.containers.get(container) else {
                return Ok(None);
            };
            if record.restart_count > attempt {
                return Ok(Some(attempt + 1));
            }
            if record.last_status == ContainerStatus::Stopped {
                return Ok(None);
            }
            let _ = tokio::time::timeout(START_LOOK_EVERY, changed.changed()).await;
        }
    }

    /// The log of an attempt to run a container that has not been started: waits until it has, or never will be.
    fn log_from_its_start(
        &self,
        id: TaskId,
        container: ContainerName,
        attempt: u32,
        query: LogQuery,
    ) -> Lines {
        let this = self.clone();
        let later = async move {
            let mut changed = this.store.event_seq();
            loop {
                let task = this.task(&id).await?;
                if has_started(&task, &container) {
                    return this.log_now(&task, container, attempt, &query).await;
                }
                // A container of several may start without an event, so the wait is bounded.
                let _ = tokio::time::timeout(START_LOOK_EVERY, changed.changed()).await;
            }
        };
        futures_util::stream::once(later).try_flatten().boxed()
    }

    async fn log_now(
        &self,
        task: &Task,
        container: ContainerName,
        attempt: u32,
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        if self.store.logs().has(&task.id, &container, attempt) {
            return self.kept_log(task, container, attempt, query).await;
        }
        let request = LogRequest {
            task_id: task.id.clone(),
            container: container.clone(),
            attempt,
            follow: query.follow,
            since: query.since,
            tail: query.tail,
        };
        match self.engine.logs(request).await {
            Ok(lines) => Ok(self.or_kept(task.clone(), container, attempt, query.clone(), lines)),
            // It was not created yet, or it was removed since: then what was kept is all there is.
            Err(EngineError::NotFound(_)) => self.kept_log(task, container, attempt, query).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The engine's `lines`, unless the container is being removed just now: then its log has been kept.
    fn or_kept(
        &self,
        task: Task,
        container: ContainerName,
        attempt: u32,
        query: LogQuery,
        mut lines: BoxStream<'static, Result<LogLine, EngineError>>,
    ) -> Lines {
        let this = self.clone();
        let first = async move {
            let first = lines.next().await;
            let is_kept = || this.store.logs().has(&task.id, &container, attempt);
            if matches!(first, Some(Err(_))) && is_kept() {
                return this.kept_log(&task, container, attempt, &query).await;
            }
            let lines = futures_util::stream::iter(first).chain(lines);
            let lines = lines.map_ok(move |line| TaskLogLine {
                container: container.clone(),
                line,
            });
            Ok(lines.map_err(ControlError::from).boxed())
        };
        futures_util::stream::once(first).try_flatten().boxed()
    }

    async fn kept_log(
        &self,
        task: &Task,
        container: ContainerName,
        attempt: u32,
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        let logs = self.store.logs();
        if !logs.has(&task.id, &container, attempt) {
            return Ok(futures_util::stream::empty().boxed());
        }
        let lines = logs
            .read(&task.id, &container, attempt, query.since, query.tail)
            .await?;
        Ok(lines
            .map_ok(move |kept| TaskLogLine {
                container: container.clone(),
                line: LogLine {
                    at: kept.at,
                    stream: if kept.stderr {
                        LogStream::Stderr
                    } else {
                        LogStream::Stdout
                    },
                    text: Bytes::from(kept.text),
                },
            })
            .map_err(ControlError::from)
            .boxed())
    }
}

/// Which attempt to run a container is the newest that may have written something.
fn attempt(task: &Task, container: &ContainerName) -> u32 {
    let record = task.containers.get(container);
    record.map_or(0, |record| record.attempt)
}

async fn count(lines: Lines) -> Result<u64, ControlError> {
    let add = |sum: u64, _| async move { Ok(sum + 1) };
    lines.try_fold(0, add).await
}

/// Whether a container has been started, or never will be.
fn has_started(task: &Task, container: &ContainerName) -> bool {
    let pending = |record: &ContainerRecord| record.last_status == ContainerStatus::Pending;
    task.last_status == LastStatus::Stopped || !task.containers.get(container).is_none_or(pending)
}

fn wanted_containers(task: &Task, query: &LogQuery) -> Result<Vec<ContainerName>, ControlError> {
    let names: Vec<ContainerName> = task
        .spec
        .containers
        .iter()
        .map(|container| container.name.clone())
        .collect();
    let Some(wanted) = &query.container else {
        return Ok(names);
    };
    if names.contains(wanted) {
        return Ok(vec![wanted.clone()]);
    }
    let known: Vec<&str> = names.iter().map(ContainerName::as_str).collect();
    Err(ControlError::not_found(
        format!("container \"{wanted}\" of task \"{}\"", task.id),
        format!("its containers are: {}", known.join(", ")),
    ))
}

/// Merges streams that are in order into one that is; holds one line of each.
fn merge_by_time(streams: Vec<Lines>) -> Lines {
    let heads: Vec<(Lines, Option<TaskLogLine>)> =
        streams.into_iter().map(|lines| (lines, None)).collect();
    futures_util::stream::try_unfold(heads, |mut heads| async move {
        let mut open = Vec::with_capacity(heads.len());
        for (mut lines, head) in heads.drain(..) {
            match head {
                Some(head) => open.push((lines, Some(head))),
                None => {
                    if let Some(line) = lines.try_next().await? {
                        open.push((lines, Some(line)));
                    }
                }
            }
        }
        let first = open
            .iter_mut()
            .min_by_key(|(_, head)| head.as_ref().map(|line| line.line.at))
            .and_then(|(_, head)| head.take());
        Ok(first.map(|line| (line, open)))
    })
    .boxed()
}
