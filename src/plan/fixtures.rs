//! Specs and reports for the tests of the planner and the meter.

use std::collections::BTreeMap;

use crate::domain::{
    Condition, ContainerDefinition, ContainerName, ContainerObservation, ContainerSecrets,
    ContainerState, CpuUnits, DEFAULT_STOP_TIMEOUT, Dependency, FamilyRevision, HealthStatus,
    LinuxParameters, MemoryMib, NetworkMode, NetworkObservation, Observation, Task, TaskSize,
    TaskSpec, TimestampMs,
};

/// A point in time of a test, in milliseconds.
pub(crate) fn at(millis: i64) -> TimestampMs {
    TimestampMs::from_millis(millis)
}

pub(crate) fn name(text: &str) -> ContainerName {
    text.parse().unwrap()
}

/// An essential container that waits for nothing.
pub(crate) fn container(text: &str) -> ContainerDefinition {
    ContainerDefinition {
        name: name(text),
        image: "neargate/workload:latest".to_owned(),
        essential: true,
        cpu: CpuUnits(0),
        memory: None,
        memory_reservation: None,
        command: None,
        entry_point: None,
        environment: Vec::new(),
        working_directory: None,
        user: None,
        port_mappings: Vec::new(),
        depends_on: Vec::new(),
        health_check: None,
        start_timeout: None,
        stop_timeout: DEFAULT_STOP_TIMEOUT,
        restart_policy: None,
        docker_labels: BTreeMap::new(),
        extra_hosts: Vec::new(),
        hostname: None,
        privileged: false,
        readonly_root_filesystem: false,
        interactive: false,
        pseudo_terminal: false,
        ulimits: Vec::new(),
        linux_parameters: LinuxParameters::default(),
        system_controls: Vec::new(),
        secrets: ContainerSecrets::default(),
        mounts: Vec::new(),
        awslogs: None,
    }
}

pub(crate) fn after(
    mut container: ContainerDefinition,
    on: &str,
    condition: Condition,
) -> ContainerDefinition {
    container.depends_on.push(Dependency {
        container: name(on),
        condition,
    });
    container
}

pub(crate) fn spec(containers: Vec<ContainerDefinition>) -> TaskSpec {
    TaskSpec {
        enable_execute_command: false,
        launch: crate::domain::Launch::default(),
        definition: FamilyRevision {
            family: "web".parse().unwrap(),
            revision: 1,
        },
        size: Some(TaskSize::new(CpuUnits(256), MemoryMib(512)).unwrap()),
        network_mode: NetworkMode::Awsvpc,
        runtime: None,
        containers,
        volumes: Vec::new(),
    }
}

/// A task that was accepted at 1,000 ms.
pub(crate) fn task(spec: TaskSpec) -> Task {
    let id = "0123456789abcdef0123456789abcdef".parse().unwrap();
    Task::new(id, "default".parse().unwrap(), spec, at(1_000))
}

pub(crate) fn up() -> NetworkObservation {
    NetworkObservation::Up {
        address: Some("172.18.0.2".to_owned()),
        bindings: Vec::new(),
    }
}

/// A report of a task whose network is there.
pub(crate) fn seen(containers: &[(&str, ContainerState)]) -> Observation {
    let containers = containers.iter().map(|(text, state)| {
        let started = *state != ContainerState::Created;
        let observation = ContainerObservation {
            attempt: 0,
            runtime_id: format!("id-of-{text}"),
            image_digest: Some("sha256:00".to_owned()),
            state: state.clone(),
            started_at: started.then(|| at(2_000)),
            health: HealthStatus::Unknown,
            health_output: None,
            is_paused: false,
            is_ending: false,
        };
        (name(text), observation)
    });
    Observation {
        network: up(),
        containers: containers.collect(),
        ..Observation::default()
    }
}

pub(crate) fn exited(code: i64, finished_at: i64) -> ContainerState {
    ContainerState::Exited {
        exit_code: Some(code),
        oom_killed: false,
        finished_at: at(finished_at),
        error: None,
    }
}
