//! Use cases of services.

use std::collections::BTreeMap;

use super::{Control, ControlError};
use crate::domain::{
    CircuitBreaker, ClusterName, Deployment, DeploymentCause, DeploymentId, DurationMs, Event,
    EventKind, FamilyRevision, NewEvent, RolloutState, Service, ServiceConfiguration, ServiceKey,
    ServiceStatus, ServiceTask, TaskDefinitionReference, TaskDefinitionStatus,
};
use crate::store::{Page, PageRequest, ServiceRecord, StoreError};

/// A service that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateService {
    /// Where, and its name.
    pub key: ServiceKey,
    /// What its tasks run.
    pub definition: TaskDefinitionReference,
    /// How many of them; 0 to [`crate::domain::MAX_DESIRED_COUNT`].
    pub desired_count: u32,
    /// How they are kept.
    pub configuration: ServiceConfiguration,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
}

/// What is to change about a service. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateService {
    /// What its tasks run. Another revision than now begins a deployment.
    pub definition: Option<TaskDefinitionReference>,
    /// How many of them.
    pub desired_count: Option<u32>,
    /// What changes in how they are kept.
    pub configuration: ConfigurationChange,
    /// Begins a deployment, also of the same revision.
    pub force_new_deployment: bool,
}

/// What is to change about how a service keeps its tasks. What is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationChange {
    /// Of the desired count, in percent: so many healthy tasks at least.
    pub minimum_healthy_percent: Option<u32>,
    /// Of the desired count, in percent: so many tasks at most.
    pub maximum_percent: Option<u32>,
    /// What gives a deployment up by itself.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// For how long after its start a task's health is not held against it.
    pub health_check_grace_period: Option<DurationMs>,
    /// Whether people may run commands in its tasks.
    pub enable_execute_command: Option<bool>,
}

impl ConfigurationChange {
    /// Changes `configuration`.
    pub fn apply(&self, configuration: &mut ServiceConfiguration) {
        fn set<T: Copy>(field: &mut T, change: Option<T>) {
            *field = change.unwrap_or(*field);
        }
        set(
            &mut configuration.minimum_healthy_percent,
            self.minimum_healthy_percent,
        );
        set(&mut configuration.maximum_percent, self.maximum_percent);
        set(&mut configuration.circuit_breaker, self.circuit_breaker);
        set(
            &mut configuration.health_check_grace_period,
            self.health_check_grace_period,
        );
        set(
            &mut configuration.enable_execute_command,
            self.enable_execute_command,
        );
    }
}

/// A service with its tasks that have not stopped.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// The service.
    pub service: Service,
    /// Its tasks.
    pub tasks: Vec<ServiceTask>,
}

/// Deployments that are looked through for one to go back to.
const HISTORY: u32 = 100;
/// Events that are shown of a service, as in ECS.
const EVENTS: u32 = 100;
/// How often a change is tried again when the planner was quicker.
const ATTEMPTS: u32 = 20;

impl Control {
    /// Makes a service. Its first tasks are started by the loop.
    pub async fn create_service(&self, request: CreateService) -> Result<Service, ControlError> {
        check(request.desired_count, &request.configuration)?;
        self.cluster(&request.key.cluster).await?;
        let revision = self.deployable(&request.definition).await?;
        let now = self.clock.now();
        let mut service = Service {
            key: request.key,
            status: ServiceStatus::Active,
            desired_count: request.desired_count,
            configuration: request.configuration,
            tags: request.tags,
            deployments: Vec::new(),
            last_completed: None,
            is_steady: false,
            waiting: None,
            created_at: now,
            deleted_at: None,
            version: 1,
        };
        let id = DeploymentId::generate(self.ids.as_ref());
        let reason = format!("ECS deployment {id} in progress.");
        service.deploy(id, revision, DeploymentCause::User, reason, now);
        let mut events = vec![self.event(&service, "was created")];
        events.extend(self.warning(&service));
        let created = self
            .store
            .create_service(ServiceRecord::of(service.clone(), events))
            .await;
        if let Err(StoreError::AlreadyExists { .. }) = created {
            return Err(ControlError::conflict(
                format!("service \"{}\" exists already", service.key.name),
                format!(
                    "change it: neargate service update {0}; or delete it first: neargate service delete {0}",
                    service.key.name
                ),
            ));
        }
        created?;
        self.bell.ring(&service.key);
        Ok(service)
    }

