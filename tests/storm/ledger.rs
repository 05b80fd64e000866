//! What must always hold, checked after every step against what was seen before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use neargate::domain::{
    ContainerName, ContainerStatus, EndEvidence, EventKind, HealthStatus, LastStatus, StopCode,
    Task, TaskId, TaskUse, TimestampMs,
};
use neargate::engine::sim::{CallKind, ContainerSnapshot, Effect, Outcome, Snapshot};
use neargate::store::EventFilter;

use super::rules;
use super::world::World;

const INSTANCE: &str = "neargate.instance";
const TASK: &str = "neargate.task";
const CONTAINER: &str = "neargate.container";
const ATTEMPT: &str = "neargate.attempt";
const BOOT: &str = "neargate.boot";

/// A task's ID and the name of one of its containers.
type Owner = (String, String);

/// What is known of one task.
struct Known {
    task: Task,
    usage: Option<TaskUse>,
    /// How far the clock that it goes by is ahead of the one that only runs, once its interval is open.
    ahead_ms: Option<i64>,
    /// Its states, by its events.
    history: Vec<LastStatus>,
}

/// What was seen so far.
#[derive(Default)]
pub struct Ledger {
    tasks: BTreeMap<TaskId, Known>,
    last_seq: u64,
    /// How often each container of a task was started, by the attempt to run it and the daemon's ID.
    starts: BTreeMap<(Owner, u32), BTreeMap<String, u32>>,
    /// Attempts that the daemon was asked to start.
    start_calls: BTreeSet<(Owner, u32)>,
    /// The number of the next call, and whether some were forgotten before anybody read them.
    next_call: u64,
    calls_missed: bool,
    /// How containers ended, by the daemon's ID.
    exits: BTreeMap<String, i64>,
    /// When they ended, by the daemon's clock and by the one that only runs.
    finished: BTreeMap<String, (TimestampMs, TimestampMs)>,
    /// Those that a host took down with it: how they ended is made up.
    lost: BTreeSet<String>,
    /// Under which start of the host they were created.
    boots: BTreeMap<String, String>,
    /// Containers that somebody else removed.
    pub removed: BTreeSet<String>,
    /// Which volume each name has stood for.
    volumes: BTreeMap<String, u64>,
    /// Whose each container is, by the daemon's ID.
    owners: BTreeMap<String, Owner>,
    /// Containers whose health check has answered at some time.
    checked: BTreeSet<String>,
    /// Whether the daemon's clock showed something else than the host's at some time, as if it were on another host.
    clocks_differ: bool,
    /// Tasks of which an older record took the place of what was known: whatever happened to them since is anybody's guess.
    uncertain: BTreeSet<TaskId>,
    /// Whether records were just replaced by older ones.
    records_are_old: bool,
    /// What was asked of the daemon to change, lately.
    pub asked: VecDeque<String>,
    /// All that happened, where somebody wants to compare.
    pub trace: Option<Vec<String>>,
}

const CALLS_SHOWN: usize = 60;

/// As long as the host has not gone down, which takes its cgroups along, no container runs in one that does not
/// hold it.
fn groups(seen: &Snapshot) -> Result<(), String> {
    let is_first_boot = seen.boot_id == "boot-1";
    for one in seen
        .containers
        .iter()
        .filter(|one| one.running && is_first_boot)
    {
        let Some(parent) = &one.cgroup_parent else {
            continue;
        };
        let group = seen.groups.iter().find(|group| group.path == *parent);
        if group.is_none_or(|group| group.limits.is_none()) {
            return Err(format!("nothing runs in a cgroup without limits: {one:#?}"));
        }
    }
    Ok(())
}

/// Whose container of which task it is.
fn owner(one: &ContainerSnapshot) -> Option<Owner> {
    owner_by(&one.labels)
}

fn owner_by(labels: &BTreeMap<String, String>) -> Option<Owner> {
    Some((labels.get(TASK)?.clone(), labels.get(CONTAINER)?.clone()))
}

/// Which attempt to run the container it is for.
fn attempt(labels: &BTreeMap<String, String>) -> u32 {
    labels.get(ATTEMPT).map_or(0, |text| text.parse().unwrap())
}

/// The task that a container or sandbox belongs to.
fn task_of(one: &ContainerSnapshot) -> Option<TaskId> {
    one.labels.get(INSTANCE)?;
    let name = one.labels.get(TASK).map_or_else(
        || one.name.strip_prefix("neargate-"),
        |task| Some(task.as_str()),
    );
    name?.parse().ok()
}

