//! Processes that people start in containers.
//!
//! Docker can start such a process but not signal it, and one whose terminal or connection is gone runs on
//! for as long as its container does. Where the daemon is on this machine, the kernel is asked instead
//! ([`super::host::Host::signal`]), and only after it said that the process is one of that very container.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::DockerEngine;
use super::daemon::{Daemon, ExecSpec};
use crate::engine::{EngineError, Exec, ExecProcess, ExecRequest, ExecSignal, TerminalSize};

/// A terminal takes no size before its process runs, and the daemon answers before that.
const RESIZE_ATTEMPTS: u32 = 20;
const RESIZE_PAUSE: Duration = Duration::from_millis(25);

impl DockerEngine {
    pub(super) async fn begin_exec(&self, request: ExecRequest) -> Result<Exec, EngineError> {
        let container = self
            .own_container(&request.task_id, &request.container)
            .await?;
        if container.status != "running" {
            return Err(EngineError::Refused(format!(
                "container {} is {}",
                container.name, container.status
            )));
        }
        let spec = ExecSpec {
            command: request.command,
            tty: request.tty,
            stdin: request.stdin,
        };
        let begun = self.daemon.exec(&container.id, &spec).await?;
        let process = Arc::new(Process {
            daemon: Arc::clone(&self.daemon),
            container: container.id,
            exec: begun.id,
        });
        if let Some(size) = request.size.filter(|_| request.tty) {
            let process = Arc::clone(&process);
            tokio::spawn(async move { process.size_at_first(size).await });
        }
        Ok(Exec {
            output: begun.output,
            input: begun.input,
            process,
        })
    }
}

struct Process {
    daemon: Arc<dyn Daemon>,
    container: String,
    exec: String,
}

impl Process {
    async fn size_at_first(&self, size: TerminalSize) {
        for _ in 0..RESIZE_ATTEMPTS {
            if self.daemon.resize_exec(&self.exec, size).await.is_ok() {
                return;
            }
            tokio::time::sleep(RESIZE_PAUSE).await;
        }
        tracing::debug!(exec = self.exec, "the terminal took no size");
    }
}

#[async_trait]
impl ExecProcess for Process {
    async fn resize(&self, size: TerminalSize) -> Result<(), EngineError> {
        self.daemon.resize_exec(&self.exec, size).await
    }

    async fn signal(&self, signal: ExecSignal) -> Result<(), EngineError> {
        let Some(host) = self.daemon.host().await? else {
            return Err(EngineError::Refused(
                "the engine is on another machine, and Docker has no call that signals a process"
                    .to_owned(),
            ));
        };
        let seen = self.daemon.inspect_exec(&self.exec).await?;
        let Some(pid) = seen.pid.filter(|_| seen.exit_code.is_none()) else {
            return Ok(());
        };
        host.signal(&self.container, pid, signal)
            .await
            .map_err(EngineError::Refused)
    }

    async fn exit_code(&self) -> Result<Option<i64>, EngineError> {
        Ok(self.daemon.inspect_exec(&self.exec).await?.exit_code)
    }
}
