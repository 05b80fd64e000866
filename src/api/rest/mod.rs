//! The REST API under `/v1`: resources of ECS's nouns, times in RFC 3339, problems in RFC 9457.
//!
//! One file per noun; each lists its own routes, and the `OpenAPI` document is made from those very
//! handlers, so a route that is not documented cannot be reached. What all routes have in common lies
//! around them: [`observe`] (identifiers, headers, figures, problems), [`guard`] (who may call), [`limit`]
//! (how much at once). [`extract`] is how a handler gets its input, [`problem`] how it refuses.

mod backup;
mod bill;
mod budgets;
mod clusters;
mod events;
mod exec;
mod extract;
mod files;
mod forward;
mod guard;
mod idempotence;
mod keys;
mod limit;
mod logs;
mod metrics;
mod moment;
mod observe;
mod openapi;
mod page;
mod problem;
mod refusals;
mod routes;
mod schedules;
mod secrets;
mod server;
mod services;
mod stats;
mod task_definitions;
mod tasks;
mod usage;
mod usage_metrics;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{FromRef, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::{ApiState, Pages, ProblemPage, SignIns, ecs};
use crate::control::Control;
pub(crate) use extract::read_body;
pub(super) use guard::token_needed;
pub(super) use idempotence::hash;
use metrics::Metrics;
use openapi::Published;
pub(crate) use problem::{ApiError, Kind, failed};
pub(super) use problem::{Dialect, harmless};
use routes::Routes;
pub(super) use services::request_hash;
pub(super) use tasks::ask_for_more;
pub(crate) use tasks::order;

/// What handlers work with.
struct Rest {
    state: ApiState,
    metrics: Metrics,
    /// Made for whoever asks first: hardly anybody does, and it is what takes the most memory of all that a start makes.
    published: OnceLock<Published>,
    routes: Routes,
    /// One permit for each request in work.
    requests: Arc<Semaphore>,
    /// One permit for each answer that is being streamed.
    streams: Arc<Semaphore>,
    /// One permit for each session over a WebSocket.
    sessions: Arc<Semaphore>,
    /// What a browser is shown when it is refused, and who has signed in; nothing where there are no pages.
    pages: Option<(ProblemPage, SignIns)>,
}

impl Rest {
    /// What the handlers of `document`'s routes work with.
    fn new(
        state: ApiState,
        document: &OpenApi,
        pages: Option<(ProblemPage, SignIns)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics: Metrics::new(),
            published: OnceLock::new(),
            routes: Routes::of(document),
            requests: Arc::new(Semaphore::new(state.limits.requests)),
            streams: Arc::new(Semaphore::new(state.limits.streams)),
            sessions: Arc::new(Semaphore::new(state.limits.sessions)),
            state,
            pages,
        })
    }
}

impl Rest {
    /// What is published of the routes.
    fn published(&self) -> &Published {
        let document = || documented().split_for_parts().1;
        self.published.get_or_init(|| Published::new(&document()))
    }
}

impl FromRef<Arc<Rest>> for Control {
    fn from_ref(rest: &Arc<Rest>) -> Self {
        rest.state.control.clone()
    }
}

/// Every route that is documented.
fn documented() -> OpenApiRouter<Arc<Rest>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(clusters::routes())
        .merge(task_definitions::routes())
        .merge(tasks::routes())
        .merge(services::routes())
        .merge(schedules::routes())
        .merge(logs::routes())
        .merge(exec::routes())
        .merge(stats::routes())
        .merge(files::routes())
        .merge(forward::routes())
        .merge(usage::routes())
        .merge(bill::routes())
        .merge(budgets::routes())
        .merge(secrets::routes())
        .merge(keys::routes())
        .merge(events::routes())
        .merge(backup::routes())
        .merge(server::routes())
        .merge(openapi::routes())
}

/// The REST API with everything around it, and `pages` beside it. What is added last is met first.
pub(super) fn router(state: ApiState, pages: Option<Pages>) -> Router {
    let (router, document) = documented().split_for_parts();
    let Some(pages) = pages else {
        let router = router.route("/", get(root).post(ecs_call));
        return surrounded(router, Rest::new(state, &document, None));
    };
    let rest = Rest::new(state, &document, Some((pages.problem, pages.sign_ins)));
    let ecs_first = from_fn_with_state(Arc::clone(&rest), ecs_first);
    let router = router
        .route("/", post(ecs_call))
        .merge(pages.routes.layer(ecs_first).with_state(()));
    surrounded(router, rest)
}

/// The clients of AWS may ask by GET, too, where the first page is.
async fn ecs_first(State(rest): State<Arc<Rest>>, request: Request, next: Next) -> Response {
    if request.uri().path() == "/" && ecs::is_asked(&request) {
        ecs::answer(&rest.state, request).await
    } else {
        next.run(request).await
    }
}

/// What people are shown who only know where the server is, where there are no pages; the clients of AWS may ask by GET,
/// too.
async fn root(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    if ecs::is_asked(&request) {
        ecs::answer(&rest.state, request).await
    } else {
        Redirect::temporary("/docs").into_response()
    }
}

/// The one path of ECS's own protocol, which has the same layers around it as every route.
async fn ecs_call(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    ecs::answer(&rest.state, request).await
}

/// `router` with what all routes have in common.
fn surrounded(router: Router<Arc<Rest>>, rest: Arc<Rest>) -> Router {
    router
        .fallback(routes::no_such_route)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(from_fn_with_state(Arc::clone(&rest), limit::limit))
        .layer(from_fn_with_state(Arc::clone(&rest), guard::admit))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn_with_state(Arc::clone(&rest), observe::observe))
        .with_state(rest)
}
