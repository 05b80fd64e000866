//! The Docker client against a real engine: what no fake can know, which is how Docker really answers.
//!
//! These tests fail when no engine answers. Each has an instance of its own, whose label is on everything
//! that it makes, and removes all of it at the end, also when it fails.

#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see that these helpers belong to tests"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::StreamExt;
use neargate::domain::{DurationMs, HealthCheck, HealthStatus, PortMapping, Protocol, TimestampMs};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::{
    ContainerInspect, ContainerSpec, Daemon, LogOptions, NetworkSpec,
};
use neargate::engine::docker::sandbox_image::sandbox_image;
use neargate::engine::{EngineError, LogLine, LogStream};

/// How long anything here may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

const WORKLOAD: &str = "neargate/workload:latest";

/// An engine, and what one test makes on it.
struct Lab {
    daemon: DockerClient,
    instance: String,
    sandbox: String,
    networks: Mutex<Vec<String>>,
}

impl Lab {
    async fn open() -> Self {
        let daemon = DockerClient::connect(None).unwrap();
        let info = daemon.info().await.unwrap_or_else(|error| {
            panic!("no Docker engine answers ({error}); hint: docker/engine up");
        });
        let image =
            sandbox_image(&info.architecture).expect("an architecture with a sandbox image");
        if daemon.inspect_image(&image.name).await.unwrap().is_none() {
            daemon.load_image(image.tar).await.unwrap();
        }
        Self {
            daemon,
            instance: format!("{:08x}", rand::random::<u32>()),
            sandbox: image.name,
            networks: Mutex::default(),
        }
    }

    fn label(&self) -> String {
        format!("neargate.instance={}", self.instance)
    }

    fn name(&self, name: &str) -> String {
        format!("neargate-test-{}-{name}", self.instance)
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("neargate.instance".to_owned(), self.instance.clone())])
    }

    /// A container that does nothing, without a network.
    fn spec(&self, name: &str) -> ContainerSpec {
        ContainerSpec {
            name: self.name(name),
            image: self.sandbox.clone(),
            labels: self.labels(),
            network_mode: "none".to_owned(),
            ..ContainerSpec::default()
        }
    }

    /// A container that runs the workload.
    async fn workload(&self, name: &str, arguments: &[&str]) -> ContainerSpec {
        let image = self.daemon.inspect_image(WORKLOAD).await.unwrap();
        assert!(
            image.is_some(),
            "{WORKLOAD} is not there; hint: docker/engine up"
        );
        ContainerSpec {
            image: WORKLOAD.to_owned(),
            cmd: Some(
                arguments
                    .iter()
                    .map(|argument| (*argument).to_owned())
                    .collect(),
            ),
            log_max_bytes: Some(1 << 20),
            ..self.spec(name)
        }
    }

    async fn network(&self, name: &str) -> String {
        let name = self.name(name);
        self.networks.lock().unwrap().push(name.clone());
        self.daemon
            .ensure_network(&NetworkSpec {
                name: name.clone(),
                labels: self.labels(),
                subnet: None,
            })
            .await
            .unwrap();
        name
    }

    async fn run(&self, spec: &ContainerSpec) -> String {
        let id = self.daemon.create_container(spec).await.unwrap();
        self.daemon.start_container(&id).await.unwrap();
        id
    }

    async fn inspect(&self, id: &str) -> ContainerInspect {
        self.daemon
            .inspect_container(id)
            .await
            .unwrap()
            .expect("a container that is there")
    }

    /// Waits until `done` says so of what the engine says of a container.
    async fn until(&self, id: &str, done: impl Fn(&ContainerInspect) -> bool) -> ContainerInspect {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.inspect(id).await;
            if done(&found) {
                return found;
            }
            assert!(tokio::time::Instant::now() < deadline, "still {found:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn lines(&self, id: &str, options: LogOptions) -> Vec<LogLine> {
        let lines = self.daemon.container_logs(id, options).await.unwrap();
        let lines = in_time("the end of the logs", lines.collect::<Vec<_>>()).await;
        lines.into_iter().map(Result::unwrap).collect()
    }
}

