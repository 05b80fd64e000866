//! Clusters.

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
use super::problem::ApiError;
use crate::control::Control;
use crate::domain::ClusterName;
use crate::shapes::{Cluster, CreateClusterRequest, Page, Problem};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(list_clusters, create_cluster))
        .routes(routes!(get_cluster, delete_cluster))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct ListClusters {
    /// How many at most; 100 unless said otherwise.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    next_token: Option<String>,
}

/// Clusters, by name.
#[utoipa::path(
    get, path = "/v1/clusters", tag = "clusters",
    params(ListClusters),
    responses((status = 200, description = "A page of clusters.", body = Page<Cluster>), Common)
)]
async fn list_clusters(
    State(rest): State<Arc<Rest>>,
    Params(query): Params<ListClusters>,
) -> Result<Json<Page<Cluster>>, ApiError> {
    let mut check = Check::default();
    let page = check.page(query.limit.as_deref(), query.next_token, &rest.state.limits);
    check.done()?;
    let page = rest.state.control.clusters(page).await?;
    Ok(Json(Page {
        items: page.items.iter().map(Cluster::from).collect(),
        next_token: page.next,
    }))
}

/// Creates a cluster.
///
/// One that exists already is given back as it is.
#[utoipa::path(
    post, path = "/v1/clusters", tag = "clusters",
    request_body(content(
        (CreateClusterRequest = "application/json"),
        (CreateClusterRequest = "application/yaml"),
    )),
    responses(
        (status = 201, description = "The cluster.", body = Cluster),
        (status = 413, description = "The body is too large.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is neither JSON nor YAML.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn create_cluster(
    State(control): State<Control>,
    Sent(document): Sent,
) -> Result<(StatusCode, Json<Cluster>), ApiError> {
    let name =
        CreateClusterRequest::parse(&document).map_err(|faults| ApiError::invalid(&faults))?;
    let cluster = control.create_cluster(&name).await?;
    Ok((StatusCode::CREATED, Json(Cluster::from(&cluster))))
}

/// One cluster.
#[utoipa::path(
    get, path = "/v1/clusters/{cluster}", tag = "clusters",
    params(("cluster" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "The cluster.", body = Cluster),
        (status = 404, description = "There is no such cluster.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn get_cluster(
    State(control): State<Control>,
    Segment(name): Segment<ClusterName>,
) -> Result<Json<Cluster>, ApiError> {
    let cluster = control.cluster(&name).await?;
    Ok(Json(Cluster::from(&cluster)))
}

/// Deletes a cluster.
///
/// It must have no tasks that have not stopped.
#[utoipa::path(
    delete, path = "/v1/clusters/{cluster}", tag = "clusters",
    params(("cluster" = String, Path, description = "Its name.")),
    responses(
        (status = 204, description = "It is deleted."),
        (status = 404, description = "There is no such cluster.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It still has tasks.", body = Problem, content_type = "application/problem+json"),
        Common,
    )
)]
async fn delete_cluster(
    State(control): State<Control>,
    Segment(name): Segment<ClusterName>,
) -> Result<StatusCode, ApiError> {
    control.delete_cluster(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}
