//! Schedules.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment, Sent};
use super::openapi::Common;
use super::problem::ApiError;
use crate::control::Control;
use crate::domain::ScheduleName;
use crate::shapes::{CreateScheduleRequest, Page, ParsedSchedule, Problem, Schedule, ScheduleRun};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_schedules, create_schedule))
        .routes(routes!(get_schedule, update_schedule, delete_schedule))
        .routes(routes!(list_schedule_runs))
        .routes(routes!(run_schedule))
}

/// Creates a schedule: tasks that are run at the times that an expression means.
///
/// A rate without a `startDate` runs at once, and then at its rate, as in Amazon EventBridge Scheduler.
#[utoipa::path(
    post, path = "/v1/schedules", tag = "schedules",
    request_body(content(
        (CreateScheduleRequest = "application/yaml"),
        (CreateScheduleRequest = "application/json"),
    )),
    responses(
        (status = 201, description = "The schedule.", body = Schedule, headers(("location", description = "Its path."))),
        (status = 404, description = "There is no such cluster or task definition.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is in use, or the revision is INACTIVE.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full; nothing was recorded.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn create_schedule(
    State(control): State<Control>,
    Sent(document): Sent,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Schedule>), ApiError> {
    let ParsedSchedule { name, definition } =
        ParsedSchedule::parse(&document, None).map_err(|faults| ApiError::invalid(&faults))?;
    control.create_schedule(name.clone(), definition).await?;
    let location = format!("/v1/schedules/{name}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        shown(&control, &name).await?,
    ))
}

async fn shown(control: &Control, name: &ScheduleName) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(Schedule::from(&control.schedule(name).await?)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListSchedules {
    /// Only schedules that run their tasks in this cluster; all unless one is named.
    cluster: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Schedules by name.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules",
    params(ListSchedules),
    responses((status = 200, description = "A page of schedules.", body = Page<Schedule>), Common)
)]
async fn list_schedules(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListSchedules>,
) -> Result<Json<Page<Schedule>>, ApiError> {
    let mut check = Check::default();
    let cluster = check.parse("cluster", query.cluster.as_deref());
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.schedules(cluster, page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(Schedule::from).collect(),
        next_token: page.next,
    }))
}

/// One schedule, with its next occurrences.
#[utoipa::path(
    get, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The schedule.", body = Schedule),
        (status = 404, description = "There is no such schedule.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_schedule(
    State(control): State<Control>,
    Segment(name): Segment<ScheduleName>,
) -> Result<Json<Schedule>, ApiError> {
    shown(&control, &name).await
}

/// Makes a schedule what the document says: what is absent gets its default, as in EventBridge's `UpdateSchedule`.
///
/// Times that lie back are no occurrences of a new expression, nor is what passed while it was `DISABLED`.
#[utoipa::path(
    put, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Its name.")),
    request_body(content(
        (CreateScheduleRequest = "application/json"),
        (CreateScheduleRequest = "application/yaml"),
    )),
    responses(
        (status = 200, description = "The schedule.", body = Schedule),
        (status = 404, description = "There is no such schedule, cluster or task definition.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The revision is INACTIVE.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn update_schedule(
    State(control): State<Control>,
    Segment(name): Segment<ScheduleName>,
    Sent(document): Sent,
) -> Result<Json<Schedule>, ApiError> {
    let ParsedSchedule { definition, .. } = ParsedSchedule::parse(&document, Some(&name))
        .map_err(|faults| ApiError::invalid(&faults))?;
    control.update_schedule(&name, definition).await?;
    shown(&control, &name).await
}

/// Deletes a schedule. Its tasks go on; what became of its occurrences is forgotten.
#[utoipa::path(
    delete, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Its name.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is no such schedule.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_schedule(
    State(control): State<Control>,
    Segment(name): Segment<ScheduleName>,
) -> Result<StatusCode, ApiError> {
    control.delete_schedule(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListRuns {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// What became of the occurrences of a schedule, newest first; the newest 100 are remembered.
#[utoipa::path(
    get, path = "/v1/schedules/{schedule}/runs", tag = "schedules",
    params(("schedule" = String, Path, description = "Its name."), ListRuns),
    responses(
        (status = 200, description = "A page of runs.", body = Page<ScheduleRun>),
        (status = 404, description = "There is no such schedule.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn list_schedule_runs(
    State(rest): State<Arc<Rest>>,
    Segment(name): Segment<ScheduleName>,
    Params(query): Params<ListRuns>,
) -> Result<Json<Page<ScheduleRun>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.schedule_runs(&name, page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(ScheduleRun::from).collect(),
        next_token: page.next,
    }))
}

/// Runs what a schedule runs, now. The schedule goes on as if nothing had happened.
#[utoipa::path(
    post, path = "/v1/schedules/{schedule}/run", tag = "schedules",
    params(("schedule" = String, Path, description = "Its name.")),
    responses(
        (status = 201, description = "The run, with its tasks.", body = ScheduleRun),
        (status = 404, description = "There is no such schedule, or what it runs is gone.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Its `concurrencyPolicy` is not `allow`, and tasks of an earlier run still go on; or the revision is INACTIVE.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn run_schedule(
    State(control): State<Control>,
    Segment(name): Segment<ScheduleName>,
) -> Result<(StatusCode, Json<ScheduleRun>), ApiError> {
    let run = control.run_schedule(&name).await?;
    Ok((StatusCode::CREATED, Json(ScheduleRun::from(&run))))
}
