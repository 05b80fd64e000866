//! One round of one service: read, decide, and record all of it at once, the tasks that it starts and stops among it.
//!
//! The engine is not asked for anything here: a task that was recorded gets rounds of its own.

use std::collections::BTreeMap;

use super::Reconciler;
use super::round::RoundError;
use crate::domain::{
    Deployment, DeploymentId, Hold, LaunchPlan, PropagateTags, Service, ServiceKey, ServiceStatus,
    StopCode, StopRequest, Tags, Task, TaskId, TaskSpec, TimestampMs, first_subnet, managed_tags,
    tags_of_document,
};
use crate::plan::service::{self as plan, ServicePlan, ServiceWorld};
use crate::store::{KeptKind, ServiceRecord, StoreError};

impl Reconciler {
    /// Takes one service as far as it can go now.
    pub(super) async fn service_round(&self, key: &ServiceKey) -> Result<(), RoundError> {
        let store = &self.parts.store;
        let Some(service) = store.service(key).await? else {
            return Ok(());
        };
        if service.status == ServiceStatus::Inactive {
            return Ok(());
        }
        let tasks = store.service_tasks(key).await?;
        let now = self.parts.clock.now();
        let admission = store.admission(&key.cluster, now).await?;
        let held = if admission.is_any_held {
            self.hold_of(&service).await?
        } else {
            None
        };
        let mut plan = plan::plan(ServiceWorld {
            service: &service,
            tasks: &tasks,
            held: held.as_ref(),
            next_deployment: &DeploymentId::generate(self.parts.ids.as_ref()),
            is_draining: admission.is_draining,
            now,
        });
        let start = self.tasks_to_start(&mut plan, now).await?;
        let started: Vec<TaskId> = start.iter().map(|task| task.id.clone()).collect();
        if let Some(at) = plan.wake_at {
            let wait = at.since(now).to_std();
            self.parts
                .bell
                .ring_at(key, tokio::time::Instant::now() + wait);
        }
        let changes_nothing = plan.service == service
            && start.is_empty()
            && plan.stop.is_empty()
            && plan.counted.is_empty()
            && plan.noted.is_empty()
            && plan.events.is_empty();
        if changes_nothing {
            return Ok(());
        }
        let stopped: Vec<TaskId> = plan.stop.iter().map(|(id, _)| id.clone()).collect();
        let to_request = |(id, reason)| {
            let request = StopRequest {
                at: now,
                code: StopCode::ServiceSchedulerInitiated,
                reason: Some(reason),
            };
            (id, request)
        };
        let recorded = store
            .record_service(ServiceRecord {
                service: plan.service,
                retired: plan.retired,
                revision: None,
                start,
                stop: plan.stop.into_iter().map(to_request).collect(),
                counted: plan.counted,
                noted: plan.noted,
                events: plan.events,
                made_by: None,
            })
            .await;
        match recorded {
            Ok(()) => {}
            // A user was quicker: what was decided is decided anew.
            Err(StoreError::Stale) => {
                self.parts.bell.ring(key);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        for task in started.iter().chain(&stopped) {
            self.parts.bell.ring(task);
        }
        Ok(())
    }

    /// The tasks that a plan starts, of the revision that its PRIMARY deployment moves to or of those of its task sets.
    async fn tasks_to_start(
        &self,
        plan: &mut ServicePlan,
        now: TimestampMs,
    ) -> Result<Vec<Task>, StoreError> {
        let mut wanted = Vec::new();
        if let Some(primary) = plan.service.primary().filter(|_| plan.start > 0) {
            // What the service says now counts, though a revision of it says what it was.
            let settings = plan.service.configuration.settings.clone();
            let deployment = Deployment {
                settings,
                ..primary.clone()
            };
            wanted.push((None, deployment, plan.start));
        }
        for (id, count) in &plan.start_of_sets {
            if let Some(set) = plan.service.task_set(id) {
                wanted.push((Some(id.clone()), set.deployment.clone(), *count));
            }
        }
        let mut all = Vec::new();
        for (set, deployment, count) in wanted {
            let Some(tasks) = self.tasks_of(&plan.service, &deployment, count).await? else {
                plan.service.waiting = Some(format!(
                    "task definition {} was deleted: deploy another revision",
                    deployment.task_definition
                ));
                continue;
            };
            let ids: Vec<TaskId> = tasks.iter().map(|task| task.id.clone()).collect();
            plan.tell_started(set.as_ref(), &ids, now);
            all.extend(tasks);
        }
        Ok(all)
    }

    /// So many tasks of a deployment of `service`; `None` if what they would run was deleted.
    async fn tasks_of(
        &self,
        service: &Service,
        deployment: &Deployment,
        count: u32,
    ) -> Result<Option<Vec<Task>>, StoreError> {
        let revision = &deployment.task_definition;
        let found = self
            .parts
            .store
            .task_definition(&revision.family, Some(revision.revision))
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let settings = &deployment.settings;
        let spec = TaskSpec {
            enable_execute_command: settings.enable_execute_command,
            ..TaskSpec::new(found.definition, found.revision)
        };
        let key = &service.key;
        let tags = self
            .tags_of_tasks(service, deployment, found.document)
            .await?;
        let launch_plan = LaunchPlan::of_kept(&settings.kept);
        let placed = match launch_plan {
            LaunchPlan::On(_) => BTreeMap::new(),
            LaunchPlan::Across(_) => {
                let id = deployment.id.as_str();
                self.parts.store.placed_tasks(key, id).await?
            }
        };
        let new_task = |launch| {
            let id = TaskId::generate(self.parts.ids.as_ref());
            let spec = TaskSpec {
                launch,
                ..spec.clone()
            };
            Task {
                group: key.name.group(),
                started_by: Some(deployment.id.to_string()),
                tags: tags.clone(),
                ..Task::new(id, key.cluster.clone(), spec, self.parts.clock.now())
            }
        };
        let subnet = first_subnet(settings.kept.get("networkConfiguration"));
        let launches = launch_plan.launches(count, &placed, subnet.as_deref());
        Ok(Some(launches.into_iter().map(new_task).collect()))
    }

    /// What keeps tasks of a service from beginning, if anything does. Of its task sets, the first one stands for all.
    async fn hold_of(&self, service: &Service) -> Result<Option<Hold>, StoreError> {
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let budgets = store.budgets_that_stop(now).await?;
        let of_sets = service.task_sets.first().map(|set| &set.deployment);
        let deployment = service.primary().or(of_sets);
        let (Some(deployment), false) = (deployment, budgets.is_empty()) else {
            return Ok(None);
        };
        let revision = &deployment.task_definition;
        let found = store
            .task_definition(&revision.family, Some(revision.revision))
            .await?;
        let document = found.map(|found| found.document).unwrap_or_default();
        let now_set = Deployment {
            settings: service.configuration.settings.clone(),
            ..deployment.clone()
        };
        let tags = self.tags_of_tasks(service, &now_set, document).await?;
        let (cluster, name) = (&service.key.cluster, &service.key.name);
        Ok(Hold::of(&budgets, now, cluster, Some(name), &tags))
    }

    /// The tags of the tasks that a deployment of a service starts now: what it propagates, as it is tagged now, and those
    /// of ECS.
    async fn tags_of_tasks(
        &self,
        service: &Service,
        deployment: &Deployment,
        definition: serde_json::Value,
    ) -> Result<Tags, StoreError> {
        let settings = &deployment.settings;
        let mut tags = match settings.propagate_tags {
            PropagateTags::None => Tags::new(),
            PropagateTags::Service => service.tags.clone(),
            PropagateTags::TaskDefinition => {
                let name = deployment.task_definition.to_string();
                let names = std::slice::from_ref(&name);
                let kind = KeptKind::TaskDefinitionTags;
                let mut changed = self.parts.store.kept_documents(kind, names).await?;
                match changed.remove(&name) {
                    Some(changed) => tags_of_document(changed.get("tags")),
                    None => tags_of_document(definition.get("tags")),
                }
            }
        };
        if settings.enable_ecs_managed_tags {
            tags.extend(managed_tags(&service.key.cluster, Some(&service.key.name)));
        }
        Ok(tags)
    }

    /// Asks for a look at every service that is to be kept.
    pub(super) async fn ring_services(&self) {
        match self.parts.store.unfinished_services().await {
            Ok(services) => services.iter().for_each(|key| self.parts.bell.ring(key)),
            Err(error) => tracing::error!(%error, "the services cannot be read"),
        }
    }
}
