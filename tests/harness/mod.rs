//! What the integration tests stand on: a real server of its own for each test, the way to talk to it,
//! and the certainty that nothing of it is left behind.

#![allow(dead_code, reason = "each test uses a part of it")]

mod dockerd;
mod engine;
mod registry;
mod server;
mod socket;
mod stream;
mod typed;
mod witness;

pub use dockerd::OwnEngine;
pub use engine::{docker, leftovers, remove_all, require_engine, workload};
pub use registry::{Registry, Relay};
pub use server::{Cli, Server, neargate};
pub use socket::{EngineSocket, real_socket};
pub use stream::Stream;
pub use typed::Typed;
pub use witness::{Seen, Witness};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder of programs of the Python that `scripts/clients` makes in `target/NAME`, with what the list `wanted` asks for.
pub fn python_with(name: &str, wanted: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target").join(name);
    let asked = std::fs::read(root.join(wanted)).unwrap();
    let found = std::fs::read(folder.join("requirements.txt")).unwrap_or_default();
    assert!(
        asked == found,
        "what {wanted} asks for is not installed: scripts/clients"
    );
    folder.join("bin")
}

/// How long a test waits for something that must happen. Generous: a slow machine is no failure.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until `look` finds something, and panics with what it saw last if it never does.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) if Instant::now() > deadline => {
                panic!("waited for {what}; instead: {instead}")
            }
            Err(_) => std::thread::park_timeout(Duration::from_millis(20)),
        }
    }
}
