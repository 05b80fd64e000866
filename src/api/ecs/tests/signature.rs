//! Signatures: AWS's own examples, and that nothing of a signed request can be changed.

use axum::http::{Method, Request, Uri};
use proptest::prelude::*;

use super::*;

/// The one that names have unless somebody says otherwise.
const REGION: &str = "us-east-1";
/// Of AWS's examples.
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: &str = "20150830T123600Z";

fn at(text: &str) -> TimestampMs {
    parse_time(text).unwrap()
}

fn scope(date: &str, region: &str, service: &str) -> Scope {
    Scope {
        date: date.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        terminator: TERMINATOR.to_owned(),
    }
}

fn claim_of(service: &str, time: &str, headers: &str) -> Claim {
    Claim {
        key_id: "AKIDEXAMPLE".to_owned(),
        scope: scope(&time[..8], REGION, service),
        signed_headers: headers.to_owned(),
        signature: [0; 32],
        time: time.to_owned(),
        at: at(time),
        expires_s: None,
    }
}

/// The signature that `claim` should have.
fn signature(claim: &Claim, parts: &Parts, body: &[u8], secret: &str) -> String {
    let canonical = claim.canonical_request(parts, &hex(&Sha256::digest(body)));
    let key = signing_key(secret.as_bytes(), &claim.scope);
    let text = claim.string_to_sign(&canonical);
    hex(&mac(key.as_slice())
        .chain_update(text)
        .finalize()
        .into_bytes())
}

/// Signs `request`, all of its headers, for `service` at `time`, in the header.
pub(in crate::api::ecs) fn sign(
    request: &mut Request<Vec<u8>>,
    (id, secret): (&str, &str),
    service: &str,
    at: TimestampMs,
) {
    let time = time_text(at);
    let headers = request.headers_mut();
    headers.insert(X_AMZ_DATE, HeaderValue::from_str(&time).unwrap());
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let names = names.join(";");
    let (parts, body) = std::mem::take(request).into_parts();
    let claim = claim_of(service, &time, &names);
    let signature = signature(&claim, &parts, &body, secret);
    let value = format!(
        "{ALGORITHM} Credential={id}/{}/{REGION}/{service}/{TERMINATOR}, SignedHeaders={names}, Signature={signature}",
        &time[..8]
    );
    *request = Request::from_parts(parts, body);
    let value = HeaderValue::from_str(&value).unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
}

/// The same in the query.
fn presign(request: &mut Request<Vec<u8>>, service: &str, at: TimestampMs, expires: &str) {
    let time = time_text(at);
    let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let names = names.join(";");
    let own = request
        .uri()
        .query()
        .map_or(String::new(), |q| format!("{q}&"));
    let query = format!(
        "{own}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AKIDEXAMPLE%2F{}%2F{REGION}%2F{service}%2F{TERMINATOR}\
         &X-Amz-Date={time}&X-Amz-Expires={expires}&X-Amz-SignedHeaders={}",
        &time[..8],
        names.replace(';', "%3B")
    );
    *request.uri_mut() = format!("/?{query}").parse().unwrap();
    let (parts, body) = std::mem::take(request).into_parts();
    let claim = claim_of(service, &time, &names);
    let signature = signature(&claim, &parts, &body, SECRET);
    *request = Request::from_parts(parts, body);
    *request.uri_mut() = format!("/?{query}&X-Amz-Signature={signature}")
        .parse()
        .unwrap();
}

