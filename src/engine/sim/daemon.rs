//! The simulated daemon behind the seam: the model, a clock, and the faults of single calls.
//!
//! A call takes effect at one moment, under the model's lock; everything that is waited for (latency,
//! deadlines, a daemon that is frozen) is waited for outside of it, on the injected clock. So a caller that
//! gives up has either had the effect of its call or has not, as with the real daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use tokio::sync::watch;

use super::SimConfig;
use super::clock::SimClock;
use super::faults::{CallFault, CallKind, Fault};
use super::host::SimHost;
use super::image::{Image, ImageName};
use super::model::{Answer, Model, Reach, Refusal, Request};
use super::view::{Call, ContainerSnapshot, Effect, Outcome, Snapshot, Touched};
use crate::domain::{DurationMs, TimestampMs};
use crate::engine::docker::daemon::{
    ContainerEvent, ContainerInspect, ContainerSpec, ContainerSummary, Daemon, DaemonInfo,
    ExecBegun, ExecInspect, ExecSpec, ImageInspect, LogOptions, NetworkInspect, NetworkSpec,
    RegistryLogin, VolumeSpec,
};
use crate::engine::docker::host::Host;
use crate::engine::{EngineError, LogLine, PullProgress, TerminalSize};

/// A Docker daemon that is a model. Clones are the same daemon.
#[derive(Clone)]
pub struct SimDaemon(Arc<Inner>);

struct Inner {
    model: Mutex<Model>,
    clock: Arc<dyn SimClock>,
    /// The model's count of changes, for those who wait for one.
    changes: watch::Sender<u64>,
}

impl SimDaemon {
    /// A daemon that has nothing yet.
    pub fn new(config: SimConfig, clock: Arc<dyn SimClock>) -> Self {
        Self(Arc::new(Inner {
            model: Mutex::new(Model::new(config, clock.now())),
            clock,
            changes: watch::Sender::new(0),
        }))
    }