    /// Changes a service, and begins a deployment where that is needed.
    pub async fn update_service(
        &self,
        key: &ServiceKey,
        request: UpdateService,
    ) -> Result<Service, ControlError> {
        let revision = match &request.definition {
            Some(definition) => Some(self.deployable(definition).await?),
            None => None,
        };
        self.change(key, |service| {
            if let Some(count) = request.desired_count {
                service.desired_count = count;
            }
            request.configuration.apply(&mut service.configuration);
            check(service.desired_count, &service.configuration)?;
            service.is_steady = false;
            let current = service
                .primary()
                .map(|primary| primary.task_definition.clone());
            let wanted = revision.clone().or_else(|| current.clone());
            let mut events = Vec::new();
            if let Some(wanted) = wanted
                && (request.force_new_deployment || Some(&wanted) != current.as_ref())
            {
                let id = DeploymentId::generate(self.ids.as_ref());
                let reason = format!("ECS deployment {id} in progress.");
                service.deploy(id, wanted, DeploymentCause::User, reason, self.clock.now());
            }
            events.extend(self.warning(service));
            Ok(events)
        })
        .await
    }

    /// Goes back to the last revision that was deployed completely, whatever is in progress.
    pub async fn roll_back_service(&self, key: &ServiceKey) -> Result<Service, ControlError> {
        let history = self.store.service_deployments(key, HISTORY).await?;
        self.change(key, |service| {
            let current = service.primary().map(|primary| primary.task_definition.clone());
            let completed = history
                .iter()
                .filter(|deployment| service.began(deployment))
                .filter(|deployment| deployment.rollout_state == RolloutState::Completed)
                .map(|deployment| &deployment.task_definition);
            let back_to = service
                .last_completed
                .iter()
                .chain(completed)
                .find(|revision| Some(*revision) != current.as_ref())
                .cloned();
            let Some(back_to) = back_to else {
                return Err(ControlError::conflict(
                    format!("service \"{}\" has no earlier revision that was deployed completely", service.key.name),
                    format!("deploy a revision by name: neargate service update {} --task-definition FAMILY:REVISION", service.key.name),
                ));
            };
            let said = format!("rolling back to task definition {back_to}.");
            let id = DeploymentId::generate(self.ids.as_ref());
            let reason = format!("ECS deployment rolled back to task definition {back_to}.");
            service.return_to(id, back_to, DeploymentCause::Rollback, reason, self.clock.now());
            Ok(vec![self.event(service, &said)])
        })
        .await
    }

    /// Deletes a service: it starts nothing any more, and its tasks are stopped. One that is to have tasks is only
    /// deleted by `force`, as in ECS.
    pub async fn delete_service(
        &self,
        key: &ServiceKey,
        force: bool,
    ) -> Result<Service, ControlError> {
        let tasks = self.store.service_tasks(key).await?;
        let live = tasks.iter().filter(|task| task.is_wanted()).count();
        let now = self.clock.now();
        self.change(key, |service| {
            let name = &service.key.name;
            if !force && service.wanted() > 0 {
                return Err(ControlError::conflict(
                    format!("service \"{name}\" still has {live} running tasks and a desired count of {}", service.wanted()),
                    format!("neargate service scale {name} 0, or delete with --force"),
                ));
            }
            service.status = ServiceStatus::Draining;
            service.deleted_at = Some(now);
            service.is_steady = false;
            Ok(vec![self.event(service, "was deleted; its tasks are stopped")])
        })
        .await
    }

    /// One service, with its tasks.
    pub async fn service(&self, key: &ServiceKey) -> Result<ServiceView, ControlError> {
        let service = self
            .store
            .service(key)
            .await?
            .ok_or_else(|| no_such_service(key))?;
        Ok(ServiceView {
            tasks: self.store.service_tasks(key).await?,
            service,
        })
    }

