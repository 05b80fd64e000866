//! Use cases of services.

use std::collections::BTreeMap;

mod stop;
mod task_set;

pub use stop::StopType;
pub use task_set::CreateTaskSet;

use super::{Attempts, Control, ControlError, Obstacle};
use crate::domain::{
    AlikeTasks, CircuitBreaker, ClientName, ClusterName, ContainerDefinition, ContainerName,
    Deployment, DeploymentCause, DeploymentController, DeploymentId, DeploymentTarget, DurationMs,
    Event, EventKind, FamilyRevision, LastLine, NewEvent, Occasion, PropagateTags,
    SchedulingStrategy, Service, ServiceConfiguration, ServiceKey, ServiceRevision,
    ServiceRevisionId, ServiceStatus, ServiceTask, TagChange, TaskDefinitionReference,
    TaskDefinitionStatus, TaskId,
};
use crate::store::{
    ClientToken, DescribedService, Page, PageRequest, ServiceRecord, StoreError, Wanted,
};

/// A service that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateService {
    /// Where, and its name.
    pub key: ServiceKey,
    /// What its tasks run; `None` of a service whose task sets say that.
    pub definition: Option<TaskDefinitionReference>,
    /// How many of them; 0 to [`crate::domain::MAX_DESIRED_COUNT`].
    pub desired_count: u32,
    /// How they are kept.
    pub configuration: ServiceConfiguration,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// What was asked for and has no effect here, each with the reason: told as events of the service.
    pub notes: Vec<String>,
    /// What the client that asks calls itself.
    pub client: Option<ClientName>,
    /// A request with the same token as an earlier one gets the service of that one.
    pub client_token: Option<ClientToken>,
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
    /// Who is to carry deployments out, which cannot be changed.
    pub controller: Option<DeploymentController>,
    /// Fields that were sent of those that are kept in a revision as they were sent.
    pub kept: BTreeMap<String, serde_json::Value>,
    /// What was asked for and has no effect here, each with the reason: told as events of the service.
    pub notes: Vec<String>,
    /// What the client that asks calls itself.
    pub client: Option<ClientName>,
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
    /// Whose tags its tasks get.
    pub propagate_tags: Option<PropagateTags>,
    /// Whether its tasks get the tags that name their cluster and their service.
    pub enable_ecs_managed_tags: Option<bool>,
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
        let settings = &mut configuration.settings;
        set(
            &mut settings.enable_execute_command,
            self.enable_execute_command,
        );
        set(&mut settings.propagate_tags, self.propagate_tags);
        set(
            &mut settings.enable_ecs_managed_tags,
            self.enable_ecs_managed_tags,
        );
    }
}

/// A service with its tasks that have not stopped, counted.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// The service.
    pub service: Service,
    /// Its tasks.
    pub tasks: Vec<AlikeTasks>,
}

/// A deployment, as it is remembered.
#[derive(Clone, Debug)]
pub struct PastDeployment {
    /// The deployment.
    pub deployment: Deployment,
    /// What its failed tasks last wrote, as far as that was kept.
    pub last_lines: BTreeMap<TaskId, Vec<LastLine>>,
}

/// A revision of a service, with what is known of its images.
#[derive(Clone, Debug)]
pub struct RevisionView {
    /// The revision.
    pub revision: ServiceRevision,
    /// The containers of its task definition; none when that was deleted.
    pub containers: Vec<ContainerDefinition>,
    /// What the images of its newest tasks were resolved to, by container.
    pub digests: BTreeMap<ContainerName, String>,
}

/// What a use case does to a service, beside changing it.
struct Change {
    events: Vec<NewEvent>,
    /// A revision that it is moved to.
    revision: Option<ServiceRevision>,
}

impl Change {
    fn of(event: NewEvent) -> Self {
        Self {
            events: vec![event],
            revision: None,
        }
    }
}

/// Deployments that are looked through for one to go back to.
const HISTORY: u32 = 100;
/// Events that are shown of a service, as in ECS.
const EVENTS: u32 = 100;

