//! Opening the store: the folder, the lock, the checks, the migrations, the first rows.
//!
//! Nothing is written before it is certain that nobody else uses the folder, that the database is whole
//! and that it is not newer than this binary. A damaged database is named and left as it is: what could be
//! saved from it is for a person to decide.
//!
//! Whether it is whole is looked at whenever that takes a moment (`Tuning::examined_bytes`); a larger one is only looked at
//! if the store was not closed in order, so that a start never takes long for nothing.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::watch;

use super::readers::Readers;
use super::seal::KeyFile;
use super::writer::{Kept, Writer};
use super::{LogStore, Simulated, Store, StoreError, Tuning, backup, cluster, event};
use crate::domain::{IdSource, InstanceId, TimestampMs};

/// The migrations that this binary carries.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!();

pub(super) const DATABASE: &str = "neargate.db";
pub(super) const LOCK: &str = "neargate.lock";
/// What is only there if there was a database.
const TRACES: [&str; 3] = ["secret.key", "metadata.key", "logs"];

/// Somebody with a database shell may hold the database for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows that the thread of a connection reads ahead.
const ROWS_AT_ONCE: usize = 256;

impl Store {
    /// Opens the store in `data_dir`, which is made if it does not exist yet. The first time, an identity
    /// is drawn from `ids` and the cluster `default` is created.
    ///
    /// The folder belongs to the store until it is closed or the last clone of it is gone.
    pub async fn open(
        data_dir: &Path,
        ids: &dyn IdSource,
        now: TimestampMs,
    ) -> Result<Self, StoreError> {
        Self::open_with(data_dir, ids, now, Tuning::default()).await
    }

    /// The same, for a simulation.
    pub async fn open_simulated(
        data_dir: &Path,
        ids: &dyn IdSource,
        now: TimestampMs,
        simulated: Simulated,
    ) -> Result<Self, StoreError> {
        let tuning = Tuning {
            simulated: Some(simulated),
            ..Tuning::default()
        };
        Self::open_with(data_dir, ids, now, tuning).await
    }

    pub(super) async fn open_with(
        data_dir: &Path,
        ids: &dyn IdSource,
        now: TimestampMs,
        tuning: Tuning,
    ) -> Result<Self, StoreError> {
        let pace = tuning.pace();
        pace.of(Self::assembled(data_dir, ids, now, tuning)).await
    }

    async fn assembled(
        data_dir: &Path,
        ids: &dyn IdSource,
        now: TimestampMs,
        tuning: Tuning,
    ) -> Result<Self, StoreError> {
        make_folder(data_dir)?;
        let lock = Lock::take(&data_dir.join(LOCK))?;
        let database = data_dir.join(DATABASE);
        refuse_fragments(data_dir, &database)?;
        backup::remove(&data_dir.join(backup::DRAFT))?;
        make_file(&database)?;
        examine(&database, tuning.examined_bytes).await?;

        let options = writing(&database, &tuning);
        let mut connection = options.connect().await?;
        MIGRATOR.run(&mut connection).await?;
        let instance_id = first_rows(&mut connection, ids, now).await?;
        let last_seq = event::last_seq(&mut connection).await?;

        let reading = common(&database).read_only(true);
        let pace = tuning.pace();
        let readers = match tuning.simulated {
            None => Readers::pool(reading, tuning.readers),
            Some(_) => Readers::one(&reading, pace.clone()).await?,
        };
        let (event_seq, published) = watch::channel(last_seq);
        let writer = Writer::start(Kept {
            connection,
            options,
            readers: readers.clone(),
            lock,
            tuning,
            event_seq,
        });
        let logs = LogStore::new(data_dir, pace);
        Ok(Self::assemble(
            instance_id,
            writer,
            readers,
            published,
            logs,
            KeyFile::new(data_dir),
        ))
    }
}

/// Makes `folder` so that only its owner can look into it. One that is there is left as it is.
pub(super) fn make_folder(folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| at(folder, &error))
}

/// Makes `file`, if it is not there, so that only its owner can read it. SQLite gives the mode of the
/// database to the files that it puts beside it.
fn make_file(file: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)
        .and_then(|opened| opened.set_permissions(Permissions::from_mode(0o600)));
    made.map_err(|error| at(file, &error))
}

/// The error of an attempt on `path`.
pub(super) fn at(path: &Path, error: &io::Error) -> StoreError {
    match StoreError::from(io::Error::from(error.kind())) {
        StoreError::Failed(_) => StoreError::Failed(format!("{}: {error}", path.display())),
        other => other,
    }
}

