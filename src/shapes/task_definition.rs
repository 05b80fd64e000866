//! A task definition, as it is written and as it is shown: every field that ECS knows.
//!
//! `support` says which fields have an effect here, `parse` turns a request into
//! `domain::TaskDefinition`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ContainerDefinition, KeyValuePair, Tag, Volume};
use crate::domain;

/// A new revision of a task definition: what a YAML or JSON file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterTaskDefinitionRequest {
    /// The name of it without the revision: up to 255 letters, digits, hyphens and underscores.
    #[serde(default)]
    #[schema(required = true)]
    pub family: String,
    /// The role whose credentials the containers are given.
    pub task_role_arn: Option<String>,
    /// The role whose credentials pull images and read secrets.
    pub execution_role_arn: Option<String>,
    /// How the containers are connected; `awsvpc` unless said otherwise (ECS on EC2 says `bridge` then).
    pub network_mode: Option<NetworkMode>,
    /// Which of the engine's runtimes the containers run under, as `docker info` lists them; Neargate's own. Without it, the
    /// one that the operator has set for the cluster, or the engine's default.
    #[schema(max_length = 100)]
    pub runtime: Option<String>,
    /// From 1 to 10 containers.
    #[serde(default)]
    #[schema(required = true, min_items = 1, max_items = 10)]
    pub container_definitions: Vec<ContainerDefinition>,
    /// Volumes that the containers can mount.
    #[schema(max_items = 100)]
    pub volumes: Option<Vec<Volume>>,
    /// Rules for the choice of a host.
    pub placement_constraints: Option<Vec<TaskDefinitionConstraint>>,
    /// What the definition is to be checked against; with `FARGATE`, `cpu` and `memory` are required.
    pub requires_compatibilities: Option<Vec<Compatibility>>,
    /// CPU of the task as a whole: CPU units, or `1 vCPU`.
    pub cpu: Option<String>,
    /// Memory of the task as a whole: MiB, or `2 GB`.
    pub memory: Option<String>,
    /// Kept and given back.
    #[schema(max_items = 50)]
    pub tags: Option<Vec<Tag>>,
    /// Whose processes the containers see.
    pub pid_mode: Option<PidMode>,
    /// Whose shared memory the containers see.
    pub ipc_mode: Option<IpcMode>,
    /// The proxy of App Mesh.
    pub proxy_configuration: Option<ProxyConfiguration>,
    /// Elastic Inference accelerators.
    pub inference_accelerators: Option<Vec<InferenceAccelerator>>,
    /// The task's own disk.
    pub ephemeral_storage: Option<EphemeralStorage>,
    /// What the images were built for.
    pub runtime_platform: Option<RuntimePlatform>,
    /// Whether faults may be injected from within the task.
    pub enable_fault_injection: Option<bool>,
    /// How the task is isolated from others.
    pub trusted_execution_configuration: Option<TrustedExecutionConfiguration>,
}

/// How a task's containers are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// One network namespace for the task, with an address of its own.
    Awsvpc,
    /// As `awsvpc`, and ports are published on the host.
    Bridge,
    /// No network but loopback.
    None,
    /// The host's own network; refused unless the operator allows it.
    Host,
}

/// Where a task definition is to be able to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Compatibility {
    /// On hosts of EC2.
    #[serde(rename = "EC2")]
    Ec2,
    /// On Fargate.
    Fargate,
    /// On hosts of one's own.
    External,
    /// On managed instances.
    ManagedInstances,
}

/// Whose processes containers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    /// The host's.
    Host,
    /// The task's.
    Task,
}

/// Whose shared memory containers see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    /// The host's.
    Host,
    /// The task's.
    Task,
    /// Their own.
    None,
}

/// A rule for the choice of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskDefinitionConstraint {
    /// What kind of rule.
    pub r#type: Option<TaskDefinitionConstraintType>,
    /// The rule, in the cluster query language.
    pub expression: Option<String>,
}

/// What kind of rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TaskDefinitionConstraintType {
    /// The host must match an expression.
    MemberOf,
}

