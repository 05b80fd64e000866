//! What is said of the engine: its version, its storage, cgroups, runtimes, addresses, and its disk.

use super::Said;
use crate::cli::top::size;
use crate::domain::{DaemonFacts, EngineFacts, Machine};

/// The oldest API of Docker's that Neargate is tested with: 20.10's.
const TESTED_API: (u32, u32) = (1, 41);
/// Storage drivers that make a container without copying its image.
const GOOD_STORAGE: [&str; 5] = ["overlay2", "overlayfs", "fuse-overlayfs", "btrfs", "zfs"];
/// Less than this where the engine keeps images, and hardly any can be pulled.
const LEAST_IMAGE_BYTES: u64 = 512 << 20;
const FEW_IMAGE_BYTES: u64 = 5 << 30;
/// Networks of clusters that there is still room for.
const FEW_NETWORKS: u64 = 4;

impl Said {
    pub(super) fn engine(&mut self, machine: &Machine) {
        match &machine.engine {
            EngineFacts::Simulated => self.ok("engine", "simulated: nothing really runs"),
            EngineFacts::Away(trouble) => {
                let hint = trouble.hint.as_deref();
                self.fail(
                    "engine",
                    &trouble.fact,
                    hint.unwrap_or("systemctl start docker, or name another with --docker-host"),
                );
            }
            EngineFacts::Answers(daemon) => {
                self.version(daemon);
                self.storage(daemon);
                self.restarts(daemon);
                self.cgroups(daemon);
                self.runtimes(daemon, machine);
                self.addresses(daemon, machine);
                self.image_disk(daemon);
            }
        }
    }

    fn version(&mut self, daemon: &DaemonFacts) {
        let text = format!(
            "Docker {}, API {}, {} CPUs, {}",
            daemon.version,
            daemon.api_version,
            daemon.cpus,
            size(daemon.memory_bytes)
        );
        if daemon.os != "linux" {
            self.fail(
                "engine",
                format!("{text}, for containers of {}", daemon.os),
                "use an engine that runs Linux containers",
            );
        } else if api(&daemon.api_version).is_none_or(|api| api < TESTED_API) {
            self.warn(
                "engine",
                format!("{text}: older than all that Neargate is tested with"),
                "install Docker 20.10 or newer",
            );
        } else {
            self.ok("engine", text);
        }
    }

    fn storage(&mut self, daemon: &DaemonFacts) {
        let driver = &daemon.storage_driver;
        if GOOD_STORAGE.contains(&driver.as_str()) {
            self.ok("storage", driver);
        } else {
            self.warn(
                "storage",
                format!("{driver}: containers start slowly and take much room"),
                "\"storage-driver\": \"overlay2\" in /etc/docker/daemon.json; images are pulled again then",
            );
        }
    }

    fn restarts(&mut self, daemon: &DaemonFacts) {
        if daemon.live_restore {
            self.ok(
                "live-restore",
                "on: tasks go on while the engine is restarted",
            );
        } else {
            self.warn(
                "live-restore",
                "off: a restart of the engine ends all tasks",
                "\"live-restore\": true in /etc/docker/daemon.json, then systemctl reload docker",
            );
        }
    }

    fn cgroups(&mut self, daemon: &DaemonFacts) {
        let which = format!(
            "v{}, driver {}",
            daemon.cgroup_version, daemon.cgroup_driver
        );
        match &daemon.cgroups {
            Ok(()) => self.ok(
                "cgroups",
                format!("{which}: a task is held to its size as a whole"),
            ),
            Err(why) => self.warn(
                "cgroups",
                format!("{which}: a task's size is divided among its containers, because {why}"),
                "run neargate serve as root on the engine's machine, outside of a container",
            ),
        }
    }

    fn runtimes(&mut self, daemon: &DaemonFacts, machine: &Machine) {
        let all: Vec<&str> = daemon.runtimes.iter().map(String::as_str).collect();
        let all = all.join(", ");
        let missing = machine
            .cluster_runtimes
            .iter()
            .filter(|(_, runtime)| !daemon.runtimes.contains(runtime.as_str()));
        let before = self.0.len();
        for (cluster, runtime) in missing {
            self.fail(
                "runtimes",
                format!("cluster \"{cluster}\" is to use {runtime}, and the engine has only {all}"),
                format!(
                    "install {runtime} and name it in \"runtimes\" of /etc/docker/daemon.json, or take {cluster} out of \
                     cluster_runtimes"
                ),
            );
        }
        if self.0.len() == before {
            self.ok("runtimes", all);
        }
    }

    fn addresses(&mut self, daemon: &DaemonFacts, machine: &Machine) {
        let DaemonFacts {
            free_networks: free,
            cluster_networks: used,
            foreign_routes: routes,
            ..
        } = daemon;
        let mut text = format!(
            "{}: room for {free} more networks of clusters; there are {used}",
            machine.address_pool
        );
        if !routes.is_empty() {
            let routes: Vec<String> = routes.iter().map(ToString::to_string).collect();
            text = format!(
                "{text}; this machine has other routes into it: {}",
                routes.join(", ")
            );
        }
        let hint = "name addresses that nobody else uses: address_pool = \"10.64.0.0/16\" in the configuration";
        if *free == 0 && *used == 0 {
            self.fail("addresses", text, hint);
        } else if *free < FEW_NETWORKS || !routes.is_empty() {
            self.warn("addresses", text, hint);
        } else {
            self.ok("addresses", text);
        }
    }

    fn image_disk(&mut self, daemon: &DaemonFacts) {
        let (Some(root), Some(space)) = (&daemon.root, daemon.root_space) else {
            return;
        };
        self.disk(
            &format!("the engine's folder {}", root.display()),
            space,
            (LEAST_IMAGE_BYTES, FEW_IMAGE_BYTES),
            "docker system df says what takes it; docker image prune, or image_cleanup_unused_hours in the \
             configuration for what Neargate has pulled",
        );
    }
}

/// `1.41` as a pair.
fn api(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
