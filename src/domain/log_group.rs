//! Log groups and streams, as `CloudWatch` Logs has them: names under which the logs of containers are found.
//!
//! A line lies where its container's log lies, and nowhere else; a stream only says which container that is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ContainerName, LogGroupName, Task, TaskId, TimestampMs};

/// Where a container's log is to be found: the options of the log driver `awslogs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsLogs {
    /// The group.
    pub group: LogGroupName,
    /// What the names of its streams begin with.
    #[serde(default)]
    pub stream_prefix: Option<String>,
}

impl AwsLogs {
    /// The stream of a container of a task: `prefix/container/task-id`.
    ///
    /// Source: Amazon ECS developer guide, "Send Amazon ECS logs to `CloudWatch`". Without a prefix, which Fargate
    /// requires, it is `container/task-id`.
    pub fn stream(&self, container: &ContainerName, task: &TaskId) -> String {
        match &self.stream_prefix {
            Some(prefix) => format!("{prefix}/{container}/{task}"),
            None => format!("{container}/{task}"),
        }
    }
}

impl Task {
    /// The group and stream of each of its containers that has one.
    pub fn log_streams(&self) -> impl Iterator<Item = (&LogGroupName, String, &ContainerName)> {
        self.spec.containers.iter().filter_map(|container| {
            let logs = container.awslogs.as_ref()?;
            let stream = logs.stream(&container.name, &self.id);
            Some((&logs.group, stream, &container.name))
        })
    }
}

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub name: LogGroupName,
    /// For how long its lines are to be kept, in days. Only given back: what is kept is the operator's choice.
    pub retention_in_days: Option<u32>,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// When it was made, by a client or by the first task that named it.
    pub created_at: TimestampMs,
}

/// A log stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStream {
    /// The order in which streams were made.
    pub seq: i64,
    /// Its name within its group.
    pub name: String,
    /// Whose log it is; nobody's, if a client made it.
    pub writer: Option<(TaskId, ContainerName)>,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// Whether a stream may have this name: up to 512 visible characters without `:` and `*`.
///
/// Source: Amazon `CloudWatch` Logs API reference, "`CreateLogStream`".
pub fn is_log_stream_name(text: &str) -> bool {
    let is_wrong = |c: char| c.is_control() || c == ':' || c == '*';
    (1..=512).contains(&text.chars().count()) && !text.contains(is_wrong)
}