impl Drop for Lab {
    /// On a thread of its own, because the test's runtime may be on its way out.
    fn drop(&mut self) {
        let label = self.label();
        let networks = std::mem::take(&mut *self.networks.lock().unwrap());
        let clean_up = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let daemon = DockerClient::connect(None).unwrap();
                for container in daemon.list_containers(&label).await.unwrap() {
                    daemon.remove_container(&container.id).await.unwrap();
                }
                for network in networks {
                    daemon.remove_network(&network).await.unwrap();
                }
            });
        };
        let cleaned = std::thread::spawn(clean_up).join();
        assert!(
            std::thread::panicking() || cleaned.is_ok(),
            "something was left on the engine"
        );
    }
}

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited for {what}"))
}

fn text(line: &LogLine) -> String {
    String::from_utf8_lossy(&line.text).into_owned()
}

#[tokio::test]
async fn the_engine_says_who_it_is() {
    let lab = Lab::open().await;
    let info = lab.daemon.info().await.unwrap();
    assert_eq!(info.os, "linux");
    assert!(
        !info.version.is_empty() && info.api_version.starts_with("1."),
        "{info:?}"
    );
    assert!(
        info.cpus > 0 && info.memory_bytes > 0 && !info.host.is_empty(),
        "{info:?}"
    );
    assert!(
        ["1", "2"].contains(&info.cgroup_version.as_str()),
        "{info:?}"
    );
}

#[tokio::test]
async fn a_sandbox_lives_and_ends() {
    let lab = Lab::open().await;
    let spec = lab.spec("sandbox");
    let id = lab.daemon.create_container(&spec).await.unwrap();
    let created = lab.inspect(&id).await;
    assert_eq!(
        (created.status.as_str(), created.started_at),
        ("created", None)
    );
    assert_eq!(created.stop_signal, "SIGKILL");
    assert_eq!(created.name, spec.name);

    lab.daemon.start_container(&id).await.unwrap();
    lab.daemon
        .start_container(&id)
        .await
        .expect("starting what runs succeeds");
    let running = lab.inspect(&spec.name).await;
    assert_eq!(
        (running.id.as_str(), running.status.as_str()),
        (id.as_str(), "running")
    );
    assert!(running.started_at.is_some() && running.finished_at.is_none());
    assert_eq!(running.network_mode, "none");
    assert_eq!(running.ip_address, None);

    let new_name = lab.name("renamed");
    lab.daemon.rename_container(&id, &new_name).await.unwrap();
    lab.daemon
        .rename_container(&id, &new_name)
        .await
        .expect("the name that it has succeeds");
    assert_eq!(lab.daemon.inspect_container(&spec.name).await, Ok(None));

    lab.daemon.signal_container(&id, "SIGKILL").await.unwrap();
    let ended = lab.until(&id, |found| found.status == "exited").await;
    assert_eq!((ended.exit_code, ended.oom_killed), (137, false));
    assert!(ended.finished_at >= ended.started_at);
    lab.daemon
        .signal_container(&id, "SIGTERM")
        .await
        .expect("signalling what ended succeeds");

    let listed = lab.daemon.list_containers(&lab.label()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].name.as_str(), listed[0].status.as_str()),
        (new_name.as_str(), "exited")
    );
    assert_eq!(listed[0].labels["neargate.instance"], lab.instance);

    lab.daemon.remove_container(&id).await.unwrap();
    lab.daemon
        .remove_container(&id)
        .await
        .expect("removing what is not there succeeds");
    lab.daemon
        .signal_container(&id, "SIGTERM")
        .await
        .expect("as does signalling it");
    assert_eq!(lab.daemon.inspect_container(&id).await, Ok(None));
    assert!(matches!(
        lab.daemon.start_container(&id).await,
        Err(EngineError::NotFound(_))
    ));
    let logs = lab.daemon.container_logs(&id, LogOptions::default()).await;
    assert!(matches!(logs.err(), Some(EngineError::NotFound(_))));
}

