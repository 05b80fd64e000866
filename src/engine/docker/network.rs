//! The network of each cluster: made when it is first needed, with addresses of its own from the operator's
//! pool, and removed when the cluster is gone.
//!
//! Docker keeps bridges apart, so tasks of one cluster reach each other and those of another do not. The
//! daemon is the only record of who has which addresses: a network that exists keeps them, and a new one
//! takes the first block of the pool that neither a network of the daemon nor a route of the host has.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError};

use super::DockerEngine;
use super::daemon::{NetworkInspect, NetworkSpec};
use super::warm;
use crate::domain::{DEFAULT_CLUSTER, Subnet};
use crate::engine::EngineError;
use crate::plan::network::free_subnets;

/// Blocks that are tried when the daemon refuses one that looked free: it may know of more than it lists.
const MOST_TRIES: usize = 8;

/// Clusters that warm sandboxes are kept for: those in which a task was last started.
const WARM_CLUSTERS: usize = 4;

/// The clusters in which tasks were started last, the newest first.
pub(super) struct Recent(VecDeque<String>);

impl Default for Recent {
    fn default() -> Self {
        Self(VecDeque::from([DEFAULT_CLUSTER.to_owned()]))
    }
}

impl Recent {
    fn touch(&mut self, cluster: &str) {
        self.forget(cluster);
        self.0.push_front(cluster.to_owned());
        self.0.truncate(WARM_CLUSTERS);
    }

    fn forget(&mut self, cluster: &str) {
        self.0.retain(|other| other != cluster);
    }
}

impl DockerEngine {
    /// The network of `cluster`, made if it is not there.
    pub(super) async fn network(&self, cluster: &str) -> Result<Arc<NetworkInspect>, EngineError> {
        let mut networks = self.networks.lock().await;
        if let Some(network) = networks.get(cluster) {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(self.make_cluster_network(cluster).await?);
        networks.insert(cluster.to_owned(), Arc::clone(&network));
        Ok(network)
    }

    async fn make_cluster_network(&self, cluster: &str) -> Result<NetworkInspect, EngineError> {
        let name = self.names.network(cluster);
        let all = self.daemon.list_networks().await?;
        if let Some(found) = all.iter().find(|network| network.name == name) {
            return if self.names.owns(&found.labels) {
                Ok(found.clone())
            } else {
                Err(EngineError::NameTaken(format!(
                    "the name {name} is taken by a network that is not Neargate's; remove that one: \
                     docker network rm {name}"
                )))
            };
        }
        let pool = self.settings.address_pool;
        let mut taken: Vec<Subnet> = all.iter().filter_map(|network| network.subnet).collect();
        taken.extend(self.daemon.routes());
        let mut refused = None;
        for subnet in free_subnets(pool, &taken).take(MOST_TRIES) {
            let spec = NetworkSpec {
                name: name.clone(),
                labels: self.names.network_labels(cluster),
                subnet: Some(subnet),
            };
            match self.daemon.ensure_network(&spec).await {
                Err(EngineError::Refused(why)) => refused = Some(why),
                made => return made,
            }
        }
        let why = refused.map(|why| format!(" ({why})")).unwrap_or_default();
        // Not for ever: a cluster may be deleted, and its addresses come back.
        Err(EngineError::Failed(format!(
            "the address pool {pool} has no block left for the network of cluster {cluster}{why}; hint: \
             delete clusters that are not needed, or set another address_pool in the configuration"
        )))
    }

    /// Somebody may have removed a network: each is looked for again before its next use.
    pub(super) async fn forget_networks(&self) {
        self.networks.lock().await.clear();
    }

    /// Notes that a task is started in `cluster`: warm sandboxes are kept for it.
    pub(super) fn touch(&self, cluster: &str) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.touch(cluster);
    }

    /// The clusters that warm sandboxes are kept for.
    pub(super) fn warm_clusters(&self) -> Vec<String> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.0.iter().cloned().collect()
    }

    /// The networks that are ours, each with its cluster.
    pub(super) async fn own_networks(&self) -> Result<Vec<(String, NetworkInspect)>, EngineError> {
        let all = self.daemon.list_networks().await?;
        Ok(all
            .into_iter()
            .filter_map(|network| {
                let cluster = self.names.cluster_of(&network.labels)?.to_owned();
                Some((cluster, network))
            })
            .collect())
    }

    /// Removes the networks of `clusters`; one that a task is on stays.
    pub(super) async fn remove_networks(
        &self,
        clusters: &BTreeSet<String>,
    ) -> Result<(), EngineError> {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            for cluster in clusters {
                recent.forget(cluster);
            }
        }
        warm::tidy(self).await?;
        for cluster in clusters {
            let mut networks = self.networks.lock().await;
            let name = self.names.network(cluster);
            match self.daemon.remove_network(&name).await {
                Ok(()) => {}
                Err(error @ (EngineError::Refused(_) | EngineError::Failed(_))) => {
                    tracing::debug!(%error, name, "a network stays");
                    continue;
                }
                Err(error) => return Err(error),
            }
            if let Some(network) = networks.remove(cluster) {
                self.close_door(&network).await;
            }
        }
        Ok(())
    }
}
