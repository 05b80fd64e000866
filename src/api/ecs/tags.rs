//! Tags of what has them: given with what they belong to; those of clusters can be changed later.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::{Input, check_tags};
use super::names::{self, Tagged};
use super::show;
use crate::control::{Control, ControlError};
use crate::domain::{ClusterName, ServiceStatus, TaskDefinitionReference};

fn not_found() -> EcsError {
    EcsError::parameter("The specified resource was not found. Specify a valid ARN and try again.")
}

/// `found`, where its absence is the caller's mistake.
fn existing<T>(found: Result<T, ControlError>) -> Result<T, EcsError> {
    match found {
        Err(ControlError::NotFound { .. }) => Err(not_found()),
        found => Ok(found?),
    }
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let tags = match names::tagged(input.required("resourceArn"))? {
        Tagged::Cluster(name) => show::cluster_tags(&existing(control.cluster(&name).await)?),
        Tagged::Task(cluster, id) => {
            let task = existing(control.task(&id).await)?;
            if task.cluster != cluster {
                return Err(not_found());
            }
            show::tags(&task.tags)
        }
        Tagged::Service(key) => {
            let service = existing(control.service(&key).await)?.service;
            if service.status == ServiceStatus::Inactive {
                return Err(not_found());
            }
            show::tags(&service.tags)
        }
        Tagged::TaskDefinition(revision) => {
            let wanted = TaskDefinitionReference {
                family: revision.family,
                revision: Some(revision.revision),
            };
            let found = existing(control.task_definition(&wanted).await)?;
            show::definition_tags(&found)
        }
    };
    Ok(json!({ "tags": tags }))
}

pub(super) async fn tag(control: Control, input: Input) -> Result<Value, EcsError> {
    let added = input.tags()?;
    let cluster = only_cluster(input.required("resourceArn"))?;
    change(&control, &cluster, |tags| tags.extend(added.clone())).await
}

pub(super) async fn untag(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = only_cluster(input.required("resourceArn"))?;
    let gone = input.texts("tagKeys");
    change(&control, &cluster, |tags| {
        tags.retain(|key, _| !gone.contains(&key.as_str()));
    })
    .await
}

fn only_cluster(arn: &str) -> Result<ClusterName, EcsError> {
    match names::tagged(arn)? {
        Tagged::Cluster(name) => Ok(name),
        _ => Err(EcsError::new(
            "UnsupportedFeatureException",
            "the tags of tasks, services and task definitions are given when those are made, and stay: \
             only those of clusters can be changed",
        )),
    }
}

async fn change(
    control: &Control,
    cluster: &ClusterName,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<Value, EcsError> {
    let found = existing(control.cluster(cluster).await)?;
    let mut tags = show::tag_map(found.kept.get("tags"));
    change(&mut tags);
    check_tags(&tags)?;
    let parts = Map::from_iter([("tags".to_owned(), show::tags(&tags))]);
    existing(control.keep_of_cluster(cluster, &parts).await)?;
    Ok(json!({}))
}
