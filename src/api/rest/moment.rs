//! A point in time as callers write it: RFC 3339, or how long ago.

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::domain::TimestampMs;

/// How it can be written, as the end of a sentence.
pub(super) const RULE: &str =
    "write it as 2026-01-31T08:15:00Z, or as how long ago it was: 30s, 10m, 2h, 1d";

/// The point in time that `text` means at `now`; a span of time is how long ago it was.
pub(super) fn parse(text: &str, now: TimestampMs) -> Option<TimestampMs> {
    // In a query, `+` is a space: an offset such as `+01:00` has lost its sign on the way.
    let text = text.trim().replace(' ', "+");
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(TimestampMs::from_millis(timestamp.as_millisecond()));
    }
    let span: Span = text.parse().ok()?;
    let ago: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    let ago = i64::try_from(ago.as_millis())
        .ok()
        .filter(|ago| *ago >= 0)?;
    now.as_millis()
        .checked_sub(ago)
        .map(TimestampMs::from_millis)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_was() {
        let now = TimestampMs::from_millis(1_000_000_000);
        let at = |text: &str| parse(text, now).map(TimestampMs::as_millis);
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(at("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(at("1970-01-01T01:00:00 01:00"), Some(0));
        assert_eq!(at("10m"), Some(999_400_000));
        assert_eq!(at("1h30m"), Some(994_600_000));
        assert_eq!(at("1d"), Some(913_600_000));
        assert_eq!(at("0s"), Some(1_000_000_000));
        for wrong in [
            "",
            "yesterday",
            "-10m",
            "10m ago later",
            "10",
            "1970-01-01",
            "99999999999y",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
