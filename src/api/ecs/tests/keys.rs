//! Calls that are signed with access keys, and what becomes of those that are not.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{call, done};
use crate::api::ecs::signature::tests::sign;
use crate::api::rest::tests::{Answer, Api, Setting, request};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::TimestampMs;

const FORM: &str = "application/x-www-form-urlencoded";

/// The ID and the secret of a new key.
async fn key(api: &Api, role: &str) -> (String, String) {
    let body = json!({ "userName": "ann", "role": role }).to_string();
    let made = api.post("/v1/keys", "application/json", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("accessKeyId"), text("secretAccessKey"))
}

async fn delete(api: &Api, path: &str) -> Answer {
    api.call(request("DELETE", path).body(Body::empty()).unwrap())
        .await
}

fn unsigned(operation: &str, body: &str) -> Request<Vec<u8>> {
    request("POST", "/")
        .header(
            "x-amz-target",
            format!("AmazonEC2ContainerServiceV20141113.{operation}"),
        )
        .header("content-type", "application/x-amz-json-1.1")
        .body(body.as_bytes().to_vec())
        .unwrap()
}

fn form(body: &str) -> Request<Vec<u8>> {
    let request = request("POST", "/").header("content-type", FORM);
    request.body(body.as_bytes().to_vec()).unwrap()
}

fn minutes_ago(minutes: i64) -> TimestampMs {
    TimestampMs::from_millis(SystemClock.now().as_millis() - minutes * 60_000)
}

/// Sends what was signed.
async fn send(api: &Api, request: Request<Vec<u8>>) -> Answer {
    api.call(request.map(Body::from)).await
}

/// Signs and sends.
async fn signed(api: &Api, mut request: Request<Vec<u8>>, key: (&str, &str)) -> Answer {
    let is_form = request.headers()["content-type"] == FORM;
    let service = if is_form { "sts" } else { "ecs" };
    sign(&mut request, key, service, SystemClock.now());
    send(api, request).await
}

fn said(answer: &Answer) -> String {
    let answer: Value = answer.json();
    format!(
        "{}: {}",
        answer["__type"].as_str().unwrap_or_default(),
        answer["message"].as_str().unwrap_or_default()
    )
}

#[tokio::test]
async fn once_there_is_a_key_every_call_must_be_signed_with_one() {
    let api = Api::new().await;
    let list = || unsigned("ListClusters", "{}");
    // Until then anything is taken.
    assert_eq!(call(&api, "ListClusters", &json!({})).await.0, 200);
    let (id, secret) = key(&api, "admin").await;
    let good = (id.as_str(), secret.as_str());
    assert_eq!(signed(&api, list(), good).await.status, 200);

    let answer = send(&api, list()).await;
    assert_eq!(
        (answer.status.as_u16(), said(&answer)),
        (
            400,
            "MissingAuthenticationTokenException: Request is missing Authentication Token"
                .to_owned()
        )
    );
    let (status, answer) = call(&api, "ListClusters", &json!({})).await;
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("IncompleteSignatureException"))
    );
    let stranger = signed(&api, list(), ("AKIAIOSFODNN7EXAMPLE", &secret)).await;
    assert_eq!(
        said(&stranger),
        "UnrecognizedClientException: The security token included in the request is invalid."
    );
    let mismatch = "InvalidSignatureException: The request signature we calculated does not match the signature you \
                    provided. Check your AWS Secret Access Key and signing method. Consult the service documentation \
                    for details.";
    let wrong = signed(&api, list(), (&id, "wrong")).await;
    assert_eq!(
        (wrong.status.as_u16(), said(&wrong)),
        (400, mismatch.into())
    );
    let mut tampered = list();
    sign(&mut tampered, good, "ecs", SystemClock.now());
    *tampered.body_mut() = b"{ }".to_vec();
    assert_eq!(said(&send(&api, tampered).await), mismatch);
    for (minutes, expected) in [
        (16, "InvalidSignatureException: Signature expired: "),
        (
            -16,
            "InvalidSignatureException: Signature not yet current: ",
        ),
    ] {
        let mut skewed = list();
        sign(&mut skewed, good, "ecs", minutes_ago(minutes));
        let answer = said(&send(&api, skewed).await);
        assert!(answer.starts_with(expected), "{answer}");
    }
    let mut old = list();
    sign(&mut old, good, "ecs", minutes_ago(14));
    assert_eq!(send(&api, old).await.status, 200);

    // REST asks for what it asked for before.
    let listed = api.call(request("GET", "/v1/keys").body(Body::empty()).unwrap());
    let listed = listed.await;
    assert!(!listed.text().contains(&secret), "{listed:?}");
    assert_eq!(listed.json()["items"][0]["status"], "Active");

    let gone = delete(&api, &format!("/v1/keys/{id}")).await;
    assert_eq!(gone.status, 204);
    let answer = signed(&api, list(), good).await;
    assert!(said(&answer).starts_with("UnrecognizedClientException"));
    // Nobody is let in because the last key was taken away.
    let answer = said(&send(&api, list()).await);
    assert!(answer.starts_with("MissingAuthenticationToken"), "{answer}");
    let gone = delete(&api, &format!("/v1/keys/{id}?forget=true")).await;
    assert_eq!(gone.status, 204);
    assert_eq!(send(&api, list()).await.status, 200);
    let gone = delete(&api, &format!("/v1/keys/{id}")).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_key_that_only_reads_changes_nothing() {
    let api = Api::new().await;
    let (id, secret) = key(&api, "read-only").await;
    let good = (id.as_str(), secret.as_str());
    for operation in ["ListClusters", "DescribeClusters", "ListAccountSettings"] {
        let answer = signed(&api, unsigned(operation, "{}"), good).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
    }
    for operation in ["CreateCluster", "RunTask", "ExecuteCommand", "TagResource"] {
        let answer = signed(&api, unsigned(operation, "{}"), good).await;
        assert_eq!(
            (answer.status.as_u16(), said(&answer)),
            (
                400,
                format!(
                    "AccessDeniedException: User: arn:aws:iam::000000000000:user/ann is not authorized to perform: \
                     ecs:{operation} on resource: * because the access key's role is read-only"
                )
            )
        );
    }
    let mut logs = request("POST", "/")
        .header("x-amz-target", "Logs_20140328.CreateLogGroup")
        .body(b"{}".to_vec())
        .unwrap();
    sign(&mut logs, good, "logs", SystemClock.now());
    let answer = said(&send(&api, logs).await);
    assert!(
        answer.contains("perform: logs:CreateLogGroup on"),
        "{answer}"
    );
}

