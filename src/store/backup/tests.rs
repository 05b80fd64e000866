//! Backups are whole, and restoring one is done wholly or not at all.

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::domain::{SecretValue, Task};
use crate::store::testing::{Counting, Fixture, at};
use crate::store::{EventFilter, PageRequest};

/// The file that a backup of `fixture` is read into.
async fn backed_up(fixture: &Fixture) -> PathBuf {
    let mut backup = fixture.store.backup().await.unwrap();
    let mut bytes = Vec::new();
    backup.file.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(u64::try_from(bytes.len()), Ok(backup.bytes));
    let file = fixture.folder.path().join("backup");
    fs::write(&file, bytes).unwrap();
    file
}

fn other_folder(fixture: &Fixture) -> PathBuf {
    fixture.folder.path().join("other")
}

async fn open(folder: &Path) -> Store {
    Store::open(folder, &Counting::default(), at(9_000))
        .await
        .unwrap()
}

async fn restore(folder: &Path, file: &Path, aside: bool) -> Result<Restored, StoreError> {
    Store::restore(folder, file, aside, at(8_000)).await
}

async fn has(store: &Store, task: &Task) -> bool {
    store.task(&task.id).await.unwrap().as_ref() == Some(task)
}

#[tokio::test]
async fn a_backup_is_what_was_recorded_when_it_was_made_and_says_so_when_it_is_restored() {
    let fixture = Fixture::new().await;
    let before = fixture.created().await;
    let file = backed_up(&fixture).await;
    assert!(!fixture.folder.path().join("data").join(DRAFT).exists());
    let after = fixture.created().await;

    let folder = other_folder(&fixture);
    let restored = restore(&folder, &file, false).await.unwrap();
    assert_eq!(restored.instance_id, *fixture.store.instance_id());
    assert_eq!((restored.until, restored.unfinished_tasks), (at(1_000), 1));
    assert_eq!((restored.lacks_key, &restored.replaced), (false, &None));
    let store = open(&folder).await;
    assert_eq!(store.instance_id(), fixture.store.instance_id());
    assert!(has(&store, &before).await && !has(&store, &after).await);
    let filter = EventFilter::default();
    let events = store.events(0, &filter, 100).await.unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!((last.kind, last.at), (EventKind::Server, at(8_000)));
    assert!(
        last.message.contains("1970-01-01T00:00:01.000Z"),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_backup_needs_a_free_folder_or_is_told_to_move_aside_what_is_there() {
    let fixture = Fixture::new().await;
    let task = fixture.created().await;
    let file = backed_up(&fixture).await;
    let later = fixture.created().await;
    let folder = fixture.folder.path().join("data");
    let error = restore(&folder, &file, true).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    fixture.store.close().await;
    let error = restore(&folder, &file, false).await.unwrap_err();
    assert!(
        matches!(error, StoreError::AlreadyExists { .. }),
        "{error:?}"
    );

    for number in 1..3 {
        let restored = restore(&folder, &file, true).await.unwrap();
        let replaced = folder.join(format!("{ASIDE}-{number}"));
        assert_eq!(restored.replaced.as_ref(), Some(&replaced));
        let store = open(&folder).await;
        assert!(has(&store, &task).await && !has(&store, &later).await);
        store.close().await;
    }
    // The first that was moved aside is what it was.
    fs::remove_file(folder.join(DATABASE)).unwrap();
    fs::rename(folder.join(format!("{ASIDE}-1")), folder.join(DATABASE)).unwrap();
    assert!(has(&open(&folder).await, &later).await);
}

#[tokio::test]
async fn commits_that_are_only_in_the_log_are_moved_aside_with_their_database() {
    let fixture = Fixture::new().await;
    let file = backed_up(&fixture).await;
    let task = fixture.created().await;
    // As a crash leaves it.
    let (folder, crashed) = (fixture.folder.path().join("data"), other_folder(&fixture));
    fs::create_dir(&crashed).unwrap();
    for end in ["", WAL] {
        fs::copy(
            beside(&folder.join(DATABASE), end),
            beside(&crashed.join(DATABASE), end),
        )
        .unwrap();
    }
    let replaced = restore(&crashed, &file, true)
        .await
        .unwrap()
        .replaced
        .unwrap();
    let store = open(&crashed).await;
    assert!(!has(&store, &task).await);
    store.close().await;
    for end in ["", WAL] {
        fs::rename(beside(&replaced, end), beside(&crashed.join(DATABASE), end)).unwrap();
    }
    assert!(has(&open(&crashed).await, &task).await);
}

#[tokio::test]
async fn what_is_no_backup_is_refused_and_changes_nothing() {
    let fixture = Fixture::new().await;
    for _ in 0..50 {
        fixture.created().await;
    }
    let good = fs::read(backed_up(&fixture).await).unwrap();
    let folder = other_folder(&fixture);
    let file = fixture.folder.path().join("bad");
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0x55);
    for bytes in [b"".as_slice(), b"no database", &good[..middle], &damaged] {
        fs::write(&file, bytes).unwrap();
        let error = restore(&folder, &file, false).await.unwrap_err();
        assert!(error.to_string().contains("/bad cannot be read"), "{error}");
    }
    // A database, and not Neargate's.
    fs::remove_file(&file).unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let mut db = options.create_if_missing(true).connect().await.unwrap();
    sqlx::query("CREATE TABLE t (a)")
        .execute(&mut db)
        .await
        .unwrap();
    db.close().await.unwrap();
    let error = restore(&folder, &file, false).await.unwrap_err();
    assert!(
        error.to_string().contains("no database of Neargate's"),
        "{error}"
    );
    // Copied from a folder that was in use.
    let running = fixture.folder.path().join("data").join(DATABASE);
    let error = restore(&folder, &running, false).await.unwrap_err();
    assert!(error.to_string().contains("neargate backup"), "{error}");
    let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "only the lock: {left:?}");
}