#[tokio::test]
async fn removing_by_many_at_once_succeeds_for_all() {
    let lab = Lab::open().await;
    let id = lab.run(&lab.spec("crowded")).await;
    let all =
        futures_util::future::join_all((0..4).map(|_| lab.daemon.remove_container(&id))).await;
    assert_eq!(all, [const { Ok(()) }; 4]);
}

#[tokio::test]
async fn containers_of_a_namespace_share_it_and_need_it() {
    let lab = Lab::open().await;
    let network = lab.network("net").await;
    let sandbox = ContainerSpec {
        network_mode: network.clone(),
        published: vec![PortMapping {
            container_port: 80,
            host_port: None,
            protocol: Protocol::Tcp,
        }],
        publish_ip: "127.0.0.1".to_owned(),
        hostname: Some("task".to_owned()),
        extra_hosts: vec!["db:10.9.8.7".to_owned()],
        ..lab.spec("owner")
    };
    let owner = lab.run(&sandbox).await;
    let found = lab.inspect(&owner).await;
    assert_eq!(found.network_mode, network);
    assert!(found.ip_address.is_some());
    assert_eq!(found.bindings.len(), 1);
    assert_eq!(
        (
            found.bindings[0].container_port,
            found.bindings[0].bind_ip.as_str()
        ),
        (80, "127.0.0.1")
    );
    assert!(found.bindings[0].host_port > 0);

    let in_use = lab.daemon.remove_network(&network).await;
    assert!(matches!(in_use, Err(EngineError::Refused(_))), "{in_use:?}");

    let joining = |name: &str| ContainerSpec {
        network_mode: format!("container:{owner}"),
        ..lab.spec(name)
    };
    let member = lab.run(&joining("member")).await;
    let found = lab.inspect(&member).await;
    assert_eq!(found.network_mode, format!("container:{owner}"));
    assert_eq!(found.ip_address, None);

    lab.daemon
        .signal_container(&owner, "SIGKILL")
        .await
        .unwrap();
    lab.until(&owner, |found| found.status == "exited").await;
    let late = lab.daemon.create_container(&joining("late")).await.unwrap();
    let refused = lab.daemon.start_container(&late).await;
    assert!(
        matches!(refused, Err(EngineError::Refused(_))),
        "{refused:?}"
    );

    lab.daemon.remove_container(&owner).await.unwrap();
    let orphan = lab.daemon.create_container(&joining("orphan")).await;
    let orphan = match orphan {
        Ok(id) => lab.daemon.start_container(&id).await,
        Err(error) => Err(error),
    };
    assert!(
        matches!(orphan, Err(EngineError::NotFound(_))),
        "{orphan:?}"
    );
}

#[tokio::test]
async fn a_network_is_made_once() {
    let lab = Lab::open().await;
    let name = lab.network("twice").await;
    let spec = NetworkSpec {
        name: name.clone(),
        ..NetworkSpec::default()
    };
    let all = futures_util::future::join_all((0..4).map(|_| lab.daemon.ensure_network(&spec)));
    assert!(all.await.into_iter().all(|made| made.is_ok()));
    lab.daemon.remove_network(&name).await.unwrap();
    lab.daemon
        .remove_network(&name)
        .await
        .expect("removing what is not there succeeds");
    let missing = ContainerSpec {
        network_mode: name,
        ..lab.spec("lost")
    };
    let lost = match lab.daemon.create_container(&missing).await {
        Ok(id) => lab.daemon.start_container(&id).await,
        Err(error) => Err(error),
    };
    assert!(matches!(lost, Err(EngineError::NotFound(_))), "{lost:?}");
}

