//! What the query of a page asks for.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::api::{ApiError, Kind};

/// The most characters of somebody's text that a refusal repeats.
const REPEATED: usize = 64;

/// The query of a page. A page's forms send fields that are empty; they mean the same as none.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Query(asked) = Query::try_from_uri(&parts.uri).map_err(|error| {
            ApiError::new(
                Kind::InvalidRequest,
                "the address of the page cannot be read",
            )
            .hint(error.body_text())
        })?;
        Ok(Self(asked))
    }
}

/// A name or the like, if there is one.
pub(super) fn names<T: FromStr<Err: Display>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|error: T::Err| ApiError::new(Kind::InvalidRequest, format!("{field}: {error}")))
}

/// One of a few words, which `parse` knows, if there is one.
pub(super) fn chosen<T>(
    field: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let shown: String = text.chars().take(REPEATED).collect();
    parse(text).map(Some).ok_or_else(|| {
        ApiError::new(
            Kind::InvalidRequest,
            format!("{field}: \"{shown}\" is none of its values"),
        )
        .hint("choose one on the page")
    })
}
