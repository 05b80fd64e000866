//! The only place that asks what time it is, and the only one that draws random numbers.
//!
//! Everywhere else both are inputs, so that a test or a simulation decides them.

use crate::domain::{IdSource, TimestampMs};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> TimestampMs;
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    fn now(&self) -> TimestampMs {
        TimestampMs::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// Identifiers from the operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> u128 {
        rand::random()
    }
}
