//! What the kernel has counted for a group, and in a network namespace.
//!
//! A group that Neargate made outlives the containers in it, and so do its counts: the CPU time of a task that ran for
//! one millisecond is as exact as that of one that ran for a year. Of cgroup v1's bytes of block devices that is not so:
//! the kernel forgets them with each container's own group, so the last that was seen of them counts.
//!
//! Sources: the kernel's admin-guide/cgroup-v1/{cpuacct,memory,blkio-controller} and admin-guide/cgroup-v2; `proc_pid_net(5)`.

use std::io::Read as _;
use std::path::Path;

use super::{Tree, Version};
use crate::engine::docker::host::{GroupUse, Traffic};
use crate::engine::{Look, UseCounts};

/// Longer than any of the files that are read whole.
const LONGEST: usize = 16 * 1_024;

impl Tree {
    /// What the processes of a group have used; `None` when there is no such group.
    pub(super) fn use_of(&self, path: &Path, look: Look, buffer: &mut Vec<u8>) -> Option<GroupUse> {
        let mut read = |controller: &str, name: &str| {
            let file = self.of(controller)?.join(path).join(name);
            read_into(&file, buffer)
        };
        let (now, idle) = match self.version {
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file "),
            Version::V2 => ("memory.current", "inactive_file "),
        };
        let usage = number(&read("memory", now)?);
        // Of an idle task this is the longer of the two files: not read where there is nothing to take away.
        let cached = match usage {
            0 => 0,
            _ => line(&read("memory", "memory.stat").unwrap_or_default(), idle),
        };
        let memory_bytes = usage.saturating_sub(cached);
        if look == Look::Memory {
            return Some(GroupUse {
                memory_bytes,
                counts: None,
            });
        }
        let mut text = |controller, name| read(controller, name).unwrap_or_default();
        let counts = match self.version {
            Version::V1 => {
                let blocks = text("blkio", "blkio.throttle.io_service_bytes_recursive");
                UseCounts {
                    cpu_ns: number(&text("cpuacct", "cpuacct.usage")),
                    memory_peak_bytes: number(&text("memory", "memory.max_usage_in_bytes")),
                    block_read_bytes: words(&blocks, "Read"),
                    block_write_bytes: words(&blocks, "Write"),
                    ..UseCounts::default()
                }
            }
            Version::V2 => {
                let blocks = text("io", "io.stat");
                UseCounts {
                    cpu_ns: line(&text("cpu", "cpu.stat"), "usage_usec ").saturating_mul(1_000),
                    // Kernels before 5.19 have no peak.
                    memory_peak_bytes: number(&text("memory", "memory.peak")).max(memory_bytes),
                    block_read_bytes: pairs(&blocks, "rbytes="),
                    block_write_bytes: pairs(&blocks, "wbytes="),
                    ..UseCounts::default()
                }
            }
        };
        Some(GroupUse {
            memory_bytes,
            counts: Some(counts),
        })
    }
}

/// What went through the interfaces of a process's network namespace, but for the loopback, by its `net/dev`.
pub(super) fn traffic(text: &str) -> Traffic {
    let mut sum = Traffic::default();
    for line in text.lines() {
        let Some((name, figures)) = line.split_once(':') else {
            continue;
        };
        if name.trim() == "lo" {
            continue;
        }
        let mut figures = figures.split_whitespace().map(number);
        sum.rx_bytes += figures.next().unwrap_or_default();
        // Packets, errors, drops, fifo, frame, compressed and multicast come between.
        sum.tx_bytes += figures.nth(7).unwrap_or_default();
    }
    sum
}

/// Three calls to the kernel: open, read, close.
fn read_into(file: &Path, buffer: &mut Vec<u8>) -> Option<String> {
    buffer.resize(LONGEST, 0);
    let length = std::fs::File::open(file).ok()?.read(buffer).ok()?;
    Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_default()
}

/// Of `name value` lines the value of one.
fn line(text: &str, name: &str) -> u64 {
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(name));
    found.map(number).unwrap_or_default()
}

/// The sum of `8:0 Read 4096` lines, over all devices.
fn words(text: &str, which: &str) -> u64 {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.nth(1)? == which).then(|| words.next().map(number))?
    };
    text.lines().filter_map(of).sum()
}

/// The sum of `8:0 rbytes=4096 wbytes=0` lines, over all devices.
fn pairs(text: &str, which: &str) -> u64 {
    let words = text.split_whitespace();
    let values = words.filter_map(|word| word.strip_prefix(which));
    values.map(number).sum()
}
