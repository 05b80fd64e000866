//! How a request is refused: a problem document of RFC 9457.
//!
//! Every refusal is of one [`Kind`], which fixes its type, title and status; programs decide by these. What
//! the caller reads ([`ApiError::new`]) and what the log keeps ([`ApiError::internal`]) are two texts: the
//! causes of a failure of ours never leave the house. `refusals` makes these from the errors of other rooms.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::{ProblemPage, ecs, pages};
use crate::domain::Faults;
use crate::shapes::{Problem, ProblemError};

/// The content type of problem documents.
pub(super) const PROBLEM_JSON: &str = "application/problem+json";
/// What problem types begin with.
const TYPE_PREFIX: &str = "urn:neargate:problem:";

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $status:ident, $slug:literal, $title:literal;)+) => {
        /// What kinds of problems there are. Neither types nor meanings ever change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind.
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// The HTTP status.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)+ }
            }

            /// The last part of the type.
            pub(super) const fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug,)+ }
            }

            /// The same in a few words.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)+ }
            }
        }
    };
}

kinds! {
    /// What was sent is wrong.
    InvalidRequest = BAD_REQUEST, "invalid-request", "The request is not valid";
    /// `nextToken` is not one that was given out.
    BadPageToken = BAD_REQUEST, "bad-page-token", "The page token is not valid";
    /// The token is missing or wrong.
    Unauthorized = UNAUTHORIZED, "unauthorized", "A valid API token is needed";
    /// The server was called by a name that is not its own.
    ForbiddenHost = FORBIDDEN, "forbidden-host", "The server does not answer to this name";
    /// Another web site asks.
    ForbiddenOrigin = FORBIDDEN, "forbidden-origin", "Requests of other web sites are refused";
    /// A form of a page was sent that the server has not given to this browser, or not of late.
    StaleForm = FORBIDDEN, "stale-form", "The form is not valid any more";
    /// The thing is not there.
    NotFound = NOT_FOUND, "not-found", "It does not exist";
    /// Nothing answers at the path.
    NoSuchRoute = NOT_FOUND, "no-such-route", "Nothing answers at this path";
    /// Something else answers at the path.
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The path does not take this method";
    /// The state of things does not allow it.
    Conflict = CONFLICT, "conflict", "It cannot be done as things are";
    /// The name is taken.
    AlreadyExists = CONFLICT, "already-exists", "It exists already";
    /// The cluster has tasks.
    ClusterInUse = CONFLICT, "cluster-in-use", "The cluster is in use";
    /// `clientToken` came with another request before.
    ClientTokenReused = CONFLICT, "client-token-reused", "The client token belongs to another request";
    /// The body is larger than the limit.
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large";
    /// The body is of a kind that is not read here.
    UnsupportedMediaType = UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The content type is not supported";
    /// The path only speaks WebSocket.
    UpgradeRequired = UPGRADE_REQUIRED, "upgrade-required", "The path only speaks WebSocket";
    /// The key of the secrets is not as it must be.
    SecretsSealed = INTERNAL_SERVER_ERROR, "secrets-sealed", "Secrets cannot be read or written";
    /// A failure of ours.
    Internal = INTERNAL_SERVER_ERROR, "internal", "The server failed";
    /// The engine said no.
    EngineRefused = BAD_GATEWAY, "engine-refused", "The container engine refused";
    /// The engine cannot be reached.
    EngineAway = SERVICE_UNAVAILABLE, "engine-away", "The container engine is away";
    /// The engine failed, and may not the next time.
    EngineFailed = SERVICE_UNAVAILABLE, "engine-failed", "The container engine failed";
    /// The store failed, and may not the next time.
    StoreFailed = SERVICE_UNAVAILABLE, "store-failed", "Nothing can be recorded right now";
    /// There is too much to do.
    Overloaded = SERVICE_UNAVAILABLE, "overloaded", "Too many requests are in work";
    /// Too much is being streamed.
    TooManyStreams = SERVICE_UNAVAILABLE, "too-many-streams", "Too many streams are open";
    /// The server was told to stop.
    Stopping = SERVICE_UNAVAILABLE, "stopping", "The server is stopping";
    /// It took too long.
    Timeout = GATEWAY_TIMEOUT, "timeout", "The request took too long";
    /// There is no room on the disk.
    DiskFull = INSUFFICIENT_STORAGE, "disk-full", "The disk is full";
}

impl Kind {
    /// The code that ECS's clients are given.
    const fn ecs_code(self) -> &'static str {
        match self {
            Self::Unauthorized | Self::ForbiddenHost | Self::ForbiddenOrigin | Self::StaleForm => {
                "AccessDeniedException"
            }
            Self::InvalidRequest | Self::BadPageToken => "InvalidParameterException",
            Self::Overloaded | Self::TooManyStreams => "ThrottlingException",
            kind if kind.status().as_u16() >= 500 => "ServerException",
            _ => "ClientException",
        }
    }

    /// The type.
    pub(super) fn uri(self) -> String {
        format!("{TYPE_PREFIX}{}", self.slug())
    }
}

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Refusal>);

