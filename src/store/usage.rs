//! Usage intervals: what bills are made of.
//!
//! An interval is opened once, closed once, and removed only when it is rolled up and older than what is kept; the
//! database itself refuses anything else.
//! It carries the names that a bill is grouped by, so a bill needs no other table.

use sqlx::{SqliteConnection, SqliteExecutor};

use super::column::{from_word, to_unsigned};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError};
use crate::domain::{
    Capacity, ClusterName, CpuUnits, EndEvidence, Family, FamilyRevision, MeasuredUse, MemoryMib,
    Task, TaskId, TaskUse, TimestampMs, UsageChange, UsageInterval, UseSource,
};

/// Whose usage is wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Where the tasks ran.
    pub cluster: Option<ClusterName>,
    /// What they were run from.
    pub family: Option<Family>,
}

impl Store {
    /// What is on record of a task's usage; `None` if no interval was opened yet.
    pub async fn usage(&self, task: &TaskId) -> Result<Option<TaskUse>, StoreError> {
        let id = task.as_str();
        let row = sqlx::query_as!(
            UsageRow,
            r#"SELECT i.task_id, cluster, family, revision, cpu_units, memory_mib, opened_at, closed_at, end_evidence,
                    cpu_ns AS "cpu_ns?", memory_kib_ms AS "memory_kib_ms?", memory_peak_bytes AS "memory_peak_bytes?",
                    network_rx_bytes AS "network_rx_bytes?", network_tx_bytes AS "network_tx_bytes?",
                    block_read_bytes AS "block_read_bytes?", block_write_bytes AS "block_write_bytes?",
                    measured_until AS "measured_until?", source AS "source?"
               FROM usage_intervals i LEFT JOIN usage_measured m ON m.task_id = i.task_id
              WHERE i.task_id = ?1"#,
            id
        )
        .fetch_optional(self.readers())
        .await?;
        row.map(TaskUse::try_from).transpose()
    }

    /// When a task's interval was opened, and in which stretch of the host's clock; `None` where that was not noted.
    pub async fn opening(&self, task: &TaskId) -> Result<Option<(TimestampMs, i64)>, StoreError> {
        let id = task.as_str();
        let row = sqlx::query!(
            "SELECT opened_at, clock_seq FROM usage_intervals WHERE task_id = ?1",
            id
        )
        .fetch_optional(self.readers())
        .await?;
        let opening = row.and_then(|row| Some((row.opened_at, row.clock_seq?)));
        Ok(opening.map(|(at, seq)| (TimestampMs::from_millis(at), seq)))
    }

