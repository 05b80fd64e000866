//! Backups: a copy of the database that is whole and of one moment, made while the store is in use; and the way back.
//!
//! A backup is an ordinary SQLite database in one file, without what lies beside it in the data folder: the key files, so
//! that who finds a backup has no secrets, and the kept logs, which are files that never change once they have their name.
//!
//! Restoring never mixes two databases and never destroys one. The copy is examined, brought to this binary's schema and
//! told that it was restored, all under a name of its own; then the database that was there is moved aside with its
//! write-ahead log, and the copy gets its name. A crash in between leaves a folder that [`Store::open`] refuses, since
//! what is there under the right name might be half of something.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::column::to_unsigned;
use super::open::{DATABASE, LOCK, Lock, MIGRATOR, at, examine, length_of, make_folder, writing};
use super::{Store, StoreError, Tuning, event};
use crate::domain::{EventKind, InstanceId, NewEvent, TimestampMs};

/// A backup that is being made, in the data folder. It loses its name as soon as it is whole and open.
pub(super) const DRAFT: &str = "neargate.backup";
/// A copy that is being made ready to be restored.
const COPY: &str = "neargate.restore.part";
/// One that is ready. While it has this name, the restore is not over.
pub(super) const READY: &str = "neargate.restore";
/// The database that was there before.
const ASIDE: &str = "neargate.db.replaced";
/// What SQLite puts beside a database, by the ends of the names; the log holds commits.
pub(super) const WAL: &str = "-wal";
const SHARED_MEMORY: &str = "-shm";

/// A backup, to be read from its beginning. Nobody else can open it any more.
#[derive(Debug)]
pub struct Backup {
    /// All of it.
    pub file: tokio::fs::File,
    /// How long it is.
    pub bytes: u64,
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Which Neargate it was, and is again.
    pub instance_id: InstanceId,
    /// The last moment that it knows of.
    pub until: TimestampMs,
    /// Tasks that had not stopped then.
    pub unfinished_tasks: u64,
    /// Whether it has secrets, and their key file is not in the data folder.
    pub lacks_key: bool,
    /// Where the database is that was there before, if there was one.
    pub replaced: Option<PathBuf>,
}

/// Takes the name of a file away when it goes, if it has one.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.0.display(), "a draft cannot be removed");
        }
    }
}

impl Store {
    /// A copy of the database as it is at one moment. Needs as much room in the data folder as the database takes, until
    /// the copy was read; holds up neither reads nor writes. One is made at a time: a second call fails with
    /// [`StoreError::AlreadyExists`] until the first has returned.
    pub async fn backup(&self) -> Result<Backup, StoreError> {
        let draft = Draft::make(self.logs().data_dir().join(DRAFT))?;
        let readers = self.readers().clone();
        // Goes on when nobody waits for it any more: SQLite cannot be told to leave off, and the next backup has to wait.
        let copying = tokio::spawn(async move {
            // Not a query that can be described ahead of time. It writes into a file that is there if it is empty, and so
            // the copy has the mode of the draft.
            sqlx::query("VACUUM INTO ?1")
                .bind(text_of(&draft.0)?)
                .execute(&readers)
                .await?;
            Ok::<Draft, StoreError>(draft)
        });
        let copied = copying.await;
        let draft = copied.map_err(|error| StoreError::Failed(error.to_string()))??;
        let file = File::open(&draft.0).map_err(|error| at(&draft.0, &error))?;
        let bytes = file.metadata().map_err(|error| at(&draft.0, &error))?.len();
        Ok(Backup {
            file: tokio::fs::File::from_std(file),
            bytes,
        })
    }

