//! A task: one run of a task definition. It moves forward only, and is never started twice.
//!
//! Three writers, three groups of fields: what the user asked for (`stop_request`) is written by the API
//! alone; what should be (`desired_status`, `stop_code`, `stopped_reason`) by the planner alone; what is
//! (`last_status`, the containers, the times) from the engine's report alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    ClusterName, ContainerDefinition, ContainerName, CpuUnits, Family, FamilyRevision, Launch,
    MemoryMib, NetworkMode, PortMapping, Protocol, PullProgress, RuntimeName, ScheduleName,
    ServiceKey, ServiceName, TaskDefinition, TaskId, TaskSize, TimestampMs, Volume, VolumeName,
};

/// A task, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Never used twice.
    pub id: TaskId,
    /// Where it runs.
    pub cluster: ClusterName,
    /// What runs: the definition with the overrides of this run applied.
    pub spec: TaskSpec,
    /// `family:<family>` unless the caller said otherwise.
    pub group: String,
    /// Whatever the caller wanted to find it by later; up to 128 characters.
    pub started_by: Option<String>,
    /// Key and value, up to 50 of them.
    pub tags: BTreeMap<String, String>,
    /// The overrides as they were sent, to be given back.
    pub overrides: serde_json::Value,

    /// What the user asked for, if it was to stop.
    pub stop_request: Option<StopRequest>,

    /// What should be. Read it through [`Task::desired_status`].
    pub planned_status: DesiredStatus,
    /// Why it is to stop or has stopped.
    pub stop_code: Option<StopCode>,
    /// The same in words that people search for.
    pub stopped_reason: Option<String>,
    /// What it is waiting for, in one sentence, while it waits.
    pub waiting: Option<String>,

    /// What is.
    pub last_status: LastStatus,
    /// What is known of each container, by name.
    pub containers: BTreeMap<ContainerName, ContainerRecord>,
    /// The task's own address, once it has one.
    pub address: Option<String>,
    /// What holds it to its size, once it has containers.
    pub limits: Option<LimitsEnforcedBy>,

    /// Until when its service spares it; written by the user alone.
    pub protected_until: Option<TimestampMs>,
    /// When the call was accepted.
    pub created_at: TimestampMs,
    /// When the engine was first asked for something. The usage interval opens here.
    pub pull_started_at: Option<TimestampMs>,
    /// When all images were there.
    pub pull_stopped_at: Option<TimestampMs>,
    /// How far the pull of its images has come, while it goes on.
    pub pull: Option<PullProgress>,
    /// When the task became RUNNING: the engine's time of the last container's start, but no later than when Neargate
    /// saw it, should the engine's clock be ahead.
    pub started_at: Option<TimestampMs>,
    /// When its health checks were first seen to say that it is HEALTHY.
    pub healthy_at: Option<TimestampMs>,
    /// When it was decided that the task stops.
    pub stopping_at: Option<TimestampMs>,
    /// When the last container ended, by the engine's record. The usage interval closes here.
    pub execution_stopped_at: Option<TimestampMs>,
    /// When the task became STOPPED.
    pub stopped_at: Option<TimestampMs>,
    /// When nothing of it was left on the engine.
    pub cleaned_at: Option<TimestampMs>,

    /// Goes up by one with every record of the planner, so that a stale one is refused.
    pub version: u64,
}

/// What a task is to run: a definition's revision with the overrides of the run applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Which revision it came from.
    pub definition: FamilyRevision,
    /// CPU and memory of the task as a whole.
    pub size: Option<TaskSize>,
    /// How its containers are connected.
    pub network_mode: NetworkMode,
    /// Which of the engine's runtimes its containers run under, if not its cluster's or the engine's own choice.
    #[serde(default)]
    pub runtime: Option<RuntimeName>,
    /// At least one; in the definition's order.
    pub containers: Vec<ContainerDefinition>,
    /// What the containers can mount.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Whether people may run commands in its containers and reach into them otherwise.
    #[serde(default)]
    pub enable_execute_command: bool,
    /// What it says of where it runs.
    #[serde(default)]
    pub launch: Launch,
}

impl TaskSpec {
    /// What `definition`, registered as `revision`, says without overrides.
    pub fn new(definition: TaskDefinition, revision: u32) -> Self {
        let TaskDefinition {
            family,
            size,
            network_mode,
            runtime,
            containers,
            volumes,
        } = definition;
        Self {
            definition: FamilyRevision { family, revision },
            size,
            network_mode,
            runtime,
            containers,
            volumes,
            enable_execute_command: false,
            launch: Launch::default(),
        }
    }

    /// The family.
    pub fn family(&self) -> &Family {
        &self.definition.family
    }

    /// The container of that name.
    pub fn container(&self, name: &ContainerName) -> Option<&ContainerDefinition> {
        self.containers
            .iter()
            .find(|container| container.name == *name)
    }

    /// The volume of that name, and its place among all.
    pub fn volume(&self, name: &VolumeName) -> Option<(usize, &Volume)> {
        let mut volumes = self.volumes.iter().enumerate();
        volumes.find(|(_, volume)| volume.name == *name)
    }

