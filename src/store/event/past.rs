//! Events from the newest back, as people read a history.

use super::{EventFilter, EventRow};
use crate::domain::{ClusterName, Event, EventKind};
use crate::store::{PageRequest, Store, StoreError};

/// How many events are looked through for one answer, unless the filter names a subject: then an index has them.
pub const EVENTS_LOOKED_THROUGH: u64 = 20_000;

/// Some of the past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastEvents {
    /// Newest first.
    pub events: Vec<Event>,
    /// Where to go on: what is older than this was not looked at. `None` when nothing is older.
    pub before: Option<u64>,
}

impl Store {
    /// The events before number `before`, newest first, `limit` of them at most, of which the subject or the message has
    /// `text` in it; large and small letters of ASCII are the same.
    pub async fn events_before(
        &self,
        before: u64,
        filter: &EventFilter,
        text: &str,
        limit: u32,
    ) -> Result<PastEvents, StoreError> {
        let before = before.min(self.event_seq().borrow().saturating_add(1));
        let limit = limit.clamp(1, PageRequest::MAX_LIMIT);
        let floor = match filter.subject {
            Some(_) => 1,
            None => before.saturating_sub(EVENTS_LOOKED_THROUGH).max(1),
        };
        let rows = self.rows_before(before, floor, filter, text, limit).await?;
        let events: Vec<Event> = rows
            .into_iter()
            .map(Event::try_from)
            .collect::<Result<_, _>>()?;
        let is_full = events.len() == limit as usize;
        let reached = match events.last() {
            Some(last) if is_full => last.seq,
            _ => floor,
        };
        Ok(PastEvents {
            before: (reached > 1).then_some(reached),
            events,
        })
    }

    async fn rows_before(
        &self,
        before: u64,
        floor: u64,
        filter: &EventFilter,
        text: &str,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let number = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
        let (before, floor) = (number(before), number(floor));
        let kind = filter.kind.map(EventKind::as_str);
        let cluster = filter.cluster.as_ref().map(ClusterName::as_str);
        let text = text.to_ascii_lowercase();
        let rows = if let Some(subject) = &filter.subject {
            sqlx::query_as!(
                EventRow,
                "SELECT seq, at, kind, cluster, subject, status, message
                   FROM events INDEXED BY events_by_subject
                  WHERE subject = ?1 AND seq < ?2
                    AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR cluster = ?4)
                    AND (?5 = '' OR instr(lower(message), ?5) > 0)
                  ORDER BY seq DESC LIMIT ?6",
                subject,
                before,
                kind,
                cluster,
                text,
                limit
            )
            .fetch_all(self.readers())
            .await?
        } else {
            sqlx::query_as!(
                EventRow,
                "SELECT seq, at, kind, cluster, subject, status, message
                   FROM events
                  WHERE seq < ?1 AND seq >= ?2
                    AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR cluster = ?4)
                    AND (?5 = '' OR instr(lower(message), ?5) > 0 OR instr(lower(subject), ?5) > 0)
                  ORDER BY seq DESC LIMIT ?6",
                before,
                floor,
                kind,
                cluster,
                text,
                limit
            )
            .fetch_all(self.readers())
            .await?
        };
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::NewEvent;
    use crate::store::testing::{Fixture, at};

    #[tokio::test]
    async fn the_past_is_read_backwards_and_searched() {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        for (subject, message) in [("web", "Waits for memory"), ("web", "runs"), ("db", "runs")] {
            let event = NewEvent {
                at: at(7),
                kind: EventKind::TaskNotice,
                cluster: None,
                subject: subject.to_owned(),
                status: None,
                message: message.to_owned(),
            };
            store.record_event(event).await.unwrap();
        }
        let of = |subject: &str| EventFilter {
            subject: Some(subject.to_owned()),
            ..EventFilter::default()
        };
        let read = |before, filter: EventFilter, text: &'static str, limit| async move {
            let past = store
                .events_before(before, &filter, text, limit)
                .await
                .unwrap();
            let numbers: Vec<u64> = past.events.iter().map(|event| event.seq).collect();
            (numbers, past.before)
        };
        let all = EventFilter::default;
        assert_eq!(
            read(u64::MAX, all(), "", 10).await,
            (vec![4, 3, 2, 1], None)
        );
        assert_eq!(read(u64::MAX, all(), "", 2).await, (vec![4, 3], Some(3)));
        assert_eq!(read(3, all(), "", 2).await, (vec![2, 1], None));
        assert_eq!(read(u64::MAX, all(), "WAITS", 10).await, (vec![2], None));
        assert_eq!(read(u64::MAX, all(), "db", 10).await, (vec![4], None));
        assert_eq!(read(u64::MAX, of("web"), "runs", 10).await, (vec![3], None));
        assert_eq!(
            read(u64::MAX, all(), "50% _ nothing", 10).await,
            (vec![], None)
        );
    }
}
