//! The seam below the Docker adapter: a Docker daemon, container by container.
//!
//! Two things stand behind it: the real daemon ([`super::client`]) and the model of one
//! ([`crate::engine::sim`]). Everything above it is the same code for both. It speaks Docker's words, and
//! of Docker's API only what the adapter needs; nothing here knows what a task is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;

use super::super::{EngineError, ExecOutput, LogLine, PullProgress, TerminalSize};
use super::host::Host;
use crate::domain::{
    HealthCheck, HealthStatus, NetworkBinding, PortMapping, SecretValue, Subnet, SystemControl,
    TimestampMs, Tmpfs, Ulimit,
};

/// A Docker daemon. Every call has a deadline and may fail with what [`EngineError`] lists.
#[async_trait]
pub trait Daemon: Send + Sync + 'static {
    /// `GET /version` and `GET /info`, in one.
    async fn info(&self) -> Result<DaemonInfo, EngineError>;

    /// The machine that its containers run on; `None` when that is not this one.
    async fn host(&self) -> Result<Option<Arc<dyn Host>>, EngineError>;

    /// `POST /containers/create`. A name in use is [`EngineError::NameTaken`], an image that is not
    /// there is [`EngineError::NotFound`].
    async fn create_container(&self, spec: &ContainerSpec) -> Result<String, EngineError>;

    /// `POST /containers/{id}/start`. Starting what runs succeeds.
    async fn start_container(&self, id: &str) -> Result<(), EngineError>;

    /// `POST /containers/{id}/kill`. Signalling what does not run succeeds, as does what is not there.
    async fn signal_container(&self, id: &str, signal: &str) -> Result<(), EngineError>;

    /// `POST /containers/{id}/rename`.
    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError>;

    /// `DELETE /containers/{id}?force=1&v=1`. Removing what is not there, or is being removed, succeeds.
    async fn remove_container(&self, id: &str) -> Result<(), EngineError>;

    /// `DELETE /containers/{id}?v=1`: removes it unless it runs, in one step. False when it runs. Removing
    /// what is not there, or is being removed, succeeds.
    async fn discard_container(&self, id: &str) -> Result<bool, EngineError>;

    /// `GET /containers/{id or name}/json`; `None` when the daemon says that there is none.
    async fn inspect_container(&self, id: &str) -> Result<Option<ContainerInspect>, EngineError>;

    /// `GET /containers/json?all=1` with one label filter, `key=value`.
    async fn list_containers(&self, label: &str) -> Result<Vec<ContainerSummary>, EngineError>;

    /// `GET /containers/{id}/logs`.
    async fn container_logs(
        &self,
        id: &str,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine, EngineError>>, EngineError>;

    /// `GET /containers/{id}/stats?stream=0`, as the daemon tells it, for a container that runs or not. With
    /// `one_shot`, at once and without the sample before; otherwise the daemon takes a second sample first.
    async fn container_stats(
        &self,
        id: &str,
        one_shot: bool,
    ) -> Result<serde_json::Value, EngineError>;

    /// `POST /containers/{id}/exec` and `POST /exec/{id}/start`, attached. A command that cannot be started is told
    /// of in the output, and by its exit code.
    async fn exec(&self, id: &str, spec: &ExecSpec) -> Result<ExecBegun, EngineError>;

    /// `GET /exec/{id}/json`.
    async fn inspect_exec(&self, exec: &str) -> Result<ExecInspect, EngineError>;

    /// `POST /exec/{id}/resize`.
    async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<(), EngineError>;

    /// `GET /images/{name}/json`; `None` when the daemon says that there is none.
    async fn inspect_image(&self, name: &str) -> Result<Option<ImageInspect>, EngineError>;

    /// `GET /images/json?all=1`: the IDs of all images, also of those without a name.
    async fn list_images(&self) -> Result<BTreeSet<String>, EngineError>;

    /// `DELETE /images/{id}?noprune=1`, without force: the image of that ID with its names. One that a container was
    /// made from, that another image is made from, or that has several tags or names in several repositories is
    /// [`EngineError::Refused`], and stays as it is. Removing what is not there succeeds.
    async fn remove_image(&self, id: &str) -> Result<(), EngineError>;

    /// `PUT /containers/{id}/archive`: unpacks a tar in a folder of a container that exists.
    async fn upload(&self, id: &str, folder: &str, tar: Bytes) -> Result<(), EngineError>;

    /// The same with a tar of any size, as it comes.
    async fn upload_stream(
        &self,
        id: &str,
        folder: &str,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<(), EngineError>;

    /// `GET /containers/{id}/archive`: a tar of a file or a folder. A path that is not there is
    /// [`EngineError::NotFound`], as the answer or as the first item.
    async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, EngineError>>, EngineError>;

    /// `GET /volumes` with one label filter, `key=value`: their names and labels.
    async fn list_volumes(
        &self,
        label: &str,
    ) -> Result<Vec<(String, BTreeMap<String, String>)>, EngineError>;

    /// `POST /volumes/create`, with the local driver. A volume of that name that exists is left as it is. The
    /// answer is the labels of what is there now.
    async fn ensure_volume(
        &self,
        spec: &VolumeSpec,
    ) -> Result<BTreeMap<String, String>, EngineError>;

    /// `GET /volumes/{name}`: its labels; `None` when the daemon says that there is none.
    async fn inspect_volume(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError>;

    /// `DELETE /volumes/{name}`. Removing what is not there succeeds; one in use is `Refused`.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// `POST /images/create?fromImage=`: the stream ends when the image is there, or with an error.
    async fn pull_image(
        &self,
        name: &str,
        login: Option<&RegistryLogin>,
    ) -> Result<BoxStream<'static, Result<PullProgress, EngineError>>, EngineError>;

    /// `POST /images/load`: a tar as `docker save` makes it.
    async fn load_image(&self, tar: Bytes) -> Result<(), EngineError>;

    /// `POST /networks/create`: a bridge. A network of that name that exists is left as it is. The answer
    /// is what is there now. A subnet that is taken is [`EngineError::Refused`].
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<NetworkInspect, EngineError>;

    /// `GET /networks`: all of them, also those that are not ours, since their addresses are taken.
    async fn list_networks(&self) -> Result<Vec<NetworkInspect>, EngineError>;

    /// The addresses that the daemon's host has routes to, as far as that is known here; the default route
    /// is none. A network must not have them.
    fn routes(&self) -> Vec<Subnet> {
        Vec::new()
    }

    /// `DELETE /networks/{name}`. Removing what is not there succeeds; one in use is `Refused`.
    async fn remove_network(&self, name: &str) -> Result<(), EngineError>;

    /// `GET /events` of containers with one label, `key=value`. Ends when the connection does.
    async fn events(&self, label: &str) -> Result<BoxStream<'static, ContainerEvent>, EngineError>;
}

/// What a container is created from.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Docker's, each a switch of its own"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Unique on the daemon.
    pub name: String,
    /// Name or ID of the image.
    pub image: String,
    /// Ours, and the user's.
    pub labels: BTreeMap<String, String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Names and values that nobody is to see who prints this.
    pub secret_env: Vec<(String, SecretValue)>,
    /// Volumes that are file systems in memory.
    pub memory_volumes: Vec<MemoryVolume>,
    /// Volumes and folders of the host.
    pub mounts: Vec<Mount>,
    /// Replaces the image's.
    pub cmd: Option<Vec<String>>,
    /// Replaces the image's.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's.
    pub working_dir: Option<String>,
    /// Replaces the image's.
    pub user: Option<String>,
    /// What `hostname` says inside. Not with a joined network.
    pub hostname: Option<String>,
    /// A network's name, `none`, or `container:<id>` to join that one's namespace.
    pub network_mode: String,
    /// Ports to publish on the host, on this address.
    pub published: Vec<PortMapping>,
    /// The address of the host to publish on.
    pub publish_ip: String,
    /// `name:address` lines for /etc/hosts. Not with a joined network.
    pub extra_hosts: Vec<String>,
    /// In thousand-millionths of a CPU; 0 means no limit.
    pub nano_cpus: i64,
    /// Relative weight; 0 means the daemon's default.
    pub cpu_shares: i64,
    /// In bytes; 0 means no limit. Swap is never added to it.
    pub memory_bytes: i64,
    /// In bytes; 0 means none.
    pub memory_reservation_bytes: i64,
    /// How many processes and threads; `None` means no limit.
    pub pids_limit: Option<i64>,
    /// The cgroup to put it below, if not the daemon's own.
    pub cgroup_parent: Option<String>,
    /// Docker's own health check.
    pub health_check: Option<HealthCheck>,
    /// What runs it, by the daemon's name; its default if none is named.
    pub runtime: Option<String>,
    /// As good as root on the host.
    pub privileged: bool,
    /// The root file system is read-only.
    pub readonly_rootfs: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// A terminal.
    pub tty: bool,
    /// A small init as process 1.
    pub init: bool,
    /// Size of /dev/shm in bytes.
    pub shm_size_bytes: Option<i64>,
    /// File systems in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Kernel limits.
    pub ulimits: Vec<Ulimit>,
    /// Kernel parameters.
    pub sysctls: Vec<SystemControl>,
    /// Added to Docker's default set.
    pub cap_add: Vec<String>,
    /// Taken from it.
    pub cap_drop: Vec<String>,
    /// Log bytes that the daemon keeps, in two files that take turns; `None`: no log at all.
    pub log_max_bytes: Option<u64>,
}

/// A process that is to be started in a container.
#[derive(Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// A terminal.
    pub tty: bool,
    /// Standard input is attached.
    pub stdin: bool,
}

