//! What tasks use, as an engine tells it: the words of the port.

use crate::domain::{ContainerName, TaskId, UseSource};

/// A task that is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasureTarget {
    /// The task.
    pub task: TaskId,
    /// Its containers that run or ran.
    pub containers: Vec<ContainerName>,
}

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// At the memory of this moment, where that costs no call to the engine: every second, for all tasks.
    Memory,
    /// At everything.
    All,
}

/// What a task uses, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UseReading {
    /// Who counted.
    pub source: UseSource,
    /// Memory at this moment, without files that the kernel could give up.
    pub memory_bytes: u64,
    /// What is counted since the task began; `None` after a look at the memory alone.
    pub counts: Option<UseCounts>,
}

/// What is counted since a task began. What nobody counts is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UseCounts {
    /// User and system, of all its containers: nanoseconds.
    pub cpu_ns: u64,
    /// The most memory at one time.
    pub memory_peak_bytes: u64,
    /// Received.
    pub network_rx_bytes: u64,
    /// Sent.
    pub network_tx_bytes: u64,
    /// Read from block devices.
    pub block_read_bytes: u64,
    /// Written to block devices.
    pub block_write_bytes: u64,
}
