//! Use cases of log groups: the logs of containers, as clients of `CloudWatch` Logs read them.
//!
//! Nothing is copied: a line is read from where the log of its container lies, when somebody asks for it. Where a line
//! stands is told by its time and by how many of its stream have the same time before it, which stays true while
//! lines are added and when the log moves from the engine into the store.

use std::collections::{BTreeMap, VecDeque};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Control, ControlError, LogQuery};
use crate::domain::{
    LogGroup, LogGroupName, LogPattern, LogStream, TimestampMs, is_log_stream_name,
};
use crate::store::{Page, PageRequest, StoreError, StreamFilter, StreamOrder};

/// Where a line stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// Its time.
    pub at: TimestampMs,
    /// How many lines of its stream have the same time and stand before it.
    pub nth: u32,
}

/// A line of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Where it stands.
    pub position: LogPosition,
    /// What it says; bytes that are no UTF-8 are replaced by U+FFFD.
    pub message: String,
}

/// Where reading a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCursor {
    /// At this line.
    Forward(LogPosition),
    /// Before this line.
    Backward(LogPosition),
}

/// Which lines of a stream are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamQuery {
    /// From this time on.
    pub from: Option<TimestampMs>,
    /// Before this time.
    pub to: Option<TimestampMs>,
    /// Where to go on; without one, the newest lines are wanted.
    pub cursor: Option<LogCursor>,
    /// So many at most.
    pub limit: usize,
}

/// Lines of a stream, and where to go on before and after them; the same place again where there is nothing more.
#[derive(Clone, Debug)]
pub struct StreamPage {
    /// Oldest first.
    pub events: Vec<LogEvent>,
    /// What comes before them ends there.
    pub before: LogPosition,
    /// What comes after them begins there.
    pub after: LogPosition,
}

/// Which lines of a group are wanted.
#[derive(Clone, Debug, Default)]
pub struct GroupQuery {
    /// Of which streams, and of what time; the last moment is wanted, too.
    pub streams: StreamFilter,
    /// Which lines.
    pub pattern: LogPattern,
    /// So many at most.
    pub limit: usize,
    /// Where to go on.
    pub cursor: GroupCursor,
}

/// Where reading a group goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCursor {
    /// Streams up to this number are done with.
    pub after_stream: i64,
    /// The last line that was looked at, and the number of its stream.
    pub last: Option<(LogPosition, i64)>,
}

/// Lines of a group by their times, each with its stream.
#[derive(Clone, Debug, Default)]
pub struct GroupPage {
    /// Oldest first.
    pub events: Vec<(LogStream, LogEvent)>,
    /// Where to go on, if there is more.
    pub next: Option<GroupCursor>,
}

/// The most lines of an answer, as in `CloudWatch` Logs.
pub const MOST_LOG_EVENTS: usize = 10_000;
/// The most bytes of an answer's lines, as in `CloudWatch` Logs.
const MOST_BYTES: usize = 1_048_576;
/// `CloudWatch` Logs counts so many bytes beside each message.
const BYTES_PER_EVENT: usize = 26;
/// So many streams are read side by side; those after them are on the next page.
const STREAMS_AT_ONCE: u32 = 64;
/// So many lines one call looks at; those after them are on the next page.
const LINES_PER_CALL: usize = 200_000;
/// The engine's clock and ours may differ by so much.
const SLACK_MS: i64 = 60_000;

type Events = BoxStream<'static, Result<LogEvent, ControlError>>;

impl Control {
    /// Makes a log group.
    pub async fn create_log_group(
        &self,
        name: LogGroupName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let group = LogGroup {
            name,
            retention_in_days: None,
            tags,
            created_at: self.clock.now(),
        };
        Ok(self.store.create_log_group(group).await?)
    }

    /// Deletes a log group. What tasks wrote stays with them; one that is run later makes the group anew.
    pub async fn delete_log_group(&self, name: &LogGroupName) -> Result<(), ControlError> {
        Ok(self.store.delete_log_group(name).await?)
    }

    /// Notes for how long the lines of a group are to be kept, which is only given back.
    pub async fn put_log_retention(
        &self,
        name: &LogGroupName,
        days: Option<u32>,
    ) -> Result<(), ControlError> {
        Ok(self.store.put_log_retention(name, days).await?)
    }

    /// Adds tags to a log group.
    pub async fn tag_log_group(
        &self,
        name: &LogGroupName,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let add = move |all: &mut BTreeMap<String, String>| all.extend(tags);
        self.store.tag_log_group(name, add).await?;
        Ok(())
    }

    /// Takes tags from a log group.
    pub async fn untag_log_group(
        &self,
        name: &LogGroupName,
        keys: Vec<String>,
    ) -> Result<(), ControlError> {
        let take =
            move |all: &mut BTreeMap<String, String>| all.retain(|key, _| !keys.contains(key));
        self.store.tag_log_group(name, take).await?;
        Ok(())
    }

