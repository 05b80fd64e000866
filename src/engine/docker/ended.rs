//! What the daemon's events have told of the ends of containers.
//!
//! When a process has ended, the daemon says so at once, with its exit code, and then takes the network and the file
//! systems of the container down. Until that is done it answers nobody who asks about the container: 20 ms where it
//! joined a namespace, and more than 100 ms where it owns one. So what an event says is believed, with what was seen
//! while the container ran. It only saves that wait: an event that was lost, or a start of Neargate in between,
//! costs a look at the container instead.
//!
//! Sooner still is known that the process has ended, but not how: the kernel says that to whoever holds a handle of it. Where
//! another task is to take the place of one, that is enough to begin with.
//!
//! Not believed is what may mean something else: an end before the start that was seen last, an exit code that a
//! label of the container has covered, and a SIGKILL that may have been the kernel's for the container's own memory,
//! of which the daemon may hear later. And one with published ports is looked at too, since whoever gets them next
//! must not come before they are free.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::daemon::{ContainerEvent, ContainerInspect};
use super::limits::KILLED;
use crate::domain::{TaskId, TimestampMs};

/// After that, the daemon is asked: its event has got lost.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Docker's word for it among the attributes of an event, where labels with the same name come before it.
const EXIT_CODE: &str = "exitCode";

/// The containers that were seen to run, and what was told of them since. Forgotten with their task.
#[derive(Default)]
pub(super) struct Lives(Mutex<BTreeMap<TaskId, Vec<Life>>>);

struct Life {
    seen: ContainerInspect,
    end: Option<(i64, TimestampMs)>,
    oom_killed: bool,
    process: Process,
}

/// What is known of a container's process beside what the daemon tells.
#[derive(Clone, Copy)]
enum Process {
    Unwatched,
    Watched,
    /// It had ended then.
    GoneAt(Instant),
}

impl Lives {
    /// A container of `task` was looked at. Only while it runs is there anything to be told of it.
    pub(super) fn saw(&self, task: &TaskId, seen: &ContainerInspect) {
        if seen.status != "running" || seen.started_at.is_none() {
            self.replace(task, &seen.name);
            return;
        }
        let mut lives = self.lock();
        let of_task = lives.entry(task.clone()).or_default();
        let Some(life) = of_task.iter_mut().find(|one| one.seen.name == seen.name) else {
            // Most tasks have one container.
            of_task.reserve_exact(1);
            of_task.push(Life {
                seen: seen.clone(),
                end: None,
                oom_killed: false,
                process: Process::Unwatched,
            });
            return;
        };
        if life.seen.id != seen.id || life.seen.started_at != seen.started_at {
            (life.end, life.oom_killed, life.process) = (None, false, Process::Unwatched);
        }
        life.seen.clone_from(seen);
    }

    /// An event of the daemon about a container of `task`.
    pub(super) fn told(&self, task: &TaskId, event: &ContainerEvent) {
        let mut lives = self.lock();
        let mut of_task = lives.get_mut(task).into_iter().flatten();
        let Some(life) = of_task.find(|one| one.seen.id == event.id) else {
            return;
        };
        match (event.action.as_str(), event.exit_code) {
            ("oom", _) => life.oom_killed = true,
            ("die", Some(exit_code)) => life.end = Some((exit_code, event.at)),
            _ => {}
        }
    }

    /// The container of `task` with that name, as the daemon will describe it, if it was told to have ended.
    /// `may_run_out_of_memory` says whether it has a limit of its own for that.
    pub(super) fn ended(
        &self,
        task: &TaskId,
        name: &str,
        may_run_out_of_memory: bool,
    ) -> Option<ContainerInspect> {
        let lives = self.lock();
        let life = lives.get(task)?.iter().find(|one| one.seen.name == name)?;
        let (exit_code, at) = life.end?;
        let seen = &life.seen;
        let is_doubtful = seen.started_at.is_none_or(|started| at < started)
            || seen.labels.contains_key(EXIT_CODE)
            || !seen.bindings.is_empty()
            || (exit_code == KILLED && !life.oom_killed && may_run_out_of_memory);
        (!is_doubtful).then(|| ContainerInspect {
            status: "exited".to_owned(),
            exit_code,
            oom_killed: life.oom_killed,
            finished_at: Some(at),
            ip_address: None,
            pid: None,
            ..seen.clone()
        })
    }

