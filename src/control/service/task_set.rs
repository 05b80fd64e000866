//! Use cases of task sets, by which somebody else carries the deployments of a service out. The loop does what they say.

use super::{Attempts, Change, Control, ControlError, Obstacle, no_such_service};
use crate::domain::{
    DeploymentCause, DeploymentId, FamilyRevision, MAX_TASK_SETS, Occasion, RevisionSettings,
    Scale, Service, ServiceKey, ServiceRevision, ServiceRevisionId, ServiceStatus, TagChange, Tags,
    TaskDefinitionReference, TaskSet,
};
use crate::store::{ClientToken, ServiceRecord};

/// A task set that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTaskSet {
    /// What its tasks run.
    pub definition: TaskDefinitionReference,
    /// Its share of the service's desired count.
    pub scale: Scale,
    /// Fields that are kept as they were sent, in place of the service's: where its tasks say that they run.
    pub kept: std::collections::BTreeMap<String, serde_json::Value>,
    /// What whoever makes it knows it by.
    pub external_id: Option<String>,
    /// Keys and values to find it by.
    pub tags: Tags,
    /// What was asked for and has no effect here, each with the reason: told as events of the service.
    pub notes: Vec<String>,
    /// A request with the same token as an earlier one gets the task set of that one.
    pub client_token: Option<ClientToken>,
}

/// What one of these calls gives: the task set as it is now, or as it was when it went.
type Made = (Service, TaskSet);

impl Control {
    /// Makes a task set. Its tasks are started by the loop.
    pub async fn create_task_set(
        &self,
        key: &ServiceKey,
        request: CreateTaskSet,
    ) -> Result<Made, ControlError> {
        let mut attempts = Attempts::default();
        loop {
            let now = self.clock.now();
            let mut service = self.external(key).await?;
            if let Some(token) = &request.client_token {
                let made = self
                    .store
                    .task_set_of_token(&key.cluster, token, now)
                    .await?;
                if let Some(id) = made {
                    return self.task_set(key, &id).await;
                }
            }
            let (task_definition, notes) = self.deployable(&request.definition).await?;
            let count = service.task_sets.len();
            if count >= MAX_TASK_SETS {
                return Err(ControlError::blocked(
                    Obstacle::Limit,
                    format!(
                        "{count} deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
                    ),
                    "delete one first: aws ecs delete-task-set",
                ));
            }
            let (set, revision) = self.new_set(&service, task_definition, &request);
            let id = set.id().clone();
            service.add_task_set(set);
            let mut events = vec![self.event(&service, &format!("(taskSet {id}) was created"))];
            let notes = request.notes.iter().chain(&notes);
            events.extend(notes.map(|note| self.event(&service, note)));
            let record = ServiceRecord {
                revision: Some(revision),
                made_by: (request.client_token.clone()).map(|token| (token, id.clone())),
                ..ServiceRecord::of(service, events)
            };
            if attempts.landed(self.store.record_service(record).await)? {
                self.bell.ring(key);
                return self.task_set(key, &id).await;
            }
        }
    }

    fn new_set(
        &self,
        service: &Service,
        task_definition: FamilyRevision,
        request: &CreateTaskSet,
    ) -> (TaskSet, ServiceRevision) {
        let (ids, now) = (self.ids.as_ref(), self.clock.now());
        let mut settings: RevisionSettings = service.configuration.settings.clone();
        // A set says by itself where its tasks run.
        settings.kept.clear();
        settings.keep(&request.kept);
        let revision = ServiceRevision {
            id: ServiceRevisionId::generate(ids),
            task_definition,
            settings,
            created_at: now,
        };
        let id = DeploymentId::generate(ids);
        let occasion = Occasion {
            cause: DeploymentCause::User,
            client: None,
            reason: format!("Task set {id} in progress."),
            at: now,
        };
        let set = TaskSet {
            external_id: request.external_id.clone(),
            tags: request.tags.clone(),
            ..TaskSet::new(id, revision.target(), request.scale, occasion)
        };
        (set, revision)
    }

