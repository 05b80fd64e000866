//! What every request gets: an identifier, a span in the log, its place in the figures, and the headers of
//! its answer. Refusals become documents here, because here the request is known.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::{Dialect, Rest, problem};
use crate::shapes::uuid;

/// The identifier of a request; the log has it too.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same as AWS writes it, a UUID, for its own clients.
const X_AMZN_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The route of what no route answers.
const NO_ROUTE: &str = "none";
/// Characters of a path that a problem repeats.
const PATH_SHOWN: usize = 256;

/// Sees a request through.
pub(super) async fn observe(
    State(rest): State<Arc<Rest>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = format!("{:032x}", rest.state.ids.next_id());
    let method = method_name(request.method());
    let path: String = request.uri().path().chars().take(PATH_SHOWN).collect();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| NO_ROUTE.to_owned(), |route| route.as_str().to_owned());

    let dialect = Dialect::of(&request, rest.pages.is_some());
    let span = tracing::info_span!("request", id, method, route);
    let in_flight = rest.metrics.begin();
    let mut response = async {
        let response = next.run(request).await;
        let response = problem::render(
            response,
            &path,
            &id,
            dialect,
            rest.pages.as_ref().map(|(page, _)| page),
        );
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    }
    .instrument(span)
    .await;
    drop(in_flight);
    rest.metrics
        .answered(method, route, response.status(), begun.elapsed());

    let headers = response.headers_mut();
    // It is made of hexadecimal digits.
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if dialect == Dialect::Ecs
        && let Ok(id) = HeaderValue::from_str(&uuid(&id))
    {
        headers.insert(X_AMZN_REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A method by its name; strangers can make up others, and figures must not grow with them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
