//! The daemon as one life of Neargate has it: when that life ends, nothing of it can reach the daemon any
//! more, whatever tasks of it are still around. A fuse ends it at an exact call, before or after its effect.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use neargate::engine::docker::daemon::{
    ContainerEvent, ContainerInspect, ContainerSpec, ContainerSummary, Daemon, DaemonInfo,
    ExecBegun, ExecInspect, ExecSpec, ImageInspect, LogOptions, NetworkInspect, NetworkSpec,
    RegistryLogin, VolumeSpec,
};
use neargate::engine::docker::host::Host;
use neargate::engine::sim::SimDaemon;
use neargate::engine::{EngineError, LogLine, PullProgress, TerminalSize};
use tokio_util::sync::CancellationToken;

use super::bugs::{Bug, Signalled};

/// Ends a life at a call.
#[derive(Clone, Copy, Debug)]
pub struct Fuse {
    /// How many calls come before.
    pub calls: u32,
    /// Whether the call is carried out; nobody hears of it either way.
    pub after: bool,
}

pub struct Mortal {
    inner: SimDaemon,
    life: CancellationToken,
    fuse: Arc<Mutex<Option<Fuse>>>,
    signals: Signals,
    /// The one that is planted, if any.
    bug: Option<Bug>,
    /// Those that it has started: each once, or a process that ends at once would go round for ever.
    started: Mutex<BTreeSet<String>>,
}

/// What the daemon was asked to send, until somebody looks.
pub type Signals = Arc<Mutex<Vec<Signalled>>>;

impl Mortal {
    pub fn new(
        inner: SimDaemon,
        life: CancellationToken,
        fuse: Arc<Mutex<Option<Fuse>>>,
        signals: Signals,
    ) -> Self {
        Self {
            inner,
            life,
            fuse,
            signals,
            bug: None,
            started: Mutex::default(),
        }
    }

    /// The same, with a bug in what is asked and told.
    pub fn with_bug(self, bug: Option<Bug>) -> Self {
        Self { bug, ..self }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    async fn send(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let seen = self.inner.snapshot();
        let running = seen.containers.into_iter().filter(|one| one.running);
        self.signals.lock().unwrap().push(Signalled {
            at: seen.now,
            id: id.to_owned(),
            signal: signal.to_owned(),
            running: running.map(|one| (one.id, one.began)).collect(),
        });
        self.call(self.inner.signal_container(id, signal)).await
    }

    /// The containers of the same task that run beside `id`.
    fn beside(&self, id: &str) -> Vec<String> {
        let all = self.inner.containers();
        let task = |id: &str| {
            let one = all.iter().find(|one| one.id == id)?;
            one.labels.get("neargate.task").cloned()
        };
        let this = task(id);
        let others = all.iter().filter(|one| one.running && one.id != id);
        others
            .filter(|one| this.is_some() && task(&one.id) == this)
            .map(|one| one.id.clone())
            .collect()
    }

    /// Whether this is the last call, and if so, whether it is carried out.
    fn burn(&self) -> Option<bool> {
        let mut fuse = self.fuse.lock().unwrap();
        match fuse.as_mut() {
            Some(Fuse { calls: 0, after }) => {
                let after = *after;
                *fuse = None;
                Some(after)
            }
            Some(left) => {
                left.calls -= 1;
                None
            }
            None => None,
        }
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        let last = self.burn();
        if last == Some(false) {
            self.life.cancel();
        }
        let answer = tokio::select! {
            biased;
            () = self.life.cancelled() => pending().await,
            answer = call => answer,
        };
        if last == Some(true) {
            self.life.cancel();
            pending::<()>().await;
        }
        answer
    }

    fn until_death<T: Send + 'static>(
        &self,
        stream: BoxStream<'static, T>,
    ) -> BoxStream<'static, T> {
        let life = self.life.clone();
        stream::unfold(stream, move |mut stream| {
            let life = life.clone();
            async move {
                let item = tokio::select! {
                    biased;
                    () = life.cancelled() => None,
                    item = stream.next() => Some(item),
                };
                let Some(item) = item else {
                    drop(stream);
                    return pending().await;
                };
                item.map(|item| (item, stream))
            }
        })
        .boxed()
    }
}

#[async_trait]
impl Daemon for Mortal {
    async fn info(&self) -> Result<DaemonInfo, EngineError> {
        self.call(self.inner.info()).await
    }