    /// Lets happen by itself what happens by itself, and never ends: to be spawned once. Without it the
    /// model catches up with the clock whenever somebody calls it or waits on one of its streams.
    pub fn drive(&self) -> impl Future<Output = ()> + Send + 'static {
        let daemon = self.clone();
        async move {
            let mut changes = daemon.changes();
            loop {
                changes.mark_unchanged();
                daemon.wait_for_change(&mut changes).await;
            }
        }
    }

    /// Lets a fault happen. False when there was nothing for it to happen to: no such container, say, or
    /// one that does not run.
    pub fn inject(&self, fault: Fault) -> bool {
        self.with(|model| model.inject(fault))
    }

    /// Lets a fault lie in wait for the next call of `kind`, behind those that already do.
    pub fn fail_next(&self, kind: CallKind, fault: CallFault) {
        self.with(|model| model.faults().fail_next(kind, fault));
    }

    /// The newest calls, in order; as many as [`SimConfig::calls_kept`] says.
    pub fn calls(&self) -> Vec<Call> {
        self.with(|model| model.journal().calls())
    }

    /// The same, and forgets them: what came since the last look.
    pub fn take_calls(&self) -> Vec<Call> {
        self.with(|model| model.journal().take())
    }

    /// Everything that can be seen, now.
    pub fn snapshot(&self) -> Snapshot {
        self.with(|model| model.snapshot())
    }

    /// All containers, in the order in which they were created.
    pub fn containers(&self) -> Vec<ContainerSnapshot> {
        self.snapshot().containers
    }

    /// When something happens by itself next.
    pub fn next_due(&self) -> Option<TimestampMs> {
        self.with(|model| model.next_due())
    }

    /// Has an image, as if it had been pulled before. False when that is not the name of one.
    pub fn add_image(&self, name: &str) -> bool {
        let parsed = ImageName::parse(name);
        if let Some(name) = &parsed {
            self.with(|model| model.images().add(name, Image::pulled(name)));
        }
        parsed.is_some()
    }

    /// Whether there is something in a volume that is a file system in memory.
    pub fn volume_is_filled(&self, name: &str) -> bool {
        self.with(|model| model.volume_is_filled(name))
    }

    /// Runs a container of somebody else's; its ID, or `None` when the name is taken.
    pub fn add_foreign_container(&self, name: &str) -> Option<String> {
        self.with(|model| model.add_foreign(name))
    }

    /// Somebody else sends a signal; false when no such container runs.
    pub fn kill_container(&self, id: &str, signal: &str) -> bool {
        let request = Request::Signal {
            id: id.to_owned(),
            signal: signal.to_owned(),
        };
        self.with(|model| model.handle(request).is_ok())
    }

    /// Somebody else removes a container, running or not; false when there is none.
    pub fn remove_container_behind_our_back(&self, id: &str) -> bool {
        let container = id.to_owned();
        self.inject(Fault::ContainerRemoved { container })
    }

    /// Looks at the model or changes it, brought up to the clock's time, and wakes who waits for that.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.0.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.advance_to(self.0.clock.now());
        let result = look(&mut model);
        let changes = model.changes();
        drop(model);
        self.0.changes.send_if_modified(|seen| {
            let is_new = *seen != changes;
            *seen = changes;
            is_new
        });
        result
    }

    /// Tells of changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Until something has changed or is due.
    pub(super) async fn wait_for_change(&self, changes: &mut watch::Receiver<u64>) {
        let due = self.next_due();
        tokio::select! {
            biased;
            _ = changes.changed() => {}
            () = self.sleep_until_some(due) => {}
        }
    }

    async fn sleep_until_some(&self, at: Option<TimestampMs>) {
        match at {
            Some(at) => self.0.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Carries out one call, with whatever lies in wait for it. `later` is the same call as data, if it
    /// can be carried out when nobody waits for it any more.
    async fn call<T: Send>(
        &self,
        kind: CallKind,
        subject: &str,
        later: Option<Request>,
        effect: impl FnOnce(&mut Model) -> Result<T, Refusal> + Send,
    ) -> Result<T, EngineError> {
        let asked = self.ask(kind, subject);
        let fault = self.with(|model| model.faults().take(kind));
        self.until_taken_up(&asked, fault.as_ref(), later).await?;
        let heard = !matches!(fault, Some(CallFault::AwayAfter | CallFault::TimesOutAfter));
        let result = self.with(|model| {
            if let Some(CallFault::Fails { message }) = &fault {
                let refused = Outcome::Refused(message.clone());
                model.record(kind, subject, model.touched(subject), refused);
                return Err(Refusal::Failed(message.clone()));
            }
            carry_out(model, &asked, heard, effect)
        });
        match fault {
            Some(CallFault::AwayAfter) => Err(away()),
            Some(CallFault::TimesOutAfter) => Err(self.time_out(&asked).await),
            _ => result.map_err(EngineError::from),
        }
    }

    fn ask<'a>(&self, kind: CallKind, subject: &'a str) -> Asked<'a> {
        let (latency_ms, limit_ms) = self.with(|model| {
            let config = model.config();
            (config.call_latency_ms, config.call_deadline_ms)
        });
        let now = self.0.clock.now();
        Asked {
            kind,
            subject,
            arrives: now.plus(DurationMs::from_millis(latency_ms)),
            deadline: now.plus(DurationMs::from_millis(limit_ms)),
            limit_ms,
        }
    }

    /// Until the daemon takes up a call, or an error if it never does while its caller waits.
    async fn until_taken_up(
        &self,
        asked: &Asked<'_>,
        fault: Option<&CallFault>,
        later: Option<Request>,
    ) -> Result<(), EngineError> {
        let mut taken_up = asked.arrives;
        match fault {
            Some(CallFault::AwayBefore) => {
                self.record_unanswered(asked, Effect::None);
                return Err(away());
            }
            Some(CallFault::TimesOutBefore) => {
                self.record_unanswered(asked, Effect::None);
                return Err(self.time_out(asked).await);
            }
            Some(CallFault::TimesOutThenHappens { after_ms }) => {
                let effect = if later.is_some() {
                    Effect::Later
                } else {
                    Effect::None
                };
                self.record_unanswered(asked, effect);
                if let Some(request) = later {
                    self.with(|model| model.handle_later(request, *after_ms));
                }
                return Err(self.time_out(asked).await);
            }
            Some(CallFault::Slow { by_ms }) => {
                taken_up = taken_up.plus(DurationMs::from_millis(*by_ms));
            }
            Some(CallFault::AwayAfter | CallFault::TimesOutAfter | CallFault::Fails { .. })
            | None => {}
        }
        loop {
            if taken_up > asked.deadline {
                self.record_unanswered(asked, Effect::None);
                return Err(self.time_out(asked).await);
            }
            self.0.clock.sleep_until(taken_up).await;
            match self.with(|model| model.reach()) {
                Reach::Up => return Ok(()),
                Reach::FrozenUntil(thaw) => taken_up = thaw,
                Reach::Away => {
                    self.record_unanswered(asked, Effect::None);
                    return Err(away());
                }
            }
        }
    }

    fn record_unanswered(&self, asked: &Asked<'_>, effect: Effect) {
        self.with(|model| {
            let container = asked.container(model);
            let outcome = Outcome::Unanswered(effect);
            model.record(asked.kind, asked.subject, container, outcome);
        });
    }

    async fn time_out(&self, asked: &Asked<'_>) -> EngineError {
        self.0.clock.sleep_until(asked.deadline).await;
        EngineError::Timeout {
            what: format!("{} {}", asked.kind, asked.subject),
            limit_ms: asked.limit_ms.into(),
        }
    }

    /// A call that removes a container, which may take its time.
    async fn removal(&self, request: Request) -> Result<(), EngineError> {
        let (kind, id) = (request.kind(), request.subject());
        let later = Some(request.clone());
        let asked = self.ask(kind, &id);
        let effect = |model: &mut Model| match model.handle(request) {
            Ok(answer) => Ok(answer),
            other => settled(other.map(drop)).map(|()| Answer::Done),
        };
        let answer = self.call(kind, &id, later, effect).await?;
        match answer {
            Answer::DoneAt(at) if at > asked.deadline => Err(self.time_out(&asked).await),
            Answer::DoneAt(at) => {
                self.0.clock.sleep_until(at).await;
                Ok(())
            }
            Answer::Done | Answer::Created(_) => Ok(()),
        }
    }

    /// A call that changes something.
    async fn change(&self, request: Request) -> Result<Answer, EngineError> {
        let kind = request.kind();
        let subject = request.subject();
        let later = Some(request.clone());
        self.call(kind, &subject, later, |model| model.handle(request))
            .await
    }
}

