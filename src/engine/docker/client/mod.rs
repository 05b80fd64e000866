//! The real Docker daemon, spoken to through bollard.
//!
//! Nothing is sent before the first call: a daemon that is away is an ordinary state and the next call
//! simply tries again. Every call has a deadline (`errors::Verb`); every failure is read in one
//! place (`engine_error`); every container is made safe in one place (`convert`).
//!
//! This module decides nothing and remembers nothing but its connection. It must never put a name into a
//! path of the API without looking at it first (`path_part`): bollard does not escape, and a name such as
//! `../networks/x` would reach an object of another kind.

mod convert;
mod endpoint;
mod errors;
mod examine;
#[cfg(test)]
mod fake;
mod files;
mod logs;
mod pull;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, DownloadFromContainerOptionsBuilder,
    EventsOptionsBuilder, ImportImageOptions, InspectContainerOptions, InspectNetworkOptions,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    ListNetworksOptions, ListVolumesOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StartContainerOptions, StatsOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::future;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use tokio::time::timeout;

use self::endpoint::Endpoint;
use self::errors::{Call, Verb, engine_error, is_settled};
use super::super::{EngineError, ExecOutput, LogLine, LogStream, PullProgress, TerminalSize};
use super::daemon::{
    ContainerEvent, ContainerInspect, ContainerSpec, ContainerSummary, Daemon, DaemonInfo,
    ExecBegun, ExecInspect, ExecSpec, ImageInspect, LogOptions, NetworkInspect, NetworkSpec,
    RegistryLogin, VolumeSpec,
};
use super::host::{Host, KnownHost};
use crate::domain::Subnet;

/// What can have happened to a container that is worth a look. Left out is what its health checks do all
/// the time (`exec_create`, `exec_start`, `exec_die`) and what others do to look at it (`top`, `attach`).
const EVENTS: [&str; 10] = [
    "create",
    "start",
    "oom",
    "die",
    "stop",
    "pause",
    "unpause",
    "rename",
    "destroy",
    "health_status",
];

/// What takes a terminal off its process without ending it. Docker's default, Ctrl-P Ctrl-Q, is in the way of
/// shells and editors, and there is no way to have none.
const NEVER_TYPED: &str = "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_";
/// How long a copy into a container may take: a bound for what hangs, not for what is large.
const TRANSFER_TIME: Duration = Duration::from_hours(6);
/// The largest piece in which the output of a command comes.
const EXEC_PIECE_BYTES: usize = 32 * 1_024;

/// A Docker daemon behind a socket.
pub struct DockerClient {
    endpoint: Endpoint,
    /// A handle whose API version was negotiated; `None` before the first call and after a lost connection.
    /// Never locked while something is waited for.
    connection: Mutex<Option<Docker>>,
    /// The machine of the daemon, if it is this one, as asked on this connection.
    host: Mutex<KnownHost>,
    /// Docker lets two networks have one name, so nobody may look while another creates.
    networks: tokio::sync::Mutex<()>,
}

impl DockerClient {
    /// A client of the daemon at `host`, or else at `DOCKER_HOST`, or else at `/var/run/docker.sock`.
    ///
    /// Nothing is sent: the daemon may be away. [`EngineError::Refused`] means that it may not be spoken
    /// to in this way (plain TCP beyond loopback), or that there is no such way.
    pub fn connect(host: Option<&str>) -> Result<Self, EngineError> {
        Ok(Self {
            endpoint: Endpoint::resolve(host)?,
            connection: Mutex::new(None),
            host: Mutex::default(),
            networks: tokio::sync::Mutex::new(()),
        })
    }

    /// A handle to send with. The first call asks the daemon for its API version; several first calls at
    /// once each do.
    ///
    /// What comes of it is only for show: bollard 0.21 leaves the version out of its paths, so a daemon
    /// answers with its newest one and never refuses a client for being too old or too new.
    async fn connection(&self) -> Result<Docker, Error> {
        let known = self.known_connection().clone();
        if let Some(docker) = known {
            return Ok(docker);
        }
        let docker = self.endpoint.open()?.negotiate_version().await?;
        *self.known_connection() = Some(docker.clone());
        Ok(docker)
    }