impl Control {
    /// Makes a service. Its first tasks are started by the loop.
    pub async fn create_service(&self, request: CreateService) -> Result<Service, ControlError> {
        let token = request.client_token.clone();
        // A repeated call gets the first one's service, whatever has become of the definition since.
        if let Some(token) = &token {
            let (key, now) = (&request.key, self.clock.now());
            if self.store.has_created_service(key, token, now).await? {
                return self.stored_service(key).await;
            }
        }
        check(request.desired_count, &request.configuration)?;
        self.cluster(&request.key.cluster).await?;
        let (revision, notes) = match &request.definition {
            Some(definition) => {
                let (revision, notes) = self.deployable(definition).await?;
                (Some(revision), notes)
            }
            None => (None, Vec::new()),
        };
        let now = self.clock.now();
        let mut service = Service {
            key: request.key,
            status: ServiceStatus::Active,
            desired_count: request.desired_count,
            configuration: request.configuration,
            tags: request.tags,
            deployments: Vec::new(),
            task_sets: Vec::new(),
            last_completed: None,
            is_steady: false,
            waiting: None,
            created_at: now,
            deleted_at: None,
            version: 1,
        };
        let revision = revision.map(|revision| self.deploy(&mut service, revision, request.client));
        let mut events = vec![self.event(&service, "was created")];
        let notes = request.notes.iter().chain(&notes);
        events.extend(notes.map(|note| self.event(&service, note)));
        events.extend(self.warning(&service));
        let record = ServiceRecord {
            revision,
            ..ServiceRecord::of(service.clone(), events)
        };
        let created = self.store.create_service(record, token).await;
        if let Err(StoreError::AlreadyExists { .. }) = created {
            return Err(ControlError::blocked(
                Obstacle::NameInUse,
                format!("service \"{}\" exists already", service.key.name),
                format!(
                    "change it: neargate service update {0}; or delete it first: neargate service delete {0}",
                    service.key.name
                ),
            ));
        }
        if !created? {
            return self.stored_service(&service.key).await;
        }
        self.bell.ring(&service.key);
        Ok(service)
    }

    /// Changes a service, and begins a deployment where that is needed.
    pub async fn update_service(
        &self,
        key: &ServiceKey,
        request: UpdateService,
    ) -> Result<Service, ControlError> {
        let (revision, notes) = match &request.definition {
            Some(definition) => {
                let (revision, notes) = self.deployable(definition).await?;
                (Some(revision), notes)
            }
            None => (None, Vec::new()),
        };
        self.change(key, |service| {
            if let Some(count) = request.desired_count {
                check_counted(service)?;
                service.desired_count = count;
            }
            request.configuration.apply(&mut service.configuration);
            let before = service.configuration.settings.clone();
            service.configuration.settings.keep(&request.kept);
            let needs_one = before.needs_deployment(&service.configuration.settings);
            check(service.desired_count, &service.configuration)?;
            check_controller(service, &request, needs_one)?;
            service.is_steady = false;
            let current = service
                .primary()
                .map(|primary| primary.task_definition.clone());
            let wanted = revision.clone().or_else(|| current.clone());
            let is_new = |wanted: &FamilyRevision| {
                request.force_new_deployment || needs_one || Some(wanted) != current.as_ref()
            };
            let revision = wanted
                .filter(is_new)
                .map(|wanted| self.deploy(service, wanted, request.client.clone()));
            let notes = request.notes.iter().chain(&notes);
            let notes = notes.map(|note| self.event(service, note));
            Ok(Change {
                events: notes.chain(self.warning(service)).collect(),
                revision,
            })
        })
        .await
    }

    /// Begins a deployment of a new revision of `service`, which is to be recorded with it.
    fn deploy(
        &self,
        service: &mut Service,
        task_definition: FamilyRevision,
        client: Option<ClientName>,
    ) -> ServiceRevision {
        let (ids, now) = (self.ids.as_ref(), self.clock.now());
        let revision = service.revise(ids, task_definition, now);
        let id = DeploymentId::generate(ids);
        let occasion = Occasion {
            cause: DeploymentCause::User,
            client,
            reason: format!("ECS deployment {id} in progress."),
            at: now,
        };
        service.deploy(id, revision.target(), occasion);
        revision
    }

