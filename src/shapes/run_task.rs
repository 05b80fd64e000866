//! Running and stopping tasks, as it is asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{KeyValuePair, Task};

/// Asks for tasks of one task definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunTaskRequest {
    /// Where they are to run; `default` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What is to run: `family` for its newest active revision, or `family:revision`.
    #[serde(default)]
    #[schema(required = true)]
    pub task_definition: String,
    /// How many; 1 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub count: Option<u32>,
    /// What these tasks change of their definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overrides: Option<TaskOverride>,
    /// Whether people may run commands in them: `neargate exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_execute_command: Option<bool>,
    /// Keys and values to find them by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub tags: Option<Vec<Tag>>,
    /// Whatever the caller wants to find them by later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub started_by: Option<String>,
    /// What they belong to; `family:<family>` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub group: Option<String>,
    /// A request with the same token as an earlier one gets the answer of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub client_token: Option<String>,
    /// Refused: there is no EBS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_configurations: Option<Value>,
}

/// What a run changes of its task definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskOverride {
    /// Replaces the task's CPU: CPU units, or `1 vCPU`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Replaces the task's memory: MiB, or `2 GB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Replaces the runtime that the containers run under, as `docker info` lists them; Neargate's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub runtime: Option<String>,
    /// What changes in single containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_overrides: Option<Vec<ContainerOverride>>,
}

/// What a run changes of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerOverride {
    /// Which container.
    #[serde(default)]
    #[schema(required = true)]
    pub name: String,
    /// Replaces the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Added to the environment; a name that is there already gets the new value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Vec<KeyValuePair>>,
    /// Replaces the container's CPU units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 1_048_576)]
    pub cpu: Option<u32>,
    /// Replaces the container's hard limit, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4, maximum = 16_777_216)]
    pub memory: Option<u32>,
    /// Replaces the container's soft limit, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 4, maximum = 16_777_216)]
    pub memory_reservation: Option<u32>,
}

/// A key and its value, to find something by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tag {
    /// The key.
    #[serde(default)]
    #[schema(required = true, min_length = 1, max_length = 128)]
    pub key: String,
    /// The value; empty when absent.
    #[serde(default)]
    #[schema(max_length = 256)]
    pub value: String,
}

impl Tag {
    /// `tags` as a list, in the order of their keys.
    pub fn list(tags: &BTreeMap<String, String>) -> Vec<Self> {
        tags.iter()
            .map(|(key, value)| Self {
                key: key.clone(),
                value: value.clone(),
            })
            .collect()
    }
}

/// The tasks that were accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunTaskResponse {
    /// As many as were asked for.
    pub tasks: Vec<Task>,
    /// Fields that have no effect here, each with the reason.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Keeps a service's task from being ended by scaling in or a deployment, or takes that back: the input of ECS
/// `UpdateTaskProtection`, for one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateTaskProtectionRequest {
    /// Whether it is protected from now on.
    pub protection_enabled: bool,
    /// For how long; 120 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_880)]
    pub expires_in_minutes: Option<u32>,
}

/// Asks that a task stops.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StopTaskRequest {
    /// Why, in the caller's words; becomes part of the `stoppedReason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub reason: Option<String>,
}
