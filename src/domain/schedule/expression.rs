//! When a schedule runs: its expression, read in its time zone, between its start and its end.
//!
//! A time of day that a time zone skips (daylight saving begins) has no occurrence; one that it has twice (daylight
//! saving ends) has one, the first of the two. So does Amazon EventBridge Scheduler: user guide, "Schedule types",
//! "Daylight savings time". The time zones are those of the IANA database within this program, so an expression means
//! the same on every host, also where there is no `/usr/share/zoneinfo`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::cron::Cron;
use crate::domain::{DurationMs, TimestampMs};

/// Why an expression makes no sense, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidExpression {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: Option<String>,
}

impl InvalidExpression {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// `rate(5 minutes)`, `cron(0 12 * * ? *)` or `at(2026-11-20T13:00:00)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleExpression {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Rate(DurationMs),
    Cron(Cron),
    At(DateTime),
}

/// The longest pause of a rate: ten years.
const LONGEST_RATE_MINUTES: u32 = 3_653 * 24 * 60;

impl FromStr for ScheduleExpression {
    type Err = InvalidExpression;

    fn from_str(text: &str) -> Result<Self, InvalidExpression> {
        let text = text.trim();
        let inner = |name: &str| {
            let rest = text.strip_prefix(name)?.trim_start().strip_prefix('(')?;
            Some(rest.strip_suffix(')')?.trim())
        };
        let kind = if let Some(inner) = inner("cron") {
            Kind::Cron(Cron::parse(inner)?)
        } else if let Some(inner) = inner("rate") {
            Kind::Rate(rate(inner)?)
        } else if let Some(inner) = inner("at") {
            Kind::At(moment(inner)?)
        } else {
            let shown: String = text.chars().take(64).collect();
            return Err(InvalidExpression::new(format!(
                "`{shown}` is none of rate(…), cron(…) and at(…)"
            ))
            .hint("write rate(5 minutes), cron(0 12 * * ? *) or at(2026-11-20T13:00:00)"));
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

fn rate(text: &str) -> Result<DurationMs, InvalidExpression> {
    let wrong = |why: String| {
        InvalidExpression::new(format!("`rate({text})`: {why}"))
            .hint("write rate(value unit), as in rate(5 minutes), rate(1 hour) or rate(7 days)")
    };
    let mut words = text.split_whitespace();
    let (Some(value), Some(unit), None) = (words.next(), words.next(), words.next()) else {
        return Err(wrong("it takes a value and a unit".to_owned()));
    };
    let minutes = match unit {
        "minute" | "minutes" => 1,
        "hour" | "hours" => 60,
        "day" | "days" => 24 * 60,
        _ => {
            return Err(wrong(format!(
                "the unit is `{unit}`, and may be minutes, hours or days"
            )));
        }
    };
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let value: Option<u32> = value.parse().ok().filter(|value| digits && *value > 0);
    let minutes = value
        .and_then(|value| value.checked_mul(minutes))
        .filter(|minutes| *minutes <= LONGEST_RATE_MINUTES)
        .ok_or_else(|| {
            wrong("the value is a whole number from 1 on, of ten years at most".to_owned())
        })?;
    Ok(DurationMs::from_secs(minutes * 60))
}

fn moment(text: &str) -> Result<DateTime, InvalidExpression> {
    let parsed: Option<DateTime> = text.parse().ok();
    parsed
        .filter(|moment| moment.to_string() == text)
        .ok_or_else(|| {
            InvalidExpression::new(format!(
                "`at({text})` is not a date with a time, as at(yyyy-mm-ddThh:mm:ss)"
            ))
            .hint(
                "the time zone is said by scheduleExpressionTimezone; UTC unless it says otherwise",
            )
        })
}

impl TryFrom<String> for ScheduleExpression {
    type Error = InvalidExpression;

    fn try_from(text: String) -> Result<Self, InvalidExpression> {
        text.parse()
    }
}

impl From<ScheduleExpression> for String {
    fn from(expression: ScheduleExpression) -> Self {
        expression.text
    }
}

impl fmt::Display for ScheduleExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleTimeZone(TimeZone);

impl Default for ScheduleTimeZone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl FromStr for ScheduleTimeZone {
    type Err = InvalidExpression;

    fn from_str(text: &str) -> Result<Self, InvalidExpression> {
        ZONES.get(text).map(Self).map_err(|_| {
            let shown: String = text.chars().take(64).collect();
            let near = |name: &String| strsim::damerau_levenshtein(name, &shown);
            let nearest = ZONES
                .available()
                .map(|name| name.to_string())
                .min_by_key(near);
            let hint = format!(
                "use a name of the IANA database, such as {}",
                nearest.as_deref().unwrap_or("Europe/Zurich")
            );
            InvalidExpression::new(format!("`{shown}` is not a time zone")).hint(hint)
        })
    }
}

impl TryFrom<String> for ScheduleTimeZone {
    type Error = InvalidExpression;

    fn try_from(text: String) -> Result<Self, InvalidExpression> {
        text.parse()
    }
}

impl From<ScheduleTimeZone> for String {
    fn from(zone: ScheduleTimeZone) -> Self {
        zone.to_string()
    }
}

impl fmt::Display for ScheduleTimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

/// Occurrences that are due, of which at most one is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The latest.
    pub latest: TimestampMs,
    /// How many there are, [`Due::MOST`] at most.
    pub count: u32,
}

impl Due {
    /// No more than this are counted.
    pub const MOST: u32 = 1_000;
}

/// All that says when a schedule runs.
#[derive(Clone, Copy, Debug)]
pub struct Timing<'a> {
    /// At which times.
    pub expression: &'a ScheduleExpression,
    /// Where these times are read. A rate has none.
    pub time_zone: &'a ScheduleTimeZone,
    /// Not before that.
    pub start: Option<TimestampMs>,
    /// Not after that.
    pub end: Option<TimestampMs>,
    /// The first occurrence of a rate without a start.
    pub anchored_at: TimestampMs,
}

impl Timing<'_> {
    /// The first occurrence after `after`.
    pub fn next_after(&self, after: TimestampMs) -> Option<TimestampMs> {
        let before_start = self
            .start
            .map(|at| TimestampMs::from_millis(at.as_millis() - 1));
        let after = before_start.map_or(after, |start| start.max(after));
        let next = match &self.expression.kind {
            Kind::Rate(period) => Some(self.next_of_rate(*period, after)),
            Kind::Cron(cron) => self.next_of_cron(cron, after),
            Kind::At(moment) => self.instant(*moment).filter(|at| *at > after),
        };
        next.filter(|next| self.end.is_none_or(|end| *next <= end))
    }

