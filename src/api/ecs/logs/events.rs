//! Reading lines. Tokens say where a line stands, so that they mean the same for as long as the line is there.

use serde_json::{Value, json};

use super::super::error::EcsError;
use super::super::input::Input;
use super::{group, refused};
use crate::control::{
    Control, GroupCursor, GroupQuery, LogCursor, LogEvent, LogPosition, MOST_LOG_EVENTS,
    StreamQuery,
};
use crate::domain::{LogPattern, LogStream, TimestampMs};
use crate::store::StreamFilter;

/// Streams that one call can name, as in `CloudWatch` Logs.
const MOST_NAMES: usize = 100;

fn bad_token() -> EcsError {
    EcsError::parameter("The specified nextToken is invalid.")
}

fn moment(input: &Input, name: &str) -> Result<Option<TimestampMs>, EcsError> {
    // The last day of the year 9999.
    let at = input.number(name, 0, 253_402_214_400_000)?;
    Ok(at.map(TimestampMs::from_millis))
}

fn limit(input: &Input) -> Result<usize, EcsError> {
    let most = i64::try_from(MOST_LOG_EVENTS).unwrap_or(i64::MAX);
    let limit = input.number("limit", 1, most)?.unwrap_or(most);
    Ok(usize::try_from(limit).unwrap_or(MOST_LOG_EVENTS))
}

/// `f/1700000000123/2`: at the third line of that millisecond.
fn token(way: char, position: LogPosition) -> String {
    format!("{way}/{}/{}", position.at.as_millis(), position.nth)
}

fn cursor(token: &str) -> Option<LogCursor> {
    let mut parts = token.split('/');
    let way = parts.next()?;
    let at = TimestampMs::from_millis(parts.next()?.parse().ok()?);
    let nth = parts.next()?.parse().ok()?;
    let position = LogPosition { at, nth };
    match (way, parts.next()) {
        ("f", None) => Some(LogCursor::Forward(position)),
        ("b", None) => Some(LogCursor::Backward(position)),
        _ => None,
    }
}

pub(in crate::api::ecs) async fn get(control: Control, input: Input) -> Result<Value, EcsError> {
    let sent = input
        .text("nextToken")
        .map(|text| cursor(text).ok_or_else(bad_token));
    let sent = sent.transpose()?;
    let from = moment(&input, "startTime")?;
    let from_head = input.flag("startFromHead").unwrap_or_default();
    let start = LogPosition {
        at: from.unwrap_or(TimestampMs::from_millis(0)),
        nth: 0,
    };
    let query = StreamQuery {
        from,
        to: moment(&input, "endTime")?,
        cursor: sent.or_else(|| from_head.then_some(LogCursor::Forward(start))),
        limit: limit(&input)?,
    };
    let group = group(&control, &input).await?.name;
    let stream = control
        .log_stream(&group, input.required("logStreamName"))
        .await;
    let stream = stream.map_err(|error| refused(error, "log stream"))?;
    let page = control.log_events(&stream, query).await;
    let page = page.map_err(|error| refused(error, "log stream"))?;
    let events: Vec<Value> = page.events.iter().map(shown).collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": token('f', page.after),
        "nextBackwardToken": token('b', page.before),
    }))
}

fn shown(event: &LogEvent) -> Value {
    let at = event.position.at.as_millis();
    json!({ "timestamp": at, "message": event.message, "ingestionTime": at })
}

/// `7/1700000000123/2/9`: streams up to 7 are done with, and of those after them the lines up to the third one of that
/// millisecond in stream 9. `7` alone: only the former.
fn group_token(cursor: GroupCursor) -> String {
    match cursor.last {
        None => cursor.after_stream.to_string(),
        Some((position, stream)) => format!(
            "{}/{}/{}/{stream}",
            cursor.after_stream,
            position.at.as_millis(),
            position.nth
        ),
    }
}