#[tokio::test]
async fn what_cannot_be_created_says_why() {
    let lab = Lab::open().await;
    lab.daemon
        .create_container(&lab.spec("first"))
        .await
        .unwrap();
    let taken = lab.daemon.create_container(&lab.spec("first")).await;
    assert!(matches!(taken, Err(EngineError::NameTaken(_))), "{taken:?}");

    let second = lab
        .daemon
        .create_container(&lab.spec("second"))
        .await
        .unwrap();
    let taken = lab
        .daemon
        .rename_container(&second, &lab.name("first"))
        .await;
    assert!(matches!(taken, Err(EngineError::NameTaken(_))), "{taken:?}");

    let image = "neargate.invalid/nothing:1".to_owned();
    let absent = ContainerSpec {
        image,
        ..lab.spec("absent")
    };
    let absent = lab.daemon.create_container(&absent).await;
    assert_eq!(
        absent,
        Err(EngineError::NotFound(
            "image neargate.invalid/nothing:1".to_owned()
        ))
    );

    let too_small = ContainerSpec {
        memory_bytes: 1_024,
        ..lab.spec("small")
    };
    let too_small = lab.daemon.create_container(&too_small).await;
    assert!(
        matches!(too_small, Err(EngineError::Refused(_))),
        "{too_small:?}"
    );
}

#[tokio::test]
async fn a_missing_executable_is_refused_and_leaves_its_reason() {
    let lab = Lab::open().await;
    let spec = ContainerSpec {
        entrypoint: Some(vec!["/nope".to_owned()]),
        ..lab.spec("nope")
    };
    let id = lab.daemon.create_container(&spec).await.unwrap();
    let Err(EngineError::Refused(reason)) = lab.daemon.start_container(&id).await else {
        panic!("a start of what is not there");
    };
    assert!(reason.starts_with("exec: \"/nope\""), "{reason}");
    let found = lab.inspect(&id).await;
    assert_eq!(found.status, "created");
    assert!(found.error.is_some_and(|error| error.contains("/nope")));
}

#[tokio::test]
async fn logs_come_in_order_with_time_and_stream() {
    let lab = Lab::open().await;
    let spec = lab
        .workload("log", &["log", "--lines", "6", "--stderr-every", "3"])
        .await;
    let id = lab.run(&spec).await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let lines = lab.lines(&id, follow).await;
    // Docker keeps the order within a stream, not between the two.
    let of = |stream| {
        lines
            .iter()
            .filter(move |line| line.stream == stream)
            .map(text)
    };
    assert_eq!(
        of(LogStream::Stdout).collect::<Vec<_>>(),
        ["line 1", "line 2", "line 4", "line 5"]
    );
    assert_eq!(
        of(LogStream::Stderr).collect::<Vec<_>>(),
        ["line 3", "line 6"]
    );

    let ended = lab.until(&id, |found| found.status == "exited").await;
    // Docker notes the start when the process already runs, so a first line may be a little older.
    let start = ended.started_at.expect("a start").as_millis();
    assert!(
        lines
            .iter()
            .all(|line| line.at.as_millis().abs_diff(start) < 10_000),
        "{lines:?}"
    );
    let tail = LogOptions {
        tail: Some(2),
        ..LogOptions::default()
    };
    assert_eq!(lab.lines(&id, tail).await.len(), 2);
    let last = lines.iter().map(|line| line.at).max().unwrap();
    let later = TimestampMs::from_millis(last.as_millis() + 1);
    let since = LogOptions {
        since: Some(later),
        ..LogOptions::default()
    };
    assert_eq!(lab.lines(&id, since).await, []);
}

#[tokio::test]
async fn a_terminal_writes_lines_as_well_and_long_ones_come_in_pieces() {
    let lab = Lab::open().await;
    for tty in [false, true] {
        let name = format!("tty-{tty}");
        let spec = lab
            .workload(&name, &["log", "--lines", "2", "--bytes", "40000"])
            .await;
        let id = lab.run(&ContainerSpec { tty, ..spec }).await;
        let lines = lab
            .lines(
                &id,
                LogOptions {
                    follow: true,
                    ..LogOptions::default()
                },
            )
            .await;
        let lengths: Vec<_> = lines.iter().map(|line| line.text.len()).collect();
        let end = 40_000 - 2 * 16_384;
        assert_eq!(
            lengths,
            [16_384, 16_384, end, 16_384, 16_384, end],
            "terminal: {tty}"
        );
        assert!(text(&lines[3]).starts_with("line 2"), "terminal: {tty}");
    }
}

