//! What tasks use at this moment, as the engine tells it. Nothing of it is kept; bills are made from `usage`.

use futures_util::future::join_all;
use serde_json::Value;

use super::{Control, ControlError};
use crate::domain::{ContainerName, ContainerStatus, TaskId, TimestampMs};
use crate::engine::EngineError;

/// How many containers the engine is asked about at once, by all callers together.
pub(super) const FIGURES_AT_ONCE: usize = 8;

/// What a task uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFigures {
    /// The task.
    pub task_id: TaskId,
    /// Its containers that run, in the order of the definition.
    pub containers: Vec<ContainerFigures>,
    /// Its traffic, if it has a network of its own.
    pub network: Option<Traffic>,
}

/// What a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerFigures {
    /// Its name.
    pub name: ContainerName,
    /// When this was read, by the engine's clock.
    pub read_at: TimestampMs,
    /// Since its start, in nanoseconds, on all processors together.
    pub cpu_time_ns: u64,
    /// Without what the kernel keeps of files and could give up, as `docker stats` counts it.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub processes: u64,
}

/// Bytes since the task's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// That came.
    pub received_bytes: u64,
    /// That went.
    pub sent_bytes: u64,
}

impl Control {
    /// What a task uses now. A task that does not run uses nothing.
    pub async fn task_figures(&self, id: &TaskId) -> Result<TaskFigures, ControlError> {
        let task = self.task(id).await?;
        let running = task.spec.containers.iter().filter_map(|definition| {
            let record = task.containers.get(&definition.name)?;
            (record.last_status == ContainerStatus::Running).then_some(&definition.name)
        });
        let looks = running.map(|name| async {
            // Never closed.
            let _permit = self.figures.acquire().await;
            let found = self.engine.stats(&task.id, name, true).await;
            (name.clone(), found)
        });
        let mut figures = TaskFigures {
            task_id: task.id.clone(),
            containers: Vec::new(),
            network: None,
        };
        for (name, found) in join_all(looks).await {
            let value = match found {
                // It has ended in between.
                Err(EngineError::NotFound(_)) => continue,
                found => found?,
            };
            figures.network = figures.network.or_else(|| traffic(&value));
            figures.containers.extend(read(name, &value));
        }
        Ok(figures)
    }
}

/// Docker's figures of a container that runs; for one that does not, they have no time.
fn read(name: ContainerName, value: &Value) -> Option<ContainerFigures> {
    let read_at: jiff::Timestamp = value["read"].as_str()?.parse().ok()?;
    let read_at = TimestampMs::from_millis(read_at.as_millisecond());
    if read_at <= TimestampMs::from_millis(0) {
        return None;
    }
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let memory = &value["memory_stats"];
    // Of cgroup v1, of v2.
    let cached = [
        &memory["stats"]["total_inactive_file"],
        &memory["stats"]["inactive_file"],
    ];
    let cached = cached
        .into_iter()
        .find_map(Value::as_u64)
        .unwrap_or_default();
    Some(ContainerFigures {
        name,
        read_at,
        cpu_time_ns: number(&value["cpu_stats"]["cpu_usage"]["total_usage"]),
        memory_bytes: number(&memory["usage"]).saturating_sub(cached),
        processes: number(&value["pids_stats"]["current"]),
    })
}

/// The sum over the interfaces of the task.
fn traffic(value: &Value) -> Option<Traffic> {
    let interfaces = value["networks"].as_object()?;
    let mut sum = Traffic::default();
    for interface in interfaces.values() {
        let number = |name: &str| interface[name].as_u64().unwrap_or_default();
        sum.received_bytes += number("rx_bytes");
        sum.sent_bytes += number("tx_bytes");
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_read_as_docker_writes_them_for_either_version_of_cgroups() {
        let figures = |stats: Value| {
            let value = json!({
                "read": "2026-01-31T08:15:00.5Z",
                "cpu_stats": { "cpu_usage": { "total_usage": 7_000_000 } },
                "memory_stats": { "usage": 5_000, "stats": stats },
                "pids_stats": { "current": 3 },
                "networks": { "eth0": { "rx_bytes": 1, "tx_bytes": 2 }, "eth1": { "rx_bytes": 10 } },
            });
            assert_eq!(
                traffic(&value),
                Some(Traffic {
                    received_bytes: 11,
                    sent_bytes: 2
                })
            );
            read("web".parse().unwrap(), &value).unwrap()
        };
        let first = figures(json!({ "total_inactive_file": 1_000, "inactive_file": 9 }));
        assert_eq!(first.read_at.to_string(), "2026-01-31T08:15:00.500Z");
        assert_eq!(
            (first.cpu_time_ns, first.memory_bytes, first.processes),
            (7_000_000, 4_000, 3)
        );
        assert_eq!(
            figures(json!({ "inactive_file": 2_000 })).memory_bytes,
            3_000
        );
        assert_eq!(figures(Value::Null).memory_bytes, 5_000);
    }

    #[test]
    fn a_container_that_does_not_run_has_no_figures() {
        let name: ContainerName = "web".parse().unwrap();
        let value = json!({ "read": "0001-01-01T00:00:00Z", "pids_stats": {} });
        assert_eq!(read(name.clone(), &value), None);
        assert_eq!(read(name, &Value::Null), None);
        assert_eq!(traffic(&value), None);
    }
}
