//! What a container wrote, as the daemon keeps it: two files that take turns, lines cut at 16 KiB.

use bytes::Bytes;

use super::Model;
use crate::domain::TimestampMs;
use crate::engine::docker::daemon::LogOptions;
use crate::engine::sim::model::Refusal;
use crate::engine::{LogLine, LogStream};

/// The daemon keeps no more of a line together.
const LONGEST_PIECE_BYTES: usize = 16 * 1024;

/// The log of one container.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Of both files together; `None` keeps nothing.
    most_bytes: Option<u64>,
    /// Each with its place in the sequence of all.
    older: Vec<(u64, LogLine)>,
    newer: Vec<(u64, LogLine)>,
    newer_bytes: u64,
    so_far: u64,
    /// What was written to each stream without a line's end so far.
    unfinished: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn new(most_bytes: Option<u64>) -> Self {
        Self {
            most_bytes,
            ..Self::default()
        }
    }

    /// Takes what a process wrote.
    pub(super) fn write(&mut self, at: TimestampMs, stream: LogStream, text: &[u8]) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match part.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (part, false),
            };
            let mut pending = std::mem::take(&mut self.unfinished[index(stream)]);
            pending.extend_from_slice(line);
            let mut rest = pending.as_slice();
            while rest.len() > LONGEST_PIECE_BYTES {
                let (piece, after) = rest.split_at(LONGEST_PIECE_BYTES);
                self.keep(at, stream, piece);
                rest = after;
            }
            if ended {
                self.keep(at, stream, rest);
            } else {
                self.unfinished[index(stream)] = rest.to_vec();
            }
        }
    }

    /// The process has ended: what it left unfinished is a line, too.
    pub(super) fn finish(&mut self, at: TimestampMs) {
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            let rest = std::mem::take(&mut self.unfinished[index(stream)]);
            if !rest.is_empty() {
                self.keep(at, stream, &rest);
            }
        }
    }

    fn keep(&mut self, at: TimestampMs, stream: LogStream, text: &[u8]) {
        let place = self.so_far;
        self.so_far += 1;
        let Some(most_bytes) = self.most_bytes else {
            return;
        };
        let length = text.len() as u64 + 1;
        if self.newer_bytes + length > most_bytes / 2 && !self.newer.is_empty() {
            self.older = std::mem::take(&mut self.newer);
            self.newer_bytes = 0;
        }
        self.newer_bytes += length;
        let line = LogLine {
            at,
            stream,
            text: Bytes::copy_from_slice(text),
        };
        self.newer.push((place, line));
    }

    fn since(&self, place: u64) -> impl Iterator<Item = &LogLine> {
        self.older
            .iter()
            .chain(&self.newer)
            .filter(move |(at, _)| *at >= place)
            .map(|(_, line)| line)
    }
}

const fn index(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

/// What a reader of a log gets at a time.
pub(crate) struct LogNews {
    /// The lines.
    pub(crate) lines: Vec<LogLine>,
    /// Where to go on.
    pub(crate) place: u64,
    /// No more will come: the process has ended, or the container is gone.
    pub(crate) over: bool,
}

impl Model {
    /// What is kept of a container's log, and where to go on.
    pub(crate) fn read_log(&self, id: &str, options: LogOptions) -> Result<LogNews, Refusal> {
        let container = self.containers.get(&self.known(id)?);
        let Some(container) = container.filter(|container| container.log.most_bytes.is_some())
        else {
            return Err(Refusal::Invalid(
                "configured logging driver does not support reading".to_owned(),
            ));
        };
        let mut lines: Vec<LogLine> = container
            .log
            .since(0)
            .filter(|line| options.since.is_none_or(|since| line.at >= since))
            .cloned()
            .collect();
        if let Some(tail) = options.tail {
            let tail = usize::try_from(tail).unwrap_or(usize::MAX);
            lines.drain(..lines.len().saturating_sub(tail));
        }
        Ok(LogNews {
            lines,
            place: container.log.so_far,
            over: !container.is_running(),
        })
    }

    /// What has come since `place`.
    pub(crate) fn follow_log(&self, id: &str, place: u64) -> LogNews {
        match self.find(id) {
            Some(container) => LogNews {
                lines: container.log.since(place).cloned().collect(),
                place: container.log.so_far,
                over: !container.is_running(),
            },
            None => LogNews {
                lines: Vec::new(),
                place,
                over: true,
            },
        }
    }
}
