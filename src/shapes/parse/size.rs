//! CPU and memory of a task, which ECS writes as strings: `256`, `.25 vCPU`, `512`, `0.5 GB`.

use crate::domain::{CpuUnits, Faults, MemoryMib, TaskSize};
use crate::shapes::path;

/// The CPU units that `text` at `path` means.
pub(super) fn cpu(text: Option<&str>, path: &str, faults: &mut Faults) -> Option<CpuUnits> {
    let text = text?;
    let units = amount(text, "vcpu", 1_024);
    if units.is_none() {
        faults.add_with_hint(
            path,
            format!("is {}, which is not an amount of CPU", path::quote(text)),
            "write CPU units, as 256, or vCPUs, as .25 vCPU",
        );
    }
    units.map(CpuUnits)
}

/// The memory that `text` at `path` means.
pub(super) fn memory(text: Option<&str>, path: &str, faults: &mut Faults) -> Option<MemoryMib> {
    let text = text?;
    let mib = amount(text, "gb", 1_024);
    if mib.is_none() {
        faults.add_with_hint(
            path,
            format!("is {}, which is not an amount of memory", path::quote(text)),
            "write MiB, as 512, or GB, as 0.5 GB",
        );
    }
    mib.map(MemoryMib)
}

/// The size that the two make, if both are given.
pub(super) fn task(
    cpu: Option<CpuUnits>,
    memory: Option<MemoryMib>,
    faults: &mut Faults,
) -> Option<TaskSize> {
    match TaskSize::new(cpu?, memory?) {
        Ok(size) => Some(size),
        Err(error) => {
            match error.hint {
                Some(hint) => faults.add_with_hint("cpu", error.message, hint),
                None => faults.add("cpu", error.message),
            }
            None
        }
    }
}

/// `300` is 300; with `unit` behind it, it is 300 × `factor`, and fractions are allowed if the result is
/// whole.
fn amount(text: &str, unit: &str, factor: u64) -> Option<u32> {
    let text = text.trim().to_ascii_lowercase();
    let Some(number) = text.strip_suffix(unit) else {
        return digits(&text).and_then(|number| u32::try_from(number).ok());
    };
    let number = number.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if number.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { digits(whole)? };
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = whole.checked_mul(scale)?.checked_add(digits(fraction)?)?;
    let product = scaled.checked_mul(factor)?;
    (product % scale == 0)
        .then(|| u32::try_from(product / scale).ok())
        .flatten()
}

/// Digits and nothing else: `parse` alone would take a sign, too.
fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_numbers_or_have_a_unit() {
        for (text, units) in [
            ("256", Some(256)),
            ("1 vCPU", Some(1_024)),
            (".25vcpu", Some(256)),
            ("0.5 VCPU", Some(512)),
            ("1.", None),
            ("0.3 vcpu", None),
            ("1. vcpu", None),
            ("vcpu", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            ("1e3", None),
            ("99999999999999999999 vcpu", None),
            ("0.00000000000000000000001 vcpu", None),
        ] {
            assert_eq!(amount(text, "vcpu", 1_024), units, "{text}");
        }
        assert_eq!(amount("0.5GB", "gb", 1_024), Some(512));
    }
}
