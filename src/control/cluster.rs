//! Use cases of clusters.

use super::{Control, ControlError};
use crate::domain::{Cluster, ClusterName};
use crate::store::{Page, PageRequest};

impl Control {
    /// Creates a cluster; one that exists already is returned as it is, as ECS does.
    pub async fn create_cluster(&self, name: &ClusterName) -> Result<Cluster, ControlError> {
        Ok(self.store.create_cluster(name, self.clock.now()).await?)
    }

    /// Deletes a cluster without tasks.
    pub async fn delete_cluster(&self, name: &ClusterName) -> Result<(), ControlError> {
        self.cluster(name).await?;
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