#[tokio::test]
async fn a_restore_that_was_interrupted_is_seen() {
    let fixture = Fixture::new().await;
    let file = backed_up(&fixture).await;
    let folder = fixture.folder.path().join("data");
    fixture.store.close().await;
    fs::rename(folder.join(DATABASE), folder.join(READY)).unwrap();
    let opened = Store::open(&folder, &Counting::default(), at(9_000)).await;
    assert!(matches!(opened.err(), Some(StoreError::Damaged(_))));
    restore(&folder, &file, false).await.unwrap();
    open(&folder).await;
}

#[tokio::test]
async fn the_key_of_the_secrets_is_not_in_a_backup() {
    let fixture = Fixture::new().await;
    let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
    let name = "db".parse().unwrap();
    fixture
        .store
        .put_secret(&name, &value, at(2))
        .await
        .unwrap();
    let file = backed_up(&fixture).await;
    let bytes = fs::read(&file).unwrap();
    let key = fs::read(fixture.folder.path().join("data/secret.key")).unwrap();
    for secret in [b"hunter2".as_slice(), &key] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret));
    }
    let folder = other_folder(&fixture);
    assert!(restore(&folder, &file, false).await.unwrap().lacks_key);
    let store = open(&folder).await;
    let error = store.secret_value(&name).await.err().unwrap();
    assert!(error.to_string().contains("secret.key"), "{error}");
    fs::copy(
        fixture.folder.path().join("data/secret.key"),
        folder.join("secret.key"),
    )
    .unwrap();
    assert!(store.secret_value(&name).await.unwrap().is_some());
}

#[tokio::test]
async fn one_backup_is_made_at_a_time_and_a_crash_leaves_none_behind() {
    let fixture = Fixture::new().await;
    let draft = fixture.folder.path().join("data").join(DRAFT);
    fs::write(&draft, "left by a crash").unwrap();
    let error = fixture.store.backup().await.err().unwrap();
    assert!(
        matches!(error, StoreError::AlreadyExists { .. }),
        "{error:?}"
    );
    fixture.store.close().await;
    let store = open(&fixture.folder.path().join("data")).await;
    assert!(!draft.exists());
    store.backup().await.unwrap();
    let page = store.secrets(&PageRequest::first(1)).await.unwrap();
    assert!(page.items.is_empty(), "it is still in use");
}
