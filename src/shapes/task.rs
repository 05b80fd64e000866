//! A task, as it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::TaskUsage;
use crate::domain::{self, TaskUse, TimestampMs};

/// One run of a task definition. Times are RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// 32 hexadecimal digits; never used twice.
    pub task_id: String,
    /// Where it runs.
    pub cluster: String,
    /// What it was run from: `family:revision`.
    pub task_definition: String,
    /// The family of that.
    pub family: String,
    /// The revision of that.
    pub revision: u32,
    /// `family:<family>` unless the caller said otherwise.
    pub group: String,
    /// Whatever the caller wanted to find it by later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Key and value.
    #[serde(default)]
    pub tags: Vec<super::Tag>,
    /// What is: `PROVISIONING`, `PENDING`, `RUNNING`, `STOPPING`, `STOPPED`.
    pub last_status: String,
    /// What should be: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health_status: String,
    /// Why it stops or has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    /// What it is waiting for, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// CPU units that it reserves, as text, as in ECS.
    pub cpu: String,
    /// MiB that it reserves, as text, as in ECS.
    pub memory: String,
    /// `awsvpc`, `bridge` or `none`.
    pub network_mode: String,
    /// Its own address, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What holds it to its CPU and memory, once it has containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<TaskLimits>,
    /// Whether people may run commands in it.
    #[serde(default)]
    pub enable_execute_command: bool,
    /// Until when its service ends it neither when it is scaled in nor for a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub protected_until: Option<String>,
    /// Its containers, in the order of the definition.
    pub containers: Vec<Container>,
    /// The overrides as they were sent.
    #[serde(default)]
    pub overrides: serde_json::Value,
    /// When the call was accepted.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the engine was first asked for something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub pull_started_at: Option<String>,
    /// When all images were there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub pull_stopped_at: Option<String>,
    /// How far the pull of its images has come, while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullProgress>,
    /// When it became RUNNING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When its health checks were first seen to say that it is HEALTHY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub healthy_at: Option<String>,
    /// When it was decided that it stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub stopping_at: Option<String>,
    /// When the last container ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub execution_stopped_at: Option<String>,
    /// When it became STOPPED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub stopped_at: Option<String>,
    /// Goes up with every change.
    pub version: u64,
    /// What it has used, once it reserves something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TaskUsage>,
}

/// What holds a task to its CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskLimits {
    /// `taskCgroup`: a cgroup around all of its containers, so that what one of them leaves, the others can use.
    /// `containers`: each container on its own, with its part of the task's size, because Neargate may not write
    /// the cgroups of the engine's host or the task has no size.
    pub enforced_by: String,
}

/// One container of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Unique in the task.
    pub name: String,
    /// As the definition writes it.
    pub image: String,
    /// The digest of the image that it runs, once it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    /// The engine's ID of it, once it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_id: Option<String>,
    /// `PENDING`, `RUNNING` or `STOPPED`.
    pub last_status: String,
    /// How often it was started again by its `restartPolicy`. It only grows.
    #[serde(default)]
    pub restart_count: u32,
    /// Of its process; absent also when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// Why it could not start or how it ended, when there is more to say than the exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health_status: String,
    /// Whether the task ends when this container does.
    pub essential: bool,
    /// When its process started, by the engine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When its process ended, by the engine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
    /// The ports that it can be reached by on the host.
    #[serde(default)]
    pub network_bindings: Vec<NetworkBinding>,
}

/// A port of a container that can be reached on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkBinding {
    /// The host's address that it is bound to.
    #[serde(rename = "bindIP")]
    pub bind_ip: String,
    /// The port inside the task.
    pub container_port: u16,
    /// The port on the host.
    pub host_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// How far the pull of images has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PullProgress {
    /// Bytes that have arrived, over all layers that the engine has named so far.
    pub current_bytes: u64,
    /// Bytes in all of those layers.
    pub total_bytes: u64,
}

