//! The nouns of Neargate and their rules, in ECS's words.
//!
//! Nothing here waits, reads a file, asks a clock or draws a random number: every other room imports
//! this one, and it imports none. A value of a type in here is a value that is allowed; what comes from
//! outside is turned into these types once, at the edge.

mod arn;
mod capacity;
mod cluster;
mod event;
mod fault;
mod id;
mod image;
mod observation;
mod overrides;
mod secret;
mod service;
mod size;
mod subnet;
mod task;
mod task_definition;
mod time;
mod usage;
mod volume;

pub use arn::{ACCOUNT, REGION, cluster_arn, container_arn, task_arn};
pub use capacity::{Capacity, Shortage};
pub use cluster::{Cluster, DEFAULT_CLUSTER};
pub use event::{Event, EventKind, NewEvent};
pub use fault::{Fault, Faults};
pub use id::{
    ClusterName, ContainerName, Family, FamilyRevision, IdSource, InstanceId, InvalidName,
    RuntimeName, SecretName, ServiceName, TaskDefinitionReference, TaskId, VolumeName,
};
pub use image::{EngineImage, ImageName, KeptImage, PulledImage};
pub use observation::{
    ContainerObservation, ContainerState, Goal, ImageObservation, Known, NetworkObservation,
    Observation, PullProgress, StartFailure,
};
pub use overrides::{ContainerOverride, TaskOverrides};
pub use secret::{
    ContainerSecrets, Secret, SecretFile, SecretReference, SecretValue, UnusableSecret,
    environment_lines,
};
pub use service::{
    CircuitBreaker, Deployment, DeploymentCause, DeploymentId, DeploymentStatus, MAX_DESIRED_COUNT,
    RolloutState, SERVICE_GROUP, SchedulingStrategy, Service, ServiceConfiguration, ServiceKey,
    ServiceStatus, ServiceTask, TaskFailure,
};
pub use size::{CpuUnits, InvalidSize, MemoryMib, TaskSize};
pub use subnet::{InvalidSubnet, Subnet};
pub use task::{
    ContainerRecord, ContainerStatus, DesiredStatus, EARLIER_ATTEMPTS_KEPT, FAILED_HEALTH_CHECKS,
    HealthStatus, LastStatus, LimitsEnforcedBy, NetworkBinding, StopCode, StopRequest, Task,
    TaskSpec,
};
pub use task_definition::{
    Condition, ContainerDefinition, DEFAULT_STOP_TIMEOUT, Dependency, FARGATE_CAPABILITY,
    HealthCheck, LinuxParameters, NetworkMode, PortMapping, Protocol, RegisteredTaskDefinition,
    RestartPolicy, SystemControl, TaskDefinition, TaskDefinitionStatus, Tmpfs, Ulimit,
    is_capability,
};
pub use time::{DurationMs, TimestampMs};
pub use usage::{EndEvidence, UsageChange, UsageInterval};
pub use volume::{Mount, Volume, VolumeSource};
