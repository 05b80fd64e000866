//! The engine port: what Neargate needs of the thing that runs containers, in terms of tasks.
//!
//! An engine is told "bring this task a step further" and "what do you see"; it never decides whether a
//! task should live, and it never reads the store. Every call may be repeated: objects are found again by
//! names made from the task's ID, so a call that was carried out twice has the effect of one. An answer
//! is either what is there, or an [`EngineError`] that means *unknown*; absence is only reported when the
//! engine itself said so.
//!
//! Adapters: [`docker`] for the Docker Engine API. [`sim`] is the same adapter over a model of a Docker
//! daemon. One contract suite (`tests/engine_contract/`) is passed by all of them.

pub mod docker;
mod exec;
mod measure;
pub mod sim;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::domain::{
    ContainerName, EngineImage, PulledImage, RuntimeName, SecretName, SecretValue, TaskId,
    TaskSpec, TimestampMs,
};
pub use crate::domain::{
    ContainerObservation, ContainerState, Goal, Known, NetworkObservation, Observation,
    PullProgress, StartFailure,
};

pub use exec::{Exec, ExecOutput, ExecProcess, ExecRequest, ExecSignal, TerminalSize};
pub use measure::{Look, MeasureTarget, UseCounts, UseReading};
pub use status::{EngineState, EngineStatus};

