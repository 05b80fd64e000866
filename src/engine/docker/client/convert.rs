//! What Neargate means, in the daemon's words, and what the daemon says, in Neargate's.
//!
//! Pure functions. What a container may never have is decided in [`host_config`] and nowhere else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bollard::auth::DockerCredentials;
use bollard::models as docker;

use super::super::super::EngineError;
use super::super::cgroup::{LocalHost, is_this_machine};
use super::super::daemon::{
    ContainerEvent, ContainerInspect, ContainerSpec, ContainerSummary, DaemonInfo, ImageInspect,
    MemoryVolume, Mount, MountSource, NetworkInspect, NetworkSpec, RegistryLogin, VolumeSpec,
};
use crate::domain::{
    DurationMs, HealthCheck, HealthStatus, NetworkBinding, PortMapping, Protocol, Subnet,
    TimestampMs,
};

/// Log files that a container has at most; they take turns.
const LOG_FILES: u64 = 2;

/// The body of `POST /containers/create`.
pub(super) fn create_body(spec: &ContainerSpec) -> docker::ContainerCreateBody {
    docker::ContainerCreateBody {
        image: Some(spec.image.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        env: Some(environment(spec)),
        cmd: spec.cmd.clone(),
        entrypoint: spec.entrypoint.clone(),
        working_dir: spec.working_dir.clone(),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        tty: Some(spec.tty),
        open_stdin: Some(spec.open_stdin),
        exposed_ports: (!spec.published.is_empty())
            .then(|| {
                spec.published
                    .iter()
                    .copied()
                    .map(port_key)
                    .collect::<BTreeSet<_>>()
            })
            .map(|keys| keys.into_iter().collect()),
        healthcheck: Some(health_config(spec.health_check.as_ref())),
        host_config: Some(host_config(spec)),
        ..Default::default()
    }
}

/// Everything of a container that is the host's business, and with it every safety rule:
///
/// - no process in it can gain privileges that it was not started with, unless it is privileged, where that would keep
///   nobody from anything and only break what such containers are for;
/// - memory is all there is: no swap beyond it;
/// - Docker never restarts it and never removes it by itself: both would lose how it ended.
fn host_config(spec: &ContainerSpec) -> docker::HostConfig {
    let unless_zero = |value: i64| (value != 0).then_some(value);
    let memory = unless_zero(spec.memory_bytes);
    docker::HostConfig {
        runtime: spec.runtime.clone(),
        privileged: Some(spec.privileged),
        security_opt: (!spec.privileged).then(|| vec!["no-new-privileges".to_owned()]),
        restart_policy: Some(docker::RestartPolicy {
            name: Some(docker::RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        auto_remove: Some(false),
        publish_all_ports: Some(false),
        memory,
        memory_swap: memory,
        memory_reservation: unless_zero(spec.memory_reservation_bytes),
        nano_cpus: unless_zero(spec.nano_cpus),
        cpu_shares: unless_zero(spec.cpu_shares),
        pids_limit: spec.pids_limit,
        cgroup_parent: spec.cgroup_parent.clone(),
        network_mode: Some(spec.network_mode.clone()),
        port_bindings: (!spec.published.is_empty()).then(|| port_bindings(spec)),
        extra_hosts: (!spec.extra_hosts.is_empty()).then(|| spec.extra_hosts.clone()),
        readonly_rootfs: Some(spec.readonly_rootfs),
        init: Some(spec.init),
        shm_size: spec.shm_size_bytes,
        tmpfs: (!spec.tmpfs.is_empty()).then(|| tmpfs(spec)),
        ulimits: (!spec.ulimits.is_empty()).then(|| ulimits(spec)),
        mounts: mounts(spec),
        sysctls: (!spec.sysctls.is_empty()).then(|| sysctls(spec)),
        cap_add: (!spec.cap_add.is_empty()).then(|| spec.cap_add.clone()),
        cap_drop: (!spec.cap_drop.is_empty()).then(|| spec.cap_drop.clone()),
        log_config: Some(log_config(spec.log_max_bytes)),
        ..Default::default()
    }
}

/// What nobody is to see stands among the rest here, and from here on in what is sent alone.
fn environment(spec: &ContainerSpec) -> Vec<String> {
    let secret = spec.secret_env.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.expose());
        format!("{name}={value}")
    });
    spec.env.iter().cloned().chain(secret).collect()
}

fn mounts(spec: &ContainerSpec) -> Option<Vec<docker::Mount>> {
    let in_memory = spec.memory_volumes.iter().map(memory_volume);
    let mounts: Vec<_> = in_memory.chain(spec.mounts.iter().map(mount)).collect();
    (!mounts.is_empty()).then_some(mounts)
}

/// A folder of the host is looked up, never made. What is mounted below it is left out where it could be written
/// to although the folder cannot: older daemons only make the outermost one read-only.
fn mount(mount: &Mount) -> docker::Mount {
    let common = docker::Mount {
        target: Some(mount.path.clone()),
        read_only: Some(mount.read_only),
        ..Default::default()
    };
    match &mount.source {
        MountSource::Volume(volume) => docker::Mount {
            typ: Some(docker::MountType::VOLUME),
            source: Some(volume.name.clone()),
            volume_options: Some(docker::MountVolumeOptions {
                labels: Some(volume.labels.clone().into_iter().collect()),
                ..Default::default()
            }),
            ..common
        },
        MountSource::Folder(path) => docker::Mount {
            typ: Some(docker::MountType::BIND),
            source: Some(path.to_string_lossy().into_owned()),
            bind_options: Some(docker::MountBindOptions {
                propagation: Some(docker::MountBindOptionsPropagationEnum::RPRIVATE),
                non_recursive: Some(mount.read_only),
                ..Default::default()
            }),
            ..common
        },
    }
}

/// The body of `POST /volumes/create`. The local driver without options is a folder of its own.
pub(super) fn volume_create(spec: &VolumeSpec) -> docker::VolumeCreateRequest {
    docker::VolumeCreateRequest {
        name: Some(spec.name.clone()),
        driver: Some("local".to_owned()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..Default::default()
    }
}

/// A volume that the daemon mounts as a tmpfs, also where it has to make it first: one without these options
/// would be a folder on its disk.
fn memory_volume(volume: &MemoryVolume) -> docker::Mount {
    let options = [
        ("type", "tmpfs".to_owned()),
        ("device", "tmpfs".to_owned()),
        (
            "o",
            format!("size={},mode=0755,nosuid,nodev,noexec", volume.size_bytes),
        ),
    ];
    docker::Mount {
        typ: Some(docker::MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(volume.path.clone()),
        read_only: Some(volume.read_only),
        volume_options: Some(docker::MountVolumeOptions {
            // What the image has at that place is not copied into it.
            no_copy: Some(true),
            labels: Some(volume.labels.clone().into_iter().collect()),
            driver_config: Some(docker::MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(
                    options
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect(),
                ),
            }),
            subpath: None,
        }),
        ..Default::default()
    }
}

/// What a registry is sent.
pub(super) fn credentials(login: &RegistryLogin) -> Result<DockerCredentials, EngineError> {
    let password = login.password.as_text().map_err(|error| {
        EngineError::Refused(format!("the login for {}: {error}", login.server))
    })?;
    Ok(DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(password.to_owned()),
        serveraddress: Some(login.server.clone()),
        ..Default::default()
    })
}

fn log_config(max_bytes: Option<u64>) -> docker::HostConfigLogConfig {
    let Some(max_bytes) = max_bytes else {
        return docker::HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: None,
        };
    };
    docker::HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(HashMap::from([
            (
                "max-size".to_owned(),
                (max_bytes / LOG_FILES).max(1).to_string(),
            ),
            ("max-file".to_owned(), LOG_FILES.to_string()),
        ])),
    }
}

