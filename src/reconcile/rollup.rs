//! Rolls usage up when it is closed, and removes what is older than the operator wants to keep.
//!
//! Each step is one transaction of the store, so this may end anywhere: what it did not come to, the next start goes on
//! with. Bills do not wait for it: they read what is not rolled up from the intervals.

use std::sync::Arc;
use std::time::Duration;

use super::Reconciler;
use crate::domain::{DurationMs, TimestampMs, UsageStep};
use crate::meter::rollup::roll_up;
use crate::meter::sheet::differ_from;
use crate::store::StoreError;

/// Intervals in one transaction: others wait for that long to write.
const AT_ONCE: u32 = 200;
/// Between two transactions, so that others come between them.
const PAUSE: Duration = Duration::from_millis(5);
/// How often is looked at what has been kept for long enough, when no task ends.
const REMOVE_EVERY: Duration = Duration::from_hours(1);

impl Reconciler {
    /// Rolls up for as long as the loop runs.
    pub(super) async fn roll_usage_up(self: Arc<Self>) {
        let mut are_prices_known = false;
        loop {
            let is_done = match self.roll_up_once(&mut are_prices_known).await {
                Ok(()) | Err(StoreError::Closed) => true,
                Err(error) => {
                    tracing::warn!(%error, "usage cannot be rolled up; that is tried again");
                    false
                }
            };
            tokio::time::sleep(self.parts.limits.roll_up_every).await;
            if is_done {
                // Until a task is cleaned up there is nothing new.
                let _ = tokio::time::timeout(REMOVE_EVERY, self.cleaned.notified()).await;
            }
        }
    }

    /// All that there is to do now.
    async fn roll_up_once(&self, are_prices_known: &mut bool) -> Result<(), StoreError> {
        let store = &self.parts.store;
        if !*are_prices_known {
            let terms = self.parts.prices.terms();
            store.note_price_sheets(terms, differ_from).await?;
            *are_prices_known = true;
        }
        while store.roll_up(AT_ONCE, roll_up).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        while store.price_rollups(AT_ONCE, roll_up).await? > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let Some(kept) = self.parts.limits.usage_stays else {
            return Ok(());
        };
        let before = kept_from(self.parts.clock.now(), kept);
        let mut removed = 0;
        loop {
            match store.remove_usage(before, AT_ONCE).await? {
                0 => break,
                some => removed += some,
            }
            tokio::time::sleep(PAUSE).await;
        }
        if removed > 0 {
            tracing::info!(removed, before = %before, "the intervals of old tasks were removed; the roll-ups have them");
        }
        Ok(())
    }
}

/// The midnight before which intervals have been kept for long enough.
fn kept_from(now: TimestampMs, kept: DurationMs) -> TimestampMs {
    let oldest = now.as_millis().saturating_sub(kept.as_millis());
    UsageStep::Day.start_of(TimestampMs::from_millis(oldest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_begins_at_a_midnight_and_is_never_too_little() {
        let day = UsageStep::Day.length_ms();
        let now = TimestampMs::from_millis(10 * day + 5);
        let kept = DurationMs::from_secs(3 * 86_400);
        assert_eq!(kept_from(now, kept), TimestampMs::from_millis(7 * day));
    }
}
