//! Holds tasks to their size: by a cgroup around all containers of a task where that is possible, by limits
//! of each container otherwise.
//!
//! Whether it is possible is not believed but tried: a sandbox that nobody else uses is started in a group of
//! its own, and its process is looked for in there. That is done once for each connection to the engine, since
//! another engine may have come up behind the same address. The sandboxes of tasks stay outside: one that is
//! warm was made before anybody knew its task, and a process that only waits uses nothing.

use std::sync::Arc;

use super::DockerEngine;
use super::daemon::{ContainerInspect, ContainerSpec};
use super::host::{Group, GroupLimits, Host, KnownHost, PROBE};
use super::names::LABEL_BOOT;
use super::spread::{spread, whole};
use super::translate::{self, HostFacts, PIDS_LIMIT};
use crate::domain::{
    ContainerDefinition, ContainerName, ContainerObservation, ContainerState, CpuUnits,
    DEFAULT_CLUSTER, LimitsEnforcedBy, MemoryMib,
};
use crate::engine::{EngineError, Order};

/// What the probe may use.
const PROBE_LIMITS: GroupLimits = GroupLimits {
    cpu: CpuUnits(256),
    memory: MemoryMib(64),
    pids: 64,
};
/// The exit code of what SIGKILL has ended.
pub(super) const KILLED: i64 = 137;

/// A task's group, and who holds it.
pub(super) struct Hold {
    host: Arc<dyn Host>,
    group: Group,
    limits: GroupLimits,
}

impl Hold {
    /// Before something is started in it.
    pub(super) async fn before_start(&self) -> Result<(), EngineError> {
        let held = self.host.hold(&self.group, self.limits).await;
        held.map_err(EngineError::Failed)
    }

    /// After something was started in it.
    pub(super) async fn after_start(&self) -> Result<(), EngineError> {
        let settled = self.host.settle(&self.group, self.limits).await;
        settled.map_err(EngineError::Failed)
    }
}

impl DockerEngine {
    /// The group that holds the containers of a task; `None` where each container is held on its own.
    pub(super) async fn hold(&self, order: &Order) -> Result<Option<Hold>, EngineError> {
        let Some(size) = order.spec.size else {
            return Ok(None);
        };
        let group = self.names.group(order.task_id.as_str());
        Ok(self.limiter().await?.map(|host| Hold {
            host,
            group,
            limits: whole(size, PIDS_LIMIT),
        }))
    }

    /// Gives a container of a task its limits, and notes under which start of the host it was created.
    pub(super) async fn restrict(
        &self,
        order: &Order,
        facts: &HostFacts,
        definition: &ContainerDefinition,
        spec: &mut ContainerSpec,
    ) -> Result<LimitsEnforcedBy, EngineError> {
        if let Some(boot) = self.boot_id().await? {
            spec.labels.insert(LABEL_BOOT.to_owned(), boot);
        }
        if let Some(hold) = self.hold(order).await? {
            spec.cgroup_parent = Some(hold.host.parent(&hold.group));
            return Ok(LimitsEnforcedBy::TaskCgroup);
        }
        if let Some(size) = order.spec.size {
            let containers = &order.spec.containers;
            let shares = spread(size, facts.cpus, containers);
            let own = containers
                .iter()
                .zip(shares)
                .find(|(container, _)| container.name == definition.name);
            if let Some((_, share)) = own {
                spec.nano_cpus = translate::nanos(share.cpu);
                spec.memory_bytes = share.memory.as_bytes();
                spec.memory_reservation_bytes =
                    spec.memory_reservation_bytes.min(spec.memory_bytes);
            }
        }
        Ok(LimitsEnforcedBy::Containers)
    }

    /// What holds a container that is there.
    pub(super) async fn enforced_by(
        &self,
        order: &Order,
        inspect: &ContainerInspect,
    ) -> Result<LimitsEnforcedBy, EngineError> {
        Ok(match self.group_of(order, inspect).await? {
            Some(_) => LimitsEnforcedBy::TaskCgroup,
            None => LimitsEnforcedBy::Containers,
        })
    }

