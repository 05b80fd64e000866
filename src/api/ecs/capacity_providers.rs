//! Capacity providers: names that tasks are spread among. `FARGATE` and `FARGATE_SPOT` are always there; others are made, and
//! what they were made with is given back. They all stand for the one host.

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{forms, launch, names, show};
use crate::control::{Control, ControlError};
use crate::domain::{self, Cluster, FARGATE_PROVIDERS, LaunchPlan, ServiceStatus};
use crate::store::{KeptDocument, KeptKind, Page, PageRequest};

const KIND: KeptKind = KeptKind::CapacityProvider;
const GROUP: &str = "autoScalingGroupProvider";

pub(super) fn arn(name: &str) -> String {
    domain::arn("ecs", format_args!("capacity-provider/{name}"))
}

/// Refuses names of which there is no capacity provider.
pub(super) async fn check_there(
    control: &Control,
    names: impl Iterator<Item = &str>,
) -> Result<(), EcsError> {
    for name in names {
        let is_there =
            FARGATE_PROVIDERS.contains(&name) || control.kept_document(KIND, name).await?.is_some();
        if !is_there {
            let shown: String = name.chars().take(64).collect();
            return Err(EcsError::parameter(format!(
                "The specified capacity provider '{shown}' was not found. Specify a valid name or ARN and try again."
            )));
        }
    }
    Ok(())
}

/// Whether a name is one that can be given.
fn check_name(name: &str) -> Result<(), EcsError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !(1..=255).contains(&name.len()) || !name.bytes().all(is_plain) {
        return Err(EcsError::parameter(
            "The capacity provider name must have 1 to 255 letters, digits, hyphens and underscores.",
        ));
    }
    let lower = name.to_ascii_lowercase();
    if ["aws", "ecs", "fargate"]
        .iter()
        .any(|start| lower.starts_with(start))
    {
        return Err(EcsError::parameter(
            "The specified capacity provider name is invalid. It cannot begin with aws, ecs or fargate.",
        ));
    }
    Ok(())
}

fn only_groups(input: &Input) -> Result<(), EcsError> {
    if input.value("managedInstancesProvider").is_some() {
        return Err(EcsError::new(
            "UnsupportedFeatureException",
            "managedInstancesProvider is not supported by Neargate: there are no instances that it would manage; use autoScalingGroupProvider",
        ));
    }
    match input.value(GROUP) {
        Some(group) => forms::AUTO_SCALING_GROUP.check(group, GROUP),
        None => Err(EcsError::parameter(format!("{GROUP} can not be blank."))),
    }
}

pub(super) async fn create(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = input.required("name").to_owned();
    check_name(&name)?;
    only_groups(&input)?;
    let mut group = input.value(GROUP).cloned().unwrap_or_default();
    if group["autoScalingGroupArn"]
        .as_str()
        .unwrap_or_default()
        .is_empty()
    {
        return Err(EcsError::parameter("autoScalingGroupArn can not be blank."));
    }
    with_defaults(&mut group);
    let document = Map::from_iter([
        (GROUP.to_owned(), group),
        ("tags".to_owned(), show::tags(&input.tags()?)),
        ("updateStatus".to_owned(), json!("CREATE_COMPLETE")),
    ]);
    let made = document.clone();
    let put = control.change_kept_document(KIND, &name, move |before| match before {
        None => Ok(Some(made)),
        Some(_) => Err(EcsError::client(
            "The specified capacity provider already exists. To change the configuration of an existing capacity provider, update the capacity provider.",
        )),
    });
    put.await
        .map_err(EcsError::no_room("LimitExceededException"))??;
    Ok(json!({ "capacityProvider": shown(&name, &document, true) }))
}

