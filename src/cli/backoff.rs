//! How long to wait before a lost server is asked again, and for how long to hope.

use std::time::{Duration, Instant};

/// The delay after the first failure; it doubles with each one after that.
const FIRST: Duration = Duration::from_millis(200);
/// The longest delay.
const LONGEST: Duration = Duration::from_secs(5);
/// For how long a server may be away before it is given up: an upgrade takes less, and a script must end.
const PATIENCE: Duration = Duration::from_mins(5);

/// A connection that held for so long was a success, even if nothing came over it.
const STEADY: Duration = LONGEST;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    since: Option<Instant>,
    connected: Option<Instant>,
}

impl Backoff {
    /// It worked.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A connection stands. Whether that is a success shows in the course of time: one that breaks at once
    /// is none.
    pub(super) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// It failed: how long to wait before the next attempt, or `None` when it is to be given up.
    pub(super) fn failed(&mut self) -> Option<Duration> {
        self.failed_at(Instant::now())
    }

    fn failed_at(&mut self, now: Instant) -> Option<Duration> {
        let held = self.connected.take().map(|at| now.duration_since(at));
        if held.is_some_and(|held| held >= STEADY) {
            self.succeeded();
        }
        let since = *self.since.get_or_insert(now);
        if now.duration_since(since) >= PATIENCE {
            return None;
        }
        let delay = FIRST
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_stay_bounded_and_end() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let delays = (0..7).filter_map(|_| backoff.failed_at(start));
        let delays: Vec<u128> = delays.map(|delay| delay.as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(backoff.failed_at(start + PATIENCE), None);

        backoff.succeeded();
        assert_eq!(backoff.failed_at(start + PATIENCE), Some(FIRST));
    }

    #[test]
    fn a_connection_that_held_is_a_success_and_one_that_broke_at_once_is_none() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        assert_eq!(backoff.failed_at(start), Some(FIRST));
        backoff.connected();
        assert_eq!(backoff.failed_at(Instant::now()), Some(2 * FIRST));
        backoff.connected();
        let later = Instant::now() + PATIENCE;
        assert_eq!(backoff.failed_at(later), Some(FIRST));
    }
}
