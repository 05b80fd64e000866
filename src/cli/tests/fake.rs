//! A server that answers what a test says, and the command line against it.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;

use super::Buffer;
use crate::cli::client::Client;
use crate::cli::console::{Console, Format};
use crate::cli::failure::Failure;
use crate::cli::{Cli, Session, dispatch};
use clap::Parser as _;

/// Answers `routes` on a port of its own until the test is over.
pub(super) async fn server(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

/// What a command did.
pub(super) struct Done {
    pub(super) result: Result<u8, Failure>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Done {
    pub(super) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Does what `arguments` say against the server at `address`, with outputs that are no terminals.
pub(super) async fn neargate(address: SocketAddr, arguments: &[&str]) -> Done {
    command(address, arguments).0.await
}

/// The same, not yet begun, with the outputs to look at meanwhile.
pub(super) fn command(
    address: SocketAddr,
    arguments: &[&str],
) -> (impl Future<Output = Done> + use<>, Buffer, Buffer) {
    let cli = Cli::try_parse_from(std::iter::once(&"neargate").chain(arguments)).unwrap();
    let (mut session, stdout, stderr) = session(address, cli.global.output);
    session.named_cluster = cli.global.cluster;
    let outputs = (stdout.clone(), stderr.clone());
    let done = async move {
        let result = dispatch(&mut session, cli.command.unwrap()).await;
        Done {
            result,
            stdout: outputs.0.bytes(),
            stderr: outputs.1.text(),
        }
    };
    (done, stdout, stderr)
}

/// A session with the server at `address`, and its outputs.
pub(super) fn session(address: SocketAddr, format: Format) -> (Session, Buffer, Buffer) {
    let (stdout, stderr) = (Buffer::default(), Buffer::default());
    let session = Session {
        client: Client::new(&format!("http://{address}"), None).unwrap(),
        console: Console::plain(Box::new(stdout.clone()), Box::new(stderr.clone()), format),
        named_cluster: None,
    };
    (session, stdout, stderr)
}
