//! What an engine reports of a task, and where a task is to go.
//!
//! The planner decides from these, so they stand here and not with the engine that fills them in.

use std::collections::BTreeMap;

use super::{ContainerName, HealthStatus, LimitsEnforcedBy, NetworkBinding, TimestampMs};

/// Where a task is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// All containers started, in the order that their dependencies ask for.
    Run,
    /// All containers ended, in the reverse order, each with its signal and its stop timeout.
    Stop {
        /// When that was decided: the first stop timeout counts from here.
        since: TimestampMs,
    },
}

/// How far the record says that a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// It has been started.
    Started,
    /// It has ended.
    Ended,
}

/// What an engine has of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The task's network namespace.
    pub network: NetworkObservation,
    /// The task's containers that exist, by name.
    pub containers: BTreeMap<ContainerName, ContainerObservation>,
    /// When all images that are still needed were found to be there.
    pub images_ready_at: Option<TimestampMs>,
    /// What the images of the task were found to be, by the name that the definition has for them.
    pub images: BTreeMap<String, ImageObservation>,
    /// Pulls that go on for this task, by image.
    pub pulls: BTreeMap<String, PullProgress>,
    /// What cannot succeed by being repeated.
    pub failure: Option<StartFailure>,
    /// When to come back if no hint comes first.
    pub wake_at: Option<TimestampMs>,
    /// What the task is waiting for, in one sentence.
    pub waiting: Option<String>,
    /// When it was last known to run, for a container of which nobody recorded how it ended. Not of the engine: whoever
    /// asked it keeps count.
    pub last_alive: Option<TimestampMs>,
    /// What holds the task to its size; `None` while it has no containers.
    pub limits: Option<LimitsEnforcedBy>,
}

/// An image of a task that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageObservation {
    /// Of the repository if it came from one, of the image itself otherwise.
    pub digest: String,
    /// What to call it by, so that it is that very image.
    pub reference: String,
}

/// A task's network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkObservation {
    /// There is none.
    #[default]
    Absent,
    /// It is there.
    Up {
        /// Its own address, if it has one.
        address: Option<String>,
        /// The ports that are published on the host.
        bindings: Vec<NetworkBinding>,
    },
    /// It was there and has ended: whatever still runs in it is cut off.
    Down,
}

/// One container of a task that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerObservation {
    /// Which attempt to run the container it was created for.
    pub attempt: u32,
    /// The engine's ID of it.
    pub runtime_id: String,
    /// The digest of its image: of the repository if it came from one, of the image itself otherwise.
    pub image_digest: Option<String>,
    /// Where it is in its life.
    pub state: ContainerState,
    /// By the engine's clock.
    pub started_at: Option<TimestampMs>,
    /// What its health check says, if it has one.
    pub health: HealthStatus,
    /// What its last health check said, if that failed.
    pub health_output: Option<String>,
    /// Somebody froze it. Neargate never does.
    pub is_paused: bool,
    /// Its process is known to have ended, but how is not, before the engine has cleared up after it: so its state is
    /// RUNNING still. Only ever true for a moment, and only of an essential container that is not started again.
    pub is_ending: bool,
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Created and not started.
    Created,
    /// Its process runs (or is paused).
    Running,
    /// Its process has ended.
    Exited {
        /// Of the process; `None` when the engine does not know.
        exit_code: Option<i64>,
        /// The kernel killed it for its memory.
        oom_killed: bool,
        /// By the engine's clock.
        finished_at: TimestampMs,
        /// What the engine has to say about it, when it could not be started.
        error: Option<String>,
    },
    /// Its host was started anew since it was created, so it has ended; how and when nobody knows. What the
    /// engine says of it is made up.
    Lost,
}

/// How far the pull of an image has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes that have arrived, over all layers that the engine has named so far.
    pub current_bytes: u64,
    /// Bytes in all of those layers.
    pub total_bytes: u64,
}

/// Why a task cannot be started: repeating it would not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartFailure {
    /// The container that it is about, unless it is about the task.
    pub container: Option<ContainerName>,
    /// In ECS's words: `CannotPullContainerError: …`.
    pub reason: String,
}