/// A process that was started in a container.
pub struct ExecBegun {
    /// By which the daemon knows it.
    pub id: String,
    /// What it writes, until it has closed its outputs.
    pub output: BoxStream<'static, Result<ExecOutput, EngineError>>,
    /// What it reads; shutting it down is the end of it.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// What the daemon says of such a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecInspect {
    /// `None` while it runs.
    pub exit_code: Option<i64>,
    /// By the number that it has on the daemon's host.
    pub pid: Option<u32>,
}

/// A volume that is a file system in memory for as long as some container that mounts it runs, and empty after
/// that. The first container that mounts it makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryVolume {
    /// Unique on the daemon.
    pub name: String,
    /// Whose it is.
    pub labels: BTreeMap<String, String>,
    /// Where it is mounted.
    pub path: String,
    /// The container cannot write to it.
    pub read_only: bool,
    /// How large it may grow.
    pub size_bytes: u64,
}

/// A volume on the daemon's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Unique on the daemon.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
}

/// Something that a container has at a place of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where.
    pub path: String,
    /// The container cannot write to it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A volume, which is made if it has gone meanwhile. While it is empty, the first container that mounts it
    /// fills it with what its image has at that place.
    Volume(VolumeSpec),
    /// A folder or file of the daemon's host. A creation with one that is not there is [`EngineError::Refused`].
    Folder(PathBuf),
}