    fn known_connection(&self) -> MutexGuard<'_, Option<Docker>> {
        // A handle is set or not set, whatever happened to the thread that did it.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn known_host(&self) -> MutexGuard<'_, KnownHost> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The daemon that comes back may be another version.
    fn forget_connection(&self) {
        *self.known_connection() = None;
        *self.known_host() = KnownHost::NotYet;
    }

    /// Sends one request and waits for its answer, until its deadline.
    async fn ask<T, F>(
        &self,
        call: &Call,
        request: impl FnOnce(Docker) -> F + Send,
    ) -> Result<T, EngineError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let answer = async { request(self.connection().await?).await };
        match timeout(call.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => match engine_error(call, error) {
                EngineError::Away(why) => {
                    self.forget_connection();
                    Err(EngineError::Away(format!("{}: {why}", self.endpoint)))
                }
                error => Err(error),
            },
            Err(_) => Err(call.timed_out()),
        }
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkInspect>, EngineError> {
        let look = Call::new(Verb::Inspect, format!("network {name}"));
        let answer = self
            .ask(&look, |docker| async move {
                docker
                    .inspect_network(name, None::<InspectNetworkOptions>)
                    .await
            })
            .await;
        // The daemon also takes the beginning of an ID.
        Ok(absent_is_none(answer)?
            .and_then(convert::inspected_network)
            .filter(|found| found.name == name))
    }

    /// As [`Self::ask`], for what succeeds when things already are as it would make them.
    async fn tell<F>(
        &self,
        call: &Call,
        request: impl FnOnce(Docker) -> F + Send,
    ) -> Result<(), EngineError>
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        self.ask(call, async |docker| match request(docker).await {
            Err(error) if is_settled(call, &error) => Ok(()),
            answer => answer,
        })
        .await
    }
}

#[async_trait]
impl Daemon for DockerClient {
    async fn info(&self) -> Result<DaemonInfo, EngineError> {
        let call = Call::new(Verb::Ask, "the engine who it is");
        self.ask(&call, |docker| async move {
            let (version, info) = tokio::try_join!(docker.version(), docker.info())?;
            Ok(convert::daemon(
                version,
                info,
                docker.client_version().to_string(),
            ))
        })
        .await
    }

    /// A daemon behind a socket of this machine, which has the same kernel and as much memory as this machine.
    async fn host(&self) -> Result<Option<Arc<dyn Host>>, EngineError> {
        if let KnownHost::Found(known) = self.known_host().clone() {
            return Ok(known);
        }
        let call = Call::new(Verb::Ask, "the engine where it is");
        let info = self
            .ask(&call, |docker| async move { docker.info().await })
            .await?;
        let host = match &self.endpoint {
            Endpoint::Unix(socket) if convert::is_here(&info) => {
                let files = files::of_engine(Path::new(socket), info.docker_root_dir.as_deref());
                let host: Arc<dyn Host> = Arc::new(convert::host(&info).with_files(files.await));
                Some(host)
            }
            _ => None,
        };
        *self.known_host() = KnownHost::Found(host.clone());
        Ok(host)
    }

