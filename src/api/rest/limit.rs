//! How much at once, and for how long.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::{ApiError, Kind};
use super::{Rest, backup, files};

/// Refuses a request when too many are in work, and gives up on one that takes too long. An answer that is
/// streamed counts and is timed until it begins.
pub(super) async fn limit(State(rest): State<Arc<Rest>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = rest.requests.try_acquire() else {
        let limit = rest.state.limits.requests;
        return ApiError::new(
            Kind::Overloaded,
            format!("{limit} requests are in work, which is the limit"),
        )
        .hint("send the request again a little later")
        .retry_soon()
        .into_response();
    };
    if is_transfer(&request) {
        return next.run(request).await;
    }
    let time = rest.state.limits.request_time;
    tokio::time::timeout(time, next.run(request)).await.unwrap_or_else(|_| {
        ApiError::new(Kind::Timeout, format!("the request was not answered within {} ms", time.as_millis()))
            .hint("it may still be carried out: look before you send it again; a clientToken makes that safe")
            .into_response()
    })
}

/// Whether a request takes as long as there is something to send, which has bounds of its own.
fn is_transfer(request: &Request) -> bool {
    let route = request.extensions().get::<MatchedPath>();
    match route.map(MatchedPath::as_str) {
        Some(files::PATH) => *request.method() == Method::PUT,
        Some(backup::PATH) => true,
        _ => false,
    }
}

/// The right to stream an answer, for as long as it is kept.
pub(super) fn stream_slot(rest: &Rest) -> Result<OwnedSemaphorePermit, ApiError> {
    if rest.state.stop.is_cancelled() {
        return Err(ApiError::new(
            Kind::Stopping,
            "the server is stopping; no new streams are begun",
        )
        .retry_soon());
    }
    Arc::clone(&rest.streams).try_acquire_owned().map_err(|_| {
        let limit = rest.state.limits.streams;
        ApiError::new(
            Kind::TooManyStreams,
            format!("{limit} streams are open, which is the limit"),
        )
        .hint("end one that is no longer read, or ask again without follow")
        .retry_soon()
    })
}
