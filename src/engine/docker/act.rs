//! Carries out the actions of a pod plan, one at a time, and tells what each has changed.
//!
//! Every action may be repeated, whatever became of it the last time. The one that Docker itself would not
//! take twice is the start of a container that has ended since: see `first_start`.

use std::sync::PoisonError;

use super::daemon::{ContainerInspect, ContainerSpec};
use super::names::Names;
use super::observe::{cannot_start, observe_network, observe_own_network};
use super::pulls::Wanted;
use super::translate::{self, Namespace};
use super::{DockerEngine, images, secrets};
use crate::domain::{
    ContainerDefinition, ContainerName, ContainerObservation, ContainerState, HealthStatus,
    LimitsEnforcedBy, NetworkObservation, Observation, StartFailure, TaskId,
};
use crate::engine::{EngineError, Order, no_such_runtime};
use crate::plan::pod::PodAction;

/// ECS's word for a task that cannot have what it needs before its containers start.
const NO_SECRETS: &str = "ResourceInitializationError";
/// The word of ECS's agent for a volume that cannot be had.
const NO_VOLUME: &str = "CannotCreateVolumeError";

/// ECS's word for a container that the engine does not create.
const CANNOT_CREATE: &str = "CannotCreateContainerError";

impl DockerEngine {
    /// Carries out one action and takes its effect into `seen`.
    pub(super) async fn act(
        &self,
        order: &Order,
        seen: &Observation,
        action: &PodAction,
    ) -> Result<Effect, EngineError> {
        match action {
            PodAction::Pull(image) => self.pull(order, image).await,
            PodAction::MakeNetwork => self.make_network(order, seen).await,
            PodAction::Create(name) => {
                let sandbox = self.names.sandbox(&order.task_id);
                let namespace = Namespace::Joined(&sandbox);
                self.create(order, seen, name, namespace).await
            }
            PodAction::Start(name) => self.start(order, seen, name).await,
            PodAction::Terminate(name) => {
                if let Some(known) = seen.containers.get(name)
                    && let Some(inspect) = self.daemon.inspect_container(&known.runtime_id).await?
                {
                    self.daemon
                        .signal_container(&inspect.id, &inspect.stop_signal)
                        .await?;
                }
                let mut signalled = self
                    .signalled
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                signalled
                    .entry(order.task_id.clone())
                    .or_default()
                    .insert(name.clone(), order.now);
                Ok(Effect::None)
            }
            PodAction::Kill(name) => {
                if let Some(known) = seen.containers.get(name) {
                    let id = &known.runtime_id;
                    self.daemon.signal_container(id, "SIGKILL").await?;
                }
                Ok(Effect::None)
            }
            PodAction::Discard(name) => match seen.containers.get(name) {
                Some(known) => self.discard(order, name, &known.runtime_id).await,
                None => Ok(Effect::None),
            },
            PodAction::Retire(name) => {
                if let Some(known) = seen.containers.get(name) {
                    self.daemon.remove_container(&known.runtime_id).await?;
                }
                Ok(Effect::NoContainer(name.clone()))
            }
        }
    }

    /// Lets the task wait for an image, which goes on by itself.
    async fn pull(&self, order: &Order, image: &str) -> Result<Effect, EngineError> {
        let login = match self.login(&order.spec, image).await {
            Ok(login) => login,
            Err(error) => return failure(None, NO_SECRETS, error),
        };
        let reference = secrets::login_for(&order.spec, image, &self.settings.registry_logins);
        let pull = Wanted {
            image: images::wanted(order, image),
            reference,
            login,
        };
        self.pulls.begin(&self.daemon, pull, &order.task_id);
        Ok(Effect::None)
    }

