//! What containers are told about themselves: where their metadata endpoint is, and what they use.
//!
//! The endpoint itself is not here ([`MetadataDoor`] is what this adapter knows of it). It can only be
//! reached where the bridge of a cluster is an interface of this very machine, so that is looked at first,
//! and a container gets no address that would not answer.

use super::DockerEngine;
use super::daemon::NetworkInspect;
use crate::domain::{ContainerDefinition, ContainerName, TaskId};
use crate::engine::{EngineError, MetadataDoor, Order};

/// Where a container asks for what is known of it, as on ECS.
const ADDRESS: &str = "ECS_CONTAINER_METADATA_URI_V4";
/// Tells the AWS SDKs and other detectors where they are. ECS on Fargate sets it, too.
const EXECUTION: (&str, &str) = ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE");

impl DockerEngine {
    /// Where containers can ask, from now on. At most once, before the engine is used.
    pub fn set_metadata_door(&self, door: std::sync::Arc<dyn MetadataDoor>) {
        if self.door.set(door).is_err() {
            tracing::error!("a second metadata endpoint is left out");
        }
    }

    /// The variables that a container gets beside its own, which come before these: none where nobody
    /// would answer.
    pub(super) async fn own_environment(
        &self,
        order: &Order,
        definition: &ContainerDefinition,
    ) -> Result<Vec<String>, EngineError> {
        let Some(door) = self.door.get() else {
            return Ok(Vec::new());
        };
        if !order.spec.network_mode.is_bridged() {
            return Ok(Vec::new());
        }
        let network = self.network(&order.cluster).await?;
        let Some(gateway) = network.gateway else {
            return Ok(Vec::new());
        };
        if !door.open(&network.interface(), gateway).await {
            return Ok(Vec::new());
        }
        let address = door.address(gateway, &order.task_id, &definition.name);
        let given = |name: &str| definition.environment.iter().any(|(own, _)| own == name);
        Ok([(ADDRESS, address.as_str()), EXECUTION]
            .into_iter()
            .filter(|(name, _)| !given(name))
            .map(|(name, value)| format!("{name}={value}"))
            .collect())
    }

    /// Answers on every network that is there: its containers were told to ask on it by an earlier process.
    pub(super) async fn open_doors(&self) -> Result<(), EngineError> {
        let Some(door) = self.door.get() else {
            return Ok(());
        };
        for (_, network) in self.own_networks().await? {
            if let Some(gateway) = network.gateway {
                door.open(&network.interface(), gateway).await;
            }
        }
        Ok(())
    }

    /// Nobody is left to ask on a network that is gone.
    pub(super) async fn close_door(&self, network: &NetworkInspect) {
        if let (Some(door), Some(gateway)) = (self.door.get(), network.gateway) {
            door.close(gateway).await;
        }
    }

    /// What a container uses. Docker counts the traffic for the owner of a network namespace alone, and
    /// says nothing of it for containers that have joined it; as on ECS, those get the owner's figures.
    pub(super) async fn figures(
        &self,
        task: &TaskId,
        container: &ContainerName,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError> {
        let found = self.own_container(task, container).await?;
        let Some(owner) = found.network_mode.strip_prefix("container:") else {
            return self.daemon.container_stats(&found.id, one_shot).await;
        };
        let (own, shared) = tokio::join!(
            self.daemon.container_stats(&found.id, one_shot),
            self.daemon.container_stats(owner, true)
        );
        let mut own = own?;
        // The sandbox may be gone by now, and then nothing is known of the traffic.
        if let Some(traffic) = shared
            .ok()
            .and_then(|mut all| all.get_mut("networks").map(std::mem::take))
            && let Some(figures) = own.as_object_mut()
        {
            figures.insert("networks".to_owned(), traffic);
        }
        Ok(own)
    }
}
