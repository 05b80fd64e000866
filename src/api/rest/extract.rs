//! How a handler gets its input. Whatever is wrong with it, all of it, becomes one problem document.
//!
//! [`Segment`] is a part of the path, [`Params`] the query, [`Sent`] the body, [`Value`] one that is a secret. The names of a query's
//! parameters come from its documentation, so one that is not documented is refused. What parameters mean
//! is read through a [`Check`], which collects what is wrong.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::path::ParameterIn;

use super::problem::{ApiError, Kind};
use super::{Rest, moment};
use crate::api::ApiLimits;
use crate::domain::{ClientName, Faults, InvalidName, SecretValue, TimestampMs};
use crate::shapes::{Document, Format, Limits};
use crate::store::{PageRequest, UsageFilter};

/// The most parameters that a query may have.
const MOST_PARAMS: usize = 32;
/// How much of a body that is too large is read and thrown away, and for how long: most clients read the
/// answer only after they have sent everything.
const DISCARDED_BYTES: usize = 16 * 1_048_576;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The one variable part of the path.
pub(super) struct Segment<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Segment<T>
where
    S: Send + Sync,
    T: FromStr<Err: Display>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| unreadable_path(&error))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| ApiError::new(Kind::InvalidRequest, error.to_string()))
    }
}

/// Both variable parts of a path that has two.
pub(super) struct Segments<A, B>(pub(super) A, pub(super) B);

impl<S, A, B> FromRequestParts<S> for Segments<A, B>
where
    S: Send + Sync,
    A: FromStr<Err: Display>,
    B: FromStr<Err: Display>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((first, second)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|error| unreadable_path(&error))?;
        let wrong = |error: &dyn Display| ApiError::new(Kind::InvalidRequest, error.to_string());
        Ok(Self(
            first.parse().map_err(|error: A::Err| wrong(&error))?,
            second.parse().map_err(|error: B::Err| wrong(&error))?,
        ))
    }
}

fn unreadable_path(error: &PathRejection) -> ApiError {
    ApiError::new(Kind::InvalidRequest, "the path cannot be read").hint(error.body_text())
}

/// What the client calls itself, in its header `neargate-client`. Anybody can say anything there: it says who wanted
/// something, to people who trust one another, and allows nothing.
pub(super) struct Client(pub(super) Option<ClientName>);

/// The header's name.
const CLIENT: &str = "neargate-client";

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(CLIENT) else {
            return Ok(Self(None));
        };
        let name = value.to_str().unwrap_or_default().parse();
        name.map(|name| Self(Some(name)))
            .map_err(|error: InvalidName| {
                let detail = format!("the header {CLIENT} cannot be used: {}", error.rule);
                ApiError::new(Kind::InvalidRequest, detail)
                    .hint("leave it out, or send a name such as alice@laptop")
            })
    }
}

/// The query. Every field of `T` is an optional text; what it means is for [`Check`].
pub(super) struct Params<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned + IntoParams,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            check_names::<T>(&parts.uri)?;
        }
        read_query(&parts.uri).map(Self)
    }
}

fn read_query<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    Query::try_from_uri(uri)
        .map(|Query(query)| query)
        .map_err(|error| {
            ApiError::new(Kind::InvalidRequest, "the query cannot be read").hint(error.body_text())
        })
}

/// Refuses parameters that `T` does not document, and those that are there twice.
fn check_names<T: IntoParams>(uri: &Uri) -> Result<(), ApiError> {
    let pairs: Vec<(String, String)> = read_query(uri)?;
    let known: Vec<String> = T::into_params(|| Some(ParameterIn::Query))
        .into_iter()
        .map(|parameter| parameter.name)
        .collect();
    let mut faults = Faults::default();
    if pairs.len() > MOST_PARAMS {
        faults.add(
            "",
            format!(
                "the query has {} parameters; at most {MOST_PARAMS} are read",
                pairs.len()
            ),
        );
        return faults
            .into_result(())
            .map_err(|faults| ApiError::invalid(&faults));
    }
    for (index, (name, _)) in pairs.iter().enumerate() {
        if !known.contains(name) {
            let shown: String = name.chars().take(64).collect();
            faults.add_with_hint(
                shown,
                "is not a parameter of this request",
                nearest(name, &known),
            );
        } else if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            faults.add(name, "is there twice");
        }
    }
    faults
        .into_result(())
        .map_err(|faults| ApiError::invalid(&faults))
}

/// The hint about a name that is not known.
fn nearest(name: &str, known: &[String]) -> String {
    let name = name.to_ascii_lowercase();
    let distance = |known: &str| strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase());
    match known.iter().map(|known| (distance(known), known)).min() {
        Some((distance, nearest)) if distance <= 3 => format!("did you mean {nearest}?"),
        Some(_) => format!("its parameters are: {}", known.join(", ")),
        None => "it has no parameters".to_owned(),
    }
}

/// Reads parameters and collects what is wrong with them.
#[derive(Default)]
pub(super) struct Check(Faults);

impl Check {
    /// A name or the like.
    pub(super) fn parse<T: FromStr<Err: Display>>(
        &mut self,
        name: &str,
        text: Option<&str>,
    ) -> Option<T> {
        text?
            .parse()
            .map_err(|error: T::Err| self.0.add(name, error.to_string()))
            .ok()
    }

    /// Whose usage is wanted.
    pub(super) fn usage_filter(
        &mut self,
        cluster: Option<&str>,
        family: Option<&str>,
    ) -> UsageFilter {
        UsageFilter {
            cluster: self.parse("cluster", cluster),
            family: self.parse("family", family),
        }
    }

