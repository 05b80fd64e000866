//! `sts get-caller-identity`, which tools call before anything else: AWS's older protocol, a form that is answered
//! in XML. Whoever may call is the one user that there is.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::domain::ACCOUNT;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// Neither account nor user mean anything here.
const REQUEST: &str = "00000000-0000-0000-0000-000000000000";

/// Answers the form in `body`.
pub(super) fn answer(body: &[u8]) -> Response {
    let body = String::from_utf8_lossy(body);
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="));
    let metadata = format!("<RequestId>{REQUEST}</RequestId>");
    let (status, text) = if action == Some("GetCallerIdentity") {
        let text = format!(
            "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
             <Arn>arn:aws:iam::{ACCOUNT}:root</Arn><UserId>{ACCOUNT}</UserId><Account>{ACCOUNT}</Account>\
             </GetCallerIdentityResult><ResponseMetadata>{metadata}</ResponseMetadata></GetCallerIdentityResponse>"
        );
        (StatusCode::OK, text)
    } else {
        // What was sent is not repeated: it would have to be made harmless first.
        let text = format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidAction</Code>\
             <Message>of STS, only GetCallerIdentity is answered here</Message></Error>{metadata}</ErrorResponse>"
        );
        (StatusCode::BAD_REQUEST, text)
    };
    (status, [(header::CONTENT_TYPE, "text/xml")], text).into_response()
}
