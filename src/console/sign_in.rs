//! Signing in and out, where the server has a token.

use std::sync::Arc;

use askama::Template;
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Deserialize;

use super::Console;
use super::form::Action;
use super::frame::{Frame, Nav};
use super::visit::{Visit, set_cookie};
use crate::api::{ApiError, Peer, SIGN_IN_PATH, SignInRefused};

/// So long after a wrong token one may try again, when there were too many.
const RETRY_SECONDS: &str = "60";

pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route(SIGN_IN_PATH, get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    refusal: Option<&'static str>,
}

#[derive(Default, Deserialize)]
struct Ask {
    #[serde(default)]
    next: String,
}

async fn ask(visit: Visit, Query(query): Query<Ask>) -> Result<Response, ApiError> {
    if visit.is_signed_in || !visit.console.sign_ins.is_needed() {
        return Ok(visit.go_on(&own_path(&query.next)));
    }
    page(&visit, &query.next, None)
}

fn page(visit: &Visit, next: &str, refusal: Option<&'static str>) -> Result<Response, ApiError> {
    let frame = Frame {
        is_live: false,
        // Whoever has not signed in is told nothing.
        banner: None,
        ..visit.frame(Nav::Elsewhere, "Sign in")
    };
    visit.show(&SignInPage {
        frame,
        next: own_path(next),
        refusal,
    })
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
    #[serde(default)]
    next: String,
}

async fn sign_in(
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
    Action { visit, form }: Action<SignIn>,
) -> Result<Response, ApiError> {
    let shown = form.token.trim().as_bytes();
    let peer = peer.map(|Extension(Peer(address))| address);
    let refusal = match visit.console.sign_ins.sign_in(shown, peer, visit.now) {
        Ok(value) => {
            let mut response = visit.go_on(&own_path(&form.next));
            let name = visit.console.sign_ins.cookie_name();
            set_cookie(&mut response, name, &value, is_tls(&headers));
            return Ok(response);
        }
        Err(refusal) => refusal,
    };
    tracing::warn!(?peer, "somebody could not sign in to the console");
    let (status, text) = match refusal {
        SignInRefused::Wrong => (
            StatusCode::UNAUTHORIZED,
            "This is not the token that the server was started with.",
        ),
        SignInRefused::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "There were too many wrong tokens from where you are. Try again in a minute.",
        ),
    };
    let mut response = page(&visit, &form.next, Some(text))?;
    *response.status_mut() = status;
    if refusal == SignInRefused::TooMany {
        let seconds = HeaderValue::from_static(RETRY_SECONDS);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    Ok(response)
}

#[derive(Deserialize)]
struct SignOut {}

async fn sign_out(
    headers: HeaderMap,
    Action {
        visit,
        form: SignOut {},
    }: Action<SignOut>,
) -> Response {
    visit.console.sign_ins.sign_out(&headers);
    let mut response = visit.go_on(SIGN_IN_PATH);
    let name = visit.console.sign_ins.cookie_name();
    set_cookie(&mut response, name, "", is_tls(&headers));
    response
}

/// Whether the browser speaks TLS with whatever stands in front of the server: the cookie then never goes another way.
fn is_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    origin.is_some_and(|origin| origin.starts_with(b"https://"))
}

/// `next`, if it is a path of this server's: nobody is sent elsewhere.
fn own_path(next: &str) -> String {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_own { next } else { "/" }.to_owned()
}

#[cfg(test)]
mod unit_tests {
    use super::own_path;

    #[test]
    fn nobody_is_sent_to_another_server() {
        assert_eq!(own_path("/services/a/b?x=1"), "/services/a/b?x=1");
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/a\nb",
        ] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
    }
}
