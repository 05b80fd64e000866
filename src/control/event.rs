//! Use cases of events.

use tokio::sync::watch;

use super::{Control, ControlError};
use crate::domain::Event;
use crate::store::EventFilter;

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

    /// Tells the number of the newest event, whenever there is a newer one.
    pub fn event_seq(&self) -> watch::Receiver<u64> {
        self.store.event_seq()
    }
}
