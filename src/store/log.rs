//! The logs of containers, kept after the containers are gone.
//!
//! One file per container, `logs/<task id>/<container>.log`, and one more for each time that it was started again,
//! `<container>.<attempt>.log`. It is written under other names and gets its
//! own only when it is complete, compressed and on the disk, so a log that is there is whole. Of a log that is longer
//! than it may be, the newest lines are kept, and how many older ones were dropped is said. Neither writing
//! nor reading ever holds more than a line and a buffer in memory.

mod format;
mod prune;

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};

use super::StoreError;
use super::in_flight::{InFlight, Ticket};
use super::open::{at, make_folder};
use super::pace::Pace;
use crate::domain::{ContainerName, TaskId, TimestampMs};
pub use prune::KeptLogs;

use format::{HEADER, Header, OpenError, Reader, Segment};

/// Longer names than this are cut in file names, which have an end at 255 bytes.
const NAME_KEPT: usize = 180;

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptLine {
    /// When the engine got it.
    pub at: TimestampMs,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// The line without its end, as it was written: any bytes at all.
    pub text: Vec<u8>,
}

/// Where the logs are kept. Clones are the same place.
#[derive(Clone, Debug)]
pub struct LogStore {
    folder: Arc<Path>,
    in_flight: InFlight,
    pace: Pace,
}

impl LogStore {
    /// The logs in `data_dir`. Makes nothing yet.
    pub(super) fn new(data_dir: &Path, pace: Pace) -> Self {
        Self {
            folder: data_dir.join("logs").into(),
            in_flight: InFlight::default(),
            pace,
        }
    }

    /// Begins to keep the log of an attempt to run a container, of which the newest `max_bytes` are kept. It is there to be read
    /// when [`LogWriter::finish`] returns, and takes the place of one that was kept before.
    pub async fn writer(
        &self,
        task: &TaskId,
        container: &ContainerName,
        attempt: u32,
        max_bytes: u64,
    ) -> Result<LogWriter, StoreError> {
        let ticket = self.in_flight.begin();
        make_folder(&self.folder_of(task))?;
        let path = self.file_of(task, container, attempt);
        Ok(LogWriter {
            older: None,
            newer: self
                .pace
                .of(Segment::create(path.with_extension("part0")))
                .await?,
            path,
            max_bytes,
            dropped: 0,
            next_part: 1,
            pace: self.pace.clone(),
            _ticket: ticket,
        })
    }

    /// The lines of a kept log, oldest first: those from `since` on, and of these the last `tail`.
    pub async fn read(
        &self,
        task: &TaskId,
        container: &ContainerName,
        attempt: u32,
        since: Option<TimestampMs>,
        tail: Option<u64>,
    ) -> Result<KeptLines, StoreError> {
        let path = self.file_of(task, container, attempt);
        let pace = self.pace.clone();
        let mut log = match pace.of(Reader::open(&path)).await {
            Ok(log) => log,
            Err(OpenError::Absent) => {
                return Err(StoreError::not_found(format!(
                    "log of container `{container}` of task `{task}`"
                )));
            }
            Err(OpenError::Other(error)) => return Err(error),
        };
        let wanted = move |header: &Header| since.is_none_or(|since| header.at >= since);
        let mut skip = 0;
        if let Some(tail) = tail {
            let mut lines: u64 = 0;
            let counted = async {
                while let Some(header) = log.header().await? {
                    lines += u64::from(wanted(&header));
                    log.skip(&header).await?;
                }
                log.rewind().await
            };
            pace.of(counted).await?;
            skip = lines.saturating_sub(tail);
        }
        let dropped = log.dropped;
        let lines = stream::try_unfold((log, skip), move |(mut log, mut skip)| {
            let pace = pace.clone();
            let next = async move {
                while let Some(header) = log.header().await? {
                    if wanted(&header) {
                        if skip == 0 {
                            let line = log.line(&header).await?;
                            return Ok(Some((line, (log, skip))));
                        }
                        skip -= 1;
                    }
                    log.skip(&header).await?;
                }
                Ok(None)
            };
            async move { pace.of(next).await }
        });
        Ok(KeptLines {
            dropped,
            lines: lines.boxed(),
        })
    }

    /// Whether the log of an attempt to run a container is kept.
    pub fn has(&self, task: &TaskId, container: &ContainerName, attempt: u32) -> bool {
        self.file_of(task, container, attempt).is_file()
    }

