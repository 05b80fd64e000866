//! What tasks use: by their cgroups where they have one, by the daemon's statistics otherwise.
//!
//! A cgroup around a task keeps its counts for as long as the task is there, so it can be read after the last container
//! has ended. The daemon's statistics end with the process, so the last that was seen of each container counts. They also
//! cost a call for each container, so only a closer look asks for them, a few at a time, and gives up when that takes too
//! long: who was not asked is asked the next time.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use super::DockerEngine;
use super::daemon::ContainerInspect;
use super::host::{Host, Traffic};
use crate::domain::{ContainerName, TaskId, UseSource};
use crate::engine::{EngineError, Look, MeasureTarget, UseCounts, UseReading};

/// How many containers the daemon is asked about at once.
const ASKED_AT_ONCE: usize = 4;
/// After that nobody else is asked about: it is the daemon's time, and many short looks disturb less than a long one.
const ASKED_FOR: Duration = Duration::from_millis(50);
/// How long all of them together may take.
const ASKED_WITHIN: Duration = Duration::from_secs(5);

/// The process that owns a task's network namespace.
#[derive(Clone, Debug)]
pub(super) struct NetworkOwner {
    container: String,
    pid: u32,
}

/// What was counted last of containers that have no cgroup of Neargate's around them, by task and container ID. Those of
/// earlier attempts stay.
pub(super) type Sampled = BTreeMap<TaskId, BTreeMap<String, UseCounts>>;

impl DockerEngine {
    /// Notes who owns the network namespace of a task, for as long as that one lives.
    pub(super) fn note_network_owner(&self, task: &TaskId, owner: &ContainerInspect) {
        if let Some(pid) = owner.pid.filter(|pid| *pid > 0) {
            let container = owner.id.clone();
            let mut owners = self
                .network_owners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            owners.insert(task.clone(), NetworkOwner { container, pid });
        }
    }

    /// Nothing of `task` is left.
    pub(super) fn forget_use(&self, task: &TaskId) {
        let mut owners = self
            .network_owners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        owners.remove(task);
        drop(owners);
        let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        sampled.remove(task);
    }

    /// What these tasks use. One that nothing can be read of is left out.
    pub(super) async fn read_use(
        &self,
        targets: &[Arc<MeasureTarget>],
        look: Look,
    ) -> BTreeMap<TaskId, UseReading> {
        let mut found = BTreeMap::new();
        if let Ok(Some(host)) = self.daemon.host().await {
            let groups = targets
                .iter()
                .map(|one| self.names.group(one.task.as_str()));
            let uses = host.uses(groups.collect(), look).await;
            for (target, group) in targets.iter().zip(uses) {
                let Some(group) = group else { continue };
                let mut counts = group.counts;
                if let Some(counts) = &mut counts
                    && let Some(traffic) = self.traffic(&host, &target.task).await
                {
                    counts.network_rx_bytes = traffic.rx_bytes;
                    counts.network_tx_bytes = traffic.tx_bytes;
                }
                let reading = UseReading {
                    source: UseSource::Cgroup,
                    memory_bytes: group.memory_bytes,
                    counts,
                };
                found.insert(target.task.clone(), reading);
            }
        }
        if look == Look::All {
            self.ask_for_use(targets, &mut found).await;
        }
        found
    }

    async fn traffic(&self, host: &Arc<dyn Host>, task: &TaskId) -> Option<Traffic> {
        let owner = {
            let owners = self
                .network_owners
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            owners.get(task).cloned()?
        };
        host.traffic(&owner.container, owner.pid).await
    }

    /// Adds the tasks that have no group, by what the daemon says of their containers.
    async fn ask_for_use(
        &self,
        targets: &[Arc<MeasureTarget>],
        found: &mut BTreeMap<TaskId, UseReading>,
    ) {
        let others = targets.iter().filter(|one| !found.contains_key(&one.task));
        let others: Vec<Arc<MeasureTarget>> = others.cloned().collect();
        let began = Instant::now();
        let all = async {
            for some in others.chunks(ASKED_AT_ONCE) {
                if began.elapsed() > ASKED_FOR {
                    return;
                }
                let answers = join_all(some.iter().map(|target| self.sample(target))).await;
                for (target, answer) in some.iter().zip(answers) {
                    let task = &target.task;
                    match answer {
                        Ok(Some(reading)) => {
                            found.insert(task.clone(), reading);
                        }
                        Ok(None) => {}
                        Err(error) => tracing::debug!(%task, %error, "what it uses is not known"),
                    }
                }
            }
        };
        if tokio::time::timeout(ASKED_WITHIN, all).await.is_err() {
            tracing::debug!("the engine was not asked about all tasks; the others come later");
        }
    }

