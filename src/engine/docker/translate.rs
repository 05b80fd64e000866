//! From ECS's words to Docker's: what a container or a sandbox is created from.
//!
//! Here and in the client's one place of security defaults it is decided what a container may do.

use std::collections::{BTreeMap, BTreeSet};

use super::daemon::ContainerSpec;
use super::names::{LABEL_ATTEMPT, LABEL_CLUSTER, LABEL_CONTAINER, LABEL_TASK, Names};
use super::secrets;
use crate::domain::{
    ContainerDefinition, CpuUnits, MemoryMib, NetworkMode, PortMapping, RuntimeName, SystemControl,
    TaskSize,
};
use crate::engine::Order;

/// What depends on the daemon and on the operator, not on the task.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Processors of the host: a limit beyond that is refused by Docker.
    pub cpus: u32,
    /// The runtimes that the daemon has.
    pub runtimes: BTreeSet<String>,
    /// The runtimes of the tasks of clusters, by cluster, that name none themselves.
    pub cluster_runtimes: BTreeMap<String, RuntimeName>,
    /// The image that sandboxes run.
    pub sandbox_image: String,
    /// Address of the host on which ports are published.
    pub publish_ip: String,
    /// Log bytes that the daemon keeps for a container.
    pub log_max_bytes: u64,
}

/// Processes and threads that a task may have, and each container of it. Docker itself sets no limit, which lets one task's
/// fork bomb take the host along.
pub const PIDS_LIMIT: i64 = 4_096;

/// Docker's default weight of a container, which ECS's CPU units are on the same scale with.
const CPU_SHARES_MIN: i64 = 2;

/// The sandbox of a task.
pub fn sandbox(names: &Names, facts: &HostFacts, order: &Order) -> ContainerSpec {
    let containers = &order.spec.containers;
    let publish = order.spec.network_mode == NetworkMode::Bridge;
    ContainerSpec {
        name: names.sandbox(&order.task_id),
        memory_volumes: secrets::volumes_of_sandbox(names, order),
        network_mode: match order.spec.network_mode {
            NetworkMode::Awsvpc | NetworkMode::Bridge => names.network(&order.cluster),
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::None => "none".to_owned(),
        },
        published: if publish {
            published(containers)
        } else {
            Vec::new()
        },
        hostname: containers
            .iter()
            .find_map(|container| container.hostname.clone()),
        extra_hosts: containers
            .iter()
            .flat_map(|container| &container.extra_hosts)
            .map(|(name, address)| format!("{name}:{address}"))
            .collect(),
        sysctls: system_controls(containers, true),
        ..warm_sandbox(names, facts, &order.cluster, String::new())
    }
}

/// A sandbox that any task of a cluster can use which asks for nothing special.
pub fn warm_sandbox(
    names: &Names,
    facts: &HostFacts,
    cluster: &str,
    name: String,
) -> ContainerSpec {
    ContainerSpec {
        name,
        image: facts.sandbox_image.clone(),
        labels: names.sandbox_labels(),
        network_mode: names.network(cluster),
        publish_ip: facts.publish_ip.clone(),
        readonly_rootfs: true,
        cap_drop: vec!["ALL".to_owned()],
        log_max_bytes: None,
        ..ContainerSpec::default()
    }
}

/// Whether a warm sandbox would do for the task.
pub fn fits_warm_sandbox(names: &Names, facts: &HostFacts, order: &Order) -> bool {
    let wanted = sandbox(names, facts, order);
    wanted == warm_sandbox(names, facts, &order.cluster, wanted.name.clone())
}

/// What the containers of a task run under, if that is not for the daemon to choose. Its sandbox, which only holds the
/// namespace, is always left to the daemon.
pub fn runtime<'a>(facts: &'a HostFacts, order: &'a Order) -> Option<&'a RuntimeName> {
    let of_cluster = || facts.cluster_runtimes.get(&order.cluster);
    order.spec.runtime.as_ref().or_else(of_cluster)
}

/// Whether a task's only container can own the task's namespace: nobody is to be joined by it. Not with secrets as
/// files, which need a sandbox that keeps them, and not when it may be started again, which is not to change the
/// task's address.
pub fn can_own_its_namespace(order: &Order) -> Option<&ContainerDefinition> {
    match order.spec.containers.as_slice() {
        [only] if only.secrets.files.is_empty() && only.restart_policy.is_none() => Some(only),
        _ => None,
    }
}

/// Whose network namespace a container runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace<'a> {
    /// The one of its task's sandbox, which has this name or ID.
    Joined(&'a str),
    /// Its own, as it is a task's only container. What would be asked of the sandbox is asked of it.
    Own,
}

