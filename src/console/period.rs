//! Which time a page is about that has figures over time, and how it is cut; and money as it is shown. PURE.

use crate::domain::{DurationMs, TimestampMs};

/// A time up to now. It begins at a full hour or day, which is what roll-ups have, unless it is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Range {
    /// The last hour, in steps of 5 minutes.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 7 days.
    #[default]
    Week,
    /// The last 30 days.
    Month,
}

impl Range {
    /// What costs are shown of.
    pub(super) const OF_COSTS: [Self; 3] = [Self::Day, Self::Week, Self::Month];
    /// What the use of a service is shown of.
    pub(super) const OF_USE: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// As it stands in a query.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// As it is shown.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Hour => "last hour",
            Self::Day => "last 24 hours",
            Self::Week => "last 7 days",
            Self::Month => "last 30 days",
        }
    }

    /// The one of `known` that is written `text`.
    pub(super) fn parse(text: &str, known: [Self; 3]) -> Option<Self> {
        known.into_iter().find(|one| one.word() == text)
    }

    /// How long the steps are that pictures of it are cut into.
    pub(super) const fn step_ms(self) -> i64 {
        match self {
            Self::Hour => 300_000,
            Self::Day => 3_600_000,
            Self::Week | Self::Month => 86_400_000,
        }
    }

    /// What they are called.
    pub(super) const fn step_word(self) -> &'static str {
        match self {
            Self::Hour => "5 minutes",
            Self::Day => "hour",
            Self::Week | Self::Month => "day",
        }
    }

    /// From when to when, as things stand at `now`. What begins in this very millisecond belongs to it.
    pub(super) fn period(self, now: TimestampMs) -> (TimestampMs, TimestampMs) {
        let steps: i64 = match self {
            Self::Hour => 11,
            Self::Day => 23,
            Self::Week => 6,
            Self::Month => 29,
        };
        let begun = now.as_millis().div_euclid(self.step_ms()) * self.step_ms();
        let from = begun.saturating_sub(steps * self.step_ms());
        (
            TimestampMs::from_millis(from),
            now.plus(DurationMs::from_millis(1)),
        )
    }

    /// The first moment of each step, and the first moment after it.
    pub(super) fn steps(self, now: TimestampMs) -> Vec<(TimestampMs, TimestampMs)> {
        let (from, to) = self.period(now);
        let length = self.step_ms();
        let mut steps = Vec::new();
        let mut at = from.as_millis();
        while at < to.as_millis() {
            let next = at.saturating_add(length);
            steps.push((
                TimestampMs::from_millis(at),
                TimestampMs::from_millis(next).min(to),
            ));
            at = next;
        }
        steps
    }

    /// What a step is called that begins at `at`.
    pub(super) fn label_of(self, at: TimestampMs) -> String {
        let text = at.to_string();
        let shown = match self {
            Self::Hour | Self::Day => text.get(11..16),
            Self::Week | Self::Month => text.get(5..10),
        };
        shown.unwrap_or_default().to_owned()
    }
}

/// Billionths of a unit as people read them: hundredths of it, or as many digits as the first three that count.
pub(super) fn money(nano: i64, currency: &str) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    let amount = u128::from(nano.unsigned_abs());
    let mut decimals: u32 = 2;
    // Below a unit, smaller amounts have more digits, so that they are not all nothing.
    while decimals < 9 && amount > 0 && amount < 10_u128.pow(9 - decimals + 2) {
        decimals += 1;
    }
    let unit = 10_u128.pow(9 - decimals);
    let rounded = (amount + unit / 2) / unit;
    let whole = 10_u128.pow(decimals);
    let width = decimals as usize;
    format!(
        "{sign}{}.{:0width$} {currency}",
        rounded / whole,
        rounded % whole
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_digits_that_count() {
        for (nano, text) in [
            (0, "0.00 X"),
            (1, "0.000000001 X"),
            (24_341_667, "0.0243 X"),
            (999_999_999, "1.000 X"),
            (1_500_000_000, "1.50 X"),
            (123_456_000_000, "123.46 X"),
            (-24_341_667, "-0.0243 X"),
            (i64::MAX, "9223372036.85 X"),
            (i64::MIN, "-9223372036.85 X"),
        ] {
            assert_eq!(money(nano, "X"), text, "{nano}");
        }
    }

    #[test]
    fn the_steps_of_a_range_are_whole_and_come_to_it() {
        let now = TimestampMs::from_millis(1_767_225_600_000 + 5 * 3_600_000 + 12_345);
        for (range, count, first, last) in [
            (Range::Hour, 12, "04:05", "05:00"),
            (Range::Day, 24, "06:00", "05:00"),
            (Range::Week, 7, "12-26", "01-01"),
            (Range::Month, 30, "12-03", "01-01"),
        ] {
            let steps = range.steps(now);
            assert_eq!(steps.len(), count);
            assert_eq!(steps.first().map(|step| step.0), Some(range.period(now).0));
            assert_eq!(steps.last().map(|step| step.1), Some(range.period(now).1));
            assert_eq!(range.label_of(steps[0].0), first);
            assert_eq!(range.label_of(steps[count - 1].0), last);
        }
    }
}
