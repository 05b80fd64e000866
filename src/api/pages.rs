//! The seam to the pages for people: another room makes them (`console`), and hands them in.
//!
//! They are answered within the same layers as everything else: by the server's own names alone, as often at once, with
//! the same figures. What they add is here: a browser may show a session in place of the token, and reads refusals as
//! pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::Response;

use super::SignIns;
use crate::shapes::Problem;

/// Makes a page of a refusal; its status and its headers are added to those of the refusal.
pub type ProblemPage = Arc<dyn Fn(&Problem) -> Response + Send + Sync>;

/// Where a browser signs in.
pub const SIGN_IN_PATH: &str = "/sign-in";
/// Where the files lie that pages are made of. Nobody needs to sign in for them.
pub const ASSETS_PATH: &str = "/assets/";
/// What the paths of the API begin with.
const API_PATH: &str = "/v1/";

/// The pages for people.
pub struct Pages {
    /// Their routes; `GET /` among them.
    pub routes: Router,
    /// What a browser is shown when it is refused.
    pub problem: ProblemPage,
    /// Who has signed in.
    pub sign_ins: SignIns,
}

/// Whether whoever sent `request` reads pages: a browser that goes to one. Never what the API's programs send.
pub(super) fn reads_pages(request: &Request) -> bool {
    let accepts = request.headers().get_all(header::ACCEPT).iter();
    let mut accepted = accepts.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    !request.uri().path().starts_with(API_PATH)
        && accepted.any(|kind| kind.trim().starts_with("text/html"))
}

/// Whether a path of the pages is answered to whoever has not signed in.
pub(super) fn is_open(path: &str) -> bool {
    path == SIGN_IN_PATH || path.starts_with(ASSETS_PATH)
}

/// Whether a session counts for such a request: for all pages, and to read from the API, where scripts of pages do. What
/// changes something there is only done for the token itself, but for what begins with a GET: exec, which is the terminal of a
/// page, and forward.
pub(super) fn session_counts(method: &Method, path: &str) -> bool {
    let reads = *method == Method::GET || *method == Method::HEAD;
    reads || !(path == "/" || path.starts_with(API_PATH))
}