    /// What the daemon says of the containers of one task.
    async fn sample(&self, target: &MeasureTarget) -> Result<Option<UseReading>, EngineError> {
        let mut memory_bytes = 0_u64;
        for name in &target.containers {
            let Some((id, memory, counts)) = self.sample_container(&target.task, name).await?
            else {
                continue;
            };
            memory_bytes = memory_bytes.saturating_add(memory);
            let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
            let of_task = sampled.entry(target.task.clone()).or_default();
            of_task.insert(id, counts);
        }
        let sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(all) = sampled.get(&target.task).filter(|all| !all.is_empty()) else {
            return Ok(None);
        };
        let mut counts = UseCounts::default();
        for one in all.values() {
            counts.cpu_ns += one.cpu_ns;
            counts.memory_peak_bytes = counts.memory_peak_bytes.max(one.memory_peak_bytes);
            // They share one network namespace, and each is told of all that went through it.
            counts.network_rx_bytes = counts.network_rx_bytes.max(one.network_rx_bytes);
            counts.network_tx_bytes = counts.network_tx_bytes.max(one.network_tx_bytes);
            counts.block_read_bytes += one.block_read_bytes;
            counts.block_write_bytes += one.block_write_bytes;
        }
        counts.memory_peak_bytes = counts.memory_peak_bytes.max(memory_bytes);
        Ok(Some(UseReading {
            source: UseSource::Sample,
            memory_bytes,
            counts: Some(counts),
        }))
    }

    async fn sample_container(
        &self,
        task: &TaskId,
        name: &ContainerName,
    ) -> Result<Option<(String, u64, UseCounts)>, EngineError> {
        let figures = match self.figures(task, name, true).await {
            Err(EngineError::NotFound(_)) => return Ok(None),
            figures => figures?,
        };
        Ok(read_figures(&figures))
    }
}

/// Docker's figures of a container that runs: its ID, its memory now, and what was counted. For one that does not run
/// all are zero, which is no answer.
fn read_figures(figures: &Value) -> Option<(String, u64, UseCounts)> {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let cpu_ns = number(&figures["cpu_stats"]["cpu_usage"]["total_usage"]);
    let memory = &figures["memory_stats"];
    let usage = number(&memory["usage"]);
    if cpu_ns == 0 && usage == 0 {
        return None;
    }
    // Of cgroup v1, of v2.
    let idle = ["total_inactive_file", "inactive_file"];
    let cached = idle
        .iter()
        .find_map(|name| memory["stats"][name].as_u64())
        .unwrap_or_default();
    let over_interfaces = |name: &str| {
        let interfaces = figures["networks"].as_object();
        let values = interfaces.into_iter().flat_map(|all| all.values());
        values.map(|one| number(&one[name])).sum()
    };
    let over_devices = |which: &str| {
        let entries = figures["blkio_stats"]["io_service_bytes_recursive"].as_array();
        let of_kind = |entry: &&Value| {
            let op = entry["op"].as_str().unwrap_or_default();
            op.eq_ignore_ascii_case(which)
        };
        let entries = entries.into_iter().flatten().filter(of_kind);
        entries.map(|entry| number(&entry["value"])).sum()
    };
    let memory_bytes = usage.saturating_sub(cached);
    let counts = UseCounts {
        cpu_ns,
        // Docker tells the peak for cgroup v1 alone.
        memory_peak_bytes: number(&memory["max_usage"]).max(memory_bytes),
        network_rx_bytes: over_interfaces("rx_bytes"),
        network_tx_bytes: over_interfaces("tx_bytes"),
        block_read_bytes: over_devices("read"),
        block_write_bytes: over_devices("write"),
    };
    let id = figures["id"].as_str().unwrap_or_default().to_owned();
    Some((id, memory_bytes, counts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_docker_says_of_a_container_is_read_for_either_version_of_cgroups() {
        let (id, memory, counts) = read_figures(&json!({
            "id": "abc",
            "cpu_stats": { "cpu_usage": { "total_usage": 7_000_000 } },
            "memory_stats": { "usage": 5_000, "max_usage": 9_000, "stats": { "total_inactive_file": 1_000 } },
            "networks": { "eth0": { "rx_bytes": 1, "tx_bytes": 2 }, "eth1": { "rx_bytes": 10, "tx_bytes": 0 } },
            "blkio_stats": { "io_service_bytes_recursive": [
                { "major": 8, "minor": 0, "op": "Read", "value": 100 },
                { "major": 8, "minor": 0, "op": "Write", "value": 20 },
                { "major": 8, "minor": 16, "op": "read", "value": 3 },
            ] },
        }))
        .unwrap();
        assert_eq!((id.as_str(), memory), ("abc", 4_000));
        let expected = UseCounts {
            cpu_ns: 7_000_000,
            memory_peak_bytes: 9_000,
            network_rx_bytes: 11,
            network_tx_bytes: 2,
            block_read_bytes: 103,
            block_write_bytes: 20,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn zeroes_of_a_container_that_has_ended_are_no_answer() {
        let ended =
            json!({ "cpu_stats": { "cpu_usage": { "total_usage": 0 } }, "memory_stats": {} });
        assert_eq!(read_figures(&ended), None);
    }
}
