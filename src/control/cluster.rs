//! Use cases of clusters.

use serde_json::{Map, Value};

use super::{Control, ControlError};
use crate::domain::{Cluster, ClusterName, DEFAULT_CLUSTER};
use crate::store::{Page, PageRequest};

impl Control {
    /// Creates a cluster; one that exists already is returned as it is, as ECS does.
    pub async fn create_cluster(&self, name: &ClusterName) -> Result<Cluster, ControlError> {
        Ok(self.store.create_cluster(name, self.clock.now()).await?)
    }

    /// The same, with what is to be given back of it: tags, settings and the like, by ECS's names.
    pub async fn create_cluster_with(
        &self,
        name: &ClusterName,
        kept: &Map<String, Value>,
    ) -> Result<Cluster, ControlError> {
        let now = self.clock.now();
        Ok(self.store.create_cluster_with(name, kept, now).await?)
    }

    /// Replaces parts of what is to be given back of a cluster.
    pub async fn keep_of_cluster(
        &self,
        name: &ClusterName,
        parts: &Map<String, Value>,
    ) -> Result<Cluster, ControlError> {
        self.cluster(name).await?;
        Ok(self.store.keep_of_cluster(name, parts).await?)
    }

    /// Deletes a cluster without tasks and services. The one that is meant when none is named always stays.
    pub async fn delete_cluster(&self, name: &ClusterName) -> Result<(), ControlError> {
        let services = self.cluster(name).await?.active_services;
        if name.as_str() == DEFAULT_CLUSTER {
            return Err(ControlError::conflict(
                format!("cluster \"{name}\" cannot be deleted: it is meant when none is named"),
                "delete another one: neargate clusters lists them",
            ));
        }
        if services > 0 {
            return Err(ControlError::conflict(
                format!(
                    "cluster \"{name}\" still has {services} service{}",
                    if services == 1 { "" } else { "s" }
                ),
                format!(
                    "delete them first: neargate service ls --cluster {name} lists them, neargate service delete NAME"
                ),
            ));
        }
        self.store.delete_cluster(name, self.clock.now()).await?;
        Ok(())
    }

    /// One cluster.
    pub async fn cluster(&self, name: &ClusterName) -> Result<Cluster, ControlError> {
        self.store.cluster(name).await?.ok_or_else(|| {
            ControlError::not_found(
                format!("cluster \"{name}\""),
                "neargate clusters lists those that do; neargate clusters create NAME makes one",
            )
        })
    }

    /// All clusters, by name.
    pub async fn clusters(&self, page: PageRequest) -> Result<Page<Cluster>, ControlError> {
        Ok(self.store.clusters(&page).await?)
    }
}
