//! A container definition, as it is written: every field that ECS knows.
//!
//! The largest CPU and memory are beyond any machine; they are there so that sums of them stay small numbers.
//!
//! Fields that ECS requires are not `Option`s, and have defaults only so that a document with faults can
//! still be read for all the other faults in it. `support` says which fields have an effect here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{LinuxParameters, SystemControl, Ulimit};

/// One container of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerDefinition {
    /// Unique in the task: up to 255 letters, digits, hyphens and underscores.
    #[serde(default)]
    #[schema(required = true)]
    pub name: String,
    /// As Docker writes an image: `repository[:tag|@digest]`.
    #[serde(default)]
    #[schema(required = true)]
    pub image: String,
    /// Credentials for a private registry.
    pub repository_credentials: Option<RepositoryCredentials>,
    /// CPU units of the task that are this container's; 1,024 make one vCPU.
    #[schema(maximum = 1_048_576)]
    pub cpu: Option<u32>,
    /// Hard limit in MiB: beyond it the container is killed.
    #[schema(minimum = 4, maximum = 16_777_216)]
    pub memory: Option<u32>,
    /// Soft limit in MiB: what stays when memory is short.
    #[schema(minimum = 4, maximum = 16_777_216)]
    pub memory_reservation: Option<u32>,
    /// Names of other containers that this one is to know.
    pub links: Option<Vec<String>>,
    /// Ports that the container listens on.
    pub port_mappings: Option<Vec<PortMapping>>,
    /// Whether the task ends when this container does; true unless said otherwise.
    pub essential: Option<bool>,
    /// Whether and when the container is started again without the task.
    pub restart_policy: Option<ContainerRestartPolicy>,
    /// Replaces the image's ENTRYPOINT.
    pub entry_point: Option<Vec<String>>,
    /// Replaces the image's CMD.
    pub command: Option<Vec<String>>,
    /// Environment variables; the last one of a name wins.
    pub environment: Option<Vec<KeyValuePair>>,
    /// Files of environment variables.
    pub environment_files: Option<Vec<EnvironmentFile>>,
    /// Volumes of the task that are mounted here.
    #[schema(max_items = 100)]
    pub mount_points: Option<Vec<MountPoint>>,
    /// Containers whose mounts are mounted here, too.
    pub volumes_from: Option<Vec<VolumeFrom>>,
    /// What only Linux has.
    pub linux_parameters: Option<LinuxParameters>,
    /// Environment variables whose values are kept elsewhere.
    pub secrets: Option<Vec<Secret>>,
    /// Secrets as files: Neargate's own; ECS does not have it.
    #[schema(max_items = 32)]
    pub secret_files: Option<Vec<SecretFile>>,
    /// Other containers whose state this one waits for.
    pub depends_on: Option<Vec<ContainerDependency>>,
    /// Seconds that a dependency may take before the task has failed to start.
    #[schema(minimum = 2, maximum = 86400)]
    pub start_timeout: Option<u32>,
    /// Seconds from SIGTERM to SIGKILL; 30 unless said otherwise. More than ECS's 120 are allowed.
    #[schema(maximum = 86400)]
    pub stop_timeout: Option<u32>,
    /// Whether the image's tag is resolved to a digest once per deployment.
    pub version_consistency: Option<VersionConsistency>,
    /// The name that the container knows its host by.
    #[schema(max_length = 253)]
    pub hostname: Option<String>,
    /// `user`, `user:group`, `uid` or `uid:gid`, and the mixtures of them.
    #[schema(max_length = 255)]
    pub user: Option<String>,
    /// Replaces the image's WORKDIR.
    #[schema(max_length = 4096)]
    pub working_directory: Option<String>,
    /// Whether the container has no network.
    pub disable_networking: Option<bool>,
    /// Whether the container may do what root on the host may.
    pub privileged: Option<bool>,
    /// Whether the root file system cannot be written to.
    pub readonly_root_filesystem: Option<bool>,
    /// DNS servers of the container.
    pub dns_servers: Option<Vec<String>>,
    /// DNS search domains of the container.
    pub dns_search_domains: Option<Vec<String>>,
    /// Lines for /etc/hosts.
    pub extra_hosts: Option<Vec<HostEntry>>,
    /// Options of `SELinux`, `AppArmor` and the like.
    pub docker_security_options: Option<Vec<String>>,
    /// Whether standard input stays open.
    pub interactive: Option<bool>,
    /// Whether a terminal is allocated.
    pub pseudo_terminal: Option<bool>,
    /// Labels for the engine's object; none may begin with `neargate.`.
    pub docker_labels: Option<BTreeMap<String, String>>,
    /// Limits of the kernel on the container's processes.
    pub ulimits: Option<Vec<Ulimit>>,
    /// Where the container's log goes.
    pub log_configuration: Option<LogConfiguration>,
    /// How to find out whether the container is healthy.
    pub health_check: Option<HealthCheck>,
    /// Kernel parameters of the task's namespaces.
    pub system_controls: Option<Vec<SystemControl>>,
    /// Devices that the container needs.
    pub resource_requirements: Option<Vec<ResourceRequirement>>,
    /// Makes the container a router of logs.
    pub firelens_configuration: Option<FirelensConfiguration>,
    /// Windows credential specifications.
    pub credential_specs: Option<Vec<String>>,
}

