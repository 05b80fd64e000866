//! Quantities and texts as people read them: the same words on a terminal and on a page. PURE.

use std::borrow::Cow;

use super::TimestampMs;

/// What the reader should notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// It is as it should be.
    Good,
    /// It is on its way.
    Busy,
    /// It is not as it should be.
    Bad,
    /// It is over.
    Past,
}

impl Tone {
    /// The tone of the status of a task, a container, a service, a cluster or a definition, or of a health, in ECS's words.
    pub fn of_status(status: &str) -> Self {
        match status {
            "RUNNING" | "HEALTHY" | "ACTIVE" => Self::Good,
            "UNHEALTHY" => Self::Bad,
            "STOPPED" | "INACTIVE" | "UNKNOWN" => Self::Past,
            _ => Self::Busy,
        }
    }

    /// That of what became of a deployment of a service: its rollout state, or ECS's status of a `ServiceDeployment`. One that
    /// was rolled back is not what was wanted, however well that went.
    pub fn of_deployment(status: &str) -> Self {
        match status {
            "COMPLETED" | "SUCCESSFUL" => Self::Good,
            "FAILED" | "STOPPED" | "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" => Self::Bad,
            _ => Self::Busy,
        }
    }
}

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

/// An address as it stands before a port: one of IPv6 has colons of its own.
pub fn host(address: &str) -> Cow<'_, str> {
    if address.contains(':') {
        Cow::Owned(format!("[{address}]"))
    } else {
        Cow::Borrowed(address)
    }
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
    fn a_status_has_the_tone_of_what_it_is_the_status_of() {
        for (status, tone) in [
            ("RUNNING", Tone::Good),
            ("UNHEALTHY", Tone::Bad),
            ("STOPPED", Tone::Past),
            ("PROVISIONING", Tone::Busy),
        ] {
            assert_eq!(Tone::of_status(status), tone, "{status}");
        }
        for (status, tone) in [
            ("COMPLETED", Tone::Good),
            ("SUCCESSFUL", Tone::Good),
            ("STOPPED", Tone::Bad),
            ("ROLLBACK_SUCCESSFUL", Tone::Bad),
            ("ROLLBACK_IN_PROGRESS", Tone::Busy),
        ] {
            assert_eq!(Tone::of_deployment(status), tone, "{status}");
        }
    }

    #[test]
    fn an_address_with_colons_is_told_from_its_port() {
        assert_eq!(host("127.0.0.1"), "127.0.0.1");
        assert_eq!(host("::1"), "[::1]");
    }

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
