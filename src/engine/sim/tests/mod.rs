//! The model against what Docker does, and the faults against what they say. Nobody sleeps here: the clock
//! moves when a test moves it.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod faults;
mod lifecycle;
mod repeats;
mod resources;
mod workload;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::{FutureExt as _, Stream, StreamExt as _};

use super::*;
use crate::domain::{DurationMs, HealthCheck, PortMapping, Protocol, TimestampMs};
use crate::engine::docker::daemon::{
    ContainerInspect, ContainerSpec, Daemon, LogOptions, NetworkSpec,
};
use crate::engine::{EngineError, LogStream};

const START: TimestampMs = TimestampMs::from_millis(1_700_000_000_000);
const WORKLOAD: &str = "neargate/workload";

/// A network whose addresses the daemon chooses.
fn network(name: &str) -> NetworkSpec {
    NetworkSpec {
        name: name.to_owned(),
        ..NetworkSpec::default()
    }
}

/// A daemon and its clock, and the workload image.
struct World {
    clock: ManualClock,
    docker: SimDaemon,
}

impl World {
    fn new() -> Self {
        Self::with(SimConfig::default())
    }

    fn with(config: SimConfig) -> Self {
        let clock = ManualClock::new(START);
        let docker = SimDaemon::new(config, Arc::new(clock.clone()));
        assert!(docker.add_image(WORKLOAD));
        assert!(docker.add_image("nginx"));
        Self { clock, docker }
    }

    fn pass(&self, ms: u32) {
        self.clock.advance(DurationMs::from_millis(ms));
    }

    /// Carries out `call` while `ms` pass.
    async fn during<T>(&self, ms: u32, call: impl Future<Output = T>) -> T {
        let time = async {
            tokio::task::yield_now().await;
            self.pass(ms);
        };
        futures_util::join!(call, time).0
    }

    async fn create(&self, spec: &ContainerSpec) -> String {
        self.docker.create_container(spec).await.unwrap()
    }

    async fn run(&self, spec: &ContainerSpec) -> String {
        let id = self.create(spec).await;
        self.docker.start_container(&id).await.unwrap();
        id
    }

    async fn run_workload(&self, name: &str, command: &str) -> String {
        self.run(&workload(name, command)).await
    }

    async fn look(&self, id: &str) -> ContainerInspect {
        self.docker.inspect_container(id).await.unwrap().unwrap()
    }

    async fn status(&self, id: &str) -> String {
        self.look(id).await.status
    }

    async fn log(&self, id: &str) -> Vec<String> {
        let lines = self
            .docker
            .container_logs(id, LogOptions::default())
            .await
            .unwrap();
        lines
            .map(|line| String::from_utf8_lossy(&line.unwrap().text).into_owned())
            .collect()
            .await
    }
}

fn spec(name: &str, image: &str) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        labels: BTreeMap::from([("owner".to_owned(), "us".to_owned())]),
        network_mode: "bridge".to_owned(),
        log_max_bytes: Some(1024 * 1024),
        ..ContainerSpec::default()
    }
}

fn workload(name: &str, command: &str) -> ContainerSpec {
    ContainerSpec {
        cmd: Some(command.split_whitespace().map(str::to_owned).collect()),
        ..spec(name, WORKLOAD)
    }
}

fn joining(name: &str, sandbox: &str) -> ContainerSpec {
    ContainerSpec {
        network_mode: format!("container:{sandbox}"),
        ..workload(name, "serve")
    }
}

fn publishing(name: &str, host_port: Option<u16>) -> ContainerSpec {
    ContainerSpec {
        published: vec![PortMapping {
            container_port: 80,
            host_port,
            protocol: Protocol::Tcp,
        }],
        ..spec(name, "nginx")
    }
}

fn checked(name: &str, command: &str, check: &str) -> ContainerSpec {
    ContainerSpec {
        health_check: Some(HealthCheck {
            command: check.split_whitespace().map(str::to_owned).collect(),
            interval: DurationMs::from_secs(10),
            timeout: DurationMs::from_secs(2),
            retries: 2,
            start_period: DurationMs::from_secs(0),
        }),
        ..workload(name, command)
    }
}

/// What a stream has to give without waiting.
fn ready<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> Vec<T> {
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).collect()
}

/// Whether a stream is over.
fn is_over<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> bool {
    matches!(stream.next().now_or_never(), Some(None))
}

fn message<T: std::fmt::Debug>(result: Result<T, EngineError>) -> String {
    result.unwrap_err().to_string()
}