/// Credentials for a private registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryCredentials {
    /// The secret, as `valueFrom` names one: a JSON object with `username` and `password`.
    #[serde(default)]
    #[schema(required = true)]
    pub credentials_parameter: String,
}

/// A port that a container listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortMapping {
    /// The port inside the task.
    #[schema(minimum = 1, maximum = 65535)]
    pub container_port: Option<u16>,
    /// In `bridge` mode the port on the host, 0 for any that is free; in `awsvpc` mode the same as `containerPort`, if given.
    #[schema(maximum = 65535)]
    pub host_port: Option<u16>,
    /// `tcp` unless said otherwise.
    pub protocol: Option<TransportProtocol>,
    /// The name of the port for Service Connect.
    pub name: Option<String>,
    /// The protocol of the application for Service Connect.
    pub app_protocol: Option<AppProtocol>,
    /// Several ports: `first-last`.
    pub container_port_range: Option<String>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The protocol of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AppProtocol {
    /// HTTP/1.
    Http,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
}

/// Whether and when a container is started again without its task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerRestartPolicy {
    /// Whether it is.
    #[serde(default)]
    #[schema(required = true)]
    pub enabled: bool,
    /// Exit codes after which it is not.
    #[schema(max_items = 50)]
    pub ignored_exit_codes: Option<Vec<i32>>,
    /// Seconds that it must have run before it is started again.
    #[schema(minimum = 60, maximum = 1800)]
    pub restart_attempt_period: Option<u32>,
}

/// A name and its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyValuePair {
    /// The name.
    pub name: Option<String>,
    /// The value; empty when absent.
    pub value: Option<String>,
}

/// A file of environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentFile {
    /// The secret that holds the lines of the file, or the ARN of an object in S3, for which the secret
    /// `BUCKET/KEY` stands.
    #[serde(default)]
    #[schema(required = true)]
    pub value: String,
    /// Where it is kept.
    #[schema(required = true, nullable = false)]
    pub r#type: Option<EnvironmentFileType>,
}

/// Where a file of environment variables is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentFileType {
    /// In S3.
    S3,
}

/// A volume of the task, mounted in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountPoint {
    /// The volume.
    pub source_volume: Option<String>,
    /// Where it is mounted.
    pub container_path: Option<String>,
    /// Whether it cannot be written to.
    pub read_only: Option<bool>,
}

/// Another container's mounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeFrom {
    /// The other container.
    pub source_container: Option<String>,
    /// Whether they cannot be written to.
    pub read_only: Option<bool>,
}

/// An environment variable or option whose value is kept elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// The name.
    #[serde(default)]
    #[schema(required = true)]
    pub name: String,
    /// The secret: its name, or an ARN of Secrets Manager or the Parameter Store that ends in it.
    #[serde(default)]
    #[schema(required = true)]
    pub value_from: String,
}

/// A secret as a file in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretFile {
    /// The file, as `/run/secrets/db`. Its folder is a file system in memory that hides what the image has there.
    #[serde(default)]
    #[schema(required = true)]
    pub container_path: String,
    /// The secret: its name, or an ARN of Secrets Manager or the Parameter Store that ends in it.
    #[serde(default)]
    #[schema(required = true)]
    pub value_from: String,
    /// Who may do what with it, in octal digits; `0444` unless said otherwise. The file belongs to the container's
    /// `user` where that is a number, to root otherwise.
    pub mode: Option<String>,
}

