//! The blueprint of a task: what a revision of a task definition says that Neargate acts on.
//!
//! The document as it was sent is kept beside this and given back as it was; see `store::task_definition`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AwsLogs, ContainerName, ContainerSecrets, CpuUnits, DurationMs, Family, MemoryMib, Mount,
    RuntimeName, TaskSize, TimestampMs, Volume,
};

/// What a task definition says, parsed. A revision of one never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// The family that this is to become a revision of.
    pub family: Family,
    /// CPU and memory of the task as a whole; without one, the containers' own limits are all there is.
    pub size: Option<TaskSize>,
    /// How the task's containers are connected.
    pub network_mode: NetworkMode,
    /// Which of the engine's runtimes its containers run under, if not its cluster's or the engine's own choice.
    #[serde(default)]
    pub runtime: Option<RuntimeName>,
    /// From 1 to 10 of them; names are unique, at least one is essential, dependencies form no cycle.
    pub containers: Vec<ContainerDefinition>,
    /// What the containers can mount; names are unique.
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

/// Whether tasks can still be run from a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskDefinitionStatus {
    /// Tasks can be run from it.
    Active,
    /// Deregistered: what runs goes on, nothing new starts.
    Inactive,
}

/// How a task's containers are connected to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkMode {
    /// One network namespace for the task, with an address of its own.
    #[default]
    Awsvpc,
    /// As `awsvpc`, and ports are published on the host.
    Bridge,
    /// The host's own network.
    Host,
    /// No network but loopback, which the task's containers share.
    None,
}

impl NetworkMode {
    /// Whether the task is on its cluster's network.
    pub const fn is_bridged(self) -> bool {
        matches!(self, Self::Awsvpc | Self::Bridge)
    }
}

/// One container of a task.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are ECS's, each a switch of its own"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    /// Unique in the task.
    pub name: ContainerName,
    /// As Docker writes an image: `repository[:tag|@digest]`.
    pub image: String,
    /// Whether the task ends when this container does. True unless said otherwise.
    pub essential: bool,
    /// A share of the task's CPU, or a limit of its own in a task without size; 0 means unspecified.
    pub cpu: CpuUnits,
    /// Hard limit: beyond it the container is killed.
    pub memory: Option<MemoryMib>,
    /// Soft limit: what stays when memory is short.
    pub memory_reservation: Option<MemoryMib>,
    /// Replaces the image's CMD.
    pub command: Option<Vec<String>>,
    /// Replaces the image's ENTRYPOINT.
    pub entry_point: Option<Vec<String>>,
    /// In the order in which they were given; the last one of a name wins, as in ECS.
    pub environment: Vec<(String, String)>,
    /// Replaces the image's WORKDIR.
    pub working_directory: Option<String>,
    /// `user`, `user:group`, `uid` or `uid:gid`.
    pub user: Option<String>,
    /// Ports that the container listens on.
    pub port_mappings: Vec<PortMapping>,
    /// Other containers whose state this one waits for.
    pub depends_on: Vec<Dependency>,
    /// How to find out whether it is healthy.
    pub health_check: Option<HealthCheck>,
    /// How long a dependency may take to get there before the task has failed to start.
    pub start_timeout: Option<DurationMs>,
    /// From SIGTERM to SIGKILL. ECS's default is 30 s.
    pub stop_timeout: DurationMs,
    /// Whether and when it is started again without its task.
    #[serde(default)]
    pub restart_policy: Option<RestartPolicy>,
    /// Labels for the engine's object; none may begin with `neargate.`.
    pub docker_labels: BTreeMap<String, String>,
    /// Lines for /etc/hosts: name and address.
    pub extra_hosts: Vec<(String, String)>,
    /// The name that the container knows its host by.
    pub hostname: Option<String>,
    /// It may do on the host whatever root may. Only where the operator allows it.
    #[serde(default)]
    pub privileged: bool,
    /// The root file system cannot be written to.
    pub readonly_root_filesystem: bool,
    /// Standard input stays open.
    pub interactive: bool,
    /// A terminal is allocated.
    pub pseudo_terminal: bool,
    /// Limits of the kernel on the processes.
    pub ulimits: Vec<Ulimit>,
    /// What only Linux has.
    pub linux_parameters: LinuxParameters,
    /// Kernel parameters of the task's namespaces.
    pub system_controls: Vec<SystemControl>,
    /// What it takes from the secret store: names only, never values.
    #[serde(default)]
    pub secrets: ContainerSecrets,
    /// Volumes that it has, those that it takes from other containers (`volumesFrom`) among them.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// The group and stream by which the clients of `CloudWatch` Logs find its log.
    #[serde(default)]
    pub awslogs: Option<AwsLogs>,
}

