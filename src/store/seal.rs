//! Seals the values of secrets: XChaCha20-Poly1305 under a key that lies in a file of its own.
//!
//! The key file is made at the first need, with mode 0600, and never again: neither it nor a secret is ever
//! replaced by something that does not go with the other. Who copies the database alone has no secrets; who
//! makes a backup needs both files. The name, the version and this Neargate's identity are bound into what is
//! sealed, so that one row cannot be put in another's place.
//!
//! Key and nonces come straight from the operating system and not from an `IdSource`: a simulation that
//! repeats itself would repeat them, and a nonce that is used twice gives both values away.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::rand_core::RngCore as _;
use chacha20poly1305::aead::{Aead as _, AeadCore as _, KeyInit as _, OsRng, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::StoreError;
use super::open::at;
use crate::domain::{AccessKeyId, InstanceId, SecretName, SecretValue};

const KEY_FILE: &str = "secret.key";
const KEY_BYTES: usize = 32;

/// Where the key is.
#[derive(Clone, Debug)]
pub(super) struct KeyFile(PathBuf);

/// The key. It does not print itself.
pub(super) struct Key {
    cipher: XChaCha20Poly1305,
    /// Tells it from other keys without giving anything of it away.
    pub(super) id: String,
}

/// What is bound into a sealed value.
pub(super) struct Binding<'a> {
    pub(super) instance: &'a InstanceId,
    pub(super) of: Sealable<'a>,
}

/// What a sealed value belongs to.
pub(super) enum Sealable<'a> {
    /// A version of a secret.
    Secret { name: &'a SecretName, version: u64 },
    /// An access key.
    AccessKey(&'a AccessKeyId),
}

/// A value that nobody can read without the key.
pub(super) struct Sealed {
    pub(super) nonce: Vec<u8>,
    pub(super) ciphertext: Vec<u8>,
}

impl KeyFile {
    /// The one of the data folder `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self(folder.join(KEY_FILE))
    }

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// The key; `None` when there is no file. It is read anew each time: that takes microseconds, and the key
    /// does not lie in memory for as long as the server lives.
    pub(super) fn read(&self) -> Result<Option<Key>, StoreError> {
        let mut file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(&self.0, &error)),
        };
        let path = self.0.display();
        let metadata = file.metadata().map_err(|error| at(&self.0, &error))?;
        if metadata.mode() & 0o077 != 0 {
            return Err(StoreError::Sealed(format!(
                "the key file of the secrets, {path}, can be used by others than its owner (mode {:o}); hint: \
                 chmod 600 {path}, and put the secrets anew if somebody may have read it",
                metadata.mode() & 0o777
            )));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 1));
        let most = u64::try_from(KEY_BYTES).unwrap_or(u64::MAX) + 1;
        (&mut file)
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| at(&self.0, &error))?;
        Key::of(&bytes).map(Some).ok_or_else(|| {
            StoreError::Sealed(format!(
                "the key file of the secrets, {path}, is not one: it must have {KEY_BYTES} bytes; hint: put a copy \
                 of it that is whole in its place"
            ))
        })
    }

    /// Makes the key. Only for a folder that has no secrets and no key file yet.
    pub(super) fn make(&self) -> Result<Key, StoreError> {
        let bytes = Zeroizing::new(XChaCha20Poly1305::generate_key(&mut OsRng).to_vec());
        // Written in whole before it has its name, and linked, not moved: so one that is there stays.
        let new = self.0.with_extension("key.new");
        let written = (|| {
            match std::fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            std::fs::hard_link(&new, &self.0)?;
            std::fs::remove_file(&new)?;
            self.0
                .parent()
                .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        })();
        written.map_err(|error| at(&self.0, &error))?;
        Key::of(&bytes).ok_or_else(|| StoreError::Failed("no key could be made".to_owned()))
    }

    /// The error of a key that is not there, or is another one than was used.
    pub(super) fn lost(&self, what: &str) -> StoreError {
        let path = self.0.display();
        StoreError::Sealed(format!(
            "{what}; hint: put the copy of {path} from your backup in its place; if it is lost, so are the secrets: \
             delete all of them (neargate secret list), revoke the access keys (neargate keys list), then put and \
             make them anew"
        ))
    }

    /// The error of a key file that is missing while there are secrets.
    pub(super) fn missing(&self) -> StoreError {
        let path = self.0.display();
        self.lost(&format!("the key file of the secrets, {path}, is missing"))
    }
}

impl Key {
    fn of(bytes: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        let digest = Sha256::new_with_prefix(b"neargate: which key is this? ")
            .chain_update(bytes)
            .finalize();
        let id = digest.iter().take(8).fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        Some(Self { cipher, id })
    }

    pub(super) fn seal(
        &self,
        binding: &Binding<'_>,
        value: &SecretValue,
    ) -> Result<Sealed, StoreError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let (msg, aad) = (value.expose(), &*binding.bytes());
        let ciphertext = self
            .cipher
            .encrypt(&nonce, Payload { msg, aad })
            .map_err(|_| StoreError::Failed("a secret cannot be sealed".to_owned()))?;
        Ok(Sealed {
            nonce: nonce.to_vec(),
            ciphertext,
        })
    }

    /// `None` when it was sealed with another key or binding, or was changed since.
    pub(super) fn open(&self, binding: &Binding<'_>, sealed: &Sealed) -> Option<SecretValue> {
        let nonce: [u8; 24] = sealed.nonce.as_slice().try_into().ok()?;
        let (msg, aad) = (&*sealed.ciphertext, &*binding.bytes());
        let value = self
            .cipher
            .decrypt(&XNonce::from(nonce), Payload { msg, aad })
            .ok()?;
        SecretValue::new(value).ok()
    }
}

/// A secret of an access key, with as many characters as AWS gives one: 240 bits in base 64.
pub(super) fn access_key_secret() -> Result<SecretValue, StoreError> {
    let mut bytes = Zeroizing::new([0; 30]);
    OsRng
        .try_fill_bytes(&mut *bytes)
        .map_err(|error| StoreError::Failed(format!("no random numbers are to be had: {error}")))?;
    SecretValue::new(STANDARD.encode(*bytes).into_bytes())
        .map_err(|error| StoreError::Failed(error.to_string()))
}

impl Binding<'_> {
    /// The same bytes for the same binding only: no name has a line's end in it.
    fn bytes(&self) -> Vec<u8> {
        let instance = self.instance;
        match &self.of {
            Sealable::Secret { name, version } => {
                format!("neargate secret\n{instance}\n{name}\n{version}")
            }
            Sealable::AccessKey(id) => format!("neargate access key\n{instance}\n{id}"),
        }
        .into_bytes()
    }
}
