//! Secrets of a task on their way from the store to its containers: as late as possible, and into nothing
//! that is kept, logged or shown.
//!
//! As environment variables they are part of the call that creates the container, and of what the daemon
//! tells whoever may inspect it. As files they go into a volume that is a tmpfs, which works on every engine,
//! also a remote one: the sandbox mounts it for as long as it runs, so that it exists while the files are
//! written through the daemon's archive call, and the container mounts it read-only. A tar into the created
//! container itself would lie on the daemon's disk in the clear, and a bind mount from this host's memory
//! would need the engine to be on this host.
//!
//! A secret that cannot be had is the end of the task, in ECS's word; a store that does not answer is not.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::daemon::{ContainerSpec, MemoryVolume, RegistryLogin};
use super::{DockerEngine, names::Names};
use crate::domain::{
    ContainerDefinition, SecretFile, SecretReference, SecretValue, TaskSpec, environment_lines,
};
use crate::engine::{EngineError, Order};

/// Where the sandbox has the folders of the task's files.
const SANDBOX_FOLDER: &str = "/neargate";
/// The most files of a container, of the most bytes each, with room for their metadata.
const VOLUME_BYTES: u64 = 4 * 1_048_576;

/// The volumes of the container at `index` of the task, one for each folder that has files.
pub(super) fn volumes_of(
    names: &Names,
    order: &Order,
    definition: &ContainerDefinition,
) -> Vec<MemoryVolume> {
    let position = |one: &ContainerDefinition| one.name == definition.name;
    let container = order
        .spec
        .containers
        .iter()
        .position(position)
        .unwrap_or_default();
    folders(&definition.secrets.files)
        .into_iter()
        .enumerate()
        .map(|(index, folder)| MemoryVolume {
            name: names.secret_volume(&order.task_id, container, index),
            labels: names.secret_volume_labels(&order.task_id),
            path: folder.to_owned(),
            read_only: true,
            size_bytes: VOLUME_BYTES,
        })
        .collect()
}

/// The same volumes, of all containers, as the sandbox mounts them.
pub(super) fn volumes_of_sandbox(names: &Names, order: &Order) -> Vec<MemoryVolume> {
    let containers = order.spec.containers.iter();
    containers
        .flat_map(|definition| volumes_of(names, order, definition))
        .map(|volume| MemoryVolume {
            path: sandbox_path(&volume),
            read_only: false,
            ..volume
        })
        .collect()
}

fn sandbox_path(volume: &MemoryVolume) -> String {
    format!("{SANDBOX_FOLDER}/{}", volume.name)
}

fn folders(files: &[SecretFile]) -> BTreeSet<&str> {
    files.iter().map(|file| file.folder.as_str()).collect()
}

/// The secret with the login for the registry of `image`: one that a container of the task names, or else the
/// operator's for that registry.
pub(super) fn login_for(
    spec: &TaskSpec,
    image: &str,
    operators: &BTreeMap<String, SecretReference>,
) -> Option<SecretReference> {
    let mut containers = spec.containers.iter().filter(|one| one.image == image);
    containers
        .find_map(|one| one.secrets.registry.clone())
        .or_else(|| operators.get(registry_of(image)).cloned())
}

/// Where an image comes from, as Docker reads its name.
fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

impl DockerEngine {
    /// Adds the secrets that `definition` takes as variables to `spec`, after making sure that its files are
    /// in their volumes.
    pub(super) async fn hand_over_secrets(
        &self,
        order: &Order,
        definition: &ContainerDefinition,
        spec: &mut ContainerSpec,
    ) -> Result<(), EngineError> {
        let secrets = &definition.secrets;
        let mut taken: BTreeSet<String> = definition
            .environment
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        for (name, reference) in &secrets.variables {
            let value = self.secret(reference).await?;
            value
                .as_text()
                .map_err(|error| unusable(reference, &error))?;
            taken.insert(name.clone());
            spec.secret_env.push((name.clone(), value));
        }
        for reference in &secrets.environment_files {
            let file = self.secret(reference).await?;
            let text = file
                .as_text()
                .map_err(|error| unusable(reference, &error))?;
            for (name, value) in environment_lines(text) {
                if taken.insert(name.to_owned()) {
                    let value = SecretValue::new(value.as_bytes().to_vec())
                        .map_err(|error| unusable(reference, &error))?;
                    spec.secret_env.push((name.to_owned(), value));
                }
            }
        }
        self.fill_volumes(order, definition).await
    }

