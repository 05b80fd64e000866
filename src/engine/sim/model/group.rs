//! The cgroups of the daemon's host: made by whoever may, lost when the host goes down.

use super::{Container, Model};
use crate::engine::docker::host::{GroupLimits, GroupUse, Traffic};
use crate::engine::sim::GroupSnapshot;
use crate::engine::{Look, UseCounts};

/// A cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// `None` for one that the daemon made itself: such a group holds nobody.
    limits: Option<GroupLimits>,
    oom_kills: u64,
    /// How long processes ran in it that have ended.
    lived_ms: u64,
}

/// What every process in the model uses: a thousandth of a processor, and this much memory and traffic.
const CPU_NS_PER_MS: u64 = 1_000;
const MEMORY_BYTES: u64 = 1_048_576;
const TRAFFIC: Traffic = Traffic {
    rx_bytes: 3_000,
    tx_bytes: 2_000,
};

impl Model {
    /// Another one after each start of the host.
    pub(crate) fn boot_id(&self) -> String {
        format!("boot-{}", self.boots)
    }

    /// Makes a group, or gives it other limits.
    pub(crate) fn hold_group(&mut self, path: String, limits: GroupLimits) -> Result<(), String> {
        let driver = &self.config.info.cgroup_driver;
        if driver != "cgroupfs" {
            return Err(format!(
                "the engine's cgroup driver `{driver}` makes no groups"
            ));
        }
        self.groups.entry(path).or_default().limits = Some(limits);
        Ok(())
    }

    /// Removes a group, in which nothing may run.
    pub(crate) fn remove_group(&mut self, path: &str) -> Result<(), String> {
        let is_in = |one: &Container| one.is_running() && one.cgroup_parent() == Some(path);
        if self.containers.values().any(is_in) {
            return Err(format!(
                "the cgroup {path} cannot be used: Device or resource busy"
            ));
        }
        self.groups.remove(path);
        Ok(())
    }

    /// The paths of all groups.
    pub(crate) fn group_paths(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// How many processes of a group the kernel has killed.
    pub(crate) fn oom_kills(&self, path: &str) -> u64 {
        self.groups.get(path).map_or(0, |group| group.oom_kills)
    }

    /// What the processes of a group have used; `None` when there is no such group.
    pub(crate) fn group_use(&self, path: &str, look: Look) -> Option<GroupUse> {
        let group = self.groups.get(path)?;
        let is_in = |one: &&Container| one.cgroup_parent() == Some(path);
        let inside = self.containers.values().filter(is_in);
        let living: Vec<u64> = inside.filter_map(|one| self.lived_ms(one)).collect();
        let lived_ms = group.lived_ms + living.iter().sum::<u64>();
        let memory_bytes = MEMORY_BYTES * living.len() as u64;
        let counts = UseCounts {
            cpu_ns: lived_ms * CPU_NS_PER_MS,
            memory_peak_bytes: MEMORY_BYTES,
            ..UseCounts::default()
        };
        Some(GroupUse {
            memory_bytes,
            counts: (look == Look::All).then_some(counts),
        })
    }

    /// How long the process of a container has run by now, by the model's time; `None` when it does not.
    fn lived_ms(&self, container: &Container) -> Option<u64> {
        let process = container.process.as_ref()?;
        Some(self.now.since(process.began).as_millis().unsigned_abs())
    }

    /// The process of a container in the group ends.
    pub(super) fn leave_group(&mut self, number: u64) {
        let Some(container) = self.containers.get(&number) else {
            return;
        };
        let lived_ms = self.lived_ms(container).unwrap_or_default();
        let path = container.cgroup_parent().map(str::to_owned);
        if let Some(group) = path.and_then(|path| self.groups.get_mut(&path)) {
            group.lived_ms += lived_ms;
        }
    }

    /// What went through the network namespace of a container's process.
    pub(crate) fn traffic(&self, container: &str, pid: u32) -> Option<Traffic> {
        let number = self.number_of(container)?;
        let found = self.containers.get(&number)?;
        (found.pid() == Some(pid)).then_some(TRAFFIC)
    }

    /// Whether a process is in a group; `None` when there is no such process.
    pub(crate) fn is_in_group(&self, pid: u32, path: &str) -> Option<bool> {
        let of_pid = |one: &&Container| one.pid() == Some(pid);
        let container = self.containers.values().find(of_pid)?;
        Some(container.cgroup_parent() == Some(path))
    }

    /// What the daemon does at a start: it makes the group if nobody has.
    pub(super) fn enter_group(&mut self, path: Option<&str>) {
        if let Some(path) = path {
            self.groups.entry(path.to_owned()).or_default();
        }
    }

    /// The kernel kills a container for the memory of its group, and the daemon does not notice.
    pub(super) fn exceed_group(&mut self, number: u64) -> bool {
        let Some(container) = self.containers.get(&number) else {
            return false;
        };
        let path = container.cgroup_parent().map(str::to_owned);
        let Some(group) = path.and_then(|path| self.groups.get_mut(&path)) else {
            return false;
        };
        group.oom_kills += 1;
        self.end(number, 137, false);
        true
    }

    pub(super) fn group_snapshots(&self) -> Vec<GroupSnapshot> {
        let snapshot = |(path, group): (&String, &Group)| GroupSnapshot {
            path: path.clone(),
            limits: group.limits,
        };
        self.groups.iter().map(snapshot).collect()
    }
}
