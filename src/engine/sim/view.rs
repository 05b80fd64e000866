//! What a simulated daemon shows to whoever checks on it: its world, and what it was asked.

use std::collections::BTreeMap;

use super::faults::CallKind;
use crate::domain::{HealthStatus, NetworkBinding, TimestampMs};
use crate::engine::docker::host::GroupLimits;

/// Everything that can be seen of a daemon, at one time. Its `Debug` text is the same in every run in which
/// the same happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The time by which the model goes.
    pub now: TimestampMs,
    /// What the daemon's own clock shows.
    pub daemon_time: TimestampMs,
    /// Whether the daemon runs.
    pub up: bool,
    /// Of the host: another one after each of its starts.
    pub boot_id: String,
    /// The cgroups of the host that containers are in or were made for them, by path.
    pub groups: Vec<GroupSnapshot>,
    /// In the order in which they were created.
    pub containers: Vec<ContainerSnapshot>,
    /// By name.
    pub networks: Vec<NetworkSnapshot>,
    /// By name.
    pub volumes: Vec<VolumeSnapshot>,
    /// Names of images, and the IDs that they stand for.
    pub images: BTreeMap<String, String>,
    /// Names of images that are being pulled.
    pub pulls: Vec<String>,
    /// How many events there were.
    pub events_so_far: u64,
    /// How many faults lie in wait for calls.
    pub call_faults_waiting: usize,
}

/// One container, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSnapshot {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// As it was named at the creation.
    pub image: String,
    /// As it was given at the creation.
    pub env: Vec<String>,
    /// Docker's word.
    pub status: &'static str,
    /// Its process lives, paused or not.
    pub running: bool,
    /// Of that process. A process that was started anew has a new one.
    pub pid: Option<u32>,
    /// How often it was started.
    pub starts: u32,
    /// Of the last run.
    pub exit_code: i64,
    /// The kernel killed it for its memory.
    pub oom_killed: bool,
    /// The host took it down with it: what is said of its end is made up.
    pub lost: bool,
    /// By the daemon's clock.
    pub started_at: Option<TimestampMs>,
    /// By the daemon's clock.
    pub finished_at: Option<TimestampMs>,
    /// When its process began, if that lives, by the time by which the model goes.
    pub began: Option<TimestampMs>,
    /// When its last process ended, by the time by which the model goes.
    pub ended: Option<TimestampMs>,
    /// Of its health check, if it has one.
    pub health: Option<HealthStatus>,
    /// As it was given at the creation.
    pub network_mode: String,
    /// ID of the container whose namespace its process has joined, whether that one still runs or not.
    pub joined: Option<String>,
    /// Its own address, while it runs.
    pub ip_address: Option<String>,
    /// The ports that it has, while it runs.
    pub bindings: Vec<NetworkBinding>,
    /// 0 means no limit.
    pub memory_bytes: i64,
    /// 0 means no limit.
    pub nano_cpus: i64,
    /// The cgroup that it is put below.
    pub cgroup_parent: Option<String>,
}

/// One cgroup, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSnapshot {
    /// From the root.
    pub path: String,
    /// `None` for one that was made for a container without anybody having set limits.
    pub limits: Option<GroupLimits>,
}

/// One network, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSnapshot {
    /// Its name.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// Who has which address: IDs of containers.
    pub addresses: BTreeMap<String, String>,
}

/// One volume, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSnapshot {
    /// Its name.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// Another one for each volume that ever was, also of the same name.
    pub number: u64,
    /// IDs of containers, running or not.
    pub mounted_by: Vec<String>,
}

/// A call that the daemon was asked, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Counts up from 0, over all calls.
    pub number: u64,
    /// When it took effect or failed to.
    pub at: TimestampMs,
    /// Which.
    pub kind: CallKind,
    /// What it was about, as the caller named it: a container, an image, a network, a label.
    pub subject: String,
    /// The container that it was about, as it was before; after it, for one that it created.
    pub container: Option<Touched>,
    /// What came of it.
    pub outcome: Outcome,
}

/// A container that a call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out, and the caller is told. (A removal that takes its time is under way, and told when
    /// it is through, if the deadline allows.)
    Answered,
    /// It was refused, with these words, and the caller knows.
    Refused(String),
    /// The caller did not hear what came of it.
    Unanswered(Effect),
}

/// Whether a call without an answer was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It never was.
    None,
    /// It was, as far as it could be.
    Now,
    /// It will be, later.
    Later,
}