    /// Removes the kept log of an attempt to run a container. Removing nothing succeeds.
    pub async fn forget(
        &self,
        task: &TaskId,
        container: &ContainerName,
        attempt: u32,
    ) -> Result<(), StoreError> {
        let path = self.file_of(task, container, attempt);
        match self.pace.of(tokio::fs::remove_file(&path)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path, &error)),
            _ => Ok(()),
        }
    }

    /// Removes every kept log of a task. Removing nothing succeeds.
    pub async fn remove(&self, task: &TaskId) -> Result<(), StoreError> {
        let folder = self.folder_of(task);
        match self.pace.of(tokio::fs::remove_dir_all(&folder)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&folder, &error)),
            _ => Ok(()),
        }
    }

    /// The folder that the store is in.
    pub(super) fn data_dir(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// Logs that are being written.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.count() + self.pace.in_flight()
    }

    fn folder_of(&self, task: &TaskId) -> PathBuf {
        self.folder.join(task.as_str())
    }

    /// A name of a container has no dot, so none can be taken for a part of another, or for a cut name.
    fn file_of(&self, task: &TaskId, container: &ContainerName, attempt: u32) -> PathBuf {
        let name = container.as_str();
        let attempt = match attempt {
            0 => String::new(),
            attempt => format!(".{attempt}"),
        };
        let name = match name.get(..NAME_KEPT) {
            Some(start) if name.len() > NAME_KEPT => {
                let digest = URL_SAFE_NO_PAD.encode(&Sha256::digest(name)[..16]);
                format!("{start}.{digest}{attempt}.log")
            }
            _ => format!("{name}{attempt}.log"),
        };
        self.folder_of(task).join(name)
    }
}

/// The lines of a kept log, in order.
pub struct KeptLines {
    dropped: u64,
    lines: BoxStream<'static, Result<KeptLine, StoreError>>,
}

impl KeptLines {
    /// How many lines came before the first one that was kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Stream for KeptLines {
    type Item = Result<KeptLine, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.as_mut().poll_next(context)
    }
}

/// Writes a log that is to be kept. What was written is gone if this is dropped before it is finished.
///
/// Lines go to a segment of up to `max_bytes`. When it is full the next one begins, and the one before the
/// full one is removed: so there are always at least the newest `max_bytes`, and never more than twice that.
pub struct LogWriter {
    path: PathBuf,
    max_bytes: u64,
    older: Option<Segment>,
    newer: Segment,
    /// Lines of segments that were removed.
    dropped: u64,
    /// The number in the name of the next segment.
    next_part: u8,
    pace: Pace,
    _ticket: Ticket,
}

impl LogWriter {
    /// Adds a line. One that is longer than the whole log may be is cut at its end.
    pub async fn append(&mut self, line: &KeptLine) -> Result<(), StoreError> {
        let pace = self.pace.clone();
        pace.of(self.append_now(line)).await
    }

    async fn append_now(&mut self, line: &KeptLine) -> Result<(), StoreError> {
        let room = usize::try_from(self.max_bytes).unwrap_or(usize::MAX);
        let longest = room.saturating_sub(HEADER).min(u32::MAX as usize);
        let text = &line.text[..line.text.len().min(longest)];
        let bytes = (HEADER + text.len()) as u64;
        if self.newer.lines > 0 && self.newer.bytes + bytes > self.max_bytes {
            self.rotate().await?;
        }
        let header = Header {
            at: line.at,
            stderr: line.stderr,
            length: u32::try_from(text.len()).unwrap_or(u32::MAX),
        };
        self.newer.append(&header, text).await
    }

    /// Completes the log and puts it in its place, durably. Returns how many lines were dropped.
    pub async fn finish(self) -> Result<u64, StoreError> {
        let pace = self.pace.clone();
        pace.of(self.finish_now()).await
    }

    async fn finish_now(self) -> Result<u64, StoreError> {
        let Self {
            path,
            max_bytes,
            older,
            newer,
            mut dropped,
            next_part,
            pace: _,
            _ticket,
        } = self;
        let whole = match older {
            None => newer,
            Some(older) => {
                let mut whole =
                    Segment::create(path.with_extension(format!("part{next_part}"))).await?;
                // `newer` is never larger than `max_bytes`.
                let mut over = older
                    .bytes
                    .saturating_sub(max_bytes - newer.bytes.min(max_bytes));
                for segment in [older, newer] {
                    let mut lines = segment.into_reader().await?;
                    while let Some(header) = lines.header().await? {
                        if over > 0 {
                            over = over.saturating_sub(header.line_bytes());
                            dropped += 1;
                            lines.skip(&header).await?;
                        } else {
                            let line = lines.line(&header).await?;
                            whole.append(&header, &line.text).await?;
                        }
                    }
                }
                whole
            }
        };
        whole
            .publish(path.with_extension("packed"), &path, dropped)
            .await?;
        Ok(dropped)
    }

    async fn rotate(&mut self) -> Result<(), StoreError> {
        let part = self.path.with_extension(format!("part{}", self.next_part));
        // The names of three segments are enough: two that are there, and the one that they are joined in.
        self.next_part = (self.next_part + 1) % 3;
        let full = std::mem::replace(&mut self.newer, Segment::create(part).await?);
        if let Some(oldest) = self.older.replace(full) {
            self.dropped += oldest.lines;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
