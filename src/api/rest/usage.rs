//! What tasks have used.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment};
use super::openapi::Common;
use super::problem::{ApiError, Kind};
use super::tasks::TaskText;
use crate::control::Control;
use crate::domain::TimestampMs;
use crate::shapes::{Problem, TaskUsage, UsageLine, UsageReport, UsageTotal, UsageVerification};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(get_task_usage))
        .routes(routes!(get_usage))
        .routes(routes!(verify_usage))
}

/// What one task has reserved, until it ended or until now, and beside it what it has used.
#[utoipa::path(
    get, path = "/v1/tasks/{task}/usage", tag = "usage",
    params(("task" = String, Path, description = "Its ID, or the first digits of it.")),
    responses(
        (status = 200, description = "What it has used.", body = TaskUsage),
        (status = 404, description = "There is no such task, or it has reserved nothing yet.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Several tasks begin like this.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_task_usage(
    State(control): State<Control>,
    Segment(TaskText(text)): Segment<TaskText>,
) -> Result<Json<TaskUsage>, ApiError> {
    let id = control.find_task(&text).await?;
    let Some(usage) = control.task_usage(&id).await? else {
        let task = control.task(&id).await?;
        let was_removed = task.stopped_at.is_some() && task.pull_started_at.is_some();
        let (what, hint) = if was_removed {
            (
                "ended so long ago that its usage was removed, as usage_retention_days says",
                "what its family came to on that day is known: neargate bill --group-by day --family NAME",
            )
        } else {
            (
                "has reserved nothing yet",
                "its usage begins when its images are first asked for",
            )
        };
        return Err(ApiError::new(Kind::NotFound, format!("task \"{id}\" {what}")).hint(hint));
    };
    Ok(Json(TaskUsage::new(&usage, control.now())))
}

/// Whether the books of the meter are right: nothing lost, nothing counted twice, and as the engine says.
#[utoipa::path(
    get, path = "/v1/usage/verification", tag = "usage",
    responses((status = 200, description = "Each check with its numbers.", body = UsageVerification), Common)
)]
async fn verify_usage(State(control): State<Control>) -> Result<Json<UsageVerification>, ApiError> {
    let checks = control.verify_usage().await?;
    Ok(Json(UsageVerification::new(checks)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct GetUsage {
    /// Only tasks of this cluster.
    cluster: Option<String>,
    /// Only tasks that were run from this family.
    family: Option<String>,
    /// Only tasks that held their reservation at some time from here on: RFC 3339, or how long ago it was,
    /// such as `10m`. They are shown with their whole length.
    from: Option<String>,
    /// Only tasks that held their reservation at some time before this; now unless said otherwise.
    to: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// What tasks have reserved and used, one line per task, in the order in which they began to.
#[utoipa::path(
    get, path = "/v1/usage", tag = "usage",
    params(GetUsage),
    responses((status = 200, description = "A page of the report.", body = UsageReport), Common)
)]
async fn get_usage(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<GetUsage>,
) -> Result<Json<UsageReport>, ApiError> {
    let control = &rest.state.control;
    let now = control.now();
    let mut check = Check::default();
    let filter = check.usage_filter(query.cluster.as_deref(), query.family.as_deref());
    let from = check.moment("from", query.from.as_deref(), now);
    let to = check.moment("to", query.to.as_deref(), now);
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;

    // What was opened in this very millisecond belongs to the report as well.
    let to = to.unwrap_or(TimestampMs::from_millis(now.as_millis().saturating_add(1)));
    let page = control.usage(filter, from, to, page).await?;
    let items: Vec<UsageLine> = page
        .items
        .iter()
        .map(|usage| UsageLine::new(usage, now))
        .collect();
    Ok(Json(UsageReport {
        total: UsageTotal::of(&items),
        items,
        next_token: page.next,
    }))
}