    /// Gives a task set another share of the service's desired count.
    pub async fn scale_task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
        scale: Scale,
    ) -> Result<Made, ControlError> {
        let now = self.clock.now();
        self.change_task_set(key, id, |_, set| {
            set.scale = scale;
            set.set_steady(false, now);
            set.deployment.updated_at = now;
            Ok(format!(
                "(taskSet {}) is scaled to {} %",
                set.id(),
                scale.percent()
            ))
        })
        .await
    }

    /// Makes a task set the one that serves.
    pub async fn serve_by_task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
    ) -> Result<Made, ControlError> {
        let now = self.clock.now();
        self.external(key).await?;
        self.change(key, |service| {
            let is_draining = service.task_set(id).is_none_or(|set| set.is_draining);
            if is_draining || !service.serve_by(id, now) {
                return Err(no_such_set(key, id));
            }
            let said = format!("(taskSet {id}) is PRIMARY");
            Ok(Change::of(self.event(service, &said)))
        })
        .await?;
        self.task_set(key, id).await
    }

    /// Deletes a task set: its tasks are stopped, and it is gone when it has none left. One that is to have tasks, or that
    /// serves, is only deleted by `force`.
    pub async fn delete_task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
        force: bool,
    ) -> Result<Made, ControlError> {
        let now = self.clock.now();
        self.change_task_set(key, id, |service, set| {
            if !force && (set.scale != Scale::default() || set.is_primary()) {
                return Err(ControlError::conflict(
                    format!("task set \"{}\" is PRIMARY, or its scale is above 0", set.id()),
                    format!(
                        "scale it to 0 first, or delete it with force: aws ecs delete-task-set --force; the service is {}",
                        service.key.name
                    ),
                ));
            }
            set.is_draining = true;
            set.set_steady(false, now);
            set.deployment.updated_at = now;
            Ok(format!("(taskSet {}) was deleted; its tasks are stopped", set.id()))
        })
        .await
    }

    /// Changes the tags of a task set.
    pub async fn tag_task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
        change: &TagChange,
    ) -> Result<(), ControlError> {
        self.change(key, |service| {
            let set = service.task_set_mut(id);
            let set = set.ok_or_else(|| no_such_set(key, id))?;
            let tags = change.apply(set.tags.clone());
            set.tags = tags.map_err(|why| {
                ControlError::invalid("tags", why, "take some of the others away first")
            })?;
            Ok(Change {
                events: Vec::new(),
                revision: None,
            })
        })
        .await
        .map(|_| ())
    }

    /// Has `change` change a task set of a service; it gives what is told of that.
    async fn change_task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
        change: impl Fn(&Service, &mut TaskSet) -> Result<String, ControlError>,
    ) -> Result<Made, ControlError> {
        self.external(key).await?;
        let changed = self.change(key, |service| {
            let found = service.task_set(id).cloned();
            let mut set = found.ok_or_else(|| no_such_set(key, id))?;
            let said = change(service, &mut set)?;
            if let Some(place) = service.task_set_mut(id) {
                *place = set;
            }
            service.is_steady = false;
            Ok(Change::of(self.event(service, &said)))
        });
        let service = changed.await?;
        let set = service.task_set(id).cloned();
        Ok((service, set.ok_or_else(|| no_such_set(key, id))?))
    }

    /// A task set of a service.
    pub async fn task_set(
        &self,
        key: &ServiceKey,
        id: &DeploymentId,
    ) -> Result<Made, ControlError> {
        let service = self.stored_service(key).await?;
        let set = service.task_set(id).cloned();
        Ok((service, set.ok_or_else(|| no_such_set(key, id))?))
    }

    /// A service whose deployments somebody else carries out, and which is kept.
    async fn external(&self, key: &ServiceKey) -> Result<Service, ControlError> {
        let found = self.store.service(key).await?;
        let service = found.ok_or_else(|| no_such_service(key))?;
        if service.status != ServiceStatus::Active {
            return Err(ControlError::conflict(
                format!("service \"{}\" is {}", key.name, service.status),
                format!("make it anew: neargate service create {}", key.name),
            ));
        }
        if !service.is_external() {
            return Err(ControlError::invalid(
                "service",
                format!(
                    "\"{}\" does not have an EXTERNAL deployment controller",
                    key.name
                ),
                "make a service with deploymentController: {type: EXTERNAL}",
            ));
        }
        Ok(service)
    }
}

fn no_such_set(key: &ServiceKey, id: &DeploymentId) -> ControlError {
    ControlError::not_found(
        format!("task set \"{id}\" of service \"{}\"", key.name),
        "aws ecs describe-task-sets lists those that do",
    )
}
