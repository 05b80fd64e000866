//! Scalable targets.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::error::EcsError;
use super::super::input::Input;
use super::super::show;
use super::{DIMENSION, NAMESPACE, check_space, page, refused, resource, service, the_service};
use crate::control::{Control, ControlError, RegisterTarget, SuspendedChange};
use crate::domain::{self, ScalableTarget, ServiceKey};
use crate::store::{Page, PageRequest};

/// The most tags of a target.
const MOST_TAGS: usize = 50;

fn arn(target: &ScalableTarget) -> String {
    domain::arn(
        "application-autoscaling",
        format_args!("scalable-target/0ec{}", target.id),
    )
}

/// The role that AWS makes for it.
fn service_role() -> String {
    format!(
        "arn:aws:iam::{}:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/\
         AWSServiceRoleForApplicationAutoScaling_ECSService",
        domain::account()
    )
}

pub(in crate::api::ecs) async fn register(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    let key = the_service(&input)?;
    let capacity = |name: &str| {
        let sent = input.number(name, 0, i64::from(i32::MAX))?;
        Ok::<_, EcsError>(sent.and_then(|sent| u32::try_from(sent).ok()))
    };
    let suspended = |name: &str| match &input.value("SuspendedState").unwrap_or(&Value::Null)[name]
    {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(*flag)),
        _ => Err(EcsError::parameter(format!("{name} must be a Boolean."))),
    };
    let request = RegisterTarget {
        min_capacity: capacity("MinCapacity")?,
        max_capacity: capacity("MaxCapacity")?,
        role_arn: input.text("RoleARN").map(str::to_owned),
        suspended: SuspendedChange {
            dynamic_in: suspended("DynamicScalingInSuspended")?,
            dynamic_out: suspended("DynamicScalingOutSuspended")?,
            scheduled: suspended("ScheduledScalingSuspended")?,
        },
        tags: input.value("Tags").map(tags).transpose()?,
    };
    let target = control.register_scalable_target(&key, request).await;
    let target = target.map_err(|error| match error {
        ControlError::NotFound { .. } => {
            EcsError::parameter(format!("ECS service doesn't exist: {}", resource(&key)))
        }
        other => refused(other),
    });
    Ok(json!({ "ScalableTargetARN": arn(&target?) }))
}

pub(in crate::api::ecs) async fn deregister(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    let key = the_service(&input)?;
    let gone = control.deregister_scalable_target(&key).await;
    gone.map_err(refused)?;
    Ok(json!({}))
}

pub(in crate::api::ecs) async fn describe(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    check_space(&input)?;
    let named = input.texts("ResourceIds");
    let page = page(&input)?;
    let found = if named.is_empty() {
        control.scalable_targets(page).await.map_err(refused)?
    } else {
        let mut items = Vec::new();
        for text in named {
            let key = service(text)?;
            let target = control.scalable_target(&key).await.map_err(refused)?;
            items.extend(target.map(|target| (key, target)));
        }
        Page { items, next: None }
    };
    let all: Vec<Value> = found.items.iter().map(shown).collect();
    Ok(json!({ "ScalableTargets": all, "NextToken": found.next }))
}

fn shown((key, target): &(ServiceKey, ScalableTarget)) -> Value {
    json!({
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource(key),
        "ScalableDimension": DIMENSION,
        "MinCapacity": target.min_capacity,
        "MaxCapacity": target.max_capacity,
        "RoleARN": target.role_arn.clone().unwrap_or_else(service_role),
        "CreationTime": show::time(target.created_at),
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.dynamic_in,
            "DynamicScalingOutSuspended": target.suspended.dynamic_out,
            "ScheduledScalingSuspended": target.suspended.scheduled,
        },
        "ScalableTargetARN": arn(target),
    })
}

fn tags(sent: &Value) -> Result<BTreeMap<String, String>, EcsError> {
    let mut tags = BTreeMap::new();
    for (key, value) in sent.as_object().into_iter().flatten() {
        let value = value.as_str().filter(|value| value.chars().count() <= 256);
        let (true, Some(value)) = ((1..=128).contains(&key.chars().count()), value) else {
            return Err(EcsError::parameter(
                "The tag key must have 1 to 128 characters, and the value, a text, 256 at most.",
            ));
        };
        tags.insert(key.clone(), value.to_owned());
    }
    if tags.len() > MOST_TAGS {
        return Err(EcsError::new(
            "TooManyTagsException",
            "A scalable target can have 50 tags at most.",
        ));
    }
    Ok(tags)
}

/// The target of an ARN.
async fn of_arn(
    control: &Control,
    input: &Input,
) -> Result<(ServiceKey, ScalableTarget), EcsError> {
    let wanted = input.required("ResourceARN");
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let found = control.scalable_targets(page.clone()).await?;
        let mut targets = found.items.into_iter();
        if let Some(found) = targets.find(|(_, target)| arn(target) == wanted) {
            return Ok(found);
        }
        match found.next {
            Some(token) => page.token = Some(token),
            None => {
                return Err(EcsError::new(
                    "ResourceNotFoundException",
                    "There is no scalable target with this ARN.",
                ));
            }
        }
    }
}

pub(in crate::api::ecs) async fn list_tags(
    control: Control,
    input: Input,
) -> Result<Value, EcsError> {
    let (_, target) = of_arn(&control, &input).await?;
    Ok(json!({ "Tags": target.tags }))
}

pub(in crate::api::ecs) async fn tag(control: Control, input: Input) -> Result<Value, EcsError> {
    let (key, target) = of_arn(&control, &input).await?;
    let new = tags(input.value("Tags").unwrap_or(&Value::Null))?;
    let mut all = target.tags;
    all.extend(new.clone());
    tags(&json!(all))?;
    let add = |tags: &mut BTreeMap<String, String>| tags.extend(new.clone());
    let done = control.tag_scalable_target(&key, add).await;
    done.map_err(refused)?;
    Ok(json!({}))
}

pub(in crate::api::ecs) async fn untag(control: Control, input: Input) -> Result<Value, EcsError> {
    let (key, _) = of_arn(&control, &input).await?;
    let gone = input.texts("TagKeys");
    let take = |tags: &mut BTreeMap<String, String>| {
        tags.retain(|key, _| !gone.contains(&key.as_str()));
    };
    control
        .tag_scalable_target(&key, take)
        .await
        .map_err(refused)?;
    Ok(json!({}))
}
