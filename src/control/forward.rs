//! Reaching into a task that runs: its ports.
//!
//! Only the task's own address is ever connected to, as the engine tells it at that moment; nothing of it comes
//! from the caller but the port. A task on the host's network has no address of its own: what a port of the host leads to
//! may be anybody's, so there is no way to it through here.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;

use super::exec::check_enabled;
use super::{Control, ControlError};
use crate::domain::{LastStatus, NetworkMode, TaskId};

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(5);

impl Control {
    /// A connection to a port of a task.
    pub async fn connect_to_task(&self, id: &TaskId, port: u16) -> Result<TcpStream, ControlError> {
        let task = self.task(id).await?;
        check_enabled(&task)?;
        if port == 0 {
            return Err(ControlError::invalid(
                "port",
                "is 0",
                "ports go from 1 to 65535",
            ));
        }
        let not_running = || {
            ControlError::conflict(
                format!("task \"{id}\" has no network now"),
                format!("how it gets on: neargate describe {id}"),
            )
        };
        if task.last_status == LastStatus::Stopped {
            return Err(not_running());
        }
        let address: IpAddr = match task.spec.network_mode {
            NetworkMode::None => {
                return Err(ControlError::conflict(
                    format!("task \"{id}\" has the network mode none: nothing leads into it"),
                    "run it in the mode awsvpc or bridge",
                ));
            }
            NetworkMode::Host => {
                return Err(ControlError::conflict(
                    format!(
                        "task \"{id}\" has the network mode host: its ports are those of the engine's host, which others \
                         use as well"
                    ),
                    format!("connect to port {port} of that host itself"),
                ));
            }
            NetworkMode::Awsvpc | NetworkMode::Bridge => {
                let sight = self.task_sight(id).await?.ok_or_else(not_running)?;
                let address = sight.address().and_then(|text| text.parse().ok());
                address.ok_or_else(not_running)?
            }
        };
        let target = SocketAddr::new(address, port);
        let why = match tokio::time::timeout(CONNECT_TIME, TcpStream::connect(target)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", CONNECT_TIME.as_secs()),
        };
        Err(ControlError::conflict(
            format!("nothing answers at {target}, port {port} of task \"{id}\": {why}"),
            "the process must listen on the task's address, as on 0.0.0.0: one that listens on 127.0.0.1 only cannot \
             be reached from outside of the task; the engine must be on the server's machine",
        ))
    }
}
