//! Counts for how long sandboxes are kept ready. No task pays for that, so it is written down by itself: a bill shows it as
//! the operator's.
//!
//! A look each second, a record each minute. What a kill loses is less than that; nothing that tasks pay depends on it.

use std::sync::Arc;
use std::time::Duration;

use super::Reconciler;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOKS_PER_RECORD: u32 = 60;

impl Reconciler {
    /// Counts as long as the loop runs.
    pub(super) async fn count_warm_sandboxes(self: Arc<Self>) {
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        let mut last_ms = clock.reading().running_ms;
        let mut sandbox_ms = 0;
        loop {
            for _ in 0..LOOKS_PER_RECORD {
                // Those that wait now have done so since the last look, or nearly.
                tokio::time::sleep(LOOK_EVERY).await;
                let now_ms = clock.reading().running_ms;
                let waited = i64::from(self.parts.engine.warm_sandboxes());
                sandbox_ms += waited * (now_ms - last_ms).max(0);
                last_ms = now_ms;
            }
            if sandbox_ms == 0 {
                continue;
            }
            match store.note_warm_sandboxes(clock.now(), sandbox_ms).await {
                Ok(()) => sandbox_ms = 0,
                Err(error) => {
                    tracing::warn!(%error, "for how long sandboxes wait cannot be recorded");
                }
            }
        }
    }
}
