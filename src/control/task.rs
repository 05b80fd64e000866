//! Use cases of tasks.

use std::collections::BTreeMap;

use super::{Control, ControlError, MAX_COUNT, Obstacle};
use crate::domain::{
    Capacity, ClusterName, DurationMs, EventKind, LaunchPlan, NewEvent, RegisteredTaskDefinition,
    SERVICE_GROUP, STARTED_BY_SCHEDULE, Shortage, StopCode, StopRequest, Task,
    TaskDefinitionReference, TaskDefinitionStatus, TaskId, TaskOverrides, TaskSpec,
};
use crate::store::{ClientToken, Created, Page, PageRequest, StoreError, TaskFilter};

/// What is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTask {
    /// Where.
    pub cluster: ClusterName,
    /// What.
    pub definition: TaskDefinitionReference,
    /// How many; 1 to [`MAX_COUNT`].
    pub count: u32,
    /// What this run changes.
    pub overrides: TaskOverrides,
    /// The same as it was sent, to be given back.
    pub overrides_document: serde_json::Value,
    /// Whether people may run commands in it.
    pub enable_execute_command: bool,
    /// What they say of where they run.
    pub launch: LaunchPlan,
    /// The subnet that they say that they are in.
    pub subnet: Option<String>,
    /// What was asked for and has no effect here, each with the reason: told as events of the tasks.
    pub notes: Vec<String>,
    /// Keys and values to find it by.
    pub tags: BTreeMap<String, String>,
    /// Whatever the caller wants to find it by.
    pub started_by: Option<String>,
    /// `family:<family>` if the caller says nothing.
    pub group: Option<String>,
    /// A request with the same token as an earlier one gets the answer of that one.
    pub client_token: Option<ClientToken>,
}

/// How many tasks a prefix may stand for before the rest is not listed.
const AMBIGUOUS_SHOWN: u32 = 5;
/// The fewest characters of a task's ID that may stand for it.
const SHORTEST_PREFIX: usize = 4;

impl Control {
    /// Accepts tasks: they are recorded, with their desired state and their events, when this returns.
    pub async fn run_task(&self, request: RunTask) -> Result<Vec<Task>, ControlError> {
        if !(1..=MAX_COUNT).contains(&request.count) {
            return Err(ControlError::invalid(
                "count",
                format!("is {}, and must be from 1 to {MAX_COUNT}", request.count),
                "run more with several calls",
            ));
        }
        if let Some(group) = &request.group
            && group.starts_with(SERVICE_GROUP)
        {
            return Err(ControlError::invalid(
                "group",
                format!(
                    "\"{group}\" begins with \"{SERVICE_GROUP}\", as the groups of services do"
                ),
                "leave it out, or choose another one",
            ));
        }
        if let Some(started_by) = &request.started_by
            && started_by.starts_with(STARTED_BY_SCHEDULE)
        {
            return Err(ControlError::invalid(
                "startedBy",
                format!(
                    "\"{started_by}\" begins with \"{STARTED_BY_SCHEDULE}\", as that of the tasks of schedules does"
                ),
                "leave it out, or run the schedule: neargate schedule run NAME",
            ));
        }
        // A repeated call gets the first one's answer, whatever has become of the definition since.
        if let Some(token) = &request.client_token {
            let (cluster, now) = (&request.cluster, self.clock.now());
            if let Some(ids) = self.store.tasks_of_token(cluster, token, now).await? {
                return self.tasks_with(ids).await;
            }
        }
        let registered = self.runnable(&request.definition).await?;
        let notes = [request.notes.clone(), registered.notes()].concat();
        let spec = TaskSpec {
            enable_execute_command: request.enable_execute_command,
            ..TaskSpec::new(registered.definition, registered.revision)
        };
        let spec = request
            .overrides
            .apply(spec)
            .map_err(ControlError::Invalid)?;
        self.check_spec(&spec, &request.overrides)?;
        self.check_admission(&request.cluster, &request.tags)
            .await?;
        let subnet = request.subnet.as_deref();
        let launches = (request.launch).launches(request.count, &BTreeMap::new(), subnet);
        let tasks: Vec<Task> = launches
            .into_iter()
            .map(|launch| {
                let spec = TaskSpec {
                    launch,
                    ..spec.clone()
                };
                self.new_task(&request, &spec)
            })
            .collect();
        let told = told(&tasks, &notes);
        let created = self
            .store
            .create_told_tasks(&tasks, told, request.client_token.clone())
            .await;
        if let Err(StoreError::NotFound { .. }) = created {
            // Only a cluster can be missing: say what to do about that.
            self.cluster(&request.cluster).await?;
        }
        match created? {
            Created::New => {
                for task in &tasks {
                    self.bell.ring(&task.id);
                }
                Ok(tasks)
            }
            Created::Replayed(ids) => self.tasks_with(ids).await,
        }
    }