/// A state of another container that must be reached before this one starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerDependency {
    /// The other container.
    #[serde(default)]
    #[schema(required = true)]
    pub container_name: String,
    /// The state.
    #[schema(required = true, nullable = false)]
    pub condition: Option<DependencyCondition>,
}

/// A state that another container can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DependencyCondition {
    /// It has been started.
    Start,
    /// It has run to its end, whatever the exit code.
    Complete,
    /// It has run to its end with exit code 0.
    Success,
    /// Its health check has passed.
    Healthy,
}

/// Whether a tag is resolved to a digest once per deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VersionConsistency {
    /// It is.
    Enabled,
    /// It is not.
    Disabled,
}

/// A line for /etc/hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostEntry {
    /// The name.
    #[serde(default)]
    #[schema(required = true)]
    pub hostname: String,
    /// The address.
    #[serde(default)]
    #[schema(required = true)]
    pub ip_address: String,
}

/// Where a container's log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogConfiguration {
    /// The driver.
    #[schema(required = true, nullable = false)]
    pub log_driver: Option<LogDriver>,
    /// Options of the driver.
    pub options: Option<BTreeMap<String, String>>,
    /// Options whose values are kept elsewhere.
    pub secret_options: Option<Vec<Secret>>,
}

/// A driver for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogDriver {
    /// Files of the engine.
    #[serde(rename = "json-file")]
    JsonFile,
    /// syslog.
    Syslog,
    /// journald.
    Journald,
    /// Graylog.
    Gelf,
    /// Fluentd.
    Fluentd,
    /// `CloudWatch` Logs.
    Awslogs,
    /// Splunk.
    Splunk,
    /// `FireLens`.
    Awsfirelens,
}

/// How to find out whether a container is healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthCheck {
    /// Begins with `CMD` (arguments follow) or `CMD-SHELL` (one string for the image's shell); `NONE` turns the image's own check off.
    #[serde(default)]
    #[schema(required = true, min_items = 1)]
    pub command: Vec<String>,
    /// Seconds from the end of one check to the start of the next; 30 unless said otherwise.
    #[schema(minimum = 5, maximum = 300)]
    pub interval: Option<u32>,
    /// Seconds that one check may take; 5 unless said otherwise.
    #[schema(minimum = 2, maximum = 60)]
    pub timeout: Option<u32>,
    /// How many failures in a row make it unhealthy; 3 unless said otherwise.
    #[schema(minimum = 1, maximum = 10)]
    pub retries: Option<u32>,
    /// Seconds after the start in which failures do not count; 0 unless said otherwise.
    #[schema(maximum = 300)]
    pub start_period: Option<u32>,
}

/// A device that a container needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRequirement {
    /// How many, or which.
    pub value: Option<String>,
    /// What kind of device.
    #[schema(required = true, nullable = false)]
    pub r#type: Option<ResourceType>,
    /// How it is shared.
    pub sharing_strategy: Option<SharingStrategy>,
}

/// What kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
pub enum ResourceType {
    /// A GPU.
    #[serde(rename = "GPU")]
    Gpu,
    /// An Elastic Inference accelerator.
    InferenceAccelerator,
    /// A Neuron device.
    NeuronDevice,
}

/// How a device is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharingStrategy {
    /// By the multi-process service of NVIDIA.
    pub nvidia_mps: Option<NvidiaMpsAllocation>,
}

/// A share of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NvidiaMpsAllocation {
    /// MiB of its memory.
    #[serde(default)]
    #[schema(minimum = 1, required = true)]
    pub memory: u32,
    /// Percent of its computing power.
    #[schema(minimum = 1, maximum = 100)]
    pub max_compute_percent: Option<u32>,
}

/// Makes a container a router of logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirelensConfiguration {
    /// Which router.
    #[schema(required = true, nullable = false)]
    pub r#type: Option<FirelensType>,
    /// Options of it.
    pub options: Option<BTreeMap<String, String>>,
}

/// A router of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FirelensType {
    /// Fluentd.
    Fluentd,
    /// Fluent Bit.
    Fluentbit,
}
