//! This machine's cgroups: one group for each task, above those that the engine makes for its containers.
//!
//! cgroup v1 and v2. With the engine's `cgroupfs` driver a group is `/neargate/<instance>/<task>`, made here
//! before the first container is started in it. With the `systemd` driver it is the slice
//! `neargate-<instance>-<task>.slice`, which lies in `neargate.slice/neargate-<instance>.slice`: systemd makes
//! it when the first container's scope is started, and its limits are written right after that, so each
//! container must have limits of its own until then. Everything may be done twice, so a crash in between is
//! repaired by doing it again. Nothing outside of `neargate` is ever written, but for turning controllers on
//! in the groups above (cgroup v2's `cgroup.subtree_control`).
//!
//! Sources: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2; systemd.slice(5) for the names.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::host::{Group, GroupLimits, GroupUse, Host, Traffic};
use crate::domain::InstanceId;
use crate::engine::{ExecSignal, Look};

mod measure;

/// The folder, or slice, above all that is ours.
const OURS: &str = "neargate";
/// The period that a CPU limit counts by, in microseconds: the kernel's and Docker's default.
const CPU_PERIOD_US: u64 = 100_000;
/// CPU units of one processor.
const UNITS_PER_CPU: u64 = 1_024;

/// Which of the kernel's two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Who makes the groups of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Cgroupfs,
    Systemd,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    /// `memory`, `cpu`, …; none for cgroup v2, which has them all.
    controllers: Vec<String>,
    root: PathBuf,
}

/// Where groups are on this machine, and how they are written.
#[derive(Clone, Debug)]
struct Tree {
    version: Version,
    driver: Driver,
    hierarchies: Vec<Hierarchy>,
}

/// This machine.
pub struct LocalHost {
    proc: PathBuf,
    /// Or why there is none, in one sentence.
    tree: Result<Arc<Tree>, String>,
    /// The engine's own; or why its files are not those that are seen here.
    engine_files: Result<Vec<PathBuf>, String>,
}

/// Whether an engine that says so of itself runs on this machine: the same kernel, and the same memory to the
/// byte. A virtual machine, as Docker Desktop has one, and a daemon behind a forwarded socket differ.
pub fn is_this_machine(kernel: &str, memory_bytes: u64) -> bool {
    runs_here(Path::new("/proc"), kernel, memory_bytes)
}

fn runs_here(proc: &Path, kernel: &str, memory_bytes: u64) -> bool {
    let own_kernel = read(&proc.join("sys/kernel/osrelease")).unwrap_or_default();
    let own_memory = read(&proc.join("meminfo")).ok().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1_024)
    });
    !kernel.is_empty() && own_kernel == kernel && own_memory == Some(memory_bytes)
}

impl LocalHost {
    /// This machine, for an engine that says that it uses cgroups of `version` (`1` or `2`) by `driver`
    /// (`cgroupfs` or `systemd`).
    pub fn new(version: &str, driver: &str) -> Self {
        Self::below(Path::new("/proc"), version, driver)
    }

    fn below(proc: &Path, version: &str, driver: &str) -> Self {
        let tree = read(&proc.join("self/mountinfo"))
            .map_err(|error| format!("the mounted cgroups cannot be listed: {error}"))
            .and_then(|mounts| Tree::new(&mounts, version, driver));
        Self {
            proc: proc.to_owned(),
            tree: tree.map(Arc::new),
            engine_files: Err("nobody has looked which files the engine sees".to_owned()),
        }
    }

    /// The same, where it is known which of its files are the engine's, or why the engine does not see the same.
    #[must_use]
    pub fn with_files(self, engine_files: Result<Vec<PathBuf>, String>) -> Self {
        Self {
            engine_files,
            ..self
        }
    }

