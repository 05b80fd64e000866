//! What must hold between what is recorded and what is there, beside what the ledger remembers: each rule with a sentence
//! that says it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use neargate::domain::{
    Condition, ContainerName, EndEvidence, HealthStatus, LastStatus, SecretName, SecretValue, Task,
    TaskId, TaskUse, TimestampMs,
};
use neargate::engine::sim::{ContainerSnapshot, Snapshot};
use neargate::engine::{EngineError, Secrets};

use super::bugs::Signalled;
use super::world::World;

/// What is never to be seen anywhere but in a container.
pub const CANARY: &str = "storm-canary-7d1f";

/// Every secret has the same value here.
pub struct StormSecrets;

#[async_trait]
impl Secrets for StormSecrets {
    async fn secret(&self, _: &SecretName) -> Result<Option<SecretValue>, EngineError> {
        let value = SecretValue::new(CANARY.as_bytes().to_vec());
        value
            .map(Some)
            .map_err(|error| EngineError::Refused(error.to_string()))
    }
}

/// No secret in events, labels, reasons or errors.
pub fn no_secret(what: &str, text: &str) -> Result<(), String> {
    if text.contains(CANARY) {
        return Err(format!("no secret is told by {what}: {text}"));
    }
    Ok(())
}

pub fn labels(all: &[ContainerSnapshot]) -> Result<(), String> {
    for one in all {
        for (name, value) in &one.labels {
            no_secret("a label", &format!("{name}={value} of {}", one.name))?;
        }
    }
    Ok(())
}

/// What is said of a task.
pub fn words(task: &Task) -> Result<(), String> {
    let reasons = task
        .containers
        .values()
        .filter_map(|one| one.reason.as_ref());
    let said = [&task.waiting, &task.stopped_reason];
    for text in said.into_iter().flatten().chain(reasons) {
        no_secret("a reason", text)?;
    }
    Ok(())
}

/// Reservations never exceed the host, and are what the open intervals come to.
pub fn reservations<'a>(
    world: &World,
    usages: impl Iterator<Item = &'a TaskUse>,
) -> Result<(), String> {
    let (mut cpu, mut memory) = (0_u64, 0_u64);
    for one in usages.filter(|one| one.interval.closed.is_none()) {
        cpu += u64::from(one.interval.cpu.0);
        memory += u64::from(one.interval.memory.0);
    }
    let host = &world.host;
    if cpu > host.cpu_units || memory > host.memory_mib {
        return Err(format!(
            "reservations never exceed the host: {cpu} CPU units and {memory} MiB of {host:?}"
        ));
    }
    Ok(())
}

/// An interval is opened by the clock that showed then: how far that was ahead of the one that only runs.
pub async fn opening(world: &World, task: &TaskId) -> Result<i64, String> {
    let opening = world.store.opening(task).await.unwrap();
    let stretches = world.store.clock_stretches().await.unwrap();
    let (opened_at, seq) = opening.ok_or_else(|| format!("the clock of {task} is on record"))?;
    let stretch = stretches.iter().find(|one| one.seq == seq);
    let ahead_ms = stretch.ok_or("the clock of a task is one of those on record")?;
    let ahead_ms = ahead_ms.offset_ms;
    let at = TimestampMs::from_millis(opened_at.as_millis() - ahead_ms);
    if !world.was_ahead_by(ahead_ms, at) || at > world.time() {
        return Err(format!(
            "an interval is opened by the clock that shows: {task} at {opened_at}, {ahead_ms} ms ahead"
        ));
    }
    Ok(ahead_ms)
}

/// What tells of an end may be so late that what was measured until then was for longer than the task has run.
const TOLD_LATE_MS: u64 = 1_000;

/// A task that was seen to its end has not used more memory than its containers can have had, all of the time.
pub fn memory(task: &Task, usage: &TaskUse) -> Result<(), String> {
    let (Some(used), Some((_, EndEvidence::Engine))) = (usage.used, usage.interval.closed) else {
        return Ok(());
    };
    let length = usage.interval.length(usage.interval.opened_at);
    let length_ms = u64::try_from(length.as_millis()).unwrap();
    let most_kib = used.memory_peak_bytes.div_ceil(1_024) * task.spec.containers.len() as u64;
    if used.memory_kib_ms > most_kib * (length_ms + TOLD_LATE_MS) {
        return Err(format!(
            "what a task used was used while it ran: {length_ms} ms at {most_kib} KiB: {usage:#?}"
        ));
    }
    Ok(())
}