#[tokio::test]
async fn sts_names_whoever_signed_and_refuses_in_its_own_words() {
    let api = Api::new().await;
    let (id, secret) = key(&api, "read-only").await;
    let good = (id.as_str(), secret.as_str());
    let ask = || form("Action=GetCallerIdentity&Version=2011-06-15");
    let answer = signed(&api, ask(), good).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .text()
            .contains("<Arn>arn:aws:iam::000000000000:user/ann</Arn>"),
        "{answer:?}"
    );
    for (request, key, status, code) in [
        (ask(), None, 403, "MissingAuthenticationToken"),
        (
            ask(),
            Some((id.as_str(), "wrong")),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            ask(),
            Some(("AKIAIOSFODNN7EXAMPLE", "x")),
            403,
            "InvalidClientTokenId",
        ),
        (form("Action=AssumeRole"), Some(good), 403, "AccessDenied"),
    ] {
        let answer = match key {
            Some(key) => signed(&api, request, key).await,
            None => send(&api, request).await,
        };
        assert_eq!(answer.status, status, "{answer:?}");
        let expected = format!("<Code>{code}</Code>");
        assert!(answer.text().contains(&expected), "{code}: {answer:?}");
    }
    // A signature for another service is not taken, and what it says cannot break the document.
    let mut other = ask();
    sign(&mut other, good, "<ecs>", SystemClock.now());
    let answer = send(&api, other).await;
    assert!(
        answer.text().contains("correct service: 'sts'"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_servers_token_is_one_way_in_and_a_key_the_other() {
    let setting = Setting {
        token: Some("correct-horse-battery"),
        ..Setting::default()
    };
    let api = Api::with(setting).await;
    let bearer = "Bearer correct-horse-battery";
    let list = || unsigned("ListClusters", "{}");
    let shown = |mut request: Request<Vec<u8>>, token: &'static str| {
        let value = axum::http::HeaderValue::from_static(token);
        request.headers_mut().insert("authorization", value);
        request
    };
    // Without keys nobody can verify a signature, and it is no token.
    let answer = signed(&api, list(), ("AKIAIOSFODNN7EXAMPLE", "x")).await;
    assert_eq!(answer.status, 401);
    assert!(said(&answer).contains("neargate keys create"), "{answer:?}");
    let answer = send(&api, shown(list(), bearer)).await;
    assert_eq!(answer.status, 200);

    let creation = request("POST", "/v1/keys")
        .header("authorization", bearer)
        .header("content-type", "application/json")
        .body(br#"{"userName":"ci","role":"admin"}"#.to_vec());
    let made = send(&api, creation.unwrap()).await.json();
    let (id, secret) = (&made["accessKeyId"], &made["secretAccessKey"]);
    let good = (id.as_str().unwrap(), secret.as_str().unwrap());
    assert_eq!(signed(&api, list(), good).await.status, 200);
    assert_eq!(send(&api, shown(list(), bearer)).await.status, 200);
    let answer = send(&api, shown(list(), "Bearer wrong-horse-battery")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(send(&api, list()).await.status, 401);
    let answer = signed(&api, list(), (good.0, "wrong")).await;
    assert!(said(&answer).starts_with("InvalidSignatureException"));
    // A key opens ECS's API, and nothing of REST.
    let mut rest = request("GET", "/v1/clusters").body(Vec::new()).unwrap();
    sign(&mut rest, good, "ecs", SystemClock.now());
    assert_eq!(send(&api, rest).await.status, 401);
}

#[tokio::test]
async fn what_makes_no_key_is_refused_with_all_that_is_wrong() {
    let api = Api::new().await;
    for (body, expected) in [
        (json!({}), "userName"),
        (json!({ "userName": "a b", "role": "admin" }), "userName"),
        (json!({ "userName": "a", "role": "root" }), "role"),
        (json!({ "userName": "a" }), "role"),
    ] {
        let answer = api
            .post("/v1/keys", "application/json", body.to_string())
            .await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(expected), "{body}: {answer:?}");
    }
    let none = delete(&api, "/v1/keys/nonsense").await;
    assert_eq!(none.status, 400);
    // None of these was a key: calls need no signature.
    done(&api, "ListClusters", json!({})).await;
}
