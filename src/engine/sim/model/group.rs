//! The cgroups of the daemon's host: made by whoever may, lost when the host goes down.

use super::{Container, Model};
use crate::engine::docker::host::GroupLimits;
use crate::engine::sim::GroupSnapshot;

/// A cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Group {
    /// `None` for one that the daemon made itself: such a group holds nobody.
    limits: Option<GroupLimits>,
    oom_kills: u64,
}

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
