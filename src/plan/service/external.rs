//! A service whose deployments somebody else carries out: each of its task sets is kept like a small service of its own.
//!
//! It is planned by the same rules as a rolling deployment that is complete: its share of the desired count is what is
//! wanted, its tasks are all that there are, and nothing is before or after it. So what holds for services, pauses after
//! failures and the replacement of what is unhealthy among it, holds for task sets. No set ever looks at the tasks of
//! another.

use super::{ServicePlan, ServiceWorld, rolling};
use crate::domain::{
    CircuitBreaker, Deployment, DeploymentStatus, LastStatus, Service, ServiceConfiguration,
    ServiceStatus, ServiceTask, TaskSet,
};

/// The next round of such a service.
pub(super) fn plan(world: ServiceWorld<'_>) -> ServicePlan {
    let service = world.service;
    let mut whole = ServicePlan::of(service.clone());
    whole.service.waiting = None;
    let mut sets = Vec::new();
    for set in &service.task_sets {
        sets.extend(plan_set(&world, set, &mut whole));
    }
    let of_none = |task: &&ServiceTask| {
        let is_of = |set: &TaskSet| set.id().as_str() == task.deployment;
        !service.task_sets.iter().any(is_of)
    };
    let mut left = 0;
    for task in world.tasks.iter().filter(of_none) {
        if task.last_status == LastStatus::Stopped {
            whole.noted.push(task.id.clone());
            continue;
        }
        left += 1;
        if task.is_wanted() {
            let reason = format!("Task set {} was deleted", task.deployment);
            whole.stop.push((task.id.clone(), reason));
        }
    }
    whole.service.is_steady = left == 0 && sets.iter().all(|set| set.is_steady);
    whole.service.task_sets = sets;
    let is_over = whole.service.task_sets.is_empty() && left == 0;
    if service.status == ServiceStatus::Draining && is_over {
        whole.service.status = ServiceStatus::Inactive;
    }
    whole
}

/// Plans one task set, and adds that to the plan of the whole. `None` when it was deleted and has no task left.
fn plan_set(world: &ServiceWorld<'_>, set: &TaskSet, whole: &mut ServicePlan) -> Option<TaskSet> {
    let id = set.id();
    let is_own = |task: &&ServiceTask| task.deployment == id.as_str();
    let own: Vec<ServiceTask> = world.tasks.iter().filter(is_own).cloned().collect();
    let part = alone(world.service, set);
    let mut plan = rolling(ServiceWorld {
        service: &part,
        tasks: &own,
        ..*world
    });
    // They are the set's, not a deployment's.
    let stop = plan.stop.into_iter();
    let stop = stop.map(|(task, why)| (task, why.replace("(deployment ", "(taskSet ")));
    whole.stop.extend(stop);
    whole.counted.append(&mut plan.counted);
    whole.noted.append(&mut plan.noted);
    whole.wake_at = [whole.wake_at, plan.wake_at].into_iter().flatten().min();
    if plan.start > 0 {
        whole.start_of_sets.push((id.clone(), plan.start));
    }
    let name = &world.service.key.name;
    let before = format!("(service {name}) ");
    for mut event in plan.events {
        // A set is no deployment that could be completed.
        let Some(said) = event.message.strip_prefix(&before) else {
            continue;
        };
        if !said.starts_with("(deployment ") {
            event.message = format!("(service {name}, taskSet {id}) {said}");
            whole.events.push(event);
        }
    }
    if plan.service.status == ServiceStatus::Inactive {
        return None;
    }
    if let (None, Some(waiting)) = (&whole.service.waiting, &plan.service.waiting) {
        whole.service.waiting = Some(format!("task set {id}: {waiting}"));
    }
    let mut next = set.clone();
    if let Some(deployment) = plan.service.deployments.into_iter().next() {
        next.deployment = Deployment {
            status: set.deployment.status,
            ..deployment
        };
    }
    next.set_steady(plan.service.is_steady, world.now);
    Some(next)
}

/// A service that has this task set alone.
fn alone(service: &Service, set: &TaskSet) -> Service {
    let status = if set.is_draining {
        ServiceStatus::Draining
    } else {
        service.status
    };
    Service {
        status,
        desired_count: set.wanted(service),
        configuration: ServiceConfiguration {
            circuit_breaker: CircuitBreaker::default(),
            ..service.configuration.clone()
        },
        deployments: vec![Deployment {
            status: DeploymentStatus::Primary,
            ..set.deployment.clone()
        }],
        task_sets: Vec::new(),
        last_completed: None,
        is_steady: set.is_steady,
        waiting: None,
        ..service.clone()
    }
}

#[cfg(test)]
mod tests;
