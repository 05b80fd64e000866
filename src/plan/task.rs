//! What becomes of a task: its next state, and what the engine is to do about it.
//!
//! One round: what was seen is folded into the record, then it is decided whether the task should live,
//! then its state moves forward. The caller makes the result durable before it lets the engine act.
//! A state never goes back, and an engine that did not answer changes nothing.

use std::collections::BTreeMap;

use super::restart;
use crate::domain::{
    ContainerDefinition, ContainerName, ContainerObservation, ContainerRecord, ContainerState,
    ContainerStatus, DesiredStatus, EventKind, FAILED_HEALTH_CHECKS, Goal, HealthStatus,
    LastStatus, NetworkObservation, NewEvent, Observation, PullProgress, RestartPolicy, Shortage,
    StopCode, Task, TimestampMs,
};

/// What is known of a task's objects on the engine.
#[derive(Clone, Copy, Debug)]
pub enum Sighting<'a> {
    /// The engine was never asked for anything, so it has nothing.
    NeverAsked,
    /// The same, and the host has no room for it.
    NoRoom(&'a Shortage),
    /// The engine's answer.
    Seen(&'a Observation),
    /// The engine did not answer; why, in one sentence.
    Unknown(&'a str),
}

/// What to record, and what to do after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPlan {
    /// The task as it is to be recorded. Equal to the old one when nothing changed.
    pub task: Task,
    /// One event for every change of `lastStatus`, and notices.
    pub events: Vec<NewEvent>,
    /// What to do once that is durable.
    pub next: Next,
}

/// What to do about a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until somebody rings.
    Nothing,
    /// Let the engine take it further.
    Advance(Goal),
    /// Keep its logs, remove its objects, then record that it is clean.
    Clean,
}

/// Said by ECS for a task whose user gave no reason.
const STOPPED_BY_USER: &str = "Task stopped by user";
/// ECS's words, which people search for.
const ESSENTIAL_EXITED: &str = "Essential container in task exited";
/// ECS's words, which people search for.
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const REMOVED: &str =
    "the container was removed by somebody other than Neargate; how it ended is not known";
/// Said of a container that ran when its host went down.
const HOST_WENT_DOWN: &str =
    "the host was started anew since the container was created; how and when it ended is not known";
/// Before what a health check said.
const CHECK_FAILED: &str = "health check failed: ";
const NETWORK_GONE: &str = "the task's network namespace ended: its sandbox was stopped or removed by somebody other than Neargate";

/// A task that has stopped, with the ends of its containers as the engine has them on record.
///
/// An end was recorded as soon as it was told, and what tells of it is some milliseconds late. So it only ever moves
/// back, and nothing else changes.
pub fn confirm_ends(task: &Task, seen: &Observation) -> Task {
    let mut confirmed = task.clone();
    for (name, observed) in &seen.containers {
        let record = confirmed.containers.get_mut(name);
        let record = record.filter(|record| record.attempt == observed.attempt);
        let ContainerState::Exited { finished_at, .. } = &observed.state else {
            continue;
        };
        if let Some(record) = record
            && let Some(started_at) = record.started_at
            && observed.started_at == Some(started_at)
            && let Some(told_at) = record.finished_at
        {
            record.finished_at = Some(told_at.min(started_at.max(*finished_at)));
        }
    }
    if let (true, Some(stopped_at)) = (confirmed != *task, task.execution_stopped_at) {
        confirmed.execution_stopped_at = last_end(&confirmed, stopped_at);
    }
    confirmed
}

/// The next round of a task.
pub fn plan(task: &Task, sighting: Sighting<'_>, now: TimestampMs) -> TaskPlan {
    let mut next = task.clone();
    let mut ends = Ends::new();
    match sighting {
        Sighting::NeverAsked | Sighting::NoRoom(_) => {}
        Sighting::Seen(seen) => ends = fold(&mut next, seen),
        Sighting::Unknown(reason) => {
            next.waiting = Some(reason.to_owned());
            return TaskPlan {
                task: next,
                events: Vec::new(),
                next: Next::Nothing,
            };
        }
    }
    let lived = next.desired_status() == DesiredStatus::Running;
    decide(&mut next, sighting, &ends);
    let notices = if lived {
        start_again(&mut next, ends, now)
    } else {
        Vec::new()
    };
    let what = move_on(&mut next, sighting, now);
    if next.checked_health() == Some(HealthStatus::Healthy) {
        next.healthy_at.get_or_insert(now);
    }
    let mut events = notices;
    events.extend(state_change(task, &next, now));
    TaskPlan {
        task: next,
        events,
        next: what,
    }
}