/// A container of a task.
pub fn container(
    names: &Names,
    facts: &HostFacts,
    order: &Order,
    definition: &ContainerDefinition,
    namespace: Namespace<'_>,
) -> ContainerSpec {
    let network = match namespace {
        Namespace::Joined(sandbox) => ContainerSpec {
            network_mode: format!("container:{sandbox}"),
            ..ContainerSpec::default()
        },
        Namespace::Own => sandbox(names, facts, order),
    };
    let linux = &definition.linux_parameters;
    let mut labels = definition.docker_labels.clone();
    labels.extend(names.container_labels(&[
        (LABEL_TASK, order.task_id.as_str()),
        (LABEL_CONTAINER, definition.name.as_str()),
        (LABEL_CLUSTER, &order.cluster),
        (LABEL_ATTEMPT, &order.attempt(&definition.name).to_string()),
        ("neargate.family", order.spec.family().as_str()),
        (
            "neargate.revision",
            &order.spec.definition.revision.to_string(),
        ),
    ]));
    ContainerSpec {
        name: names.container(&order.task_id, &definition.name),
        image: definition.image.clone(),
        labels,
        env: definition
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect(),
        cmd: definition.command.clone(),
        entrypoint: definition.entry_point.clone(),
        working_dir: definition.working_directory.clone(),
        user: definition.user.clone(),
        memory_volumes: secrets::volumes_of(names, order, definition),
        network_mode: network.network_mode,
        published: network.published,
        publish_ip: network.publish_ip,
        hostname: network.hostname,
        extra_hosts: network.extra_hosts,
        nano_cpus: nano_cpus(order.spec.size, definition.cpu, facts.cpus),
        cpu_shares: cpu_shares(definition.cpu),
        memory_bytes: memory_limit(order.spec.size, definition.memory),
        memory_reservation_bytes: definition.memory_reservation.map_or(0, MemoryMib::as_bytes),
        pids_limit: Some(PIDS_LIMIT),
        health_check: definition.health_check.clone(),
        runtime: runtime(facts, order).map(ToString::to_string),
        privileged: definition.privileged,
        readonly_rootfs: definition.readonly_root_filesystem,
        open_stdin: definition.interactive,
        tty: definition.pseudo_terminal,
        init: linux.init_process_enabled,
        shm_size_bytes: linux.shared_memory_size.map(MemoryMib::as_bytes),
        tmpfs: linux.tmpfs.clone(),
        ulimits: definition.ulimits.clone(),
        sysctls: [
            network.sysctls,
            system_controls(std::slice::from_ref(definition), false),
        ]
        .concat(),
        cap_add: linux.add_capabilities.clone(),
        cap_drop: linux.drop_capabilities.clone(),
        log_max_bytes: Some(facts.log_max_bytes),
        ..ContainerSpec::default()
    }
}

/// The ports of all containers; where none is asked for on the host, Docker chooses.
fn published(containers: &[ContainerDefinition]) -> Vec<PortMapping> {
    let mut ports: Vec<PortMapping> = containers
        .iter()
        .flat_map(|container| container.port_mappings.iter().copied())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Kernel parameters of the network belong to the sandbox, all others to the container.
fn system_controls(containers: &[ContainerDefinition], of_the_network: bool) -> Vec<SystemControl> {
    containers
        .iter()
        .flat_map(|container| &container.system_controls)
        .filter(|control| control.namespace.starts_with("net.") == of_the_network)
        .cloned()
        .collect()
}

/// The hard limit of one container's CPU inside the task: all of the task's. More than the host has is no
/// limit. How a task as a whole is held to its size, [`super::limits`] knows.
fn nano_cpus(size: Option<TaskSize>, own: CpuUnits, host_cpus: u32) -> i64 {
    let units = size.map_or(own, TaskSize::cpu);
    let nanos = nanos(units);
    if nanos >= i64::from(host_cpus) * 1_000_000_000 {
        0
    } else {
        nanos
    }
}

/// CPU units in thousand-millionths of a processor.
pub fn nanos(units: CpuUnits) -> i64 {
    i64::from(units.0) * 1_000_000_000 / 1_024
}

/// ECS's CPU units of a container are its weight against the others of the host.
fn cpu_shares(own: CpuUnits) -> i64 {
    if own.0 == 0 {
        0
    } else {
        i64::from(own.0).max(CPU_SHARES_MIN)
    }
}

/// The hard limit of one container's memory: its own, otherwise the task's.
fn memory_limit(size: Option<TaskSize>, own: Option<MemoryMib>) -> i64 {
    own.or(size.map(TaskSize::memory))
        .map_or(0, MemoryMib::as_bytes)
}
