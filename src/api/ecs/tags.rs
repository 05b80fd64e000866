//! Tags of what has them: given with what they belong to, and changed later.
//!
//! What never changes, a task and a revision of a task definition, keeps the tags that it was made with: bills go by those.
//! Newer ones lie beside it, and are what is told here.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::names::{self, Tagged};
use super::show;
use crate::control::{Control, ControlError};
use crate::domain::{
    RegisteredTaskDefinition, ServiceStatus, TagChange, Tags, TaskDefinitionReference,
};
use crate::store::KeptKind;

fn not_found() -> EcsError {
    EcsError::parameter("The specified resource was not found. Specify a valid ARN and try again.")
}

/// `found`, where its absence is the caller's mistake.
fn existing<T>(found: Result<T, ControlError>) -> Result<T, EcsError> {
    match found {
        Err(ControlError::NotFound { .. }) => Err(not_found()),
        Err(ControlError::Invalid(faults)) => {
            let why = faults.iter().next().map(|fault| fault.message.clone());
            Err(EcsError::parameter(why.unwrap_or_default()))
        }
        found => Ok(found?),
    }
}

/// What has tags, and those that it was made with.
enum Found {
    /// Its name among what keeps newer tags beside.
    Fixed(KeptKind, String, Tags),
    Other(Tags),
}

async fn find(control: &Control, tagged: &Tagged) -> Result<Found, EcsError> {
    Ok(match tagged {
        Tagged::CapacityProvider(name) => {
            let found = control
                .kept_document(KeptKind::CapacityProvider, name)
                .await?;
            let found = found.ok_or_else(not_found)?;
            Found::Other(show::tag_map(found.get("tags")))
        }
        Tagged::Cluster(name) => {
            let cluster = existing(control.cluster(name).await)?;
            Found::Other(show::tag_map(cluster.kept.get("tags")))
        }
        Tagged::ContainerInstance(name, id) => {
            let cluster = existing(control.cluster(name).await)?;
            if *id != show::container_instance_id(control.instance_id()) {
                return Err(not_found());
            }
            let instance = cluster.kept.get(crate::control::kept::CONTAINER_INSTANCE);
            Found::Other(show::tag_map(instance.and_then(|kept| kept.get("tags"))))
        }
        Tagged::Service(key) => {
            let service = existing(control.service(key).await)?.service;
            if service.status == ServiceStatus::Inactive {
                return Err(not_found());
            }
            Found::Other(service.tags)
        }
        Tagged::Task(cluster, id) => {
            let task = existing(control.task(id).await)?;
            if task.cluster != *cluster {
                return Err(not_found());
            }
            Found::Fixed(KeptKind::TaskTags, id.to_string(), task.tags)
        }
        Tagged::TaskSet(key, id) => {
            let (_, set) = existing(control.task_set(key, id).await)?;
            Found::Other(set.tags)
        }
        Tagged::TaskDefinition(revision) => {
            let wanted = TaskDefinitionReference {
                family: revision.family.clone(),
                revision: Some(revision.revision),
            };
            let found = existing(control.task_definition(&wanted).await)?;
            let tags = show::tag_map(found.document.get("tags"));
            Found::Fixed(KeptKind::TaskDefinitionTags, revision.to_string(), tags)
        }
    })
}

/// The tags that something of fixed tags has now.
async fn current(
    control: &Control,
    kind: KeptKind,
    name: String,
    first: Tags,
) -> Result<Tags, EcsError> {
    let mut changed = control
        .changed_tags(kind, std::slice::from_ref(&name))
        .await?;
    Ok(changed.remove(&name).unwrap_or(first))
}

/// The tags that a revision of a task definition has now.
pub(super) async fn of_definition(
    control: &Control,
    registered: &RegisteredTaskDefinition,
) -> Result<Tags, EcsError> {
    let name = format!("{}:{}", registered.definition.family, registered.revision);
    let first = show::tag_map(registered.document.get("tags"));
    current(control, KeptKind::TaskDefinitionTags, name, first).await
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let tagged = names::tagged(input.required("resourceArn"))?;
    let tags = match find(&control, &tagged).await? {
        Found::Fixed(kind, name, first) => current(&control, kind, name, first).await?,
        Found::Other(tags) => tags,
    };
    Ok(json!({ "tags": show::tags(&tags) }))
}

pub(super) async fn tag(control: Control, input: Input) -> Result<Value, EcsError> {
    let added = TagChange::Add(input.tags()?);
    change(&control, input.required("resourceArn"), &added).await
}

pub(super) async fn untag(control: Control, input: Input) -> Result<Value, EcsError> {
    let keys = input.texts("tagKeys").into_iter().map(str::to_owned);
    let gone = TagChange::Remove(keys.collect());
    change(&control, input.required("resourceArn"), &gone).await
}

async fn change(control: &Control, arn: &str, change: &TagChange) -> Result<Value, EcsError> {
    let tagged = names::tagged(arn)?;
    let found = find(control, &tagged).await?;
    let done = match (&tagged, found) {
        (_, Found::Fixed(kind, name, first)) => {
            control.change_tags(kind, &name, first, change).await
        }
        (Tagged::CapacityProvider(name), _) => control.tag_capacity_provider(name, change).await,
        (Tagged::Cluster(name), _) => control.tag_cluster(name, false, change).await,
        (Tagged::ContainerInstance(name, _), _) => control.tag_cluster(name, true, change).await,
        (Tagged::Service(key), _) => control.tag_service(key, change).await.map(|_| ()),
        (Tagged::TaskSet(key, id), _) => control.tag_task_set(key, id, change).await,
        // They are of fixed tags.
        (Tagged::Task(..) | Tagged::TaskDefinition(_), Found::Other(_)) => Ok(()),
    };
    existing(done)?;
    Ok(json!({}))
}