    /// The CPU that the task reserves: its size, or the sum of its containers.
    pub fn reserved_cpu(&self) -> CpuUnits {
        self.size.map_or_else(
            || {
                CpuUnits(
                    self.containers
                        .iter()
                        .map(|container| container.cpu.0)
                        .fold(0, u32::saturating_add),
                )
            },
            TaskSize::cpu,
        )
    }

    /// The memory that the task reserves: its size, or the sum of its containers, where a soft limit
    /// counts before a hard one, as ECS does on its own hosts.
    pub fn reserved_memory(&self) -> MemoryMib {
        self.size.map_or_else(
            || {
                let of = |container: &ContainerDefinition| {
                    container
                        .memory_reservation
                        .or(container.memory)
                        .unwrap_or_default()
                        .0
                };
                MemoryMib(self.containers.iter().map(of).fold(0, u32::saturating_add))
            },
            TaskSize::memory,
        )
    }
}

/// What a user, or the service or schedule that the task belongs to, asked for when it was to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// When.
    pub at: TimestampMs,
    /// Who: [`StopCode::UserInitiated`], or [`StopCode::ServiceSchedulerInitiated`] for the service or schedule that it
    /// belongs to.
    pub code: StopCode,
    /// In the user's words.
    pub reason: Option<String>,
}

/// Said by ECS of a task that its service replaces because of its health checks.
pub const FAILED_HEALTH_CHECKS: &str = "Task failed container health checks";

impl Task {
    /// A task of `spec` that was just accepted.
    pub fn new(id: TaskId, cluster: ClusterName, spec: TaskSpec, now: TimestampMs) -> Self {
        let containers = spec
            .containers
            .iter()
            .map(|container| (container.name.clone(), ContainerRecord::default()))
            .collect();
        Self {
            id,
            cluster,
            group: format!("family:{}", spec.family()),
            spec,
            started_by: None,
            tags: BTreeMap::new(),
            overrides: serde_json::json!({}),
            stop_request: None,
            planned_status: DesiredStatus::Running,
            stop_code: None,
            stopped_reason: None,
            waiting: None,
            last_status: LastStatus::Provisioning,
            containers,
            address: None,
            limits: None,
            protected_until: None,
            created_at: now,
            pull_started_at: None,
            pull_stopped_at: None,
            pull: None,
            started_at: None,
            healthy_at: None,
            stopping_at: None,
            execution_stopped_at: None,
            stopped_at: None,
            cleaned_at: None,
            version: 1,
        }
    }

    /// The service that it belongs to, if it does to one.
    pub fn service(&self) -> Option<ServiceKey> {
        Some(ServiceKey {
            cluster: self.cluster.clone(),
            name: ServiceName::of_group(&self.group)?,
        })
    }

    /// The schedule that started it, if one did.
    pub fn schedule(&self) -> Option<ScheduleName> {
        ScheduleName::of_started_by(self.started_by.as_ref()?)
    }

    /// RUNNING until somebody, user or planner, wants it to stop.
    pub fn desired_status(&self) -> DesiredStatus {
        if self.stop_request.is_some() {
            DesiredStatus::Stopped
        } else {
            self.planned_status
        }
    }

    /// What `image` was found to mean first, in whichever container that was.
    pub fn image_digest(&self, image: &str) -> Option<String> {
        let mut containers = self.spec.containers.iter().filter(|one| one.image == image);
        containers.find_map(|one| self.containers.get(&one.name)?.image_digest.clone())
    }

    /// Whether everything that could ever be done for it has been done.
    pub fn is_finished(&self) -> bool {
        self.cleaned_at.is_some()
    }

    /// UNHEALTHY as soon as one essential container with a health check is, HEALTHY when all of them are,
    /// UNKNOWN otherwise.
    pub fn health_status(&self) -> HealthStatus {
        self.checked_health().unwrap_or(HealthStatus::Unknown)
    }

    /// The same; `None` when no essential container has a health check.
    pub fn checked_health(&self) -> Option<HealthStatus> {
        self.spec
            .containers
            .iter()
            .filter(|container| container.essential && container.health_check.is_some())
            .map(|container| {
                self.containers
                    .get(&container.name)
                    .map_or(HealthStatus::Unknown, |record| record.health)
            })
            .max()
    }
}

/// Of how many attempts to run a container, before the newest one, the logs are kept.
pub const EARLIER_ATTEMPTS_KEPT: u32 = 20;

