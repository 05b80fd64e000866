//! The bell: "look at this task", "look at this service", "look at this schedule". It carries nothing else, so that ringing it too often only
//! costs a look.
//!
//! A subject is looked at by one worker at a time. Ringing for one that waits already changes nothing; ringing for
//! one that is being looked at makes sure that it is looked at once more. Subjects take turns in the order in which
//! they were rung for.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::{ScheduleName, ServiceKey, TaskId};

/// What can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A task.
    Task(TaskId),
    /// A service.
    Service(ServiceKey),
    /// A schedule.
    Schedule(ScheduleName),
}

impl From<&TaskId> for Subject {
    fn from(task: &TaskId) -> Self {
        Self::Task(task.clone())
    }
}

impl From<&ServiceKey> for Subject {
    fn from(service: &ServiceKey) -> Self {
        Self::Service(service.clone())
    }
}

impl From<&ScheduleName> for Subject {
    fn from(schedule: &ScheduleName) -> Self {
        Self::Schedule(schedule.clone())
    }
}

impl From<&Subject> for Subject {
    fn from(subject: &Subject) -> Self {
        subject.clone()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => write!(f, "task {task}"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Schedule(schedule) => write!(f, "schedule {schedule}"),
        }
    }
}

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
    waiting: VecDeque<Subject>,
    is_waiting: HashSet<Subject>,
    /// Being looked at; true if it was rung for meanwhile.
    busy: HashMap<Subject, bool>,
    /// To be rung later, by time and by subject; both hold the same.
    alarms: BTreeSet<(Instant, Subject)>,
    alarm_of: HashMap<Subject, Instant>,
}

impl State {
    fn ring(&mut self, subject: &Subject) {
        if let Some(again) = self.busy.get_mut(subject) {
            *again = true;
        } else if self.is_waiting.insert(subject.clone()) {
            self.waiting.push_back(subject.clone());
        }
    }

    fn ring_due_alarms(&mut self, now: Instant) {
        while let Some((at, subject)) = self.alarms.first().cloned() {
            if at > now {
                return;
            }
            self.alarms.pop_first();
            self.alarm_of.remove(&subject);
            self.ring(&subject);
        }
    }
}

impl Bell {
    /// Asks for a look at `subject`.
    pub fn ring(&self, subject: impl Into<Subject>) {
        self.lock().ring(&subject.into());
        self.0.rung.notify_one();
    }

    /// Asks for a look at `subject` at `at`, unless one was asked for before that.
    pub fn ring_at(&self, subject: impl Into<Subject>, at: Instant) {
        let subject = subject.into();
        let mut state = self.lock();
        if let Some(earlier) = state.alarm_of.get(&subject).copied() {
            if earlier <= at {
                return;
            }
            state.alarms.remove(&(earlier, subject.clone()));
        }
        state.alarms.insert((at, subject.clone()));
        state.alarm_of.insert(subject, at);
        drop(state);
        self.0.rung.notify_one();
    }

    /// The next subject to look at, when there is one. [`Bell::done`] must follow.
    pub async fn next(&self) -> Subject {
        loop {
            let next_alarm = {
                let mut state = self.lock();
                state.ring_due_alarms(Instant::now());
                if let Some(subject) = state.waiting.pop_front() {
                    state.is_waiting.remove(&subject);
                    state.busy.insert(subject.clone(), false);
                    return subject;
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

    /// Says that the look at `subject` is over.
    pub fn done(&self, subject: &Subject) {
        let mut state = self.lock();
        if state.busy.remove(subject) == Some(true) {
            state.ring(subject);
            drop(state);
            self.0.rung.notify_one();
        }
    }

    /// How many subjects wait for a look.
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

    fn task(n: u8) -> Subject {
        Subject::Task(format!("{n:032x}").parse().unwrap())
    }

    #[tokio::test]
    async fn tasks_take_turns_and_wait_only_once() {
        let bell = Bell::default();
        for n in [1, 2, 1, 3, 2] {
            bell.ring(task(n));
        }
        assert_eq!(bell.waiting(), 3);
        for n in [1, 2, 3] {
            assert_eq!(bell.next().await, task(n));
        }
    }

    #[tokio::test]
    async fn a_ring_during_a_look_leads_to_one_more_look_and_never_to_two_at_once() {
        let bell = Bell::default();
        bell.ring(task(1));
        let first = bell.next().await;
        bell.ring(task(1));
        bell.ring(task(1));
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
        bell.ring_at(task(1), start + Duration::from_mins(1));
        bell.ring_at(task(1), start + Duration::from_secs(5));
        bell.ring_at(task(1), start + Duration::from_secs(90));
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