    /// Refuses tasks with `tags` in `cluster`, which belong to no service, where none may begin now.
    pub(super) async fn check_admission(
        &self,
        cluster: &ClusterName,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let admission = self.store.admission(cluster, self.clock.now()).await?;
        if admission.is_draining {
            return Err(ControlError::blocked(
                Obstacle::Draining,
                format!("the container instance of cluster \"{cluster}\" is DRAINING"),
                "make it ACTIVE again: aws ecs update-container-instances-state --status ACTIVE",
            ));
        }
        if admission.is_any_held {
            self.check_budgets(cluster, tags).await?;
        }
        Ok(())
    }

    /// The revision that is meant, if tasks can be run from it.
    pub(super) async fn runnable(
        &self,
        wanted: &TaskDefinitionReference,
    ) -> Result<RegisteredTaskDefinition, ControlError> {
        let registered = self.task_definition(wanted).await?;
        if registered.status == TaskDefinitionStatus::Inactive {
            return Err(ControlError::blocked(
                Obstacle::InactiveRevision,
                format!("task definition \"{wanted}\" is INACTIVE"),
                format!(
                    "run another revision, or the newest active one: neargate run {}",
                    wanted.family
                ),
            ));
        }
        self.check_definition(&registered.definition).await?;
        Ok(registered)
    }

    /// Whether a task of `spec`, which `overrides` were applied to, can run here at all.
    pub(super) fn check_spec(
        &self,
        spec: &TaskSpec,
        overrides: &TaskOverrides,
    ) -> Result<(), ControlError> {
        let path = match overrides.runtime {
            Some(_) => "overrides.runtime",
            None => "taskDefinition.runtime",
        };
        self.check_runtime(spec.runtime.as_ref(), path)?;
        self.check_fits(spec)
    }

