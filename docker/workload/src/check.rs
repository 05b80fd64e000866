//! Commands that look at a server or at the container from inside: an image without a shell has no curl.

use std::thread;
use std::time::{Duration, Instant};

use crate::command::{Arguments, Command, Failure, Flag, OnTermination};
use crate::http::{self, Answer, Url};
use crate::{files, system};

const PAUSE_BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// A health check over HTTP.
pub const HEALTH: Command = Command {
    name: "health",
    about: "exit 0 when an address answers with a status of the 200s, exit 1 otherwise",
    flags: &[
        Flag {
            name: "--url",
            value: Some("URL"),
            about: "(http://127.0.0.1:8080/healthz)",
        },
        Flag {
            name: "--timeout-ms",
            value: Some("N"),
            about: "for the whole answer (2000)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        let address = arguments
            .text("--url")
            .unwrap_or("http://127.0.0.1:8080/healthz");
        let timeout = timeout(arguments, Duration::from_secs(2))?;
        let answer = fetch(address, timeout, Duration::ZERO)?;
        println!("{address} answered {}", answer.status);
        Ok(u8::from(!answer.is_success()))
    },
};

/// A health check that begins to fail.
pub const FAIL_HEALTH: Command = Command {
    name: "fail-health",
    about: "a health check: exit 0 until the container is N ms old, then exit 1",
    flags: &[Flag {
        name: "--after-ms",
        value: Some("N"),
        about: "the age of process 1 (0)",
    }],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        let limit = arguments.duration("--after-ms")?.unwrap_or_default();
        let age = container_age()?;
        let healthy = age < limit;
        let word = if healthy { "healthy" } else { "unhealthy" };
        println!("{word}: the container is {} ms old", age.as_millis());
        Ok(u8::from(!healthy))
    },
};

/// A small curl.
pub const GET: Command = Command {
    name: "get",
    about: "writes the body of an http:// address to stdout; exit 1 when the status is not of the 200s",
    flags: &[
        Flag {
            name: "--timeout-ms",
            value: Some("N"),
            about: "for the whole answer (5000)",
        },
        Flag {
            name: "--retry-for-ms",
            value: Some("N"),
            about: "tries again while nobody answers (0)",
        },
    ],
    positionals: &["URL"],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        let address = arguments.positional(0).unwrap_or_default();
        let timeout = timeout(arguments, Duration::from_secs(5))?;
        let retry_for = arguments.duration("--retry-for-ms")?.unwrap_or_default();
        let answer = fetch(address, timeout, retry_for)?;
        files::print(&answer.body)?;
        if !answer.is_success() {
            return Err(Failure::Failed(format!(
                "{address} answered {}",
                answer.status
            )));
        }
        Ok(0)
    },
};

fn timeout(arguments: &Arguments, default: Duration) -> Result<Duration, Failure> {
    Ok(arguments.duration("--timeout-ms")?.unwrap_or(default))
}

/// Fetches `address`, and tries again for `retry_for` while there is no answer at all.
fn fetch(address: &str, timeout: Duration, retry_for: Duration) -> Result<Answer, Failure> {
    let url = Url::parse(address).map_err(Failure::Usage)?;
    let end = Instant::now() + retry_for;
    loop {
        match http::get(&url, timeout) {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() >= end => return Err(Failure::at(address, error)),
            Err(_) => thread::sleep(PAUSE_BETWEEN_TRIES),
        }
    }
}

/// How long ago process 1, which is the container's command, was started; to 10 ms.
fn container_age() -> Result<Duration, Failure> {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::at(format!("cannot read {path}"), error))
    };
    age_of(
        &read("/proc/1/stat")?,
        &read("/proc/uptime")?,
        system::ticks_per_second(),
    )
    .ok_or_else(|| Failure::Failed("cannot make out /proc/1/stat and /proc/uptime".to_owned()))
}

/// The age of a process from its `/proc/PID/stat` and from `/proc/uptime`; both count from the boot.
fn age_of(stat: &str, uptime: &str, ticks_per_second: u64) -> Option<Duration> {
    // The second field is the name, in parentheses, and may have spaces and parentheses in it.
    let (_, after_name) = stat.rsplit_once(") ")?;
    // `starttime` is field 22; the state, field 3, is the first one here.
    let start_ticks: u64 = after_name.split(' ').nth(22 - 3)?.parse().ok()?;
    let started_at = Duration::from_millis(start_ticks * 1000 / ticks_per_second);
    let uptime: f64 = uptime.split(' ').next()?.parse().ok()?;
    Some(
        Duration::try_from_secs_f64(uptime)
            .ok()?
            .saturating_sub(started_at),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_the_uptime_without_the_start_time() {
        let stat = "1 (a ) b) S 0 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1";
        assert_eq!(
            age_of(stat, "124.00 200.00\n", 100),
            Some(Duration::from_millis(550))
        );
        assert_eq!(age_of(stat, "100.00 200.00\n", 100), Some(Duration::ZERO));
        assert_eq!(age_of("1 (a) S 0", "1.0 1.0", 100), None);
    }
}
