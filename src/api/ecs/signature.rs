//! Signature Version 4 of AWS: what a request says of who signed it, and whether that is true.
//!
//! Pure: the request, the secret and the time come in. The form in the header `Authorization` and the one in the query
//! (pre-signed) are read. What is verified is AWS's: the canonical request with the hash of the body, all headers of AWS
//! and the host among the signed ones, the scope, and the time. The one path is `/`, so no path is ever made canonical.
//! As with AWS, a request can be repeated for as long as its signature is valid.
//!
//! Source: "Create a signed AWS API request" in the IAM user guide, and the messages that AWS answers with.

use std::fmt::Write as _;

use axum::http::header::{AUTHORIZATION, DATE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::api::auth::is_signature;
use crate::domain::{self, TimestampMs};

/// The one algorithm that is taken.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What every scope ends with.
const TERMINATOR: &str = "aws4_request";
/// How far the clocks of both sides may be apart, as with AWS.
const SKEW_MINUTES: i64 = 15;
/// The longest that a pre-signed request is valid, as with AWS: a week.
const LONGEST_EXPIRES_S: i64 = 604_800;
/// What AWS's times look like.
const TIME: &str = "%Y%m%dT%H%M%SZ";

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What stands unencoded in a canonical query (RFC 3986).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a signature is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is none.
    Missing,
    /// Something of it is missing or cannot be read.
    Incomplete(String),
    /// Nobody has that key.
    UnknownKey,
    /// It is not valid: other than the request, too old, or for something else.
    Invalid(String),
}

/// What a request says of who signed it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The public half of the key.
    pub(super) key_id: String,
    scope: Scope,
    /// As it was sent: names in lower case between semicolons.
    signed_headers: String,
    signature: [u8; 32],
    /// As it was sent, and what it means.
    time: String,
    at: TimestampMs,
    /// Of a pre-signed request: for how long it is valid.
    expires_s: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    date: String,
    region: String,
    service: String,
    terminator: String,
}

/// Whether a request carries a signature, of whatever worth.
pub(super) fn is_signed(headers: &HeaderMap, query: Option<&str>) -> bool {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    authorizations.any(is_signature) || query.is_some_and(is_presigned)
}

fn is_presigned(query: &str) -> bool {
    parameters(query)
        .iter()
        .any(|(name, _)| name == b"X-Amz-Signature" || name == b"X-Amz-Algorithm")
}