/// Whether the end of an interval moved back to what the engine itself says.
fn is_confirmed(old: &TaskUse, new: &TaskUse) -> bool {
    matches!(
        (old.interval.closed, new.interval.closed),
        (Some((told, EndEvidence::Engine)), Some((confirmed, EndEvidence::Engine))) if confirmed < told
    )
}

/// Of a task that is over: its interval ends when its last container has, to the millisecond, whatever was done to the host's
/// clock in between. `finished` is by the clock of the task.
fn to_its_end(
    task: &Task,
    usage: &TaskUse,
    finished: impl Fn(&String) -> Option<TimestampMs>,
) -> Result<(), String> {
    let Some((closed_at, EndEvidence::Engine)) = usage.interval.closed else {
        return Ok(());
    };
    let started = task
        .containers
        .values()
        .filter(|record| record.started_at.is_some());
    let ends: Option<Vec<_>> = started
        .map(|record| Some(finished(record.runtime_id.as_ref()?)?.max(record.started_at?)))
        .collect();
    // One that began and ended within a step was not seen.
    let end = ends.and_then(|ends| ends.into_iter().max());
    match end {
        Some(end) if closed_at != end.max(usage.interval.opened_at) => Err(format!(
            "an interval ends when the last container has, {end}: {usage:#?} {task:#?}"
        )),
        _ => Ok(()),
    }
}