fn group_cursor(token: &str) -> Option<GroupCursor> {
    let parts: Vec<&str> = token.split('/').collect();
    let (after_stream, last) = match parts.as_slice() {
        [after] => (after, None),
        [after, at, nth, stream] => {
            let at = TimestampMs::from_millis(at.parse().ok()?);
            let position = LogPosition {
                at,
                nth: nth.parse().ok()?,
            };
            (after, Some((position, stream.parse().ok()?)))
        }
        _ => return None,
    };
    Some(GroupCursor {
        after_stream: after_stream.parse().ok()?,
        last,
    })
}

pub(in crate::api::ecs) async fn filter(control: Control, input: Input) -> Result<Value, EcsError> {
    let names = input.texts("logStreamNames");
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    if names.len() > MOST_NAMES {
        return Err(EcsError::parameter(
            "LogStreamNames can have at most 100 items.",
        ));
    }
    if !names.is_empty() && !prefix.is_empty() {
        return Err(EcsError::parameter(
            "logStreamNames and logStreamNamePrefix are mutually exclusive.",
        ));
    }
    let pattern = LogPattern::parse(input.text("filterPattern").unwrap_or_default())
        .map_err(|error| EcsError::parameter(error.to_string()))?;
    let cursor = match input.text("nextToken") {
        Some(token) => group_cursor(token).ok_or_else(bad_token)?,
        None => GroupCursor::default(),
    };
    let query = GroupQuery {
        streams: StreamFilter {
            names: names.into_iter().map(str::to_owned).collect(),
            prefix: prefix.to_owned(),
            from: moment(&input, "startTime")?,
            to: moment(&input, "endTime")?,
        },
        pattern,
        limit: limit(&input)?,
        cursor,
    };
    let group = group(&control, &input).await?.name;
    for name in &query.streams.names {
        let found = control.log_stream(&group, name).await;
        found.map_err(|error| refused(error, "log stream"))?;
    }
    let page = control.group_log_events(&group, query).await;
    let page = page.map_err(|error| refused(error, "log stream"))?;
    let events: Vec<Value> = page.events.iter().map(shown_with_stream).collect();
    Ok(json!({
        "events": events,
        "searchedLogStreams": [],
        "nextToken": page.next.map(group_token),
    }))
}

fn shown_with_stream((stream, event): &(LogStream, LogEvent)) -> Value {
    let mut shown = shown(event);
    let LogPosition { at, nth } = event.position;
    shown["logStreamName"] = json!(stream.name);
    // The same for a line each time: clients that follow tell by it what they have seen.
    shown["eventId"] = json!(format!("{:020}{:018}{nth:010}", at.as_millis(), stream.seq));
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_lead_back_to_where_they_were_given() {
        let position = LogPosition {
            at: TimestampMs::from_millis(1_700_000_000_123),
            nth: 2,
        };
        assert_eq!(
            cursor(&token('f', position)),
            Some(LogCursor::Forward(position))
        );
        assert_eq!(
            cursor(&token('b', position)),
            Some(LogCursor::Backward(position))
        );
        for last in [None, Some((position, 9))] {
            let cursor = GroupCursor {
                after_stream: 7,
                last,
            };
            assert_eq!(group_cursor(&group_token(cursor)), Some(cursor));
        }
        for text in ["", "f", "f/1", "x/1/2", "f/1/2/3", "f/a/2", "f/1/-2"] {
            assert_eq!(cursor(text), None, "{text}");
        }
        for text in ["", "a", "1/2", "1/2/3", "1/2/3/4/5"] {
            assert_eq!(group_cursor(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_of_tokens_panic_and_each_position_comes_back(
            text in "[fb]?/?[-+0-9/]{0,60}|\\PC{0,20}",
            at in any::<i64>(),
            nth in any::<u32>(),
            seqs in any::<(i64, i64)>(),
        ) {
            let _ = (cursor(&text), group_cursor(&text));
            let position = LogPosition { at: TimestampMs::from_millis(at), nth };
            prop_assert_eq!(cursor(&token('f', position)), Some(LogCursor::Forward(position)));
            prop_assert_eq!(cursor(&token('b', position)), Some(LogCursor::Backward(position)));
            let (after_stream, stream) = seqs;
            let group = GroupCursor { after_stream, last: Some((position, stream)) };
            prop_assert_eq!(group_cursor(&group_token(group)), Some(group));
        }
    }
}
