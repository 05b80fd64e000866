//! Who may call: by which name, from which web site, with which token.
//!
//! A browser sends `Host`, `Origin` and `Sec-Fetch-Site` by itself and lets no page change them; other
//! programs send what they like, and for those there is the token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Rest;
use super::problem::{ApiError, Kind};
use crate::api::auth::is_signature;
use crate::api::{Auth, SIGN_IN_PATH, ecs, pages};

/// The one path that is answered without a token: whether the process is alive is asked by whoever
/// started it, before there is anything to know.
const OPEN_PATH: &str = "/healthz";
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request in, or not.
pub(super) async fn admit(State(rest): State<Arc<Rest>>, request: Request, next: Next) -> Response {
    match check(&rest, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) if refusal.is(Kind::Unauthorized) => {
            sign_in(&rest, &request).unwrap_or_else(|| refusal.into_response())
        }
        Err(refusal) => refusal.into_response(),
    }
}

fn check(rest: &Rest, request: &Request) -> Result<(), ApiError> {
    let auth = &rest.state.auth;
    let host = own_name(auth, request.uri(), request.headers())?;
    same_site(request.method(), request.headers(), host)?;
    let is_open = request.uri().path() == OPEN_PATH;
    // What is signed for ECS's API is verified there, when the body has come.
    if is_open || (ecs::is_asked(request) && ecs::is_signed(request)) || is_signed_in(rest, request)
    {
        Ok(())
    } else {
        token(auth, request.headers())
    }
}

/// Whether a browser may have what it asks for: it has a session, or needs none for that.
fn is_signed_in(rest: &Rest, request: &Request) -> bool {
    let Some((_, sign_ins)) = &rest.pages else {
        return false;
    };
    let (method, path) = (request.method(), request.uri().path());
    let has_session = || {
        let now = rest.state.control.now();
        sign_ins.session(request.headers(), now).is_some()
    };
    pages::is_open(path) || (pages::session_counts(method, path) && has_session())
}

/// Sends a browser that wants a page to where its user signs in, and from there back to it.
fn sign_in(rest: &Rest, request: &Request) -> Option<Response> {
    rest.pages.as_ref()?;
    let is_visit = *request.method() == Method::GET && pages::reads_pages(request);
    let next = utf8_percent_encode(request.uri().path(), NON_ALPHANUMERIC);
    is_visit.then(|| Redirect::to(&format!("{SIGN_IN_PATH}?next={next}")).into_response())
}

/// The name by which the server was called, if it is one of its own. A target in absolute form stands above
/// the header (RFC 9112, section 3.2.2).
fn own_name<'a>(auth: &Auth, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, ApiError> {
    let mut named = headers.get_all(header::HOST).iter();
    let host = match (uri.authority(), named.next(), named.next()) {
        (Some(authority), _, None) => Some(authority.as_str()),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    match host {
        Some(host) if auth.hosts.allow(host) => Ok(host),
        Some(host) => Err(ApiError::new(Kind::ForbiddenHost, format!("\"{host}\" is not a name of this server"))
            .hint("call it by localhost or its address, or add the name to allowed_hosts in its configuration")),
        None => Err(ApiError::new(Kind::ForbiddenHost, "the request does not name one host")
            .hint("send one Host header")),
    }
}

/// Refuses what another web site makes a browser send.
fn same_site(method: &Method, headers: &HeaderMap, host: &str) -> Result<(), ApiError> {
    let refusal = |from: String| {
        ApiError::new(
            Kind::ForbiddenOrigin,
            format!("the request comes from {from}"),
        )
        .hint("use a page that this server serves, or a program that is not a browser")
    };
    for origin in headers.get_all(header::ORIGIN) {
        let text = origin.to_str().unwrap_or("null");
        if !is_origin_of(text, host) {
            return Err(refusal(format!("the web site \"{text}\"")));
        }
    }
    // A WebSocket begins with a GET, and no browser asks before it opens one to another site.
    let changes = headers.contains_key(header::UPGRADE)
        || (*method != Method::GET && *method != Method::HEAD && *method != Method::OPTIONS);
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    match site {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) if !changes => Ok(()),
        Some(_) => Err(refusal("another web site".to_owned())),
    }
}

/// Whether a page of `origin` was served by `host`. Whatever stands in front of the server may speak TLS.
fn is_origin_of(origin: &str, host: &str) -> bool {
    let (authority, default_port) = if let Some(authority) = origin.strip_prefix("http://") {
        (authority, ":80")
    } else if let Some(authority) = origin.strip_prefix("https://") {
        (authority, ":443")
    } else {
        return false;
    };
    let plain = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_suffix(default_port)
            .map(str::to_owned)
            .unwrap_or(text)
    };
    plain(authority) == plain(host)
}

fn token(auth: &Auth, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(token) = &auth.token else {
        return Ok(());
    };
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (detail, challenge) = match (shown.next(), shown.next()) {
        (Some(header), None) if is_signature(header) => return Err(token_needed()),
        (None, _) => (
            "the request carries no API token",
            "Bearer realm=\"neargate\"",
        ),
        (Some(header), None) if bearer(header).is_some_and(|shown| token.is(shown)) => {
            return Ok(());
        }
        _ => (
            "the API token is not valid",
            "Bearer realm=\"neargate\", error=\"invalid_token\"",
        ),
    };
    Err(ApiError::new(Kind::Unauthorized, detail)
        .hint("send Authorization: Bearer TOKEN with the token that the server was started with")
        .header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        ))
}

/// The refusal of a signature where only the token counts.
pub(in crate::api) fn token_needed() -> ApiError {
    ApiError::new(
        Kind::Unauthorized,
        "the server has an API token, and a request that is signed with AWS credentials does not show it",
    )
    .hint(
        "signatures are verified on ECS's API, and only when there are access keys: neargate keys create NAME --role admin; \
         otherwise send Authorization: Bearer TOKEN",
    )
}

/// What follows on `Bearer`.
fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = header.as_bytes().split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}
