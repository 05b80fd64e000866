//! Where a simulated daemon takes its time from.
//!
//! The model itself never asks a clock: it is told the time. This is who tells it. The real clock lives in
//! the crate's one clock file; the one here stands still until somebody moves it, so that a simulation or a
//! test decides when anything happens, and nothing ever sleeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use crate::domain::{DurationMs, TimestampMs};

/// A clock that a simulated daemon lives by. It must not go back.
pub trait SimClock: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> TimestampMs;

    /// Is over when it is `at` or later; at once if it already is.
    fn sleep_until(&self, at: TimestampMs) -> BoxFuture<'static, ()>;
}

/// A clock that only moves when it is told to. Clones show the same time.
///
/// To let everything happen in the order in which it would, move it from one [`ManualClock::next_wake`] to
/// the next and let the woken run in between. Moving it further at once is allowed: the model still books
/// every step at its own time.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<Hands>>);

struct Hands {
    now: TimestampMs,
    /// Tells sleepers of the same time apart: who came first wakes first.
    next_number: u64,
    sleepers: BTreeMap<(TimestampMs, u64), oneshot::Sender<()>>,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: TimestampMs) -> Self {
        Self(Arc::new(Mutex::new(Hands {
            now,
            next_number: 0,
            sleepers: BTreeMap::new(),
        })))
    }

    /// Moves it on, and wakes whose time has come, in order.
    pub fn advance(&self, by: DurationMs) {
        let target = self.hands().now.plus(by);
        self.advance_to(target);
    }

    /// Moves it on to `target`, and wakes whose time has come, in order. It never goes back.
    pub fn advance_to(&self, target: TimestampMs) {
        let mut hands = self.hands();
        hands.now = hands.now.max(target);
        while let Some(first) = hands.sleepers.first_entry()
            && first.key().0 <= target
        {
            // Whoever slept may have been dropped; then there is nobody to wake.
            let _ = first.remove().send(());
        }
    }

    /// The earliest time that anybody sleeps until.
    pub fn next_wake(&self) -> Option<TimestampMs> {
        let mut hands = self.hands();
        hands.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        hands.sleepers.keys().next().map(|(at, _)| *at)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimClock for ManualClock {
    fn now(&self) -> TimestampMs {
        self.hands().now
    }

    fn sleep_until(&self, at: TimestampMs) -> BoxFuture<'static, ()> {
        let mut hands = self.hands();
        if at <= hands.now {
            return std::future::ready(()).boxed();
        }
        let (sender, receiver) = oneshot::channel();
        let number = hands.next_number;
        hands.next_number += 1;
        hands.sleepers.insert((at, number), sender);
        // A clock that is gone wakes nobody: the sender is only dropped with it.
        receiver.map(|_| ()).boxed()
    }
}
