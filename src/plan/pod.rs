//! The next steps of one task, container by container: what to pull, create, start and signal, in which
//! order, and what is being waited for.
//!
//! It is asked again after every step, so it only ever says what can be done now; whatever was already
//! done shows in what is seen. It must never ask for a container that is recorded as started: each attempt to
//! run one is one-shot, and a container that is gone stays gone. Which attempt is due is recorded before it is
//! asked for here; what an earlier one has left is removed first, so there are never two.

use std::collections::BTreeMap;

use crate::domain::{
    Condition, ContainerDefinition, ContainerName, ContainerObservation, ContainerState,
    Dependency, Goal, HealthStatus, Known, NetworkObservation, Observation, PullProgress,
    StartFailure, TaskSpec, TimestampMs,
};

const NOBODY_KNOWS_HOW: &str = "it ended, and nobody knows how";

/// How long after the end of a process the engine is asked again, should it not say so itself.
const ASK_AGAIN: crate::domain::DurationMs = crate::domain::DurationMs::from_secs(1);
/// How long after a SIGKILL the engine is asked again, should no event say that the process has ended.
const KILL_AGAIN: crate::domain::DurationMs = crate::domain::DurationMs::from_secs(5);

/// What the next steps are decided from.
#[derive(Clone, Copy, Debug)]
pub struct PodWorld<'a> {
    /// What the task runs.
    pub spec: &'a TaskSpec,
    /// Where it is to go.
    pub goal: Goal,
    /// What is recorded of its containers.
    pub known: &'a BTreeMap<ContainerName, Known>,
    /// Which attempt to run each container is due; 0 where none is named.
    pub attempts: &'a BTreeMap<ContainerName, u32>,
    /// What is there.
    pub seen: &'a Observation,
    /// The images of the containers that are still to be created.
    pub images: &'a BTreeMap<String, ImageState>,
    /// Containers that were already asked to stop, and when. Losing this costs a second signal, and a
    /// stop timeout that begins anew.
    pub signalled: &'a BTreeMap<ContainerName, TimestampMs>,
    /// Now.
    pub now: TimestampMs,
}

/// Whether an image is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageState {
    /// It is.
    Present,
    /// It is not.
    Absent,
    /// It is on its way.
    Pulling(PullProgress),
    /// It could not be had; why, in ECS's words.
    Failed(String),
}

/// Everything that a pod plan can do to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodAction {
    /// Begin to pull an image.
    Pull(String),
    /// Make the task's network namespace.
    MakeNetwork,
    /// Create a container.
    Create(ContainerName),
    /// Start a container that was created.
    Start(ContainerName),
    /// Ask a container to stop: its own stop signal.
    Terminate(ContainerName),
    /// End a container that did not stop in time: SIGKILL.
    Kill(ContainerName),
    /// Remove a container unless it runs: it was created, and is not to be started any more.
    Discard(ContainerName),
    /// Remove what is left of an attempt to run a container that has ended; another one is due.
    Retire(ContainerName),
}

impl PodWorld<'_> {
    fn attempt(&self, name: &ContainerName) -> u32 {
        self.attempts.get(name).copied().unwrap_or_default()
    }

    /// What is there of a container, by the attempt that is due.
    fn current(&self, name: &ContainerName) -> Option<&ContainerObservation> {
        let seen = self.seen.containers.get(name);
        seen.filter(|seen| seen.attempt >= self.attempt(name))
    }
}

/// What to do now. The actions do not depend on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPlan {
    /// What to do.
    pub actions: Vec<PodAction>,
    /// What is being waited for, in one sentence.
    pub waiting: Option<String>,
    /// When to look again if nothing happens before.
    pub wake_at: Option<TimestampMs>,
    /// Why the task cannot be started at all.
    pub failure: Option<StartFailure>,
}

/// The next steps.
pub fn plan(world: PodWorld<'_>) -> PodPlan {
    match world.goal {
        Goal::Run => plan_run(world),
        Goal::Stop { since } => plan_stop(world, since),
    }
}

