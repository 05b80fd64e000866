//! A task set of a service whose deployments somebody else carries out, as it is shown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Tag;
use super::service::{pending, running};
use crate::control::ServiceView;
use crate::domain::TaskSet;

/// A share of a service's tasks, of one revision. Times are RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTaskSet {
    /// `ecs-svc/` and 19 digits: what its tasks were started by.
    pub id: String,
    /// What whoever made it knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// `PRIMARY`: the one that serves; `ACTIVE`: another one; `DRAINING`: it was deleted, and its tasks come to their end.
    pub status: String,
    /// What its tasks run: `family:revision`.
    pub task_definition: String,
    /// Its share of the service's desired count, in percent.
    pub scale_percent: f64,
    /// How many tasks that is, rounded up.
    pub desired_count: u32,
    /// Tasks that are PROVISIONING, PENDING or ACTIVATING.
    pub pending_count: u32,
    /// Tasks that are RUNNING.
    pub running_count: u32,
    /// Whether it has all of its tasks, healthy.
    pub steady: bool,
    /// Key and value.
    #[serde(default)]
    pub tags: Vec<Tag>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl ServiceTaskSet {
    /// `set`, one of those of `view`.
    pub(super) fn of(set: &TaskSet, view: &ServiceView) -> Self {
        let own = || {
            let id = set.id().as_str();
            let all = view.tasks.iter();
            all.filter(move |alike| alike.sample.deployment == id)
        };
        Self {
            id: set.id().to_string(),
            external_id: set.external_id.clone(),
            status: set.status().to_owned(),
            task_definition: set.deployment.task_definition.to_string(),
            scale_percent: set.scale.percent(),
            desired_count: set.wanted(&view.service),
            pending_count: pending(own()),
            running_count: running(own()),
            steady: set.is_steady,
            tags: Tag::list(&set.tags),
            created_at: set.deployment.created_at.to_string(),
        }
    }
}
