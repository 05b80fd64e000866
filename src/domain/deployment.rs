//! A deployment: one move of a service to a revision, and what is kept of it as history after it is over.
//!
//! It stands for two things of ECS: the deployment that `DescribeServices` shows while it has tasks, and the
//! `ServiceDeployment` that stays. Whatever a reader of the history wants to know is in here, as it was then: tasks,
//! their logs and the service itself may be gone by the time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::ecs_names;
use super::{
    ClientName, ContainerName, FAILED_HEALTH_CHECKS, FamilyRevision, IdSource, ServiceRevisionId,
    StopCode, TaskId, TimestampMs,
};

/// The ID of a deployment, as ECS writes it: `ecs-svc/` and a number of 19 digits. It is what its tasks were started by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(String);

impl DeploymentId {
    /// A new one.
    pub fn generate(ids: &dyn IdSource) -> Self {
        Self(format!("{ID}{}", digits(ids)))
    }

    /// The one with this number, as ARNs have it.
    pub fn of_number(number: &str) -> Option<Self> {
        let is_one = number.len() == 19 && number.bytes().all(|b| b.is_ascii_digit());
        is_one.then(|| Self(format!("{ID}{number}")))
    }

    /// Its number alone.
    pub fn number(&self) -> &str {
        self.0.strip_prefix(ID).unwrap_or(&self.0)
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the ID of a deployment begins with.
const ID: &str = "ecs-svc/";

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 19 digits, as ECS numbers deployments and revisions of services.
pub(super) fn digits(ids: &dyn IdSource) -> String {
    format!("{:019}", ids.next_id() % 10_u128.pow(19))
}

/// What a service runs in a deployment, as it was when the deployment was asked for: ECS's `ServiceRevision`. It never
/// changes, and a rollback goes back to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    /// Unique.
    pub id: ServiceRevisionId,
    /// What its tasks run.
    pub task_definition: FamilyRevision,
    /// What else was wanted of them.
    pub settings: RevisionSettings,
    /// When it was asked for.
    pub created_at: TimestampMs,
}

/// What a revision of a service says of its tasks, beside what they run: a rollback brings it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RevisionSettings {
    /// Whether people may run commands in them; of tasks that are started from then on.
    pub enable_execute_command: bool,
    /// Whose tags they get.
    pub propagate_tags: PropagateTags,
    /// Whether they get the tags that name their cluster and their service.
    pub enable_ecs_managed_tags: bool,
    /// Fields that are given back as they were sent, by ECS's names: [`KEPT_IN_REVISIONS`].
    pub kept: BTreeMap<String, serde_json::Value>,
}

/// Those fields. What a task says of where it runs follows from the first two; the others have no effect on one host.
pub const KEPT_IN_REVISIONS: [&str; 9] = [
    "capacityProviderStrategy",
    "launchType",
    "networkConfiguration",
    "platformVersion",
    "serviceConnectConfiguration",
    "placementConstraints",
    "placementStrategy",
    "availabilityZoneRebalancing",
    "monitoring",
];

/// Of those, the ones of which a change begins a deployment.
///
/// Source: Amazon ECS API reference, `UpdateService`: "This parameter triggers a new service deployment."
const DEPLOYED: [&str; 3] = [
    "networkConfiguration",
    "platformVersion",
    "serviceConnectConfiguration",
];

impl RevisionSettings {
    /// Takes over the fields that were sent. Launch type and capacity providers exclude each other, so the newer of the
    /// two stays; what is sent empty is taken back.
    pub fn keep(&mut self, sent: &BTreeMap<String, serde_json::Value>) {
        let is_empty = |value: &serde_json::Value| {
            value.as_array().is_some_and(Vec::is_empty) || value.as_str() == Some("")
        };
        for (name, value) in sent {
            if is_empty(value) {
                self.kept.remove(name);
                continue;
            }
            match name.as_str() {
                "capacityProviderStrategy" => self.kept.remove("launchType"),
                "launchType" => self.kept.remove("capacityProviderStrategy"),
                _ => None,
            };
            self.kept.insert(name.clone(), value.clone());
        }
    }

    /// Whether a service with these needs a deployment to come to `other`.
    pub fn needs_deployment(&self, other: &Self) -> bool {
        let differs = |name: &&str| self.kept.get(*name) != other.kept.get(*name);
        DEPLOYED.iter().any(differs)
    }
}

