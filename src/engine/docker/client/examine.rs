//! What `neargate doctor` wants to know of a daemon: looked at once, before any server runs.
//!
//! Nothing is left behind: the one thing that is made, a cgroup to find out whether groups may be made, is removed at once.

use crate::domain::{CpuUnits, DaemonFacts, IdSource, InstanceId, MemoryMib, Subnet, TimestampMs};
use crate::engine::EngineError;
use crate::engine::docker::daemon::Daemon as _;
use crate::engine::docker::host::{Group, GroupLimits, PROBE};
use crate::engine::docker::names::LABEL_INSTANCE;
use crate::plan::network::free_subnets;

use super::errors::{Call, Verb};
use super::{DockerClient, convert};

/// What the group that is tried may use.
const PROBE_LIMITS: GroupLimits = GroupLimits {
    cpu: CpuUnits(256),
    memory: MemoryMib(64),
    pids: 64,
};

impl DockerClient {
    /// Looks at the daemon and its machine. Networks of clusters would get their addresses from `pool`; `now` tells
    /// the time.
    pub async fn examine(
        &self,
        pool: Subnet,
        now: fn() -> TimestampMs,
        ids: &dyn IdSource,
    ) -> Result<DaemonFacts, EngineError> {
        let call = Call::new(Verb::Ask, "the engine how it is");
        let version = self
            .ask(&call, |docker| async move {
                Ok((docker.version().await?, docker.client_version()))
            })
            .await?;
        let (version, api_version) = version;
        let asked = now();
        let info = self
            .ask(&call, |docker| async move { docker.info().await })
            .await?;
        let took = now().since(asked).as_millis();
        let here = info.system_time.as_deref().and_then(convert::timestamp);
        let clock_ahead_ms = here.map(|theirs| theirs.as_millis() - asked.as_millis() - took / 2);
        let host = self.host().await?;
        let root = info.docker_root_dir.clone().map(Into::into);
        let root = root.filter(|_| host.is_some());
        let storage_driver = info.driver.clone().unwrap_or_default();
        let live_restore = info.live_restore_enabled.unwrap_or_default();
        let told = convert::daemon(version, info, api_version.to_string());
        let networks = self.list_networks().await?;
        let subnets: Vec<Subnet> = networks.iter().filter_map(|one| one.subnet).collect();
        let mut foreign_routes = self.routes();
        foreign_routes.retain(|route| route.overlaps(pool) && !subnets.contains(route));
        let taken = [subnets, foreign_routes.clone()].concat();
        let is_ours = |one: &&super::NetworkInspect| one.labels.contains_key(LABEL_INSTANCE);
        let cgroups = self.try_cgroup(&told.cgroup_driver, ids).await?;
        Ok(DaemonFacts {
            version: told.version,
            api_version: told.api_version,
            os: told.os,
            storage_driver,
            live_restore,
            cgroup_version: told.cgroup_version,
            cgroup_driver: told.cgroup_driver,
            cgroups,
            runtimes: told.runtimes,
            cpus: told.cpus,
            memory_bytes: told.memory_bytes,
            clock_ahead_ms,
            root,
            root_space: None,
            free_networks: free_subnets(pool, &taken).count() as u64,
            cluster_networks: networks.iter().filter(is_ours).count() as u64,
            foreign_routes,
        })
    }

    /// Whether a group can be made and held to limits. Where systemd makes the groups, there is none before something
    /// runs in it: then it counts whether its limits could be written.
    async fn try_cgroup(
        &self,
        driver: &str,
        ids: &dyn IdSource,
    ) -> Result<Result<(), String>, EngineError> {
        let Some(host) = self.host().await? else {
            return Ok(Err("the engine is not on this machine".to_owned()));
        };
        let group = Group {
            instance: InstanceId::generate(ids),
            name: PROBE.to_owned(),
        };
        let held = host.hold(&group, PROBE_LIMITS).await;
        let removed = host.remove(&group).await;
        host.forget(&group.instance).await;
        let held = held.and(removed);
        if driver == "systemd" && held.is_ok() && !rustix::process::geteuid().is_root() {
            return Ok(Err(
                "only root may write the limits of systemd's slices".to_owned()
            ));
        }
        Ok(held)
    }
}
