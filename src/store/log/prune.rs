//! Makes room among the kept logs: those of the tasks that ended longest ago go first, a task's all at once.
//!
//! Their folder first gets another name, in one step, so that a crash never leaves a part of a task's logs that
//! looks like all of them. It must never take a log that is being written.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use super::LogStore;
use crate::domain::TimestampMs;
use crate::store::StoreError;
use crate::store::open::at;

/// What the name of a folder begins with that is being removed.
pub(super) const REMOVED: &str = "removed-";
/// What is younger may be in the middle of being written.
const SETTLED_AFTER: Duration = Duration::from_hours(1);

/// How much of the kept logs stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLogs {
    /// What was kept longer ago goes; `None` means never for that reason.
    pub max_age: Option<Duration>,
    /// Of all tasks together, on the disk, in bytes; `None` means no bound.
    pub max_bytes: Option<u64>,
}

impl Default for KeptLogs {
    fn default() -> Self {
        Self {
            max_age: Some(Duration::from_hours(30 * 24)),
            max_bytes: Some(1 << 30),
        }
    }
}

/// The logs of one task.
struct Kept {
    folder: PathBuf,
    bytes: u64,
    ended_at: SystemTime,
    is_being_written: bool,
}

impl LogStore {
    /// Removes what is beyond `bounds`, the oldest first. Returns of how many tasks.
    pub async fn prune(&self, bounds: KeptLogs, now: TimestampMs) -> Result<u64, StoreError> {
        let ticket = self.in_flight.begin();
        let folder = self.folder.to_path_buf();
        let millis = u64::try_from(now.as_millis()).unwrap_or_default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let pruning = tokio::task::spawn_blocking(move || prune(&folder, bounds, now));
        let pruned = self.pace.of(pruning).await;
        drop(ticket);
        pruned.map_err(|error| StoreError::from(io::Error::other(error)))?
    }
}

fn prune(folder: &Path, bounds: KeptLogs, now: SystemTime) -> Result<u64, StoreError> {
    let mut tasks = match list(folder, now) {
        Ok(tasks) => tasks,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(at(folder, &error)),
    };
    tasks.sort_by_key(|task| task.ended_at);
    let mut bytes: u64 = tasks.iter().map(|task| task.bytes).sum();
    let mut removed = 0;
    for task in tasks.iter().filter(|task| !task.is_being_written) {
        let age = now.duration_since(task.ended_at).unwrap_or_default();
        let is_too_old = bounds.max_age.is_some_and(|most| age > most);
        let is_too_much = bounds.max_bytes.is_some_and(|most| bytes > most);
        if !is_too_old && !is_too_much {
            continue;
        }
        remove(&task.folder).map_err(|error| at(&task.folder, &error))?;
        bytes -= task.bytes;
        removed += 1;
    }
    Ok(removed)
}

/// What is kept of each task. Removes what an earlier removal has left.
fn list(folder: &Path, now: SystemTime) -> io::Result<Vec<Kept>> {
    let mut tasks = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(REMOVED) {
            fs::remove_dir_all(entry.path())?;
        } else if entry.file_type()?.is_dir() {
            // Somebody may remove it meanwhile.
            tasks.extend(look(entry.path(), now).ok());
        }
    }
    Ok(tasks)
}

fn look(folder: PathBuf, now: SystemTime) -> io::Result<Kept> {
    let mut kept = Kept {
        bytes: 0,
        ended_at: SystemTime::UNIX_EPOCH,
        is_being_written: false,
        folder,
    };
    for file in fs::read_dir(&kept.folder)? {
        let file = file?;
        let about = file.metadata()?;
        let changed = about.modified()?;
        let is_whole = file.path().extension().is_some_and(|end| end == "log");
        let age = now.duration_since(changed).unwrap_or_default();
        kept.is_being_written |= !is_whole && age < SETTLED_AFTER;
        kept.bytes += about.len();
        kept.ended_at = kept.ended_at.max(changed);
    }
    if kept.bytes == 0 {
        // A writer has just made the folder, or has just gone.
        kept.ended_at = fs::metadata(&kept.folder)?.modified()?;
        let age = now.duration_since(kept.ended_at).unwrap_or_default();
        kept.is_being_written |= age < SETTLED_AFTER;
    }
    Ok(kept)
}

fn remove(folder: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let gone = folder.with_file_name(format!("{REMOVED}{name}"));
    fs::rename(folder, &gone)?;
    fs::remove_dir_all(gone)
}
