//! What only Linux has: `linuxParameters`, `ulimits`, `systemControls`.

use crate::domain::{self, Faults, MemoryMib};
use crate::shapes::path;
use crate::shapes::{LinuxParameters, SystemControl, Tmpfs, Ulimit, UlimitName};

/// Options of tmpfs mounts that stay within the container. Bind and propagation options, which ECS allows
/// on its hosts, reach out of it.
const MOUNT_OPTIONS: [&str; 24] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "mode",
    "uid",
];
const MORE_MOUNT_OPTIONS: [&str; 4] = ["gid", "nr_inodes", "nr_blocks", "size"];

/// Kernel parameters beside `net.*` and `fs.mqueue.*` that every container has for itself.
/// Source: Docker documentation, `docker container run`, "Currently supported sysctls".
const OWN_PARAMETERS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The Linux parameters at `path`.
pub(super) fn parameters(
    parameters: Option<&LinuxParameters>,
    path: &str,
    faults: &mut Faults,
) -> domain::LinuxParameters {
    let Some(parameters) = parameters else {
        return domain::LinuxParameters::default();
    };
    let capabilities = parameters.capabilities.clone().unwrap_or_default();
    let add = capabilities.add.unwrap_or_default();
    let drop = capabilities.drop.unwrap_or_default();
    let here = path::field(path, "capabilities");
    for (field, names) in [("add", &add), ("drop", &drop)] {
        for (index, name) in names.iter().enumerate() {
            if !domain::is_capability(name) {
                faults.add_with_hint(
                    path::item(&path::field(&here, field), index),
                    format!("is {}, which is not a capability", path::quote(name)),
                    "write it in capitals and without CAP_, as NET_RAW or ALL",
                );
            }
        }
    }
    let tmpfs = parameters
        .tmpfs
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, mount)| {
            let here = path::item(&path::field(path, "tmpfs"), index);
            tmpfs(mount, &here, faults)
        });
    domain::LinuxParameters {
        init_process_enabled: parameters.init_process_enabled.unwrap_or(false),
        shared_memory_size: parameters.shared_memory_size.map(MemoryMib),
        tmpfs: tmpfs.collect(),
        add_capabilities: add,
        drop_capabilities: drop,
    }
}

fn tmpfs(mount: &Tmpfs, path: &str, faults: &mut Faults) -> domain::Tmpfs {
    absolute(
        &mount.container_path,
        &path::field(path, "containerPath"),
        faults,
    );
    let options = mount.mount_options.clone().unwrap_or_default();
    for (index, option) in options.iter().enumerate() {
        let name = option.split('=').next().unwrap_or_default();
        let known = MOUNT_OPTIONS.contains(&name) || MORE_MOUNT_OPTIONS.contains(&name);
        if !known || option.contains(',') {
            faults.add(
                path::item(&path::field(path, "mountOptions"), index),
                format!(
                    "is {}, which is not an option of tmpfs that can be used here",
                    path::quote(option)
                ),
            );
        }
    }
    domain::Tmpfs {
        container_path: mount.container_path.clone(),
        size: MemoryMib(mount.size),
        mount_options: options,
    }
}

/// Notes when `text` at `path` is not an absolute path.
pub(super) fn absolute(text: &str, path: &str, faults: &mut Faults) {
    if !text.starts_with('/') {
        faults.add(
            path,
            format!("is {}; it must be an absolute path", path::quote(text)),
        );
    } else if text.split('/').any(|part| part == "..") || text.contains([',', ':']) {
        faults.add(
            path,
            format!(
                "is {}; it may not contain `..`, commas or colons",
                path::quote(text)
            ),
        );
    }
}

/// The limits at `path`.
pub(super) fn ulimits(
    ulimits: Option<&Vec<Ulimit>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<domain::Ulimit> {
    let mut names = Vec::new();
    let mut limits = Vec::new();
    for (index, ulimit) in ulimits.into_iter().flatten().enumerate() {
        let here = path::item(path, index);
        let Some(name) = ulimit.name else { continue };
        let unlimited = ulimit.hard_limit == -1;
        if !unlimited && (ulimit.soft_limit == -1 || ulimit.soft_limit > ulimit.hard_limit) {
            faults.add(
                path::field(&here, "softLimit"),
                format!(
                    "is {}, beyond the hardLimit of {}",
                    ulimit.soft_limit, ulimit.hard_limit
                ),
            );
        }
        if names.contains(&name) {
            faults.add(
                path::field(&here, "name"),
                format!("is `{}`, which is there already", ulimit_name(name)),
            );
        }
        names.push(name);
        limits.push(domain::Ulimit {
            name: ulimit_name(name).to_owned(),
            soft_limit: ulimit.soft_limit,
            hard_limit: ulimit.hard_limit,
        });
    }
    limits
}

const fn ulimit_name(name: UlimitName) -> &'static str {
    match name {
        UlimitName::Core => "core",
        UlimitName::Cpu => "cpu",
        UlimitName::Data => "data",
        UlimitName::Fsize => "fsize",
        UlimitName::Locks => "locks",
        UlimitName::Memlock => "memlock",
        UlimitName::Msgqueue => "msgqueue",
        UlimitName::Nice => "nice",
        UlimitName::Nofile => "nofile",
        UlimitName::Nproc => "nproc",
        UlimitName::Rss => "rss",
        UlimitName::Rtprio => "rtprio",
        UlimitName::Rttime => "rttime",
        UlimitName::Sigpending => "sigpending",
        UlimitName::Stack => "stack",
    }
}

/// The kernel parameters at `path`.
pub(super) fn system_controls(
    controls: Option<&Vec<SystemControl>>,
    path: &str,
    faults: &mut Faults,
) -> Vec<domain::SystemControl> {
    let mut parsed = Vec::new();
    for (index, control) in controls.into_iter().flatten().enumerate() {
        let here = path::item(path, index);
        match control.namespace.as_deref() {
            None => faults.add(path::field(&here, "namespace"), "is missing"),
            Some(name) if !is_own_parameter(name) => faults.add_with_hint(
                path::field(&here, "namespace"),
                format!("is {}, which is a parameter of the whole host", path::quote(name)),
                "a task can set net.*, fs.mqueue.* and the kernel.msg*, kernel.sem and kernel.shm* parameters",
            ),
            Some(_) => {}
        }
        if control.value.is_none() {
            faults.add(path::field(&here, "value"), "is missing");
        }
        parsed.push(domain::SystemControl {
            namespace: control.namespace.clone().unwrap_or_default(),
            value: control.value.clone().unwrap_or_default(),
        });
    }
    parsed
}

fn is_own_parameter(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let family = ["net.", "fs.mqueue."].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty())
    });
    name.bytes().all(plain) && !name.contains("..") && (family || OWN_PARAMETERS.contains(&name))
}