/// The default of `stopTimeout`, as on Fargate.
pub const DEFAULT_STOP_TIMEOUT: DurationMs = DurationMs::from_secs(30);

/// A port that a container listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    /// The port inside the task.
    pub container_port: u16,
    /// In `bridge` mode, the port on the host; 0 means any that is free.
    pub host_port: Option<u16>,
    /// TCP unless said otherwise.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A state of another container that must be reached before this one starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other container.
    pub container: ContainerName,
    /// The state.
    pub condition: Condition,
}

/// ECS's conditions of `dependsOn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Condition {
    /// It has been started.
    Start,
    /// It has run to its end, whatever the exit code.
    Complete,
    /// It has run to its end with exit code 0.
    Success,
    /// Its health check has passed.
    Healthy,
}

impl Condition {
    /// As ECS writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::Complete => "COMPLETE",
            Self::Success => "SUCCESS",
            Self::Healthy => "HEALTHY",
        }
    }
}

/// A command that tells whether a container is healthy: exit code 0 says yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Begins with `CMD` (arguments follow) or `CMD-SHELL` (one string for the image's shell).
    pub command: Vec<String>,
    /// From the end of one check to the start of the next; 5 to 300 s, 30 by default.
    pub interval: DurationMs,
    /// How long one check may take; 2 to 60 s, 5 by default.
    pub timeout: DurationMs,
    /// How many failures in a row make it unhealthy; 1 to 10, 3 by default.
    pub retries: u32,
    /// Failures in this time after the start do not count; 0 to 300 s, 0 by default.
    pub start_period: DurationMs,
}

/// When a container that has ended is started again without its task.
/// Source: Amazon ECS API reference, `ContainerRestartPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Exit codes after which it is not; at most 50.
    pub ignored_exit_codes: Vec<i64>,
    /// How long it must have run before it ended; 60 to 1,800 s, 300 by default.
    pub attempt_period: DurationMs,
}

/// A limit of the kernel on a container's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// As `ulimit` names it: `nofile`.
    pub name: String,
    /// What a process starts with.
    pub soft_limit: i64,
    /// What it may raise it to.
    pub hard_limit: i64,
}

/// `linuxParameters` of ECS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinuxParameters {
    /// A small init runs as process 1, forwards signals and reaps.
    pub init_process_enabled: bool,
    /// Size of /dev/shm.
    pub shared_memory_size: Option<MemoryMib>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Capabilities added to the default set: [`FARGATE_CAPABILITY`], and what the operator allows.
    pub add_capabilities: Vec<String>,
    /// Capabilities taken from the default set.
    pub drop_capabilities: Vec<String>,
}

/// The only capability that Fargate lets a task add.
/// Source: Amazon ECS API reference, `KernelCapabilities`.
pub const FARGATE_CAPABILITY: &str = "SYS_PTRACE";

/// Whether a text may be the name of a capability, as ECS and Docker write them: in capitals and without `CAP_`.
pub fn is_capability(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !name.is_empty() && name.bytes().all(plain) && !name.starts_with("CAP_")
}

/// A file system in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where it is mounted.
    pub container_path: String,
    /// How large it may grow.
    pub size: MemoryMib,
    /// Options of mount(8).
    pub mount_options: Vec<String>,
}

/// A kernel parameter of a task's namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemControl {
    /// `net.core.somaxconn`, say.
    pub namespace: String,
    /// Its value.
    pub value: String,
}

impl TaskDefinition {
    /// The container of that name.
    pub fn container(&self, name: &ContainerName) -> Option<&ContainerDefinition> {
        self.containers
            .iter()
            .find(|container| container.name == *name)
    }
}

/// A revision, as it is recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredTaskDefinition {
    /// What it says, parsed.
    pub definition: TaskDefinition,
    /// Counts up from 1 within the family; never used twice.
    pub revision: u32,
    /// Whether tasks can still be run from it.
    pub status: TaskDefinitionStatus,
    /// The document as it was sent.
    pub document: serde_json::Value,
    /// Fields that are kept and have no effect here, each with the reason.
    pub warnings: Vec<String>,
    /// When.
    pub registered_at: TimestampMs,
    /// When it was deregistered, if it was.
    pub deregistered_at: Option<TimestampMs>,
}

/// Fields of AWS's plan that tasks go without here, where that matters while they run.
const MISSED: [&str; 4] = [
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "proxyConfiguration",
];

impl RegisteredTaskDefinition {
    /// Those of its warnings that every task of it, and every service, is to tell: what they ask for and do not get.
    pub fn notes(&self) -> Vec<String> {
        let is_missed = |warning: &&String| {
            let (path, _) = warning.split_once(": ").unwrap_or_default();
            MISSED.iter().any(|name| path.ends_with(name))
        };
        self.warnings.iter().filter(is_missed).cloned().collect()
    }
}
