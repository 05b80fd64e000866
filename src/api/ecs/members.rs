//! What ECS knows of each operation's input, and that it ignores the rest.
//!
//! AWS's services leave out what they do not know, at every depth, so that a newer client can talk to an older service;
//! it is the clients that complain of what their own model lacks (`Unknown parameter in input` of botocore,
//! `UnexpectedParameter` of the SDK for JavaScript). So what is neither ECS's nor Neargate's own is dropped here, and
//! the server's log says so. What ECS does know and Neargate does not honour is never dropped: it is refused where it is
//! read. REST and the command line refuse what they do not know.
//!
//! `members.txt` has a line for every operation and every structure within: its members, with the structure that is in
//! them. `tests/ecs/members.py` writes it from the model that botocore carries.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

/// Where a structure's members lead: to another structure, or to no further names.
type Members = BTreeMap<&'static str, Option<&'static str>>;

static STRUCTURES: LazyLock<BTreeMap<&'static str, Members>> = LazyLock::new(read);

/// Neargate's own members, by structure.
const OWN: [(&str, &str); 3] = [
    ("RegisterTaskDefinition", "runtime"),
    ("ContainerDefinition", "secretFiles"),
    ("TaskOverride", "runtime"),
];

fn read() -> BTreeMap<&'static str, Members> {
    let mut structures: BTreeMap<&'static str, Members> = BTreeMap::new();
    for line in include_str!("members.txt").lines() {
        let mut words = line.split(' ');
        let members = structures.entry(words.next().unwrap_or_default());
        let members = members.or_default();
        members.extend(words.map(|word| match word.split_once(':') {
            Some((name, structure)) => (name, Some(structure)),
            None => (word, None),
        }));
    }
    for (structure, member) in OWN {
        structures
            .entry(structure)
            .or_default()
            .insert(member, None);
    }
    structures
}

/// Takes from `input` what the operation of ECS's that `target` names does not have, however deep; the paths of it.
pub(super) fn drop_unknown(target: &str, input: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(operation) = target.strip_prefix("AmazonEC2ContainerServiceV20141113.") {
        sift(operation, input, "", &mut dropped);
    }
    dropped
}

fn sift(structure: &str, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for item in items {
                sift(structure, item, path, dropped);
            }
        }
        Value::Object(fields) => {
            let Some(members) = STRUCTURES.get(structure) else {
                return;
            };
            fields.retain(|name, value| {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match members.get(name.as_str()) {
                    None => dropped.push(path),
                    Some(Some(inner)) => {
                        sift(inner, value, &path, dropped);
                        return true;
                    }
                    Some(None) => return true,
                }
                false
            });
        }
        // Of the wrong type; who reads it says so.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_knows_is_dropped_at_every_depth_and_the_rest_stays() {
        let mut input = json!({
            "taskDefinition": "web", "desiredCounts": 3, "count": 1,
            "overrides": { "runtime": "runsc", "containerOverrides": [
                { "name": "web", "comand": ["a"], "environmentFiles": [{ "type": "s3", "vlaue": "x" }] },
                "no structure",
            ] },
            "tags": [{ "key": "a", "value": "b", "colour": "red" }],
        });
        let dropped = drop_unknown("AmazonEC2ContainerServiceV20141113.RunTask", &mut input);
        assert_eq!(
            dropped,
            [
                "desiredCounts",
                "overrides.containerOverrides.comand",
                "overrides.containerOverrides.environmentFiles.vlaue",
                "tags.colour",
            ]
        );
        assert_eq!(
            input,
            json!({
                "taskDefinition": "web", "count": 1,
                "overrides": { "runtime": "runsc", "containerOverrides": [
                    { "name": "web", "environmentFiles": [{ "type": "s3" }] },
                    "no structure",
                ] },
                "tags": [{ "key": "a", "value": "b" }],
            })
        );
    }

    #[test]
    fn the_keys_of_maps_are_nobodys_names() {
        let mut input = json!({
            "containerDefinitions": [{
                "name": "a", "dockerLabels": { "any.name": "x" }, "secretFiles": [{ "containerPath": "/a" }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "g" } },
            }],
        });
        let before = input.clone();
        let target = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition";
        assert!(drop_unknown(target, &mut input).is_empty());
        assert_eq!(input, before);
        // Another service's operation of one name has other parameters.
        let mut tags = json!({ "resourceArn": "x", "tags": { "a": "b" } });
        assert!(drop_unknown("Logs_20140328.TagResource", &mut tags).is_empty());
        assert_eq!(tags["tags"], json!({ "a": "b" }));
    }

    #[test]
    fn every_structure_that_is_named_is_there() {
        for (name, members) in STRUCTURES.iter() {
            for inner in members.values().flatten() {
                assert!(STRUCTURES.contains_key(inner), "{name}: {inner}");
            }
        }
        for operation in &super::super::table::OPERATIONS {
            assert!(
                STRUCTURES.contains_key(operation.name),
                "{}",
                operation.name
            );
            for field in operation.fields {
                let known = STRUCTURES[operation.name].contains_key(field.name);
                assert!(known, "{} has no {}", operation.name, field.name);
            }
        }
    }
}
