//! Use cases of clusters.

use super::{Control, ControlError};
use crate::domain::{Cluster, ClusterName, DEFAULT_CLUSTER};
use crate::store::{Page, PageRequest};

impl Control {
    /// Creates a cluster; one that exists already is returned as it is, as ECS does.
    pub async fn create_cluster(&self, name: &ClusterName) -> Result<Cluster, ControlError> {
        Ok(self.store.create_cluster(name, self.clock.now()).await?)
    }

    /// Deletes a cluster without tasks. The one that is meant when none is named always stays.
    pub async fn delete_cluster(&self, name: &ClusterName) -> Result<(), ControlError> {
        self.cluster(name).await?;
        if name.as_str() == DEFAULT_CLUSTER {
            return Err(ControlError::conflict(
                format!("cluster \"{name}\" cannot be deleted: it is meant when none is named"),
                "delete another one: neargate clusters lists them",
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
