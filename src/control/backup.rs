//! A backup: a copy of all that is recorded, of one moment.

use super::{Control, ControlError};
use crate::domain::{EventKind, NewEvent};
use crate::store::Backup;

impl Control {
    /// Makes a backup, and records that there is one.
    pub async fn backup(&self) -> Result<Backup, ControlError> {
        let backup = self.store.backup().await?;
        let event = NewEvent {
            at: self.clock.now(),
            kind: EventKind::Server,
            cluster: None,
            subject: "neargate".to_owned(),
            status: None,
            message: format!("a backup was made: {} bytes", backup.bytes),
        };
        self.store.record_event(event).await?;
        Ok(backup)
    }
}