#[tokio::test]
async fn the_limits_and_the_end_of_a_container_arrive() {
    let lab = Lab::open().await;
    let spec = lab.workload("exit", &["exit", "--code", "3"]).await;
    let spec = ContainerSpec {
        nano_cpus: 250_000_000,
        cpu_shares: 256,
        memory_bytes: 32 << 20,
        memory_reservation_bytes: 16 << 20,
        pids_limit: Some(64),
        readonly_rootfs: true,
        init: false,
        user: Some("1000:1000".to_owned()),
        cap_drop: vec!["ALL".to_owned()],
        ..spec
    };
    let id = lab.run(&spec).await;
    let ended = lab.until(&id, |found| found.status == "exited").await;
    assert_eq!((ended.exit_code, ended.oom_killed), (3, false));

    let greedy = lab.workload("greedy", &["allocate", "--mib", "64"]).await;
    let id = lab
        .run(&ContainerSpec {
            memory_bytes: 16 << 20,
            ..greedy
        })
        .await;
    let ended = lab.until(&id, |found| found.status == "exited").await;
    assert_eq!((ended.exit_code, ended.oom_killed), (137, true));
}

#[tokio::test]
async fn a_health_check_speaks() {
    let lab = Lab::open().await;
    let check = HealthCheck {
        command: ["CMD", "/workload", "exit", "--code", "1"]
            .map(str::to_owned)
            .to_vec(),
        interval: DurationMs::from_millis(200),
        timeout: DurationMs::from_secs(5),
        retries: 1,
        start_period: DurationMs::from_secs(0),
    };
    let spec = lab.workload("sick", &["sleep"]).await;
    let id = lab
        .run(&ContainerSpec {
            health_check: Some(check),
            ..spec
        })
        .await;
    lab.until(&id, |found| found.health == Some(HealthStatus::Unhealthy))
        .await;
}

#[tokio::test]
async fn events_are_those_of_the_label_from_the_call_on() {
    let lab = Lab::open().await;
    let before = lab.run(&lab.spec("before")).await;
    let mut events = lab.daemon.events(&lab.label()).await.unwrap();
    // Nobody has polled the stream yet.
    let id = lab.run(&lab.spec("watched")).await;
    lab.daemon.signal_container(&id, "SIGKILL").await.unwrap();
    let mut seen = Vec::new();
    while !seen.contains(&"die".to_owned()) {
        let event = in_time("an event", events.next())
            .await
            .expect("an open stream");
        assert_ne!(event.id, before, "{event:?}");
        assert_eq!(
            (event.id.as_str(), event.name.as_str()),
            (id.as_str(), lab.name("watched").as_str())
        );
        assert_eq!(event.labels["neargate.instance"], lab.instance);
        seen.push(event.action);
    }
    assert_eq!(seen, ["create", "start", "die"]);
}

#[tokio::test]
async fn a_pull_that_cannot_succeed_ends() {
    let lab = Lab::open().await;
    let pull = lab
        .daemon
        .pull_image("neargate.invalid/nothing:1", None)
        .await
        .unwrap();
    let mut answers: Vec<_> = in_time("the end of the pull", pull.collect()).await;
    let last = answers.pop();
    assert!(
        matches!(
            last,
            Some(Err(EngineError::Refused(_) | EngineError::Failed(_)))
        ),
        "{last:?}"
    );
    let wrong = lab
        .daemon
        .pull_image("neargate.invalid/NOTHING", None)
        .await
        .unwrap();
    let wrong: Vec<_> = in_time("the end of the pull", wrong.collect()).await;
    assert!(
        matches!(wrong[..], [Err(EngineError::Refused(_))]),
        "{wrong:?}"
    );
}
