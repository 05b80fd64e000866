//! What a container wrote, from the daemon's frames to lines.
//!
//! The daemon keeps one entry for each line, and for each 16 KiB of a longer one. It sends an entry as a
//! time, a space and the text, where only the last piece of a line ends with one. A container without a
//! terminal has a frame for each entry. One with a terminal has them one after the other without frames:
//! bollard cuts that at the ends of lines, so the pieces of a long line are still to be cut here.

use bollard::container::LogOutput;
use bytes::Bytes;

use super::super::super::{LogLine, LogStream};
use super::convert;
use crate::domain::TimestampMs;

/// How long a piece of a line is when it is not the last one.
/// Source: moby, daemon/logger/copier.go, `defaultBufSize`.
const PIECE_BYTES: usize = 16 * 1024;

/// Turns frames into lines.
#[derive(Debug)]
pub(super) struct Lines {
    since: Option<TimestampMs>,
    /// For an entry whose time cannot be read.
    last_at: TimestampMs,
}

impl Lines {
    /// Without what was written before `since`: the daemon itself only looks at whole seconds.
    pub(super) const fn new(since: Option<TimestampMs>) -> Self {
        Self {
            since,
            last_at: TimestampMs::from_millis(0),
        }
    }

    /// The lines of one frame: one, or the pieces of one, or none if it is too old.
    pub(super) fn read(&mut self, frame: LogOutput) -> Vec<LogLine> {
        let mut lines = Vec::with_capacity(1);
        match frame {
            LogOutput::StdOut { message } | LogOutput::StdIn { message } => {
                self.push(
                    &mut lines,
                    LogStream::Stdout,
                    &message,
                    strip_newline(&message),
                );
            }
            LogOutput::StdErr { message } => {
                self.push(
                    &mut lines,
                    LogStream::Stderr,
                    &message,
                    strip_newline(&message),
                );
            }
            LogOutput::Console { message } => {
                // A terminal writes a carriage return at the end of each line.
                let line = strip_newline(&message);
                let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
                loop {
                    let (piece, after) = rest.split_at(first_piece(rest));
                    self.push(&mut lines, LogStream::Stdout, &message, piece);
                    if after.is_empty() {
                        break;
                    }
                    rest = after;
                }
            }
        }
        lines
    }

    /// `entry` is a part of `frame`, which is not copied.
    fn push(&mut self, lines: &mut Vec<LogLine>, stream: LogStream, frame: &Bytes, entry: &[u8]) {
        let (at, text) = split_time(entry).unwrap_or((self.last_at, entry));
        self.last_at = at;
        if self.since.is_none_or(|since| at >= since) {
            lines.push(LogLine {
                at,
                stream,
                text: frame.slice_ref(text),
            });
        }
    }
}

fn strip_newline(entry: &[u8]) -> &[u8] {
    entry.strip_suffix(b"\n").unwrap_or(entry)
}

/// The length of the first entry in what may be several pieces of one line. Pieces have a fixed length, so
/// a text that looks like a time is not taken for one unless it stands where one must.
fn first_piece(entries: &[u8]) -> usize {
    let length = split_time(entries)
        .map(|(_, text)| entries.len() - text.len() + PIECE_BYTES)
        .filter(|length| {
            entries
                .get(*length..)
                .is_some_and(|next| split_time(next).is_some())
        });
    length.unwrap_or(entries.len())
}

