//! Ports of a task's containers. All containers of a task share one network namespace, whatever the mode,
//! so two of them cannot listen on the same port.

use std::collections::BTreeMap;

use crate::domain::{self, Faults, NetworkMode, Protocol};
use crate::shapes::path;
use crate::shapes::{PortMapping, TransportProtocol};

/// The ports of all containers so far, to tell when one is taken.
pub(super) struct Ports {
    mode: NetworkMode,
    /// Which container has which port inside the task.
    inside: BTreeMap<(u16, Protocol), String>,
    /// Where which port of the host was asked for.
    on_host: BTreeMap<(u16, Protocol), String>,
}

impl Ports {
    /// No ports yet, in a task that is connected in `mode`.
    pub(super) fn new(mode: NetworkMode) -> Self {
        Self {
            mode,
            inside: BTreeMap::new(),
            on_host: BTreeMap::new(),
        }
    }

    /// The ports at `path`, of the container whose own path is `owner`.
    pub(super) fn parse(
        &mut self,
        mappings: Option<&Vec<PortMapping>>,
        owner: &str,
        faults: &mut Faults,
    ) -> Vec<domain::PortMapping> {
        let path = path::field(owner, "portMappings");
        let mappings = mappings.map(Vec::as_slice).unwrap_or_default();
        if self.mode == NetworkMode::None && !mappings.is_empty() {
            faults.add(
                &path,
                "is of no use with networkMode `none`: the task has no network",
            );
        }
        let mut ports = Vec::new();
        for (index, mapping) in mappings.iter().enumerate() {
            let here = path::item(&path, index);
            let Some(container_port) = mapping.container_port else {
                // A range has no `containerPort`; it is refused elsewhere.
                if mapping.container_port_range.is_none() {
                    faults.add(path::field(&here, "containerPort"), "is missing");
                }
                continue;
            };
            let port = domain::PortMapping {
                container_port,
                host_port: mapping.host_port,
                protocol: mapping.protocol.map_or(Protocol::Tcp, Protocol::from),
            };
            self.check(port, owner, &here, faults);
            ports.push(port);
        }
        ports
    }

    fn check(&mut self, port: domain::PortMapping, owner: &str, here: &str, faults: &mut Faults) {
        let protocol = port.protocol.as_str();
        let number = port.container_port;
        let holder = self
            .inside
            .entry((number, port.protocol))
            .or_insert_with(|| owner.to_owned());
        if holder != owner {
            faults.add(
                path::field(here, "containerPort"),
                format!("is {number}/{protocol}, on which {holder} listens already; containers of a task share their ports"),
            );
        }
        let host_path = path::field(here, "hostPort");
        match (self.mode, port.host_port) {
            (NetworkMode::Awsvpc, Some(host)) if host != 0 && host != number => {
                faults.add_with_hint(
                    host_path,
                    format!("is {host}; with networkMode `awsvpc` it must be {number}, as containerPort is, or absent"),
                    "the task has an address of its own; to publish ports on the host, use networkMode bridge",
                );
            }
            (NetworkMode::Host, Some(host)) if host != 0 && host != number => {
                faults.add(
                    host_path,
                    format!("is {host}; with networkMode `host` it must be {number}, as containerPort is, or absent"),
                );
            }
            (NetworkMode::Bridge, Some(host)) if host != 0 => {
                if let Some(other) = self.on_host.insert((host, port.protocol), here.to_owned()) {
                    faults.add(
                        host_path,
                        format!("is {host}/{protocol}, which {other} asks for already"),
                    );
                }
            }
            _ => {}
        }
    }
}

impl From<TransportProtocol> for Protocol {
    fn from(protocol: TransportProtocol) -> Self {
        match protocol {
            TransportProtocol::Tcp => Self::Tcp,
            TransportProtocol::Udp => Self::Udp,
        }
    }
}
