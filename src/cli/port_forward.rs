//! `neargate port-forward`: a port of this machine's loopback that leads to a port of a task.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use super::Session;
use super::client::{Client, ClientError, Received};
use super::failure::Failure;
use super::run::interrupted;

/// Reach a port of a running task from this machine
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
It listens on 127.0.0.1 until Ctrl-C, and says where on stdout. The process in the task must listen at the task's \
own address, as on 0.0.0.0: one that listens on 127.0.0.1 only cannot be reached. Only for tasks that were run with \
--enable-execute-command, or by a service with enableExecuteCommand.

Example:
  neargate port-forward 4f0c 8080:80")]
pub(super) struct PortForwardArgs {
    /// The task: its ID, or the first digits of it
    task: String,
    /// The port here and the port of the task; one number for both; `0:80` takes a free one here
    #[arg(value_name = "[LOCAL:]PORT", value_parser = ports)]
    ports: Ports,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    here: u16,
    there: u16,
}

/// Connections at the same time; further ones wait to be accepted. The server has a bound for all of its clients.
const CONNECTIONS: usize = 32;
/// How much is read at once.
const PIECE_BYTES: usize = 32 * 1_024;

fn ports(text: &str) -> Result<Ports, String> {
    let (here, there) = text.split_once(':').unwrap_or((text, text));
    let port = |text: &str| {
        text.parse::<u16>()
            .map_err(|_| format!("`{text}` is no port: they go from 1 to 65535"))
    };
    let ports = Ports {
        here: port(here)?,
        there: port(there)?,
    };
    if ports.there == 0 {
        return Err("the task's port cannot be 0".to_owned());
    }
    Ok(ports)
}

pub(super) async fn execute(session: &mut Session, args: PortForwardArgs) -> Result<u8, Failure> {
    let Ports { here, there } = args.ports;
    let task = session.client.task(&args.task).await?.value.task_id;
    // Whether anything can be reached is known before somebody tries.
    let (mut sender, _) = session.client.forward(&task, there).await?;
    sender.close().await;
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, here)));
    let cannot = |error: std::io::Error| {
        Failure::new(
            format!("cannot listen on 127.0.0.1:{here}: {error}"),
            format!(
                "take another port, or any: neargate port-forward {} 0:{there}",
                args.task
            ),
        )
    };
    let listener = listener.await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let console = &mut session.console;
    console.line(&format!("{address} -> {task}:{there}"))?;
    console.flush()?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let (complain, mut complaints) = mpsc::channel::<ClientError>(CONNECTIONS);
    let accept = async {
        loop {
            // Never closed.
            let slot = Arc::clone(&slots).acquire_owned().await;
            let Ok((stream, _)) = listener.accept().await else {
                // Mostly too many open files: that passes.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let (client, task, complain) = (session.client.clone(), task.clone(), complain.clone());
            tokio::spawn(async move {
                if let Err(error) = connect(&client, &task, there, stream).await {
                    let _ = complain.send(error).await;
                }
                drop(slot);
            });
        }
    };
    tokio::pin!(accept);
    loop {
        tokio::select! {
            () = &mut accept => {}
            () = interrupted() => return Ok(0),
            Some(error) = complaints.recv() => session.console.complain(&error.into()),
        }
    }
}

/// One connection, until either side ends it.
async fn connect(
    client: &Client,
    task: &str,
    port: u16,
    mut stream: TcpStream,
) -> Result<(), ClientError> {
    let (mut sender, mut receiver) = client.forward(task, port).await?;
    let (mut reader, mut writer) = stream.split();
    let there = async {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        loop {
            piece.reserve(PIECE_BYTES);
            match reader.read_buf(&mut piece).await {
                Ok(0) => break sender.bytes(Bytes::new()).await,
                Ok(_) => sender.bytes(piece.split().freeze()).await,
                // Whoever connected has gone without a word.
                Err(_) => return,
            }
        }
        // What comes back goes on.
        std::future::pending::<()>().await;
    };
    let back = async {
        loop {
            match receiver.next().await? {
                Received::Bytes(bytes) => {
                    if writer.write_all(&bytes).await.is_err() {
                        return Ok(());
                    }
                }
                Received::Report(_) | Received::Closed => {
                    // What was written is delivered all the same.
                    let _ = writer.shutdown().await;
                    return Ok(());
                }
            }
        }
    };
    tokio::select! {
        () = there => Ok(()),
        ended = back => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_two_numbers_or_one() {
        assert_eq!(
            ports("8080:80"),
            Ok(Ports {
                here: 8080,
                there: 80
            })
        );
        assert_eq!(
            ports("80"),
            Ok(Ports {
                here: 80,
                there: 80
            })
        );
        assert_eq!(ports("0:80"), Ok(Ports { here: 0, there: 80 }));
        for wrong in ["", "0", "80:0", "1:2:3", "65536", "-1", "a:80"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
