//! Points in time and lengths of time, as whole milliseconds.
//!
//! The meter is exact to the millisecond, so nothing in Neargate keeps time in any other unit.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimestampMs(i64);

impl TimestampMs {
    /// The point that lies `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long `earlier` lies back; zero if it does not lie back at all.
    pub const fn since(self, earlier: Self) -> DurationMs {
        let length = self.0.saturating_sub(earlier.0);
        DurationMs(if length > 0 { length } else { 0 })
    }

    /// This point, `length` later.
    #[must_use]
    pub const fn plus(self, length: DurationMs) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-01-31T08:15:00.250Z`.
impl fmt::Display for TimestampMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A length of time in whole milliseconds; never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct DurationMs(i64);

impl DurationMs {
    /// `millis` milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis as i64)
    }

    /// `secs` seconds.
    pub const fn from_secs(secs: u32) -> Self {
        Self(secs as i64 * 1_000)
    }

    /// `days` times 24 hours.
    pub const fn from_days(days: u32) -> Self {
        Self(days as i64 * 86_400_000)
    }

    /// Whole milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The same length for the standard library's timers.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }
}
