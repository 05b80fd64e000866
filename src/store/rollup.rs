//! Roll-ups of usage intervals: each interval is added once, when it is closed, and may be removed after that.
//!
//! `usage_unrolled` lists the intervals that are in no roll-up; triggers put each into it when it is opened. One
//! transaction takes some from that list and adds what they come to: so wherever the process ends, an interval is
//! either on the list or in the roll-ups, never in both and never in neither. What an interval comes to is not decided
//! here: the meter says it ([`RollUp`]). Whether there is anything to do is read first: nothing is written for nothing.

use std::collections::BTreeMap;

use sqlx::{SqliteConnection, SqliteExecutor};

use super::column::{from_json, to_json, to_time};
use super::usage::UsageRow;
use super::{Store, StoreError};
use crate::domain::{
    RollUp, RolledBooks, RolledCost, RolledPart, RolledSum, RolledUse, ServiceName, TaskUse,
    TimestampMs, UsageGroup, UsageRecord, UsageStep,
};

/// Price sheets that are kept although no sheet has their terms any more.
const SHEETS_KEPT: usize = 32;
/// Records that are read at once.
pub(super) const RECORDS_AT_ONCE: usize = 500;

/// Says from when on two terms may cost something else; `None` if at any time.
pub type DifferFrom = fn(&str, &str) -> Option<TimestampMs>;

impl Store {
    /// Has roll-ups priced by sheets of these `terms`, beside those that they are priced by already. A sheet that only says
    /// something else than an earlier one of times after all that was priced takes its place.
    pub async fn note_price_sheets(
        &self,
        terms: Vec<String>,
        differ_from: DifferFrom,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move { note_price_sheets(db, &terms, differ_from).await })
            })
            .await
    }

    /// Rolls up at most `most` intervals of tasks that are cleaned up, of which no end moves any more, and tells how many.
    pub async fn roll_up(&self, most: u32, meter: RollUp) -> Result<usize, StoreError> {
        if ready(self.readers(), 1).await?.is_empty() {
            return Ok(0);
        }
        self.writer()
            .write(move |db| Box::pin(roll_up(db, most, meter)))
            .await
    }

    /// Looks at `most` intervals that may have been rolled up before some price sheet came, and adds what they cost by it.
    /// Tells how many it looked at.
    pub async fn price_rollups(&self, most: u32, meter: RollUp) -> Result<usize, StoreError> {
        if !is_a_sheet_behind(self.readers()).await? {
            return Ok(0);
        }
        self.writer()
            .write(move |db| Box::pin(price(db, most, meter)))
            .await
    }

    /// Removes at most `most` of the intervals that ended before `before` and are rolled up, with what their tasks were
    /// measured to use. Tells how many.
    pub async fn remove_usage(&self, before: TimestampMs, most: u32) -> Result<usize, StoreError> {
        let before = before.as_millis();
        if too_old(self.readers(), before, 1).await?.is_empty() {
            return Ok(0);
        }
        self.writer()
            .write(move |db| Box::pin(remove(db, before, most)))
            .await
    }

    /// What ended before that was removed; `None` if nothing was.
    pub async fn usage_gone_until(&self) -> Result<Option<TimestampMs>, StoreError> {
        let gone = sqlx::query_scalar!("SELECT gone_until FROM usage_history")
            .fetch_one(self.readers())
            .await?;
        Ok(to_time(gone))
    }
}

/// A price sheet that roll-ups are priced by.
struct Sheet {
    id: i64,
    terms: String,
    /// How far the intervals are priced that had been rolled up before it came; `None`: all are.
    priced_until: Option<(i64, String)>,
    last_closed_at: Option<i64>,
}

impl Sheet {
    /// Whether an interval that is rolled up now must be priced by it now. If not, it is when all others are.
    fn has_passed(&self, record: &UsageRecord) -> bool {
        let interval = &record.usage.interval;
        match &self.priced_until {
            None => true,
            Some((at, task)) => {
                (interval.opened_at.as_millis(), interval.task_id.as_str()) <= (*at, task.as_str())
            }
        }
    }
}