/// The right to the data directory. It ends with the value, or with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock and leaves the number of this process in it. The file itself is never removed:
    /// whoever removed it could take the lock away from somebody who has just opened it.
    pub(super) fn take(path: &PathBuf) -> Result<Self, StoreError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| at(path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                return Err(StoreError::Locked {
                    pid: read.ok().and_then(|_| text.trim().parse().ok()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(at(path, &error)),
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(|error| at(path, &error))?;
        Ok(Self { _file: file })
    }
}

pub(super) fn common(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // Whoever reads a page of rows is woken once, not for each.
        .row_buffer_size(ROWS_AT_ONCE)
}

pub(super) fn writing(database: &Path, tuning: &Tuning) -> SqliteConnectOptions {
    let options = common(database)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode, less than FULL loses the newest commits when the power fails.
        .synchronous(match tuning.simulated {
            None => SqliteSynchronous::Full,
            Some(_) => SqliteSynchronous::Off,
        })
        // KiB, taken when needed: with the 2 MiB that SQLite takes by itself, 10,000 tasks no longer fit.
        .pragma("cache_size", "-16384")
        // Without this, REPLACE would get around the triggers that forbid DELETE.
        .pragma("recursive_triggers", "ON");
    match tuning.max_pages {
        Some(pages) => options.pragma("max_page_count", pages.to_string()),
        None => options,
    }
}

/// Bytes of a file; 0 if there is none.
pub(super) fn length_of(file: &Path) -> Result<u64, StoreError> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(at(file, &error)),
    }
}

/// Refuses a folder whose database has gone, or is being put in its place: a new one would be another Neargate, and what
/// the engine has would be nobody's.
pub(super) fn refuse_fragments(data_dir: &Path, database: &Path) -> Result<(), StoreError> {
    if data_dir.join(backup::READY).exists() {
        return Err(StoreError::Damaged(
            "a restore was begun and did not come to its end".to_owned(),
        ));
    }
    let trace = TRACES.iter().find(|name| data_dir.join(name).exists());
    match trace {
        Some(trace) if length_of(database)? == 0 => Err(StoreError::Damaged(format!(
            "{DATABASE} is missing or empty, and {trace} says that there was one"
        ))),
        _ => Ok(()),
    }
}

/// Looks at the database without changing it: is it whole, and does this binary know its schema?
/// One with more than `small` bytes is taken to be whole if it was closed in order.
pub(super) async fn examine(database: &Path, small: u64) -> Result<(), StoreError> {
    let length = length_of(database)?;
    if length == 0 {
        return Ok(());
    }
    let looks_at_all = length <= small || length_of(&backup::beside(database, backup::WAL))? > 0;
    let mut connection = common(database).read_only(true).connect().await?;
    let result = examine_through(&mut connection, looks_at_all).await;
    let closed = connection.close().await;
    result.and(closed.map_err(StoreError::from))
}

pub(super) async fn examine_through(
    db: &mut SqliteConnection,
    looks_at_all: bool,
) -> Result<(), StoreError> {
    let migrated = sqlx::query_scalar!(
        r#"SELECT count(*) AS "tables!: i64" FROM sqlite_schema WHERE name = '_sqlx_migrations'"#
    )
    .fetch_one(&mut *db)
    .await?;
    if migrated > 0 {
        let found = sqlx::query_scalar!(
            r#"SELECT coalesce(max(version), 0) AS "version!: i64" FROM _sqlx_migrations"#
        )
        .fetch_one(&mut *db)
        .await?;
        let known = MIGRATOR.iter().map(|m| m.version).max().unwrap_or_default();
        if found > known {
            return Err(StoreError::NewerDatabase { found, known });
        }
    }
    if !looks_at_all {
        return Ok(());
    }
    // Not a query that can be described ahead of time.
    let report: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(10)")
        .fetch_all(&mut *db)
        .await?;
    if report == ["ok"] {
        Ok(())
    } else {
        Err(StoreError::Damaged(report.join("; ")))
    }
}

