//! Cron expressions in the dialect of Amazon EventBridge Scheduler: six fields, minutes hours day-of-month month
//! day-of-week year, and which minutes of a calendar they mean. Time zones are not known here.
//!
//! Source: Amazon EventBridge Scheduler user guide, "Schedule types", and Amazon EventBridge user guide, "Setting a
//! schedule pattern for scheduled rules". Where these say nothing (`LW`, a range with a step, a `W` at the edge of a
//! month), the rule is that of Quartz, from which AWS has its dialect.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};

use super::InvalidExpression;

/// The values of a field.
type Set = BTreeSet<i16>;

/// The minutes that an expression means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: Set,
    hours: Set,
    days: Days,
    months: Set,
    years: Set,
}

/// Only one of the two fields says something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    OfMonth(Vec<DayOfMonth>),
    OfWeek(Vec<DayOfWeek>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum DayOfMonth {
    /// `1`, `1-5`, `*`, `1/10`
    Days(Set),
    /// `L`
    Last,
    /// `LW`
    LastWeekday,
    /// `15W`: the weekday that is nearest to the 15th and in the same month.
    NearestWeekday(i16),
}

/// 1 is Sunday.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DayOfWeek {
    /// `2`, `MON-FRI`, `*`
    Days(Set),
    /// `6L`: the last Friday of the month.
    Last(i16),
    /// `3#2`: the second Tuesday of the month.
    Nth(i16, i16),
}

/// What a field may hold.
struct Field {
    name: &'static str,
    least: i16,
    most: i16,
    /// For the values from `least` on.
    words: &'static [&'static str],
    /// Whether a range may go on after the end at the beginning, as in AWS's own example `20-2` for the hours.
    is_circle: bool,
}

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MINUTES: Field = Field::circle("minutes", 0, 59, &[]);
const HOURS: Field = Field::circle("hours", 0, 23, &[]);
const DAY_OF_MONTH: Field = Field::line("day-of-month", 1, 31);
const MONTH: Field = Field::circle(
    "month",
    1,
    12,
    &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
);
const DAY_OF_WEEK: Field = Field::circle("day-of-week", 1, 7, &WEEKDAYS);
const YEAR: Field = Field::line("year", 1970, 2199);

const FORM: &str = "cron(minutes hours day-of-month month day-of-week year)";

impl Field {
    const fn line(name: &'static str, least: i16, most: i16) -> Self {
        Self {
            is_circle: false,
            ..Self::circle(name, least, most, &[])
        }
    }

    const fn circle(
        name: &'static str,
        least: i16,
        most: i16,
        words: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            least,
            most,
            words,
            is_circle: true,
        }
    }

    fn fault(&self, text: &str, why: &str) -> InvalidExpression {
        InvalidExpression::new(format!("the {} field has `{text}`: {why}", self.name))
            .hint(format!("the fields are {FORM}"))
    }

    fn range(&self) -> String {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) => {
                format!("{} to {}, or {first} to {last}", self.least, self.most)
            }
            _ => format!("{} to {}", self.least, self.most),
        }
    }

    /// One value, as a number or a word.
    fn value(&self, text: &str) -> Result<i16, InvalidExpression> {
        let named = |word: &&str| word.eq_ignore_ascii_case(text);
        if let Some(place) = self.words.iter().position(named) {
            return Ok(self.least + i16::try_from(place).unwrap_or_default());
        }
        number(text)
            .filter(|value| (self.least..=self.most).contains(value))
            .ok_or_else(|| self.fault(text, &format!("it takes {}", self.range())))
    }

    /// The values of one part between commas: `*`, `5`, `1-5`, `0/15`, `*/15`, `10-40/5`.
    fn part(&self, text: &str) -> Result<Set, InvalidExpression> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => {
                let step = number(step).filter(|step| *step > 0);
                let step =
                    step.ok_or_else(|| self.fault(text, "after `/` stands a number from 1 on"))?;
                (range, Some(step))
            }
            None => (text, None),
        };
        let (from, to) = if range == "*" {
            (self.least, self.most)
        } else if let Some((from, to)) = range.split_once('-') {
            (self.value(from)?, self.value(to)?)
        } else {
            let from = self.value(range)?;
            (from, if step.is_some() { self.most } else { from })
        };
        let length = self.most - self.least + 1;
        let goes_round = from > to;
        if goes_round && !self.is_circle {
            let why = "a range goes from the smaller value to the larger one";
            return Err(self.fault(text, why));
        }
        let to = if goes_round { to + length } else { to };
        let step = usize::try_from(step.unwrap_or(1)).unwrap_or(1);
        let each = (from..=to).step_by(step);
        let back = |value| {
            if value > self.most {
                value - length
            } else {
                value
            }
        };
        Ok(each.map(back).collect())
    }

    fn set(&self, text: &str) -> Result<Set, InvalidExpression> {
        let mut set = Set::new();
        for part in text.split(',') {
            set.append(&mut self.part(part)?);
        }
        Ok(set)
    }
}