/// What ECS adds to a group that says nothing of it.
fn with_defaults(group: &mut Value) {
    let Some(group) = group.as_object_mut() else {
        return;
    };
    group.retain(|_, value| !value.is_null());
    let defaults = [
        ("managedTerminationProtection", json!("DISABLED")),
        ("managedDraining", json!("ENABLED")),
        ("managedScaling", json!({})),
    ];
    for (name, value) in defaults {
        group.entry(name).or_insert(value);
    }
    let scaling = [
        ("status", json!("DISABLED")),
        ("targetCapacity", json!(100)),
        ("minimumScalingStepSize", json!(1)),
        ("maximumScalingStepSize", json!(10_000)),
        ("instanceWarmupPeriod", json!(300)),
    ];
    if let Some(Value::Object(sent)) = group.get_mut("managedScaling") {
        sent.retain(|_, value| !value.is_null());
        for (name, value) in scaling {
            sent.entry(name).or_insert(value);
        }
    }
}

fn shown(name: &str, document: &KeptDocument, with_tags: bool) -> Value {
    let no_tags = json!([]);
    json!({
        "capacityProviderArn": arn(name),
        "name": name,
        "status": "ACTIVE",
        "autoScalingGroupProvider": document.get(GROUP),
        "updateStatus": document.get("updateStatus"),
        "tags": document.get("tags").filter(|_| with_tags).unwrap_or(&no_tags),
        "type": "EC2_AUTOSCALING",
    })
}

