//! Names and labels: how Neargate's objects on a Docker daemon are made and recognised.
//!
//! Names are made from IDs, so that creating something twice finds the first one. Ownership is read from
//! the label `neargate.instance` alone: an object without it, or with another's, is never touched, even
//! when its name looks like ours.

use std::collections::BTreeMap;

use super::daemon::{ContainerInspect, ContainerSummary};
use super::host::Group;
use crate::domain::{ContainerName, InstanceId, TaskId, VolumeName};

/// Which Neargate an object belongs to. Every object has it.
pub const LABEL_INSTANCE: &str = "neargate.instance";
/// What an object is: `sandbox`, `container`, `network` or `volume`.
pub const LABEL_ROLE: &str = "neargate.role";
/// The task of a container. A sandbox has none, since it may have been made before its task: its name
/// says whose it is.
pub const LABEL_TASK: &str = "neargate.task";
/// On a volume: its name in the task definition.
pub const LABEL_VOLUME: &str = "neargate.volume";
/// The name of a container within its task.
pub const LABEL_CONTAINER: &str = "neargate.container";

/// Which attempt to run a container it was created for; 0 where there is none.
pub const LABEL_ATTEMPT: &str = "neargate.attempt";
/// Under which start of the host a container was created: what is said of its end after another start is not
/// known but made up.
pub const LABEL_BOOT: &str = "neargate.boot";
/// The cluster of a container or a network, or of a volume that outlives its tasks.
pub const LABEL_CLUSTER: &str = "neargate.cluster";

const ROLE_SANDBOX: &str = "sandbox";
const ROLE_CONTAINER: &str = "container";
const ROLE_NETWORK: &str = "network";
const ROLE_VOLUME: &str = "volume";

/// Makes and reads the names of one Neargate's objects.
#[derive(Clone, Debug)]
pub struct Names {
    instance: InstanceId,
}

impl Names {
    /// For the objects of `instance`.
    pub fn new(instance: InstanceId) -> Self {
        Self { instance }
    }

    /// The bridge that the tasks of a cluster are connected to.
    pub fn network(&self, cluster: &str) -> String {
        format!("neargate-{}-{cluster}", self.instance)
    }

    /// A task's sandbox.
    pub fn sandbox(&self, task: &TaskId) -> String {
        format!("neargate-{task}")
    }

    /// A container of a task.
    pub fn container(&self, task: &TaskId, container: &ContainerName) -> String {
        format!("neargate-{task}-{container}")
    }

    /// A volume with secrets of a task: of its container at an index, for the folder at an index.
    pub fn secret_volume(&self, task: &TaskId, container: usize, folder: usize) -> String {
        format!("neargate-{task}-secrets-{container}-{folder}")
    }

    /// The volume of a task that is at an index of its definition.
    pub fn task_volume(&self, task: &TaskId, index: usize) -> String {
        format!("neargate-{task}-volume-{index}")
    }

    /// A volume of a cluster. Neither name has a dot in it, so no two make the same.
    pub fn cluster_volume(&self, cluster: &str, volume: &VolumeName) -> String {
        format!("neargate-{}.{cluster}.{volume}", self.instance)
    }

    /// A sandbox that waits for a task. `unique` is not in use by another one.
    pub fn warm(&self, unique: u128) -> String {
        format!(
            "{}{:016x}",
            self.warm_prefix(),
            unique & u128::from(u64::MAX)
        )
    }

    /// Whether a name is that of a sandbox that waits for a task.
    pub fn is_warm(&self, name: &str) -> bool {
        name.starts_with(&self.warm_prefix())
    }

    fn warm_prefix(&self) -> String {
        format!("neargate-warm-{}-", self.instance)
    }

    /// The cgroup around the containers of a task, or around the probe.
    pub fn group(&self, name: &str) -> Group {
        Group {
            instance: self.instance.clone(),
            name: name.to_owned(),
        }
    }

    /// Whose objects they are.
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The filter that lists everything that is ours.
    pub fn instance_filter(&self) -> String {
        format!("{LABEL_INSTANCE}={}", self.instance)
    }

    /// The filter that lists a task's containers, without its sandbox.
    pub fn task_filter(task: &TaskId) -> String {
        format!("{LABEL_TASK}={task}")
    }