fn call() -> Request<Vec<u8>> {
    Request::post("/")
        .header("host", "localhost:6327")
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.RunTask")
        .header("content-type", "application/x-amz-json-1.1")
        .body(br#"{"taskDefinition":"web"}"#.to_vec())
        .unwrap()
}

fn signed() -> Request<Vec<u8>> {
    let mut request = call();
    sign(&mut request, ("AKIDEXAMPLE", SECRET), "ecs", at(NOW));
    request
}

fn verified(request: Request<Vec<u8>>, now: &str) -> Result<(), Fault> {
    let (parts, body) = request.into_parts();
    let claim = Claim::read(&parts)?;
    // Which key it is stands beside what is signed: another has another secret.
    if claim.key_id != "AKIDEXAMPLE" {
        return Err(Fault::UnknownKey);
    }
    claim.verify(&parts, &body, SECRET.as_bytes(), "ecs", at(now))
}

fn said(result: Result<(), Fault>) -> String {
    match result.unwrap_err() {
        Fault::Incomplete(message) | Fault::Invalid(message) => message,
        other => format!("{other:?}"),
    }
}

#[test]
fn the_signing_key_is_that_of_awss_examples() {
    // "Examples of how to derive a signing key", AWS General Reference.
    for (date, service, expected) in [
        (
            "20120215",
            "iam",
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d",
        ),
        (
            "20150830",
            "iam",
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
        ),
    ] {
        let key = signing_key(SECRET.as_bytes(), &scope(date, "us-east-1", service));
        assert_eq!(hex(key.as_slice()), expected, "{date}");
    }
}

/// A request of AWS's suite: method, target and headers beside `host`.
fn of_suite(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "example.amazonaws.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

const UNRESERVED_QUERY: &str = "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz=\
                                -._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PAIR: &str = "Param1=value1";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Its name, method, target, headers beside `host` and the date, body, and signature.
type Signed = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static str,
);

/// AWS's suite, as its own library carries it: awslabs/aws-c-auth, tests/aws-signing-test-suite/v4, each of the folder that
/// is named first, from its header-signed-request.txt. The last one is as aws-sig-v4-test-suite.zip had it, before it got
/// the hash of its body.
#[rustfmt::skip]
const SUITE: [Signed; 11] = [
    ("get-vanilla", "GET", "/", &[], "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("post-vanilla", "POST", "/", &[], "",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", &[], "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
    ("get-vanilla-query-order-encoded", "GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", &[], "",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"),
    ("get-vanilla-utf8-query", "GET", "/?%E1%88%B4=bar", &[], "",
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"),
    ("get-vanilla-query-unreserved", "GET", UNRESERVED_QUERY, &[], "",
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
    ("get-header-value-trim", "GET", "/", &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")], "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
    ("get-header-key-duplicate", "GET", "/",
        &[("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")], "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
    ("get-header-value-order", "GET", "/",
        &[("my-header1", "value4"), ("my-header1", "value1"), ("my-header1", "value3"), ("my-header1", "value2")], "",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"),
    ("post-x-www-form-urlencoded", "POST", "/",
        &[FORM, ("content-length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")], PAIR,
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"),
    ("post-x-www-form-urlencoded", "POST", "/", &[FORM], PAIR,
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
];

#[test]
fn the_signatures_are_those_of_awss_test_suite() {
    for (name, method, target, headers, body, expected) in SUITE {
        let mut parts = of_suite(method, target, &[headers, &[("x-amz-date", NOW)]].concat());
        let mut names: Vec<&str> = parts.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let names = names.join(";");
        let signed = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders={names}, Signature={expected}"
        );
        let signed = HeaderValue::from_str(&signed).unwrap();
        parts.headers.insert(AUTHORIZATION, signed);
        let claim = Claim::read(&parts).unwrap();
        let verify = |body| claim.verify(&parts, body, SECRET.as_bytes(), "service", at(NOW));
        assert_eq!(verify(body.as_bytes()), Ok(()), "{name}");
        assert!(verify(b"other").is_err(), "{name}");
    }
}

#[test]
fn the_signatures_in_queries_are_those_of_awss_test_suite() {
    let own = "X-Amz-Algorithm=AWS4-HMAC-SHA256&\
               X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice%2Faws4_request&\
               X-Amz-Date=20150830T123600Z";
    let thrice = [
        ("my-header1", "value2"),
        ("my-header1", "value2"),
        ("my-header1", "value1"),
    ];
    // The same suite, from each query-signed-request.txt.
    for (name, method, target, headers, expected) in [
        (
            "post-vanilla",
            "POST",
            "/?",
            &[][..],
            "2ce6e6d2e0cf2f9d1b55fafec88cd20574c31dc2e7631979f71ba2310083e95b",
        ),
        (
            "get-vanilla-query-order-key-case",
            "GET",
            "/?Param2=value2&Param1=value1&",
            &[],
            "86012e2c9ad4d77369f5d81c11f75158aae4f895a085212cc6d3f923d300bed5",
        ),
        (
            "get-vanilla-empty-query-key",
            "GET",
            "/?Param1=value1&",
            &[],
            "49096700cbbaa5753443850f40df10f904fc2fdb544dc9512203cc77c471a9de",
        ),
        (
            "get-vanilla-query-unreserved",
            "GET",
            &format!("{UNRESERVED_QUERY}&"),
            &[],
            "8e76a88a7433637b12778d5592799b29ad21ecd6cf6325051c21d86f0acda2bf",
        ),
        (
            "get-header-key-duplicate",
            "GET",
            "/?",
            &thrice,
            "3349ee0b81b4b589da0ff28a395c3591e04de515651dd74f298fa992d1507a97",
        ),
    ] {
        let names = if headers.is_empty() {
            "host"
        } else {
            "host%3Bmy-header1"
        };
        let target = format!(
            "{target}{own}&X-Amz-SignedHeaders={names}&X-Amz-Expires=3600&X-Amz-Signature={expected}"
        );
        let parts = of_suite(method, &target, headers);
        let claim = Claim::read(&parts).unwrap();
        let found = claim.verify(&parts, b"", SECRET.as_bytes(), "service", at(NOW));
        assert_eq!(found, Ok(()), "{name}");
    }
}

#[test]
fn what_was_signed_is_taken_within_a_quarter_of_an_hour() {
    for now in [NOW, "20150830T122100Z", "20150830T125100Z"] {
        assert_eq!(verified(signed(), now), Ok(()), "{now}");
    }
    assert_eq!(
        said(verified(signed(), "20150830T125101Z")),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        said(verified(signed(), "20150830T122059Z")),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
    // Across midnight the scope is that of the signature's day.
    let mut late = call();
    let day_before = at("20150830T235959Z");
    sign(&mut late, ("AKIDEXAMPLE", SECRET), "ecs", day_before);
    assert_eq!(verified(late, "20150831T000100Z"), Ok(()));
}

#[test]
fn a_request_that_is_signed_in_its_query_is_valid_until_it_expires() {
    let request = |expires: &str| {
        let mut request = call();
        presign(&mut request, "ecs", at(NOW), expires);
        request
    };
    assert_eq!(verified(request("60"), "20150830T123700Z"), Ok(()));
    assert_eq!(verified(request("604800"), "20150906T123600Z"), Ok(()));
    assert_eq!(verified(request("60"), "20150830T122100Z"), Ok(()));
    for (expires, now, expected) in [
        ("60", "20150830T123701Z", "Signature expired: "),
        ("604800", "20150906T123601Z", "Signature expired: "),
        ("60", "20150830T122059Z", "Signature not yet current: "),
        ("604801", NOW, "X-Amz-Expires must be "),
        ("0", NOW, "X-Amz-Expires must be "),
        ("-1", NOW, "X-Amz-Expires must be "),
        ("x", NOW, "X-Amz-Expires must be "),
    ] {
        let found = said(verified(request(expires), now));
        assert!(found.starts_with(expected), "{expires} {now}: {found}");
    }
}

/// `signed`, with something done to it.
fn changed(change: impl FnOnce(&mut Request<Vec<u8>>)) -> Request<Vec<u8>> {
    let mut request = signed();
    change(&mut request);
    request
}

fn set(name: &'static str, value: &str) -> Request<Vec<u8>> {
    changed(|request| {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().insert(name, value);
    })
}

#[test]
fn what_is_missing_or_cannot_be_read_is_said() {
    let authorization = |text: &str| set("authorization", text);
    let whole = "Credential=AKIDEXAMPLE/20150830/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=00";
    for (request, expected) in [
        (call(), "Missing"),
        (authorization("Bearer abcdef"), "Missing"),
        (
            authorization("AWS4-HMAC-SHA256"),
            "The Authorization header cannot be read.",
        ),
        (
            authorization("AWS4-HMAC-SHA256 SignedHeaders=host"),
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter.",
        ),
        (
            authorization("AWS4-HMAC-SHA256 Credential=a, Signature=b, SignedHeaders=host"),
            "Credential must have exactly 5 slash-delimited elements",
        ),
        (
            authorization(&format!("AWS4-ECDSA-P256-SHA256 {whole}")),
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'",
        ),
        (
            authorization(&format!("AWS4-HMAC-SHA256 {whole}")),
            "The request signature we calculated does not match",
        ),
        (
            authorization(&format!("AWS4-HMAC-SHA256 {whole}, Signature=11")),
            "Authorization header has 'Signature' twice.",
        ),
        (set("x-amz-date", "2015-08-30"), "Date must be in ISO-8601"),
        (
            changed(|request| {
                request.headers_mut().remove("x-amz-date");
            }),
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
        (
            changed(|request| {
                *request.uri_mut() = Uri::from_static("/?X-Amz-Signature=00");
            }),
            "The request is authenticated in more than one way.",
        ),
        (set("x-amz-security-token", "session"), "UnknownKey"),
        (
            set("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            "'x-amz-content-sha256' must be a 'SignedHeader'",
        ),
        (
            set("x-amz-user-agent", "x"),
            "'x-amz-user-agent' must be a 'SignedHeader'",
        ),
    ] {
        let shown = format!("{request:?}");
        let found = said(verified(request, NOW));
        assert!(found.starts_with(expected), "{shown}: {found}");
    }
}

#[test]
fn the_body_is_always_covered() {
    for hash in ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ""] {
        let mut request = call();
        let value = HeaderValue::from_static(hash);
        request.headers_mut().insert(X_AMZ_CONTENT_SHA256, value);
        sign(&mut request, ("AKIDEXAMPLE", SECRET), "ecs", at(NOW));
        let found = said(verified(request, NOW));
        assert!(
            found.starts_with("The value of x-amz-content-sha256"),
            "{found}"
        );
    }
    let mut request = call();
    let right = hex(&Sha256::digest(request.body()));
    let value = HeaderValue::from_str(&right).unwrap();
    request.headers_mut().insert(X_AMZ_CONTENT_SHA256, value);
    sign(&mut request, ("AKIDEXAMPLE", SECRET), "ecs", at(NOW));
    assert_eq!(verified(request, NOW), Ok(()));
}

#[test]
fn host_and_the_headers_of_aws_must_be_signed() {
    for (left_out, expected) in [
        ("host", "'Host' must be a 'SignedHeader'"),
        ("x-amz-target", "'x-amz-target' must be a 'SignedHeader'"),
        ("x-amz-date", "'x-amz-date' must be a 'SignedHeader'"),
    ] {
        let request = changed(|request| {
            let (parts, body) = std::mem::take(request).into_parts();
            let names =
                "content-type;host;x-amz-date;x-amz-target".replace(left_out, "content-type");
            let claim = claim_of("ecs", NOW, &names);
            let signature = signature(&claim, &parts, &body, SECRET);
            let text = format!(
                "{ALGORITHM} Credential=AKIDEXAMPLE/20150830/{REGION}/ecs/{TERMINATOR}, SignedHeaders={names}, \
                 Signature={signature}"
            );
            *request = Request::from_parts(parts, body);
            let value = HeaderValue::from_str(&text).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
        });
        let found = said(verified(request, NOW));
        assert!(found.starts_with(expected), "{left_out}: {found}");
    }
}

#[test]
fn a_date_of_http_counts_where_there_is_none_of_awss() {
    let mut request = call();
    request.headers_mut().insert(
        DATE,
        HeaderValue::from_static("Sun, 30 Aug 2015 12:36:00 GMT"),
    );
    let (parts, body) = request.into_parts();
    let names = "content-type;date;host;x-amz-target";
    let claim = claim_of("ecs", NOW, names);
    let signature = signature(&claim, &parts, &body, SECRET);
    let text = format!(
        "{ALGORITHM} Credential=AKIDEXAMPLE/20150830/{REGION}/ecs/{TERMINATOR},SignedHeaders={names},\
         Signature={signature}"
    );
    let mut request = Request::from_parts(parts, body);
    let value = HeaderValue::from_str(&text).unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
    assert_eq!(verified(request, NOW), Ok(()));
}

#[test]
fn a_signature_for_something_else_is_refused() {
    let of = |service: &str| {
        let mut request = call();
        sign(&mut request, ("AKIDEXAMPLE", SECRET), service, at(NOW));
        request
    };
    assert_eq!(
        said(verified(of("sts"), NOW)),
        "Credential should be scoped to correct service: 'ecs'."
    );
    let edited = |from: &str, to: &str| {
        changed(|request| {
            let header = request.headers()[AUTHORIZATION].to_str().unwrap();
            let value = HeaderValue::from_str(&header.replace(from, to)).unwrap();
            request.headers_mut().insert(AUTHORIZATION, value);
        })
    };
    for (from, to, expected) in [
        (
            "us-east-1",
            "eu-west-1",
            "Credential should be scoped to a valid region",
        ),
        (
            "aws4_request",
            "aws5_request",
            "Credential should be scoped with a valid terminator",
        ),
        (
            "/20150830/",
            "/20150831/",
            "Date in Credential scope does not match",
        ),
    ] {
        let found = said(verified(edited(from, to), NOW));
        assert!(found.starts_with(expected), "{found}");
    }
}

/// A text with one byte replaced.
fn edit(text: &[u8], index: prop::sample::Index, byte: u8) -> Vec<u8> {
    let mut text = text.to_vec();
    if text.is_empty() {
        text.push(byte);
    } else {
        let place = index.index(text.len());
        text[place] = byte;
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_there_is_refused_and_nothing_panics(
        header in "AWS4-(HMAC-SHA256)?[ -~]{0,80}(Credential|Signature|SignedHeaders)?=[ -~]{0,80}", query in "[!-~]{0,80}",
    ) {
        let header = HeaderValue::from_str(&header).unwrap();
        let mut request = signed();
        request.headers_mut().insert(AUTHORIZATION, header);
        prop_assert!(verified(request, NOW).is_err());
        if let Ok(uri) = format!("/?X-Amz-Algorithm={ALGORITHM}&{query}").parse() {
            let mut request = call();
            *request.uri_mut() = uri;
            prop_assert!(verified(request, NOW).is_err());
        }
    }

    #[test]
    fn nothing_of_a_signed_request_can_be_changed(
        part in 0..6_u8, index in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f, presigned in any::<bool>(),
    ) {
        let mut request = call();
        if presigned {
            presign(&mut request, "ecs", at(NOW), "300");
        } else {
            sign(&mut request, ("AKIDEXAMPLE", SECRET), "ecs", at(NOW));
        }
        let original = request.clone();
        match part {
            0 => *request.body_mut() = edit(request.body(), index, byte),
            1 => *request.method_mut() = Method::PUT,
            2 => {
                let uri = request.uri().to_string();
                let (path, query) = uri.split_once('?').unwrap_or((&uri, "a=b"));
                let query = edit(query.as_bytes(), index, byte);
                let changed = format!("{path}?{}", String::from_utf8(query).unwrap());
                // What no longer is a query never gets here.
                prop_assume!(changed.parse::<Uri>().is_ok_and(|uri| uri.query().is_some()));
                *request.uri_mut() = changed.parse().unwrap();
            }
            3 => request.body_mut().push(byte),
            _ => {
                let names: Vec<HeaderName> = request.headers().keys().cloned().collect();
                let name = &names[index.index(names.len())];
                let value = edit(request.headers()[name].as_bytes(), index, byte);
                if part == 4 {
                    request.headers_mut().remove(name);
                } else {
                    request.headers_mut().insert(name, HeaderValue::from_bytes(&value).unwrap());
                }
            }
        }
        prop_assume!(format!("{request:?}") != format!("{original:?}"));
        let shown = format!("{request:?}");
        // What is written otherwise and means the same is the same.
        let meaning = |request: &Request<Vec<u8>>| {
            let mut all = parameters(request.uri().query().unwrap_or_default());
            all.sort();
            all
        };
        let says_the_same = part == 2 && meaning(&original) == meaning(&request);
        prop_assume!(!says_the_same);
        prop_assert!(verified(request, NOW).is_err(), "{}", shown);
    }
}