    /// Does what may take some milliseconds where it holds nobody up.
    async fn with<T: Send + 'static>(
        &self,
        group: &Group,
        work: impl FnOnce(&Tree, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let tree = Arc::clone(self.tree.as_ref().map_err(Clone::clone)?);
        let path = tree.path(group);
        let work = move || {
            let told = |error| format!("the cgroup /{} cannot be used: {error}", path.display());
            work(&tree, &path).map_err(told)
        };
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// Where `path`, of any kind, leads to; where its folder does, if it is not there.
fn real(path: &Path) -> PathBuf {
    let folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let resolved = path.canonicalize().ok().or_else(folder);
    resolved.unwrap_or_else(|| path.to_owned())
}

/// Where `path` leads to.
fn resolve(path: &Path) -> Result<PathBuf, String> {
    let told = |error: io::Error| match error.kind() {
        ErrorKind::NotFound => format!("{} does not exist on the engine's host", path.display()),
        _ => format!("{} cannot be looked at: {error}", path.display()),
    };
    let resolved = path.canonicalize().map_err(told)?;
    let kind = fs::metadata(&resolved).map_err(told)?;
    if kind.is_dir() || kind.is_file() {
        return Ok(resolved);
    }
    Err(format!(
        "{} is neither a folder nor a plain file",
        path.display()
    ))
}

const fn number_of(signal: ExecSignal) -> Signal {
    match signal {
        ExecSignal::HangUp => Signal::HUP,
        ExecSignal::Interrupt => Signal::INT,
        ExecSignal::Quit => Signal::QUIT,
        ExecSignal::Terminate => Signal::TERM,
        ExecSignal::Kill => Signal::KILL,
    }
}

impl LocalHost {
    /// A handle of a process of the container with that ID; `None` when it is not there. It is held before it is looked at, so
    /// that its number cannot be given to another in between. Says why not in one sentence, when it is another's.
    fn process(&self, container: &str, pid: u32) -> Result<Option<OwnedFd>, String> {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let handle = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(format!("process {pid} cannot be held: {error}")),
        };
        let Ok(groups) = read(&self.proc.join(pid.to_string()).join("cgroup")) else {
            return Ok(None);
        };
        if container.is_empty() || !groups.contains(container) {
            return Err(format!(
                "process {pid} is not seen as one of the container: Neargate may run in a PID namespace of its own"
            ));
        }
        Ok(Some(handle))
    }
}

#[async_trait]
impl Host for LocalHost {
    fn boot_id(&self) -> Option<String> {
        read(&self.proc.join("sys/kernel/random/boot_id")).ok()
    }

    fn parent(&self, group: &Group) -> String {
        match self.tree.as_ref().map(|tree| tree.driver) {
            Ok(Driver::Systemd) => slice(group),
            Ok(Driver::Cgroupfs) | Err(_) => {
                format!("/{OURS}/{}/{}", group.instance, group.name)
            }
        }
    }

    async fn hold(&self, group: &Group, limits: GroupLimits) -> Result<(), String> {
        self.with(group, move |tree, path| match tree.driver {
            Driver::Cgroupfs => tree.hold(path, limits),
            Driver::Systemd if tree.is_there(path) => tree.write(path, limits),
            Driver::Systemd => Ok(()),
        })
        .await
    }

    async fn settle(&self, group: &Group, limits: GroupLimits) -> Result<(), String> {
        if matches!(&self.tree, Ok(tree) if tree.driver == Driver::Cgroupfs) {
            return Ok(());
        }
        self.with(group, move |tree, path| tree.write(path, limits))
            .await
    }

    async fn resolve(&self, path: &Path) -> Result<PathBuf, String> {
        self.engine_files.as_ref().map_err(Clone::clone)?;
        let path = path.to_owned();
        let look = move || resolve(&path);
        tokio::task::spawn_blocking(look)
            .await
            .unwrap_or_else(|error| Err(error.to_string()))
    }

    fn engine_files(&self) -> Vec<PathBuf> {
        let files = self.engine_files.iter().flatten();
        files.map(|path| real(path)).collect()
    }

    async fn is_in(&self, group: &Group, pid: u32) -> Option<bool> {
        let tree = self.tree.as_ref().ok()?;
        let text = read(&self.proc.join(pid.to_string()).join("cgroup")).ok()?;
        Some(tree.names(&text, &tree.path(group)))
    }

