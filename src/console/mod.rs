//! The web console: pages for people, over the same use cases as the REST API.
//!
//! A front like the others: it reads a path and a form, calls `control`, and shows what comes back in the shapes that REST
//! sends. It knows nothing of its own. Its pages are made on the server and can be read without a script. There are
//! scripts for copying, a followed log and a terminal, and one that keeps pages live (`assets/live.js`): it asks for the same page
//! again when something has happened, and changes what is different.
//!
//! What people have named, written or logged is never trusted: templates escape it, `visit::Visit::show` makes control
//! characters visible, and the policy of every page (`frame::POLICY`) runs no script and takes no style that stands in it.
//! Each noun has a file with its routes, its views and its handlers, and templates of its own.

mod ask;
mod assets;
mod bars;
mod chart;
mod cost;
mod definition;
mod diff;
mod events;
mod form;
mod format;
mod frame;
mod kept;
mod overview;
mod period;
mod service;
mod service_action;
mod service_new;
mod sign_in;
mod task;
mod used;
mod visit;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;

use crate::api::{ApiToken, Pages, SignIns};
use crate::control::Control;
use crate::domain::IdSource;

/// The most bytes of a form.
const FORM_BYTES: usize = 64 * 1_024;

/// What pages are made with.
pub(crate) struct Console {
    control: Control,
    sign_ins: SignIns,
    ids: Arc<dyn IdSource>,
    form_key: form::Key,
    /// What the overview says of the cost.
    cost: kept::Kept<overview::CostView>,
    /// What the pages of costs show, by their query.
    bills: kept::Kept<Arc<cost::Figures>>,
    advice: kept::Kept<Arc<cost::Sizes>>,
}

/// The pages, for the API to answer. With `token`, one signs in with it first.
pub fn pages(control: Control, token: Option<ApiToken>, ids: &Arc<dyn IdSource>) -> Pages {
    let sign_ins = SignIns::new(token, Arc::clone(ids), control.instance_id());
    let console = Arc::new(Console {
        form_key: form::Key::new(ids.as_ref()),
        ids: Arc::clone(ids),
        sign_ins: sign_ins.clone(),
        cost: kept::Kept::default(),
        bills: kept::Kept::default(),
        advice: kept::Kept::default(),
        control,
    });
    Pages {
        routes: routes()
            .layer(DefaultBodyLimit::max(FORM_BYTES))
            .layer(map_response(frame::secured))
            .with_state(Arc::clone(&console)),
        problem: Arc::new(move |problem| frame::problem_page(&console, problem)),
        sign_ins,
    }
}

/// Every page: one line for each noun.
fn routes() -> Router<Arc<Console>> {
    Router::new()
        .merge(assets::routes())
        .merge(sign_in::routes())
        .merge(overview::routes())
        .merge(task::routes())
        .merge(definition::routes())
        .merge(cost::routes())
        .merge(used::routes())
        .merge(service::routes())
        .merge(service_action::routes())
        .merge(service_new::routes())
        .merge(events::routes())
}
