//! Volumes of tasks on a Docker daemon.
//!
//! A task's own volume is named after the task and removed after its containers; whatever a crash or a late call
//! leaves of one is found by its label in the survey. A cluster's volume (`scope: shared`) is named after
//! the cluster and never removed here: what is in it is the user's. A volume that does not carry the labels that
//! its place asks for is somebody else's, whatever its name, and is neither mounted nor removed: so an operator
//! who wants tasks to have a volume of another driver makes one with those labels.

use super::DockerEngine;
use super::daemon::{Mount, MountSource, VolumeSpec};
use super::names::Names;
use crate::domain::{ContainerDefinition, TaskId, Volume, VolumeSource};
use crate::engine::{EngineError, Order};

/// The most bytes of a name: the local driver makes a folder of it.
const LONGEST_NAME: usize = 255;

impl DockerEngine {
    /// What a container of the task mounts, after making sure that it is there.
    /// [`EngineError::Refused`] when it cannot be had.
    pub(super) async fn mounts(
        &self,
        order: &Order,
        definition: &ContainerDefinition,
    ) -> Result<Vec<Mount>, EngineError> {
        let mut mounts = Vec::new();
        for mount in &definition.mounts {
            let Some((index, volume)) = order.spec.volume(&mount.volume) else {
                return Err(EngineError::Refused(format!(
                    "the task has no volume {}",
                    mount.volume
                )));
            };
            let source = self.source(order, index, volume).await;
            mounts.push(Mount {
                source: source.map_err(|error| named(volume, error))?,
                path: mount.container_path.clone(),
                read_only: mount.read_only,
            });
        }
        Ok(mounts)
    }

    async fn source(
        &self,
        order: &Order,
        index: usize,
        volume: &Volume,
    ) -> Result<MountSource, EngineError> {
        let (spec, autoprovision) = match &volume.source {
            VolumeSource::Host { path } => {
                let path = self.host_path(path).await?;
                return Ok(MountSource::Folder(path));
            }
            VolumeSource::Task { labels } => {
                let mut labels = labels.clone();
                labels.extend(self.names.task_volume_labels(&order.task_id, &volume.name));
                let name = self.names.task_volume(&order.task_id, index);
                (VolumeSpec { name, labels }, true)
            }
            VolumeSource::Cluster {
                autoprovision,
                labels,
            } => {
                let mut labels = labels.clone();
                labels.extend(
                    self.names
                        .cluster_volume_labels(&order.cluster, &volume.name),
                );
                let name = self.names.cluster_volume(&order.cluster, &volume.name);
                (VolumeSpec { name, labels }, *autoprovision)
            }
        };
        if spec.name.len() > LONGEST_NAME {
            return Err(EngineError::Refused(format!(
                "its name on the engine, {}, would be longer than {LONGEST_NAME} bytes; hint: use a shorter name",
                spec.name
            )));
        }
        let found = if autoprovision {
            Some(self.daemon.ensure_volume(&spec).await?)
        } else {
            self.daemon.inspect_volume(&spec.name).await?
        };
        let wanted = Names::own_labels(&spec.labels);
        let Some(labels) = found else {
            let flags: Vec<String> = wanted
                .iter()
                .map(|(key, value)| format!("--label {key}={value}"))
                .collect();
            return Err(EngineError::Refused(format!(
                "the cluster has no such volume; hint: set autoprovision: true, or make it: docker volume create \
                 {} {}",
                flags.join(" "),
                spec.name
            )));
        };
        if wanted
            .iter()
            .any(|(key, value)| labels.get(*key) != Some(*value))
        {
            return Err(EngineError::NameTaken(format!(
                "the volume {} on the engine is not Neargate's; hint: use another name, or remove that one: docker \
                 volume rm {}",
                spec.name, spec.name
            )));
        }
        Ok(MountSource::Volume(spec))
    }

    /// Removes a task's own volumes; its containers are gone.
    pub(super) async fn remove_volumes(&self, task: &TaskId) -> Result<(), EngineError> {
        let filter = Names::task_filter(task);
        for (name, labels) in self.daemon.list_volumes(&filter).await? {
            if self.names.task_of(&name, &labels).as_ref() != Some(task) {
                continue;
            }
            match self.daemon.remove_volume(&name).await {
                // Somebody else's container mounts it, or one of ours is still being removed. The survey
                // finds it again.
                Err(error) if !error.retryable() => {
                    tracing::warn!(volume = name, %error, "a volume stays for now");
                }
                removed => removed?,
            }
        }
        Ok(())
    }
}

/// Says of which volume an error is.
fn named(volume: &Volume, error: EngineError) -> EngineError {
    let name = &volume.name;
    match error {
        EngineError::Refused(why) => EngineError::Refused(format!("volume {name}: {why}")),
        EngineError::NameTaken(why) => EngineError::NameTaken(format!("volume {name}: {why}")),
        other => other,
    }
}