fn fargate(name: &str) -> Value {
    json!({ "capacityProviderArn": arn(name), "name": name, "status": "ACTIVE", "tags": [], "type": name })
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let with_tags = input.includes("TAGS", &["TAGS"])?;
    input.number("maxResults", 1, 10)?;
    let page = input.page(10)?;
    let wanted = input.texts("capacityProviders");
    if wanted.len() > 100 {
        return Err(EcsError::parameter(
            "CapacityProviders can have at most 100 items.",
        ));
    }
    let associated = match input.text("cluster") {
        None => None,
        Some(_) => Some(associated(&input.cluster(&control).await?.kept)),
    };
    let documents = control.all_kept_documents(KIND).await?;
    let find = |name: &str| match documents.get(name) {
        Some(document) => Some(shown(name, document, with_tags)),
        None => FARGATE_PROVIDERS.contains(&name).then(|| fargate(name)),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    if wanted.is_empty() {
        let all = FARGATE_PROVIDERS.into_iter().map(str::to_owned);
        let mut all: Vec<String> = all.chain(documents.keys().cloned()).collect();
        all.sort();
        all.retain(|name| associated.as_ref().is_none_or(|of| of.contains(name)));
        let page = Page::of_all(all, &page, Clone::clone).map_err(ControlError::from)?;
        found.extend(page.items.iter().filter_map(|name| find(name)));
        return Ok(json!({ "capacityProviders": found, "failures": [], "nextToken": page.next }));
    }
    for text in wanted {
        let name = names::capacity_provider(text)?;
        match find(name) {
            Some(one) => found.push(one),
            None => failures.push(show::missing(&arn(name))),
        }
    }
    Ok(json!({ "capacityProviders": found, "failures": failures }))
}

pub(super) async fn update(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = own(input.required("name"))?.to_owned();
    only_groups(&input)?;
    let sent = input.value(GROUP).cloned().unwrap_or_default();
    if sent.get("autoScalingGroupArn").is_some() {
        return Err(EcsError::parameter(
            "Unknown parameter: \"autoScalingGroupProvider.autoScalingGroupArn\"",
        ));
    }
    let changed = control.change_kept_document(KIND, &name, move |before| {
        let mut document = before.ok_or_else(not_found)?;
        merge(document.entry(GROUP).or_insert_with(|| json!({})), &sent);
        document.insert("updateStatus".to_owned(), json!("UPDATE_COMPLETE"));
        Ok::<_, EcsError>(Some(document))
    });
    let document = changed.await??.unwrap_or_default();
    Ok(json!({ "capacityProvider": shown(&name, &document, true) }))
}

/// Puts what was sent over what there is, field by field.
fn merge(there: &mut Value, sent: &Value) {
    match (there, sent) {
        (_, Value::Null) => {}
        (Value::Object(there), Value::Object(sent)) => {
            for (name, value) in sent {
                merge(there.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (there, sent) => there.clone_from(sent),
    }
}

fn not_found() -> EcsError {
    EcsError::parameter(
        "The specified capacity provider does not exist. Specify a valid name or ARN and try again.",
    )
}

/// The name of one that was made.
fn own(text: &str) -> Result<&str, EcsError> {
    let name = names::capacity_provider(text)?;
    if FARGATE_PROVIDERS.contains(&name) {
        return Err(EcsError::parameter(
            "The FARGATE and FARGATE_SPOT capacity providers cannot be changed or deleted.",
        ));
    }
    Ok(name)
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let name = own(input.required("capacityProvider"))?.to_owned();
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let clusters = control.clusters(page.clone()).await?;
        if let Some(cluster) = clusters
            .items
            .iter()
            .find(|one| associated(&one.kept).contains(&name))
        {
            return Err(EcsError::client(format!(
                "The specified capacity provider is in use and cannot be removed: cluster {} has it. Use PutClusterCapacityProviders first.",
                cluster.name
            )));
        }
        page.token = clusters.next;
        if page.token.is_none() {
            break;
        }
    }
    let before = control.kept_document(KIND, &name).await?;
    let deleted = control.change_kept_document(KIND, &name, |before| match before {
        Some(_) => Ok(None),
        None => Err(not_found()),
    });
    deleted.await??;
    let mut last = shown(&name, &before.unwrap_or_default(), true);
    last["status"] = json!("INACTIVE");
    last["updateStatus"] = json!("DELETE_COMPLETE");
    Ok(json!({ "capacityProvider": last }))
}

/// The capacity providers of a cluster.
fn associated(kept: &Map<String, Value>) -> Vec<String> {
    let all = kept.get("capacityProviders").and_then(Value::as_array);
    let names = all.into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

/// Whether a cluster can have these capacity providers, and this strategy as its default.
pub(super) async fn check_of_cluster(control: &Control, input: &Input) -> Result<(), EcsError> {
    let providers = input.texts("capacityProviders");
    check_there(control, providers.iter().copied()).await?;
    let name = "defaultCapacityProviderStrategy";
    let Some(sent) = input.value(name) else {
        return Ok(());
    };
    let strategy = launch::parse(sent, name)?;
    if let Some(other) = strategy.providers().find(|one| !providers.contains(one)) {
        let shown: String = other.chars().take(64).collect();
        return Err(EcsError::parameter(format!(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster: {shown}. Associate it with the cluster and try again."
        )));
    }
    Ok(())
}

/// Whether a cluster can do without the capacity providers that a call leaves out.
pub(super) async fn check_unused(
    control: &Control,
    cluster: &Cluster,
    input: &Input,
) -> Result<(), EcsError> {
    let stay = input.texts("capacityProviders");
    let mut gone = associated(&cluster.kept);
    gone.retain(|name| !stay.contains(&name.as_str()));
    if gone.is_empty() {
        return Ok(());
    }
    let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
    loop {
        let services = control
            .services(Some(cluster.name.clone()), page.clone())
            .await?;
        for service in services.items.iter().map(|view| &view.service) {
            let LaunchPlan::Across(strategy) =
                LaunchPlan::of_kept(&service.configuration.settings.kept)
            else {
                continue;
            };
            let is_kept = service.status == ServiceStatus::Active;
            if is_kept
                && strategy
                    .providers()
                    .any(|name| gone.iter().any(|one| one == name))
            {
                return Err(EcsError::new(
                    "ResourceInUseException",
                    format!(
                        "The specified capacity provider is in use and cannot be removed: service {} has it.",
                        service.key.name
                    ),
                ));
            }
        }
        page.token = services.next;
        if page.token.is_none() {
            return Ok(());
        }
    }
}
