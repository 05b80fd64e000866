//! ECS's shapes, from domain types: what answers are made of.
//!
//! No field that the model of ECS lacks, and those that ECS always sends. Where an answer would have to be made up,
//! the field is left out, which the model allows for every one of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{forms, service_deployments};
use crate::control::ServiceView;
use crate::domain::{
    self, Cluster, ClusterName, ContainerDefinition, Event, FamilyRevision, InstanceId, LastStatus,
    LaunchPlan, LaunchType, NetworkMode, RegisteredTaskDefinition, RevisionSettings,
    SchedulingStrategy, Service, ServiceConfiguration, ServiceDeploymentStatus, Task, TaskSet,
    TaskSize, TimestampMs, cluster_arn, container_arn, service_arn, service_deployment_arn,
    task_arn, task_definition_arn, task_set_arn,
};
use crate::domain::{TaskDefinitionStatus, TaskId};
use crate::shapes::{ServiceDeployment, Tag, container_uuid, uuid};

mod definition;

pub(super) use definition::definition;

/// The platform that a task on this host passes for.
const PLATFORM_VERSION: &str = "1.4.0";
const PLATFORM_FAMILY: &str = "Linux";

/// Seconds since 1970, to the millisecond.
pub(super) fn time(at: TimestampMs) -> Value {
    json!(at.as_millis() as f64 / 1_000.0)
}

pub(super) fn maybe_time(at: Option<TimestampMs>) -> Value {
    at.map_or(Value::Null, time)
}

/// Takes the fields that are null out of `value`, however deep: ECS leaves out what it does not know.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// An object of those of these fields that are not null: what is shown a hundred times in an answer is not made to be dropped.
macro_rules! known {
    ({ $($name:literal: $value:expr),+ $(,)? }) => {{
        let mut fields = Map::with_capacity([$($name),+].len());
        $(
            let value = json!($value);
            if !value.is_null() {
                fields.insert($name.to_owned(), value);
            }
        )+
        Value::Object(fields)
    }};
}

/// Adds the fields of `more` to those of `value`; what is there already is replaced.
pub(super) fn add(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}

/// An answer of many: `items` under their name, and the failures. They are moved there, where `json!` would copy them.
pub(super) fn found(name: &str, items: Vec<Value>, failures: Vec<Value>) -> Value {
    let parts = [(name, items), ("failures", failures)];
    parts
        .into_iter()
        .map(|(name, items)| (name.to_owned(), Value::Array(items)))
        .collect()
}

/// Whoever did something: there is one user.
pub(super) fn root_arn() -> String {
    format!("arn:aws:iam::{}:root", domain::account())
}

/// The engine's host, as ECS would call it: 32 digits.
pub(super) fn container_instance_id(instance: &InstanceId) -> String {
    format!("{:0>32}", instance.as_str())
}

/// The same as an ARN.
pub(super) fn container_instance_arn(cluster: &ClusterName, instance: &InstanceId) -> String {
    container_instance_arn_of(cluster, &container_instance_id(instance))
}

/// The ARN of a container instance.
pub(super) fn container_instance_arn_of(cluster: &ClusterName, id: &str) -> String {
    domain::arn("ecs", format_args!("container-instance/{cluster}/{id}"))
}

/// What was asked for is not there.
pub(super) fn missing(arn: &str) -> Value {
    json!({ "arn": arn, "reason": "MISSING" })
}

pub(super) fn tags(tags: &BTreeMap<String, String>) -> Value {
    json!(Tag::list(tags))
}

/// The tags that a document has.
pub(super) fn tag_map(sent: Option<&Value>) -> BTreeMap<String, String> {
    domain::tags_of_document(sent)
}

pub(super) fn definition_tags(registered: &RegisteredTaskDefinition) -> Value {
    tags(&tag_map(registered.document.get("tags")))
}

pub(super) fn cluster_tags(cluster: &Cluster) -> Value {
    tags(&tag_map(cluster.kept.get("tags")))
}

/// What is shown of a cluster only to whoever asks for it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are ECS's, each a word of its own"
)]
#[derive(Clone, Copy, Default)]
pub(super) struct ClusterParts {
    pub(super) attachments: bool,
    pub(super) configurations: bool,
    pub(super) settings: bool,
    pub(super) tags: bool,
}

