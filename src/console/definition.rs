//! Task definitions: families, revisions, what differs between two of them, and running one.

mod register;
mod run;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use super::Console;
use super::ask::{Asked, names};
use super::diff::{self, Change};
use super::format::{Badge, Paging, When, query};
use super::frame::{Frame, Nav};
use super::visit::Visit;
use crate::api::{ApiError, Kind};
use crate::control::ControlError;
use crate::domain::{
    Family, RegisteredTaskDefinition, TaskDefinitionReference, TaskDefinitionStatus, TimestampMs,
    display,
};
use crate::store::{PageRequest, TaskDefinitionFilter};

/// How many families or revisions a page lists.
const LISTED: u32 = 50;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/task-definitions", get(families))
        .route("/register", get(register::ask).post(register::register))
        .route("/task-definitions/{family}", get(revisions))
        .route("/task-definitions/{family}/diff", get(compare))
        .route("/task-definitions/{family}/{revision}", get(show))
        .route("/task-definitions/{family}/{revision}/yaml", get(yaml_file))
        .route(
            "/task-definitions/{family}/{revision}/run",
            get(run::ask).post(run::run),
        )
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FamiliesQuery {
    family_prefix: Option<String>,
    next_token: Option<String>,
}

/// A family in the list.
struct FamilyRow {
    name: String,
    /// Its newest revision that tasks can be run from.
    newest: Option<RevisionRow>,
}

/// A revision in a list.
struct RevisionRow {
    family: String,
    revision: u32,
    status: Badge,
    is_active: bool,
    size: String,
    containers: String,
    registered: When,
}

#[derive(Template)]
#[template(path = "definitions.html")]
struct FamiliesPage {
    frame: Frame,
    prefix: String,
    rows: Vec<FamilyRow>,
    paging: Paging,
}

