//! The bell: "look at this task". It carries nothing else, so that ringing it too often only costs a look.
//!
//! A task is looked at by one worker at a time. Ringing for a task that waits already changes nothing;
//! ringing for one that is being looked at makes sure that it is looked at once more. Tasks take turns in
//! the order in which they were rung for.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::TaskId;

/// The bell. Clones ring the same one.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// In turn, each once.
    waiting: VecDeque<TaskId>,
    is_waiting: HashSet<TaskId>,
    /// Being looked at; true if it was rung for meanwhile.
    busy: HashMap<TaskId, bool>,
    /// To be rung later, by time and by task; both hold the same.
    alarms: BTreeSet<(Instant, TaskId)>,
    alarm_of: HashMap<TaskId, Instant>,
}

impl State {
    fn ring(&mut self, task: &TaskId) {
        if let Some(again) = self.busy.get_mut(task) {
            *again = true;
        } else if self.is_waiting.insert(task.clone()) {
            self.waiting.push_back(task.clone());
        }
    }

    fn ring_due_alarms(&mut self, now: Instant) {
        while let Some((at, task)) = self.alarms.first().cloned() {
            if at > now {
                return;
            }
            self.alarms.pop_first();
            self.alarm_of.remove(&task);
            self.ring(&task);
        }
    }
}

impl Bell {
    /// Asks for a look at `task`.
    pub fn ring(&self, task: &TaskId) {
        self.lock().ring(task);
        self.0.rung.notify_one();
    }

    /// Asks for a look at `task` at `at`, unless one was asked for before that.
    pub fn ring_at(&self, task: &TaskId, at: Instant) {
        let mut state = self.lock();
        if let Some(earlier) = state.alarm_of.get(task).copied() {
            if earlier <= at {
                return;
            }
            state.alarms.remove(&(earlier, task.clone()));
        }
        state.alarms.insert((at, task.clone()));
        state.alarm_of.insert(task.clone(), at);
        drop(state);
        self.0.rung.notify_one();
    }

    /// The next task to look at, when there is one. [`Bell::done`] must follow.
    pub async fn next(&self) -> TaskId {
        loop {
            let next_alarm = {
                let mut state = self.lock();
                state.ring_due_alarms(Instant::now());
                if let Some(task) = state.waiting.pop_front() {
                    state.is_waiting.remove(&task);
                    state.busy.insert(task.clone(), false);
                    return task;
                }
                state.alarms.first().map(|(at, _)| *at)
            };
            match next_alarm {
                Some(at) => {
                    let _ = tokio::time::timeout_at(at, self.0.rung.notified()).await;
                }
                None => self.0.rung.notified().await,
            }
        }
    }

    /// Says that the look at `task` is over.
    pub fn done(&self, task: &TaskId) {
        let mut state = self.lock();
        if state.busy.remove(task) == Some(true) {
            state.ring(task);
            drop(state);
            self.0.rung.notify_one();
        }
    }

    /// How many tasks wait for a look.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(n: u8) -> TaskId {
        format!("{n:032x}").parse().unwrap()
    }

    #[tokio::test]
    async fn tasks_take_turns_and_wait_only_once() {
        let bell = Bell::default();
        for n in [1, 2, 1, 3, 2] {
            bell.ring(&task(n));
        }
        assert_eq!(bell.waiting(), 3);
        for n in [1, 2, 3] {
            assert_eq!(bell.next().await, task(n));
        }
    }

    #[tokio::test]
    async fn a_ring_during_a_look_leads_to_one_more_look_and_never_to_two_at_once() {
        let bell = Bell::default();
        bell.ring(&task(1));
        let first = bell.next().await;
        bell.ring(&task(1));
        bell.ring(&task(1));
        assert_eq!(bell.waiting(), 0, "it is being looked at");
        bell.done(&first);
        assert_eq!(bell.next().await, task(1));
        bell.done(&task(1));
        assert_eq!(bell.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_at_its_time_and_the_earlier_one_wins() {
        let bell = Bell::default();
        let start = Instant::now();
        bell.ring_at(&task(1), start + Duration::from_mins(1));
        bell.ring_at(&task(1), start + Duration::from_secs(5));
        bell.ring_at(&task(1), start + Duration::from_secs(90));
        assert_eq!(bell.next().await, task(1));
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        bell.done(&task(1));
        assert!(
            tokio::time::timeout(Duration::from_secs(200), bell.next())
                .await
                .is_err()
        );
    }
}
