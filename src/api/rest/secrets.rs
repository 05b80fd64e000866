//! Secrets. A value comes in as the body of a request, as it is, and never goes out again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment, Value};
use super::openapi::Common;
use super::problem::ApiError;
use crate::control::Control;
use crate::domain::SecretName;
use crate::shapes::{Page, Problem, StoredSecret};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_secrets))
        .routes(routes!(put_secret, delete_secret))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListSecrets {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Secrets, by name, without their values.
#[utoipa::path(
    get, path = "/v1/secrets", tag = "secrets",
    params(ListSecrets),
    responses((status = 200, description = "A page of secrets.", body = Page<StoredSecret>), Common)
)]
async fn list_secrets(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListSecrets>,
) -> Result<Json<Page<StoredSecret>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.secrets(page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(StoredSecret::from).collect(),
        next_token: page.next,
    }))
}

/// Puts a secret, in place of its earlier value if it has one.
///
/// The body is the value, byte for byte, whatever its content type: from 1 to 65,536 bytes. Containers that
/// run keep the value that they were given. A slash in the name is written `%2F`.
#[utoipa::path(
    put, path = "/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name.")),
    request_body(content = String, content_type = "application/octet-stream", description = "The value."),
    responses(
        (status = 200, description = "The secret, without its value.", body = StoredSecret),
        (status = 413, description = "The value is too large.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn put_secret(
    State(control): State<Control>,
    Segment(name): Segment<SecretName>,
    Value(value): Value,
) -> Result<Json<StoredSecret>, ApiError> {
    let secret = control.put_secret(&name, &value).await?;
    Ok(Json(StoredSecret::from(&secret)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DeleteSecret {
    /// Also when ACTIVE task definitions use it.
    #[param(value_type = Option<bool>)]
    force: Option<String>,
}

/// Deletes a secret.
///
/// One that ACTIVE task definitions use is only deleted with `force`: their tasks would not start any more.
#[utoipa::path(
    delete, path = "/v1/secrets/{secret}", tag = "secrets",
    params(("secret" = String, Path, description = "Its name."), DeleteSecret),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "There is no such secret.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Task definitions use it.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_secret(
    State(control): State<Control>,
    Segment(name): Segment<SecretName>,
    Params(query): Params<DeleteSecret>,
) -> Result<StatusCode, ApiError> {
    let mut check = Check::default();
    let force = check.flag("force", query.force.as_deref());
    check.done()?;
    control.delete_secret(&name, force).await?;
    Ok(StatusCode::NO_CONTENT)
}
