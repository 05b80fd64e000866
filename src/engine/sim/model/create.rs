//! Creation and naming of containers: what they are made from, and what the daemon refuses at once.

use std::collections::BTreeMap;

use super::container::Phase;
use super::health::Health;
use super::log::Log;
use super::{Container, Model, Refusal};
use crate::engine::docker::daemon::ContainerSpec;
use crate::engine::sim::image::{Image, hex_digest};

const LEAST_MEMORY_BYTES: i64 = 6 * 1024 * 1024;

impl Model {
    pub(super) fn create(&mut self, spec: ContainerSpec) -> Result<String, Refusal> {
        self.check_settings(&spec)?;
        Self::check_folders(&spec)?;
        let image = self
            .images
            .find(&spec.image)
            .ok_or_else(|| Refusal::NotFound(format!("image {}", spec.image)))?;
        let argv = argv(&spec, image);
        if argv.is_empty() {
            return Err(Refusal::Invalid("No command specified".to_owned()));
        }
        self.name_is_free(&spec.name)?;
        self.disk_has_room("mkdir /var/lib/docker/overlay2")?;
        let number = self.next_container;
        let id = hex_digest(format!("container {number}"));
        let container = Container {
            id: id.clone(),
            name: spec.name.clone(),
            image_id: image.id.clone(),
            repository: image.repository.clone(),
            argv,
            env: environment(&spec, image, &id),
            stop_signal: image.stop_signal.clone(),
            phase: Phase::Created,
            runs: 0,
            process: None,
            exit_code: 0,
            oom_killed: false,
            lost: false,
            error: None,
            started_at: None,
            finished_at: None,
            ended: None,
            health: spec
                .health_check
                .clone()
                .filter(|check| check.command.first().is_some_and(|word| word != "NONE"))
                .map(Health::new),
            files: BTreeMap::new(),
            log: Log::new(spec.log_max_bytes),
            spec,
        };
        self.make_volumes(&container.spec);
        self.next_container += 1;
        self.by_name.insert(container.name.clone(), number);
        self.by_id.insert(id.clone(), number);
        for (key, value) in container.labels() {
            let of_label = self.by_label.entry(format!("{key}={value}")).or_default();
            of_label.insert(number);
        }
        self.containers.insert(number, container);
        self.tell(number, "create");
        Ok(id)
    }

    fn check_settings(&self, spec: &ContainerSpec) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::Invalid(message.to_owned()));
        if !is_container_name(&spec.name) {
            return Err(invalid_name(&spec.name));
        }
        if spec.memory_bytes != 0 && spec.memory_bytes < LEAST_MEMORY_BYTES {
            return invalid("Minimum memory limit allowed is 6MB");
        }
        if let Some(runtime) = &spec.runtime
            && !self.config.info.runtimes.contains(runtime)
        {
            return Err(Refusal::Invalid(format!(
                "Unknown runtime specified {runtime}"
            )));
        }
        let cpus = self.config.info.cpus;
        if spec.nano_cpus < 0 || spec.nano_cpus > i64::from(cpus) * 1_000_000_000 {
            return Err(Refusal::Invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
        if spec.network_mode.starts_with("container:") {
            if spec.hostname.is_some() {
                return invalid("conflicting options: hostname and the network mode");
            }
            if !spec.extra_hosts.is_empty() {
                return invalid(
                    "conflicting options: custom host-to-IP mapping and the network mode",
                );
            }
            if !spec.published.is_empty() {
                return invalid(
                    "conflicting options: port publishing and the container type network mode",
                );
            }
        }
        Ok(())
    }

    fn name_is_free(&self, name: &str) -> Result<(), Refusal> {
        match self
            .by_name
            .get(name)
            .and_then(|number| self.containers.get(number))
        {
            None => Ok(()),
            Some(other) => Err(Refusal::NameInUse(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You \
                 have to remove (or rename) that container to be able to reuse that name.",
                other.id
            ))),
        }
    }

    pub(super) fn rename(&mut self, id: &str, name: &str) -> Result<(), Refusal> {
        let number = self.known(id)?;
        if !is_container_name(name) {
            return Err(invalid_name(name));
        }
        if self.by_name.get(name) == Some(&number) {
            return Err(Refusal::Invalid(
                "Renaming a container with the same name as its current name".to_owned(),
            ));
        }
        self.name_is_free(name)?;
        if let Some(container) = self.containers.get_mut(&number) {
            self.by_name.remove(&container.name);
            name.clone_into(&mut container.name);
            self.by_name.insert(name.to_owned(), number);
        }
        self.tell(number, "rename");
        Ok(())
    }
}

fn argv(spec: &ContainerSpec, image: &Image) -> Vec<String> {
    // An entry point of one's own takes the image's command away, too.
    let (entrypoint, default_cmd) = match &spec.entrypoint {
        Some(own) => (own.clone(), Vec::new()),
        None => (image.entrypoint.clone(), image.cmd.clone()),
    };
    let cmd = spec.cmd.clone().unwrap_or(default_cmd);
    entrypoint.into_iter().chain(cmd).collect()
}

fn environment(spec: &ContainerSpec, image: &Image, id: &str) -> Vec<String> {
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let hostname = spec.hostname.as_deref().unwrap_or(&id[..12]);
    let given = [
        PATH.to_owned(),
        "HOME=/".to_owned(),
        format!("HOSTNAME={hostname}"),
    ];
    let mut variables = BTreeMap::new();
    let secret = spec
        .secret_env
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.expose())));
    let own: Vec<String> = spec.env.iter().cloned().chain(secret).collect();
    for pair in given.iter().chain(&image.env).chain(&own) {
        // A name without a value is one that the caller wants unset.
        match pair.split_once('=') {
            Some((name, value)) => variables.insert(name, value),
            None => variables.remove(pair.as_str()),
        };
    }
    variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

fn is_container_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() >= 2
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn invalid_name(name: &str) -> Refusal {
    Refusal::Invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    ))
}
