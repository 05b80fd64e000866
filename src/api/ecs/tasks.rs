//! Tasks.

use serde_json::{Map, Value, json};

use super::error::EcsError;
use super::input::{Input, check_tags};
use super::{forms, instances, launch, names, show, tags};
use crate::api::rest::{ask_for_more, order};
use crate::control::{Control, ControlError, Obstacle, RunTask};
use crate::domain::{
    Cluster, ClusterName, DesiredStatus, DurationMs, LaunchPlan, LaunchType,
    RegisteredTaskDefinition, Task, TaskDefinitionStatus, TaskId, first_subnet, managed_tags,
    task_arn,
};
use crate::shapes::{Document, ParsedRunTask, run_notes};
use crate::store::TaskFilter;

/// Tasks that one call can ask for, and that one can run, as in ECS.
const MOST: usize = 100;
const MOST_RUN: i64 = 10;
/// Tasks that one call can protect, as in ECS, and for how long unless it says otherwise.
const MOST_PROTECTED: usize = 10;
const PROTECTED_MINUTES: i64 = 120;
/// The longest `reason`, as in ECS.
const LONGEST_REASON: usize = 1_024;
/// Container instances that one call can start tasks on, as in ECS.
const MOST_INSTANCES: usize = 10;

/// What REST does not know: it is read here, or has no effect on one host and is told as events of the tasks.
const BESIDE: [&str; 10] = [
    "capacityProviderStrategy",
    "containerInstances",
    "enableECSManagedTags",
    "launchType",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "propagateTags",
    "referenceId",
];
/// Of `overrides`, what is kept, given back, and without effect: Neargate gives tasks no credentials of AWS.
const OVERRIDES_KEPT: [&str; 3] = ["executionRoleArn", "taskRoleArn", "ephemeralStorage"];

pub(super) async fn run(control: Control, input: Input) -> Result<Value, EcsError> {
    input.number("count", 1, MOST_RUN)?;
    let cluster = input.cluster(&control).await?;
    let plan = launch::plan(&input, &control, &cluster).await?;
    let (tasks, failures) = match begin(&control, input, &cluster, plan, None).await? {
        Begun::Tasks(tasks) => (tasks, Vec::new()),
        Begun::Failed(failure) => (Vec::new(), vec![failure]),
        Begun::Draining => {
            return Err(EcsError::parameter(
                "No Container Instances were found in your cluster: the one that it has is DRAINING.",
            ));
        }
    };
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|task| show::task(task, control.instance_id(), true))
        .collect();
    Ok(show::found("tasks", tasks, failures))
}

/// Starts a task on each container instance that is named: the host, or none.
pub(super) async fn start(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?;
    let named = input.some_texts("containerInstances", MOST_INSTANCES)?;
    let named: Vec<String> = named.into_iter().map(str::to_owned).collect();
    let (mut here, mut failures) = (Vec::new(), Vec::new());
    for text in named {
        if instances::is_it(&control, &cluster, &text)? {
            here.push(show::container_instance_arn(
                &cluster.name,
                control.instance_id(),
            ));
        } else {
            failures.push(instances::missing(&cluster, &text));
        }
    }
    let count = u32::try_from(here.len()).unwrap_or_default();
    if count == 0 {
        return Ok(json!({ "tasks": [], "failures": failures }));
    }
    let plan = LaunchPlan::On(LaunchType::Ec2);
    let tasks = match begin(&control, input, &cluster, plan, Some(count)).await? {
        Begun::Tasks(tasks) => tasks,
        Begun::Failed(failure) => {
            failures.push(failure);
            Vec::new()
        }
        Begun::Draining => {
            let inactive =
                |arn| json!({ "arn": arn, "reason": "INACTIVE", "detail": "it is DRAINING" });
            failures.extend(here.into_iter().map(inactive));
            Vec::new()
        }
    };
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|task| show::task(task, control.instance_id(), true))
        .collect();
    Ok(show::found("tasks", tasks, failures))
}

/// What became of a request for tasks.
enum Begun {
    Tasks(Vec<Task>),
    /// One of ECS's `failures`, which is no mistake of the call's.
    Failed(Value),
    /// The cluster's container instance takes none.
    Draining,
}