/// A check that an image brings along is not run: as on Fargate, only the definition's counts.
fn health_config(check: Option<&HealthCheck>) -> docker::HealthConfig {
    let Some(check) = check else {
        return docker::HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..Default::default()
        };
    };
    let nanos = |length: DurationMs| Some(length.as_millis().saturating_mul(1_000_000));
    docker::HealthConfig {
        test: Some(check.command.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: Some(i64::from(check.retries)),
        start_period: nanos(check.start_period),
        start_interval: None,
    }
}

/// `80/tcp`.
fn port_key(mapping: PortMapping) -> String {
    format!("{}/{}", mapping.container_port, mapping.protocol.as_str())
}

fn port_bindings(spec: &ContainerSpec) -> docker::PortMap {
    let mut bindings = docker::PortMap::new();
    for mapping in &spec.published {
        // An empty port means any that is free.
        let port = mapping.host_port.filter(|port| *port != 0);
        bindings
            .entry(port_key(*mapping))
            .or_default()
            .get_or_insert_default()
            .push(docker::PortBinding {
                host_ip: Some(spec.publish_ip.clone()),
                host_port: Some(port.map(|port| port.to_string()).unwrap_or_default()),
            });
    }
    bindings
}

fn tmpfs(spec: &ContainerSpec) -> HashMap<String, String> {
    let options = |tmpfs: &crate::domain::Tmpfs| {
        let size = format!("size={}m", tmpfs.size.0);
        std::iter::once(size)
            .chain(tmpfs.mount_options.iter().cloned())
            .collect::<Vec<_>>()
            .join(",")
    };
    spec.tmpfs
        .iter()
        .map(|tmpfs| (tmpfs.container_path.clone(), options(tmpfs)))
        .collect()
}

