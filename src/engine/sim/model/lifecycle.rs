//! From start to removal: what a container goes through, and what the daemon refuses on the way.

use tokio::sync::oneshot;

use super::container::{Phase, Process};
use super::{Answer, Container, Model, Refusal, Timer};
use crate::engine::LogStream;
use crate::engine::sim::faults::take_one;
use crate::engine::sim::program::{ProcessSpec, Reaction, Script, signal_number};

/// SIGKILL.
pub(super) const KILL: u8 = 9;

impl Model {
    pub(super) fn start(&mut self, id: &str) -> Result<(), Refusal> {
        let number = self.known(id)?;
        let phase = self
            .containers
            .get(&number)
            .map_or(Phase::Dead, |c| c.phase);
        match phase {
            Phase::Running => return Ok(()),
            Phase::Paused => {
                return Err(Refusal::Conflict(
                    "cannot start a paused container, try unpause instead".to_owned(),
                ));
            }
            Phase::Removing | Phase::Dead => {
                return Err(Refusal::Conflict(
                    "container is marked for removal and cannot be started".to_owned(),
                ));
            }
            Phase::Created | Phase::Exited => {}
        }
        let process = self.set_up(number);
        let parent = self
            .containers
            .get(&number)
            .and_then(Container::cgroup_parent);
        let parent = parent.map(str::to_owned);
        if process.is_ok() {
            self.enter_group(parent.as_deref());
        }
        let started_at = self.daemon_time();
        let Some(container) = self.containers.get_mut(&number) else {
            return Ok(());
        };
        let process = match process {
            Ok(process) => process,
            Err(NotStarted { refusal, exit_code }) => {
                container.exit_code = exit_code;
                container.error = Some(refusal.message().to_owned());
                return Err(refusal);
            }
        };
        container.runs += 1;
        container.phase = Phase::Running;
        container.exit_code = 0;
        container.oom_killed = false;
        container.lost = false;
        container.error = None;
        container.started_at = Some(started_at);
        let run = container.runs;
        let ending = process.script.ending;
        container.process = Some(process);
        self.tell(number, "start");
        self.watch_health(number, true);
        self.process_writes(number, run);
        if let Some(ending) = ending {
            let container = number;
            self.schedule(ending.after_ms, Timer::Ends { container, run });
        }
        Ok(())
    }

    /// Makes what a process needs, or nothing.
    fn set_up(&mut self, number: u64) -> Result<Process, NotStarted> {
        self.disk_has_room("mkdir /run/containerd/io.containerd.runtime.v2.task")?;
        let joined = self.namespace_to_join(number)?;
        let (attachment, bindings) = self.connect(number)?;
        let Some(container) = self.containers.get(&number) else {
            return Err(Refusal::NotFound("container".to_owned()).into());
        };
        let spec = ProcessSpec {
            repository: &container.repository,
            argv: &container.argv,
            env: &container.env,
            memory_limit_bytes: container.spec.memory_bytes,
            nano_cpus: container.spec.nano_cpus,
        };
        match Script::of(&spec) {
            Ok(script) => {
                let pid = self.next_pid;
                self.next_pid += 1;
                Ok(Process {
                    pid,
                    script,
                    began: self.now,
                    next_piece: 0,
                    overdue: false,
                    attachment,
                    joined,
                    bindings,
                })
            }
            Err(why) => {
                self.networks.release(attachment.as_ref(), &bindings);
                Err(NotStarted {
                    refusal: Refusal::Invalid(why.0),
                    exit_code: 127,
                })
            }
        }
    }

    /// The ID of the container whose namespace this one is to join, if it is to join one.
    fn namespace_to_join(&self, number: u64) -> Result<Option<String>, Refusal> {
        let Some(wanted) = self.containers.get(&number).and_then(Container::joins) else {
            return Ok(None);
        };
        let other = self.known(wanted)?;
        if other == number {
            return Err(Refusal::Invalid("cannot join own network".to_owned()));
        }
        match self.containers.get(&other) {
            Some(other) if other.is_running() => Ok(Some(other.id.clone())),
            _ => Err(Refusal::Conflict(format!(
                "cannot join network of a non running container: {wanted}"
            ))),
        }
    }

