//! Application Auto Scaling, of the desired counts of ECS services.
//!
//! A scalable target is `service/CLUSTER/NAME`. What a policy asks for is kept as it was sent; what is tracked here, the
//! loop acts on.

mod policies;
mod targets;

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::{Input, flag, map, number, text, texts};
use super::show;
use super::table::{Answer, Operation, does};
use crate::control::{Control, ControlError, Obstacle};
use crate::domain::{ClusterName, ScalingActivity, ServiceKey};
use crate::store::{PageRequest, StoreError};

/// What the docs say before the table.
pub(super) const ABOUT: &str = "\
## Application Auto Scaling

`aws application-autoscaling …` with the same endpoint, for the namespace `ecs` and the dimension
`ecs:service:DesiredCount`. Target tracking on `ECSServiceAverageCPUUtilization` and
`ECSServiceAverageMemoryUtilization` scales services within their bounds: what the tasks use is looked at every 20
seconds (`autoscaling_period_s` of the server's configuration, where AWS has a minute); three periods in a row above the
target scale out, fifteen below nine tenths of it scale in, and cool-downs (300 seconds unless said otherwise) and
suspended states are kept. A service outside of new bounds is moved into them within a period. Step scaling policies and
other metrics are kept and given back, and do nothing: there are no alarms. Operations that are not in this table answer
`UnknownOperationException`.
";

#[rustfmt::skip]
pub(super) static OPERATIONS: [Operation; 10] = [
    does!("DeleteScalingPolicy", policies::delete, [
        text("PolicyName").required(), text("ServiceNamespace").required(), text("ResourceId").required(),
        text("ScalableDimension").required(),
    ], ""),
    does!("DeregisterScalableTarget", targets::deregister, [
        text("ServiceNamespace").required(), text("ResourceId").required(), text("ScalableDimension").required(),
    ], "its policies and activities go with it; so does a target whose service is gone"),
    does!("DescribeScalableTargets", targets::describe, [
        text("ServiceNamespace").required(), texts("ResourceIds"), text("ScalableDimension"), number("MaxResults"),
        text("NextToken"),
    ], ""),
    does!("DescribeScalingActivities", activities, [
        text("ServiceNamespace").required(), text("ResourceId"), text("ScalableDimension"), number("MaxResults"),
        text("NextToken"), flag("IncludeNotScaledActivities"),
    ], "the newest 100 of each target"),
    does!("DescribeScalingPolicies", policies::describe, [
        texts("PolicyNames"), text("ServiceNamespace").required(), text("ResourceId"), text("ScalableDimension"),
        number("MaxResults"), text("NextToken"),
    ], "the alarms are only named"),
    does!("ListTagsForResource", targets::list_tags, [text("ResourceARN").required()], "of scalable targets"),
    does!("PutScalingPolicy", policies::put, [
        text("PolicyName").required(), text("ServiceNamespace").required(), text("ResourceId").required(),
        text("ScalableDimension").required(), text("PolicyType"), map("StepScalingPolicyConfiguration"),
        map("TargetTrackingScalingPolicyConfiguration"), map("PredictiveScalingPolicyConfiguration"),
    ], "predictive scaling is refused"),
    does!("RegisterScalableTarget", targets::register, [
        text("ServiceNamespace").required(), text("ResourceId").required(), text("ScalableDimension").required(),
        number("MinCapacity"), number("MaxCapacity"), text("RoleARN"), map("SuspendedState"), map("Tags"),
    ], "the service must be there; RoleARN is given back"),
    does!("TagResource", targets::tag, [text("ResourceARN").required(), map("Tags").required()], "of scalable targets"),
    does!("UntagResource", targets::untag, [text("ResourceARN").required(), texts("TagKeys").required()],
        "of scalable targets"),
];

const NAMESPACE: &str = "ecs";
const DIMENSION: &str = "ecs:service:DesiredCount";
/// The most items on a page, as in AWS.
const PAGE: i64 = 50;

/// An error about a target or a policy, in the words of Application Auto Scaling.
fn refused(error: ControlError) -> EcsError {
    match error {
        ControlError::Store(StoreError::NotFound { what }) => EcsError::new(
            "ObjectNotFoundException",
            format!(
                "No {what} found for service namespace: {NAMESPACE}, scalable dimension: {DIMENSION}"
            ),
        ),
        ControlError::Store(StoreError::BadToken) => EcsError::new(
            "InvalidNextTokenException",
            "The next token supplied was invalid.",
        ),
        ControlError::Store(StoreError::Stale) => EcsError::new(
            "ConcurrentUpdateException",
            "The target was changed at the same time. Try again.",
        ),
        ControlError::Conflict {
            obstacle: Obstacle::Limit,
            message,
            ..
        } => EcsError::new("LimitExceededException", message),
        other => other.into(),
    }
}

/// Whether the call is about what can be scaled here.
fn check_space(input: &Input) -> Result<(), EcsError> {
    let space = input.word("ServiceNamespace", &[NAMESPACE])?;
    let dimension = input.word("ScalableDimension", &[DIMENSION])?;
    // A dimension without its resources means nothing.
    if space.is_none() || (dimension.is_some() && is_without_resource(input)) {
        return Err(EcsError::parameter(
            "You must specify a ResourceId with a ScalableDimension.",
        ));
    }
    Ok(())
}

fn is_without_resource(input: &Input) -> bool {
    input.text("ResourceId").is_none() && input.texts("ResourceIds").is_empty()
}

/// `service/CLUSTER/NAME`.
fn service(text: &str) -> Result<ServiceKey, EcsError> {
    let parts: Vec<&str> = text.split('/').collect();
    let &["service", cluster, name] = parts.as_slice() else {
        let shown: String = text.chars().take(64).collect();
        return Err(EcsError::parameter(format!(
            "Unsupported service namespace, resource type or scalable dimension: \"{shown}\"; it must be \
             service/CLUSTER/SERVICE"
        )));
    };
    let cluster: ClusterName = cluster.parse()?;
    Ok(ServiceKey {
        cluster,
        name: name.parse()?,
    })
}

/// The one service that a call is about, if it names one.
fn named_service(input: &Input) -> Result<Option<ServiceKey>, EcsError> {
    check_space(input)?;
    input.text("ResourceId").map(service).transpose()
}

/// The same where the call must name one.
fn the_service(input: &Input) -> Result<ServiceKey, EcsError> {
    check_space(input)?;
    service(input.required("ResourceId"))
}

fn resource(key: &ServiceKey) -> String {
    format!("service/{key}")
}

fn page(input: &Input) -> Result<PageRequest, EcsError> {
    let limit = input.number("MaxResults", 1, PAGE)?.unwrap_or(PAGE);
    Ok(PageRequest {
        limit: u32::try_from(limit).unwrap_or_default(),
        token: input.text("NextToken").map(str::to_owned),
    })
}

async fn activities(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = named_service(&input)?;
    let page = page(&input)?;
    let found = control.scaling_activities(key.as_ref(), page).await;
    let found = found.map_err(refused)?;
    let all: Vec<Value> = found.items.iter().map(shown_activity).collect();
    Ok(json!({ "ScalingActivities": all, "NextToken": found.next }))
}

fn shown_activity((key, activity): &(ServiceKey, ScalingActivity)) -> Value {
    json!({
        "ActivityId": crate::shapes::uuid(&activity.id),
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource(key),
        "ScalableDimension": DIMENSION,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": show::time(activity.started_at),
        "EndTime": activity.ended_at.map(show::time),
        "StatusCode": activity.status.as_str(),
        "StatusMessage": activity.message,
    })
}
