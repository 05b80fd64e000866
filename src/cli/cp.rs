//! `neargate cp`: files into a container of a task that runs, and out of it.
//!
//! What comes out was written by somebody else's program, so nothing of it is believed: it is unpacked below the
//! place that was named and nowhere else, whatever its names and links say, and without owners or set-user-ID bits.

use std::io;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use super::Session;
use super::client::ClientError;
use super::failure::Failure;

/// Copy files into a running task, or out of it
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
One of the two is TASK:PATH, with the path from the container's root on; the other is a path here. What is a folder \
is copied with all that is in it. If DST is a folder, the copy lands in it, else it gets that name. Only for tasks \
that were run with --enable-execute-command, or by a service with enableExecuteCommand.

Example:
  neargate cp 4f0c:/var/log/app ./logs")]
pub(super) struct CpArgs {
    /// What is copied
    #[arg(value_name = "SRC", value_parser = place)]
    from: Place,
    /// Where to
    #[arg(value_name = "DST", value_parser = place)]
    to: Place,
    /// The container; may be left out for a task that has one
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Here(PathBuf),
    In { task: String, path: String },
}

/// The fewest digits of a task's ID that can stand for it.
const SHORTEST_ID: usize = 4;
/// What is held between a disk and the network.
const BUFFER_BYTES: usize = 256 * 1_024;
/// How much is read of what is in the way, to learn whether it is a folder: more than its head.
const HEAD_BYTES: usize = 16 * 1_024;

fn place(text: &str) -> Result<Place, String> {
    let is_id = |text: &str| {
        text.len() >= SHORTEST_ID && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some((task, path)) if is_id(task) && path.starts_with('/') => Ok(Place::In {
            task: task.to_owned(),
            path: path.to_owned(),
        }),
        Some((task, _)) if is_id(task) => Err(
            "the path in the container must begin with /; a file here is named as ./…".to_owned(),
        ),
        _ if text.is_empty() => Err("it is empty".to_owned()),
        // `docker cp` means a stream by this; a file of that name is not what anybody wants.
        _ if text == "-" => Err("it is no file: name one, or ./- if it is called that".to_owned()),
        _ => Ok(Place::Here(text.into())),
    }
}

pub(super) async fn execute(session: &mut Session, args: CpArgs) -> Result<u8, Failure> {
    let container = args.container.as_deref();
    match (args.from, args.to) {
        (Place::In { task, path }, Place::Here(to)) => {
            take_out(session, &task, container, &path, &to).await?;
        }
        (Place::Here(from), Place::In { task, path }) => {
            put_in(session, &from, &task, container, &path).await?;
        }
        _ => {
            return Err(Failure::usage(
                "one of the two must be in a task, and the other here",
                "as in neargate cp 4f0c:/etc/hostname .",
            ));
        }
    }
    Ok(0)
}

async fn take_out(
    session: &Session,
    task: &str,
    container: Option<&str>,
    path: &str,
    to: &Path,
) -> Result<(), Failure> {
    let Some(base) = last_name(Path::new(path)) else {
        return Err(Failure::usage(
            format!("{path} has no name to be copied by"),
            "copy the folders in it, one by one",
        ));
    };
    let (folder, name) = if to.is_dir() {
        (to.to_owned(), base.clone())
    } else {
        let name = last_name(to).ok_or_else(|| no_folder(to))?;
        (above(to), name)
    };
    if !folder.is_dir() {
        return Err(no_folder(&folder));
    }
    let tar = session.client.files(task, container, path).await?;
    let reader = StreamReader::new(tar.map_err(io::Error::other).boxed());
    let unpacked = tokio::task::spawn_blocking(move || {
        unpack(SyncIoBridge::new(reader), &folder, &base, &name)
    });
    let unpacked = unpacked
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    unpacked.map_err(|error| {
        Failure::new(
            format!(
                "not everything was copied to {}: {}",
                to.display(),
                root(&error)
            ),
            "what came is there; copying again replaces it",
        )
    })
}

