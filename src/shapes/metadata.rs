//! What the task metadata endpoint (version 4) answers, field by field as ECS on Fargate does.
//!
//! Source: Amazon ECS developer guide, "Task metadata endpoint version 4 for tasks on Fargate". The AWS SDKs,
//! OpenTelemetry's detectors and its collector read these names. What Neargate has nothing for is left out
//! (network interface details, clock drift, ephemeral storage), as the guide allows for.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::{
    self, ContainerDefinition, ContainerName, ContainerObservation, ContainerRecord,
    ContainerState, HealthStatus, Observation, Task, TimestampMs,
};

/// `${ECS_CONTAINER_METADATA_URI_V4}/task`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskMetadata {
    cluster: String,
    #[serde(rename = "TaskARN")]
    task_arn: String,
    family: String,
    revision: String,
    desired_status: String,
    known_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<TaskLimits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_stopped_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_stopped_at: Option<String>,
    availability_zone: String,
    launch_type: String,
    containers: Vec<ContainerMetadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_tags: Option<BTreeMap<String, String>>,
}

/// `${ECS_CONTAINER_METADATA_URI_V4}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerMetadata {
    docker_id: String,
    name: String,
    docker_name: String,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<Port>,
    labels: BTreeMap<String, String>,
    desired_status: String,
    known_status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    limits: ContainerLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(rename = "Type")]
    kind: String,
    /// As ECS's agent has it: only with a restart policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    log_driver: String,
    #[serde(rename = "ContainerARN")]
    container_arn: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<Network>,
}

/// What the task may use, in vCPUs and MiB.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct TaskLimits {
    #[serde(rename = "CPU")]
    cpu: f64,
    #[serde(rename = "Memory")]
    memory: u32,
}

/// What the container may use, in CPU units and MiB.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ContainerLimits {
    #[serde(rename = "CPU")]
    cpu: u32,
    #[serde(rename = "Memory", skip_serializing_if = "Option::is_none")]
    memory: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_field_names, reason = "they are ECS's")]
struct Port {
    container_port: u16,
    protocol: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    network_mode: String,
    #[serde(rename = "IPv4Addresses")]
    ipv4_addresses: Vec<String>,
}

impl TaskMetadata {
    /// Of a task that the engine has at `address`.
    pub fn new(task: &Task, seen: &Observation, address: Option<&str>, with_tags: bool) -> Self {
        let containers = task
            .spec
            .containers
            .iter()
            .map(|definition| ContainerMetadata::new(task, definition, seen, address));
        Self {
            cluster: domain::cluster_arn(&task.cluster),
            task_arn: domain::task_arn(&task.cluster, &task.id),
            family: task.spec.family().to_string(),
            revision: task.spec.definition.revision.to_string(),
            desired_status: task.desired_status().to_string(),
            known_status: task.last_status.to_string(),
            limits: task.spec.size.map(|size| TaskLimits {
                cpu: f64::from(size.cpu().0) / 1_024.0,
                memory: size.memory().0,
            }),
            pull_started_at: text(task.pull_started_at),
            pull_stopped_at: text(task.pull_stopped_at),
            execution_stopped_at: text(task.execution_stopped_at),
            availability_zone: domain::availability_zone(),
            launch_type: "FARGATE".to_owned(),
            containers: containers.collect(),
            task_tags: with_tags.then(|| task.tags.clone()),
        }
    }
}

