//! What `neargate doctor` wants to know of a data folder, found out without changing anything in it.
//!
//! The lock is only tried, and given back at once. A database that a server uses, or that was not closed in order, is left
//! alone: to look into it, SQLite would put files beside it, which would belong to whoever looks.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sqlx::{ConnectOptions as _, Connection as _};

use super::open::{DATABASE, LOCK, common, examine_through, length_of, refuse_fragments};
use super::{Store, StoreError, Tuning, backup};
use crate::domain::{Contents, DatabaseState, FolderState, FolderUser, TimestampMs, Trouble};

/// The files whose contents nobody else may know.
const KEYS: [&str; 2] = ["secret.key", "metadata.key"];

impl Store {
    /// Looks at `data_dir`, whether a server uses it or not.
    pub async fn examine(data_dir: &Path) -> FolderState {
        let folder = match fs::metadata(data_dir) {
            Ok(folder) if folder.is_dir() => folder,
            Ok(_) => return FolderState::Unusable("it is a file, and not a folder".to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let above = data_dir.ancestors().find(|folder| folder.exists());
                return FolderState::Missing {
                    can_be_made: above.is_some_and(is_writable),
                };
            }
            Err(error) => return FolderState::Unusable(error.to_string()),
        };
        if let Err(error) = fs::read_dir(data_dir) {
            return FolderState::Unusable(error.to_string());
        }
        let user = user_of(&data_dir.join(LOCK));
        let keys = KEYS.iter().filter_map(|name| {
            let file = fs::metadata(data_dir.join(name)).ok()?;
            Some(((*name).to_owned(), mode(&file)))
        });
        let keys: BTreeMap<_, _> = keys.collect();
        FolderState::There(Box::new(Contents {
            mode: mode(&folder),
            is_writable: is_writable(data_dir),
            user,
            database: database(data_dir, user).await,
            keys,
            written_at: written_at(&data_dir.join(DATABASE)),
        }))
    }
}

async fn database(data_dir: &Path, user: FolderUser) -> DatabaseState {
    let file = data_dir.join(DATABASE);
    if user != FolderUser::Nobody {
        return DatabaseState::NotLooked("a server uses it");
    }
    let looked = async {
        refuse_fragments(data_dir, &file)?;
        if length_of(&file)? == 0 {
            return Ok(DatabaseState::None);
        }
        if length_of(&backup::beside(&file, backup::WAL))? > 0 {
            return Ok(DatabaseState::NotLooked(
                "its server did not stop in order; the next start looks at it",
            ));
        }
        let mut connection = common(&file)
            .read_only(true)
            .immutable(true)
            .connect()
            .await?;
        let looks_at_all = length_of(&file)? <= Tuning::default().examined_bytes;
        let result = examine_through(&mut connection, looks_at_all).await;
        connection.close().await?;
        result.map(|()| DatabaseState::Good)
    };
    looked.await.unwrap_or_else(|error: StoreError| {
        let hint = match &error {
            StoreError::Damaged(_) => {
                "put a backup in its place: neargate restore FILE --force; what is there now is kept"
            }
            StoreError::NewerDatabase { .. } => "run the newer Neargate again",
            _ => "run neargate doctor as the user who runs the server",
        };
        DatabaseState::Bad(Trouble {
            fact: error.to_string(),
            hint: Some(hint.to_owned()),
        })
    })
}

fn user_of(lock: &Path) -> FolderUser {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return FolderUser::Nobody,
        Err(_) => return FolderUser::Unknown,
    };
    // It is given back when the file is closed. Others who only look do not stand in each other's way.
    match file.try_lock_shared() {
        Ok(()) => FolderUser::Nobody,
        Err(TryLockError::WouldBlock) => {
            let text = fs::read_to_string(lock).unwrap_or_default();
            FolderUser::Server(text.trim().parse().ok())
        }
        Err(TryLockError::Error(_)) => FolderUser::Unknown,
    }
}

fn written_at(file: &Path) -> Option<TimestampMs> {
    let modified = fs::metadata(file).ok()?.modified().ok()?;
    let at = jiff::Timestamp::try_from(modified).ok()?;
    Some(TimestampMs::from_millis(at.as_millisecond()))
}

fn mode(file: &Metadata) -> u32 {
    file.permissions().mode() & 0o7777
}

fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::testing::Fixture;

    async fn contents(folder: &Path) -> Contents {
        match Store::examine(folder).await {
            FolderState::There(contents) => *contents,
            other => panic!("{other:?}"),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_folder_in_use_is_left_alone_and_one_that_is_not_is_looked_into() {
        let fixture = Fixture::new().await;
        fixture.created().await;
        let folder = fixture.folder.path().join("data");
        let used = contents(&folder).await;
        assert_eq!(used.user, FolderUser::Server(Some(std::process::id())));
        assert!(matches!(used.database, DatabaseState::NotLooked(_)));
        assert_eq!(used.mode, 0o700);
        fixture.store.close().await;

        let before = names(&folder);
        let free = contents(&folder).await;
        assert_eq!(
            (free.user, &free.database),
            (FolderUser::Nobody, &DatabaseState::Good)
        );
        assert!(free.written_at.is_some() && free.is_writable, "{free:?}");
        assert_eq!(names(&folder), before, "nothing was put there");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Store::examine(&folder.path().join("a/b")).await;
        assert_eq!(missing, FolderState::Missing { can_be_made: true });
        fs::write(folder.path().join("file"), "").unwrap();
        let file = Store::examine(&folder.path().join("file")).await;
        assert!(matches!(file, FolderState::Unusable(_)), "{file:?}");

        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let empty = contents(&data).await;
        assert_eq!((empty.mode, empty.database), (0o755, DatabaseState::None));

        fs::write(data.join("secret.key"), "x").unwrap();
        fs::set_permissions(data.join("secret.key"), fs::Permissions::from_mode(0o644)).unwrap();
        let lost = contents(&data).await;
        assert_eq!(lost.keys["secret.key"], 0o644);
        let DatabaseState::Bad(trouble) = lost.database else {
            panic!("{lost:?}");
        };
        assert!(trouble.fact.contains("is missing or empty"), "{trouble:?}");

        fs::write(data.join(DATABASE), vec![b'x'; 8_192]).unwrap();
        let damaged = contents(&data).await;
        assert!(
            matches!(&damaged.database, DatabaseState::Bad(_)),
            "{damaged:?}"
        );
    }
}