/// Containers with a restart policy that have just ended, each with whether it may be started again.
type Ends = BTreeMap<ContainerName, Result<(), String>>;

/// Takes what was seen into the record.
fn fold(task: &mut Task, seen: &Observation) -> Ends {
    if let NetworkObservation::Up { address, bindings } = &seen.network {
        task.address.clone_from(address);
        for container in &task.spec.containers {
            let record = task.containers.entry(container.name.clone()).or_default();
            record.network_bindings = bindings
                .iter()
                .filter(|binding| {
                    container
                        .port_mappings
                        .iter()
                        .any(|wanted| binding.serves(wanted))
                })
                .cloned()
                .collect();
        }
    }
    task.waiting = seen.waiting.clone().or_else(|| paused(task, seen));
    task.pull = total_of(&seen.pulls);
    task.limits = seen.limits.or(task.limits);
    let mut ends = Ends::new();
    for container in &task.spec.containers {
        let record = task.containers.entry(container.name.clone()).or_default();
        match seen.containers.get(&container.name) {
            // What is left of an attempt that has ended is as good as gone.
            Some(observed) if observed.attempt < record.attempt => {}
            Some(observed) => {
                catch_up(record, observed);
                let lived = record.last_status != ContainerStatus::Stopped;
                fold_container(record, observed);
                if let (true, Some(policy)) = (lived, &container.restart_policy)
                    && let Some(verdict) = verdict(policy, observed, &seen.network)
                {
                    ends.insert(container.name.clone(), verdict);
                }
            }
            None if record.last_status == ContainerStatus::Running => {
                record.last_status = ContainerStatus::Stopped;
                record.reason = Some(REMOVED.to_owned());
            }
            None => {}
        }
    }
    keep_digests(task, seen);
    if let Some(failure) = &seen.failure
        && let Some(name) = &failure.container
    {
        let record = task.containers.entry(name.clone()).or_default();
        record.last_status = ContainerStatus::Stopped;
        if record.attempt > record.restart_count {
            record.reason = None;
        }
        record.reason.get_or_insert_with(|| failure.reason.clone());
    }
    ends
}

/// An attempt that is not recorded was made before an older backup was restored: the count goes on from there.
fn catch_up(record: &mut ContainerRecord, observed: &ContainerObservation) {
    if observed.attempt > record.attempt && record.last_status != ContainerStatus::Stopped {
        record.attempt = observed.attempt;
        record.last_status = ContainerStatus::Pending;
        record.health = HealthStatus::Unknown;
    }
}

/// Whether a container that has ended may be started again, if it has.
fn verdict(
    policy: &RestartPolicy,
    observed: &ContainerObservation,
    network: &NetworkObservation,
) -> Option<Result<(), String>> {
    let (exit_code, finished_at) = match &observed.state {
        ContainerState::Created | ContainerState::Running => return None,
        ContainerState::Lost => return Some(Err("its exit code is not known".to_owned())),
        ContainerState::Exited {
            exit_code,
            finished_at,
            ..
        } => (*exit_code, *finished_at),
    };
    if !matches!(network, NetworkObservation::Up { .. }) {
        return Some(Err("the task's network has ended".to_owned()));
    }
    let ended = restart::Ended {
        started_at: observed.started_at,
        finished_at,
        exit_code,
    };
    Some(restart::decide(policy, ended))
}

/// Notes the next attempt of each container that is to be started again, unless the task is to stop by now; and
/// says of each what becomes of it.
fn start_again(task: &mut Task, ends: Ends, now: TimestampMs) -> Vec<NewEvent> {
    let lives = task.desired_status() == DesiredStatus::Running;
    let mut notices = Vec::new();
    for (name, verdict) in ends {
        let record = task.containers.entry(name.clone()).or_default();
        let how = match record.exit_code {
            Some(code) => format!("container {name} ended with exit code {code}"),
            None => format!("container {name} ended"),
        };
        let message = match verdict {
            Ok(()) if lives => {
                record.attempt = record.attempt.saturating_add(1);
                record.last_status = ContainerStatus::Pending;
                record.health = HealthStatus::Unknown;
                format!("{how} and is started again, attempt {}", record.attempt)
            }
            Ok(()) => format!("{how} and is not started again: its task stops"),
            Err(why) => format!("{how} and is not started again: {why}"),
        };
        notices.push(NewEvent {
            at: now,
            kind: EventKind::TaskNotice,
            cluster: Some(task.cluster.to_string()),
            subject: task.id.to_string(),
            status: None,
            message,
        });
    }
    notices
}

