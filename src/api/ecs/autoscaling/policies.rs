//! Scaling policies: kept as they were sent, if others can read them.

use serde_json::{Map, Value, json};

use super::super::error::EcsError;
use super::super::input::Input;
use super::super::show;
use super::{DIMENSION, NAMESPACE, named_service, page, refused, resource, the_service};
use crate::control::Control;
use crate::domain::{
    self, DEFAULT_COOLDOWN_S, PolicyKind, ScalingMetric, ScalingPolicy, ServiceKey, TargetTracking,
    alarm_name,
};
use crate::shapes::uuid;
use crate::store::{PageRequest, StoreError};

const STEPS: &str = "StepScalingPolicyConfiguration";
const TRACKING: &str = "TargetTrackingScalingPolicyConfiguration";

/// What a field of a configuration must be.
#[derive(Clone, Copy)]
enum Must {
    Text,
    Whole,
    Number,
    Flag,
    Be(&'static [(&'static str, Must)]),
    List(&'static [(&'static str, Must)]),
}

/// A configuration of step scaling.
const STEP_FIELDS: &[(&str, Must)] = &[
    ("AdjustmentType", Must::Text),
    (
        "StepAdjustments",
        Must::List(&[
            ("MetricIntervalLowerBound", Must::Number),
            ("MetricIntervalUpperBound", Must::Number),
            ("ScalingAdjustment", Must::Whole),
        ]),
    ),
    ("MinAdjustmentMagnitude", Must::Whole),
    ("Cooldown", Must::Whole),
    ("MetricAggregationType", Must::Text),
];

/// What a metric is told apart by.
const DIMENSIONS: Must = Must::List(&[("Name", Must::Text), ("Value", Must::Text)]);

/// A configuration of target tracking.
const TRACKING_FIELDS: &[(&str, Must)] = &[
    ("TargetValue", Must::Number),
    (
        "PredefinedMetricSpecification",
        Must::Be(&[
            ("PredefinedMetricType", Must::Text),
            ("ResourceLabel", Must::Text),
        ]),
    ),
    (
        "CustomizedMetricSpecification",
        Must::Be(&[
            ("MetricName", Must::Text),
            ("Namespace", Must::Text),
            ("Dimensions", DIMENSIONS),
            ("Statistic", Must::Text),
            ("Unit", Must::Text),
            (
                "Metrics",
                Must::List(&[
                    ("Expression", Must::Text),
                    ("Id", Must::Text),
                    ("Label", Must::Text),
                    (
                        "MetricStat",
                        Must::Be(&[
                            (
                                "Metric",
                                Must::Be(&[
                                    ("Dimensions", DIMENSIONS),
                                    ("MetricName", Must::Text),
                                    ("Namespace", Must::Text),
                                ]),
                            ),
                            ("Stat", Must::Text),
                            ("Unit", Must::Text),
                        ]),
                    ),
                    ("ReturnData", Must::Flag),
                ]),
            ),
        ]),
    ),
    ("ScaleOutCooldown", Must::Whole),
    ("ScaleInCooldown", Must::Whole),
    ("DisableScaleIn", Must::Flag),
];

/// `value`, if it has the form that others can read, without what is null.
fn checked(value: &Value, name: &str, must: Must) -> Result<Value, EcsError> {
    let wrong = || EcsError::parameter(format!("{name} does not have the form that it must have."));
    let map = |value: &Value, fields: &[(&str, Must)]| {
        let mut kept = Map::new();
        for (name, inner) in value.as_object().ok_or_else(wrong)? {
            let shown: String = name.chars().take(64).collect();
            let Some((_, must)) = fields.iter().find(|(known, _)| known == name) else {
                return Err(EcsError::parameter(format!(
                    "Unknown parameter: \"{shown}\""
                )));
            };
            if !inner.is_null() {
                kept.insert(name.clone(), checked(inner, name, *must)?);
            }
        }
        Ok(Value::Object(kept))
    };
    let fits = match must {
        Must::Be(fields) => return map(value, fields),
        Must::List(fields) => {
            let items = value.as_array().ok_or_else(wrong)?.iter();
            return items.map(|item| map(item, fields)).collect();
        }
        Must::Text => value.is_string(),
        Must::Whole => value
            .as_i64()
            .is_some_and(|whole| i32::try_from(whole).is_ok()),
        Must::Number => value.is_number(),
        Must::Flag => value.is_boolean(),
    };
    if fits {
        Ok(value.clone())
    } else {
        Err(wrong())
    }
}

/// What a configuration of target tracking asks for, if that is measured here.
fn tracking(configuration: &Value) -> Result<Option<TargetTracking>, EcsError> {
    let target = configuration["TargetValue"].as_f64().unwrap_or_default();
    if !(target > 0.0 && target <= 1e9) {
        return Err(EcsError::parameter("TargetValue must be greater than 0."));
    }
    let predefined = &configuration["PredefinedMetricSpecification"];
    if predefined.is_null() == configuration["CustomizedMetricSpecification"].is_null() {
        return Err(EcsError::parameter(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified.",
        ));
    }
    let cooldown = |name: &str| match configuration[name].as_i64() {
        None => Ok(DEFAULT_COOLDOWN_S),
        Some(seconds) => u32::try_from(seconds)
            .map_err(|_| EcsError::parameter(format!("{name} must not be negative."))),
    };
    let (scale_out_cooldown_s, scale_in_cooldown_s) =
        (cooldown("ScaleOutCooldown")?, cooldown("ScaleInCooldown")?);
    let metric = match predefined["PredefinedMetricType"].as_str() {
        None if predefined.is_null() => return Ok(None),
        Some("ALBRequestCountPerTarget") => return Ok(None),
        Some(name) if ScalingMetric::parse(name).is_some() => ScalingMetric::parse(name),
        _ => {
            return Err(EcsError::parameter(
                "Unsupported PredefinedMetricType for ecs: use ECSServiceAverageCPUUtilization or \
                 ECSServiceAverageMemoryUtilization.",
            ));
        }
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was checked to be positive and small enough"
    )]
    let target = (target * 100.0).round().max(1.0) as u64;
    Ok(metric.map(|metric| TargetTracking {
        metric,
        target,
        scale_out_cooldown_s,
        scale_in_cooldown_s,
        disable_scale_in: configuration["DisableScaleIn"] == true,
    }))
}

