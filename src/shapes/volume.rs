//! Volumes of a task definition, as they are written: every kind that ECS knows.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::ToSchema;

/// A volume that containers of the task can mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Volume {
    /// Unique in the task.
    pub name: Option<String>,
    /// A folder of the host.
    pub host: Option<HostVolumeProperties>,
    /// A volume of the engine.
    pub docker_volume_configuration: Option<DockerVolumeConfiguration>,
    /// A file system of EFS.
    pub efs_volume_configuration: Option<EfsVolumeConfiguration>,
    /// A file system of S3 Files.
    pub s3files_volume_configuration: Option<S3FilesVolumeConfiguration>,
    /// A file system of `FSx` for Windows File Server.
    pub fsx_windows_file_server_volume_configuration: Option<FsxVolumeConfiguration>,
    /// Whether the volume is described when a task is run.
    pub configured_at_launch: Option<bool>,
}

/// A folder of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostVolumeProperties {
    /// Its path.
    pub source_path: Option<String>,
}

/// A volume of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DockerVolumeConfiguration {
    /// Whether it ends with its task.
    pub scope: Option<DockerScope>,
    /// Whether it is made when missing.
    pub autoprovision: Option<bool>,
    /// The driver.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: Option<BTreeMap<String, String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
}

/// How long a volume lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DockerScope {
    /// As long as its task.
    Task,
    /// Longer.
    Shared,
}

/// A file system of EFS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EfsVolumeConfiguration {
    /// Its ID.
    #[serde(default)]
    #[schema(required = true)]
    pub file_system_id: String,
    /// The folder in it.
    pub root_directory: Option<String>,
    /// Whether it travels encrypted.
    pub transit_encryption: Option<Switch>,
    /// The port for that.
    #[schema(maximum = 65535)]
    pub transit_encryption_port: Option<u16>,
    /// Who may.
    pub authorization_config: Option<EfsAuthorizationConfig>,
}

/// Who may use a file system of EFS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EfsAuthorizationConfig {
    /// The access point.
    pub access_point_id: Option<String>,
    /// Whether the task role counts.
    pub iam: Option<Switch>,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// A file system of S3 Files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3FilesVolumeConfiguration {
    /// Its ARN.
    #[serde(default)]
    #[schema(required = true)]
    pub file_system_arn: String,
    /// The folder in it.
    pub root_directory: Option<String>,
    /// The port of its encrypted connection.
    #[schema(maximum = 65535)]
    pub transit_encryption_port: Option<u16>,
    /// The access point.
    pub access_point_arn: Option<String>,
}

/// A file system of `FSx` for Windows File Server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FsxVolumeConfiguration {
    /// Its ID.
    #[serde(default)]
    #[schema(required = true)]
    pub file_system_id: String,
    /// The folder in it.
    #[serde(default)]
    #[schema(required = true)]
    pub root_directory: String,
    /// Who may.
    #[serde(default)]
    #[schema(required = true)]
    pub authorization_config: FsxAuthorizationConfig,
}

/// Who may use a file system of `FSx`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FsxAuthorizationConfig {
    /// ARN of the credentials.
    #[serde(default)]
    #[schema(required = true)]
    pub credentials_parameter: String,
    /// The domain.
    #[serde(default)]
    #[schema(required = true)]
    pub domain: String,
}