/// Whose tags a service's tasks get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagateTags {
    /// Those of their task definition.
    TaskDefinition,
    /// Those of the service.
    Service,
    /// Nobody's.
    #[default]
    None,
}

ecs_names!(PropagateTags {
    TaskDefinition = "TASK_DEFINITION",
    Service = "SERVICE",
    None = "NONE",
});

impl ServiceRevision {
    /// Where a deployment of it moves to.
    pub fn target(&self) -> DeploymentTarget {
        DeploymentTarget {
            task_definition: self.task_definition.clone(),
            service_revision: self.id.clone(),
            settings: self.settings.clone(),
        }
    }
}

/// Where a deployment moves to: a revision of the service, and the revision of a task definition that this one runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentTarget {
    /// What its tasks run.
    pub task_definition: FamilyRevision,
    /// The service's own revision.
    pub service_revision: ServiceRevisionId,
    /// What that revision says beside.
    #[serde(default)]
    pub settings: RevisionSettings,
}

impl DeploymentTarget {
    /// Whether tasks of both are the same, whichever revision of the service they are of.
    pub fn runs_the_same(&self, other: &Self) -> bool {
        self.task_definition == other.task_definition && self.settings == other.settings
    }
}

/// Why a deployment is begun or gone back to, by whom, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// Who asked for it: a user or the circuit breaker.
    pub cause: DeploymentCause,
    /// What the user's client called itself.
    pub client: Option<ClientName>,
    /// The same in one sentence.
    pub reason: String,
    /// When.
    pub at: TimestampMs,
}

/// Which of a service's deployments one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentStatus {
    /// The newest: what the service is to become.
    Primary,
    /// An older one that still has tasks, or that is being rolled back.
    Active,
    /// An older one that has none.
    Inactive,
}

ecs_names!(DeploymentStatus {
    Primary = "PRIMARY",
    Active = "ACTIVE",
    Inactive = "INACTIVE",
});

/// How far a deployment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RolloutState {
    /// It is on its way.
    InProgress,
    /// It has all of its tasks, healthy, and no other deployment has any. It stays so when one dies later.
    Completed,
    /// Its tasks kept failing, and it was given up.
    Failed,
}

ecs_names!(RolloutState {
    InProgress = "IN_PROGRESS",
    Completed = "COMPLETED",
    Failed = "FAILED",
});

/// What became of a deployment, in the words of ECS's `ServiceDeployment`.
///
/// Source: Amazon ECS developer guide, "View service history using Amazon ECS service deployments".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceDeploymentStatus {
    /// It is on its way.
    InProgress,
    /// It was completed.
    Successful,
    /// It was given up without a rollback, or another one took over.
    Stopped,
    /// The service goes back to what it ran before.
    RollbackInProgress,
    /// It has gone back.
    RollbackSuccessful,
    /// It has not: that failed as well, or another deployment took over.
    RollbackFailed,
}

ecs_names!(ServiceDeploymentStatus {
    InProgress = "IN_PROGRESS",
    Successful = "SUCCESSFUL",
    Stopped = "STOPPED",
    RollbackInProgress = "ROLLBACK_IN_PROGRESS",
    RollbackSuccessful = "ROLLBACK_SUCCESSFUL",
    RollbackFailed = "ROLLBACK_FAILED",
});

/// One move of a service to a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Unique.
    pub id: DeploymentId,
    /// Where it moves to.
    pub task_definition: FamilyRevision,
    /// The service's own revision that it moves to.
    pub service_revision: ServiceRevisionId,
    /// What that revision says beside.
    #[serde(default)]
    pub settings: RevisionSettings,
    /// The service's revisions that had tasks when it was begun, newest first.
    pub source_revisions: Vec<ServiceRevisionId>,
    /// Which of the service's deployments it is.
    pub status: DeploymentStatus,
    /// How far it has come.
    pub rollout_state: RolloutState,
    /// Why that is so, in one sentence.
    pub rollout_state_reason: String,
    /// Tasks of it that have failed since one was last healthy.
    pub failed_tasks: u32,
    /// How many times in a row tasks were started and failed: those that are started together are one attempt.
    #[serde(default)]
    pub failed_attempts: u32,
    /// When the first failure of the newest of these attempts was seen. Tasks that were accepted before are of that attempt.
    #[serde(default)]
    pub attempt_failed_at: Option<TimestampMs>,
    /// The newest of its tasks that have failed, newest last; [`Deployment::FAILURES_KEPT`] at most.
    pub failures: Vec<TaskFailure>,
    /// Who or what made it the PRIMARY one: a user, a user's rollback, or the circuit breaker.
    pub cause: DeploymentCause,
    /// What the client called itself that asked for it, as it was begun. Nobody has verified that.
    pub client: Option<ClientName>,
    /// That the service left it before it was completed, to go back to an earlier revision.
    pub rollback: Option<Rollback>,
    /// When it was asked for.
    pub created_at: TimestampMs,
    /// When its rollout state last changed.
    pub updated_at: TimestampMs,
    /// When it was first completed.
    pub completed_at: Option<TimestampMs>,
    /// When it was completed, given up or left, or was rolled back; absent while that goes on.
    pub finished_at: Option<TimestampMs>,
}