    /// Puts the backup in the file `backup` in the place of the database of `data_dir`, which no running Neargate may use.
    /// Fails with [`StoreError::AlreadyExists`] if there is a database, unless that is to be moved aside. Whatever
    /// fails, the database that was there stays in its place; the backup is not changed in any case.
    pub async fn restore(
        data_dir: &Path,
        backup: &Path,
        move_aside: bool,
        now: TimestampMs,
    ) -> Result<Restored, StoreError> {
        make_folder(data_dir)?;
        let _lock = Lock::take(&data_dir.join(LOCK))?;
        let database = data_dir.join(DATABASE);
        check_source(backup, &database)?;
        let is_there = length_of(&database)? > 0;
        if is_there && !move_aside {
            return Err(StoreError::AlreadyExists {
                what: format!("the database {}", database.display()),
            });
        }
        let copy = Draft(data_dir.join(COPY));
        remove_with_companions(&copy.0)?;
        copy_file(backup, &copy.0)?;
        examine(&copy.0, u64::MAX)
            .await
            .map_err(|error| match error {
                StoreError::Damaged(why) => not_a_backup(backup, &why),
                other => other,
            })?;
        let mut restored = prepare(&copy.0, backup, now).await?;
        let ready = data_dir.join(READY);
        rename(&copy.0, &ready)?;
        sync(data_dir)?;
        restored.replaced = set_aside(&database)?;
        rename(&ready, &database)?;
        sync(data_dir)?;
        restored.lacks_key &= !super::seal::KeyFile::new(data_dir).exists();
        Ok(restored)
    }
}

impl Draft {
    /// An empty file that only its owner can read.
    fn make(path: PathBuf) -> Result<Self, StoreError> {
        match create(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(StoreError::AlreadyExists {
                    what: "another backup that is being made".to_owned(),
                })
            }
            Err(error) => Err(at(&path, &error)),
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn text_of(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| {
        StoreError::Failed(format!(
            "the name of the data folder is not UTF-8: {}",
            path.display()
        ))
    })
}

fn not_a_backup(backup: &Path, why: &str) -> StoreError {
    StoreError::unreadable(format!("the backup {}", backup.display()), why)
}

/// Refuses what is no backup by where it lies.
fn check_source(backup: &Path, database: &Path) -> Result<(), StoreError> {
    let source = fs::metadata(backup).map_err(|error| at(backup, &error))?;
    let is_same = fs::metadata(database)
        .is_ok_and(|other| (other.dev(), other.ino()) == (source.dev(), source.ino()));
    if is_same {
        return Err(not_a_backup(backup, "it is the database itself"));
    }
    // Without that log, the newest commits are missing, or half of them.
    if length_of(&beside(backup, WAL))? > 0 {
        return Err(not_a_backup(
            backup,
            "a write-ahead log lies beside it, so it was copied from a data folder; neargate backup makes one that is whole",
        ));
    }
    Ok(())
}

/// The file whose name is that of `path` and `end`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(|error| at(from, &error))?;
    let written = create(to).and_then(|mut copy| {
        io::copy(&mut source, &mut copy)?;
        copy.sync_all()
    });
    written.map_err(|error| at(to, &error))
}

/// Brings a copy to the newest schema, and records in it what happens to it.
async fn prepare(copy: &Path, backup: &Path, now: TimestampMs) -> Result<Restored, StoreError> {
    let mut db = writing(copy, &Tuning::default()).connect().await?;
    let prepared = prepare_through(&mut db, backup, now).await;
    let closed = db.close().await;
    let restored = prepared?;
    closed?;
    // The last connection that leaves takes the log away, unless something is left in it.
    if length_of(&beside(copy, WAL))? > 0 {
        return Err(StoreError::Failed(format!(
            "{}: its write-ahead log could not be emptied",
            copy.display()
        )));
    }
    let file = File::open(copy).map_err(|error| at(copy, &error))?;
    file.sync_all().map_err(|error| at(copy, &error))?;
    Ok(restored)
}

