//! Usage over a long time, read from roll-ups: the whole hours and days of it from these, its ends and what is not rolled
//! up from the intervals. All of it as it was at one moment.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlx::{Connection as _, SqliteConnection};

use super::column::{from_json, to_time, to_unsigned};
use super::rollup::{RECORDS_AT_ONCE, records};
use super::{Store, StoreError, UsageFilter};
use crate::domain::{
    ClusterName, Family, RolledCost, RolledUse, TaskCounts, TimestampMs, UsageGroup, UsageRecord,
    UsageStep,
};

/// SQLite adds up roll-ups of that long, and so never comes to more than a column holds.
const CHUNK_MS: i64 = 30 * 86_400_000;

/// What is wanted of the roll-ups.
#[derive(Clone, Debug)]
pub struct RolledQuery {
    /// Whose.
    pub filter: UsageFilter,
    /// From when on.
    pub from: TimestampMs,
    /// Until when.
    pub to: TimestampMs,
    /// Each such step by itself, of all groups together; without one, each group by itself, over all of the time.
    pub by: Option<UsageStep>,
    /// The terms of the price sheet, and of another one.
    pub terms: (String, Option<String>),
}

/// A part of the answer.
#[derive(Debug)]
pub enum UsagePart<'a> {
    /// Tasks that are rolled up came to that.
    Rolled {
        /// Their group, unless steps are wanted.
        group: Option<&'a UsageGroup>,
        /// When it begins; where groups are wanted, the beginning of it all.
        starts_at: TimestampMs,
        /// What they reserved and used. Where groups are wanted, only those are counted as carried that were carried into
        /// the beginning of it all.
        usage: &'a RolledUse,
        /// What that costs, by each of the price sheets.
        costs: &'a [RolledCost],
    },
    /// A task that is not rolled up.
    Unrolled(&'a UsageRecord),
    /// A task that is: of it, only what lies between these moments is wanted.
    Edge(&'a UsageRecord, TimestampMs, TimestampMs),
}

/// Why the roll-ups do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRolled {
    /// It begins or ends within an hour whose intervals were removed, or it has no whole hour.
    Uneven,
    /// They are not, or not all, priced by these price sheets.
    Unpriced,
}

type Look<'a> = dyn FnMut(UsagePart<'_>) -> ControlFlow<()> + Send + 'a;

impl Store {
    /// Gives all parts of the answer to `look`, in no order, until that has seen enough. If the roll-ups do not say it, nothing
    /// is given.
    pub async fn rolled_usage(
        &self,
        query: &RolledQuery,
        look: &mut Look<'_>,
    ) -> Result<Result<(), NotRolled>, StoreError> {
        let answered = async {
            let mut reader = self.readers().acquire().await?;
            let mut transaction = reader.begin().await?;
            let answer = answer(&mut transaction, query, look).await;
            transaction.rollback().await?;
            answer
        };
        self.readers().of(answered).await
    }
}

async fn answer(
    db: &mut SqliteConnection,
    query: &RolledQuery,
    look: &mut Look<'_>,
) -> Result<Result<(), NotRolled>, StoreError> {
    let history = sqlx::query!("SELECT longest_ms, gone_until FROM usage_history")
        .fetch_one(&mut *db)
        .await?;
    let gone_until = to_time(history.gone_until);
    let hours = (
        UsageStep::Hour.start_from(query.from),
        UsageStep::Hour.start_of(query.to),
    );
    let edges = [(query.from, hours.0), (hours.1, query.to)];
    let edges = edges.into_iter().filter(|(from, to)| from < to);
    let edges: Vec<(TimestampMs, TimestampMs)> = edges.collect();
    let is_gone = |from: TimestampMs| gone_until.is_some_and(|gone| from < gone);
    if hours.0 >= hours.1 || edges.iter().any(|(from, _)| is_gone(*from)) {
        return Ok(Err(NotRolled::Uneven));
    }
    let mut sheets = Vec::new();
    for terms in std::iter::once(&query.terms.0).chain(&query.terms.1) {
        match sheet(db, terms, query.from).await? {
            Some(id) => sheets.push(id),
            None => return Ok(Err(NotRolled::Unpriced)),
        }
    }
    let rolled = Rolled { query, sheets };
    if rolled.give(db, hours, look).await?.is_break() {
        return Ok(Ok(()));
    }
    let ids = unrolled(db, query.to).await?;
    let mut whole = |record: &UsageRecord| look(UsagePart::Unrolled(record));
    if each(db, &query.filter, &ids, &mut whole).await?.is_break() {
        return Ok(Ok(()));
    }
    for (from, to) in edges {
        let ids = touching(db, (from, to), history.longest_ms).await?;
        let mut part = |record: &UsageRecord| look(UsagePart::Edge(record, from, to));
        if each(db, &query.filter, &ids, &mut part).await?.is_break() {
            break;
        }
    }
    Ok(Ok(()))
}

