//! Events: what happened, in an order without holes.

use std::fmt;

use super::TimestampMs;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A cluster was created.
    ClusterCreated,
    /// A cluster was deleted.
    ClusterDeleted,
    /// A revision was registered.
    TaskDefinitionRegistered,
    /// A revision was deregistered.
    TaskDefinitionDeregistered,
    /// A revision was deleted.
    TaskDefinitionDeleted,
    /// A task was accepted, or its `lastStatus` changed.
    TaskStateChange,
    /// A task was asked to stop by its user.
    TaskStopRequested,
    /// A task was protected from scaling in and deployments by its user, or is not any more.
    TaskProtection,
    /// A command was started in a task's container by a user. Of the command, its first word is told.
    TaskExecuteCommand,
    /// Something about a task that its user should know: a wait, a retry, a field without effect.
    TaskNotice,
    /// A secret was put, for the first time or anew.
    SecretPut,
    /// A secret was deleted.
    SecretDeleted,
    /// An access key was made.
    AccessKeyCreated,
    /// An access key is not taken any more.
    AccessKeyRevoked,
    /// An image that nobody needed any more was removed from the engine.
    ImageRemoved,
    /// Something about a service, in ECS's words: `(service web) has reached a steady state.`
    ServiceEvent,
    /// Something about a schedule: `(schedule nightly) the run for … has started …`
    ScheduleEvent,
    /// Something about a budget: a threshold was reached, or its user changed it.
    BudgetEvent,
    /// Something about the server: started, engine away, engine back.
    Server,
}

/// Every kind with the name under which it is stored and shown.
const KINDS: [(EventKind, &str); 19] = [
    (EventKind::ClusterCreated, "ClusterCreated"),
    (EventKind::ClusterDeleted, "ClusterDeleted"),
    (
        EventKind::TaskDefinitionRegistered,
        "TaskDefinitionRegistered",
    ),
    (
        EventKind::TaskDefinitionDeregistered,
        "TaskDefinitionDeregistered",
    ),
    (EventKind::TaskDefinitionDeleted, "TaskDefinitionDeleted"),
    (EventKind::TaskStateChange, "TaskStateChange"),
    (EventKind::TaskStopRequested, "TaskStopRequested"),
    (EventKind::TaskProtection, "TaskProtection"),
    (EventKind::TaskExecuteCommand, "TaskExecuteCommand"),
    (EventKind::TaskNotice, "TaskNotice"),
    (EventKind::SecretPut, "SecretPut"),
    (EventKind::SecretDeleted, "SecretDeleted"),
    (EventKind::AccessKeyCreated, "AccessKeyCreated"),
    (EventKind::AccessKeyRevoked, "AccessKeyRevoked"),
    (EventKind::ImageRemoved, "ImageRemoved"),
    (EventKind::ServiceEvent, "ServiceEvent"),
    (EventKind::ScheduleEvent, "ScheduleEvent"),
    (EventKind::BudgetEvent, "BudgetEvent"),
    (EventKind::Server, "Server"),
];

impl EventKind {
    /// Every kind.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, _)| *kind)
    }

    /// As it is stored and shown: `TaskStateChange`.
    pub fn as_str(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    /// The kind of that name.
    pub fn parse(name: &str) -> Option<Self> {
        KINDS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event that is about to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// When it happened.
    pub at: TimestampMs,
    /// What kind of thing it is.
    pub kind: EventKind,
    /// The cluster that it happened in, if it did in one.
    pub cluster: Option<String>,
    /// What it is about: a task ID, `family:revision`, a cluster's, a service's or a schedule's name, an image, or
    /// `neargate`.
    pub subject: String,
    /// For a change of state, the new state.
    pub status: Option<String>,
    /// One sentence for people.
    pub message: String,
}

/// An event that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Counts up from 1 without holes.
    pub seq: u64,
    /// What happened.
    pub event: NewEvent,
}