/// Unpacks a tar, whose first name is `base`, as `name` in `folder`.
fn unpack(tar: impl io::Read, folder: &Path, base: &str, name: &str) -> io::Result<()> {
    if base == name {
        return unpack_below(tar, folder, base);
    }
    let place = tempfile_in(folder)?;
    let done = unpack_below(tar, &place, base)
        .and_then(|()| std::fs::rename(place.join(base), folder.join(name)));
    // What is left of it is of no use, and that it cannot be removed is no reason to say more.
    let _ = std::fs::remove_dir_all(&place);
    done
}

fn unpack_below(tar: impl io::Read, folder: &Path, base: &str) -> io::Result<()> {
    let mut archive = tar::Archive::new(tar);
    let mut count = 0_u64;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let first = path.components().find(|part| *part != Component::CurDir);
        // `unpack_in` refuses what leads out of the folder; this, what leads beside the copy.
        let is_ours = first == Some(Component::Normal(base.as_ref())) && entry.unpack_in(folder)?;
        if !is_ours {
            return Err(io::Error::other(format!(
                "{} leads out of what was asked for",
                path.display()
            )));
        }
        count += 1;
    }
    if count == 0 {
        return Err(io::Error::other("nothing came"));
    }
    Ok(())
}

/// A folder of this process' own, on the same disk.
fn tempfile_in(folder: &Path) -> io::Result<PathBuf> {
    let place = folder.join(format!(".neargate-cp-{}", std::process::id()));
    std::fs::create_dir(&place)?;
    Ok(place)
}

async fn put_in(
    session: &Session,
    from: &Path,
    task: &str,
    container: Option<&str>,
    path: &str,
) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        let fact = format!("{} cannot be read: {error}", from.display());
        Failure::new(fact, "name a file or a folder that you may read")
    };
    let whole = from.canonicalize().map_err(cannot)?;
    let is_dir = whole.is_dir();
    let own_name = last_name(&whole).ok_or_else(|| no_folder(from))?;
    let target = Path::new(path);
    let (folder, name) = match what_is_at(session, task, container, path).await? {
        Some(tar::EntryType::Directory | tar::EntryType::Symlink) => (path.to_owned(), own_name),
        Some(_) if is_dir => {
            return Err(Failure::new(
                format!("{path} is a file, and {} a folder", from.display()),
                "name a folder, or a name that is free",
            ));
        }
        None if path.ends_with('/') => {
            return Err(Failure::new(
                format!("{path} does not exist"),
                "leave the last / out to give the copy that name",
            ));
        }
        Some(_) | None => {
            let name = last_name(target).unwrap_or(own_name);
            (above(target).display().to_string(), name)
        }
    };
    let (writer, reader) = tokio::io::duplex(BUFFER_BYTES);
    let packed =
        tokio::task::spawn_blocking(move || pack(SyncIoBridge::new(writer), &whole, &name));
    let body = ReaderStream::with_capacity(reader, BUFFER_BYTES);
    let sent = session
        .client
        .put_files(task, container, &folder, body)
        .await;
    let packed = packed
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    match (sent, packed) {
        // Nobody took the rest of it; why, is known.
        (Err(error), _) => Err(error.into()),
        (Ok(()), Err(error)) => Err(cannot(error)),
        (Ok(()), Ok(())) => Ok(()),
    }
}

/// A tar of `path`, under the name `name`. Links stay links.
fn pack(into: impl io::Write, path: &Path, name: &str) -> io::Result<()> {
    let mut tar = tar::Builder::new(into);
    tar.follow_symlinks(false);
    if path.is_dir() {
        tar.append_dir_all(name, path)?;
    } else {
        tar.append_path_with_name(path, name)?;
    }
    tar.into_inner()?.flush()
}