    pub(super) fn process_writes(&mut self, number: u64, run: u32) {
        let now = self.now;
        let at = self.daemon_time();
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let paused = container.phase == Phase::Paused;
        let Some(process) = container
            .process
            .as_mut()
            .filter(|_| container.runs == run && !paused)
        else {
            return;
        };
        let elapsed_ms = now.since(process.began).as_millis().unsigned_abs();
        let mut wrote = false;
        while let Some(piece) = process.script.output.piece(process.next_piece) {
            if piece.after_ms > elapsed_ms {
                let after_ms = piece.after_ms - elapsed_ms;
                let container = number;
                self.schedule(after_ms, Timer::Writes { container, run });
                break;
            }
            container.log.write(at, piece.stream, &piece.text);
            process.next_piece += 1;
            wrote = true;
        }
        self.changes += u64::from(wrote);
    }

    pub(super) fn process_is_over(&mut self, number: u64, run: u32) {
        let Some(container) = self.containers.get_mut(&number).filter(|c| c.runs == run) else {
            return;
        };
        let Some(process) = container.process.as_mut() else {
            return;
        };
        if container.phase == Phase::Paused {
            process.overdue = true;
            return;
        }
        if let Some(ending) = process.script.ending {
            self.process_writes(number, run);
            self.end(number, ending.exit_code.into(), ending.oom_killed);
        }
    }

    /// The process of a container has ended.
    pub(super) fn end(&mut self, number: u64, exit_code: i64, oom_killed: bool) {
        let (at, now) = (self.daemon_time(), self.now);
        self.leave_group(number);
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let Some(process) = container.process.take() else {
            return;
        };
        if let Some(waits) = self.awaited.remove(&process.pid) {
            // Who does not wait any more does not want to know.
            let _ = waits.send(());
        }
        container.phase = Phase::Exited;
        container.exit_code = exit_code;
        container.oom_killed = oom_killed;
        container.finished_at = Some(at);
        container.ended = Some(now);
        container.log.finish(at);
        self.networks
            .release(process.attachment.as_ref(), &process.bindings);
        self.unwatch_health(number);
        if oom_killed {
            self.tell(number, "oom");
        }
        self.tell(number, "die");
        self.changes += 1;
    }

    /// Is told when a process of a container has ended; `None` if it is none of that container.
    pub(crate) fn await_end(&mut self, id: &str, pid: u32) -> Option<oneshot::Receiver<()>> {
        self.find(id)
            .filter(|container| container.pid() == Some(pid))?;
        let (waits, is_over) = oneshot::channel();
        self.awaited.insert(pid, waits);
        Some(is_over)
    }

    pub(crate) fn signal(&mut self, id: &str, signal: &str) -> Result<(), Refusal> {
        let number = self.known(id)?;
        let Some(signal) = signal_number(signal) else {
            return Err(Refusal::Invalid(format!("Invalid signal: {signal}")));
        };
        if !self
            .containers
            .get(&number)
            .is_some_and(Container::is_running)
        {
            return Err(Refusal::Conflict(format!(
                "Cannot kill container: {id}: Container {id} is not running"
            )));
        }
        self.deliver(number, signal);
        Ok(())
    }

