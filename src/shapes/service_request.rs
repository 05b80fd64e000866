//! Services, as they are asked for: the inputs of ECS's `CreateService` and `UpdateService`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::Tag;
use crate::domain;

/// Asks for a service: the input of ECS's `CreateService`. `docs/service-fields.md` says what becomes of each field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateServiceRequest {
    /// Where its tasks are to run; `default` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Unique in its cluster: up to 255 letters, digits, hyphens and underscores.
    #[serde(default)]
    #[schema(required = true)]
    pub service_name: String,
    /// What its tasks run: `family` for its newest active revision, or `family:revision`. Needed, but by a service with an
    /// EXTERNAL deployment controller, whose task sets say it.
    #[serde(default)]
    pub task_definition: String,
    /// How many tasks, 5,000 at most; needed, but by a DAEMON, which has one on each host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 5_000)]
    pub desired_count: Option<u32>,
    /// `REPLICA` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_strategy: Option<SchedulingStrategy>,
    /// How it moves from one revision to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_configuration: Option<DeploymentConfiguration>,
    /// Seconds after its start in which a task's health is not held against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_147_483_647)]
    pub health_check_grace_period_seconds: Option<u32>,
    /// Keys and values to find it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub tags: Option<Vec<Tag>>,
    /// Whose tags its tasks get; nobody's unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagate_tags: Option<PropagateTags>,
    /// Which kind of host; there is one here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_type: Option<LaunchType>,
    /// A request with the same token as an earlier one, of the last day, gets the service of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub client_token: Option<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone_rebalancing: Option<String>,
    /// Among which capacity providers its tasks are spread; on this host that is what they say, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_strategy: Option<Value>,
    /// Who carries deployments out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_controller: Option<DeploymentController>,
    /// Whether its tasks get the tags `aws:ecs:clusterName` and `aws:ecs:serviceName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "enableECSManagedTags")]
    pub enable_ecs_managed_tags: Option<bool>,
    /// Whether people may run commands in its tasks: those that are started from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_execute_command: Option<bool>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancers: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_constraints: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_strategy: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Has no effect: there is no Service Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_connect_configuration: Option<Value>,
    /// Refused: there are no gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_connectors: Option<Value>,
    /// Has no effect: figures are taken all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Value>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_registries: Option<Value>,
    /// Refused: there is no EBS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_configurations: Option<Value>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_lattice_configurations: Option<Value>,
}

/// Asks for a change of a service: the input of ECS's `UpdateService`. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateServiceRequest {
    /// What its tasks run from now on. Another revision than now begins a deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// How many tasks, 5,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 5_000)]
    pub desired_count: Option<u32>,
    /// Begins a deployment, also of the same revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_new_deployment: Option<bool>,
    /// How it moves from one revision to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_configuration: Option<DeploymentConfiguration>,
    /// Seconds after its start in which a task's health is not held against it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_147_483_647)]
    pub health_check_grace_period_seconds: Option<u32>,
    /// Whose tags its tasks get: those that are started from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagate_tags: Option<PropagateTags>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_zone_rebalancing: Option<String>,
    /// Among which capacity providers its tasks are spread; on this host that is what they say, and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_provider_strategy: Option<Value>,
    /// Who carries deployments out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_controller: Option<DeploymentController>,
    /// Whether its tasks get the tags `aws:ecs:clusterName` and `aws:ecs:serviceName`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "enableECSManagedTags")]
    pub enable_ecs_managed_tags: Option<bool>,
    /// Whether people may run commands in its tasks: those that are started from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_execute_command: Option<bool>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancers: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_configuration: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_constraints: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement_strategy: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// Has no effect: there is no Service Connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_connect_configuration: Option<Value>,
    /// Refused: there are no gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_connectors: Option<Value>,
    /// Has no effect: figures are taken all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Value>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_registries: Option<Value>,
    /// Refused: there is no EBS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_configurations: Option<Value>,
    /// Refused: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_lattice_configurations: Option<Value>,
}

/// How many tasks a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SchedulingStrategy {
    /// As many as `desiredCount` says.
    #[default]
    Replica,
    /// One on each host.
    Daemon,
}

/// Whose tags the tasks of a service get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagateTags {
    /// Those of their task definition.
    TaskDefinition,
    /// Those of the service.
    Service,
    /// Nobody's.
    #[default]
    None,
}

impl From<domain::PropagateTags> for PropagateTags {
    fn from(kept: domain::PropagateTags) -> Self {
        match kept {
            domain::PropagateTags::TaskDefinition => Self::TaskDefinition,
            domain::PropagateTags::Service => Self::Service,
            domain::PropagateTags::None => Self::None,
        }
    }
}

/// Which kind of host tasks run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LaunchType {
    /// Instances of one's own.
    Ec2,
    /// AWS's own.
    Fargate,
    /// Anybody's.
    External,
    /// Instances that AWS looks after.
    ManagedInstances,
}

/// How a service moves from one revision to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentConfiguration {
    /// Of the desired count, rounded up: so many healthy tasks at least. 0 to 100; 100 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_healthy_percent: Option<u32>,
    /// Of the desired count, rounded down: so many tasks at most. 100 to 1000; 200 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_percent: Option<u32>,
    /// What gives a deployment up whose tasks keep failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_circuit_breaker: Option<DeploymentCircuitBreaker>,
    /// Only `ROLLING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Refused where enabled: there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Value>,
    /// Has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake_time_in_minutes: Option<u32>,
    /// Refused: nothing would call them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle_hooks: Option<Value>,
    /// Refused: only rolling deployments are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear_configuration: Option<Value>,
    /// Refused: only rolling deployments are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_configuration: Option<Value>,
}

/// What gives a deployment up whose tasks keep failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentCircuitBreaker {
    /// Whether that happens.
    #[serde(default)]
    #[schema(required = true)]
    pub enable: bool,
    /// Whether the last revision that was deployed completely is then deployed again.
    #[serde(default)]
    #[schema(required = true)]
    pub rollback: bool,
}

/// Who carries deployments out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeploymentController {
    /// `ECS`, the service's own rolling deployment, or `EXTERNAL`: somebody else's, by task sets.
    #[serde(rename = "type", default)]
    #[schema(required = true)]
    pub kind: String,
}
