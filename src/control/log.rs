//! Reading what a task's containers wrote: from the engine while it has them, from the store after that.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{StreamExt, TryStreamExt};

use super::{Control, ControlError};
use crate::domain::{
    ContainerName, ContainerRecord, ContainerStatus, LastStatus, Task, TaskId, TimestampMs,
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

    async fn container_log(
        &self,
        task: &Task,
        container: ContainerName,
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        if query.follow && !has_started(task, &container) {
            return Ok(self.log_from_its_start(task.id.clone(), container, query.clone()));
        }
        self.log_now(task, container, query).await
    }

    /// The log of a container that has not been started: waits until it has, or never will be.
    fn log_from_its_start(&self, id: TaskId, container: ContainerName, query: LogQuery) -> Lines {
        let this = self.clone();
        let later = async move {
            let mut changed = this.store.event_seq();
            loop {
                let task = this.task(&id).await?;
                if has_started(&task, &container) {
                    return this.log_now(&task, container, &query).await;
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
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        if self.store.logs().has(&task.id, &container) {
            return self.kept_log(task, container, query).await;
        }
        let request = LogRequest {
            task_id: task.id.clone(),
            container: container.clone(),
            follow: query.follow,
            since: query.since,
            tail: query.tail,
        };
        match self.engine.logs(request).await {
            Ok(lines) => Ok(self.or_kept(task.clone(), container, query.clone(), lines)),
            // It was not created yet, or it was removed since: then what was kept is all there is.
            Err(EngineError::NotFound(_)) => self.kept_log(task, container, query).await,
            Err(error) => Err(error.into()),
        }
    }

    /// The engine's `lines`, unless the container is being removed just now: then its log has been kept.
    fn or_kept(
        &self,
        task: Task,
        container: ContainerName,
        query: LogQuery,
        mut lines: BoxStream<'static, Result<LogLine, EngineError>>,
    ) -> Lines {
        let this = self.clone();
        let first = async move {
            let first = lines.next().await;
            if matches!(first, Some(Err(_))) && this.store.logs().has(&task.id, &container) {
                return this.kept_log(&task, container, &query).await;
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
        query: &LogQuery,
    ) -> Result<Lines, ControlError> {
        let logs = self.store.logs();
        if !logs.has(&task.id, &container) {
            return Ok(futures_util::stream::empty().boxed());
        }
        let lines = logs
            .read(&task.id, &container, query.since, query.tail)
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
