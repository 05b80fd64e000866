//! The composition root: builds the server from its parts, runs it, and takes it down in the right order. What works on
//! the data folder while no server runs is here as well (`restore`), and what looks at the machine without one (`doctor`).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, ApiLimits, ApiState, ApiToken, Auth, Hosts, metadata};
use crate::bell::Bell;
use crate::cli::{self, ServeArgs};
use crate::clock::{Clock, RandomIds, SystemClock};
use crate::config::{ConfigFile, EngineKind, ImagePullBehavior};
use crate::console;
use crate::control::Control;
use crate::domain::{
    self, AccountId, DurationMs, IdSource, Policy, Region, SecretName, SecretReference,
    SecretValue, TimestampMs, is_capability,
};
use crate::engine::docker::client::DockerClient;
use crate::engine::docker::daemon::Daemon;
use crate::engine::docker::{DockerEngine, HostPaths, PullBehavior, Settings};
use crate::engine::sim::{SimClock, SimConfig, SimDaemon};
use crate::engine::{Engine, EngineError, EngineStatus, Secrets};
use crate::meter::sheet::{PriceBook, SheetText};
use crate::reconcile::{Limits, Parts, Reconciler};
use crate::store::{KeptLogs, Store, StoreError};
use crate::telemetry;

mod doctor;
mod restore;

pub use doctor::examine;
pub use restore::restore;

/// `neargate serve`: returns when the server was told to stop and has stopped.
pub fn start(args: ServeArgs) -> LocalBoxFuture<'static, Result<()>> {
    serve(args).boxed_local()
}

/// Everything that the operator has chosen: flag before environment before file before default.
struct Choices {
    listen: SocketAddr,
    data_dir: PathBuf,
    engine: EngineKind,
    docker_host: Option<String>,
    token: Option<ApiToken>,
    allowed_hosts: Vec<String>,
    region: Option<Region>,
    account: Option<AccountId>,
    settings: Settings,
    limits: Limits,
    policy: Policy,
    cpu_overcommit: u32,
    metadata_port: u16,
    price_sheet: Option<String>,
}

/// Where tasks ask about themselves: the port after the API's.
const METADATA_PORT: u16 = 6328;

impl Choices {
    /// What is to be so before anything is begun: nobody reaches the server who must not, and names are of the right region.
    fn take_effect(&self) -> Result<()> {
        api::check_listen(self.listen, self.token.as_ref())
            .map_err(|refused| anyhow!("{refused}\nhint: {}", refused.hint()))?;
        if !domain::settle(self.region.clone(), self.account.clone()) {
            tracing::warn!("a server of this process was there first: region and account stay");
        }
        Ok(())
    }

