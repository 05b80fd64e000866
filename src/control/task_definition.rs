//! Use cases of task definitions.

use super::{Control, ControlError};
use crate::domain::{
    Family, FamilyRevision, RegisteredTaskDefinition, TaskDefinition, TaskDefinitionReference,
    TaskDefinitionStatus,
};
use crate::store::{Page, PageRequest, TaskDefinitionFilter};

impl Control {
    /// Makes a task definition the next revision of its family. `document` is what was sent, to be given
    /// back; `warnings` are its fields that have no effect here.
    pub async fn register_task_definition(
        &self,
        definition: &TaskDefinition,
        document: &serde_json::Value,
        warnings: &[String],
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        self.check_policy(
            definition.network_mode,
            &definition.volumes,
            &definition.containers,
        )?;
        self.check_runtime(definition.runtime.as_ref(), "runtime")?;
        let now = self.clock.now();
        Ok(self
            .store
            .register_task_definition(definition, document, warnings, now)
            .await?)
    }

    /// One revision.
    pub async fn task_definition(
        &self,
        wanted: &TaskDefinitionReference,
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

    /// The same from the other end: the last family first, and its newest revision before the others.
    pub async fn newest_task_definitions(
        &self,
        filter: TaskDefinitionFilter,
        page: PageRequest,
    ) -> Result<Page<RegisteredTaskDefinition>, ControlError> {
        Ok(self.store.newest_task_definitions(&filter, &page).await?)
    }

    /// The families, by name, that have a revision of the filter's status.
    pub async fn families(
        &self,
        filter: TaskDefinitionFilter,
        page: PageRequest,
    ) -> Result<Page<Family>, ControlError> {
        Ok(self.store.families(&filter, &page).await?)
    }

    /// Makes a revision INACTIVE: what runs goes on, nothing new starts.
    pub async fn deregister_task_definition(
        &self,
        wanted: &TaskDefinitionReference,
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        let revision = self.exact(wanted, "deregister").await?;
        Ok(self
            .store
            .deregister_task_definition(&revision, self.clock.now())
            .await?)
    }

    /// Deletes an INACTIVE revision. Its tasks keep their own copy; its number is not used again.
    pub async fn delete_task_definition(
        &self,
        wanted: &TaskDefinitionReference,
    ) -> Result<(), ControlError> {
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
        wanted: &TaskDefinitionReference,
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
