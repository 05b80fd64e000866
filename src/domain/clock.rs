//! Two clocks: the one on the wall, which people and NTP set, and one that only runs.

use super::TimestampMs;

/// What a host's clocks showed at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// By the wall clock. Every time that is on record is one of these.
    pub wall: TimestampMs,
    /// By a clock that is never set: milliseconds since the host's start, those among them in which it was suspended.
    pub running_ms: i64,
}

impl ClockReading {
    /// How far the wall clock is ahead of the other. It changes only when the wall clock is set.
    pub const fn offset_ms(self) -> i64 {
        self.wall.as_millis() - self.running_ms
    }
}

/// A stretch of time throughout which the host was not started anew and its wall clock was not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockStretch {
    /// Counts up.
    pub seq: i64,
    /// Of the host; empty where nobody can know.
    pub boot_id: String,
    /// How far the wall clock was ahead of the one that only runs.
    pub offset_ms: i64,
    /// When it was first seen to be so, by the clock that only runs.
    pub first_ms: i64,
    /// When it was last seen to be so, with the engine there: the heartbeat.
    pub last_ms: i64,
}

impl ClockStretch {
    /// The heartbeat, by the wall clock.
    pub const fn last_wall(&self) -> TimestampMs {
        TimestampMs::from_millis(self.last_ms + self.offset_ms)
    }
}
