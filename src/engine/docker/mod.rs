//! The Docker adapter: tasks on a Docker daemon.
//!
//! A task is a sandbox container that owns the network namespace, and the task's containers, which join
//! it; a task's only container owns its namespace itself when no sandbox is ready. What to do next is decided by [`crate::plan::pod`]; this module looks, carries out, and reports.
//! It keeps nothing that it could not do without: what it remembers (pulls, warm sandboxes, who was
//! signalled) is found again on the daemon or costs a repetition. It must never touch an object that does
//! not carry this Neargate's label, and never use Docker's restart policies or `AutoRemove`, which lose exit
//! codes and act behind our back.

mod act;
mod cgroup;
pub mod client;
pub mod daemon;
mod early;
mod ended;
mod exec;
pub mod host;
mod host_paths;
mod images;
mod limits;
mod measure;
mod metadata;
pub mod names;
mod network;
mod observe;
mod pool;
mod pulls;
pub mod sandbox_image;
mod secrets;
mod spread;
mod translate;
mod volumes;
mod warm;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::BoxStream;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

pub use self::host_paths::HostPaths;
pub(crate) use self::host_paths::lexical;
pub use self::images::PullBehavior;

use self::daemon::{ContainerEvent, ContainerInspect, Daemon, LogOptions, NetworkInspect};
use self::ended::Lives;
use self::host::{KnownHost, PROBE};
use self::images::Sought;
use self::measure::{NetworkOwner, Sampled};
use self::names::Names;
use self::network::Recent;
use self::observe::{observe_network, observe_own_network};
use self::pool::Pool;
use self::pulls::Pulls;
use self::translate::HostFacts;
use super::{
    Engine, EngineError, EngineInfo, Exec, ExecRequest, Fingerprint, Hint, LogLine, LogRequest,
    Look, MeasureTarget, MetadataDoor, Order, Secrets, UseReading,
};
use crate::domain::{
    ContainerName, EngineImage, Goal, HealthStatus, IdSource, InstanceId, Observation, PulledImage,
    RuntimeName, SecretReference, Subnet, TaskId, TimestampMs,
};
use crate::plan::pod::{self, ImageState, PodAction, PodWorld};

/// What the operator can choose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many sandboxes are kept ready; 0 turns that off.
    pub warm_sandboxes: u32,
    /// How many containers are started at once. More than about 8 only makes each one slower.
    pub starts_at_once: u32,
    /// Address of the host on which the ports of `bridge` tasks are published.
    pub publish_ip: String,
    /// Log bytes that the daemon keeps for a container.
    pub log_max_bytes: u64,
    /// When an image is pulled that is there already.
    pub pull_behavior: PullBehavior,
    /// A pull that has not moved for so long has failed.
    pub pull_inactivity_timeout: Duration,
    /// The secrets with the logins for registries, by registry.
    pub registry_logins: BTreeMap<String, SecretReference>,
    /// Where the networks of clusters get their addresses from.
    pub address_pool: Subnet,
    /// Which folders of the engine's host tasks may have.
    pub host_paths: HostPaths,
    /// The runtimes of the tasks of clusters, by cluster, that name none themselves.
    pub cluster_runtimes: BTreeMap<String, RuntimeName>,
}

/// The addresses of which each cluster's network gets a block, unless the operator names others: a part of
/// the private ones that neither Docker nor most home and cloud networks use by themselves.
fn default_pool() -> Subnet {
    Subnet::of(Ipv4Addr::new(10, 213, 0, 0), 16)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            warm_sandboxes: 2,
            starts_at_once: 8,
            publish_ip: "127.0.0.1".to_owned(),
            log_max_bytes: 10 * 1_048_576,
            pull_behavior: PullBehavior::default(),
            pull_inactivity_timeout: pulls::INACTIVITY_TIMEOUT,
            registry_logins: BTreeMap::new(),
            address_pool: default_pool(),
            host_paths: HostPaths::default(),
            cluster_runtimes: BTreeMap::new(),
        }
    }
}

/// Hints that may wait for a listener. One that falls behind looks at everything.
const HINTS_KEPT: usize = 1_024;

