//! The command that writes logs, well-formed ones and awkward ones.

use std::io::{self, Write};
use std::thread;

use crate::command::{Arguments, Command, Failure, Flag, OnTermination};

/// Writes numbered lines.
pub const LOG: Command = Command {
    name: "log",
    about: "writes `line 1`, `line 2`, ... to stdout",
    flags: &[
        Flag {
            name: "--lines",
            value: Some("N"),
            about: "how many (10)",
        },
        Flag {
            name: "--every-ms",
            value: Some("N"),
            about: "the pause between two lines (0)",
        },
        Flag {
            name: "--stderr-every",
            value: Some("K"),
            about: "each K-th line goes to stderr (none)",
        },
        Flag {
            name: "--bytes",
            value: Some("N"),
            about: "fills each line with dots up to N bytes (0)",
        },
        Flag {
            name: "--no-newline",
            value: None,
            about: "ends no line: all is one line without an end",
        },
        Flag {
            name: "--binary",
            value: None,
            about: "adds every byte but the newline to each line",
        },
    ],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: log,
};

fn log(arguments: &Arguments) -> Result<u8, Failure> {
    let lines = arguments.number("--lines", 0..=u64::MAX)?.unwrap_or(10);
    let pause = arguments.duration("--every-ms")?.unwrap_or_default();
    let stderr_every = arguments.number("--stderr-every", 1..=u64::MAX)?;
    let bytes = arguments
        .number("--bytes", 0..=64 * 1024 * 1024)?
        .unwrap_or(0);
    let newline = !arguments.switch("--no-newline");
    let binary = arguments.switch("--binary");

    for number in 1..=lines {
        let line = line(number, bytes, newline, binary);
        let to_stderr = stderr_every.is_some_and(|every| number.is_multiple_of(every));
        let written = if to_stderr {
            write_to(io::stderr(), &line)
        } else {
            write_to(io::stdout(), &line)
        };
        written.map_err(|error| Failure::at(format!("cannot write line {number}"), error))?;
        if number < lines && !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    Ok(0)
}

/// The line `number`, at least `bytes` long without its newline.
fn line(number: u64, bytes: usize, newline: bool, binary: bool) -> Vec<u8> {
    let mut line = format!("line {number}").into_bytes();
    if binary {
        line.push(b' ');
        line.extend((0..=u8::MAX).filter(|byte| *byte != b'\n'));
    }
    if line.len() < bytes {
        line.resize(bytes, b'.');
    }
    if newline {
        line.push(b'\n');
    }
    line
}

fn write_to(mut stream: impl Write, line: &[u8]) -> io::Result<()> {
    stream.write_all(line)?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_long_as_asked() {
        assert_eq!(line(3, 0, true, false), b"line 3\n");
        assert_eq!(line(3, 9, true, false), b"line 3...\n");
        assert_eq!(line(3, 2, false, false), b"line 3");
    }

    #[test]
    fn a_binary_line_has_every_byte_and_is_still_one_line() {
        let line = line(1, 0, true, true);
        assert_eq!(line.len(), "line 1 ".len() + 255 + 1);
        assert_eq!(
            line.iter().position(|byte| *byte == b'\n'),
            Some(line.len() - 1)
        );
    }
}
