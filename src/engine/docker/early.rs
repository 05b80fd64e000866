//! Watches the processes of containers whose tasks somebody misses when they end: the daemon says so only when it has cleared
//! up after them, some 40 ms later, and half of a replacement can be done by then.
//!
//! It only ever saves time. Where processes cannot be watched (a daemon on another machine, a PID namespace of our own,
//! too many of them), the daemon's event tells the same.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;

use super::DockerEngine;
use super::daemon::ContainerInspect;
use crate::domain::ContainerName;
use crate::engine::{EngineError, Hint, Order};

/// Each watch holds a file open: a quarter of those that this process may have.
pub(super) fn watches() -> Semaphore {
    let may_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let watches = usize::try_from(may_open / 4).unwrap_or(usize::MAX);
    Semaphore::new(watches.min(Semaphore::MAX_PERMITS))
}

impl DockerEngine {
    /// Watches the process of a container that runs, if its end is the end of a task that is missed then.
    ///
    /// Not where the task has a port of the host of its own: whoever takes its place could not have that one yet.
    pub(super) async fn watch_process(
        &self,
        order: &Order,
        name: &ContainerName,
        inspect: &ContainerInspect,
    ) -> Result<(), EngineError> {
        let has_host_ports = || {
            let mut ports = order
                .spec
                .containers
                .iter()
                .flat_map(|one| &one.port_mappings);
            ports.any(|one| one.host_port.is_some())
        };
        let is_the_end = order
            .spec
            .container(name)
            .is_some_and(|one| one.essential && one.restart_policy.is_none());
        let Some(pid) = inspect
            .pid
            .filter(|_| order.is_missed && is_the_end && !has_host_ports())
        else {
            return Ok(());
        };
        if inspect.status != "running" || !self.lives.is_to_watch(&order.task_id, &inspect.id) {
            return Ok(());
        }
        let Some(host) = self.daemon.host().await? else {
            return Ok(());
        };
        let Ok(turn) = Arc::clone(&self.watches).try_acquire_owned() else {
            return Ok(());
        };
        let (lives, hints) = (Arc::clone(&self.lives), self.hints.clone());
        let (task, id) = (order.task_id.clone(), inspect.id.clone());
        tokio::spawn(async move {
            if host.has_ended(&id, pid).await {
                lives.process_is_gone(&task, &id);
                // Nobody listens while the daemon is away; then everything is looked at.
                let _ = hints.send(Hint::Task(task));
            }
            drop(turn);
        });
        Ok(())
    }
}