/// Tasks on a Docker daemon.
pub struct DockerEngine {
    kind: &'static str,
    daemon: Arc<dyn Daemon>,
    names: Names,
    ids: Arc<dyn IdSource>,
    settings: Settings,
    secrets: Arc<dyn Secrets>,
    /// What must be there before the first task, and is known from then on.
    prepared: tokio::sync::Mutex<Option<Arc<HostFacts>>>,
    /// The host whose cgroups hold tasks, if they do: known once it was tried.
    limiter: tokio::sync::Mutex<KnownHost>,
    /// The networks of clusters that are known to be there. Held while one is made.
    networks: tokio::sync::Mutex<BTreeMap<String, Arc<NetworkInspect>>>,
    recent: Mutex<Recent>,
    /// Where containers can ask about themselves, if anywhere.
    door: OnceLock<Arc<dyn MetadataDoor>>,
    starts: Arc<Semaphore>,
    pool: Arc<Pool>,
    refill: Arc<tokio::sync::Notify>,
    pulls: Arc<Pulls>,
    hints: broadcast::Sender<Hint>,
    /// Held while a sandbox is made ahead of need, so that none is overlooked when all are given back.
    making: tokio::sync::Mutex<()>,
    /// Nothing is made ahead of need any more.
    closed: CancellationToken,
    /// Containers that were asked to stop, and when. Forgotten with the task.
    signalled: Mutex<BTreeMap<TaskId, BTreeMap<ContainerName, TimestampMs>>>,
    /// IDs of containers that were created here and not asked to start yet. Forgotten with the task.
    unstarted: Mutex<BTreeMap<TaskId, BTreeSet<String>>>,
    /// What was told of the ends of containers. Losing it costs a slower look.
    lives: Arc<Lives>,
    /// How many processes may be watched.
    watches: Arc<Semaphore>,
    /// Who owns the network namespaces of tasks. Losing it costs what went through them.
    network_owners: Mutex<BTreeMap<TaskId, NetworkOwner>>,
    /// What was seen last of containers without a cgroup of Neargate's around them.
    sampled: Mutex<Sampled>,
    /// Digests by image ID: an image with an ID never changes.
    digests: Mutex<BTreeMap<String, String>>,
}

/// Digests that are remembered; the map is emptied when it is full.
const DIGESTS_KEPT: usize = 4_096;

impl DockerEngine {
    /// Tasks of `instance` on `daemon`, with the values of `secrets`. `kind` is what [`EngineInfo::kind`] is to
    /// say.
    pub fn new(
        kind: &'static str,
        daemon: Arc<dyn Daemon>,
        instance: InstanceId,
        ids: Arc<dyn IdSource>,
        settings: Settings,
        secrets: Arc<dyn Secrets>,
    ) -> Arc<Self> {
        let (hints, _) = broadcast::channel(HINTS_KEPT);
        let engine = Arc::new(Self {
            kind,
            daemon,
            names: Names::new(instance),
            ids,
            starts: Arc::new(Semaphore::new(settings.starts_at_once.max(1) as usize)),
            pulls: Arc::new(Pulls::new(hints.clone(), settings.pull_inactivity_timeout)),
            settings,
            secrets,
            prepared: tokio::sync::Mutex::new(None),
            limiter: tokio::sync::Mutex::default(),
            networks: tokio::sync::Mutex::new(BTreeMap::new()),
            recent: Mutex::new(Recent::default()),
            door: OnceLock::new(),
            pool: Arc::new(Pool::default()),
            refill: Arc::new(tokio::sync::Notify::new()),
            hints,
            making: tokio::sync::Mutex::new(()),
            closed: CancellationToken::new(),
            signalled: Mutex::new(BTreeMap::new()),
            unstarted: Mutex::new(BTreeMap::new()),
            lives: Arc::default(),
            watches: Arc::new(early::watches()),
            network_owners: Mutex::new(BTreeMap::new()),
            sampled: Mutex::new(BTreeMap::new()),
            digests: Mutex::new(BTreeMap::new()),
        });
        warm::spawn(&engine);
        engine
    }

    /// A container of a task, if the daemon has it and it is ours.
    async fn own_container(
        &self,
        task: &TaskId,
        container: &ContainerName,
    ) -> Result<ContainerInspect, EngineError> {
        let name = self.names.container(task, container);
        let found = self.daemon.inspect_container(&name).await?;
        found
            .filter(|seen| self.names.is(seen, task, Some(container)))
            .ok_or(EngineError::NotFound(name))
    }

