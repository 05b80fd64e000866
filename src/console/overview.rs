//! The first page: what there is, what runs, what is wrong, what it costs, what happened.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::Console;
use super::frame::{Frame, Nav};
use super::visit::Visit;
use crate::api::ApiError;

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/", get(overview))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
}

async fn overview(visit: Visit) -> Result<Response, ApiError> {
    let page = OverviewPage {
        frame: visit.frame(Nav::Overview, "Overview"),
    };
    visit.show(&page)
}