    async fn signal(&self, container: &str, pid: u32, signal: ExecSignal) -> Result<(), String> {
        let Some(handle) = self.process(container, pid)? else {
            return Ok(());
        };
        match pidfd_send_signal(&handle, number_of(signal)) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(format!("process {pid} cannot be signalled: {error}")),
        }
    }

    /// One that is not there may be in a PID namespace that is not seen from here.
    async fn has_ended(&self, container: &str, pid: u32) -> bool {
        let Ok(Some(handle)) = self.process(container, pid) else {
            return false;
        };
        // The kernel says so by letting the handle be read (pidfd_open(2)).
        #[expect(
            deprecated,
            reason = "what takes its place is unsafe for the sake of types that are no owner of their descriptor; this one is"
        )]
        match AsyncFd::with_interest(handle, Interest::READABLE) {
            Ok(handle) => handle.readable().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn oom_kills(&self, group: &Group) -> u64 {
        let counted = self
            .with(group, |tree, path| Ok(tree.oom_kills(path)))
            .await;
        counted.unwrap_or_default()
    }

    async fn uses(&self, groups: Vec<Group>, look: Look) -> Vec<Option<GroupUse>> {
        let Ok(tree) = &self.tree else {
            return vec![None; groups.len()];
        };
        let (tree, count) = (Arc::clone(tree), groups.len());
        let read = move || {
            let mut buffer = Vec::new();
            let of = |group: &Group| tree.use_of(&tree.path(group), look, &mut buffer);
            groups.iter().map(of).collect()
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| vec![None; count])
    }

    async fn traffic(&self, container: &str, pid: u32) -> Option<Traffic> {
        let process = self.proc.join(pid.to_string());
        let text = read(&process.join("net/dev")).ok()?;
        // Asked after that: the number may have been given to another process in between.
        let groups = read(&process.join("cgroup")).ok()?;
        (!container.is_empty() && groups.contains(container)).then(|| measure::traffic(&text))
    }

    async fn remove(&self, group: &Group) -> Result<(), String> {
        if self.tree.is_err() {
            return Ok(());
        }
        self.with(group, |tree, path| {
            let mut below = tree.hierarchies.iter().map(|one| one.root.join(path));
            below.try_for_each(|folder| remove_groups(&folder))
        })
        .await
    }

    async fn groups(&self, instance: &InstanceId) -> Vec<Group> {
        let Ok(tree) = &self.tree else {
            return Vec::new();
        };
        let (tree, instance) = (Arc::clone(tree), instance.clone());
        let list = move || tree.groups(&instance);
        tokio::task::spawn_blocking(list).await.unwrap_or_default()
    }

    async fn forget(&self, instance: &InstanceId) {
        let Ok(tree) = &self.tree else { return };
        let above = tree.above(instance);
        for hierarchy in &tree.hierarchies {
            // The kernel refuses to remove what is still in use.
            for folder in above
                .ancestors()
                .filter(|path| !path.as_os_str().is_empty())
            {
                let _ = fs::remove_dir(hierarchy.root.join(folder));
            }
        }
    }
}

impl Tree {
    fn new(mounts: &str, version: &str, driver: &str) -> Result<Self, String> {
        let version = match version {
            "1" => Version::V1,
            "2" => Version::V2,
            other => {
                return Err(format!(
                    "the engine's cgroup version `{other}` is not known"
                ));
            }
        };
        let driver = match driver {
            "cgroupfs" => Driver::Cgroupfs,
            "systemd" => Driver::Systemd,
            other => {
                return Err(format!(
                    "the engine's cgroup driver `{other}` makes no groups"
                ));
            }
        };
        let tree = Self {
            version,
            driver,
            hierarchies: hierarchies(mounts),
        };
        for controller in ["memory", "cpu"] {
            if tree.of(controller).is_none() {
                return Err(format!("the cgroups of {controller} are not mounted here"));
            }
        }
        Ok(tree)
    }