pub(in crate::api::ecs) async fn put(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = the_service(&input)?;
    let name = input.required("PolicyName");
    if !(1..=256).contains(&name.chars().count()) || name.chars().any(char::is_control) {
        return Err(EcsError::parameter(
            "PolicyName must have 1 to 256 visible characters.",
        ));
    }
    let kind = input.text("PolicyType").unwrap_or("StepScaling");
    let Some(kind) = PolicyKind::parse(kind) else {
        return Err(EcsError::parameter(
            "PolicyType must be TargetTrackingScaling or StepScaling.",
        ));
    };
    let (field, other, fields) = match kind {
        PolicyKind::TargetTrackingScaling => (TRACKING, STEPS, TRACKING_FIELDS),
        PolicyKind::StepScaling => (STEPS, TRACKING, STEP_FIELDS),
    };
    let (Some(sent), None) = (input.value(field), input.value(other)) else {
        return Err(EcsError::parameter(format!(
            "A policy of type {kind} must have a {field}, and no other configuration."
        )));
    };
    let configuration = checked(sent, field, Must::Be(fields))?;
    let tracking = match kind {
        PolicyKind::TargetTrackingScaling => tracking(&configuration)?,
        PolicyKind::StepScaling => None,
    };
    let put = control.put_scaling_policy(&key, name, kind, configuration, tracking);
    let policy = put.await.map_err(refused)?;
    Ok(json!({ "PolicyARN": arn(&key, &policy), "Alarms": alarms(&key, &policy) }))
}

fn arn(key: &ServiceKey, policy: &ScalingPolicy) -> String {
    let (id, resource, name) = (uuid(&policy.id), resource(key), &policy.name);
    domain::arn(
        "autoscaling",
        format_args!("scalingPolicy:{id}:resource/{NAMESPACE}/{resource}:policyName/{name}"),
    )
}

/// The alarms that AWS would make: nobody can ask for them, but clients expect their names.
fn alarms(key: &ServiceKey, policy: &ScalingPolicy) -> Value {
    if policy.kind != PolicyKind::TargetTrackingScaling {
        return json!([]);
    }
    let only_out = policy.configuration["DisableScaleIn"] == true;
    let which = if only_out {
        &["High"][..]
    } else {
        &["High", "Low"]
    };
    let alarm = |which: &&str| {
        let name = alarm_name(key, policy, which);
        json!({ "AlarmARN": domain::arn("cloudwatch", format_args!("alarm:{name}")), "AlarmName": name })
    };
    which.iter().map(alarm).collect()
}

pub(in crate::api::ecs) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = the_service(&input)?;
    let gone = control
        .remove_scaling_policy(&key, input.required("PolicyName"))
        .await;
    gone.map_err(refused)?;
    Ok(json!({}))
}

pub(in crate::api::ecs) async fn describe(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    let names = input.texts("PolicyNames");
    let keys = match named_service(&input)? {
        Some(key) => vec![key],
        None => every_target(&control).await?,
    };
    let PageRequest { limit, token } = page(&input)?;
    let is_ours = |token: &String| token.starts_with("arn:aws:autoscaling:");
    if !token.as_ref().is_none_or(is_ours) {
        return Err(refused(StoreError::BadToken.into()));
    }
    let mut found = Vec::new();
    for key in keys {
        for policy in control.scaling_policies(&key).await.map_err(refused)? {
            if names.is_empty() || names.contains(&policy.name.as_str()) {
                found.push((arn(&key, &policy), shown(&key, &policy)));
            }
        }
    }
    // A page goes on after the ARN of the last one.
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found.retain(|(arn, _)| token.as_ref().is_none_or(|after| arn > after));
    let is_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| is_more).map(|(arn, _)| arn.clone());
    let all: Vec<Value> = found.into_iter().map(|(_, shown)| shown).collect();
    Ok(json!({ "ScalingPolicies": all, "NextToken": next }))
}

async fn every_target(control: &Control) -> Result<Vec<ServiceKey>, EcsError> {
    let mut keys = Vec::new();
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let found = control
            .scalable_targets(page.clone())
            .await
            .map_err(refused)?;
        keys.extend(found.items.into_iter().map(|(key, _)| key));
        match found.next {
            Some(token) => page.token = Some(token),
            None => return Ok(keys),
        }
    }
}

fn shown(key: &ServiceKey, policy: &ScalingPolicy) -> Value {
    let field = match policy.kind {
        PolicyKind::TargetTrackingScaling => TRACKING,
        PolicyKind::StepScaling => STEPS,
    };
    let mut shown = json!({
        "PolicyARN": arn(key, policy),
        "PolicyName": policy.name,
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource(key),
        "ScalableDimension": DIMENSION,
        "PolicyType": policy.kind.as_str(),
        "Alarms": alarms(key, policy),
        "CreationTime": show::time(policy.created_at),
    });
    shown[field] = policy.configuration.clone();
    shown
}
