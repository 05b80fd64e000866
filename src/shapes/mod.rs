//! What travels: the shapes of requests and answers, once for all fronts.
//!
//! Names are ECS's, in its camelCase. A type in here says how something is written, never what it means:
//! a request is turned into domain types by the `parse` functions beside it ("parse, don't validate"), an
//! answer is made from domain types by `From`. Nothing here reads the store, asks an engine or knows HTTP.
//!
//! The `OpenAPI` schema is derived from these types, and `schema` checks documents against that very
//! schema, so what is documented, what is accepted and what is parsed cannot drift apart.
//!
//! Requests refuse fields that they do not know; answers may grow, so readers of them must not.

mod access_key;
mod advice;
mod bill;
mod budget;
mod cluster;
mod container_definition;
mod deployment;
pub mod diff;
mod document;
mod event;
mod exec;
mod linux;
mod log;
mod metadata;
mod page;
mod parse;
mod path;
mod problem;
mod run_task;
mod scaling;
mod schedule;
mod schema;
mod secret;
mod server;
mod service;
mod service_request;
mod stats;
mod support;
mod task;
mod task_definition;
mod task_set;
mod usage;
mod verification;
mod volume;

#[cfg(test)]
mod tests;

pub use access_key::{
    AccessKey, AccessKeyRole, AccessKeyStatus, CreateAccessKeyRequest, NewAccessKey,
};
pub use advice::{Advice, AdvisedSize, Rightsizing};
pub use bill::{
    Bill, BillLine, BillOperator, BillParts, BillSheet, BillTask, BillUsed, IssuedBill,
    IssuedBillSummary,
};
pub use budget::{Budget, BudgetAction, BudgetPeriod, PutBudgetRequest};
pub use cluster::{Cluster, CreateClusterRequest};
pub use container_definition::{
    AppProtocol, ContainerDefinition, ContainerDependency, ContainerRestartPolicy,
    DependencyCondition, EnvironmentFile, EnvironmentFileType, FirelensConfiguration, FirelensType,
    HealthCheck, HostEntry, KeyValuePair, LogConfiguration, LogDriver, MountPoint,
    NvidiaMpsAllocation, PortMapping, RepositoryCredentials, ResourceRequirement, ResourceType,
    Secret, SecretFile, SharingStrategy, TransportProtocol, VersionConsistency, VolumeFrom,
};
pub use deployment::{
    ContainerImage, Requester, ServiceDeployment, ServiceDeploymentRollback, ServiceRevision,
    ServiceTaskFailure,
};
pub use document::{Document, Format, Limits, Position};
pub use event::Event;
pub use exec::{EXEC_STDERR, EXEC_STDOUT, ExecInput, ExecReport, ExecSize};
pub use linux::{
    Device, DevicePermission, KernelCapabilities, LinuxParameters, SystemControl, Tmpfs, Ulimit,
    UlimitName,
};
pub use log::LogLine;
pub use metadata::{ContainerMetadata, TaskMetadata, container_uuid, uuid};
pub use page::Page;
pub use parse::{ParsedBudget, ParsedRunTask, ParsedSchedule, ParsedService, ParsedTaskDefinition};
pub use problem::{Problem, ProblemError};
pub use run_task::{
    ContainerOverride, RunTaskRequest, RunTaskResponse, StopTaskRequest, Tag, TaskOverride,
    UpdateTaskProtectionRequest,
};
pub use scaling::{ServiceScaling, ServiceScalingActivity, ServiceScalingPolicy};
pub use schedule::{
    ConcurrencyPolicy, CreateScheduleRequest, MissedRuns, Schedule, ScheduleRun, ScheduleRunTask,
    ScheduleState, ScheduleTarget,
};
pub use secret::StoredSecret;
pub use server::{EngineState, EngineStatus, Health, Readiness, Version};
pub use service::{Service, ServiceEvent};
pub use service_request::{
    CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentController,
    LaunchType, PropagateTags, SchedulingStrategy, UpdateServiceRequest,
};
pub use stats::{ContainerStats, NetworkStats, TaskStats};
pub use support::{run_notes, service_fields, task_definition_fields};
pub use task::{Container, NetworkBinding, PullProgress, Task, TaskLimits};
pub use task_definition::{
    Compatibility, CpuArchitecture, EphemeralStorage, InferenceAccelerator, IpcMode, IsolationMode,
    NetworkMode, OperatingSystemFamily, PidMode, ProxyConfiguration, ProxyType,
    RegisterTaskDefinitionRequest, RuntimePlatform, TaskDefinition, TaskDefinitionConstraint,
    TaskDefinitionConstraintType, TrustedExecutionConfiguration,
};
pub use task_set::ServiceTaskSet;
pub use usage::{TaskUsage, UsageLine, UsageReport, UsageTotal, Used};
pub use verification::{UsageCheck, UsageVerification};
pub use volume::{
    DockerScope, DockerVolumeConfiguration, EfsAuthorizationConfig, EfsVolumeConfiguration,
    FsxAuthorizationConfig, FsxVolumeConfiguration, HostVolumeProperties,
    S3FilesVolumeConfiguration, Switch, Volume,
};
