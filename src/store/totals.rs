//! What tasks reserved and used since the beginning, by cluster and by service: figures that only grow, for Prometheus.
//!
//! The database adds a task to its sums when it is cleaned up, since its end may move until then (`usage_totals`); the others are
//! added when somebody asks. So asking costs what goes on now, and as much as there are names: 500 clusters and 500 services have their own, in the
//! order in which they were made, and the rest is one.

use std::collections::BTreeMap;

use sqlx::Connection as _;

use super::{Store, StoreError};
use crate::domain::{ServiceName, TimestampMs};

/// What tasks came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Reserved: CPU units × milliseconds.
    pub cpu_unit_ms: i128,
    /// Reserved: MiB × milliseconds.
    pub mib_ms: i128,
    /// Used: nanoseconds of CPU time.
    pub cpu_ns: i128,
    /// Used: KiB × milliseconds.
    pub memory_kib_ms: i128,
}

impl std::ops::AddAssign for Total {
    fn add_assign(&mut self, other: Self) {
        self.cpu_unit_ms += other.cpu_unit_ms;
        self.mib_ms += other.mib_ms;
        self.cpu_ns += other.cpu_ns;
        self.memory_kib_ms += other.memory_kib_ms;
    }
}

/// How many tasks a service wants, and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceCounts {
    /// Wanted.
    pub desired: u64,
    /// On their way to RUNNING.
    pub pending: u64,
    /// RUNNING.
    pub running: u64,
}

impl std::ops::AddAssign for ServiceCounts {
    fn add_assign(&mut self, other: Self) {
        self.desired += other.desired;
        self.pending += other.pending;
        self.running += other.running;
    }
}

/// A cluster's name and, of a service, its own; `None` for all that have no name of their own.
pub type TotalName = Option<(String, String)>;

/// All of it, as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// By cluster. The service is empty.
    pub clusters: BTreeMap<TotalName, Total>,
    /// By service. Tasks that belong to none are in their cluster's alone.
    pub services: BTreeMap<TotalName, Total>,
    /// Services that are not INACTIVE.
    pub counts: BTreeMap<TotalName, ServiceCounts>,
}

impl Store {
    /// What tasks came to. Those that go on are counted until `until`.
    pub async fn usage_totals(&self, until: TimestampMs) -> Result<UsageTotals, StoreError> {
        self.readers().of(self.totals(until)).await
    }