    /// With a joined network (`container:<id>`) the daemon refuses a hostname, extra hosts and ports;
    /// they are passed on as they are. A health check of the image is turned off unless the spec has one.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError> {
        let call = Call::new(Verb::Create, format!("container {}", spec.name));
        let options = CreateContainerOptionsBuilder::default()
            .name(&spec.name)
            .build();
        let body = convert::create_body(spec);
        let created = self
            .ask(&call, |docker| async move {
                docker.create_container(Some(options), body).await
            })
            .await?;
        Ok(created.id)
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::Start, format!("container {}", path_part(id)?));
        self.tell(&call, |docker| async move {
            docker
                .start_container(id, None::<StartContainerOptions>)
                .await
        })
        .await
    }

    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::Signal, format!("container {}", path_part(id)?));
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        self.tell(&call, |docker| async move {
            docker.kill_container(id, Some(options)).await
        })
        .await
    }

    /// A name in use is [`EngineError::NameTaken`]; the name that it already has succeeds.
    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::Rename, format!("container {}", path_part(id)?));
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        self.tell(&call, |docker| async move {
            docker.rename_container(id, options).await
        })
        .await
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::Remove, format!("container {}", path_part(id)?));
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        self.tell(&call, |docker| async move {
            docker.remove_container(id, Some(options)).await
        })
        .await
    }

    async fn discard_container(&self, id: &str) -> Result<bool, EngineError> {
        let call = Call::new(Verb::Discard, format!("container {}", path_part(id)?));
        let options = RemoveContainerOptionsBuilder::default().v(true).build();
        let discarded = self
            .tell(&call, |docker| async move {
                docker.remove_container(id, Some(options)).await
            })
            .await;
        match discarded {
            Ok(()) => Ok(true),
            Err(EngineError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerInspect>, EngineError> {
        let call = Call::new(Verb::Inspect, format!("container {}", path_part(id)?));
        let answer = self
            .ask(&call, |docker| async move {
                docker
                    .inspect_container(id, None::<InspectContainerOptions>)
                    .await
            })
            .await;
        let Some(found) = absent_is_none(answer)? else {
            return Ok(None);
        };
        let found = convert::container(found)?;
        // The daemon also takes the beginning of an ID: a name that is gone must not find another's.
        Ok(Some(found).filter(|found| found.id == id || found.name == id))
    }

    async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let call = Call::new(Verb::List, format!("containers with label {label}"));
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = self
            .ask(&call, |docker| async move {
                docker.list_containers(Some(options)).await
            })
            .await?;
        Ok(found.into_iter().filter_map(convert::summary).collect())
    }

    /// What a terminal's container writes without ever ending a line is held in memory while it is
    /// followed: Docker sends it without frames, and bollard looks for the line's end.
    async fn container_logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError> {
        // bollard opens a stream when it is first polled, and the first line may be long in coming.
        if self.inspect_container(id).await?.is_none() {
            return Err(EngineError::NotFound(format!("container {id}")));
        }
        let call = Call::new(Verb::ReadLogs, format!("container {id}"));
        let docker = self.ask(&call, |docker| async move { Ok(docker) }).await?;
        let mut query = LogsOptionsBuilder::default()
            .follow(options.follow)
            .stdout(true)
            .stderr(true)
            .timestamps(true);
        if let Some(since) = options.since {
            // Whole seconds; the rest is done by `Lines`.
            query = query.since(i32::try_from(since.as_millis() / 1_000).unwrap_or(i32::MAX));
        }
        if let Some(tail) = options.tail {
            query = query.tail(&tail.to_string());
        }
        let frames = docker.logs(id, Some(query.build()));
        let mut lines = logs::Lines::new(options.since);
        let frames = if options.follow {
            frames
                .map_err(move |error| engine_error(&call, error))
                .boxed()
        } else {
            until_silent(frames, call).boxed()
        };
        Ok(frames
            .map_ok(move |frame| stream::iter(lines.read(frame).into_iter().map(Ok)))
            .try_flatten()
            .boxed())
    }

    async fn container_stats(
        &self,
        id: &str,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError> {
        let call = Call::new(Verb::ReadStats, format!("container {}", path_part(id)?));
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(one_shot)
            .build();
        let found = self
            .ask(&call, |docker| async move {
                docker.stats(id, Some(options)).try_next().await
            })
            .await?;
        let found = found.ok_or_else(|| EngineError::NotFound(format!("container {id}")))?;
        serde_json::to_value(found).map_err(|error| EngineError::Failed(error.to_string()))
    }

    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecBegun, EngineError> {
        let call = Call::new(Verb::Exec, format!("container {}", path_part(id)?));
        let options = CreateExecOptions {
            attach_stdin: Some(spec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty),
            detach_keys: Some(NEVER_TYPED.to_owned()),
            cmd: Some(spec.command.clone()),
            ..CreateExecOptions::default()
        };
        let start = StartExecOptions {
            detach: false,
            tty: spec.tty,
            output_capacity: Some(EXEC_PIECE_BYTES),
        };
        let (exec, started) = self
            .ask(&call, |docker| async move {
                let exec = docker.create_exec(id, options).await?.id;
                let started = docker.start_exec(&exec, Some(start)).await?;
                Ok((exec, started))
            })
            .await?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(EngineError::Failed(
                "the engine did not attach to the command".to_owned(),
            ));
        };
        let output = output
            .map_ok(|piece| match piece {
                LogOutput::StdErr { message } => (LogStream::Stderr, message),
                LogOutput::StdOut { message }
                | LogOutput::StdIn { message }
                | LogOutput::Console { message } => (LogStream::Stdout, message),
            })
            .map_ok(|(stream, bytes)| ExecOutput { stream, bytes })
            .map_err(move |error| engine_error(&call, error));
        Ok(ExecBegun {
            id: exec,
            output: output.boxed(),
            input,
        })
    }

    async fn inspect_exec(&self, exec: &str) -> Result<ExecInspect, EngineError> {
        let call = Call::new(Verb::Inspect, format!("command {}", path_part(exec)?));
        let found = self
            .ask(
                &call,
                |docker| async move { docker.inspect_exec(exec).await },
            )
            .await?;
        let runs = found.running.unwrap_or_default();
        Ok(ExecInspect {
            // One that was never started has none either, and is never asked about.
            exit_code: found.exit_code.filter(|_| !runs),
            pid: found
                .pid
                .and_then(|pid| u32::try_from(pid).ok())
                .filter(|pid| *pid > 0),
        })
    }

    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<(), EngineError> {
        let call = Call::new(Verb::Exec, format!("command {}", path_part(exec)?));
        let options = ResizeExecOptions {
            height: size.rows,
            width: size.columns,
        };
        self.ask(&call, |docker| async move {
            docker.resize_exec(exec, options).await
        })
        .await
    }

    async fn inspect_image(&self, name: &str) -> Result<Option<ImageInspect>, EngineError> {
        let call = Call::new(Verb::Inspect, format!("image {}", image_path(name)?));
        let answer = self
            .ask(
                &call,
                |docker| async move { docker.inspect_image(name).await },
            )
            .await;
        absent_is_none(answer)?.map(convert::image).transpose()
    }

    async fn list_images(&self) -> Result<BTreeSet<String>, EngineError> {
        let call = Call::new(Verb::List, "images");
        let options = ListImagesOptionsBuilder::default().all(true).build();
        let found = self
            .ask(&call, |docker| async move {
                docker.list_images(Some(options)).await
            })
            .await?;
        Ok(found.into_iter().map(|image| image.id).collect())
    }

    async fn remove_image(&self, id: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::RemoveImage, format!("image {}", image_path(id)?));
        let options = RemoveImageOptionsBuilder::default().noprune(true).build();
        self.tell(&call, |docker| async move {
            docker.remove_image(id, Some(options), None).await.map(drop)
        })
        .await
    }

    async fn upload(&self, id: &str, folder: &str, tar: Bytes) -> Result<(), EngineError> {
        let call = Call::new(Verb::Upload, format!("container {}", path_part(id)?));
        let options = UploadToContainerOptionsBuilder::default()
            .path(folder)
            .build();
        self.ask(&call, |docker| async move {
            docker
                .upload_to_container(id, Some(options), bollard::body_full(tar))
                .await
        })
        .await
    }

    async fn upload_stream(
        &self,
        id: &str,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError> {
        let call = Call {
            limit: TRANSFER_TIME,
            ..Call::new(Verb::Upload, format!("container {}", path_part(id)?))
        };
        let options = UploadToContainerOptionsBuilder::default()
            .path(folder)
            .build();
        self.ask(&call, |docker| async move {
            let body = bollard::body_try_stream(tar);
            docker.upload_to_container(id, Some(options), body).await
        })
        .await
    }

    async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError> {
        let call = Call::new(Verb::Download, format!("container {}", path_part(id)?));
        let docker = self.ask(&call, |docker| async move { Ok(docker) }).await?;
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let pieces = docker.download_from_container(id, Some(options));
        Ok(until_silent(pieces, call).boxed())
    }

    async fn list_volumes(
        &self,
        label: &str,
    ) -> Result<Vec<(String, BTreeMap<String, String>)>, EngineError> {
        let call = Call::new(Verb::List, format!("volumes with label {label}"));
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let found = self
            .ask(&call, |docker| async move {
                docker.list_volumes(Some(options)).await
            })
            .await?;
        let volumes = found.volumes.unwrap_or_default().into_iter();
        Ok(volumes
            .map(|volume| (volume.name, volume.labels.into_iter().collect()))
            .collect())
    }

    async fn ensure_volume(
        &self,
        spec: &VolumeSpec,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let call = Call::new(
            Verb::CreateVolume,
            format!("volume {}", path_part(&spec.name)?),
        );
        let request = convert::volume_create(spec);
        let made = self
            .ask(&call, |docker| async move {
                docker.create_volume(request).await
            })
            .await?;
        Ok(made.labels.into_iter().collect())
    }

    async fn inspect_volume(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        let call = Call::new(Verb::InspectVolume, format!("volume {}", path_part(name)?));
        let answer = self
            .ask(
                &call,
                |docker| async move { docker.inspect_volume(name).await },
            )
            .await;
        Ok(absent_is_none(answer)?.map(|volume| volume.labels.into_iter().collect()))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::RemoveVolume, format!("volume {}", path_part(name)?));
        self.tell(&call, |docker| async move {
            docker
                .remove_volume(name, None::<RemoveVolumeOptions>)
                .await
        })
        .await
    }

    /// Nothing happens before the stream is polled, and the daemon gives up when it is dropped.
    async fn pull_image(
        &self,
        name: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<BoxStream<'static, Result<PullProgress, EngineError>>, EngineError> {
        let name = with_tag(image_path(name)?);
        let call = Call::new(Verb::Pull, format!("image {name}"));
        let docker = self.ask(&call, |docker| async move { Ok(docker) }).await?;
        let options = CreateImageOptionsBuilder::default()
            .from_image(&name)
            .build();
        let credentials = login.map(convert::credentials).transpose()?;
        let messages = docker.create_image(Some(options), None, credentials);
        let mut layers = pull::Layers::default();
        // Whoever pulls decides how long is too long between two words.
        Ok(messages
            .map_err(move |error| engine_error(&call, error))
            // What changes no sum is a sign of life all the same: a layer that is unpacked, say.
            .map_ok(move |message| layers.read(message))
            .boxed())
    }

    async fn load_image(&self, tar: Bytes) -> Result<(), EngineError> {
        let call = Call::new(Verb::Load, "an image");
        self.ask(&call, |docker| async move {
            let body = bollard::body_full(tar);
            let messages = docker.import_image(ImportImageOptions::default(), body, None);
            messages.try_for_each(|_| future::ok(())).await
        })
        .await
    }

    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkInspect, EngineError> {
        let subject = format!("network {}", path_part(&spec.name)?);
        let create = Call::new(Verb::CreateNetwork, subject.clone());
        let _alone = timeout(create.limit, self.networks.lock())
            .await
            .map_err(|_| create.timed_out())?;
        if let Some(found) = self.inspect_network(&spec.name).await? {
            return Ok(found);
        }
        let request = convert::network_create(spec);
        self.tell(&create, |docker| async move {
            docker.create_network(request).await.map(|_| ())
        })
        .await?;
        let found = self.inspect_network(&spec.name).await?;
        found.ok_or_else(|| EngineError::Failed(format!("{subject} was removed at once")))
    }

    async fn list_networks(&self) -> Result<Vec<NetworkInspect>, EngineError> {
        let call = Call::new(Verb::List, "networks");
        let found = self
            .ask(&call, |docker| async move {
                docker.list_networks(None::<ListNetworksOptions>).await
            })
            .await?;
        Ok(found.into_iter().filter_map(convert::network).collect())
    }

    /// Those of this machine, unless the daemon is spoken to over the network and so is on another.
    fn routes(&self) -> Vec<Subnet> {
        if !self.endpoint.is_local() {
            return Vec::new();
        }
        std::fs::read_to_string("/proc/net/route")
            .map(|table| convert::routes(&table))
            .unwrap_or_default()
    }

    async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let call = Call::new(Verb::RemoveNetwork, format!("network {}", path_part(name)?));
        self.tell(
            &call,
            |docker| async move { docker.remove_network(name).await },
        )
        .await
    }

    /// Nothing is missed between this call and the first poll of the stream, although the daemon is only
    /// asked then: it is asked for everything since now, by its own clock.
    async fn events(&self, label: &str) -> Result<BoxStream<'static, ContainerEvent>, EngineError> {
        // Whoever listens anew has lost a connection: the daemon may be another one.
        self.forget_connection();
        let call = Call::new(Verb::Ask, "the engine for events");
        let (docker, info) = self
            .ask(&call, |docker| async move {
                let info = docker.info().await?;
                Ok((docker, info))
            })
            .await?;
        let filters = HashMap::from([
            ("type", vec!["container"]),
            ("label", vec![label]),
            ("event", EVENTS.to_vec()),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        let now: Option<jiff::Timestamp> = info.system_time.and_then(|time| time.parse().ok());
        if let Some(now) = now {
            let since = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
            options = options.since(&since);
        }
        let messages = docker.events(Some(options.build()));
        Ok(messages
            .take_while(|message| future::ready(message.is_ok()))
            .filter_map(|message| future::ready(message.ok().and_then(convert::event)))
            .boxed())
    }
}