    /// The hierarchy that has a controller.
    fn of(&self, controller: &str) -> Option<&Path> {
        self.hierarchies
            .iter()
            .find(|one| match self.version {
                Version::V1 => one.controllers.iter().any(|name| name == controller),
                Version::V2 => one.controllers.is_empty(),
            })
            .map(|one| one.root.as_path())
    }

    /// Where an instance's groups are, below the root of a hierarchy.
    fn above(&self, instance: &InstanceId) -> PathBuf {
        match self.driver {
            Driver::Cgroupfs => Path::new(OURS).join(instance.as_str()),
            Driver::Systemd => {
                Path::new(&format!("{OURS}.slice")).join(format!("{OURS}-{instance}.slice"))
            }
        }
    }

    /// Where a group is, below the root of a hierarchy.
    fn path(&self, group: &Group) -> PathBuf {
        self.above(&group.instance).join(match self.driver {
            Driver::Cgroupfs => group.name.clone(),
            Driver::Systemd => slice(group),
        })
    }

    fn groups(&self, instance: &InstanceId) -> Vec<Group> {
        let above = self.above(instance);
        let folder = self.of("memory").map(|root| root.join(above));
        let entries = folder.and_then(|folder| fs::read_dir(folder).ok());
        let names = entries.into_iter().flatten().filter_map(|entry| {
            let entry = entry.ok()?;
            let is_group = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let name = entry.file_name().into_string().ok().filter(|_| is_group)?;
            match self.driver {
                Driver::Cgroupfs => Some(name),
                Driver::Systemd => {
                    let prefix = format!("{OURS}-{instance}-");
                    let bare = name.strip_prefix(&prefix)?.strip_suffix(".slice")?;
                    Some(bare.to_owned())
                }
            }
        });
        let group = |name| Group {
            instance: instance.clone(),
            name,
        };
        names.map(group).collect()
    }

    fn is_there(&self, path: &Path) -> bool {
        self.of("memory")
            .is_some_and(|root| root.join(path).is_dir())
    }

    /// Makes a group and writes its limits.
    fn hold(&self, path: &Path, limits: GroupLimits) -> io::Result<()> {
        match self.version {
            Version::V1 => {
                for controller in ["memory", "cpu", "pids"] {
                    let Some(root) = self.of(controller) else {
                        continue;
                    };
                    if controller == "memory" {
                        count_what_is_below(root)?;
                    }
                    fs::create_dir_all(root.join(path))?;
                }
            }
            Version::V2 => {
                let Some(root) = self.of("memory") else {
                    return Err(ErrorKind::NotFound.into());
                };
                let mut folder = root.to_owned();
                for part in path {
                    turn_on_controllers(&folder)?;
                    folder.push(part);
                    make(&folder)?;
                }
                turn_on_controllers(&folder)?;
            }
        }
        self.write(path, limits)
    }

    /// Writes the limits of a group that is there.
    fn write(&self, path: &Path, limits: GroupLimits) -> io::Result<()> {
        let bytes = limits.memory.as_bytes().to_string();
        let units = u64::from(limits.cpu.0);
        let quota = (units * CPU_PERIOD_US / UNITS_PER_CPU).max(1_000);
        let shares = units.max(2);
        let pids = limits.pids.to_string();
        // The hard ones must be there, the others are written where the kernel has them.
        let files: &[(&str, &str, bool, String)] = &match self.version {
            Version::V1 => [
                ("memory", "memory.limit_in_bytes", true, bytes.clone()),
                ("memory", "memory.memsw.limit_in_bytes", false, bytes),
                ("cpu", "cpu.cfs_period_us", true, CPU_PERIOD_US.to_string()),
                ("cpu", "cpu.cfs_quota_us", true, quota.to_string()),
                ("cpu", "cpu.shares", false, shares.to_string()),
                ("pids", "pids.max", false, pids),
            ],
            Version::V2 => [
                ("memory", "memory.max", true, bytes),
                ("memory", "memory.swap.max", false, "0".to_owned()),
                ("cpu", "cpu.max", true, format!("{quota} {CPU_PERIOD_US}")),
                ("cpu", "cpu.weight", false, weight(shares).to_string()),
                ("pids", "pids.max", false, pids),
                // A container whose process is killed ends by itself; the others go on.
                ("memory", "memory.oom.group", false, "0".to_owned()),
            ],
        };
        for (controller, name, must, value) in files {
            let file = self.of(controller).map(|root| root.join(path).join(name));
            let written = match file {
                Some(file) => write_existing(&file, value),
                None => Err(ErrorKind::NotFound.into()),
            };
            if let Err(error) = written
                && (*must || error.kind() != ErrorKind::NotFound)
            {
                return Err(io::Error::new(error.kind(), format!("{name}: {error}")));
            }
        }
        Ok(())
    }