/// What a tag was found to mean first is what it means for all containers of the task.
fn keep_digests(task: &mut Task, seen: &Observation) {
    for container in &task.spec.containers {
        let found = seen.images.get(&container.image);
        let digest = task
            .image_digest(&container.image)
            .or_else(|| found.map(|image| image.digest.clone()));
        let record = task.containers.entry(container.name.clone()).or_default();
        if record.image_digest.is_none() {
            record.image_digest = digest;
        }
    }
}

/// All pulls of a task in one, if any goes on.
fn total_of(pulls: &BTreeMap<String, PullProgress>) -> Option<PullProgress> {
    let add = |sum: PullProgress, one: PullProgress| PullProgress {
        current_bytes: sum.current_bytes.saturating_add(one.current_bytes),
        total_bytes: sum.total_bytes.saturating_add(one.total_bytes),
    };
    pulls.values().copied().reduce(add)
}

fn fold_container(record: &mut ContainerRecord, observed: &ContainerObservation) {
    if record.last_status == ContainerStatus::Stopped {
        return;
    }
    // Until the next attempt runs, what is known is of the one before.
    let next_is_due = record.attempt > record.restart_count;
    if next_is_due && observed.state == ContainerState::Created {
        return;
    }
    record.runtime_id = Some(observed.runtime_id.clone());
    if observed.image_digest.is_some() {
        record.image_digest.clone_from(&observed.image_digest);
    }
    if next_is_due && observed.started_at.is_some() {
        record.restart_count = record.attempt;
        (record.exit_code, record.finished_at, record.reason) = (None, None, None);
    }
    record.started_at = observed.started_at.or(record.started_at);
    match &observed.state {
        ContainerState::Created => {}
        ContainerState::Running => {
            record.last_status = ContainerStatus::Running;
            // Only while it runs: Docker calls whatever has ended unhealthy.
            record.health = observed.health;
            record.reason = observed
                .health_output
                .as_ref()
                .filter(|_| observed.health == HealthStatus::Unhealthy)
                .map(|output| format!("{CHECK_FAILED}{output}"));
        }
        ContainerState::Lost => {
            record.last_status = ContainerStatus::Stopped;
            record.reason = Some(HOST_WENT_DOWN.to_owned());
        }
        ContainerState::Exited {
            exit_code,
            oom_killed,
            finished_at,
            error,
        } => {
            record.last_status = ContainerStatus::Stopped;
            record.exit_code = *exit_code;
            // The engine's clock may have been set back in between; an end never lies before its start.
            record.finished_at = Some(
                record
                    .started_at
                    .map_or(*finished_at, |at| at.max(*finished_at)),
            );
            // What its health check said last stays, unless there is more to say.
            let failed_check = failed_check(record).map(str::to_owned);
            record.reason = if *oom_killed {
                Some(OUT_OF_MEMORY.to_owned())
            } else {
                error.clone().or(failed_check)
            };
        }
    }
}

/// The reason of a container whose health check failed, if that is its reason.
fn failed_check(record: &ContainerRecord) -> Option<&str> {
    let reason = record.reason.as_deref()?;
    reason.starts_with(CHECK_FAILED).then_some(reason)
}

/// The container that somebody froze, if there is one. ECS knows no such state: the task is RUNNING, and says that
/// it waits for whoever did it. It can be stopped, since Docker lets go on what it sends a signal to.
fn paused(task: &Task, seen: &Observation) -> Option<String> {
    let mut containers = task.spec.containers.iter();
    containers.find_map(|definition| {
        let name = &definition.name;
        let observed = seen.containers.get(name).filter(|one| one.is_paused)?;
        let id = observed.runtime_id.get(..12).unwrap_or(&observed.runtime_id);
        Some(format!(
            "container {name} was paused by somebody other than Neargate; it goes on after: docker unpause {id}"
        ))
    })
}

/// Decides whether the task should live. Only ever from RUNNING to STOPPED, and only once.
fn decide(task: &mut Task, sighting: Sighting<'_>, ends: &Ends) {
    if task.planned_status == DesiredStatus::Stopped {
        return;
    }
    let Some((code, reason)) = reason_to_stop(task, sighting, ends) else {
        return;
    };
    task.planned_status = DesiredStatus::Stopped;
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason);
}