fn plan_run(world: PodWorld<'_>) -> PodPlan {
    let mut plan = PodPlan::default();
    if missing(world).next().is_some() {
        if !images_ready(world, &mut plan) {
            return plan;
        }
        if world.seen.network == NetworkObservation::Absent {
            plan.actions.push(PodAction::MakeNetwork);
            return plan;
        }
    }
    for container in &world.spec.containers {
        match world.seen.containers.get(&container.name) {
            Some(seen) if seen.attempt < world.attempt(&container.name) => {
                plan.actions.push(PodAction::Retire(container.name.clone()));
            }
            Some(seen) if seen.state == ContainerState::Created => {
                plan.actions.push(PodAction::Start(container.name.clone()));
            }
            Some(_) => {}
            None if world.known.contains_key(&container.name) => {}
            None => match readiness(world, container) {
                Readiness::Ready => plan.actions.push(PodAction::Create(container.name.clone())),
                Readiness::Waiting { what, until } => {
                    plan.waiting.get_or_insert(what);
                    plan.wake_at = earliest(plan.wake_at, until);
                }
                Readiness::Impossible(reason) => {
                    plan.failure.get_or_insert(StartFailure {
                        container: Some(container.name.clone()),
                        reason,
                    });
                }
            },
        }
    }
    plan
}

/// The containers that are still to be created.
fn missing(world: PodWorld<'_>) -> impl Iterator<Item = &ContainerDefinition> {
    world.spec.containers.iter().filter(move |container| {
        world.current(&container.name).is_none() && !world.known.contains_key(&container.name)
    })
}

/// Whether every image that is needed is there; otherwise notes what to pull and what is waited for.
fn images_ready(world: PodWorld<'_>, plan: &mut PodPlan) -> bool {
    let mut ready = true;
    let mut needed: Vec<&ContainerDefinition> = missing(world).collect();
    needed.sort_by(|a, b| a.image.cmp(&b.image));
    needed.dedup_by(|a, b| a.image == b.image);
    for container in needed {
        let image = &container.image;
        match world.images.get(image) {
            Some(ImageState::Present) => continue,
            Some(ImageState::Pulling(_)) => {}
            Some(ImageState::Failed(reason)) => {
                plan.failure.get_or_insert(StartFailure {
                    container: Some(container.name.clone()),
                    reason: reason.clone(),
                });
            }
            Some(ImageState::Absent) | None => plan.actions.push(PodAction::Pull(image.clone())),
        }
        plan.waiting
            .get_or_insert(format!("image {image} is being pulled"));
        ready = false;
    }
    ready
}

/// Whether a container's dependencies let it start.
enum Readiness {
    Ready,
    Waiting {
        what: String,
        until: Option<TimestampMs>,
    },
    Impossible(String),
}

/// One that is started again does not wait again, as in ECS.
fn readiness(world: PodWorld<'_>, container: &ContainerDefinition) -> Readiness {
    if world.attempt(&container.name) > 0 {
        return Readiness::Ready;
    }
    for dependency in &container.depends_on {
        match dependency_met(world, container, dependency) {
            Readiness::Ready => {}
            not_ready => return not_ready,
        }
    }
    Readiness::Ready
}

/// Source of the conditions: Amazon ECS API reference, `ContainerDependency`.
fn dependency_met(
    world: PodWorld<'_>,
    container: &ContainerDefinition,
    dependency: &Dependency,
) -> Readiness {
    let on = &dependency.container;
    let condition = dependency.condition.as_str();
    let what = format!(
        "container {} waits for container {on} to reach {condition}",
        container.name
    );
    let impossible = |why: String| {
        Readiness::Impossible(format!(
            "ContainerDependencyNotResolvedError: container {} depends on container {on} reaching \
             {condition}, but {why}",
            container.name
        ))
    };
    let Some(seen) = world.current(on) else {
        return match world.known.get(on) {
            Some(_) => impossible("it is gone".to_owned()),
            None => Readiness::Waiting { what, until: None },
        };
    };
    match (&seen.state, dependency.condition) {
        (
            ContainerState::Exited {
                error: Some(error), ..
            },
            _,
        ) => impossible(format!("it could not be started: {error}")),
        (
            ContainerState::Running | ContainerState::Exited { .. } | ContainerState::Lost,
            Condition::Start,
        )
        | (ContainerState::Exited { .. } | ContainerState::Lost, Condition::Complete)
        | (
            ContainerState::Exited {
                exit_code: Some(0), ..
            },
            Condition::Success,
        ) => Readiness::Ready,
        (ContainerState::Exited { exit_code, .. }, Condition::Success | Condition::Healthy) => {
            impossible(match exit_code {
                Some(code) => format!("it exited with code {code}"),
                None => NOBODY_KNOWS_HOW.to_owned(),
            })
        }
        (ContainerState::Lost, Condition::Success | Condition::Healthy) => {
            impossible(NOBODY_KNOWS_HOW.to_owned())
        }
        (ContainerState::Running, Condition::Healthy) if seen.health == HealthStatus::Healthy => {
            Readiness::Ready
        }
        _ => {
            let said = match &seen.health_output {
                Some(output) => format!("; its last health check failed: {output}"),
                None => String::new(),
            };
            match give_up_at(world, on, seen) {
                Some(at) if at <= world.now => {
                    impossible(format!("its startTimeout has passed{said}"))
                }
                until => Readiness::Waiting {
                    what: format!("{what}{said}"),
                    until,
                },
            }
        }
    }
}

