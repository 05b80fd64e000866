//! Services.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{forms, launch, names, show};
use crate::api::rest::request_hash;
use crate::control::{Control, ControlError, Obstacle};
use crate::domain::{
    Cluster, ClusterName, LaunchPlan, LaunchType, Service, ServiceKey, ServiceStatus, service_arn,
};
use crate::shapes::{Document, ParsedService};
use crate::store::{ClientToken, PageRequest, StoreError};

/// Services that one call can ask for, as in ECS.
const MOST: usize = 10;
/// Services on a page unless the call says otherwise, as in ECS.
const PAGE: u32 = 10;

pub(super) async fn create(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?;
    let definition = input.text("taskDefinition").map(names::task_definition);
    let definition = definition.transpose()?;
    input.tags()?;
    check(&input, &control, &cluster).await?;
    let strategy = launch::default_strategy(&input, &cluster);
    let cluster = cluster.name;
    let mut sent = input.into_map();
    sent.extend(strategy.map(|strategy| ("capacityProviderStrategy".to_owned(), strategy)));
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
    let cluster = input.cluster(&control).await?;
    let key = names::service(input.required("service"), &cluster.name)?;
    check(&input, &control, &cluster).await?;
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

/// Whether what is kept of a service can be read by others, and its strategy be followed.
async fn check(input: &Input, control: &Control, cluster: &Cluster) -> Result<(), EcsError> {
    for (name, form) in &forms::OF_SERVICES {
        if let Some(sent) = input.value(name) {
            form.check(sent, name)?;
        }
    }
    launch::strategy(input, control, cluster).await.map(|_| ())
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
        ControlError::Conflict {
            obstacle: Obstacle::NameInUse,
            ..
        } => EcsError::parameter("Creation of service was not idempotent."),
        ControlError::Conflict {
            obstacle: Obstacle::InactiveRevision,
            ..
        } => EcsError::client("TaskDefinition is inactive"),
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
    Ok(show::found("services", services, failures))
}

async fn shown(control: &Control, key: &ServiceKey, with_tags: bool) -> Result<Value, EcsError> {
    let (view, events) = match control.service_with_events(key).await {
        Err(ControlError::NotFound { .. }) => return Err(EcsError::no_service()),
        found => found?,
    };
    let service = &view.service;
    let serving = service.task_sets.first().filter(|set| set.is_primary());
    let serving = serving.map(|set| &set.deployment);
    let revision = if let Some(primary) = service.primary().or(serving) {
        Some(primary.task_definition.clone())
    } else if service.is_external() {
        None
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
    let now = control.now();
    let shown = show::service(&view, revision.as_ref(), &events, with_tags, now);
    Ok(json!({ "service": shown }))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let kinds = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];
    let launch_type = input
        .word("launchType", &kinds)?
        .and_then(LaunchType::parse);
    let strategy = input.word("schedulingStrategy", &["REPLICA", "DAEMON"])?;
    let managed_by = input.word("resourceManagementType", &["CUSTOMER", "ECS"])?;
    let page = input.page(PAGE)?;
    let cluster = input.cluster(&control).await?.name;
    if managed_by == Some("ECS") {
        return Ok(json!({ "serviceArns": [] }));
    }
    let page = control.services(Some(cluster), page).await?;
    let arns: Vec<String> = page
        .items
        .iter()
        .map(|view| &view.service)
        .filter(|service| strategy.is_none_or(|wanted| wanted == show::strategy(service)))
        .filter(|service| {
            let plan = LaunchPlan::of_kept(&service.configuration.settings.kept);
            launch_type.is_none_or(|wanted| plan == LaunchPlan::On(wanted))
        })
        .map(|service| service_arn(&service.key))
        .collect();
    Ok(json!({ "serviceArns": arns, "nextToken": page.next }))
}

/// The services that say that they belong to a namespace of Service Connect, of all clusters.
pub(super) async fn by_namespace(control: Control, input: Input) -> Result<Value, EcsError> {
    let page = input.page(PAGE)?;
    let wanted = input.required("namespace");
    let clusters = control
        .clusters(PageRequest::first(PageRequest::MAX_LIMIT))
        .await?
        .items;
    let of_cluster = |name: &ClusterName| {
        let cluster = clusters.iter().find(|cluster| cluster.name == *name)?;
        cluster.kept.get("serviceConnectDefaults")?["namespace"].as_str()
    };
    let is_in = |service: &Service| {
        let kept = &service.configuration.settings.kept;
        let Some(connect) = kept.get("serviceConnectConfiguration") else {
            return false;
        };
        let own = connect["namespace"].as_str();
        connect["enabled"] == true && own.or(of_cluster(&service.key.cluster)) == Some(wanted)
    };
    let page = control.services(None, page).await?;
    let services = page.items.iter().map(|view| &view.service);
    let found = services.filter(|service| is_in(service));
    let arns: Vec<String> = found.map(|service| service_arn(&service.key)).collect();
    Ok(json!({ "serviceArns": arns, "nextToken": page.next }))
}
