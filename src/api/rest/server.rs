//! The server about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use super::metrics::OPENMETRICS;
use super::openapi::Common;
use super::problem::{ApiError, failed};
use crate::engine;
use crate::shapes::{EngineState, EngineStatus, Health, Readiness, Version};

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(get_health))
        .routes(routes!(get_readiness))
        .routes(routes!(get_metrics))
}

/// Whether the process is alive.
///
/// Needs no token.
#[utoipa::path(
    get, path = "/healthz", tag = "server", security(()),
    responses((status = 200, description = "It is.", body = Health))
)]
async fn get_health() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
    })
}

/// Whether work gets done: the engine answers, and things can be recorded.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "It does.", body = Readiness),
        (status = 503, description = "It does not; the answer says why.", body = Readiness),
    )
)]
async fn get_readiness(State(rest): State<Arc<Rest>>) -> (StatusCode, Json<Readiness>) {
    let control = &rest.state.control;
    let engine = engine_status(&rest);
    let store = match control.check_store().await {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            tracing::warn!(%error, "the store does not answer");
            "the database cannot be read; the server's log says why".to_owned()
        }
    };
    let ready = engine.state == EngineState::Ok && store == "ok" && !rest.state.stop.is_cancelled();
    let version = Version {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance_id: Some(control.instance_id().to_string()),
        pid: Some(std::process::id()),
        started_at: Some(rest.state.started_at.to_string()),
    };
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Readiness {
            ready,
            engine,
            store,
            no_metadata: control.no_metadata(),
            version,
        }),
    )
}

fn engine_status(rest: &Rest) -> EngineStatus {
    let (state, since) = rest.state.control.engine_status();
    let mut status = EngineStatus {
        kind: rest.state.engine_kind.clone(),
        version: None,
        api_version: None,
        boot_id: None,
        state: EngineState::Unknown,
        reason: None,
        since: Some(since.to_string()),
    };
    match state {
        engine::EngineState::Unknown => {}
        engine::EngineState::Ok(info) => {
            status.state = EngineState::Ok;
            status.version = Some(info.version);
            status.api_version = Some(info.api_version);
            status.boot_id = info.boot_id;
        }
        engine::EngineState::Away { reason } => {
            status.state = EngineState::Away;
            status.reason = Some(reason);
        }
    }
    status
}

/// Figures for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "The figures.", body = String, content_type = "application/openmetrics-text"),
        Common,
    )
)]
async fn get_metrics(State(rest): State<Arc<Rest>>) -> Result<Response, ApiError> {
    let text = rest
        .metrics
        .text(&rest)
        .await
        .map_err(|cause| failed(&cause))?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response())
}