async fn families(visit: Visit, Asked(asked): Asked<FamiliesQuery>) -> Result<Response, ApiError> {
    let prefix = asked.family_prefix.unwrap_or_default();
    let filter = TaskDefinitionFilter {
        family_prefix: Some(prefix.clone()).filter(|prefix| !prefix.is_empty()),
        ..TaskDefinitionFilter::default()
    };
    let token = asked.next_token.filter(|token| !token.is_empty());
    let page = PageRequest {
        limit: LISTED,
        token: token.clone(),
    };
    let page = visit.control().families(filter, page).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for family in page.items {
        let wanted = TaskDefinitionReference {
            family: family.clone(),
            revision: None,
        };
        let newest = match visit.control().task_definition(&wanted).await {
            Ok(newest) => Some(revision_row(&newest, visit.now)),
            Err(ControlError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        rows.push(FamilyRow {
            name: family.to_string(),
            newest,
        });
    }
    let asked_for = query(&[("familyPrefix", &prefix)]);
    let next = page.next.as_deref();
    let shown = FamiliesPage {
        frame: visit.frame(Nav::Definitions, "Task definitions"),
        rows,
        paging: Paging::new("/task-definitions", &asked_for, token.as_deref(), next),
        prefix,
    };
    visit.show(&shown)
}

fn revision_row(registered: &RegisteredTaskDefinition, now: TimestampMs) -> RevisionRow {
    let definition = &registered.definition;
    let names: Vec<String> = definition
        .containers
        .iter()
        .map(|container| container.name.to_string())
        .collect();
    let is_active = registered.status == TaskDefinitionStatus::Active;
    RevisionRow {
        family: definition.family.to_string(),
        revision: registered.revision,
        status: Badge::status(if is_active { "ACTIVE" } else { "INACTIVE" }),
        is_active,
        size: match definition.size {
            Some(size) => format!(
                "{} vCPU, {} MiB",
                display::vcpu(size.cpu().0.into()),
                size.memory()
            ),
            None => "that of its containers".to_owned(),
        },
        containers: names.join(", "),
        registered: When {
            at: registered.registered_at,
            now,
        },
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionsQuery {
    next_token: Option<String>,
}

#[derive(Template)]
#[template(path = "definition_family.html")]
struct RevisionsPage {
    frame: Frame,
    family: String,
    rows: Vec<RevisionRow>,
    paging: Paging,
}

async fn revisions(
    visit: Visit,
    Path(family): Path<String>,
    Asked(asked): Asked<RevisionsQuery>,
) -> Result<Response, ApiError> {
    let family = family_named(&family)?;
    let filter = TaskDefinitionFilter {
        family: Some(family.clone()),
        ..TaskDefinitionFilter::default()
    };
    let token = asked.next_token.filter(|token| !token.is_empty());
    let page = PageRequest {
        limit: LISTED,
        token: token.clone(),
    };
    let page = visit.control().task_definitions(filter, page).await?;
    if page.items.is_empty() && token.is_none() {
        return Err(ApiError::new(
            Kind::NotFound,
            format!("task definition \"{family}\" does not exist"),
        )
        .hint("neargate register FILE makes one"));
    }
    let path = format!("/task-definitions/{family}");
    let shown = RevisionsPage {
        frame: visit.frame(Nav::Definitions, format!("Task definition {family}")),
        family: family.to_string(),
        rows: page
            .items
            .iter()
            .map(|one| revision_row(one, visit.now))
            .collect(),
        paging: Paging::new(&path, "", token.as_deref(), page.next.as_deref()),
    };
    visit.show(&shown)
}

fn family_named(text: &str) -> Result<Family, ApiError> {
    names("family", Some(text))?
        .ok_or_else(|| ApiError::new(Kind::InvalidRequest, "the address names no family"))
}

/// The revision that a path names: its number, or `latest` for the newest that tasks can be run from.
async fn named(
    visit: &Visit,
    family: &str,
    revision: &str,
) -> Result<RegisteredTaskDefinition, ApiError> {
    let revision = match revision {
        "latest" => None,
        number => Some(number.parse().map_err(|_| {
            ApiError::new(
                Kind::NotFound,
                format!("task definition {family} has no such revision"),
            )
            .hint("revisions are numbers: 1, 2, …; or latest")
        })?),
    };
    let wanted = TaskDefinitionReference {
        family: family_named(family)?,
        revision,
    };
    Ok(visit.control().task_definition(&wanted).await?)
}

/// The document as it was sent, in YAML.
fn yaml(registered: &RegisteredTaskDefinition) -> Result<String, ApiError> {
    serde_saphyr::to_string(&registered.document).map_err(|error| {
        ApiError::new(Kind::Internal, "the document cannot be written as YAML").internal(&error)
    })
}

/// A container, as the page of a revision tells of it.
struct Container {
    name: String,
    image: String,
    is_essential: bool,
    ports: String,
    waits_for: String,
}

#[derive(Template)]
#[template(path = "definition.html")]
struct DefinitionPage {
    frame: Frame,
    row: RevisionRow,
    containers: Vec<Container>,
    warnings: Vec<String>,
    yaml: String,
    before: Option<u32>,
}

async fn show(
    visit: Visit,
    Path((family, revision)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let registered = named(&visit, &family, &revision).await?;
    let row = revision_row(&registered, visit.now);
    let joined = |parts: Vec<String>| parts.join(", ");
    let containers = registered
        .definition
        .containers
        .iter()
        .map(|one| Container {
            name: one.name.to_string(),
            image: one.image.clone(),
            is_essential: one.essential,
            ports: joined(
                one.port_mappings
                    .iter()
                    .map(|port| format!("{}/{}", port.container_port, port.protocol.as_str()))
                    .collect(),
            ),
            waits_for: joined(
                one.depends_on
                    .iter()
                    .map(|other| format!("{} ({})", other.container, other.condition.as_str()))
                    .collect(),
            ),
        });
    let page = DefinitionPage {
        frame: visit.frame(
            Nav::Definitions,
            format!("Task definition {}:{}", row.family, row.revision),
        ),
        containers: containers.collect(),
        warnings: registered.warnings.clone(),
        yaml: yaml(&registered)?,
        before: registered
            .revision
            .checked_sub(1)
            .filter(|before| *before > 0),
        row,
    };
    visit.show(&page)
}

async fn yaml_file(
    visit: Visit,
    Path((family, revision)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let registered = named(&visit, &family, &revision).await?;
    let text = yaml(&registered)?;
    let name = format!(
        "{}-{}.yaml",
        registered.definition.family, registered.revision
    );
    let headers = [
        (
            header::CONTENT_TYPE,
            "application/yaml; charset=utf-8".to_owned(),
        ),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    Ok((headers, text).into_response())
}

#[derive(Debug, Default, Deserialize)]
struct CompareQuery {
    from: Option<String>,
    to: Option<String>,
}

#[derive(Template)]
#[template(path = "definition_diff.html")]
struct ComparePage {
    frame: Frame,
    family: String,
    from: u32,
    to: u32,
    changes: Vec<Change>,
}

async fn compare(
    visit: Visit,
    Path(family): Path<String>,
    Asked(asked): Asked<CompareQuery>,
) -> Result<Response, ApiError> {
    let of = |text: Option<String>| {
        text.filter(|text| !text.is_empty())
            .unwrap_or_else(|| "latest".to_owned())
    };
    let (from, to) = (of(asked.from), of(asked.to));
    let from = named(&visit, &family, &from).await?;
    let to = named(&visit, &family, &to).await?;
    let changes = diff::lines(&yaml(&from)?, &yaml(&to)?);
    let title = format!(
        "{family}: from revision {} to {}",
        from.revision, to.revision
    );
    let page = ComparePage {
        frame: visit.frame(Nav::Definitions, title),
        family: from.definition.family.to_string(),
        from: from.revision,
        to: to.revision,
        changes,
    };
    visit.show(&page)
}