    async fn totals(&self, until: TimestampMs) -> Result<UsageTotals, StoreError> {
        let mut reader = self.readers().acquire().await?;
        let mut transaction = reader.begin().await?;
        let db = &mut *transaction;
        let mut totals = UsageTotals::default();
        let rows = sqlx::query!(
            "SELECT scope, seq, cluster, service, cpu_unit_ms, mib_ms, cpu_s, cpu_ns, memory_kib_s, memory_kib_ms
               FROM usage_totals"
        )
        .fetch_all(&mut *db)
        .await?;
        for row in rows {
            let name = (row.seq > 0).then_some((row.cluster, row.service));
            let total = Total {
                cpu_unit_ms: row.cpu_unit_ms.into(),
                mib_ms: row.mib_ms.into(),
                cpu_ns: i128::from(row.cpu_s) * 1_000_000_000 + i128::from(row.cpu_ns),
                memory_kib_ms: i128::from(row.memory_kib_s) * 1_000 + i128::from(row.memory_kib_ms),
            };
            let scope = match row.scope.as_str() {
                "cluster" => &mut totals.clusters,
                _ => &mut totals.services,
            };
            scope.insert(name, total);
        }
        let rows = sqlx::query!(
            r#"SELECT i.cluster, t.task_group, cpu_units, memory_mib, opened_at, closed_at,
                      cpu_ns AS "cpu_ns?", memory_kib_ms AS "memory_kib_ms?"
                 FROM tasks t INDEXED BY tasks_unfinished
                      JOIN usage_intervals i ON t.id = i.task_id LEFT JOIN usage_measured m ON m.task_id = i.task_id
                WHERE t.cleaned_at IS NULL"#
        )
        .fetch_all(&mut *db)
        .await?;
        for row in rows {
            let until = row
                .closed_at
                .map_or(until, |at| until.min(TimestampMs::from_millis(at)));
            let length = until.since(TimestampMs::from_millis(row.opened_at));
            let length = i128::from(length.as_millis());
            let total = Total {
                cpu_unit_ms: length * i128::from(row.cpu_units),
                mib_ms: length * i128::from(row.memory_mib),
                cpu_ns: row.cpu_ns.unwrap_or(0).into(),
                memory_kib_ms: row.memory_kib_ms.unwrap_or(0).into(),
            };
            if let Some(service) = ServiceName::of_group(&row.task_group) {
                let name = (row.cluster.clone(), service.to_string());
                *named(&mut totals.services, name) += total;
            }
            *named(&mut totals.clusters, (row.cluster, String::new())) += total;
        }
        let rows = sqlx::query!(
            r#"SELECT s.cluster, s.name, desired_count,
                      count(t.id) FILTER (WHERE last_status IN ('PROVISIONING', 'PENDING', 'ACTIVATING')) AS "pending!: i64",
                      count(t.id) FILTER (WHERE last_status = 'RUNNING') AS "running!: i64"
                 FROM services s INDEXED BY services_by_name
                      LEFT JOIN tasks t INDEXED BY tasks_unstopped_by_group
                             ON t.task_group = 'service:' || s.name AND t.last_status <> 'STOPPED' AND t.cluster = s.cluster
                WHERE s.status <> 'INACTIVE' GROUP BY s.seq"#
        )
        .fetch_all(&mut *db)
        .await?;
        for row in rows {
            let name = Some((row.cluster, row.name));
            let is_named = totals.services.contains_key(&name);
            let counts = totals.counts.entry(name.filter(|_| is_named)).or_default();
            *counts += ServiceCounts {
                desired: u64::try_from(row.desired_count).unwrap_or(0),
                pending: u64::try_from(row.pending).unwrap_or(0),
                running: u64::try_from(row.running).unwrap_or(0),
            };
        }
        transaction.rollback().await?;
        Ok(totals)
    }
}

