//! One container: what it was created from, where it is in its life, and how the daemon tells of it.

use std::collections::BTreeMap;

use super::health::Health;
use super::log::Log;
use super::network::Attachment;
use crate::domain::{NetworkBinding, TimestampMs};
use crate::engine::docker::daemon::{ContainerInspect, ContainerSpec, ContainerSummary};
use crate::engine::sim::ContainerSnapshot;
use crate::engine::sim::program::Script;

/// Where a container is in its life, in Docker's words. Docker's `restarting` is for restart policies,
/// which nobody here can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Running,
    Paused,
    Exited,
    Removing,
    Dead,
}

impl Phase {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

/// A container that exists.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) spec: ContainerSpec,
    pub(super) image_id: String,
    /// Repository of the image: what the process does is decided by it.
    pub(super) repository: String,
    /// Entry point and command.
    pub(super) argv: Vec<String>,
    /// As the process sees it.
    pub(super) env: Vec<String>,
    pub(super) stop_signal: String,
    pub(super) phase: Phase,
    /// How often it was started.
    pub(super) runs: u32,
    pub(super) process: Option<Process>,
    pub(super) exit_code: i64,
    pub(super) oom_killed: bool,
    /// The host took its last run down with it: what is said of that one's end is made up.
    pub(super) lost: bool,
    pub(super) error: Option<String>,
    /// By the daemon's clock.
    pub(super) started_at: Option<TimestampMs>,
    /// By the daemon's clock; of the last run that has ended.
    pub(super) finished_at: Option<TimestampMs>,
    /// The same by the model's time.
    pub(super) ended: Option<TimestampMs>,
    pub(super) health: Option<Health>,
    pub(super) log: Log,
    /// Those that were put into it, by path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// What a container has while its process lives.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) script: Script,
    /// By the model's time.
    pub(super) began: TimestampMs,
    /// Index of the next piece of output.
    pub(super) next_piece: u64,
    /// It would have ended while it was paused.
    pub(super) overdue: bool,
    /// Its place on a network.
    pub(super) attachment: Option<Attachment>,
    /// The container whose namespace it has joined, as an ID.
    pub(super) joined: Option<String>,
    pub(super) bindings: Vec<NetworkBinding>,
}

impl Container {
    /// 64 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether it was created from the image of that ID.
    pub(super) fn is_made_from(&self, image: &str) -> bool {
        self.image_id == image
    }

    /// Without the leading slash.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// All of them.
    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.spec.labels
    }

    /// Whether its process lives, paused or not.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The ID or name of the container whose namespace it joins.
    pub(super) fn joins(&self) -> Option<&str> {
        self.spec.network_mode.strip_prefix("container:")
    }

    /// The cgroup that it is in while it runs.
    pub(super) fn cgroup_parent(&self) -> Option<&str> {
        self.spec.cgroup_parent.as_deref()
    }

    /// Of its process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.pid)
    }

    fn address(&self) -> Option<String> {
        self.process
            .as_ref()
            .and_then(|process| process.attachment.as_ref())
            .map(|attachment| attachment.address.to_string())
    }

    fn bindings(&self) -> Vec<NetworkBinding> {
        self.process
            .as_ref()
            .map(|process| process.bindings.clone())
            .unwrap_or_default()
    }

    pub(super) fn inspect(&self) -> ContainerInspect {
        ContainerInspect {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.spec.labels.clone(),
            image_id: self.image_id.clone(),
            status: self.phase.as_str().to_owned(),
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            error: self.error.clone(),
            started_at: self.started_at,
            finished_at: self.finished_at,
            health: self.health.as_ref().map(Health::status),
            health_output: self.health.as_ref().and_then(Health::last_output),
            network_mode: self.spec.network_mode.clone(),
            ip_address: self.address(),
            bindings: self.bindings(),
            stop_signal: self.stop_signal.clone(),
            cgroup_parent: self.spec.cgroup_parent.clone(),
            pid: self.pid(),
        }
    }

    pub(super) fn summary(&self) -> ContainerSummary {
        ContainerSummary {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.spec.labels.clone(),
            status: self.phase.as_str().to_owned(),
            health: self.health.as_ref().map(Health::status),
            network_mode: self.spec.network_mode.clone(),
        }
    }

    pub(super) fn snapshot(&self) -> ContainerSnapshot {
        let process = self.process.as_ref();
        ContainerSnapshot {
            id: self.id.clone(),
            name: self.name.clone(),
            labels: self.spec.labels.clone(),
            image: self.spec.image.clone(),
            env: self.spec.env.clone(),
            status: self.phase.as_str(),
            running: self.is_running(),
            pid: self.pid(),
            starts: self.runs,
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            lost: self.lost,
            started_at: self.started_at,
            finished_at: self.finished_at,
            began: process.map(|process| process.began),
            ended: self.ended,
            health: self.health.as_ref().map(Health::status),
            network_mode: self.spec.network_mode.clone(),
            joined: process.and_then(|process| process.joined.clone()),
            ip_address: self.address(),
            bindings: self.bindings(),
            memory_bytes: self.spec.memory_bytes,
            nano_cpus: self.spec.nano_cpus,
            cgroup_parent: self.spec.cgroup_parent.clone(),
        }
    }
}
