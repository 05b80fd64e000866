//! What bills are made of: usage with the names that it is grouped by.
//!
//! Service and tags are read from the tasks, which keep them as they were when they were run: the database refuses to
//! change them. So a bill of the past does not change when a service is renamed or somebody tags something anew.
//! A bill that was issued is kept word for word.

use std::collections::{BTreeMap, HashMap};

use super::column::{from_json, to_unsigned};
use super::page::List;
use super::{Page, PageRequest, Store, StoreError, UsageFilter};
use crate::domain::{ServiceName, TimestampMs, UsageRecord};

/// A bill that was issued.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedBill {
    /// Counts up from 1, without holes.
    pub number: u64,
    /// When.
    pub issued_at: TimestampMs,
    /// What it says, as it was said then.
    pub document: serde_json::Value,
}

struct BillRow {
    number: i64,
    issued_at: i64,
    document: String,
}

impl TryFrom<BillRow> for IssuedBill {
    type Error = StoreError;

    fn try_from(row: BillRow) -> Result<Self, StoreError> {
        Ok(Self {
            number: to_unsigned("bill.number", row.number)?,
            issued_at: TimestampMs::from_millis(row.issued_at),
            document: from_json("bill.document", &row.document)?,
        })
    }
}

impl Store {
    /// Keeps a bill of the time from `from` up to `to` for ever, and gives its number.
    pub async fn issue_bill(
        &self,
        issued_at: TimestampMs,
        (from, to): (TimestampMs, TimestampMs),
        document: &serde_json::Value,
    ) -> Result<u64, StoreError> {
        let document = document.to_string();
        let (issued_at, from, to) = (issued_at.as_millis(), from.as_millis(), to.as_millis());
        let number = self
            .writer()
            .write(move |db| {
                Box::pin(async move {
                    let number = sqlx::query_scalar!(
                        r#"INSERT INTO bills (number, issued_at, period_from, period_to, document)
                           SELECT coalesce(max(number), 0) + 1, ?1, ?2, ?3, ?4 FROM bills
                           RETURNING number AS "number: i64""#,
                        issued_at,
                        from,
                        to,
                        document
                    )
                    .fetch_one(db)
                    .await?;
                    Ok(number)
                })
            })
            .await?;
        to_unsigned("bill.number", number)
    }

    /// The bill that was issued with that number.
    pub async fn issued_bill(&self, number: u64) -> Result<Option<IssuedBill>, StoreError> {
        let Ok(number) = i64::try_from(number) else {
            return Ok(None);
        };
        let row = sqlx::query_as!(
            BillRow,
            "SELECT number, issued_at, document FROM bills WHERE number = ?1",
            number
        )
        .fetch_optional(self.readers())
        .await?;
        row.map(IssuedBill::try_from).transpose()
    }

    /// The bills that were issued, the newest first.
    pub async fn issued_bills(
        &self,
        request: &PageRequest,
    ) -> Result<Page<IssuedBill>, StoreError> {
        let before: i64 = request.after(List::Bills)?.unwrap_or(i64::MAX);
        let rows = request.rows();
        let rows = sqlx::query_as!(
            BillRow,
            "SELECT number, issued_at, document FROM bills WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
            before,
            rows
        )
        .fetch_all(self.readers())
        .await?;
        let bills = rows.into_iter().map(IssuedBill::try_from);
        request.page(
            List::Bills,
            bills.collect::<Result<_, _>>()?,
            |last: &IssuedBill| last.number,
        )
    }

    /// The same as [`Store::usage_of_tasks`], with the service and the tags of each task.
    pub async fn usage_records(
        &self,
        filter: &UsageFilter,
        from: TimestampMs,
        to: TimestampMs,
        request: &PageRequest,
    ) -> Result<Page<UsageRecord>, StoreError> {
        let Page { items, next } = self.usage_of_tasks(filter, from, to, request).await?;
        let ids: Vec<&str> = items
            .iter()
            .map(|usage| usage.interval.task_id.as_str())
            .collect();
        let ids = serde_json::json!(ids).to_string();
        let rows = sqlx::query!(
            r#"SELECT id, task_group, tags FROM tasks WHERE id IN (SELECT value FROM json_each(?1))"#,
            ids
        )
        .fetch_all(self.readers())
        .await?;
        let mut names: HashMap<String, (String, String)> = rows
            .into_iter()
            .map(|row| (row.id, (row.task_group, row.tags)))
            .collect();
        let items = items.into_iter().map(|usage| {
            let id = usage.interval.task_id.as_str();
            let (service, tags) = match names.remove(id) {
                Some((group, tags)) => (
                    ServiceName::of_group(&group),
                    from_json("task.tags", &tags)?,
                ),
                None => (None, BTreeMap::new()),
            };
            Ok(UsageRecord {
                usage,
                service,
                tags,
            })
        });
        Ok(Page {
            items: items.collect::<Result<_, StoreError>>()?,
            next,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpuUnits, MemoryMib, Task, UsageChange, UsageInterval};
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn a_record_has_the_service_and_the_tags_that_the_task_was_run_with() {
        let fixture = Fixture::new().await;
        let mut of_service = fixture.task();
        of_service.group = "service:shop".to_owned();
        of_service.tags = BTreeMap::from([("team".to_owned(), "=blue".to_owned())]);
        let alone = fixture.task();
        for task in [&of_service, &alone] {
            let tasks = std::slice::from_ref(task);
            fixture.store.create_tasks(tasks, None).await.unwrap();
            let open = [UsageChange::Open(opened(task))];
            fixture.store.record_task(task, &[], &open).await.unwrap();
        }
        let page = fixture
            .store
            .usage_records(
                &UsageFilter::default(),
                at(0),
                at(99),
                &PageRequest::first(9),
            )
            .await
            .unwrap();
        let found: Vec<_> = page
            .items
            .into_iter()
            .map(|record| (record.usage.interval.task_id, record.service, record.tags))
            .collect();
        let service = Some("shop".parse().unwrap());
        assert_eq!(
            found,
            [
                (of_service.id, service, of_service.tags),
                (alone.id, None, BTreeMap::new())
            ]
        );
    }

    #[tokio::test]
    async fn a_bill_that_was_issued_never_changes() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        for number in 1..=3_u64 {
            let document = serde_json::json!({ "total": number });
            let issued = store.issue_bill(at(30), (at(10), at(20)), &document).await;
            assert_eq!(issued, Ok(number));
        }
        let second = IssuedBill {
            number: 2,
            issued_at: at(30),
            document: serde_json::json!({ "total": 2 }),
        };
        assert_eq!(store.issued_bill(2).await.unwrap(), Some(second));
        assert_eq!(store.issued_bill(u64::MAX).await.unwrap(), None);
        let mut numbers = Vec::new();
        let mut request = PageRequest::first(2);
        loop {
            let page = store.issued_bills(&request).await.unwrap();
            numbers.extend(page.items.iter().map(|bill| bill.number));
            request.token = page.next;
            if request.token.is_none() {
                break;
            }
        }
        assert_eq!(numbers, [3, 2, 1]);
        let document = serde_json::json!({});
        let early = store.issue_bill(at(30), (at(10), at(31)), &document).await;
        assert!(matches!(early, Err(StoreError::Refused(_))), "{early:?}");
        for statement in [
            "UPDATE bills SET document = '{}' WHERE number = 2",
            "DELETE FROM bills WHERE number = 3",
        ] {
            let answer = fixture.execute(statement).await;
            assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
        }
    }

    fn opened(task: &Task) -> UsageInterval {
        UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: at(10),
            closed: None,
        }
    }
}
