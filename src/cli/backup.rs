//! `neargate backup`: a copy of all that a server has recorded, in a file here.
//!
//! It is written under another name and gets its own when it is whole and on the disk. Only its owner can read it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::StreamExt as _;

use super::Session;
use super::failure::Failure;

/// Copy all that the server has recorded into a file
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
The server goes on meanwhile. The file is an SQLite database. Secrets are in it as they are in the server's own: sealed, \
without the key; so keep a copy of secret.key, in the server's data folder, in another place. Kept logs are not in it. \
See docs/backup.md.

Example:
  neargate backup neargate-backup.db")]
pub(super) struct BackupArgs {
    /// Where to
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also when there is such a file: it is replaced when the new one is whole
    #[arg(long)]
    force: bool,
}

/// What every SQLite database begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

pub(super) async fn execute(session: &mut Session, args: BackupArgs) -> Result<u8, Failure> {
    let target = &args.file;
    if !args.force && target.symlink_metadata().is_ok() {
        return Err(Failure::new(
            format!("{} is there already", target.display()),
            "name another file, or replace it with --force",
        ));
    }
    let part = part_of(target);
    let mut file = make(&part).map_err(|error| unwritable(&part, &error))?;
    let bytes = match receive(session, &mut file, &part).await {
        Ok(bytes) => bytes,
        Err(failure) => {
            // What is wrong is the failure, not what is left of it.
            let _ = fs::remove_file(&part);
            return Err(failure);
        }
    };
    let placed = file.sync_all().and_then(|()| fs::rename(&part, target));
    placed.map_err(|error| unwritable(target, &error))?;
    let shown = target.display().to_string();
    let document = serde_json::json!({ "file": shown, "bytes": bytes });
    if !session.console.document(&document)? {
        session.console.line(&shown)?;
    }
    if !session.client.secrets().await?.value.is_empty() {
        session.console.talk(
            "its secrets are sealed: keep a copy of secret.key, in the server's data folder, in another place",
        );
    }
    Ok(0)
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn make(part: &Path) -> io::Result<fs::File> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)?;
    // One that was there keeps its mode otherwise.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

async fn receive(session: &Session, file: &mut fs::File, part: &Path) -> Result<usize, Failure> {
    let mut pieces = session.client.backup().await?;
    let (mut bytes, mut head) = (0, Vec::<u8>::new());
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if head.len() < MAGIC.len() {
            head.extend(piece.iter().take(MAGIC.len() - head.len()));
        }
        file.write_all(&piece)
            .map_err(|error| unwritable(part, &error))?;
        bytes += piece.len();
    }
    if head != MAGIC {
        return Err(Failure::new(
            "what the server sent is no database",
            "is that the right address? --endpoint or NEARGATE_ENDPOINT says where to look",
        ));
    }
    Ok(bytes)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        format!("{} cannot be written: {error}", path.display()),
        "name a file where you may write and where there is room",
    )
}