impl ClusterParts {
    /// Everything.
    pub(super) const ALL: Self = Self {
        attachments: true,
        configurations: true,
        settings: true,
        tags: true,
    };
}

pub(super) fn cluster(cluster: &Cluster, parts: ClusterParts) -> Value {
    let kept = |name: &str| cluster.kept.get(name).cloned();
    let list = |name: &str| kept(name).unwrap_or_else(|| json!([]));
    let insights = json!([{ "name": "containerInsights", "value": "disabled" }]);
    let settings = kept("settings").unwrap_or(insights);
    json!({
        "clusterArn": cluster_arn(&cluster.name),
        "clusterName": cluster.name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 1,
        "runningTasksCount": cluster.running_tasks,
        "pendingTasksCount": cluster.pending_tasks,
        "activeServicesCount": cluster.active_services,
        "statistics": [],
        "tags": if parts.tags { cluster_tags(cluster) } else { json!([]) },
        "settings": if parts.settings { settings } else { json!([]) },
        "capacityProviders": list("capacityProviders"),
        "defaultCapacityProviderStrategy": list("defaultCapacityProviderStrategy"),
        "configuration": kept("configuration").filter(|_| parts.configurations),
        "serviceConnectDefaults": kept("serviceConnectDefaults"),
        "attachments": parts.attachments.then(|| json!([])),
    })
}

pub(super) fn task(task: &Task, instance: &InstanceId, with_tags: bool) -> Value {
    let launch = &task.spec.launch;
    let is_fargate = launch.launch_type == LaunchType::Fargate;
    let arn = task_arn(&task.cluster, &task.id);
    let attachment = uuid(&format!("{:0>32}", task.id));
    let containers: Vec<Value> = task
        .spec
        .containers
        .iter()
        .map(|definition| container(task, definition, &arn, &attachment))
        .collect();
    let mut shown = known!({
        "taskArn": arn,
        "clusterArn": cluster_arn(&task.cluster),
        "taskDefinitionArn": task_definition_arn(&task.spec.definition),
        "attributes": json!([]),
        "availabilityZone": domain::availability_zone(),
        "connectivity": task.pull_started_at.map(|_| "CONNECTED"),
        "connectivityAt": maybe_time(task.pull_started_at),
        "cpu": task.spec.reserved_cpu().to_string(),
        "memory": task.spec.reserved_memory().to_string(),
        "createdAt": time(task.created_at),
        "desiredStatus": task.desired_status().as_str(),
        "enableExecuteCommand": task.spec.enable_execute_command,
        "executionStoppedAt": maybe_time(task.execution_stopped_at),
        "group": task.group,
        "healthStatus": task.health_status().as_str(),
        "inferenceAccelerators": json!([]),
        "lastStatus": task.last_status.as_str(),
        "launchType": launch.launch_type.as_str(),
        "capacityProviderName": launch.capacity_provider,
        "containerInstanceArn": launch.launch_type.has_instances()
            .then(|| container_instance_arn(&task.cluster, instance)),
        "platformVersion": is_fargate.then_some(PLATFORM_VERSION),
        "platformFamily": is_fargate.then_some(PLATFORM_FAMILY),
        "pullStartedAt": maybe_time(task.pull_started_at),
        "pullStoppedAt": maybe_time(task.pull_stopped_at),
        "startedAt": maybe_time(task.started_at),
        "startedBy": task.started_by,
        "stopCode": task.stop_code.map(domain::StopCode::as_str),
        "stoppedReason": task.stopped_reason,
        "stoppingAt": maybe_time(task.stopping_at),
        "stoppedAt": maybe_time(task.stopped_at),
        "tags": if with_tags { tags(&task.tags) } else { json!([]) },
        "version": task.version,
    });
    // Moved there, where `json!` would copy them.
    let parts = [
        ("containers", Value::Array(containers)),
        ("attachments", attachments(task, &attachment)),
        ("overrides", overrides(task)),
    ];
    for (name, part) in parts {
        shown[name] = part;
    }
    shown
}