/// Has tasks run as `input` says; so many of them if `count` says so.
async fn begin(
    control: &Control,
    input: Input,
    cluster: &Cluster,
    plan: LaunchPlan,
    count: Option<u32>,
) -> Result<Begun, EcsError> {
    for (name, form) in &forms::OF_SERVICES {
        if let Some(sent) = input.value(name) {
            form.check(sent, name)?;
        }
    }
    input.tags()?;
    let managed = input.flag("enableECSManagedTags").unwrap_or_default();
    let cluster = cluster.name.clone();
    let wanted = names::task_definition(input.required("taskDefinition"))?;
    let propagate = input.word("propagateTags", &["TASK_DEFINITION", "SERVICE", "NONE"])?;
    let propagate = propagate == Some("TASK_DEFINITION");
    let mut sent = input.into_map();
    sent.insert("cluster".to_owned(), json!(cluster));
    sent.insert("taskDefinition".to_owned(), json!(wanted.to_string()));
    let beside: Map<String, Value> = BESIDE
        .iter()
        .filter_map(|name| sent.remove_entry(*name))
        .collect();
    sent.extend(count.map(|count| ("count".to_owned(), json!(count))));
    let kept = take_kept(&mut sent);
    let parsed = ParsedRunTask::parse(&Document::from_value(&Value::Object(sent)))
        .map_err(|faults| EcsError::faults("InvalidParameterException", &faults))?;
    let mut request = order(parsed);
    if !(beside.is_empty() && kept.is_empty()) {
        ask_for_more(&mut request, &json!([beside, kept]));
    }
    request.launch = plan;
    request.subnet = first_subnet(beside.get("networkConfiguration"));
    request.notes = run_notes(&Value::Object(beside));
    if let Value::Object(overrides) = &mut request.overrides_document {
        overrides.extend(kept);
    }
    if propagate {
        let definition = runnable(control, &request).await?;
        let mut tags = tags::of_definition(control, &definition).await?;
        tags.extend(std::mem::take(&mut request.tags));
        request.tags = tags;
        check_tags(&request.tags)?;
    }
    if managed {
        request.tags.extend(managed_tags(&cluster, None));
    }
    match control.run_task(request).await {
        Ok(tasks) => Ok(Begun::Tasks(tasks)),
        Err(ControlError::Conflict {
            obstacle: Obstacle::Draining,
            ..
        }) => Ok(Begun::Draining),
        // A task that no empty host could take is no mistake of the call's.
        Err(ControlError::Conflict {
            obstacle: Obstacle::HostTooSmall,
            message,
            ..
        }) => {
            let (reason, detail) = message.split_once(": ").unwrap_or((&message, ""));
            let arn = show::container_instance_arn(&cluster, control.instance_id());
            let failure = json!({ "arn": arn, "reason": reason, "detail": detail });
            Ok(Begun::Failed(failure))
        }
        Err(ControlError::NotFound { .. }) => Err(EcsError::client("TaskDefinition not found.")),
        Err(ControlError::Conflict {
            obstacle: Obstacle::InactiveRevision,
            ..
        }) => Err(EcsError::client("TaskDefinition is inactive")),
        Err(error) => Err(error.into()),
    }
}

/// The definition that is to run, if it can.
async fn runnable(
    control: &Control,
    request: &RunTask,
) -> Result<RegisteredTaskDefinition, EcsError> {
    match control.task_definition(&request.definition).await {
        Ok(found) if found.status == TaskDefinitionStatus::Inactive => {
            Err(EcsError::client("TaskDefinition is inactive"))
        }
        Err(ControlError::NotFound { .. }) => Err(EcsError::client("TaskDefinition not found.")),
        found => Ok(found?),
    }
}

/// Takes from `overrides` what is only given back.
fn take_kept(sent: &mut Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(overrides)) = sent.get_mut("overrides") else {
        return Map::new();
    };
    // Empty lists of what there is not are how tools say that they have none.
    let empty = "inferenceAcceleratorOverrides";
    if overrides
        .get(empty)
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
    {
        overrides.remove(empty);
    }
    let mut kept = Map::new();
    for name in OVERRIDES_KEPT {
        let fits = |value: &Value| match name {
            "ephemeralStorage" => {
                value["sizeInGiB"].is_u64() && value.as_object().is_some_and(|all| all.len() == 1)
            }
            _ => value.is_string(),
        };
        if overrides.get(name).is_some_and(fits) {
            kept.extend(overrides.remove(name).map(|value| (name.to_owned(), value)));
        }
    }
    kept
}

pub(super) async fn stop(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?.name;
    let id = names::task(input.required("task"), &cluster)?;
    let reason = input.text("reason").map(str::to_owned);
    if reason
        .as_ref()
        .is_some_and(|reason| reason.chars().count() > LONGEST_REASON)
    {
        return Err(EcsError::parameter(format!(
            "Reason can have at most {LONGEST_REASON} characters."
        )));
    }
    let found = find(&control, &cluster, &id).await?;
    if found.is_none() {
        return Err(EcsError::parameter("The referenced task was not found."));
    }
    let task = control.stop_task(&id, reason).await?;
    let mut tasks = [task];
    control.renew_tags(&mut tasks).await?;
    Ok(json!({ "task": show::task(&tasks[0], control.instance_id(), true) }))
}