#[derive(Clone, Debug)]
struct Refusal {
    kind: Kind,
    detail: String,
    hint: Option<String>,
    errors: Vec<ProblemError>,
    /// For the log alone.
    internal: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A refusal of this kind; `detail` says what happened this time, fact first, to the caller.
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Refusal {
            kind,
            detail: detail.into(),
            hint: None,
            errors: Vec::new(),
            internal: None,
            headers: Vec::new(),
        }))
    }

    /// Everything that is wrong with what was sent.
    pub(crate) fn invalid(faults: &Faults) -> Self {
        let errors = ProblemError::list(faults);
        let mut error = match errors.as_slice() {
            [only] if only.path.is_empty() => Self::new(Kind::InvalidRequest, only.message.clone()),
            [only] => Self::new(
                Kind::InvalidRequest,
                format!("{}: {}", only.path, only.message),
            ),
            several => Self::new(
                Kind::InvalidRequest,
                format!("{} things are wrong with it", several.len()),
            ),
        };
        if let [only] = errors.as_slice() {
            error.0.hint.clone_from(&only.hint);
        }
        error.0.errors = errors;
        error
    }

    /// Whether it is of this kind.
    pub(super) fn is(&self, kind: Kind) -> bool {
        self.0.kind == kind
    }

    /// With what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// With the cause, which goes to the log and not to the caller.
    pub(crate) fn internal(mut self, cause: &impl ToString) -> Self {
        self.0.internal = Some(cause.to_string());
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// With the advice to try again in a second.
    pub(crate) fn retry_soon(self) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// The document, for an answer that has begun and cannot become a problem any more.
    pub(super) fn into_problem(self, instance: &str) -> Problem {
        self.0.problem(instance)
    }
}

impl Refusal {
    fn problem(&self, instance: &str) -> Problem {
        let mut errors = self.errors.clone();
        for error in &mut errors {
            error.path = harmless(&error.path);
            error.message = harmless(&error.message);
            error.hint = error.hint.as_deref().map(harmless);
        }
        Problem {
            kind: self.kind.uri(),
            title: self.kind.title().to_owned(),
            status: self.kind.status().as_u16(),
            detail: Some(harmless(&self.detail)),
            hint: self.hint.as_deref().map(harmless),
            instance: Some(harmless(instance)),
            errors,
        }
    }
}

/// `text` with control characters written out: it may repeat what a stranger sent, and ends on terminals.
pub(in crate::api) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A refusal on its way out, which [`render`] makes a document of when it knows the request.
#[derive(Clone)]
struct Pending(Arc<Refusal>);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.0.kind.status().into_response();
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response.extensions_mut().insert(Pending(Arc::new(*self.0)));
        response
    }
}

/// Gives a refusal its document, and the log its cause. Other answers stay as they are. `path` is the
/// request's own, which becomes the `instance` of what the caller did wrong; failures of ours carry `id`,
/// under which the log has more.
pub(super) fn render(
    mut response: Response,
    path: &str,
    id: &str,
    dialect: Dialect,
    page: Option<&ProblemPage>,
) -> Response {
    let Some(Pending(refusal)) = response.extensions_mut().remove() else {
        return response;
    };
    let ours = refusal.kind.status().is_server_error();
    let instance = if ours {
        format!("urn:neargate:request:{id}")
    } else {
        path.to_owned()
    };
    if ours {
        let cause = refusal.internal.as_deref().unwrap_or_default();
        tracing::warn!(
            problem = refusal.kind.slug(),
            detail = refusal.detail,
            cause,
            "a request failed"
        );
    }
    let problem = refusal.problem(&instance);
    if let (Dialect::Page, Some(page)) = (dialect, page) {
        let mut shown = page(&problem);
        *shown.status_mut() = response.status();
        shown
            .headers_mut()
            .extend(std::mem::take(response.headers_mut()));
        return shown;
    }
    // A problem is made of texts and numbers alone, so this cannot fail; an empty document is still no lie.
    let (content_type, body) = match dialect {
        Dialect::Rest | Dialect::Page => (PROBLEM_JSON, serde_json::to_vec(&problem)),
        Dialect::Ecs => {
            let document = ecs::error(refusal.kind.ecs_code(), &ecs_message(&problem));
            (ecs::CONTENT_TYPE, serde_json::to_vec(&document))
        }
    };
    let body = body.unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = Body::from(body);
    response
}

/// In whose words a refusal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Dialect {
    /// A problem document.
    Rest,
    /// What the clients of ECS read.
    Ecs,
    /// A page.
    Page,
}

impl Dialect {
    /// The one of whoever sent `request`.
    pub(super) fn of(request: &Request, has_pages: bool) -> Self {
        if ecs::is_asked(request) {
            Self::Ecs
        } else if has_pages && pages::reads_pages(request) {
            Self::Page
        } else {
            Self::Rest
        }
    }
}

/// What happened and what to do about it, in one text.
fn ecs_message(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or(&problem.title);
    match &problem.hint {
        Some(hint) => format!("{detail} ({hint})"),
        None => detail.to_owned(),
    }
}

/// What becomes of a request whose handler panicked.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is tower-http's"
)]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let cause = panic
        .downcast_ref::<&'static str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it did not say why".to_owned());
    tracing::error!(cause, "a handler panicked");
    failed(&format!("panicked: {cause}")).into_response()
}

/// A failure of ours; `cause` goes to the log.
pub(crate) fn failed(cause: &impl ToString) -> ApiError {
    ApiError::new(Kind::Internal, "the server could not carry out the request")
        .hint("the server's log has more under this instance")
        .internal(cause)
}

#[cfg(test)]
mod unit_tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_type_of_its_own() {
        let types: BTreeSet<String> = Kind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(types.len(), Kind::ALL.len());
        for slug in Kind::ALL.iter().map(|kind| kind.slug()) {
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{slug}"
            );
        }
        for title in Kind::ALL.iter().map(|kind| kind.title()) {
            assert!(
                title.starts_with(char::is_uppercase) && !title.ends_with('.'),
                "{title}"
            );
        }
    }

    #[test]
    fn what_a_stranger_sent_does_not_reach_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\nc");
    }
}