    /// One of a few words, which `parse` knows.
    pub(super) fn word<T>(
        &mut self,
        name: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Option<T>,
        known: &[&str],
    ) -> Option<T> {
        let text = text?;
        let parsed = parse(text).or_else(|| parse(&text.to_ascii_uppercase()));
        if parsed.is_none() {
            let shown: String = text.chars().take(64).collect();
            self.0.add_with_hint(
                name,
                format!("is \"{shown}\""),
                format!("it can be: {}", known.join(", ")),
            );
        }
        parsed
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        name: &str,
        text: Option<&str>,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let number = text?.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let rule = match (*range.start(), *range.end()) {
                (start, u64::MAX) => format!("must be a whole number from {start} on"),
                (start, end) => format!("must be a whole number from {start} to {end}"),
            };
            self.0.add(name, rule);
        }
        number
    }

    /// Yes or no; the name alone is yes.
    pub(super) fn flag(&mut self, name: &str, text: Option<&str>) -> bool {
        match text {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(_) => {
                self.0.add(name, "must be true or false");
                false
            }
        }
    }

    /// A point in time.
    pub(super) fn moment(
        &mut self,
        name: &str,
        text: Option<&str>,
        now: TimestampMs,
    ) -> Option<TimestampMs> {
        let moment = moment::parse(text?, now);
        if moment.is_none() {
            self.0
                .add_with_hint(name, "is not a point in time", moment::RULE);
        }
        moment
    }

    /// How many items at most.
    pub(super) fn limit(&mut self, text: Option<&str>, limits: &ApiLimits) -> u32 {
        let limit = self.number("limit", text, 1..=u64::from(limits.page_max));
        limit
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(limits.page_default)
    }

    /// Which part of a list.
    pub(super) fn page(
        &mut self,
        limit: Option<&str>,
        token: Option<String>,
        limits: &ApiLimits,
    ) -> PageRequest {
        PageRequest {
            limit: self.limit(limit, limits),
            token,
        }
    }

    /// Notes something else that is wrong.
    pub(super) fn add(&mut self, name: &str, message: &str, hint: &str) {
        self.0.add_with_hint(name, message, hint);
    }

    /// Refuses the request if anything is wrong with it.
    pub(super) fn done(self) -> Result<(), ApiError> {
        self.0
            .into_result(())
            .map_err(|faults| ApiError::invalid(&faults))
    }
}

/// The body: a document in YAML or JSON, by its content type.
pub(super) struct Sent(pub(super) Document);

impl FromRequest<Arc<Rest>> for Sent {
    type Rejection = ApiError;

    async fn from_request(request: Request, rest: &Arc<Rest>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let format = format_of(&parts.headers)?;
        let bytes = read_body(&parts.headers, body, rest.state.limits.body_bytes).await?;
        let limits = Limits {
            bytes: rest.state.limits.body_bytes,
            ..Limits::default()
        };
        Document::read_within(&bytes, format, limits)
            .map(Self)
            .map_err(|faults| ApiError::invalid(&faults))
    }
}

/// A body that may be absent.
pub(super) struct MaybeSent(pub(super) Option<Document>);

impl FromRequest<Arc<Rest>> for MaybeSent {
    type Rejection = ApiError;

    async fn from_request(request: Request, rest: &Arc<Rest>) -> Result<Self, ApiError> {
        let headers = request.headers();
        let is_empty = announced_length(headers).map_or_else(
            || !headers.contains_key(header::TRANSFER_ENCODING) && request.body().is_end_stream(),
            |length| length == 0,
        );
        if is_empty {
            return Ok(Self(None));
        }
        let Sent(document) = Sent::from_request(request, rest).await?;
        Ok(Self(Some(document)))
    }
}

/// The body: the value of a secret, as it is.
pub(super) struct Value(pub(super) SecretValue);

impl FromRequest<Arc<Rest>> for Value {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Rest>) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, SecretValue::MOST_BYTES).await?;
        SecretValue::new(bytes).map(Self).map_err(|error| {
            ApiError::new(Kind::InvalidRequest, error.to_string())
                .hint("send the value as the body of the request, as it is")
        })
    }
}

/// How the body is written.
fn format_of(headers: &HeaderMap) -> Result<Format, ApiError> {
    const HINT: &str = "send Content-Type: application/json, or application/yaml";
    let refusal =
        |detail: String| Err(ApiError::new(Kind::UnsupportedMediaType, detail).hint(HINT));
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(
            ApiError::new(Kind::UnsupportedMediaType, "the body is compressed")
                .hint("send it as it is"),
        );
    }
    let Some(content_type) = headers.get(header::CONTENT_TYPE) else {
        return refusal("the request does not say what its body is".to_owned());
    };
    let text = content_type.to_str().unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Format::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Ok(Format::Yaml),
        other => refusal(format!(
            "a body of type \"{}\" is not read here",
            other.chars().take(64).collect::<String>()
        )),
    }
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok())
}

/// The whole body, unless it is larger than `limit`.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let too_large = || {
        ApiError::new(
            Kind::BodyTooLarge,
            format!("the body has more than {limit} bytes, which is the limit"),
        )
        .hint("send a smaller document")
    };
    if announced_length(headers).is_some_and(|length| length > limit) {
        // Whoever waits for a word before sending the body need not send it.
        if headers.get(header::EXPECT) != Some(&HeaderValue::from_static("100-continue")) {
            discard(body).await;
        }
        return Err(too_large());
    }
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(Kind::InvalidRequest, "the body did not arrive completely")
                .internal(&error)
        })?;
        if bytes.len() + chunk.len() > limit {
            discard(Body::from_stream(chunks)).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Reads what is left and forgets it, within bounds.
async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut left = DISCARDED_BYTES;
    let all = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    // Whether everything came in time does not matter: the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIME, all).await;
}