fn ulimits(spec: &ContainerSpec) -> Vec<docker::ResourcesUlimits> {
    spec.ulimits
        .iter()
        .map(|ulimit| docker::ResourcesUlimits {
            name: Some(ulimit.name.clone()),
            soft: Some(ulimit.soft_limit),
            hard: Some(ulimit.hard_limit),
        })
        .collect()
}

fn sysctls(spec: &ContainerSpec) -> HashMap<String, String> {
    spec.sysctls
        .iter()
        .map(|control| (control.namespace.clone(), control.value.clone()))
        .collect()
}

/// What `GET /containers/{id}/json` says. One without an ID is no answer.
pub(super) fn container(
    found: docker::ContainerInspectResponse,
) -> Result<ContainerInspect, EngineError> {
    let unread = || EngineError::Failed("the engine described a container without ID".to_owned());
    let id = found.id.ok_or_else(unread)?;
    let state = found.state.unwrap_or_default();
    let config = found.config.unwrap_or_default();
    let network = found.network_settings.unwrap_or_default();
    let host = found.host_config.unwrap_or_default();
    let network_mode = host.network_mode.unwrap_or_default();
    let runs = state.running == Some(true);
    let (health, health_output) = state.health.map_or((None, None), health_of);
    Ok(ContainerInspect {
        id,
        name: bare_name(found.name.as_deref().unwrap_or_default()),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        image_id: found.image.unwrap_or_default(),
        status: state
            .status
            .map(|status| status.to_string())
            .unwrap_or_default(),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed == Some(true),
        error: state.error.filter(|error| !error.is_empty()),
        started_at: state.started_at.as_deref().and_then(timestamp),
        // One that runs again still has the end of its last run.
        finished_at: state
            .finished_at
            .as_deref()
            .and_then(timestamp)
            .filter(|_| !runs),
        health,
        health_output,
        ip_address: address(network.networks.unwrap_or_default(), &network_mode),
        bindings: bindings(network.ports.unwrap_or_default()),
        network_mode,
        stop_signal: config
            .stop_signal
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
        cgroup_parent: host.cgroup_parent.filter(|parent| !parent.is_empty()),
        pid: state
            .pid
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid != 0),
    })
}

fn health_of(health: docker::Health) -> (Option<HealthStatus>, Option<String>) {
    use docker::HealthStatusEnum as Word;
    let status = match health.status {
        None | Some(Word::EMPTY | Word::NONE) => return (None, None),
        Some(Word::STARTING) => HealthStatus::Unknown,
        Some(Word::HEALTHY) => HealthStatus::Healthy,
        Some(Word::UNHEALTHY) => HealthStatus::Unhealthy,
    };
    let last = health.log.unwrap_or_default().pop();
    (Some(status), last.and_then(failed_check))
}

/// What a health check said, if it failed; one that said nothing is known by its exit code.
fn failed_check(result: docker::HealthcheckResult) -> Option<String> {
    let exit_code = result.exit_code.filter(|code| *code != 0)?;
    let output = result.output.unwrap_or_default();
    Some(match output.trim_end() {
        "" => format!("it exited with code {exit_code} and said nothing"),
        said => said.to_owned(),
    })
}

