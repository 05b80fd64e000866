//! A task definition, as ECS gives it back: what was sent, with the defaults that ECS adds and no others, so that
//! whoever compares the two finds no difference.

use super::{
    FamilyRevision, Map, NetworkMode, RegisteredTaskDefinition, TaskDefinitionStatus, TaskSize,
    Value, json, maybe_time, root_arn, task_definition_arn, time,
};

/// What is given back as it was sent.
const AS_SENT: [&str; 13] = [
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "inferenceAccelerators",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
];

/// A revision of a task definition.
pub(in crate::api::ecs) fn definition(registered: &RegisteredTaskDefinition) -> Value {
    let parsed = &registered.definition;
    let sent = &registered.document;
    let mut shown = Map::new();
    for name in AS_SENT.iter().chain(&["trustedExecutionConfiguration"]) {
        if let Some(value) = sent.get(*name) {
            shown.insert((*name).to_owned(), value.clone());
        }
    }
    if let Some(size) = parsed.size {
        // However it was written, `1 vCPU` say.
        shown.insert("cpu".to_owned(), json!(TaskSize::cpu(size).to_string()));
        shown.insert("memory".to_owned(), json!(size.memory().to_string()));
    }
    let revision = FamilyRevision {
        family: parsed.family.clone(),
        revision: registered.revision,
    };
    let containers = sent["containerDefinitions"].as_array();
    let containers: Vec<Value> = containers
        .into_iter()
        .flatten()
        .map(|container| self::container(container, parsed.network_mode))
        .collect();
    let volumes = sent["volumes"].as_array();
    let volumes: Vec<Value> = volumes.into_iter().flatten().map(volume).collect();
    let list = |name: &str| sent.get(name).filter(|value| value.is_array()).cloned();
    let own_address = parsed.network_mode == NetworkMode::Awsvpc;
    let fields = json!({
        "taskDefinitionArn": task_definition_arn(&revision),
        "family": parsed.family,
        "revision": registered.revision,
        "status": match registered.status {
            TaskDefinitionStatus::Active => "ACTIVE",
            TaskDefinitionStatus::Inactive => "INACTIVE",
        },
        "containerDefinitions": containers,
        "volumes": volumes,
        "placementConstraints": list("placementConstraints").unwrap_or_else(|| json!([])),
        "compatibilities": match (own_address, parsed.size.is_some()) {
            (true, true) => json!(["EC2", "FARGATE"]),
            (true, false) => json!(["EC2"]),
            (false, _) => json!(["EXTERNAL", "EC2"]),
        },
        "requiresAttributes": if own_address {
            json!([
                { "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" },
                { "name": "ecs.capability.task-eni" },
            ])
        } else {
            json!([{ "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" }])
        },
        "registeredAt": time(registered.registered_at),
        "deregisteredAt": maybe_time(registered.deregistered_at),
        "registeredBy": root_arn(),
    });
    if let Value::Object(fields) = fields {
        shown.extend(fields);
    }
    Value::Object(shown)
}

/// One container: ECS adds empty lists, what is essential, and how ports are mapped.
fn container(sent: &Value, mode: NetworkMode) -> Value {
    let mut shown = sent.as_object().cloned().unwrap_or_default();
    shown.retain(|_, value| !value.is_null());
    // Neargate's own, which ECS does not have.
    shown.remove("secretFiles");
    let defaults = [
        ("cpu", json!(0)),
        ("essential", json!(true)),
        ("portMappings", json!([])),
        ("environment", json!([])),
        ("mountPoints", json!([])),
        ("volumesFrom", json!([])),
        ("systemControls", json!([])),
    ];
    for (name, value) in defaults {
        shown.entry(name).or_insert(value);
    }
    if let Some(Value::Array(mappings)) = shown.get_mut("portMappings") {
        for mapping in mappings {
            let port = mapping["containerPort"].clone();
            let Some(mapping) = mapping.as_object_mut() else {
                continue;
            };
            mapping.entry("protocol").or_insert(json!("tcp"));
            mapping.entry("hostPort").or_insert(match mode {
                NetworkMode::Awsvpc | NetworkMode::Host => port,
                NetworkMode::Bridge | NetworkMode::None => json!(0),
            });
        }
    }
    if let Some(Value::Object(check)) = shown.get_mut("healthCheck") {
        for (name, value) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            check.entry(name).or_insert(json!(value));
        }
    }
    Value::Object(shown)
}

/// One volume: with nothing but a name it is a folder of the host's that nobody named.
fn volume(sent: &Value) -> Value {
    let mut shown = sent.as_object().cloned().unwrap_or_default();
    shown.retain(|_, value| !value.is_null());
    let is_plain = shown.keys().all(|name| name == "name");
    if is_plain {
        shown.insert("host".to_owned(), json!({}));
    }
    Value::Object(shown)
}