fn reason_to_stop(task: &Task, sighting: Sighting<'_>, ends: &Ends) -> Option<(StopCode, String)> {
    let seen = match sighting {
        Sighting::Seen(seen) => Some(seen),
        Sighting::NeverAsked | Sighting::NoRoom(_) | Sighting::Unknown(_) => None,
    };
    if let Sighting::NoRoom(Shortage::Never(reason)) = sighting {
        return Some((StopCode::TaskFailedToStart, reason.clone()));
    }
    if let Some(failure) = seen.and_then(|seen| seen.failure.as_ref())
        && failure.container.is_none()
    {
        return Some((StopCode::TaskFailedToStart, failure.reason.clone()));
    }
    let ending = seen.and_then(|seen| ending_essential(task, seen));
    if let Some((definition, record)) = ended_essential(task, ends).or(ending) {
        return Some(match (&record.reason, record.started_at) {
            (Some(reason), Some(_)) if reason.as_str() == HOST_WENT_DOWN => (
                StopCode::TerminationNotice,
                format!("{ESSENTIAL_EXITED}: {}: {reason}", definition.name),
            ),
            (Some(reason), None) => (StopCode::TaskFailedToStart, reason.clone()),
            (Some(reason), Some(_)) if reason.as_str() != OUT_OF_MEMORY => (
                StopCode::EssentialContainerExited,
                format!("{ESSENTIAL_EXITED}: {}: {reason}", definition.name),
            ),
            _ => (
                StopCode::EssentialContainerExited,
                ESSENTIAL_EXITED.to_owned(),
            ),
        });
    }
    if let Some(request) = &task.stop_request {
        let reason = match request.reason.as_deref() {
            None => STOPPED_BY_USER.to_owned(),
            Some(FAILED_HEALTH_CHECKS) => failed_health_checks(task),
            Some(reason) => reason.to_owned(),
        };
        return Some((request.code, reason));
    }
    if seen.is_some_and(|seen| network_is_gone(task, &seen.network)) {
        let code = if task.last_status < LastStatus::Running {
            StopCode::TaskFailedToStart
        } else {
            StopCode::EssentialContainerExited
        };
        return Some((code, NETWORK_GONE.to_owned()));
    }
    None
}

/// ECS's words, followed by what the first check that failed has said.
fn failed_health_checks(task: &Task) -> String {
    let mut essential = task.spec.containers.iter().filter(|one| one.essential);
    let said = essential.find_map(|one| {
        let reason = failed_check(task.containers.get(&one.name)?)?;
        Some(format!("{FAILED_HEALTH_CHECKS}: {}: {reason}", one.name))
    });
    said.unwrap_or_else(|| FAILED_HEALTH_CHECKS.to_owned())
}

/// The first essential container, in the definition's order, that has ended for good.
fn ended_essential<'a>(
    task: &'a Task,
    ends: &Ends,
) -> Option<(&'a ContainerDefinition, &'a ContainerRecord)> {
    task.spec
        .containers
        .iter()
        .filter(|container| container.essential && ends.get(&container.name) != Some(&Ok(())))
        .filter_map(|container| Some((container, task.containers.get(&container.name)?)))
        .find(|(_, record)| record.last_status == ContainerStatus::Stopped)
}

/// The first essential container of a task that was RUNNING, in the definition's order, that is known to end for good.
fn ending_essential<'a>(
    task: &'a Task,
    seen: &Observation,
) -> Option<(&'a ContainerDefinition, &'a ContainerRecord)> {
    let is_ending = |container: &&ContainerDefinition| {
        let seen = seen.containers.get(&container.name);
        container.essential
            && container.restart_policy.is_none()
            && seen.is_some_and(|seen| seen.is_ending)
    };
    let mut containers = task.spec.containers.iter();
    let container =
        containers.find(|one| task.last_status == LastStatus::Running && is_ending(one))?;
    Some((container, task.containers.get(&container.name)?))
}

/// Whether containers run in a network namespace that is no more.
fn network_is_gone(task: &Task, network: &NetworkObservation) -> bool {
    let some_ran = task
        .containers
        .values()
        .any(|record| record.last_status == ContainerStatus::Running || record.attempt > 0);
    match network {
        NetworkObservation::Up { .. } => false,
        NetworkObservation::Down => true,
        NetworkObservation::Absent => some_ran,
    }
}