    /// What is there of a container, with what the daemon itself does not know of its end.
    pub(super) async fn look_closer(
        &self,
        order: &Order,
        name: &ContainerName,
        inspect: &ContainerInspect,
    ) -> Result<ContainerObservation, EngineError> {
        self.lives.saw(&order.task_id, inspect);
        self.watch_process(order, name, inspect).await?;
        let mut seen = self.observe_container(inspect, order.wall);
        let ContainerState::Exited {
            exit_code,
            oom_killed,
            ..
        } = &mut seen.state
        else {
            return Ok(seen);
        };
        if inspect.started_at.is_none() {
            return Ok(seen);
        }
        // Asked after the daemon was: what it says now cannot come from a later start of the host.
        let boot = self.boot_id().await?;
        let created_under = inspect.labels.get(LABEL_BOOT);
        if let (Some(now), Some(then)) = (&boot, created_under)
            && now != then
        {
            seen.state = ContainerState::Lost;
            return Ok(seen);
        }
        if let Some((host, group)) = self.group_of(order, inspect).await? {
            let ending = Ending {
                flagged: *oom_killed,
                killed: *exit_code == Some(KILLED),
                alone: order.spec.containers.len() == 1,
                told_to_stop: self.was_told_to_stop(order, name),
            };
            *oom_killed = ending.is_out_of_memory(|| host.oom_kills(&group)).await;
        }
        Ok(seen)
    }

    /// The group that a container is in, if it is the task's.
    async fn group_of(
        &self,
        order: &Order,
        inspect: &ContainerInspect,
    ) -> Result<Option<(Arc<dyn Host>, Group)>, EngineError> {
        let Some(parent) = &inspect.cgroup_parent else {
            return Ok(None);
        };
        let group = self.names.group(order.task_id.as_str());
        let host = self.daemon.host().await?;
        Ok(host
            .filter(|host| host.parent(&group) == *parent)
            .map(|host| (host, group)))
    }

    async fn boot_id(&self) -> Result<Option<String>, EngineError> {
        let host = self.daemon.host().await?;
        Ok(host.and_then(|host| host.boot_id()))
    }

    /// The host, if groups on it hold what the engine puts into them.
    async fn limiter(&self) -> Result<Option<Arc<dyn Host>>, EngineError> {
        let mut known = self.limiter.lock().await;
        if let KnownHost::Found(known) = &*known {
            return Ok(known.clone());
        }
        let limiter = match self.find_limiter().await? {
            Ok(host) => {
                tracing::info!("a cgroup around each task holds it to its size");
                Some(host)
            }
            Err(why) => {
                tracing::warn!(why, "the size of each task is spread over its containers");
                None
            }
        };
        *known = KnownHost::Found(limiter.clone());
        Ok(limiter)
    }

    /// Finds out early, so that the first task need not wait for it.
    pub(super) async fn find_limiter_anew(&self) {
        *self.limiter.lock().await = KnownHost::NotYet;
        if let Err(error) = self.limiter().await {
            tracing::debug!(%error, "whether cgroups hold is found out later");
        }
    }

    /// The host, or why its groups cannot be used; an error when nothing could be found out.
    async fn find_limiter(&self) -> Result<Result<Arc<dyn Host>, String>, EngineError> {
        let Some(host) = self.daemon.host().await? else {
            return Ok(Err("the engine does not run on this machine".to_owned()));
        };
        // A sweep that comes in between would take the probe for a warm sandbox that nobody can use, and its group for
        // one that was left over.
        let _making = self.making.lock().await;
        let group = self.names.group(PROBE);
        if let Err(why) = host.hold(&group, PROBE_LIMITS).await {
            return Ok(Err(why));
        }
        let holds = self.try_group(host.as_ref(), &group).await;
        if let Err(why) = host.remove(&group).await {
            tracing::debug!(why, "the cgroup of the probe stays for now");
        }
        Ok(holds?.map(|()| host))
    }

