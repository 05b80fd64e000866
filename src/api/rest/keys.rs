//! Access keys: what the clients of AWS sign with. A secret is in the answer that makes a key, and in no other.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::extract::{Check, Params, Segment, Sent};
use super::openapi::Common;
use super::problem::{ApiError, failed};
use crate::control::Control;
use crate::domain::AccessKeyId;
use crate::shapes::{AccessKey, CreateAccessKeyRequest, NewAccessKey, Page, Problem};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_access_keys, create_access_key))
        .routes(routes!(revoke_access_key))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListAccessKeys {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Access keys, in the order in which they were made, without their secrets.
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys",
    params(ListAccessKeys),
    responses((status = 200, description = "A page of keys.", body = Page<AccessKey>), Common)
)]
async fn list_access_keys(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListAccessKeys>,
) -> Result<Json<Page<AccessKey>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.access_keys(page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(AccessKey::from).collect(),
        next_token: page.next,
    }))
}

/// Makes an access key.
///
/// From the first key on, every call of ECS's API must be signed with one. The answer has the secret, which is shown
/// this once.
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys",
    request_body(content(
        (CreateAccessKeyRequest = "application/json"),
        (CreateAccessKeyRequest = "application/yaml"),
    )),
    responses(
        (status = 201, description = "The key, with its secret.", body = NewAccessKey),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn create_access_key(
    State(control): State<Control>,
    Sent(document): Sent,
) -> Result<(StatusCode, Json<NewAccessKey>), ApiError> {
    let (user, role) =
        CreateAccessKeyRequest::parse(&document).map_err(|faults| ApiError::invalid(&faults))?;
    let (key, secret) = control.create_access_key(user, role).await?;
    let secret = secret.as_text().map_err(|error| failed(&error))?;
    let made = NewAccessKey {
        key: AccessKey::from(&key),
        secret_access_key: secret.to_owned(),
    };
    Ok((StatusCode::CREATED, Json(made)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct RevokeAccessKey {
    /// Also takes the key from the list. When none is left there, calls of ECS's API need no signature any more.
    #[param(value_type = Option<bool>)]
    forget: Option<String>,
}

/// Revokes an access key.
///
/// It is not taken any more, and its secret is gone. Doing so again changes nothing.
#[utoipa::path(
    delete, path = "/v1/keys/{accessKeyId}", tag = "keys",
    params(("accessKeyId" = String, Path, description = "Its public half."), RevokeAccessKey),
    responses(
        (status = 204, description = "It is revoked."),
        (status = 404, description = "There is no such key.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn revoke_access_key(
    State(control): State<Control>,
    Segment(id): Segment<AccessKeyId>,
    Params(query): Params<RevokeAccessKey>,
) -> Result<StatusCode, ApiError> {
    let mut check = Check::default();
    let forget = check.flag("forget", query.forget.as_deref());
    check.done()?;
    control.revoke_access_key(&id, forget).await?;
    Ok(StatusCode::NO_CONTENT)
}
