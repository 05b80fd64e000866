//! What becomes of a service: which tasks to start, which to stop, and how its deployments get on.
//!
//! One round: the tasks that have stopped are taken note of, then everything is sorted into what is to stay and
//! what may go, and then as much is stopped and started as the bounds allow. The caller records all of it in one
//! transaction, the new tasks among it, so a crash leaves either all of a round or nothing. It must never start a
//! task beyond the upper bound, never stop a healthy one below the lower bound, and never start anything for a
//! service that is not ACTIVE.
//!
//! Source of the rules: Amazon ECS developer guide, "Amazon ECS service deployment controllers: rolling update" and
//! "How the Amazon ECS deployment circuit breaker detects failures".

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::domain::{
    CircuitBreaker, Deployment, DeploymentCause, DeploymentId, DeploymentStatus, DeploymentTarget,
    DesiredStatus, DurationMs, EventKind, FAILED_HEALTH_CHECKS, HealthStatus, Hold, LastStatus,
    NewEvent, Occasion, RolloutState, Service, ServiceStatus, ServiceTask, TaskFailure, TaskId,
    TimestampMs, has_failed,
};

/// What a round is decided from.
#[derive(Clone, Copy, Debug)]
pub struct ServiceWorld<'a> {
    /// The service, as it is recorded.
    pub service: &'a Service,
    /// Its tasks that have not stopped, and those that have and were not taken note of; oldest first.
    pub tasks: &'a [ServiceTask],
    /// What keeps new tasks of it from beginning, if anything does.
    pub held: Option<&'a Hold>,
    /// The ID of a deployment that may have to be begun.
    pub next_deployment: &'a DeploymentId,
    /// Whether its cluster's container instance is DRAINING: no task is started there. The tasks that there are go on, since
    /// nothing could take their place.
    pub is_draining: bool,
    /// Now.
    pub now: TimestampMs,
}

/// What to record, all at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePlan {
    /// The service as it is to be recorded. Equal to the old one when nothing changed.
    pub service: Service,
    /// Tasks to start: so many of the PRIMARY deployment.
    pub start: u32,
    /// The same of task sets.
    pub start_of_sets: Vec<(DeploymentId, u32)>,
    /// Tasks to stop, and why.
    pub stop: Vec<(TaskId, String)>,
    /// Deployments that are over, as they ended.
    pub retired: Vec<Deployment>,
    /// Tasks that go to their end, and whose failure is counted by now.
    pub counted: Vec<TaskId>,
    /// Stopped tasks that were taken note of, and need not be looked at again.
    pub noted: Vec<TaskId>,
    /// What happened, in ECS's words.
    pub events: Vec<NewEvent>,
    /// When to look again if nobody rings before.
    pub wake_at: Option<TimestampMs>,
}

impl ServicePlan {
    /// Nothing is to be done for `service`.
    fn of(service: Service) -> Self {
        Self {
            service,
            start: 0,
            start_of_sets: Vec::new(),
            stop: Vec::new(),
            retired: Vec::new(),
            counted: Vec::new(),
            noted: Vec::new(),
            events: Vec::new(),
            wake_at: None,
        }
    }

    /// Says that these tasks were started for it, or for a task set of it. The caller makes them, so it alone knows their
    /// IDs.
    pub fn tell_started(&mut self, set: Option<&DeploymentId>, tasks: &[TaskId], now: TimestampMs) {
        if !tasks.is_empty() {
            let (count, listed) = (tasks.len(), listed(tasks));
            let set = set.map_or(String::new(), |id| format!(", taskSet {id}"));
            let said = format!("has started {count} tasks: {listed}.");
            self.tell_of(&set, &said, now);
        }
    }

    fn tell(&mut self, message: &str, now: TimestampMs) {
        self.tell_of("", message, now);
    }

