//! What a price sheet says of prices and of rounding, as one short text: all that costs depend on.
//!
//! Roll-ups keep what tasks cost by a sheet, and must never be taken for those of another. A sheet's name says nothing:
//! the operator may write anything into it. So they are kept by its terms. Sheets of the same terms cost the same.

use super::{Price, PriceSheet, Rate};
use crate::domain::TimestampMs;
use crate::meter::money::Currency;

impl PriceSheet {
    /// Its terms: granularity and minimum in milliseconds, and a line for each price, in 10^-12 of the currency's unit.
    pub fn terms(&self) -> String {
        let mut terms = format!("{} {}", self.granularity_ms, self.minimum_ms);
        for Price { from, rate } in &self.prices {
            let Rate {
                vcpu_hour,
                gb_hour,
                task,
            } = rate;
            let line = format!("\n{} {vcpu_hour} {gb_hour} {task}", from.as_millis());
            terms.push_str(&line);
        }
        terms
    }

    /// A sheet without a name by which things cost what `terms` say; `None` if these are no terms.
    pub(in crate::meter) fn of_terms(terms: &str) -> Option<Self> {
        let mut lines = terms.lines().map(numbers);
        let [granularity_ms, minimum_ms] = lines.next()??[..] else {
            return None;
        };
        let price = |line: Option<Vec<i128>>| {
            let [from, vcpu_hour, gb_hour, task] = line?[..] else {
                return None;
            };
            Some(Price {
                from: TimestampMs::from_millis(i64::try_from(from).ok()?),
                rate: Rate {
                    vcpu_hour,
                    gb_hour,
                    task,
                },
            })
        };
        Some(Self {
            name: String::new(),
            description: String::new(),
            source: None,
            currency: Currency::parse("XXX")?,
            granularity_ms: i64::try_from(granularity_ms).ok().filter(|ms| *ms > 0)?,
            minimum_ms: i64::try_from(minimum_ms).ok()?,
            prices: lines.map(price).collect::<Option<_>>()?,
        })
    }
}

fn numbers(line: &str) -> Option<Vec<i128>> {
    let numbers = line.split(' ').map(|number| number.parse().ok());
    numbers.collect()
}

/// From when on things may cost something else by `other` terms than by `one`: what ended before that costs the same.
/// `None` if that may be so at any time.
pub fn differ_from(one: &str, other: &str) -> Option<TimestampMs> {
    let (one, other) = (PriceSheet::of_terms(one)?, PriceSheet::of_terms(other)?);
    if (one.granularity_ms, one.minimum_ms) != (other.granularity_ms, other.minimum_ms) {
        return None;
    }
    let common = one.prices.iter().zip(&other.prices);
    let same = common.take_while(|(one, other)| one == other).count();
    let next = |sheet: &PriceSheet| sheet.prices.get(same).map(|price| price.from);
    let never = TimestampMs::from_millis(i64::MAX);
    Some(
        next(&one)
            .unwrap_or(never)
            .min(next(&other).unwrap_or(never)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::sheet::PriceBook;

    #[test]
    fn terms_are_read_as_they_were_written() {
        for terms in PriceBook::default().terms() {
            assert_eq!(PriceSheet::of_terms(&terms).unwrap().terms(), terms);
        }
        for text in ["", "1", "0 0", "1 0\n5", "1 0\n1 2 x 4", "1 0 0"] {
            assert_eq!(PriceSheet::of_terms(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_later_price_changes_nothing_before_it() {
        let ours = "1000 60000\n0 5 6 7";
        for (other, from) in [
            ("1000 60000\n0 5 6 7\n900 1 1 1", Some(900)),
            ("1000 60000\n0 5 6 8", Some(0)),
            ("1000 60000\n-5 5 6 7", Some(-5)),
            ("1000 60000", Some(0)),
            (ours, Some(i64::MAX)),
            ("1 60000\n0 5 6 7", None),
            ("1000 0\n0 5 6 7", None),
        ] {
            let from = from.map(TimestampMs::from_millis);
            assert_eq!(differ_from(ours, other), from, "{other:?}");
            assert_eq!(differ_from(other, ours), from, "{other:?}");
        }
    }
}
