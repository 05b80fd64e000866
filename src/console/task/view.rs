//! What the page of a task shows of it. PURE.
//!
//! Of secrets there are only names and where they come from: a task knows nothing else of them. A variable that somebody
//! wrote into a definition is a secret, too, if its name or its form says so, and is not shown either.

use std::collections::BTreeMap;

use super::words;
use crate::console::chart::{Edge, Graph, Node};
use crate::console::format::{Badge, Svg};
use crate::domain::{
    ContainerDefinition, ContainerName, ContainerRecord, ContainerStatus, HealthStatus,
    LimitsEnforcedBy, NetworkBinding, SecretReference, Task, TaskUse, TimestampMs, display,
};
use crate::shapes::TaskUsage;

/// A container.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) digest: Option<String>,
    pub(super) status: Badge,
    pub(super) health: Option<Badge>,
    /// What its health check said last.
    pub(super) check: Option<String>,
    pub(super) is_essential: bool,
    pub(super) ran: Option<String>,
    pub(super) ended: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) restarts: u32,
    pub(super) ports: Vec<Port>,
    pub(super) environment: Vec<Variable>,
    pub(super) waits_for: Vec<String>,
}

/// A port that can be reached on the host.
pub(super) struct Port {
    pub(super) text: String,
    /// Where a browser gets to it, if it can.
    pub(super) link: Option<String>,
}

/// A variable of a container's environment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// `None` where it is not shown.
    pub(super) value: Option<String>,
    pub(super) from: String,
}

/// Each container of `task`; `checks` is what their health checks said last.
pub(super) fn containers(
    task: &Task,
    checks: &BTreeMap<ContainerName, String>,
    now: TimestampMs,
) -> Vec<Container> {
    let unknown = ContainerRecord::default();
    let view = |definition: &ContainerDefinition| {
        let record = task.containers.get(&definition.name).unwrap_or(&unknown);
        let has_check = definition.health_check.is_some();
        Container {
            name: definition.name.to_string(),
            image: definition.image.clone(),
            digest: record.image_digest.clone(),
            status: Badge::status(record.last_status.as_str()),
            health: has_check.then(|| Badge::status(record.health.as_str())),
            check: checks.get(&definition.name).cloned(),
            is_essential: definition.essential,
            ran: ran(record, now),
            ended: words::ended(record),
            reason: record.reason.clone(),
            restarts: record.restart_count,
            ports: record.network_bindings.iter().map(port).collect(),
            environment: environment(definition),
            waits_for: definition
                .depends_on
                .iter()
                .map(|one| format!("{} ({})", one.container, one.condition.as_str()))
                .collect(),
        }
    };
    task.spec.containers.iter().map(view).collect()
}

fn ran(record: &ContainerRecord, now: TimestampMs) -> Option<String> {
    let started = record.started_at?;
    let until = match record.finished_at {
        Some(finished) => finished,
        None if record.last_status == ContainerStatus::Running => now,
        None => return None,
    };
    Some(display::length(until.since(started).as_millis()))
}

fn port(binding: &NetworkBinding) -> Port {
    let NetworkBinding {
        bind_ip,
        container_port,
        host_port,
        protocol,
    } = binding;
    let host = display::host(bind_ip);
    let word = protocol.as_str();
    Port {
        text: format!("{host}:{host_port} → {container_port}/{word}"),
        link: (word == "tcp").then(|| {
            let reachable = match &*host {
                "0.0.0.0" => "127.0.0.1",
                "[::]" => "[::1]",
                other => other,
            };
            format!("http://{reachable}:{host_port}/")
        }),
    }
}

/// Every variable that a container is known to get.
pub(super) fn environment(definition: &ContainerDefinition) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    for (name, value) in &definition.environment {
        // The last one of a name wins.
        variables.retain(|known| known.name != *name);
        let is_secret = words::is_secret_name(name) || words::has_password(value);
        variables.push(Variable {
            name: name.clone(),
            value: (!is_secret).then(|| value.clone()),
            from: "definition".to_owned(),
        });
    }
    let secret = |name: String, from: &SecretReference| Variable {
        name,
        value: None,
        from: match &from.json_key {
            Some(key) => format!("secret {}, its {key}", from.name),
            None => format!("secret {}", from.name),
        },
    };
    let secrets = &definition.secrets;
    variables.extend(
        secrets
            .variables
            .iter()
            .map(|(name, from)| secret(name.clone(), from)),
    );
    variables.extend(
        secrets
            .environment_files
            .iter()
            .map(|from| secret("(a file of variables)".to_owned(), from)),
    );
    variables.extend(
        secrets
            .files
            .iter()
            .map(|file| secret(format!("{}/{}", file.folder, file.name), &file.from)),
    );
    variables
}