/// The address on the network that the container was created on.
fn address(
    mut networks: HashMap<String, docker::EndpointSettings>,
    network_mode: &str,
) -> Option<String> {
    let name = if network_mode == "default" {
        "bridge"
    } else {
        network_mode
    };
    let endpoint = networks.remove(name)?;
    let set = |address: Option<String>| address.filter(|address| !address.is_empty());
    set(endpoint.ip_address).or_else(|| set(endpoint.global_ipv6_address))
}

/// The published ports, in order. One that is bound for IPv4 and IPv6 is listed once, for IPv4.
fn bindings(ports: docker::PortMap) -> Vec<NetworkBinding> {
    let mut found: BTreeMap<(u16, Protocol), Vec<NetworkBinding>> = BTreeMap::new();
    for (key, bound) in ports {
        let Some((container_port, protocol)) = parse_port_key(&key) else {
            continue;
        };
        for binding in bound.unwrap_or_default() {
            let host_port = binding.host_port.and_then(|port| port.parse().ok());
            let Some(host_port) = host_port else { continue };
            found
                .entry((container_port, protocol))
                .or_default()
                .push(NetworkBinding {
                    bind_ip: binding.host_ip.unwrap_or_default(),
                    container_port,
                    host_port,
                    protocol,
                });
        }
    }
    let is_ipv4 = |binding: &NetworkBinding| binding.bind_ip.parse::<Ipv4Addr>().is_ok();
    for of_port in found.values_mut() {
        if of_port.iter().any(is_ipv4) {
            of_port.retain(is_ipv4);
        }
        of_port.sort();
        of_port.dedup();
    }
    found.into_values().flatten().collect()
}

/// SCTP is not one of Neargate's protocols.
fn parse_port_key(key: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = key.split_once('/')?;
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    Some((port.parse().ok()?, protocol))
}

/// One row of `GET /containers/json`; `None` for one without ID.
pub(super) fn summary(found: docker::ContainerSummary) -> Option<ContainerSummary> {
    let names = found.names.unwrap_or_default();
    // A name with a second slash is another container's link to this one.
    let own = names
        .iter()
        .map(|name| bare_name(name))
        .find(|name| !name.contains('/'));
    Some(ContainerSummary {
        id: found.id?,
        name: own.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        status: found
            .state
            .map(|state| state.to_string())
            .unwrap_or_default(),
        health: found.status.as_deref().and_then(health_of_status),
        network_mode: found
            .host_config
            .and_then(|host| host.network_mode)
            .unwrap_or_default(),
    })
}

/// What a list says of health, it says in words alone: `Up 5 minutes (healthy)`.
fn health_of_status(status: &str) -> Option<HealthStatus> {
    let (_, word) = status.strip_suffix(')')?.rsplit_once('(')?;
    match word {
        "healthy" => Some(HealthStatus::Healthy),
        "unhealthy" => Some(HealthStatus::Unhealthy),
        "health: starting" => Some(HealthStatus::Unknown),
        _ => None,
    }
}

/// The body of `POST /networks/create`. The gateway is named, because older daemons do not tell it of a
/// network whose subnet was given.
pub(super) fn network_create(spec: &NetworkSpec) -> docker::NetworkCreateRequest {
    let ipam = spec.subnet.map(|subnet| docker::Ipam {
        config: Some(vec![docker::IpamConfig {
            subnet: Some(subnet.to_string()),
            gateway: Some(subnet.gateway().to_string()),
            ..Default::default()
        }]),
        ..Default::default()
    });
    docker::NetworkCreateRequest {
        name: spec.name.clone(),
        driver: Some("bridge".to_owned()),
        attachable: Some(false),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ipam,
        ..Default::default()
    }
}

/// One of `GET /networks`; `None` for one without ID.
pub(super) fn network(found: docker::Network) -> Option<NetworkInspect> {
    let (subnet, gateway) = addresses(found.ipam);
    Some(NetworkInspect {
        id: found.id?,
        name: found.name.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        subnet,
        gateway,
    })
}

/// What `GET /networks/{name}` says; `None` for one without ID.
pub(super) fn inspected_network(found: docker::NetworkInspect) -> Option<NetworkInspect> {
    let (subnet, gateway) = addresses(found.ipam);
    Some(NetworkInspect {
        id: found.id?,
        name: found.name.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        subnet,
        gateway,
    })
}

