//! A cable to the real engine that a test can unplug: a Unix socket that passes everything on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Where the real engine listens.
pub fn real_socket() -> PathBuf {
    std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|host| host.strip_prefix("unix://").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/var/run/docker.sock"))
}

/// A socket that leads to the engine while it is plugged in.
pub struct EngineSocket {
    path: PathBuf,
    plugged: Arc<AtomicBool>,
    connections: Arc<Mutex<CancellationToken>>,
    _runtime: Runtime,
}

impl EngineSocket {
    /// Makes one below `folder`, plugged in or not.
    pub fn new(folder: &Path, plugged: bool) -> Self {
        let path = folder.join("docker.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let plugged = Arc::new(AtomicBool::new(plugged));
        let connections = Arc::new(Mutex::new(CancellationToken::new()));
        let listener = {
            let _guard = runtime.enter();
            UnixListener::bind(&path).unwrap()
        };
        runtime.spawn(accept(
            listener,
            Arc::clone(&plugged),
            Arc::clone(&connections),
        ));
        Self {
            path,
            plugged,
            connections,
            _runtime: runtime,
        }
    }

    /// As `DOCKER_HOST` wants it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Cuts all connections, and refuses new ones.
    pub fn unplug(&self) {
        self.plugged.store(false, Ordering::SeqCst);
        let mut connections = self.connections.lock().unwrap();
        std::mem::take(&mut *connections).cancel();
    }

    /// Lets connections through again.
    pub fn plug_in(&self) {
        self.plugged.store(true, Ordering::SeqCst);
    }
}

async fn accept(
    listener: UnixListener,
    plugged: Arc<AtomicBool>,
    connections: Arc<Mutex<CancellationToken>>,
) {
    while let Ok((mut client, _)) = listener.accept().await {
        if !plugged.load(Ordering::SeqCst) {
            continue;
        }
        let cut = connections.lock().unwrap().clone();
        tokio::spawn(async move {
            let Ok(mut engine) = UnixStream::connect(real_socket()).await else {
                return;
            };
            tokio::select! {
                () = cut.cancelled() => {}
                _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
            }
        });
    }
}