/// What the run changed, with an entry for every container, as ECS has it.
fn overrides(task: &Task) -> Value {
    let sent = task.overrides.as_object().cloned().unwrap_or_default();
    let list = sent.get("containerOverrides").and_then(Value::as_array);
    let of = |name: &str| {
        let mut all = list.into_iter().flatten();
        all.find(|change| change["name"] == name).cloned()
    };
    let containers: Vec<Value> = task
        .spec
        .containers
        .iter()
        .map(|container| {
            let name = container.name.as_str();
            of(name).unwrap_or_else(|| json!({ "name": name }))
        })
        .collect();
    let mut shown = sent;
    // Neargate's own, which ECS does not have.
    shown.remove("runtime");
    shown.insert("containerOverrides".to_owned(), json!(containers));
    shown.insert("inferenceAcceleratorOverrides".to_owned(), json!([]));
    Value::Object(shown)
}

/// The network interface that a task of its own address would have.
fn attachments(task: &Task, id: &str) -> Value {
    if task.spec.network_mode != NetworkMode::Awsvpc {
        return json!([]);
    }
    let status = match (&task.address, task.stopped_at) {
        (_, Some(_)) => "DELETED",
        (Some(_), None) => "ATTACHED",
        (None, None) => "PRECREATED",
    };
    let subnet = task.spec.launch.subnet.iter();
    let mut details: Vec<Value> = subnet
        .map(|subnet| json!({ "name": "subnetId", "value": subnet }))
        .collect();
    details.push(json!({ "name": "networkInterfaceId", "value": interface(&task.id) }));
    if let Some(address) = &task.address {
        details.push(json!({ "name": "privateIPv4Address", "value": address }));
    }
    json!([{ "id": id, "type": "ElasticNetworkInterface", "status": status, "details": details }])
}

/// A name for the interface, the same each time; EC2 knows nothing of it.
fn interface(id: &TaskId) -> String {
    format!("eni-{}", id.as_str().get(..17).unwrap_or_default())
}

fn container(task: &Task, definition: &ContainerDefinition, arn: &str, attachment: &str) -> Value {
    let record = task.containers.get(&definition.name).cloned();
    let record = record.unwrap_or_default();
    let is_alone = task.spec.network_mode == NetworkMode::Awsvpc;
    let interfaces: Vec<Value> = task
        .address
        .iter()
        .filter(|_| is_alone)
        .map(|address| json!({ "attachmentId": attachment, "privateIpv4Address": address }))
        .collect();
    let bindings: Vec<Value> = record
        .network_bindings
        .iter()
        .map(|binding| {
            json!({
                "bindIP": binding.bind_ip,
                "containerPort": binding.container_port,
                "hostPort": binding.host_port,
                "protocol": binding.protocol.as_str(),
            })
        })
        .collect();
    let agent = || {
        json!([{
            "name": "ExecuteCommandAgent",
            "lastStatus": record.last_status.as_str(),
            "lastStartedAt": maybe_time(record.started_at),
        }])
    };
    known!({
        "containerArn": container_arn(&task.cluster, &task.id, &container_uuid(task, &definition.name)),
        "taskArn": arn,
        "name": definition.name,
        "image": definition.image,
        "imageDigest": record.image_digest,
        "runtimeId": record.runtime_id,
        "lastStatus": record.last_status.as_str(),
        "exitCode": record.exit_code,
        "reason": record.reason,
        "networkBindings": bindings,
        "networkInterfaces": interfaces,
        "healthStatus": record.health.as_str(),
        "managedAgents": task.spec.enable_execute_command.then(agent),
        "cpu": definition.cpu.to_string(),
        "memory": definition.memory.map(|memory| memory.to_string()),
        "memoryReservation": definition.memory_reservation.map(|memory| memory.to_string()),
    })
}

/// Whether a task is spared by its service.
pub(super) fn protection(task: &Task, now: TimestampMs) -> Value {
    let until = task.protected_until.filter(|until| *until > now);
    json!({
        "taskArn": task_arn(&task.cluster, &task.id),
        "protectionEnabled": until.is_some(),
        "expirationDate": maybe_time(until),
    })
}