    /// The labels of a cluster's network.
    pub fn network_labels(&self, cluster: &str) -> BTreeMap<String, String> {
        self.labels(ROLE_NETWORK, &[(LABEL_CLUSTER, cluster)])
    }

    /// The cluster of a network, if its labels say that it is ours.
    pub fn cluster_of<'a>(&self, labels: &'a BTreeMap<String, String>) -> Option<&'a str> {
        let ours = self.owns(labels) && labels.get(LABEL_ROLE).is_some_and(|r| r == ROLE_NETWORK);
        labels
            .get(LABEL_CLUSTER)
            .map(String::as_str)
            .filter(|_| ours)
    }

    /// The labels of a volume with secrets of a task.
    pub fn secret_volume_labels(&self, task: &TaskId) -> BTreeMap<String, String> {
        self.labels(ROLE_VOLUME, &[(LABEL_TASK, task.as_str())])
    }

    /// The labels of a task's own volume.
    pub fn task_volume_labels(
        &self,
        task: &TaskId,
        volume: &VolumeName,
    ) -> BTreeMap<String, String> {
        let of_task = (LABEL_TASK, task.as_str());
        self.labels(ROLE_VOLUME, &[of_task, (LABEL_VOLUME, volume.as_str())])
    }

    /// The labels of a volume of a cluster.
    pub fn cluster_volume_labels(
        &self,
        cluster: &str,
        volume: &VolumeName,
    ) -> BTreeMap<String, String> {
        let of_cluster = (LABEL_CLUSTER, cluster);
        self.labels(ROLE_VOLUME, &[of_cluster, (LABEL_VOLUME, volume.as_str())])
    }

    /// Those of `labels` that are Neargate's.
    pub fn own_labels(labels: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
        let own = |(key, _): &(&String, &String)| key.starts_with("neargate.");
        labels.iter().filter(own).collect()
    }

    /// The labels of a sandbox.
    pub fn sandbox_labels(&self) -> BTreeMap<String, String> {
        self.labels(ROLE_SANDBOX, &[])
    }

    /// The labels of a container, `extra` among them.
    pub fn container_labels(&self, extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        self.labels(ROLE_CONTAINER, extra)
    }

    fn labels(&self, role: &str, extra: &[(&str, &str)]) -> BTreeMap<String, String> {
        let ours = [(LABEL_INSTANCE, self.instance.as_str()), (LABEL_ROLE, role)];
        ours.iter()
            .chain(extra)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Whether labels say that an object is ours.
    pub fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        labels
            .get(LABEL_INSTANCE)
            .is_some_and(|instance| instance == self.instance.as_str())
    }

    /// Whether labels say that an object of ours is a sandbox.
    pub fn is_sandbox(&self, labels: &BTreeMap<String, String>) -> bool {
        self.owns(labels)
            && labels
                .get(LABEL_ROLE)
                .is_some_and(|role| role == ROLE_SANDBOX)
    }

    /// Whether `seen` is `container` of `task`, or its sandbox when no container is named.
    pub fn is(
        &self,
        seen: &ContainerInspect,
        task: &TaskId,
        container: Option<&ContainerName>,
    ) -> bool {
        match container {
            None => self.is_sandbox(&seen.labels) && seen.name == self.sandbox(task),
            Some(name) => {
                self.owns(&seen.labels)
                    && seen
                        .labels
                        .get(LABEL_TASK)
                        .is_some_and(|of| of == task.as_str())
                    && seen
                        .labels
                        .get(LABEL_CONTAINER)
                        .is_some_and(|of| of == name.as_str())
            }
        }
    }

    /// Which attempt to run its container an object of ours was created for.
    pub fn attempt(labels: &BTreeMap<String, String>) -> u32 {
        let label = labels.get(LABEL_ATTEMPT);
        label.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The task that an object of ours belongs to, by its labels, or by its name for a sandbox.
    pub fn task_of(&self, name: &str, labels: &BTreeMap<String, String>) -> Option<TaskId> {
        if !self.owns(labels) {
            return None;
        }
        match labels.get(LABEL_TASK) {
            Some(task) => task.parse().ok(),
            None => name.strip_prefix("neargate-")?.parse().ok(),
        }
    }

    /// As [`Names::task_of`], for a line of a list.
    pub fn task_of_summary(&self, summary: &ContainerSummary) -> Option<TaskId> {
        self.task_of(&summary.name, &summary.labels)
    }
}
