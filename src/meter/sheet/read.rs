//! Reads a price sheet from TOML. What is wrong is said with file, line, and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Price, PriceSheet, Rate};
use crate::domain::TimestampMs;
use crate::meter::money::{Currency, parse_decimal, round_half_up};

/// Decimals of a price: 10^-12 of the currency's unit is the smallest step.
const PRICE_DECIMALS: u32 = 12;
/// The highest price per hour, so that no sum of any bill can be too large to be counted.
const HIGHEST: i128 = 10_000 * 10_i128.pow(PRICE_DECIMALS);
/// A month, as clouds count it: 8,760 hours / 12.
const HOURS_OF_MONTH: i128 = 730;
const SECONDS_OF_HOUR: i128 = 3_600;
/// The longest granularity and minimum: a day.
const LONGEST_MS: i64 = 86_400_000;

/// A price sheet as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetText {
    /// The file, as errors name it.
    pub file: String,
    /// What the sheet is called.
    pub name: String,
    /// What is in the file.
    pub text: String,
}

/// What is wrong with a price sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SheetError {
    /// `prices/own.toml:7`
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SheetFile {
    description: String,
    source: Option<String>,
    currency: Spanned<String>,
    granularity_ms: Spanned<i64>,
    minimum_ms: Spanned<i64>,
    #[serde(default)]
    price: Vec<Spanned<PriceFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    from: Spanned<String>,
    vcpu_hour: Option<Spanned<String>>,
    vcpu_second: Option<Spanned<String>>,
    gb_hour: Option<Spanned<String>>,
    gb_second: Option<Spanned<String>>,
    task: Option<Spanned<String>>,
    machine_month: Option<Spanned<String>>,
    machine_vcpus: Option<Spanned<i64>>,
    machine_gb: Option<Spanned<i64>>,
    cpu_share_percent: Option<Spanned<i64>>,
}

