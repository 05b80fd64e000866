//! Requests to run and stop tasks.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Formed, container, environment, finish, form, size, task_definition};
use crate::domain::{
    self, ClusterName, CpuUnits, DEFAULT_CLUSTER, Faults, InvalidName, MemoryMib,
    TaskDefinitionReference, TaskOverrides,
};
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;
use crate::shapes::{
    ContainerOverride, CreateClusterRequest, RunTaskRequest, StopTaskRequest, TaskOverride,
    UpdateTaskProtectionRequest, path,
};

static RUN: LazyLock<Schema> = LazyLock::new(Schema::of::<RunTaskRequest>);
static STOP: LazyLock<Schema> = LazyLock::new(Schema::of::<StopTaskRequest>);
static PROTECT: LazyLock<Schema> = LazyLock::new(Schema::of::<UpdateTaskProtectionRequest>);
static CREATE_CLUSTER: LazyLock<Schema> = LazyLock::new(Schema::of::<CreateClusterRequest>);

/// A request to run tasks, as far as it can be understood without knowing the definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedRunTask {
    /// Where.
    pub cluster: ClusterName,
    /// What.
    pub task_definition: TaskDefinitionReference,
    /// How many, from 1 to 100.
    pub count: u32,
    /// What these tasks change of their definition.
    pub overrides: TaskOverrides,
    /// The same as it was sent, to be given back; an empty object if nothing was sent.
    pub overrides_document: Value,
    /// Whether people may run commands in them.
    pub enable_execute_command: bool,
    /// To find them by.
    pub tags: BTreeMap<String, String>,
    /// To find them by.
    pub started_by: Option<String>,
    /// What they belong to.
    pub group: String,
    /// By which a repeated request is known.
    pub client_token: Option<String>,
}

impl ParsedRunTask {
    /// What `document` asks for, or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            value,
            faults: form,
        } = form::<RunTaskRequest>(document, &RUN);
        let mut faults = Faults::default();
        let parsed = run(request, &value, &mut faults);
        finish(parsed, document, form, &faults)
    }
}

/// What `request` asks for, whose form is right; `value` is the same as it was sent.
pub(super) fn run(
    request: RunTaskRequest,
    value: &Value,
    faults: &mut Faults,
) -> Option<ParsedRunTask> {
    let cluster = request.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER);
    let cluster = name::<ClusterName>(cluster, "cluster", faults);
    let reference =
        name::<TaskDefinitionReference>(&request.task_definition, "taskDefinition", faults);
    let overrides = overrides(&request.overrides.unwrap_or_default(), faults);
    let tags = environment::tags(request.tags.as_ref(), "tags", faults);
    if let Some(Value::Array(sent)) = &request.volume_configurations
        && !sent.is_empty()
    {
        faults.add_with_hint(
            "volumeConfigurations",
            "is not supported: there is no EBS here that a run could describe",
            "use a volume of the task definition with only a name, or with scope shared",
        );
    }
    let task_definition = reference?;
    Some(ParsedRunTask {
        cluster: cluster?,
        count: request.count.unwrap_or(1),
        overrides: overrides?,
        overrides_document: match &value["overrides"] {
            Value::Null => Value::Object(serde_json::Map::new()),
            sent => sent.clone(),
        },
        enable_execute_command: request.enable_execute_command.unwrap_or_default(),
        tags,
        started_by: request.started_by,
        group: request
            .group
            .unwrap_or_else(|| format!("family:{}", task_definition.family)),
        client_token: request.client_token,
        task_definition,
    })
}

/// The name at `path`.
pub(super) fn name<T: FromStr<Err = InvalidName>>(
    text: &str,
    path: &str,
    faults: &mut Faults,
) -> Option<T> {
    text.parse()
        .map_err(|error: InvalidName| {
            faults.add_with_hint(
                path,
                format!("is {}, which is not a {}", path::quote(text), error.what),
                error.rule,
            );
        })
        .ok()
}

fn overrides(sent: &TaskOverride, faults: &mut Faults) -> Option<TaskOverrides> {
    let cpu = size::cpu(sent.cpu.as_deref(), "overrides.cpu", faults);
    let memory = size::memory(sent.memory.as_deref(), "overrides.memory", faults);
    let runtime = task_definition::runtime(sent.runtime.as_deref(), "overrides.runtime", faults);
    let mut names = std::collections::HashSet::new();
    let containers: Vec<_> = sent
        .container_overrides
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, change)| {
            let here = path::item("overrides.containerOverrides", index);
            if !names.insert(change.name.as_str()) {
                faults.add(
                    path::field(&here, "name"),
                    format!("is {}, which is there already", path::quote(&change.name)),
                );
            }
            container_override(change, &here, faults)
        })
        .collect();
    Some(TaskOverrides {
        cpu,
        memory,
        runtime,
        containers: containers.into_iter().collect::<Option<_>>()?,
    })
}

fn container_override(
    change: &ContainerOverride,
    path: &str,
    faults: &mut Faults,
) -> Option<domain::ContainerOverride> {
    let name = container::container_name(&change.name, &path::field(path, "name"), faults);
    let variables = path::field(path, "environment");
    let environment = environment::variables(change.environment.as_ref(), &variables, faults);
    Some(domain::ContainerOverride {
        name: name?,
        command: change.command.clone(),
        environment,
        cpu: change.cpu.map(CpuUnits),
        memory: change.memory.map(MemoryMib),
        memory_reservation: change.memory_reservation.map(MemoryMib),
    })
}

impl StopTaskRequest {
    /// What `document` asks for, or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<Self>(document, &STOP);
        finish(Some(request), document, form, &Faults::default())
    }
}

impl UpdateTaskProtectionRequest {
    /// What `document` asks for, or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<Self>(document, &PROTECT);
        finish(Some(request), document, form, &Faults::default())
    }
}

impl CreateClusterRequest {
    /// The name that `document` asks for, or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<ClusterName, Faults> {
        let Formed {
            request,
            faults: form,
            ..
        } = form::<Self>(document, &CREATE_CLUSTER);
        let mut faults = Faults::default();
        let cluster = name(&request.cluster_name, "clusterName", &mut faults);
        finish(cluster, document, form, &faults)
    }
}
