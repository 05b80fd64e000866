//! Lines at the end of a terminal that are drawn anew in place, as often as something changes.
//!
//! Nothing about the terminal is changed for it: the cursor stands below the lines, and is shown, whenever nothing is
//! being drawn. So a command that is ended in between leaves a terminal behind that works like before.

use std::fmt::Write as _;

use super::sanitise::one_line;
use crate::shapes::ExecSize;

/// What is assumed of a terminal that does not say how large it is.
const SIZE: ExecSize = ExecSize {
    columns: 80,
    rows: 24,
};

/// What stands on the terminal now.
#[derive(Debug, Default)]
pub(super) struct Live {
    drawn: Vec<String>,
}

impl Live {
    /// What to write so that `lines` stand where the ones before stood; nothing if they are the same. There are never more of
    /// them than the terminal has rows, or the first ones could not be reached again. They must be harmless, and short
    /// enough for the terminal.
    pub(super) fn draw(&mut self, mut lines: Vec<String>, size: Option<ExecSize>) -> String {
        lines.truncate(usize::from(size.unwrap_or(SIZE).rows).saturating_sub(1));
        if lines == self.drawn {
            return String::new();
        }
        let mut text = self.up();
        for line in &lines {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{line}");
        }
        self.drawn = lines;
        text
    }

    /// What to write so that they are gone; what is typed meanwhile goes with them.
    pub(super) fn erase(&mut self) -> String {
        let text = self.up();
        self.drawn.clear();
        text
    }

    fn up(&self) -> String {
        match self.drawn.len() {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A\x1b[J"),
        }
    }
}

/// `line`, made harmless, and cut where the terminal ends. A character that is not ASCII may take two columns.
pub(super) fn fit(line: &str, size: Option<ExecSize>) -> String {
    let line = one_line(line);
    let columns = usize::from(size.unwrap_or(SIZE).columns).saturating_sub(1);
    let mut used = 0;
    let fits = |one: &char| {
        used += if one.is_ascii() { 1 } else { 2 };
        used <= columns
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn lines_take_the_place_of_those_before() {
        let mut live = Live::default();
        assert_eq!(live.erase(), "", "nothing stands there");
        assert_eq!(live.draw(lines(&["a", "b"]), None), "a\nb\n");
        assert_eq!(
            live.draw(lines(&["a", "b"]), None),
            "",
            "nothing has changed"
        );
        assert_eq!(live.draw(lines(&["c"]), None), "\r\x1b[2A\x1b[Jc\n");
        assert_eq!(live.erase(), "\r\x1b[1A\x1b[J");
        assert_eq!(live.erase(), "");
    }

    #[test]
    fn what_does_not_fit_is_not_drawn() {
        let size = Some(ExecSize {
            columns: 6,
            rows: 3,
        });
        let mut live = Live::default();
        assert_eq!(live.draw(lines(&["a", "b", "c"]), size), "a\nb\n");
        assert_eq!(fit("abcdefgh", size), "abcde");
        assert_eq!(fit("aéé", size), "aéé");
        assert_eq!(fit("ééé", size), "éé");
        assert!(!fit("\x1b[2Jx", None).contains('\x1b'));
    }
}
