//! The meter. PURE: recorded transitions of tasks go in, usage intervals and sums come out.
//!
//! It reads what is recorded and never a live container, so that a bill can be computed again from the
//! records and comes out the same. Everything is a whole number: milliseconds, thousandths of a vCPU,
//! mebibytes. Money is rounded once, when a line of a bill is made: see [`sheet`] for what things cost, and
//! [`bill`] for how that is grouped and added up, and
//! [`rollup`] for what is kept of it hour by hour.

pub mod advice;
pub mod bill;
pub mod budget;
pub mod money;
pub mod rollup;
pub mod sheet;

mod clock;

pub use clock::{Clocks, is_same_offset};

use crate::domain::{EndEvidence, LastStatus, Task, TimestampMs, UsageChange, UsageInterval};

/// What the recorded change from `old` to `new` does to the task's usage interval.
///
/// It opens when the engine is first asked for something (the image pull begins) and closes when the last
/// container has ended. A task that was never handed to the engine has none. Before a task's containers are removed, the
/// engine says once more when they ended, and the end may move back to that.
pub fn fold(old: &Task, new: &Task) -> Vec<UsageChange> {
    let mut changes = Vec::new();
    if let (None, Some(opened_at)) = (old.pull_started_at, new.pull_started_at) {
        changes.push(UsageChange::Open(UsageInterval {
            task_id: new.id.clone(),
            cluster: new.cluster.clone(),
            definition: new.spec.definition.clone(),
            cpu: new.spec.reserved_cpu(),
            memory: new.spec.reserved_memory(),
            opened_at,
            closed: None,
        }));
    }
    let stopped_now =
        old.last_status != LastStatus::Stopped && new.last_status == LastStatus::Stopped;
    if let (true, Some(opened_at), Some(stopped_at)) =
        (stopped_now, new.pull_started_at, new.stopped_at)
    {
        let (at, evidence) = end_of(new, stopped_at);
        changes.push(UsageChange::Close {
            at: at.max(opened_at),
            evidence,
        });
    }
    if let (LastStatus::Stopped, Some(opened_at), Some(stopped_at)) =
        (old.last_status, old.pull_started_at, old.stopped_at)
    {
        let (end, _) = end_of(new, stopped_at);
        if end < end_of(old, stopped_at).0 {
            changes.push(UsageChange::Confirm {
                at: end.max(opened_at),
            });
        }
    }
    changes
}

/// When a task that has just stopped ended, and how that is known.
fn end_of(task: &Task, stopped_at: TimestampMs) -> (TimestampMs, EndEvidence) {
    let mut ran = task
        .containers
        .values()
        .filter(|record| record.started_at.is_some())
        .peekable();
    if ran.peek().is_none() {
        return (stopped_at, EndEvidence::NeverStarted);
    }
    let ends: Option<Vec<TimestampMs>> = ran.map(|record| record.finished_at).collect();
    match ends.and_then(|ends| ends.into_iter().max()) {
        Some(end) => (end, EndEvidence::Engine),
        None => (
            task.execution_stopped_at.unwrap_or(stopped_at),
            EndEvidence::Estimated,
        ),
    }
}

/// What usage intervals reserved, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Milliseconds × thousandths of a vCPU.
    pub milli_vcpu_ms: i128,
    /// Milliseconds × MiB.
    pub mib_ms: i128,
}

impl Reserved {
    /// What `interval` reserved, until its end or until `now`.
    pub fn of(interval: &UsageInterval, now: TimestampMs) -> Self {
        Self::over(interval, interval.length(now).as_millis())
    }

    /// What `interval` reserves in `length` milliseconds.
    fn over(interval: &UsageInterval, length: i64) -> Self {
        let length = i128::from(length);
        Self {
            milli_vcpu_ms: length * i128::from(interval.cpu.as_milli_vcpu()),
            mib_ms: length * i128::from(interval.memory.0),
        }
    }
}

impl std::ops::Add for Reserved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            milli_vcpu_ms: self.milli_vcpu_ms.saturating_add(other.milli_vcpu_ms),
            mib_ms: self.mib_ms.saturating_add(other.mib_ms),
        }
    }
}

impl std::ops::Sub for Reserved {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            milli_vcpu_ms: self.milli_vcpu_ms.saturating_sub(other.milli_vcpu_ms),
            mib_ms: self.mib_ms.saturating_sub(other.mib_ms),
        }
    }
}

impl std::iter::Sum for Reserved {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), std::ops::Add::add)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod histories;
