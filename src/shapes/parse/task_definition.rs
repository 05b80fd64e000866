//! A task definition as a whole.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::ports::Ports;
use super::{Formed, container, dependencies, environment, finish, form, run_task, size, volumes};
use crate::domain::{self, Faults, TaskSize};
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;
use crate::shapes::{
    Compatibility, ContainerDefinition, NetworkMode, RegisterTaskDefinitionRequest, path, support,
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of::<RegisterTaskDefinitionRequest>);

/// As ECS has it. What looks at every pair of containers does so only up to here.
const MOST_CONTAINERS: usize = 10;

const CONTAINERS: &str = "containerDefinitions";

/// A task definition that can be registered.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedTaskDefinition {
    /// What it says.
    pub definition: domain::TaskDefinition,
    /// The document as it was sent, field for field. Scalars that YAML would call numbers stand in it as
    /// the strings that they were taken for, so that it can be sent again as JSON.
    pub document: Value,
    /// Fields that are kept and have no effect here, each with the reason.
    pub warnings: Vec<String>,
}

impl ParsedTaskDefinition {
    /// What `document` says, or all that is wrong with it.
    pub fn parse(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request,
            value,
            faults: form,
        } = form::<RegisterTaskDefinitionRequest>(document, &SCHEMA);
        let mut faults = Faults::default();
        let warnings = support::judge(&value, &mut faults);
        environment::tags(request.tags.as_ref(), "tags", &mut faults);
        let definition = definition(&request, &mut faults);
        let parsed = definition.map(|definition| Self {
            definition,
            document: value,
            warnings,
        });
        finish(parsed, document, form, &faults)
    }
}

fn definition(
    request: &RegisterTaskDefinitionRequest,
    faults: &mut Faults,
) -> Option<domain::TaskDefinition> {
    let family = request
        .family
        .parse()
        .map_err(|error: domain::InvalidName| {
            faults.add_with_hint(
                "family",
                format!("is {}, which is not a family", path::quote(&request.family)),
                error.rule,
            );
        });
    let network_mode = network_mode(request.network_mode);
    let runtime = runtime(request.runtime.as_deref(), "runtime", faults);
    let size = task_size(request, faults);
    let mut ports = Ports::new(network_mode);
    let containers: Vec<_> = request
        .container_definitions
        .iter()
        .enumerate()
        .map(|(index, wire)| {
            container::parse(wire, &path::item(CONTAINERS, index), &mut ports, faults)
        })
        .collect();
    let all_named = check_containers(&request.container_definitions, faults);
    let volumes = volumes::parse(request.volumes.as_ref(), "volumes", faults);
    let mounts = if containers.len() <= MOST_CONTAINERS {
        let wire = &request.container_definitions;
        volumes::mounts(wire, all_named, &volumes, CONTAINERS, faults)
    } else {
        // That there are too many has been told.
        vec![Vec::new(); containers.len()]
    };
    let containers = containers
        .into_iter()
        .zip(mounts)
        .map(|(container, mounts)| {
            container.map(|container| domain::ContainerDefinition {
                mounts,
                ..container
            })
        });
    check_resources(&request.container_definitions, request, size, faults);
    Some(domain::TaskDefinition {
        family: family.ok()?,
        size,
        network_mode,
        runtime,
        containers: containers.collect::<Option<_>>()?,
        volumes,
    })
}

/// The runtime that is named at `path`; whether the engine has it, nobody knows here.
pub(super) fn runtime(
    name: Option<&str>,
    path: &str,
    faults: &mut Faults,
) -> Option<domain::RuntimeName> {
    name.and_then(|name| run_task::name(name, path, faults))
}

/// `host` is refused elsewhere; see [`support`].
fn network_mode(mode: Option<NetworkMode>) -> domain::NetworkMode {
    match mode {
        None | Some(NetworkMode::Awsvpc) => domain::NetworkMode::Awsvpc,
        Some(NetworkMode::Host) => domain::NetworkMode::Host,
        Some(NetworkMode::Bridge) => domain::NetworkMode::Bridge,
        Some(NetworkMode::None) => domain::NetworkMode::None,
    }
}