impl Deployment {
    /// So many failed tasks are remembered of each.
    pub const FAILURES_KEPT: usize = 5;

    /// One that begins, as the PRIMARY one.
    pub(super) fn begun(id: DeploymentId, target: DeploymentTarget, occasion: Occasion) -> Self {
        Self {
            id,
            task_definition: target.task_definition,
            service_revision: target.service_revision,
            settings: target.settings,
            source_revisions: Vec::new(),
            status: DeploymentStatus::Primary,
            rollout_state: RolloutState::InProgress,
            rollout_state_reason: occasion.reason,
            failed_tasks: 0,
            failed_attempts: 0,
            attempt_failed_at: None,
            failures: Vec::new(),
            cause: occasion.cause,
            client: occasion.client,
            rollback: None,
            created_at: occasion.at,
            updated_at: occasion.at,
            completed_at: None,
            finished_at: None,
        }
    }

    /// Where it moves to.
    pub fn target(&self) -> DeploymentTarget {
        DeploymentTarget {
            task_definition: self.task_definition.clone(),
            service_revision: self.service_revision.clone(),
            settings: self.settings.clone(),
        }
    }

    /// The last of its tasks that failed.
    pub fn last_failure(&self) -> Option<&TaskFailure> {
        self.failures.last()
    }

    /// Remembers a failed task, and forgets the oldest where there are too many.
    pub fn remember(&mut self, failure: TaskFailure) {
        let surplus = (self.failures.len() + 1).saturating_sub(Self::FAILURES_KEPT);
        self.failures.drain(..surplus);
        self.failures.push(failure);
    }

    /// What became of it. One that was completed stays so, also when a rollback has come back to it.
    pub fn outcome(&self) -> ServiceDeploymentStatus {
        use ServiceDeploymentStatus as Status;
        let is_on_its_way = self.status == DeploymentStatus::Primary
            && self.rollout_state == RolloutState::InProgress;
        match self.rollback.as_ref().map(|rollback| rollback.outcome) {
            Some(RolloutState::InProgress) => Status::RollbackInProgress,
            Some(RolloutState::Completed) => Status::RollbackSuccessful,
            Some(RolloutState::Failed) => Status::RollbackFailed,
            None if self.completed_at.is_some() => Status::Successful,
            None if is_on_its_way => Status::InProgress,
            None => Status::Stopped,
        }
    }

    /// Whether the service is on its way back from it.
    pub fn is_rolling_back(&self) -> bool {
        let outcome = self.rollback.as_ref().map(|rollback| rollback.outcome);
        outcome == Some(RolloutState::InProgress)
    }

    /// Says what became of going back from it, if that was under way.
    pub fn end_rollback(&mut self, outcome: RolloutState, now: TimestampMs) {
        if let Some(rollback) = &mut self.rollback
            && rollback.outcome == RolloutState::InProgress
        {
            rollback.outcome = outcome;
            self.finished_at = Some(now);
        }
    }
}

/// A service that goes back to an earlier revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Who asked for it: a user or the circuit breaker.
    pub cause: DeploymentCause,
    /// What the user's client called itself. Nobody has verified that.
    pub client: Option<ClientName>,
    /// Why, in one sentence.
    pub reason: String,
    /// Where it goes back to.
    pub target: DeploymentTarget,
    /// When that began.
    pub started_at: TimestampMs,
    /// How far it has come.
    pub outcome: RolloutState,
}

