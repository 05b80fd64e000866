//! The shortest story that still fails: steps are left out, many at a time and then one by one, as long as what is left
//! fails with the same sentence.

use std::time::{Duration, Instant};

use super::{Tale, length, storm};

/// How long is tried.
const PATIENCE: Duration = Duration::from_mins(2);

/// What is violated: the first line up to its first colon, without what differs from run to run.
fn sentence(error: &str) -> &str {
    let line = error.lines().next().unwrap_or_default();
    line.split_once(':').map_or(line, |(sentence, _)| sentence)
}

/// As much of the story as is needed for `error`, which it ended in; with what to type to have it told again.
pub fn shortest(tale: &Tale, error: &str) -> String {
    let wanted = sentence(error);
    let mut last = error.to_owned();
    let fails = |steps: &[usize], last: &mut String| {
        let Err(error) = storm(&tale.with_steps(steps.to_vec())) else {
            return false;
        };
        let is_same = sentence(&error) == wanted;
        if is_same {
            *last = error;
        }
        is_same
    };
    let mut steps: Vec<usize> = tale
        .steps
        .clone()
        .unwrap_or_else(|| (0..length(tale.seed)).collect());
    let deadline = Instant::now() + PATIENCE;
    let mut part = steps.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < steps.len() && Instant::now() < deadline {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + part).min(steps.len()));
            if fails(&fewer, &mut last) {
                steps = fewer;
            } else {
                from += part;
            }
        }
        part = if part == 1 { 0 } else { part.div_ceil(2) };
    }
    let numbers: Vec<String> = steps.iter().map(ToString::to_string).collect();
    format!(
        "the shortest story of seed {} that fails like this has {} steps: make sim SEED={} STEPS={}\n{last}",
        tale.seed,
        steps.len(),
        tale.seed,
        numbers.join(",")
    )
}

#[test]
fn a_story_that_fails_is_told_as_short_as_it_can_be() {
    let bug = super::Bug::ForgetsTheLabel;
    let (tale, error) = (1..)
        .map(|seed| Tale::of(seed).with(bug))
        .find_map(|tale| storm(&tale).err().map(|error| (tale, error)))
        .unwrap();
    let told = shortest(&tale, &error);
    let steps = told.split_once("that fails like this has ").unwrap().1;
    let steps: usize = steps.split_once(' ').unwrap().0.parse().unwrap();
    assert!(steps <= 2, "running a task is enough: {told}");
    assert!(told.contains(sentence(&error)), "{told}");
}