fn task_size(request: &RegisterTaskDefinitionRequest, faults: &mut Faults) -> Option<TaskSize> {
    let fargate = request
        .requires_compatibilities
        .as_ref()
        .is_some_and(|all| all.contains(&Compatibility::Fargate));
    if fargate
        && request
            .network_mode
            .is_some_and(|mode| mode != NetworkMode::Awsvpc)
    {
        faults.add_with_hint(
            "networkMode",
            "must be `awsvpc` when requiresCompatibilities has `FARGATE`",
            "take FARGATE out of requiresCompatibilities, or the networkMode out of the document",
        );
    }
    let cpu = size::cpu(request.cpu.as_deref(), "cpu", faults);
    let memory = size::memory(request.memory.as_deref(), "memory", faults);
    for (missing, other, name, other_name) in [
        (
            request.cpu.is_none(),
            request.memory.is_some(),
            "cpu",
            "memory",
        ),
        (
            request.memory.is_none(),
            request.cpu.is_some(),
            "memory",
            "cpu",
        ),
    ] {
        if missing && fargate {
            faults.add(name, "is missing; requiresCompatibilities has `FARGATE`");
        } else if missing && other {
            faults.add(
                name,
                format!("is missing; a task has both cpu and memory or neither, and {other_name} is there"),
            );
        }
    }
    size::task(cpu, memory, faults)
}

/// Whether all of them are named.
fn check_containers(containers: &[ContainerDefinition], faults: &mut Faults) -> bool {
    if !containers.is_empty() && containers.iter().all(|c| c.essential == Some(false)) {
        faults.add_with_hint(
            CONTAINERS,
            "has no essential container, so the task would never end",
            "leave `essential` away, or set it to true, for at least one of them",
        );
    }
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut all_named = true;
    for (index, container) in containers.iter().enumerate() {
        let name = container.name.as_str();
        if name.is_empty() {
            // That has been told.
            all_named = false;
        } else if let Some(first) = names.insert(name, index) {
            faults.add(
                path::field(&path::item(CONTAINERS, index), "name"),
                format!(
                    "is {}, as {} is called already",
                    path::quote(name),
                    path::item(CONTAINERS, first)
                ),
            );
        }
    }
    if containers.len() <= MOST_CONTAINERS {
        dependencies::check(containers, all_named, CONTAINERS, faults);
    }
    all_named
}

/// What the containers take, against what the task has.
fn check_resources(
    containers: &[ContainerDefinition],
    request: &RegisterTaskDefinitionRequest,
    size: Option<TaskSize>,
    faults: &mut Faults,
) {
    let Some(size) = size else {
        // A size that is there and wrong has been told.
        if request.cpu.is_none() && request.memory.is_none() {
            for (index, container) in containers.iter().enumerate() {
                if container.memory.is_none() && container.memory_reservation.is_none() {
                    faults.add_with_hint(
                        path::field(&path::item(CONTAINERS, index), "memory"),
                        "is missing; neither the task nor the container says how much memory it needs",
                        "give the task a size, as cpu: \"256\" and memory: \"512\", or the container a memory or memoryReservation",
                    );
                }
            }
        }
        return;
    };
    let (cpu, memory) = (size.cpu().0, size.memory().0);
    for (index, container) in containers.iter().enumerate() {
        if let Some(limit) = container.memory.filter(|limit| *limit > memory) {
            faults.add(
                path::field(&path::item(CONTAINERS, index), "memory"),
                format!("is {limit}, more than the task's memory of {memory}"),
            );
        }
    }
    let sum = |of: fn(&ContainerDefinition) -> Option<u32>| -> u64 {
        containers.iter().filter_map(of).map(u64::from).sum()
    };
    let reserved = sum(|container| container.memory_reservation);
    if reserved > u64::from(memory) {
        faults.add(
            CONTAINERS,
            format!("reserve {reserved} MiB together, more than the task's memory of {memory}"),
        );
    }
    let taken = sum(|container| container.cpu);
    if taken > u64::from(cpu) {
        faults.add(
            CONTAINERS,
            format!("take {taken} CPU units together, more than the task's cpu of {cpu}"),
        );
    }
}