/// A number in digits alone.
fn number(text: &str) -> Option<i16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl Cron {
    /// What stands between the parentheses of `cron(…)`.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidExpression> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, of_month, month, of_week, year] = fields.as_slice() else {
            let error = InvalidExpression::new(format!(
                "`cron({text})` has {} fields, and needs six: {FORM}",
                fields.len()
            ));
            return Err(error.hint(six_fields(&fields)));
        };
        let cron = Self {
            minutes: MINUTES.set(minutes)?,
            hours: HOURS.set(hours)?,
            days: days(of_month, of_week)?,
            months: MONTH.set(month)?,
            years: YEAR.set(year)?,
        };
        if cron
            .next(DateTime::constant(YEAR.least, 1, 1, 0, 0, 0, 0))
            .is_none()
        {
            return Err(InvalidExpression::new(format!(
                "`cron({text})` means a day that no calendar has"
            )));
        }
        Ok(cron)
    }

    /// The first minute that is meant, `from` included.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        for &year in self.years.range(from.year()..) {
            for &month in &self.months {
                let Some(first) = date(year, month, 1) else {
                    continue;
                };
                if first.last_of_month() < from.date() {
                    continue;
                }
                for day in self.days.of(first) {
                    let date = Date::new(first.year(), first.month(), day).ok()?;
                    if let Some(found) = self.next_of_day(date, from) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }

    fn next_of_day(&self, date: Date, from: DateTime) -> Option<DateTime> {
        if date < from.date() {
            return None;
        }
        let (hour, minute) = if date == from.date() {
            (i16::from(from.hour()), i16::from(from.minute()))
        } else {
            (0, 0)
        };
        for &at in self.hours.range(hour..) {
            let least = if at == hour { minute } else { 0 };
            if let Some(&minute) = self.minutes.range(least..).next() {
                let (hour, minute) = (i8::try_from(at).ok()?, i8::try_from(minute).ok()?);
                return Some(date.at(hour, minute, 0, 0));
            }
        }
        None
    }
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    Date::new(year, month, day).ok()
}

fn days(of_month: &str, of_week: &str) -> Result<Days, InvalidExpression> {
    match (of_month, of_week) {
        ("?", "?") => Err(DAY_OF_WEEK
            .fault("?", "day-of-month has it as well, so no day is meant")
            .hint("write * in one of the two for every day")),
        ("?", _) => Ok(Days::OfWeek(days_of_week(of_week)?)),
        (_, "?") => Ok(Days::OfMonth(days_of_month(of_month)?)),
        _ => Err(DAY_OF_WEEK
            .fault(
                of_week,
                &format!(
                    "day-of-month says `{of_month}`, and only one of the two may say something"
                ),
            )
            .hint("write ? in the other one: cron(0 12 * * ? *), cron(0 12 ? * MON-FRI *)")),
    }
}

fn days_of_month(text: &str) -> Result<Vec<DayOfMonth>, InvalidExpression> {
    let part = |part: &str| {
        let upper = part.to_ascii_uppercase();
        Ok(match upper.as_str() {
            "L" => DayOfMonth::Last,
            "LW" => DayOfMonth::LastWeekday,
            other => match other.strip_suffix('W') {
                Some(day) => DayOfMonth::NearestWeekday(DAY_OF_MONTH.value(day)?),
                None => DayOfMonth::Days(DAY_OF_MONTH.part(part)?),
            },
        })
    };
    text.split(',').map(part).collect()
}

