//! The machine of a simulated daemon: its start, and the cgroups that were made on it.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::SimDaemon;
use super::model::MISSING;
use crate::domain::InstanceId;
use crate::engine::docker::host::{Group, GroupLimits, GroupUse, Host, Traffic};
use crate::engine::docker::lexical;
use crate::engine::{ExecSignal, Look};

/// The machine below a daemon that is a model.
pub(super) struct SimHost(pub(super) SimDaemon);

/// As the real one, with the engine's `cgroupfs` driver.
fn path(group: &Group) -> String {
    format!("/neargate/{}/{}", group.instance, group.name)
}

#[async_trait]
impl Host for SimHost {
    fn boot_id(&self) -> Option<String> {
        Some(self.0.with(|model| model.boot_id()))
    }

    fn parent(&self, group: &Group) -> String {
        path(group)
    }

    async fn hold(&self, group: &Group, limits: GroupLimits) -> Result<(), String> {
        self.0.with(|model| model.hold_group(path(group), limits))
    }

    async fn settle(&self, _: &Group, _: GroupLimits) -> Result<(), String> {
        Ok(())
    }

    async fn is_in(&self, group: &Group, pid: u32) -> Option<bool> {
        self.0.with(|model| model.is_in_group(pid, &path(group)))
    }

    async fn signal(&self, container: &str, pid: u32, signal: ExecSignal) -> Result<(), String> {
        self.0
            .with(|model| model.signal_exec(container, pid, signal.as_str()))
    }

    async fn has_ended(&self, container: &str, pid: u32) -> bool {
        let is_over = self.0.with(|model| model.await_end(container, pid));
        match is_over {
            Some(is_over) => is_over.await.is_ok(),
            None => false,
        }
    }

    async fn oom_kills(&self, group: &Group) -> u64 {
        self.0.with(|model| model.oom_kills(&path(group)))
    }

    async fn uses(&self, groups: Vec<Group>, look: Look) -> Vec<Option<GroupUse>> {
        self.0.with(|model| {
            let of = |group: &Group| model.group_use(&path(group), look);
            groups.iter().map(of).collect()
        })
    }

    async fn traffic(&self, container: &str, pid: u32) -> Option<Traffic> {
        self.0.with(|model| model.traffic(container, pid))
    }

    async fn remove(&self, group: &Group) -> Result<(), String> {
        self.0.with(|model| model.remove_group(&path(group)))
    }

    async fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
        if path.components().any(|part| part.as_os_str() == MISSING) {
            return Err(format!(
                "{} does not exist on the engine's host",
                path.display()
            ));
        }
        Ok(lexical(&path.to_string_lossy()))
    }

    fn engine_files(&self) -> Vec<PathBuf> {
        vec![PathBuf::from("/var/run/docker.sock")]
    }

    async fn groups(&self, instance: &InstanceId) -> Vec<Group> {
        let above = format!("/neargate/{instance}/");
        let paths = self.0.with(|model| model.group_paths());
        let names = paths.iter().filter_map(|path| path.strip_prefix(&above));
        let group = |name: &str| Group {
            instance: instance.clone(),
            name: name.to_owned(),
        };
        names.map(group).collect()
    }

    async fn forget(&self, _: &InstanceId) {}
}
