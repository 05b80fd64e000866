//! The engine's host, as the container instance that each cluster has.
//!
//! It is there as long as its cluster is; nobody registers it and nobody takes it away. All tasks of the cluster run on it.
//! What all clusters together reserve is reserved of it, since it is one host.

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{forms, names, show};
use crate::control::kept::{CONTAINER_INSTANCE, change_instance};
use crate::control::{Control, ControlError};
use crate::domain::{Capacity, Cluster, availability_zone};
use crate::engine::EngineState;
use crate::store::Page;

/// Container instances that one call can ask for, and of which it can change the state, as in ECS.
const MOST: usize = 100;
const MOST_CHANGED: usize = 10;
/// Attributes of one's own that a container instance can have, as in ECS.
const MOST_ATTRIBUTES: usize = 10;

/// The container instance of a cluster.
fn arn(control: &Control, cluster: &Cluster) -> String {
    show::container_instance_arn(&cluster.name, control.instance_id())
}

/// Whether a text names the container instance of a cluster.
pub(super) fn is_it(control: &Control, cluster: &Cluster, text: &str) -> Result<bool, EcsError> {
    let id = names::container_instance(text, &cluster.name)?;
    Ok(id == show::container_instance_id(control.instance_id()))
}

fn kept(cluster: &Cluster) -> Map<String, Value> {
    let kept = cluster
        .kept
        .get(CONTAINER_INSTANCE)
        .and_then(Value::as_object);
    kept.cloned().unwrap_or_default()
}

fn status(cluster: &Cluster) -> &'static str {
    match kept(cluster).get("status").and_then(Value::as_str) {
        Some("DRAINING") => "DRAINING",
        _ => "ACTIVE",
    }
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let statuses = [
        "ACTIVE",
        "DRAINING",
        "REGISTERING",
        "DEREGISTERING",
        "REGISTRATION_FAILED",
    ];
    let wanted = input.word("status", &statuses)?;
    let page = input.page(100)?;
    if input
        .text("filter")
        .is_some_and(|filter| !filter.is_empty())
    {
        return Err(EcsError::parameter(
            "filter is not supported: a cluster has one container instance.",
        ));
    }
    let cluster = input.cluster(&control).await?;
    let mut all = vec![arn(&control, &cluster)];
    all.retain(|_| wanted.is_none_or(|wanted| wanted == status(&cluster)));
    let page = Page::of_all(all, &page, Clone::clone).map_err(ControlError::from)?;
    Ok(json!({ "containerInstanceArns": page.items, "nextToken": page.next }))
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let known = ["TAGS", "CONTAINER_INSTANCE_HEALTH"];
    let with_tags = input.includes("TAGS", &known)?;
    let with_health = input.includes("CONTAINER_INSTANCE_HEALTH", &known)?;
    let cluster = input.cluster(&control).await?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("containerInstances", MOST)? {
        if is_it(&control, &cluster, text)? {
            found.push(shown(&control, &cluster, with_tags, with_health).await?);
        } else {
            failures.push(missing(&cluster, text));
        }
    }
    Ok(show::found("containerInstances", found, failures))
}

/// There is no such container instance.
pub(super) fn missing(cluster: &Cluster, text: &str) -> Value {
    if text.starts_with("arn:") {
        return show::missing(text);
    }
    let id: String = text.chars().take(64).collect();
    show::missing(&show::container_instance_arn_of(&cluster.name, &id))
}

