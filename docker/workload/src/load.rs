//! Commands that use the machine: CPU time and memory.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{Arguments, Command, Failure, Flag, OnTermination};
use crate::system;

const MIB: usize = 1024 * 1024;

/// Uses CPU time.
pub const BURN_CPU: Command = Command {
    name: "burn-cpu",
    about: "computes without pause, then writes how much CPU time it used",
    flags: &[
        Flag {
            name: "--for-ms",
            value: Some("N"),
            about: "how long, on the clock (until SIGTERM)",
        },
        Flag {
            name: "--cpu-ms",
            value: Some("N"),
            about: "CPU time to use in each thread (no end)",
        },
        Flag {
            name: "--threads",
            value: Some("N"),
            about: "how many threads, 1 to 256 (1)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: burn_cpu,
};

/// Uses memory.
pub const ALLOCATE: Command = Command {
    name: "allocate",
    about: "takes memory in steps of 1 MiB, writes to every page of it, and holds it",
    flags: &[
        Flag {
            name: "--mib",
            value: Some("N"),
            about: "how much, in MiB (64)",
        },
        Flag {
            name: "--hold-ms",
            value: Some("N"),
            about: "how long it is held (until SIGTERM)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: allocate,
};

fn burn_cpu(arguments: &Arguments) -> Result<u8, Failure> {
    let wall = arguments.duration("--for-ms")?;
    let cpu = arguments.duration("--cpu-ms")?;
    let threads = arguments.number("--threads", 1..=256)?.unwrap_or(1_u16);
    let start = Instant::now();
    // Not zero: what the container runtime used in this process before it became this program counts too.
    let used_before = system::process_cpu_time();
    thread::scope(|scope| {
        for _ in 1..threads {
            let spawned = thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn_scoped(scope, || burn(start, wall, cpu));
            if let Err(error) = spawned {
                return Err(Failure::at("cannot start a thread", error));
            }
        }
        burn(start, wall, cpu);
        Ok(())
    })?;
    println!(
        "used {} ms of CPU time in {} ms",
        system::process_cpu_time()
            .saturating_sub(used_before)
            .as_millis(),
        start.elapsed().as_millis()
    );
    Ok(0)
}

/// Computes until `wall` has passed since `start`, or until this thread has used `cpu`.
fn burn(start: Instant, wall: Option<Duration>, cpu: Option<Duration>) {
    let used_before = system::thread_cpu_time();
    let mut number = 1_u64;
    loop {
        // Short enough to end within a fraction of a millisecond, long enough that the clock costs nothing.
        for _ in 0..20_000 {
            number = black_box(
                number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1),
            );
        }
        let over = wall.is_some_and(|wall| start.elapsed() >= wall)
            || cpu.is_some_and(|cpu| system::thread_cpu_time().saturating_sub(used_before) >= cpu);
        if over {
            return;
        }
    }
}

fn allocate(arguments: &Arguments) -> Result<u8, Failure> {
    let mib = arguments
        .number("--mib", 0..=1024 * 1024)?
        .unwrap_or(64_usize);
    let hold = arguments.duration("--hold-ms")?;
    let mut blocks = Vec::with_capacity(mib);
    for _ in 0..mib {
        // A block of ones is written in full; a block of zeros would stay a promise of the kernel.
        blocks.push(black_box(vec![1_u8; MIB]));
    }
    println!("holding {mib} MiB");
    match hold {
        Some(hold) => thread::sleep(hold),
        None => loop {
            thread::park();
        },
    }
    drop(black_box(blocks));
    Ok(0)
}
