//! Who calls. With access keys, every call must be signed with one that allows it; without any, whoever gets here may
//! call, and that is only who is on this machine or shows the server's token.
//!
//! A request that is signed gets past `guard` without a token, because what was signed can only be verified when the
//! body is there. One that is not signed has shown the token already, if the server has one.

use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::signature::{Claim, Fault, is_signed};
use super::{X_AMZ_TARGET, error, sts, table, wire, written};
use crate::api::ApiState;
use crate::api::rest::{ApiError, token_needed};
use crate::control::ControlError;
use crate::domain::{AccessKey, Role, account};
use crate::store::SigningKey;

/// The service of AWS's older protocol.
const STS: &str = "sts";

/// Whoever calls.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// The one user that there is, who may do everything.
    Root,
    /// Who signed.
    Key(AccessKey),
}

impl Caller {
    /// As STS names it.
    pub(super) fn arn(&self) -> String {
        match self {
            Self::Root => format!("arn:aws:iam::{}:root", account()),
            Self::Key(key) => format!("arn:aws:iam::{}:user/{}", account(), key.user),
        }
    }

    /// The same in fewer characters.
    pub(super) fn user_id(&self) -> &str {
        match self {
            Self::Root => account(),
            Self::Key(key) => key.id.as_str(),
        }
    }
}

/// What is asked of which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    service: &'static str,
    operation: &'a str,
}

impl<'a> Asked<'a> {
    /// What the headers say, and for the older protocol its form.
    pub(super) fn of(headers: &'a HeaderMap, form: Option<&'a [u8]>) -> Self {
        if let Some(form) = form {
            return Self {
                service: STS,
                operation: sts::action(form).unwrap_or_default(),
            };
        }
        let target = headers.get(X_AMZ_TARGET);
        let target = target
            .and_then(|target| target.to_str().ok())
            .unwrap_or_default();
        let known = wire::SERVICES.iter().find_map(|service| {
            Some(Self {
                service: service.signed_for,
                operation: target.strip_prefix(service.target)?,
            })
        });
        known.unwrap_or(Self {
            service: wire::SERVICES[0].signed_for,
            operation: target,
        })
    }

    fn is_query(self) -> bool {
        self.service == STS
    }
}

/// Why somebody may not call.
pub(super) enum Unauthorized {
    /// The signature is not one, or not a valid one.
    Signature(Fault),
    /// The key does not allow it.
    Denied(String),
    /// For a reason of REST's.
    Api(ApiError),
}

impl From<Fault> for Unauthorized {
    fn from(fault: Fault) -> Self {
        Self::Signature(fault)
    }
}

/// Who sent a request, if they may.
pub(super) async fn of(
    api: &ApiState,
    parts: &Parts,
    body: &[u8],
    asked: Asked<'_>,
) -> Result<Caller, Unauthorized> {
    let signed = is_signed(&parts.headers, parts.uri.query());
    let claim = Claim::read(parts);
    let id = claim
        .as_ref()
        .ok()
        .and_then(|claim| claim.key_id.parse().ok());
    let key = api.control.signing_key(id.as_ref()).await;
    let key = key.map_err(|error: ControlError| Unauthorized::Api(error.into()))?;
    match (key, signed) {
        // What nobody can verify is no token either.
        (SigningKey::NoKeys, true) if api.auth.token.is_some() => {
            Err(Unauthorized::Api(token_needed()))
        }
        (SigningKey::NoKeys, _) => Ok(Caller::Root),
        // `guard` has seen the token.
        (_, false) if api.auth.token.is_some() => Ok(Caller::Root),
        (_, false) => Err(Fault::Missing.into()),
        (SigningKey::Unknown, true) => {
            claim?;
            Err(Fault::UnknownKey.into())
        }
        (SigningKey::Known(key, secret), true) => {
            let now = api.control.now();
            claim?.verify(parts, body, secret.expose(), asked.service, now)?;
            allowed(key, asked)
        }
    }
}

fn allowed(key: AccessKey, asked: Asked<'_>) -> Result<Caller, Unauthorized> {
    if key.role == Role::Admin || table::only_reads(asked.operation) {
        tracing::debug!(user = %key.user, key = %key.id, "signed");
        return Ok(Caller::Key(key));
    }
    let action: String = asked.operation.chars().take(64).collect();
    let user = Caller::Key(key).arn();
    Err(Unauthorized::Denied(format!(
        "User: {user} is not authorized to perform: {}:{action} on resource: * because the access key's role is {}",
        asked.service,
        Role::ReadOnly
    )))
}

impl Unauthorized {
    /// The refusal in the words of the protocol in which was asked: those that clients decide by.
    pub(super) fn into_answer(self, asked: Asked<'_>) -> Response {
        let (json, query, status, message) = match self {
            Self::Api(error) => return error.into_response(),
            Self::Denied(message) => ("AccessDeniedException", "AccessDenied", 403, message),
            Self::Signature(Fault::Missing) => (
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                403,
                "Request is missing Authentication Token".to_owned(),
            ),
            Self::Signature(Fault::Incomplete(message)) => (
                "IncompleteSignatureException",
                "IncompleteSignature",
                400,
                message,
            ),
            Self::Signature(Fault::UnknownKey) => (
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                403,
                "The security token included in the request is invalid.".to_owned(),
            ),
            Self::Signature(Fault::Invalid(message)) => (
                "InvalidSignatureException",
                "SignatureDoesNotMatch",
                403,
                message,
            ),
        };
        tracing::debug!(code = json, message, "not let in");
        if asked.is_query() {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
            sts::refusal(status, query, &message)
        } else {
            written(StatusCode::BAD_REQUEST, &error(json, &message))
        }
    }
}