/// The sum of that name, or that of all without one.
fn named(totals: &mut BTreeMap<TotalName, Total>, name: (String, String)) -> &mut Total {
    let name = Some(name);
    let is_named = totals.contains_key(&name);
    totals.entry(name.filter(|_| is_named)).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        CpuUnits, EndEvidence, MeasuredUse, MemoryMib, Task, UsageChange, UsageInterval, UseSource,
    };
    use crate::store::testing::{Fixture, at, stopped};

    fn used(cpu_ns: u64, until: i64) -> MeasuredUse {
        MeasuredUse {
            cpu_ns,
            memory_kib_ms: cpu_ns / 10,
            memory_peak_bytes: 1,
            network_rx_bytes: 0,
            network_tx_bytes: 0,
            block_read_bytes: 0,
            block_write_bytes: 0,
            measured_until: at(until),
            source: UseSource::Cgroup,
        }
    }

    /// A task of `group` that has reserved a quarter of a vCPU and half a GB since 1,000.
    async fn opened(fixture: &Fixture, group: &str) -> Task {
        let mut task = fixture.task();
        task.group = group.to_owned();
        let store = &fixture.store;
        store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        let open = UsageChange::Open(UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(1_000),
            closed: None,
        });
        store.record_task(&task, &[], &[open]).await.unwrap();
        task.version += 1;
        task
    }

    async fn close(fixture: &Fixture, task: &mut Task, to: i64, last: u64) {
        let evidence = EndEvidence::Engine;
        let changes = [
            UsageChange::Close {
                at: at(to),
                evidence,
            },
            UsageChange::Measure(used(last, to)),
        ];
        let store = &fixture.store;
        *task = stopped(task.clone());
        store.record_task(task, &[], &changes).await.unwrap();
        task.version += 1;
        task.cleaned_at = task.stopped_at;
        store.record_task(task, &[], &[]).await.unwrap();
        task.version += 1;
    }

    async fn service(fixture: &Fixture, name: &str) {
        let sql = format!(
            "INSERT INTO services (cluster, name, status, desired_count, configuration, tags, deployments, is_steady,
                                   created_at, version)
             VALUES ('default', '{name}', 'ACTIVE', 3, '{{}}', '{{}}', '[]', 0, 0, 1)"
        );
        fixture.execute(sql.leak()).await.unwrap();
    }

    fn named(service: &str) -> (String, String) {
        ("default".to_owned(), service.to_owned())
    }

    #[tokio::test]
    async fn sums_are_those_of_the_records_before_and_after_the_end() {
        let fixture = Fixture::new().await;
        service(&fixture, "web").await;
        let mut web = opened(&fixture, "service:web").await;
        let mut alone = opened(&fixture, "family:web").await;
        let sample = vec![(web.id.clone(), used(5_000_000_007, 2_000))];
        fixture.store.record_use(sample).await.unwrap();
        let total = |ms: i128, cpu_ns: i128| Total {
            cpu_unit_ms: 256 * ms,
            mib_ms: 512 * ms,
            cpu_ns,
            memory_kib_ms: cpu_ns / 10,
        };
        let going = fixture.store.usage_totals(at(3_000)).await.unwrap();
        assert_eq!(
            going.services[&Some(named("web"))],
            total(2_000, 5_000_000_007)
        );
        assert_eq!(
            going.clusters[&Some(named(""))],
            total(4_000, 5_000_000_007)
        );
        close(&fixture, &mut web, 4_000, 6_000_000_017).await;
        close(&fixture, &mut alone, 2_500, u64::MAX).await;
        // What comes late counts, what is less does not.
        let late = vec![(web.id.clone(), used(6_000_000_027, 4_000))];
        fixture.store.record_use(late).await.unwrap();
        let less = vec![(web.id.clone(), used(1, 3_000))];
        fixture.store.record_use(less).await.unwrap();
        let over = fixture.store.usage_totals(at(9_000_000)).await.unwrap();
        assert_eq!(
            over.services[&Some(named("web"))],
            total(3_000, 6_000_000_027)
        );
        let most = i128::from(i64::MAX);
        let sum = &over.clusters[&Some(named(""))];
        assert_eq!((sum.cpu_unit_ms, sum.mib_ms), (256 * 4_500, 512 * 4_500));
        assert_eq!(sum.cpu_ns, most + 6_000_000_027);
        assert_eq!(sum.memory_kib_ms, i128::from(u64::MAX / 10) + 600_000_002);
    }

    #[tokio::test]
    async fn five_hundred_services_have_names_and_all_others_are_one() {
        let fixture = Fixture::new().await;
        let sql = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 503)
             INSERT INTO services (cluster, name, status, desired_count, configuration, tags, deployments, is_steady,
                                   created_at, version)
             SELECT 'default', 's' || n, 'ACTIVE', 3, '{}', '{}', '[]', 0, 0, 1 FROM numbers";
        fixture.execute(sql).await.unwrap();
        for group in ["service:s1", "service:s500", "service:s501", "service:s503"] {
            let mut task = opened(&fixture, group).await;
            close(&fixture, &mut task, 2_000, 10).await;
            opened(&fixture, group).await;
        }
        let totals = fixture.store.usage_totals(at(2_000)).await.unwrap();
        assert_eq!((totals.services.len(), totals.counts.len()), (501, 501));
        let both = 256 * 2_000;
        assert_eq!(totals.services[&Some(named("s500"))].cpu_unit_ms, both);
        assert_eq!(totals.services[&None].cpu_unit_ms, 2 * both);
        assert_eq!(totals.services.get(&Some(named("s501"))), None);
        let counts = totals.counts[&None];
        assert_eq!((counts.desired, counts.pending), (9, 2));
        assert_eq!(totals.counts[&Some(named("s1"))].pending, 1);
        // A name stays with whom it was given to.
        fixture.execute("UPDATE services SET status = 'INACTIVE', deleted_at = 5, version = 2 WHERE name = 's1'").await.unwrap();
        service(&fixture, "s1").await;
        service(&fixture, "new").await;
        let later = fixture.store.usage_totals(at(2_000)).await.unwrap();
        assert_eq!(later.services, totals.services);
        assert_eq!((later.counts.len(), later.counts[&None].desired), (501, 12));
    }
}