    /// What the daemon is, after making sure that the sandbox image is there.
    async fn prepared(&self) -> Result<Arc<HostFacts>, EngineError> {
        let mut prepared = self.prepared.lock().await;
        if let Some(facts) = prepared.as_ref() {
            return Ok(Arc::clone(facts));
        }
        let info = self.daemon.info().await?;
        let image = sandbox_image::sandbox_image(&info.architecture).ok_or_else(|| {
            EngineError::Refused(format!(
                "Neargate has no sandbox image for the architecture {}: it has amd64 and arm64",
                info.architecture
            ))
        })?;
        if self.daemon.inspect_image(&image.name).await?.is_none() {
            self.daemon.load_image(image.tar).await?;
        }
        let facts = Arc::new(HostFacts {
            cpus: info.cpus,
            runtimes: info.runtimes,
            cluster_runtimes: self.settings.cluster_runtimes.clone(),
            sandbox_image: image.name,
            publish_ip: self.settings.publish_ip.clone(),
            log_max_bytes: self.settings.log_max_bytes,
        });
        *prepared = Some(Arc::clone(&facts));
        Ok(facts)
    }

    /// Somebody may have removed what was prepared: it is made sure of again before the next use.
    async fn forget_prepared(&self) {
        *self.prepared.lock().await = None;
        self.forget_networks().await;
    }

    /// Whether the images of containers that do not exist yet are there.
    async fn images(
        &self,
        order: &Order,
        seen: &Observation,
    ) -> Result<BTreeMap<String, Sought>, EngineError> {
        let names: BTreeSet<&String> = order
            .spec
            .containers
            .iter()
            .filter(|container| {
                let due = order.attempt(&container.name);
                let seen = seen.containers.get(&container.name);
                seen.is_none_or(|seen| seen.attempt < due)
                    && !order.known.contains_key(&container.name)
            })
            .map(|container| &container.image)
            .collect();
        let looks = names
            .into_iter()
            .map(|name| async move { Ok((name.clone(), self.seek(order, seen, name).await?)) });
        join_all(looks).await.into_iter().collect()
    }

    fn remember_digest(&self, image_id: &str, digest: &str) {
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if digests.len() >= DIGESTS_KEPT {
            digests.clear();
        }
        digests.insert(image_id.to_owned(), digest.to_owned());
    }
}

