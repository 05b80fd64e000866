//! Services.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Check, Client, Params, Segment, Segments, Sent};
use super::openapi::Common;
use super::problem::{ApiError, Kind};
use super::{Rest, idempotence};
use crate::control::{Control, ControlError, CreateService, default_cluster};
use crate::domain::{ServiceKey, ServiceName, ServiceRevisionId};
use crate::shapes::{
    CreateServiceRequest, Page, ParsedService, Problem, Service, ServiceDeployment,
    ServiceRevision, UpdateServiceRequest,
};
use crate::store::{ClientToken, StoreError};

/// The most characters of a `clientToken`, as the document's schema has it.
const LONGEST_TOKEN: usize = 64;

/// The header that says who asks.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "it is only documentation: `Client` reads the header"
)]
struct Caller {
    /// What the client calls itself, as `alice@laptop`; up to 128 visible ASCII characters. It is shown with the
    /// deployment, as not verified.
    #[param(rename = "neargate-client", max_length = 128)]
    neargate_client: Option<String>,
}

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_services, create_service))
        .routes(routes!(get_service, update_service, delete_service))
        .routes(routes!(roll_back_service))
        .routes(routes!(list_deployments))
        .routes(routes!(get_revision))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct CreateIn {
    /// Where it is to be, when the document does not say it; one that says something else is refused.
    cluster: Option<String>,
    /// Makes the request safe to repeat, when the document has no `clientToken`.
    #[param(min_length = 1, max_length = 64)]
    client_token: Option<String>,
}

/// Creates a service: so many tasks of one revision, kept running.
///
/// The document is the input of ECS's `CreateService`. The service is recorded when the answer comes, and its tasks
/// start after that. What has no effect here is listed under `warnings`. A `clientToken` makes the request safe to
/// repeat: the same request with it gets the same service, another one is refused.
#[utoipa::path(
    post, path = "/v1/services", tag = "services",
    params(CreateIn, Caller),
    request_body(content(
        (CreateServiceRequest = "application/yaml"),
        (CreateServiceRequest = "application/json"),
    )),
    responses(
        (status = 201, description = "The service.", body = Service, headers(("location", description = "Its path."))),
        (status = 404, description = "There is no such cluster or task definition.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is in use, the revision is INACTIVE, or the clientToken came with another request before.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "The disk is full; nothing was recorded.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn create_service(
    State(control): State<Control>,
    Params(query): Params<CreateIn>,
    Client(client): Client,
    Sent(document): Sent,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Service>), ApiError> {
    let mut check = Check::default();
    let cluster = check.parse("cluster", query.cluster.as_deref());
    let length = query.client_token.as_ref().map_or(1, String::len);
    if !(1..=LONGEST_TOKEN).contains(&length) {
        check.add(
            "clientToken",
            "must have 1 to 64 characters",
            "leave it out, or send a UUID",
        );
    }
    check.done()?;
    let ParsedService {
        mut request,
        client_token,
        warnings,
    } = ParsedService::create(&document, cluster.as_ref())
        .map_err(|faults| ApiError::invalid(&faults))?;
    request.client_token = client_token
        .or(query.client_token)
        .map(|token| ClientToken {
            token,
            request_hash: request_hash(&request),
        });
    request.client = client;
    let key = request.key.clone();
    control
        .create_service(request)
        .await
        .map_err(not_idempotent)?;
    let location = format!("/v1/services/{}?cluster={}", key.name, key.cluster);
    let service = shown(&control, &key, warnings).await?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(service),
    ))
}

/// The same for requests that ask for the same, however they are written, whoever sends them, and whatever their token.
pub(in crate::api) fn request_hash(request: &CreateService) -> String {
    idempotence::hash(&json!({
        "cluster": request.key.cluster,
        "serviceName": request.key.name,
        "taskDefinition": request.definition.as_ref().map(ToString::to_string),
        "desiredCount": request.desired_count,
        "configuration": request.configuration,
        "tags": request.tags,
    }))
}

