//! The use cases: one function for each thing that a user can ask for.
//!
//! A use case writes what is wanted, in one transaction with its event, rings the bell and returns. It
//! never waits for the engine and never changes what is: that is the loop's. It speaks domain types; the
//! fronts translate from and to what travels.

mod access_key;
mod autoscale;
mod backup;
mod bill;
mod budget;
mod cluster;
mod error;
mod event;
mod exec;
mod files;
mod forward;
pub(crate) mod kept;
mod log;
mod log_group;
mod metadata;
mod schedule;
mod secret;
mod service;
mod stats;
mod task;
mod task_definition;
mod usage;
mod verify;

use std::sync::Arc;

pub use autoscale::{RegisterTarget, ScalingView, SuspendedChange};
pub use bill::BillQuery;
pub use budget::{BudgetView, PutBudget};
pub use error::{ControlError, Obstacle};
pub use exec::{ExecuteCommand, OpenContainer};
pub use log::{LogQuery, TaskLogLine};
pub use log_group::{
    GroupCursor, GroupPage, GroupQuery, LogCursor, LogEvent, LogPosition, MOST_LOG_EVENTS,
    StreamPage, StreamQuery,
};
pub use metadata::TaskSight;
pub use schedule::{ScheduleRunView, ScheduleView};
pub use service::{
    ConfigurationChange, CreateService, CreateTaskSet, PastDeployment, RevisionView, ServiceView,
    StopType, UpdateService,
};
pub use stats::{ContainerFigures, TaskFigures, Traffic};
pub use task::RunTask;

use tokio::sync::Semaphore;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::domain::{
    ContainerDefinition, Faults, IdSource, NetworkMode, Policy, RuntimeName, TaskDefinition,
    TimestampMs, Volume, host_paths,
};
use crate::engine::{Engine, EngineError, EngineState, EngineStatus, no_such_runtime};
use crate::meter::sheet::PriceBook;
use crate::store::{Store, StoreError};

/// How often a change is tried again when somebody else was quicker.
const ATTEMPTS: u32 = 20;

/// Attempts to read, change and record something. The loop and other calls do the same at the same time: whoever records
/// what has changed since it was read begins again, so that no change is lost.
#[derive(Default)]
struct Attempts(u32);

impl Attempts {
    /// Whether a change was `recorded`; otherwise it is to be made again. Fails once that was often enough.
    fn landed(&mut self, recorded: Result<(), StoreError>) -> Result<bool, ControlError> {
        self.0 += 1;
        match recorded {
            Ok(()) => Ok(true),
            Err(StoreError::Stale) if self.0 < ATTEMPTS => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How many tasks one call may ask for.
pub const MAX_COUNT: u32 = 100;

/// The use cases, and what they work with. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Control {
    store: Store,
    /// Only for reading logs and figures, and for what people do inside of a container; tasks are the loop's.
    engine: Arc<dyn Engine>,
    engine_status: EngineStatus,
    bell: Bell,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    policy: Policy,
    /// What things cost.
    prices: Arc<PriceBook>,
    /// One permit for each container that the engine is asked about.
    figures: Arc<Semaphore>,
}

impl Control {
    /// The use cases over these parts.
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        engine_status: EngineStatus,
        bell: Bell,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            store,
            engine,
            engine_status,
            bell,
            clock,
            ids,
            policy: Policy::default(),
            prices: Arc::default(),
            figures: Arc::new(Semaphore::new(stats::FIGURES_AT_ONCE)),
        }
    }

    /// The same use cases, where the operator allows more.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The same use cases, with the operator's prices.
    #[must_use]
    pub fn with_prices(self, prices: Arc<PriceBook>) -> Self {
        Self { prices, ..self }
    }

    /// Whether the operator lets tasks of such a definition have what they ask for.
    fn check_policy(
        &self,
        network_mode: NetworkMode,
        volumes: &[Volume],
        containers: &[ContainerDefinition],
    ) -> Result<(), ControlError> {
        let faults = self.policy.faults(network_mode, volumes, containers);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ControlError::Invalid(faults))
        }
    }

    /// Whether tasks of a definition may have what they ask for, folders of the host among it.
    async fn check_definition(&self, definition: &TaskDefinition) -> Result<(), ControlError> {
        self.check_policy(
            definition.network_mode,
            &definition.volumes,
            &definition.containers,
        )?;
        self.check_host_paths(&definition.volumes).await
    }

    /// Whether tasks may have the folders of the host that `volumes` name. Only an engine that answers is asked;
    /// it looks again when it creates the containers.
    async fn check_host_paths(&self, volumes: &[Volume]) -> Result<(), ControlError> {
        if !matches!(self.engine_status.get().0, EngineState::Ok(_)) {
            return Ok(());
        }
        for (index, path) in host_paths(volumes) {
            if let Err(EngineError::Refused(why)) = self.engine.check_host_path(path).await {
                let mut faults = Faults::default();
                faults.add(format!("volumes[{index}].host.sourcePath"), why);
                return Err(ControlError::Invalid(faults));
            }
        }
        Ok(())
    }

    /// Whether the engine has the runtime that `path` names. Nothing is said while nobody knows which it has.
    fn check_runtime(&self, runtime: Option<&RuntimeName>, path: &str) -> Result<(), ControlError> {
        let (EngineState::Ok(engine), Some(runtime)) = (self.engine_status.get().0, runtime) else {
            return Ok(());
        };
        if engine.runtimes.contains(runtime.as_str()) {
            return Ok(());
        }
        Err(ControlError::invalid(
            path,
            format!(
                "is `{runtime}`: {}",
                no_such_runtime(runtime, &engine.runtimes)
            ),
            "name one of these, or leave it out; new ones are made known to Docker in its daemon.json",
        ))
    }

    /// Now, by the clock that everything else goes by.
    pub fn now(&self) -> TimestampMs {
        self.clock.now()
    }

    /// Whether the engine answers, and since when that is so.
    pub fn engine_status(&self) -> (EngineState, TimestampMs) {
        self.engine_status.get()
    }

    /// Which Neargate this is: the label on all of its objects.
    pub fn instance_id(&self) -> &crate::domain::InstanceId {
        self.store.instance_id()
    }

    /// Whether the store can be read, and takes what is to be written.
    pub async fn check_store(&self) -> Result<(), ControlError> {
        self.store.cluster(&default_cluster()).await?;
        self.store.check_writer()?;
        Ok(())
    }

    /// How many tasks wait for a look of the loop.
    pub fn queue_length(&self) -> usize {
        self.bell.waiting()
    }
}

/// The cluster that is meant when none is named.
pub(crate) fn default_cluster() -> crate::domain::ClusterName {
    #[expect(
        clippy::expect_used,
        reason = "the constant is a valid name, which a test proves"
    )]
    crate::domain::DEFAULT_CLUSTER
        .parse()
        .expect("`default` is a name")
}