    fn of(args: &ServeArgs) -> Result<Self> {
        let file = args
            .config
            .as_deref()
            .map(ConfigFile::read)
            .transpose()?
            .unwrap_or_default();
        let data_dir = args
            .data_dir
            .clone()
            .or(file.data_dir)
            .or_else(cli::default_data_dir);
        let token = args
            .token(file.token_file.as_deref())?
            .map(|token| ApiToken::new(token.expose()))
            .transpose()
            .map_err(|weak| anyhow!("{weak}\nhint: {}", weak.hint()))?;
        let (settings, limits) = (Settings::default(), Limits::default());
        let host_paths = HostPaths {
            allowed: allowed_host_paths(file.allowed_host_paths)?,
            forbidden: data_dir.iter().map(|folder| absolute(folder)).collect(),
        };
        let has_host_paths = !host_paths.allowed.is_empty();
        Ok(Self {
            listen: args.listen.or(file.listen).unwrap_or(cli::DEFAULT_LISTEN),
            data_dir: data_dir.ok_or_else(|| {
                anyhow!("there is no home folder to keep data in\nhint: name one with --data-dir")
            })?,
            engine: args.engine.or(file.engine).unwrap_or_default(),
            docker_host: args.docker_host.clone().or(file.docker_host),
            token,
            allowed_hosts: file.allowed_hosts,
            region: args.region.clone().or(file.region),
            account: args.account.clone().or(file.account),
            settings: Settings {
                warm_sandboxes: args
                    .warm_sandboxes
                    .or(file.warm_sandboxes)
                    .unwrap_or(settings.warm_sandboxes),
                starts_at_once: file.starts_at_once.unwrap_or(settings.starts_at_once),
                publish_ip: file
                    .publish_ip
                    .map_or(settings.publish_ip, |ip| ip.to_string()),
                log_max_bytes: file.kept_log_bytes.unwrap_or(settings.log_max_bytes),
                pull_behavior: file
                    .image_pull_behavior
                    .map_or(settings.pull_behavior, pull_behavior),
                pull_inactivity_timeout: file
                    .image_pull_inactivity_timeout_s
                    .map_or(settings.pull_inactivity_timeout, Duration::from_secs),
                registry_logins: registry_logins(file.registry_logins)?,
                address_pool: file.address_pool.unwrap_or(settings.address_pool),
                host_paths,
                cluster_runtimes: file
                    .cluster_runtimes
                    .into_iter()
                    .map(|(cluster, runtime)| (cluster.to_string(), runtime))
                    .collect(),
            },
            policy: Policy {
                host_network: file.allow_host_network.unwrap_or_default(),
                host_paths: has_host_paths,
                privileged: file.allow_privileged.unwrap_or_default(),
                capabilities: capabilities(file.allowed_capabilities)?,
            },
            cpu_overcommit: overcommit(file.cpu_overcommit)?,
            metadata_port: file.metadata_port.unwrap_or(METADATA_PORT),
            price_sheet: file.price_sheet,
            limits: Limits {
                kept_log_bytes: file.kept_log_bytes.unwrap_or(limits.kept_log_bytes),
                kept_logs: kept_logs(file.kept_logs_max_age_days, file.kept_logs_max_bytes),
                scale_every: scaling_period(file.autoscaling_period_s)?
                    .unwrap_or(limits.scale_every),
                unused_images_stay: file.image_cleanup_unused_hours.map(hours),
                usage_stays: usage_stays(file.usage_retention_days)?,
                ..limits
            },
        })
    }
}

/// Both bounds of the kept logs; 0 takes one away.
fn kept_logs(days: Option<u32>, bytes: Option<u64>) -> KeptLogs {
    let defaults = KeptLogs::default();
    let age = |days: u32| Duration::from_hours(24) * days;
    KeptLogs {
        max_age: days.map_or(defaults.max_age, |days| (days > 0).then(|| age(days))),
        max_bytes: bytes.map_or(defaults.max_bytes, |bytes| (bytes > 0).then_some(bytes)),
    }
}

/// More than anybody waits for is as much as can be told apart.
fn hours(hours: u32) -> DurationMs {
    DurationMs::from_secs(hours.saturating_mul(3_600))
}

/// A bill of this month, by task, must not be out of reach.
const LEAST_USAGE_DAYS: u32 = 32;
/// A hundred years.
const MOST_USAGE_DAYS: u32 = 36_500;

fn usage_stays(days: Option<u32>) -> Result<Option<DurationMs>> {
    match days {
        None | Some(0) => Ok(None),
        Some(days @ LEAST_USAGE_DAYS..=MOST_USAGE_DAYS) => Ok(Some(DurationMs::from_days(days))),
        Some(other) => Err(anyhow!(
            "usage_retention_days is {other}, and must be from {LEAST_USAGE_DAYS} to {MOST_USAGE_DAYS}\nhint: 0 keeps \
             the usage of each task for ever"
        )),
    }
}

/// Few tasks use the CPU that they reserve all the time.
const CPU_OVERCOMMIT: u32 = 4;

fn capabilities(names: BTreeSet<String>) -> Result<BTreeSet<String>> {
    match names.iter().find(|name| !is_capability(name)) {
        None => Ok(names),
        Some(name) => Err(anyhow!(
            "allowed_capabilities has {name:?}, which is not a capability\nhint: write it in capitals and without \
             CAP_, as NET_ADMIN or ALL"
        )),
    }
}

fn overcommit(times: Option<u32>) -> Result<u32> {
    match times.unwrap_or(CPU_OVERCOMMIT) {
        times @ 1..=1_000 => Ok(times),
        other => Err(anyhow!(
            "cpu_overcommit is {other}, and must be from 1 to 1000\nhint: 1 reserves each processor once"
        )),
    }
}

fn scaling_period(seconds: Option<u32>) -> Result<Option<Duration>> {
    match seconds {
        Some(0) => Err(anyhow!(
            "autoscaling_period_s is 0\nhint: 1 is the shortest period; nothing is looked at that nobody has scaled"
        )),
        seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
    }
}

