//! One container definition.

use super::ports::Ports;
use super::{dependencies, environment, image, linux, logs, secrets};
use crate::domain::{
    self, ContainerName, CpuUnits, DEFAULT_STOP_TIMEOUT, DurationMs, Faults, MemoryMib,
};
use crate::shapes::path;
use crate::shapes::{ContainerDefinition, ContainerRestartPolicy, HealthCheck, HostEntry};

/// The container at `path`, or nothing if it has no proper name, without which it is not one.
pub(super) fn parse(
    container: &ContainerDefinition,
    path: &str,
    ports: &mut Ports,
    faults: &mut Faults,
) -> Option<domain::ContainerDefinition> {
    let at = |field: &str| path::field(path, field);
    let name = container_name(&container.name, &at("name"), faults);
    check_texts(container, path, faults);
    check_memory(container, path, faults);
    let port_mappings = ports.parse(container.port_mappings.as_ref(), path, faults);
    let environment =
        environment::variables(container.environment.as_ref(), &at("environment"), faults);
    let docker_labels = environment::labels(
        container.docker_labels.as_ref(),
        &at("dockerLabels"),
        faults,
    );
    let health_check = container
        .health_check
        .as_ref()
        .and_then(|check| health_check(check, &at("healthCheck"), faults));
    let extra_hosts = extra_hosts(container.extra_hosts.as_ref(), &at("extraHosts"), faults);
    let ulimits = linux::ulimits(container.ulimits.as_ref(), &at("ulimits"), faults);
    let linux_parameters = linux::parameters(
        container.linux_parameters.as_ref(),
        &at("linuxParameters"),
        faults,
    );
    let system_controls = linux::system_controls(
        container.system_controls.as_ref(),
        &at("systemControls"),
        faults,
    );
    let secrets = secrets::parse(container, path, faults);
    let awslogs = logs::awslogs(
        container.log_configuration.as_ref(),
        &at("logConfiguration"),
        faults,
    );
    Some(domain::ContainerDefinition {
        name: name?,
        image: container.image.clone(),
        essential: container.essential.unwrap_or(true),
        cpu: CpuUnits(container.cpu.unwrap_or(0)),
        memory: container.memory.map(MemoryMib),
        memory_reservation: container.memory_reservation.map(MemoryMib),
        // An empty list is how ECS's tools write "not given".
        command: container.command.clone().filter(|words| !words.is_empty()),
        entry_point: container
            .entry_point
            .clone()
            .filter(|words| !words.is_empty()),
        environment,
        working_directory: container.working_directory.clone(),
        user: container.user.clone(),
        port_mappings,
        depends_on: dependencies::parse(container),
        health_check,
        start_timeout: container.start_timeout.map(DurationMs::from_secs),
        stop_timeout: container
            .stop_timeout
            .map_or(DEFAULT_STOP_TIMEOUT, DurationMs::from_secs),
        restart_policy: container.restart_policy.as_ref().and_then(restart_policy),
        docker_labels,
        extra_hosts,
        hostname: container.hostname.clone(),
        privileged: container.privileged.unwrap_or(false),
        readonly_root_filesystem: container.readonly_root_filesystem.unwrap_or(false),
        interactive: container.interactive.unwrap_or(false),
        pseudo_terminal: container.pseudo_terminal.unwrap_or(false),
        ulimits,
        linux_parameters,
        system_controls,
        secrets,
        // They are known once all containers are.
        mounts: Vec::new(),
        awslogs,
    })
}

/// The name of a container that is written at `path`.
pub(super) fn container_name(name: &str, path: &str, faults: &mut Faults) -> Option<ContainerName> {
    name.parse()
        .map_err(|error: domain::InvalidName| {
            faults.add_with_hint(
                path,
                format!("is {}, which is not a container name", path::quote(name)),
                error.rule,
            );
        })
        .ok()
}

