//! Schedules among the documents that are applied. A schedule is always written as a whole, so what a document does not
//! say goes back to its default.

use serde_json::{Value, json};

use super::{Step, Wanted, format, if_there, of_faults};
use crate::cli::Session;
use crate::cli::failure::Failure;
use crate::shapes::diff::diff;
use crate::shapes::{CreateScheduleRequest, Document, Schedule, ScheduleTarget};

/// What `wanted` asks for, in the cluster that was named unless it names one.
fn request(session: &Session, wanted: &Wanted) -> Result<CreateScheduleRequest, Failure> {
    let faulty = |faults| of_faults(&wanted.file, &faults);
    let document = Document::read(&wanted.bytes, format(wanted.syntax)).map_err(faulty)?;
    let mut request = CreateScheduleRequest::read(&document).map_err(faulty)?;
    if request.target.cluster.is_none() {
        request.target.cluster = Some(session.cluster());
    }
    Ok(request)
}

/// The same with all defaults, as the API shows a schedule.
fn with_defaults(request: CreateScheduleRequest) -> Value {
    let time = |text: Option<String>| {
        let at = text.as_deref().and_then(crate::cli::time::parse);
        at.map(|at| at.to_string()).or(text)
    };
    let target = request.target;
    let shown = Schedule {
        name: request.name.unwrap_or_default(),
        schedule_expression: request.schedule_expression.trim().to_owned(),
        schedule_expression_timezone: request
            .schedule_expression_timezone
            .unwrap_or_else(|| "UTC".to_owned()),
        start_date: time(request.start_date),
        end_date: time(request.end_date),
        description: request.description,
        state: request.state.unwrap_or_default(),
        concurrency_policy: request.concurrency_policy.unwrap_or_default(),
        missed_runs: request.missed_runs.unwrap_or_default(),
        starting_deadline_seconds: request.starting_deadline_seconds,
        target: ScheduleTarget {
            count: Some(target.count.unwrap_or(1)),
            enable_execute_command: Some(target.enable_execute_command.unwrap_or_default()),
            tags: Some(target.tags.unwrap_or_default()),
            ..target
        },
        ..Schedule::default()
    };
    json!(shown.request())
}

/// What is to be done about a schedule, and whether it is a new one.
pub(super) async fn step(session: &Session, wanted: &Wanted) -> Result<(Step, bool), Failure> {
    let request = request(session, wanted)?;
    let name = request.name.clone().unwrap_or_default();
    let current = if_there(session.client.schedule(&name).await)?;
    let changes = current
        .as_ref()
        .map(|current| diff(&json!(current.request()), &with_defaults(request)));
    let action = match &changes {
        None => "is created",
        Some(changes) if changes.is_empty() => "unchanged",
        Some(_) => "is updated",
    };
    let step = Step {
        name: format!("schedule {name}"),
        action,
        changes: changes.unwrap_or_default(),
    };
    Ok((step, current.is_none()))
}

pub(super) async fn carry_out(
    session: &Session,
    wanted: &Wanted,
    is_new: bool,
) -> Result<(), Failure> {
    let request = request(session, wanted)?;
    let name = request.name.clone().unwrap_or_default();
    let answer = if is_new {
        session.client.create_schedule(&request).await
    } else {
        session.client.update_schedule(&name, &request).await
    };
    let answer = answer.map_err(|error| Failure::of_document(&wanted.file, error));
    answer.map(drop)
}
