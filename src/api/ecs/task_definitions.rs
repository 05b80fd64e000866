//! Task definitions.

use serde_json::{Value, json};

use super::error::EcsError;
use super::input::Input;
use super::{names, show, tags};
use crate::control::{Control, ControlError};
use crate::domain::{
    FamilyRevision, RegisteredTaskDefinition, TaskDefinitionReference, TaskDefinitionStatus,
    task_definition_arn,
};
use crate::shapes::{Document, ParsedTaskDefinition};
use crate::store::{Page, TaskDefinitionFilter};

/// Revisions that one call can delete, as in ECS.
const MOST_DELETED: usize = 10;

pub(super) async fn register(control: Control, input: Input) -> Result<Value, EcsError> {
    input.tags()?;
    let sent = Value::Object(input.into_map());
    let ParsedTaskDefinition {
        definition,
        document,
        warnings,
    } = ParsedTaskDefinition::parse(&Document::from_value(&sent))
        .map_err(|faults| EcsError::faults("ClientException", &faults))?;
    let registered = control
        .register_task_definition(&definition, &document, &warnings)
        .await
        .map_err(|error| match error {
            ControlError::Invalid(faults) => EcsError::faults("ClientException", &faults),
            other => other.into(),
        })?;
    Ok(json!({
        "taskDefinition": show::definition(&registered),
        "tags": show::definition_tags(&registered),
    }))
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let with_tags = input.includes("TAGS", &["TAGS"])?;
    let wanted = names::task_definition(input.required("taskDefinition"))?;
    let found = match control.task_definition(&wanted).await {
        Err(ControlError::NotFound { .. }) => {
            return Err(EcsError::client("Unable to describe task definition."));
        }
        found => found?,
    };
    let tags = if with_tags {
        Some(show::tags(&tags::of_definition(&control, &found).await?))
    } else {
        None
    };
    Ok(json!({ "taskDefinition": show::definition(&found), "tags": tags }))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let status = input
        .word("status", &["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"])?
        .unwrap_or("ACTIVE");
    let newest = input.word("sort", &["ASC", "DESC"])? == Some("DESC");
    let page = input.page(100)?;
    let family = input.text("familyPrefix");
    let filter = TaskDefinitionFilter {
        // ECS calls it a prefix, and means the whole name.
        family: family.map(str::parse).transpose()?,
        family_prefix: None,
        status: match status {
            "ACTIVE" => Some(TaskDefinitionStatus::Active),
            "INACTIVE" => Some(TaskDefinitionStatus::Inactive),
            // A revision that is deleted is gone at once.
            _ => return Ok(json!({ "taskDefinitionArns": [] })),
        },
    };
    let Page { items, next } = if newest {
        control.newest_task_definitions(filter, page).await?
    } else {
        control.task_definitions(filter, page).await?
    };
    let arns: Vec<String> = items.iter().map(arn).collect();
    Ok(json!({ "taskDefinitionArns": arns, "nextToken": next }))
}

pub(super) async fn families(control: Control, input: Input) -> Result<Value, EcsError> {
    let status = input
        .word("status", &["ACTIVE", "INACTIVE", "ALL"])?
        .unwrap_or("ALL");
    let filter = TaskDefinitionFilter {
        family: None,
        family_prefix: input.text("familyPrefix").map(str::to_owned),
        status: (status == "ACTIVE").then_some(TaskDefinitionStatus::Active),
    };
    let page = input.page(100)?;
    let token = page.token.clone();
    let Page { mut items, next } = control.families(filter.clone(), page).await?;
    if status == "INACTIVE" {
        // Families that have no ACTIVE revision.
        let filter = TaskDefinitionFilter {
            status: Some(TaskDefinitionStatus::Active),
            ..filter
        };
        let most = crate::store::PageRequest {
            limit: crate::store::PageRequest::MAX_LIMIT,
            token,
        };
        let active = control.families(filter, most).await?.items;
        items.retain(|family| !active.contains(family));
    }
    let names: Vec<&str> = items.iter().map(crate::domain::Family::as_str).collect();
    Ok(json!({ "families": names, "nextToken": next }))
}

pub(super) async fn deregister(control: Control, input: Input) -> Result<Value, EcsError> {
    let wanted = exact(input.required("taskDefinition"))?;
    match control.deregister_task_definition(&wanted).await {
        Err(ControlError::NotFound { .. }) => Err(EcsError::client(
            "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
        )),
        done => Ok(json!({ "taskDefinition": show::definition(&done?) })),
    }
}

fn exact(text: &str) -> Result<TaskDefinitionReference, EcsError> {
    let wanted = names::task_definition(text)?;
    if wanted.revision.is_none() {
        return Err(EcsError::client("Invalid revision number. Number: null"));
    }
    Ok(wanted)
}

pub(super) async fn delete(control: Control, input: Input) -> Result<Value, EcsError> {
    let (mut gone, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("taskDefinitions", MOST_DELETED)? {
        let wanted = exact(text)?;
        let found = control.task_definition(&wanted).await;
        let done = control.delete_task_definition(&wanted).await;
        let why = match (found, done) {
            (Ok(found), Ok(())) => {
                let mut shown = show::definition(&found);
                shown["status"] = json!("DELETE_IN_PROGRESS");
                shown["deleteRequestedAt"] = show::time(control.now());
                gone.push(shown);
                continue;
            }
            (Err(ControlError::NotFound { .. }), _) | (_, Err(ControlError::NotFound { .. })) => {
                "The specified task definition does not exist."
            }
            (Ok(_), Err(ControlError::Conflict { .. })) => {
                "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
            }
            (Err(error), _) | (_, Err(error)) => return Err(error.into()),
        };
        let revision = FamilyRevision {
            revision: wanted.revision.unwrap_or_default(),
            family: wanted.family,
        };
        failures.push(json!({ "arn": task_definition_arn(&revision), "reason": why }));
    }
    Ok(show::found("taskDefinitions", gone, failures))
}

fn arn(registered: &RegisteredTaskDefinition) -> String {
    task_definition_arn(&FamilyRevision {
        family: registered.definition.family.clone(),
        revision: registered.revision,
    })
}