fn check_texts(container: &ContainerDefinition, path: &str, faults: &mut Faults) {
    if let Err((message, hint)) = image::check(&container.image) {
        let here = path::field(path, "image");
        let message = match container.image.as_str() {
            "" => message.to_owned(),
            text => format!("is {}, which {message}", path::quote(text)),
        };
        match hint {
            Some(hint) => faults.add_with_hint(here, message, hint),
            None => faults.add(here, message),
        }
    }
    if let Some(folder) = &container.working_directory {
        linux::absolute(folder, &path::field(path, "workingDirectory"), faults);
    }
    if let Some(user) = &container.user
        && !is_user(user)
    {
        faults.add_with_hint(
            path::field(path, "user"),
            format!("is {}, which is not a user", path::quote(user)),
            "it has the form user, user:group, uid, uid:gid, user:gid or uid:group",
        );
    }
    if let Some(hostname) = &container.hostname
        && !is_hostname(hostname)
    {
        faults.add_with_hint(
            path::field(path, "hostname"),
            format!("is {}, which is not a host name", path::quote(hostname)),
            "use up to 63 letters, digits, hyphens and dots",
        );
    }
}

fn check_memory(container: &ContainerDefinition, path: &str, faults: &mut Faults) {
    if let (Some(memory), Some(reservation)) = (container.memory, container.memory_reservation)
        && reservation > memory
    {
        faults.add(
            path::field(path, "memoryReservation"),
            format!("is {reservation}, more than the memory of {memory}"),
        );
    }
}

/// `user` or `user:group`, each a name or a number.
fn is_user(text: &str) -> bool {
    let is_name = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
    };
    match text.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(text),
    }
}

fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(plain)
    };
    // The kernel keeps 64 bytes of it, with the zero at its end.
    text.len() <= 63 && text.split('.').all(is_label)
}

fn extra_hosts(
    hosts: Option<&Vec<HostEntry>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (index, host) in hosts.into_iter().flatten().enumerate() {
        let here = path::item(path, index);
        if host.hostname.len() > 253 || !host.hostname.split('.').all(is_hostname) {
            faults.add(
                path::field(&here, "hostname"),
                format!(
                    "is {}, which is not a host name",
                    path::quote(&host.hostname)
                ),
            );
        }
        if host.ip_address.parse::<std::net::IpAddr>().is_err() {
            faults.add(
                path::field(&here, "ipAddress"),
                format!(
                    "is {}, which is not an IP address",
                    path::quote(&host.ip_address)
                ),
            );
        }
        lines.push((host.hostname.clone(), host.ip_address.clone()));
    }
    lines
}

/// ECS's default of `restartAttemptPeriod`, in seconds.
const RESTART_ATTEMPT_PERIOD: u32 = 300;

/// A restart policy, if it is enabled.
fn restart_policy(policy: &ContainerRestartPolicy) -> Option<domain::RestartPolicy> {
    let codes = policy.ignored_exit_codes.iter().flatten();
    let period = policy
        .restart_attempt_period
        .unwrap_or(RESTART_ATTEMPT_PERIOD);
    policy.enabled.then(|| domain::RestartPolicy {
        ignored_exit_codes: codes.map(|code| i64::from(*code)).collect(),
        attempt_period: DurationMs::from_secs(period),
    })
}

/// The health check at `path`; `NONE` means that there is none, not even the image's own.
fn health_check(
    check: &HealthCheck,
    path: &str,
    faults: &mut Faults,
) -> Option<domain::HealthCheck> {
    let here = path::field(path, "command");
    let form = "write [CMD, program, argument, …], or [CMD-SHELL, one line for the shell]";
    match check
        .command
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["NONE"] => return None,
        ["NONE", ..] => faults.add(here, "has more after `NONE`"),
        ["CMD" | "CMD-SHELL"] => {
            faults.add_with_hint(here, "has no command after its first word", form);
        }
        ["CMD-SHELL", line] if line.trim().is_empty() => {
            faults.add_with_hint(here, "has an empty line for the shell", form);
        }
        ["CMD-SHELL", _, _, ..] => faults.add_with_hint(
            here,
            "has more than one line after `CMD-SHELL`",
            "join them into one, or begin with CMD",
        ),
        // That it is empty was said by the schema check.
        [] | ["CMD" | "CMD-SHELL", ..] => {}
        [other, ..] => faults.add_with_hint(
            here,
            format!(
                "begins with {}; it must begin with `CMD`, `CMD-SHELL` or `NONE`",
                path::quote(other)
            ),
            form,
        ),
    }
    let secs = |value: Option<u32>, otherwise| DurationMs::from_secs(value.unwrap_or(otherwise));
    Some(domain::HealthCheck {
        command: check.command.clone(),
        interval: secs(check.interval, 30),
        timeout: secs(check.timeout, 5),
        retries: check.retries.unwrap_or(3),
        start_period: secs(check.start_period, 0),
    })
}
