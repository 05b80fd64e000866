//! The end of a task's log, as its page shows it: so many lines and bytes at most, and not for longer than a page may take.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::control::{Control, ControlError, LogQuery, TaskLogLine};
use crate::domain::{ContainerName, TaskId};

/// How many lines of each container are shown, and are searched.
pub(super) const SHOWN: usize = 200;
const SEARCHED: u64 = 2_000;
/// The most of all lines and of one line that stands on a page, in bytes.
const BYTES: usize = 48 * 1_024;
const LINE_BYTES: usize = 2_000;
/// How long a page waits for the engine.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes of a log that are handed out as one file.
const FILE_BYTES: usize = 8 * 1_048_576;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When, by the engine's clock.
    pub(super) at: String,
    /// Who wrote it.
    pub(super) container: String,
    /// Whether it was written to standard error.
    pub(super) is_error: bool,
    /// What.
    pub(super) text: String,
}

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// The lines, oldest first.
    pub(super) lines: Vec<Line>,
    /// Why there are none, or not all.
    pub(super) note: Option<String>,
}

/// The last lines that `container` (or all of them) wrote and that have `find` in them.
pub(super) async fn tail(
    control: &Control,
    id: &TaskId,
    container: Option<ContainerName>,
    find: &str,
) -> Result<Tail, ControlError> {
    let tail = if find.is_empty() {
        SHOWN as u64
    } else {
        SEARCHED
    };
    let query = LogQuery {
        container,
        tail: Some(tail),
        ..LogQuery::default()
    };
    let mut note = control.log_note(id, &query).await?;
    let mut found = Found::new(find);
    let read = async {
        let mut lines = control.task_logs(id, query).await?;
        while let Some(line) = lines.next().await {
            found.add(&line?);
        }
        Ok::<_, ControlError>(())
    };
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(())) => {}
        Ok(Err(ControlError::Engine(_))) => {
            note = Some("the engine does not hand out the log just now".to_owned());
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => note = Some("the engine takes too long to hand out the log".to_owned()),
    }
    Ok(Tail {
        lines: found.lines.into(),
        note,
    })
}

/// The newest lines that fit on a page.
struct Found {
    find: String,
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Found {
    fn new(find: &str) -> Self {
        Self {
            find: find.to_lowercase(),
            lines: VecDeque::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, TaskLogLine { container, line }: &TaskLogLine) {
        let text = without_colours(&String::from_utf8_lossy(&line.text));
        if !self.find.is_empty() && !text.to_lowercase().contains(&self.find) {
            return;
        }
        let text = cut(text, LINE_BYTES);
        self.bytes += text.len();
        self.lines.push_back(Line {
            at: line.at.to_string(),
            container: container.to_string(),
            is_error: line.stream.as_str() == "stderr",
            text,
        });
        while self.lines.len() > SHOWN || self.bytes > BYTES {
            let Some(gone) = self.lines.pop_front() else {
                break;
            };
            self.bytes -= gone.text.len();
        }
    }
}

/// All that `container` (or all of them) wrote, as a text file: the beginning, where it is too long.
pub(super) async fn file(
    control: &Control,
    id: &TaskId,
    container: Option<ContainerName>,
) -> Result<String, ControlError> {
    let query = LogQuery {
        container,
        ..LogQuery::default()
    };
    let mut lines = control.task_logs(id, query).await?;
    let mut text = String::new();
    while let Some(line) = lines.next().await {
        let TaskLogLine { container, line } = line?;
        let written = String::from_utf8_lossy(&line.text);
        text.push_str(&format!("{} {container} {written}\n", line.at));
        if text.len() > FILE_BYTES {
            text.push_str(&format!(
                "… the rest is left out; all of it: neargate logs {id}\n"
            ));
            break;
        }
    }
    Ok(text)
}

/// `text` without what sets colours and weights on a terminal; everything else stays, and is made visible.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("\u{1b}[") {
        let (before, sequence) = rest.split_at(start);
        plain.push_str(before);
        let parameters = &sequence[2..];
        let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end {
            Some(end) if parameters[end..].starts_with('m') => rest = &parameters[end + 1..],
            _ => {
                plain.push_str(&sequence[..2]);
                rest = parameters;
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// As much of `text` as `most` bytes hold.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::TimestampMs;
    use crate::engine::{LogLine, LogStream};

    fn line(text: &str) -> TaskLogLine {
        TaskLogLine {
            container: "web".parse().unwrap(),
            line: LogLine {
                at: TimestampMs::from_millis(0),
                stream: LogStream::Stderr,
                text: Bytes::from(text.to_owned()),
            },
        }
    }

    #[test]
    fn the_newest_lines_stay_within_bounds() {
        let mut found = Found::new("");
        for number in 0..1_000 {
            found.add(&line(&format!("line {number}")));
        }
        assert_eq!(found.lines.len(), SHOWN);
        assert_eq!(found.lines.back().unwrap().text, "line 999");
        for _ in 0..100 {
            found.add(&line(&"é".repeat(5_000)));
        }
        let bytes: usize = found.lines.iter().map(|line| line.text.len()).sum();
        assert!(bytes <= BYTES && bytes == found.bytes, "{bytes}");
        assert!(
            found
                .lines
                .iter()
                .all(|line| line.text.len() <= LINE_BYTES + 3)
        );
    }

    #[test]
    fn a_search_finds_what_is_in_a_line_whatever_its_case_and_colour() {
        let mut found = Found::new("ERROR: x");
        for text in [
            "all is well",
            "\u{1b}[1;31merror\u{1b}[0m: X happened",
            "error",
        ] {
            found.add(&line(text));
        }
        let texts: Vec<&str> = found.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["error: X happened"]);
        assert!(found.lines[0].is_error);
    }

    #[test]
    fn only_colours_are_taken_out() {
        for (text, plain) in [
            ("\u{1b}[31mred\u{1b}[m", "red"),
            ("\u{1b}[2Jcleared", "\u{1b}[2Jcleared"),
            ("\u{1b}[31", "\u{1b}[31"),
            ("\u{1b}[", "\u{1b}["),
            ("\u{1b}[\u{1b}[31mx", "\u{1b}[x"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_colours(text), plain, "{text:?}");
        }
    }
}