/// The time that an entry begins with, and its text.
fn split_time(entry: &[u8]) -> Option<(TimestampMs, &[u8])> {
    /// `2026-01-31T08:15:00.123456789+01:00` is the longest form.
    const LONGEST: usize = 35;
    let space = entry
        .iter()
        .take(LONGEST + 1)
        .position(|byte| *byte == b' ')?;
    let (time, text) = entry.split_at(space);
    let at = convert::timestamp(std::str::from_utf8(time).ok()?)?;
    Some((at, &text[1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T1: &str = "2026-01-31T08:15:00.123456789Z";
    const T2: &str = "2026-01-31T08:15:01.000000000Z";

    fn at(text: &str) -> TimestampMs {
        convert::timestamp(text).unwrap()
    }

    fn texts(lines: &[LogLine]) -> Vec<&[u8]> {
        lines.iter().map(|line| line.text.as_ref()).collect()
    }

    fn frame(text: impl Into<Vec<u8>>) -> Bytes {
        Bytes::from(text.into())
    }

    #[test]
    fn a_frame_is_a_time_and_any_bytes() {
        let mut bytes = format!("{T1} ").into_bytes();
        bytes.extend_from_slice(b"\xff\x00 \x1b[0m\r\n");
        let lines = Lines::new(None).read(LogOutput::StdErr {
            message: frame(bytes),
        });
        assert_eq!(texts(&lines), [b"\xff\x00 \x1b[0m\r"]);
        assert_eq!(lines[0].at.as_millis() % 1_000, 123);
        assert_eq!(lines[0].stream, LogStream::Stderr);
    }

    #[test]
    fn an_empty_line_is_a_line() {
        let lines = Lines::new(None).read(LogOutput::StdOut {
            message: frame(format!("{T1} \n")),
        });
        assert_eq!(texts(&lines), [b""]);
    }

    #[test]
    fn a_piece_without_an_end_stays_a_piece() {
        let piece = "x".repeat(PIECE_BYTES);
        let message = frame(format!("{T1} {piece}"));
        let lines = Lines::new(None).read(LogOutput::StdOut { message });
        assert_eq!(texts(&lines), [piece.as_bytes()]);
    }

    #[test]
    fn since_is_exact_to_the_millisecond() {
        let mut lines = Lines::new(Some(at("2026-01-31T08:15:00.124Z")));
        assert!(
            lines
                .read(LogOutput::StdOut {
                    message: frame(format!("{T1} a\n"))
                })
                .is_empty()
        );
        assert_eq!(
            lines
                .read(LogOutput::StdOut {
                    message: frame(format!("{T2} b\n"))
                })
                .len(),
            1
        );
    }

    #[test]
    fn a_long_line_of_a_terminal_is_cut_into_its_pieces() {
        let piece = "x".repeat(PIECE_BYTES);
        let message = frame(format!(
            "{T1} {piece}{T1} {piece}{T2} end {T2} not a time\r\n"
        ));
        let lines = Lines::new(None).read(LogOutput::Console { message });
        let last = format!("end {T2} not a time");
        assert_eq!(
            texts(&lines),
            [piece.as_bytes(), piece.as_bytes(), last.as_bytes()]
        );
        assert_eq!(lines[2].at, at(T2));
    }

    #[test]
    fn what_has_no_time_has_the_time_before_it() {
        let mut lines = Lines::new(None);
        lines.read(LogOutput::StdOut {
            message: frame(format!("{T2} a\n")),
        });
        let odd = lines.read(LogOutput::StdOut {
            message: frame("no time\n"),
        });
        assert_eq!(texts(&odd), [b"no time"]);
        assert_eq!(odd[0].at, at(T2));
    }

    proptest! {
        /// Whatever comes, and however it is cut: bytes are neither made up nor put in another order.
        #[test]
        fn no_bytes_make_the_reader_panic_and_none_are_made_up(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just(format!("{T1} ").into_bytes()),
                    Just(format!("{T2} ").into_bytes()),
                    Just(vec![b'x'; PIECE_BYTES]),
                    any::<Vec<u8>>(),
                ],
                0..8,
            ),
            kind in 0..4_u8,
        ) {
            let message = frame(pieces.concat());
            let sent = message.clone();
            let frame = match kind {
                0 => LogOutput::StdOut { message },
                1 => LogOutput::StdErr { message },
                2 => LogOutput::StdIn { message },
                _ => LogOutput::Console { message },
            };
            let lines = Lines::new(None).read(frame);
            prop_assert!(!lines.is_empty(), "what was written is told");
            let mut rest = sent.as_ref();
            for line in texts(&lines) {
                let at = (0..=rest.len()).find(|at| rest[*at..].starts_with(line));
                prop_assert!(at.is_some(), "{line:?} is not in {sent:?}");
                rest = &rest[at.unwrap_or_default() + line.len()..];
            }
        }
    }
}