    /// One log group.
    pub async fn log_group(&self, name: &LogGroupName) -> Result<LogGroup, ControlError> {
        let found = self.store.log_group(name).await?;
        let absent = || StoreError::NotFound {
            what: format!("log group `{name}`"),
        };
        Ok(found.ok_or_else(absent)?)
    }

    /// Log groups by name.
    pub async fn log_groups(
        &self,
        prefix: &str,
        part: &str,
        page: PageRequest,
    ) -> Result<Page<LogGroup>, ControlError> {
        Ok(self.store.log_groups(prefix, part, &page).await?)
    }

    /// Makes a stream that no task writes to.
    pub async fn create_log_stream(
        &self,
        group: &LogGroupName,
        stream: &str,
    ) -> Result<(), ControlError> {
        if !is_log_stream_name(stream) {
            return Err(ControlError::invalid(
                "logStreamName",
                "is not a name of a stream",
                "use up to 512 characters without : and *",
            ));
        }
        let now = self.clock.now();
        Ok(self.store.create_log_stream(group, stream, now).await?)
    }

    /// One stream of a log group.
    pub async fn log_stream(
        &self,
        group: &LogGroupName,
        stream: &str,
    ) -> Result<LogStream, ControlError> {
        let found = self.store.log_stream(group, stream).await?;
        let absent = || StoreError::NotFound {
            what: format!("log stream `{stream}`"),
        };
        Ok(found.ok_or_else(absent)?)
    }

    /// The streams of a log group, each with the times of its first and its last line, if they are known.
    pub async fn log_streams(
        &self,
        group: &LogGroupName,
        prefix: &str,
        order: StreamOrder,
        page: PageRequest,
    ) -> Result<Page<(LogStream, Option<(TimestampMs, TimestampMs)>)>, ControlError> {
        let Page { items, next } = self.store.log_streams(group, prefix, order, &page).await?;
        let mut streams = Vec::with_capacity(items.len());
        for stream in items {
            let times = match self.times(&stream).await {
                // An engine that does not answer keeps nobody from seeing the names.
                Err(ControlError::Engine(_)) => None,
                times => times?,
            };
            streams.push((stream, times));
        }
        Ok(Page {
            items: streams,
            next,
        })
    }

    /// The times of the first and the last line of a stream.
    async fn times(
        &self,
        stream: &LogStream,
    ) -> Result<Option<(TimestampMs, TimestampMs)>, ControlError> {
        let first = self.lines(stream, None, None).await?.try_next().await?;
        let last = self.lines(stream, None, Some(1)).await?.try_next().await?;
        let times = first.zip(last);
        Ok(times.map(|(first, last)| (first.position.at, last.position.at)))
    }

    /// The lines of a stream from a time on, or its last ones.
    async fn lines(
        &self,
        stream: &LogStream,
        since: Option<TimestampMs>,
        tail: Option<u64>,
    ) -> Result<Events, ControlError> {
        let Some((task, container)) = &stream.writer else {
            return Ok(futures_util::stream::empty().boxed());
        };
        let query = LogQuery {
            container: Some(container.clone()),
            follow: false,
            since,
            tail,
        };
        let mut last: Option<LogPosition> = None;
        let lines = self.task_logs(task, query).await?;
        let numbered = lines.map_ok(move |line| {
            // Lines of stdout and stderr may lie a moment out of order.
            let at = last.map_or(line.line.at, |last: LogPosition| last.at.max(line.line.at));
            let nth = match last {
                Some(last) if last.at == at => last.nth + 1,
                _ => 0,
            };
            let position = LogPosition { at, nth };
            last = Some(position);
            LogEvent {
                position,
                message: String::from_utf8_lossy(&line.line.text).into_owned(),
            }
        });
        Ok(numbered.boxed())
    }

    /// Lines of one stream.
    pub async fn log_events(
        &self,
        stream: &LogStream,
        query: StreamQuery,
    ) -> Result<StreamPage, ControlError> {
        let start = LogPosition {
            at: query.from.unwrap_or(TimestampMs::from_millis(0)),
            nth: 0,
        };
        if let Some(LogCursor::Forward(position)) = query.cursor {
            let start = start.max(position);
            return self.events_after(stream, start, query).await;
        }
        let before = match query.cursor {
            Some(LogCursor::Backward(position)) => Some(position),
            _ => None,
        };
        // The last lines of a stream begin somewhere: from that time on they can be counted.
        let mut since = query.from;
        if before.is_none() && query.to.is_none() {
            let tail = u64::try_from(query.limit).unwrap_or(u64::MAX);
            let first = self.lines(stream, query.from, Some(tail)).await?;
            let first = { first }.try_next().await?;
            since = first.map(|first| first.position.at).or(since);
        }
        let mut lines = self.lines(stream, since, None).await?;
        let (mut events, mut bytes) = (VecDeque::new(), 0);
        while let Some(event) = lines.try_next().await? {
            let is_late = before.is_some_and(|before| event.position >= before);
            if is_late || query.to.is_some_and(|to| event.position.at >= to) {
                break;
            }
            bytes += size(&event);
            events.push_back(event);
            while events.len() > query.limit || (bytes > MOST_BYTES && events.len() > 1) {
                bytes -= events.pop_front().as_ref().map_or(0, size);
            }
        }
        Ok(stream_page(events.into(), before.unwrap_or(start)))
    }

