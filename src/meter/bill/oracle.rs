//! What a history must cost, worked out in another way: with fractions of big integers, segment by segment, from the
//! texts of the prices. It uses nothing of the meter, so that both can only agree if both are right.

use num_bigint::BigInt;

/// A fraction; the denominator is never negative or zero.
#[derive(Clone, Debug)]
pub(in crate::meter) struct Fraction(BigInt, BigInt);

impl Fraction {
    fn whole(number: i64) -> Self {
        Self(number.into(), 1.into())
    }

    /// `12.34`
    fn parse(text: &str) -> Self {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let decimals = text.split_once('.').map_or(0, |(_, part)| part.len());
        let denominator = BigInt::from(10).pow(u32::try_from(decimals).unwrap());
        Self(digits.parse().unwrap(), denominator)
    }

    fn plus(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1 + &other.0 * &self.1, &self.1 * &other.1)
    }

    fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0, &self.1 * &other.1)
    }

    fn over(&self, other: i64) -> Self {
        Self(self.0.clone(), &self.1 * other)
    }

    /// The nearest multiple of 10^-`decimals`, as a multiple of it; a half goes up.
    fn rounded(&self, decimals: u32) -> BigInt {
        let doubled: BigInt = &self.0 * BigInt::from(10).pow(decimals) * 2;
        (doubled + &self.1) / (&self.1 * 2)
    }
}

/// What a price sheet says from some moment on, as it is written there.
#[derive(Clone, Debug)]
pub(in crate::meter) enum Written {
    /// Per hour of a vCPU, per hour of a GB, and per task.
    Plain(String, String, String),
    /// Per month, vCPUs, GB, and the CPU's share in percent.
    Machine(String, i64, i64, i64),
}

/// A price sheet as it is written.
#[derive(Clone, Debug)]
pub(in crate::meter) struct WrittenSheet {
    pub(in crate::meter) granularity_ms: i64,
    pub(in crate::meter) minimum_ms: i64,
    /// In the order of time.
    pub(in crate::meter) prices: Vec<(i64, Written)>,
}

/// A task as it was; what it reserved is in thousandths of a vCPU, and in MiB.
#[derive(Clone, Debug)]
pub(in crate::meter) struct History {
    pub(in crate::meter) opened: i64,
    pub(in crate::meter) closed: Option<i64>,
    pub(in crate::meter) milli_vcpu: i64,
    pub(in crate::meter) mib: i64,
}

impl WrittenSheet {
    /// The prices that hold at `at`: per hour of a vCPU, per hour of a GB, per task.
    fn at(&self, at: i64) -> Option<[Fraction; 3]> {
        let (_, written) = self.prices.iter().rfind(|(from, _)| *from <= at)?;
        Some(match written {
            Written::Plain(vcpu, gb, task) => [vcpu, gb, task].map(|text| Fraction::parse(text)),
            Written::Machine(month, vcpus, gb, share) => {
                let hourly = |percent: i64, parts: i64| {
                    let exact = Fraction::parse(month).times(&Fraction::whole(percent));
                    let exact = exact.over(100).over(730).over(parts);
                    // What a sheet can say has twelve decimals.
                    Fraction(exact.rounded(12), BigInt::from(10).pow(12))
                };
                [
                    hourly(*share, *vcpus),
                    hourly(100 - share, *gb),
                    Fraction::whole(0),
                ]
            }
        })
    }

    /// What `task` has cost before `until`, in billionths; `now` is the last moment that is known.
    fn up_to(&self, task: &History, until: i64, now: i64) -> BigInt {
        let until = if task.closed.is_some() {
            until
        } else {
            until.min(now)
        };
        if until <= task.opened {
            return BigInt::from(0);
        }
        let end = task.closed.unwrap_or(i64::MAX).min(until);
        let mut moments = vec![task.opened, end];
        moments.extend(self.prices.iter().map(|(from, _)| *from));
        moments.retain(|moment| (task.opened..=end).contains(moment));
        moments.sort_unstable();
        let mut sum = Fraction::whole(0);
        for pair in moments.windows(2) {
            sum = sum.plus(&self.charge(task, pair[0], pair[1] - pair[0]));
        }
        if let Some([_, _, once]) = self.at(task.opened) {
            sum = sum.plus(&once);
        }
        if let Some(closed) = task.closed
            && closed <= until
        {
            let length = closed - task.opened;
            let steps = (length + self.granularity_ms - 1) / self.granularity_ms;
            let billed = self.minimum_ms.max(steps * self.granularity_ms);
            let last = (closed - 1).max(task.opened);
            sum = sum.plus(&self.charge(task, last, billed - length));
        }
        sum.rounded(9)
    }

    /// What `length` milliseconds cost at the prices of `at`.
    fn charge(&self, task: &History, at: i64, length: i64) -> Fraction {
        let Some([vcpu, gb, _]) = self.at(at) else {
            return Fraction::whole(0);
        };
        let hours = Fraction::whole(length).over(3_600_000);
        let vcpus = Fraction::whole(task.milli_vcpu).over(1_000);
        let gbs = Fraction::whole(task.mib).over(1_024);
        hours.times(&vcpus.times(&vcpu).plus(&gbs.times(&gb)))
    }

    /// What `task` costs from `from` up to `to`, in billionths.
    pub(in crate::meter) fn cost(&self, task: &History, from: i64, to: i64, now: i64) -> BigInt {
        self.up_to(task, to, now) - self.up_to(task, from, now)
    }
}
