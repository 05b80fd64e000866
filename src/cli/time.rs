//! Times as people write and read them.
//!
//! The API speaks RFC 3339 in UTC. Tables say how long ago something was, or with `--exact-times` when; what a script reads
//! keeps the API's own text. `now` is the one place of the command line that asks for the time; everything else is
//! given it.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::civil::Date;
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::clock::{Clock as _, SystemClock};
pub(super) use crate::domain::display::length;
use crate::domain::{TimestampMs, display};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Now.
pub(super) fn now() -> TimestampMs {
    SystemClock.now()
}

/// The time that the API writes as `text`.
pub(super) fn parse(text: &str) -> Option<TimestampMs> {
    let timestamp: Timestamp = text.parse().ok()?;
    Some(TimestampMs::from_millis(timestamp.as_millisecond()))
}

/// Whether people are told when something was, instead of how long ago: chosen once for the process, before anything is shown.
static EXACT: AtomicBool = AtomicBool::new(false);

/// From now on, times are shown as the API gives them.
pub(super) fn be_exact() {
    EXACT.store(true, Ordering::Relaxed);
}

fn is_exact() -> bool {
    EXACT.load(Ordering::Relaxed)
}

/// The API's time `text`, and how long ago that is.
pub(super) fn moment(text: &str, now: TimestampMs) -> String {
    if is_exact() {
        return text.to_owned();
    }
    format!("{text} ({})", ago(text, now))
}

/// How long ago the API's time `text` is: `3 min ago`. What is no time is given back.
pub(super) fn ago(text: &str, now: TimestampMs) -> String {
    if is_exact() {
        return text.to_owned();
    }
    let Some(at) = parse(text) else {
        return text.to_owned();
    };
    display::ago(at, now)
}

/// The same beside the time itself: nothing where times are exact.
pub(super) fn since(text: &str, now: TimestampMs) -> String {
    if is_exact() {
        return String::new();
    }
    ago(text, now)
}

/// The API's time `text`, and how far ahead that is.
pub(super) fn moment_ahead(text: &str, now: TimestampMs) -> String {
    if is_exact() {
        return text.to_owned();
    }
    format!("{text}  {}", ahead(text, now))
}

/// How far ahead the API's time `text` is: `in 3 min`. What is no time is given back.
pub(super) fn ahead(text: &str, now: TimestampMs) -> String {
    if is_exact() {
        return text.to_owned();
    }
    let Some(at) = parse(text) else {
        return text.to_owned();
    };
    match at.since(now).as_millis() {
        length if length < SECOND => "now".to_owned(),
        length if length < MINUTE => format!("in {} s", length / SECOND),
        length if length < HOUR => format!("in {} min", length / MINUTE),
        length if length < 2 * DAY => format!("in {} h", length / HOUR),
        length => format!("in {} days", length / DAY),
    }
}

/// How long it was from one time of the API to another.
pub(super) fn between(from: &str, to: &str) -> Option<i64> {
    Some(parse(to)?.since(parse(from)?).as_millis())
}

/// A point in time, as it is typed: RFC 3339, a date, or how long ago it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// That time.
    At(TimestampMs),
    /// So many milliseconds before now.
    Ago(i64),
}

impl Point {
    /// As the API wants it.
    pub(super) fn resolve(self, now: TimestampMs) -> String {
        match self {
            Self::At(at) => at.to_string(),
            Self::Ago(millis) => {
                TimestampMs::from_millis(now.as_millis().saturating_sub(millis)).to_string()
            }
        }
    }
}

/// Reads what was typed as a point in time.
pub(super) fn point(text: &str) -> Result<Point, String> {
    if let Some(at) = parse(text) {
        return Ok(Point::At(at));
    }
    if let Ok(date) = text.parse::<Date>()
        && let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC)
    {
        return Ok(Point::At(TimestampMs::from_millis(
            midnight.timestamp().as_millisecond(),
        )));
    }
    let ago = text.parse::<Span>().ok();
    let ago = ago.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    match ago.and_then(|length| i64::try_from(length.as_millis()).ok()) {
        Some(millis) if millis >= 0 => Ok(Point::Ago(millis)),
        _ => Err("write how long ago (10m, 2h30m, 1d), a date, or 2026-01-31T08:15:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: &str = "2026-01-31T08:15:00.000Z";

    #[test]
    fn tables_say_how_long_ago_it_was() {
        let later = |millis| {
            parse(THEN)
                .unwrap()
                .plus(crate::domain::DurationMs::from_millis(millis))
        };
        for (millis, text) in [
            (0, "just now"),
            (999, "just now"),
            (59_999, "59 s ago"),
            (60_000, "1 min ago"),
            (3_600_000, "1 h ago"),
            (172_799_999, "47 h ago"),
            (172_800_000, "2 days ago"),
        ] {
            assert_eq!(ago(THEN, later(millis)), text);
        }
        // A server whose clock is ahead of ours.
        assert_eq!(ago("2027-01-31T08:15:00Z", later(0)), "just now");
        assert_eq!(ago("no time", later(0)), "no time");
    }

    #[test]
    fn lengths_keep_the_digits_that_matter() {
        for (millis, text) in [
            (0, "0 ms"),
            (12, "12 ms"),
            (4_260, "4.2 s"),
            (185_000, "3 min 05 s"),
            (7_380_000, "2 h 03 min"),
            (90_000_000, "1 d 01 h"),
        ] {
            assert_eq!(length(millis), text);
        }
    }

    #[test]
    fn points_in_time_are_typed_in_three_ways() {
        assert_eq!(point("10m"), Ok(Point::Ago(600_000)));
        assert_eq!(point("2h30m"), Ok(Point::Ago(9_000_000)));
        assert_eq!(point("1d"), Ok(Point::Ago(86_400_000)));
        assert_eq!(
            point(THEN).unwrap().resolve(TimestampMs::from_millis(0)),
            THEN
        );
        let date = point("2026-01-31")
            .unwrap()
            .resolve(TimestampMs::from_millis(0));
        assert_eq!(date, "2026-01-31T00:00:00.000Z");
        assert_eq!(
            point("1s").unwrap().resolve(parse(THEN).unwrap()),
            "2026-01-31T08:14:59.000Z"
        );
        for text in ["", "yesterday", "-5m", "2026-13-01"] {
            assert!(point(text).is_err(), "{text:?}");
        }
    }
}
