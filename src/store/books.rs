//! The books of the meter, read at one moment and in more than one way, to be checked.

use sqlx::{Connection as _, SqliteConnection};

use super::column::{to_time, to_unsigned};
use super::{Store, StoreError, rollup, usage};
use crate::domain::{Books, Capacity, Stretch, TimestampMs, UsageSum};

/// How many differences of a kind are told.
const MOST_TOLD: i64 = 20;

impl Store {
    /// Everything that the checks need, as it was at one moment. Intervals that are open count until `now`.
    pub async fn books(&self, now: TimestampMs) -> Result<Books, StoreError> {
        let capacities = self.capacities().await?;
        let books = self.books_with(capacities, now);
        self.readers().of(books).await
    }

    async fn books_with(
        &self,
        capacities: Vec<(TimestampMs, Capacity)>,
        now: TimestampMs,
    ) -> Result<Books, StoreError> {
        let mut reader = self.readers().acquire().await?;
        let mut transaction = reader.begin().await?;
        let db = &mut *transaction;
        let tasks = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count: i64" FROM tasks WHERE pull_started_at IS NOT NULL"#
        )
        .fetch_one(&mut *db)
        .await?;
        let books = Books {
            sums: sums(db, now).await?,
            tasks,
            unopened: unopened(db).await?,
            unclosed: unclosed(db).await?,
            unexplained: unexplained(db).await?,
            reserved: (usage::reserved(&mut *db).await?, open(db).await?),
            stretches: stretches(db).await?,
            capacities,
            rolled: rollup::books(db).await?,
        };
        transaction.rollback().await?;
        Ok(books)
    }
}

async fn sums(db: &mut SqliteConnection, now: TimestampMs) -> Result<Vec<UsageSum>, StoreError> {
    let now = now.as_millis();
    let rows = sqlx::query!(
        r#"WITH lines AS (
               SELECT i.task_id, i.cluster, i.family, t.cluster || ' ' || t.task_group AS task_group,
                      max(0, coalesce(closed_at, ?1) - opened_at) * cpu_units AS cpu,
                      max(0, coalesce(closed_at, ?1) - opened_at) * memory_mib AS memory
                 FROM usage_intervals i JOIN tasks t ON t.id = i.task_id)
           SELECT 'tasks' AS "of!: String", count(*) AS "groups!: i64",
                  coalesce(sum(cpu), 0) AS "cpu!: i64", coalesce(sum(memory), 0) AS "memory!: i64" FROM lines
           UNION ALL SELECT 'services and groups', count(*), coalesce(sum(cpu), 0), coalesce(sum(memory), 0)
             FROM (SELECT sum(cpu) AS cpu, sum(memory) AS memory FROM lines GROUP BY task_group)
           UNION ALL SELECT 'families', count(*), coalesce(sum(cpu), 0), coalesce(sum(memory), 0)
             FROM (SELECT sum(cpu) AS cpu, sum(memory) AS memory FROM lines GROUP BY family)
           UNION ALL SELECT 'clusters', count(*), coalesce(sum(cpu), 0), coalesce(sum(memory), 0)
             FROM (SELECT sum(cpu) AS cpu, sum(memory) AS memory FROM lines GROUP BY cluster)"#,
        now
    )
    .fetch_all(db)
    .await?;
    let named = ["tasks", "services and groups", "families", "clusters"];
    let sum = |row| {
        let row: (String, i64, i64, i64) = row;
        let of = named.iter().find(|name| **name == row.0)?;
        Some(UsageSum {
            of,
            groups: row.1,
            cpu_unit_ms: row.2,
            mib_ms: row.3,
        })
    };
    let rows = rows
        .into_iter()
        .map(|row| (row.of, row.groups, row.cpu, row.memory));
    Ok(rows.filter_map(sum).collect())
}

async fn unopened(db: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT t.id AS "id!" FROM tasks t LEFT JOIN usage_intervals i ON i.task_id = t.id
            WHERE t.pull_started_at IS NOT i.opened_at
              -- Of those that were removed, only how many there were is known.
              AND NOT (i.task_id IS NULL AND t.last_status = 'STOPPED'
                       AND t.pull_started_at < coalesce((SELECT gone_until FROM usage_history), t.pull_started_at))
            LIMIT ?1"#,
        MOST_TOLD
    )
    .fetch_all(db)
    .await?)
}

async fn unclosed(db: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT t.id AS "id!" FROM tasks t JOIN usage_intervals i ON i.task_id = t.id
            WHERE (t.last_status = 'STOPPED') <> (i.closed_at IS NOT NULL) LIMIT ?1"#,
        MOST_TOLD
    )
    .fetch_all(db)
    .await?)
}