/// What is known of one container of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerRecord {
    /// What is.
    pub last_status: ContainerStatus,
    /// Which attempt to run it this is about: 0, and one more each time that it is decided to start it again.
    /// Durable before the engine is asked for that attempt. While the attempt is PENDING, exit code and times
    /// are those of the one before.
    pub attempt: u32,
    /// How often it was started again. It only grows.
    pub restart_count: u32,
    /// The engine's ID of it, once it was seen.
    pub runtime_id: Option<String>,
    /// The digest of the image that it runs, once it was seen.
    pub image_digest: Option<String>,
    /// By the engine's clock.
    pub started_at: Option<TimestampMs>,
    /// By the engine's clock.
    pub finished_at: Option<TimestampMs>,
    /// Of its process; `None` also when nobody knows.
    pub exit_code: Option<i64>,
    /// Why it could not start or how it ended, when there is more to say than the exit code.
    pub reason: Option<String>,
    /// What its health check says.
    pub health: HealthStatus,
    /// The ports that it can be reached by on the host.
    pub network_bindings: Vec<NetworkBinding>,
}

impl Default for ContainerRecord {
    /// A container that was not yet asked for.
    fn default() -> Self {
        Self {
            last_status: ContainerStatus::Pending,
            attempt: 0,
            restart_count: 0,
            runtime_id: None,
            image_digest: None,
            started_at: None,
            finished_at: None,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
            network_bindings: Vec::new(),
        }
    }
}

/// A port of a container that can be reached on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkBinding {
    /// The host's address that it is bound to.
    pub bind_ip: String,
    /// The port inside the task.
    pub container_port: u16,
    /// The port on the host.
    pub host_port: u16,
    /// The protocol of both.
    pub protocol: Protocol,
}

impl NetworkBinding {
    /// Whether this is what `mapping` asked for.
    pub fn serves(&self, mapping: &PortMapping) -> bool {
        self.container_port == mapping.container_port && self.protocol == mapping.protocol
    }
}

/// Gives an enum the names that ECS has for its values.
macro_rules! ecs_names {
    ($type:ty { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As ECS writes it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }

            /// The value that ECS writes as `name`.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(super) use ecs_names;

/// What is: the states of a task in the order in which it passes through them. It never goes back.
///
/// Source: Amazon ECS developer guide, "Amazon ECS task lifecycle". ACTIVATING, DEACTIVATING and
/// DEPROVISIONING are there for the load balancer and the network interface of AWS; a task here passes
/// through them in no time, so they are never recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LastStatus {
    /// Accepted; nothing was asked of the engine yet.
    Provisioning,
    /// Images are pulled, the network is made, containers are created and started.
    Pending,
    /// Registered with a load balancer.
    Activating,
    /// Every container has been started.
    Running,
    /// Taken from a load balancer.
    Deactivating,
    /// Signals were sent; containers are coming to their end.
    Stopping,
    /// The network interface is given back.
    Deprovisioning,
    /// Every container has ended.
    Stopped,
}

ecs_names!(LastStatus {
    Provisioning = "PROVISIONING",
    Pending = "PENDING",
    Activating = "ACTIVATING",
    Running = "RUNNING",
    Deactivating = "DEACTIVATING",
    Stopping = "STOPPING",
    Deprovisioning = "DEPROVISIONING",
    Stopped = "STOPPED",
});

impl LastStatus {
    /// On its way to RUNNING: what ECS counts as `pendingCount`.
    pub fn is_pending(self) -> bool {
        self < Self::Running
    }
}

/// What should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DesiredStatus {
    /// It is to run.
    Running,
    /// It is to stop.
    Stopped,
}

ecs_names!(DesiredStatus { Running = "RUNNING", Stopped = "STOPPED" });

/// Why a task stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopCode {
    /// It did not come as far as RUNNING, because something failed.
    TaskFailedToStart,
    /// An essential container ended.
    EssentialContainerExited,
    /// A user stopped it.
    UserInitiated,
    /// Its service stopped it, or its schedule, to replace it by a newer run.
    ServiceSchedulerInitiated,
    /// The host went away.
    TerminationNotice,
}

ecs_names!(StopCode {
    TaskFailedToStart = "TaskFailedToStart",
    EssentialContainerExited = "EssentialContainerExited",
    UserInitiated = "UserInitiated",
    ServiceSchedulerInitiated = "ServiceSchedulerInitiated",
    TerminationNotice = "TerminationNotice",
});

/// What holds a task to its CPU and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitsEnforcedBy {
    /// A cgroup around all of its containers: what one of them leaves, the others can use.
    TaskCgroup,
    /// Each container on its own, with its part of the task's size: Neargate may not write the cgroups of the
    /// engine's host, or the task has no size of its own.
    Containers,
}

ecs_names!(LimitsEnforcedBy { TaskCgroup = "taskCgroup", Containers = "containers" });

/// The state of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerStatus {
    /// It has not been started.
    Pending,
    /// Its process runs.
    Running,
    /// Its process has ended, or never will start.
    Stopped,
}

ecs_names!(ContainerStatus { Pending = "PENDING", Running = "RUNNING", Stopped = "STOPPED" });

/// What a health check says; ordered so that the worst of several is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthStatus {
    /// The check passes.
    Healthy,
    /// There is no check, or it has not said anything yet.
    Unknown,
    /// The check fails.
    Unhealthy,
}

ecs_names!(HealthStatus { Healthy = "HEALTHY", Unknown = "UNKNOWN", Unhealthy = "UNHEALTHY" });