    async fn try_group(
        &self,
        host: &dyn Host,
        group: &Group,
    ) -> Result<Result<(), String>, EngineError> {
        match self.with_probe(Some((host, group))).await {
            Ok(found) => Ok(found),
            Err(error @ (EngineError::Away(_) | EngineError::Timeout { .. })) => Err(error),
            // If it does not start without the group either, that says nothing about the group.
            Err(error) => {
                let _ = self.with_probe(None).await?;
                Ok(Err(format!("the engine starts nothing in it: {error}")))
            }
        }
    }

    /// Starts a sandbox that nobody else uses, looks where it is, and removes it. By its name it is a warm
    /// one, so it is swept like those if this process ends before that.
    async fn with_probe(
        &self,
        place: Option<(&dyn Host, &Group)>,
    ) -> Result<Result<(), String>, EngineError> {
        let facts = self.prepared().await?;
        let name = self.names.warm(self.ids.next_id());
        let spec = ContainerSpec {
            network_mode: "none".to_owned(),
            cgroup_parent: place.map(|(host, group)| host.parent(group)),
            ..translate::warm_sandbox(&self.names, &facts, DEFAULT_CLUSTER, name)
        };
        let started = self.create_and_start(&spec, |_| true).await;
        let found = match (&started, place) {
            (Ok(inspect), Some((host, group))) => self.is_held(host, group, inspect).await,
            _ => Ok(Ok(())),
        };
        if let Err(error) = self.daemon.remove_container(&spec.name).await {
            tracing::debug!(%error, "the probe stays for now");
        }
        started?;
        found
    }

    async fn is_held(
        &self,
        host: &dyn Host,
        group: &Group,
        inspect: &ContainerInspect,
    ) -> Result<Result<(), String>, EngineError> {
        if let Err(why) = host.settle(group, PROBE_LIMITS).await {
            return Ok(Err(why));
        }
        let is_in = match inspect.pid {
            Some(pid) => host.is_in(group, pid).await,
            None => None,
        };
        if is_in == Some(true) {
            return Ok(Ok(()));
        }
        let again = self.daemon.inspect_container(&inspect.id).await?;
        if again.is_none_or(|again| again.status != "running") {
            let why = "somebody else ended the probe".to_owned();
            return Err(EngineError::Failed(why));
        }
        Ok(Err(
            "the engine does not put its containers into the cgroups of this machine".to_owned(),
        ))
    }
}

/// What is known of the end of a container in a task's group.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are facts, each by itself"
)]
#[derive(Clone, Copy, Debug)]
struct Ending {
    /// The daemon says that it was the memory. With cgroup v1 it says so of every container of the group, since
    /// the kernel tells all of them when one is killed for the group's limit.
    flagged: bool,
    /// By SIGKILL.
    killed: bool,
    /// It is the only container of its task.
    alone: bool,
    /// It was Neargate that wanted it to end.
    told_to_stop: bool,
}

impl Ending {
    async fn is_out_of_memory<F>(self, group_kills: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = u64>,
    {
        if self.flagged && self.alone {
            return true;
        }
        self.killed && !self.told_to_stop && (self.flagged || group_kills().await > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn says(flagged: bool, killed: bool, told_to_stop: bool, group_kills: u64) -> bool {
        let ending = Ending {
            flagged,
            killed,
            alone: false,
            told_to_stop,
        };
        ending.is_out_of_memory(async || group_kills).await
    }

    #[tokio::test]
    async fn only_what_was_killed_ran_out_of_memory() {
        assert!(says(true, true, false, 0).await);
        assert!(says(false, true, false, 1).await, "the daemon missed it");
        assert!(!says(false, true, false, 0).await, "somebody's SIGKILL");
        assert!(!says(true, false, false, 1).await, "it was another one");
        assert!(!says(true, true, true, 1).await, "it did not heed SIGTERM");
    }

    #[tokio::test]
    async fn of_a_container_alone_the_daemon_is_believed() {
        let child_was_killed = Ending {
            flagged: true,
            killed: false,
            alone: true,
            told_to_stop: false,
        };
        assert!(child_was_killed.is_out_of_memory(async || 0).await);
    }
}