/// Those by the engine's word.
async fn unexplained(db: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT i.task_id AS "id!" FROM usage_intervals i
            WHERE i.end_evidence = 'engine'
              AND i.closed_at <> max(i.opened_at, (SELECT max(c.finished_at) FROM containers c
                                                   WHERE c.task_id = i.task_id AND c.started_at IS NOT NULL))
            LIMIT ?1"#,
        MOST_TOLD
    )
    .fetch_all(db)
    .await?)
}

async fn open(db: &mut SqliteConnection) -> Result<Capacity, StoreError> {
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(cpu_units), 0) AS "cpu!: i64", coalesce(sum(memory_mib), 0) AS "memory!: i64"
             FROM usage_intervals WHERE closed_at IS NULL"#
    )
    .fetch_one(db)
    .await?;
    Ok(Capacity {
        cpu_units: to_unsigned("usage.cpu", row.cpu)?,
        memory_mib: to_unsigned("usage.memory", row.memory)?,
    })
}

async fn stretches(db: &mut SqliteConnection) -> Result<Vec<Stretch>, StoreError> {
    let rows =
        sqlx::query!("SELECT opened_at, closed_at, cpu_units, memory_mib FROM usage_intervals")
            .fetch_all(db)
            .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Stretch {
                opened_at: TimestampMs::from_millis(row.opened_at),
                closed_at: to_time(row.closed_at),
                size: Capacity {
                    cpu_units: to_unsigned("usage.cpu", row.cpu_units)?,
                    memory_mib: to_unsigned("usage.memory", row.memory_mib)?,
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        ContainerRecord, ContainerStatus, EndEvidence, LastStatus, UsageChange, UsageInterval,
    };
    use crate::store::testing::{Fixture, at, stopped};

    /// Two tasks that have stopped and one that runs, all as they should be.
    async fn kept() -> Fixture {
        let fixture = Fixture::new().await;
        for number in 0..3_i64 {
            let mut task = fixture.created().await;
            task.pull_started_at = Some(at(1_000 * number));
            task.last_status = LastStatus::Pending;
            let mut changes = vec![UsageChange::Open(UsageInterval {
                task_id: task.id.clone(),
                cluster: task.cluster.clone(),
                definition: task.spec.definition.clone(),
                cpu: task.spec.reserved_cpu(),
                memory: task.spec.reserved_memory(),
                opened_at: at(1_000 * number),
                closed: None,
            })];
            if number < 2 {
                let end = at(5_000 + number);
                task = stopped(task);
                let record = ContainerRecord {
                    last_status: ContainerStatus::Stopped,
                    started_at: Some(at(1_500)),
                    finished_at: Some(end),
                    ..ContainerRecord::default()
                };
                task.containers.insert("app".parse().unwrap(), record);
                changes.push(UsageChange::Close {
                    at: end,
                    evidence: EndEvidence::Engine,
                });
            }
            fixture
                .store
                .record_task(&task, &[], &changes)
                .await
                .unwrap();
        }
        let capacity = Capacity {
            cpu_units: 4_096,
            memory_mib: 8_192,
        };
        fixture.store.note_capacity(at(0), capacity).await.unwrap();
        fixture
    }

    async fn wrong(fixture: &Fixture) -> Vec<String> {
        let books = fixture.store.books(at(20_000)).await.unwrap();
        let checks = books.checks(at(20_000));
        checks
            .into_iter()
            .flat_map(|check| check.differences)
            .collect()
    }

    #[tokio::test]
    async fn whoever_falsifies_the_books_is_found_out() {
        assert_eq!(wrong(&kept().await).await, Vec::<String>::new());
        for (falsify, told) in [
            (
                "DROP TRIGGER usage_intervals_close_once;
                 UPDATE usage_intervals SET closed_at = closed_at - 1 WHERE closed_at = 5001",
                "ended at another time than its interval",
            ),
            (
                "DROP TRIGGER usage_intervals_stay;
                 DELETE FROM usage_intervals WHERE closed_at = 5000",
                "has no interval that begins with it",
            ),
            (
                "DROP TRIGGER usage_intervals_keep_their_size;
                 UPDATE usage_intervals SET opened_at = 2001 WHERE opened_at = 2000",
                "has no interval that begins with it",
            ),
            (
                "UPDATE usage_intervals SET closed_at = 6000, end_evidence = 'estimated' WHERE closed_at IS NULL",
                "has stopped and reserves, or the reverse",
            ),
            (
                "UPDATE reserved SET cpu_units = 0",
                "0 CPU units and 512 MiB are kept, 256 CPU units and 512 MiB are open",
            ),
            (
                "DROP TRIGGER usage_intervals_keep_their_size;
                 UPDATE usage_intervals SET cpu_units = 8192 WHERE closed_at IS NULL",
                "8704 CPU units",
            ),
        ] {
            let fixture = kept().await;
            fixture.execute(falsify).await.unwrap();
            let wrong = wrong(&fixture).await;
            let is_told = wrong.iter().any(|one| one.contains(told));
            assert!(is_told, "{falsify}: {wrong:#?}");
        }
    }
}