    /// Whether somebody is to watch the process of that container: nobody does yet, who asks will.
    pub(super) fn is_to_watch(&self, task: &TaskId, id: &str) -> bool {
        let mut lives = self.lock();
        let mut of_task = lives.get_mut(task).into_iter().flatten();
        let life = of_task.find(|one| one.seen.id == id);
        match life {
            Some(life) if matches!(life.process, Process::Unwatched) => {
                life.process = Process::Watched;
                true
            }
            _ => false,
        }
    }

    /// The process of that container has ended.
    pub(super) fn process_is_gone(&self, task: &TaskId, id: &str) {
        let mut lives = self.lock();
        let mut of_task = lives.get_mut(task).into_iter().flatten();
        if let Some(life) = of_task.find(|one| one.seen.id == id) {
            life.process = Process::GoneAt(Instant::now());
        }
    }

    /// The container of `task` with that name, as it was seen last, if its process has just ended and the daemon has not told
    /// how. Whoever asks the daemon about it has to wait until it has cleared up.
    pub(super) fn ending(&self, task: &TaskId, name: &str) -> Option<ContainerInspect> {
        let lives = self.lock();
        let life = lives.get(task)?.iter().find(|one| one.seen.name == name)?;
        match (life.process, life.end) {
            (Process::GoneAt(at), None) if at.elapsed() < BELIEVED_FOR => Some(life.seen.clone()),
            _ => None,
        }
    }

    /// Whatever has that name from now on is another container: one that is started again is made anew.
    pub(super) fn replace(&self, task: &TaskId, name: &str) {
        if let Some(of_task) = self.lock().get_mut(task) {
            of_task.retain(|one| one.seen.name != name);
        }
    }

