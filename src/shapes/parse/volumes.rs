//! Volumes of a task, and where its containers mount them.
//!
//! `volumesFrom` is expanded here: a container that takes another one's volumes gets mounts of the same
//! volumes at the same places, so it need not wait until that one exists, as it must in Docker. What an image
//! declares with VOLUME has no name that could be mounted a second time, so it is not among them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{dependencies, environment, linux};
use crate::domain::{self, Faults, InvalidName, Mount, VolumeName, VolumeSource};
use crate::shapes::path;
use crate::shapes::{ContainerDefinition, DockerScope, MountPoint, Volume};

/// Places that a container gets from the kernel, and what lies below them.
const KERNEL_FOLDERS: [&str; 2] = ["/proc", "/sys"];
/// Places that would be hidden as a whole.
const WHOLE_FOLDERS: [&str; 2] = ["/", "/dev"];

/// The volumes at `path`.
pub(super) fn parse(
    volumes: Option<&Vec<Volume>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<domain::Volume> {
    let mut parsed: Vec<domain::Volume> = Vec::new();
    for (index, volume) in volumes.into_iter().flatten().enumerate() {
        let here = path::item(path, index);
        let name = name(volume.name.as_deref(), &path::field(&here, "name"), faults);
        let source = source(volume, &here, faults);
        let Some(name) = name else { continue };
        if parsed.iter().any(|other| other.name == name) {
            let quoted = path::quote(name.as_str());
            faults.add(
                path::field(&here, "name"),
                format!("is {quoted}, which is there already"),
            );
            continue;
        }
        parsed.push(domain::Volume { name, source });
    }
    parsed
}

fn name(text: Option<&str>, path: &str, faults: &mut Faults) -> Option<VolumeName> {
    let Some(text) = text else {
        faults.add(path, "is missing");
        return None;
    };
    let no_name = |error: InvalidName| {
        faults.add_with_hint(
            path,
            format!("is {}, which is not a volume name", path::quote(text)),
            error.rule,
        );
    };
    text.parse().map_err(no_name).ok()
}

/// What is refused of a volume as a whole is refused elsewhere; see `support`. A file system of AWS becomes the cluster's
/// volume of that name: it is shared and outlives its tasks, as the file system would.
fn source(volume: &Volume, path: &str, faults: &mut Faults) -> VolumeSource {
    let source_path = volume
        .host
        .as_ref()
        .and_then(|host| host.source_path.as_deref())
        .filter(|text| !text.is_empty());
    let docker = volume.docker_volume_configuration.as_ref();
    if let (Some(_), Some(_)) = (source_path, docker) {
        faults.add_with_hint(
            path,
            "has both a host.sourcePath and a dockerVolumeConfiguration",
            "take one of them out",
        );
    }
    if let Some(text) = source_path {
        check_source_path(
            text,
            &path::field(&path::field(path, "host"), "sourcePath"),
            faults,
        );
        return VolumeSource::Host {
            path: text.to_owned(),
        };
    }
    let is_of_aws = volume.efs_volume_configuration.is_some()
        || volume.s3files_volume_configuration.is_some()
        || volume
            .fsx_windows_file_server_volume_configuration
            .is_some();
    if is_of_aws {
        return VolumeSource::Cluster {
            autoprovision: true,
            labels: BTreeMap::new(),
        };
    }
    let Some(docker) = docker else {
        return VolumeSource::Task {
            labels: BTreeMap::new(),
        };
    };
    let here = path::field(&path::field(path, "dockerVolumeConfiguration"), "labels");
    let labels = environment::labels(docker.labels.as_ref(), &here, faults);
    match docker.scope {
        None | Some(DockerScope::Task) => VolumeSource::Task { labels },
        Some(DockerScope::Shared) => VolumeSource::Cluster {
            autoprovision: docker.autoprovision.unwrap_or(false),
            labels,
        },
    }
}

/// Where it leads to is found out when a task is run; see `engine::docker::host_paths`.
fn check_source_path(text: &str, path: &str, faults: &mut Faults) {
    if !text.starts_with('/') {
        faults.add(
            path,
            format!("is {}; it must be an absolute path", path::quote(text)),
        );
    } else if text.contains(char::is_control) {
        faults.add(
            path,
            format!("is {}, which is not a path", path::quote(text)),
        );
    }
}

/// What each of `containers` mounts, with the places that are its own.
struct Mounts<'a> {
    containers: &'a [ContainerDefinition],
    own: Vec<Vec<Mount>>,
    /// For each, the containers that it takes the volumes of, and whether it may not write to them.
    from: Vec<Vec<(usize, bool)>>,
}

