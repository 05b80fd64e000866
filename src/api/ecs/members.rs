//! What ECS knows of each operation's input and what it requires of it, and that it ignores the rest.
//!
//! AWS's services leave out what they do not know, at every depth, so that a newer client can talk to an older service;
//! it is the clients that complain of what their own model lacks (`Unknown parameter in input` of botocore,
//! `UnexpectedParameter` of the SDK for JavaScript). So what is neither ECS's nor Neargate's own is dropped here, and
//! the server's log says so. What ECS does know and Neargate does not honour is never dropped: it is refused where it is
//! read. REST and the command line refuse what they do not know.
//!
//! What is required within a structure and is not there is refused here, by its path, for all operations alike; what an
//! operation itself requires, its row in the table says ([`super::input`]).
//!
//! `members.txt` has a line for every operation and every structure within: its members, those that are required with a
//! `!`, with the structure that is in them. `tests/ecs/members.py` writes it from the model that botocore carries.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

/// A member of a structure.
#[derive(Clone, Copy)]
struct Member {
    /// The structure that it leads to, if it is one, or a list of them.
    inner: Option<&'static str>,
    is_required: bool,
}

type Members = BTreeMap<&'static str, Member>;

/// What the names of ECS's operations begin with.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

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
        members.extend(words.map(|word| {
            let (name, inner) = match word.split_once(':') {
                Some((name, structure)) => (name, Some(structure)),
                None => (word, None),
            };
            let is_required = name.ends_with('!');
            (name.trim_end_matches('!'), Member { inner, is_required })
        }));
    }
    for (structure, member) in OWN {
        structures.entry(structure).or_default().insert(
            member,
            Member {
                inner: None,
                is_required: false,
            },
        );
    }
    structures
}

/// Takes from `input` what the operation of ECS's that `target` names does not have, however deep; the paths of it.
pub(super) fn drop_unknown(target: &str, input: &mut Value) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(operation) = target.strip_prefix(TARGET) {
        sift(operation, input, "", &mut dropped);
    }
    dropped
}

/// The path of what a structure within `input` must have and does not, if there is such a thing.
pub(super) fn missing(target: &str, input: &Value) -> Option<String> {
    let members = STRUCTURES.get(target.strip_prefix(TARGET)?)?;
    let fields = input.as_object()?.iter();
    fields
        .filter_map(|(name, value)| Some((name, members.get(name.as_str())?.inner?, value)))
        .find_map(|(name, inner, value)| missing_in(inner, value, name))
}

fn missing_in(structure: &str, value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| missing_in(structure, item, &format!("{path}[{index}]")))
        }
        Value::Object(fields) => STRUCTURES
            .get(structure)?
            .iter()
            .find_map(|(name, member)| {
                let path = format!("{path}.{name}");
                match (fields.get(*name), member.inner) {
                    (None | Some(Value::Null), _) => member.is_required.then_some(path),
                    (Some(value), Some(inner)) => missing_in(inner, value, &path),
                    (Some(_), None) => None,
                }
            }),
        // Of the wrong type; who reads it says so.
        _ => None,
    }
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
                let Some(member) = members.get(name.as_str()) else {
                    dropped.push(path);
                    return false;
                };
                if let Some(inner) = member.inner {
                    sift(inner, value, &path, dropped);
                }
                true
            });
        }
        // Of the wrong type; who reads it says so.
        _ => {}
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::input::Need;
    use super::super::table::Answer;
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
            for inner in members.values().filter_map(|member| member.inner) {
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
                let known = STRUCTURES[operation.name].get(field.name);
                let known =
                    known.unwrap_or_else(|| panic!("{} has no {}", operation.name, field.name));
                // Without tasks, nobody would know which ones are meant.
                let is_ours = (operation.name, field.name) == ("GetTaskProtection", "tasks");
                assert_eq!(
                    field.need != Need::None,
                    known.is_required || is_ours,
                    "{} {}",
                    operation.name,
                    field.name
                );
            }
            if matches!(operation.answer, Answer::Does(_)) {
                for name in STRUCTURES[operation.name].keys() {
                    let is_there = operation.fields.iter().any(|field| field.name == *name);
                    let is_own = OWN.contains(&(operation.name, name));
                    assert!(
                        is_there || is_own,
                        "{} does not know {name}",
                        operation.name
                    );
                }
            }
        }
    }

    /// `value`, a `structure`, without each of the members that it requires, however deep; with the name of it.
    pub(in crate::api::ecs) fn without_each(
        structure: &str,
        value: &Value,
    ) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    for (name, changed) in without_each(structure, item) {
                        let mut items = items.clone();
                        items[index] = changed;
                        found.push((name, Value::from(items)));
                    }
                }
            }
            Value::Object(fields) => {
                let Some(members) = STRUCTURES.get(structure) else {
                    return found;
                };
                for (name, value) in fields {
                    let member = members[name.as_str()];
                    if member.is_required {
                        let mut fields = fields.clone();
                        fields.remove(name);
                        found.push((name.clone(), Value::from(fields)));
                    }
                    for (inside, changed) in member
                        .inner
                        .map(|inner| without_each(inner, value))
                        .unwrap_or_default()
                    {
                        let mut fields = fields.clone();
                        fields.insert(name.clone(), changed);
                        found.push((inside, Value::from(fields)));
                    }
                }
            }
            _ => {}
        }
        found
    }
}
