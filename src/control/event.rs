//! Use cases of events.

use tokio::sync::watch;

use super::{Control, ControlError};
use crate::domain::Event;
use crate::store::{EventFilter, PastEvents};

impl Control {
    /// Events after the one numbered `after`, oldest first.
    pub async fn events(
        &self,
        after: u64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<Event>, ControlError> {
        Ok(self.store.events(after, filter, limit).await?)
    }

    /// Events before the one numbered `before`, newest first, that have `text` in them.
    pub async fn events_before(
        &self,
        before: u64,
        filter: &EventFilter,
        text: &str,
        limit: u32,
    ) -> Result<PastEvents, ControlError> {
        let past = self
            .store
            .events_before(before, filter, text, limit)
            .await?;
        Ok(past)
    }

    /// Tells the number of the newest event, whenever there is a newer one.
    pub fn event_seq(&self) -> watch::Receiver<u64> {
        self.store.event_seq()
    }
}