/// Moves the state forward as far as what is known allows, and says what to do next.
fn move_on(task: &mut Task, sighting: Sighting<'_>, now: TimestampMs) -> Next {
    if task.last_status == LastStatus::Stopped {
        return if task.is_finished() {
            Next::Nothing
        } else {
            Next::Clean
        };
    }
    if task.desired_status() == DesiredStatus::Stopped {
        return stop(task, sighting, now);
    }
    if let Sighting::NoRoom(shortage) = sighting {
        task.waiting = Some(shortage.to_string());
        return Next::Nothing;
    }
    if task.last_status == LastStatus::Provisioning {
        task.waiting = None;
        task.last_status = LastStatus::Pending;
        task.pull_started_at = Some(now);
        return Next::Advance(Goal::Run);
    }
    let Sighting::Seen(seen) = sighting else {
        return Next::Advance(Goal::Run);
    };
    if task.pull_stopped_at.is_none() {
        // Containers that are there had their images, also when nobody noted since when.
        let had_images = (!seen.containers.is_empty()).then_some(now);
        task.pull_stopped_at = seen.images_ready_at.or(had_images);
    }
    let all_started = task
        .spec
        .containers
        .iter()
        .all(|container| has_started(task, &container.name));
    if !all_started {
        return Next::Advance(Goal::Run);
    }
    if task.last_status < LastStatus::Running {
        task.last_status = LastStatus::Running;
        task.started_at = task
            .containers
            .values()
            .filter_map(|record| record.started_at)
            .max()
            // The engine's clock may be ahead of this one, by which a grace period is measured.
            .map(|at| at.min(now));
        task.waiting = None;
        task.pull = None;
    }
    Next::Nothing
}

fn has_started(task: &Task, name: &ContainerName) -> bool {
    task.containers
        .get(name)
        .is_some_and(|record| record.last_status != ContainerStatus::Pending)
}

/// Moves a task on that is to stop.
fn stop(task: &mut Task, sighting: Sighting<'_>, now: TimestampMs) -> Next {
    let stopping_at = *task.stopping_at.get_or_insert(now);
    // One that was created counts: a call to start it may still be on its way.
    let some_live = match sighting {
        Sighting::Seen(seen) => seen.containers.values().any(|container| {
            matches!(
                container.state,
                ContainerState::Created | ContainerState::Running
            )
        }),
        Sighting::NeverAsked | Sighting::NoRoom(_) | Sighting::Unknown(_) => false,
    };
    if some_live {
        task.last_status = LastStatus::Stopping;
        return Next::Advance(Goal::Stop { since: stopping_at });
    }
    for container in &task.spec.containers {
        let record = task.containers.entry(container.name.clone()).or_default();
        record.last_status = ContainerStatus::Stopped;
    }
    task.last_status = LastStatus::Stopped;
    task.stopped_at = Some(now.max(task.created_at));
    // Of an end that nobody recorded it is only known that it was not before the task was last seen to run.
    let unknown_end = match sighting {
        Sighting::Seen(seen) => seen.last_alive.map_or(now, |at| at.min(now)),
        Sighting::NeverAsked | Sighting::NoRoom(_) | Sighting::Unknown(_) => now,
    };
    task.execution_stopped_at = last_end(task, unknown_end);
    task.waiting = None;
    task.pull = None;
    if task.pull_started_at.is_none() {
        task.cleaned_at = Some(now);
        return Next::Nothing;
    }
    Next::Clean
}

/// When the last container ended; `None` if no container ever started. One whose end nobody recorded ended at
/// `unknown_end`, but not before it started.
fn last_end(task: &Task, unknown_end: TimestampMs) -> Option<TimestampMs> {
    task.containers
        .values()
        .filter_map(|record| {
            let started_at = record.started_at?;
            Some(record.finished_at.unwrap_or(unknown_end.max(started_at)))
        })
        .max()
}

/// The event of a change of `lastStatus`, if it changed.
fn state_change(old: &Task, new: &Task, now: TimestampMs) -> Option<NewEvent> {
    if old.last_status == new.last_status {
        return None;
    }
    let mut message = format!("task {} is {}", new.id, new.last_status);
    if new.last_status >= LastStatus::Stopping
        && let (Some(code), Some(reason)) = (new.stop_code, &new.stopped_reason)
    {
        message = format!("{message}: {code}: {reason}");
    }
    Some(NewEvent {
        at: now,
        kind: EventKind::TaskStateChange,
        cluster: Some(new.cluster.to_string()),
        subject: new.id.to_string(),
        status: Some(new.last_status.to_string()),
        message,
    })
}

#[cfg(test)]
mod tests;
