//! The store: what should be, what is, what happened and what was used, in one SQLite database.
//!
//! It keeps records and the rules that hold between them; it decides nothing, asks no clock and knows no
//! engine. Everything that is written goes through one writer (see `writer`) and is durable when the
//! call returns; reads go to a pool of connections that cannot write. The three writers of a task's row
//! have calls of their own, none of which touches the columns of another: [`Store::request_stop`] writes
//! what the user asked for, [`Store::record_task`] what the planner decided and the engine reported.
//! No call reads more rows than it returns, where an index can help it.
//!
//! One file per noun. Every query is checked against `migrations/` when it is compiled; after a change of
//! either, run `scripts/sqlx prepare`.

mod access_key;
mod admission;
mod autoscale;
mod backup;
mod bill;
mod books;
mod budget;
mod client_token;
mod clock;
mod cluster;
mod column;
mod deployment;
mod error;
mod event;
mod examine;
mod image;
mod in_flight;
mod kept;
mod log;
mod log_group;
mod open;
mod open_use;
mod pace;
mod page;
mod readers;
mod rolled;
mod rollup;
mod schedule;
mod seal;
mod secret;
mod service;
mod task;
mod task_definition;
mod task_list;
mod task_row;
mod totals;
mod usage;
mod warm;
mod writer;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use tokio::sync::watch;

pub use access_key::SigningKey;
pub use admission::Admission;
pub use autoscale::{ACTIVITIES_KEPT, ScalingRecord};
pub use backup::{Backup, Restored};
pub use bill::IssuedBill;
pub use budget::{BudgetPulse, BudgetRecord, LedgerLook};
pub use client_token::{ClientToken, TOKENS_KEPT};
pub use error::StoreError;
pub use event::{EVENTS_KEPT, EVENTS_LOOKED_THROUGH, EventFilter, PastEvents};
pub use kept::{KeptDocument, KeptKind};
pub use log::{KeptLine, KeptLines, KeptLogs, LogStore, LogWriter};
pub use log_group::{StreamFilter, StreamOrder};
pub use open_use::OpenUse;
pub use page::{Page, PageRequest};
pub use rolled::{NotRolled, RolledQuery, UsagePart};
pub use rollup::DifferFrom;
pub use schedule::{RUNS_KEPT, ScheduleRecord};
pub use service::{DescribedService, ServiceRecord, Wanted};
pub use task::Created;
pub use task_definition::TaskDefinitionFilter;
pub use task_list::TaskFilter;
pub use totals::{ServiceCounts, Total, TotalName, UsageTotals};
pub use usage::UsageFilter;
pub use writer::{WriteCounts, WriteFault};

use pace::Pace;
use readers::Readers;
use seal::KeyFile;
use writer::Writer;

use crate::domain::InstanceId;

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    writer: Writer,
}

struct Shared {
    instance_id: InstanceId,
    readers: Readers,
    event_seq: watch::Receiver<u64>,
    logs: LogStore,
    key_file: KeyFile,
}

/// The bounds that the store keeps to. Only tests need others than these.
#[derive(Clone, Debug)]
struct Tuning {
    /// Connections that read at the same time; who comes when all are taken waits.
    readers: u32,
    /// Jobs in one commit.
    max_group: usize,
    /// The newest events, which are kept.
    events_kept: u64,
    /// How many events come between two looks at those that are too old.
    prune_every: u64,
    /// The most pages that the database may have; `None` for as many as the disk has room for.
    max_pages: Option<u32>,
    /// Up to this size, each start looks at all of the database: `quick_check` goes through about 100 MiB in a second.
    examined_bytes: u64,
    /// What is otherwise in a simulation.
    simulated: Option<Simulated>,
}

impl Tuning {
    fn pace(&self) -> Pace {
        let simulated = self.simulated.as_ref();
        simulated.map_or_else(Pace::default, |one| Pace::in_step(Arc::clone(&one.turns)))
    }
}

/// What a simulation decides about its store, so that it is the same each time. Only processes die in it, not machines, so
/// nothing is waited for until it is on the disk.
#[derive(Clone)]
pub struct Simulated {
    /// For how many turns the next answer is held back, in which others go on.
    pub turns: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// What goes wrong with the next group of writes.
    pub write_fault: Arc<dyn Fn() -> Option<WriteFault> + Send + Sync>,
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulated").finish_non_exhaustive()
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            readers: 4,
            max_group: 256,
            events_kept: EVENTS_KEPT,
            prune_every: 10_000,
            max_pages: None,
            examined_bytes: 256 * 1_048_576,
            simulated: None,
        }
    }
}

impl Store {
    fn assemble(
        instance_id: InstanceId,
        writer: Writer,
        readers: Readers,
        event_seq: watch::Receiver<u64>,
        logs: LogStore,
        key_file: KeyFile,
    ) -> Self {
        Self {
            writer,
            shared: Arc::new(Shared {
                instance_id,
                readers,
                event_seq,
                logs,
                key_file,
            }),
        }
    }

    /// The same store, for the loop: where many write at the same time, its writes let those that somebody waits for go first,
    /// but never all of them.
    #[must_use]
    pub fn for_the_loop(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            writer: self.writer.patient(),
        }
    }

    /// Which Neargate this is.
    pub fn instance_id(&self) -> &InstanceId {
        &self.shared.instance_id
    }

    /// The number of the last event that is recorded; changes when there is a new one.
    pub fn event_seq(&self) -> watch::Receiver<u64> {
        self.shared.event_seq.clone()
    }

    /// The logs of containers that are gone.
    pub fn logs(&self) -> &LogStore {
        &self.shared.logs
    }

    /// How much was written since the store was opened.
    pub fn write_counts(&self) -> WriteCounts {
        self.writer.counts()
    }

    /// Reads and writes that are on their way, and logs that are being kept. Database and files are worked on
    /// by other threads, so whoever lets time pass by hand asks this before.
    pub fn in_flight(&self) -> usize {
        self.writer().in_flight() + self.logs().in_flight() + self.readers().in_flight()
    }

    /// Fails with [`StoreError::Closed`] if nothing can be written any more. Says nothing of the room on the disk.
    pub fn check_writer(&self) -> Result<(), StoreError> {
        if self.writer().is_closed() {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    /// Finishes what was handed over, moves it into the database file and gives the folder back. Every call
    /// that comes later is answered with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
    }

    /// Where the key is that secrets are sealed with.
    fn key_file(&self) -> &KeyFile {
        &self.shared.key_file
    }

    fn writer(&self) -> &Writer {
        &self.writer
    }

    fn readers(&self) -> &Readers {
        &self.shared.readers
    }
}
