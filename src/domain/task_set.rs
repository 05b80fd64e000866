//! A task set: a share of a service's tasks, of one revision, of a service whose deployments somebody else carries out.
//!
//! A service with the EXTERNAL deployment controller runs what its task sets say, and they alone: each keeps its share of
//! the desired count running. How traffic moves from one to the other is the business of whoever deploys; here, the
//! PRIMARY one is only the one that says so.
//!
//! Source: Amazon ECS API reference, `TaskSet`, `CreateTaskSet`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::ecs_names;
use super::{
    Deployment, DeploymentId, DeploymentStatus, DeploymentTarget, Occasion, Service, ServiceStatus,
    Tags, TimestampMs,
};

/// Who carries the deployments of a service out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeploymentController {
    /// The service itself: they are rolling.
    #[default]
    Ecs,
    /// Somebody else, by making, scaling and deleting task sets.
    External,
}

ecs_names!(DeploymentController {
    Ecs = "ECS",
    External = "EXTERNAL",
});

/// The most task sets of a service, as in ECS.
pub const MAX_TASK_SETS: usize = 5;

/// A share of a service's desired count, in millionths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scale(u32);

impl Scale {
    const WHOLE: u32 = 100_000_000;

    /// So many percent, if that is from 0 to 100.
    pub fn of_percent(percent: f64) -> Option<Self> {
        let millionths = (percent * 1e6).round();
        // A NaN is in no range.
        let is_share = (0.0..=f64::from(Self::WHOLE)).contains(&millionths);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in the range that fits"
        )]
        let share = Self(millionths as u32);
        is_share.then_some(share)
    }

    /// In percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Of so many tasks, always rounded up, as in ECS.
    pub fn of(self, desired: u32) -> u32 {
        let share = (u64::from(desired) * u64::from(self.0)).div_ceil(u64::from(Self::WHOLE));
        u32::try_from(share).unwrap_or(desired)
    }
}

/// A task set, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSet {
    /// What its tasks run and how they get on: what a deployment is to other services. Its ID is that of the set.
    pub deployment: Deployment,
    /// Its share of the service's tasks.
    pub scale: Scale,
    /// What whoever made it knows it by.
    pub external_id: Option<String>,
    /// Keys and values to find it by.
    pub tags: Tags,
    /// It was deleted, and its tasks are coming to their end.
    pub is_draining: bool,
    /// Whether it has all of its tasks, healthy.
    pub is_steady: bool,
    /// Since when that is so.
    pub steadiness_at: TimestampMs,
}

impl TaskSet {
    /// One that begins, and is not the one that serves.
    pub fn new(
        id: DeploymentId,
        target: DeploymentTarget,
        scale: Scale,
        occasion: Occasion,
    ) -> Self {
        let now = occasion.at;
        Self {
            deployment: Deployment {
                status: DeploymentStatus::Active,
                ..Deployment::begun(id, target, occasion)
            },
            scale,
            external_id: None,
            tags: Tags::new(),
            is_draining: false,
            is_steady: false,
            steadiness_at: now,
        }
    }

    /// Its ID, by which its tasks were started.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.id
    }

    /// ECS's word for what it is: `PRIMARY`, `ACTIVE` or `DRAINING`.
    pub fn status(&self) -> &'static str {
        if self.is_draining {
            "DRAINING"
        } else {
            self.deployment.status.as_str()
        }
    }

    /// Whether it is the one that serves.
    pub fn is_primary(&self) -> bool {
        self.deployment.status == DeploymentStatus::Primary
    }

    /// How many tasks it is to have.
    pub fn wanted(&self, service: &Service) -> u32 {
        if self.is_draining || service.status != ServiceStatus::Active {
            return 0;
        }
        self.scale.of(service.desired_count)
    }

    /// Notes whether it has all of its tasks.
    pub fn set_steady(&mut self, is_steady: bool, now: TimestampMs) {
        if self.is_steady != is_steady {
            self.is_steady = is_steady;
            self.steadiness_at = now;
        }
    }
}

impl Service {
    /// A task set of it.
    pub fn task_set(&self, id: &DeploymentId) -> Option<&TaskSet> {
        self.task_sets.iter().find(|set| set.id() == id)
    }

    /// The same, to be changed.
    pub fn task_set_mut(&mut self, id: &DeploymentId) -> Option<&mut TaskSet> {
        self.task_sets.iter_mut().find(|set| set.id() == id)
    }

    /// Adds a task set.
    pub fn add_task_set(&mut self, set: TaskSet) {
        let place = usize::from(self.task_sets.first().is_some_and(TaskSet::is_primary));
        self.task_sets.insert(place, set);
        self.is_steady = false;
    }

    /// Makes a task set the one that serves, and the service's settings those of the set, as in ECS. False if there is none
    /// with that ID.
    pub fn serve_by(&mut self, id: &DeploymentId, now: TimestampMs) -> bool {
        let Some(index) = self.task_sets.iter().position(|set| set.id() == id) else {
            return false;
        };
        for set in &mut self.task_sets {
            let status = if set.id() == id {
                DeploymentStatus::Primary
            } else {
                DeploymentStatus::Active
            };
            if set.deployment.status != status {
                set.deployment.status = status;
                set.deployment.updated_at = now;
            }
        }
        let set = self.task_sets.remove(index);
        (self.configuration.settings).clone_from(&set.deployment.settings);
        self.task_sets.insert(0, set);
        true
    }

    /// Whether somebody else carries its deployments out.
    pub fn is_external(&self) -> bool {
        self.configuration.controller == DeploymentController::External
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_tasks_is_rounded_up() {
        let of = |percent: f64, desired| Scale::of_percent(percent).unwrap().of(desired);
        for (percent, desired, expected) in [
            (0.0, 7, 0),
            (100.0, 7, 7),
            (50.0, 3, 2),
            (40.0, 3, 2),
            (33.333_333, 3, 1),
            (33.333_334, 3, 2),
            (0.000_001, 1, 1),
            (100.0, 5_000, 5_000),
            (50.0, 0, 0),
        ] {
            assert_eq!(of(percent, desired), expected, "{percent} % of {desired}");
        }
        for wrong in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Scale::of_percent(wrong), None, "{wrong}");
        }
        let shown = Scale::of_percent(12.5).unwrap().percent();
        assert!((shown - 12.5).abs() < 1e-9, "{shown}");
    }
}
