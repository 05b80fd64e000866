//! What tasks reserved, and for how long.
//!
//! The exact figures are integers: milliseconds × thousandths of a vCPU, milliseconds × MiB. The decimal
//! ones are for people and are made from them by integer arithmetic, rounded once, half up, as text: a
//! program that adds up a bill adds the integers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{EndEvidence, TimestampMs, UsageInterval};
use crate::meter::Reserved;

/// What one task has used, as it is shown with the task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskUsage {
    /// When the image pull began.
    #[schema(format = DateTime)]
    pub opened_at: String,
    /// When the last container had ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
    /// What the end rests on: `engine`, `never_started` or `estimated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_evidence: Option<String>,
    /// From one to the other, or until now.
    pub duration_ms: i64,
    /// vCPU × seconds, with six decimals.
    #[schema(examples("15.000000"))]
    pub vcpu_seconds: String,
    /// GB (1,024 MiB) × seconds, with six decimals.
    #[schema(examples("30.000000"))]
    pub gb_seconds: String,
}

impl TaskUsage {
    /// `interval`, as it stands at `now`.
    pub fn new(interval: &UsageInterval, now: TimestampMs) -> Self {
        let reserved = Reserved::of(interval, now);
        Self {
            opened_at: interval.opened_at.to_string(),
            closed_at: interval.closed.map(|(at, _)| at.to_string()),
            end_evidence: evidence(interval),
            duration_ms: interval.length(now).as_millis(),
            vcpu_seconds: vcpu_seconds(reserved),
            gb_seconds: gb_seconds(reserved),
        }
    }
}

/// What one task has used, as a line of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageLine {
    /// The task.
    pub task_id: String,
    /// The family that it was run from.
    pub family: String,
    /// The revision that it was run from.
    pub revision: u32,
    /// Where it ran.
    pub cluster: String,
    /// Thousandths of a vCPU that it reserved.
    pub milli_vcpu: i64,
    /// Memory that it reserved.
    pub memory_mib: i64,
    /// When the image pull began.
    #[schema(format = DateTime)]
    pub opened_at: String,
    /// When the last container had ended; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub closed_at: Option<String>,
    /// From one to the other, or until now.
    pub duration_ms: i64,
    /// What the end rests on: `engine`, `never_started` or `estimated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_evidence: Option<String>,
    /// Exact: thousandths of a vCPU × milliseconds.
    pub milli_vcpu_ms: i64,
    /// Exact: MiB × milliseconds.
    pub mib_ms: i64,
    /// vCPU × seconds, with six decimals.
    #[schema(examples("15.000000"))]
    pub vcpu_seconds: String,
    /// GB (1,024 MiB) × seconds, with six decimals.
    #[schema(examples("30.000000"))]
    pub gb_seconds: String,
}

impl UsageLine {
    /// `interval`, as it stands at `now`.
    pub fn new(interval: &UsageInterval, now: TimestampMs) -> Self {
        let reserved = Reserved::of(interval, now);
        Self {
            task_id: interval.task_id.to_string(),
            family: interval.definition.family.to_string(),
            revision: interval.definition.revision,
            cluster: interval.cluster.to_string(),
            milli_vcpu: interval.cpu.as_milli_vcpu(),
            memory_mib: i64::from(interval.memory.0),
            opened_at: interval.opened_at.to_string(),
            closed_at: interval.closed.map(|(at, _)| at.to_string()),
            duration_ms: interval.length(now).as_millis(),
            end_evidence: evidence(interval),
            milli_vcpu_ms: exact(reserved.milli_vcpu_ms),
            mib_ms: exact(reserved.mib_ms),
            vcpu_seconds: vcpu_seconds(reserved),
            gb_seconds: gb_seconds(reserved),
        }
    }
}