    /// Sends a signal to a process that lives. A paused one is let go on, as the daemon does.
    pub(super) fn deliver(&mut self, number: u64, signal: u8) {
        self.tell(number, "kill");
        self.unpause(number);
        let at = self.daemon_time();
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let Some(process) = &container.process else {
            return;
        };
        let (line, code) = match process.script.react(signal, container.spec.init) {
            Reaction::None => (None, None),
            Reaction::Says(line) => (Some(line), None),
            Reaction::Exits { code, last_words } => (last_words, Some(code)),
        };
        if let Some(line) = line {
            container
                .log
                .write(at, LogStream::Stdout, format!("{line}\n").as_bytes());
            self.changes += 1;
        }
        if let Some(code) = code {
            self.end(number, code.into(), false);
        }
    }

    /// Freezes a container; false when there is nothing to freeze.
    pub(super) fn pause(&mut self, number: u64) -> bool {
        let Some(container) = self.containers.get_mut(&number) else {
            return false;
        };
        if container.phase != Phase::Running {
            return false;
        }
        container.phase = Phase::Paused;
        self.unwatch_health(number);
        self.tell(number, "pause");
        true
    }

    /// Lets a frozen container go on; false when it is not frozen.
    pub(super) fn unpause(&mut self, number: u64) -> bool {
        let Some(container) = self.containers.get_mut(&number) else {
            return false;
        };
        if container.phase != Phase::Paused {
            return false;
        }
        container.phase = Phase::Running;
        let run = container.runs;
        let overdue = container
            .process
            .as_ref()
            .is_some_and(|process| process.overdue);
        self.watch_health(number, false);
        self.tell(number, "unpause");
        self.process_writes(number, run);
        if overdue {
            self.process_is_over(number, run);
        }
        true
    }

    pub(crate) fn remove(&mut self, id: &str) -> Result<Answer, Refusal> {
        let number = self.known(id)?;
        let phase = self
            .containers
            .get(&number)
            .map_or(Phase::Dead, |c| c.phase);
        if phase == Phase::Removing {
            return Err(Refusal::Conflict(format!(
                "removal of container {id} is already in progress"
            )));
        }
        if self
            .containers
            .get(&number)
            .is_some_and(Container::is_running)
        {
            self.deliver(number, KILL);
        }
        if take_one(&mut self.faults.removals_fail) {
            if let Some(container) = self.containers.get_mut(&number) {
                container.phase = Phase::Dead;
            }
            return Err(Refusal::Failed(format!(
                "container {id}: driver \"overlay2\" failed to remove root filesystem: unlinkat: \
                 device or resource busy"
            )));
        }
        let takes_ms = self.faults.removals_take_ms;
        if takes_ms == 0 {
            self.forget(number);
            return Ok(Answer::Done);
        }
        if let Some(container) = self.containers.get_mut(&number) {
            container.phase = Phase::Removing;
        }
        self.schedule(takes_ms.into(), Timer::Removed { container: number });
        Ok(Answer::DoneAt(self.after(takes_ms)))
    }

    /// Removes a container that does not run.
    pub(crate) fn discard(&mut self, id: &str) -> Result<Answer, Refusal> {
        let number = self.known(id)?;
        if self
            .containers
            .get(&number)
            .is_some_and(Container::is_running)
        {
            return Err(Refusal::Invalid(format!(
                "cannot remove container {id}: container is running: stop the container before removing or \
                 force remove"
            )));
        }
        self.remove(id)
    }

    /// A container is gone.
    pub(super) fn forget(&mut self, number: u64) {
        self.tell(number, "destroy");
        if let Some(container) = self.containers.remove(&number) {
            self.by_name.remove(&container.name);
            self.by_id.remove(&container.id);
            for (key, value) in container.labels() {
                let label = format!("{key}={value}");
                if let Some(others) = self.by_label.get_mut(&label) {
                    others.remove(&number);
                    if others.is_empty() {
                        self.by_label.remove(&label);
                    }
                }
            }
            self.changes += 1;
        }
    }
}

/// Why a container was not started, and the exit code that the daemon notes for that.
struct NotStarted {
    refusal: Refusal,
    exit_code: i64,
}

impl From<Refusal> for NotStarted {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            exit_code: 128,
        }
    }
}
