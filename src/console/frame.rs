//! What stands around every page: where one is, whether the engine is away, and what a browser may do with the page.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};

use super::format::When;
use super::visit::harmless;
use super::{Console, assets};
use crate::domain::EventKind;
use crate::engine::EngineState;
use crate::shapes::Problem;

/// What a page may load and do. Scripts and styles are files of this server, none stands in a page.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where a page belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    dead_code,
    reason = "pages of tasks, definitions and cost belong to entries of their own"
)]
pub(super) enum Nav {
    /// Clusters and services.
    Overview,
    /// Single tasks.
    Tasks,
    /// What can be run.
    Definitions,
    /// What it costs.
    Cost,
    /// What happened.
    Events,
    /// Nowhere: it has no entry.
    Elsewhere,
}

/// The entries, one line for each.
const NAV: &[(Nav, &str, &str)] = &[
    (Nav::Overview, "/", "Overview"),
    (Nav::Tasks, "/tasks", "Tasks"),
    (Nav::Definitions, "/task-definitions", "Task definitions"),
    (Nav::Cost, "/cost", "Cost"),
    (Nav::Events, "/events", "Events"),
];

/// The engine is away.
#[derive(Clone, Debug)]
pub(super) struct Banner {
    /// Why.
    pub(super) reason: String,
    /// Since when.
    pub(super) since: When,
}

/// What `layout.html` needs of every page: a template has it as its field `frame`.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The page's title, which is its first heading, too.
    pub(super) title: String,
    /// Where it belongs.
    pub(super) nav: Nav,
    /// That the engine is away.
    pub(super) banner: Option<Banner>,
    /// Whether one can sign out.
    pub(super) is_signed_in: bool,
    /// What every form carries: `{% include "form_token.html" %}`.
    pub(super) form_token: String,
    /// The newest event that the page knows of.
    pub(super) seq: u64,
    /// Whether the page keeps itself up to date.
    pub(super) is_live: bool,
}

impl Frame {
    /// For a reader who has not signed in.
    pub(super) fn new(console: &Console, nav: Nav, title: impl Into<String>) -> Self {
        let control = &console.control;
        let (engine, since) = control.engine_status();
        let since = When {
            at: since,
            now: control.now(),
        };
        Self {
            title: title.into(),
            nav,
            banner: match engine {
                EngineState::Away { reason } => Some(Banner { reason, since }),
                EngineState::Unknown | EngineState::Ok(_) => None,
            },
            is_signed_in: false,
            form_token: String::new(),
            seq: *control.event_seq().borrow(),
            is_live: true,
        }
    }

    /// What one can go to: path, name, and whether one is there.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        let here = self.nav;
        NAV.iter()
            .map(move |(nav, path, label)| (*path, *label, *nav == here))
    }

    /// The path of a file that the page loads.
    #[expect(clippy::unused_self, reason = "templates call it through the frame")]
    pub(super) fn asset(&self, name: &str) -> String {
        assets::path(name)
    }

    /// The kinds of events after which the page may look different.
    #[expect(clippy::unused_self, reason = "templates call it through the frame")]
    pub(super) fn kinds(&self) -> String {
        let kinds = EventKind::all().map(EventKind::as_str);
        kinds.collect::<Vec<_>>().join(" ")
    }

    /// Neargate's version.
    #[expect(clippy::unused_self, reason = "templates call it through the frame")]
    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// A refusal.
#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    problem: &'a Problem,
}

/// A refusal as a page: what happened, and what to do next.
pub(super) fn problem_page(console: &Console, problem: &Problem) -> Response {
    let frame = Frame::new(console, Nav::Elsewhere, problem.title.clone());
    // Whoever must not come in is told nothing about what is inside.
    let is_outside = matches!(problem.status, 401 | 403);
    let frame = Frame {
        is_live: false,
        banner: frame.banner.filter(|_| !is_outside),
        ..frame
    };
    let page = ProblemPage { frame, problem };
    // A page is made of texts and numbers alone, so this does not fail; the plain text is still no lie.
    let html = page.render().unwrap_or_else(|_| problem.title.clone());
    let response = Html(harmless(&html)).into_response();
    policed(response)
}

/// Gives every answer of the console its headers.
#[expect(clippy::unused_async, reason = "layers are asynchronous")]
pub(super) async fn secured(response: Response) -> Response {
    policed(response)
}

fn policed(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` browsers send a form with the origin `null`, which is nobody's.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