/// What is not there is an answer.
fn absent_is_none<T>(answer: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(EngineError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A stream that has an error as its last item if it was silent for longer than `call` may take.
fn until_silent<T: Send + 'static>(
    stream: impl Stream<Item = Result<T, Error>> + Send + 'static,
    call: Call,
) -> impl Stream<Item = Result<T, EngineError>> + Send + 'static {
    stream::unfold(Some((stream.boxed(), call)), |open| async move {
        let (mut stream, call) = open?;
        match timeout(call.limit, stream.next()).await {
            Ok(Some(Ok(item))) => Some((Ok(item), Some((stream, call)))),
            Ok(Some(Err(error))) => Some((Err(engine_error(&call, error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(call.timed_out()), None)),
        }
    })
    // Who looks ahead may ask again after the end.
    .fuse()
}

/// A container's or network's name or ID that can stand in a path.
fn path_part(name: &str) -> Result<&str, EngineError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err(EngineError::Refused(format!(
            "{name:?} is not a name of Docker's"
        )))
    }
}

/// An image's name or ID that can stand in a path.
fn image_path(name: &str) -> Result<&str, EngineError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:@[]".contains(&byte);
    let part = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(plain);
    if name.split('/').all(part) {
        Ok(name)
    } else {
        Err(EngineError::Refused(format!(
            "{name:?} is not the name of an image"
        )))
    }
}

/// The daemon takes a name without tag for all tags.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

#[cfg(test)]
mod tests;
