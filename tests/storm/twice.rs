//! The same seed is told the same twice, byte for byte: in processes of their own, whose threads share one processor and
//! run in turn, each until it waits.

use std::process::{Command, Output};

/// The test that tells a seed.
const TOLD_BY: &str = "storm::whatever_happens_nothing_is_lost_doubled_or_left_over";

/// `program` on one processor, where each thread runs until it waits.
fn in_turn(program: &std::path::Path) -> Command {
    let mut command = Command::new("chrt");
    command.args(["--fifo", "1", "taskset", "--cpu-list", "0"]);
    command.arg(program);
    command
}

fn told(seed: u64, trace: &std::path::Path) -> Output {
    let program = std::env::current_exe().unwrap();
    in_turn(&program)
        .args(["--exact", TOLD_BY, "--nocapture"])
        .env("NEARGATE_TEST_SEED", seed.to_string())
        .env("NEARGATE_TEST_TRACE", trace)
        .output()
        .unwrap()
}

#[test]
fn the_same_seed_is_told_the_same_twice() {
    let may = in_turn(std::path::Path::new("true")).output();
    if !may.is_ok_and(|tried| tried.status.success()) {
        eprintln!("not tried: this user may not schedule threads in turn (chrt --fifo)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for seed in [1, 3, 5] {
        let trace = |number: u32| {
            let file = folder.path().join(number.to_string());
            let output = told(seed, &file);
            assert!(output.status.success(), "{output:?}");
            std::fs::read_to_string(&file).unwrap()
        };
        let (first, second) = (trace(1), trace(2));
        assert!(first.lines().count() > 50, "{first}");
        let differs = first.lines().zip(second.lines()).position(|(a, b)| a != b);
        if first != second {
            let line = differs.unwrap_or_default();
            let part = |text: &str| {
                text.lines()
                    .skip(line)
                    .take(3)
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            panic!(
                "seed {seed} differs from line {line} on:\n{}\nand\n{}",
                part(&first),
                part(&second)
            );
        }
    }
}
