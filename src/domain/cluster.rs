//! Clusters: the name under which tasks are grouped.

use super::{ClusterName, TimestampMs};

/// The cluster that exists from the first start on, and that is meant when none is named.
pub const DEFAULT_CLUSTER: &str = "default";

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Unique.
    pub name: ClusterName,
    /// When it was created.
    pub created_at: TimestampMs,
    /// Tasks that wait or start: PROVISIONING, PENDING and ACTIVATING.
    pub pending_tasks: u64,
    /// Tasks that run.
    pub running_tasks: u64,
    /// Services that are not INACTIVE.
    pub active_services: u64,
    /// What ECS knows of a cluster and Neargate only gives back, by ECS's names: `tags`, `settings` and the like.
    pub kept: serde_json::Map<String, serde_json::Value>,
}