/// Draws the identity and makes the cluster `default`, at the first start and all at once.
async fn first_rows(
    connection: &mut SqliteConnection,
    ids: &dyn IdSource,
    now: TimestampMs,
) -> Result<InstanceId, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let known = sqlx::query_scalar!("SELECT instance_id FROM instance")
        .fetch_optional(&mut *transaction)
        .await?;
    let instance_id = if let Some(id) = known {
        id.parse()?
    } else {
        let id = InstanceId::generate(ids);
        let (text, at) = (id.as_str(), now.as_millis());
        sqlx::query!(
            "INSERT INTO instance (singleton, instance_id, created_at) VALUES (1, ?1, ?2)",
            text,
            at
        )
        .execute(&mut *transaction)
        .await?;
        cluster::create_default(&mut transaction, now).await?;
        id
    };
    transaction.commit().await?;
    Ok(instance_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{Counting, Fixture, at};

    async fn open(folder: &Path) -> Result<Store, StoreError> {
        Store::open(folder, &Counting::default(), at(5)).await
    }

    fn data(fixture: &Fixture) -> PathBuf {
        fixture.folder.path().join("data")
    }

    /// The error that opening `fixture`'s folder ends in, and that the database was left as it is.
    async fn refused(fixture: &Fixture) -> StoreError {
        let database = data(fixture).join(DATABASE);
        let before = fs::read(&database).unwrap();
        let error = open(&data(fixture)).await.err().unwrap();
        assert!(before == fs::read(&database).unwrap(), "it was changed");
        error
    }

    #[tokio::test]
    async fn only_the_owner_can_look_into_anything() {
        let fixture = Fixture::new().await;
        fixture.created().await;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&data(&fixture)), 0o700);
        let mut names = Vec::new();
        for entry in fs::read_dir(data(&fixture)).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.file_name());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(
            names,
            [
                "neargate.db",
                "neargate.db-shm",
                "neargate.db-wal",
                "neargate.lock"
            ]
        );
    }

    #[tokio::test]
    async fn what_was_written_is_there_again_after_a_restart() {
        let fixture = Fixture::new().await;
        let task = fixture.created().await;
        let identity = fixture.store.instance_id().clone();
        let seq = *fixture.store.event_seq().borrow();
        fixture.store.close().await;
        assert!(!data(&fixture).join("neargate.db-wal").exists());

        let again = open(&data(&fixture)).await.unwrap();
        assert_eq!(*again.instance_id(), identity);
        assert_eq!(*again.event_seq().borrow(), seq);
        assert_eq!(again.task(&task.id).await.unwrap(), Some(task));
    }

    #[tokio::test]
    async fn the_folder_belongs_to_one() {
        let fixture = Fixture::new().await;
        let error = open(&data(&fixture)).await.err().unwrap();
        let pid = Some(std::process::id());
        assert_eq!(error, StoreError::Locked { pid });
        assert!(error.to_string().contains(&std::process::id().to_string()));
        fixture.store.close().await;
        open(&data(&fixture)).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_database_is_left_alone() {
        let fixture = Fixture::new().await;
        fixture
            .execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'from the future', TRUE, x'00', 0)",
            )
            .await
            .unwrap();
        fixture.store.close().await;
        let error = refused(&fixture).await;
        assert_eq!(
            error,
            StoreError::NewerDatabase {
                found: 99,
                known: 2
            }
        );
    }

    #[tokio::test]
    async fn a_damaged_database_is_named_and_left_alone() {
        let fixture = Fixture::new().await;
        for _ in 0..50 {
            fixture.created().await;
        }
        fixture.store.close().await;
        damage(&fixture);
        let error = refused(&fixture).await;
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");

        fs::write(
            data(&fixture).join(DATABASE),
            "no database at all, and long enough for a header",
        )
        .unwrap();
        let error = refused(&fixture).await;
        assert!(matches!(error, StoreError::Damaged(_)), "{error:?}");
    }

    /// Overwrites the end of the database, where records of tasks are.
    fn damage(fixture: &Fixture) {
        let database = data(fixture).join(DATABASE);
        let mut bytes = fs::read(&database).unwrap();
        let end = bytes.len() - bytes.len() / 8;
        bytes[end..].fill(0x55);
        fs::write(&database, &bytes).unwrap();
    }

    #[tokio::test]
    async fn a_large_database_is_looked_at_when_it_was_not_closed_in_order() {
        let fixture = Fixture::new().await;
        for _ in 0..50 {
            fixture.created().await;
        }
        fixture.store.close().await;
        damage(&fixture);
        let log = data(&fixture).join("neargate.db-wal");
        let examined = |small| {
            let database = data(&fixture).join(DATABASE);
            async move { examine(&database, small).await }
        };
        assert_eq!(examined(0).await, Ok(()), "it would take too long");
        assert!(matches!(
            examined(u64::MAX).await,
            Err(StoreError::Damaged(_))
        ));
        // What a crash leaves: SQLite ignores what is no log of this database.
        fs::write(&log, [0; 64]).unwrap();
        assert!(matches!(examined(0).await, Err(StoreError::Damaged(_))));
    }

    #[tokio::test]
    async fn a_folder_that_has_lost_its_database_is_not_taken_for_a_new_one() {
        for trace in TRACES {
            let fixture = Fixture::new().await;
            fixture.store.close().await;
            fs::remove_file(data(&fixture).join(DATABASE)).unwrap();
            fs::write(data(&fixture).join(trace), "").unwrap();
            let error = open(&data(&fixture)).await.err().unwrap();
            assert!(error.to_string().contains(trace), "{error}");
            assert!(!data(&fixture).join(DATABASE).exists());
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let fixture = Fixture::new().await;
        let inside_a_file = data(&fixture).join(DATABASE).join("data");
        let error = open(&inside_a_file).await.err().unwrap();
        assert!(error.to_string().contains("neargate.db/data"), "{error}");
    }
}