/// What tasks have used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageReport {
    /// One line per task.
    pub items: Vec<UsageLine>,
    /// All lines of this answer together.
    pub total: UsageTotal,
    /// Give it back as `nextToken` to get the next page; absent on the last one. Opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// What several lines come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageTotal {
    /// How many tasks.
    pub tasks: u64,
    /// Their lengths together.
    pub duration_ms: i64,
    /// Exact: thousandths of a vCPU × milliseconds.
    pub milli_vcpu_ms: i64,
    /// Exact: MiB × milliseconds.
    pub mib_ms: i64,
    /// vCPU × seconds, with six decimals.
    pub vcpu_seconds: String,
    /// GB (1,024 MiB) × seconds, with six decimals.
    pub gb_seconds: String,
}

impl UsageTotal {
    /// What `lines` come to. Exact figures are added, then rounded once.
    pub fn of(lines: &[UsageLine]) -> Self {
        let reserved: Reserved = lines
            .iter()
            .map(|line| Reserved {
                milli_vcpu_ms: i128::from(line.milli_vcpu_ms),
                mib_ms: i128::from(line.mib_ms),
            })
            .sum();
        Self {
            tasks: lines.len() as u64,
            duration_ms: lines
                .iter()
                .fold(0, |sum: i64, line| sum.saturating_add(line.duration_ms)),
            milli_vcpu_ms: exact(reserved.milli_vcpu_ms),
            mib_ms: exact(reserved.mib_ms),
            vcpu_seconds: vcpu_seconds(reserved),
            gb_seconds: gb_seconds(reserved),
        }
    }
}

fn evidence(interval: &UsageInterval) -> Option<String> {
    interval
        .closed
        .map(|(_, evidence)| EndEvidence::as_str(evidence).to_owned())
}

/// vCPU × seconds, with six decimals.
fn vcpu_seconds(reserved: Reserved) -> String {
    six_decimals(reserved.milli_vcpu_ms, 1_000_000)
}

/// GB (1,024 MiB) × seconds, with six decimals.
fn gb_seconds(reserved: Reserved) -> String {
    six_decimals(reserved.mib_ms, 1_024_000)
}

/// What travels has 64 bits; more than that is shown as the most that they hold.
fn exact(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// `amount` / `unit` with six decimals, rounded half up. Neither is negative.
fn six_decimals(amount: i128, unit: i128) -> String {
    const MILLION: i128 = 1_000_000;
    let millionths = (amount * MILLION + unit / 2) / unit;
    format!("{}.{:06}", millionths / MILLION, millionths % MILLION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpuUnits, FamilyRevision, MemoryMib, TaskId};

    fn interval(length_ms: i64) -> UsageInterval {
        let id: TaskId = "0".repeat(32).parse().unwrap();
        UsageInterval {
            task_id: id,
            cluster: "default".parse().unwrap(),
            definition: FamilyRevision {
                family: "web".parse().unwrap(),
                revision: 2,
            },
            cpu: CpuUnits(256),
            memory: MemoryMib(512),
            opened_at: TimestampMs::from_millis(1_000),
            closed: Some((
                TimestampMs::from_millis(1_000 + length_ms),
                EndEvidence::Engine,
            )),
        }
    }

    #[test]
    fn seconds_are_made_from_integers_and_rounded_once() {
        let now = TimestampMs::from_millis(0);
        let usage = TaskUsage::new(&interval(60_001), now);
        assert_eq!(usage.duration_ms, 60_001);
        assert_eq!(usage.vcpu_seconds, "15.000250");
        assert_eq!(usage.gb_seconds, "30.000500");
        assert_eq!(usage.end_evidence.as_deref(), Some("engine"));

        assert_eq!(six_decimals(1, 1_024_000), "0.000001");
        assert_eq!(
            six_decimals(i64::MAX.into(), 1_024_000),
            "9007199254740.991999"
        );
    }

    #[test]
    fn a_total_adds_what_is_exact() {
        let line = UsageLine::new(&interval(1), TimestampMs::from_millis(0));
        let total = UsageTotal::of(&[line.clone(), line]);
        assert_eq!(total.milli_vcpu_ms, 500);
        assert_eq!(total.vcpu_seconds, "0.000500");
        assert_eq!(total.mib_ms, 1_024);
        assert_eq!(total.gb_seconds, "0.001000");
    }
}
