//! ECS's own protocol, AWS JSON 1.1, on the port of REST: `POST /` with the operation in `X-Amz-Target`. The parts of
//! `CloudWatch` Logs and Application Auto Scaling that people use with ECS are answered on the same wire.
//!
//! A front like `rest`, within the same layers (who may call, how much at once, identifiers, figures): it turns what
//! ECS's clients send into the inputs of the use cases, and what comes back into ECS's shapes. It decides nothing.
//! What `rest` knows how to read (task definitions, runs, services) is read by the same `shapes`.
//!
//! A browser cannot get here: `X-Amz-Target` is no simple header, so it asks before it sends one for another site and
//! gets no permission, and a form, which it may send, carries an `Origin` that `guard` refuses. Signatures are not
//! verified: on loopback any credentials are taken, and a server that has a token refuses signed requests.
//!
//! [`table`] has every operation that ECS has, [`mod@wire`] the services beside it; [`input`] and [`mod@error`] how one is read and refused.

mod account;
mod autoscaling;
mod capacity_providers;
mod clusters;
mod error;
mod forms;
mod input;
mod instances;
mod launch;
mod logs;
mod names;
mod service_deployments;
mod services;
mod show;
mod sts;
mod table;
mod tags;
mod task_definitions;
mod tasks;
mod wire;

#[cfg(test)]
mod tests;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub(super) use error::error;

use super::ApiState;
use super::rest::read_body;
use crate::shapes::{Document, Format, Limits};
use error::EcsError;
use input::Input;
use table::Answer;

/// What answers are written in.
pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// What the form of AWS's older protocol comes as.
const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a request is for the clients of AWS.
pub(super) fn is_asked(request: &Request) -> bool {
    *request.method() == Method::POST && request.uri().path() == "/"
}

/// Answers a request that [`is_asked`].
pub(super) async fn answer(api: &ApiState, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match read_body(&parts.headers, body, api.limits.body_bytes).await {
        Ok(bytes) => bytes,
        Err(refusal) => return refusal.into_response(),
    };
    if is_form(&parts.headers) && !parts.headers.contains_key(X_AMZ_TARGET) {
        return sts::answer(&bytes);
    }
    match call(api, &parts.headers, &bytes).await {
        Ok(answer) => written(StatusCode::OK, &answer),
        Err(refusal) => refusal.into_response(),
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::CONTENT_TYPE);
    sent.and_then(|sent| sent.to_str().ok())
        .is_some_and(|sent| sent.split(';').next().unwrap_or_default().trim() == FORM)
}

/// Carries an operation out.
async fn call(api: &ApiState, headers: &HeaderMap, body: &[u8]) -> Result<Value, EcsError> {
    let target = headers.get(X_AMZ_TARGET);
    let target = target
        .and_then(|target| target.to_str().ok())
        .unwrap_or_default();
    let (service, operation) = wire::find(target).ok_or_else(|| {
        EcsError::new(
            "UnknownOperationException",
            "X-Amz-Target must name an operation of ECS, or one of those of CloudWatch Logs and Application Auto Scaling \
             that are answered here: see docs/ecs-api.md",
        )
    })?;
    tracing::debug!(operation = operation.name, "called");
    let limits = Limits {
        bytes: api.limits.body_bytes,
        ..Limits::default()
    };
    let document = Document::read_within(body, Format::Json, limits)
        .map_err(|faults| EcsError::new("SerializationException", faults.to_string()))?;
    match operation.answer {
        Answer::Does(handler) => {
            let answer = async {
                let input = Input::check(document.value(), operation.fields)?;
                handler(api.control.clone(), input).await
            };
            let answer = answer.await.map_err(|error| service.refusal(error))?;
            Ok(show::without_nulls(answer))
        }
        Answer::Refuses(why) => Err(EcsError::new(
            "UnsupportedFeatureException",
            format!("{} is not supported by Neargate: {why}", operation.name),
        )),
    }
}

/// `answer` as it travels.
fn written(status: StatusCode, answer: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (status, headers, answer.to_string()).into_response()
}
