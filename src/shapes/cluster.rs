//! Clusters.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// A cluster: the name under which tasks are grouped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Unique.
    pub cluster_name: String,
    /// `ACTIVE`; a cluster that is deleted is gone.
    pub status: String,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Tasks on their way to RUNNING.
    pub pending_tasks_count: u64,
    /// Tasks that run.
    pub running_tasks_count: u64,
}

impl From<&domain::Cluster> for Cluster {
    fn from(cluster: &domain::Cluster) -> Self {
        Self {
            cluster_name: cluster.name.to_string(),
            status: "ACTIVE".to_owned(),
            created_at: cluster.created_at.to_string(),
            pending_tasks_count: cluster.pending_tasks,
            running_tasks_count: cluster.running_tasks,
        }
    }
}

/// Asks for a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateClusterRequest {
    /// Up to 255 letters, digits, hyphens and underscores.
    #[serde(default)]
    #[schema(required = true)]
    pub cluster_name: String,
}
