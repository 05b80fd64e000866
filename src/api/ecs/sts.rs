//! `sts get-caller-identity`, which tools call before anything else: AWS's older protocol, a form that is answered
//! in XML. Whoever signs is named; without access keys there is one user.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::caller::Caller;
use crate::domain::account;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// Neither account nor user mean anything here.
const REQUEST: &str = "00000000-0000-0000-0000-000000000000";

/// The operation that a form asks for.
pub(super) fn action(form: &[u8]) -> Option<&str> {
    let form = std::str::from_utf8(form).ok()?;
    form.split('&')
        .find_map(|pair| pair.strip_prefix("Action="))
}

/// Answers `form`, which `caller` has sent.
pub(super) fn answer(form: &[u8], caller: &Caller) -> Response {
    if action(form) != Some("GetCallerIdentity") {
        // What was sent is not repeated.
        let message = "of STS, only GetCallerIdentity is answered here";
        return refusal(StatusCode::BAD_REQUEST, "InvalidAction", message);
    }
    let (arn, user, account) = (harmless(&caller.arn()), caller.user_id(), account());
    let text = format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>{user}</UserId><Account>{account}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>{REQUEST}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    );
    xml(StatusCode::OK, text)
}

/// A refusal in the older protocol.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let message = harmless(message);
    let text = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{REQUEST}</RequestId></ErrorResponse>"
    );
    xml(status, text)
}

fn xml(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml")], text).into_response()
}

/// `text` as it can stand in XML.
fn harmless(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
        out
    })
}
