//! Budgets, and what they are counted from: the changes of the ledger since they were counted last.
//!
//! How a budget stands is recorded together with the events of that, under the version that was read: a crash leaves both or
//! nothing, so no event is lost and none comes twice. The database itself notes each interval that is opened or closed
//! (`usage_changes`) while there are budgets; what all of them have counted is forgotten.

use futures_util::TryStreamExt as _;
use sqlx::{Connection as _, SqliteConnection};

use super::column::{from_json, from_time, from_word, to_json, to_unsigned};
use super::page::List;
use super::usage::parse_evidence;
use super::{Page, PageRequest, Store, StoreError, event};
use crate::domain::{
    Budget, BudgetName, CpuUnits, FamilyRevision, MemoryMib, NewEvent, ServiceName, TaskUse,
    TimestampMs, UsageInterval, UsageRecord,
};

/// What is recorded of a budget, with what happened.
#[derive(Clone, Debug)]
pub struct BudgetRecord {
    /// The budget, with the version that was read.
    pub budget: Budget,
    /// What happened.
    pub events: Vec<NewEvent>,
}

/// Tells whether anything has changed that budgets are counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetPulse {
    /// How many budgets there are.
    pub budgets: i64,
    /// Their versions together.
    pub versions: i64,
    /// The last change of the ledger that was noted.
    pub seq: i64,
}

/// Something in the ledger.
#[derive(Clone, Debug)]
pub enum LedgerLook {
    /// A task that has ended, with the number of that change; and when it had ended before that, if its end was moved.
    Ended(i64, UsageRecord, Option<TimestampMs>),
    /// A task that goes on.
    Open(UsageRecord),
}

/// The budgets that `$rest` picks, which is all that follows the name of the table.
macro_rules! budget_rows {
    ($rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            BudgetRow,
            "SELECT name, definition, state, created_at, updated_at, version FROM budgets " + $rest
            $(, $argument)*
        )
    };
}

/// The intervals that `$rest` picks, with the names that they are counted by; `$change` is the number of the change, and what
/// was the end before it.
macro_rules! ledger_rows {
    ($change:literal, $rest:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            LedgerRow,
            "SELECT " + $change + r#" i.task_id, i.cluster, i.family, i.revision, i.cpu_units, i.memory_mib,
                    i.opened_at, i.end_evidence, t.task_group, t.tags "# + $rest
            $(, $argument)*
        )
    };
}

