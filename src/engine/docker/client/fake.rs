//! For tests: a socket that answers what it is told to answer, and remembers what it was asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::DockerClient;

/// What is answered to a request line: status and body, or silence.
type Answer = dyn Fn(&str) -> Option<(u16, String)> + Send + Sync;

/// A daemon that has no containers, only answers.
pub(super) struct FakeDaemon {
    _folder: tempfile::TempDir,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeDaemon {
    /// Answers `GET /version` by itself and everything else with `answer`.
    pub(super) fn start(
        answer: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        tokio::spawn({
            let asked = Arc::clone(&asked);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&asked)));
                }
            }
        });
        Self {
            _folder: folder,
            socket,
            asked,
        }
    }

    pub(super) fn client(&self) -> DockerClient {
        DockerClient::connect(Some(&format!("unix://{}", self.socket.display()))).unwrap()
    }

    /// The request lines so far, without the protocol's version.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: UnixStream, answer: Arc<Answer>, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read_exact(&mut byte).await.is_err() {
            return;
        }
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head
        .lines()
        .next()
        .unwrap_or_default()
        .replace(" HTTP/1.1", "");
    asked.lock().unwrap().push(line.clone());
    let answer = if line == "GET /version" {
        Some((
            200,
            r#"{"ApiVersion":"1.41","Version":"20.10.24"}"#.to_owned(),
        ))
    } else {
        answer(&line)
    };
    let Some((status, body)) = answer else {
        return std::future::pending().await;
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
}
