//! What decides whether tasks may begin, read at once: it is asked for with every task, so it is one query, whose answer is
//! nearly always that nothing is in the way.

use super::column::to_unsigned;
use super::{Store, StoreError};
use crate::domain::{Capacity, ClusterName, TimestampMs};

/// What was in the way of tasks of one cluster at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The cluster's container instance takes no tasks.
    pub is_draining: bool,
    /// Budgets keep tasks from beginning, of this cluster or others: [`Store::budgets_that_stop`] tells which.
    pub is_any_held: bool,
    /// What all tasks reserve.
    pub reserved: Capacity,
}

impl Store {
    /// What is in the way of tasks of `cluster` now. Nothing is said of whether it exists.
    pub async fn admission(
        &self,
        cluster: &ClusterName,
        now: TimestampMs,
    ) -> Result<Admission, StoreError> {
        let (cluster, now) = (cluster.as_str(), now.as_millis());
        let row = sqlx::query!(
            r#"SELECT (SELECT json_extract(kept, '$.containerInstance.status')
                         FROM clusters WHERE name = ?1 AND deleted_at IS NULL) AS "status: String",
                      EXISTS (SELECT 1 FROM budgets INDEXED BY budgets_that_stop
                               WHERE stops_until IS NOT NULL AND stops_until > ?2) AS "is_any_held!: bool",
                      cpu_units, memory_mib
                 FROM reserved"#,
            cluster,
            now
        )
        .fetch_one(self.readers())
        .await?;
        Ok(Admission {
            is_draining: row.status.as_deref() == Some("DRAINING"),
            is_any_held: row.is_any_held,
            reserved: Capacity {
                cpu_units: to_unsigned("reserved.cpuUnits", row.cpu_units)?,
                memory_mib: to_unsigned("reserved.memoryMib", row.memory_mib)?,
            },
        })
    }
}
