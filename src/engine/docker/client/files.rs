//! Whether the daemon on this machine sees the same files as this process, and which of them are its own.
//!
//! They may differ where one of the two is in a container: there a path that is a folder for the one can be a
//! symlink to anywhere for the other. So the namespaces are compared, and where that cannot be done, the answer
//! is no.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

/// The daemon's own files, if it sees the same as this process; otherwise why not, in one sentence. It answers
/// at `socket`, and keeps its data in `root`.
pub(super) async fn of_engine(socket: &Path, root: Option<&str>) -> Result<Vec<PathBuf>, String> {
    let no_answer = |error: io::Error| {
        format!(
            "nobody can tell which files the engine sees: {}: {error}",
            socket.display()
        )
    };
    let stream = UnixStream::connect(socket).await.map_err(no_answer)?;
    let pid = stream.peer_cred().map_err(no_answer)?.pid();
    // A process outside of this one's namespace has the number 0.
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/mnt"));
    let theirs = pid
        .filter(|pid| *pid > 0)
        .ok_or_else(|| "the engine is outside of the container that Neargate is in".to_owned())
        .and_then(|pid| {
            let unreadable = |error| {
                format!(
                    "nobody can tell which files the engine sees: /proc/{pid}/ns/mnt: {error}; hint: run \
                     Neargate as root, outside of a container"
                )
            };
            namespace(&pid.to_string()).map_err(unreadable)
        })?;
    if namespace("self").ok() != Some(theirs) {
        return Err(
            "the engine and Neargate do not see the same files: one of them is in a container"
                .to_owned(),
        );
    }
    let root = root.filter(|root| root.starts_with('/')).map(PathBuf::from);
    Ok([socket.to_owned()].into_iter().chain(root).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_other_end_of_a_socket_in_this_process_sees_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let missing = of_engine(&socket, None).await.unwrap_err();
        assert!(missing.contains("nobody can tell"), "{missing}");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let files = of_engine(&socket, Some("/var/lib/docker")).await;
        assert_eq!(files, Ok(vec![socket, PathBuf::from("/var/lib/docker")]));
    }
}
