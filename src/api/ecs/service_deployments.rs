//! Deployments and revisions of services: the same history that `neargate service history` shows.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{names, show};
use crate::control::{Control, ControlError, RevisionView, ServiceView, StopType};
use crate::domain::{
    CircuitBreaker, Deployment, DeploymentCause, ServiceDeploymentStatus, ServiceKey,
    ServiceRevisionId, TimestampMs, cluster_arn, service_arn, service_deployment_arn,
    service_revision_arn, task_definition_arn,
};
use crate::shapes;

/// Deployments, and revisions, that one call can ask for, as in ECS.
const MOST: usize = 20;
const STATUSES: [&str; 9] = [
    "PENDING",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "IN_PROGRESS",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
];

/// A service that has been there, also one that is INACTIVE.
async fn find(control: &Control, key: &ServiceKey) -> Result<ServiceView, EcsError> {
    match control.service(key).await {
        Err(ControlError::NotFound { .. }) => Err(EcsError::no_service()),
        found => Ok(found?),
    }
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let statuses = input.texts("status");
    if let Some(unknown) = statuses.iter().find(|one| !STATUSES.contains(one)) {
        let shown: String = unknown.chars().take(64).collect();
        return Err(EcsError::parameter(format!(
            "status is \"{shown}\"; it must be one of {}.",
            json!(STATUSES)
        )));
    }
    let bound = |name: &str| {
        let sent = input
            .value("createdAt")
            .map_or(&Value::Null, |sent| &sent[name]);
        match sent.as_f64() {
            None if !sent.is_null() => Err(EcsError::parameter(format!(
                "createdAt.{name} must be a time, in seconds since 1970."
            ))),
            bound => Ok(bound),
        }
    };
    let (before, after) = (bound("before")?, bound("after")?);
    let page = input.page(20)?;
    let cluster = input.cluster(&control).await?.name;
    let key = names::service(input.required("service"), &cluster)?;
    let view = find(&control, &key).await?;
    let page = control.service_deployments(&view.service, page).await?;
    let is_wanted = |one: &&Deployment| {
        let at = one.created_at.as_millis() as f64 / 1_000.0;
        before.is_none_or(|before| at < before)
            && after.is_none_or(|after| at > after)
            && (statuses.is_empty() || statuses.contains(&one.outcome().as_str()))
    };
    let all = page.items.iter().map(|past| &past.deployment);
    let shown: Vec<Value> = all
        .filter(is_wanted)
        .map(|deployment| {
            json!({
                "serviceDeploymentArn": service_deployment_arn(&key, &deployment.id),
                "serviceArn": service_arn(&key),
                "clusterArn": cluster_arn(&key.cluster),
                "startedAt": show::time(deployment.created_at),
                "createdAt": show::time(deployment.created_at),
                "finishedAt": show::maybe_time(deployment.finished_at),
                "targetServiceRevisionArn": service_revision_arn(&key, &deployment.service_revision),
                "status": deployment.outcome().as_str(),
                "statusReason": reason(deployment),
            })
        })
        .collect();
    Ok(json!({ "serviceDeployments": shown, "nextToken": page.next }))
}

