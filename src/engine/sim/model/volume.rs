//! Volumes: those that are file systems in memory have something in them only while a container runs that mounts
//! them, all others until they are removed.

use std::collections::BTreeMap;

use super::{Container, Model, Refusal, events};
use crate::engine::docker::daemon::{ContainerSpec, MountSource, VolumeSpec};
use crate::engine::sim::view::VolumeSnapshot;

/// A path of the host with this part in it leads nowhere.
pub(crate) const MISSING: &str = "missing";

/// A volume.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    labels: BTreeMap<String, String>,
    /// Another one for each volume that ever was.
    number: u64,
    /// How many bytes were put into it while a container ran that mounts it.
    bytes: usize,
}

/// The names of the volumes that a container mounts.
fn names(spec: &ContainerSpec) -> impl Iterator<Item = &String> {
    let on_disk = spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume(volume) => Some(&volume.name),
        MountSource::Folder(_) => None,
    });
    let in_memory = spec.memory_volumes.iter().map(|volume| &volume.name);
    in_memory.chain(on_disk)
}

impl Model {
    /// Makes a volume that was asked for.
    pub(crate) fn make_volume(
        &mut self,
        spec: &VolumeSpec,
    ) -> Result<BTreeMap<String, String>, Refusal> {
        self.disk_has_room("mkdir /var/lib/docker/volumes")?;
        Ok(self.ensure_volume(spec))
    }

    /// Makes a volume unless there is one of that name; the labels of the one that is there now.
    pub(super) fn ensure_volume(&mut self, spec: &VolumeSpec) -> BTreeMap<String, String> {
        let number = self.next_volume;
        let new = || Volume {
            labels: spec.labels.clone(),
            number,
            bytes: 0,
        };
        self.next_volume += 1;
        let volume = self.volumes.entry(spec.name.clone()).or_insert_with(new);
        volume.labels.clone()
    }

    /// The labels of a volume.
    pub(crate) fn inspect_volume(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.volumes.get(name).map(|volume| volume.labels.clone())
    }

    /// What a creation finds missing on the host.
    pub(super) fn check_folders(spec: &ContainerSpec) -> Result<(), Refusal> {
        for mount in &spec.mounts {
            if let MountSource::Folder(path) = &mount.source
                && path.components().any(|part| part.as_os_str() == MISSING)
            {
                return Err(Refusal::Invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// What a creation makes by the way.
    pub(super) fn make_volumes(&mut self, spec: &ContainerSpec) {
        for wanted in &spec.memory_volumes {
            self.ensure_volume(&VolumeSpec {
                name: wanted.name.clone(),
                labels: wanted.labels.clone(),
            });
        }
        for mount in &spec.mounts {
            if let MountSource::Volume(wanted) = &mount.source {
                self.ensure_volume(wanted);
            }
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

    /// All of them.
    pub(super) fn volume_snapshots(&self) -> Vec<VolumeSnapshot> {
        let volumes = self.volumes.iter();
        volumes
            .map(|(name, volume)| VolumeSnapshot {
                name: name.clone(),
                labels: volume.labels.clone(),
                number: volume.number,
                mounted_by: self.mounting(name).map(|one| one.id.clone()).collect(),
            })
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
        self.containers
            .values()
            .filter(move |container| names(&container.spec).any(|own| own == name))
    }
}