impl Ledger {
    /// Everything that was ever accepted, as it was last seen.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().map(|known| &known.task)
    }

    /// A backup has taken the place of what was recorded.
    pub fn forget_records(&mut self) {
        self.tasks.clear();
        self.last_seq = 0;
        self.starts.clear();
        self.start_calls.clear();
        self.volumes.retain(|name, _| name.contains('.'));
        self.calls_missed = true;
        self.records_are_old = true;
    }

    pub async fn check(&mut self, world: &World) -> Result<(), String> {
        world.settle().await;
        let before = world.daemon.containers();
        let seen = world.daemon.snapshot();
        let ahead_ms = seen.daemon_time.as_millis() - seen.now.as_millis();
        self.clocks_differ |= ahead_ms != world.ahead_ms();
        self.calls(world)?;
        self.containers(&before)?;
        groups(&world.daemon.snapshot())?;
        self.events(world).await?;
        if std::mem::take(&mut self.records_are_old) {
            let unfinished = self.tasks().filter(|task| !task.is_finished());
            let unfinished: Vec<TaskId> = unfinished.map(|task| task.id.clone()).collect();
            self.uncertain.extend(unfinished);
        }
        self.records(world, &before).await?;
        let seen = world.daemon.snapshot();
        self.volumes(&seen)?;
        self.leftovers(&seen.containers)?;
        self.agree(world, &seen)
    }

    /// What is recorded agrees with what is there.
    fn agree(&mut self, world: &World, seen: &Snapshot) -> Result<(), String> {
        let is_answered = |one: &&ContainerSnapshot| {
            one.health
                .is_some_and(|health| health != HealthStatus::Unknown)
        };
        let answered = seen.containers.iter().filter(is_answered);
        self.checked.extend(answered.map(|one| one.id.clone()));
        rules::labels(&seen.containers)?;
        let usages = self.tasks.values().filter_map(|known| known.usage.as_ref());
        rules::reservations(world, usages)?;
        rules::owners(seen, self.tasks())?;
        for task in self.tasks() {
            if !task.is_finished() && !self.uncertain.contains(&task.id) {
                rules::start_order(seen, task, &self.checked)?;
            }
        }
        let signalled = std::mem::take(&mut *world.signals.lock().unwrap());
        for one in &signalled {
            rules::signal(one, |id| self.runs_as(id), !self.clocks_differ)?;
        }
        Ok(())
    }

    /// The task and the name of a container, by the daemon's ID, and how far the task's clock is ahead.
    fn runs_as(&self, id: &str) -> Option<(&Task, ContainerName, i64)> {
        let (task, name) = self.owners.get(id)?;
        let known = self.tasks.get(&task.parse::<TaskId>().ok()?)?;
        if self.uncertain.contains(&known.task.id) {
            return None;
        }
        Some((&known.task, name.parse().ok()?, known.ahead_ms?))
    }

    fn calls(&mut self, world: &World) -> Result<(), String> {
        let ours = world.store.instance_id().as_str();
        for call in world.daemon.take_calls() {
            self.calls_missed |= call.number != self.next_call;
            self.next_call = call.number + 1;
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{call:?}"));
            }
            if call.kind.changes() {
                self.asked.truncate(CALLS_SHOWN);
                let (at, kind, subject) = (call.at, call.kind, &call.subject);
                let line = format!("{at} {kind} {subject}: {:?}", call.outcome);
                self.asked.push_front(line);
            }
            let had_effect = matches!(
                call.outcome,
                Outcome::Answered | Outcome::Unanswered(Effect::Now | Effect::Later)
            );
            if call.kind == CallKind::Start
                && had_effect
                && let Some(container) = &call.container
                && let Some(owner) = owner_by(&container.labels)
            {
                self.start_calls.insert((owner, attempt(&container.labels)));
            }
            let touches = matches!(
                call.kind,
                CallKind::Start
                    | CallKind::Signal
                    | CallKind::Rename
                    | CallKind::Remove
                    | CallKind::Discard
            );
            if touches
                && had_effect
                && let Some(container) = &call.container
                && container.labels.get(INSTANCE).map(String::as_str) != Some(ours)
            {
                return Err(format!(
                    "nothing is touched that does not carry our label: {call:?}"
                ));
            }
        }
        Ok(())
    }

    fn containers(&mut self, all: &[ContainerSnapshot]) -> Result<(), String> {
        let mut live = BTreeMap::new();
        let mut sandboxes: BTreeMap<&str, String> = BTreeMap::new();
        for one in all {
            let Some(owner) = owner(one) else { continue };
            self.owners.insert(one.id.clone(), owner.clone());
            if one.running {
                if let Some(other) = live.insert(owner.clone(), &one.id) {
                    return Err(format!(
                        "never two live containers of one task and name: {owner:?}: {other} and {}",
                        one.id
                    ));
                }
                // One that joined nobody has a namespace of its own.
                let joined = one.joined.as_deref().unwrap_or(&one.id);
                let task = sandboxes.entry(joined).or_insert_with(|| owner.0.clone());
                if *task != owner.0 {
                    return Err(format!(
                        "two tasks never share a network namespace: {task} and {} in {joined}",
                        owner.0
                    ));
                }
            } else if one.starts > 0 {
                self.exits.insert(one.id.clone(), one.exit_code);
                let finished = one.finished_at.zip(one.ended);
                self.finished
                    .extend(finished.map(|at| (one.id.clone(), at)));
            }
            if one.lost {
                self.lost.insert(one.id.clone());
            }
            if let Some(boot) = one.labels.get(BOOT) {
                self.boots.insert(one.id.clone(), boot.clone());
            }
            let attempt = attempt(&one.labels);
            let starts = self.starts.entry((owner.clone(), attempt)).or_default();
            starts.insert(one.id.clone(), one.starts);
            let total: u32 = starts
                .iter()
                .filter(|(id, _)| !self.removed.contains(*id))
                .map(|(_, starts)| starts)
                .sum();
            if total > 1 {
                return Err(format!(
                    "an attempt to run a container is started at most once: {owner:?} {attempt}: {starts:?}"
                ));
            }
        }
        Ok(())
    }

    async fn events(&mut self, world: &World) -> Result<(), String> {
        if *world.store.event_seq().borrow() == self.last_seq {
            return Ok(());
        }
        self.new_events(world).await
    }

    /// The same, also when the store has not heard of new ones itself: the answer to a commit may be lost.
    async fn new_events(&mut self, world: &World) -> Result<(), String> {
        let filter = EventFilter::default();
        loop {
            let events = world
                .store
                .events(self.last_seq, &filter, 1_000)
                .await
                .map_err(|error| error.to_string())?;
            if events.is_empty() {
                return Ok(());
            }
            for event in events {
                if event.seq != self.last_seq + 1 {
                    return Err(format!(
                        "the numbers of events have no holes: {} after {}",
                        event.seq, self.last_seq
                    ));
                }
                self.last_seq = event.seq;
                rules::no_secret("an event", &event.event.message)?;
                if let Some(trace) = &mut self.trace {
                    trace.push(format!("{event:?}"));
                }
                if event.event.kind != EventKind::TaskStateChange {
                    continue;
                }
                let id: TaskId = event.event.subject.parse().unwrap();
                let status = event.event.status.as_deref().and_then(LastStatus::parse);
                let status = status.ok_or("an event of a state says which")?;
                if !self.tasks.contains_key(&id) {
                    let task = world.store.task(&id).await.unwrap().unwrap();
                    let known = Known {
                        task,
                        usage: None,
                        ahead_ms: None,
                        history: Vec::new(),
                    };
                    self.tasks.insert(id.clone(), known);
                }
                let known = self.tasks.get_mut(&id).unwrap();
                if known.history.last().is_some_and(|last| *last >= status) {
                    return Err(format!(
                        "a state only moves forward, with one event each: task {id}: {:?} and then {status}",
                        known.history
                    ));
                }
                known.history.push(status);
            }
        }
    }

    async fn records(&mut self, world: &World, before: &[ContainerSnapshot]) -> Result<(), String> {
        let mut untold = Vec::new();
        for (id, known) in &mut self.tasks {
            if known.task.is_finished()
                && known
                    .usage
                    .as_ref()
                    .is_none_or(|one| one.interval.closed.is_some())
            {
                continue;
            }
            let task = world.store.task(id).await.unwrap().unwrap();
            let usage = world.store.usage(id).await.unwrap();
            rules::words(&task)?;
            let old = &known.task;
            if task.last_status < old.last_status
                || task.version < old.version
                || (old.is_finished() && !task.is_finished())
                || (old.stop_code.is_some() && old.stop_code != task.stop_code)
            {
                return Err(format!(
                    "a task never goes back: {old:#?} and then {task:#?}"
                ));
            }
            for (name, record) in &task.containers {
                let before = old.containers.get(name).cloned().unwrap_or_default();
                if record.attempt < before.attempt || record.restart_count < before.restart_count {
                    return Err(format!(
                        "restarts are only counted up: {before:?} and then {record:?}"
                    ));
                }
            }
            if !known.history.contains(&task.last_status) {
                untold.push(id.clone());
            }
            match (&known.usage, &usage) {
                (Some(old), Some(new))
                    if old.interval.opened_at == new.interval.opened_at
                        && (old.interval.closed.is_none()
                            || old.interval.closed == new.interval.closed
                            || is_confirmed(old, new)) => {}
                (None, _) => {}
                (old, new) => {
                    return Err(format!(
                        "a usage interval never shrinks, vanishes or opens again: {old:?} and then {new:?}"
                    ));
                }
            }
            let is_certain = !self.uncertain.contains(id);
            if is_certain
                && usage.is_none()
                && before.iter().any(|one| task_of(one).as_ref() == Some(id))
            {
                return Err(format!(
                    "a task whose usage interval is not open has nothing on the engine: {id}"
                ));
            }
            if let (Some(_), None) = (&usage, known.ahead_ms) {
                known.ahead_ms = Some(rules::opening(world, id).await?);
            }
            let (is_set, differ) = (world.clock_was_set(), self.clocks_differ);
            if is_certain
                && task.is_finished()
                && let (Some(usage), Some(ahead_ms)) = (&usage, known.ahead_ms)
                && !(is_set && differ)
            {
                let is_known = |id: &String| !self.lost.contains(id) && !self.removed.contains(id);
                to_its_end(&task, usage, |id| {
                    let (finished_at, ended) = self.finished.get(id).filter(|_| is_known(id))?;
                    let by_task = TimestampMs::from_millis(ended.as_millis() + ahead_ms);
                    Some(if differ { *finished_at } else { by_task })
                })?;
                if !differ {
                    rules::memory(&task, usage)?;
                }
            }
            known.task = task;
            known.usage = usage;
        }
        if untold.is_empty() {
            return Ok(());
        }
        // An event is there as soon as the state is: what came after the events were read is read by now.
        self.new_events(world).await?;
        for known in untold.iter().map(|id| &self.tasks[id]) {
            let (task, history) = (&known.task, &known.history);
            if !history.contains(&task.last_status) {
                return Err(format!(
                    "each change of state has its event: task {} is {}, and its events say {history:?}",
                    task.id, task.last_status
                ));
            }
        }
        Ok(())
    }

    fn leftovers(&self, all: &[ContainerSnapshot]) -> Result<(), String> {
        for one in all.iter().filter(|one| one.running) {
            let Some(id) = owner(one).and_then(|_| task_of(one)) else {
                continue;
            };
            if let Some(known) = self.tasks.get(&id)
                && known.task.last_status == LastStatus::Stopped
            {
                return Err(format!(
                    "nothing runs of a task that is STOPPED: {}: {one:#?}",
                    known.task.id
                ));
            }
        }
        Ok(())
    }

    /// A volume is one and the same for as long as its task lives, and that of a cluster for ever.
    fn volumes(&mut self, seen: &Snapshot) -> Result<(), String> {
        for volume in &seen.volumes {
            let was = self.volumes.insert(volume.name.clone(), volume.number);
            let task = volume.labels.get(TASK).and_then(|task| task.parse().ok());
            let known = task.and_then(|task: TaskId| self.tasks.get(&task));
            let is_over = known.is_some_and(|known| known.task.is_finished());
            let is_certain = known.is_some_and(|known| !self.uncertain.contains(&known.task.id));
            if is_certain && was.is_some_and(|was| was != volume.number) && !is_over {
                return Err(format!(
                    "what was in a volume is lost only when its task is over: {was:?} and then {volume:#?}"
                ));
            }
        }
        let is_there = |name: &String| seen.volumes.iter().any(|volume| volume.name == *name);
        let kept = self
            .volumes
            .keys()
            .find(|name| name.contains('.') && !is_there(name));
        kept.map_or(Ok(()), |name| {
            Err(format!("the volume of a cluster is never removed: {name}"))
        })
    }

    /// An exit code that was made up is not recorded, and one that may have been made up need not be.
    fn is_right(&self, id: &str, truth: i64, recorded: Option<i64>, boot: &str) -> bool {
        if self.lost.contains(id) {
            return recorded.is_none();
        }
        let host_went_down = self.boots.get(id).is_some_and(|then| then != boot);
        recorded == Some(truth) || (recorded.is_none() && host_went_down)
    }

    /// What is counted has happened, and what has happened is counted.
    fn restarts(&self, task: &Task) -> Result<(), String> {
        for (name, record) in &task.containers {
            let owner = (task.id.to_string(), name.to_string());
            for attempt in 1..=record.restart_count {
                if !self.calls_missed && !self.start_calls.contains(&(owner.clone(), attempt)) {
                    return Err(format!(
                        "attempt {attempt} is counted and was never started: {record:?}"
                    ));
                }
            }
            let of_container = self.starts.iter().filter(|((one, _), _)| *one == owner);
            for ((_, attempt), starts) in of_container {
                let ran = starts
                    .iter()
                    .any(|(id, starts)| *starts > 0 && !self.removed.contains(id));
                if ran && *attempt > record.restart_count {
                    return Err(format!(
                        "attempt {attempt} ran and is not counted: {record:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What must hold when the storm is over and everything was asked to stop.
    pub fn check_end(&self, world: &World) -> Result<(), String> {
        let all = world.daemon.containers();
        let ours = world.store.instance_id().as_str();
        let boot = world.daemon.snapshot().boot_id;
        for known in self.tasks.values() {
            let task = &known.task;
            let id = &task.id;
            if !task.is_finished() {
                let left: Vec<_> = all
                    .iter()
                    .filter(|one| task_of(one).as_ref() == Some(id))
                    .collect();
                return Err(format!(
                    "every task comes to its end: {task:#?}\non the engine: {left:#?}"
                ));
            }
            if task.stop_code.is_none() || task.stopped_reason.is_none() {
                return Err(format!("a stopped task says why: {task:#?}"));
            }
            if known
                .usage
                .as_ref()
                .is_some_and(|usage| usage.interval.closed.is_none())
            {
                return Err(format!("every usage interval is closed: {:?}", known.usage));
            }
            if self.uncertain.contains(id) {
                continue;
            }
            let has_run = task.containers.values().any(|one| one.started_at.is_some());
            if task.stop_code == Some(StopCode::EssentialContainerExited) && !has_run {
                return Err(format!("only what has run can have ended: {task:#?}"));
            }
            self.restarts(task)?;
            for (name, record) in &task.containers {
                let Some(runtime_id) = &record.runtime_id else {
                    continue;
                };
                if record.last_status != ContainerStatus::Stopped {
                    return Err(format!(
                        "container {name} of {id} has not ended: {record:?}"
                    ));
                }
                let truth = self.exits.get(runtime_id);
                let by_others = self.removed.contains(runtime_id);
                if record.started_at.is_some()
                    && !by_others
                    && let Some(truth) = truth
                    && !self.is_right(runtime_id, *truth, record.exit_code, &boot)
                {
                    return Err(format!(
                        "the recorded exit code is the engine's: container {name} of {id} ended with {truth}: {record:?}"
                    ));
                }
            }
        }
        for one in &all {
            if one.labels.get(INSTANCE).map(String::as_str) != Some(ours) {
                continue;
            }
            let warm = one.name.starts_with("neargate-warm-") && one.status == "running";
            if !warm {
                return Err(format!("nothing is left over: {one:#?}"));
            }
        }
        for volume in world.daemon.snapshot().volumes {
            if volume.labels.contains_key(TASK) {
                return Err(format!("no volume of a task is left over: {volume:#?}"));
            }
        }
        let warm = all
            .iter()
            .filter(|one| one.name.starts_with("neargate-warm-"))
            .count();
        if warm > world.settings.warm_sandboxes as usize {
            return Err(format!(
                "no more warm sandboxes than asked for: {warm} instead of {}: {all:#?}",
                world.settings.warm_sandboxes
            ));
        }
        Ok(())
    }
}