fn allowed_host_paths(folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    for folder in &folders {
        if !folder.is_absolute() || folder.parent().is_none() {
            return Err(anyhow!(
                "allowed_host_paths has {}, which is not a folder that tasks may have\nhint: write absolute paths \
                 such as /srv/data, and not /, which is everything",
                folder.display()
            ));
        }
    }
    Ok(folders)
}

/// The engine's paths have nothing to do with this process's working directory.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

fn pull_behavior(behavior: ImagePullBehavior) -> PullBehavior {
    match behavior {
        ImagePullBehavior::Default => PullBehavior::Default,
        ImagePullBehavior::Always => PullBehavior::Always,
        ImagePullBehavior::Once => PullBehavior::Once,
        ImagePullBehavior::PreferCached => PullBehavior::PreferCached,
    }
}

fn registry_logins(written: BTreeMap<String, String>) -> Result<BTreeMap<String, SecretReference>> {
    let read = |(registry, secret): (String, String)| match SecretReference::parse(&secret) {
        Ok(reference) => Ok((registry, reference)),
        Err(error) => Err(anyhow!(
            "the configuration names no secret for the registry {registry}\nhint: {}",
            error.rule
        )),
    };
    written.into_iter().map(read).collect()
}

async fn serve(args: ServeArgs) -> Result<()> {
    telemetry::init(args.log_format.unwrap_or_default());
    let choices = Choices::of(&args)?;
    choices.take_effect()?;
    let prices = Arc::new(prices(&choices)?);

    // Signals are listened for first, so that one that comes during the start is not lost.
    let told_to_stop = told_to_stop()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let store = Store::open(&choices.data_dir, ids.as_ref(), clock.now())
        .await
        .map_err(|error| cannot_open(error, &choices))?;
    let listener = TcpListener::bind(choices.listen).await.with_context(|| {
        format!(
            "cannot listen on {}\nhint: choose another address with --listen",
            choices.listen
        )
    })?;
    let address = listener.local_addr()?;

    let engine = build_engine(&choices, &store, &clock, &ids)?;
    let engine_status = EngineStatus::new(clock.now()).with_cpu_overcommit(choices.cpu_overcommit);
    let bell = Bell::default();
    let stop = CancellationToken::new();
    let reconciler = Reconciler::new(Parts {
        store: store.clone(),
        engine: Arc::clone(&engine) as Arc<dyn Engine>,
        engine_status: engine_status.clone(),
        bell: bell.clone(),
        ids: Arc::clone(&ids),
        clock: Arc::clone(&clock),
        policy: choices.policy.clone(),
        prices: Arc::clone(&prices),
        limits: choices.limits,
    });
    let started_at = clock.now();
    let control = Control::new(
        store.clone(),
        Arc::clone(&engine) as Arc<dyn Engine>,
        engine_status.clone(),
        bell,
        clock,
        Arc::clone(&ids),
    )
    .with_policy(choices.policy)
    .with_prices(prices);
    if choices.engine == EngineKind::Docker {
        engine.set_metadata_door(Arc::new(metadata::Door::new(
            control.clone(),
            metadata::Key::keep(&choices.data_dir, ids.as_ref())?,
            choices.metadata_port,
            engine_status,
            stop.clone(),
        )));
    }
    let limits = ApiLimits::default();
    let sessions = TaskTracker::new();
    let pages = console::pages(control.clone(), choices.token.clone(), &ids);
    let state = ApiState {
        control,
        auth: Auth {
            token: choices.token,
            hosts: Hosts::new(address.ip(), choices.allowed_hosts),
        },
        limits,
        ids,
        engine_kind: choices.engine.as_str().to_owned(),
        started_at,
        stop: stop.clone(),
        sessions: sessions.clone(),
    };
    let router = api::router(state, Some(pages));

    let loop_stop = CancellationToken::new();
    let mut reconciling = tokio::spawn(reconciler.run(loop_stop.clone()));
    let answering = tokio::spawn(api::serve(listener, router, limits, stop.clone()));
    tracing::info!(data_dir = %choices.data_dir.display(), "listening on http://{address}");

    tokio::select! {
        () = told_to_stop => {}
        ended = &mut reconciling => {
            store.close().await;
            bail!("the loop has ended by itself ({ended:?}); tasks go on, and the next start goes on with them");
        }
    }
    tracing::info!("stopping; tasks go on");
    // Whoever has been accepted gets an answer, then the loop finishes its rounds, then the store closes.
    stop.cancel();
    answering.await?;
    sessions.close();
    if tokio::time::timeout(limits.drain_time, sessions.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            sessions = sessions.len(),
            "sessions that did not end in time are cut off"
        );
    }
    loop_stop.cancel();
    reconciling.await?;
    store.close().await;
    Ok(())
}