/// What ECS says where a token comes with another request.
fn not_idempotent(error: ControlError) -> ApiError {
    match error {
        ControlError::Store(StoreError::TokenReused) => ApiError::new(
            Kind::ClientTokenReused,
            "Creation of service was not idempotent: the client token was used before, with another request",
        )
        .hint("send the very same request again, or another clientToken"),
        other => other.into(),
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListServices {
    /// Only services of this cluster; of all clusters unless one is named.
    cluster: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Services that are not INACTIVE, newest first, without their events.
#[utoipa::path(
    get, path = "/v1/services", tag = "services",
    params(ListServices),
    responses((status = 200, description = "A page of services.", body = Page<Service>), Common)
)]
async fn list_services(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListServices>,
) -> Result<Json<Page<Service>>, ApiError> {
    let mut check = Check::default();
    let cluster = check.parse("cluster", query.cluster.as_deref());
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let control = &rest.state.control;
    let page = control.services(cluster, page).await?;
    let now = control.now();
    Ok(Json(Page {
        items: page
            .items
            .iter()
            .map(|view| Service::of(view, now))
            .collect(),
        next_token: page.next,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct InCluster {
    /// Where it is; `default` unless said otherwise.
    cluster: Option<String>,
}

impl InCluster {
    fn key(self, name: ServiceName) -> Result<ServiceKey, ApiError> {
        key(self.cluster.as_deref(), name)
    }
}

fn key(cluster: Option<&str>, name: ServiceName) -> Result<ServiceKey, ApiError> {
    let mut check = Check::default();
    let cluster = check.parse("cluster", cluster);
    check.done()?;
    Ok(ServiceKey {
        cluster: cluster.unwrap_or_else(default_cluster),
        name,
    })
}

/// The service with its tasks counted, its events, and `warnings` about the request.
async fn shown(
    control: &Control,
    key: &ServiceKey,
    warnings: Vec<String>,
) -> Result<Service, ApiError> {
    let (view, events) = control.service_with_events(key).await?;
    let mut service = Service::of(&view, control.now());
    service.events = events.iter().map(Into::into).collect();
    service.scaling = control.scaling_of(key).await?.as_ref().map(Into::into);
    service.warnings.splice(0..0, warnings);
    Ok(service)
}

/// One service, with the newest of what happened to it.
///
/// One that was deleted is still shown, as INACTIVE, until another one gets its name.
#[utoipa::path(
    get, path = "/v1/services/{service}", tag = "services",
    params(("service" = String, Path, description = "Its name."), InCluster),
    responses(
        (status = 200, description = "The service.", body = Service),
        (status = 404, description = "There is no such service.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_service(
    State(control): State<Control>,
    Segment(name): Segment<ServiceName>,
    Params(query): Params<InCluster>,
) -> Result<Json<Service>, ApiError> {
    Ok(Json(shown(&control, &query.key(name)?, Vec::new()).await?))
}

/// Changes a service. What is absent stays as it is.
///
/// Another revision than now, or `forceNewDeployment`, begins a deployment, which takes over from the one in
/// progress.
#[utoipa::path(
    patch, path = "/v1/services/{service}", tag = "services",
    params(("service" = String, Path, description = "Its name."), InCluster, Caller),
    request_body(content(
        (UpdateServiceRequest = "application/json"),
        (UpdateServiceRequest = "application/yaml"),
    )),
    responses(
        (status = 200, description = "The service.", body = Service),
        (status = 404, description = "There is no such service or task definition.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The service was deleted, or the revision is INACTIVE.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn update_service(
    State(control): State<Control>,
    Segment(name): Segment<ServiceName>,
    Params(query): Params<InCluster>,
    Client(client): Client,
    Sent(document): Sent,
) -> Result<Json<Service>, ApiError> {
    let key = query.key(name)?;
    let ParsedService {
        mut request,
        warnings,
        ..
    } = ParsedService::update(&document).map_err(|faults| ApiError::invalid(&faults))?;
    request.client = client;
    control.update_service(&key, request).await?;
    Ok(Json(shown(&control, &key, warnings).await?))
}

/// Goes back to the last revision that was deployed completely, whatever is in progress.
#[utoipa::path(
    post, path = "/v1/services/{service}/rollback", tag = "services",
    params(("service" = String, Path, description = "Its name."), InCluster, Caller),
    responses(
        (status = 200, description = "The service, which has a new deployment.", body = Service),
        (status = 404, description = "There is no such service.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is nothing to go back to, or the service was deleted.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn roll_back_service(
    State(control): State<Control>,
    Segment(name): Segment<ServiceName>,
    Params(query): Params<InCluster>,
    Client(client): Client,
) -> Result<Json<Service>, ApiError> {
    let key = query.key(name)?;
    control.roll_back_service(&key, client).await?;
    Ok(Json(shown(&control, &key, Vec::new()).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct DeleteService {
    /// Where it is; `default` unless said otherwise.
    cluster: Option<String>,
    /// Also when it is to have tasks.
    #[param(value_type = Option<bool>)]
    force: Option<String>,
}

/// Deletes a service: its tasks are stopped, and it is INACTIVE when it has none left.
#[utoipa::path(
    delete, path = "/v1/services/{service}", tag = "services",
    params(("service" = String, Path, description = "Its name."), DeleteService),
    responses(
        (status = 200, description = "The service, which is DRAINING.", body = Service),
        (status = 404, description = "There is no such service.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is to have tasks, and `force` is not there; or it was deleted already.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_service(
    State(control): State<Control>,
    Segment(name): Segment<ServiceName>,
    Params(query): Params<DeleteService>,
) -> Result<Json<Service>, ApiError> {
    let mut check = Check::default();
    let force = check.flag("force", query.force.as_deref());
    check.done()?;
    let key = key(query.cluster.as_deref(), name)?;
    control.delete_service(&key, force).await?;
    Ok(Json(shown(&control, &key, Vec::new()).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListDeployments {
    /// Where it is; `default` unless said otherwise.
    cluster: Option<String>,
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// The deployments of a service, newest first.
///
/// Those that are over, too, with how they ended and what their failed tasks last wrote. The newest 1,000 are kept.
#[utoipa::path(
    get, path = "/v1/services/{service}/deployments", tag = "services",
    params(("service" = String, Path, description = "Its name."), ListDeployments),
    responses(
        (status = 200, description = "A page of its deployments.", body = Page<ServiceDeployment>),
        (status = 404, description = "There is no such service.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn list_deployments(
    State(rest): State<Arc<Rest>>,
    Segment(name): Segment<ServiceName>,
    Params(query): Params<ListDeployments>,
) -> Result<Json<Page<ServiceDeployment>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let key = key(query.cluster.as_deref(), name)?;
    let control = &rest.state.control;
    let view = control.service(&key).await?;
    let page = control.service_deployments(&view.service, page).await?;
    let now = control.now();
    let shown = |past| ServiceDeployment::past(past, &view, now);
    Ok(Json(Page {
        items: page.items.iter().map(shown).collect(),
        next_token: page.next,
    }))
}

/// What a service runs in a deployment: the service's own revision.
#[utoipa::path(
    get, path = "/v1/services/{service}/revisions/{revision}", tag = "services",
    params(
        ("service" = String, Path, description = "Its name."),
        ("revision" = String, Path, description = "The 19 digits of its revision."),
        InCluster,
    ),
    responses(
        (status = 200, description = "The revision.", body = ServiceRevision),
        (status = 404, description = "There is no such service or revision.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_revision(
    State(control): State<Control>,
    Segments(name, revision): Segments<ServiceName, ServiceRevisionId>,
    Params(query): Params<InCluster>,
) -> Result<Json<ServiceRevision>, ApiError> {
    let key = query.key(name)?;
    let view = control.service_revision(&key, &revision).await?;
    Ok(Json(ServiceRevision::from(&view)))
}
