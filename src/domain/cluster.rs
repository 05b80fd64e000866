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
}