/// Whether an event of the daemon can mean something that this adapter did not do itself.
fn is_news(event: &ContainerEvent) -> bool {
    matches!(
        event.action.as_str(),
        "die" | "destroy" | "oom" | "pause" | "unpause"
    ) || event.action.starts_with("health_status")
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let info = self.daemon.info().await?;
        Ok(EngineInfo {
            kind: self.kind,
            version: info.version,
            api_version: info.api_version,
            boot_id: self.daemon.host().await?.and_then(|host| host.boot_id()),
            host: info.host,
            platform: format!("{}/{}", info.os, info.architecture),
            runtimes: info.runtimes,
            cpus: info.cpus,
            memory_bytes: info.memory_bytes,
        })
    }

    async fn confirm(&self, order: &Order) -> Result<Observation, EngineError> {
        self.lives.forget(&order.task_id);
        self.observe(order).await
    }

    async fn observe(&self, order: &Order) -> Result<Observation, EngineError> {
        let sandbox_name = self.names.sandbox(&order.task_id);
        let containers = order.spec.containers.iter().map(|definition| async move {
            let name = self.names.container(&order.task_id, &definition.name);
            // What it takes from its task's memory is counted by the task's cgroup.
            let has_own_limit = definition.memory.is_some() || order.spec.size.is_none();
            let told = self.lives.ended(&order.task_id, &name, has_own_limit);
            // One that may be started again is removed for that, and then nobody could say any more when exactly it ended.
            let ended = told.filter(|_| definition.restart_policy.is_none());
            let ending = self.lives.ending(&order.task_id, &name);
            let ending = ending.filter(|_| ended.is_none());
            let is_ending = ending.is_some();
            let inspect = match ended.or(ending) {
                Some(known) => Some(known),
                None => self.daemon.inspect_container(&name).await?,
            };
            Ok::<_, EngineError>((&definition.name, inspect, is_ending))
        });
        let (sandbox, containers) = tokio::join!(
            self.daemon.inspect_container(&sandbox_name),
            join_all(containers)
        );
        let sandbox = sandbox?.filter(|seen| self.names.is(seen, &order.task_id, None));
        if let Some(sandbox) = &sandbox {
            self.note_network_owner(&order.task_id, sandbox);
        }
        let mut seen = Observation {
            network: observe_network(sandbox.as_ref()),
            ..Observation::default()
        };
        for container in containers {
            let (name, inspect, is_ending) = container?;
            let ours = inspect.filter(|one| self.names.is(one, &order.task_id, Some(name)));
            if let Some(inspect) = ours {
                if let Some(network) = observe_own_network(&inspect) {
                    self.note_network_owner(&order.task_id, &inspect);
                    seen.network = network;
                }
                let by = self.enforced_by(order, &inspect).await?;
                // Held as a whole is only what no container is outside of.
                seen.limits = seen.limits.max(Some(by));
                let mut container = self.look_closer(order, name, &inspect).await?;
                container.is_ending = is_ending;
                seen.containers.insert(name.clone(), container);
            }
        }
        Ok(seen)
    }

    async fn advance(
        &self,
        order: &Order,
        mut seen: Observation,
    ) -> Result<Observation, EngineError> {
        // Each step creates, starts or signals something, so the number of steps is bounded by the task.
        let most_steps = 4 + 4 * order.spec.containers.len();
        for _ in 0..most_steps {
            let sought = match order.goal {
                Goal::Run => self.images(order, &seen).await?,
                Goal::Stop { .. } => BTreeMap::new(),
            };
            let mut images = BTreeMap::new();
            for (name, Sought { state, found }) in sought {
                seen.images.extend(found.map(|found| (name.clone(), found)));
                images.insert(name, state);
            }
            let signalled = {
                let signalled = self
                    .signalled
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                signalled.get(&order.task_id).cloned().unwrap_or_default()
            };
            let plan = pod::plan(PodWorld {
                spec: &order.spec,
                goal: order.goal,
                known: &order.known,
                attempts: &order.attempts,
                seen: &seen,
                images: &images,
                signalled: &signalled,
                now: order.now,
            });
            let all_there = images.values().all(|state| *state == ImageState::Present);
            if order.goal == Goal::Run && all_there {
                seen.images_ready_at.get_or_insert(order.now);
            }
            seen.pulls = images
                .iter()
                .filter_map(|(name, state)| match state {
                    ImageState::Pulling(progress) => Some((name.clone(), *progress)),
                    _ => None,
                })
                .collect();
            (seen.waiting, seen.wake_at, seen.failure) = (plan.waiting, plan.wake_at, plan.failure);
            if plan.actions.is_empty() || seen.failure.is_some() {
                return Ok(seen);
            }
            let kills = plan
                .actions
                .iter()
                .any(|action| matches!(action, PodAction::Kill(_)));
            let effects = join_all(
                plan.actions
                    .iter()
                    .map(|action| self.act(order, &seen, action)),
            )
            .await;
            for effect in effects {
                effect?.take_into(&mut seen);
            }
            // What a SIGKILL did is told by the daemon; asking again at once would only repeat it.
            if kills || seen.failure.is_some() {
                return Ok(seen);
            }
        }
        Ok(seen)
    }

    async fn remove(&self, task: &TaskId) -> Result<(), EngineError> {
        self.pulls.leave(task);
        let containers = self
            .daemon
            .list_containers(&Names::task_filter(task))
            .await?;
        let ours = containers.iter().filter(|one| self.names.owns(&one.labels));
        let removals = join_all(ours.map(|one| self.daemon.remove_container(&one.id))).await;
        removals.into_iter().collect::<Result<Vec<()>, _>>()?;
        let sandbox = self
            .daemon
            .inspect_container(&self.names.sandbox(task))
            .await?;
        if let Some(sandbox) = sandbox.filter(|seen| self.names.is(seen, task, None)) {
            self.daemon.remove_container(&sandbox.id).await?;
        }
        self.remove_volumes(task).await?;
        if let Some(host) = self.daemon.host().await? {
            let group = self.names.group(task.as_str());
            host.remove(&group).await.map_err(EngineError::Failed)?;
        }
        self.signalled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task);
        self.unstarted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(task);
        self.lives.forget(task);
        self.forget_use(task);
        Ok(())
    }

    async fn survey(&self) -> Result<BTreeMap<TaskId, Fingerprint>, EngineError> {
        // While one is being made, the pool is left as it is until the next time.
        let making = self.making.try_lock();
        let before = self.pool.before_a_list();
        let mut listed = self
            .daemon
            .list_containers(&self.names.instance_filter())
            .await?;
        if making.is_ok() {
            warm::sort_out(self, &before, &listed).await;
        }
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        let mut hashers: BTreeMap<TaskId, DefaultHasher> = BTreeMap::new();
        for one in &listed {
            if let Some(task) = self.names.task_of_summary(one) {
                let health = one.health.map(HealthStatus::as_str);
                (&one.id, &one.status, health).hash(hashers.entry(task).or_default());
            }
        }
        // A crash may have left volumes or a group without containers.
        let filter = self.names.instance_filter();
        for (name, labels) in self.daemon.list_volumes(&filter).await? {
            if let Some(task) = self.names.task_of(&name, &labels) {
                hashers.entry(task).or_default();
            }
        }
        if let Some(host) = self.daemon.host().await? {
            for group in host.groups(self.names.instance()).await {
                if let Ok(task) = group.name.parse() {
                    hashers.entry(task).or_default();
                } else if group.name == PROBE
                    && making.is_ok()
                    && let Err(why) = host.remove(&group).await
                {
                    tracing::debug!(why, "the cgroup of the probe stays for now");
                }
            }
        }
        drop(making);
        Ok(hashers
            .into_iter()
            .map(|(task, hasher)| (task, Fingerprint(hasher.finish())))
            .collect())
    }

    async fn logs(
        &self,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError> {
        let container = self
            .own_container(&request.task_id, &request.container)
            .await?;
        if Names::attempt(&container.labels) != request.attempt {
            return Err(EngineError::NotFound(container.name));
        }
        let options = LogOptions {
            follow: request.follow,
            since: request.since,
            tail: request.tail,
        };
        self.daemon.container_logs(&container.id, options).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<Exec, EngineError> {
        self.begin_exec(request).await
    }

    async fn read_files(
        &self,
        task: &TaskId,
        container: &ContainerName,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let container = self.own_container(task, container).await?;
        self.daemon.download(&container.id, path).await
    }

    async fn write_files(
        &self,
        task: &TaskId,
        container: &ContainerName,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        let container = self.own_container(task, container).await?;
        self.daemon.upload_stream(&container.id, folder, tar).await
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>, EngineError> {
        let mut own = self.hints.subscribe();
        let mut events = self.daemon.events(&self.names.instance_filter()).await?;
        // The daemon may be another one than before, or the same after it lost what it had.
        self.forget_prepared().await;
        self.open_doors().await?;
        warm::tidy(self).await?;
        self.find_limiter_anew().await;
        let (sender, receiver) = mpsc::channel(HINTS_KEPT);
        let (names, pool, refill, lives) = (
            self.names.clone(),
            Arc::clone(&self.pool),
            Arc::clone(&self.refill),
            Arc::clone(&self.lives),
        );
        tokio::spawn(async move {
            loop {
                let hint = tokio::select! {
                    // In this order, so that a simulation repeats itself. Each of our own hints follows something that we
                    // did, so there are never so many of them that events are not heard.
                    biased;
                    () = sender.closed() => return,
                    hint = own.recv() => match hint {
                        Ok(hint) => hint,
                        Err(broadcast::error::RecvError::Lagged(_)) => Hint::Everything,
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    event = events.next() => {
                        let Some(event) = event else { return };
                        if !is_news(&event) { continue }
                        if names.is_warm(&event.name) && names.is_sandbox(&event.labels) {
                            pool.forget(&event.id);
                            refill.notify_one();
                            continue;
                        }
                        match names.task_of(&event.name, &event.labels) {
                            Some(task) => {
                                lives.told(&task, &event);
                                Hint::Task(task)
                            }
                            None => continue,
                        }
                    }
                };
                if sender.send(hint).await.is_err() {
                    return;
                }
            }
        });
        Ok(ReceiverStream::new(receiver).boxed())
    }

    async fn stats(
        &self,
        task: &TaskId,
        container: &ContainerName,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError> {
        self.figures(task, container, one_shot).await
    }

    async fn measure(
        &self,
        targets: &[Arc<MeasureTarget>],
        look: Look,
    ) -> BTreeMap<TaskId, UseReading> {
        self.read_use(targets, look).await
    }

    async fn clusters(&self) -> Result<BTreeSet<String>, EngineError> {
        let networks = self.own_networks().await?;
        Ok(networks.into_iter().map(|(cluster, _)| cluster).collect())
    }

    async fn remove_clusters(&self, gone: &BTreeSet<String>) -> Result<(), EngineError> {
        self.remove_networks(gone).await
    }

    fn take_pulled_images(&self) -> Vec<PulledImage> {
        self.pulls.take_brought()
    }

    fn warm_sandboxes(&self) -> u32 {
        self.pool.waiting()
    }

    async fn image_ids(&self) -> Result<BTreeSet<String>, EngineError> {
        self.daemon.list_images().await
    }

    async fn image(&self, id: &str) -> Result<Option<EngineImage>, EngineError> {
        self.image_by_id(id).await
    }

    async fn remove_image(&self, image: &EngineImage) -> Result<(), EngineError> {
        self.remove_unused(image).await
    }

    async fn check_host_path(&self, path: &str) -> Result<(), EngineError> {
        self.host_path(path).await.map(drop)
    }

    async fn shut_down(&self) {
        warm::give_back(self).await;
        if let Ok(Some(host)) = self.daemon.host().await {
            host.forget(self.names.instance()).await;
        }
    }
}
