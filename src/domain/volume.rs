//! Volumes of a task: what its containers can mount beside their images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::VolumeName;

/// A volume that containers of a task can mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Unique in the task.
    pub name: VolumeName,
    /// What is in it.
    pub source: VolumeSource,
}

/// Where what is in a volume comes from, and how long it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeSource {
    /// Made for the task, shared by its containers, removed with it.
    Task {
        /// For the engine's object.
        labels: BTreeMap<String, String>,
    },
    /// The cluster's volume of that name: it outlives its tasks. `scope: shared` of ECS.
    Cluster {
        /// Whether it is made when it is not there.
        autoprovision: bool,
        /// For the engine's object, when it is made.
        labels: BTreeMap<String, String>,
    },
    /// A folder of the engine's host, if the operator allows it.
    Host {
        /// As it was written: absolute, and not resolved.
        path: String,
    },
}

/// A place of a container at which it has a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// One of the task's volumes.
    pub volume: VolumeName,
    /// Absolute and without `.`, `..` and empty parts; unique in the container.
    pub container_path: String,
    /// It cannot be written to here.
    pub read_only: bool,
}