/// What runs containers.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Who answers, and what it has to give.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// What the engine has of one task. Costs one look per container of the task, whatever else runs.
    async fn observe(&self, order: &Order) -> Result<Observation, EngineError>;

    /// The same, with nothing taken from what hints have told: the engine is asked for everything, and waited for.
    async fn confirm(&self, order: &Order) -> Result<Observation, EngineError> {
        self.observe(order).await
    }

    /// Takes one task as far towards its goal as it can go without waiting for anything but the engine
    /// itself, and reports what is there afterwards. `seen` is the newest report of the same task.
    ///
    /// A pull or a container that takes its time is not waited for: a [`Hint`] follows when there is
    /// something new to look at, and [`Observation::wake_at`] says when to come back without one.
    async fn advance(&self, order: &Order, seen: Observation) -> Result<Observation, EngineError>;

    /// Removes everything that the engine has of a task, running or not. Removing nothing succeeds.
    async fn remove(&self, task: &TaskId) -> Result<(), EngineError>;

    /// Every task of which the engine has anything that is ours. Costs one look at everything, not one
    /// for each task: for the sweep that finds what no hint told of.
    async fn survey(&self) -> Result<BTreeMap<TaskId, Fingerprint>, EngineError>;

    /// What a container wrote, in order.
    async fn logs(
        &self,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError>;

    /// Starts a process beside those of a container that runs. It ends with its container at the latest.
    async fn exec(&self, request: ExecRequest) -> Result<Exec, EngineError>;

    /// A tar of what is at a path of a container: a file, or a folder with all that is in it.
    async fn read_files(
        &self,
        task: &TaskId,
        container: &ContainerName,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>;

    /// Unpacks a tar in a folder of a container. What came before an error stays.
    async fn write_files(
        &self,
        task: &TaskId,
        container: &ContainerName,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError>;

    /// Hints to look at something. The stream ends when the connection is lost: whoever listens must then
    /// look at everything once and listen anew. A hint may be missing, late, doubled or wrong.
    async fn hints(&self) -> Result<BoxStream<'static, Hint>, EngineError>;

    /// What a container uses, as the engine tells it: `GET /containers/{id}/stats` of Docker's API, with the
    /// figures of the network that it shares with its task. [`EngineError::NotFound`] when there is none. With
    /// `one_shot`, at once and without the sample before, which takes the engine a second or two.
    async fn stats(
        &self,
        task: &TaskId,
        container: &ContainerName,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError>;

    /// What these tasks use, and have used since they began; also after their containers have ended, until they are
    /// removed. A task that nothing can be read of is left out: nobody knows then.
    ///
    /// A look at [`Look::Memory`] costs a few calls to the kernel for each task and none to the engine.
    async fn measure(&self, _: &[Arc<MeasureTarget>], _: Look) -> BTreeMap<TaskId, UseReading> {
        BTreeMap::new()
    }

    /// The clusters that the engine has something for beside their tasks: a network.
    async fn clusters(&self) -> Result<BTreeSet<String>, EngineError>;

    /// Removes that for clusters which are gone, unless a task is on it.
    async fn remove_clusters(&self, gone: &BTreeSet<String>) -> Result<(), EngineError>;

    /// The images that were brought here since this was asked last: pulled, and not there before in any shape. Each is
    /// told once; one that is lost after that is one that nobody cleans up.
    fn take_pulled_images(&self) -> Vec<PulledImage> {
        Vec::new()
    }

    /// How many sandboxes are ready and wait for a task.
    fn warm_sandboxes(&self) -> u32 {
        0
    }

    /// The IDs of all images that the engine has.
    async fn image_ids(&self) -> Result<BTreeSet<String>, EngineError> {
        Ok(BTreeSet::new())
    }

    /// The image of that ID, if the engine has it.
    async fn image(&self, _id: &str) -> Result<Option<EngineImage>, EngineError> {
        Ok(None)
    }

    /// Removes an image that still is as it was seen. [`EngineError::Refused`] when it has changed or is in use: a
    /// container was made from it, whoever's and whether it runs or not. Fails while anything is being pulled, since
    /// that may be made of the same layers.
    async fn remove_image(&self, image: &EngineImage) -> Result<(), EngineError> {
        Err(EngineError::Refused(format!(
            "{} cannot be removed: this engine keeps its images itself",
            image.id
        )))
    }

    /// Whether a task may have the folder of the engine's host at `path`; [`EngineError::Refused`] says why not.
    async fn check_host_path(&self, path: &str) -> Result<(), EngineError> {
        Err(EngineError::Refused(format!(
            "{path} cannot be had: this engine has no folders of a host to give away"
        )))
    }

    /// Gives back what was made ahead of need (warm sandboxes, the network if nothing is left on it).
    /// Tasks go on.
    async fn shut_down(&self);
}

/// Where an engine gets the values of secrets, at the moment in which it hands them to a container.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// The value of a secret, `None` when there is no such secret. An error that is not
    /// [`EngineError::retryable`] is the end of the task that needs it.
    async fn secret(&self, name: &SecretName) -> Result<Option<SecretValue>, EngineError>;
}

/// There are no secrets.
#[derive(Clone, Copy, Debug)]
pub struct NoSecrets;

#[async_trait]
impl Secrets for NoSecrets {
    async fn secret(&self, _: &SecretName) -> Result<Option<SecretValue>, EngineError> {
        Ok(None)
    }
}

/// The metadata endpoint, as far as an engine knows of it: containers ask there what is known of them.
#[async_trait]
pub trait MetadataDoor: Send + Sync + 'static {
    /// Makes sure that somebody answers at `gateway`, this machine's address on the bridge `interface`.
    /// False, and noted for people, where that cannot be; containers are then not told to ask.
    async fn open(&self, interface: &str, gateway: Ipv4Addr) -> bool;

    /// Nobody is left to ask there.
    async fn close(&self, gateway: Ipv4Addr);

    /// What a container is to ask: a URL that is the same for as long as the task lives, also after a
    /// restart of Neargate, and that nobody else can guess.
    fn address(&self, gateway: Ipv4Addr, task: &TaskId, container: &ContainerName) -> String;
}

/// What an engine is to do about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The task.
    pub task_id: TaskId,
    /// The cluster's name, for labels.
    pub cluster: String,
    /// What it runs.
    pub spec: TaskSpec,
    /// Where it is to go.
    pub goal: Goal,
    /// What is recorded of its containers. One that is recorded as started is never created again.
    pub known: BTreeMap<ContainerName, Known>,
    /// Which attempt to run each container is due; 0 where none is named. What the engine has of an earlier
    /// attempt is removed: its log must have been kept.
    pub attempts: BTreeMap<ContainerName, u32>,
    /// What the tags of its images were found to mean first: the digests, by image.
    pub digests: BTreeMap<String, String>,
    /// Another task takes its place when it ends: that is worth knowing before the engine has cleared up after it
    /// ([`crate::domain::ContainerObservation::is_ending`]).
    pub is_missed: bool,
    /// Now, by the clock that the task's times go by.
    pub now: TimestampMs,
    /// Now, by the clock of the engine's host. An engine reports times by that one.
    pub wall: TimestampMs,
}

