//! What a task uses at this moment, as it travels. What it used and what that is worth is `usage`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::{ContainerFigures, TaskFigures};

/// What a task uses. CPU time and traffic count up: what lies between two answers is what was used in between.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStats {
    /// The task.
    pub task_id: String,
    /// Its containers that run.
    pub containers: Vec<ContainerStats>,
    /// Its traffic, for as long as it has a network of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkStats>,
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStats {
    /// Its name.
    pub name: String,
    /// When the engine read these figures, by its clock.
    #[schema(format = DateTime)]
    pub read_at: String,
    /// CPU time since it was started, in nanoseconds, on all processors together.
    pub cpu_time_ns: u64,
    /// Memory that it holds, without what the kernel keeps of files and could give up.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// The traffic of a task since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkStats {
    /// Bytes that came.
    pub received_bytes: u64,
    /// Bytes that went.
    pub sent_bytes: u64,
}

impl From<&TaskFigures> for TaskStats {
    fn from(figures: &TaskFigures) -> Self {
        Self {
            task_id: figures.task_id.to_string(),
            containers: figures.containers.iter().map(Into::into).collect(),
            network: figures.network.map(|traffic| NetworkStats {
                received_bytes: traffic.received_bytes,
                sent_bytes: traffic.sent_bytes,
            }),
        }
    }
}

impl From<&ContainerFigures> for ContainerStats {
    fn from(figures: &ContainerFigures) -> Self {
        Self {
            name: figures.name.to_string(),
            read_at: figures.read_at.to_string(),
            cpu_time_ns: figures.cpu_time_ns,
            memory_bytes: figures.memory_bytes,
            processes: figures.processes,
        }
    }
}