/// Name and password for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryLogin {
    /// As images are named by it: `ghcr.io`, `docker.io`.
    pub server: String,
    /// The name.
    pub username: String,
    /// The password, or a token that stands for it.
    pub password: SecretValue,
}

/// What the daemon says of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInspect {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// ID of the image, `sha256:…`.
    pub image_id: String,
    /// Docker's word for its state: `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
    pub status: String,
    /// Of the last run. Only means something when it has ended.
    pub exit_code: i64,
    /// The kernel killed it for its memory.
    pub oom_killed: bool,
    /// What went wrong at the start.
    pub error: Option<String>,
    /// `None` when it never started.
    pub started_at: Option<TimestampMs>,
    /// `None` when it has not ended.
    pub finished_at: Option<TimestampMs>,
    /// Of Docker's health check, if there is one.
    pub health: Option<HealthStatus>,
    /// What the last check said, if it failed.
    pub health_output: Option<String>,
    /// `container:<id>`, or a network.
    pub network_mode: String,
    /// On the network of that mode.
    pub ip_address: Option<String>,
    /// Ports that are published.
    pub bindings: Vec<NetworkBinding>,
    /// The signal that asks it to stop; SIGTERM when the image says nothing.
    pub stop_signal: String,
    /// The cgroup that it was to be put below.
    pub cgroup_parent: Option<String>,
    /// Its process, while it runs, by the number that it has on the daemon's host.
    pub pid: Option<u32>,
}

/// What a list says of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// Docker's word for its state.
    pub status: String,
    /// Of Docker's health check, if there is one.
    pub health: Option<HealthStatus>,
    /// `container:<id>`, or a network.
    pub network_mode: String,
}

/// What the daemon says of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInspect {
    /// `sha256:…`.
    pub id: String,
    /// `repository:tag`, in Docker's familiar form.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…`, when it came from a registry.
    pub repo_digests: Vec<String>,
    /// With the layers that it shares with others, in bytes.
    pub size_bytes: u64,
}

/// What a network is created from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Unique on the daemon.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// Its addresses; the daemon chooses when there is none.
    pub subnet: Option<Subnet>,
}

/// What the daemon says of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkInspect {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// All of them.
    pub labels: BTreeMap<String, String>,
    /// Its IPv4 addresses, if it has any.
    pub subnet: Option<Subnet>,
    /// The address of the host on it.
    pub gateway: Option<Ipv4Addr>,
}

impl NetworkInspect {
    /// The name that Docker gives to the bridge's interface on the host.
    pub fn interface(&self) -> String {
        format!("br-{}", self.id.chars().take(12).collect::<String>())
    }
}

/// Who the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonInfo {
    /// `20.10.24`, say.
    pub version: String,
    /// The API's, as negotiated.
    pub api_version: String,
    /// The host's name.
    pub host: String,
    /// `linux`.
    pub os: String,
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The runtimes that it has.
    pub runtimes: BTreeSet<String>,
    /// Processors.
    pub cpus: u32,
    /// Bytes.
    pub memory_bytes: u64,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// `cgroupfs`, `systemd` or `none`.
    pub cgroup_driver: String,
}

/// Which lines are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Go on as new lines come.
    pub follow: bool,
    /// Only from this time on.
    pub since: Option<TimestampMs>,
    /// Only so many from the end.
    pub tail: Option<u64>,
}

/// Something happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name when it happened.
    pub name: String,
    /// All of its labels.
    pub labels: BTreeMap<String, String>,
    /// Docker's word for it: `start`, `die`, `oom`, `destroy`, `health_status: healthy`, …
    pub action: String,
    /// Of a process that has ended.
    pub exit_code: Option<i64>,
    /// By the daemon's clock.
    pub at: TimestampMs,
}