/// The IPv4 addresses of a network. A daemon may write the gateway with a prefix, or leave it out.
fn addresses(ipam: Option<docker::Ipam>) -> (Option<Subnet>, Option<Ipv4Addr>) {
    let configs = ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let found = configs.into_iter().find_map(|config| {
        let subnet: Subnet = config.subnet?.parse().ok()?;
        let told = config
            .gateway
            .and_then(|text| text.split('/').next()?.parse().ok());
        Some((subnet, told.unwrap_or_else(|| subnet.gateway())))
    });
    (
        found.map(|(subnet, _)| subnet),
        found.map(|(_, gateway)| gateway),
    )
}

/// The destinations in Linux's `/proc/net/route` but for the default one. Addresses are written there as
/// numbers of this machine's byte order.
pub(super) fn routes(table: &str) -> Vec<Subnet> {
    let address = |text: &str| {
        let number = u32::from_str_radix(text, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let destination = address(columns.get(1)?)?;
            let mask = address(columns.get(7)?)?.to_bits();
            let prefix = u8::try_from(mask.leading_ones()).ok()?;
            (prefix > 0).then(|| Subnet::of(destination, prefix))
        })
        .collect()
}

/// What `GET /images/{name}/json` says.
pub(super) fn image(found: docker::ImageInspect) -> Result<ImageInspect, EngineError> {
    let unread = || EngineError::Failed("the engine described an image without ID".to_owned());
    Ok(ImageInspect {
        id: found.id.ok_or_else(unread)?,
        repo_tags: found.repo_tags.unwrap_or_default(),
        repo_digests: found.repo_digests.unwrap_or_default(),
        size_bytes: found
            .size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
    })
}

/// `GET /version` and `GET /info`.
pub(super) fn daemon(
    version: docker::SystemVersion,
    info: docker::SystemInfo,
    api_version: String,
) -> DaemonInfo {
    DaemonInfo {
        version: version.version.unwrap_or_default(),
        api_version,
        host: info.name.unwrap_or_default(),
        os: version.os.unwrap_or_default(),
        architecture: version.arch.unwrap_or_default(),
        runtimes: info.runtimes.unwrap_or_default().into_keys().collect(),
        cpus: info
            .ncpu
            .and_then(|cpus| u32::try_from(cpus).ok())
            .unwrap_or_default(),
        memory_bytes: info
            .mem_total
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or_default(),
        cgroup_version: info
            .cgroup_version
            .map(|word| word.to_string())
            .unwrap_or_default(),
        cgroup_driver: info
            .cgroup_driver
            .map(|word| word.to_string())
            .unwrap_or_default(),
    }
}

/// Whether the daemon that says this of its machine runs on this one.
pub(super) fn is_here(info: &docker::SystemInfo) -> bool {
    let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok());
    info.kernel_version
        .as_deref()
        .zip(memory)
        .is_some_and(|(kernel, memory)| is_this_machine(kernel, memory))
}

/// This machine, as the daemon on it uses it.
pub(super) fn host(info: &docker::SystemInfo) -> LocalHost {
    let version = info.cgroup_version.map(|word| word.to_string());
    let driver = info.cgroup_driver.map(|word| word.to_string());
    LocalHost::new(&version.unwrap_or_default(), &driver.unwrap_or_default())
}

/// One message of `GET /events`; `None` for one that is about nothing.
pub(super) fn event(message: docker::EventMessage) -> Option<ContainerEvent> {
    let actor = message.actor?;
    // The daemon mixes a container's labels with what it has to say about it.
    let mut labels: BTreeMap<_, _> = actor.attributes.unwrap_or_default().into_iter().collect();
    labels.remove("image");
    let exit_code = labels.remove("exitCode");
    // Seconds are all that very old daemons tell.
    let nanos = message.time_nano.map(|nanos| nanos / 1_000_000);
    let millis = nanos.or(message.time.map(|seconds| seconds * 1_000));
    Some(ContainerEvent {
        id: actor.id?,
        name: labels.remove("name").unwrap_or_default(),
        labels,
        action: message.action?,
        exit_code: exit_code.and_then(|code| code.parse().ok()),
        at: TimestampMs::from_millis(millis.unwrap_or_default()),
    })
}

/// RFC 3339 with any number of decimals. Docker's word for "never" is the year 1.
pub(super) fn timestamp(text: &str) -> Option<TimestampMs> {
    if text.starts_with("0001-") {
        return None;
    }
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(TimestampMs::from_millis(at.as_millisecond()))
}

fn bare_name(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests;