/// The price sheet of these terms, if all roll-ups from `from` on are priced by it.
async fn sheet(
    db: &mut SqliteConnection,
    terms: &str,
    from: TimestampMs,
) -> Result<Option<i64>, StoreError> {
    let from = from.as_millis();
    Ok(sqlx::query_scalar!(
        "SELECT id FROM usage_sheets
          WHERE terms = ?1 AND priced_until IS NULL AND (priced_since IS NULL OR priced_since <= ?2)",
        terms,
        from
    )
    .fetch_optional(db)
    .await?)
}

/// The whole hours of the answer.
struct Rolled<'a> {
    query: &'a RolledQuery,
    /// One, or two where they are compared.
    sheets: Vec<i64>,
}

/// A row of the answer: a group and a long stretch of time, or a step.
type Row = (i64, i64);

impl Rolled<'_> {
    async fn give(
        &self,
        db: &mut SqliteConnection,
        (from, to): (TimestampMs, TimestampMs),
        look: &mut Look<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let groups = match self.query.by {
            None => groups(db, &self.query.filter).await?,
            Some(_) => BTreeMap::new(),
        };
        for (step, from, to) in stretches(from, to, self.query.by) {
            let mut costs = Vec::new();
            for sheet in &self.sheets {
                costs.push(self.costs(db, *sheet, step, (from, to)).await?);
            }
            for (row, usage) in self.usage(db, step, (from, to)).await? {
                let found: Vec<RolledCost> = costs
                    .iter()
                    .filter_map(|of| of.get(&row).copied())
                    .collect();
                if found.len() < costs.len() {
                    return Err(StoreError::unreadable(
                        "roll-up",
                        &"what it costs is missing",
                    ));
                }
                let (group, starts_at) = match self.query.by {
                    Some(_) => (None, TimestampMs::from_millis(row.1)),
                    None => (groups.get(&row.0), self.query.from),
                };
                let part = UsagePart::Rolled {
                    group,
                    starts_at,
                    usage: &usage,
                    costs: &found,
                };
                if look(part).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn usage(
        &self,
        db: &mut SqliteConnection,
        step: UsageStep,
        (from, to): (TimestampMs, TimestampMs),
    ) -> Result<Vec<(Row, RolledUse)>, StoreError> {
        let (step_ms, from, to) = (step.length_ms(), from.as_millis(), to.as_millis());
        let (by_time, begin) = (self.query.by.is_some(), self.query.from.as_millis());
        let cluster = self.query.filter.cluster.as_ref().map(ClusterName::as_str);
        let family = self.query.filter.family.as_ref().map(Family::as_str);
        let rows = sqlx::query!(
            r#"SELECT iif(?1, 0, group_id) AS "group_id!: i64", iif(?1, starts_at, starts_at / ?2) AS "chunk!: i64",
                      sum(opened) AS "opened!: i64", sum(opened_estimated) AS "opened_estimated!: i64",
                      sum(opened_measured) AS "opened_measured!: i64",
                      sum(iif(?1 OR starts_at = ?3, carried, 0)) AS "carried!: i64",
                      sum(iif(?1 OR starts_at = ?3, carried_estimated, 0)) AS "carried_estimated!: i64",
                      sum(iif(?1 OR starts_at = ?3, carried_measured, 0)) AS "carried_measured!: i64",
                      sum(duration_ms) AS "duration_ms!: i64", sum(milli_vcpu_ms) AS "milli_vcpu_ms!: i64",
                      sum(mib_ms) AS "mib_ms!: i64", sum(used_cpu_ns) AS "used_cpu_ns!: i64",
                      sum(used_memory_kib_ms) AS "used_memory_kib_ms!: i64",
                      sum(measured_milli_vcpu_ms) AS "measured_milli_vcpu_ms!: i64",
                      sum(measured_mib_ms) AS "measured_mib_ms!: i64"
                 FROM usage_rollups
                WHERE step_ms = ?4 AND starts_at >= ?5 AND starts_at < ?6
                  AND ((?7 IS NULL AND ?8 IS NULL) OR group_id IN
                       (SELECT id FROM usage_groups
                         WHERE (?7 IS NULL OR cluster = ?7) AND (?8 IS NULL OR family = ?8)))
                GROUP BY 1, 2"#,
            by_time,
            CHUNK_MS,
            begin,
            step_ms,
            from,
            to,
            cluster,
            family
        )
        .fetch_all(db)
        .await?;
        let counts = |tasks, estimated, measured| -> Result<TaskCounts, StoreError> {
            Ok(TaskCounts {
                tasks: to_unsigned("rollup.tasks", tasks)?,
                estimated: to_unsigned("rollup.estimated", estimated)?,
                measured: to_unsigned("rollup.measured", measured)?,
            })
        };
        let read = rows.into_iter().map(|row| {
            let usage = RolledUse {
                opened: counts(row.opened, row.opened_estimated, row.opened_measured)?,
                carried: counts(row.carried, row.carried_estimated, row.carried_measured)?,
                duration_ms: row.duration_ms.into(),
                milli_vcpu_ms: row.milli_vcpu_ms.into(),
                mib_ms: row.mib_ms.into(),
                used_cpu_ns: row.used_cpu_ns.into(),
                used_memory_kib_ms: row.used_memory_kib_ms.into(),
                measured_milli_vcpu_ms: row.measured_milli_vcpu_ms.into(),
                measured_mib_ms: row.measured_mib_ms.into(),
            };
            Ok(((row.group_id, row.chunk), usage))
        });
        read.collect()
    }

    async fn costs(
        &self,
        db: &mut SqliteConnection,
        sheet: i64,
        step: UsageStep,
        (from, to): (TimestampMs, TimestampMs),
    ) -> Result<BTreeMap<Row, RolledCost>, StoreError> {
        let (step_ms, from, to) = (step.length_ms(), from.as_millis(), to.as_millis());
        let by_time = self.query.by.is_some();
        let cluster = self.query.filter.cluster.as_ref().map(ClusterName::as_str);
        let family = self.query.filter.family.as_ref().map(Family::as_str);
        let rows = sqlx::query!(
            r#"SELECT iif(?1, 0, group_id) AS "group_id!: i64", iif(?1, starts_at, starts_at / ?2) AS "chunk!: i64",
                      sum(billed_milli_vcpu_ms) AS "billed_milli_vcpu_ms!: i64",
                      sum(billed_mib_ms) AS "billed_mib_ms!: i64", sum(billed_tasks) AS "billed_tasks!: i64",
                      sum(vcpu_nano) AS "vcpu_nano!: i64", sum(memory_nano) AS "memory_nano!: i64",
                      sum(tasks_nano) AS "tasks_nano!: i64", sum(unpriced_ms) AS "unpriced_ms!: i64"
                 FROM usage_costs
                WHERE sheet_id = ?3 AND step_ms = ?4 AND starts_at >= ?5 AND starts_at < ?6
                  AND ((?7 IS NULL AND ?8 IS NULL) OR group_id IN
                       (SELECT id FROM usage_groups
                         WHERE (?7 IS NULL OR cluster = ?7) AND (?8 IS NULL OR family = ?8)))
                GROUP BY 1, 2"#,
            by_time,
            CHUNK_MS,
            sheet,
            step_ms,
            from,
            to,
            cluster,
            family
        )
        .fetch_all(db)
        .await?;
        let rows = rows.into_iter().map(|row| {
            let cost = RolledCost {
                billed_milli_vcpu_ms: row.billed_milli_vcpu_ms.into(),
                billed_mib_ms: row.billed_mib_ms.into(),
                billed_tasks: row.billed_tasks.into(),
                vcpu_nano: row.vcpu_nano.into(),
                memory_nano: row.memory_nano.into(),
                tasks_nano: row.tasks_nano.into(),
                unpriced_ms: row.unpriced_ms.into(),
            };
            ((row.group_id, row.chunk), cost)
        });
        Ok(rows.collect())
    }
}

/// The hours from `from` up to `to`, as few steps as there can be: whole days as such, unless hours are wanted.
fn stretches(
    from: TimestampMs,
    to: TimestampMs,
    by: Option<UsageStep>,
) -> Vec<(UsageStep, TimestampMs, TimestampMs)> {
    let (first, last) = (UsageStep::Day.start_from(from), UsageStep::Day.start_of(to));
    if by == Some(UsageStep::Hour) || first >= last {
        return vec![(UsageStep::Hour, from, to)];
    }
    let stretches = [
        (UsageStep::Hour, from, first),
        (UsageStep::Day, first, last),
        (UsageStep::Hour, last, to),
    ];
    let stretches = stretches.into_iter().filter(|(_, from, to)| from < to);
    stretches.collect()
}

async fn groups(
    db: &mut SqliteConnection,
    filter: &UsageFilter,
) -> Result<BTreeMap<i64, UsageGroup>, StoreError> {
    let cluster = filter.cluster.as_ref().map(ClusterName::as_str);
    let family = filter.family.as_ref().map(Family::as_str);
    let rows = sqlx::query!(
        "SELECT id, cluster, family, service, tags FROM usage_groups
          WHERE (?1 IS NULL OR cluster = ?1) AND (?2 IS NULL OR family = ?2)",
        cluster,
        family
    )
    .fetch_all(db)
    .await?;
    let read = rows.into_iter().map(|row| {
        let service = (!row.service.is_empty()).then(|| row.service.parse());
        let group = UsageGroup {
            cluster: row.cluster.parse()?,
            family: row.family.parse()?,
            service: service.transpose()?,
            tags: from_json("usage_groups.tags", &row.tags)?,
        };
        Ok((row.id, group))
    });
    read.collect()
}

/// Those that are not rolled up, and began before `to`.
async fn unrolled(db: &mut SqliteConnection, to: TimestampMs) -> Result<Vec<String>, StoreError> {
    let to = to.as_millis();
    Ok(sqlx::query_scalar!(
        "SELECT task_id FROM usage_unrolled WHERE opened_at < ?1",
        to
    )
    .fetch_all(db)
    .await?)
}

/// Those that are rolled up, and were in some of the time; none of them is longer than `longest_ms`.
async fn touching(
    db: &mut SqliteConnection,
    (from, to): (TimestampMs, TimestampMs),
    longest_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let (from, to) = (from.as_millis(), to.as_millis());
    let latest_end = to.saturating_add(longest_ms);
    Ok(sqlx::query_scalar!(
        "SELECT i.task_id FROM usage_intervals i INDEXED BY usage_intervals_by_closing
          WHERE i.closed_at >= ?1 AND i.closed_at <= ?3 AND i.opened_at < ?2
            AND (i.closed_at > ?1 OR i.opened_at >= ?1)
            AND NOT EXISTS (SELECT 1 FROM usage_unrolled u
                             WHERE u.opened_at = i.opened_at AND u.task_id = i.task_id)",
        from,
        to,
        latest_end
    )
    .fetch_all(db)
    .await?)
}

/// Looks at the records of these tasks that `filter` lets pass.
async fn each(
    db: &mut SqliteConnection,
    filter: &UsageFilter,
    ids: &[String],
    look: &mut (dyn FnMut(&UsageRecord) -> ControlFlow<()> + Send),
) -> Result<ControlFlow<()>, StoreError> {
    for some in ids.chunks(RECORDS_AT_ONCE) {
        for record in records(db, some).await? {
            let interval = &record.usage.interval;
            let family = &interval.definition.family;
            let is_wanted = filter
                .cluster
                .as_ref()
                .is_none_or(|of| *of == interval.cluster)
                && filter.family.as_ref().is_none_or(|of| of == family);
            if is_wanted && look(&record).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}
