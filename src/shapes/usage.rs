//! What tasks reserved, and for how long; beside it what they used.
//!
//! The exact figures are integers: milliseconds × thousandths of a vCPU, milliseconds × MiB. The decimal
//! ones are for people and are made from them by integer arithmetic, rounded once, half up, as text: a
//! program that adds up a bill adds the integers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{EndEvidence, MeasuredUse, TaskUse, TimestampMs, UsageInterval};
use crate::meter::Reserved;

/// What was used, as it was measured. Reserved is what one pays for; this is what it was needed for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// CPU time: vCPU × seconds, with six decimals.
    #[schema(examples("3.250000"))]
    pub vcpu_seconds: String,
    /// Memory over time: GB (1,024 MiB) × seconds, with six decimals.
    #[schema(examples("4.100000"))]
    pub gb_seconds: String,
    /// Exact: CPU time in nanoseconds.
    pub cpu_ns: u64,
    /// Exact: KiB × milliseconds.
    pub memory_kib_ms: u64,
    /// The most memory at one time: of one task, where several are added up.
    pub memory_peak_bytes: u64,
    /// Received.
    pub network_rx_bytes: u64,
    /// Sent.
    pub network_tx_bytes: u64,
    /// Read from block devices.
    pub block_read_bytes: u64,
    /// Written to block devices.
    pub block_write_bytes: u64,
    /// Until when it was measured; absent where several tasks are added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub measured_until: Option<String>,
    /// `cgroup`: the kernel's own count, exact. `sample`: what the engine said last, so what was used after that is
    /// missing. Of several tasks, `sample` as soon as one is.
    pub source: String,
}

impl Used {
    /// What a task was measured to use.
    pub fn new(used: &MeasuredUse) -> Self {
        Self {
            cpu_ns: used.cpu_ns,
            memory_kib_ms: used.memory_kib_ms,
            memory_peak_bytes: used.memory_peak_bytes,
            network_rx_bytes: used.network_rx_bytes,
            network_tx_bytes: used.network_tx_bytes,
            block_read_bytes: used.block_read_bytes,
            block_write_bytes: used.block_write_bytes,
            measured_until: Some(used.measured_until.to_string()),
            source: used.source.as_str().to_owned(),
            ..Self::default()
        }
        .rounded()
    }

    /// What several come to; `None` when there is none. Exact figures are added, then rounded once.
    pub fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let sum = all.cloned().reduce(|sum, one| Self {
            cpu_ns: sum.cpu_ns.saturating_add(one.cpu_ns),
            memory_kib_ms: sum.memory_kib_ms.saturating_add(one.memory_kib_ms),
            memory_peak_bytes: sum.memory_peak_bytes.max(one.memory_peak_bytes),
            network_rx_bytes: sum.network_rx_bytes.saturating_add(one.network_rx_bytes),
            network_tx_bytes: sum.network_tx_bytes.saturating_add(one.network_tx_bytes),
            block_read_bytes: sum.block_read_bytes.saturating_add(one.block_read_bytes),
            block_write_bytes: sum.block_write_bytes.saturating_add(one.block_write_bytes),
            measured_until: None,
            // `sample` comes after `cgroup` in the alphabet.
            source: sum.source.max(one.source),
            ..Self::default()
        });
        sum.map(Self::rounded)
    }

    fn rounded(self) -> Self {
        Self {
            vcpu_seconds: six_decimals(self.cpu_ns.into(), 1_000_000_000),
            gb_seconds: six_decimals(self.memory_kib_ms.into(), 1_048_576_000),
            ..self
        }
    }
}

/// What one task has reserved and used, as it is shown with the task.
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
    /// What it was measured to use; absent when nobody could look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

impl TaskUsage {
    /// `usage`, as it stands at `now`.
    pub fn new(usage: &TaskUse, now: TimestampMs) -> Self {
        let interval = &usage.interval;
        let reserved = Reserved::of(interval, now);
        Self {
            opened_at: interval.opened_at.to_string(),
            closed_at: interval.closed.map(|(at, _)| at.to_string()),
            end_evidence: evidence(interval),
            duration_ms: interval.length(now).as_millis(),
            vcpu_seconds: vcpu_seconds(reserved),
            gb_seconds: gb_seconds(reserved),
            used: usage.used.as_ref().map(Used::new),
        }
    }
}

