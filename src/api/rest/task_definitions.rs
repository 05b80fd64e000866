//! Task definitions.

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
use crate::domain::{TaskDefinitionReference, TaskDefinitionStatus};
use crate::shapes::{
    Page, ParsedTaskDefinition, Problem, RegisterTaskDefinitionRequest, TaskDefinition,
};
use crate::store::TaskDefinitionFilter;

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_task_definitions, register_task_definition))
        .routes(routes!(get_task_definition, delete_task_definition))
        .routes(routes!(deregister_task_definition))
}

/// Registers a task definition: it becomes the next revision of its family.
///
/// The document is the input of ECS's `RegisterTaskDefinition`. What is kept without having an
/// effect here is listed under `warnings`.
#[utoipa::path(
    post, path = "/v1/task-definitions", tag = "task definitions",
    request_body(content(
        (RegisterTaskDefinitionRequest = "application/yaml"),
        (RegisterTaskDefinitionRequest = "application/json"),
    )),
    responses(
        (status = 201, description = "The revision.", body = TaskDefinition, headers(("location", description = "Its path."))),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn register_task_definition(
    State(control): State<Control>,
    Sent(document): Sent,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<TaskDefinition>), ApiError> {
    let ParsedTaskDefinition {
        definition,
        document,
        warnings,
    } = ParsedTaskDefinition::parse(&document).map_err(|faults| ApiError::invalid(&faults))?;
    let registered = control
        .register_task_definition(&definition, &document, &warnings)
        .await?;
    let registered = TaskDefinition::from(&registered);
    let location = format!("/v1/task-definitions/{}", registered.task_definition);
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(registered),
    ))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListTaskDefinitions {
    /// Only revisions of this family.
    family: Option<String>,
    /// Only of families whose name begins with this.
    family_prefix: Option<String>,
    /// Only `ACTIVE` or only `INACTIVE` ones.
    status: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

fn parse_status(text: &str) -> Option<TaskDefinitionStatus> {
    match text {
        "ACTIVE" => Some(TaskDefinitionStatus::Active),
        "INACTIVE" => Some(TaskDefinitionStatus::Inactive),
        _ => None,
    }
}

/// Revisions, by family.
#[utoipa::path(
    get, path = "/v1/task-definitions", tag = "task definitions",
    params(ListTaskDefinitions),
    responses((status = 200, description = "A page of revisions.", body = Page<TaskDefinition>), Common)
)]
async fn list_task_definitions(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListTaskDefinitions>,
) -> Result<Json<Page<TaskDefinition>>, ApiError> {
    let mut check = Check::default();
    let filter = TaskDefinitionFilter {
        family: check.parse("family", query.family.as_deref()),
        family_prefix: query.family_prefix,
        status: check.word(
            "status",
            query.status.as_deref(),
            parse_status,
            &["ACTIVE", "INACTIVE"],
        ),
    };
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.task_definitions(filter, page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(TaskDefinition::from).collect(),
        next_token: page.next,
    }))
}

/// One revision, or the newest active one of a family.
#[utoipa::path(
    get, path = "/v1/task-definitions/{taskDefinition}", tag = "task definitions",
    params(("taskDefinition" = String, Path, description = "`family` or `family:revision`.")),
    responses(
        (status = 200, description = "The revision.", body = TaskDefinition),
        (status = 404, description = "There is no such revision.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_task_definition(
    State(control): State<Control>,
    Segment(wanted): Segment<TaskDefinitionReference>,
) -> Result<Json<TaskDefinition>, ApiError> {
    let registered = control.task_definition(&wanted).await?;
    Ok(Json(TaskDefinition::from(&registered)))
}

/// Makes a revision INACTIVE: what runs goes on, nothing new starts from it.
#[utoipa::path(
    post, path = "/v1/task-definitions/{taskDefinition}/deregister", tag = "task definitions",
    params(("taskDefinition" = String, Path, description = "`family:revision`.")),
    responses(
        (status = 200, description = "The revision.", body = TaskDefinition),
        (status = 404, description = "There is no such revision.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn deregister_task_definition(
    State(control): State<Control>,
    Segment(wanted): Segment<TaskDefinitionReference>,
) -> Result<Json<TaskDefinition>, ApiError> {
    let registered = control.deregister_task_definition(&wanted).await?;
    Ok(Json(TaskDefinition::from(&registered)))
}

/// Deletes an INACTIVE revision.
///
/// Its tasks keep their own copy; its number is not used again.
#[utoipa::path(
    delete, path = "/v1/task-definitions/{taskDefinition}", tag = "task definitions",
    params(("taskDefinition" = String, Path, description = "`family:revision`.")),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "There is no such revision.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is ACTIVE.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_task_definition(
    State(control): State<Control>,
    Segment(wanted): Segment<TaskDefinitionReference>,
) -> Result<StatusCode, ApiError> {
    control.delete_task_definition(&wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}
