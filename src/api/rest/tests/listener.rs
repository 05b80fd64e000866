//! The API over real connections: limits and the orderly end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Api, Logs, Setting, soon};
use crate::api::{ApiLimits, serve};

/// Serves `api` on a free port.
async fn listen(api: &Api, limits: ApiLimits) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (
        address,
        tokio::spawn(serve(
            listener,
            api.router.clone(),
            limits,
            api.stop.clone(),
        )),
    )
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end of the connection.
async fn rest_of(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    soon("the end of the connection", stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn streams_end_and_connections_close_when_the_server_stops() {
    let api = Api::with(Setting {
        logs: Logs::Endless,
        ..Setting::default()
    })
    .await;
    let id = api.run_hello(1).await.remove(0);
    api.set_running(&id).await;
    let (address, server) = listen(&api, ApiLimits::default()).await;
    let mut follower = connect(
        address,
        &format!("GET /v1/tasks/{id}/logs?follow=true HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    )
    .await;
    let mut events = connect(
        address,
        "GET /v1/events/stream HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )
    .await;
    let idle = connect(address, "").await;
    let mut begun = vec![0; 1_024];
    let length = soon("the first line", follower.read(&mut begun))
        .await
        .unwrap();
    assert!(
        begun[..length].starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&begun)
    );
    let length = soon("the head of the events", events.read(&mut begun))
        .await
        .unwrap();
    assert!(begun[..length].starts_with(b"HTTP/1.1 200"));

    api.stop.cancel();
    soon("the end of the server", server).await.unwrap();
    assert!(
        rest_of(follower).await.ends_with("0\r\n\r\n"),
        "the stream ends in order"
    );
    assert!(
        rest_of(events).await.ends_with("0\r\n\r\n"),
        "the stream ends in order"
    );
    assert_eq!(rest_of(idle).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut_off() {
    let api = Api::new().await;
    let limits = ApiLimits {
        drain_time: Duration::from_millis(50),
        ..ApiLimits::default()
    };
    let (address, server) = listen(&api, limits).await;
    let head = "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/yaml\r\ncontent-length: 9\r\n\r\n";
    let unfinished = connect(address, head).await;
    // The request is in work when a later one has been answered.
    let later = connect(
        address,
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(rest_of(later).await.starts_with("HTTP/1.1 200"));
    api.stop.cancel();
    soon("the end of the server", server).await.unwrap();
    let answer = rest_of(unfinished).await;
    assert!(!answer.contains(" 201 "), "{answer}");
}

#[tokio::test]
async fn a_large_body_is_answered_over_a_real_connection() {
    let api = Api::new().await;
    let (address, _server) = listen(&api, ApiLimits::default()).await;
    let length = 10 * 1_048_576;
    let head = format!(
        "POST /v1/tasks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/yaml\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = connect(address, &head).await;
    let body = vec![b'a'; length];
    soon("the body", stream.write_all(&body)).await.unwrap();
    let answer = rest_of(stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("body-too-large"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_takes_too_long_and_one_that_is_too_large_are_not_waited_for() {
    let api = Api::new().await;
    let limits = ApiLimits {
        header_time: Duration::from_millis(100),
        ..ApiLimits::default()
    };
    let (address, _server) = listen(&api, limits).await;
    let slow = connect(address, "GET /healthz HTTP/1.1\r\nhost: local").await;
    assert!(!rest_of(slow).await.contains(" 200 "));

    let (address, _server) = listen(&api, ApiLimits::default()).await;
    let large = format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "a".repeat(70_000)
    );
    let answer = rest_of(connect(address, &large).await).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let api = Api::new().await;
    let (address, _server) = listen(
        &api,
        ApiLimits {
            connections: 1,
            ..ApiLimits::default()
        },
    )
    .await;
    let mut first = connect(address, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = [0; 12];
    soon("the first answer", first.read_exact(&mut answer))
        .await
        .unwrap();
    let mut second = connect(
        address,
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    let waited = tokio::time::timeout(Duration::from_millis(100), second.read(&mut answer)).await;
    assert!(waited.is_err(), "there is one place, and it is taken");
    drop(first);
    assert!(rest_of(second).await.starts_with("HTTP/1.1 200"));
}