/// A container that runs, with what is recorded of its task.
fn runs<'a>(
    all: &'a [ContainerSnapshot],
    task: &Task,
    name: &ContainerName,
) -> Option<&'a ContainerSnapshot> {
    let id = task.containers.get(name)?.runtime_id.as_ref()?;
    all.iter().find(|one| one.running && one.id == *id)
}

/// One owner per address and port.
pub fn owners<'a>(seen: &Snapshot, tasks: impl Iterator<Item = &'a Task>) -> Result<(), String> {
    let mut ports: BTreeMap<(String, u16, String), &TaskId> = BTreeMap::new();
    for task in tasks.filter(|task| task.last_status == LastStatus::Running) {
        for (name, record) in &task.containers {
            if runs(&seen.containers, task, name).is_none() {
                continue;
            }
            for one in &record.network_bindings {
                let key = (
                    one.bind_ip.clone(),
                    one.host_port,
                    format!("{:?}", one.protocol),
                );
                let owner = ports.entry(key.clone()).or_insert(&task.id);
                if **owner != task.id {
                    return Err(format!(
                        "a port has one owner: {key:?}: {owner} and {}",
                        task.id
                    ));
                }
            }
        }
    }
    Ok(())
}

/// A container is not started before what it depends on is as far as it must be. Whatever could have been so for a moment
/// that nobody saw is let pass.
pub fn start_order(seen: &Snapshot, task: &Task, checked: &BTreeSet<String>) -> Result<(), String> {
    if task.last_status > LastStatus::Running {
        return Ok(());
    }
    for container in &task.spec.containers {
        let Some(this) = runs(&seen.containers, task, &container.name) else {
            continue;
        };
        for dependency in &container.depends_on {
            let Some(on) = runs(&seen.containers, task, &dependency.container) else {
                continue;
            };
            let is_first = [this, on]
                .iter()
                .all(|one| one.labels.get("neargate.attempt").is_none_or(|n| n == "0"));
            let is_met = match dependency.condition {
                Condition::Start => true,
                Condition::Complete | Condition::Success => false,
                // A daemon that comes back begins to check anew.
                Condition::Healthy => {
                    on.health != Some(HealthStatus::Unknown) || checked.contains(&on.id)
                }
            };
            if is_first && !is_met {
                return Err(format!(
                    "a container is not started before what it depends on: {} of {} before {} was {:?}",
                    container.name, task.id, on.name, dependency.condition
                ));
            }
        }
    }
    Ok(())
}

/// Stop order respects dependsOn and stopTimeout. The clock of each task is ahead of the one that only runs by as much as
/// `owner` says.
pub fn signal<'a>(
    one: &Signalled,
    owner: impl Fn(&str) -> Option<(&'a Task, ContainerName, i64)>,
    is_clock_true: bool,
) -> Result<(), String> {
    let Some((task, name, ahead_ms)) = owner(&one.id) else {
        return Ok(());
    };
    let (Some(stopping_at), Some(container)) = (task.stopping_at, task.spec.container(&name))
    else {
        return Ok(());
    };
    let stopping_at = TimestampMs::from_millis(stopping_at.as_millis() - ahead_ms);
    if is_clock_true && one.signal == "SIGKILL" && one.at < stopping_at.plus(container.stop_timeout)
    {
        return Err(format!(
            "a container has its stopTimeout: {name} of {} began to stop at {stopping_at} and is killed: {one:?}",
            task.id
        ));
    }
    for (id, since) in &one.running {
        let Some((other_task, other, _)) = owner(id).filter(|other| other.0.id == task.id) else {
            continue;
        };
        let other = other_task.spec.container(&other);
        let depends = other.is_some_and(|other| {
            let mut on = other.depends_on.iter();
            on.any(|dependency| dependency.container == name)
        });
        // One that came to life by a late call was not there to be waited for.
        let was_there = since.is_some_and(|since| since < stopping_at);
        if is_clock_true && depends && was_there {
            return Err(format!(
                "containers stop in the reverse order of their dependencies: {name} of {} before {id}: {one:?}",
                task.id
            ));
        }
    }
    Ok(())
}
