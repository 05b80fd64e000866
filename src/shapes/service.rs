//! A service, as it is shown: the shape of ECS's `DescribeServices`, and what ECS does not tell.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    DeploymentCircuitBreaker, DeploymentConfiguration, PropagateTags, ServiceDeployment,
    ServiceScaling, ServiceTaskSet, Tag,
};
use crate::control::ServiceView;
use crate::domain::{self, AlikeTasks, LastStatus, TimestampMs};

/// A service. Times are RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Unique in its cluster among those that are not INACTIVE.
    pub service_name: String,
    /// Where its tasks run.
    pub cluster: String,
    /// `ACTIVE`; `DRAINING` when it was deleted and its tasks come to their end; then `INACTIVE`.
    pub status: String,
    /// `REPLICA` or `DAEMON`.
    pub scheduling_strategy: String,
    /// What its newest deployment moves to: `family:revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// How many tasks it is to have.
    pub desired_count: u32,
    /// Tasks that are PROVISIONING, PENDING or ACTIVATING.
    pub pending_count: u32,
    /// Tasks that are RUNNING.
    pub running_count: u32,
    /// Of those, the ones that count as healthy.
    pub healthy_count: u32,
    /// Whether it has all of its tasks, healthy, and of its newest deployment alone.
    pub steady: bool,
    /// What the scheduler waits for, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// How it moves from one revision to the next.
    pub deployment_configuration: DeploymentConfiguration,
    /// Seconds after its start in which a task's health is not held against it.
    pub health_check_grace_period_seconds: u32,
    /// Whether people may run commands in the tasks that it starts.
    #[serde(default)]
    pub enable_execute_command: bool,
    /// Whose tags the tasks get that it starts.
    #[serde(default)]
    pub propagate_tags: PropagateTags,
    /// Whether they get the tags `aws:ecs:clusterName` and `aws:ecs:serviceName`.
    #[serde(default, rename = "enableECSManagedTags")]
    pub enable_ecs_managed_tags: bool,
    /// The newest deployment, `PRIMARY`, and after it those that still have tasks, newest first.
    pub deployments: Vec<ServiceDeployment>,
    /// Its task sets, of a service with the EXTERNAL deployment controller, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub task_sets: Vec<ServiceTaskSet>,
    /// The revision that a rollback goes back to, if it is not the one that is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_completed_task_definition: Option<String>,
    /// The newest 100 of what happened to it, newest first. Not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<ServiceEvent>,
    /// Between how many tasks it is scaled, and by what, if it is. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ServiceScaling>,
    /// Key and value.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub deleted_at: Option<String>,
    /// What its user should know: fields without effect, bounds that leave no room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Something that happened to a service, in ECS's words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEvent {
    /// Its number among all events.
    pub id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// `(service web) has reached a steady state.`
    pub message: String,
}

impl Service {
    /// `view` as it is at `now`.
    pub fn of(view: &ServiceView, now: TimestampMs) -> Self {
        let ServiceView { service, tasks } = view;
        let configuration = &service.configuration;
        let grace = configuration.health_check_grace_period;
        let settling = configuration.settling();
        let healthy = |alike: &&AlikeTasks| alike.sample.is_healthy(settling, now);
        let wanted = service.wanted();
        let primary = service.primary();
        let current = primary.map(|primary| &primary.task_definition);
        let back = service.last_completed.as_ref();
        let back = back.map(|target| &target.task_definition);
        Self {
            service_name: service.key.name.to_string(),
            cluster: service.key.cluster.to_string(),
            status: service.status.to_string(),
            scheduling_strategy: match configuration.scheduling_strategy {
                domain::SchedulingStrategy::Replica => "REPLICA",
                domain::SchedulingStrategy::Daemon => "DAEMON",
            }
            .to_owned(),
            task_definition: current.map(ToString::to_string),
            desired_count: wanted,
            pending_count: pending(tasks.iter()),
            running_count: running(tasks.iter()),
            healthy_count: count(tasks.iter().filter(healthy)),
            steady: service.is_steady,
            waiting: service.waiting.clone(),
            deployment_configuration: DeploymentConfiguration::from(configuration),
            health_check_grace_period_seconds: u32::try_from(grace.as_millis() / 1_000)
                .unwrap_or_default(),
            enable_execute_command: configuration.settings.enable_execute_command,
            propagate_tags: configuration.settings.propagate_tags.into(),
            enable_ecs_managed_tags: configuration.settings.enable_ecs_managed_tags,
            deployments: service
                .deployments
                .iter()
                .map(|one| ServiceDeployment::of(one, view, now))
                .collect(),
            task_sets: service
                .task_sets
                .iter()
                .map(|set| ServiceTaskSet::of(set, view))
                .collect(),
            last_completed_task_definition: back
                .filter(|back| Some(*back) != current)
                .map(ToString::to_string),
            events: Vec::new(),
            scaling: None,
            tags: Tag::list(&service.tags),
            created_at: service.created_at.to_string(),
            deleted_at: service.deleted_at.map(|at| at.to_string()),
            warnings: configuration.stuck(wanted).into_iter().collect(),
        }
    }
}

impl From<&domain::Event> for ServiceEvent {
    fn from(event: &domain::Event) -> Self {
        Self {
            id: event.seq.to_string(),
            created_at: event.event.at.to_string(),
            message: event.event.message.clone(),
        }
    }
}

impl From<&domain::ServiceConfiguration> for DeploymentConfiguration {
    fn from(configuration: &domain::ServiceConfiguration) -> Self {
        let breaker = configuration.circuit_breaker;
        Self {
            minimum_healthy_percent: Some(configuration.minimum_healthy_percent),
            maximum_percent: Some(configuration.maximum_percent),
            deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                enable: breaker.enable,
                rollback: breaker.rollback,
            }),
            ..Self::default()
        }
    }
}

pub(super) fn count<'a>(tasks: impl Iterator<Item = &'a AlikeTasks>) -> u32 {
    tasks.fold(0, |sum, alike| sum.saturating_add(alike.count))
}

pub(super) fn pending<'a>(tasks: impl Iterator<Item = &'a AlikeTasks>) -> u32 {
    count(tasks.filter(|alike| alike.sample.last_status < LastStatus::Running))
}

pub(super) fn running<'a>(tasks: impl Iterator<Item = &'a AlikeTasks>) -> u32 {
    count(tasks.filter(|alike| alike.sample.last_status == LastStatus::Running))
}