/// The price sheets that come with Neargate, and those in the data folder.
fn prices(choices: &Choices) -> Result<PriceBook> {
    let folder = choices.data_dir.join("prices");
    let own = sheet_texts(&folder).with_context(|| {
        format!(
            "the price sheets in {} cannot be read\nhint: make sure that Neargate may read the folder and its files",
            folder.display()
        )
    })?;
    PriceBook::new(&own, choices.price_sheet.as_deref())
        .map_err(|error| anyhow!("{error}\nhint: {}", error.hint))
}

/// The files in `folder` whose names end in `.toml`, in the order of their names; none if there is no such folder.
fn sheet_texts(folder: &Path) -> std::io::Result<Vec<SheetText>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default();
        texts.push(SheetText {
            file: path.display().to_string(),
            name: name.to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path)?,
        });
    }
    texts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(texts)
}

/// Ends at the first SIGTERM or SIGINT.
fn told_to_stop() -> Result<Pin<Box<dyn Future<Output = ()> + Send>>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    .boxed())
}

fn cannot_open(error: StoreError, choices: &Choices) -> anyhow::Error {
    let folder = choices.data_dir.display();
    let hint = match &error {
        StoreError::Locked { .. } => {
            "stop that one, or name another folder with --data-dir".to_owned()
        }
        StoreError::NewerDatabase { .. } => {
            format!("run the newer Neargate again, or name another folder than {folder}")
        }
        StoreError::Damaged(_) => {
            format!(
                "put a backup in its place: neargate restore FILE --force --data-dir {folder}; the database that is \
                 there now is kept beside it, and nothing was changed in it"
            )
        }
        _ => format!(
            "make sure that {folder} can be written, or name another folder with --data-dir"
        ),
    };
    anyhow::Error::new(error).context(format!(
        "the data folder {folder} cannot be used\nhint: {hint}"
    ))
}

fn build_engine(
    choices: &Choices,
    store: &Store,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdSource>,
) -> Result<Arc<DockerEngine>> {
    let daemon: Arc<dyn Daemon> = match choices.engine {
        EngineKind::Docker => Arc::new(DockerClient::connect(choices.docker_host.as_deref())?),
        EngineKind::Sim => {
            let mut config = SimConfig::default();
            // Nothing really runs on it, so it has room for all that anybody wants to try.
            (config.info.cpus, config.info.memory_bytes) = (4_096, 64 << 40);
            // And nobody here asks what it was asked.
            config.calls_kept = 0;
            let daemon = SimDaemon::new(config, Arc::new(SimTime(Arc::clone(clock))));
            tokio::spawn(daemon.drive());
            Arc::new(daemon)
        }
    };
    let kind = choices.engine.as_str();
    Ok(DockerEngine::new(
        kind,
        daemon,
        store.instance_id().clone(),
        Arc::clone(ids),
        choices.settings.clone(),
        Arc::new(StoredSecrets(store.clone())),
    ))
}

/// The engine gets the values of secrets from the store, of which it knows nothing else.
struct StoredSecrets(Store);

#[async_trait]
impl Secrets for StoredSecrets {
    async fn secret(&self, name: &SecretName) -> Result<Option<SecretValue>, EngineError> {
        self.0.secret_value(name).await.map_err(|error| {
            let text =
                format!("unable to pull secrets or registry auth: secret \"{name}\": {error}");
            if error.retryable() {
                EngineError::Failed(text)
            } else {
                EngineError::Refused(text)
            }
        })
    }
}

/// The simulated daemon lives by the host's clock.
struct SimTime(Arc<dyn Clock>);

impl SimClock for SimTime {
    fn now(&self) -> TimestampMs {
        self.0.now()
    }

    fn sleep_until(&self, at: TimestampMs) -> BoxFuture<'static, ()> {
        tokio::time::sleep(at.since(self.0.now()).to_std()).boxed()
    }
}