impl SheetText {
    /// The sheet that this text describes.
    pub fn read(&self) -> Result<PriceSheet, SheetError> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return Err(SheetError {
                place: self.file.clone(),
                message: "is no name for a price sheet".to_owned(),
                hint: "use up to 64 letters, digits, hyphens and underscores before .toml"
                    .to_owned(),
            });
        }
        let file: SheetFile = toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let message = error.message().to_owned();
            self.error(
                span,
                message,
                "prices/fargate.toml in Neargate's sources is an example; prices stand in quotes: \
                                       vcpu_hour = \"0.04048\"",
            )
        })?;
        let currency = file.currency.get_ref();
        let currency = Currency::parse(currency).ok_or_else(|| {
            self.error(
                file.currency.span(),
                format!("currency is \"{currency}\""),
                "write three capital letters: currency = \"USD\"",
            )
        })?;
        let mut prices = Vec::new();
        for price in &file.price {
            prices.push(self.price(price, prices.last())?);
        }
        Ok(PriceSheet {
            name: self.name.clone(),
            description: file.description,
            source: file.source,
            currency,
            granularity_ms: self.within("granularity_ms", &file.granularity_ms, 1, LONGEST_MS)?,
            minimum_ms: self.within("minimum_ms", &file.minimum_ms, 0, LONGEST_MS)?,
            prices,
        })
    }

    fn price(
        &self,
        price: &Spanned<PriceFile>,
        before: Option<&Price>,
    ) -> Result<Price, SheetError> {
        let written = price.get_ref();
        let from = written.from.get_ref();
        let at: jiff::Timestamp = from.parse().map_err(|_| {
            self.error(
                written.from.span(),
                format!("from is \"{from}\""),
                "write when the price begins to hold: from = \"2026-01-31T00:00:00Z\"",
            )
        })?;
        let from = TimestampMs::from_millis(at.as_millisecond());
        if before.is_some_and(|before| before.from >= from) {
            return Err(self.error(
                written.from.span(),
                "from is not later than that of the price before".to_owned(),
                "write the prices in the order in which they came to hold",
            ));
        }
        let machine = self.machine(price)?;
        let rate = match machine {
            Some(rate) => rate,
            None => Rate {
                vcpu_hour: self.hourly(
                    "vcpu",
                    written.vcpu_hour.as_ref(),
                    written.vcpu_second.as_ref(),
                )?,
                gb_hour: self.hourly("gb", written.gb_hour.as_ref(), written.gb_second.as_ref())?,
                task: match &written.task {
                    Some(task) => self.amount("task", task)?,
                    None => 0,
                },
            },
        };
        Ok(Price { from, rate })
    }

    /// The price of a machine, spread over what it has; `None` if the sheet does not speak of one.
    fn machine(&self, price: &Spanned<PriceFile>) -> Result<Option<Rate>, SheetError> {
        let written = price.get_ref();
        let is_plain = [
            &written.vcpu_hour,
            &written.vcpu_second,
            &written.gb_hour,
            &written.gb_second,
            &written.task,
        ]
        .iter()
        .any(|price| price.is_some());
        let (month, vcpus, gb, share) = (
            written.machine_month.as_ref(),
            written.machine_vcpus.as_ref(),
            written.machine_gb.as_ref(),
            written.cpu_share_percent.as_ref(),
        );
        let (month, vcpus, gb, share) = match (month, vcpus, gb, share) {
            (None, None, None, None) if is_plain => return Ok(None),
            (Some(month), Some(vcpus), Some(gb), Some(share)) if !is_plain => {
                (month, vcpus, gb, share)
            }
            _ => {
                return Err(self.error(
                    price.span(),
                    "is neither the price of a machine nor one of CPU and memory".to_owned(),
                    "write machine_month, machine_vcpus, machine_gb and cpu_share_percent, or else vcpu_hour, \
                     gb_hour and task",
                ));
            }
        };
        let span = month.span();
        let month = self.amount("machine_month", month)?;
        let vcpus = i128::from(self.within("machine_vcpus", vcpus, 1, 1_000_000)?);
        let gb = i128::from(self.within("machine_gb", gb, 1, 1_000_000_000)?);
        let share = i128::from(self.within("cpu_share_percent", share, 0, 100)?);
        let per_hour = |share: i128, parts: i128| {
            let hour = round_half_up(month * share, 100 * HOURS_OF_MONTH * parts);
            self.bounded("machine_month", span.clone(), hour)
        };
        Ok(Some(Rate {
            vcpu_hour: per_hour(share, vcpus)?,
            gb_hour: per_hour(100 - share, gb)?,
            task: 0,
        }))
    }

    /// A price per hour, which may be written per second.
    fn hourly(
        &self,
        what: &str,
        hour: Option<&Spanned<String>>,
        second: Option<&Spanned<String>>,
    ) -> Result<i128, SheetError> {
        match (hour, second) {
            (None, None) => Ok(0),
            (Some(hour), None) => self.amount(&format!("{what}_hour"), hour),
            (None, Some(second)) => {
                let name = format!("{what}_second");
                let hour = self.amount(&name, second)? * SECONDS_OF_HOUR;
                self.bounded(&name, second.span(), hour)
            }
            (Some(_), Some(second)) => Err(self.error(
                second.span(),
                format!("{what} has a price per hour and one per second"),
                "leave one of them out",
            )),
        }
    }

    fn amount(&self, name: &str, written: &Spanned<String>) -> Result<i128, SheetError> {
        let text = written.get_ref();
        let amount = parse_decimal(text, PRICE_DECIMALS).ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            self.error(
                written.span(),
                format!("{name} is \"{shown}\""),
                "write a number with at most 12 decimals: \"0.04048\"",
            )
        })?;
        if name == "machine_month" {
            return Ok(amount);
        }
        self.bounded(name, written.span(), amount)
    }

    fn bounded(&self, name: &str, span: Range<usize>, amount: i128) -> Result<i128, SheetError> {
        if amount <= HIGHEST {
            return Ok(amount);
        }
        Err(self.error(
            span,
            format!("{name} is more than 10000 per hour"),
            "write the price in a larger unit of money",
        ))
    }

    fn within(
        &self,
        name: &str,
        number: &Spanned<i64>,
        least: i64,
        most: i64,
    ) -> Result<i64, SheetError> {
        let value = *number.get_ref();
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        Err(self.error(
            number.span(),
            format!("{name} is {value}"),
            &format!("write a whole number from {least} to {most}"),
        ))
    }

    fn error(&self, span: Range<usize>, message: String, hint: &str) -> SheetError {
        let before = self.text.get(..span.start).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        SheetError {
            place: format!("{}:{line}", self.file),
            message,
            hint: hint.to_owned(),
        }
    }
}

/// Names the sheet and what it is.
impl fmt::Display for PriceSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.description)
    }
}
