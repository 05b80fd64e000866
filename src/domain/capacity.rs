//! What a host has, what is reserved of it, and whether a task still fits.

use std::fmt;

use super::TaskSpec;

/// An amount of CPU and memory: of a host, or reserved on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// In CPU units: 1,024 make one vCPU.
    pub cpu_units: u64,
    /// In MiB.
    pub memory_mib: u64,
}

impl Capacity {
    /// What a task of `spec` reserves.
    pub fn reserved_by(spec: &TaskSpec) -> Self {
        Self {
            cpu_units: spec.reserved_cpu().0.into(),
            memory_mib: spec.reserved_memory().0.into(),
        }
    }

    /// Whether there is no more of anything in this than in `host`.
    pub fn fits(self, host: Self) -> bool {
        self.cpu_units <= host.cpu_units && self.memory_mib <= host.memory_mib
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_units: self.cpu_units.saturating_add(other.cpu_units),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
        }
    }
}

/// Why a task cannot be handed to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// It never can: the host as a whole has less. In ECS's words, `RESOURCE:MEMORY` or `RESOURCE:CPU`.
    Never(String),
    /// Not now; what it waits for.
    Now(String),
}

impl Shortage {
    /// Why a task that needs `wanted` cannot have it on `host`, of which `reserved` is given away; `None` if it can.
    pub fn of(host: Capacity, reserved: Capacity, wanted: Capacity) -> Option<Self> {
        let memory = (host.memory_mib, reserved.memory_mib, wanted.memory_mib);
        let cpu = (host.cpu_units, reserved.cpu_units, wanted.cpu_units);
        let mut all = [
            ("MEMORY", "memory", "MiB", memory),
            ("CPU", "CPU", "units", cpu),
        ]
        .into_iter();
        let never = all.clone().find(|(.., (host, _, wanted))| wanted > host);
        if let Some((word, name, unit, (host, _, wanted))) = never {
            let (host, wanted) = (grouped(host), grouped(wanted));
            return Some(Self::Never(format!(
                "RESOURCE:{word}: the task needs {wanted} {unit} of {name}, and the host has {host} in all"
            )));
        }
        let (_, name, unit, (host, reserved, wanted)) =
            all.find(|(.., (host, reserved, wanted))| reserved.saturating_add(*wanted) > *host)?;
        Some(Self::Now(format!(
            "it waits for {name}: {} {unit} needed, {} {unit} free",
            grouped(wanted),
            grouped(host.saturating_sub(reserved))
        )))
    }
}

/// A number for people, with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never(why) | Self::Now(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amount(cpu_units: u64, memory_mib: u64) -> Capacity {
        Capacity {
            cpu_units,
            memory_mib,
        }
    }

    #[test]
    fn what_fits_has_no_shortage_and_what_does_not_is_said_with_figures() {
        let host = amount(2_048, 4_096);
        let half = amount(1_024, 2_048);
        assert_eq!(Shortage::of(host, half, half), None, "to the last unit");
        assert_eq!(
            Shortage::of(host, half, amount(256, 3_072))
                .unwrap()
                .to_string(),
            "it waits for memory: 3,072 MiB needed, 2,048 MiB free"
        );
        assert_eq!(
            Shortage::of(host, half, amount(2_048, 512))
                .unwrap()
                .to_string(),
            "it waits for CPU: 2,048 units needed, 1,024 units free"
        );
        let never = |wanted| match Shortage::of(host, Capacity::default(), wanted) {
            Some(Shortage::Never(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(never(amount(256, 8_192)).starts_with("RESOURCE:MEMORY: the task needs 8,192 MiB"));
        assert!(never(amount(4_096, 512)).starts_with("RESOURCE:CPU: the task needs 4,096 units"));
    }
}
