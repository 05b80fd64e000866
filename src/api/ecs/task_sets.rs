//! Task sets, of services with the EXTERNAL deployment controller.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{forms, launch, names, show};
use crate::api::rest::hash;
use crate::control::{Control, ControlError, CreateTaskSet, Obstacle};
use crate::domain::{DeploymentId, Scale, ServiceKey, ServiceStatus, task_set_arn};
use crate::shapes::run_notes;
use crate::store::{ClientToken, StoreError};

/// What is kept of a task set, and read by others.
const KEPT: [&str; 4] = [
    "capacityProviderStrategy",
    "launchType",
    "networkConfiguration",
    "platformVersion",
];

/// The service that a call is about, which is there.
async fn service(control: &Control, input: &Input) -> Result<ServiceKey, EcsError> {
    let cluster = input.cluster(control).await?.name;
    let key = names::service(input.required("service"), &cluster)?;
    match control.service(&key).await {
        Err(ControlError::NotFound { .. }) => Err(EcsError::no_service()),
        Ok(view) if view.service.status != ServiceStatus::Active => Err(EcsError::new(
            "ServiceNotActiveException",
            "Service was not ACTIVE.",
        )),
        found => Ok(found?.service.key),
    }
}

/// `scale`: none unless it is said.
fn scale(input: &Input) -> Result<Scale, EcsError> {
    let Some(sent) = input.value("scale") else {
        return Ok(Scale::default());
    };
    let is_percent = matches!(sent["unit"].as_str(), None | Some("PERCENT"));
    let is_known = sent["unit"].is_null() || sent["unit"].is_string();
    let value = match &sent["value"] {
        Value::Null => Some(0.0),
        other => other.as_f64(),
    };
    let scale = value.and_then(Scale::of_percent);
    scale.filter(|_| is_percent && is_known).ok_or_else(|| {
        EcsError::parameter("Scale must have a value from 0 to 100, and the unit PERCENT.")
    })
}

/// The refusal of a task set, whose service is there.
fn refused(error: ControlError) -> EcsError {
    match error {
        ControlError::NotFound { what, .. } if what.starts_with("task definition") => {
            EcsError::client("TaskDefinition not found.")
        }
        ControlError::NotFound { what, .. } if what.starts_with("task set") => EcsError::new(
            "TaskSetNotFoundException",
            "The specified task set wasn't found. You can view your available task sets with DescribeTaskSets.",
        ),
        ControlError::NotFound { .. } => EcsError::no_service(),
        ControlError::Conflict {
            obstacle: Obstacle::InactiveRevision,
            ..
        } => EcsError::client("TaskDefinition is inactive"),
        ControlError::Conflict { message, .. } => EcsError::parameter(message),
        ControlError::Store(StoreError::TokenReused) => {
            EcsError::parameter("Creation of task set was not idempotent.")
        }
        other => other.into(),
    }
}

pub(super) async fn create(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = service(&control, &input).await?;
    let definition = names::task_definition(input.required("taskDefinition"))?;
    for (name, form) in &forms::OF_SERVICES {
        if let Some(sent) = input.value(name) {
            form.check(sent, name)?;
        }
    }
    for name in ["loadBalancers", "serviceRegistries"] {
        let sent = input.value(name).and_then(Value::as_array);
        if sent.is_some_and(|items| !items.is_empty()) {
            return Err(EcsError::new(
                "UnsupportedFeatureException",
                format!(
                    "{name} is not supported by Neargate: nothing would send traffic to the tasks"
                ),
            ));
        }
    }
    let cluster = input.cluster(&control).await?;
    launch::strategy(&input, &control, &cluster).await?;
    let default = launch::default_strategy(&input, &cluster);
    let mut kept: BTreeMap<String, Value> = KEPT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), input.value(name)?.clone())))
        .collect();
    kept.extend(default.map(|strategy| ("capacityProviderStrategy".to_owned(), strategy)));
    let external_id = input.text("externalId").map(str::to_owned);
    if external_id
        .as_ref()
        .is_some_and(|id| id.chars().count() > 255)
    {
        return Err(EcsError::parameter(
            "ExternalId can have at most 255 characters.",
        ));
    }
    let (scale, tags) = (scale(&input)?, input.tags()?);
    let notes: Value = kept.clone().into_iter().collect();
    let token = input.text("clientToken").map(str::to_owned);
    let asked = json!({
        "service": key.name, "taskDefinition": definition.to_string(), "scale": scale, "kept": kept,
        "externalId": external_id, "tags": tags,
    });
    let request = CreateTaskSet {
        definition,
        scale,
        kept,
        external_id,
        tags,
        notes: run_notes(&notes),
        client_token: token.map(|token| ClientToken {
            token,
            request_hash: hash(&asked),
        }),
    };
    let made = control.create_task_set(&key, request).await;
    let (_, set) = made.map_err(refused)?;
    shown(&control, &key, &set, true).await
}

/// A task set as it is now.
async fn shown(
    control: &Control,
    key: &ServiceKey,
    set: &crate::domain::TaskSet,
    with_tags: bool,
) -> Result<Value, EcsError> {
    let view = control.service(key).await.map_err(refused)?;
    Ok(json!({ "taskSet": show::task_set(&view, set, with_tags) }))
}

pub(super) async fn update(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = service(&control, &input).await?;
    let id = names::task_set(input.required("taskSet"), &key)?;
    let scaled = control.scale_task_set(&key, &id, scale(&input)?).await;
    let (_, set) = scaled.map_err(refused)?;
    shown(&control, &key, &set, true).await
}

pub(super) async fn make_primary(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = service(&control, &input).await?;
    let id = names::task_set(input.required("primaryTaskSet"), &key)?;
    let (_, set) = control
        .serve_by_task_set(&key, &id)
        .await
        .map_err(refused)?;
    shown(&control, &key, &set, true).await
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let key = service(&control, &input).await?;
    let id = names::task_set(input.required("taskSet"), &key)?;
    let force = input.flag("force").unwrap_or_default();
    let gone = control.delete_task_set(&key, &id, force).await;
    let (_, set) = gone.map_err(refused)?;
    shown(&control, &key, &set, true).await
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let with_tags = input.includes("TAGS", &["TAGS"])?;
    let key = service(&control, &input).await?;
    let view = control.service(&key).await.map_err(refused)?;
    let sets = &view.service.task_sets;
    let wanted: Vec<DeploymentId> = match input.texts("taskSets") {
        none if none.is_empty() => sets.iter().map(|set| set.id().clone()).collect(),
        texts => texts
            .into_iter()
            .map(|text| names::task_set(text, &key))
            .collect::<Result<_, _>>()?,
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for id in &wanted {
        match view.service.task_set(id) {
            Some(set) => found.push(show::task_set(&view, set, with_tags)),
            None => failures.push(show::missing(&task_set_arn(&key, id))),
        }
    }
    Ok(json!({ "taskSets": found, "failures": failures }))
}
