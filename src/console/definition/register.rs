//! Registering a task definition from a page: the text of one, as a file of it would be.
//!
//! What is sent is read by the rules of `POST /v1/task-definitions`.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use crate::api::ApiError;
use crate::console::form::Action;
use crate::console::format::segment;
use crate::console::frame::{Frame, Nav};
use crate::console::visit::Visit;
use crate::shapes::{Document, Format, ParsedTaskDefinition};

/// What stands there to begin with: the smallest one, which README begins with, too.
const SAMPLE: &str = include_str!("../../../task-definitions/hello.yaml");

#[derive(Template)]
#[template(path = "definition_register.html")]
struct RegisterPage {
    frame: Frame,
    sample: &'static str,
}

pub(super) async fn ask(visit: Visit) -> Result<Response, ApiError> {
    let page = RegisterPage {
        frame: Frame {
            is_live: false,
            ..visit.frame(Nav::Definitions, "Register a task definition")
        },
        sample: SAMPLE,
    };
    visit.show(&page)
}

#[derive(Deserialize)]
pub(super) struct Sent {
    document: String,
}

pub(super) async fn register(Action { visit, form }: Action<Sent>) -> Result<Response, ApiError> {
    // A carriage return is only how browsers send the ends of lines. JSON is YAML, too.
    let document = form.document.replace('\r', "");
    let document = Document::read(document.as_bytes(), Format::Yaml)
        .map_err(|faults| ApiError::invalid(&faults))?;
    let ParsedTaskDefinition {
        definition,
        document,
        warnings,
    } = ParsedTaskDefinition::parse(&document).map_err(|faults| ApiError::invalid(&faults))?;
    let registered = visit
        .control()
        .register_task_definition(&definition, &document, &warnings)
        .await?;
    let family = segment(registered.definition.family.as_str());
    let revision = registered.revision;
    Ok(visit.go_on(&format!("/task-definitions/{family}/{revision}")))
}