impl Order {
    /// Which attempt to run a container is due.
    pub fn attempt(&self, container: &ContainerName) -> u32 {
        self.attempts.get(container).copied().unwrap_or_default()
    }
}

/// Something may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// With this task.
    Task(TaskId),
    /// With anything.
    Everything,
}

/// Stands for the state of everything that an engine has of a task: another state, another fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

/// Which of a container's lines are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// The task.
    pub task_id: TaskId,
    /// The container.
    pub container: ContainerName,
    /// Which attempt to run it.
    pub attempt: u32,
    /// Whether to go on as new lines come, until the container ends.
    pub follow: bool,
    /// Only lines written at or after this time.
    pub since: Option<TimestampMs>,
    /// Only so many lines from the end of what is there.
    pub tail: Option<u64>,
}

/// One line that a container wrote, or a piece of one that is longer than the engine keeps together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, by the engine's clock.
    pub at: TimestampMs,
    /// Where to.
    pub stream: LogStream,
    /// What, without the line's end. Any bytes.
    pub text: Bytes,
}

/// Where a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// `stdout` or `stderr`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Who answers, and what it has to give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker` or `sim`.
    pub kind: &'static str,
    /// Of the engine.
    pub version: String,
    /// Of its API, as negotiated.
    pub api_version: String,
    /// The host's name for itself.
    pub host: String,
    /// Another one after each start of the host; `None` when the host is not this machine: then nobody notices
    /// that it was started anew, and what the engine says of the containers that ran before is believed.
    pub boot_id: Option<String>,
    /// `linux/amd64`, say.
    pub platform: String,
    /// The runtimes that it has, in order.
    pub runtimes: BTreeSet<String>,
    /// Processors of the host.
    pub cpus: u32,
    /// Memory of the host, in bytes.
    pub memory_bytes: u64,
}

/// That the engine does not have `runtime`, and which it has.
pub fn no_such_runtime(runtime: &RuntimeName, runtimes: &BTreeSet<String>) -> String {
    let known: Vec<&str> = runtimes.iter().map(String::as_str).collect();
    let known = known.join(", ");
    format!("the engine has no runtime `{runtime}`; it has: {known}")
}

/// Why an engine did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It cannot be reached. Nothing is known about anything.
    #[error("the engine is away: {0}")]
    Away(String),
    /// It did not answer in time. Whether it did what it was asked is unknown.
    #[error("the engine did not answer within {limit_ms} ms: {what}")]
    Timeout {
        /// What it was asked.
        what: String,
        /// How long was waited.
        limit_ms: u64,
    },
    /// It has nothing of that name.
    #[error("{0} is not there")]
    NotFound(String),
    /// Something of that name is there that is not ours.
    #[error("{0}")]
    NameTaken(String),
    /// It refused, and would again.
    #[error("{0}")]
    Refused(String),
    /// It failed, and may not the next time.
    #[error("{0}")]
    Failed(String),
}

impl EngineError {
    /// Whether asking again may help.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Away(_) | Self::Timeout { .. } | Self::Failed(_) => true,
            Self::NotFound(_) | Self::NameTaken(_) | Self::Refused(_) => false,
        }
    }
}
