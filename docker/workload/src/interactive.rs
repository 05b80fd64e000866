//! Commands for somebody at the other end: they answer to what they read.

use std::io::{self, BufRead, Write};

use crate::command::{Command, Failure, OnTermination};
use crate::files::print;
use crate::system;

/// Writes what it reads.
pub const CAT: Command = Command {
    name: "cat",
    about: "writes what it reads to stdout, byte for byte, until there is no more",
    flags: &[],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |_| {
        let mut stdin = io::stdin().lock();
        // Of the standard library, stdout holds lines back.
        let mut stdout = io::stdout().lock();
        loop {
            let piece = stdin
                .fill_buf()
                .map_err(|error| Failure::at("cannot read stdin", error))?;
            let length = piece.len();
            if length == 0 {
                return Ok(0);
            }
            stdout
                .write_all(piece)
                .and_then(|()| stdout.flush())
                .map_err(|error| Failure::at("cannot write to stdout", error))?;
            stdin.consume(length);
        }
    },
};

/// Tells the size of its terminal.
pub const TERMINAL: Command = Command {
    name: "terminal",
    about: "tells the size of its terminal, as `80x24`, or `no terminal`, once for each line that it reads; \
            the line `exit N` ends it with that code",
    flags: &[],
    positionals: &[],
    on_termination: OnTermination::Exit143,
    run: |_| {
        tell_size()?;
        for line in io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::at("cannot read stdin", error))?;
            match line.strip_prefix("exit ").map(str::parse) {
                Some(Ok(code)) => return Ok(code),
                _ => tell_size()?,
            };
        }
        Ok(0)
    },
};

fn tell_size() -> Result<u8, Failure> {
    let text = match system::terminal_size() {
        Some((columns, rows)) => format!("{columns}x{rows}\n"),
        None => "no terminal\n".to_owned(),
    };
    print(text.as_bytes())
}