/// What is at a path of a container, if anything.
async fn what_is_at(
    session: &Session,
    task: &str,
    container: Option<&str>,
    path: &str,
) -> Result<Option<tar::EntryType>, Failure> {
    let mut tar = match session.client.files(task, container, path).await {
        Ok(tar) => tar,
        Err(error) if is_about_the_path(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut head = Vec::new();
    while head.len() < HEAD_BYTES {
        match tar.next().await {
            Some(piece) => head.extend_from_slice(&piece?),
            None => break,
        }
    }
    let mut archive = tar::Archive::new(head.as_slice());
    let first = archive
        .entries()
        .ok()
        .and_then(|mut entries| entries.next());
    Ok(first
        .and_then(Result::ok)
        .map(|entry| entry.header().entry_type()))
}

/// Whether it is the path that is not there, and not the task or the container.
fn is_about_the_path(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(problem)
        if problem.status == 404 && problem.detail.as_ref().is_some_and(|detail| detail.starts_with('/')))
}

fn last_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => ".".into(),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

fn no_folder(path: &Path) -> Failure {
    Failure::new(
        format!("{} is not a folder here", path.display()),
        "make it first, with mkdir",
    )
}

/// What lies at the bottom of an error of reading.
fn root(error: &io::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_in_a_task_if_it_begins_with_an_id() {
        let inside = |task: &str, path: &str| Place::In {
            task: task.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!(place("4f0c:/etc"), Ok(inside("4f0c", "/etc")));
        assert_eq!(place("./4f0c:/etc"), Ok(Place::Here("./4f0c:/etc".into())));
        assert_eq!(place("web:/etc"), Ok(Place::Here("web:/etc".into())));
        assert!(place("-").is_err());
        assert!(place("4f0c:etc").unwrap_err().contains("must begin with /"));
        assert!(place("").is_err());
    }

    /// A tar with one entry of that name, which the crate itself would refuse to write.
    fn hostile(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o6755);
            let is_link = matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link);
            if is_link {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            let text = if is_link { "" } else { text };
            header.set_size(text.len() as u64);
            header.set_cksum();
            tar.append(&header, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn nothing_is_unpacked_outside_of_what_was_asked_for() {
        use tar::EntryType::{Directory, Link, Regular, Symlink};
        let room = tempfile::TempDir::new().unwrap();
        let (inside, outside) = (room.path().join("in"), room.path().join("out"));
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "kept").unwrap();
        let out = outside.to_str().unwrap();
        let kept = format!("{out}/kept");
        let absolute = format!("{out}/evil");
        for (index, entries) in [
            vec![("base/../../out/evil", Regular, "x")],
            vec![("../out/evil", Regular, "x")],
            vec![(absolute.as_str(), Regular, "x")],
            vec![("other", Regular, "x")],
            vec![
                ("base", Directory, ""),
                ("base/link", Symlink, out),
                ("base/link/evil", Regular, "x"),
            ],
            vec![("base", Symlink, out), ("base/evil", Regular, "x")],
            vec![("base", Directory, ""), ("base/hard", Link, &kept)],
            vec![],
        ]
        .iter()
        .enumerate()
        {
            std::fs::create_dir(&inside).unwrap();
            let tar = hostile(entries);
            for name in ["base", "renamed"] {
                assert!(
                    unpack(tar.as_slice(), &inside, "base", name).is_err(),
                    "{index} {name}"
                );
            }
            let left: Vec<_> = std::fs::read_dir(&outside)
                .unwrap()
                .map(|one| one.unwrap().file_name())
                .collect();
            assert_eq!(left, ["kept"], "{index}");
            assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
            std::fs::remove_dir_all(&inside).unwrap();
        }
    }

    #[test]
    fn what_is_asked_for_is_unpacked_under_its_new_name_and_without_set_user_id() {
        use std::os::unix::fs::PermissionsExt as _;
        let room = tempfile::TempDir::new().unwrap();
        let tar = hostile(&[
            ("base", tar::EntryType::Directory, ""),
            ("base/file", tar::EntryType::Regular, "text"),
        ]);
        for name in ["base", "renamed"] {
            unpack(tar.as_slice(), room.path(), "base", name).unwrap();
            let file = room.path().join(name).join("file");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7000, 0);
        }
        let left = std::fs::read_dir(room.path()).unwrap().count();
        assert_eq!(left, 2, "nothing else is left");
    }
}
