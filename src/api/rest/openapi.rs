//! The `OpenAPI` document and the page that renders it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr,
    ResponseBuilder,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::PROBLEM_JSON;
use super::{Rest, page};
use crate::shapes::{Problem, ProblemError};

const DESCRIPTION: &str = "Runs tasks of ECS task definitions as containers on this host. Names are ECS's, times are \
RFC 3339 in UTC, lists come in pages, errors are problem documents (RFC 9457) whose `type` programs decide by and \
whose `hint` says what to do.";

pub(super) fn routes() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::new()
        .routes(routes!(get_openapi))
        .routes(routes!(get_docs))
}

/// The document without its paths.
pub(super) fn frame() -> OpenApi {
    let tag = |name: &str, text: &str| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Neargate")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(License::new("Apache-2.0")))
                .build(),
        )
        .tags(Some([
            tag("clusters", "The names under which tasks are grouped."),
            tag(
                "task definitions",
                "What is to run: families and their revisions.",
            ),
            tag("tasks", "What runs and what ran."),
            tag(
                "services",
                "Tasks that are kept running, and moved from one revision to the next.",
            ),
            tag(
                "schedules",
                "Tasks that are run at the times that an expression means.",
            ),
            tag(
                "usage",
                "What tasks reserved, and for how long, to the millisecond.",
            ),
            tag(
                "secrets",
                "Values that containers are given and nobody is shown.",
            ),
            tag(
                "keys",
                "Access keys, with which the clients of AWS sign what they send to ECS's API.",
            ),
            tag("events", "What happened, in an order without holes."),
            tag("server", "The server about itself."),
        ]))
        .components(Some(
            ComponentsBuilder::new()
                .schema(Problem::name(), Problem::schema())
                .schema(ProblemError::name(), ProblemError::schema())
                .security_scheme(
                    "token",
                    SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
                )
                .build(),
        ))
        // A server on loopback may ask for none.
        .security(Some([
            SecurityRequirement::new("token", Vec::<String>::new()),
            SecurityRequirement::default(),
        ]))
        .build()
}

/// The refusals that every route has.
pub(super) struct Common;

impl IntoResponses for Common {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        [
            ("400", "What was sent is not valid; `errors` has all of it."),
            ("401", "The token is missing or wrong."),
            (
                "403",
                "The server was called by a foreign name, or by another web site.",
            ),
            (
                "500",
                "The server failed; `instance` is what its log has more under.",
            ),
            (
                "503",
                "Not right now: too much to do, the engine is away, or the server is stopping.",
            ),
            ("504", "It took too long; it may still be carried out."),
        ]
        .into_iter()
        .map(|(status, text)| (status.to_owned(), RefOr::T(problem_response(text))))
        .collect()
    }
}

fn problem_response(text: &str) -> utoipa::openapi::Response {
    let schema = RefOr::Ref(Ref::from_schema_name(Problem::name()));
    ResponseBuilder::new()
        .description(text)
        .content(
            PROBLEM_JSON,
            ContentBuilder::new().schema(Some(schema)).build(),
        )
        .build()
}

/// What is published of the document, made once.
pub(super) struct Published {
    json: Bytes,
    page: Bytes,
    policy: String,
}

impl Published {
    /// `document` as JSON and as a page.
    pub(super) fn new(document: &OpenApi) -> Self {
        // The document is made of texts and maps alone, so this cannot fail.
        let value = serde_json::to_value(document).unwrap_or_default();
        Self {
            json: Bytes::from(value.to_string()),
            page: Bytes::from(page::render(&value)),
            policy: page::security_policy(),
        }
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server",
    responses((status = 200, description = "The `OpenAPI` document.", body = Object), Common)
)]
async fn get_openapi(State(rest): State<Arc<Rest>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        rest.published().json.clone(),
    )
        .into_response()
}

/// This document as a page for people.
#[utoipa::path(
    get, path = "/docs", tag = "server",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"), Common)
)]
async fn get_docs(State(rest): State<Arc<Rest>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (
            header::CONTENT_SECURITY_POLICY,
            rest.published().policy.clone(),
        ),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, rest.published().page.clone()).into_response()
}
