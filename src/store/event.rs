//! Events: what happened, numbered from 1 without holes.
//!
//! The numbers have no holes because there is one writer, and because a job that is rolled back gives its
//! numbers back with everything else. So whoever has seen number n knows that it has seen everything up to
//! n that is still kept.

mod past;

pub use past::{EVENTS_LOOKED_THROUGH, PastEvents};

use serde::Serialize;
use sqlx::SqliteConnection;

use super::column::{from_word, to_json, to_unsigned};
use super::{PageRequest, Store, StoreError};
use crate::domain::{ClusterName, Event, EventKind, NewEvent, ServiceKey, TimestampMs};

/// Where they lie.
pub(super) const TABLE: &str = "events";

/// How many events are kept, the newest of them; somewhat more, between two looks.
pub const EVENTS_KEPT: u64 = 1_000_000;

/// Which events are wanted. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// What kind of thing happened.
    pub kind: Option<EventKind>,
    /// What it happened to: a task ID, `family:revision`, a cluster's name, or `neargate`.
    pub subject: Option<String>,
    /// The cluster that it happened in.
    pub cluster: Option<ClusterName>,
}

impl Store {
    /// Records an event that belongs to no other change.
    pub async fn record_event(&self, event: NewEvent) -> Result<(), StoreError> {
        self.writer()
            .write(move |db| Box::pin(async move { insert(db, &event).await }))
            .await
    }

    /// The events after number `after_seq`, oldest first, `limit` of them at most (and never more than
    /// [`PageRequest::MAX_LIMIT`]).
    pub async fn events(
        &self,
        after_seq: u64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let after = i64::try_from(after_seq).unwrap_or(i64::MAX);
        let limit = limit.clamp(1, PageRequest::MAX_LIMIT);
        let kind = filter.kind.map(EventKind::as_str);
        let cluster = filter.cluster.as_ref().map(ClusterName::as_str);
        let rows = if let Some(subject) = &filter.subject {
            sqlx::query_as!(
                EventRow,
                "SELECT seq, at, kind, cluster, subject, status, message
                   FROM events INDEXED BY events_by_subject
                  WHERE subject = ?1 AND seq > ?2
                    AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR cluster = ?4)
                  ORDER BY seq LIMIT ?5",
                subject,
                after,
                kind,
                cluster,
                limit
            )
            .fetch_all(self.readers())
            .await?
        } else {
            sqlx::query_as!(
                EventRow,
                "SELECT seq, at, kind, cluster, subject, status, message
                   FROM events
                  WHERE seq > ?1 AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR cluster = ?3)
                  ORDER BY seq LIMIT ?4",
                after,
                kind,
                cluster,
                limit
            )
            .fetch_all(self.readers())
            .await?
        };
        rows.into_iter().map(Event::try_from).collect()
    }
}

