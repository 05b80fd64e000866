//! What a task reserved, and for how long.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ClusterName, CpuUnits, DurationMs, FamilyRevision, MemoryMib, ServiceName, TaskId, TimestampMs,
};

/// One stretch of time during which a task held its reservation.
///
/// Opened durably before the engine is asked for anything, closed once, never removed. Its end may move back once, to
/// the engine's own record of it, until the task was cleaned up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageInterval {
    /// The task.
    pub task_id: TaskId,
    /// Where it ran.
    pub cluster: ClusterName,
    /// What it was run from.
    pub definition: FamilyRevision,
    /// CPU reserved throughout.
    pub cpu: CpuUnits,
    /// Memory reserved throughout.
    pub memory: MemoryMib,
    /// When the image pull began.
    pub opened_at: TimestampMs,
    /// When the last container had ended, and how that is known; `None` while it goes on.
    pub closed: Option<(TimestampMs, EndEvidence)>,
}

impl UsageInterval {
    /// How long the interval is, or has been so far at `now`.
    pub fn length(&self, now: TimestampMs) -> DurationMs {
        self.closed
            .map_or(now, |(closed_at, _)| closed_at)
            .since(self.opened_at)
    }
}

/// What a task was measured to use since it began, until `measured_until`. The numbers only grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredUse {
    /// CPU time of all its containers, user and system: nanoseconds.
    pub cpu_ns: u64,
    /// Memory over time: KiB × milliseconds. Each sample stands for the time since the one before.
    pub memory_kib_ms: u64,
    /// The most memory at one time, in bytes.
    pub memory_peak_bytes: u64,
    /// Bytes that it received.
    pub network_rx_bytes: u64,
    /// Bytes that it sent.
    pub network_tx_bytes: u64,
    /// Bytes that it read from block devices.
    pub block_read_bytes: u64,
    /// Bytes that it wrote to block devices.
    pub block_write_bytes: u64,
    /// When that was.
    pub measured_until: TimestampMs,
    /// Where the CPU time comes from, and so how exact it is.
    pub source: UseSource,
}

/// Where what a task used was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseSource {
    /// The kernel's own count of the task's cgroup: exact, also for a task that was over before anybody looked.
    Cgroup,
    /// The engine's statistics of its containers, as they were when somebody looked last: what was used after that
    /// is missing.
    Sample,
}

impl UseSource {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Sample => "sample",
        }
    }
}

/// All that is on record of one task's usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskUse {
    /// What it reserved, and for how long.
    pub interval: UsageInterval,
    /// What it was measured to use; `None` when nobody could look.
    pub used: Option<MeasuredUse>,
}

/// What one task reserved and used, with what else bills are grouped by. Of the latter nothing changes after the task
/// was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// What was reserved, for how long, and what was used.
    pub usage: TaskUse,
    /// The service that the task belongs to, if it does to one.
    pub service: Option<ServiceName>,
    /// The tags that the task was run with.
    pub tags: BTreeMap<String, String>,
}

/// What the end of a usage interval rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndEvidence {
    /// The engine's own record of when the last container finished.
    Engine,
    /// No container ever started; the time at which Neargate gave up.
    NeverStarted,
    /// Nobody recorded the end; the time at which it was noticed.
    Estimated,
}

impl EndEvidence {
    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::NeverStarted => "never_started",
            Self::Estimated => "estimated",
        }
    }
}

/// What a recorded change of a task does to its usage interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsageChange {
    /// Open it.
    Open(UsageInterval),
    /// Close it. Closing what is closed changes nothing.
    Close {
        /// When the last container had ended.
        at: TimestampMs,
        /// How that is known.
        evidence: EndEvidence,
    },
    /// It was closed by what told of the end; the engine's own record of it has an earlier one. Changes nothing that is
    /// not closed by the engine's word, and nothing after the task was cleaned up.
    Confirm {
        /// When the last container had ended.
        at: TimestampMs,
    },
    /// What it has used by now. Less than what is on record changes nothing.
    Measure(MeasuredUse),
}
