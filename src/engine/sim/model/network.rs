//! Networks: which there are, who has which address, and who has which port of the host.
//!
//! Docker's default pools have room for 31 networks (172.17 to 172.31 as /16, 192.168 as /20), the one
//! called `bridge` included, and a bridge has room for little more than a thousand containers. A container
//! has an address and its published ports only while it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::{Model, Refusal};
use crate::domain::{NetworkBinding, Protocol, Subnet};
use crate::engine::docker::daemon::{ContainerSpec, NetworkInspect, NetworkSpec};
use crate::engine::sim::faults::Trouble;
use crate::engine::sim::image::hex_digest;
use crate::engine::sim::{NetworkSnapshot, SimConfig};

/// The ports that Linux gives to whoever does not care.
const EPHEMERAL_PORTS: std::ops::RangeInclusive<u16> = 32_768..=60_999;
const ANY_ADDRESS: &str = "0.0.0.0";

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    network: String,
    pub(super) address: Ipv4Addr,
}

#[derive(Clone, Debug)]
struct Network {
    labels: BTreeMap<String, String>,
    subnet: Subnet,
    /// IDs of containers.
    addresses: BTreeMap<Ipv4Addr, String>,
}

/// The networks of the daemon, and the ports of its host.
#[derive(Debug)]
pub(super) struct Networks {
    by_name: BTreeMap<String, Network>,
    most_addresses: u32,
    /// Who publishes a port, on which address of the host.
    ports: BTreeMap<(u16, Protocol), BTreeMap<String, String>>,
    next_port: u16,
}

impl Networks {
    pub(super) fn new(config: &SimConfig) -> Self {
        let bridge = Network {
            labels: BTreeMap::new(),
            subnet: pool(0),
            addresses: BTreeMap::new(),
        };
        Self {
            by_name: BTreeMap::from([("bridge".to_owned(), bridge)]),
            most_addresses: config.addresses_per_network,
            ports: BTreeMap::new(),
            next_port: *EPHEMERAL_PORTS.start(),
        }
    }

    pub(super) fn snapshot(&self) -> Vec<NetworkSnapshot> {
        self.by_name
            .iter()
            .map(|(name, network)| NetworkSnapshot {
                name: name.clone(),
                labels: network.labels.clone(),
                addresses: network
                    .addresses
                    .iter()
                    .map(|(address, id)| (address.to_string(), id.clone()))
                    .collect(),
            })
            .collect()
    }

    /// The first of Docker's pools that no network overlaps with.
    fn free_pool(&self) -> Option<Subnet> {
        (0..POOLS).map(pool).find(|pool| !self.is_taken(*pool))
    }

    fn is_taken(&self, subnet: Subnet) -> bool {
        self.by_name
            .values()
            .any(|network| network.subnet.overlaps(subnet))
    }

    fn inspect(&self, name: &str) -> Option<NetworkInspect> {
        let network = self.by_name.get(name)?;
        Some(NetworkInspect {
            id: hex_digest(format!("network {name}")),
            name: name.to_owned(),
            labels: network.labels.clone(),
            subnet: Some(network.subnet),
            gateway: Some(network.subnet.gateway()),
        })
    }

    /// Gives a container an address. `None` when there is none left.
    fn connect(&mut self, name: &str, id: &str) -> Option<Attachment> {
        let most = self.most_addresses;
        let network = self.by_name.get_mut(name)?;
        let first = u32::from(network.subnet.network()) + 2;
        let most = most.min(u32::try_from(network.subnet.size() - 3).unwrap_or(u32::MAX));
        let address = (0..most)
            .map(|offset| Ipv4Addr::from(first + offset))
            .find(|address| !network.addresses.contains_key(address))?;
        network.addresses.insert(address, id.to_owned());
        Some(Attachment {
            network: name.to_owned(),
            address,
        })
    }

    /// Takes back what a container had.
    pub(super) fn release(&mut self, attachment: Option<&Attachment>, bindings: &[NetworkBinding]) {
        if let Some(attachment) = attachment
            && let Some(network) = self.by_name.get_mut(&attachment.network)
        {
            network.addresses.remove(&attachment.address);
        }
        for binding in bindings {
            let key = (binding.host_port, binding.protocol);
            if let Some(holders) = self.ports.get_mut(&key) {
                holders.remove(&binding.bind_ip);
                if holders.is_empty() {
                    self.ports.remove(&key);
                }
            }
        }
    }

    fn is_free(&self, ip: &str, port: u16, protocol: Protocol) -> bool {
        self.ports.get(&(port, protocol)).is_none_or(|holders| {
            ip != ANY_ADDRESS && !holders.contains_key(ip) && !holders.contains_key(ANY_ADDRESS)
        })
    }

    /// The next port that nobody has, going round.
    fn next_free_port(
        &mut self,
        ip: &str,
        protocol: Protocol,
        taken: &BTreeSet<u16>,
    ) -> Option<u16> {
        let from_next = self.next_port..=*EPHEMERAL_PORTS.end();
        let port = from_next
            .chain(EPHEMERAL_PORTS)
            .find(|port| self.is_free(ip, *port, protocol) && !taken.contains(port))?;
        self.next_port = if port == *EPHEMERAL_PORTS.end() {
            *EPHEMERAL_PORTS.start()
        } else {
            port + 1
        };
        Some(port)
    }

