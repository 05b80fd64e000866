//! Making a service: the page that asks what it is to be, and the form on it that makes it.
//!
//! What is filled in becomes the very document that `POST /v1/services` takes, and is read by its rules.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::Console;
use super::ask::Asked;
use super::form::Action;
use super::frame::{Frame, Nav};
use super::overview::service_path;
use super::service_action::{CLIENT, count};
use super::visit::Visit;
use crate::api::ApiError;
use crate::domain::MAX_DESIRED_COUNT;
use crate::shapes::{Document, ParsedService};
use crate::store::{PageRequest, TaskDefinitionFilter};

/// Families that the page proposes.
const PROPOSED: u32 = 100;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/create-service", get(ask).post(create))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Query {
    task_definition: String,
}

#[derive(Template)]
#[template(path = "service_new.html")]
struct NewPage {
    frame: Frame,
    /// What it is to run, as far as the page was told.
    definition: String,
    /// What there is to run.
    families: Vec<String>,
    most: u32,
}

async fn ask(visit: Visit, Asked(asked): Asked<Query>) -> Result<Response, ApiError> {
    let all = TaskDefinitionFilter::default();
    let families = visit.control().families(all, PageRequest::first(PROPOSED));
    let page = NewPage {
        families: families
            .await?
            .items
            .iter()
            .map(ToString::to_string)
            .collect(),
        frame: Frame {
            is_live: false,
            ..visit.frame(Nav::Overview, "Create a service")
        },
        definition: asked.task_definition,
        most: MAX_DESIRED_COUNT,
    };
    visit.show(&page)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    cluster: String,
    service_name: String,
    task_definition: String,
    desired_count: String,
    #[serde(default)]
    rollback: String,
}

async fn create(Action { visit, form }: Action<Sent>) -> Result<Response, ApiError> {
    let goes_back = !form.rollback.is_empty();
    let document = json!({
        "cluster": form.cluster.trim(),
        "serviceName": form.service_name.trim(),
        "taskDefinition": form.task_definition.trim(),
        "desiredCount": count(&form.desired_count)?,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": { "enable": goes_back, "rollback": goes_back },
        },
    });
    let parsed = ParsedService::create(&Document::from_value(&document), None)
        .map_err(|faults| ApiError::invalid(&faults))?;
    let mut request = parsed.request;
    request.client = CLIENT.parse().ok();
    let key = visit.control().create_service(request).await?.key;
    let path = service_path(key.cluster.as_str(), key.name.as_str());
    Ok(visit.go_on(&path))
}
