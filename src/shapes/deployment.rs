//! A deployment of a service and the revision that it moves to, as they are shown: ECS's `Deployment` and
//! `ServiceDeployment` in one, its `ServiceRevision`, and what ECS does not keep: who, and what failed tasks wrote.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::LogLine;
use super::service::{count, pending, running};
use crate::control::{PastDeployment, RevisionView, ServiceView};
use crate::domain::{
    self, AlikeTasks, ClientName, DeploymentCause, DeploymentStatus, LastLine, LastStatus,
    TimestampMs,
};

/// One move of a service to a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDeployment {
    /// `ecs-svc/` and 19 digits: what its tasks were started by.
    pub id: String,
    /// `PRIMARY`: what the service is to become; `ACTIVE`: an older one with tasks, or one that is being rolled back;
    /// `INACTIVE`: without.
    pub status: String,
    /// Where it moves to: `family:revision`.
    pub task_definition: String,
    /// The service's own revision that it moves to: 19 digits.
    pub service_revision: String,
    /// The service's revisions that had tasks when it was begun, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_service_revisions: Vec<String>,
    /// Tasks of it that are to go on, or to be there in the end.
    pub desired_count: u32,
    /// Tasks of it that are PROVISIONING, PENDING or ACTIVATING.
    pub pending_count: u32,
    /// Tasks of it that are RUNNING.
    pub running_count: u32,
    /// Of those, the ones that count as healthy.
    #[serde(default)]
    pub healthy_count: u32,
    /// Its tasks that have not stopped, counted by `lastStatus`.
    #[serde(default)]
    pub task_counts: BTreeMap<String, u32>,
    /// Tasks of it that have failed since one was last healthy for long.
    pub failed_tasks: u32,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout_state: String,
    /// Why that is so.
    pub rollout_state_reason: String,
    /// What became of it, as ECS's `ServiceDeployment` says it: `IN_PROGRESS`, `SUCCESSFUL`, `STOPPED`,
    /// `ROLLBACK_IN_PROGRESS`, `ROLLBACK_SUCCESSFUL` or `ROLLBACK_FAILED`.
    pub service_deployment_status: String,
    /// Who made it the PRIMARY one: `user`, `rollback` (a user, of another deployment) or `circuitBreaker`.
    pub cause: String,
    /// Who asked for it.
    pub created_by: Requester,
    /// That the service left it before it was completed, to go back to an earlier revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<ServiceDeploymentRollback>,
    /// The last of its tasks that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<ServiceTaskFailure>,
    /// The newest 5 of its tasks that failed, newest first. Only in the history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ServiceTaskFailure>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its rollout state last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
    /// When it was completed, given up or left, or was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

/// Who asked for something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    /// `client`: somebody through the API; `circuitBreaker`: the scheduler itself.
    pub kind: String,
    /// What the client said that it is, in its header `neargate-client`, as `alice@laptop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether anybody has checked that name; nobody has, so far.
    pub verified: bool,
}

/// How a service went back from a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDeploymentRollback {
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub requested_by: Requester,
    /// Where it went back to: `family:revision`.
    pub task_definition: String,
    /// The same as the service's own revision.
    pub service_revision: String,
    /// When that began.
    #[schema(format = DateTime)]
    pub started_at: String,
}

/// A task of a service that came to an end by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTaskFailure {
    /// Which.
    pub task_id: String,
    /// When it had stopped.
    #[schema(format = DateTime)]
    pub at: String,
    /// Why.
    pub reason: String,
    /// What it last wrote: 10 lines of each container at most, and 4 KiB of all. They stay when its logs go. Only in the
    /// history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<LogLine>,
}

/// What a service runs in a deployment, as it was when that was asked for. It never changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRevision {
    /// 19 digits.
    pub id: String,
    /// What its tasks run: `family:revision`.
    pub task_definition: String,
    /// What its containers run; none when the task definition was deleted.
    pub container_images: Vec<ContainerImage>,
    /// Whether people may run commands in its tasks.
    #[serde(default)]
    pub enable_execute_command: bool,
    /// Whose tags its tasks get: `TASK_DEFINITION`, `SERVICE` or `NONE`.
    #[serde(default)]
    pub propagate_tags: String,
    /// Whether its tasks get the tags that name their cluster and their service.
    #[serde(default, rename = "enableECSManagedTags")]
    pub enable_ecs_managed_tags: bool,
    /// The fields of the request that are kept as they were sent: `launchType`, `platformVersion`,
    /// `networkConfiguration`, `capacityProviderStrategy` and others.
    #[serde(flatten)]
    pub kept: BTreeMap<String, Value>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// What a container of a revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerImage {
    /// Which container.
    pub container_name: String,
    /// Its image, as the task definition names it.
    pub image: String,
    /// What that was resolved to for the newest task; absent before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
}

impl Requester {
    fn of(cause: DeploymentCause, client: Option<&ClientName>) -> Self {
        let kind = match cause {
            DeploymentCause::CircuitBreaker => "circuitBreaker",
            DeploymentCause::User | DeploymentCause::Rollback => "client",
        };
        Self {
            kind: kind.to_owned(),
            name: client.map(ToString::to_string),
            verified: false,
        }
    }