/// When whoever depends on a container that has been started stops waiting for it.
fn give_up_at(
    world: PodWorld<'_>,
    name: &ContainerName,
    seen: &ContainerObservation,
) -> Option<TimestampMs> {
    let timeout = world.spec.container(name)?.start_timeout?;
    Some(seen.started_at?.plus(timeout))
}

/// Stops the containers in the reverse order of their dependencies: one is only asked when everything
/// that depends on it has ended. Each has its own stop timeout, which counts from when it was its turn.
///
/// One that was created and does not run is removed first: a call to start it that was given up may still
/// be carried out, and nothing may come to life after the task has ended.
fn plan_stop(world: PodWorld<'_>, since: TimestampMs) -> PodPlan {
    let mut plan = PodPlan::default();
    for container in &world.spec.containers {
        let name = &container.name;
        let seen = world.seen.containers.get(name);
        match seen.map(|seen| &seen.state) {
            Some(ContainerState::Running) if seen.is_some_and(|seen| seen.is_ending) => {
                plan.wake_at = earliest(plan.wake_at, Some(world.now.plus(ASK_AGAIN)));
                continue;
            }
            Some(ContainerState::Running) => {}
            Some(ContainerState::Created) => {
                plan.waiting
                    .get_or_insert(format!("container {name} is removed unstarted"));
                plan.actions.push(PodAction::Discard(name.clone()));
                continue;
            }
            Some(ContainerState::Exited { .. } | ContainerState::Lost) | None => continue,
        }
        let Some(due) = stop_due(world, name, since) else {
            continue;
        };
        plan.waiting
            .get_or_insert(format!("container {name} is asked to stop"));
        let kill_at = due.plus(container.stop_timeout);
        if world.now >= kill_at {
            plan.actions.push(PodAction::Kill(name.clone()));
            plan.wake_at = earliest(plan.wake_at, Some(world.now.plus(KILL_AGAIN)));
            continue;
        }
        if !world.signalled.contains_key(name) {
            plan.actions.push(PodAction::Terminate(name.clone()));
        }
        plan.wake_at = earliest(plan.wake_at, Some(kill_at));
    }
    plan
}

/// When it is a container's turn to stop: when the task began to, or when the last container that depends
/// on it ended, whichever is later. `None` while one of those still runs.
fn stop_due(world: PodWorld<'_>, name: &ContainerName, since: TimestampMs) -> Option<TimestampMs> {
    let mut due = since;
    let dependents = world.spec.containers.iter().filter(|other| {
        other
            .depends_on
            .iter()
            .any(|dependency| dependency.container == *name)
    });
    for dependent in dependents {
        let Some(seen) = world.seen.containers.get(&dependent.name) else {
            continue;
        };
        match &seen.state {
            ContainerState::Running => return None,
            // One that never ran did not keep anybody waiting.
            ContainerState::Exited { finished_at, .. } if seen.started_at.is_some() => {
                due = due.max(*finished_at);
            }
            ContainerState::Exited { .. } | ContainerState::Lost | ContainerState::Created => {}
        }
    }
    // The engine's clock may be ahead of this one.
    Some(due.min(*world.signalled.get(name).unwrap_or(&world.now)))
}

fn earliest(a: Option<TimestampMs>, b: Option<TimestampMs>) -> Option<TimestampMs> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
