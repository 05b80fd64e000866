//! A simulated engine: the Docker adapter over a model of a Docker daemon, in this process.
//!
//! It is what `serve --engine sim` runs on and what the simulation proof stands on. The model behaves as
//! the real daemon does, misbehaves when it is told to ([`Fault`], [`CallFault`]), and tells afterwards what
//! it was asked ([`SimDaemon::calls`]) and what it has ([`SimDaemon::snapshot`]). It must never run anything,
//! fetch anything, ask the system's clock or draw a random number: the same calls at the same times give the
//! same world, byte for byte.
//!
//! # Conventions that users of the simulated engine see
//!
//! Images. Every well-formed name can be pulled, in 1 to 5 layers that its hash decides, except:
//!
//! | name | what happens |
//! | --- | --- |
//! | `missing/…`, or the tag `missing` | `manifest unknown` |
//! | `denied/…` | `pull access denied` |
//! | `limited/…` | `toomanyrequests` |
//! | `localhost:1/…` | `connection refused` |
//! | `slow/…` | layers take ten times as long |
//! | `stalled/…` | nothing ever comes |
//! | `broken/…` | the connection breaks after the first layer |
//!
//! (With a registry before it, `registry.example/missing/…` is the same.) Images that are loaded from a tar
//! keep the entry point, command, environment and stop signal of their configuration.
//!
//! Processes. An image whose repository ends in `workload` is the sample workload of `docker/workload`, and
//! its commands do here what they do there: `serve`, `exit`, `sleep`, `ignore-sigterm`, `burn-cpu`,
//! `allocate` (killed for its memory, exit 137, when that is not below the container's limit), `log`, `env`,
//! `id`. Any other image runs, silently, until a signal ends it with 128 and the signal. The executable
//! `/does-not-exist` is in no image, and the workload image has no other than `/workload`.
//!
//! Health checks. In the workload image, `/workload health` and `/workload fail-health` do what they do
//! there (and a `CMD-SHELL` fails: there is no shell). In other images `exit N`, `false` and `sleep SECONDS`
//! mean what they say and every other command is healthy.
//!
//! Folders of the host. Every path is a folder, and no symlink, unless a part of it is `missing`.
//!
//! # What is not modelled
//!
//! Traffic, file systems, users and capabilities; CPU contention; what a cgroup around several containers
//! holds them to (that it is there is modelled, with the `cgroupfs` driver); statistics; exec except for
//! health checks; restart policies and `AutoRemove`, which Neargate never uses.

mod clock;
mod daemon;
mod exec;
mod faults;
mod host;
mod image;
mod model;
mod program;
mod streams;
mod view;
mod workload;

#[cfg(test)]
mod tests;

pub use clock::{ManualClock, SimClock};
pub use daemon::SimDaemon;
pub use faults::{CallFault, CallKind, Fault, RebootExit};
pub use view::{
    Call, ContainerSnapshot, Effect, GroupSnapshot, NetworkSnapshot, Outcome, Snapshot, Touched,
    VolumeSnapshot,
};

use super::docker::daemon::DaemonInfo;

/// What a simulated daemon is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimConfig {
    /// Who it says it is, and how large its host is.
    pub info: DaemonInfo,
    /// From a call to its effect.
    pub call_latency_ms: u32,
    /// How long a caller waits for an answer.
    pub call_deadline_ms: u32,
    /// From one layer of an image to the next.
    pub layer_ms: u32,
    /// How many containers fit on one network.
    pub addresses_per_network: u32,
    /// How many calls are remembered.
    pub calls_kept: usize,
}

impl Default for SimConfig {
    /// A host with 8 processors and 32 GiB whose daemon answers at once and pulls a layer in 100 ms.
    fn default() -> Self {
        Self {
            info: DaemonInfo {
                version: "28.0.0".to_owned(),
                api_version: "1.48".to_owned(),
                host: "sim".to_owned(),
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                runtimes: ["runc".to_owned(), "runsc".to_owned()].into(),
                cpus: 8,
                memory_bytes: 32 * 1024 * 1024 * 1024,
                cgroup_version: "2".to_owned(),
                cgroup_driver: "none".to_owned(),
            },
            call_latency_ms: 0,
            call_deadline_ms: 10_000,
            layer_ms: 100,
            addresses_per_network: 1_021,
            calls_kept: 4_096,
        }
    }
}
