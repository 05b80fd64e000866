//! Forms that only this server's pages can send.
//!
//! Another web site can make a browser send a form here. So each form carries a code that is made of a cookie of that browser
//! (of its session, if it has signed in) and a key that nobody else has: another site can neither read the cookie nor make the
//! code. [`Action`] is the only way for a handler to get a form, and it checks the code, so that none can forget it. Before
//! that, the guard has checked `Origin`; here one must be there, for every browser sends it with a form.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, FromRequest, FromRequestParts as _, Request};
use axum::http::header;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use sha2::Sha256;

use super::visit::Visit;
use super::{Console, FORM_BYTES};
use crate::api::{ApiError, Kind, read_body};
use crate::domain::IdSource;

/// The field that carries the code.
pub(super) const FIELD: &str = "formToken";
const FORM: &str = "application/x-www-form-urlencoded";

/// What codes are made with; another one after each start.
pub(super) struct Key([u8; 64]);

impl Key {
    /// A new one.
    pub(super) fn new(ids: &dyn IdSource) -> Self {
        let mut key = [0; 64];
        for part in key.chunks_exact_mut(size_of::<u128>()) {
            part.copy_from_slice(&ids.next_id().to_be_bytes());
        }
        Self(key)
    }

    /// The code of the browser that has the cookie `seed`.
    pub(super) fn code(&self, seed: &str) -> String {
        let code = self.mac(seed).finalize().into_bytes();
        code.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `code` is that of `seed`. Takes as long whatever it is.
    fn opens(&self, code: &str, seed: &str) -> bool {
        subtle::ConstantTimeEq::ct_eq(code.as_bytes(), self.code(seed).as_bytes()).into()
    }

    fn mac(&self, seed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new((&self.0).into());
        mac.update(seed.as_bytes());
        mac
    }
}

/// A form that a page of this server has sent, and who sent it.
pub(super) struct Action<T> {
    /// Who.
    pub(super) visit: Visit,
    /// What.
    pub(super) form: T,
}

impl<T: DeserializeOwned> FromRequest<Arc<Console>> for Action<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, console).await?;
        let has_origin = parts.headers.contains_key(header::ORIGIN);
        let is_form = parts
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(FORM.as_bytes()));
        if !has_origin || !is_form {
            return Err(stale("the form was not sent by a page of this server"));
        }
        let bytes = read_body(&parts.headers, body, FORM_BYTES).await?;
        let read = |bytes: &[u8]| {
            let mut request = Request::new(Body::from(bytes.to_vec()));
            *request.method_mut() = parts.method.clone();
            request
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(FORM));
            request
        };
        let unreadable = |_| {
            ApiError::new(Kind::InvalidRequest, "the form cannot be read")
                .hint("load the page again")
        };
        let Form(fields) = Form::<Vec<(String, String)>>::from_request(read(&bytes), &())
            .await
            .map_err(unreadable)?;
        let code = fields.iter().find(|(name, _)| name == FIELD);
        let opens = |code: &str| console.form_key.opens(code, visit.seed());
        if !code.is_some_and(|(_, code)| opens(code)) {
            return Err(stale(
                "the form is older than the server's start or your sign-in",
            ));
        }
        let Form(form) = Form::<T>::from_request(read(&bytes), &())
            .await
            .map_err(unreadable)?;
        Ok(Self { visit, form })
    }
}

fn stale(what: &str) -> ApiError {
    ApiError::new(Kind::StaleForm, what)
        .hint("go back, load the page again, and send the form from there; cookies must be allowed for this server")
}