    /// A task that no empty host could take is refused at once.
    fn check_fits(&self, spec: &TaskSpec) -> Result<(), ControlError> {
        let Ok(host) = self.engine_status.capacity() else {
            return Ok(());
        };
        match Shortage::of(host, Capacity::default(), Capacity::reserved_by(spec)) {
            Some(Shortage::Never(why)) => Err(ControlError::blocked(
                Obstacle::HostTooSmall,
                why,
                "give the task a smaller cpu and memory, or allow more CPU to be reserved with cpu_overcommit",
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn tasks_with(&self, ids: Vec<TaskId>) -> Result<Vec<Task>, ControlError> {
        let mut found = self.store.tasks_by_id(&ids).await?;
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    fn new_task(&self, request: &RunTask, spec: &TaskSpec) -> Task {
        let id = TaskId::generate(self.ids.as_ref());
        let task = Task::new(id, request.cluster.clone(), spec.clone(), self.clock.now());
        Task {
            group: request.group.clone().unwrap_or(task.group),
            started_by: request.started_by.clone(),
            tags: request.tags.clone(),
            overrides: request.overrides_document.clone(),
            ..task
        }
    }

    /// Asks a task to stop. It is recorded when this returns; asking twice changes nothing.
    pub async fn stop_task(
        &self,
        id: &TaskId,
        reason: Option<String>,
    ) -> Result<Task, ControlError> {
        let request = StopRequest {
            at: self.clock.now(),
            code: StopCode::UserInitiated,
            reason,
        };
        let task = self.store.request_stop(id, request).await?;
        self.bell.ring(id);
        Ok(task)
    }

    /// Keeps a task of a service from being ended by scaling in or a deployment for so long; `None` takes that back.
    /// Unhealthy ones are replaced all the same, and a service that is deleted ends all.
    ///
    /// Source: ECS `UpdateTaskProtection`, which knows no other tasks than those of services either.
    pub async fn protect_task(
        &self,
        id: &TaskId,
        length: Option<DurationMs>,
    ) -> Result<Task, ControlError> {
        let task = self.task(id).await?;
        let Some(service) = task.service() else {
            return Err(ControlError::conflict(
                format!("task \"{id}\" belongs to no service: only its user ends it"),
                "a service's tasks are listed by: neargate ps --service NAME",
            ));
        };
        let now = self.clock.now();
        let until = length.map(|length| now.plus(length));
        let protected = self.store.protect_task(id, &service, until, now).await?;
        self.bell.ring(&service);
        protected.ok_or_else(|| {
            ControlError::conflict(
                format!("task \"{id}\" ends or has ended"),
                "a service's tasks are listed by: neargate ps --service NAME",
            )
        })
    }

    /// One task.
    pub async fn task(&self, id: &TaskId) -> Result<Task, ControlError> {
        self.store
            .task(id)
            .await?
            .ok_or_else(|| no_such_task(id.as_str()))
    }

    /// Those of these tasks that there are, by their ID.
    pub async fn tasks_by_id(
        &self,
        ids: &[TaskId],
    ) -> Result<BTreeMap<TaskId, Task>, ControlError> {
        Ok(self.store.tasks_by_id(ids).await?)
    }

    /// The task whose ID is, or begins with, `text`.
    pub async fn find_task(&self, text: &str) -> Result<TaskId, ControlError> {
        if let Ok(id) = text.parse() {
            return Ok(self.task(&id).await?.id);
        }
        let is_prefix =
            text.len() < 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_prefix || text.len() < SHORTEST_PREFIX {
            return Err(ControlError::invalid(
                "task",
                format!(
                    "\"{}\" is not a task ID",
                    text.chars().take(64).collect::<String>()
                ),
                format!(
                    "write all 32 hexadecimal digits of it, or at least the first {SHORTEST_PREFIX}"
                ),
            ));
        }
        let mut found = self.store.tasks_by_id_prefix(text, AMBIGUOUS_SHOWN).await?;
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(no_such_task(text)),
            (Some(id), true) => Ok(id),
            (Some(last), false) => {
                found.push(last);
                let ids: Vec<&str> = found.iter().map(TaskId::as_str).collect();
                Err(ControlError::conflict(
                    format!("several tasks begin with \"{text}\""),
                    format!("write more digits: {}", ids.join(", ")),
                ))
            }
        }
    }

    /// Tasks, newest first.
    pub async fn tasks(
        &self,
        filter: TaskFilter,
        page: PageRequest,
    ) -> Result<Page<Task>, ControlError> {
        Ok(self.store.tasks(&filter, &page).await?)
    }

    /// The newest tasks that wait for something before they run, `most` of them at most.
    pub async fn waiting_tasks(&self, most: u32) -> Result<Vec<Task>, ControlError> {
        Ok(self.store.waiting_tasks(most).await?)
    }
}

/// What is told of each task: what it asks for and does not get.
fn told(tasks: &[Task], notes: &[String]) -> Vec<NewEvent> {
    let one = |task: &Task, note: &String| NewEvent {
        at: task.created_at,
        kind: EventKind::TaskNotice,
        cluster: Some(task.cluster.to_string()),
        subject: task.id.to_string(),
        status: None,
        message: format!("Task {}: {note}", task.id),
    };
    let each = tasks
        .iter()
        .flat_map(|task| notes.iter().map(move |note| one(task, note)));
    each.collect()
}

fn no_such_task(id: &str) -> ControlError {
    ControlError::not_found(
        format!("task \"{id}\""),
        "neargate ps --all lists those that do",
    )
}