async fn sheets(db: impl SqliteExecutor<'_>) -> Result<Vec<Sheet>, StoreError> {
    let rows = sqlx::query!(
        "SELECT id, terms, priced_until, priced_task, last_closed_at FROM usage_sheets ORDER BY id"
    )
    .fetch_all(db)
    .await?;
    let sheets = rows.into_iter().map(|row| Sheet {
        id: row.id,
        terms: row.terms,
        priced_until: row.priced_until.zip(row.priced_task),
        last_closed_at: row.last_closed_at,
    });
    Ok(sheets.collect())
}

/// Whether some of what is rolled up is not priced yet by one of the sheets.
async fn is_a_sheet_behind(db: impl SqliteExecutor<'_>) -> Result<bool, StoreError> {
    let sheets = sheets(db).await?;
    Ok(sheets.iter().any(|sheet| sheet.priced_until.is_some()))
}

async fn note_price_sheets(
    db: &mut SqliteConnection,
    terms: &[String],
    differ_from: DifferFrom,
) -> Result<(), StoreError> {
    let mut unused = sheets(&mut *db).await?;
    let known: Vec<String> = unused.iter().map(|sheet| sheet.terms.clone()).collect();
    unused.retain(|sheet| !terms.contains(&sheet.terms));
    for new in terms.iter().filter(|new| !known.contains(new)) {
        let agrees = |sheet: &Sheet| {
            let from = differ_from(&sheet.terms, new).map(TimestampMs::as_millis);
            from.is_some_and(|from| sheet.last_closed_at.is_none_or(|last| last < from))
        };
        if let Some(place) = unused.iter().position(agrees) {
            let sheet = unused.remove(place);
            sqlx::query!(
                "UPDATE usage_sheets SET terms = ?1 WHERE id = ?2",
                new,
                sheet.id
            )
            .execute(&mut *db)
            .await?;
            continue;
        }
        sqlx::query!(
            "INSERT INTO usage_sheets (terms, priced_until, priced_task, priced_since)
             SELECT ?1, -9223372036854775808, '', gone_until FROM usage_history",
            new
        )
        .execute(&mut *db)
        .await?;
    }
    let too_many = unused.len().saturating_sub(SHEETS_KEPT);
    for sheet in unused.iter().take(too_many) {
        sqlx::query!("DELETE FROM usage_costs WHERE sheet_id = ?1", sheet.id)
            .execute(&mut *db)
            .await?;
        sqlx::query!("DELETE FROM usage_sheets WHERE id = ?1", sheet.id)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

/// What is added to roll-ups in one transaction, added up before.
#[derive(Default)]
struct Additions {
    usage: BTreeMap<Key, RolledUse>,
    costs: BTreeMap<(i64, Key), RolledCost>,
    groups: BTreeMap<UsageGroup, i64>,
}

/// Which roll-up: the length of its step, its beginning, its group.
type Key = (i64, i64, i64);

impl Additions {
    /// Adds `parts`, which are priced by `sheets`. Without `with_usage`, only what they cost.
    async fn add(
        &mut self,
        db: &mut SqliteConnection,
        record: &UsageRecord,
        parts: Vec<RolledPart>,
        sheets: &[i64],
        with_usage: bool,
    ) -> Result<(), StoreError> {
        let group = UsageGroup::of(record);
        let id = match self.groups.get(&group) {
            Some(id) => *id,
            None => group_id(db, &group).await?,
        };
        self.groups.insert(group, id);
        for part in parts {
            let key = (part.step.length_ms(), part.starts_at.as_millis(), id);
            if with_usage {
                *self.usage.entry(key).or_default() += part.usage;
            }
            for (sheet, cost) in sheets.iter().zip(part.costs) {
                *self.costs.entry((*sheet, key)).or_default() += cost;
            }
        }
        Ok(())
    }

    async fn write(self, db: &mut SqliteConnection) -> Result<(), StoreError> {
        for (key, usage) in self.usage {
            add_usage(db, key, &usage).await?;
        }
        for ((sheet, key), cost) in self.costs {
            add_cost(db, sheet, key, &cost).await?;
        }
        Ok(())
    }
}

/// The tasks whose intervals can be rolled up; at most `most`.
async fn ready(db: impl SqliteExecutor<'_>, most: u32) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT u.task_id FROM usage_unrolled u JOIN usage_intervals i ON i.task_id = u.task_id
                  JOIN tasks t ON t.id = u.task_id
            WHERE i.closed_at IS NOT NULL AND t.cleaned_at IS NOT NULL LIMIT ?1"#,
        most
    )
    .fetch_all(db)
    .await?)
}