/// A call on its way.
struct Asked<'a> {
    kind: CallKind,
    subject: &'a str,
    arrives: TimestampMs,
    deadline: TimestampMs,
    limit_ms: u32,
}

impl Asked<'_> {
    /// The container that it is about.
    fn container(&self, model: &Model) -> Option<Touched> {
        match self.kind {
            CallKind::Start
            | CallKind::Signal
            | CallKind::Rename
            | CallKind::Remove
            | CallKind::Discard
            | CallKind::Inspect
            | CallKind::Stats
            | CallKind::Exec
            | CallKind::Download
            | CallKind::Logs => model.touched(self.subject),
            _ => None,
        }
    }
}

fn carry_out<T>(
    model: &mut Model,
    asked: &Asked<'_>,
    heard: bool,
    effect: impl FnOnce(&mut Model) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let before = asked.container(model);
    let result = effect(model);
    let container = match (&result, asked.kind) {
        (Ok(_), CallKind::Create) => model.touched(asked.subject),
        _ => before,
    };
    let outcome = match &result {
        _ if !heard => Outcome::Unanswered(Effect::Now),
        Ok(_) => Outcome::Answered,
        Err(refusal) => Outcome::Refused(refusal.message().to_owned()),
    };
    model.record(asked.kind, asked.subject, container, outcome);
    result
}

