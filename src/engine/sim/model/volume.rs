//! Volumes that are file systems in memory: they have something in them only while a container runs that
//! mounts them.

use std::collections::BTreeMap;

use super::{Container, Model, Refusal, events};
use crate::engine::docker::daemon::ContainerSpec;

/// A volume.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    labels: BTreeMap<String, String>,
    /// How many bytes were put into it while a container ran that mounts it.
    bytes: usize,
}

impl Model {
    /// What a creation makes by the way.
    pub(super) fn make_volumes(&mut self, spec: &ContainerSpec) {
        for wanted in &spec.memory_volumes {
            let new = || Volume {
                labels: wanted.labels.clone(),
                bytes: 0,
            };
            self.volumes.entry(wanted.name.clone()).or_insert_with(new);
        }
    }

    /// Unpacks a tar. In a container that does not run, what lands in a volume is gone at once, unless another
    /// one keeps it mounted.
    pub(super) fn upload(&mut self, id: &str, folder: &str, tar: &[u8]) -> Result<(), Refusal> {
        let number = self.known(id)?;
        let mounted = self.containers.get(&number).and_then(|container| {
            let mut volumes = container.spec.memory_volumes.iter();
            volumes.find(|volume| volume.path == folder)
        });
        let Some(name) = mounted.map(|volume| volume.name.clone()) else {
            return Err(Refusal::NotFound(format!(
                "the file {folder} in container {id}"
            )));
        };
        let kept = self.mounting(&name).any(Container::is_running);
        if let Some(volume) = self.volumes.get_mut(&name) {
            volume.bytes = if kept { tar.len() } else { 0 };
        }
        Ok(())
    }

    /// The names and labels of volumes with a label.
    pub(crate) fn list_volumes(&self, label: &str) -> Vec<(String, BTreeMap<String, String>)> {
        let volumes = self.volumes.iter();
        volumes
            .filter(|(_, volume)| events::has_label(&volume.labels, label))
            .map(|(name, volume)| (name.clone(), volume.labels.clone()))
            .collect()
    }

    /// Whether a volume has something in it.
    pub(crate) fn volume_is_filled(&self, name: &str) -> bool {
        self.mounting(name).any(Container::is_running)
            && self
                .volumes
                .get(name)
                .is_some_and(|volume| volume.bytes > 0)
    }

    /// Removing what is not there succeeds.
    pub(super) fn remove_volume(&mut self, name: &str) -> Result<(), Refusal> {
        if self.mounting(name).next().is_some() {
            return Err(Refusal::Conflict(format!(
                "remove {name}: volume is in use"
            )));
        }
        self.volumes.remove(name);
        Ok(())
    }

    fn mounting<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.values().filter(move |container| {
            let volumes = &container.spec.memory_volumes;
            volumes.iter().any(|volume| volume.name == name)
        })
    }
}