    /// Goes back to the last revision that was deployed completely, whatever is in progress.
    pub async fn roll_back_service(
        &self,
        key: &ServiceKey,
        client: Option<ClientName>,
    ) -> Result<Service, ControlError> {
        let history = self.history(key).await?;
        self.change(key, |service| {
            self.go_back(service, &history, client.clone())
        })
        .await
    }

    /// The last revision of `service` that was deployed completely and is not what is deployed now: what it would go back to.
    pub async fn way_back(
        &self,
        service: &Service,
    ) -> Result<Option<DeploymentTarget>, ControlError> {
        match earlier(service, &[]) {
            Some(target) => Ok(Some(target)),
            None => Ok(earlier(service, &self.history(&service.key).await?)),
        }
    }

    /// Where the newest deployments of a service moved to that were completed, newest first.
    async fn history(&self, key: &ServiceKey) -> Result<Vec<DeploymentTarget>, ControlError> {
        let since = self.stored_service(key).await?.created_at;
        let page = PageRequest::first(HISTORY);
        let history = self.store.service_deployments(key, since, &page).await?;
        let completed = history.items.iter();
        let completed = completed.filter(|one| one.completed_at.is_some());
        Ok(completed.map(Deployment::target).collect())
    }

    /// Begins to go back to the last revision that was deployed completely and is not what is deployed now.
    fn go_back(
        &self,
        service: &mut Service,
        history: &[DeploymentTarget],
        client: Option<ClientName>,
    ) -> Result<Change, ControlError> {
        let Some(back_to) = earlier(service, history) else {
            return Err(nothing_to_go_back_to(&service.key));
        };
        let definition = &back_to.task_definition;
        let occasion = Occasion {
            cause: DeploymentCause::Rollback,
            client,
            reason: format!("ECS deployment rolled back to task definition {definition}."),
            at: self.clock.now(),
        };
        let id = DeploymentId::generate(self.ids.as_ref());
        service.return_to(id, back_to, occasion);
        let back = service.primary().map_or("", |back| back.id.as_str());
        let said = format!("rolling back to deployment {back}.");
        Ok(Change::of(self.event(service, &said)))
    }

    /// Changes the tags of a service. Its tasks keep theirs.
    pub async fn tag_service(
        &self,
        key: &ServiceKey,
        change: &TagChange,
    ) -> Result<Service, ControlError> {
        self.change(key, |service| {
            let tags = change.apply(service.tags.clone());
            service.tags = tags.map_err(|why| {
                ControlError::invalid("tags", why, "take some of the others away first")
            })?;
            Ok(Change {
                events: Vec::new(),
                revision: None,
            })
        })
        .await
    }

