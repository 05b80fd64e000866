//! Somebody's look at a page: who, when, and what the answer must carry.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};

use super::Console;
use super::frame::{Frame, Nav};
use crate::api::{ApiError, cookie, failed};
use crate::control::Control;
use crate::domain::TimestampMs;
use crate::domain::display::{is_harmful, visible};

/// A look at a page. Every handler begins with one.
#[derive(Clone)]
pub(super) struct Visit {
    /// What pages are made with.
    pub(super) console: Arc<Console>,
    /// When it is.
    pub(super) now: TimestampMs,
    /// Whether the browser has a session.
    pub(super) is_signed_in: bool,
    /// The browser's cookie: what its forms are known by.
    seed: String,
    /// Whether the browser has that cookie already.
    is_known: bool,
}

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, ApiError> {
        let State(console) = State::<Arc<Console>>::from_request_parts(parts, console)
            .await
            .map_err(|error| failed(&error))?;
        let now = console.control.now();
        let session = console.sign_ins.session(&parts.headers, now);
        let known = session.or_else(|| {
            let value = cookie(&parts.headers, &form_cookie(&console))?;
            (value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit())).then_some(value)
        });
        Ok(Self {
            now,
            is_signed_in: session.is_some(),
            is_known: known.is_some(),
            seed: known.map_or_else(
                || format!("{:032x}", console.ids.next_id()),
                ToOwned::to_owned,
            ),
            console,
        })
    }
}

/// The cookie of browsers that have not signed in.
fn form_cookie(console: &Console) -> String {
    format!("{}_form", console.sign_ins.cookie_name())
}

impl Visit {
    /// The use cases.
    pub(super) fn control(&self) -> &Control {
        &self.console.control
    }

    /// What the browser's forms are known by.
    pub(super) fn seed(&self) -> &str {
        &self.seed
    }

    /// What stands around a page of that title.
    pub(super) fn frame(&self, nav: Nav, title: impl Into<String>) -> Frame {
        Frame {
            form_token: self.console.form_key.code(&self.seed),
            is_signed_in: self.is_signed_in,
            ..Frame::new(&self.console, nav, title)
        }
    }

    /// The page.
    pub(super) fn show(&self, page: &impl Template) -> Result<Response, ApiError> {
        let html = page.render().map_err(|error| failed(&error))?;
        let mut response = Html(harmless(&html)).into_response();
        if !self.is_known {
            let name = form_cookie(&self.console);
            set_cookie(&mut response, &name, &self.seed, false);
        }
        Ok(response)
    }

    /// On to another page after an action: a page that is loaded again does not do it twice.
    #[expect(clippy::unused_self, reason = "it belongs to a visit")]
    pub(super) fn go_on(&self, path: &str) -> Response {
        Redirect::to(path).into_response()
    }
}

/// Gives a browser a cookie that no script can read and no other site can make it send; over TLS only, if `is_tls`.
pub(super) fn set_cookie(response: &mut Response, name: &str, value: &str, is_tls: bool) {
    let secure = if is_tls { "; Secure" } else { "" };
    let age = if value.is_empty() { "; Max-Age=0" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{secure}");
    // It is made of letters and digits.
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `html` with what could mislead a reader made visible, wherever it stands: names and logs hold anything.
pub(super) fn harmless(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    for character in html.chars() {
        if is_harmful(character) && !matches!(character, '\n' | '\t') {
            out.push_str(&visible(character));
        } else {
            out.push(character);
        }
    }
    out
}
