//! Requests to create and to change schedules.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::run_task::{name, run};
use super::{Formed, finish, form};
use crate::domain::{
    DurationMs, Fault, Faults, InvalidExpression, ScheduleDefinition, ScheduleExpression,
    ScheduleName, ScheduleTarget, ScheduleTimeZone, TimestampMs, Timing,
};
use crate::shapes::document::Document;
use crate::shapes::schema::Schema;
use crate::shapes::{self, CreateScheduleRequest, PropagateTags, RunTaskRequest, path};

static SCHEDULE: LazyLock<Schema> = LazyLock::new(Schema::of::<CreateScheduleRequest>);

/// A schedule that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// What it is to be.
    pub definition: ScheduleDefinition,
}

impl ParsedSchedule {
    /// What `document` asks for, or all that is wrong with it. It must not have another name than `named`, if that is
    /// given.
    pub fn parse(document: &Document, named: Option<&ScheduleName>) -> Result<Self, Faults> {
        let Formed {
            request,
            value,
            faults: form,
        } = form::<CreateScheduleRequest>(document, &SCHEDULE);
        let mut faults = Faults::default();
        let parsed = schedule(request, &value, named, &mut faults);
        finish(parsed, document, form, &faults)
    }
}

impl CreateScheduleRequest {
    /// The request as it is written in `document`, or what is wrong with its form.
    pub fn read(document: &Document) -> Result<Self, Faults> {
        let Formed {
            request, faults, ..
        } = form::<Self>(document, &SCHEDULE);
        finish(Some(request), document, faults, &Faults::default())
    }
}

fn schedule(
    request: CreateScheduleRequest,
    value: &serde_json::Value,
    named: Option<&ScheduleName>,
    faults: &mut Faults,
) -> Option<ParsedSchedule> {
    let schedule_name = match (&request.name, named) {
        (Some(sent), named) => {
            let sent = name::<ScheduleName>(sent, "name", faults);
            if let (Some(sent), Some(named)) =
                (&sent, named.filter(|name| Some(*name) != sent.as_ref()))
            {
                faults.add_with_hint(
                    "name",
                    format!("is `{sent}`, but it is `{named}` that is to be changed"),
                    "a schedule keeps its name; delete it and make another one",
                );
            }
            sent
        }
        (None, Some(named)) => Some(named.clone()),
        (None, None) => {
            faults.add_with_hint("name", "is missing", "give it one, as name: nightly");
            None
        }
    };
    let expression =
        expressed::<ScheduleExpression>(&request.schedule_expression, "scheduleExpression", faults);
    let time_zone = match &request.schedule_expression_timezone {
        Some(text) => expressed(text, "scheduleExpressionTimezone", faults),
        None => Some(ScheduleTimeZone::default()),
    };
    let start_date = date(request.start_date.as_deref(), "startDate", faults);
    let end_date = date(request.end_date.as_deref(), "endDate", faults);
    if let (Some(start), Some(end)) = (start_date, end_date)
        && end < start
    {
        faults.add("endDate", "lies before startDate");
    }
    let target = target(request.target, &value["target"], faults);
    let (expression, time_zone) = (expression?, time_zone?);
    let timing = Timing {
        expression: &expression,
        time_zone: &time_zone,
        start: start_date,
        end: end_date,
        anchored_at: TimestampMs::from_millis(0),
    };
    if let Err(error) = timing.check() {
        fault("scheduleExpression", error, faults);
    }
    Some(ParsedSchedule {
        name: schedule_name?,
        definition: ScheduleDefinition {
            expression,
            time_zone,
            start_date,
            end_date,
            description: request.description,
            state: request.state.unwrap_or_default().into(),
            concurrency_policy: request.concurrency_policy.unwrap_or_default().into(),
            missed_runs: request.missed_runs.unwrap_or_default().into(),
            starting_deadline: request.starting_deadline_seconds.map(DurationMs::from_secs),
            target: target?,
        },
    })
}

fn expressed<T: std::str::FromStr<Err = InvalidExpression>>(
    text: &str,
    path: &str,
    faults: &mut Faults,
) -> Option<T> {
    text.parse()
        .map_err(|error| fault(path, error, faults))
        .ok()
}

fn fault(path: &str, error: InvalidExpression, faults: &mut Faults) {
    match error.hint {
        Some(hint) => faults.add_with_hint(path, error.message, hint),
        None => faults.add(path, error.message),
    }
}

fn date(text: Option<&str>, path: &str, faults: &mut Faults) -> Option<TimestampMs> {
    let text = text?;
    let parsed: Option<Timestamp> = text.parse().ok();
    if parsed.is_none() {
        faults.add_with_hint(
            path,
            format!("is {}, which is not a point in time", path::quote(text)),
            "write it in RFC 3339, as 2026-11-20T13:00:00Z",
        );
    }
    parsed.map(|at| TimestampMs::from_millis(at.as_millisecond()))
}

/// A target is a request to run tasks, and is read as one.
fn target(
    sent: shapes::ScheduleTarget,
    value: &serde_json::Value,
    faults: &mut Faults,
) -> Option<ScheduleTarget> {
    let propagate_tags = match sent.propagate_tags {
        Some(PropagateTags::Service) => {
            faults.add_with_hint(
                "target.propagateTags",
                "is `SERVICE`, but there is no service",
                "write TASK_DEFINITION, or leave it out",
            );
            false
        }
        other => other == Some(PropagateTags::TaskDefinition),
    };
    if let Some(group) = &sent.group
        && group.starts_with(crate::domain::SERVICE_GROUP)
    {
        faults.add_with_hint(
            "target.group",
            format!(
                "is {}, as the groups of services are called",
                path::quote(group)
            ),
            "leave it out, or choose another one",
        );
    }
    let request = RunTaskRequest {
        cluster: sent.cluster,
        task_definition: sent.task_definition,
        count: sent.count,
        overrides: sent.overrides,
        enable_execute_command: sent.enable_execute_command,
        tags: sent.tags,
        ..RunTaskRequest::default()
    };
    let mut inner = Faults::default();
    let parsed = run(request, value, &mut inner);
    faults.extend(inner.iter().map(|fault| Fault {
        path: format!("target.{}", fault.path),
        ..fault.clone()
    }));
    let parsed = parsed?;
    Some(ScheduleTarget {
        cluster: parsed.cluster,
        task_definition: parsed.task_definition,
        count: parsed.count,
        overrides: parsed.overrides,
        overrides_document: parsed.overrides_document,
        enable_execute_command: parsed.enable_execute_command,
        tags: parsed.tags,
        group: sent.group,
        propagate_tags,
    })
}