    /// Gives the task a warm sandbox if one will do, or makes it one of its own.
    async fn make_network(&self, order: &Order, seen: &Observation) -> Result<Effect, EngineError> {
        let facts = self.prepared().await?;
        if order.spec.network_mode.is_bridged()
            && let Err(error) = self.network(&order.cluster).await
        {
            return failure(None, "CannotCreateNetworkError", error);
        }
        let alone = translate::can_own_its_namespace(order);
        // A runtime that puts each container in a machine of its own may not be able to join a namespace.
        let is_joined = alone.is_none() || translate::runtime(&facts, order).is_none();
        if is_joined && translate::fits_warm_sandbox(&self.names, &facts, order) {
            self.touch(&order.cluster);
            let given = self.give_warm_sandbox(order, seen, alone).await;
            self.refill.notify_one();
            match given {
                Ok(Some(effect)) => return Ok(effect),
                // Whoever has the name, this task or somebody else, is found below.
                Ok(None) | Err(EngineError::NameTaken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // One container is started then, not two.
        if let Some(only) = alone {
            return self.create(order, seen, &only.name, Namespace::Own).await;
        }
        let spec = translate::sandbox(&self.names, &facts, order);
        let made = self
            .create_and_start(&spec, |seen| self.names.is(seen, &order.task_id, None))
            .await;
        match made {
            Ok(inspect) => Ok(Effect::Network(observe_network(Some(&inspect)))),
            Err(error) => failure(None, "CannotCreateNetworkError", error),
        }
    }

    /// Gives the task a warm sandbox and creates its only container, `alone`, in it; `None` when none is ready.
    async fn give_warm_sandbox(
        &self,
        order: &Order,
        seen: &Observation,
        alone: Option<&ContainerDefinition>,
    ) -> Result<Option<Effect>, EngineError> {
        let network = self.names.network(&order.cluster);
        let name = self.names.sandbox(&order.task_id);
        while let Some(warm) = self.pool.take(&network) {
            // A container that joins the sandbox by its ID need not wait until that has its new name.
            let join = async {
                let only = alone?;
                let namespace = Namespace::Joined(&warm.id);
                Some(self.create(order, seen, &only.name, namespace).await)
            };
            let claim = self.pool.claim(self.daemon.as_ref(), &warm, &name);
            let (claimed, joined) = tokio::join!(claim, join);
            if let Ok(Some(address)) = claimed {
                let bindings = Vec::new();
                let network = NetworkObservation::Up { address, bindings };
                let mut effects = vec![Effect::Network(network)];
                effects.extend(joined.transpose()?);
                return Ok(Some(Effect::Several(effects)));
            }
            // What was created joins a sandbox that the task has not got: it must never be started.
            if let Some(Ok(Effect::Created(name, container, _))) = joined {
                self.first_start(&order.task_id, &container.runtime_id);
                self.discard(order, &name, &container.runtime_id).await?;
            }
            claimed?;
        }
        Ok(None)
    }

    /// Creates and starts what `spec` says; finds it if it was created before.
    pub(super) async fn create_and_start(
        &self,
        spec: &ContainerSpec,
        is_ours: impl Fn(&ContainerInspect) -> bool,
    ) -> Result<ContainerInspect, EngineError> {
        let created = self.daemon.create_container(spec).await;
        let id = self.or_find(spec, created, is_ours).await?;
        let started = {
            let _permit = self.starts.acquire().await;
            self.daemon.start_container(&id).await
        };
        if let Err(EngineError::NotFound(what)) = started {
            return Err(self.gone(&what).await);
        }
        started?;
        let inspect = self.daemon.inspect_container(&id).await?;
        inspect.ok_or_else(|| {
            EngineError::Failed(format!("{} was removed while it started", spec.name))
        })
    }

    /// What came of a creation, or what an earlier call created under the same name.
    async fn or_find(
        &self,
        spec: &ContainerSpec,
        created: Result<String, EngineError>,
        is_ours: impl Fn(&ContainerInspect) -> bool,
    ) -> Result<String, EngineError> {
        match created {
            Err(EngineError::NameTaken(said)) => {
                match self.daemon.inspect_container(&spec.name).await? {
                    Some(found) if is_ours(&found) => Ok(found.id),
                    Some(_) => Err(EngineError::NameTaken(format!(
                        "the name {} is taken by a container that is not Neargate's; remove or rename that one: \
                     docker rename {} OTHER_NAME",
                        spec.name, spec.name
                    ))),
                    None => Err(EngineError::Failed(said)),
                }
            }
            Err(EngineError::NotFound(what)) => Err(self.gone(&what).await),
            result => result,
        }
    }

    /// The image, the network or the sandbox has gone since it was looked at. Docker only says so of a
    /// network when something on it is started.
    pub(super) async fn gone(&self, what: &str) -> EngineError {
        self.forget_prepared().await;
        EngineError::Failed(format!("{what} is gone"))
    }

    async fn create(
        &self,
        order: &Order,
        seen: &Observation,
        name: &ContainerName,
        namespace: Namespace<'_>,
    ) -> Result<Effect, EngineError> {
        let facts = self.prepared().await?;
        let Some(definition) = order.spec.container(name) else {
            return Ok(Effect::None);
        };
        if let Some(runtime) = translate::runtime(&facts, order)
            && !facts.runtimes.contains(runtime.as_str())
        {
            let unknown = no_such_runtime(runtime, &facts.runtimes);
            return failure(Some(name), CANNOT_CREATE, EngineError::Refused(unknown));
        }
        let mut spec = translate::container(&self.names, &facts, order, definition, namespace);
        if let Some(image) = seen.images.get(&definition.image) {
            spec.image.clone_from(&image.reference);
        }
        if let Err(error) = self.hand_over_secrets(order, definition, &mut spec).await {
            return failure(None, NO_SECRETS, error);
        }
        spec.mounts = match self.mounts(order, definition).await {
            Ok(mounts) => mounts,
            Err(error) => return failure(Some(name), NO_VOLUME, error),
        };
        let limits = self.restrict(order, &facts, definition, &mut spec).await?;
        spec.env
            .extend(self.own_environment(order, definition).await?);
        self.lives.replace(&order.task_id, &spec.name);
        let created = self.daemon.create_container(&spec).await;
        let attempt = order.attempt(name);
        if let Err(EngineError::NameTaken(_)) = &created
            && let Some(found) = self.daemon.inspect_container(&spec.name).await?
            && self.names.is(&found, &order.task_id, Some(name))
            && Names::attempt(&found.labels) < attempt
        {
            // Its removal takes time, or a call to create it was carried out late: the next look shows it.
            return Err(EngineError::Failed(format!(
                "an earlier attempt of container {name} is not gone yet"
            )));
        }
        if let Ok(id) = &created {
            let mut unstarted = self
                .unstarted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let of_task = unstarted.entry(order.task_id.clone()).or_default();
            of_task.insert(id.clone());
        }
        let created = self
            .or_find(&spec, created, |seen| {
                self.names.is(seen, &order.task_id, Some(name))
            })
            .await;
        match created {
            Ok(id) => {
                let container = created_container(id, attempt);
                Ok(Effect::Created(name.clone(), container, limits))
            }
            Err(error) => failure(Some(name), CANNOT_CREATE, error),
        }
    }

    async fn start(
        &self,
        order: &Order,
        seen: &Observation,
        name: &ContainerName,
    ) -> Result<Effect, EngineError> {
        let Some(known) = seen.containers.get(name) else {
            return Ok(Effect::None);
        };
        let hold = self.hold(order).await?;
        if let Some(hold) = &hold {
            hold.before_start().await?;
        }
        if !self.first_start(&order.task_id, &known.runtime_id) {
            return self.discard(order, name, &known.runtime_id).await;
        }
        let started = {
            let _permit = self.starts.acquire().await;
            self.daemon.start_container(&known.runtime_id).await
        };
        if let (Ok(()), Some(hold)) = (&started, &hold) {
            hold.after_start().await?;
        }
        let refused = match started {
            Ok(()) => None,
            Err(error) if error.retryable() => return Err(error),
            Err(error) => Some(error),
        };
        let Some(inspect) = self.daemon.inspect_container(&known.runtime_id).await? else {
            return Err(EngineError::Failed(format!(
                "container {name} was removed while it started"
            )));
        };
        let own_network = observe_own_network(&inspect);
        if let (Some(EngineError::NotFound(what)), Some(_)) = (&refused, &own_network) {
            // Its network has gone: both are made anew.
            self.daemon.discard_container(&inspect.id).await?;
            return Err(self.gone(what).await);
        }
        let mut container = self.look_closer(order, name, &inspect).await?;
        if let Some(error) = refused {
            container.state = ContainerState::Exited {
                exit_code: Some(inspect.exit_code),
                oom_killed: false,
                finished_at: order.wall,
                error: Some(cannot_start(&error.to_string())),
            };
        }
        Ok(Effect::Container(name.clone(), container, own_network))
    }

    /// Whether a container is being started now.
    pub(super) fn is_starting(&self) -> bool {
        self.starts.available_permits() < self.settings.starts_at_once.max(1) as usize
    }

    /// Whether a container was told to stop, as far as is remembered.
    pub(super) fn was_told_to_stop(&self, order: &Order, name: &ContainerName) -> bool {
        let signalled = self
            .signalled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let of_task = signalled.get(&order.task_id);
        of_task.is_some_and(|of_task| of_task.contains_key(name))
    }

    /// Whether nobody has asked for the start of a container. A second call could start it anew after it has
    /// ended, since the first may be carried out late: so what was asked for before, or may have been by an
    /// earlier process, is discarded and created again.
    fn first_start(&self, task: &TaskId, id: &str) -> bool {
        let mut unstarted = self
            .unstarted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unstarted.get_mut(task).is_some_and(|ids| ids.remove(id))
    }

    /// Removes a container that was not started; if it was after all, says what it does.
    async fn discard(
        &self,
        order: &Order,
        name: &ContainerName,
        id: &str,
    ) -> Result<Effect, EngineError> {
        self.lives
            .replace(&order.task_id, &self.names.container(&order.task_id, name));
        if self.daemon.discard_container(id).await? {
            return Ok(Effect::NoContainer(name.clone()));
        }
        Ok(match self.daemon.inspect_container(id).await? {
            Some(inspect) => Effect::Container(
                name.clone(),
                self.look_closer(order, name, &inspect).await?,
                observe_own_network(&inspect),
            ),
            None => Effect::NoContainer(name.clone()),
        })
    }
}

/// What one action changed.
pub(super) enum Effect {
    None,
    Network(NetworkObservation),
    Created(ContainerName, ContainerObservation, LimitsEnforcedBy),
    /// With the namespace, if it owns that.
    Container(
        ContainerName,
        ContainerObservation,
        Option<NetworkObservation>,
    ),
    NoContainer(ContainerName),
    Failure(StartFailure),
    Several(Vec<Effect>),
}

impl Effect {
    pub(super) fn take_into(self, seen: &mut Observation) {
        match self {
            Self::None => {}
            Self::Network(network) => seen.network = network,
            Self::Created(name, container, limits) => {
                seen.limits = seen.limits.max(Some(limits));
                seen.containers.insert(name, container);
            }
            Self::Container(name, container, own_network) => {
                seen.containers.insert(name, container);
                if let Some(network) = own_network {
                    seen.network = network;
                }
            }
            Self::NoContainer(name) => {
                seen.containers.remove(&name);
            }
            Self::Failure(failure) => {
                seen.failure.get_or_insert(failure);
            }
            Self::Several(effects) => effects.into_iter().for_each(|one| one.take_into(seen)),
        }
    }
}

/// An error that will not pass is the end of the task's start, in ECS's words; any other is tried again.
fn failure(
    container: Option<&ContainerName>,
    word: &str,
    error: EngineError,
) -> Result<Effect, EngineError> {
    if error.retryable() {
        return Err(error);
    }
    Ok(Effect::Failure(StartFailure {
        container: container.cloned(),
        reason: format!("{word}: {error}"),
    }))
}

fn created_container(id: String, attempt: u32) -> ContainerObservation {
    ContainerObservation {
        attempt,
        runtime_id: id,
        image_digest: None,
        state: ContainerState::Created,
        started_at: None,
        health: HealthStatus::Unknown,
        health_output: None,
        is_paused: false,
        is_ending: false,
    }
}
