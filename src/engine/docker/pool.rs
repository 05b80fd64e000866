//! Warm sandboxes: network namespaces made ahead of need, because making one is the slow part of a launch.
//!
//! A warm sandbox is given to a task by renaming it, which the daemon itself makes durable: after a crash,
//! its name says whether it still waits or whose it is. It is never given to a second task.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::daemon::{ContainerInspect, ContainerSummary, Daemon};
use super::names::Names;
use crate::engine::EngineError;

/// The sandboxes that wait for a task.
#[derive(Default)]
pub struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Warm>,
    /// Given to a task, or on their way to one: never given to another, since a renaming whose outcome nobody
    /// knows may still come. Forgotten when the daemon no longer lists them as warm.
    claimed: BTreeSet<String>,
}

/// A sandbox that waits for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// The daemon's ID of it.
    pub id: String,
    /// The network that it is on.
    pub network: String,
    /// Its address there.
    pub address: Option<String>,
}

/// What had been claimed before the daemon was asked for a list.
pub struct Before(BTreeSet<String>);

impl Pool {
    /// How many wait on a network.
    pub fn len(&self, network: &str) -> usize {
        let state = self.lock();
        state
            .waiting
            .iter()
            .filter(|one| one.network == network)
            .count()
    }

    /// How many wait, on whatever network.
    pub fn waiting(&self) -> u32 {
        u32::try_from(self.lock().waiting.len()).unwrap_or(u32::MAX)
    }

    /// Adds one that was just made.
    pub fn put(&self, warm: Warm) {
        self.lock().waiting.push_back(warm);
    }

    /// Forgets one that has ended.
    pub fn forget(&self, id: &str) {
        self.lock().waiting.retain(|warm| warm.id != id);
    }

    /// Takes one that is on `network`, which is never offered again; `None` when none waits there.
    pub fn take(&self, network: &str) -> Option<Warm> {
        let mut state = self.lock();
        let place = state
            .waiting
            .iter()
            .position(|one| one.network == network)?;
        let warm = state.waiting.remove(place)?;
        state.claimed.insert(warm.id.clone());
        Some(warm)
    }

    /// Gives one that was taken to a task by renaming it to `name`. `None` when it has ended; else its address, if it
    /// has one.
    pub async fn claim(
        &self,
        daemon: &dyn Daemon,
        warm: &Warm,
        name: &str,
    ) -> Result<Option<Option<String>>, EngineError> {
        match daemon.rename_container(&warm.id, name).await {
            Ok(()) => {}
            // It has ended in the meantime, and whoever removed it was quicker than its event.
            Err(EngineError::NotFound(_)) => return Ok(None),
            Err(error) => {
                if !error.retryable() {
                    self.give_back(warm.clone());
                }
                return Err(error);
            }
        }
        match daemon.inspect_container(&warm.id).await? {
            Some(seen) if seen.status == "running" => Ok(Some(self::warm(seen).address)),
            // It had ended, and its event has not come. Nothing was ever in it.
            Some(_) => daemon.remove_container(&warm.id).await.map(|()| None),
            None => Ok(None),
        }
    }

    /// To be asked for before the list that [`Pool::sort_out`] is given.
    pub fn before_a_list(&self) -> Before {
        Before(self.lock().claimed.clone())
    }

    /// Compares what waits with what the daemon lists: forgets what is not there or does not run, and what
    /// is more than `most` on one of `networks` or on any other, and tells which warm sandboxes are of no use to anybody. Among these are all that an earlier process has
    /// made: it may have claimed them in a call that is still to be carried out.
    pub fn sort_out(
        &self,
        names: &Names,
        before: &Before,
        listed: &[ContainerSummary],
        networks: &[String],
        most: usize,
    ) -> Vec<String> {
        let mut state = self.lock();
        let warm: Vec<&ContainerSummary> =
            listed.iter().filter(|one| is_warm(names, one)).collect();
        let is_listed = |id: &str| warm.iter().any(|one| one.id == id);
        state
            .claimed
            .retain(|id| !before.0.contains(id) || is_listed(id));
        state.waiting.retain(|one| {
            warm.iter()
                .any(|seen| seen.id == one.id && seen.status == "running")
        });
        let mut kept: BTreeMap<String, usize> = BTreeMap::new();
        state.waiting.retain(|one| {
            let count = kept.entry(one.network.clone()).or_default();
            *count += 1;
            *count <= most && networks.contains(&one.network)
        });
        let is_joined = |id: &str| {
            let mode = format!("container:{id}");
            listed.iter().any(|other| other.network_mode == mode)
        };
        let is_spent = |id: &str| {
            let waits = state.waiting.iter().any(|one| one.id == id);
            let just_claimed = state.claimed.contains(id) && !before.0.contains(id);
            !waits && !just_claimed && !is_joined(id)
        };
        warm.iter()
            .filter(|one| is_spent(&one.id))
            .map(|one| one.id.clone())
            .collect()
    }

    /// It was refused for sure: another task may have it.
    fn give_back(&self, warm: Warm) {
        let mut state = self.lock();
        state.claimed.remove(&warm.id);
        state.waiting.push_front(warm);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is a sandbox that, by its name, no task has.
pub fn is_warm(names: &Names, one: &ContainerSummary) -> bool {
    names.is_sandbox(&one.labels) && names.is_warm(&one.name)
}

/// What the pool keeps of a sandbox that runs.
pub fn warm(inspect: ContainerInspect) -> Warm {
    Warm {
        id: inspect.id,
        network: inspect.network_mode,
        address: inspect.ip_address,
    }
}
