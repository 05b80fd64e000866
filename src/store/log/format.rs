//! The files of kept logs: lines with a header each, written in one go and read in one go.
//!
//! A file begins with [`MAGIC`] and the number of lines that were dropped before its first one (8 bytes).
//! Each line follows as a header of [`HEADER`] bytes (time in Unix milliseconds, 8 bytes; 1 for standard
//! error, 0 for standard output, 1 byte; length, 4 bytes) and its text. All numbers are little-endian.

use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio::fs::{File, OpenOptions};
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader,
    BufWriter, SeekFrom,
};

use super::KeptLine;
use crate::domain::TimestampMs;
use crate::store::StoreError;
use crate::store::open::at;

/// What a kept log begins with; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"NG-LOG\x00\x01";
/// Where the lines begin.
const LINES_START: u64 = 16;
/// How long the header of a line is.
pub(super) const HEADER: usize = 13;
/// What is read or written at once.
const CHUNK: usize = 64 * 1_024;

/// A file of lines that is being written. It is removed with the value, unless it was published.
pub(super) struct Segment {
    file: BufWriter<File>,
    path: Removed,
    pub(super) lines: u64,
    /// Without what comes before the lines.
    pub(super) bytes: u64,
}

/// A file that is removed with the value.
struct Removed(Option<PathBuf>);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            // The next writer of the same log empties it.
            tracing::debug!(%error, path = %path.display(), "a part of a log was left behind");
        }
    }
}

impl Segment {
    pub(super) async fn create(path: PathBuf) -> Result<Self, StoreError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .await
            .map_err(|error| at(&path, &error))?;
        let mut segment = Self {
            file: BufWriter::with_capacity(CHUNK, file),
            path: Removed(Some(path)),
            lines: 0,
            bytes: 0,
        };
        segment.file.write_all(&MAGIC).await?;
        segment.file.write_all(&0_u64.to_le_bytes()).await?;
        Ok(segment)
    }

    pub(super) async fn append(&mut self, header: &Header, text: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(&header.encode()).await?;
        self.file.write_all(text).await?;
        self.lines += 1;
        self.bytes += header.line_bytes();
        Ok(())
    }

    /// Reads the segment from its beginning; the file itself is removed already then.
    pub(super) async fn into_reader(self) -> Result<Reader, StoreError> {
        let Self { mut file, path, .. } = self;
        file.flush().await?;
        let file = file.into_inner();
        let mut reader = Reader {
            path: path.0.clone().unwrap_or_default(),
            file: BufReader::with_capacity(CHUNK, file),
            dropped: 0,
        };
        reader.rewind().await?;
        Ok(reader)
    }

    /// Makes the segment the log at `place`, of which `dropped` lines are missing.
    pub(super) async fn publish(self, place: &Path, dropped: u64) -> Result<(), StoreError> {
        let Self {
            mut file, mut path, ..
        } = self;
        file.seek(SeekFrom::Start(MAGIC.len() as u64)).await?;
        file.write_all(&dropped.to_le_bytes()).await?;
        file.flush().await?;
        file.get_ref().sync_all().await?;
        if let Some(written) = &path.0 {
            tokio::fs::rename(written, place)
                .await
                .map_err(|error| at(place, &error))?;
        }
        path.0 = None;
        // The name is durable when the folder is.
        if let Some(folder) = place.parent() {
            File::open(folder).await?.sync_all().await?;
        }
        Ok(())
    }
}

/// What comes before the text of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) at: TimestampMs,
    pub(super) stderr: bool,
    pub(super) length: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.at.as_millis().to_le_bytes());
        bytes[8] = u8::from(self.stderr);
        bytes[9..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    fn decode(bytes: [u8; HEADER]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk()?;
        let (stderr @ (0 | 1), length) = rest.split_first()? else {
            return None;
        };
        Some(Self {
            at: TimestampMs::from_millis(i64::from_le_bytes(*at)),
            stderr: *stderr == 1,
            length: u32::from_le_bytes(length.try_into().ok()?),
        })
    }

    /// What the line takes in the file.
    pub(super) const fn line_bytes(&self) -> u64 {
        HEADER as u64 + self.length as u64
    }
}

/// Reads a file of lines, one after the other.
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    pub(super) dropped: u64,
}

pub(super) enum OpenError {
    /// There is no such log.
    Absent,
    /// Anything else.
    Other(StoreError),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl Reader {
    pub(super) async fn open(path: &Path) -> Result<Self, OpenError> {
        let file = File::open(path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::Absent,
            _ => OpenError::Other(at(path, &error)),
        })?;
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(CHUNK, file),
            dropped: 0,
        };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic).await?;
        if magic != MAGIC {
            return Err(reader.broken("it is not a log").into());
        }
        let mut dropped = [0; 8];
        reader.fill(&mut dropped).await?;
        reader.dropped = u64::from_le_bytes(dropped);
        Ok(reader)
    }

    /// Goes back to the first line.
    pub(super) async fn rewind(&mut self) -> Result<(), StoreError> {
        self.file.seek(SeekFrom::Start(LINES_START)).await?;
        Ok(())
    }

    /// The header of the next line; `None` at the end.
    pub(super) async fn header(&mut self) -> Result<Option<Header>, StoreError> {
        let mut bytes = [0; HEADER];
        let first = self.file.read(&mut bytes[..1]).await?;
        if first == 0 {
            return Ok(None);
        }
        self.fill(&mut bytes[1..]).await?;
        Header::decode(bytes)
            .map(Some)
            .ok_or_else(|| self.broken("a line of it has no valid header"))
    }

    /// The line that `header` was just read of.
    pub(super) async fn line(&mut self, header: &Header) -> Result<KeptLine, StoreError> {
        let mut text = Vec::new();
        // Grows with what is there, so that a broken length costs no memory.
        let read = (&mut self.file)
            .take(u64::from(header.length))
            .read_to_end(&mut text)
            .await?;
        if read as u64 != u64::from(header.length) {
            return Err(self.broken("it ends within a line"));
        }
        Ok(KeptLine {
            at: header.at,
            stderr: header.stderr,
            text,
        })
    }

    /// Passes over the line that `header` was just read of.
    pub(super) async fn skip(&mut self, header: &Header) -> Result<(), StoreError> {
        let mut left = header.length as usize;
        while left > 0 {
            let buffered = tokio::io::AsyncBufReadExt::fill_buf(&mut self.file)
                .await?
                .len();
            if buffered == 0 {
                return Err(self.broken("it ends within a line"));
            }
            let step = buffered.min(left);
            self.file.consume(step);
            left -= step;
        }
        Ok(())
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.file.read_exact(bytes).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.broken("it ends too early"))
            }
            Err(error) => Err(at(&self.path, &error)),
        }
    }

    fn broken(&self, why: &str) -> StoreError {
        StoreError::unreadable(format!("kept log {}", self.path.display()), why)
    }
}