async fn prepare_through(
    db: &mut SqliteConnection,
    backup: &Path,
    now: TimestampMs,
) -> Result<Restored, StoreError> {
    let ours = sqlx::query_scalar!(
        r#"SELECT count(*) AS "tables!: i64" FROM sqlite_schema WHERE name IN ('_sqlx_migrations', 'instance')"#
    )
    .fetch_one(&mut *db)
    .await?;
    if ours != 2 {
        return Err(not_a_backup(backup, "it is no database of Neargate's"));
    }
    // Also what the indexes say, which a start does not look at.
    let report: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(10)")
        .fetch_all(&mut *db)
        .await?;
    if report != ["ok"] {
        return Err(not_a_backup(backup, &report.join("; ")));
    }
    MIGRATOR.run(&mut *db).await?;
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    let restored = record(&mut transaction, now).await?;
    transaction.commit().await?;
    Ok(restored)
}

/// Records that the database was restored, and what follows from not knowing what happened since.
async fn record(db: &mut SqliteConnection, now: TimestampMs) -> Result<Restored, StoreError> {
    let row = sqlx::query!(
        r#"SELECT instance_id,
                  (SELECT count(*) FROM tasks WHERE last_status <> 'STOPPED') AS "unfinished!: i64",
                  EXISTS (SELECT 1 FROM secrets) AS "has_secrets!: bool",
                  max(created_at,
                      (SELECT coalesce(max(last_ms), 0) FROM clock_stretches),
                      (SELECT coalesce(max(at), 0) FROM events
                        WHERE seq > (SELECT coalesce(max(seq), 0) - 1000 FROM events))) AS "until!: i64"
             FROM instance"#
    )
    .fetch_one(&mut *db)
    .await?;
    // What was due since may have been run: no occurrence is run twice.
    let decided = now.as_millis();
    sqlx::query!(
        "UPDATE schedules
            SET decided_until = max(decided_until, ?1), pending = NULL, version = version + 1
          WHERE decided_until < ?1 OR pending IS NOT NULL",
        decided
    )
    .execute(&mut *db)
    .await?;
    let until = TimestampMs::from_millis(row.until);
    let told = NewEvent {
        at: now,
        kind: EventKind::Server,
        cluster: None,
        subject: "neargate".to_owned(),
        status: None,
        message: format!(
            "the database was restored from a backup that ends at {until}; what was recorded since is lost, what the \
             engine still has of it is removed, and no schedule is run for a time before now"
        ),
    };
    event::insert(db, &told).await?;
    Ok(Restored {
        instance_id: row.instance_id.parse()?,
        until,
        unfinished_tasks: to_unsigned("tasks", row.unfinished)?,
        lacks_key: row.has_secrets,
        replaced: None,
    })
}

/// Moves a database and its log out of the way; where to, if there was one. What was moved before stays.
fn set_aside(database: &Path) -> Result<Option<PathBuf>, StoreError> {
    // This only lets processes share the database, and nobody does.
    remove(&beside(database, SHARED_MEMORY))?;
    let log = beside(database, WAL);
    if !database.exists() {
        // Without its database, it is of no use to anybody.
        remove(&log)?;
        return Ok(None);
    }
    // The log goes first, so one of it alone is from a restore that did not come to its end, and its database is here.
    let is_taken = |path: &PathBuf| path.exists() || log.exists() && beside(path, WAL).exists();
    let folder = database.parent().unwrap_or(Path::new("."));
    let mut names = (1..u32::MAX).map(|number| folder.join(format!("{ASIDE}-{number}")));
    let Some(aside) = names.find(|name| !is_taken(name)) else {
        return Err(StoreError::AlreadyExists {
            what: folder.join(ASIDE).display().to_string(),
        });
    };
    if log.exists() {
        rename(&log, &beside(&aside, WAL))?;
    }
    rename(database, &aside)?;
    Ok(Some(aside))
}

fn remove_with_companions(path: &Path) -> Result<(), StoreError> {
    for end in ["", WAL, SHARED_MEMORY, "-journal"] {
        remove(&beside(path, end))?;
    }
    Ok(())
}

/// Removing nothing succeeds.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path, &error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| at(from, &error))
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| at(folder, &error))
}

#[cfg(test)]
mod tests;