async fn shown(
    control: &Control,
    cluster: &Cluster,
    with_tags: bool,
    with_health: bool,
) -> Result<Value, EcsError> {
    let (capacity, reserved) = control.host().await?;
    let host = capacity.unwrap_or_default();
    let free = Capacity {
        cpu_units: host.cpu_units.saturating_sub(reserved.cpu_units),
        memory_mib: host.memory_mib.saturating_sub(reserved.memory_mib),
    };
    let (engine, since) = control.engine_status();
    let info = match &engine {
        EngineState::Ok(info) => Some(info),
        EngineState::Away { .. } | EngineState::Unknown => None,
    };
    let kept = kept(cluster);
    let state = if info.is_some() { "OK" } else { "IMPAIRED" };
    let health = json!({
        "overallStatus": state,
        "details": [{
            "type": "CONTAINER_RUNTIME", "status": state,
            "lastUpdated": show::time(since), "lastStatusChange": show::time(since),
        }],
    });
    let tags = show::tag_map(kept.get("tags").filter(|_| with_tags));
    let instance = arn(control, cluster);
    Ok(json!({
        "containerInstanceArn": instance,
        "version": 1,
        "versionInfo": {
            "agentVersion": env!("CARGO_PKG_VERSION"),
            "dockerVersion": info.map(|info| format!("DockerVersion: {}", info.version)),
        },
        "registeredResources": resources(host),
        "remainingResources": resources(free),
        "status": status(cluster),
        "agentConnected": info.is_some(),
        "runningTasksCount": cluster.running_tasks,
        "pendingTasksCount": cluster.pending_tasks,
        "attributes": attributes(control, cluster, None),
        "registeredAt": show::time(cluster.created_at),
        "attachments": [],
        "tags": show::tags(&tags),
        "healthStatus": with_health.then_some(health),
    }))
}

/// As ECS lists what a host has.
fn resources(of: Capacity) -> Value {
    let number = |name: &str, value: u64| {
        json!({
            "name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0,
            "integerValue": i32::try_from(value).unwrap_or(i32::MAX),
        })
    };
    let ports = |name: &str| {
        json!({
            "name": name, "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
            "stringSetValue": [],
        })
    };
    json!([
        number("CPU", of.cpu_units),
        number("MEMORY", of.memory_mib),
        ports("PORTS"),
        ports("PORTS_UDP"),
    ])
}

/// The attributes of a cluster's container instance, by name: those of ECS, and one's own.
fn attributes(control: &Control, cluster: &Cluster, target: Option<&str>) -> Vec<Value> {
    let (engine, _) = control.engine_status();
    let platform = match &engine {
        EngineState::Ok(info) => info.platform.clone(),
        EngineState::Away { .. } | EngineState::Unknown => String::new(),
    };
    let architecture = match platform.split('/').nth(1) {
        Some("arm64") => Some("arm64"),
        Some(_) => Some("x86_64"),
        None => None,
    };
    let mut all: Map<String, Value> = match kept(cluster).get("attributes") {
        Some(Value::Object(own)) => own.clone(),
        _ => Map::new(),
    };
    all.insert("ecs.os-type".to_owned(), json!("linux"));
    all.insert(
        "ecs.availability-zone".to_owned(),
        json!(availability_zone()),
    );
    if let Some(architecture) = architecture {
        all.insert("ecs.cpu-architecture".to_owned(), json!(architecture));
    }
    let shown = |(name, value): (String, Value)| json!({ "name": name, "value": value, "targetId": target });
    let mut all: Vec<(String, Value)> = all.into_iter().collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all.into_iter().map(shown).collect()
}

pub(super) async fn set_state(control: Control, input: Input) -> Result<Value, EcsError> {
    let wanted = input.word("status", &["ACTIVE", "DRAINING"])?;
    let is_draining = wanted == Some("DRAINING");
    let cluster = input.cluster(&control).await?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("containerInstances", MOST_CHANGED)? {
        if is_it(&control, &cluster, text)? {
            let cluster = control
                .drain_container_instance(&cluster.name, is_draining)
                .await?;
            found.push(shown(&control, &cluster, true, false).await?);
        } else {
            failures.push(missing(&cluster, text));
        }
    }
    Ok(show::found("containerInstances", found, failures))
}