impl Claim {
    /// What `parts` says. Nothing of it is believed yet.
    pub(super) fn read(parts: &Parts) -> Result<Self, Fault> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let query = parts.uri.query().unwrap_or_default();
        match (headers.next(), headers.next(), is_presigned(query)) {
            (Some(header), None, false) if is_signature(header) => {
                Self::of_header(header, &parts.headers)
            }
            (None, _, true) => Self::of_query(query),
            (None, _, false) => Err(Fault::Missing),
            (_, Some(_), _) | (_, _, true) => Err(incomplete(
                "The request is authenticated in more than one way.",
            )),
            _ => Err(Fault::Missing),
        }
    }

    fn of_header(header: &HeaderValue, headers: &HeaderMap) -> Result<Self, Fault> {
        let text = header
            .to_str()
            .map_err(|_| incomplete("The Authorization header is not ASCII."))?;
        let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
        check_algorithm(algorithm)?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or((part, ""));
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(incomplete("The Authorization header cannot be read.")),
            };
            if place.replace(value).is_some() {
                return Err(incomplete(format!(
                    "Authorization header has '{name}' twice."
                )));
            }
        }
        let time = time_of(headers)?;
        let mut missing = String::new();
        for (name, value) in [
            ("Credential", credential),
            ("Signature", signature),
            ("SignedHeaders", signed),
        ] {
            if value.is_none_or(str::is_empty) {
                // Writing to a string cannot fail.
                let _ = write!(
                    missing,
                    "Authorization header requires '{name}' parameter. "
                );
            }
        }
        if time.is_none() {
            missing.push_str(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
            );
        }
        let (Some(credential), Some(signed), Some(signature), Some((time, at))) =
            (credential, signed, signature, time)
        else {
            return Err(incomplete(missing.trim_end()));
        };
        if !missing.is_empty() {
            return Err(incomplete(missing.trim_end()));
        }
        Self::of(credential, signed, signature, (time, at), None)
    }

    fn of_query(query: &str) -> Result<Self, Fault> {
        let parameters = parameters(query);
        let one = |name: &str| {
            let mut found = parameters.iter().filter(|(key, _)| key == name.as_bytes());
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(String::from_utf8_lossy(value).into_owned()),
                (None, _) => Err(incomplete(format!(
                    "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
                ))),
                _ => Err(incomplete(format!("The query-string has '{name}' twice."))),
            }
        };
        check_algorithm(&one("X-Amz-Algorithm")?)?;
        let (credential, signature) = (one("X-Amz-Credential")?, one("X-Amz-Signature")?);
        let (signed, time) = (one("X-Amz-SignedHeaders")?, one("X-Amz-Date")?);
        let at = parse_time(&time).ok_or_else(|| bad_time(&time))?;
        let expires = one("X-Amz-Expires")?.parse().ok();
        let Some(expires) = expires.filter(|s| (1..=LONGEST_EXPIRES_S).contains(s)) else {
            return Err(incomplete(format!(
                "X-Amz-Expires must be a number of seconds from 1 to {LONGEST_EXPIRES_S}."
            )));
        };
        // No key has a session, so a token of one belongs to a key that nobody here has.
        if parameters
            .iter()
            .any(|(name, _)| name == b"X-Amz-Security-Token")
        {
            return Err(Fault::UnknownKey);
        }
        Self::of(&credential, &signed, &signature, (time, at), Some(expires))
    }

    fn of(
        credential: &str,
        signed: &str,
        signature: &str,
        (time, at): (String, TimestampMs),
        expires_s: Option<i64>,
    ) -> Result<Self, Fault> {
        let parts: Vec<&str> = credential.split('/').collect();
        let &[key_id, date, region, service, terminator] = parts.as_slice() else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ));
        };
        Ok(Self {
            key_id: key_id.to_owned(),
            scope: Scope {
                date: date.to_owned(),
                region: region.to_owned(),
                service: service.to_owned(),
                terminator: terminator.to_owned(),
            },
            signed_headers: signed.to_owned(),
            signature: from_hex(signature).ok_or_else(mismatch)?,
            time,
            at,
            expires_s,
        })
    }

    /// Whether the request is what was signed with `secret`, for `service`, and the time is right.
    pub(super) fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        secret: &[u8],
        service: &str,
        now: TimestampMs,
    ) -> Result<(), Fault> {
        if parts.headers.contains_key(X_AMZ_SECURITY_TOKEN) {
            return Err(Fault::UnknownKey);
        }
        self.check_scope(service)?;
        self.check_time(now)?;
        self.check_signed_headers(&parts.headers)?;
        let body_hash = hex(&Sha256::digest(body));
        if let Some(sent) = parts.headers.get(X_AMZ_CONTENT_SHA256)
            && sent != body_hash.as_str()
        {
            return Err(invalid(
                "The value of x-amz-content-sha256 must be the SHA-256 of the body, which every signature covers.",
            ));
        }
        let canonical = self.canonical_request(parts, &body_hash);
        let text = self.string_to_sign(&canonical);
        let key = signing_key(secret, &self.scope);
        // In a time that does not tell how much of it is right.
        mac(key.as_slice())
            .chain_update(text)
            .verify_slice(&self.signature)
            .map_err(|_| mismatch())
    }

    fn check_scope(&self, service: &str) -> Result<(), Fault> {
        let Scope {
            date,
            region,
            service: named,
            terminator,
        } = &self.scope;
        if terminator != TERMINATOR {
            return Err(invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'.",
                shown(terminator)
            )));
        }
        if region != domain::region() {
            return Err(invalid(format!(
                "Credential should be scoped to a valid region, which is '{}', not '{}'.",
                domain::region(),
                shown(region)
            )));
        }
        if named != service {
            return Err(invalid(format!(
                "Credential should be scoped to correct service: '{service}'."
            )));
        }
        // Both come from the caller, and the time is checked apart.
        let day = self.at_text();
        let day = day.get(..8).unwrap_or_default();
        if date != day {
            return Err(invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{day}', from '{}'.",
                shown(date),
                shown(&self.time)
            )));
        }
        Ok(())
    }

    fn check_time(&self, now: TimestampMs) -> Result<(), Fault> {
        let minute = 60_000;
        let (now_ms, at_ms) = (now.as_millis(), self.at.as_millis());
        let ahead = now_ms + SKEW_MINUTES * minute;
        if at_ms > ahead {
            return Err(invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + {SKEW_MINUTES} min.)",
                self.at_text(),
                time_text(TimestampMs::from_millis(ahead)),
                time_text(now)
            )));
        }
        let (valid_ms, length) = match self.expires_s {
            Some(expires) => (expires * 1_000, format!("{expires} sec.")),
            None => (SKEW_MINUTES * minute, format!("{SKEW_MINUTES} min.")),
        };
        let earliest = now_ms - valid_ms;
        if at_ms < earliest {
            return Err(invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {length})",
                self.at_text(),
                time_text(TimestampMs::from_millis(earliest)),
                time_text(now)
            )));
        }
        Ok(())
    }

    /// The host and every header of AWS's must be signed: they say what is asked of whom.
    fn check_signed_headers(&self, headers: &HeaderMap) -> Result<(), Fault> {
        let is_signed = |name: &str| self.signed_headers.split(';').any(|signed| signed == name);
        let unsigned = |name: &str| {
            invalid(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            ))
        };
        if !is_signed(HOST.as_str()) {
            return Err(unsigned("Host"));
        }
        for name in headers.keys().map(HeaderName::as_str) {
            if name.starts_with("x-amz-") && !is_signed(name) {
                return Err(unsigned(name));
            }
        }
        let dated_by_header = self.expires_s.is_none() && !headers.contains_key(X_AMZ_DATE);
        if dated_by_header && !is_signed(DATE.as_str()) {
            return Err(unsigned("Date"));
        }
        Ok(())
    }

    fn canonical_request(&self, parts: &Parts, body_hash: &str) -> Vec<u8> {
        let query = canonical_query(parts.uri.query().unwrap_or_default());
        let mut text = format!("{}\n/\n{query}\n", parts.method).into_bytes();
        for name in self.signed_headers.split(';') {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend(canonical_value(parts, name));
            text.push(b'\n');
        }
        text.extend_from_slice(format!("\n{}\n{body_hash}", self.signed_headers).as_bytes());
        text
    }

    fn string_to_sign(&self, canonical_request: &[u8]) -> String {
        let Scope {
            date,
            region,
            service,
            terminator,
        } = &self.scope;
        format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{terminator}\n{}",
            self.at_text(),
            hex(&Sha256::digest(canonical_request))
        )
    }

    fn at_text(&self) -> String {
        time_text(self.at)
    }
}