impl From<domain::PullProgress> for PullProgress {
    fn from(progress: domain::PullProgress) -> Self {
        Self {
            current_bytes: progress.current_bytes,
            total_bytes: progress.total_bytes,
        }
    }
}

impl Task {
    /// `task` together with what it has used, as it stands at `now`.
    pub fn with_usage(task: &domain::Task, usage: Option<&TaskUse>, now: TimestampMs) -> Self {
        Self {
            usage: usage.map(|usage| TaskUsage::new(usage, now)),
            ..Self::from(task)
        }
    }
}

impl From<&domain::Task> for Task {
    fn from(task: &domain::Task) -> Self {
        let text = |at: Option<TimestampMs>| at.map(|at| at.to_string());
        Self {
            task_id: task.id.to_string(),
            cluster: task.cluster.to_string(),
            task_definition: task.spec.definition.to_string(),
            family: task.spec.definition.family.to_string(),
            revision: task.spec.definition.revision,
            group: task.group.clone(),
            started_by: task.started_by.clone(),
            tags: super::Tag::list(&task.tags),
            last_status: task.last_status.to_string(),
            desired_status: task.desired_status().to_string(),
            health_status: task.health_status().to_string(),
            stop_code: task.stop_code.map(|code| code.to_string()),
            stopped_reason: task.stopped_reason.clone(),
            waiting_for: task.waiting.clone(),
            cpu: task.spec.reserved_cpu().to_string(),
            memory: task.spec.reserved_memory().to_string(),
            network_mode: network_mode_name(task.spec.network_mode).to_owned(),
            address: task.address.clone(),
            limits: task.limits.map(|by| TaskLimits {
                enforced_by: by.to_string(),
            }),
            enable_execute_command: task.spec.enable_execute_command,
            protected_until: text(task.protected_until),
            containers: containers(&task.spec, &task.containers),
            overrides: task.overrides.clone(),
            created_at: task.created_at.to_string(),
            pull_started_at: text(task.pull_started_at),
            pull_stopped_at: text(task.pull_stopped_at),
            pull: task.pull.map(Into::into),
            started_at: text(task.started_at),
            healthy_at: text(task.healthy_at),
            stopping_at: text(task.stopping_at),
            execution_stopped_at: text(task.execution_stopped_at),
            stopped_at: text(task.stopped_at),
            version: task.version,
            usage: None,
        }
    }
}

/// As ECS writes it.
pub(super) const fn network_mode_name(mode: domain::NetworkMode) -> &'static str {
    match mode {
        domain::NetworkMode::Awsvpc => "awsvpc",
        domain::NetworkMode::Bridge => "bridge",
        domain::NetworkMode::Host => "host",
        domain::NetworkMode::None => "none",
    }
}

/// Every container that the task is to have; one that nothing is known of yet is PENDING.
fn containers(
    spec: &domain::TaskSpec,
    records: &BTreeMap<domain::ContainerName, domain::ContainerRecord>,
) -> Vec<Container> {
    let unknown = domain::ContainerRecord::default();
    spec.containers
        .iter()
        .map(|definition| {
            let record = records.get(&definition.name).unwrap_or(&unknown);
            Container {
                name: definition.name.to_string(),
                image: definition.image.clone(),
                image_digest: record.image_digest.clone(),
                runtime_id: record.runtime_id.clone(),
                last_status: record.last_status.to_string(),
                restart_count: record.restart_count,
                exit_code: record.exit_code,
                reason: record.reason.clone(),
                health_status: record.health.to_string(),
                essential: definition.essential,
                started_at: record.started_at.map(|at| at.to_string()),
                finished_at: record.finished_at.map(|at| at.to_string()),
                network_bindings: record.network_bindings.iter().map(Into::into).collect(),
            }
        })
        .collect()
}

impl From<&domain::NetworkBinding> for NetworkBinding {
    fn from(binding: &domain::NetworkBinding) -> Self {
        Self {
            bind_ip: binding.bind_ip.clone(),
            container_port: binding.container_port,
            host_port: binding.host_port,
            protocol: binding.protocol.as_str().to_owned(),
        }
    }
}
