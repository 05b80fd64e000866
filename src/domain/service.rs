//! A service: so many tasks of one revision, kept running, and moved from one revision to the next.
//!
//! What the user wants of it (`desired_count`, `configuration`, the newest deployment's revision, whether it is
//! to be deleted) is written by the use cases alone; how its deployments get on is written by the planner alone.
//! Both write the row as a whole under its `version`, so that neither overwrites what it has not seen.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::ecs_names;
use super::{
    ClusterName, Deployment, DeploymentController, DeploymentId, DeploymentStatus,
    DeploymentTarget, DesiredStatus, DurationMs, FamilyRevision, Faults, HealthStatus, IdSource,
    LastStatus, Occasion, RevisionSettings, Rollback, RolloutState, ServiceName, ServiceRevision,
    ServiceRevisionId, StopCode, TaskId, TaskSet, TimestampMs,
};

/// Which service: a name is unique in its cluster among those that are not INACTIVE.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Where it runs its tasks.
    pub cluster: ClusterName,
    /// Its name.
    pub name: ServiceName,
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster, self.name)
    }
}

/// What begins the group of a service's tasks, as in ECS: `service:web`.
pub const SERVICE_GROUP: &str = "service:";

impl ServiceName {
    /// The group of its tasks.
    pub fn group(&self) -> String {
        format!("{SERVICE_GROUP}{self}")
    }

    /// The service whose tasks have this group, if it is one's.
    pub fn of_group(group: &str) -> Option<Self> {
        group.strip_prefix(SERVICE_GROUP)?.parse().ok()
    }
}

/// The most tasks that a service may have.
pub const MAX_DESIRED_COUNT: u32 = 5_000;

/// So long a task without a health check must have run before it counts as healthy, even with no grace period: one that
/// ends right after its start shall take nobody's place.
///
/// Source: in ECS it is 40 seconds (API reference, `DeploymentConfiguration`: "the service scheduler will wait for 40
/// seconds after a task reaches a RUNNING state before the task is counted towards the minimum healthy percent total").
pub const SETTLES: DurationMs = DurationMs::from_secs(5);

/// Whether a service is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceStatus {
    /// It is.
    Active,
    /// It was deleted, and its tasks are coming to their end.
    Draining,
    /// It was deleted, and has none left.
    Inactive,
}

ecs_names!(ServiceStatus {
    Active = "ACTIVE",
    Draining = "DRAINING",
    Inactive = "INACTIVE",
});

/// How many tasks a service has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SchedulingStrategy {
    /// As many as `desired_count` says.
    #[default]
    Replica,
    /// One on each host.
    Daemon,
}

/// How a service keeps its tasks, whatever they run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfiguration {
    /// How many tasks it has.
    pub scheduling_strategy: SchedulingStrategy,
    /// Who carries its deployments out.
    #[serde(default)]
    pub controller: DeploymentController,
    /// Of `desired_count`, in percent: so many healthy tasks at least, rounded up. 100 unless said otherwise.
    pub minimum_healthy_percent: u32,
    /// Of `desired_count`, in percent: so many tasks at most, rounded down. 200 unless said otherwise.
    pub maximum_percent: u32,
    /// What gives a deployment up by itself.
    pub circuit_breaker: CircuitBreaker,
    /// For how long after its start a task's health is not held against it, and a task without a health check does
    /// not count as healthy yet; that, for [`SETTLES`] at least.
    pub health_check_grace_period: DurationMs,
    /// What its tasks are started with, and what a revision of it records.
    #[serde(default)]
    pub settings: RevisionSettings,
}

impl Default for ServiceConfiguration {
    fn default() -> Self {
        Self {
            scheduling_strategy: SchedulingStrategy::Replica,
            controller: DeploymentController::default(),
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            circuit_breaker: CircuitBreaker::default(),
            health_check_grace_period: DurationMs::from_secs(0),
            settings: RevisionSettings::default(),
        }
    }
}

impl ServiceConfiguration {
    /// For how long after its start a task without a health check does not count as healthy.
    pub fn settling(&self) -> DurationMs {
        self.health_check_grace_period.max(SETTLES)
    }

    /// So many healthy tasks at least.
    pub fn lower_bound(&self, desired: u32) -> u32 {
        share(desired, self.minimum_healthy_percent, 99)
    }

    /// So many tasks at most.
    pub fn upper_bound(&self, desired: u32) -> u32 {
        share(desired, self.maximum_percent, 0)
    }

