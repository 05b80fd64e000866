//! The listener: connections in, requests to the router, and an orderly end.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ApiLimits;

/// How long to wait after a connection could not be accepted, which mostly means too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most bytes that the head of a request may have.
const HEAD_BYTES: usize = 65_536;

/// How long what was sent may go unacknowledged: whoever has vanished without a word is noticed then, and not when the kernel
/// gives up by itself, after some 15 minutes.
const VANISHED_AFTER: Duration = Duration::from_mins(1);

/// Whom a connection comes from: every request that came over one has it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Answers what comes in on `listener` with `router` until `stop`. Then no new connections are accepted,
/// requests in work are finished and streams are ended; what has not ended within the drain time is cut off.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ApiLimits,
    stop: CancellationToken,
) {
    serve_each(listener, |_| router.clone(), limits, stop).await;
}

/// As [`serve`], with a router for each connection, made for the address that it comes from.
pub(super) async fn serve_each(
    listener: TcpListener,
    router: impl Fn(SocketAddr) -> Router + Send,
    limits: ApiLimits,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let answer = answer((stream, peer), router(peer), limits, stop.clone());
                connections.spawn(async move {
                    answer.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_time, drained)
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections that did not end in time are cut off"
        );
        connections.shutdown().await;
    }
}

/// Answers the requests of one connection.
async fn answer(
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    limits: ApiLimits,
    stop: CancellationToken,
) {
    // Without it the last piece of an answer may wait for an acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let patience = u32::try_from(VANISHED_AFTER.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = sockopt::set_tcp_user_timeout(&stream, patience) {
        tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer.ip()));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(HEAD_BYTES)
        .max_buf_size(2 * HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;

    #[tokio::test]
    async fn a_request_says_whom_it_comes_from() {
        let whom = |Extension(Peer(ip)): Extension<Peer>| async move { ip.to_string() };
        let router = Router::new().route("/", get(whom));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, ApiLimits::default(), stop.clone()));
        for from in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)] {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with(&format!("\r\n\r\n{from}")), "{answer}");
        }
        stop.cancel();
        server.await.unwrap();
    }
}