/// What happened to a service from `since` on, newest first, `limit` of it at most.
pub(super) async fn of_service(
    db: &mut SqliteConnection,
    key: &ServiceKey,
    since: TimestampMs,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let (cluster, name) = (key.cluster.as_str(), key.name.as_str());
    let (kind, since) = (EventKind::ServiceEvent.as_str(), since.as_millis());
    let rows = sqlx::query_as!(
        EventRow,
        "SELECT seq, at, kind, cluster, subject, status, message
               FROM events INDEXED BY events_by_subject
              WHERE subject = ?1 AND cluster = ?2 AND kind = ?3 AND at >= ?4
              ORDER BY seq DESC LIMIT ?5",
        name,
        cluster,
        kind,
        since,
        limit
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Records `event` as part of the job that `db` carries out.
pub(super) async fn insert(db: &mut SqliteConnection, event: &NewEvent) -> Result<(), StoreError> {
    let (at, kind) = (event.at.as_millis(), event.kind.as_str());
    sqlx::query!(
        "INSERT INTO events (at, kind, cluster, subject, status, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        at,
        kind,
        event.cluster,
        event.subject,
        event.status,
        event.message
    )
    .execute(db)
    .await?;
    Ok(())
}

/// `events` as the statements take them that record something together with its events.
pub(super) fn to_column(events: &[NewEvent]) -> Result<String, StoreError> {
    let columns: Vec<EventColumns> = events
        .iter()
        .map(|event| EventColumns {
            at: event.at.as_millis(),
            kind: event.kind.as_str(),
            cluster: event.cluster.as_deref(),
            subject: &event.subject,
            status: event.status.as_deref(),
            message: &event.message,
        })
        .collect();
    to_json(&columns)
}

/// A row of `events` that is to be.
#[derive(Serialize)]
struct EventColumns<'e> {
    at: i64,
    kind: &'static str,
    cluster: Option<&'e str>,
    subject: &'e str,
    status: Option<&'e str>,
    message: &'e str,
}

/// The number of the last event; 0 if there was none.
pub(super) async fn last_seq(db: &mut SqliteConnection) -> Result<u64, StoreError> {
    let seq = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "seq!: i64" FROM events"#)
        .fetch_one(db)
        .await?;
    to_unsigned("event.seq", seq)
}

/// Removes all but the newest `kept` events, of which `last_seq` is the newest.
pub(super) async fn prune(
    db: &mut SqliteConnection,
    last_seq: u64,
    kept: u64,
) -> Result<(), StoreError> {
    let up_to = i64::try_from(last_seq.saturating_sub(kept)).unwrap_or(i64::MAX);
    sqlx::query!("DELETE FROM events WHERE seq <= ?1", up_to)
        .execute(db)
        .await?;
    Ok(())
}

struct EventRow {
    seq: i64,
    at: i64,
    kind: String,
    cluster: Option<String>,
    subject: String,
    status: Option<String>,
    message: String,
}

impl TryFrom<EventRow> for Event {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        Ok(Self {
            seq: to_unsigned("event.seq", row.seq)?,
            event: NewEvent {
                at: TimestampMs::from_millis(row.at),
                kind: from_word("event.kind", &row.kind, EventKind::parse)?,
                cluster: row.cluster,
                subject: row.subject,
                status: row.status,
                message: row.message,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Tuning;
    use crate::store::testing::{Fixture, at, cluster};

    fn notice(subject: &str, cluster: Option<&str>) -> NewEvent {
        NewEvent {
            at: at(7),
            kind: EventKind::TaskNotice,
            cluster: cluster.map(str::to_owned),
            subject: subject.to_owned(),
            status: Some("PENDING".to_owned()),
            message: "waits".to_owned(),
        }
    }

    #[tokio::test]
    async fn an_event_comes_back_as_it_was_recorded() {
        let fixture = Fixture::new().await;
        let event = notice("a", Some("default"));
        fixture.store.record_event(event.clone()).await.unwrap();
        let all = EventFilter::default();
        let found = fixture.store.events(1, &all, 10).await.unwrap();
        assert_eq!(found, [Event { seq: 2, event }]);
        assert_eq!(*fixture.store.event_seq().borrow(), 2);
    }

    #[tokio::test]
    async fn filters_narrow_and_the_limit_cuts() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        for (subject, of) in [("a", None), ("b", Some("blue")), ("a", Some("blue"))] {
            store.record_event(notice(subject, of)).await.unwrap();
        }
        let numbers = |filter: EventFilter, limit| async move {
            let found = store.events(0, &filter, limit).await.unwrap();
            found.iter().map(|event| event.seq).collect::<Vec<_>>()
        };
        let all = EventFilter::default();
        let subject = EventFilter {
            subject: Some("a".to_owned()),
            ..all.clone()
        };
        let of = EventFilter {
            cluster: Some(cluster("blue")),
            ..all.clone()
        };
        let kind = EventFilter {
            kind: Some(EventKind::ClusterCreated),
            ..all.clone()
        };
        let both = EventFilter {
            cluster: of.cluster.clone(),
            ..subject.clone()
        };
        assert_eq!(numbers(all.clone(), 10).await, [1, 2, 3, 4]);
        assert_eq!(numbers(all, 2).await, [1, 2]);
        assert_eq!(numbers(subject, 10).await, [2, 4]);
        assert_eq!(numbers(of, 10).await, [3, 4]);
        assert_eq!(numbers(kind, 10).await, [1]);
        assert_eq!(numbers(both, 10).await, [4]);
    }

    #[tokio::test]
    async fn old_events_go_and_their_numbers_with_them() {
        let tuning = Tuning {
            events_kept: 5,
            prune_every: 10,
            ..Tuning::default()
        };
        let fixture = Fixture::with(tuning).await;
        let store = &fixture.store;
        for _ in 0..30 {
            store.record_event(notice("a", None)).await.unwrap();
        }
        // Pruning follows the answer; the next answer follows the pruning.
        store.record_event(notice("a", None)).await.unwrap();
        let all = EventFilter::default();
        let kept = store.events(0, &all, 100).await.unwrap();
        let numbers: Vec<u64> = kept.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (27..=32).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn an_event_never_changes() {
        let fixture = Fixture::new().await;
        let changed = fixture.execute("UPDATE events SET message = ''").await;
        assert!(
            matches!(changed, Err(StoreError::Refused(_))),
            "{changed:?}"
        );
    }
}
