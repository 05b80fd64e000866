//! Log groups and their streams: names of logs, and never what the logs say.
//!
//! A task's streams are recorded in the transaction that accepts the task, and make their groups if need be.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::column::{from_json, to_json, to_unsigned};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError};
use crate::domain::{LogGroup, LogGroupName, LogStream, Task, TimestampMs};

/// The order of a list of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamOrder {
    /// By name.
    #[default]
    Name,
    /// By name, the last first.
    NameDescending,
    /// The oldest first.
    Age,
    /// The newest first.
    AgeDescending,
}

/// Streams that may have lines of some time.
#[derive(Clone, Debug, Default)]
pub struct StreamFilter {
    /// Only these; all if there are none.
    pub names: Vec<String>,
    /// Only those whose names begin like this.
    pub prefix: String,
    /// Only of tasks that had not ended before.
    pub from: Option<TimestampMs>,
    /// Only of tasks that had begun by then.
    pub to: Option<TimestampMs>,
}

/// Behind every name that begins with `prefix`.
fn behind(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

macro_rules! group_rows {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            GroupRow,
            "SELECT name, retention_in_days, tags, created_at FROM log_groups " + $rest
            $(, $argument)*
        )
    };
}

macro_rules! stream_rows {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            StreamRow,
            "SELECT seq, name, task_id, container, created_at FROM log_streams " + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    /// Makes a log group. Fails with [`StoreError::AlreadyExists`] if there is one of that name.
    pub async fn create_log_group(&self, group: LogGroup) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let what = format!("log group `{}`", group.name);
                    if insert_group(db, &group).await? {
                        Ok(())
                    } else {
                        Err(StoreError::AlreadyExists { what })
                    }
                })
            })
            .await
    }

    /// Deletes a log group and its streams. What tasks wrote stays with the tasks.
    pub async fn delete_log_group(&self, name: &LogGroupName) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = name.as_str();
                    sqlx::query!("DELETE FROM log_streams WHERE log_group = ?1", text)
                        .execute(&mut *db)
                        .await?;
                    let deleted = sqlx::query!("DELETE FROM log_groups WHERE name = ?1", text)
                        .execute(db)
                        .await?;
                    found(deleted.rows_affected(), &name)
                })
            })
            .await
    }

    /// Notes for how long the lines of a group are to be kept.
    pub async fn put_log_retention(
        &self,
        name: &LogGroupName,
        days: Option<u32>,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = name.as_str();
                    let updated = sqlx::query!(
                        "UPDATE log_groups SET retention_in_days = ?2 WHERE name = ?1",
                        text,
                        days
                    )
                    .execute(db)
                    .await?;
                    found(updated.rows_affected(), &name)
                })
            })
            .await
    }

    /// Replaces the tags of a group by what `change` makes of them.
    pub async fn tag_log_group(
        &self,
        name: &LogGroupName,
        change: impl FnOnce(&mut BTreeMap<String, String>) + Send + 'static,
    ) -> Result<LogGroup, StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let mut group = find_group(db, &name).await?.ok_or_else(|| absent(&name))?;
                    change(&mut group.tags);
                    let (text, tags) = (name.as_str(), to_json(&group.tags)?);
                    sqlx::query!(
                        "UPDATE log_groups SET tags = ?2 WHERE name = ?1",
                        text,
                        tags
                    )
                    .execute(db)
                    .await?;
                    Ok(group)
                })
            })
            .await
    }

    /// The log group of that name.
    pub async fn log_group(&self, name: &LogGroupName) -> Result<Option<LogGroup>, StoreError> {
        let found = async { find_group(&mut *self.readers().acquire().await?, name).await };
        self.readers().of(found).await
    }

    /// Log groups by name: those that begin with `prefix` and have `part` somewhere, in whichever letters.
    pub async fn log_groups(
        &self,
        prefix: &str,
        part: &str,
        request: &PageRequest,
    ) -> Result<Page<LogGroup>, StoreError> {
        let after: String = request.after(List::LogGroups)?.unwrap_or_default();
        let (behind, limit) = (behind(prefix), request.rows());
        let part = part.to_lowercase();
        let rows = group_rows!(
            "WHERE name > ?1 AND name >= ?2 AND name < ?3 AND instr(lower(name), ?4) > 0
             ORDER BY name LIMIT ?5",
            after,
            prefix,
            behind,
            part,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let Page { items, next } =
            request.page(List::LogGroups, rows, |row: &GroupRow| row.name.clone())?;
        let items = items.into_iter().map(LogGroup::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Makes a stream that no task writes to. Fails with [`StoreError::NotFound`] if there is no such group, and with
    /// [`StoreError::AlreadyExists`] if it has such a stream.
    pub async fn create_log_stream(
        &self,
        group: &LogGroupName,
        stream: &str,
        now: TimestampMs,
    ) -> Result<(), StoreError> {
        let (group, stream) = (group.clone(), stream.to_owned());
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    if find_group(&mut *db, &group).await?.is_none() {
                        return Err(absent(&group));
                    }
                    if insert_stream(db, &group, &stream, None, now).await? {
                        Ok(())
                    } else {
                        let what = format!("log stream `{stream}`");
                        Err(StoreError::AlreadyExists { what })
                    }
                })
            })
            .await
    }

    /// One stream of a group.
    pub async fn log_stream(
        &self,
        group: &LogGroupName,
        name: &str,
    ) -> Result<Option<LogStream>, StoreError> {
        let group = group.as_str();
        let row = stream_rows!("WHERE log_group = ?1 AND name = ?2", group, name)
            .fetch_optional(self.readers())
            .await?;
        row.map(LogStream::try_from).transpose()
    }

    /// The streams of a group. By age, no `prefix` is looked at.
    pub async fn log_streams(
        &self,
        group: &LogGroupName,
        prefix: &str,
        order: StreamOrder,
        request: &PageRequest,
    ) -> Result<Page<LogStream>, StoreError> {
        let (group, limit) = (group.as_str(), request.rows());
        let behind = behind(prefix);
        let by_name = || request.after::<String>(List::LogStreams);
        let by_age = || request.after::<i64>(List::NewestLogStreams);
        let readers = self.readers();
        let rows = match order {
            StreamOrder::Name => {
                let after = by_name()?.unwrap_or_default();
                stream_rows!(
                    "WHERE log_group = ?1 AND name > ?2 AND name >= ?3 AND name < ?4 ORDER BY name LIMIT ?5",
                    group, after, prefix, behind, limit
                )
                .fetch_all(readers)
                .await?
            }
            StreamOrder::NameDescending => {
                let before = by_name()?.unwrap_or_else(|| behind.clone());
                stream_rows!(
                    "WHERE log_group = ?1 AND name < ?2 AND name >= ?3 AND name < ?4 ORDER BY name DESC LIMIT ?5",
                    group, before, prefix, behind, limit
                )
                .fetch_all(readers)
                .await?
            }
            StreamOrder::Age => {
                let after = by_age()?.unwrap_or_default();
                stream_rows!(
                    "WHERE log_group = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                    group,
                    after,
                    limit
                )
                .fetch_all(readers)
                .await?
            }
            StreamOrder::AgeDescending => {
                let before = by_age()?.unwrap_or(i64::MAX);
                stream_rows!(
                    "WHERE log_group = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3",
                    group,
                    before,
                    limit
                )
                .fetch_all(readers)
                .await?
            }
        };
        let Page { items, next } = match order {
            StreamOrder::Name | StreamOrder::NameDescending => {
                request.page(List::LogStreams, rows, |row: &StreamRow| row.name.clone())?
            }
            StreamOrder::Age | StreamOrder::AgeDescending => {
                request.page(List::NewestLogStreams, rows, |row: &StreamRow| row.seq)?
            }
        };
        let items = items.into_iter().map(LogStream::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Streams of tasks after number `after` that may have lines for `filter`, oldest first, `limit` at most.
    pub async fn written_log_streams(
        &self,
        group: &LogGroupName,
        filter: &StreamFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<LogStream>, StoreError> {
        let group = group.as_str();
        let names = match filter.names.as_slice() {
            [] => None,
            names => Some(to_json(names)?),
        };
        let behind = behind(&filter.prefix);
        let from = filter.from.map_or(i64::MIN, TimestampMs::as_millis);
        let to = filter.to.map_or(i64::MAX, TimestampMs::as_millis);
        let rows = sqlx::query_as!(
            StreamRow,
            "SELECT log_streams.seq, name, task_id, container, log_streams.created_at
               FROM log_streams JOIN tasks ON tasks.id = task_id
              WHERE log_group = ?1 AND log_streams.seq > ?2
                AND (?3 IS NULL OR name IN (SELECT value FROM json_each(?3)))
                AND name >= ?4 AND name < ?5
                AND tasks.created_at <= ?6 AND (stopped_at IS NULL OR stopped_at >= ?7)
              ORDER BY log_streams.seq LIMIT ?8",
            group,
            after,
            names,
            filter.prefix,
            behind,
            to,
            from,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(LogStream::try_from).collect()
    }
}

/// Records the streams of a task that is accepted.
pub(super) async fn begin_streams(
    db: &mut SqliteConnection,
    task: &Task,
) -> Result<(), StoreError> {
    for (group, stream, container) in task.log_streams() {
        let made = LogGroup {
            name: group.clone(),
            retention_in_days: None,
            tags: BTreeMap::new(),
            created_at: task.created_at,
        };
        insert_group(&mut *db, &made).await?;
        let writer = Some((task.id.as_str(), container.as_str()));
        insert_stream(&mut *db, group, &stream, writer, task.created_at).await?;
    }
    Ok(())
}

async fn find_group(
    db: &mut SqliteConnection,
    name: &LogGroupName,
) -> Result<Option<LogGroup>, StoreError> {
    let name = name.as_str();
    let row = group_rows!("WHERE name = ?1", name)
        .fetch_optional(db)
        .await?;
    row.map(LogGroup::try_from).transpose()
}

/// False if there is one already.
async fn insert_group(db: &mut SqliteConnection, group: &LogGroup) -> Result<bool, StoreError> {
    let (name, tags) = (group.name.as_str(), to_json(&group.tags)?);
    let created_at = group.created_at.as_millis();
    let inserted = sqlx::query!(
        "INSERT INTO log_groups (name, retention_in_days, tags, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        name,
        group.retention_in_days,
        tags,
        created_at
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// False if there is one already.
async fn insert_stream(
    db: &mut SqliteConnection,
    group: &LogGroupName,
    stream: &str,
    writer: Option<(&str, &str)>,
    now: TimestampMs,
) -> Result<bool, StoreError> {
    let (group, now) = (group.as_str(), now.as_millis());
    let (task, container) = writer.unzip();
    let inserted = sqlx::query!(
        "INSERT INTO log_streams (log_group, name, task_id, container, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        group,
        stream,
        task,
        container,
        now
    )
    .execute(db)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

fn found(rows: u64, name: &LogGroupName) -> Result<(), StoreError> {
    if rows > 0 { Ok(()) } else { Err(absent(name)) }
}

fn absent(name: &LogGroupName) -> StoreError {
    StoreError::not_found(format!("log group `{name}`"))
}

struct GroupRow {
    name: String,
    retention_in_days: Option<i64>,
    tags: String,
    created_at: i64,
}

impl TryFrom<GroupRow> for LogGroup {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        let days = row.retention_in_days;
        Ok(Self {
            name: row.name.parse()?,
            retention_in_days: days
                .map(|days| to_unsigned("logGroup.retentionInDays", days))
                .transpose()?,
            tags: from_json("logGroup.tags", &row.tags)?,
            created_at: TimestampMs::from_millis(row.created_at),
        })
    }
}

struct StreamRow {
    seq: i64,
    name: String,
    task_id: Option<String>,
    container: Option<String>,
    created_at: i64,
}

impl TryFrom<StreamRow> for LogStream {
    type Error = StoreError;

    fn try_from(row: StreamRow) -> Result<Self, StoreError> {
        let writer = match (row.task_id, row.container) {
            (Some(task), Some(container)) => Some((task.parse()?, container.parse()?)),
            _ => None,
        };
        Ok(Self {
            seq: row.seq,
            name: row.name,
            writer,
            created_at: TimestampMs::from_millis(row.created_at),
        })
    }
}

#[cfg(test)]
mod tests;