/// How a service counts its tasks.
pub(super) const fn strategy(service: &Service) -> &'static str {
    match service.configuration.scheduling_strategy {
        SchedulingStrategy::Replica => "REPLICA",
        SchedulingStrategy::Daemon => "DAEMON",
    }
}

/// A network configuration as it was sent, with ECS's defaults, if it has the form that others can read.
fn network(sent: &Value) -> Option<Value> {
    let sent = sent.get("awsvpcConfiguration")?;
    let texts = |name: &str| {
        let items = sent
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>()
    };
    let public = sent.get("assignPublicIp").and_then(Value::as_str);
    Some(json!({ "awsvpcConfiguration": {
        "subnets": texts("subnets"),
        "securityGroups": texts("securityGroups"),
        "assignPublicIp": if public == Some("ENABLED") { "ENABLED" } else { "DISABLED" },
    } }))
}

/// Where tasks with these settings say that they run, and what else of them is given back.
pub(super) fn launch(settings: &RevisionSettings) -> Value {
    let kept = |name: &str| settings.kept.get(name).cloned();
    let (launch_type, strategy) = match LaunchPlan::of_kept(&settings.kept) {
        LaunchPlan::On(launch_type) => (Some(launch_type), None),
        LaunchPlan::Across(_) => (None, kept("capacityProviderStrategy")),
    };
    let is_fargate = launch_type.is_none_or(|one| one == LaunchType::Fargate);
    let version = kept("platformVersion").filter(Value::is_string);
    json!({
        "launchType": launch_type.map(LaunchType::as_str),
        "capacityProviderStrategy": strategy.filter(|sent| forms::STRATEGY.fits(sent)),
        "platformVersion": is_fargate.then(|| version.unwrap_or_else(|| json!(PLATFORM_VERSION))),
        "platformFamily": is_fargate.then_some(PLATFORM_FAMILY),
        "networkConfiguration": settings.kept.get("networkConfiguration").and_then(network),
        "serviceConnectConfiguration":
            kept("serviceConnectConfiguration").filter(|sent| forms::SERVICE_CONNECT.fits(sent)),
    })
}

/// How a service moves from one revision to the next.
pub(super) fn deployment_configuration(configuration: &ServiceConfiguration) -> Value {
    let breaker = configuration.circuit_breaker;
    json!({
        "deploymentCircuitBreaker": { "enable": breaker.enable, "rollback": breaker.rollback },
        "maximumPercent": configuration.maximum_percent,
        "minimumHealthyPercent": configuration.minimum_healthy_percent,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    })
}

/// The deployments of a service that matter now, as they are at `now`.
fn deployments(view: &ServiceView, now: TimestampMs) -> Vec<Value> {
    let service = &view.service;
    service
        .deployments
        .iter()
        .map(|one| {
            let counted = ServiceDeployment::of(one, view, now);
            let mut shown = json!({
                "id": counted.id,
                "status": counted.status,
                "taskDefinition": task_definition_arn(&one.task_definition),
                "desiredCount": counted.desired_count,
                "pendingCount": counted.pending_count,
                "runningCount": counted.running_count,
                "failedTasks": counted.failed_tasks,
                "createdAt": time(one.created_at),
                "updatedAt": time(one.updated_at),
                "rolloutState": counted.rollout_state,
                "rolloutStateReason": counted.rollout_state_reason,
            });
            add(&mut shown, launch(&one.settings));
            shown
        })
        .collect()
}

