//! The files of kept logs: lines with a header each, written in one go and read in one go.
//!
//! A file begins with [`MAGIC`] and the number of lines that were dropped before its first one (8 bytes). What
//! follows is compressed (gzip, which ends in a checksum): each line as a header of [`HEADER`] bytes (time in Unix
//! milliseconds, 8 bytes; 1 for standard error, 0 for standard output, 1 byte; length, 4 bytes) and its text. All
//! numbers are little-endian. A segment, which is a log that is still being written, is not compressed.

use std::path::{Path, PathBuf};
use std::{fs, io};

use async_compression::tokio::bufread::GzipDecoder;
use async_compression::tokio::write::GzipEncoder;
use tokio::fs::{File, OpenOptions};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _,
    BufReader, BufWriter, SeekFrom,
};

use super::KeptLine;
use crate::domain::TimestampMs;
use crate::store::StoreError;
use crate::store::open::at;

/// What a kept log begins with; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"NG-LOG\x00\x02";
/// Where the lines begin.
const LINES_START: usize = 16;
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
        Ok(Self {
            file: BufWriter::with_capacity(CHUNK, create(&path).await?),
            path: Removed(Some(path)),
            lines: 0,
            bytes: 0,
        })
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
        let path = path.0.clone().unwrap_or_default();
        Reader::new(path, file.into_inner(), Packing::None, 0).await
    }

    /// Makes the segment the log at `place`, of which `dropped` lines are missing: compresses it into the file
    /// `packed`, which gets the name when it is whole and on the disk.
    pub(super) async fn publish(
        self,
        packed: PathBuf,
        place: &Path,
        dropped: u64,
    ) -> Result<(), StoreError> {
        let Self { mut file, path, .. } = self;
        file.flush().await?;
        let mut lines = file.into_inner();
        lines.seek(SeekFrom::Start(0)).await?;
        let mut file = create(&packed).await?;
        let mut unfinished = Removed(Some(packed));
        file.write_all(&MAGIC).await?;
        file.write_all(&dropped.to_le_bytes()).await?;
        let mut body = GzipEncoder::new(BufWriter::with_capacity(CHUNK, file));
        tokio::io::copy_buf(&mut BufReader::with_capacity(CHUNK, lines), &mut body).await?;
        body.shutdown().await?;
        body.into_inner().into_inner().sync_all().await?;
        if let Some(written) = &unfinished.0 {
            tokio::fs::rename(written, place)
                .await
                .map_err(|error| at(place, &error))?;
        }
        unfinished.0 = None;
        // The name is durable when the folder is.
        if let Some(folder) = place.parent() {
            File::open(folder).await?.sync_all().await?;
        }
        drop(path);
        Ok(())
    }
}

/// Makes an empty file that nobody else can read.
async fn create(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .await
        .map_err(|error| at(path, &error))
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
    /// The handle below `lines`, to go back with.
    file: File,
    packing: Packing,
    lines: Box<dyn AsyncBufRead + Send + Unpin>,
    pub(super) dropped: u64,
}

/// How the lines of a file lie in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// From the first byte on, as they are.
    None,
    /// Compressed, behind what the file begins with.
    Gzip,
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
        let mut file = File::open(path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenError::Absent,
            _ => OpenError::Other(at(path, &error)),
        })?;
        let mut start = [0; LINES_START];
        if let Err(error) = file.read_exact(&mut start).await {
            return Err(unread(path, &error).into());
        }
        let (magic, dropped) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(broken(path, "it is not a log").into());
        }
        let dropped = dropped.try_into().map_or(0, u64::from_le_bytes);
        Ok(Self::new(path.to_owned(), file, Packing::Gzip, dropped).await?)
    }

    async fn new(
        path: PathBuf,
        file: File,
        packing: Packing,
        dropped: u64,
    ) -> Result<Self, StoreError> {
        let mut reader = Self {
            path,
            file,
            packing,
            lines: Box::new(tokio::io::empty()),
            dropped,
        };
        reader.rewind().await?;
        Ok(reader)
    }

    /// Goes back to the first line.
    pub(super) async fn rewind(&mut self) -> Result<(), StoreError> {
        let start = match self.packing {
            Packing::None => 0,
            Packing::Gzip => LINES_START as u64,
        };
        self.file.seek(SeekFrom::Start(start)).await?;
        // The clone shares the place that is read next, which nobody else moves.
        let file = BufReader::with_capacity(CHUNK, self.file.try_clone().await?);
        self.lines = match self.packing {
            Packing::None => Box::new(file),
            Packing::Gzip => Box::new(BufReader::with_capacity(CHUNK, GzipDecoder::new(file))),
        };
        Ok(())
    }

    /// The header of the next line; `None` at the end.
    pub(super) async fn header(&mut self) -> Result<Option<Header>, StoreError> {
        let mut bytes = [0; HEADER];
        let first = self.lines.read(&mut bytes[..1]).await;
        if first.map_err(|error| unread(&self.path, &error))? == 0 {
            return Ok(None);
        }
        self.fill(&mut bytes[1..]).await?;
        Header::decode(bytes)
            .map(Some)
            .ok_or_else(|| broken(&self.path, "a line of it has no valid header"))
    }

    /// The line that `header` was just read of.
    pub(super) async fn line(&mut self, header: &Header) -> Result<KeptLine, StoreError> {
        let mut text = Vec::new();
        // Grows with what is there, so that a broken length costs no memory.
        let read = (&mut self.lines)
            .take(u64::from(header.length))
            .read_to_end(&mut text)
            .await
            .map_err(|error| unread(&self.path, &error))?;
        if read as u64 != u64::from(header.length) {
            return Err(broken(&self.path, "it ends within a line"));
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
            let buffered = self.lines.fill_buf().await;
            let buffered = buffered.map_err(|error| unread(&self.path, &error))?.len();
            if buffered == 0 {
                return Err(broken(&self.path, "it ends within a line"));
            }
            let step = buffered.min(left);
            self.lines.consume(step);
            left -= step;
        }
        Ok(())
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), StoreError> {
        match self.lines.read_exact(bytes).await {
            Ok(_) => Ok(()),
            Err(error) => Err(unread(&self.path, &error)),
        }
    }
}

/// Why a file could not be read: its own fault, or the disk's.
fn unread(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => broken(path, "it ends too early"),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
            if error.raw_os_error().is_none() =>
        {
            broken(path, "what it holds was changed")
        }
        _ => at(path, error),
    }
}

fn broken(path: &Path, why: &str) -> StoreError {
    StoreError::unreadable(format!("kept log {}", path.display()), why)
}