/// The proxy of App Mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyConfiguration {
    /// Which proxy.
    pub r#type: Option<ProxyType>,
    /// The container that it runs in.
    #[serde(default)]
    #[schema(required = true)]
    pub container_name: String,
    /// Options of it.
    pub properties: Option<Vec<KeyValuePair>>,
}

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProxyType {
    /// App Mesh.
    #[serde(rename = "APPMESH")]
    AppMesh,
}

/// An Elastic Inference accelerator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InferenceAccelerator {
    /// Its name.
    #[serde(default)]
    #[schema(required = true)]
    pub device_name: String,
    /// Its type.
    #[serde(default)]
    #[schema(required = true)]
    pub device_type: String,
}

/// A task's own disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EphemeralStorage {
    /// Its size.
    #[serde(default)]
    #[serde(rename = "sizeInGiB")]
    #[schema(minimum = 21, maximum = 200, required = true)]
    pub size_in_gib: u32,
}

/// What images were built for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimePlatform {
    /// The processor.
    pub cpu_architecture: Option<CpuArchitecture>,
    /// The operating system.
    pub operating_system_family: Option<OperatingSystemFamily>,
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum CpuArchitecture {
    /// AMD and Intel, 64 bit.
    X86_64,
    /// ARM, 64 bit.
    Arm64,
}

/// An operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub enum OperatingSystemFamily {
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2019_FULL")]
    WindowsServer2019Full,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2019_CORE")]
    WindowsServer2019Core,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2016_FULL")]
    WindowsServer2016Full,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2004_CORE")]
    WindowsServer2004Core,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2022_CORE")]
    WindowsServer2022Core,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2022_FULL")]
    WindowsServer2022Full,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2025_CORE")]
    WindowsServer2025Core,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_2025_FULL")]
    WindowsServer2025Full,
    /// Windows Server.
    #[serde(rename = "WINDOWS_SERVER_20H2_CORE")]
    WindowsServer20H2Core,
    /// Linux.
    #[serde(rename = "LINUX")]
    Linux,
}

/// How a task is isolated from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedExecutionConfiguration {
    /// How strictly.
    #[schema(required = true, nullable = false)]
    pub isolation_mode: Option<IsolationMode>,
    /// The policy that it proves itself against.
    pub attestation_policy: Option<String>,
}

/// How strictly a task is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IsolationMode {
    /// It shares the kernel.
    Shared,
    /// It has a sandbox of its own.
    IsolatedSandbox,
    /// It has a confidential sandbox of its own.
    ConfidentialSandbox,
}

/// A revision of a task definition, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskDefinition {
    /// `family:revision`.
    pub task_definition: String,
    /// The name of it without the revision.
    pub family: String,
    /// Counts up from 1 within the family; never used twice.
    pub revision: u32,
    /// `ACTIVE`, or `INACTIVE` when it was deregistered.
    pub status: String,
    /// When it was registered.
    #[schema(format = DateTime)]
    pub registered_at: String,
    /// When it was deregistered, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub deregistered_at: Option<String>,
    /// Fields that are kept and have no effect here, each with the reason.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The document as it was sent, field for field; it can be registered again.
    pub document: serde_json::Value,
}

impl From<&domain::RegisteredTaskDefinition> for TaskDefinition {
    fn from(registered: &domain::RegisteredTaskDefinition) -> Self {
        let family = registered.definition.family.to_string();
        Self {
            task_definition: format!("{family}:{}", registered.revision),
            family,
            revision: registered.revision,
            status: match registered.status {
                domain::TaskDefinitionStatus::Active => "ACTIVE",
                domain::TaskDefinitionStatus::Inactive => "INACTIVE",
            }
            .to_owned(),
            registered_at: registered.registered_at.to_string(),
            deregistered_at: registered.deregistered_at.map(|at| at.to_string()),
            warnings: registered.warnings.clone(),
            document: registered.document.clone(),
        }
    }
}
