//! Warm sandboxes: network namespaces made ahead of need, because making one is the slow part of a launch.
//!
//! A warm sandbox is given to a task by renaming it, which the daemon itself makes durable: after a crash,
//! its name says whether it still waits or whose it is. It is never given to a second task.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::daemon::{ContainerInspect, ContainerSummary, Daemon};
use super::names::Names;
use crate::engine::EngineError;

/// The sandboxes that wait for a task.
#[derive(Default)]
pub struct Pool {
    waiting: Mutex<VecDeque<Warm>>,
}

/// A sandbox that waits for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// The daemon's ID of it.
    pub id: String,
    /// Its address on the network.
    pub address: Option<String>,
}

impl Pool {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Adds one.
    pub fn put(&self, warm: Warm) {
        self.lock().push_back(warm);
    }

    /// Forgets one that has ended.
    pub fn forget(&self, id: &str) {
        self.lock().retain(|warm| warm.id != id);
    }

    /// Forgets all of them: after the connection was lost, what the daemon lists is the truth.
    pub fn forget_all(&self) -> Vec<Warm> {
        self.lock().drain(..).collect()
    }

    /// Gives one to a task by renaming it to `name`; `None` when none waits.
    pub async fn claim(
        &self,
        daemon: &dyn Daemon,
        name: &str,
    ) -> Result<Option<Warm>, EngineError> {
        loop {
            let Some(warm) = self.lock().pop_front() else {
                return Ok(None);
            };
            match daemon.rename_container(&warm.id, name).await {
                Ok(()) => return Ok(Some(warm)),
                // It has ended in the meantime, and whoever removed it was quicker than its event.
                Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Warm>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts what a daemon lists into sandboxes that still wait and can be used, and those that cannot.
///
/// One that a container has joined is in use, whatever its name says: the rename was lost.
pub fn sort_out(names: &Names, listed: &[ContainerSummary]) -> (Vec<String>, Vec<String>) {
    let mut usable = Vec::new();
    let mut spent = Vec::new();
    for warm in listed
        .iter()
        .filter(|one| names.is_sandbox(&one.labels) && names.is_warm(&one.name))
    {
        let joined = listed
            .iter()
            .any(|other| other.network_mode == format!("container:{}", warm.id));
        if joined {
            continue;
        }
        if warm.status == "running" {
            usable.push(warm.id.clone());
        } else {
            spent.push(warm.id.clone());
        }
    }
    (usable, spent)
}

/// What the pool keeps of a sandbox that runs.
pub fn warm(inspect: ContainerInspect) -> Warm {
    Warm {
        id: inspect.id,
        address: inspect.ip_address,
    }
}
