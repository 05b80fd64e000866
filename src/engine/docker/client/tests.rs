use std::time::Duration;

use super::fake::FakeDaemon;
use super::*;

fn message(text: &str) -> String {
    serde_json::json!({ "message": text }).to_string()
}

#[tokio::test]
async fn a_daemon_that_is_away_is_away_and_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let client = DockerClient::connect(Some(&socket.display().to_string())).unwrap();
    let error = client.inspect_container("x").await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Away(why) if why.ends_with("docker.sock: no such socket")),
        "{error:?}"
    );

    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    drop(listener);
    let error = client.inspect_container("x").await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Away(why) if why.contains("refused")),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_version_is_asked_for_once_and_again_after_a_loss() {
    let fake = FakeDaemon::start(|_| Some((404, message("No such container: x"))));
    let client = fake.client();
    for _ in 0..2 {
        assert_eq!(client.inspect_container("x").await, Ok(None));
    }
    assert_eq!(
        fake.asked(),
        [
            "GET /version",
            "GET /containers/x/json",
            "GET /containers/x/json"
        ]
    );
    client.forget_connection();
    assert_eq!(client.inspect_container("x").await, Ok(None));
    assert_eq!(fake.asked()[3], "GET /version");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let fake = FakeDaemon::start(|_| None);
    let client = fake.client();
    let mut call = Call::new(Verb::Start, "container x");
    assert_eq!(call.limit.as_secs(), 60);
    call.limit = Duration::from_millis(20);
    let answer = client.ask(&call, async |docker| docker.ping().await).await;
    let what = "start container x".to_owned();
    assert_eq!(answer, Err(EngineError::Timeout { what, limit_ms: 20 }));
}

#[tokio::test]
async fn a_name_that_would_leave_its_path_is_refused_and_never_sent() {
    let fake = FakeDaemon::start(|_| Some((200, "{}".to_owned())));
    let client = fake.client();
    for name in [
        "",
        "..",
        "../networks/x",
        "x?force=1",
        "x#",
        "x%2e",
        "-x",
        "a b",
        "a/b",
    ] {
        assert!(
            matches!(
                client.remove_container(name).await,
                Err(EngineError::Refused(_))
            ),
            "{name}"
        );
        assert!(
            matches!(
                client.remove_network(name).await,
                Err(EngineError::Refused(_))
            ),
            "{name}"
        );
    }
    for name in [
        "",
        "a/../../containers/x",
        "a//b",
        "/a",
        "a?b",
        "a#b",
        "a b",
        "a%2fb",
    ] {
        assert!(
            matches!(
                client.inspect_image(name).await,
                Err(EngineError::Refused(_))
            ),
            "{name}"
        );
    }
    assert_eq!(fake.asked(), [""; 0]);
}

#[tokio::test]
async fn the_beginning_of_an_id_is_not_a_name() {
    let body = r#"{"Id":"deadbeef01","Name":"/web","State":{"Status":"running"}}"#;
    let fake = FakeDaemon::start(move |_| Some((200, body.to_owned())));
    let client = fake.client();
    assert_eq!(client.inspect_container("deadbeef").await, Ok(None));
    for whole in ["deadbeef01", "web"] {
        let found = client.inspect_container(whole).await.unwrap().unwrap();
        assert_eq!(
            (found.id.as_str(), found.name.as_str()),
            ("deadbeef01", "web")
        );
    }
}

#[tokio::test]
async fn a_pull_adds_up_and_ends_with_the_error_of_the_stream() {
    let fake = FakeDaemon::start(|_| {
        let body = [
            r#"{"status":"Downloading","id":"l","progressDetail":{"current":1,"total":2}}"#,
            r#"{"errorDetail":{"message":"manifest unknown"},"error":"manifest unknown"}"#,
        ];
        Some((200, body.join("\r\n")))
    });
    let client = fake.client();
    let seen: Vec<_> = client
        .pull_image("a/b", None)
        .await
        .unwrap()
        .collect()
        .await;
    assert_eq!(
        seen,
        [
            Ok(PullProgress {
                current_bytes: 1,
                total_bytes: 2
            }),
            Err(EngineError::Refused("manifest unknown".to_owned())),
        ]
    );
    assert!(
        fake.asked()[1].contains("fromImage=a%2Fb%3Alatest&"),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn a_network_that_is_there_is_left_as_it_is() {
    let fake = FakeDaemon::start(|_| Some((200, r#"{"Id":"1234","Name":"n"}"#.to_owned())));
    let spec = NetworkSpec {
        name: "n".to_owned(),
        ..NetworkSpec::default()
    };
    let found = fake.client().ensure_network(&spec).await.unwrap();
    assert_eq!((found.name.as_str(), found.subnet), ("n", None));
    assert_eq!(fake.asked(), ["GET /version", "GET /networks/n"]);
}

#[test]
fn a_name_without_tag_means_latest() {
    for (name, expected) in [
        ("nginx", "nginx:latest"),
        ("localhost:5000/nginx", "localhost:5000/nginx:latest"),
        ("nginx:1", "nginx:1"),
        ("a/nginx@sha256:00", "a/nginx@sha256:00"),
    ] {
        assert_eq!(with_tag(name), expected);
    }
}

#[tokio::test]
async fn who_asks_again_after_the_end_of_a_stream_is_told_so_again() {
    let pieces = |items: Vec<Result<u32, Error>>| {
        until_silent(
            stream::iter(items),
            Call::new(Verb::ReadLogs, "container x"),
        )
        .boxed()
    };
    for items in [vec![], vec![Err(Error::RequestTimeoutError)]] {
        let last = items.len();
        let mut pieces = pieces(items);
        for _ in 0..last {
            assert!(pieces.next().await.unwrap().is_err());
        }
        for _ in 0..2 {
            assert_eq!(pieces.next().await, None);
        }
    }
}