    /// All that is wrong with `desired_count` tasks that are kept like this, by the names that ECS gives to it.
    pub fn faults(&self, desired_count: u32) -> Faults {
        let mut faults = Faults::default();
        if desired_count > MAX_DESIRED_COUNT {
            faults.add_with_hint(
                "desiredCount",
                format!("is {desired_count}, and may be {MAX_DESIRED_COUNT} at most"),
                "make several services",
            );
        }
        let (least, most) = (self.minimum_healthy_percent, self.maximum_percent);
        if least > 100 {
            faults.add_with_hint(
                "deploymentConfiguration.minimumHealthyPercent",
                format!("is {least}, and may be 100 at most"),
                "100 keeps all tasks healthy during a deployment",
            );
        }
        // Source: ECS, "The daemon scheduling strategy does not support values above 100 for maximumPercent".
        if self.scheduling_strategy == SchedulingStrategy::Daemon && most > 100 {
            faults.add_with_hint(
                "deploymentConfiguration.maximumPercent",
                format!("is {most}, but a DAEMON never has two tasks on a host"),
                "take it out, or say 100",
            );
        } else if !(100..=1_000).contains(&most) {
            faults.add_with_hint(
                "deploymentConfiguration.maximumPercent",
                format!("is {most}, and must be from 100 to 1000"),
                "200 lets a deployment start as many tasks as there are",
            );
        }
        faults
    }

    /// Why no deployment of more than nothing can ever make progress within the bounds, if that is so: ECS accepts
    /// such a service, and then waits for ever without a word.
    pub fn stuck(&self, desired: u32) -> Option<String> {
        let (lower, upper) = (self.lower_bound(desired), self.upper_bound(desired));
        (desired > 0 && lower >= desired && upper <= desired).then(|| {
            format!(
                "minimumHealthyPercent {} and maximumPercent {} leave no room to replace a task of {desired}: \
                 a deployment cannot begin before one ends by itself",
                self.minimum_healthy_percent, self.maximum_percent
            )
        })
    }
}

/// `percent` of `count`, with `round` hundredths added before what is less than one is cut off.
fn share(count: u32, percent: u32, round: u64) -> u32 {
    let share = (u64::from(count) * u64::from(percent) + round) / 100;
    u32::try_from(share).unwrap_or(u32::MAX)
}

/// What gives up a deployment whose tasks keep failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitBreaker {
    /// Whether that happens.
    pub enable: bool,
    /// Whether the last revision that was deployed completely is then deployed again.
    pub rollback: bool,
}

impl CircuitBreaker {
    /// So many failed tasks are enough: half of the desired count, at least 3 and at most 200.
    ///
    /// Source: Amazon ECS developer guide, "How the Amazon ECS deployment circuit breaker detects failures".
    pub fn threshold(desired: u32) -> u32 {
        desired.div_ceil(2).clamp(3, 200)
    }
}

/// A service, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: ServiceKey,
    /// Whether it is kept.
    pub status: ServiceStatus,
    /// How many tasks it is to have.
    pub desired_count: u32,
    /// How it keeps them.
    pub configuration: ServiceConfiguration,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// The deployments that matter now: the PRIMARY one first, and after it those that still have tasks, newest first.
    pub deployments: Vec<Deployment>,
    /// What it runs instead of deployments if somebody else carries those out: the PRIMARY set first, if there is one, and
    /// then the newest first.
    pub task_sets: Vec<TaskSet>,
    /// Where the last deployment that was COMPLETED has moved to: what a rollback goes back to.
    pub last_completed: Option<DeploymentTarget>,
    /// Whether it was said that it is in a steady state, and nothing has happened since.
    pub is_steady: bool,
    /// What the scheduler waits for, in one sentence.
    pub waiting: Option<String>,
    /// When it was created.
    pub created_at: TimestampMs,
    /// When it was deleted.
    pub deleted_at: Option<TimestampMs>,
    /// Goes up by one with every record, so that a stale one is refused.
    pub version: u64,
}

impl Service {
    /// The deployment that says what the service is to become.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    /// How many tasks it is to have now: none when it is being deleted, one for a DAEMON, as there is one host.
    pub fn wanted(&self) -> u32 {
        match (self.status, self.configuration.scheduling_strategy) {
            (ServiceStatus::Draining | ServiceStatus::Inactive, _) => 0,
            (ServiceStatus::Active, SchedulingStrategy::Daemon) => 1,
            (ServiceStatus::Active, SchedulingStrategy::Replica) => self.desired_count,
        }
    }

    /// A revision of it that runs `task_definition`, as it is configured now.
    pub fn revise(
        &self,
        ids: &dyn IdSource,
        task_definition: FamilyRevision,
        now: TimestampMs,
    ) -> ServiceRevision {
        ServiceRevision {
            id: ServiceRevisionId::generate(ids),
            task_definition,
            settings: self.configuration.settings.clone(),
            created_at: now,
        }
    }