/// What each of the `containers` at `path` mounts of `volumes`. Unless all of them are named, nobody knows
/// whether a name is one of theirs.
pub(super) fn mounts(
    containers: &[ContainerDefinition],
    all_named: bool,
    volumes: &[domain::Volume],
    path: &str,
    faults: &mut Faults,
) -> Vec<Vec<Mount>> {
    let at = |index: usize, field: &str| path::field(&path::item(path, index), field);
    let own = containers.iter().enumerate().map(|(index, container)| {
        own_mounts(container, volumes, &at(index, "mountPoints"), faults)
    });
    let own: Vec<_> = own.collect();
    let from: Vec<_> = containers
        .iter()
        .enumerate()
        .map(|(index, _)| {
            sources(
                containers,
                index,
                all_named,
                &at(index, "volumesFrom"),
                faults,
            )
        })
        .collect();
    let edges: Vec<Vec<usize>> = from
        .iter()
        .map(|of| of.iter().map(|(source, _)| *source).collect())
        .collect();
    let circles = dependencies::cycles(&edges);
    for circle in &circles {
        let mut round: Vec<&str> = circle
            .iter()
            .map(|index| containers[*index].name.as_str())
            .collect();
        round.extend(round.first().copied());
        faults.add(
            at(circle[0], "volumesFrom"),
            format!("goes round in a circle: {}", round.join(" → ")),
        );
    }
    if !circles.is_empty() {
        return own;
    }
    let all = Mounts {
        containers,
        own,
        from,
    };
    (0..containers.len())
        .map(|index| all.expanded(index, &at(index, "volumesFrom"), faults))
        .collect()
}

impl Mounts<'_> {
    /// The mounts of the container at `index`. What it says itself stands above what it takes from others.
    fn expanded(&self, index: usize, path: &str, faults: &mut Faults) -> Vec<Mount> {
        let all = self.of(index);
        let container = &self.containers[index];
        for mount in all.iter().skip(self.own[index].len()) {
            check_place(container, &mount.container_path, path, faults);
        }
        all
    }

    /// Ends, since there are no circles.
    fn of(&self, index: usize) -> Vec<Mount> {
        let mut all = self.own[index].clone();
        for (source, read_only) in &self.from[index] {
            for mount in self.of(*source) {
                let taken = |other: &Mount| other.container_path == mount.container_path;
                if !all.iter().any(taken) {
                    all.push(Mount {
                        read_only: mount.read_only || *read_only,
                        ..mount
                    });
                }
            }
        }
        all
    }
}

fn own_mounts(
    container: &ContainerDefinition,
    volumes: &[domain::Volume],
    path: &str,
    faults: &mut Faults,
) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for (index, point) in container.mount_points.iter().flatten().enumerate() {
        let item = path::item(path, index);
        let volume = source_volume(point, volumes, &item, faults);
        let here = path::field(&item, "containerPath");
        let Some(place) = place(container, point.container_path.as_deref(), &here, faults) else {
            continue;
        };
        if mounts.iter().any(|other| other.container_path == place) {
            let quoted = path::quote(&place);
            faults.add(here, format!("is {quoted}, which is there already"));
            continue;
        }
        if let Some(volume) = volume {
            mounts.push(Mount {
                volume,
                container_path: place,
                read_only: point.read_only.unwrap_or(false),
            });
        }
    }
    mounts
}