    fn next_of_rate(&self, period: DurationMs, after: TimestampMs) -> TimestampMs {
        let first = self.start.unwrap_or(self.anchored_at);
        if first > after {
            return first;
        }
        let period = period.as_millis();
        let over = (after.as_millis() - first.as_millis()) % period;
        TimestampMs::from_millis((after.as_millis() - over).saturating_add(period))
    }

    fn next_of_cron(&self, cron: &Cron, after: TimestampMs) -> Option<TimestampMs> {
        let after_here = Timestamp::from_millisecond(after.as_millis()).ok()?;
        let mut from = self.time_zone.0.to_datetime(after_here);
        loop {
            // A time of day that is not there is passed over, and so is one whose first time is over already.
            let local = cron.next(from)?;
            match self.instant(local) {
                Some(at) if at > after => return Some(at),
                _ => from = local.checked_add(1.minute()).ok()?,
            }
        }
    }

    /// When it is `local` in the time zone, for the first time; `None` if it never is.
    fn instant(&self, local: DateTime) -> Option<TimestampMs> {
        let here = self.time_zone.0.to_ambiguous_timestamp(local);
        if matches!(here.offset(), AmbiguousOffset::Gap { .. }) {
            return None;
        }
        let at = here.earlier().ok()?;
        Some(TimestampMs::from_millis(at.as_millisecond()))
    }

    /// The occurrences after `decided` up to `now`, if there are any. Costs the same after a long pause as after a
    /// short one, but for the counting.
    pub fn due(&self, decided: TimestampMs, now: TimestampMs) -> Option<Due> {
        let is_due = |after: TimestampMs| self.next_after(after).filter(|next| *next <= now);
        let mut latest = is_due(decided)?;
        let (mut low, mut high) = (decided.as_millis(), now.as_millis());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match is_due(TimestampMs::from_millis(middle)) {
                Some(later) => (low, latest) = (middle, later),
                None => high = middle,
            }
        }
        let each = std::iter::successors(is_due(decided), |one| is_due(*one));
        let count = each.take(Due::MOST as usize).count();
        Some(Due {
            latest,
            count: u32::try_from(count).unwrap_or(Due::MOST),
        })
    }

    /// The next occurrences after `after`, so many at most.
    pub fn upcoming(&self, after: TimestampMs, count: usize) -> Vec<TimestampMs> {
        let each = std::iter::successors(self.next_after(after), |one| self.next_after(*one));
        each.take(count).collect()
    }

    /// Why it can never run, if so.
    pub fn check(&self) -> Result<(), InvalidExpression> {
        if let Kind::At(moment) = &self.expression.kind
            && self.instant(*moment).is_none()
        {
            return Err(InvalidExpression::new(format!(
                "it is never {moment} in {}: the clocks are put forward over it",
                self.time_zone
            ))
            .hint("choose a time an hour earlier or later"));
        }
        Ok(())
    }
}
