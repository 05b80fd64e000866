//! What a container definition says that only Linux has, as it is written.

use serde::Deserialize;
use utoipa::ToSchema;

/// What only Linux has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinuxParameters {
    /// Capabilities of the kernel.
    pub capabilities: Option<KernelCapabilities>,
    /// Devices of the host.
    pub devices: Option<Vec<Device>>,
    /// Whether a small init runs as process 1, forwards signals and reaps.
    pub init_process_enabled: Option<bool>,
    /// Size of /dev/shm in MiB.
    #[schema(minimum = 1)]
    pub shared_memory_size: Option<u32>,
    /// File systems in memory.
    pub tmpfs: Option<Vec<Tmpfs>>,
    /// MiB of swap that the container may use.
    pub max_swap: Option<u32>,
    /// How readily it is swapped.
    #[schema(maximum = 100)]
    pub swappiness: Option<u32>,
}

/// Capabilities of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KernelCapabilities {
    /// Added to the default set. As on Fargate, only `SYS_PTRACE` can be.
    pub add: Option<Vec<String>>,
    /// Taken from the default set.
    pub drop: Option<Vec<String>>,
}

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Device {
    /// Its path on the host.
    #[serde(default)]
    #[schema(required = true)]
    pub host_path: String,
    /// Its path in the container.
    pub container_path: Option<String>,
    /// What the container may do with it.
    pub permissions: Option<Vec<DevicePermission>>,
}

/// What a container may do with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DevicePermission {
    /// Read from it.
    Read,
    /// Write to it.
    Write,
    /// Make it.
    Mknod,
}

/// A file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tmpfs {
    /// Where it is mounted.
    #[serde(default)]
    #[schema(required = true)]
    pub container_path: String,
    /// How large it may grow, in MiB.
    #[serde(default)]
    #[schema(minimum = 1, required = true)]
    pub size: u32,
    /// Options of mount(8).
    pub mount_options: Option<Vec<String>>,
}

/// A limit of the kernel on a container's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ulimit {
    /// Which limit.
    #[schema(required = true, nullable = false)]
    pub name: Option<UlimitName>,
    /// What a process starts with; -1 for none.
    #[serde(default)]
    #[schema(minimum = -1, required = true)]
    pub soft_limit: i64,
    /// What it may raise it to; -1 for none.
    #[serde(default)]
    #[schema(minimum = -1, required = true)]
    pub hard_limit: i64,
}

/// Which limit of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UlimitName {
    /// Size of core files.
    Core,
    /// CPU time.
    Cpu,
    /// Size of the data segment.
    Data,
    /// Size of files.
    Fsize,
    /// Number of locks.
    Locks,
    /// Memory that may be locked.
    Memlock,
    /// Bytes in message queues.
    Msgqueue,
    /// The highest nice value.
    Nice,
    /// Open files.
    Nofile,
    /// Processes.
    Nproc,
    /// Resident memory.
    Rss,
    /// The highest real-time priority.
    Rtprio,
    /// Real-time CPU time.
    Rttime,
    /// Pending signals.
    Sigpending,
    /// Size of the stack.
    Stack,
}

/// A kernel parameter of the task's namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SystemControl {
    /// The parameter: `net.core.somaxconn`, say.
    pub namespace: Option<String>,
    /// Its value.
    pub value: Option<String>,
}