    /// Services that are not INACTIVE, newest first, each with its tasks.
    pub async fn services(
        &self,
        cluster: Option<ClusterName>,
        page: PageRequest,
    ) -> Result<Page<ServiceView>, ControlError> {
        let Page { items, next } = self.store.services(cluster.as_ref(), &page).await?;
        let mut views = Vec::with_capacity(items.len());
        for service in items {
            views.push(ServiceView {
                tasks: self.store.service_tasks(&service.key).await?,
                service,
            });
        }
        Ok(Page { items: views, next })
    }

    /// Deployments of a service since it was created, newest first.
    pub async fn service_deployments(
        &self,
        service: &Service,
        limit: u32,
    ) -> Result<Vec<Deployment>, ControlError> {
        let mut all = self.store.service_deployments(&service.key, limit).await?;
        all.retain(|deployment| service.began(deployment));
        Ok(all)
    }

    /// What happened to a service since it was created, newest first; as many as ECS shows.
    pub async fn service_events(&self, service: &Service) -> Result<Vec<Event>, ControlError> {
        let (key, since) = (&service.key, service.created_at);
        Ok(self.store.service_events(key, since, EVENTS).await?)
    }

    /// Reads, changes and records a service; again, when the planner was quicker.
    async fn change(
        &self,
        key: &ServiceKey,
        change: impl Fn(&mut Service) -> Result<Vec<NewEvent>, ControlError>,
    ) -> Result<Service, ControlError> {
        for _ in 0..ATTEMPTS {
            let mut service = self
                .store
                .service(key)
                .await?
                .ok_or_else(|| no_such_service(key))?;
            if service.status != ServiceStatus::Active {
                return Err(ControlError::conflict(
                    format!("service \"{}\" is {}", key.name, service.status),
                    format!("make it anew: neargate service create {}", key.name),
                ));
            }
            let events = change(&mut service)?;
            match self
                .store
                .record_service(ServiceRecord::of(service.clone(), events))
                .await
            {
                Ok(()) => {
                    self.bell.ring(key);
                    service.version += 1;
                    return Ok(service);
                }
                Err(StoreError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Stale.into())
    }

    /// The revision that a service can be moved to.
    async fn deployable(
        &self,
        wanted: &TaskDefinitionReference,
    ) -> Result<FamilyRevision, ControlError> {
        let found = self.task_definition(wanted).await?;
        if found.status == TaskDefinitionStatus::Inactive {
            return Err(ControlError::conflict(
                format!("task definition \"{wanted}\" is INACTIVE"),
                format!("deploy the newest active one: {}", wanted.family),
            ));
        }
        self.check_network_mode(found.definition.network_mode)?;
        self.check_host_paths(&found.definition.volumes).await?;
        self.check_powers(&found.definition.containers)?;
        self.check_runtime(found.definition.runtime.as_ref(), "taskDefinition.runtime")?;
        Ok(FamilyRevision {
            family: found.definition.family,
            revision: found.revision,
        })
    }

    fn warning(&self, service: &Service) -> Option<NewEvent> {
        let why = service.configuration.stuck(service.wanted())?;
        Some(self.event(service, &why))
    }

    fn event(&self, service: &Service, message: &str) -> NewEvent {
        NewEvent {
            at: self.clock.now(),
            kind: EventKind::ServiceEvent,
            cluster: Some(service.key.cluster.to_string()),
            subject: service.key.name.to_string(),
            status: None,
            message: format!("(service {}) {message}", service.key.name),
        }
    }
}

fn no_such_service(key: &ServiceKey) -> ControlError {
    ControlError::not_found(
        format!("service \"{}\" in cluster \"{}\"", key.name, key.cluster),
        "neargate service ls lists those that do",
    )
}

fn check(desired_count: u32, configuration: &ServiceConfiguration) -> Result<(), ControlError> {
    let faults = configuration.faults(desired_count);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Invalid(faults))
    }
}
