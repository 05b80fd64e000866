//! What the operator lets tasks have that is refused otherwise.
//!
//! It is asked when somebody wants something, so that he is told at once, and again when a task is about to begin: services
//! and schedules run tasks long after they were made, and the operator may have thought otherwise since.

use std::collections::BTreeSet;

use super::{
    ContainerDefinition, FARGATE_CAPABILITY, Faults, NetworkMode, TaskSpec, Volume, VolumeSource,
};

/// What the operator allows that is refused otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Tasks may use the host's own network.
    pub host_network: bool,
    /// Tasks may have some folders of the engine's host; which ones, the engine knows.
    pub host_paths: bool,
    /// Containers may be privileged.
    pub privileged: bool,
    /// Capabilities that containers may add beside Fargate's; `ALL` allows each.
    pub capabilities: BTreeSet<String>,
}

impl Policy {
    /// All that tasks of such a definition would have and may not, with what can be done about it.
    pub fn faults(
        &self,
        network_mode: NetworkMode,
        volumes: &[Volume],
        containers: &[ContainerDefinition],
    ) -> Faults {
        let mut faults = Faults::default();
        if network_mode == NetworkMode::Host && !self.host_network {
            faults.add_with_hint(
                "networkMode",
                "`host` is not allowed here: the task would share the network of the host and everything that \
                 listens on it",
                "use awsvpc or bridge, or set allow_host_network = true in the server's configuration",
            );
        }
        if !self.host_paths {
            for (index, _) in host_paths(volumes) {
                faults.add_with_hint(
                    format!("volumes[{index}].host.sourcePath"),
                    "is not allowed here: the task would have a folder of the host",
                    "use a volume with only a name, or list the folder in allowed_host_paths in the server's \
                     configuration",
                );
            }
        }
        for (index, container) in containers.iter().enumerate() {
            self.add_powers(
                &format!("containerDefinitions[{index}]"),
                container,
                &mut faults,
            );
        }
        faults
    }

    fn add_powers(&self, path: &str, container: &ContainerDefinition, faults: &mut Faults) {
        if container.privileged && !self.privileged {
            faults.add_with_hint(
                format!("{path}.privileged"),
                "is not allowed here: the container could do on the host whatever it wants",
                "leave it out, or set allow_privileged = true in the server's configuration",
            );
        }
        let added = &container.linux_parameters.add_capabilities;
        for (index, name) in added.iter().enumerate() {
            if self.allows(name) {
                continue;
            }
            faults.add_with_hint(
                format!("{path}.linuxParameters.capabilities.add[{index}]"),
                format!(
                    "is `{name}`; as on Fargate, only `{FARGATE_CAPABILITY}` can be added here"
                ),
                format!(
                    "leave it out, or set allowed_capabilities = [\"{name}\"] in the server's configuration"
                ),
            );
        }
    }

    /// Why a task must not begin, if so.
    pub fn refuses(&self, spec: &TaskSpec) -> Option<String> {
        let faults = self.faults(spec.network_mode, &spec.volumes, &spec.containers);
        let first = faults.iter().next()?;
        Some(format!("{} {}", first.path, first.message))
    }

    /// Whether containers may add the capability `name`.
    fn allows(&self, name: &str) -> bool {
        let listed = |name: &str| self.capabilities.contains(name);
        name == FARGATE_CAPABILITY || listed(name) || listed("ALL")
    }
}

/// The folders of the host among `volumes`, with their places.
pub fn host_paths(volumes: &[Volume]) -> impl Iterator<Item = (usize, &str)> {
    let volumes = volumes.iter().enumerate();
    volumes.filter_map(|(index, volume)| match &volume.source {
        VolumeSource::Host { path } => Some((index, path.as_str())),
        VolumeSource::Task { .. } | VolumeSource::Cluster { .. } => None,
    })
}
