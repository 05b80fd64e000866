//! Quantities and texts as people read them: the same words on a terminal and on a page. PURE.

use super::TimestampMs;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long ago `at` is: `3 min ago`.
pub fn ago(at: TimestampMs, now: TimestampMs) -> String {
    match now.since(at).as_millis() {
        length if length < SECOND => "just now".to_owned(),
        length if length < MINUTE => format!("{} s ago", length / SECOND),
        length if length < HOUR => format!("{} min ago", length / MINUTE),
        length if length < 2 * DAY => format!("{} h ago", length / HOUR),
        length => format!("{} days ago", length / DAY),
    }
}

/// A length in milliseconds, to three digits or so: `12 ms`, `4.2 s`, `3 min 05 s`.
pub fn length(millis: i64) -> String {
    match millis.max(0) {
        length if length < SECOND => format!("{length} ms"),
        length if length < MINUTE => {
            let tenths = length / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        length if length < HOUR => {
            format!("{} min {:02} s", length / MINUTE, length % MINUTE / SECOND)
        }
        length if length < DAY => format!("{} h {:02} min", length / HOUR, length % HOUR / MINUTE),
        length => format!("{} d {:02} h", length / DAY, length % DAY / HOUR),
    }
}

/// `bytes` with one digit after the point, in the unit that gives the fewest digits before it.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1_024.0 && unit + 1 < UNITS.len() {
        amount /= 1_024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// CPU units as vCPUs, of which 1,024 make one: `0.25`, `2`.
pub fn vcpu(units: u64) -> String {
    let hundredths = (units * 100 + 512) / 1_024;
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Whether a terminal or a reader could be misled by `character`: control characters (C0, DEL and C1), and the marks of
/// Unicode that change the direction of what follows.
pub const fn is_harmful(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A character made visible: `\x1b`, `\u{202e}`.
pub fn visible(character: char) -> String {
    match u32::from(character) {
        code @ 0..=0xff => format!("\\x{code:02x}"),
        code => format!("\\u{{{code:04x}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_cpu_are_vcpus() {
        for (units, text) in [
            (0, "0"),
            (256, "0.25"),
            (1_024, "1"),
            (10_240, "10"),
            (1_536, "1.5"),
        ] {
            assert_eq!(vcpu(units), text);
        }
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