fn check_algorithm(algorithm: &str) -> Result<(), Fault> {
    if algorithm == ALGORITHM {
        Ok(())
    } else {
        Err(incomplete(format!(
            "Unsupported AWS 'algorithm': '{}'; it must be {ALGORITHM}.",
            shown(algorithm)
        )))
    }
}

/// When a request says that it was signed: `x-amz-date`, else `date`, which may be a date of HTTP's.
fn time_of(headers: &HeaderMap) -> Result<Option<(String, TimestampMs)>, Fault> {
    for name in [X_AMZ_DATE, DATE] {
        let mut values = headers.get_all(&name).iter();
        let Some(value) = values.next() else {
            continue;
        };
        let text = value.to_str().unwrap_or_default().trim();
        let of_http = || {
            let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(TimestampMs::from_millis(
                parsed.timestamp().as_millisecond(),
            ))
        };
        let at = parse_time(text).or_else(|| of_http().filter(|_| name == DATE));
        return match at {
            Some(at) if values.next().is_none() => Ok(Some((text.to_owned(), at))),
            _ => Err(bad_time(text)),
        };
    }
    Ok(None)
}

/// `20150830T123600Z`.
fn parse_time(text: &str) -> Option<TimestampMs> {
    let at = DateTime::strptime(TIME, text).ok()?;
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    let at = TimestampMs::from_millis(at.as_millisecond());
    // What is read leniently would not be what was signed.
    (time_text(at) == text).then_some(at)
}

fn time_text(at: TimestampMs) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map(|at| at.strftime(TIME).to_string())
        .unwrap_or_default()
}

/// The parameters of a query, decoded. A plus is a plus, as in what is signed.
fn parameters(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decoded = |text: &str| percent_decode_str(text).collect();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn canonical_query(query: &str) -> String {
    let encoded = |bytes: &[u8]| percent_encode(bytes, UNRESERVED).to_string();
    let mut pairs: Vec<(String, String)> = parameters(query)
        .iter()
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// What a header says: its values between commas, without blanks around them, and with one where there are several.
fn canonical_value(parts: &Parts, name: &str) -> Vec<u8> {
    let squeezed = |value: &[u8]| {
        let words = value
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    // A target in absolute form stands above the header (RFC 9112, section 3.2.2).
    if name == HOST.as_str()
        && let Some(authority) = parts.uri.authority()
    {
        return authority.as_str().as_bytes().to_vec();
    }
    let values = parts.headers.get_all(name).iter();
    let values: Vec<Vec<u8>> = values
        .map(|value| squeezed(value.as_bytes().trim_ascii()))
        .collect();
    values.join(&b',')
}

/// The key that a signature in `scope` is made with.
fn signing_key(secret: &[u8], scope: &Scope) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new([b"AWS4", secret].concat());
    let step = |key: &[u8], part: &str| -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(key).chain_update(part).finalize().into_bytes().into())
    };
    let date = step(&first, &scope.date);
    let region = step(date.as_slice(), &scope.region);
    let service = step(region.as_slice(), &scope.service);
    step(service.as_slice(), &scope.terminator)
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The 32 bytes that are written as 64 digits, in lower case.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 64 || !digits {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, place) in bytes.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn incomplete(message: impl Into<String>) -> Fault {
    Fault::Incomplete(message.into())
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::Invalid(message.into())
}

fn bad_time(text: &str) -> Fault {
    incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
        shown(text)
    ))
}

/// As AWS says it.
fn mismatch() -> Fault {
    invalid(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.",
    )
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
#[path = "tests/signature.rs"]
pub(super) mod tests;