    fn tell_of(&mut self, set: &str, message: &str, now: TimestampMs) {
        let key = &self.service.key;
        self.events.push(NewEvent {
            at: now,
            kind: EventKind::ServiceEvent,
            cluster: Some(key.cluster.to_string()),
            subject: key.name.to_string(),
            status: None,
            message: format!("(service {}{set}) {message}", key.name),
        });
    }
}

/// The most tasks that one event names.
const NAMED: usize = 10;

/// `(task 0123) (task 4567)`, as ECS writes it.
fn listed<'a>(tasks: impl IntoIterator<Item = &'a TaskId, IntoIter: ExactSizeIterator>) -> String {
    let tasks = tasks.into_iter();
    let more = tasks.len().saturating_sub(NAMED);
    let mut named: Vec<String> = tasks.take(NAMED).map(|id| format!("(task {id})")).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(" ")
}

/// The most tasks that one round starts: the next round goes on, and others get their turn in between.
const STARTS_AT_ONCE: u32 = 100;

/// A task that was of use for so long before it ended did not fail to start: the next one is not held back.
const RAN_WELL: DurationMs = DurationMs::from_secs(60);

/// Failed attempts in a row without a pause. After that comes one of a second, and each is twice the one before.
const FREE_FAILURES: u32 = 2;
const LONGEST_PAUSE_S: u32 = 300;

/// The next round of a service.
pub fn plan(world: ServiceWorld<'_>) -> ServicePlan {
    if world.service.is_external() {
        external::plan(world)
    } else {
        rolling(world)
    }
}

/// The next round of a service that moves from one revision to the next by itself.
fn rolling(world: ServiceWorld<'_>) -> ServicePlan {
    let mut round = Round {
        now: world.now,
        plan: ServicePlan::of(world.service.clone()),
        stopped: BTreeSet::new(),
        is_draining: world.is_draining,
        is_held_back: false,
    };
    round.take_note(world.tasks);
    round.give_up_if_broken(world.next_deployment);
    let live: Vec<&ServiceTask> = world
        .tasks
        .iter()
        .filter(|task| task.last_status != LastStatus::Stopped)
        .collect();
    if world.held.is_none() {
        round.replace_unhealthy(&live);
    }
    round.scale_in(&live);
    if world.held.is_none() || round.missing(&live) == 0 {
        round.replace_older(&live);
    }
    round.start(&live, world.held);
    round.tell_stopped();
    round.conclude(&live);
    round.plan
}

struct Round {
    now: TimestampMs,
    plan: ServicePlan,
    /// The tasks that `plan.stop` names.
    stopped: BTreeSet<TaskId>,
    /// Whether no task can be started at all.
    is_draining: bool,
    /// Whether the next start has to wait because others have failed; why, has been said.
    is_held_back: bool,
}

impl Round {
    fn grace(&self) -> DurationMs {
        self.plan.service.configuration.health_check_grace_period
    }

    fn settling(&self) -> DurationMs {
        self.plan.service.configuration.settling()
    }

    fn healthy(&self, task: &ServiceTask) -> bool {
        self.goes_on(task) && task.is_healthy(self.settling(), self.now)
    }

    /// Whether a task is to go on, also after what this round has decided so far.
    fn goes_on(&self, task: &ServiceTask) -> bool {
        task.is_wanted() && !self.stopped.contains(&task.id)
    }

    fn is_of_primary(&self, task: &ServiceTask) -> bool {
        let primary = self.plan.service.primary();
        primary.is_some_and(|primary| primary.id.as_str() == task.deployment)
    }

    /// How many of the service's deployments are newer than that of a task.
    fn age(&self, task: &ServiceTask) -> usize {
        let mut deployments = self.plan.service.deployments.iter();
        let position = deployments.position(|one| one.id.as_str() == task.deployment);
        position.unwrap_or(usize::MAX)
    }

    fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.plan.service.deployments.first_mut()
    }

    fn stop(&mut self, task: &ServiceTask, reason: String) {
        self.stopped.insert(task.id.clone());
        self.plan.stop.push((task.id.clone(), reason));
    }

    fn wake(&mut self, at: TimestampMs) {
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn tell(&mut self, message: &str) {
        self.plan.tell(message, self.now);
    }

    /// Takes the tasks that have failed into the deployments' counts, each once: as soon as its end is decided, since from
    /// then on another one may take its place.
    fn take_note(&mut self, tasks: &[ServiceTask]) {
        let settling = self.settling();
        for task in tasks {
            if task.last_status == LastStatus::Stopped {
                self.plan.noted.push(task.id.clone());
                self.plan.service.is_steady = false;
            } else if task.desired_status == DesiredStatus::Running {
                continue;
            }
            let Some(failure) = failure_of(task, self.now).filter(|_| !task.is_counted) else {
                continue;
            };
            if task.last_status != LastStatus::Stopped {
                self.plan.counted.push(task.id.clone());
            }
            let of = |deployment: &&mut Deployment| deployment.id.as_str() == task.deployment;
            let Some(deployment) = self.plan.service.deployments.iter_mut().find(of) else {
                continue;
            };
            let message = format!("(task {}) failed: {}", task.id, failure.reason);
            // One that was given up has been judged: what still comes to its end of it changes nothing.
            if deployment.rollout_state == RolloutState::Failed {
                self.tell(&message);
                continue;
            }
            // Tasks that were started together fail together: that is one attempt. Where each has been replaced at once,
            // the next attempt is on its way before the last task of this one has failed.
            let is_new_attempt = deployment
                .attempt_failed_at
                .is_none_or(|first| task.created_at >= first || first > self.now);
            let ran_well = ran_well(task, deployment, settling, self.now);
            if ran_well {
                (deployment.failed_tasks, deployment.failed_attempts) = (0, 0);
            }
            deployment.failed_tasks = deployment.failed_tasks.saturating_add(1);
            if ran_well || is_new_attempt {
                deployment.failed_attempts = deployment.failed_attempts.saturating_add(1);
                deployment.attempt_failed_at = Some(self.now);
            }
            let begins_to_pause = is_new_attempt && deployment.failed_attempts == FREE_FAILURES + 1;
            deployment.remember(failure);
            self.tell(&message);
            if begins_to_pause {
                self.tell("is unable to consistently start tasks successfully.");
            }
        }
    }

    /// Gives the PRIMARY deployment up when enough of its tasks have failed, and goes back if that was asked for.
    fn give_up_if_broken(&mut self, next: &DeploymentId) {
        let breaker = self.plan.service.configuration.circuit_breaker;
        let threshold = CircuitBreaker::threshold(self.plan.service.wanted());
        let (now, is_active) = (self.now, self.plan.service.status == ServiceStatus::Active);
        let back_to = self.plan.service.last_completed.clone();
        let Some(primary) = self.primary_mut() else {
            return;
        };
        let is_broken = breaker.enable
            && is_active
            && primary.rollout_state == RolloutState::InProgress
            && primary.failed_tasks >= threshold;
        if !is_broken {
            return;
        }
        let (id, count) = (primary.id.clone(), primary.failed_tasks);
        primary.rollout_state = RolloutState::Failed;
        primary.rollout_state_reason = format!(
            "ECS deployment circuit breaker: tasks failed to start. {count} of them failed."
        );
        primary.updated_at = now;
        primary.finished_at.get_or_insert(now);
        let failed = primary.target();
        self.tell(&format!(
            "(deployment {id}) deployment failed: tasks failed to start."
        ));
        self.end_rollbacks(RolloutState::Failed);
        let is_another = |back_to: &DeploymentTarget| !back_to.runs_the_same(&failed);
        if let Some(back_to) = back_to.filter(|back_to| breaker.rollback && is_another(back_to)) {
            self.roll_back(&id, next, back_to);
        }
    }

    fn roll_back(&mut self, from: &DeploymentId, next: &DeploymentId, back_to: DeploymentTarget) {
        let occasion = Occasion {
            cause: DeploymentCause::CircuitBreaker,
            client: None,
            reason: format!("ECS deployment circuit breaker: rolling back from deployment {from}."),
            at: self.now,
        };
        self.plan.service.return_to(next.clone(), back_to, occasion);
        if let Some(back) = self.plan.service.primary() {
            self.tell(&format!("rolling back to deployment {}.", back.id));
        }
    }

    /// Deployments that the service goes back from: it has, or it will not.
    fn end_rollbacks(&mut self, outcome: RolloutState) {
        for deployment in &mut self.plan.service.deployments {
            deployment.end_rollback(outcome, self.now);
        }
    }

    /// Stops what its health checks found unhealthy. It counts for nothing, so no bound is touched.
    fn replace_unhealthy(&mut self, live: &[&ServiceTask]) {
        for task in live {
            if !self.goes_on(task) || task.health != Some(HealthStatus::Unhealthy) {
                continue;
            }
            if let Some(until) = task.in_grace_until(self.grace(), self.now) {
                self.wake(until);
                continue;
            }
            self.tell(&format!(
                "(task {}) failed container health checks.",
                task.id
            ));
            self.stop(task, FAILED_HEALTH_CHECKS.to_owned());
        }
    }

    /// Stops what is more than wanted: first what is not healthy, the newest first, then of the oldest revision, then the
    /// newest; never a protected one while the service is kept.
    fn scale_in(&mut self, live: &[&ServiceTask]) {
        let wanted = self.plan.service.wanted() as usize;
        let mut going_on: Vec<&ServiceTask> = live
            .iter()
            .copied()
            .filter(|task| self.goes_on(task))
            .collect();
        // While a deployment is on its way there may be more; the older ones are taken care of by it. One that was given
        // up takes care of nothing.
        let is_given_up = self
            .plan
            .service
            .primary()
            .is_some_and(|primary| primary.rollout_state == RolloutState::Failed);
        let of_all = wanted == 0 || is_given_up;
        let of_primary = going_on
            .iter()
            .filter(|task| self.is_of_primary(task))
            .count();
        let surplus = if of_all {
            going_on.len().saturating_sub(wanted)
        } else {
            of_primary.saturating_sub(wanted)
        };
        if !of_all {
            going_on.retain(|task| self.is_of_primary(task));
        }
        going_on.sort_by_key(|task| {
            let is_healthy = self.healthy(task);
            let age = if is_healthy { self.age(task) } else { 0 };
            (is_healthy, Reverse(age), Reverse(task.created_at))
        });
        self.stop_some(live, &going_on, surplus);
    }

    /// Stops tasks of older deployments: first those that count for nothing.
    fn replace_older(&mut self, live: &[&ServiceTask]) {
        // A deployment that was given up takes nobody's place any more.
        if self
            .plan
            .service
            .primary()
            .is_some_and(|primary| primary.rollout_state == RolloutState::Failed)
        {
            return;
        }
        let mut older: Vec<&ServiceTask> = live
            .iter()
            .copied()
            .filter(|task| self.goes_on(task) && !self.is_of_primary(task))
            .collect();
        older.sort_by_key(|task| (self.healthy(task), task.created_at));
        self.stop_some(live, &older, usize::MAX);
    }

    /// Stops the first `most` of these tasks, as far as enough healthy ones remain. A protected one goes on while the
    /// service is kept, as in ECS: neither scaling in nor a deployment ends it.
    fn stop_some(&mut self, live: &[&ServiceTask], tasks: &[&ServiceTask], most: usize) {
        let service = &self.plan.service;
        let is_kept = service.status == ServiceStatus::Active;
        let lower = service.configuration.lower_bound(service.wanted()) as usize;
        let mut healthy = live.iter().filter(|task| self.healthy(task)).count();
        let mut left = most;
        let reason = self.scaling_reason();
        for task in tasks {
            if left == 0 {
                return;
            }
            if let Some(until) = task.protected_until.filter(|until| *until > self.now)
                && is_kept
            {
                self.wake(until);
                continue;
            }
            if self.healthy(task) {
                if healthy <= lower {
                    return;
                }
                healthy -= 1;
            }
            left -= 1;
            self.stop(task, reason.clone());
        }
    }

    /// Whether the upper bound lets one more task be started.
    fn has_room(&self, live: &[&ServiceTask]) -> bool {
        self.room(live) > 0
    }

    fn room(&self, live: &[&ServiceTask]) -> u32 {
        let service = &self.plan.service;
        let upper = service.configuration.upper_bound(service.wanted());
        let occupied = live.iter().filter(|task| task.occupies()).count();
        upper.saturating_sub(u32::try_from(occupied).unwrap_or(u32::MAX))
    }

    /// How many tasks the PRIMARY deployment lacks.
    fn missing(&self, live: &[&ServiceTask]) -> u32 {
        let of_primary = live
            .iter()
            .filter(|task| self.goes_on(task) && self.is_of_primary(task))
            .count();
        let wanted = self.plan.service.wanted();
        wanted.saturating_sub(u32::try_from(of_primary).unwrap_or(u32::MAX))
    }

    /// Starts what the PRIMARY deployment lacks, as far as the upper bound allows, and after failures with a pause. While a
    /// budget is spent nothing is started, and nothing that runs is ended for the sake of what would be.
    fn start(&mut self, live: &[&ServiceTask], held: Option<&Hold>) {
        let service = &self.plan.service;
        let Some(primary) = service.primary() else {
            return;
        };
        if service.status != ServiceStatus::Active || primary.rollout_state == RolloutState::Failed
        {
            return;
        }
        let missing = self.missing(live);
        if missing == 0 {
            return;
        }
        if self.is_draining {
            let waiting = "the container instance of its cluster is DRAINING: no task is started";
            self.plan.service.waiting = Some(waiting.to_owned());
            self.is_held_back = true;
            return;
        }
        if let Some(hold) = held {
            let wait = tasks(missing as usize, "waits", "wait");
            self.plan.service.waiting = Some(format!("{wait}: {}", hold.reason));
            self.is_held_back = true;
            self.wake(hold.until);
            return;
        }
        if let Some(at) = next_start(primary, self.now) {
            let (failed, reason) = (
                primary.failed_tasks,
                primary.last_failure().map(|failure| failure.reason.clone()),
            );
            let have_failed = tasks(failed as usize, "has failed", "have failed");
            self.plan.service.waiting = Some(format!(
                "{have_failed}; the next one is started at {at}. The last one said: {}",
                reason.unwrap_or_default()
            ));
            self.is_held_back = true;
            self.wake(at);
            return;
        }
        let most = if primary.failed_attempts > FREE_FAILURES {
            // One shows whether it works now; the others follow when it has.
            let is_tried = live
                .iter()
                .any(|task| self.goes_on(task) && self.is_of_primary(task) && !self.healthy(task));
            u32::from(!is_tried)
        } else {
            STARTS_AT_ONCE
        };
        let count = missing.min(self.room(live)).min(most);
        self.plan.start = count;
        if count < missing && count == STARTS_AT_ONCE {
            self.wake(self.now);
        }
    }

    fn tell_stopped(&mut self) {
        let stopped = self.plan.stop.iter().map(|(id, _)| id);
        if stopped.len() > 0 {
            let (count, listed) = (stopped.len(), listed(stopped));
            self.tell(&format!("has stopped {count} running tasks: {listed}."));
        }
    }

    /// Says how far the deployments have come, and what is waited for.
    fn conclude(&mut self, live: &[&ServiceTask]) {
        self.retire(live);
        let wanted = self.plan.service.wanted() as usize;
        let healthy_of_primary = live
            .iter()
            .filter(|task| self.is_of_primary(task) && self.healthy(task))
            .count();
        let others = live
            .iter()
            .filter(|task| !self.is_of_primary(task) || !self.goes_on(task))
            .count();
        let is_settled = healthy_of_primary == wanted && others == 0 && self.plan.start == 0;
        let nothing_ended = self.plan.noted.is_empty() && self.plan.counted.is_empty();
        if healthy_of_primary > 0 && nothing_ended {
            self.forgive();
        }
        self.wake_for_settling(live);
        if self.plan.service.status == ServiceStatus::Draining && live.is_empty() {
            self.plan.service.status = ServiceStatus::Inactive;
            self.end_rollbacks(RolloutState::Failed);
            let mut over = std::mem::take(&mut self.plan.service.deployments);
            for deployment in &mut over {
                deployment.status = DeploymentStatus::Inactive;
                deployment.updated_at = self.now;
                deployment.finished_at.get_or_insert(self.now);
            }
            self.plan.retired.append(&mut over);
            self.plan.service.waiting = None;
            return;
        }
        if !is_settled {
            self.plan.service.is_steady = false;
            if !self.is_held_back {
                self.plan.service.waiting = self.explain(live, wanted, healthy_of_primary);
            }
            return;
        }
        self.plan.service.waiting = None;
        if self.plan.service.status == ServiceStatus::Active {
            self.complete();
            self.retire(live);
        }
    }

    /// Deployments that have no task any more are over, once it is known what became of going back from them.
    fn retire(&mut self, live: &[&ServiceTask]) {
        let has_tasks = |deployment: &Deployment| {
            live.iter()
                .any(|task| task.deployment == deployment.id.as_str())
        };
        let deployments = std::mem::take(&mut self.plan.service.deployments);
        for mut deployment in deployments {
            if deployment.status == DeploymentStatus::Primary
                || deployment.is_rolling_back()
                || has_tasks(&deployment)
            {
                self.plan.service.deployments.push(deployment);
            } else {
                deployment.status = DeploymentStatus::Inactive;
                deployment.updated_at = self.now;
                self.plan.retired.push(deployment);
            }
        }
    }

    /// Failures of a deployment that has long been complete, and from which it has recovered, are forgotten.
    fn forgive(&mut self) {
        let now = self.now;
        if let Some(primary) = self.primary_mut()
            && primary.rollout_state == RolloutState::Completed
            && primary
                .last_failure()
                .is_some_and(|failure| failure.at.plus(RAN_WELL) <= now)
        {
            (primary.failed_tasks, primary.failed_attempts) = (0, 0);
        }
    }

    /// Tasks without a health check become healthy by themselves, when they have run for long enough.
    fn wake_for_settling(&mut self, live: &[&ServiceTask]) {
        let due = live
            .iter()
            .filter(|task| self.goes_on(task) && task.health.is_none())
            .filter_map(|task| task.in_grace_until(self.settling(), self.now))
            .min();
        if let Some(at) = due {
            self.wake(at);
        }
    }

    fn complete(&mut self) {
        let now = self.now;
        let Some(primary) = self.primary_mut() else {
            return;
        };
        let id = primary.id.clone();
        let has_come = primary.rollout_state == RolloutState::InProgress;
        if has_come {
            primary.rollout_state = RolloutState::Completed;
            primary.rollout_state_reason = format!("ECS deployment {id} completed.");
            primary.updated_at = now;
            let completed_at = *primary.completed_at.get_or_insert(now);
            primary.finished_at.get_or_insert(completed_at);
            (primary.failed_tasks, primary.failed_attempts) = (0, 0);
            let target = primary.target();
            self.plan.service.last_completed = Some(target);
            self.end_rollbacks(RolloutState::Completed);
            self.tell(&format!("(deployment {id}) deployment completed."));
        }
        if !self.plan.service.is_steady {
            self.plan.service.is_steady = true;
            self.tell("has reached a steady state.");
        }
    }

    /// What the scheduler waits for, in one sentence.
    fn explain(&self, live: &[&ServiceTask], wanted: usize, healthy: usize) -> Option<String> {
        let service = &self.plan.service;
        let primary = service.primary()?;
        let starting: Vec<&&ServiceTask> = live
            .iter()
            .filter(|task| self.goes_on(task) && self.is_of_primary(task) && !self.healthy(task))
            .collect();
        let stopping = live.iter().filter(|task| !self.goes_on(task)).count();
        let missing = wanted.saturating_sub(healthy + starting.len());
        if primary.rollout_state == RolloutState::Failed {
            return Some(format!(
                "deployment {} has failed, and nothing more of it is started: deploy another revision, or roll back",
                primary.id
            ));
        }
        if let Some(first) = starting.first() {
            let why = first
                .waiting
                .clone()
                .unwrap_or_else(|| match first.last_status {
                    LastStatus::Running => "to be healthy".to_owned(),
                    status => format!("to be RUNNING; it is {status}"),
                });
            let wait = tasks(starting.len(), "waits", "wait");
            return Some(match why.strip_prefix("it waits ") {
                Some(for_what) => format!("{wait} {for_what}"),
                None => format!("{wait}: {why}"),
            });
        }
        if missing > 0 && self.plan.start == 0 && !self.has_room(live) {
            let stuck = service.configuration.stuck(service.wanted());
            return Some(stuck.unwrap_or_else(|| {
                let are_missing = tasks(
                    missing,
                    "is missing, and is started",
                    "are missing, and are started",
                );
                format!(
                    "{are_missing} when one of {} that are there has stopped",
                    live.len()
                )
            }));
        }
        if stopping > 0 {
            return Some(tasks(
                stopping,
                "is coming to its end",
                "are coming to their end",
            ));
        }
        let start = self.plan.start as usize;
        (start > 0).then(|| tasks(start, "is being started", "are being started"))
    }

    fn scaling_reason(&self) -> String {
        let by = self
            .plan
            .service
            .primary()
            .map_or("the end of the service", |primary| primary.id.as_str());
        format!("Scaling activity initiated by (deployment {by})")
    }
}