    /// Goes back to `target`, settings among it. A deployment of the same that still has tasks becomes the PRIMARY one again, so that
    /// they serve on; otherwise one is begun. The one that is left says so, if it was never completed.
    ///
    /// Source: ECS does the same, and says `rolling back to deployment …`.
    pub fn return_to(&mut self, id: DeploymentId, target: DeploymentTarget, occasion: Occasion) {
        let is_there = |one: &Deployment| {
            one.target().runs_the_same(&target)
                && one.rollout_state != RolloutState::Failed
                && one.rollback.is_none()
        };
        // The first of them is the one to leave.
        let index = self.deployments.iter().skip(1).position(is_there);
        let found = index.and_then(|index| self.deployments.get(index + 1));
        let target = found.map_or(target, Deployment::target);
        self.configuration.settings.clone_from(&target.settings);
        self.leave(&occasion);
        if let Some(left) = self.deployments.first_mut()
            && left.completed_at.is_none()
        {
            left.rollback = Some(Rollback {
                cause: occasion.cause,
                client: occasion.client.clone(),
                reason: occasion.reason.clone(),
                target: target.clone(),
                started_at: occasion.at,
                outcome: RolloutState::InProgress,
            });
            left.finished_at = None;
        }
        let Some(index) = index else {
            self.begin(id, target, occasion);
            return;
        };
        let mut back = self.deployments.remove(index + 1);
        back.status = DeploymentStatus::Primary;
        back.rollout_state = RolloutState::InProgress;
        back.rollout_state_reason = occasion.reason;
        (back.failed_tasks, back.failed_attempts) = (0, 0);
        back.cause = occasion.cause;
        back.updated_at = occasion.at;
        back.finished_at = back.completed_at;
        self.deployments.insert(0, back);
    }

    /// Begins a deployment, which takes over from the one in progress.
    pub fn deploy(&mut self, id: DeploymentId, target: DeploymentTarget, occasion: Occasion) {
        self.leave(&occasion);
        self.begin(id, target, occasion);
    }

    /// What was under way is not any more.
    fn leave(&mut self, occasion: &Occasion) {
        self.is_steady = false;
        for older in &mut self.deployments {
            older.status = DeploymentStatus::Active;
            older.end_rollback(RolloutState::Failed, occasion.at);
            older.finished_at.get_or_insert(occasion.at);
        }
    }

    fn begin(&mut self, id: DeploymentId, target: DeploymentTarget, occasion: Occasion) {
        let sources = self
            .deployments
            .iter()
            .map(|one| one.service_revision.clone());
        let begun = Deployment {
            source_revisions: sources.collect(),
            ..Deployment::begun(id, target, occasion)
        };
        self.deployments.insert(0, begun);
    }
}

/// A task of a service, as far as the service's planner cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceTask {
    /// Which.
    pub id: TaskId,
    /// The deployment that it was started by.
    pub deployment: String,
    /// When it was accepted.
    pub created_at: TimestampMs,
    /// What is.
    pub last_status: LastStatus,
    /// What should be.
    pub desired_status: DesiredStatus,
    /// What the health checks of its essential containers say; `None` when it has none.
    pub health: Option<HealthStatus>,
    /// When it became RUNNING.
    pub started_at: Option<TimestampMs>,
    /// When it had stopped.
    pub stopped_at: Option<TimestampMs>,
    /// Why it is to stop.
    pub stop_code: Option<StopCode>,
    /// The same in words.
    pub stopped_reason: Option<String>,
    /// What it waits for.
    pub waiting: Option<String>,
    /// It is not chosen when there are too many, until then.
    pub protected_until: Option<TimestampMs>,
    /// That it failed is counted already.
    pub is_counted: bool,
}

/// Tasks of a service that count alike: they are of the same deployment, in the same state, as healthy, and as far beyond their
/// grace period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlikeTasks {
    /// One of them.
    pub sample: ServiceTask,
    /// How many they are.
    pub count: u32,
}

impl ServiceTask {
    /// Whether it takes a place below the upper bound: whatever has not begun to stop. The one definition of what
    /// counts, for everybody who counts.
    pub fn occupies(&self) -> bool {
        self.last_status <= LastStatus::Running
    }

    /// Whether it is meant to go on.
    pub fn is_wanted(&self) -> bool {
        self.desired_status == DesiredStatus::Running && self.last_status != LastStatus::Stopped
    }

    /// Whether it counts as healthy: it is RUNNING, is to go on, and its health checks say so. Without any, it must have
    /// run for the time that [`ServiceConfiguration::settling`] says.
    pub fn is_healthy(&self, settling: DurationMs, now: TimestampMs) -> bool {
        if !self.is_wanted() || self.last_status != LastStatus::Running {
            return false;
        }
        match self.health {
            Some(health) => health == HealthStatus::Healthy,
            None => self.started_at.is_some() && self.in_grace_until(settling, now).is_none(),
        }
    }

    /// Until when its health is not held against it, if that is not over. A start in the future says that the clock was
    /// set back: then nobody knows how long the task has run, and it has had its time.
    pub fn in_grace_until(&self, grace: DurationMs, now: TimestampMs) -> Option<TimestampMs> {
        let started_at = self.started_at.filter(|at| *at <= now)?;
        Some(started_at.plus(grace)).filter(|until| *until > now)
    }
}
