//! The only place that asks what time it is, and the only one that draws random numbers.
//!
//! Everywhere else both are inputs, so that a test or a simulation decides them.

use crate::domain::{ClockReading, IdSource, TimestampMs};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> TimestampMs;

    /// The same, with what a clock shows that is never set. A clock that nobody can set is its own.
    fn reading(&self) -> ClockReading {
        let wall = self.now();
        ClockReading {
            wall,
            running_ms: wall.as_millis(),
        }
    }
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    fn now(&self) -> TimestampMs {
        TimestampMs::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    /// Both clocks cannot be read at once: the wall clock is read between two readings of the other, and the closest of a
    /// few tries counts.
    fn reading(&self) -> ClockReading {
        const TRIES: usize = 4;
        let mut best = (i128::MAX, self.now(), running_ns());
        for _ in 0..TRIES {
            let before = running_ns();
            let wall = self.now();
            let after = running_ns();
            if after - before < best.0 {
                best = (after - before, wall, before);
            }
        }
        let running_ms = i64::try_from(best.2 / 1_000_000).unwrap_or(i64::MAX);
        ClockReading {
            wall: best.1,
            running_ms,
        }
    }
}

/// Since the host's start, those nanoseconds among them in which it was suspended.
fn running_ns() -> i128 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Identifiers from the operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> u128 {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_clocks_stay_as_far_apart_as_they_are() {
        let first = SystemClock.reading();
        assert!(first.running_ms > 0);
        for _ in 0..1_000 {
            let apart = SystemClock.reading().offset_ms() - first.offset_ms();
            assert!(apart.abs() <= 5, "{apart} ms");
        }
    }
}
