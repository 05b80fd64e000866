//! The secret addresses of containers: made from a key that is kept, so that they are the same after a
//! restart, and remembered nowhere.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::{ContainerName, IdSource, TaskId};

/// The file in the data folder.
const FILE: &str = "metadata.key";
/// As long as a block of the hash, so that the key is used as it is.
const KEY_BYTES: usize = 64;
/// Bytes of the code that stand in an address: 128 bits cannot be guessed.
const CODE_BYTES: usize = 16;

/// What the secret addresses are made with.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

/// Never shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The key cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the key of the metadata endpoint, {}, cannot be read or written", path.display())]
pub struct KeyError {
    path: PathBuf,
    source: std::io::Error,
}

impl Key {
    /// The key that is kept in `data_dir`; the first time, one from `ids`.
    pub fn keep(data_dir: &Path, ids: &dyn IdSource) -> Result<Self, KeyError> {
        let path = data_dir.join(FILE);
        Self::read_or_make(&path, ids).map_err(|source| KeyError { path, source })
    }

    fn read_or_make(path: &Path, ids: &dyn IdSource) -> std::io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let mut kept = Vec::new();
        file.read_to_end(&mut kept)?;
        if let Ok(key) = kept.try_into() {
            return Ok(Self(key));
        }
        // What is there is not whole: nobody was told an address that was made with it.
        let mut key = [0; KEY_BYTES];
        for part in key.chunks_exact_mut(size_of::<u128>()) {
            part.copy_from_slice(&ids.next_id().to_be_bytes());
        }
        let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
        file.write_all(&key)?;
        file.sync_all()?;
        Ok(Self(key))
    }

    /// What stands in the address of one container: `<task>-<code>`.
    pub fn token(&self, task: &TaskId, container: &ContainerName) -> String {
        let code = self.code(task, container).finalize().into_bytes();
        let mut first = [0; CODE_BYTES];
        first.copy_from_slice(&code[..CODE_BYTES]);
        format!("{task}-{:032x}", u128::from_be_bytes(first))
    }

    /// Whether `code`, as it stands in an address, is that of one container. Takes as long whatever it is.
    pub fn opens(&self, code: &str, task: &TaskId, container: &ContainerName) -> bool {
        let Some(code) = bytes(code) else {
            return false;
        };
        self.code(task, container)
            .verify_truncated_left(&code)
            .is_ok()
    }

    fn code(&self, task: &TaskId, container: &ContainerName) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&self.0).into());
        // Neither has a slash in it, so no two containers have one text.
        mac.update(format!("v4/{task}/{container}").as_bytes());
        mac
    }
}

/// The task and the code in a token.
pub fn split(token: &str) -> Option<(TaskId, &str)> {
    let (task, code) = token.split_once('-')?;
    Some((task.parse().ok()?, code))
}

/// Exactly as many hexadecimal digits as a code has.
fn bytes(code: &str) -> Option<[u8; CODE_BYTES]> {
    let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if code.len() != 2 * CODE_BYTES || !code.bytes().all(lower_hex) {
        return None;
    }
    Some(u128::from_str_radix(code, 16).ok()?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock::RandomIds;

    fn task(digit: &str) -> TaskId {
        digit.repeat(32).parse().unwrap()
    }

    #[test]
    fn a_key_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Key::keep(folder.path(), &RandomIds).unwrap();
        let again = Key::keep(folder.path(), &RandomIds).unwrap();
        assert_eq!(first.0, again.0);
        assert_ne!(first.0, [0; KEY_BYTES]);
        let file = folder.path().join(FILE);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "torn").unwrap();
        let new = Key::keep(folder.path(), &RandomIds).unwrap();
        assert_ne!(first.0, new.0);
    }

    #[test]
    fn a_token_opens_its_own_container_and_no_other() {
        let key = Key([7; KEY_BYTES]);
        let (web, side): (ContainerName, ContainerName) =
            ("web".parse().unwrap(), "side".parse().unwrap());
        let token = key.token(&task("a"), &web);
        let (of, code) = split(&token).unwrap();
        assert_eq!(of, task("a"));
        assert!(key.opens(code, &of, &web));
        assert!(!key.opens(code, &of, &side));
        assert!(!key.opens(code, &task("b"), &web));
        assert!(!Key([8; KEY_BYTES]).opens(code, &of, &web));
        for wrong in ["", "00", &code[..30], &code.to_uppercase(), &"0".repeat(32)] {
            assert!(!key.opens(wrong, &of, &web), "{wrong}");
        }
        assert_eq!(split("x-y"), None);
        assert_eq!(split(""), None);
    }
}
