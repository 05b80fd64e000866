//! The nouns of Neargate and their rules, in ECS's words.
//!
//! Nothing here waits, reads a file, asks a clock or draws a random number: every other room imports
//! this one, and it imports none. A value of a type in here is a value that is allowed; what comes from
//! outside is turned into these types once, at the edge.

mod access_key;
mod arn;
mod autoscale;
mod books;
mod budget;
mod capacity;
mod clock;
mod cluster;
mod deployment;
pub mod display;
mod event;
mod fault;
mod id;
mod image;
mod launch;
mod log_group;
mod log_pattern;
mod machine;
mod observation;
mod overrides;
mod policy;
mod rollup;
mod schedule;
mod secret;
mod service;
mod size;
mod subnet;
mod tags;
mod task;
mod task_definition;
mod task_set;
mod time;
mod usage;
mod volume;

pub use access_key::{AccessKey, Role};
pub use arn::{
    account, arn, availability_zone, cluster_arn, container_arn, region, service_arn,
    service_deployment_arn, service_revision_arn, settle, task_arn, task_definition_arn,
    task_set_arn,
};
pub use autoscale::{
    DEFAULT_COOLDOWN_S, PolicyKind, ScalableTarget, ScalingActivity, ScalingMetric, ScalingPolicy,
    ScalingStatus, ServiceUse, SuspendedState, TargetTracking, alarm_name,
};
pub use books::{Books, BooksCheck, Stretch, UsageSum};
pub use budget::{
    Budget, BudgetAction, BudgetDefinition, BudgetPeriod, BudgetScope, BudgetState, Counted,
    HIGHEST_THRESHOLD, Hold, MOST_BUDGETS, MOST_THRESHOLDS,
};
pub use capacity::{Capacity, Shortage};
pub use clock::{ClockReading, ClockStretch};
pub use cluster::{Cluster, DEFAULT_CLUSTER};
pub use deployment::{
    Deployment, DeploymentCause, DeploymentId, DeploymentStatus, DeploymentTarget,
    KEPT_IN_REVISIONS, LastLine, LastLines, Occasion, PropagateTags, RevisionSettings, Rollback,
    RolloutState, ServiceDeploymentStatus, ServiceRevision, TaskFailure, has_failed,
};
pub use event::{Event, EventKind, NewEvent};
pub use fault::{Fault, Faults};
pub use id::{
    AccessKeyId, AccountId, BudgetName, ClientName, ClusterName, ContainerName, Family,
    FamilyRevision, IdSource, InstanceId, InvalidName, LogGroupName, Region, RuntimeName,
    ScheduleName, SecretName, ServiceName, ServiceRevisionId, TaskDefinitionReference, TaskId,
    UserName, VolumeName,
};
pub use image::{EngineImage, ImageName, KeptImage, PulledImage};
pub use launch::{
    CapacityStrategy, FARGATE_PROVIDERS, Launch, LaunchPlan, LaunchType, StrategyItem, first_subnet,
};
pub use log_group::{AwsLogs, LogGroup, LogStream, is_log_stream_name};
pub use log_pattern::{InvalidPattern, LogPattern};
pub use machine::{
    ClockFacts, Contents, DaemonFacts, DataFacts, DatabaseState, EngineFacts, FolderState,
    FolderUser, Machine, PortFacts, Space, Trouble,
};
pub use observation::{
    ContainerObservation, ContainerState, Goal, ImageObservation, Known, NetworkObservation,
    Observation, PullProgress, StartFailure,
};
pub use overrides::{ContainerOverride, TaskOverrides};
pub use policy::{Policy, host_paths};
pub use rollup::{
    RollUp, RolledBooks, RolledCost, RolledPart, RolledSum, RolledUse, TaskCounts, UsageGroup,
    UsageStep,
};
pub use schedule::{
    ConcurrencyPolicy, Due, InvalidExpression, MissedRuns, PendingRun, RunCause, RunOutcome,
    STARTED_BY_SCHEDULE, Schedule, ScheduleDefinition, ScheduleExpression, ScheduleRun,
    ScheduleState, ScheduleTarget, ScheduleTimeZone, ScheduledTask, Timing,
};
pub use secret::{
    ContainerSecrets, Secret, SecretFile, SecretReference, SecretValue, UnusableSecret,
    environment_lines,
};
pub use service::{
    AlikeTasks, CircuitBreaker, MAX_DESIRED_COUNT, SERVICE_GROUP, SETTLES, SchedulingStrategy,
    Service, ServiceConfiguration, ServiceKey, ServiceStatus, ServiceTask,
};
pub use size::{CpuUnits, InvalidSize, MemoryMib, TaskSize};
pub use subnet::{InvalidSubnet, Subnet};
pub use tags::{
    MOST_TAGS, TagChange, Tags, check_tag_count, is_reserved_tag, managed_tags, tags_of_document,
};
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
pub use task_set::{DeploymentController, MAX_TASK_SETS, Scale, TaskSet};
pub use time::{DurationMs, TimestampMs};
pub use usage::{
    EndEvidence, MeasuredUse, TaskUse, UsageChange, UsageInterval, UsageRecord, UseSource,
};
pub use volume::{Mount, Volume, VolumeSource};
