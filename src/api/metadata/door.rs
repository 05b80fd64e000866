//! The listeners: one on the host's address of each network that tasks are on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Key;
use super::answers::Answers;
use crate::api::ApiLimits;
use crate::api::listener;
use crate::control::Control;
use crate::domain::{ContainerName, TaskId};
use crate::engine::{EngineStatus, MetadataDoor};

/// Where Linux lists the interfaces of this machine.
const INTERFACES: &str = "/sys/class/net";

/// The metadata endpoint of all tasks.
pub struct Door {
    answers: Answers,
    key: Key,
    /// The same on every network, since containers keep it for life. 0: nobody is told to ask.
    port: u16,
    status: EngineStatus,
    limits: ApiLimits,
    stop: CancellationToken,
    open: Mutex<BTreeMap<Ipv4Addr, CancellationToken>>,
}

impl Door {
    /// Closed everywhere. What stands in the way of opening it is noted in `status`; `stop` ends it.
    pub fn new(
        control: Control,
        key: Key,
        port: u16,
        status: EngineStatus,
        stop: CancellationToken,
    ) -> Self {
        let limits = ApiLimits {
            connections: 512,
            header_time: Duration::from_secs(5),
            drain_time: Duration::from_secs(2),
            ..ApiLimits::default()
        };
        if port == 0 {
            status.set_metadata(Some("is off: metadata_port is 0".to_owned()));
        }
        Self {
            answers: Answers::new(control, key.clone()),
            key,
            port,
            status,
            limits,
            stop,
            open: Mutex::new(BTreeMap::new()),
        }
    }

    async fn listen(&self, interface: &str, gateway: Ipv4Addr) -> Result<TcpListener, String> {
        // An address of that kind may well be ours by chance, and the engine somewhere else.
        if !Path::new(INTERFACES).join(interface).exists() {
            return Err(format!(
                "containers cannot reach it: the engine's network {interface} is not on this machine"
            ));
        }
        TcpListener::bind((gateway, self.port))
            .await
            .map_err(|error| {
                format!(
                    "cannot listen on {gateway}:{} ({error}); set another metadata_port in the configuration",
                    self.port
                )
            })
    }
}

#[async_trait]
impl MetadataDoor for Door {
    async fn open(&self, interface: &str, gateway: Ipv4Addr) -> bool {
        if self.port == 0 {
            return false;
        }
        let mut open = self.open.lock().await;
        if open.contains_key(&gateway) {
            return true;
        }
        let listener = match self.listen(interface, gateway).await {
            Ok(listener) => listener,
            Err(why) => {
                if self.status.set_metadata(Some(why.clone())) {
                    tracing::warn!(why, "containers are not told where to ask about themselves");
                }
                return false;
            }
        };
        self.status.set_metadata(None);
        let stop = self.stop.child_token();
        open.insert(gateway, stop.clone());
        let (answers, limits) = (self.answers.clone(), self.limits);
        tracing::debug!(%gateway, port = self.port, "the metadata endpoint answers");
        tokio::spawn(async move {
            let router = |peer: SocketAddr| answers.router(peer.ip());
            listener::serve_each(listener, router, limits, stop).await;
        });
        true
    }

    async fn close(&self, gateway: Ipv4Addr) {
        if let Some(stop) = self.open.lock().await.remove(&gateway) {
            stop.cancel();
        }
    }

    fn address(&self, gateway: Ipv4Addr, task: &TaskId, container: &ContainerName) -> String {
        let token = self.key.token(task, container);
        format!("http://{gateway}:{}/v4/{token}", self.port)
    }
}