    /// Who that is, for a person; `None` if nobody has said it.
    pub fn who(&self) -> Option<&str> {
        let is_breaker = self.kind == "circuitBreaker";
        self.name
            .as_deref()
            .or(is_breaker.then_some("the circuit breaker"))
    }
}

impl ServiceDeployment {
    /// `deployment` of a service that is as it is at `now`.
    pub fn of(deployment: &domain::Deployment, view: &ServiceView, now: TimestampMs) -> Self {
        let settling = view.service.configuration.settling();
        let own = || {
            let tasks = view.tasks.iter();
            tasks.filter(|alike| alike.sample.deployment == deployment.id.as_str())
        };
        // The one that a rollback came back to was not begun by it.
        let begun_by = match deployment.client {
            Some(_) => DeploymentCause::User,
            None => deployment.cause,
        };
        Self {
            id: deployment.id.to_string(),
            status: deployment.status.to_string(),
            task_definition: deployment.task_definition.to_string(),
            service_revision: deployment.service_revision.to_string(),
            source_service_revisions: deployment
                .source_revisions
                .iter()
                .map(ToString::to_string)
                .collect(),
            desired_count: match deployment.status {
                DeploymentStatus::Primary => view.service.wanted(),
                _ => count(own().filter(|alike| alike.sample.is_wanted())),
            },
            pending_count: pending(own()),
            running_count: running(own()),
            healthy_count: count(own().filter(|alike| alike.sample.is_healthy(settling, now))),
            task_counts: by_status(own()),
            failed_tasks: deployment.failed_tasks,
            rollout_state: deployment.rollout_state.to_string(),
            rollout_state_reason: deployment.rollout_state_reason.clone(),
            service_deployment_status: deployment.outcome().to_string(),
            cause: deployment.cause.as_str().to_owned(),
            created_by: Requester::of(begun_by, deployment.client.as_ref()),
            rollback: deployment
                .rollback
                .as_ref()
                .map(ServiceDeploymentRollback::of),
            last_failure: deployment
                .last_failure()
                .map(|failure| ServiceTaskFailure::of(failure, &[])),
            failures: Vec::new(),
            created_at: deployment.created_at.to_string(),
            updated_at: deployment.updated_at.to_string(),
            finished_at: deployment.finished_at.map(|at| at.to_string()),
        }
    }

    /// The same of the history, with what is remembered of its failed tasks.
    pub fn past(past: &PastDeployment, view: &ServiceView, now: TimestampMs) -> Self {
        let PastDeployment {
            deployment,
            last_lines,
        } = past;
        let failure = |failure: &domain::TaskFailure| {
            let lines = last_lines.get(&failure.task).map_or(&[][..], Vec::as_slice);
            ServiceTaskFailure::of(failure, lines)
        };
        Self {
            failures: deployment.failures.iter().rev().map(failure).collect(),
            ..Self::of(deployment, view, now)
        }
    }

    /// Why it is as it is, and if the service went back from it, where to and who wanted that: for a person.
    pub fn why(&self) -> String {
        let reason = &self.rollout_state_reason;
        let Some(rollback) = &self.rollback else {
            return reason.clone();
        };
        let by = rollback.requested_by.who();
        let by = by.map_or_else(String::new, |who| format!(" by {who}"));
        format!("{reason} Rolled back to {}{by}.", rollback.task_definition)
    }
}

fn by_status<'a>(tasks: impl Iterator<Item = &'a AlikeTasks>) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for AlikeTasks { sample, count } in tasks {
        if sample.last_status != LastStatus::Stopped {
            *counts.entry(sample.last_status.to_string()).or_default() += count;
        }
    }
    counts
}

impl ServiceDeploymentRollback {
    fn of(rollback: &domain::Rollback) -> Self {
        Self {
            reason: rollback.reason.clone(),
            requested_by: Requester::of(rollback.cause, rollback.client.as_ref()),
            task_definition: rollback.target.task_definition.to_string(),
            service_revision: rollback.target.service_revision.to_string(),
            started_at: rollback.started_at.to_string(),
        }
    }
}

impl ServiceTaskFailure {
    fn of(failure: &domain::TaskFailure, lines: &[LastLine]) -> Self {
        Self {
            task_id: failure.task.to_string(),
            at: failure.at.to_string(),
            reason: failure.reason.clone(),
            last_lines: lines.iter().map(LogLine::from).collect(),
        }
    }
}

impl From<&RevisionView> for ServiceRevision {
    fn from(view: &RevisionView) -> Self {
        let image = |container: &domain::ContainerDefinition| ContainerImage {
            container_name: container.name.to_string(),
            image: container.image.clone(),
            image_digest: view.digests.get(&container.name).cloned(),
        };
        Self {
            id: view.revision.id.to_string(),
            task_definition: view.revision.task_definition.to_string(),
            container_images: view.containers.iter().map(image).collect(),
            enable_execute_command: view.revision.settings.enable_execute_command,
            propagate_tags: view.revision.settings.propagate_tags.to_string(),
            enable_ecs_managed_tags: view.revision.settings.enable_ecs_managed_tags,
            kept: view.revision.settings.kept.clone(),
            created_at: view.revision.created_at.to_string(),
        }
    }
}