    /// Nothing of `task` is left.
    pub(super) fn forget(&self, task: &TaskId) {
        self.lock().remove(task);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TaskId, Vec<Life>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{NetworkBinding, Protocol};

    fn at(ms: i64) -> TimestampMs {
        TimestampMs::from_millis(ms)
    }

    fn task() -> TaskId {
        "0123456789abcdef0123456789abcdef".parse().unwrap()
    }

    fn running() -> ContainerInspect {
        ContainerInspect {
            id: "id".to_owned(),
            name: "web".to_owned(),
            labels: BTreeMap::new(),
            image_id: "sha256:1".to_owned(),
            status: "running".to_owned(),
            exit_code: 0,
            oom_killed: false,
            error: None,
            started_at: Some(at(1_000)),
            finished_at: None,
            health: None,
            health_output: None,
            network_mode: "tasks".to_owned(),
            ip_address: Some("10.0.0.2".to_owned()),
            bindings: Vec::new(),
            stop_signal: "SIGTERM".to_owned(),
            cgroup_parent: None,
            pid: Some(7),
        }
    }

    fn died(exit_code: i64, ms: i64) -> ContainerEvent {
        ContainerEvent {
            id: "id".to_owned(),
            name: "web".to_owned(),
            labels: BTreeMap::new(),
            action: "die".to_owned(),
            exit_code: Some(exit_code),
            at: at(ms),
        }
    }

    fn lives(seen: &ContainerInspect, events: &[ContainerEvent]) -> Lives {
        let lives = Lives::default();
        lives.saw(&task(), seen);
        for event in events {
            lives.told(&task(), event);
        }
        lives
    }

    #[test]
    fn an_end_that_was_told_is_known_with_its_code_and_time() {
        let lives = lives(&running(), &[died(3, 5_000)]);
        let ended = lives.ended(&task(), "web", true).unwrap();
        assert_eq!((ended.status.as_str(), ended.exit_code), ("exited", 3));
        assert_eq!((ended.finished_at, ended.pid), (Some(at(5_000)), None));
        lives.forget(&task());
        assert!(lives.ended(&task(), "web", true).is_none());
    }

    #[test]
    fn what_may_mean_something_else_is_looked_at() {
        let mut labelled = running();
        labelled
            .labels
            .insert("exitCode".to_owned(), "0".to_owned());
        let mut published = running();
        published.bindings.push(NetworkBinding {
            bind_ip: "127.0.0.1".to_owned(),
            container_port: 80,
            host_port: 8080,
            protocol: Protocol::Tcp,
        });
        let mut other = died(3, 5_000);
        other.id = "other".to_owned();
        for (why, seen, event) in [
            ("a label covers it", labelled, died(3, 5_000)),
            ("ports are to be freed", published, died(3, 5_000)),
            ("it is of an earlier life", running(), died(3, 999)),
            ("it is another container", running(), other),
            ("it may be out of memory", running(), died(KILLED, 5_000)),
        ] {
            assert!(
                lives(&seen, &[event]).ended(&task(), "web", true).is_none(),
                "{why}"
            );
        }
        let killed = lives(&running(), &[died(KILLED, 5_000)]);
        assert!(killed.ended(&task(), "web", false).is_some());
        let oom = ContainerEvent {
            action: "oom".to_owned(),
            exit_code: None,
            ..died(0, 4_999)
        };
        let oom = lives(&running(), &[oom, died(KILLED, 5_000)]);
        assert!(oom.ended(&task(), "web", true).unwrap().oom_killed);
    }

    #[tokio::test(start_paused = true)]
    async fn that_a_process_is_gone_is_believed_for_a_moment_and_until_more_is_told() {
        let lives = lives(&running(), &[]);
        assert!(lives.is_to_watch(&task(), "id") && !lives.is_to_watch(&task(), "id"));
        assert!(lives.ending(&task(), "web").is_none());
        lives.process_is_gone(&task(), "other");
        assert!(lives.ending(&task(), "web").is_none());
        lives.process_is_gone(&task(), "id");
        assert_eq!(lives.ending(&task(), "web"), Some(running()));
        tokio::time::advance(BELIEVED_FOR).await;
        assert!(
            lives.ending(&task(), "web").is_none(),
            "the daemon is asked"
        );
        lives.process_is_gone(&task(), "id");
        lives.told(&task(), &died(3, 5_000));
        assert!(lives.ending(&task(), "web").is_none(), "it was told how");
        let again = ContainerInspect {
            started_at: Some(at(6_000)),
            ..running()
        };
        lives.saw(&task(), &again);
        assert!(lives.ending(&task(), "web").is_none() && lives.is_to_watch(&task(), "id"));
    }

    #[test]
    fn a_container_that_is_made_anew_has_not_ended_as_the_one_before() {
        let before = lives(&running(), &[died(3, 5_000)]);
        before.replace(&task(), "web");
        assert!(before.ended(&task(), "web", false).is_none());
        // Not seen before it had ended already.
        let before = lives(&running(), &[died(3, 5_000)]);
        let next = ContainerInspect {
            id: "next".to_owned(),
            status: "exited".to_owned(),
            ..running()
        };
        before.saw(&task(), &next);
        assert!(before.ended(&task(), "web", false).is_none());
    }

    #[test]
    fn a_container_that_runs_again_has_not_ended() {
        let lives = lives(&running(), &[died(3, 5_000)]);
        let again = ContainerInspect {
            started_at: Some(at(6_000)),
            ..running()
        };
        lives.saw(&task(), &again);
        assert!(lives.ended(&task(), "web", false).is_none());
        // Late, of the life before.
        lives.told(&task(), &died(3, 5_000));
        assert!(lives.ended(&task(), "web", false).is_none());
    }
}