    /// Publishes all ports of `spec` for the container `id`, or none.
    fn publish(
        &mut self,
        spec: &ContainerSpec,
        id: &str,
        taken: &BTreeSet<u16>,
    ) -> Result<Vec<NetworkBinding>, String> {
        let ip = if spec.publish_ip.is_empty() {
            ANY_ADDRESS
        } else {
            &spec.publish_ip
        };
        let mut bindings = Vec::new();
        for mapping in &spec.published {
            let wanted = mapping.host_port.filter(|port| *port != 0);
            let found = match wanted {
                Some(port) if taken.contains(&port) => Err(format!(
                    "Error starting userland proxy: listen {}4 {ip}:{port}: bind: address already in use",
                    mapping.protocol.as_str()
                )),
                Some(port) if self.is_free(ip, port, mapping.protocol) => Ok(port),
                Some(port) => Err(format!(
                    "Bind for {ip}:{port} failed: port is already allocated"
                )),
                None => self
                    .next_free_port(ip, mapping.protocol, taken)
                    .ok_or_else(|| "all ports are allocated".to_owned()),
            };
            let host_port = match found {
                Ok(port) => port,
                Err(why) => {
                    self.release(None, &bindings);
                    return Err(why);
                }
            };
            self.ports
                .entry((host_port, mapping.protocol))
                .or_default()
                .insert(ip.to_owned(), id.to_owned());
            bindings.push(NetworkBinding {
                bind_ip: ip.to_owned(),
                container_port: mapping.container_port,
                host_port,
                protocol: mapping.protocol,
            });
        }
        Ok(bindings)
    }
}

/// How many address pools Docker has.
const POOLS: usize = 31;

/// One of Docker's default address pools.
fn pool(index: usize) -> Subnet {
    let index = u8::try_from(index).unwrap_or_default();
    if index < 15 {
        Subnet::of(Ipv4Addr::new(172, 17 + index, 0, 0), 16)
    } else {
        Subnet::of(Ipv4Addr::new(192, 168, (index - 15) * 16, 0), 20)
    }
}

impl Model {
    pub(crate) fn ensure_network(&mut self, spec: NetworkSpec) -> Result<NetworkInspect, Refusal> {
        if let Some(found) = self.networks.inspect(&spec.name) {
            return Ok(found);
        }
        let gone = self.faults.is_on(Trouble::AddressesGone);
        let subnet = match spec.subnet {
            Some(wanted) if gone || self.networks.is_taken(wanted) => {
                return Err(Refusal::Invalid(
                    "Pool overlaps with other one on this address space".to_owned(),
                ));
            }
            Some(wanted) => Some(wanted),
            None => self.networks.free_pool().filter(|_| !gone),
        };
        let Some(subnet) = subnet else {
            return Err(Refusal::Failed(
                "could not find an available, non-overlapping IPv4 address pool among the defaults to \
                 assign to the network"
                    .to_owned(),
            ));
        };
        let network = Network {
            labels: spec.labels,
            subnet,
            addresses: BTreeMap::new(),
        };
        self.networks.by_name.insert(spec.name.clone(), network);
        self.networks
            .inspect(&spec.name)
            .ok_or_else(|| Refusal::NotFound(format!("network {}", spec.name)))
    }

    pub(crate) fn list_networks(&self) -> Vec<NetworkInspect> {
        let names = self.networks.by_name.keys();
        names
            .filter_map(|name| self.networks.inspect(name))
            .collect()
    }

    pub(crate) fn remove_network(&mut self, name: &str) -> Result<(), Refusal> {
        if name == "bridge" {
            return Err(Refusal::Invalid(
                "bridge is a pre-defined network and cannot be removed".to_owned(),
            ));
        }
        match self.networks.by_name.get(name) {
            None => Err(Refusal::NotFound(format!("network {name}"))),
            Some(network) if !network.addresses.is_empty() => Err(Refusal::Invalid(format!(
                "error while removing network: network {name} id {} has active endpoints",
                hex_digest(format!("network {name}"))
            ))),
            Some(_) => {
                self.networks.by_name.remove(name);
                Ok(())
            }
        }
    }

    /// Gives a container that is about to run its address and its ports, or neither.
    pub(super) fn connect(
        &mut self,
        number: u64,
    ) -> Result<(Option<Attachment>, Vec<NetworkBinding>), Refusal> {
        let Some(container) = self.containers.get(&number) else {
            return Ok((None, Vec::new()));
        };
        let network = match container.spec.network_mode.as_str() {
            "none" | "host" => return Ok((None, Vec::new())),
            "" | "default" => "bridge",
            mode if mode.starts_with("container:") => return Ok((None, Vec::new())),
            other => other,
        };
        if !self.networks.by_name.contains_key(network) {
            return Err(Refusal::NotFound(format!("network {network}")));
        }
        let attachment = if self.faults.is_on(Trouble::AddressesGone) {
            None
        } else {
            self.networks.connect(network, &container.id)
        };
        let Some(attachment) = attachment else {
            let network_id = hex_digest(format!("network {network}"));
            return Err(Refusal::Failed(format!(
                "no available IPv4 addresses on this network's address pools: {network} ({network_id})"
            )));
        };
        let taken = &self.faults.ports_taken;
        match self.networks.publish(&container.spec, &container.id, taken) {
            Ok(bindings) => Ok((Some(attachment), bindings)),
            Err(why) => {
                self.networks.release(Some(&attachment), &[]);
                Err(Refusal::Invalid(format!(
                    "driver failed programming external connectivity on endpoint {} ({}): {why}",
                    container.name,
                    hex_digest(format!("endpoint {}", container.id)),
                )))
            }
        }
    }
}