/// A task set of a service.
pub(super) fn task_set(view: &ServiceView, set: &TaskSet, with_tags: bool) -> Value {
    let (service, deployment) = (&view.service, &set.deployment);
    let key = &service.key;
    let count = |is_meant: fn(LastStatus) -> bool| {
        let own = view.tasks.iter().filter(|alike| {
            alike.sample.deployment == set.id().as_str() && is_meant(alike.sample.last_status)
        });
        own.map(|alike| alike.count).sum::<u32>()
    };
    let stability = if set.is_steady {
        "STEADY_STATE"
    } else {
        "STABILIZING"
    };
    let mut shown = json!({
        "id": set.id(),
        "taskSetArn": task_set_arn(key, set.id()),
        "serviceArn": service_arn(key),
        "clusterArn": cluster_arn(&key.cluster),
        "externalId": set.external_id,
        "status": set.status(),
        "taskDefinition": task_definition_arn(&deployment.task_definition),
        "computedDesiredCount": set.wanted(service),
        "pendingCount": count(|status| status < LastStatus::Running),
        "runningCount": count(|status| status == LastStatus::Running),
        "createdAt": time(deployment.created_at),
        "updatedAt": time(deployment.updated_at),
        "loadBalancers": [],
        "serviceRegistries": [],
        "scale": { "value": set.scale.percent(), "unit": "PERCENT" },
        "stabilityStatus": stability,
        "stabilityStatusAt": time(set.steadiness_at),
        "tags": if with_tags { tags(&set.tags) } else { json!([]) },
    });
    let mut launched = launch(&deployment.settings);
    // It is told of deployments alone.
    launched["serviceConnectConfiguration"] = Value::Null;
    add(&mut shown, launched);
    shown
}

/// A service as it is at `now`.
pub(super) fn service(
    view: &ServiceView,
    revision: Option<&FamilyRevision>,
    events: &[Event],
    with_tags: bool,
    now: TimestampMs,
) -> Value {
    let service = &view.service;
    let configuration = &service.configuration;
    let wanted = service.wanted();
    let shown = crate::shapes::Service::of(view, now);
    let deployments = deployments(view, now);
    let events: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({
                "id": uuid(&format!("{:032x}", event.seq)),
                "createdAt": time(event.event.at),
                "message": event.event.message,
            })
        })
        .collect();
    let settings = &configuration.settings;
    let kept = |name: &str, form: &forms::Form| {
        settings
            .kept
            .get(name)
            .filter(|sent| form.fits(sent))
            .cloned()
    };
    let under_way = service
        .primary()
        .filter(|primary| primary.outcome() == ServiceDeploymentStatus::InProgress)
        .map(|primary| service_deployment_arn(&service.key, &primary.id));
    let mut revisions: Vec<_> = service
        .deployments
        .iter()
        .map(|one| &one.service_revision)
        .collect();
    revisions.dedup();
    let revisions = revisions
        .into_iter()
        .map(|id| service_deployments::counted(view, id, now));
    let mut shown_service = json!({
        "currentServiceDeployment": under_way,
        "currentServiceRevisions": revisions.collect::<Vec<_>>(),
        "serviceArn": service_arn(&service.key),
        "serviceName": service.key.name,
        "clusterArn": cluster_arn(&service.key.cluster),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status.as_str(),
        "desiredCount": wanted,
        "runningCount": shown.running_count,
        "pendingCount": shown.pending_count,
        "taskDefinition": revision.map(task_definition_arn),
        "deploymentConfiguration": deployment_configuration(configuration),
        "taskSets": service
            .task_sets
            .iter()
            .map(|set| task_set(view, set, with_tags))
            .collect::<Vec<_>>(),
        "deployments": deployments,
        "events": events,
        "createdAt": time(service.created_at),
        "placementConstraints":
            kept("placementConstraints", &forms::CONSTRAINTS).unwrap_or_else(|| json!([])),
        "placementStrategy": kept("placementStrategy", &forms::PLACEMENT).unwrap_or_else(|| json!([])),
        "healthCheckGracePeriodSeconds": shown.health_check_grace_period_seconds,
        "schedulingStrategy": strategy(service),
        "deploymentController": { "type": configuration.controller.as_str() },
        "tags": if with_tags { tags(&service.tags) } else { json!([]) },
        "createdBy": root_arn(),
        "enableECSManagedTags": settings.enable_ecs_managed_tags,
        "propagateTags": settings.propagate_tags.as_str(),
        "enableExecuteCommand": settings.enable_execute_command,
        "availabilityZoneRebalancing":
            kept("availabilityZoneRebalancing", &forms::Form::Text).unwrap_or_else(|| json!("DISABLED")),
    });
    let mut launched = launch(settings);
    // It is told of deployments alone.
    launched["serviceConnectConfiguration"] = Value::Null;
    add(&mut shown_service, launched);
    shown_service
}