/// `1 task waits`, `2 tasks wait`.
fn tasks(count: usize, one_does: &str, many_do: &str) -> String {
    if count == 1 {
        format!("1 task {one_does}")
    } else {
        format!("{count} tasks {many_do}")
    }
}

/// How a task of a service failed; `None` if somebody wanted its end.
fn failure_of(task: &ServiceTask, now: TimestampMs) -> Option<TaskFailure> {
    has_failed(task.stop_code, task.stopped_reason.as_deref()).then(|| TaskFailure {
        task: task.id.clone(),
        at: task.stopped_at.unwrap_or(now),
        reason: task.stopped_reason.clone().unwrap_or_default(),
    })
}

/// Whether a task of `deployment` that has failed had long been of use: then its end says nothing about those that follow.
/// Of one with health checks nobody knows whether it had passed them as long as its deployment is on its way.
fn ran_well(
    task: &ServiceTask,
    deployment: &Deployment,
    settling: DurationMs,
    now: TimestampMs,
) -> bool {
    let was_of_use = match task.health {
        None => true,
        Some(_) => {
            deployment.rollout_state == RolloutState::Completed
                && task.health != Some(HealthStatus::Unhealthy)
        }
    };
    let ended_at = task.stopped_at.unwrap_or(now);
    let ran_for = task.started_at.map(|at| ended_at.since(at));
    was_of_use && ran_for.is_some_and(|length| length >= settling.max(RAN_WELL))
}

/// When the next task of a deployment may be started after the last one has failed; `None` if it may be started now. A failure
/// in the future says that the clock was set back: then nobody knows how long ago it was, and the pause is over.
fn next_start(deployment: &Deployment, now: TimestampMs) -> Option<TimestampMs> {
    let failure = deployment.last_failure().filter(|one| one.at <= now)?;
    let paid = deployment.failed_attempts.checked_sub(FREE_FAILURES + 1)?;
    let pause_s = (1 << paid.min(16)).min(LONGEST_PAUSE_S);
    let at = failure.at.plus(DurationMs::from_secs(pause_s));
    Some(at).filter(|at| *at > now)
}

mod external;

#[cfg(test)]
mod lab;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