    /// What is done to the host is done at once, so no life ends in the middle of it.
    async fn host(&self) -> Result<Option<Arc<dyn Host>>, EngineError> {
        self.inner.host().await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        match self.bug {
            None => self.call(self.inner.create_container(spec)).await,
            Some(bug) => {
                let spec = bug.created(spec);
                self.call(self.inner.create_container(&spec)).await
            }
        }
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        self.call(self.inner.start_container(id)).await
    }

    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        self.send(id, signal).await?;
        if self.has(Bug::KillsWithoutWaiting) && signal != "SIGKILL" {
            self.send(id, "SIGKILL").await?;
        }
        if self.has(Bug::StopsInAnyOrder) {
            for other in self.beside(id) {
                self.send(&other, signal).await?;
            }
        }
        Ok(())
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        self.call(self.inner.rename_container(id, name)).await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        if self.has(Bug::ForgetsToRemove) {
            return Ok(());
        }
        self.call(self.inner.remove_container(id)).await
    }

    async fn discard_container(&self, id: &str) -> Result<bool, EngineError> {
        self.call(self.inner.discard_container(id)).await
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerInspect>, EngineError> {
        let mut seen = self.call(self.inner.inspect_container(id)).await?;
        if let (Some(bug), Some(seen)) = (self.bug, &mut seen) {
            bug.inspected(seen);
            if bug == Bug::StartsWhatHasEnded
                && seen.status == "exited"
                && self.started.lock().unwrap().insert(seen.id.clone())
            {
                self.call(self.inner.start_container(&seen.id)).await?;
            }
        }
        Ok(seen)
    }

    async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        self.call(self.inner.list_containers(label)).await
    }

    async fn container_logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError> {
        let lines = self.call(self.inner.container_logs(id, options)).await?;
        Ok(self.until_death(lines))
    }

    async fn inspect_image(&self, name: &str) -> Result<Option<ImageInspect>, EngineError> {
        self.call(self.inner.inspect_image(name)).await
    }

    async fn list_images(&self) -> Result<BTreeSet<String>, EngineError> {
        self.call(self.inner.list_images()).await
    }

    async fn remove_image(&self, id: &str) -> Result<(), EngineError> {
        self.call(self.inner.remove_image(id)).await
    }

    async fn upload(&self, id: &str, folder: &str, tar: Bytes) -> Result<(), EngineError> {
        self.call(self.inner.upload(id, folder, tar)).await
    }

    async fn upload_stream(
        &self,
        id: &str,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        self.call(self.inner.upload_stream(id, folder, tar)).await
    }

    async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        self.call(self.inner.download(id, path)).await
    }

    async fn list_volumes(
        &self,
        label: &str,
    ) -> Result<Vec<(String, BTreeMap<String, String>)>, EngineError> {
        self.call(self.inner.list_volumes(label)).await
    }

    async fn ensure_volume(
        &self,
        spec: &VolumeSpec,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        self.call(self.inner.ensure_volume(spec)).await
    }

    async fn inspect_volume(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        self.call(self.inner.inspect_volume(name)).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        self.call(self.inner.remove_volume(name)).await
    }

    async fn pull_image(
        &self,
        name: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<BoxStream<'static, Result<PullProgress, EngineError>>, EngineError> {
        let steps = self.call(self.inner.pull_image(name, login)).await?;
        Ok(self.until_death(steps))
    }

    async fn load_image(&self, tar: Bytes) -> Result<(), EngineError> {
        self.call(self.inner.load_image(tar)).await
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkInspect, EngineError> {
        self.call(self.inner.ensure_network(spec)).await
    }

    async fn list_networks(&self) -> Result<Vec<NetworkInspect>, EngineError> {
        self.call(self.inner.list_networks()).await
    }

    async fn container_stats(
        &self,
        id: &str,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError> {
        self.call(self.inner.container_stats(id, one_shot)).await
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecBegun, EngineError> {
        self.call(self.inner.exec(id, spec)).await
    }

    async fn inspect_exec(&self, exec: &str) -> Result<ExecInspect, EngineError> {
        self.call(self.inner.inspect_exec(exec)).await
    }

    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<(), EngineError> {
        self.call(self.inner.resize_exec(exec, size)).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        self.call(self.inner.remove_network(name)).await
    }

    async fn events(&self, label: &str) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        let events = self.call(self.inner.events(label)).await?;
        Ok(self.until_death(events))
    }
}
