//! CPU and memory, and the sizes that a task may have.

use std::fmt;

use serde::{Deserialize, Serialize};

/// CPU in ECS's units: 1,024 make one vCPU.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CpuUnits(pub u32);

/// Memory in mebibytes, which is what ECS means by "MiB" and, in task sizes, by "GB" / 1,024.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MemoryMib(pub u32);

/// A task's CPU and memory. One that exists is one of Fargate's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskSize {
    cpu: CpuUnits,
    memory: MemoryMib,
}

/// One row of Fargate's table: `memory_gb` is every size that goes with `cpu`.
struct Row {
    cpu: u32,
    first_mib: u32,
    last_mib: u32,
    step_mib: u32,
}

/// Fargate's table of task sizes.
/// Source: Amazon ECS developer guide, "Task definition parameters for Fargate", "Task size".
const FARGATE: [Row; 7] = [
    Row {
        cpu: 256,
        first_mib: 512,
        last_mib: 2_048,
        step_mib: 512,
    },
    Row {
        cpu: 512,
        first_mib: 1_024,
        last_mib: 4_096,
        step_mib: 1_024,
    },
    Row {
        cpu: 1_024,
        first_mib: 2_048,
        last_mib: 8_192,
        step_mib: 1_024,
    },
    Row {
        cpu: 2_048,
        first_mib: 4_096,
        last_mib: 16_384,
        step_mib: 1_024,
    },
    Row {
        cpu: 4_096,
        first_mib: 8_192,
        last_mib: 30_720,
        step_mib: 1_024,
    },
    Row {
        cpu: 8_192,
        first_mib: 16_384,
        last_mib: 61_440,
        step_mib: 4_096,
    },
    Row {
        cpu: 16_384,
        first_mib: 32_768,
        last_mib: 122_880,
        step_mib: 8_192,
    },
];

impl Row {
    fn sizes_mib(&self) -> impl Iterator<Item = u32> {
        // 256 CPU units go with 0.5, 1 and 2 GB, but not with 1.5.
        let odd_one = self.cpu == 256;
        (self.first_mib..=self.last_mib)
            .step_by(self.step_mib as usize)
            .filter(move |mib| !(odd_one && *mib == 1_536))
    }
}

/// CPU and memory that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidSize {
    /// What is wrong, with the sizes that are right.
    pub message: String,
    /// Which change would make it right.
    pub hint: Option<String>,
}

impl TaskSize {
    /// The size of `cpu` and `memory`, if Fargate has it.
    pub fn new(cpu: CpuUnits, memory: MemoryMib) -> Result<Self, InvalidSize> {
        let Some(row) = FARGATE.iter().find(|row| row.cpu == cpu.0) else {
            let all: Vec<String> = FARGATE.iter().map(|row| row.cpu.to_string()).collect();
            return Err(InvalidSize {
                message: format!(
                    "cpu {cpu} is not a valid size: it may be {}",
                    all.join(", ")
                ),
                hint: FARGATE
                    .iter()
                    .find(|row| row.cpu >= cpu.0)
                    .map(|row| format!("the next larger one is {}", row.cpu)),
            });
        };
        if row.sizes_mib().any(|mib| mib == memory.0) {
            return Ok(Self { cpu, memory });
        }
        let hint = FARGATE
            .iter()
            .find(|row| row.sizes_mib().any(|mib| mib == memory.0))
            .map(|fits| {
                let word = if fits.cpu > cpu.0 {
                    "or more"
                } else {
                    "or less"
                };
                format!(
                    "{memory} needs cpu {} {word}",
                    if fits.cpu > cpu.0 {
                        fits.cpu
                    } else {
                        largest_cpu_for(memory)
                    }
                )
            });
        Err(InvalidSize {
            message: format!(
                "cpu {cpu} with memory {memory} is not a valid size: with cpu {cpu}, memory may be {}",
                describe_row(row)
            ),
            hint,
        })
    }

    /// Every size that there is, by CPU and then by memory, the smallest first.
    pub fn all() -> impl Iterator<Item = Self> {
        FARGATE.iter().flat_map(|row| {
            row.sizes_mib().map(|mib| Self {
                cpu: CpuUnits(row.cpu),
                memory: MemoryMib(mib),
            })
        })
    }

    /// The CPU of it.
    pub const fn cpu(self) -> CpuUnits {
        self.cpu
    }

    /// The memory of it.
    pub const fn memory(self) -> MemoryMib {
        self.memory
    }
}

/// The largest CPU that goes with `memory`; 0 if none does.
fn largest_cpu_for(memory: MemoryMib) -> u32 {
    FARGATE
        .iter()
        .rev()
        .find(|row| row.sizes_mib().any(|mib| mib == memory.0))
        .map_or(0, |row| row.cpu)
}

/// `512, 1024 or 2048`, or `from 8192 to 30720 in steps of 1024` where the list would be long.
fn describe_row(row: &Row) -> String {
    let sizes: Vec<String> = row.sizes_mib().map(|mib| mib.to_string()).collect();
    match sizes.split_last() {
        Some((last, rest)) if sizes.len() <= 7 => format!("{} or {last}", rest.join(", ")),
        _ => format!(
            "from {} to {} in steps of {}",
            row.first_mib, row.last_mib, row.step_mib
        ),
    }
}

impl CpuUnits {
    /// Thousandths of a vCPU, rounded down.
    pub const fn as_milli_vcpu(self) -> i64 {
        self.0 as i64 * 1_000 / 1_024
    }
}

impl MemoryMib {
    /// The same in bytes.
    pub const fn as_bytes(self) -> i64 {
        self.0 as i64 * 1_048_576
    }
}

impl fmt::Display for CpuUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(cpu: u32, memory: u32) -> Result<TaskSize, InvalidSize> {
        TaskSize::new(CpuUnits(cpu), MemoryMib(memory))
    }

    #[test]
    fn the_sizes_of_fargate_are_valid_and_nothing_between_them_is() {
        for (cpu, memory) in [
            (256, 512),
            (256, 2_048),
            (1_024, 5_120),
            (8_192, 61_440),
            (16_384, 122_880),
        ] {
            assert!(size(cpu, memory).is_ok(), "{cpu}/{memory}");
        }
        for (cpu, memory) in [
            (256, 1_536),
            (0, 512),
            (300, 512),
            (512, 512),
            (8_192, 17_408),
        ] {
            assert!(size(cpu, memory).is_err(), "{cpu}/{memory}");
        }
    }

    #[test]
    fn all_sizes_are_valid_and_in_order() {
        let all: Vec<_> = TaskSize::all()
            .map(|size| (size.cpu().0, size.memory().0))
            .collect();
        assert!(all.is_sorted() && all.len() == 74, "{}", all.len());
        assert!(all.iter().all(|(cpu, memory)| size(*cpu, *memory).is_ok()));
    }

    #[test]
    fn an_invalid_size_says_which_ones_are_valid_and_what_to_change() {
        let error = size(256, 4_096).unwrap_err();
        assert_eq!(
            error.message,
            "cpu 256 with memory 4096 is not a valid size: with cpu 256, memory may be 512, 1024 or 2048"
        );
        assert_eq!(error.hint.as_deref(), Some("4096 needs cpu 512 or more"));
    }
}