/// The attributes that a call names, each with its value, if they are of this container instance.
fn sent(
    control: &Control,
    cluster: &Cluster,
    input: &Input,
) -> Result<Vec<(String, Value)>, EcsError> {
    let sent = input.value("attributes").cloned().unwrap_or_default();
    forms::ATTRIBUTES.check(&sent, "attributes")?;
    let sent = sent.as_array().cloned().unwrap_or_default();
    if sent.len() > MOST_ATTRIBUTES {
        return Err(EcsError::parameter(format!(
            "Attributes can have at most {MOST_ATTRIBUTES} items."
        )));
    }
    let mut all = Vec::new();
    for one in sent {
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let (name, value, target) = (text("name"), text("value"), text("targetId"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./\\ :".contains(&b);
        let fits = |text: &str| text.len() <= 128 && text.bytes().all(plain);
        if name.is_empty() || !fits(&name) || !fits(&value) {
            return Err(EcsError::parameter(
                "The name of an attribute must have 1 to 128 letters, digits and the characters - _ . / \\, and its value 128 at most.",
            ));
        }
        if name.starts_with("ecs.") {
            return Err(EcsError::parameter(
                "Attributes that begin with ecs. are those of ECS itself.",
            ));
        }
        if !matches!(text("targetType").as_str(), "" | "container-instance") {
            return Err(EcsError::parameter(
                "targetType must be container-instance.",
            ));
        }
        if target.is_empty() || !is_it(control, cluster, &target)? {
            return Err(EcsError::new(
                "TargetNotFoundException",
                "The specified target wasn't found. ListContainerInstances has it.",
            ));
        }
        all.push((name, one["value"].clone()));
    }
    Ok(all)
}

fn listed(arn: &str, attributes: Vec<(String, Value)>) -> Value {
    let shown = |(name, value)| json!({ "name": name, "value": value, "targetId": arn });
    attributes.into_iter().map(shown).collect()
}

pub(super) async fn put_attributes(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?;
    let attributes = sent(&control, &cluster, &input)?;
    let put = attributes.clone();
    let changed = control.change_cluster(&cluster.name, move |kept| {
        change_instance(kept, |instance| {
            let mut own = match instance.remove("attributes") {
                Some(Value::Object(own)) => own,
                _ => Map::new(),
            };
            let before = own.clone();
            own.extend(put);
            let is_too_much = own.len() > MOST_ATTRIBUTES;
            let own = if is_too_much { before } else { own };
            instance.insert("attributes".to_owned(), Value::Object(own));
            if is_too_much {
                return Err(EcsError::new(
                    "AttributeLimitExceededException",
                    format!("A container instance can have at most {MOST_ATTRIBUTES} attributes of your own."),
                ));
            }
            Ok(())
        })
    });
    changed.await??;
    Ok(json!({ "attributes": listed(&arn(&control, &cluster), attributes) }))
}

pub(super) async fn delete_attributes(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?;
    let attributes = sent(&control, &cluster, &input)?;
    let gone: Vec<String> = attributes.iter().map(|(name, _)| name.clone()).collect();
    let changed = control.change_cluster::<EcsError>(&cluster.name, move |kept| {
        change_instance(kept, |instance| {
            if let Some(Value::Object(own)) = instance.get_mut("attributes") {
                own.retain(|name, _| !gone.contains(name));
            }
            Ok(())
        })
    });
    changed.await??;
    Ok(json!({ "attributes": listed(&arn(&control, &cluster), attributes) }))
}

pub(super) async fn list_attributes(control: Control, input: Input) -> Result<Value, EcsError> {
    input.word("targetType", &["container-instance"])?;
    let (name, value) = (input.text("attributeName"), input.text("attributeValue"));
    if value.is_some() && name.is_none() {
        return Err(EcsError::parameter(
            "attributeValue can only be there together with attributeName.",
        ));
    }
    let page = input.page(100)?;
    let cluster = input.cluster(&control).await?;
    let mut all = attributes(&control, &cluster, Some(&arn(&control, &cluster)));
    all.retain(|one| {
        name.is_none_or(|name| one["name"] == name)
            && value.is_none_or(|value| one["value"] == value)
    });
    let name = |one: &Value| one["name"].as_str().unwrap_or_default().to_owned();
    let page = Page::of_all(all, &page, name).map_err(ControlError::from)?;
    Ok(json!({ "attributes": page.items, "nextToken": page.next }))
}