    /// Whether `/proc/<pid>/cgroup` names the group at `path`, or one below it.
    fn names(&self, text: &str, path: &Path) -> bool {
        let wanted = Path::new("/").join(path);
        text.lines().any(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(place)) = (parts.next(), parts.next()) else {
                return false;
            };
            let is_memory = match self.version {
                Version::V1 => controllers.split(',').any(|name| name == "memory"),
                Version::V2 => controllers.is_empty(),
            };
            is_memory && Path::new(place).starts_with(&wanted)
        })
    }

    fn oom_kills(&self, path: &Path) -> u64 {
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = self
            .of("memory")
            .and_then(|root| read(&root.join(path).join(file)).ok());
        text.and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("oom_kill "))?;
            line.trim().parse().ok()
        })
        .unwrap_or_default()
    }
}

/// Whole hierarchies only: of one that is mounted from somewhere below its root, the paths here and the
/// engine's would not be the same.
///
/// Source: proc(5), `/proc/[pid]/mountinfo`.
fn hierarchies(mounts: &str) -> Vec<Hierarchy> {
    const CONTROLLERS: [&str; 13] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
    ];
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        let mount: Vec<&str> = mount.split(' ').collect();
        let kind: Vec<&str> = kind.split(' ').collect();
        let (Some(&"/"), Some(root), Some(&"cgroup" | &"cgroup2"), Some(options)) =
            (mount.get(3), mount.get(4), kind.first(), kind.get(2))
        else {
            continue;
        };
        let controllers: Vec<String> = options
            .split(',')
            .filter(|word| CONTROLLERS.contains(word) || word.starts_with("name="))
            .map(str::to_owned)
            .collect();
        if !found.iter().any(|one| one.controllers == controllers) {
            found.push(Hierarchy {
                controllers,
                root: PathBuf::from(root),
            });
        }
    }
    found
}

/// systemd reads a slice's place from its name: each hyphen is a step down.
fn slice(group: &Group) -> String {
    format!("{OURS}-{}-{}.slice", group.instance, group.name)
}

/// cgroup v2's weight, 1 to 10,000, for v1's shares, 2 to 262,144: as runc turns one into the other.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

/// Old kernels do not count what is below a group unless they are told to, before there is anything below.
fn count_what_is_below(root: &Path) -> io::Result<()> {
    let folder = root.join(OURS);
    make(&folder)?;
    let file = folder.join("memory.use_hierarchy");
    match read(&file) {
        Ok(value) if value == "0" => write_existing(&file, "1"),
        _ => Ok(()),
    }
}

/// Lets groups below `folder` have limits.
fn turn_on_controllers(folder: &Path) -> io::Result<()> {
    let file = folder.join("cgroup.subtree_control");
    let on = read(&file)?;
    let on: Vec<&str> = on.split_whitespace().collect();
    for (controller, must) in [
        ("memory", true),
        ("cpu", true),
        ("io", false),
        ("pids", false),
    ] {
        if on.contains(&controller) {
            continue;
        }
        let turned_on = write_existing(&file, &format!("+{controller}"));
        if must {
            turned_on?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A group's files come and go with it: none is ever created.
fn write_existing(file: &Path, value: &str) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).open(file)?;
    file.write_all(value.as_bytes())
}

/// Removes a group and those below it. The kernel refuses where something still runs.
fn remove_groups(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read(file: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(file)?.trim().to_owned())
}

#[cfg(test)]
mod tests;
