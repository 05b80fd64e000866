//! The use cases: one function for each thing that a user can ask for.
//!
//! A use case writes what is wanted, in one transaction with its event, rings the bell and returns. It
//! never waits for the engine and never changes what is: that is the loop's. It speaks domain types; the
//! fronts translate from and to what travels.

mod cluster;
mod error;
mod event;
mod exec;
mod files;
mod forward;
mod log;
mod metadata;
mod secret;
mod service;
mod stats;
mod task;
mod task_definition;
mod usage;

use std::sync::Arc;

pub use error::ControlError;
pub use exec::{ExecuteCommand, OpenContainer};
pub use log::{LogQuery, TaskLogLine};
pub use metadata::TaskSight;
pub use service::{ConfigurationChange, CreateService, ServiceView, UpdateService};
pub use stats::{ContainerFigures, TaskFigures, Traffic};
pub use task::RunTask;

use tokio::sync::Semaphore;

use crate::bell::Bell;
use crate::clock::Clock;
use crate::domain::{IdSource, NetworkMode, TimestampMs};
use crate::engine::{Engine, EngineState, EngineStatus};
use crate::store::Store;

/// How many tasks one call may ask for.
pub const MAX_COUNT: u32 = 100;

/// What the operator allows that is refused otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Tasks may use the host's own network.
    pub host_network: bool,
}

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
            figures: Arc::new(Semaphore::new(stats::FIGURES_AT_ONCE)),
        }
    }

    /// The same use cases, where the operator allows more.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Whether the operator lets a task be connected in that way.
    fn check_network_mode(&self, mode: NetworkMode) -> Result<(), ControlError> {
        if mode == NetworkMode::Host && !self.policy.host_network {
            return Err(ControlError::invalid(
                "networkMode",
                "`host` is not allowed here: the task would share the network of the host and everything \
                 that listens on it",
                "use awsvpc or bridge, or set allow_host_network = true in the server's configuration",
            ));
        }
        Ok(())
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

    /// Whether the store can be read.
    pub async fn check_store(&self) -> Result<(), ControlError> {
        self.store.cluster(&default_cluster()).await?;
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