fn source_volume(
    point: &MountPoint,
    volumes: &[domain::Volume],
    path: &str,
    faults: &mut Faults,
) -> Option<VolumeName> {
    let here = path::field(path, "sourceVolume");
    let Some(text) = point.source_volume.as_deref() else {
        faults.add(here, "is missing");
        return None;
    };
    let mut names = volumes.iter().map(|volume| &volume.name);
    let found = names.find(|name| name.as_str() == text).cloned();
    if found.is_none() {
        let message = format!("is {}, and the task has no such volume", path::quote(text));
        let names: Vec<&str> = volumes.iter().map(|one| one.name.as_str()).collect();
        let hint = if names.is_empty() {
            format!("add it: volumes: [{{name: {}}}]", path::printable(text))
        } else {
            format!("its volumes are: {}", names.join(", "))
        };
        faults.add_with_hint(here, message, hint);
    }
    found
}

/// The place in the container, written in the one way in which places are compared.
fn place(
    container: &ContainerDefinition,
    text: Option<&str>,
    path: &str,
    faults: &mut Faults,
) -> Option<String> {
    let Some(text) = text else {
        faults.add(path, "is missing");
        return None;
    };
    let before = faults.iter().count();
    linux::absolute(text, path, faults);
    if faults.iter().count() > before {
        return None;
    }
    let place = normal(text);
    check_place(container, &place, path, faults);
    Some(place)
}

/// `/a//b/./c/` is `/a/b/c`.
fn normal(text: &str) -> String {
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let joined = parts.collect::<Vec<_>>().join("/");
    format!("/{joined}")
}

fn is_within(place: &str, folder: &str) -> bool {
    place
        .strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Notes when something else of `container` is at `place`, or would be hidden there.
fn check_place(container: &ContainerDefinition, place: &str, path: &str, faults: &mut Faults) {
    let quoted = path::quote(place);
    let kernel = KERNEL_FOLDERS.iter().any(|own| is_within(place, own));
    if kernel || WHOLE_FOLDERS.contains(&place) {
        faults.add_with_hint(
            path,
            format!("is {quoted}, which a container cannot do without"),
            "mount it at a folder of its own, as /data",
        );
    }
    let secret_folders: BTreeSet<String> = container
        .secret_files
        .iter()
        .flatten()
        .filter_map(|file| Some(normal(file.container_path.rsplit_once('/')?.0)))
        .collect();
    if let Some(folder) = secret_folders.iter().find(|own| is_within(place, own)) {
        faults.add_with_hint(
            path,
            format!(
                "is {quoted}, and the secretFiles in {} would be hidden",
                path::quote(folder)
            ),
            "put the one or the other elsewhere",
        );
    }
    let tmpfs = container
        .linux_parameters
        .iter()
        .flat_map(|linux| linux.tmpfs.iter().flatten());
    if tmpfs
        .into_iter()
        .any(|one| normal(&one.container_path) == place)
    {
        faults.add(
            path,
            format!("is {quoted}, where linuxParameters.tmpfs has a file system already"),
        );
    }
}

/// The containers that the one at `index` takes the volumes of.
fn sources(
    containers: &[ContainerDefinition],
    index: usize,
    all_named: bool,
    path: &str,
    faults: &mut Faults,
) -> Vec<(usize, bool)> {
    let by_name: HashMap<&str, usize> = containers
        .iter()
        .enumerate()
        .map(|(index, container)| (container.name.as_str(), index))
        .collect();
    let mut found = Vec::new();
    for (nth, from) in containers[index].volumes_from.iter().flatten().enumerate() {
        let here = path::field(&path::item(path, nth), "sourceContainer");
        let Some(name) = from.source_container.as_deref() else {
            faults.add(here, "is missing");
            continue;
        };
        let quoted = path::quote(name);
        match by_name.get(name) {
            None if !all_named || name.is_empty() => {}
            None => {
                let names: Vec<&str> = containers.iter().map(|one| one.name.as_str()).collect();
                faults.add_with_hint(
                    here,
                    format!("is {quoted}, and the task has no such container"),
                    format!("its containers are: {}", names.join(", ")),
                );
            }
            Some(&source) if source == index => faults.add(
                here,
                format!("is {quoted}: a container cannot take volumes from itself"),
            ),
            Some(&source) => found.push((source, from.read_only.unwrap_or(false))),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_in_one_way_of_writing_them() {
        assert_eq!(normal("/a//b/./c/"), "/a/b/c");
        assert_eq!(normal("/"), "/");
        assert!(is_within("/proc/sys", "/proc") && !is_within("/process", "/proc"));
    }
}
