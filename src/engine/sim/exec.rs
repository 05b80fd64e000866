//! Both ends of a command that was started in a simulated container.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::SimDaemon;
use super::streams::{Look, lost};
use crate::engine::docker::daemon::ExecBegun;

impl SimDaemon {
    /// The streams of a command, which end with the connection.
    pub(super) fn exec_streams(&self, exec: String, connection: u64) -> ExecBegun {
        let id = exec.clone();
        let output = self.stream_of(move |model| {
            if model.connection() != connection {
                return Look::Last(vec![Err(lost())]);
            }
            let news = model.follow_exec(&id);
            let pieces = news.output.into_iter().map(Ok).collect();
            if news.over {
                Look::Last(pieces)
            } else {
                Look::Items(pieces)
            }
        });
        let input = Input {
            daemon: self.clone(),
            exec: exec.clone(),
        };
        ExecBegun {
            id: exec,
            output,
            input: Box::pin(input),
        }
    }
}

/// What a command reads.
struct Input {
    daemon: SimDaemon,
    exec: String,
}

impl AsyncWrite for Input {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !bytes.is_empty() {
            self.daemon
                .with(|model| model.write_exec(&self.exec, bytes));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.daemon.with(|model| model.write_exec(&self.exec, &[]));
        Poll::Ready(Ok(()))
    }
}