fn away() -> EngineError {
    EngineError::Away("cannot connect to the simulated Docker daemon".to_owned())
}

#[async_trait]
impl Daemon for SimDaemon {
    async fn info(&self) -> Result<DaemonInfo, EngineError> {
        self.call(CallKind::Info, "", None, |model| Ok(model.info()))
            .await
    }

    async fn host(&self) -> Result<Option<Arc<dyn Host>>, EngineError> {
        Ok(Some(Arc::new(SimHost(self.clone()))))
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        match self.change(Request::Create(Box::new(spec.clone()))).await? {
            Answer::Created(id) => Ok(id),
            Answer::Done | Answer::DoneAt(_) => Err(EngineError::Failed("no ID".to_owned())),
        }
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        self.change(Request::Start(id.to_owned())).await.map(drop)
    }

    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let (id, signal) = (id.to_owned(), signal.to_owned());
        let later = Some(Request::Signal {
            id: id.clone(),
            signal: signal.clone(),
        });
        let call = self.call(CallKind::Signal, &id, later, |model| {
            settled(model.signal(&id, &signal))
        });
        call.await
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.change(Request::Rename { id, name }).await.map(drop)
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        self.removal(Request::Remove(id.to_owned())).await
    }

    async fn discard_container(&self, id: &str) -> Result<bool, EngineError> {
        match self.removal(Request::Discard(id.to_owned())).await {
            Ok(()) => Ok(true),
            Err(EngineError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerInspect>, EngineError> {
        self.call(CallKind::Inspect, id, None, |model| Ok(model.inspect(id)))
            .await
    }

    async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        self.call(CallKind::List, label, None, |model| Ok(model.list(label)))
            .await
    }

    async fn container_logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError> {
        let begin = |model: &mut Model| {
            let news = model.read_log(id, options)?;
            // By its ID, so that a container that takes over the name is not taken for it.
            let id = model.find(id).map(|container| container.id().to_owned());
            Ok((id.unwrap_or_default(), news, model.connection()))
        };
        let (id, news, connection) = self.call(CallKind::Logs, id, None, begin).await?;
        Ok(self.log_stream(id, news, connection, options.follow))
    }

    async fn container_stats(
        &self,
        id: &str,
        _one_shot: bool,
    ) -> Result<serde_json::Value, EngineError> {
        let look = |model: &mut Model| model.stats(id);
        self.call(CallKind::Stats, id, None, look).await
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecBegun, EngineError> {
        let begin = |model: &mut Model| Ok((model.begin_exec(id, spec)?, model.connection()));
        let (exec, connection) = self.call(CallKind::Exec, id, None, begin).await?;
        Ok(self.exec_streams(exec, connection))
    }

    async fn inspect_exec(&self, exec: &str) -> Result<ExecInspect, EngineError> {
        let look = |model: &mut Model| model.inspect_exec(exec);
        self.call(CallKind::InspectExec, exec, None, look).await
    }

    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<(), EngineError> {
        let effect = |model: &mut Model| model.resize_exec(exec, size);
        self.call(CallKind::ResizeExec, exec, None, effect).await
    }

    async fn inspect_image(&self, name: &str) -> Result<Option<ImageInspect>, EngineError> {
        let look = |model: &mut Model| Ok(model.inspect_image(name));
        self.call(CallKind::InspectImage, name, None, look).await
    }

    async fn list_images(&self) -> Result<BTreeSet<String>, EngineError> {
        let look = |model: &mut Model| Ok(model.images().all());
        self.call(CallKind::ListImages, "", None, look).await
    }

    async fn remove_image(&self, id: &str) -> Result<(), EngineError> {
        let request = Request::RemoveImage(id.to_owned());
        self.change(request).await.map(drop)
    }

    async fn upload(&self, id: &str, folder: &str, tar: Bytes) -> Result<(), EngineError> {
        let (id, folder) = (id.to_owned(), folder.to_owned());
        self.change(Request::Upload { id, folder, tar })
            .await
            .map(drop)
    }

    async fn upload_stream(
        &self,
        id: &str,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        let pieces: Vec<Bytes> = tar
            .try_collect()
            .await
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        let effect = |model: &mut Model| model.put_files(id, folder, &pieces.concat());
        self.call(CallKind::Upload, id, None, effect).await
    }

    async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let look = |model: &mut Model| model.get_files(id, path);
        let tar = self.call(CallKind::Download, id, None, look).await?;
        Ok(stream::iter([Ok(tar)]).boxed())
    }

    async fn list_volumes(
        &self,
        label: &str,
    ) -> Result<Vec<(String, BTreeMap<String, String>)>, EngineError> {
        let look = |model: &mut Model| Ok(model.list_volumes(label));
        self.call(CallKind::ListVolumes, label, None, look).await
    }

    async fn ensure_volume(
        &self,
        spec: &VolumeSpec,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let later = Some(Request::EnsureVolume(spec.clone()));
        let make = |model: &mut Model| model.make_volume(spec);
        self.call(CallKind::EnsureVolume, &spec.name, later, make)
            .await
    }

    async fn inspect_volume(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let look = |model: &mut Model| Ok(model.inspect_volume(name));
        self.call(CallKind::InspectVolume, name, None, look).await
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let request = Request::RemoveVolume(name.to_owned());
        self.change(request).await.map(drop)
    }

    async fn pull_image(
        &self,
        name: &str,
        _: Option<&RegistryLogin>,
    ) -> Result<BoxStream<'static, Result<PullProgress, EngineError>>, EngineError> {
        let begin = |model: &mut Model| {
            // A refusal is no error of the call: it comes in the stream, as all that a registry says.
            let ticket = model.begin_pull(name).map(|number| self.ticket(number));
            Ok((ticket, model.connection()))
        };
        let (ticket, connection) = self.call(CallKind::Pull, name, None, begin).await?;
        Ok(match ticket {
            Ok(ticket) => self.pull_stream(ticket, connection),
            Err(refusal) => stream::iter([Err(refusal.into())]).boxed(),
        })
    }

    async fn load_image(&self, tar: Bytes) -> Result<(), EngineError> {
        self.change(Request::Load(tar)).await.map(drop)
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkInspect, EngineError> {
        let later = Some(Request::EnsureNetwork(spec.clone()));
        let make = |model: &mut Model| model.ensure_network(spec.clone());
        self.call(CallKind::EnsureNetwork, &spec.name, later, make)
            .await
    }

    async fn list_networks(&self) -> Result<Vec<NetworkInspect>, EngineError> {
        let look = |model: &mut Model| Ok(model.list_networks());
        self.call(CallKind::ListNetworks, "", None, look).await
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let later = Some(Request::RemoveNetwork(name.to_owned()));
        let effect = |model: &mut Model| settled(model.remove_network(name));
        self.call(CallKind::RemoveNetwork, name, later, effect)
            .await
    }

    async fn events(&self, label: &str) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        let begin = |model: &mut Model| Ok((model.events().so_far(), model.connection()));
        let (place, connection) = self.call(CallKind::Events, label, None, begin).await?;
        Ok(self.event_stream(label.to_owned(), place, connection))
    }
}

/// For calls that succeed when what they want is so already.
fn settled(result: Result<(), Refusal>) -> Result<(), Refusal> {
    match result {
        Err(Refusal::NotFound(_) | Refusal::Conflict(_)) => Ok(()),
        other => other,
    }
}
