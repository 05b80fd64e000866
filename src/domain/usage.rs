//! What a task reserved, and for how long.

use serde::{Deserialize, Serialize};

use super::{ClusterName, CpuUnits, DurationMs, FamilyRevision, MemoryMib, TaskId, TimestampMs};

/// One stretch of time during which a task held its reservation.
///
/// Opened durably before the engine is asked for anything, closed once, never removed.
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
}
