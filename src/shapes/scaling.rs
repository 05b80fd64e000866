//! How a service is scaled, as it is shown: its bounds, its policies, and when it was last scaled.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::ScalingView;
use crate::domain;

/// Between how many tasks a service is scaled, by what, and when it last was. It is set by the clients of Application Auto
/// Scaling.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceScaling {
    /// So many tasks at least.
    pub min_capacity: u32,
    /// So many tasks at most.
    pub max_capacity: u32,
    /// What is not done for now: `dynamicScalingIn`, `dynamicScalingOut`, `scheduledScaling`.
    pub suspended: Vec<String>,
    /// What scales it, by name.
    pub policies: Vec<ServiceScalingPolicy>,
    /// When it was scaled, newest first; 10 at most.
    pub activities: Vec<ServiceScalingActivity>,
}

/// What scales a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceScalingPolicy {
    /// Its name.
    pub policy_name: String,
    /// `TargetTrackingScaling`; `StepScaling` does nothing here, as there are no alarms.
    pub policy_type: String,
    /// What is kept at a value, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// At which, in percent of what the tasks reserve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_value: Option<f64>,
}

/// That a service was scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceScalingActivity {
    /// To how many tasks.
    pub desired_count: u32,
    /// Why.
    pub cause: String,
    /// `InProgress`, `Successful` or `Overridden`.
    pub status: String,
    /// The same in words.
    pub message: String,
    /// When it began.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

impl From<&ScalingView> for ServiceScaling {
    fn from(view: &ScalingView) -> Self {
        let suspended = view.target.suspended;
        let all = [
            (suspended.dynamic_in, "dynamicScalingIn"),
            (suspended.dynamic_out, "dynamicScalingOut"),
            (suspended.scheduled, "scheduledScaling"),
        ];
        let suspended = all.into_iter().filter(|(is_it, _)| *is_it);
        Self {
            min_capacity: view.target.min_capacity,
            max_capacity: view.target.max_capacity,
            suspended: suspended.map(|(_, name)| name.to_owned()).collect(),
            policies: view.policies.iter().map(Into::into).collect(),
            activities: view.activities.iter().map(Into::into).collect(),
        }
    }
}

impl From<&domain::ScalingPolicy> for ServiceScalingPolicy {
    fn from(policy: &domain::ScalingPolicy) -> Self {
        let tracking = policy.tracking;
        Self {
            policy_name: policy.name.clone(),
            policy_type: policy.kind.to_string(),
            metric: tracking.map(|tracking| tracking.metric.to_string()),
            // It came as such a number, and is only shown.
            target_value: tracking.map(|tracking| tracking.target as f64 / 100.0),
        }
    }
}

impl From<&domain::ScalingActivity> for ServiceScalingActivity {
    fn from(activity: &domain::ScalingActivity) -> Self {
        Self {
            desired_count: activity.desired_count,
            cause: activity.cause.clone(),
            status: activity.status.to_string(),
            message: activity.message.clone(),
            started_at: activity.started_at.to_string(),
            ended_at: activity.ended_at.map(|at| at.to_string()),
        }
    }
}