async fn roll_up(db: &mut SqliteConnection, most: u32, meter: RollUp) -> Result<usize, StoreError> {
    let ids = ready(&mut *db, most).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let sheets = sheets(&mut *db).await?;
    let mut additions = Additions::default();
    let mut longest = 0;
    for record in records(db, &ids).await? {
        let interval = &record.usage.interval;
        let by: Vec<&Sheet> = sheets
            .iter()
            .filter(|one| one.has_passed(&record))
            .collect();
        let sheet_ids: Vec<i64> = by.iter().map(|sheet| sheet.id).collect();
        let parts = parts(&record, by.iter().map(|sheet| sheet.terms.clone()), meter)?;
        longest = longest.max(interval.length(interval.opened_at).as_millis());
        for sheet in &sheet_ids {
            note_priced(db, *sheet, &record).await?;
        }
        additions.add(db, &record, parts, &sheet_ids, true).await?;
    }
    additions.write(db).await?;
    let list = to_json(&ids)?;
    let taken = sqlx::query!(
        "DELETE FROM usage_unrolled WHERE (opened_at, task_id) IN
             (SELECT opened_at, task_id FROM usage_intervals WHERE task_id IN (SELECT value FROM json_each(?1)))",
        list
    )
    .execute(&mut *db)
    .await?
    .rows_affected();
    sqlx::query!(
        "UPDATE usage_history SET longest_ms = max(longest_ms, ?1)",
        longest
    )
    .execute(db)
    .await?;
    if taken == u64::try_from(ids.len()).unwrap_or(u64::MAX) {
        Ok(ids.len())
    } else {
        // The transaction is taken back: nothing of it may stay.
        Err(StoreError::Refused(format!(
            "{} intervals were rolled up, and {taken} were to be",
            ids.len()
        )))
    }
}

async fn price(db: &mut SqliteConnection, most: u32, meter: RollUp) -> Result<usize, StoreError> {
    let sheets = sheets(&mut *db).await?;
    let behind = |sheet: Sheet| {
        sheet
            .priced_until
            .map(|until| (sheet.id, sheet.terms, until))
    };
    let Some((sheet, terms, (at, task))) = sheets.into_iter().find_map(behind) else {
        return Ok(0);
    };
    let rows = sqlx::query!(
        r#"SELECT i.opened_at, i.task_id,
                  EXISTS (SELECT 1 FROM usage_unrolled u
                           WHERE u.opened_at = i.opened_at AND u.task_id = i.task_id) AS "is_unrolled!: bool"
             FROM usage_intervals i INDEXED BY usage_intervals_by_opening
            WHERE (i.opened_at, i.task_id) > (?1, ?2)
            ORDER BY i.opened_at, i.task_id LIMIT ?3"#,
        at,
        task,
        most
    )
    .fetch_all(&mut *db)
    .await?;
    let rolled = rows.iter().filter(|row| !row.is_unrolled);
    let ids: Vec<String> = rolled.map(|row| row.task_id.clone()).collect();
    let mut additions = Additions::default();
    for record in records(db, &ids).await? {
        let parts = parts(&record, [terms.clone()], meter)?;
        note_priced(db, sheet, &record).await?;
        additions.add(db, &record, parts, &[sheet], false).await?;
    }
    additions.write(db).await?;
    // One that is behind the last of them and not rolled up yet will be priced when it is.
    let is_done = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let last = rows.last().filter(|_| !is_done);
    let (at, task) = (last.map(|row| row.opened_at), last.map(|row| &row.task_id));
    sqlx::query!(
        "UPDATE usage_sheets SET priced_until = ?1, priced_task = ?2 WHERE id = ?3",
        at,
        task,
        sheet
    )
    .execute(db)
    .await?;
    // Also when there was nothing to be done but to note that.
    Ok(rows.len().max(1))
}

/// What `record` adds, by sheets of these `terms`.
fn parts(
    record: &UsageRecord,
    terms: impl IntoIterator<Item = String>,
    meter: RollUp,
) -> Result<Vec<RolledPart>, StoreError> {
    let terms: Vec<String> = terms.into_iter().collect();
    meter(record, &terms).ok_or_else(|| {
        let what = format!("usage interval of task `{}`", record.usage.interval.task_id);
        StoreError::unreadable(&what, &"it cannot be rolled up")
    })
}

