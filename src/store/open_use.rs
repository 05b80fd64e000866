//! What the tasks that go on hold of the host, by cluster: what they reserve, and what they were measured to use.

use std::collections::BTreeMap;

use super::{Store, StoreError};
use crate::domain::{Capacity, ClusterName};

/// What tasks that go on hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenUse {
    /// What they reserve.
    pub reserved: Capacity,
    /// What they used on average, each since it began; of tasks that were measured.
    pub used: Capacity,
}

/// Nanoseconds of CPU time in a millisecond, of one vCPU.
const NS_PER_VCPU_MS: u64 = 1_000_000;

impl Store {
    /// What the tasks hold whose interval is open, by cluster. Clusters without any are not in it.
    pub async fn open_use(&self) -> Result<BTreeMap<ClusterName, OpenUse>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT cluster AS "cluster!", sum(cpu_units) AS "cpu_units!: i64", sum(memory_mib) AS "memory_mib!: i64",
                      coalesce(sum(cpu_ns / max(measured_until - opened_at, 1)), 0) AS "cpu_ns_per_ms!: i64",
                      coalesce(sum(memory_kib_ms / max(measured_until - opened_at, 1)), 0) AS "memory_kib!: i64"
                 FROM usage_intervals i INDEXED BY usage_intervals_by_closing
                      LEFT JOIN usage_measured m ON m.task_id = i.task_id
                WHERE closed_at IS NULL
                GROUP BY cluster"#
        )
        .fetch_all(self.readers())
        .await?;
        let known = |amount: i64| u64::try_from(amount).unwrap_or_default();
        let rows = rows.into_iter().map(|row| {
            let cluster =
                super::column::from_word("usage.cluster", &row.cluster, |text| text.parse().ok())?;
            let open = OpenUse {
                reserved: Capacity {
                    cpu_units: known(row.cpu_units),
                    memory_mib: known(row.memory_mib),
                },
                used: Capacity {
                    cpu_units: known(row.cpu_ns_per_ms) * 1_024 / NS_PER_VCPU_MS,
                    memory_mib: known(row.memory_kib) / 1_024,
                },
            };
            Ok((cluster, open))
        });
        rows.collect()
    }
}
