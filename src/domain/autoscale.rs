//! Application Auto Scaling: between how many tasks a service may be scaled, and by what.
//!
//! The bounds and policies are written by the use cases alone; when a service was scaled, by the loop alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task::ecs_names;
use super::{ServiceKey, TimestampMs};

/// The desired count of a service, as something that can be scaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalableTarget {
    /// 32 hexadecimal digits, for its ARN.
    pub id: String,
    /// So many tasks at least.
    pub min_capacity: u32,
    /// So many tasks at most.
    pub max_capacity: u32,
    /// As it was sent; nobody assumes it.
    pub role_arn: Option<String>,
    /// What is not done for now.
    pub suspended: SuspendedState,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// When it was registered for the first time.
    pub created_at: TimestampMs,
    /// The bounds are new: a service outside of them is moved to them. Later, people may leave the bounds by hand.
    pub has_new_bounds: bool,
    /// When a policy last scaled out, and in.
    pub scaled_out_at: Option<TimestampMs>,
    /// The same for scaling in.
    pub scaled_in_at: Option<TimestampMs>,
}

/// What is not done for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedState {
    /// Policies do not scale in.
    pub dynamic_in: bool,
    /// Policies do not scale out.
    pub dynamic_out: bool,
    /// There are no scheduled actions here, so this is only given back.
    pub scheduled: bool,
}

/// A policy, with its configuration as it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalingPolicy {
    /// 32 hexadecimal digits, for its ARN and its alarms.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `TargetTrackingScaling` or `StepScaling`.
    pub kind: PolicyKind,
    /// As it was sent.
    pub configuration: Value,
    /// What it does here, if it does anything: a step scaling policy waits for alarms, and there are none.
    pub tracking: Option<TargetTracking>,
    /// When it was put for the first time.
    pub created_at: TimestampMs,
}

/// The kind of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyKind {
    /// Keeps a figure at a value.
    TargetTrackingScaling,
    /// Does what an alarm asks for.
    StepScaling,
}

ecs_names!(PolicyKind {
    TargetTrackingScaling = "TargetTrackingScaling",
    StepScaling = "StepScaling",
});

/// A policy that keeps the average use of a service's tasks at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetTracking {
    /// Of what.
    pub metric: ScalingMetric,
    /// In hundredths of a percent of what the tasks reserve.
    pub target: u64,
    /// Seconds after scaling out in which nothing is scaled out again.
    pub scale_out_cooldown_s: u32,
    /// Seconds after scaling in or out in which nothing is scaled in.
    pub scale_in_cooldown_s: u32,
    /// It only scales out.
    pub disable_scale_in: bool,
}

/// Both cool-downs of an ECS service, unless a policy says otherwise: seconds.
///
/// Source: Application Auto Scaling API reference, "`TargetTrackingScalingPolicyConfiguration`".
pub const DEFAULT_COOLDOWN_S: u32 = 300;

/// What is kept at a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingMetric {
    /// CPU time used, of that reserved.
    Cpu,
    /// Memory used, of that reserved.
    Memory,
}

ecs_names!(ScalingMetric {
    Cpu = "ECSServiceAverageCPUUtilization",
    Memory = "ECSServiceAverageMemoryUtilization",
});

/// What the tasks of a service used on average in one period, in hundredths of a percent of what they reserve; `None`
/// where they reserve none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceUse {
    /// CPU time.
    pub cpu: Option<u64>,
    /// Memory.
    pub memory: Option<u64>,
}

impl ServiceUse {
    /// One of both.
    pub const fn of(&self, metric: ScalingMetric) -> Option<u64> {
        match metric {
            ScalingMetric::Cpu => self.cpu,
            ScalingMetric::Memory => self.memory,
        }
    }
}

/// That a service was scaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingActivity {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `Setting desired count to 3.`
    pub description: String,
    /// Why.
    pub cause: String,
    /// To how many tasks.
    pub desired_count: u32,
    /// When it began.
    pub started_at: TimestampMs,
    /// When the service had as many tasks, or was scaled to another number.
    pub ended_at: Option<TimestampMs>,
    /// How far it has come.
    pub status: ScalingStatus,
    /// The same in words.
    pub message: String,
}

/// How far scaling has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingStatus {
    /// Tasks start or stop.
    InProgress,
    /// It is done.
    Successful,
    /// Another number was wanted before it was done.
    Overridden,
}

ecs_names!(ScalingStatus {
    InProgress = "InProgress",
    Successful = "Successful",
    Overridden = "Overridden",
});

impl ScalingActivity {
    /// One that begins.
    pub fn new(id: String, desired_count: u32, cause: String, now: TimestampMs) -> Self {
        Self {
            id,
            description: format!("Setting desired count to {desired_count}."),
            cause,
            desired_count,
            started_at: now,
            ended_at: None,
            status: ScalingStatus::InProgress,
            message: format!(
                "Successfully set desired count to {desired_count}. Waiting for change to be fulfilled by ecs."
            ),
        }
    }

    /// It, when it is over: the service was to have `desired` tasks in the end.
    #[must_use]
    pub fn ended(self, desired: u32, now: TimestampMs) -> Self {
        let count = self.desired_count;
        let (status, outcome) = if desired == count {
            (
                ScalingStatus::Successful,
                "Change successfully fulfilled by ecs.".to_owned(),
            )
        } else {
            (
                ScalingStatus::Overridden,
                format!("Found it was later changed to {desired}."),
            )
        };
        Self {
            ended_at: Some(now),
            status,
            message: format!("Successfully set desired count to {count}. {outcome}"),
            ..self
        }
    }
}

/// The name of one of a policy's alarms, which only its activities mention: `High` or `Low`.
pub fn alarm_name(service: &ServiceKey, policy: &ScalingPolicy, which: &str) -> String {
    format!(
        "TargetTracking-service/{service}-Alarm{which}-{}",
        policy.id
    )
}
