//! The seam below the Docker adapter that is not the daemon: the machine on which its containers run, as far
//! as Neargate may know it and write to it.
//!
//! Two things stand behind it: this machine (`cgroup`), and the model of one
//! ([`crate::engine::sim`]). A daemon on another machine has none, and what is asked here stays unknown.
//! Nothing here knows what a container is called or decides what it may have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::{CpuUnits, InstanceId, MemoryMib};
use crate::engine::{ExecSignal, Look, UseCounts};

/// The machine on which a daemon's containers run.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// Another one after each start of the machine; `None` when it does not say.
    fn boot_id(&self) -> Option<String>;

    /// What a container's `cgroup_parent` has to say for it to be put into `group`.
    fn parent(&self, group: &Group) -> String;

    /// Makes sure that `group` is there and held to `limits`. Says why not in one sentence, when that is not
    /// possible.
    ///
    /// Where systemd makes the groups, one is not there before something runs in it: then it is left for
    /// [`Host::settle`].
    async fn hold(&self, group: &Group, limits: GroupLimits) -> Result<(), String>;

    /// The same, when something was just started in it: then it must be there.
    async fn settle(&self, group: &Group, limits: GroupLimits) -> Result<(), String>;

    /// Whether a process of the host is in `group` or below it; `None` when there is no such process.
    async fn is_in(&self, group: &Group, pid: u32) -> Option<bool>;

    /// Sends a signal to a process of the host, if it is one of the container with that ID. One that has ended is
    /// no error. Says why not in one sentence, when it cannot be done.
    async fn signal(&self, container: &str, pid: u32, signal: ExecSignal) -> Result<(), String>;

    /// Waits until a process of the host has ended. `false`, at once, if it is not seen as one of the container with that ID, or
    /// cannot be waited for.
    async fn has_ended(&self, container: &str, pid: u32) -> bool;

    /// How many processes in `group` and below it the kernel has killed for want of memory, as far as it
    /// counts them there: cgroup v1 counts only where the process was.
    async fn oom_kills(&self, group: &Group) -> u64;

    /// What the processes of each group have used, those that have ended among them; `None` for a group that is not
    /// there. The counts have no network: that is not counted by groups.
    async fn uses(&self, groups: Vec<Group>, look: Look) -> Vec<Option<GroupUse>>;

    /// What went through the network namespace of a process, if that is one of the container with that ID.
    async fn traffic(&self, container: &str, pid: u32) -> Option<Traffic>;

    /// Removes `group`, in which nothing may run. Removing what is not there succeeds.
    async fn remove(&self, group: &Group) -> Result<(), String>;

    /// What `path` of the machine leads to, with symlinks and `..` resolved, as the daemon sees the machine: a
    /// folder or a plain file. Says why not in one sentence, when there is none or nobody can tell.
    async fn resolve(&self, path: &Path) -> Result<PathBuf, String>;

    /// The files and folders of the daemon itself, resolved: whoever has them has the machine.
    fn engine_files(&self) -> Vec<PathBuf>;

    /// The groups of an instance.
    async fn groups(&self, instance: &InstanceId) -> Vec<Group>;

    /// Removes what is above the groups of an instance, if there are none left. No harm is done when not.
    async fn forget(&self, instance: &InstanceId);
}

/// What was found out about a host.
#[derive(Clone, Default)]
pub enum KnownHost {
    /// Nobody has looked yet.
    #[default]
    NotYet,
    /// The host, or that there is none that can be used.
    Found(Option<Arc<dyn Host>>),
}

/// A group of processes: those of one task, or of the probe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Whose it is. A group of another instance is never touched.
    pub instance: InstanceId,
    /// A task's ID, or [`PROBE`]: letters and digits only.
    pub name: String,
}

/// What the processes of a group use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupUse {
    /// Memory at this moment, without files that the kernel could give up.
    pub memory_bytes: u64,
    /// Since the group was made; `None` after a look at the memory alone.
    pub counts: Option<UseCounts>,
}

/// What went through a network namespace since it was made, but for its loopback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub rx_bytes: u64,
    /// Sent.
    pub tx_bytes: u64,
}

/// The name of the group that is only made to find out whether groups hold.
pub const PROBE: &str = "probe";

/// What all processes of a group may have together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// The hard limit, and the weight against other groups.
    pub cpu: CpuUnits,
    /// The hard limit. Swap is never added to it.
    pub memory: MemoryMib,
    /// How many processes and threads.
    pub pids: i64,
}