    /// Records what tasks were measured to use, in one commit. Less than what is on record changes nothing.
    pub async fn record_use(&self, measured: Vec<(TaskId, MeasuredUse)>) -> Result<(), StoreError> {
        if measured.is_empty() {
            return Ok(());
        }
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    for (task, used) in &measured {
                        measure(db, task, used).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// What all tasks reserve now: those whose interval is open.
    pub async fn reserved(&self) -> Result<Capacity, StoreError> {
        reserved(self.readers()).await
    }

    /// The intervals of which a part lies in the time from `from` up to, but not including, `to`, in the
    /// order in which they were opened.
    ///
    /// That order is one that the closing of an interval cannot change, so that pages of a bill never miss
    /// or double anything.
    pub async fn usage_of_tasks(
        &self,
        filter: &UsageFilter,
        from: TimestampMs,
        to: TimestampMs,
        request: &PageRequest,
    ) -> Result<Page<TaskUse>, StoreError> {
        let (from, to) = (from.as_millis(), to.as_millis());
        let (after, after_id): (i64, String) = match request.after(List::Usage)? {
            Some(key) => key,
            None => (self.first_opening(from).await?, String::new()),
        };
        let cluster = filter.cluster.as_ref().map(ClusterName::as_str);
        let family = filter.family.as_ref().map(Family::as_str);
        let rows = request.rows();
        let rows = sqlx::query_as!(
            UsageRow,
            r#"SELECT i.task_id, cluster, family, revision, cpu_units, memory_mib, opened_at, closed_at, end_evidence,
                    cpu_ns AS "cpu_ns?", memory_kib_ms AS "memory_kib_ms?", memory_peak_bytes AS "memory_peak_bytes?",
                    network_rx_bytes AS "network_rx_bytes?", network_tx_bytes AS "network_tx_bytes?",
                    block_read_bytes AS "block_read_bytes?", block_write_bytes AS "block_write_bytes?",
                    measured_until AS "measured_until?", source AS "source?"
               FROM usage_intervals i INDEXED BY usage_intervals_by_opening
                    LEFT JOIN usage_measured m ON m.task_id = i.task_id
              WHERE (opened_at, i.task_id) > (?1, ?2) AND opened_at < ?3
                AND (closed_at IS NULL OR closed_at > ?4 OR opened_at >= ?4)
                AND (?5 IS NULL OR cluster = ?5) AND (?6 IS NULL OR family = ?6)
              ORDER BY opened_at, i.task_id LIMIT ?7"#,
            after,
            after_id,
            to,
            from,
            cluster,
            family,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let uses = rows.into_iter().map(TaskUse::try_from);
        request.page(
            List::Usage,
            uses.collect::<Result<_, _>>()?,
            |last: &TaskUse| (last.interval.opened_at, last.interval.task_id.clone()),
        )
    }

    /// When the earliest interval was opened that goes beyond `from`: what lies before it need not be read.
    async fn first_opening(&self, from: i64) -> Result<i64, StoreError> {
        let first = sqlx::query_scalar!(
            r#"SELECT min(opened_at) AS "first: i64" FROM
                 (SELECT min(opened_at) AS opened_at
                    FROM usage_intervals INDEXED BY usage_intervals_by_closing
                   WHERE closed_at IS NULL
                  UNION ALL
                  SELECT min(opened_at)
                    FROM usage_intervals INDEXED BY usage_intervals_by_closing
                   WHERE closed_at >= ?1)"#,
            from
        )
        .fetch_one(self.readers())
        .await?;
        Ok(first.unwrap_or(i64::MAX))
    }
}

/// What all open intervals reserve together.
pub(super) async fn reserved(db: impl SqliteExecutor<'_>) -> Result<Capacity, StoreError> {
    let row = sqlx::query!("SELECT cpu_units, memory_mib FROM reserved")
        .fetch_one(db)
        .await?;
    Ok(Capacity {
        cpu_units: to_unsigned("reserved.cpuUnits", row.cpu_units)?,
        memory_mib: to_unsigned("reserved.memoryMib", row.memory_mib)?,
    })
}

/// Closes the interval of `task`, or notes what it used. Closing what is closed changes nothing. An interval is opened by the
/// statement that records its task.
pub(super) async fn apply(
    db: &mut SqliteConnection,
    task: &Task,
    change: &UsageChange,
) -> Result<(), StoreError> {
    match change {
        UsageChange::Open(interval) => match interval.closed {
            Some((at, evidence)) => close(db, &task.id, at, evidence).await,
            None => Ok(()),
        },
        UsageChange::Close { at, evidence } => close(db, &task.id, *at, *evidence).await,
        UsageChange::Confirm { at } => confirm(db, &task.id, *at).await,
        UsageChange::Measure(used) => measure(db, &task.id, used).await,
    }
}

/// Whether [`apply`] has nothing to do for any of `changes`.
pub(super) fn only_opening(changes: &[UsageChange]) -> bool {
    let opens =
        |change: &UsageChange| matches!(change, UsageChange::Open(one) if one.closed.is_none());
    changes.iter().all(opens)
}

/// What is there already and larger stays: a measurement that comes late takes nothing back. One that comes after the
/// interval was rolled up is too late.
async fn measure(
    db: &mut SqliteConnection,
    task: &TaskId,
    used: &MeasuredUse,
) -> Result<(), StoreError> {
    let (id, source) = (task.as_str(), used.source.as_str());
    let (cpu_ns, memory_kib_ms) = (to_column(used.cpu_ns), to_column(used.memory_kib_ms));
    let memory_peak_bytes = to_column(used.memory_peak_bytes);
    let received = to_column(used.network_rx_bytes);
    let sent = to_column(used.network_tx_bytes);
    let block_read_bytes = to_column(used.block_read_bytes);
    let block_write_bytes = to_column(used.block_write_bytes);
    let measured_until = used.measured_until.as_millis();
    sqlx::query!(
        "INSERT INTO usage_measured
             (task_id, cpu_ns, memory_kib_ms, memory_peak_bytes, network_rx_bytes, network_tx_bytes,
              block_read_bytes, block_write_bytes, measured_until, source)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10
          WHERE NOT EXISTS (SELECT 1 FROM tasks t LEFT JOIN usage_intervals i ON i.task_id = t.id
                             WHERE t.id = ?1 AND t.last_status = 'STOPPED' AND t.pull_started_at IS NOT NULL
                               AND NOT EXISTS (SELECT 1 FROM usage_unrolled u
                                                WHERE u.opened_at = i.opened_at AND u.task_id = i.task_id))
         ON CONFLICT (task_id) DO UPDATE SET
             cpu_ns = max(cpu_ns, excluded.cpu_ns),
             memory_kib_ms = max(memory_kib_ms, excluded.memory_kib_ms),
             memory_peak_bytes = max(memory_peak_bytes, excluded.memory_peak_bytes),
             network_rx_bytes = max(network_rx_bytes, excluded.network_rx_bytes),
             network_tx_bytes = max(network_tx_bytes, excluded.network_tx_bytes),
             block_read_bytes = max(block_read_bytes, excluded.block_read_bytes),
             block_write_bytes = max(block_write_bytes, excluded.block_write_bytes),
             measured_until = max(measured_until, excluded.measured_until),
             source = excluded.source",
        id,
        cpu_ns,
        memory_kib_ms,
        memory_peak_bytes,
        received,
        sent,
        block_read_bytes,
        block_write_bytes,
        measured_until,
        source
    )
    .execute(db)
    .await?;
    Ok(())
}

/// As a column has it; what it cannot hold becomes the most that it can.
fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

async fn close(
    db: &mut SqliteConnection,
    task: &TaskId,
    at: TimestampMs,
    evidence: EndEvidence,
) -> Result<(), StoreError> {
    let (id, at, evidence) = (task.as_str(), at.as_millis(), evidence.as_str());
    let closed = sqlx::query!(
        "UPDATE usage_intervals SET closed_at = ?1, end_evidence = ?2
          WHERE task_id = ?3 AND closed_at IS NULL",
        at,
        evidence,
        id
    )
    .execute(&mut *db)
    .await?
    .rows_affected();
    if closed > 0 {
        return Ok(());
    }
    sqlx::query_scalar!(
        r#"SELECT 1 AS "one: i64" FROM usage_intervals WHERE task_id = ?1"#,
        id
    )
    .fetch_optional(db)
    .await?
    .map(|_| ())
    .ok_or_else(|| StoreError::not_found(format!("usage interval of task `{task}`")))
}

async fn confirm(
    db: &mut SqliteConnection,
    task: &TaskId,
    at: TimestampMs,
) -> Result<(), StoreError> {
    let (id, at) = (task.as_str(), at.as_millis());
    sqlx::query!(
        "UPDATE usage_intervals SET closed_at = max(?1, opened_at)
          WHERE task_id = ?2 AND closed_at > ?1 AND end_evidence = 'engine'
            AND (SELECT cleaned_at FROM tasks WHERE id = ?2) IS NULL",
        at,
        id
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) fn parse_evidence(word: &str) -> Option<EndEvidence> {
    [
        EndEvidence::Engine,
        EndEvidence::NeverStarted,
        EndEvidence::Estimated,
    ]
    .into_iter()
    .find(|evidence| evidence.as_str() == word)
}

fn parse_source(word: &str) -> Option<UseSource> {
    [UseSource::Cgroup, UseSource::Sample]
        .into_iter()
        .find(|source| source.as_str() == word)
}

pub(super) struct UsageRow {
    pub(super) task_id: String,
    pub(super) cluster: String,
    pub(super) family: String,
    pub(super) revision: i64,
    pub(super) cpu_units: i64,
    pub(super) memory_mib: i64,
    pub(super) opened_at: i64,
    pub(super) closed_at: Option<i64>,
    pub(super) end_evidence: Option<String>,
    // NULL, all of them, when nothing was measured.
    pub(super) cpu_ns: Option<i64>,
    pub(super) memory_kib_ms: Option<i64>,
    pub(super) memory_peak_bytes: Option<i64>,
    pub(super) network_rx_bytes: Option<i64>,
    pub(super) network_tx_bytes: Option<i64>,
    pub(super) block_read_bytes: Option<i64>,
    pub(super) block_write_bytes: Option<i64>,
    pub(super) measured_until: Option<i64>,
    pub(super) source: Option<String>,
}

impl UsageRow {
    fn used(&self) -> Result<Option<MeasuredUse>, StoreError> {
        let (Some(until), Some(source)) = (self.measured_until, &self.source) else {
            return Ok(None);
        };
        let number = |what: &str, column: Option<i64>| to_unsigned(what, column.unwrap_or(0));
        Ok(Some(MeasuredUse {
            cpu_ns: number("usage.cpuNs", self.cpu_ns)?,
            memory_kib_ms: number("usage.memoryKibMs", self.memory_kib_ms)?,
            memory_peak_bytes: number("usage.memoryPeakBytes", self.memory_peak_bytes)?,
            network_rx_bytes: number("usage.networkRxBytes", self.network_rx_bytes)?,
            network_tx_bytes: number("usage.networkTxBytes", self.network_tx_bytes)?,
            block_read_bytes: number("usage.blockReadBytes", self.block_read_bytes)?,
            block_write_bytes: number("usage.blockWriteBytes", self.block_write_bytes)?,
            measured_until: TimestampMs::from_millis(until),
            source: from_word("usage.source", source, parse_source)?,
        }))
    }
}

impl TryFrom<UsageRow> for TaskUse {
    type Error = StoreError;

    fn try_from(row: UsageRow) -> Result<Self, StoreError> {
        let used = row.used()?;
        let evidence = row
            .end_evidence
            .map(|word| from_word("usage.endEvidence", &word, parse_evidence))
            .transpose()?;
        let interval = UsageInterval {
            task_id: row.task_id.parse()?,
            cluster: row.cluster.parse()?,
            definition: FamilyRevision {
                family: row.family.parse()?,
                revision: to_unsigned("usage.revision", row.revision)?,
            },
            cpu: CpuUnits(to_unsigned("usage.cpu", row.cpu_units)?),
            memory: MemoryMib(to_unsigned("usage.memory", row.memory_mib)?),
            opened_at: TimestampMs::from_millis(row.opened_at),
            closed: row.closed_at.map(TimestampMs::from_millis).zip(evidence),
        };
        Ok(Self { interval, used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DesiredStatus, LastStatus};
    use crate::store::testing::{Fixture, at, cluster};

    fn opened(task: &Task, millis: i64) -> UsageInterval {
        UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(millis),
            closed: None,
        }
    }

    /// A recorded task with an interval from `from` to `to`, which may still go on.
    async fn used(fixture: &Fixture, from: i64, to: Option<i64>) -> Task {
        let mut task = fixture.created().await;
        let mut interval = opened(&task, from);
        interval.closed = to.map(|to| (at(to), EndEvidence::Engine));
        record(fixture, &mut task, &[UsageChange::Open(interval)])
            .await
            .unwrap();
        task
    }

    async fn record(
        fixture: &Fixture,
        task: &mut Task,
        usage: &[UsageChange],
    ) -> Result<(), StoreError> {
        fixture.store.record_task(task, &[], usage).await?;
        task.version += 1;
        Ok(())
    }

    fn close(millis: i64, evidence: EndEvidence) -> UsageChange {
        UsageChange::Close {
            at: at(millis),
            evidence,
        }
    }

    #[tokio::test]
    async fn an_interval_is_opened_once_and_closed_once() {
        let fixture = Fixture::new().await;
        let mut task = fixture.created().await;
        assert_eq!(fixture.store.usage(&task.id).await.unwrap(), None);
        for (change, is) in [
            (UsageChange::Open(opened(&task, 10)), None),
            (UsageChange::Open(opened(&task, 11)), None),
            (
                close(20, EndEvidence::Estimated),
                Some((at(20), EndEvidence::Estimated)),
            ),
            (
                close(30, EndEvidence::Engine),
                Some((at(20), EndEvidence::Estimated)),
            ),
        ] {
            record(&fixture, &mut task, &[change]).await.unwrap();
            let mut expected = opened(&task, 10);
            expected.closed = is;
            let found = fixture.store.usage(&task.id).await.unwrap().unwrap();
            assert_eq!((found.interval, found.used), (expected, None));
        }
    }

    #[tokio::test]
    async fn an_end_that_was_told_may_be_confirmed_until_the_task_is_cleaned_up() {
        let fixture = Fixture::new().await;
        let confirm = |millis| UsageChange::Confirm { at: at(millis) };
        let mut task = used(&fixture, 10, Some(50)).await;
        for (millis, is) in [(60, 50), (40, 40), (5, 10)] {
            record(&fixture, &mut task, &[confirm(millis)])
                .await
                .unwrap();
            let found = fixture.store.usage(&task.id).await.unwrap().unwrap();
            let closed = (at(is), EndEvidence::Engine);
            assert_eq!(found.interval.closed, Some(closed), "{millis}");
        }
        let mut cleaned = used(&fixture, 10, Some(50)).await;
        (cleaned.last_status, cleaned.planned_status) =
            (LastStatus::Stopped, DesiredStatus::Stopped);
        (cleaned.stopped_at, cleaned.cleaned_at) = (Some(at(55)), Some(at(60)));
        record(&fixture, &mut cleaned, &[]).await.unwrap();
        record(&fixture, &mut cleaned, &[confirm(40)])
            .await
            .unwrap();
        let late = "UPDATE usage_intervals SET closed_at = 40 WHERE closed_at = 50";
        assert!(fixture.execute(late).await.is_err());
        let found = fixture.store.usage(&cleaned.id).await.unwrap().unwrap();
        assert_eq!(found.interval.closed, Some((at(50), EndEvidence::Engine)));

        let mut estimated = fixture.created().await;
        let open = UsageChange::Open(opened(&estimated, 10));
        let changes = [open, close(50, EndEvidence::Estimated), confirm(40)];
        record(&fixture, &mut estimated, &changes).await.unwrap();
        let found = fixture.store.usage(&estimated.id).await.unwrap().unwrap();
        let closed = (at(50), EndEvidence::Estimated);
        assert_eq!(found.interval.closed, Some(closed));
    }

    #[tokio::test]
    async fn what_is_reserved_is_counted_and_never_more_than_the_host_has() {
        let fixture = Fixture::new().await;
        let host = Capacity {
            cpu_units: 512,
            memory_mib: 2_048,
        };
        let mut tasks = Vec::new();
        for _ in 0..3 {
            tasks.push(fixture.created().await);
        }
        let mut admitted = Vec::new();
        for task in &tasks {
            let open = [UsageChange::Open(opened(task, 10))];
            admitted.push(fixture.store.admit_task(task, &[], &open, host).await);
        }
        assert_eq!(admitted, [Ok(()), Ok(()), Err(StoreError::NoRoom)]);
        assert_eq!(fixture.store.usage(&tasks[2].id).await.unwrap(), None);
        let reserved = fixture.store.reserved().await.unwrap();
        assert_eq!((reserved.cpu_units, reserved.memory_mib), (512, 1_024));
        tasks[0].version += 1;
        let end = [close(20, EndEvidence::Engine)];
        record(&fixture, &mut tasks[0], &end).await.unwrap();
        record(&fixture, &mut tasks[0], &end).await.unwrap();
        let reserved = fixture.store.reserved().await.unwrap();
        assert_eq!((reserved.cpu_units, reserved.memory_mib), (256, 512));
    }

    #[tokio::test]
    async fn what_was_never_opened_is_not_closed() {
        let fixture = Fixture::new().await;
        let mut task = fixture.created().await;
        let changes = [close(20, EndEvidence::Engine)];
        let refused = record(&fixture, &mut task, &changes).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    }

    #[tokio::test]
    async fn an_end_before_the_beginning_is_refused_with_the_whole_record() {
        let fixture = Fixture::new().await;
        let mut task = used(&fixture, 10, None).await;
        task.waiting = Some("changed".to_owned());
        let changes = [close(9, EndEvidence::Engine)];
        let refused = record(&fixture, &mut task, &changes).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{refused:?}"
        );
        let found = fixture.store.task(&task.id).await.unwrap().unwrap();
        assert_eq!((found.waiting, found.version), (None, 1));
    }

    #[tokio::test]
    async fn nobody_can_change_what_was_used() {
        let fixture = Fixture::new().await;
        used(&fixture, 10, Some(20)).await;
        used(&fixture, 30, None).await;
        for statement in [
            "DELETE FROM usage_intervals",
            "UPDATE usage_intervals SET closed_at = 21 WHERE closed_at = 20",
            "UPDATE usage_intervals SET closed_at = NULL, end_evidence = NULL WHERE closed_at = 20",
            "UPDATE usage_intervals SET opened_at = 29 WHERE opened_at = 30",
            "UPDATE usage_intervals SET cpu_units = 1 WHERE opened_at = 30",
            "UPDATE usage_intervals SET closed_at = 40 WHERE opened_at = 30",
            "UPDATE usage_intervals SET closed_at = 40, end_evidence = 'guess' WHERE opened_at = 30",
            "UPDATE tasks SET id = '00000000000000000000000000000000'",
            "DELETE FROM tasks",
        ] {
            let answer = fixture.execute(statement).await;
            assert!(
                matches!(answer, Err(StoreError::Refused(_))),
                "{statement}: {answer:?}"
            );
        }
    }

    fn measured(cpu_ns: u64, until: i64) -> MeasuredUse {
        MeasuredUse {
            cpu_ns,
            memory_kib_ms: cpu_ns.saturating_mul(2),
            memory_peak_bytes: 3,
            network_rx_bytes: 4,
            network_tx_bytes: 5,
            block_read_bytes: 6,
            block_write_bytes: 7,
            measured_until: at(until),
            source: UseSource::Cgroup,
        }
    }

    #[tokio::test]
    async fn what_was_used_only_grows_and_is_read_with_the_interval() {
        let fixture = Fixture::new().await;
        let mut task = used(&fixture, 10, None).await;
        for (now, kept) in [
            (measured(100, 20), measured(100, 20)),
            (measured(300, 40), measured(300, 40)),
            (measured(200, 30), measured(300, 40)),
            (measured(300, 40), measured(300, 40)),
        ] {
            let batch = vec![(task.id.clone(), now)];
            fixture.store.record_use(batch).await.unwrap();
            let found = fixture.store.usage(&task.id).await.unwrap().unwrap();
            assert_eq!(found.used, Some(kept));
        }
        // With the end, in one commit.
        let last = measured(u64::MAX, 50);
        let end = [close(50, EndEvidence::Engine), UsageChange::Measure(last)];
        record(&fixture, &mut task, &end).await.unwrap();
        let page = fixture
            .store
            .usage_of_tasks(
                &UsageFilter::default(),
                at(0),
                at(99),
                &PageRequest::first(9),
            )
            .await
            .unwrap();
        let found = &page.items[0];
        assert_eq!(found.interval.closed, Some((at(50), EndEvidence::Engine)));
        let most = u64::try_from(i64::MAX).unwrap();
        assert_eq!(found.used.map(|used| used.cpu_ns), Some(most));
        for statement in [
            "UPDATE usage_measured SET cpu_ns = 1",
            "UPDATE usage_measured SET memory_kib_ms = memory_kib_ms - 1",
            "UPDATE usage_measured SET measured_until = 49",
            "UPDATE usage_measured SET source = 'guess'",
            "DELETE FROM usage_measured",
            "INSERT INTO usage_measured SELECT 'nobody', 0, 0, 0, 0, 0, 0, 0, 0, 'cgroup'",
        ] {
            let answer = fixture.execute(statement).await;
            assert!(
                matches!(answer, Err(StoreError::Refused(_))),
                "{statement}: {answer:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_bill_has_every_interval_that_reaches_into_its_time() {
        let fixture = Fixture::new().await;
        let mut expected = Vec::new();
        for (from, to, is_in) in [
            (10, Some(100), false),
            (20, Some(101), true),
            (30, None, true),
            (100, Some(100), true),
            (150, Some(300), true),
            (199, None, true),
            (200, Some(250), false),
        ] {
            let task = used(&fixture, from, to).await;
            expected.extend(is_in.then_some(task.id));
        }
        let mut found = Vec::new();
        let mut request = PageRequest::first(2);
        let all = UsageFilter::default();
        loop {
            let page = fixture
                .store
                .usage_of_tasks(&all, at(100), at(200), &request)
                .await
                .unwrap();
            found.extend(page.items.into_iter().map(|one| one.interval.task_id));
            request.token = page.next;
            if request.token.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);

        let request = PageRequest::first(10);
        for (filter, count) in [
            (Some("default"), None, 5),
            (Some("blue"), None, 0),
            (None, Some("web"), 5),
            (None, Some("api"), 0),
        ]
        .map(|(of, family, count)| {
            let filter = UsageFilter {
                cluster: of.map(cluster),
                family: family.map(|family| family.parse().unwrap()),
            };
            (filter, count)
        }) {
            let page = fixture
                .store
                .usage_of_tasks(&filter, at(100), at(200), &request)
                .await
                .unwrap();
            assert_eq!(page.items.len(), count, "{filter:?}");
        }
    }
}
