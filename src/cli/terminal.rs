//! The terminal of a person, handed to a command elsewhere: raw while that lasts, and always given back as it was.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::shapes::ExecSize;

/// The terminal at standard input in raw mode: each key goes out as it is typed, Ctrl-C too. It is as it was
/// before when this is dropped.
pub(super) struct RawTerminal(Termios);

impl RawTerminal {
    /// Makes it raw.
    pub(super) fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that has gone away cannot be given back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// How large the terminal at standard output is; nothing where there is none, or it does not say.
pub(super) fn size() -> Option<ExecSize> {
    size_of(io::stdout())
}

/// The same of the one at standard error.
pub(super) fn size_of_stderr() -> Option<ExecSize> {
    size_of(io::stderr())
}

fn size_of(output: impl AsFd + IsTerminal) -> Option<ExecSize> {
    if !output.is_terminal() {
        return None;
    }
    let size = tcgetwinsize(output).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some(ExecSize {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}
