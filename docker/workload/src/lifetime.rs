//! Commands about how a process ends: by itself, on SIGTERM, or only by SIGKILL.

use std::io::Write;
use std::time::Instant;

use crate::command::{Command, Flag, OnTermination};
use crate::system;

/// Ends with a given code.
pub const EXIT: Command = Command {
    name: "exit",
    about: "ends with an exit code, after a while if wanted",
    flags: &[
        Flag {
            name: "--code",
            value: Some("N"),
            about: "the exit code, 0 to 255 (0)",
        },
        Flag {
            name: "--after-ms",
            value: Some("N"),
            about: "how long it runs before (0)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |arguments| {
        let code = arguments.number("--code", 0..=u8::MAX)?.unwrap_or(0);
        std::thread::sleep(arguments.duration("--after-ms")?.unwrap_or_default());
        Ok(code)
    },
};

/// Does nothing, and ends in good order.
pub const SLEEP: Command = Command {
    name: "sleep",
    about: "does nothing until its time is over (exit 0) or SIGTERM comes",
    flags: &[
        Flag {
            name: "--for-ms",
            value: Some("N"),
            about: "how long (for ever)",
        },
        Flag {
            name: "--term-code",
            value: Some("N"),
            about: "the exit code on SIGTERM (0)",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Command,
    run: |arguments| {
        let limit = arguments.duration("--for-ms")?;
        let term_code = arguments.number("--term-code", 0..=u8::MAX)?.unwrap_or(0);
        Ok(if system::wait_for_termination(limit) {
            term_code
        } else {
            0
        })
    },
};

/// Takes SIGTERM and goes on.
pub const IGNORE_SIGTERM: Command = Command {
    name: "ignore-sigterm",
    about: "goes on when SIGTERM comes, and writes a line for each; only SIGKILL ends it early",
    flags: &[Flag {
        name: "--for-ms",
        value: Some("N"),
        about: "how long, then exit 0 (for ever)",
    }],
    positionals: &[],
    on_termination: OnTermination::Command,
    run: |arguments| {
        let deadline = arguments
            .duration("--for-ms")?
            .map(|limit| Instant::now() + limit);
        say("ignoring SIGTERM");
        let left = || deadline.map(|end| end.saturating_duration_since(Instant::now()));
        while system::wait_for_termination(left()) {
            say("SIGTERM ignored");
        }
        Ok(0)
    },
};

/// Writes a line that nobody has to read: a closed pipe must not end the process.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