impl ContainerMetadata {
    /// Of one of its containers.
    pub fn new(
        task: &Task,
        definition: &ContainerDefinition,
        seen: &Observation,
        address: Option<&str>,
    ) -> Self {
        let own = seen.containers.get(&definition.name);
        let record = task.containers.get(&definition.name);
        let (known_status, exit_code, finished_at) = match own.map(|own| &own.state) {
            None => ("PENDING", None, None),
            Some(ContainerState::Created) => ("CREATED", None, None),
            Some(ContainerState::Running) => ("RUNNING", None, None),
            Some(ContainerState::Exited {
                exit_code,
                finished_at,
                ..
            }) => ("STOPPED", *exit_code, Some(*finished_at)),
            Some(ContainerState::Lost) => ("STOPPED", None, None),
        };
        // As on Fargate: the engine tells when it was started, and creation is the moment before.
        let started_at = text(own.and_then(|own| own.started_at));
        let health = own.filter(|_| definition.health_check.is_some());
        Self {
            docker_id: own.map(|own| own.runtime_id.clone()).unwrap_or_default(),
            name: definition.name.to_string(),
            docker_name: definition.name.to_string(),
            image: definition.image.clone(),
            image_id: own
                .and_then(|own| own.image_digest.clone())
                .or_else(|| record.and_then(|record| record.image_digest.clone()))
                .unwrap_or_default(),
            ports: ports(task, definition, seen),
            labels: labels(task, definition),
            desired_status: task.desired_status().to_string(),
            known_status: known_status.to_owned(),
            exit_code,
            limits: ContainerLimits {
                cpu: definition.cpu.0,
                memory: definition.memory.map(|memory| memory.0),
            },
            created_at: started_at.clone(),
            started_at,
            finished_at: text(finished_at),
            kind: "NORMAL".to_owned(),
            restart_count: definition
                .restart_policy
                .as_ref()
                .map(|_| restart_count(record, own)),
            health: health.map(|own| Health {
                status: HealthStatus::as_str(own.health).to_owned(),
                output: own.health_output.clone(),
            }),
            log_driver: "json-file".to_owned(),
            container_arn: domain::container_arn(
                &task.cluster,
                &task.id,
                &container_uuid(task, &definition.name),
            ),
            networks: address
                .map(|address| Network {
                    network_mode: super::task::network_mode_name(task.spec.network_mode).to_owned(),
                    ipv4_addresses: vec![address.to_owned()],
                })
                .into_iter()
                .collect(),
        }
    }
}

/// How often it was started again; it may ask before its own start is recorded.
fn restart_count(record: Option<&ContainerRecord>, own: Option<&ContainerObservation>) -> u32 {
    let recorded = record.map(|record| record.restart_count);
    let seen = own.filter(|own| own.started_at.is_some());
    recorded
        .max(seen.map(|own| own.attempt))
        .unwrap_or_default()
}

fn text(at: Option<TimestampMs>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// The definition's labels, and those by which ECS's agent marks its containers.
fn labels(task: &Task, definition: &ContainerDefinition) -> BTreeMap<String, String> {
    let mut labels = definition.docker_labels.clone();
    for (name, value) in [
        ("cluster", domain::cluster_arn(&task.cluster)),
        ("container-name", definition.name.to_string()),
        ("task-arn", domain::task_arn(&task.cluster, &task.id)),
        ("task-definition-family", task.spec.family().to_string()),
        (
            "task-definition-version",
            task.spec.definition.revision.to_string(),
        ),
    ] {
        labels.insert(format!("com.amazonaws.ecs.{name}"), value);
    }
    labels
}

fn ports(task: &Task, definition: &ContainerDefinition, seen: &Observation) -> Vec<Port> {
    let bindings = match &seen.network {
        domain::NetworkObservation::Up { bindings, .. } => bindings.as_slice(),
        _ => &[],
    };
    definition
        .port_mappings
        .iter()
        .map(|mapping| Port {
            container_port: mapping.container_port,
            protocol: mapping.protocol.as_str().to_owned(),
            host_port: match task.spec.network_mode {
                domain::NetworkMode::Bridge => bindings
                    .iter()
                    .find(|binding| binding.serves(mapping))
                    .map(|binding| binding.host_port),
                _ => Some(mapping.container_port),
            },
        })
        .collect()
}

/// An identifier of the container in the form of a UUID: the same each time.
pub fn container_uuid(task: &Task, container: &ContainerName) -> String {
    let digest = Sha256::digest(format!("{}/{container}", task.id));
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    uuid(&format!("{:032x}", u128::from_be_bytes(first)))
}

/// 32 hexadecimal digits in the form of a UUID.
pub fn uuid(hex: &str) -> String {
    let (mut text, ends) = (String::with_capacity(36), [8, 12, 16, 20]);
    for (index, digit) in hex.chars().take(32).enumerate() {
        if ends.contains(&index) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}