    /// Deletes a service: it starts nothing any more, and its tasks are stopped. One that is to have tasks is only
    /// deleted by `force`, as in ECS; but a DAEMON, which cannot be scaled to none first.
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
            let strategy = service.configuration.scheduling_strategy;
            let can_be_scaled = strategy == SchedulingStrategy::Replica;
            if !force && can_be_scaled && service.wanted() > 0 {
                let tasks = if live == 1 { "task" } else { "tasks" };
                return Err(ControlError::conflict(
                    format!("service \"{name}\" still has {live} running {tasks} and a desired count of {}", service.wanted()),
                    format!("neargate service scale {name} 0, or delete with --force"),
                ));
            }
            service.status = ServiceStatus::Draining;
            service.deleted_at = Some(now);
            service.is_steady = false;
            Ok(Change::of(self.event(service, "was deleted; its tasks are stopped")))
        })
        .await
    }

    /// One service, with its tasks.
    pub async fn service(&self, key: &ServiceKey) -> Result<ServiceView, ControlError> {
        Ok(self.described(key, Wanted::default()).await?.0)
    }

    /// The same, and what happened to it since it was created, newest first; as much of it as ECS shows.
    pub async fn service_with_events(
        &self,
        key: &ServiceKey,
    ) -> Result<(ServiceView, Vec<Event>), ControlError> {
        let wanted = Wanted {
            tasks: 0,
            events: EVENTS,
        };
        let (view, _, events) = self.described(key, wanted).await?;
        Ok((view, events))
    }

    /// The same, and `most` of its tasks, the oldest.
    pub async fn service_with_tasks(
        &self,
        key: &ServiceKey,
        most: u32,
    ) -> Result<(ServiceView, Vec<ServiceTask>, Vec<Event>), ControlError> {
        let wanted = Wanted {
            tasks: most,
            events: EVENTS,
        };
        self.described(key, wanted).await
    }

    async fn described(
        &self,
        key: &ServiceKey,
        wanted: Wanted,
    ) -> Result<(ServiceView, Vec<ServiceTask>, Vec<Event>), ControlError> {
        let now = self.clock.now();
        let found = self.store.described_service(key, wanted, now).await?;
        let DescribedService {
            service,
            counted,
            tasks,
            events,
        } = found.ok_or_else(|| no_such_service(key))?;
        let view = ServiceView {
            service,
            tasks: counted,
        };
        Ok((view, tasks, events))
    }

    async fn stored_service(&self, key: &ServiceKey) -> Result<Service, ControlError> {
        let found = self.store.service(key).await?;
        found.ok_or_else(|| no_such_service(key))
    }

    /// Services that are not INACTIVE, newest first, each with its tasks counted.
    pub async fn services(
        &self,
        cluster: Option<ClusterName>,
        page: PageRequest,
    ) -> Result<Page<ServiceView>, ControlError> {
        let Page { items, next } = self.store.services(cluster.as_ref(), &page).await?;
        let tasks = self.store.counted_tasks(&items, self.clock.now()).await?;
        let views = items.into_iter().zip(tasks);
        Ok(Page {
            items: views
                .map(|(service, tasks)| ServiceView { service, tasks })
                .collect(),
            next,
        })
    }

    /// Deployments of a service since it was created, newest first, each with what its failed tasks last wrote.
    pub async fn service_deployments(
        &self,
        service: &Service,
        page: PageRequest,
    ) -> Result<Page<PastDeployment>, ControlError> {
        let (key, since) = (&service.key, service.created_at);
        let Page { items, next } = self.store.service_deployments(key, since, &page).await?;
        let mut past = Vec::with_capacity(items.len());
        for deployment in items {
            let last_lines = if deployment.failures.is_empty() {
                BTreeMap::new()
            } else {
                self.store.last_lines(&deployment.id).await?
            };
            past.push(PastDeployment {
                deployment,
                last_lines,
            });
        }
        Ok(Page { items: past, next })
    }

    /// A revision of a service, with the definition that it runs, if that is still there, and what its images were
    /// resolved to, by container.
    pub async fn service_revision(
        &self,
        key: &ServiceKey,
        id: &ServiceRevisionId,
    ) -> Result<RevisionView, ControlError> {
        let Some(revision) = self.store.service_revision(key, id).await? else {
            return Err(ControlError::not_found(
                format!("revision \"{id}\" of service \"{}\"", key.name),
                format!(
                    "neargate service history {} lists its deployments",
                    key.name
                ),
            ));
        };
        let FamilyRevision {
            family,
            revision: number,
        } = &revision.task_definition;
        let found = self.store.task_definition(family, Some(*number)).await?;
        Ok(RevisionView {
            containers: found.map_or_else(Vec::new, |found| found.definition.containers),
            digests: self.store.image_digests(key, id).await?,
            revision,
        })
    }

    /// Reads, changes and records a service; again, when the planner was quicker.
    async fn change(
        &self,
        key: &ServiceKey,
        change: impl Fn(&mut Service) -> Result<Change, ControlError>,
    ) -> Result<Service, ControlError> {
        let mut attempts = Attempts::default();
        loop {
            let mut service = self.stored_service(key).await?;
            if service.status != ServiceStatus::Active {
                return Err(ControlError::conflict(
                    format!("service \"{}\" is {}", key.name, service.status),
                    format!("make it anew: neargate service create {}", key.name),
                ));
            }
            let Change { events, revision } = change(&mut service)?;
            let record = ServiceRecord {
                revision,
                ..ServiceRecord::of(service.clone(), events)
            };
            if attempts.landed(self.store.record_service(record).await)? {
                self.bell.ring(key);
                service.version += 1;
                return Ok(service);
            }
        }
    }

    /// The revision that a service can be moved to, and what its tasks ask for and do not get.
    async fn deployable(
        &self,
        wanted: &TaskDefinitionReference,
    ) -> Result<(FamilyRevision, Vec<String>), ControlError> {
        let found = self.task_definition(wanted).await?;
        if found.status == TaskDefinitionStatus::Inactive {
            return Err(ControlError::blocked(
                Obstacle::InactiveRevision,
                format!("task definition \"{wanted}\" is INACTIVE"),
                format!("deploy the newest active one: {}", wanted.family),
            ));
        }
        self.check_definition(&found.definition).await?;
        self.check_runtime(found.definition.runtime.as_ref(), "taskDefinition.runtime")?;
        let notes = found.notes();
        let revision = FamilyRevision {
            family: found.definition.family,
            revision: found.revision,
        };
        Ok((revision, notes))
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

/// The last of what was deployed completely that is not what is deployed now; `history` has it newest first.
fn earlier(service: &Service, history: &[DeploymentTarget]) -> Option<DeploymentTarget> {
    let current = service.primary().map(Deployment::target);
    let is_another = |target: &&DeploymentTarget| {
        let current = current.as_ref();
        current.is_none_or(|current| !target.runs_the_same(current))
    };
    let mut all = service.last_completed.iter().chain(history);
    all.find(is_another).cloned()
}

pub(super) fn no_such_service(key: &ServiceKey) -> ControlError {
    ControlError::not_found(
        format!("service \"{}\" in cluster \"{}\"", key.name, key.cluster),
        "neargate service ls lists those that do",
    )
}

fn nothing_to_go_back_to(key: &ServiceKey) -> ControlError {
    let name = &key.name;
    ControlError::conflict(
        format!("service \"{name}\" has no earlier revision that was deployed completely"),
        format!(
            "deploy a revision by name: neargate service update {name} --task-definition FAMILY:REVISION"
        ),
    )
}

/// Refuses to count the tasks of a service that has one on each host, as ECS does.
fn check_counted(service: &Service) -> Result<(), ControlError> {
    if service.configuration.scheduling_strategy == SchedulingStrategy::Replica {
        return Ok(());
    }
    Err(ControlError::invalid(
        "desiredCount",
        "is there, but a DAEMON has one task on each host",
        "take it out, or make a service with schedulingStrategy: REPLICA",
    ))
}

/// Refuses to change of a service what its task sets say, and who carries its deployments out.
///
/// Source: Amazon ECS API reference, `UpdateService`: of a service with an EXTERNAL deployment controller, only the desired
/// count, the tags and the health check grace period and the like are updated by it.
fn check_controller(
    service: &Service,
    request: &UpdateService,
    needs_deployment: bool,
) -> Result<(), ControlError> {
    let controller = service.configuration.controller;
    if request.controller.is_some_and(|other| other != controller) {
        return Err(ControlError::invalid(
            "deploymentController.type",
            format!("cannot be changed: it is {controller}"),
            "delete the service, and make it anew",
        ));
    }
    let begins_one =
        request.definition.is_some() || request.force_new_deployment || needs_deployment;
    if service.is_external() && begins_one {
        return Err(ControlError::invalid(
            "taskDefinition",
            "and what else begins a deployment cannot be changed of a service with an EXTERNAL deployment controller",
            "make a task set: aws ecs create-task-set",
        ));
    }
    Ok(())
}

fn check(desired_count: u32, configuration: &ServiceConfiguration) -> Result<(), ControlError> {
    let faults = configuration.faults(desired_count);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ControlError::Invalid(faults))
    }
}