async fn note_priced(
    db: &mut SqliteConnection,
    sheet: i64,
    record: &UsageRecord,
) -> Result<(), StoreError> {
    let closed_at = record.usage.interval.closed.map(|(at, _)| at.as_millis());
    sqlx::query!(
        "UPDATE usage_sheets SET last_closed_at = ?1
          WHERE id = ?2 AND (last_closed_at IS NULL OR last_closed_at < ?1)",
        closed_at,
        sheet
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The tasks whose intervals ended before `before` and are rolled up; at most `most`.
async fn too_old(
    db: impl SqliteExecutor<'_>,
    before: i64,
    most: u32,
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT i.task_id FROM usage_intervals i INDEXED BY usage_intervals_by_closing
            WHERE i.closed_at < ?1
              AND NOT EXISTS (SELECT 1 FROM usage_unrolled u
                               WHERE u.opened_at = i.opened_at AND u.task_id = i.task_id)
            ORDER BY i.closed_at LIMIT ?2"#,
        before,
        most
    )
    .fetch_all(db)
    .await?)
}

async fn remove(db: &mut SqliteConnection, before: i64, most: u32) -> Result<usize, StoreError> {
    if is_a_sheet_behind(&mut *db).await? {
        return Ok(0);
    }
    let ids = too_old(&mut *db, before, most).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let list = to_json(&ids)?;
    sqlx::query!(
        "UPDATE usage_history SET
             gone_until = max(coalesce(gone_until, ?1), ?1),
             removed_tasks = removed_tasks + gone.tasks,
             removed_milli_vcpu_ms = removed_milli_vcpu_ms + gone.milli_vcpu_ms,
             removed_mib_ms = removed_mib_ms + gone.mib_ms
           FROM (SELECT count(*) AS tasks,
                        sum((closed_at - opened_at) * (cpu_units * 1000 / 1024)) AS milli_vcpu_ms,
                        sum((closed_at - opened_at) * memory_mib) AS mib_ms
                   FROM usage_intervals WHERE task_id IN (SELECT value FROM json_each(?2))) AS gone",
        before,
        list
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "DELETE FROM usage_intervals WHERE task_id IN (SELECT value FROM json_each(?1))",
        list
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!(
        "DELETE FROM usage_measured WHERE task_id IN (SELECT value FROM json_each(?1))",
        list
    )
    .execute(db)
    .await?;
    Ok(ids.len())
}

async fn group_id(db: &mut SqliteConnection, group: &UsageGroup) -> Result<i64, StoreError> {
    let (cluster, family) = (group.cluster.as_str(), group.family.as_str());
    let service = group.service.as_ref().map_or("", ServiceName::as_str);
    let tags = to_json(&group.tags)?;
    sqlx::query!(
        "INSERT INTO usage_groups (cluster, family, service, tags) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        cluster,
        family,
        service,
        tags
    )
    .execute(&mut *db)
    .await?;
    Ok(sqlx::query_scalar!(
        "SELECT id FROM usage_groups WHERE cluster = ?1 AND family = ?2 AND service = ?3 AND tags = ?4",
        cluster,
        family,
        service,
        tags
    )
    .fetch_one(db)
    .await?)
}

/// As a column has it. Nothing that is to be billed is ever cut off: what has no room is refused.
fn column(number: impl TryInto<i64>) -> Result<i64, StoreError> {
    number
        .try_into()
        .map_err(|_| StoreError::Refused("a roll-up would be too large".to_owned()))
}

async fn add_usage(
    db: &mut SqliteConnection,
    (step_ms, starts_at, group): Key,
    usage: &RolledUse,
) -> Result<(), StoreError> {
    let opened = column(usage.opened.tasks)?;
    let opened_estimated = column(usage.opened.estimated)?;
    let opened_measured = column(usage.opened.measured)?;
    let carried = column(usage.carried.tasks)?;
    let carried_estimated = column(usage.carried.estimated)?;
    let carried_measured = column(usage.carried.measured)?;
    let (duration_ms, milli_vcpu_ms) = (column(usage.duration_ms)?, column(usage.milli_vcpu_ms)?);
    let (mib_ms, used_cpu_ns) = (column(usage.mib_ms)?, column(usage.used_cpu_ns)?);
    let used_memory_kib_ms = column(usage.used_memory_kib_ms)?;
    let measured_milli_vcpu_ms = column(usage.measured_milli_vcpu_ms)?;
    let measured_mib_ms = column(usage.measured_mib_ms)?;
    sqlx::query!(
        "INSERT INTO usage_rollups
             (step_ms, starts_at, group_id, opened, opened_estimated, opened_measured,
              carried, carried_estimated, carried_measured, duration_ms, milli_vcpu_ms, mib_ms,
              used_cpu_ns, used_memory_kib_ms, measured_milli_vcpu_ms, measured_mib_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT DO UPDATE SET
             opened = opened + excluded.opened,
             opened_estimated = opened_estimated + excluded.opened_estimated,
             opened_measured = opened_measured + excluded.opened_measured,
             carried = carried + excluded.carried,
             carried_estimated = carried_estimated + excluded.carried_estimated,
             carried_measured = carried_measured + excluded.carried_measured,
             duration_ms = duration_ms + excluded.duration_ms,
             milli_vcpu_ms = milli_vcpu_ms + excluded.milli_vcpu_ms,
             mib_ms = mib_ms + excluded.mib_ms,
             used_cpu_ns = used_cpu_ns + excluded.used_cpu_ns,
             used_memory_kib_ms = used_memory_kib_ms + excluded.used_memory_kib_ms,
             measured_milli_vcpu_ms = measured_milli_vcpu_ms + excluded.measured_milli_vcpu_ms,
             measured_mib_ms = measured_mib_ms + excluded.measured_mib_ms",
        step_ms,
        starts_at,
        group,
        opened,
        opened_estimated,
        opened_measured,
        carried,
        carried_estimated,
        carried_measured,
        duration_ms,
        milli_vcpu_ms,
        mib_ms,
        used_cpu_ns,
        used_memory_kib_ms,
        measured_milli_vcpu_ms,
        measured_mib_ms
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn add_cost(
    db: &mut SqliteConnection,
    sheet: i64,
    (step_ms, starts_at, group): Key,
    cost: &RolledCost,
) -> Result<(), StoreError> {
    let billed_milli_vcpu_ms = column(cost.billed_milli_vcpu_ms)?;
    let billed_mib_ms = column(cost.billed_mib_ms)?;
    let billed_tasks = column(cost.billed_tasks)?;
    let (vcpu, memory) = (column(cost.vcpu_nano)?, column(cost.memory_nano)?);
    let (tasks, unpriced_ms) = (column(cost.tasks_nano)?, column(cost.unpriced_ms)?);
    sqlx::query!(
        "INSERT INTO usage_costs
             (sheet_id, step_ms, starts_at, group_id, billed_milli_vcpu_ms, billed_mib_ms, billed_tasks,
              vcpu_nano, memory_nano, tasks_nano, unpriced_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET
             billed_milli_vcpu_ms = billed_milli_vcpu_ms + excluded.billed_milli_vcpu_ms,
             billed_mib_ms = billed_mib_ms + excluded.billed_mib_ms,
             billed_tasks = billed_tasks + excluded.billed_tasks,
             vcpu_nano = vcpu_nano + excluded.vcpu_nano,
             memory_nano = memory_nano + excluded.memory_nano,
             tasks_nano = tasks_nano + excluded.tasks_nano,
             unpriced_ms = unpriced_ms + excluded.unpriced_ms",
        sheet,
        step_ms,
        starts_at,
        group,
        billed_milli_vcpu_ms,
        billed_mib_ms,
        billed_tasks,
        vcpu,
        memory,
        tasks,
        unpriced_ms
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What is on record of these tasks, in no order.
pub(super) async fn records(
    db: &mut SqliteConnection,
    ids: &[String],
) -> Result<Vec<UsageRecord>, StoreError> {
    let ids = to_json(ids)?;
    let rows = sqlx::query!(
        r#"SELECT i.task_id, i.cluster, i.family, revision, cpu_units, memory_mib, opened_at, closed_at, end_evidence,
                  cpu_ns AS "cpu_ns?", memory_kib_ms AS "memory_kib_ms?", memory_peak_bytes AS "memory_peak_bytes?",
                  network_rx_bytes AS "network_rx_bytes?", network_tx_bytes AS "network_tx_bytes?",
                  block_read_bytes AS "block_read_bytes?", block_write_bytes AS "block_write_bytes?",
                  measured_until AS "measured_until?", source AS "source?", t.task_group, t.tags
             FROM usage_intervals i JOIN tasks t ON t.id = i.task_id
                  LEFT JOIN usage_measured m ON m.task_id = i.task_id
            WHERE i.task_id IN (SELECT value FROM json_each(?1))"#,
        ids
    )
    .fetch_all(db)
    .await?;
    let record = |row| -> Result<UsageRecord, StoreError> {
        let (usage, group, tags): (UsageRow, String, String) = row;
        Ok(UsageRecord {
            usage: TaskUse::try_from(usage)?,
            service: ServiceName::of_group(&group),
            tags: from_json("task.tags", &tags)?,
        })
    };
    let rows = rows.into_iter().map(|row| {
        let usage = UsageRow {
            task_id: row.task_id,
            cluster: row.cluster,
            family: row.family,
            revision: row.revision,
            cpu_units: row.cpu_units,
            memory_mib: row.memory_mib,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            end_evidence: row.end_evidence,
            cpu_ns: row.cpu_ns,
            memory_kib_ms: row.memory_kib_ms,
            memory_peak_bytes: row.memory_peak_bytes,
            network_rx_bytes: row.network_rx_bytes,
            network_tx_bytes: row.network_tx_bytes,
            block_read_bytes: row.block_read_bytes,
            block_write_bytes: row.block_write_bytes,
            measured_until: row.measured_until,
            source: row.source,
        };
        (usage, row.task_group, row.tags)
    });
    rows.map(record).collect()
}

/// The roll-ups beside what they are made of.
pub(super) async fn books(db: &mut SqliteConnection) -> Result<RolledBooks, StoreError> {
    let history = sqlx::query!(
        "SELECT gone_until, removed_tasks, removed_milli_vcpu_ms, removed_mib_ms FROM usage_history"
    )
    .fetch_one(&mut *db)
    .await?;
    let intervals = sqlx::query!(
        r#"SELECT count(*) AS "tasks!: i64",
                  coalesce(sum((closed_at - opened_at) * (cpu_units * 1000 / 1024)), 0) AS "milli_vcpu_ms!: i64",
                  coalesce(sum((closed_at - opened_at) * memory_mib), 0) AS "mib_ms!: i64"
             FROM usage_intervals i
            WHERE NOT EXISTS (SELECT 1 FROM usage_unrolled u
                               WHERE u.opened_at = i.opened_at AND u.task_id = i.task_id)"#
    )
    .fetch_one(&mut *db)
    .await?;
    let unpriced = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!: i64"
             FROM usage_sheets s CROSS JOIN usage_rollups r
                  LEFT JOIN usage_costs c ON c.sheet_id = s.id AND c.step_ms = r.step_ms
                       AND c.starts_at = r.starts_at AND c.group_id = r.group_id
            WHERE s.priced_until IS NULL AND s.priced_since IS NULL AND c.sheet_id IS NULL"#
    )
    .fetch_one(&mut *db)
    .await?;
    Ok(RolledBooks {
        gone_until: to_time(history.gone_until),
        intervals: RolledSum {
            tasks: intervals.tasks,
            milli_vcpu_ms: intervals.milli_vcpu_ms,
            mib_ms: intervals.mib_ms,
        },
        removed: RolledSum {
            tasks: history.removed_tasks,
            milli_vcpu_ms: history.removed_milli_vcpu_ms,
            mib_ms: history.removed_mib_ms,
        },
        hours: sum(db, UsageStep::Hour).await?,
        days: sum(db, UsageStep::Day).await?,
        unpriced,
    })
}

async fn sum(db: &mut SqliteConnection, step: UsageStep) -> Result<RolledSum, StoreError> {
    let step_ms = step.length_ms();
    let row = sqlx::query!(
        r#"SELECT coalesce(sum(opened), 0) AS "tasks!: i64", coalesce(sum(milli_vcpu_ms), 0) AS "milli_vcpu_ms!: i64",
                  coalesce(sum(mib_ms), 0) AS "mib_ms!: i64"
             FROM usage_rollups WHERE step_ms = ?1"#,
        step_ms
    )
    .fetch_one(db)
    .await?;
    Ok(RolledSum {
        tasks: row.tasks,
        milli_vcpu_ms: row.milli_vcpu_ms,
        mib_ms: row.mib_ms,
    })
}

#[cfg(test)]
mod tests;