/// Why it is as it is.
fn reason(deployment: &Deployment) -> &str {
    match &deployment.rollback {
        Some(rollback) => &rollback.reason,
        None => &deployment.rollout_state_reason,
    }
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let (mut shown, mut failures) = (Vec::new(), Vec::new());
    for arn in input.some_texts("serviceDeploymentArns", MOST)? {
        let (key, id) = names::service_deployment(arn)?;
        let found = match control.service(&key).await {
            Ok(view) => match control.service_deployment(&key, &id).await {
                Ok(deployment) => Ok((view, deployment)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match found {
            Ok((view, deployment)) => {
                shown.push(self::deployment(&view, &deployment, control.now()));
            }
            Err(ControlError::NotFound { .. }) => failures.push(show::missing(arn)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(show::found("serviceDeployments", shown, failures))
}

fn deployment(view: &ServiceView, deployment: &Deployment, now: TimestampMs) -> Value {
    let key = &view.service.key;
    let status = deployment.outcome();
    let is_over = deployment.finished_at.is_some();
    let stopped = (status == ServiceDeploymentStatus::Stopped).then_some(deployment.finished_at);
    let configuration = &view.service.configuration;
    let revision = |id: &ServiceRevisionId| counted(view, id, now);
    let sources = deployment.source_revisions.iter();
    let no_alarms: [&str; 0] = [];
    json!({
        "serviceDeploymentArn": service_deployment_arn(key, &deployment.id),
        "serviceArn": service_arn(key),
        "clusterArn": cluster_arn(&key.cluster),
        "createdAt": show::time(deployment.created_at),
        "startedAt": show::time(deployment.created_at),
        "finishedAt": show::maybe_time(deployment.finished_at),
        "stoppedAt": show::maybe_time(stopped.flatten()),
        "updatedAt": show::time(deployment.updated_at),
        "sourceServiceRevisions": sources.map(revision).collect::<Vec<_>>(),
        "targetServiceRevision": revision(&deployment.service_revision),
        "status": status.as_str(),
        "statusReason": reason(deployment),
        "deploymentConfiguration": show::deployment_configuration(configuration),
        "rollback": deployment.rollback.as_ref().map(|rollback| json!({
            "reason": rollback.reason,
            "startedAt": show::time(rollback.started_at),
            "serviceRevisionArn": service_revision_arn(key, &rollback.target.service_revision),
        })),
        "deploymentCircuitBreaker": {
            "status": breaker(configuration.circuit_breaker, deployment, is_over),
            "failureCount": deployment.failed_tasks,
            "threshold": CircuitBreaker::threshold(view.service.wanted()),
        },
        "alarms": { "status": "DISABLED", "alarmNames": no_alarms, "triggeredAlarmNames": no_alarms },
    })
}

/// What the circuit breaker makes of a deployment.
fn breaker(breaker: CircuitBreaker, deployment: &Deployment, is_over: bool) -> &'static str {
    let by_breaker =
        |rollback: &crate::domain::Rollback| rollback.cause == DeploymentCause::CircuitBreaker;
    if deployment.rollback.as_ref().is_some_and(by_breaker) {
        "TRIGGERED"
    } else if !breaker.enable {
        "DISABLED"
    } else if is_over {
        "MONITORING_COMPLETE"
    } else {
        "MONITORING"
    }
}

/// A revision with the tasks that there are of it.
pub(super) fn counted(view: &ServiceView, id: &ServiceRevisionId, now: TimestampMs) -> Value {
    let mut counts = [0_u32; 3];
    for one in &view.service.deployments {
        if one.service_revision == *id {
            let shown = shapes::ServiceDeployment::of(one, view, now);
            counts[0] += shown.desired_count;
            counts[1] += shown.running_count;
            counts[2] += shown.pending_count;
        }
    }
    json!({
        "arn": service_revision_arn(&view.service.key, id),
        "requestedTaskCount": counts[0],
        "runningTaskCount": counts[1],
        "pendingTaskCount": counts[2],
    })
}

pub(super) async fn revisions(control: Control, input: Input) -> Result<Value, EcsError> {
    let (mut shown, mut failures) = (Vec::new(), Vec::new());
    for arn in input.some_texts("serviceRevisionArns", MOST)? {
        let (key, id) = names::service_revision(arn)?;
        match control.service_revision(&key, &id).await {
            Ok(view) => shown.push(revision(&key, &view)),
            Err(ControlError::NotFound { .. }) => failures.push(show::missing(arn)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(show::found("serviceRevisions", shown, failures))
}

fn revision(key: &ServiceKey, view: &RevisionView) -> Value {
    let revision = &view.revision;
    let images: Vec<Value> = view
        .containers
        .iter()
        .map(|container| {
            json!({
                "containerName": container.name,
                "image": container.image,
                "imageDigest": view.digests.get(&container.name),
            })
        })
        .collect();
    let mut shown = json!({
        "serviceRevisionArn": service_revision_arn(key, &revision.id),
        "serviceArn": service_arn(key),
        "clusterArn": cluster_arn(&key.cluster),
        "taskDefinition": task_definition_arn(&revision.task_definition),
        "loadBalancers": [],
        "serviceRegistries": [],
        "containerImages": images,
        "guardDutyEnabled": false,
        "createdAt": show::time(revision.created_at),
    });
    show::add(&mut shown, show::launch(&revision.settings));
    shown
}

pub(super) async fn stop(control: Control, input: Input) -> Result<Value, EcsError> {
    let stop_type = match input.word("stopType", &["ABORT", "ROLLBACK"])? {
        Some("ABORT") => StopType::Abort,
        _ => StopType::Rollback,
    };
    let arn = input.required("serviceDeploymentArn");
    let (key, id) = names::service_deployment(arn)?;
    let stopped = control
        .stop_service_deployment(&key, &id, stop_type, None)
        .await;
    match stopped {
        Ok(_) => Ok(json!({ "serviceDeploymentArn": arn })),
        Err(ControlError::NotFound { .. }) => Err(EcsError::new(
            "ServiceDeploymentNotFoundException",
            "Service deployment not found.",
        )),
        Err(ControlError::Conflict { message, .. }) => {
            Err(EcsError::new("ConflictException", message))
        }
        Err(error) => Err(error.into()),
    }
}