fn days_of_week(text: &str) -> Result<Vec<DayOfWeek>, InvalidExpression> {
    if text.contains('#') && text.contains(',') {
        return Err(DAY_OF_WEEK.fault(text, "beside a `#` nothing else can stand"));
    }
    let part = |part: &str| {
        let upper = part.to_ascii_uppercase();
        if upper.contains('/') {
            return Err(DAY_OF_WEEK.fault(part, "it takes no `/`"));
        }
        if let Some((day, nth)) = upper.split_once('#') {
            let nth = number(nth).filter(|nth| (1..=5).contains(nth));
            let nth = nth.ok_or_else(|| DAY_OF_WEEK.fault(part, "after `#` stands 1 to 5"))?;
            return Ok(DayOfWeek::Nth(DAY_OF_WEEK.value(day)?, nth));
        }
        Ok(match upper.strip_suffix('L') {
            // The last day of the week.
            Some("") => DayOfWeek::Days(Set::from([DAY_OF_WEEK.most])),
            Some(day) => DayOfWeek::Last(DAY_OF_WEEK.value(day)?),
            None => DayOfWeek::Days(DAY_OF_WEEK.part(part)?),
        })
    };
    text.split(',').map(part).collect()
}

impl Days {
    /// The days that are meant of the month that begins on `first`.
    fn of(&self, first: Date) -> BTreeSet<i8> {
        let all = first.day()..=first.days_in_month();
        let is_meant = |day: &i8| {
            let Ok(date) = Date::new(first.year(), first.month(), *day) else {
                return false;
            };
            match self {
                Self::OfMonth(parts) => parts.iter().any(|part| part.means(date)),
                Self::OfWeek(parts) => parts.iter().any(|part| part.means(date)),
            }
        };
        all.filter(is_meant).collect()
    }
}

/// 1 is Sunday.
fn day_of_week(date: Date) -> i16 {
    i16::from(date.weekday().to_sunday_one_offset())
}

/// The weekday nearest to `date` in the same month.
fn nearest_weekday(date: Date) -> i8 {
    let (day, last) = (date.day(), date.days_in_month());
    match WEEKDAYS[usize::try_from(day_of_week(date) - 1).unwrap_or_default()] {
        "SAT" if day == 1 => 3,
        "SAT" => day - 1,
        "SUN" if day == last => day - 2,
        "SUN" => day + 1,
        _ => day,
    }
}

impl DayOfMonth {
    fn means(&self, date: Date) -> bool {
        match self {
            Self::Days(days) => days.contains(&i16::from(date.day())),
            Self::Last => date == date.last_of_month(),
            Self::LastWeekday => date.day() == nearest_weekday(date.last_of_month()),
            Self::NearestWeekday(day) => {
                let wanted = i8::try_from(*day).ok();
                let wanted = wanted.and_then(|day| Date::new(date.year(), date.month(), day).ok());
                wanted.is_some_and(|wanted| date.day() == nearest_weekday(wanted))
            }
        }
    }
}

impl DayOfWeek {
    fn means(&self, date: Date) -> bool {
        let today = day_of_week(date);
        match self {
            Self::Days(days) => days.contains(&today),
            Self::Last(day) => *day == today && date.day() + 7 > date.days_in_month(),
            Self::Nth(day, nth) => *day == today && i16::from((date.day() - 1) / 7) + 1 == *nth,
        }
    }
}

/// What to write in place of so many fields; five are those of Unix, whose days of the week begin with 0 for Sunday.
fn six_fields(fields: &[&str]) -> String {
    let [minutes, hours, of_month, month, of_week] = fields else {
        return "every day at noon is cron(0 12 * * ? *)".to_owned();
    };
    let days = match (*of_month, *of_week) {
        (_, "*" | "?") => format!("{} {month} ?", of_month.replace('?', "*")),
        ("*" | "?", _) => format!("? {month} {}", unix_days(of_week)),
        _ => {
            return "the five fields of Unix are not taken; they mean a day that either field names: write one \
                    schedule for the days of the month and one for the days of the week"
                .to_owned();
        }
    };
    format!("in six fields, that is cron({minutes} {hours} {days} *)")
}

/// Days of the week in the numbers of Unix, with names in place of them.
fn unix_days(text: &str) -> String {
    let mut named = String::new();
    for letter in text.chars() {
        match letter.to_digit(10) {
            Some(day) => named.push_str(WEEKDAYS[(day % 7) as usize]),
            None => named.push(letter),
        }
    }
    named
}