    async fn events_after(
        &self,
        stream: &LogStream,
        start: LogPosition,
        query: StreamQuery,
    ) -> Result<StreamPage, ControlError> {
        let mut lines = self.lines(stream, Some(start.at), None).await?;
        let (mut events, mut bytes) = (Vec::new(), 0);
        while events.len() < query.limit
            && let Some(event) = lines.try_next().await?
        {
            if query.to.is_some_and(|to| event.position.at >= to) {
                break;
            }
            if event.position < start {
                continue;
            }
            bytes += size(&event);
            if bytes > MOST_BYTES && !events.is_empty() {
                break;
            }
            events.push(event);
        }
        Ok(stream_page(events, start))
    }

    /// Lines of a group.
    pub async fn group_log_events(
        &self,
        group: &LogGroupName,
        query: GroupQuery,
    ) -> Result<GroupPage, ControlError> {
        let GroupCursor { after_stream, last } = query.cursor;
        let filter = StreamFilter {
            from: query.streams.from.map(|from| moved(from, -SLACK_MS)),
            to: query.streams.to.map(|to| moved(to, SLACK_MS)),
            ..query.streams.clone()
        };
        let some = STREAMS_AT_ONCE + 1;
        let mut streams = self
            .store
            .written_log_streams(group, &filter, after_stream, some)
            .await?;
        let is_more = streams.len() == some as usize;
        streams.truncate(STREAMS_AT_ONCE as usize);
        let next = streams.last().filter(|_| is_more).map(|last| GroupCursor {
            after_stream: last.seq,
            last: None,
        });
        let since = last.map(|(last, _)| last.at).max(query.streams.from);
        let mut open = Vec::with_capacity(streams.len());
        for stream in streams {
            let mut lines = self.lines(&stream, since, None).await?;
            if let Some(head) = lines.try_next().await? {
                open.push((stream, lines, head));
            }
        }
        let mut page = GroupPage::default();
        let (mut looked_at, mut bytes) = (0, 0);
        while let Some(first) = earliest(&open) {
            let (stream, lines, head) = &mut open[first];
            let (seq, position) = (stream.seq, head.position);
            if query.streams.to.is_some_and(|to| position.at > to) {
                break;
            }
            let is_new = last.is_none_or(|(last, of)| {
                (position.at, seq, position.nth) > (last.at, of, last.nth)
            });
            if is_new && query.pattern.matches(&head.message) {
                bytes += size(head);
                page.events.push((stream.clone(), head.clone()));
            }
            looked_at += 1;
            if let Some(new) = lines.try_next().await? {
                *head = new;
            } else {
                drop(open.swap_remove(first));
            }
            if is_new
                && (page.events.len() >= query.limit
                    || bytes >= MOST_BYTES
                    || looked_at >= LINES_PER_CALL)
            {
                page.next = Some(GroupCursor {
                    after_stream,
                    last: Some((position, seq)),
                });
                return Ok(page);
            }
        }
        page.next = next;
        Ok(page)
    }
}

/// Which stream has the next line.
fn earliest(open: &[(LogStream, Events, LogEvent)]) -> Option<usize> {
    let by_time = |(_, (stream, _, head)): &(usize, &(LogStream, Events, LogEvent))| {
        (head.position.at, stream.seq)
    };
    open.iter()
        .enumerate()
        .min_by_key(by_time)
        .map(|(index, _)| index)
}

fn moved(at: TimestampMs, by_ms: i64) -> TimestampMs {
    TimestampMs::from_millis(at.as_millis().saturating_add(by_ms))
}

fn size(event: &LogEvent) -> usize {
    event.message.len() + BYTES_PER_EVENT
}

/// `events`, or nothing at `start`.
fn stream_page(events: Vec<LogEvent>, start: LogPosition) -> StreamPage {
    let after = events.last().map_or(start, |last| LogPosition {
        nth: last.position.nth + 1,
        ..last.position
    });
    StreamPage {
        before: events.first().map_or(start, |first| first.position),
        after,
        events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DurationMs;

    #[test]
    fn an_empty_page_goes_on_where_it_was() {
        let at = |ms| TimestampMs::from_millis(0).plus(DurationMs::from_millis(ms));
        let start = LogPosition { at: at(7), nth: 2 };
        let page = stream_page(Vec::new(), start);
        assert_eq!((page.before, page.after), (start, start));
        let event = |ms, nth| LogEvent {
            position: LogPosition { at: at(ms), nth },
            message: String::new(),
        };
        let page = stream_page(vec![event(8, 0), event(9, 1)], start);
        assert_eq!(page.before, event(8, 0).position);
        assert_eq!(page.after, event(9, 2).position);
    }
}