/// What one task has reserved and used, as a line of a report.
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
    /// What it was measured to use; absent when nobody could look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

impl UsageLine {
    /// `usage`, as it stands at `now`.
    pub fn new(usage: &TaskUse, now: TimestampMs) -> Self {
        let interval = &usage.interval;
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
            used: usage.used.as_ref().map(Used::new),
        }
    }
}

/// What tasks have reserved and used.
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
    /// What those of them that were measured have used; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
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
            used: Used::sum(lines.iter().filter_map(|line| line.used.as_ref())),
        }
    }
}

fn evidence(interval: &UsageInterval) -> Option<String> {
    interval
        .closed
        .map(|(_, evidence)| EndEvidence::as_str(evidence).to_owned())
}

/// vCPU × seconds, with six decimals.
pub(super) fn vcpu_seconds(reserved: Reserved) -> String {
    six_decimals(reserved.milli_vcpu_ms, 1_000_000)
}

/// GB (1,024 MiB) × seconds, with six decimals.
pub(super) fn gb_seconds(reserved: Reserved) -> String {
    six_decimals(reserved.mib_ms, 1_024_000)
}

/// What travels has 64 bits; more than that is shown as the most that they hold.
pub(super) fn exact(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// `amount` / `unit` with six decimals, rounded half up. Neither is negative.
pub(super) fn six_decimals(amount: i128, unit: i128) -> String {
    const MILLION: i128 = 1_000_000;
    let millionths = (amount * MILLION + unit / 2) / unit;
    format!("{}.{:06}", millionths / MILLION, millionths % MILLION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CpuUnits, FamilyRevision, MemoryMib, TaskId, UseSource};

    fn usage(length_ms: i64, used: Option<MeasuredUse>) -> TaskUse {
        let id: TaskId = "0".repeat(32).parse().unwrap();
        let interval = UsageInterval {
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
        };
        TaskUse { interval, used }
    }

    fn measured(source: UseSource) -> MeasuredUse {
        MeasuredUse {
            cpu_ns: 50_123_456,
            memory_kib_ms: 1_048_576,
            memory_peak_bytes: 3,
            network_rx_bytes: 4,
            network_tx_bytes: 5,
            block_read_bytes: 6,
            block_write_bytes: 7,
            measured_until: TimestampMs::from_millis(1_050),
            source,
        }
    }

    #[test]
    fn seconds_are_made_from_integers_and_rounded_once() {
        let now = TimestampMs::from_millis(0);
        let usage = TaskUsage::new(&usage(60_001, None), now);
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
        let line = UsageLine::new(&usage(1, None), TimestampMs::from_millis(0));
        let total = UsageTotal::of(&[line.clone(), line]);
        assert_eq!(total.milli_vcpu_ms, 500);
        assert_eq!(total.vcpu_seconds, "0.000500");
        assert_eq!(total.mib_ms, 1_024);
        assert_eq!(total.gb_seconds, "0.001000");
    }

    #[test]
    fn what_was_used_stands_beside_what_was_reserved() {
        let now = TimestampMs::from_millis(0);
        let line = |source| UsageLine::new(&usage(1, Some(measured(source))), now);
        let (exact, sampled) = (line(UseSource::Cgroup), line(UseSource::Sample));
        let used = exact.used.as_ref().unwrap();
        assert_eq!((used.cpu_ns, used.source.as_str()), (50_123_456, "cgroup"));
        assert_eq!(used.vcpu_seconds, "0.050123");
        assert_eq!(used.gb_seconds, "0.001000");

        let unmeasured = UsageLine::new(&usage(1, None), now);
        let total = UsageTotal::of(&[exact, sampled, unmeasured]);
        assert_eq!(total.tasks, 3);
        let used = total.used.unwrap();
        assert_eq!((used.cpu_ns, used.source.as_str()), (100_246_912, "sample"));
        assert_eq!(used.vcpu_seconds, "0.100247", "added, then rounded");
        assert_eq!((used.memory_peak_bytes, used.network_tx_bytes), (3, 10));
        assert_eq!(used.measured_until, None);
    }
}