impl Store {
    /// Records a new budget. Fails with [`StoreError::AlreadyExists`] if there is one of that name.
    pub async fn create_budget(&self, budget: Budget, event: NewEvent) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let columns = Columns::of(&budget)?;
                    let (created_at, updated_at) =
                        (budget.created_at.as_millis(), budget.updated_at.as_millis());
                    let name = budget.name.as_str();
                    let made = sqlx::query!(
                        "INSERT INTO budgets
                             (name, definition, state, stops_until, created_at, updated_at, version)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1) ON CONFLICT (name) DO NOTHING",
                        name,
                        columns.definition,
                        columns.state,
                        columns.stops_until,
                        created_at,
                        updated_at
                    )
                    .execute(&mut *db)
                    .await?;
                    if made.rows_affected() == 0 {
                        let what = format!("budget `{}`", budget.name);
                        return Err(StoreError::AlreadyExists { what });
                    }
                    event::insert(db, &event).await
                })
            })
            .await
    }

    /// Records budgets, all of them or none, and forgets the changes of the ledger up to `counted_until`. The versions must be
    /// those that were read; the rows have the next ones then. Fails with [`StoreError::Stale`] otherwise.
    pub async fn record_budgets(
        &self,
        records: Vec<BudgetRecord>,
        counted_until: Option<i64>,
    ) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    for BudgetRecord { budget, events } in &records {
                        update(db, budget).await?;
                        for one in events {
                            event::insert(db, one).await?;
                        }
                    }
                    if let Some(seq) = counted_until {
                        sqlx::query!("DELETE FROM usage_changes WHERE seq <= ?1", seq)
                            .execute(db)
                            .await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Deletes a budget.
    pub async fn delete_budget(
        &self,
        name: &BudgetName,
        event: NewEvent,
    ) -> Result<(), StoreError> {
        let name = name.clone();
        self.writer()
            .write(move |db| {
                Box::pin(async move {
                    let text = name.as_str();
                    let deleted = sqlx::query!("DELETE FROM budgets WHERE name = ?1", text)
                        .execute(&mut *db)
                        .await?;
                    if deleted.rows_affected() == 0 {
                        return Err(StoreError::not_found(format!("budget `{name}`")));
                    }
                    sqlx::query!(
                        "DELETE FROM usage_changes WHERE NOT EXISTS (SELECT 1 FROM budgets)"
                    )
                    .execute(&mut *db)
                    .await?;
                    event::insert(db, &event).await
                })
            })
            .await
    }

    /// The budget of that name.
    pub async fn budget(&self, name: &BudgetName) -> Result<Option<Budget>, StoreError> {
        let name = name.as_str();
        let row = budget_rows!("WHERE name = ?1", name)
            .fetch_optional(self.readers())
            .await?;
        row.map(Budget::try_from).transpose()
    }

    /// The budgets by name.
    pub async fn budgets(&self, request: &PageRequest) -> Result<Page<Budget>, StoreError> {
        let after: String = request.after(List::Budgets)?.unwrap_or_default();
        let limit = request.rows();
        let rows = budget_rows!("WHERE name > ?1 ORDER BY name LIMIT ?2", after, limit)
            .fetch_all(self.readers())
            .await?;
        let Page { items, next } =
            request.page(List::Budgets, rows, |row: &BudgetRow| row.name.clone())?;
        let items = items.into_iter().map(Budget::try_from);
        Ok(Page {
            items: items.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Those that keep tasks from beginning at `now`. Costs as much as there are such.
    pub async fn budgets_that_stop(&self, now: TimestampMs) -> Result<Vec<Budget>, StoreError> {
        let now = now.as_millis();
        let rows = budget_rows!(
            "INDEXED BY budgets_that_stop WHERE stops_until IS NOT NULL AND stops_until > ?1 ORDER BY name",
            now
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(Budget::try_from).collect()
    }

    /// Whether there is anything new to count.
    pub async fn budget_pulse(&self) -> Result<BudgetPulse, StoreError> {
        let row = sqlx::query!(
            r#"SELECT count(*) AS "budgets!: i64", coalesce(sum(version), 0) AS "versions!: i64",
                      (SELECT coalesce(max(seq), 0) FROM usage_changes) AS "seq!: i64"
                 FROM budgets"#
        )
        .fetch_one(self.readers())
        .await?;
        Ok(BudgetPulse {
            budgets: row.budgets,
            versions: row.versions,
            seq: row.seq,
        })
    }

    /// Shows `look` the tasks that have ended since change `after`, in their order, and then those that go on: as it was at
    /// one moment. Gives the number of the last change of that moment.
    pub async fn ledger_since(
        &self,
        after: i64,
        look: impl FnMut(LedgerLook) + Send,
    ) -> Result<i64, StoreError> {
        self.readers().of(self.changes_since(after, look)).await
    }

    async fn changes_since(
        &self,
        after: i64,
        mut look: impl FnMut(LedgerLook) + Send,
    ) -> Result<i64, StoreError> {
        let mut reader = self.readers().acquire().await?;
        let mut transaction = reader.begin().await?;
        let seq = last_change(&mut transaction).await?;
        let mut ended = ledger_rows!(
            r#"c.seq AS "seq!: i64", c.closed_at AS "closed_at: i64", c.was_closed_at AS "was_closed_at: i64","#,
            "FROM usage_changes c JOIN usage_intervals i ON i.task_id = c.task_id JOIN tasks t ON t.id = i.task_id
              WHERE c.seq > ?1 AND c.closed_at IS NOT NULL ORDER BY c.seq",
            after
        )
        .fetch(&mut *transaction);
        while let Some(row) = ended.try_next().await? {
            let was = row.was_closed_at.map(TimestampMs::from_millis);
            look(LedgerLook::Ended(row.seq, row.record()?, was));
        }
        drop(ended);
        let mut open = ledger_rows!(
            r#"0 AS "seq!: i64", i.closed_at AS "closed_at: i64", NULL AS "was_closed_at: i64","#,
            "FROM usage_intervals i INDEXED BY usage_intervals_by_closing JOIN tasks t ON t.id = i.task_id
              WHERE i.closed_at IS NULL"
        )
        .fetch(&mut *transaction);
        while let Some(row) = open.try_next().await? {
            look(LedgerLook::Open(row.record()?));
        }
        drop(open);
        transaction.rollback().await?;
        Ok(seq)
    }

    /// Shows `look` the tasks that had ended by now, but not by `from`. Gives the number of the last change of that moment.
    pub async fn ended_since(
        &self,
        from: TimestampMs,
        look: impl FnMut(&UsageRecord) + Send,
    ) -> Result<i64, StoreError> {
        self.readers().of(self.ends_since(from, look)).await
    }

    async fn ends_since(
        &self,
        from: TimestampMs,
        mut look: impl FnMut(&UsageRecord) + Send,
    ) -> Result<i64, StoreError> {
        let from = from.as_millis();
        let mut reader = self.readers().acquire().await?;
        let mut transaction = reader.begin().await?;
        let seq = last_change(&mut transaction).await?;
        // What ended in the very moment in which a period begins may have begun in it.
        let mut ended = ledger_rows!(
            r#"0 AS "seq!: i64", i.closed_at AS "closed_at: i64", NULL AS "was_closed_at: i64","#,
            "FROM usage_intervals i INDEXED BY usage_intervals_by_closing JOIN tasks t ON t.id = i.task_id
              WHERE i.closed_at >= ?1",
            from
        )
        .fetch(&mut *transaction);
        while let Some(row) = ended.try_next().await? {
            look(&row.record()?);
        }
        drop(ended);
        transaction.rollback().await?;
        Ok(seq)
    }
}

async fn last_change(db: &mut SqliteConnection) -> Result<i64, StoreError> {
    let seq =
        sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM usage_changes"#)
            .fetch_one(db)
            .await?;
    Ok(seq)
}

async fn update(db: &mut SqliteConnection, budget: &Budget) -> Result<(), StoreError> {
    let columns = Columns::of(budget)?;
    let name = budget.name.as_str();
    let updated_at = budget.updated_at.as_millis();
    let version = i64::try_from(budget.version).unwrap_or(i64::MAX);
    let changed = sqlx::query!(
        "UPDATE budgets SET definition = ?1, state = ?2, stops_until = ?3, updated_at = ?4, version = version + 1
          WHERE name = ?5 AND version = ?6",
        columns.definition,
        columns.state,
        columns.stops_until,
        updated_at,
        name,
        version
    )
    .execute(db)
    .await?;
    match changed.rows_affected() {
        0 => Err(StoreError::Stale),
        _ => Ok(()),
    }
}

struct Columns {
    definition: String,
    state: String,
    stops_until: Option<i64>,
}

impl Columns {
    fn of(budget: &Budget) -> Result<Self, StoreError> {
        Ok(Self {
            definition: to_json(&budget.definition)?,
            state: to_json(&budget.state)?,
            stops_until: from_time(budget.state.stops_until),
        })
    }
}

struct BudgetRow {
    name: String,
    definition: String,
    state: String,
    created_at: i64,
    updated_at: i64,
    version: i64,
}

impl TryFrom<BudgetRow> for Budget {
    type Error = StoreError;

    fn try_from(row: BudgetRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name.parse()?,
            definition: from_json("budget.definition", &row.definition)?,
            state: from_json("budget.state", &row.state)?,
            created_at: TimestampMs::from_millis(row.created_at),
            updated_at: TimestampMs::from_millis(row.updated_at),
            version: to_unsigned("budget.version", row.version)?,
        })
    }
}

struct LedgerRow {
    seq: i64,
    task_id: String,
    cluster: String,
    family: String,
    revision: i64,
    cpu_units: i64,
    memory_mib: i64,
    opened_at: i64,
    closed_at: Option<i64>,
    was_closed_at: Option<i64>,
    end_evidence: Option<String>,
    task_group: String,
    tags: String,
}

impl LedgerRow {
    fn record(&self) -> Result<UsageRecord, StoreError> {
        let evidence = self.end_evidence.as_deref();
        let evidence = evidence.map(|word| from_word("usage.endEvidence", word, parse_evidence));
        let closed_at = self.closed_at.map(TimestampMs::from_millis);
        let interval = UsageInterval {
            task_id: self.task_id.parse()?,
            cluster: self.cluster.parse()?,
            definition: FamilyRevision {
                family: self.family.parse()?,
                revision: to_unsigned("usage.revision", self.revision)?,
            },
            cpu: CpuUnits(to_unsigned("usage.cpu", self.cpu_units)?),
            memory: MemoryMib(to_unsigned("usage.memory", self.memory_mib)?),
            opened_at: TimestampMs::from_millis(self.opened_at),
            closed: closed_at.zip(evidence.transpose()?),
        };
        Ok(UsageRecord {
            usage: TaskUse {
                interval,
                used: None,
            },
            service: ServiceName::of_group(&self.task_group),
            tags: from_json("task.tags", &self.tags)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        BudgetAction, BudgetDefinition, BudgetPeriod, BudgetScope, BudgetState, EndEvidence, Task,
        UsageChange,
    };
    use crate::store::testing::{Fixture, at, cluster};

    fn budget(name: &str) -> Budget {
        Budget {
            name: name.parse().unwrap(),
            definition: BudgetDefinition {
                scope: BudgetScope::Cluster(cluster("default")),
                period: BudgetPeriod::Day,
                limit_nano: 5,
                price_sheet: "fargate".to_owned(),
                currency: "USD".to_owned(),
                thresholds: vec![100],
                action: BudgetAction::StopNewTasks,
            },
            state: BudgetState::default(),
            created_at: at(1),
            updated_at: at(1),
            version: 1,
        }
    }

    async fn made(fixture: &Fixture, name: &str) -> Budget {
        let budget = budget(name);
        let event = budget.event(None, "was made", at(1));
        let store = &fixture.store;
        store.create_budget(budget.clone(), event).await.unwrap();
        budget
    }

    /// A task with an interval from `from`, which ends at `to`, if it does.
    async fn task(fixture: &Fixture, from: i64, to: Option<i64>) -> Task {
        let mut task = fixture.created().await;
        let interval = UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(from),
            closed: None,
        };
        let open = [UsageChange::Open(interval)];
        fixture.store.record_task(&task, &[], &open).await.unwrap();
        task.version += 1;
        if let Some(to) = to {
            end(fixture, &mut task, to).await;
        }
        task
    }

    async fn end(fixture: &Fixture, task: &mut Task, to: i64) {
        let evidence = EndEvidence::Engine;
        let close = [UsageChange::Close {
            at: at(to),
            evidence,
        }];
        fixture.store.record_task(task, &[], &close).await.unwrap();
        task.version += 1;
    }

    /// What there is after change `after`: the ends with their numbers, how many go on, and the last change.
    async fn look(fixture: &Fixture, after: i64) -> (Vec<i64>, usize, i64) {
        let (mut ends, mut open) = (Vec::new(), 0);
        let seq = fixture
            .store
            .ledger_since(after, |look| match look {
                LedgerLook::Ended(seq, record, was) => {
                    assert!(record.usage.interval.closed.is_some() && was.is_none());
                    ends.push(seq);
                }
                LedgerLook::Open(_) => open += 1,
            })
            .await
            .unwrap();
        (ends, open, seq)
    }

    #[tokio::test]
    async fn each_beginning_and_end_is_noted_once_while_there_are_budgets() {
        let fixture = Fixture::new().await;
        let mut early = task(&fixture, 10, None).await;
        task(&fixture, 10, Some(20)).await;
        assert_eq!(look(&fixture, 0).await, (vec![], 1, 0), "nobody counts");
        let mut budget = made(&fixture, "blue").await;
        let mut before = Vec::new();
        let seq = fixture
            .store
            .ended_since(at(20), |one| before.push(one.usage.interval.opened_at))
            .await;
        assert_eq!((seq, before), (Ok(0), vec![at(10)]));
        task(&fixture, 30, None).await;
        end(&fixture, &mut early, 40).await;
        end(&fixture, &mut early, 50).await;
        assert_eq!(look(&fixture, 0).await, (vec![2], 1, 2));
        assert_eq!(look(&fixture, 2).await, (vec![], 1, 2));
        budget.state.counted = None;
        let record = BudgetRecord {
            budget,
            events: Vec::new(),
        };
        let store = &fixture.store;
        store.record_budgets(vec![record], Some(2)).await.unwrap();
        assert_eq!(look(&fixture, 0).await, (vec![], 1, 0));
        // A number is not given again.
        task(&fixture, 60, Some(70)).await;
        assert_eq!(look(&fixture, 2).await, (vec![4], 1, 4));
        let pulse = store.budget_pulse().await.unwrap();
        let expected = BudgetPulse {
            budgets: 1,
            versions: 2,
            seq: 4,
        };
        assert_eq!(pulse, expected);
    }

    #[tokio::test]
    async fn events_come_with_what_they_are_about_or_not_at_all() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let (mut one, two) = (made(&fixture, "one").await, made(&fixture, "two").await);
        one.state.told.push(50);
        one.state.stops_until = Some(at(100));
        let record = |budget: &Budget| BudgetRecord {
            budget: budget.clone(),
            events: vec![budget.event(Some("50%".to_owned()), "has come to 50 %", at(5))],
        };
        store
            .record_budgets(vec![record(&one)], None)
            .await
            .unwrap();
        // Somebody else was quicker with one of them: nothing of the other either.
        let stale = store
            .record_budgets(vec![record(&two), record(&one)], None)
            .await;
        assert_eq!(stale, Err(StoreError::Stale));
        let events = store
            .events(0, &crate::store::EventFilter::default(), 100)
            .await;
        let told = events
            .unwrap()
            .into_iter()
            .filter(|one| one.event.status.is_some());
        assert_eq!(told.count(), 1);
        let stopping = store.budgets_that_stop(at(99)).await.unwrap();
        assert_eq!(stopping[0].state, one.state);
        assert_eq!(store.budgets_that_stop(at(100)).await, Ok(Vec::new()));
        let first = store.budgets(&PageRequest::first(1)).await.unwrap();
        assert_eq!((first.items.len(), first.next.is_some()), (1, true));
    }

    #[tokio::test]
    async fn with_the_last_budget_goes_what_was_noted_for_it() {
        let fixture = Fixture::new().await;
        let budget = made(&fixture, "blue").await;
        let event = budget.event(None, "was deleted", at(9));
        let again = fixture
            .store
            .create_budget(budget.clone(), event.clone())
            .await;
        assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
        task(&fixture, 10, Some(20)).await;
        let store = &fixture.store;
        store
            .delete_budget(&budget.name, event.clone())
            .await
            .unwrap();
        assert_eq!(look(&fixture, 0).await, (vec![], 0, 0));
        let gone = store.delete_budget(&budget.name, event).await;
        assert!(matches!(gone, Err(StoreError::NotFound { .. })));
        assert_eq!(store.budget(&budget.name).await, Ok(None));
    }
}
