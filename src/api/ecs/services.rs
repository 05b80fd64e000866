//! Services.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::tasks::LAUNCH_TYPE;
use super::{names, show};
use crate::api::rest::request_hash;
use crate::control::{Control, ControlError};
use crate::domain::{ServiceKey, ServiceStatus, service_arn};
use crate::shapes::{Document, ParsedService};
use crate::store::{ClientToken, PageRequest, StoreError};

/// Services that one call can ask for, as in ECS.
const MOST: usize = 10;
/// Services on a page unless the call says otherwise, as in ECS.
const PAGE: u32 = 10;

pub(super) async fn create(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?.name;
    let definition = input.text("taskDefinition").map(names::task_definition);
    let definition = definition.transpose()?;
    let mut sent = input.into_map();
    sent.insert("cluster".to_owned(), json!(cluster));
    if let Some(definition) = &definition {
        sent.insert("taskDefinition".to_owned(), json!(definition.to_string()));
    }
    let ParsedService {
        mut request,
        client_token,
        ..
    } = ParsedService::create(&Document::from_value(&Value::Object(sent)), None)
        .map_err(|faults| EcsError::faults("InvalidParameterException", &faults))?;
    request.client_token = client_token.map(|token| ClientToken {
        token,
        request_hash: request_hash(&request),
    });
    let service = control.create_service(request).await.map_err(refused)?;
    shown(&control, &service.key, true).await
}

pub(super) async fn update(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?.name;
    let key = names::service(input.required("service"), &cluster)?;
    let definition = input.text("taskDefinition").map(names::task_definition);
    let definition = definition.transpose()?;
    let mut sent = input.into_map();
    sent.retain(|name, _| name != "cluster" && name != "service");
    if let Some(definition) = &definition {
        sent.insert("taskDefinition".to_owned(), json!(definition.to_string()));
    }
    let parsed = ParsedService::update(&Document::from_value(&Value::Object(sent)))
        .map_err(|faults| EcsError::faults("InvalidParameterException", &faults))?;
    active(&control, &key).await?;
    let service = control.update_service(&key, parsed.request).await;
    shown(&control, &service.map_err(refused)?.key, true).await
}

/// Whether a service can be changed.
async fn active(control: &Control, key: &ServiceKey) -> Result<(), EcsError> {
    match control.service(key).await {
        Err(ControlError::NotFound { .. }) => Err(EcsError::no_service()),
        Ok(view) if view.service.status != ServiceStatus::Active => Err(EcsError::new(
            "ServiceNotActiveException",
            "Service was not ACTIVE.",
        )),
        found => found.map(|_| ()).map_err(Into::into),
    }
}

/// The refusal to make or change a service, whose cluster is there.
fn refused(error: ControlError) -> EcsError {
    match error {
        ControlError::NotFound { what, .. } if what.starts_with("task definition") => {
            EcsError::client("TaskDefinition not found.")
        }
        ControlError::NotFound { .. } => EcsError::no_service(),
        ControlError::Store(StoreError::TokenReused) => {
            EcsError::parameter("Creation of service was not idempotent.")
        }
        ControlError::Conflict { message, .. } if message.ends_with("exists already") => {
            EcsError::parameter("Creation of service was not idempotent.")
        }
        ControlError::Conflict { message, .. } if message.ends_with("is INACTIVE") => {
            EcsError::client("TaskDefinition is inactive")
        }
        other => other.into(),
    }
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?.name;
    let key = names::service(input.required("service"), &cluster)?;
    let force = input.flag("force").unwrap_or_default();
    let view = match control.service(&key).await {
        Err(ControlError::NotFound { .. }) => return Err(EcsError::no_service()),
        view => view?,
    };
    match view.service.status {
        ServiceStatus::Active
            if !force
                && view.service.wanted() > 0
                && show::strategy(&view.service) == "REPLICA" =>
        {
            return Err(EcsError::parameter(
                "The service cannot be stopped while it is scaled above 0.",
            ));
        }
        ServiceStatus::Inactive => return Err(EcsError::no_service()),
        // Asking twice changes nothing.
        ServiceStatus::Draining => {}
        ServiceStatus::Active => {
            control.delete_service(&key, force).await.map_err(refused)?;
        }
    }
    shown(&control, &key, true).await
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let with_tags = input.includes("TAGS", &["TAGS"])?;
    let cluster = input.cluster(&control).await?.name;
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("services", MOST)? {
        let key = names::service(text, &cluster)?;
        match shown(&control, &key, with_tags).await {
            Ok(mut shown) => services.push(shown["service"].take()),
            Err(EcsError::Refused {
                code: "ServiceNotFoundException",
                ..
            }) => {
                failures.push(show::missing(&service_arn(&key)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

async fn shown(control: &Control, key: &ServiceKey, with_tags: bool) -> Result<Value, EcsError> {
    let (view, events) = match control.service_with_events(key).await {
        Err(ControlError::NotFound { .. }) => return Err(EcsError::no_service()),
        found => found?,
    };
    let service = &view.service;
    let revision = if let Some(primary) = service.primary() {
        Some(primary.task_definition.clone())
    } else {
        // It is deleted; what it last was to run is still told.
        let last = control
            .service_deployments(service, PageRequest::first(1))
            .await?;
        last.items
            .into_iter()
            .next()
            .map(|last| last.deployment.task_definition)
    };
    let shown = show::service(&view, revision.as_ref(), &events, with_tags);
    Ok(json!({ "service": shown }))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let kinds = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];
    let launch_type = input.word("launchType", &kinds)?;
    let strategy = input.word("schedulingStrategy", &["REPLICA", "DAEMON"])?;
    let managed_by = input.word("resourceManagementType", &["CUSTOMER", "ECS"])?;
    let page = input.page(PAGE)?;
    let cluster = input.cluster(&control).await?.name;
    if launch_type.is_some_and(|kind| kind != LAUNCH_TYPE) || managed_by == Some("ECS") {
        return Ok(json!({ "serviceArns": [] }));
    }
    let page = control.services(Some(cluster), page).await?;
    let arns: Vec<String> = page
        .items
        .iter()
        .map(|view| &view.service)
        .filter(|service| strategy.is_none_or(|wanted| wanted == show::strategy(service)))
        .map(|service| service_arn(&service.key))
        .collect();
    Ok(json!({ "serviceArns": arns, "nextToken": page.next }))
}