/// The containers and what each of them waits for, as a picture; `None` where none waits for another.
pub(super) fn dependencies(task: &Task) -> Option<Svg> {
    let containers = &task.spec.containers;
    let place = |name: &ContainerName| containers.iter().position(|one| one.name == *name);
    let mut edges = Vec::new();
    for (to, definition) in containers.iter().enumerate() {
        for dependency in &definition.depends_on {
            if let Some(from) = place(&dependency.container) {
                let label = dependency.condition.as_str().to_owned();
                edges.push(Edge { from, to, label });
            }
        }
    }
    if edges.is_empty() {
        return None;
    }
    let unknown = ContainerRecord::default();
    let node = |definition: &ContainerDefinition| {
        let record = task.containers.get(&definition.name).unwrap_or(&unknown);
        let (note, class) = state(record);
        Node {
            name: definition.name.to_string(),
            note,
            class,
        }
    };
    let graph = Graph {
        title: "Containers and what they wait for".to_owned(),
        nodes: containers.iter().map(node).collect(),
        edges,
    };
    Some(graph.draw())
}

/// A container's state in a word or two, and its class.
fn state(record: &ContainerRecord) -> (String, &'static str) {
    match (record.last_status, record.health, record.exit_code) {
        (ContainerStatus::Pending, ..) => ("PENDING".to_owned(), "pending"),
        (ContainerStatus::Running, HealthStatus::Unhealthy, _) => ("UNHEALTHY".to_owned(), "bad"),
        (ContainerStatus::Running, HealthStatus::Healthy, _) => ("HEALTHY".to_owned(), "good"),
        (ContainerStatus::Running, HealthStatus::Unknown, _) => ("RUNNING".to_owned(), "good"),
        (ContainerStatus::Stopped, _, Some(0)) => ("STOPPED, exit 0".to_owned(), "past"),
        (ContainerStatus::Stopped, _, Some(code)) => (format!("STOPPED, exit {code}"), "bad"),
        (ContainerStatus::Stopped, _, None) => ("STOPPED".to_owned(), "past"),
    }
}

/// What holds the task to its size.
pub(super) const fn limits(by: LimitsEnforcedBy) -> &'static str {
    match by {
        LimitsEnforcedBy::TaskCgroup => "hold for the task as a whole",
        LimitsEnforcedBy::Containers => {
            "hold for each container on its own, with its part of the size"
        }
    }
}

/// What was reserved and used, in lines of a name and a text.
pub(super) fn usage(
    usage: &TaskUse,
    cost: Option<String>,
    now: TimestampMs,
) -> Vec<(&'static str, String)> {
    let shown = TaskUsage::new(usage, now);
    let of = |reserved: &str, used: Option<&str>| match used {
        Some(used) => format!("{reserved} reserved, {used} used"),
        None => format!("{reserved} reserved; what was used nobody could see yet"),
    };
    let used = shown.used.as_ref();
    let mut lines = vec![("Length", display::length(shown.duration_ms))];
    if let Some(cost) = cost {
        let so_far = if shown.closed_at.is_none() {
            " so far"
        } else {
            ""
        };
        lines.push(("Cost", format!("{cost}{so_far}")));
    }
    lines.push((
        "vCPU-seconds",
        of(
            &shown.vcpu_seconds,
            used.map(|used| used.vcpu_seconds.as_str()),
        ),
    ));
    lines.push((
        "GB-seconds",
        of(&shown.gb_seconds, used.map(|used| used.gb_seconds.as_str())),
    ));
    if let Some(used) = used {
        let size = display::bytes;
        lines.push(("Memory peak", size(used.memory_peak_bytes)));
        lines.push((
            "Network",
            format!(
                "{} received, {} sent",
                size(used.network_rx_bytes),
                size(used.network_tx_bytes)
            ),
        ));
        lines.push((
            "Disk",
            format!(
                "{} read, {} written",
                size(used.block_read_bytes),
                size(used.block_write_bytes)
            ),
        ));
    }
    if shown.end_evidence.as_deref() == Some("estimated") {
        lines.push(("The end is", "estimated: nobody recorded it".to_owned()));
    }
    lines
}