/// A task of `cluster`; one of another cluster is not there.
async fn find(
    control: &Control,
    cluster: &ClusterName,
    id: &TaskId,
) -> Result<Option<Task>, EcsError> {
    match control.task(id).await {
        Ok(task) => Ok(Some(task).filter(|task| task.cluster == *cluster)),
        Err(ControlError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn describe(control: Control, input: Input) -> Result<Value, EcsError> {
    let with_tags = input.includes("TAGS", &["TAGS"])?;
    let cluster = input.cluster(&control).await?.name;
    let texts = input.some_texts("tasks", MOST)?.into_iter();
    let ids: Vec<TaskId> = texts
        .map(|text| names::task(text, &cluster))
        .collect::<Result<_, _>>()?;
    let found = control.tasks_by_id(&ids).await?;
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for id in &ids {
        match found.get(id).filter(|task| task.cluster == cluster) {
            Some(task) => tasks.push(task.clone()),
            None => failures.push(show::missing(&task_arn(&cluster, id))),
        }
    }
    if with_tags {
        control.renew_tags(&mut tasks).await?;
    }
    let tasks: Vec<Value> = tasks
        .iter()
        .map(|task| show::task(task, control.instance_id(), with_tags))
        .collect();
    Ok(show::found("tasks", tasks, failures))
}

pub(super) async fn list(control: Control, input: Input) -> Result<Value, EcsError> {
    let desired = input
        .word("desiredStatus", &["RUNNING", "PENDING", "STOPPED"])?
        .unwrap_or("RUNNING");
    let launch_type = launch::launch_type(&input)?;
    let page = input.page(100)?;
    let cluster = input.cluster(&control).await?;
    let is_here = match input.text("containerInstance") {
        Some(text) => instances::is_it(&control, &cluster, text)?,
        None => true,
    };
    let cluster = cluster.name;
    let group = match input.text("serviceName") {
        Some(text) => {
            let key = names::service(text, &cluster)?;
            match control.service(&key).await {
                Err(ControlError::NotFound { .. }) => return Err(EcsError::no_service()),
                found => found?,
            };
            Some(key.name.group())
        }
        None => None,
    };
    // No task is ever to be PENDING, and none is on another host.
    let elsewhere = !is_here || input.text("daemonName").is_some();
    let Some(desired_status) = DesiredStatus::parse(desired).filter(|_| !elsewhere) else {
        return Ok(json!({ "taskArns": [] }));
    };
    let filter = TaskFilter {
        cluster: Some(cluster),
        family: input.text("family").map(str::parse).transpose()?,
        started_by: input.text("startedBy").map(str::to_owned),
        group,
        desired_status: Some(desired_status),
        last_status: None,
        launch_type,
    };
    let page = control.tasks(filter, page).await?;
    let arns: Vec<String> = page
        .items
        .iter()
        .map(|task| task_arn(&task.cluster, &task.id))
        .collect();
    Ok(json!({ "taskArns": arns, "nextToken": page.next }))
}

pub(super) async fn protect(control: Control, input: Input) -> Result<Value, EcsError> {
    let minutes = input.number("expiresInMinutes", 1, 2_880)?;
    let minutes = u32::try_from(minutes.unwrap_or(PROTECTED_MINUTES)).unwrap_or_default();
    let enable = input.flag("protectionEnabled").unwrap_or_default();
    let length = enable.then(|| DurationMs::from_secs(60 * minutes));
    let cluster = input.cluster(&control).await?.name;
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("tasks", MOST_PROTECTED)? {
        let id = names::task(text, &cluster)?;
        let arn = task_arn(&cluster, &id);
        if find(&control, &cluster, &id).await?.is_none() {
            failures.push(show::missing(&arn));
            continue;
        }
        match control.protect_task(&id, length).await {
            Ok(task) => protected.push(show::protection(&task, control.now())),
            Err(ControlError::Conflict { message, .. }) => failures.push(json!({
                "arn": arn, "reason": "TASK_NOT_VALID", "detail": message,
            })),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(show::found("protectedTasks", protected, failures))
}

pub(super) async fn protection(control: Control, input: Input) -> Result<Value, EcsError> {
    let cluster = input.cluster(&control).await?.name;
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for text in input.some_texts("tasks", MOST)? {
        let id = names::task(text, &cluster)?;
        match find(&control, &cluster, &id).await? {
            Some(task) => protected.push(show::protection(&task, control.now())),
            None => failures.push(show::missing(&task_arn(&cluster, &id))),
        }
    }
    Ok(show::found("protectedTasks", protected, failures))
}
