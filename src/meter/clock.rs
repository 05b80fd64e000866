//! Lengths that do not change when somebody sets the clock.
//!
//! The engine tells when a container ended by the wall clock, and so does Neargate when it opens an interval. When the
//! wall clock was set in between, their difference is no length. So the record has stretches of time in which the wall
//! clock was not set, each with how far it was ahead of a clock that only runs (Linux's `CLOCK_BOOTTIME`, which goes on
//! while the host is suspended). An end is first found on that clock, and from there the length. What is recorded is the
//! end by the wall clock *as it stood when the interval was opened*: then the length is the difference again.
//!
//! Between two stretches it is not known to the millisecond when the clock was set, only that it was after the last
//! heartbeat of the first and before the first of the second. That does not matter unless the same time of day came
//! twice and the task may have ended at either; then the later one is taken, as in a task that was seen to its end.
//!
//! A clock that is set twice while nobody looks shows times in between that no stretch has. An end there counts as the last
//! heartbeat before: what cannot be shown is not billed.
//!
//! This holds for an engine on the same host. Another host's clock is believed.

use crate::domain::{ClockReading, ClockStretch, TimestampMs};

/// A wall clock that is off by no more than this was not set: two clocks cannot be read at the same instant.
const TOLERANCE_MS: i64 = 5;

/// An end that is told to lie in the future by no more than this is one of now: an engine may date it by when it has noticed.
const NOTICED_MS: i64 = 100;

/// Whether the wall clock is as far ahead of the other one as it was.
pub fn is_same_offset(offset_ms: i64, reading: ClockReading) -> bool {
    (offset_ms - reading.offset_ms()).abs() <= TOLERANCE_MS
}

/// What is known of the host's clocks, the oldest stretch first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks(Vec<ClockStretch>);

impl Clocks {
    /// As they are on record.
    pub const fn new(stretches: Vec<ClockStretch>) -> Self {
        Self(stretches)
    }

    /// The stretch that goes on.
    pub fn last(&self) -> Option<&ClockStretch> {
        self.0.last()
    }

    /// Whether the wall clock was ever set.
    pub fn was_ever_set(&self) -> bool {
        let is_set = |pair: &[ClockStretch]| match pair {
            [one, next] => one.boot_id == next.boot_id,
            _ => false,
        };
        self.0.windows(2).any(is_set)
    }

    /// Whether the wall clock is as it was when it was noted last, on whichever start of the host; also when it never was.
    pub fn is_shown_by(&self, reading: ClockReading) -> bool {
        let last = self.last();
        last.is_none_or(|last| is_same_offset(last.offset_ms, reading))
    }

    /// Whether `reading` belongs to the stretch that goes on.
    pub fn goes_on(&self, boot_id: &str, reading: ClockReading) -> bool {
        self.last().is_some_and(|last| {
            last.boot_id == boot_id
                && is_same_offset(last.offset_ms, reading)
                && reading.running_ms + TOLERANCE_MS >= last.last_ms
        })
    }

    /// Notes what the clocks show now, and returns the stretch that this belongs to: the last one, seen once more, or a
    /// new one, because the host was started anew or its clock was set.
    pub fn note(&mut self, boot_id: &str, reading: ClockReading) -> ClockStretch {
        let goes_on = self.goes_on(boot_id, reading);
        if let Some(last) = self.0.last_mut().filter(|_| goes_on) {
            last.last_ms = last.last_ms.max(reading.running_ms);
            return last.clone();
        }
        let next = ClockStretch {
            seq: self.last().map_or(1, |last| last.seq + 1),
            boot_id: boot_id.to_owned(),
            offset_ms: reading.offset_ms(),
            first_ms: reading.running_ms,
            last_ms: reading.running_ms,
        };
        self.0.push(next.clone());
        next
    }

    /// A time by the clock that only runs, of the start `boot_id` of the host, by the wall clock as it stood in the stretch
    /// `opened_in`; `None` when that was under another start.
    pub fn running_on(
        &self,
        opened_in: i64,
        boot_id: &str,
        running_ms: i64,
    ) -> Option<TimestampMs> {
        let opening = self.0.iter().find(|one| one.seq == opened_in)?;
        let is_same = opening.boot_id == boot_id;
        is_same.then(|| TimestampMs::from_millis(running_ms.saturating_add(opening.offset_ms)))
    }