    async fn fill_volumes(
        &self,
        order: &Order,
        definition: &ContainerDefinition,
    ) -> Result<(), EngineError> {
        let sandbox = self.names.sandbox(&order.task_id);
        for volume in volumes_of(&self.names, order, definition) {
            let mut files = Vec::new();
            let all = definition.secrets.files.iter();
            for file in all.filter(|file| file.folder == volume.path) {
                files.push((file, self.secret(&file.from).await?));
            }
            let tar = tar_of(&files, owner(definition.user.as_deref())).map_err(|error| {
                EngineError::Failed(format!("no tar of secrets could be made: {error}"))
            })?;
            let path = sandbox_path(&volume);
            match self.daemon.upload(&sandbox, &path, tar).await {
                Err(EngineError::NotFound(what)) => return Err(self.gone(&what).await),
                uploaded => uploaded?,
            }
        }
        Ok(())
    }

    /// Name and password for the registry that `image` comes from, if any are to be sent.
    pub(super) async fn login(
        &self,
        spec: &TaskSpec,
        image: &str,
    ) -> Result<Option<RegistryLogin>, EngineError> {
        let Some(reference) = login_for(spec, image, &self.settings.registry_logins) else {
            return Ok(None);
        };
        let value = self.secret(&reference).await?;
        let part = |key: &str| {
            value
                .json_key(key)
                .map_err(|error| unusable(&reference, &error))
        };
        let username = part("username")?;
        let username = username
            .as_text()
            .map_err(|error| unusable(&reference, &error))?;
        Ok(Some(RegistryLogin {
            server: registry_of(image).to_owned(),
            username: username.to_owned(),
            password: part("password")?,
        }))
    }

    /// The value that `reference` stands for. [`EngineError::Refused`] when there is none that can be used.
    async fn secret(&self, reference: &SecretReference) -> Result<SecretValue, EngineError> {
        for name in reference.candidates() {
            let Some(value) = self.secrets.secret(&name).await? else {
                continue;
            };
            return match &reference.json_key {
                None => Ok(value),
                Some(key) => value
                    .json_key(key)
                    .map_err(|error| unusable(reference, &error)),
            };
        }
        let name = &reference.name;
        Err(EngineError::Refused(format!(
            "unable to pull secrets or registry auth: secret \"{name}\" does not exist; \
             hint: neargate secret put {name} < FILE"
        )))
    }
}

fn unusable(reference: &SecretReference, error: &crate::domain::UnusableSecret) -> EngineError {
    EngineError::Refused(format!(
        "unable to pull secrets or registry auth: secret \"{}\": {error}",
        reference.name
    ))
}

/// The user and group of the files: the container's, where they are numbers.
fn owner(user: Option<&str>) -> (u64, u64) {
    let user = user.unwrap_or_default();
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let number = |text: &str| text.parse().unwrap_or(0);
    (number(user), number(group))
}

fn tar_of(
    files: &[(&SecretFile, SecretValue)],
    (user, group): (u64, u64),
) -> std::io::Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    for (file, value) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(u64::try_from(value.expose().len()).unwrap_or(u64::MAX));
        header.set_mode(file.mode);
        header.set_uid(user);
        header.set_gid(group);
        builder.append_data(&mut header, &file.name, value.expose())?;
    }
    // Wiped when the call that it is the body of is over.
    Ok(Bytes::from_owner(Zeroizing::new(builder.into_inner()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::{container, spec};

    #[test]
    fn a_task_s_own_login_stands_above_the_operator_s() {
        let own = SecretReference::parse("own").unwrap();
        let ours = SecretReference::parse("ours").unwrap();
        let operators = BTreeMap::from([("ghcr.io".to_owned(), ours.clone())]);
        let mut web = container("web");
        web.image = "ghcr.io/team/web:1".to_owned();
        let mut side = web.clone();
        side.image = "ghcr.io/team/side:1".to_owned();
        web.secrets.registry = Some(own.clone());
        let spec = spec(vec![web, side]);
        let login = |image: &str| login_for(&spec, image, &operators);
        assert_eq!(login("ghcr.io/team/web:1"), Some(own));
        assert_eq!(login("ghcr.io/team/side:1"), Some(ours));
        assert_eq!(login("redis"), None);
        assert_eq!(registry_of("localhost/x"), "localhost");
        assert_eq!(registry_of("team/x"), "docker.io");
    }

    #[test]
    fn files_belong_to_a_user_that_is_a_number() {
        assert_eq!(owner(None), (0, 0));
        assert_eq!(owner(Some("1000")), (1000, 0));
        assert_eq!(owner(Some("1000:100")), (1000, 100));
        assert_eq!(owner(Some("web")), (0, 0));
    }
}