/// Who asked for a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentCause {
    /// A user, by creating or updating the service.
    User,
    /// A user, by asking for the rollback of another deployment.
    Rollback,
    /// The circuit breaker, after another deployment has failed.
    CircuitBreaker,
}

impl DeploymentCause {
    /// The word that is shown for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Rollback => "rollback",
            Self::CircuitBreaker => "circuitBreaker",
        }
    }
}

/// A task of a service that came to an end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// Which.
    pub task: TaskId,
    /// When it had stopped.
    pub at: TimestampMs,
    /// Why.
    pub reason: String,
}

/// Whether a task of a service that has stopped has failed; `false` if somebody wanted its end.
pub fn has_failed(stop_code: Option<StopCode>, stopped_reason: Option<&str>) -> bool {
    match stop_code {
        Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited) => true,
        Some(StopCode::ServiceSchedulerInitiated) => {
            stopped_reason.is_some_and(|reason| reason.starts_with(FAILED_HEALTH_CHECKS))
        }
        Some(StopCode::UserInitiated | StopCode::TerminationNotice) | None => false,
    }
}

/// A line of a failed task's log, kept with its deployment for when the log itself is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLine {
    /// Who wrote it.
    pub container: ContainerName,
    /// When the engine got it.
    pub at: TimestampMs,
    /// Whether it came from standard error.
    pub stderr: bool,
    /// What was written; what is not UTF-8 is replaced, and a long line is cut at its end.
    pub text: String,
}

/// The last lines of a failed task, bounded by [`LastLines::LINES`] for each container and [`LastLines::BYTES`] for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastLines {
    lines: Vec<LastLine>,
    bytes: usize,
}

impl LastLines {
    /// So many lines of each container at most.
    pub const LINES: usize = 10;
    /// So many bytes of text of a task at most.
    pub const BYTES: usize = 4_096;

    /// Adds the end of a container's log: as many of its last lines as there is room for. `lines` is in the order of the log.
    pub fn add(&mut self, lines: Vec<LastLine>) {
        let skipped = lines.len().saturating_sub(Self::LINES);
        let mut taken = Vec::new();
        for mut line in lines.into_iter().skip(skipped).rev() {
            let room = Self::BYTES - self.bytes;
            if room == 0 {
                break;
            }
            line.text.truncate(line.text.floor_char_boundary(room));
            self.bytes += line.text.len();
            taken.push(line);
        }
        taken.reverse();
        self.lines.append(&mut taken);
    }

    /// The lines, container by container.
    pub fn into_lines(self) -> Vec<LastLine> {
        self.lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: impl Into<String>) -> LastLine {
        LastLine {
            container: "web".parse().unwrap(),
            at: TimestampMs::from_millis(0),
            stderr: false,
            text: text.into(),
        }
    }

    #[test]
    fn of_a_log_the_newest_lines_are_kept_and_never_too_many_bytes() {
        let mut kept = LastLines::default();
        kept.add((0..25).map(|n| line(n.to_string())).collect());
        let texts: Vec<String> = kept
            .clone()
            .into_lines()
            .into_iter()
            .map(|one| one.text)
            .collect();
        assert_eq!(texts.len(), LastLines::LINES);
        assert_eq!((texts[0].as_str(), texts[9].as_str()), ("15", "24"));

        let mut kept = LastLines::default();
        kept.add(vec![line("old"), line("é".repeat(3_000)), line("new")]);
        kept.add(vec![line("of another container")]);
        let lines = kept.into_lines();
        let bytes: usize = lines.iter().map(|one| one.text.len()).sum();
        assert!(
            (LastLines::BYTES - 1..=LastLines::BYTES).contains(&bytes),
            "{bytes}"
        );
        assert_eq!(
            lines.last().unwrap().text,
            "new",
            "the newest comes first into it"
        );
    }

    #[test]
    fn who_wanted_the_end_of_a_task_has_not_seen_it_fail() {
        assert!(has_failed(Some(StopCode::TaskFailedToStart), None));
        assert!(has_failed(
            Some(StopCode::ServiceSchedulerInitiated),
            Some(FAILED_HEALTH_CHECKS)
        ));
        assert!(!has_failed(
            Some(StopCode::ServiceSchedulerInitiated),
            Some("Scaling activity")
        ));
        assert!(!has_failed(Some(StopCode::UserInitiated), None));
        assert!(!has_failed(None, None));
    }
}
