//! The same seed is told the same twice, byte for byte, on two threads that know nothing of each other.

use std::sync::Mutex;

use super::{Tale, storm_with};

/// Seeds that are told twice, long stories among them.
const SEEDS: u64 = 8;

/// Everything that was asked of the daemon, and every event.
fn told(seed: u64) -> Vec<String> {
    let trace = Mutex::default();
    if let Err(error) = storm_with(&Tale::of(seed), Some(&trace)) {
        panic!("seed {seed}: {error}");
    }
    trace.into_inner().unwrap()
}

#[test]
fn the_same_seed_is_told_the_same_twice() {
    let mut lines = 0;
    for seed in 1..=SEEDS {
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(|| told(seed));
            (told(seed), other.join().unwrap())
        });
        let common = first.iter().zip(&second).take_while(|(a, b)| a == b);
        let common = common.count();
        assert!(
            first == second,
            "seed {seed} differs from line {common} on:\n{:#?}\nand\n{:#?}",
            first.iter().skip(common).take(3).collect::<Vec<_>>(),
            second.iter().skip(common).take(3).collect::<Vec<_>>(),
        );
        lines += first.len();
    }
    assert!(lines > 500, "there is something to compare: {lines} lines");
}
