//! Use cases of task definitions.

use std::fmt;
use std::str::FromStr;

use super::{Control, ControlError};
use crate::domain::{
    Family, FamilyRevision, InvalidName, RegisteredTaskDefinition, TaskDefinition,
    TaskDefinitionStatus,
};
use crate::store::{Page, PageRequest, TaskDefinitionFilter};

/// Names a task definition: `family` for its newest active revision, or `family:revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionRef {
    /// The family.
    pub family: Family,
    /// The revision, if one was named.
    pub revision: Option<u32>,
}

impl FromStr for DefinitionRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let Some((family, revision)) = text.split_once(':') else {
            return Ok(Self {
                family: text.parse()?,
                revision: None,
            });
        };
        let revision = revision.parse().ok().filter(|number| *number > 0).ok_or_else(|| InvalidName {
            what: "task definition",
            value: text.chars().take(64).collect(),
            rule: "write it as family or family:revision, where the revision is a number from 1",
        })?;
        Ok(Self {
            family: family.parse()?,
            revision: Some(revision),
        })
    }
}

impl fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}:{revision}", self.family),
            None => write!(f, "{}", self.family),
        }
    }
}

impl Control {
    /// Makes a task definition the next revision of its family. `document` is what was sent, to be given
    /// back; `warnings` are its fields that have no effect here.
    pub async fn register_task_definition(
        &self,
        definition: &TaskDefinition,
        document: &serde_json::Value,
        warnings: &[String],
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        let now = self.clock.now();
        Ok(self
            .store
            .register_task_definition(definition, document, warnings, now)
            .await?)
    }

    /// One revision.
    pub async fn task_definition(
        &self,
        wanted: &DefinitionRef,
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        let found = self
            .store
            .task_definition(&wanted.family, wanted.revision)
            .await?;
        found.ok_or_else(|| {
            ControlError::not_found(
                format!("task definition \"{wanted}\""),
                "neargate definitions lists those that do; neargate register FILE makes one",
            )
        })
    }

    /// Revisions, by family and from the newest.
    pub async fn task_definitions(
        &self,
        filter: TaskDefinitionFilter,
        page: PageRequest,
    ) -> Result<Page<RegisteredTaskDefinition>, ControlError> {
        Ok(self.store.task_definitions(&filter, &page).await?)
    }

    /// Makes a revision INACTIVE: what runs goes on, nothing new starts.
    pub async fn deregister_task_definition(
        &self,
        wanted: &DefinitionRef,
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        let revision = self.exact(wanted, "deregister").await?;
        Ok(self
            .store
            .deregister_task_definition(&revision, self.clock.now())
            .await?)
    }

    /// Deletes an INACTIVE revision. Its tasks keep their own copy; its number is not used again.
    pub async fn delete_task_definition(&self, wanted: &DefinitionRef) -> Result<(), ControlError> {
        let revision = self.exact(wanted, "delete").await?;
        if self.task_definition(wanted).await?.status == TaskDefinitionStatus::Active {
            return Err(ControlError::conflict(
                format!("task definition \"{wanted}\" is ACTIVE"),
                format!("deregister it first: neargate definitions deregister {wanted}"),
            ));
        }
        self.store
            .delete_task_definition(&revision, self.clock.now())
            .await?;
        Ok(())
    }

    /// The revision that `wanted` names in full, if it exists.
    async fn exact(
        &self,
        wanted: &DefinitionRef,
        verb: &str,
    ) -> Result<FamilyRevision, ControlError> {
        let Some(revision) = wanted.revision else {
            return Err(ControlError::invalid(
                "taskDefinition",
                format!("\"{wanted}\" names no revision"),
                format!("name the one to {verb}: {wanted}:1"),
            ));
        };
        self.task_definition(wanted).await?;
        Ok(FamilyRevision {
            family: wanted.family.clone(),
            revision,
        })
    }
}
