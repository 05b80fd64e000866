//! Money, in whole billionths of a currency's unit. PURE. Nothing here is ever a floating-point number.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

/// An amount of money: billionths of the currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i128);

/// How many decimals an amount of money has.
const DECIMALS: u32 = 9;

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// All nine decimals: `0.024341667`.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, DECIMALS))
    }
}

impl Nanos {
    /// The same for people: with two decimals from one unit up, else with four; half a last digit is rounded up.
    pub fn rounded(self) -> String {
        let (decimals, unit) = match self.0.abs() {
            1_000_000_000.. => (2, 10_000_000),
            _ => (4, 100_000),
        };
        let sign = if self.0 < 0 { -1 } else { 1 };
        decimal(sign * round_half_up(self.0.abs(), unit), decimals)
    }
}

/// A currency: three capital letters, as in ISO 4217.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

impl Currency {
    /// The currency called `text`, if that can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_code = text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase());
        is_code.then(|| Self(text.to_owned()))
    }

    /// `USD`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `amount` × 10^-`decimals`, with all decimals: `decimal(1_500, 3)` is `1.500`.
pub fn decimal(amount: i128, decimals: u32) -> String {
    let unit = 10_u128.pow(decimals);
    let (sign, amount) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    let (whole, part) = (amount / unit, amount % unit);
    let width = decimals as usize;
    format!("{sign}{whole}.{part:0width$}")
}

/// The number that `text` writes, × 10^`decimals`: digits, and perhaps a point and up to `decimals` more digits.
/// `None` if it is anything else, or larger than twelve digits before the point can say.
pub fn parse_decimal(text: &str, decimals: u32) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) || whole.len() > 12 || part.len() > decimals as usize
    {
        return None;
    }
    let missing = decimals - u32::try_from(part.len()).ok()?;
    let part = part.parse::<i128>().ok()? * 10_i128.pow(missing);
    Some(whole.parse::<i128>().ok()? * 10_i128.pow(decimals) + part)
}

/// `numerator` / `denominator` as a whole number, half up. Neither is negative.
pub const fn round_half_up(numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    whole + if rest >= denominator - rest { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_all_its_decimals() {
        for (nanos, text) in [
            (0, "0.000000000"),
            (1, "0.000000001"),
            (1_500_000_000, "1.500000000"),
            (-20, "-0.000000020"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }

    #[test]
    fn people_read_as_many_decimals_as_they_need() {
        for (nanos, text) in [
            (0, "0.0000"),
            (1_234_567, "0.0012"),
            (50_000, "0.0001"),
            (-1_234_567, "-0.0012"),
            (12_345_000_000, "12.35"),
            (999_999_999, "1.0000"),
        ] {
            assert_eq!(Nanos(nanos).rounded(), text);
        }
    }

    #[test]
    fn prices_are_read_without_floating_point() {
        for (text, picos) in [
            ("0.04048", Some(40_480_000_000)),
            ("89", Some(89_000_000_000_000)),
            ("0.000000000001", Some(1)),
            ("0.0000000000001", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("1e3", None),
            ("1,5", None),
            ("9999999999999", None),
        ] {
            assert_eq!(parse_decimal(text, 12), picos, "{text:?}");
        }
    }

    #[test]
    fn halves_are_rounded_up() {
        for (numerator, whole) in [(0, 0), (4, 0), (5, 1), (14, 1), (15, 2)] {
            assert_eq!(round_half_up(numerator, 10), whole);
        }
        assert_eq!(round_half_up(1, 3), 0);
        assert_eq!(round_half_up(2, 3), 1);
    }

    #[test]
    fn a_currency_has_three_capital_letters() {
        assert_eq!(Currency::parse("EUR").unwrap().as_str(), "EUR");
        for text in ["", "eur", "EURO", "$", "E R"] {
            assert_eq!(Currency::parse(text), None, "{text:?}");
        }
    }
}