    /// `end`, a time by the wall clock of whenever that was, by the wall clock as it stood at `opened_at` in the stretch
    /// `opened_in`. `now_ms` is the time by the clock that only runs: nothing that is told of ended later.
    pub fn carried_on(
        &self,
        opened_at: TimestampMs,
        opened_in: i64,
        end: TimestampMs,
        now_ms: i64,
    ) -> TimestampMs {
        let Some(opening) = self.0.iter().find(|one| one.seq == opened_in) else {
            return end;
        };
        let of_boot = |one: &&ClockStretch| one.seq >= opened_in && one.boot_id == opening.boot_id;
        let stretches: Vec<&ClockStretch> = self.0.iter().filter(of_boot).collect();
        if stretches.len() < 2 {
            return end;
        }
        let opened_ms = opened_at.as_millis() - opening.offset_ms;
        let is_last_boot = self.last().map(|last| &last.boot_id) == Some(&opening.boot_id);
        for (index, stretch) in stretches.iter().enumerate().rev() {
            let ended_ms = end.as_millis() - stretch.offset_ms;
            let before = index.checked_sub(1).and_then(|index| stretches.get(index));
            let from = before.map_or(opened_ms, |before| before.last_ms.max(opened_ms));
            let until = match stretches.get(index + 1) {
                Some(after) => after.first_ms,
                None if is_last_boot => now_ms + NOTICED_MS,
                None => i64::MAX - TOLERANCE_MS,
            };
            if (from - TOLERANCE_MS..=until + TOLERANCE_MS).contains(&ended_ms) {
                let length = (ended_ms - opened_ms).max(0);
                return TimestampMs::from_millis(opened_at.as_millis() + length);
            }
        }
        // It was set more than once while nobody looked, and the end lies in between.
        let beat_ms = stretches.iter().rev().nth(1).map_or(0, |one| one.last_ms);
        TimestampMs::from_millis(opened_at.as_millis() + (beat_ms - opened_ms).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOON: i64 = 1_800_000_000_000;

    fn reading(running_ms: i64, offset_ms: i64) -> ClockReading {
        ClockReading {
            wall: TimestampMs::from_millis(running_ms + offset_ms),
            running_ms,
        }
    }

    /// A task opened at 1 s and ended at 61 s of a host whose clock was set by `step_ms` at 30 s.
    fn length_with_step(step_ms: i64, ended_ms: i64) -> i64 {
        let mut clocks = Clocks::default();
        let first = clocks.note("boot", reading(0, NOON));
        for second in 1..=29 {
            assert_eq!(
                clocks.note("boot", reading(second * 1_000, NOON)).seq,
                first.seq
            );
        }
        let second = clocks.note("boot", reading(30_400, NOON + step_ms));
        assert_ne!(second.seq, first.seq);
        clocks.note("boot", reading(62_000, NOON + step_ms));
        let opened_at = TimestampMs::from_millis(NOON + 1_000);
        let offset = if ended_ms < 30_000 {
            NOON
        } else {
            NOON + step_ms
        };
        let end = TimestampMs::from_millis(ended_ms + offset);
        let carried_on = clocks.carried_on(opened_at, first.seq, end, 62_000);
        carried_on.as_millis() - opened_at.as_millis()
    }

    #[test]
    fn an_hour_either_way_changes_no_length() {
        for step_ms in [HOUR, -HOUR, 60_000, -60_000, 90 * HOUR] {
            assert_eq!(length_with_step(step_ms, 61_000), 60_000, "{step_ms}");
            assert_eq!(length_with_step(step_ms, 21_000), 20_000, "{step_ms}");
        }
    }

    #[test]
    fn two_clocks_that_are_not_read_at_the_same_instant_were_not_set() {
        let mut clocks = Clocks::default();
        let first = clocks.note("boot", reading(1_000, NOON));
        assert_eq!(clocks.note("boot", reading(2_000, NOON + 3)).seq, first.seq);
        assert_ne!(clocks.note("boot", reading(3_000, NOON + 6)).seq, first.seq);
    }

    #[test]
    fn a_host_that_was_suspended_has_one_stretch_and_the_whole_length() {
        let mut clocks = Clocks::default();
        let first = clocks.note("boot", reading(1_000, NOON));
        // Eight hours later both clocks have gone on.
        let second = clocks.note("boot", reading(8 * HOUR, NOON));
        assert_eq!(first.seq, second.seq);
        let opened_at = TimestampMs::from_millis(NOON + 1_000);
        let end = TimestampMs::from_millis(NOON + 8 * HOUR);
        assert_eq!(clocks.carried_on(opened_at, first.seq, end, 8 * HOUR), end);
    }

    #[test]
    fn a_start_of_the_host_begins_a_stretch_and_mixes_nothing() {
        let mut clocks = Clocks::default();
        let first = clocks.note("one", reading(50_000, NOON));
        let second = clocks.note("two", reading(10, NOON + 55_000));
        assert_ne!(first.seq, second.seq);
        let opened_at = TimestampMs::from_millis(NOON + 40_000);
        assert_eq!(
            clocks.carried_on(opened_at, first.seq, first.last_wall(), 900),
            TimestampMs::from_millis(NOON + 50_000)
        );
        // Nobody noted the clocks: what the engine says is believed.
        assert_eq!(clocks.carried_on(opened_at, 77, opened_at, 900), opened_at);
    }
}
