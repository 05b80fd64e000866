//! Beside what one would use instead, on the same engine in turns: the engine's API by hand, Docker Compose and a service of
//! Swarm.
//!
//! Peers are asked in the way that is quickest for them: Compose's project is there, with nothing in it, and is scaled to the
//! number that is wanted; a service of Swarm is created and removed again, since it loses tasks when it is scaled to nothing
//! too soon. A container of theirs counts from the moment that the engine notes as its start; a task of
//! Neargate only when the event that says RUNNING has arrived.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt};
use neargate::clock::{Clock as _, SystemClock};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::Daemon;

use super::report::{Report, said};
use super::{IMAGE, Server, median, millis, percentile, raw_spec};

/// How many at once, and how often.
const SIZES: [(usize, usize); 3] = [(1, 11), (8, 5), (32, 3)];
/// How often a container is killed to see it replaced.
const KILLS: usize = 7;

/// What somebody else starts containers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Compose,
    Swarm,
}

/// A project of Compose and a swarm, for as long as this lives.
struct Stage {
    name: String,
    folder: tempfile::TempDir,
    compose: Option<(String, Vec<&'static str>)>,
    swarm: Option<String>,
    began_swarm: bool,
}

/// Launches of one size: each task's time from the call, by who started it.
#[derive(Default)]
struct Launches {
    raw: Vec<Duration>,
    neargate: Vec<Duration>,
    compose: Vec<Duration>,
    swarm: Vec<Duration>,
}

/// Tells of launches at several sizes, and of replacements.
pub async fn tell(report: &mut Report, daemon: &DockerClient, server: &Server) -> Result<()> {
    let stage = Stage::set()?;
    report.section(
        "Beside others",
        &format!(
            "From the call until each container runs, p50 and p99 over all containers, in turns. Raw is the engine's API; Neargate has as many \
             warm\nsandboxes as there are tasks. Compose: {}; Swarm: {}. A project of Compose is there, with nothing in it, and is scaled; a service of Swarm is created.",
            stage.compose.as_ref().map_or("not there (scripts/peers)", |(version, _)| version),
            stage.swarm.as_deref().unwrap_or("not there"),
        ),
    );
    report.table(&[
        "at once",
        "raw",
        "Neargate",
        "Compose",
        "Swarm",
        "Neargate × raw, p50",
    ]);
    for (size, rounds) in SIZES {
        let all = launches(daemon, server, &stage, size, rounds).await?;
        let cell = |times: &[Duration]| {
            if times.is_empty() {
                return "–".to_owned();
            }
            let at = |percent| millis(percentile(times, percent));
            format!("{:.0} ms, {:.0} ms", at(50), at(99))
        };
        report.cells(&[
            &size.to_string(),
            &cell(&all.raw),
            &cell(&all.neargate),
            &cell(&all.compose),
            &cell(&all.swarm),
            &format!(
                "{:.2}",
                median(&all.neargate).div_duration_f64(median(&all.raw))
            ),
        ]);
    }
    let (ours, theirs) = replacements(daemon, server, &stage).await?;
    let cell = |times: &[Duration]| format!("{:.0} ms", millis(median(times)));
    report.table(&[
        "a container killed from outside, until its replacement runs",
        "median",
    ]);
    report.cells(&["Neargate, a service", &cell(&ours)]);
    if !theirs.is_empty() {
        report.cells(&["Swarm, `--restart-delay 0s`", &cell(&theirs)]);
    }
    Ok(())
}

async fn launches(
    daemon: &DockerClient,
    server: &Server,
    stage: &Stage,
    size: usize,
    rounds: usize,
) -> Result<Launches> {
    let mut all = Launches::default();
    for round in 0..=rounds {
        let raw = raw(daemon, size).await?;
        server.until_warm(daemon, size).await?;
        let neargate = server.launch_many(size).await?;
        let compose = stage.launch(daemon, Peer::Compose, size).await?;
        let swarm = stage.launch(daemon, Peer::Swarm, size).await?;
        // The first round only warms up.
        if round > 0 {
            all.raw.extend(raw);
            all.neargate.extend(neargate);
            all.compose.extend(compose);
            all.swarm.extend(swarm);
        }
    }
    Ok(all)
}

async fn raw(daemon: &DockerClient, size: usize) -> Result<Vec<Duration>> {
    let begun = Instant::now();
    let started: Vec<(String, Duration)> = futures_util::stream::iter(0..size)
        .map(|n| async move {
            let id = daemon.create_container(&raw_spec(n)).await?;
            daemon.start_container(&id).await?;
            anyhow::Ok((id, begun.elapsed()))
        })
        .buffer_unordered(size)
        .try_collect()
        .await?;
    for (id, _) in &started {
        daemon.remove_container(id).await?;
    }
    Ok(started.into_iter().map(|(_, took)| took).collect())
}

/// A service's container is killed, Neargate's and Swarm's in turns.
async fn replacements(
    daemon: &DockerClient,
    server: &Server,
    stage: &Stage,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        ours.push(super::services::replace(daemon, server, &format!("killed-{round}")).await?);
        if stage.swarm.is_none() {
            continue;
        }
        stage.launch_and_keep(daemon, Peer::Swarm, 1).await?;
        let label = stage.label(Peer::Swarm);
        let before = daemon.list_containers(&label).await?;
        let id = &before.first().context("a container of Swarm")?.id;
        let begun = (Instant::now(), now_ms());
        daemon.signal_container(id, "SIGKILL").await?;
        theirs.extend(started_since(daemon, &label, begun, 1).await?);
        stage.scale(Peer::Swarm, 0)?;
        until_gone(daemon, &label).await?;
    }
    Ok((ours, theirs))
}

fn now_ms() -> i64 {
    SystemClock.now().as_millis()
}

/// Waits until so many containers with this label have been started since then; how long after it each was.
async fn started_since(
    daemon: &DockerClient,
    label: &str,
    (begun, begun_ms): (Instant, i64),
    count: usize,
) -> Result<Vec<Duration>> {
    while begun.elapsed() < Duration::from_mins(2) {
        let mut times = Vec::new();
        for one in daemon.list_containers(label).await? {
            let seen = daemon.inspect_container(&one.id).await?;
            let started = seen.filter(|seen| seen.status == "running");
            if let Some(at) = started.and_then(|seen| seen.started_at) {
                let after = u64::try_from(at.as_millis() - begun_ms);
                times.extend(after.ok().map(Duration::from_millis));
            }
        }
        if times.len() == count {
            return Ok(times);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{label}: {count} containers were not started within 2 minutes")
}

async fn until_gone(daemon: &DockerClient, label: &str) -> Result<()> {
    while !daemon.list_containers(label).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

impl Stage {
    /// Makes a project with nothing in it, and a swarm of this engine alone.
    fn set() -> Result<Self> {
        let folder = tempfile::TempDir::new()?;
        let name = format!("neargate-bench-{}", std::process::id());
        let file = format!(
            "version: '3.8'\nservices:\n  web:\n    image: {IMAGE}\n    command: [sleep]\n    \
             labels: [neargate.bench=compose]\n    logging: {{driver: json-file, options: {{max-size: 10m}}}}\n"
        );
        std::fs::write(folder.path().join("compose.yaml"), file)?;
        let plugin = said("docker", &["compose", "version"])
            .map(|version| (version, vec!["docker", "compose"]));
        let alone = || {
            said("docker-compose", &["--version"]).map(|version| (version, vec!["docker-compose"]))
        };
        let mut stage = Self {
            name,
            folder,
            compose: plugin.or_else(alone),
            swarm: None,
            began_swarm: false,
        };
        let swarm = said("docker", &["info", "--format", "{{.Swarm.LocalNodeState}}"]);
        if swarm.as_deref() == Some("inactive") {
            let addresses = [
                "--advertise-addr",
                "127.0.0.1",
                "--listen-addr",
                "127.0.0.1:2377",
            ];
            run("docker", &[&["swarm", "init"], &addresses[..]].concat())?;
            stage.began_swarm = true;
        }
        stage.swarm = said(
            "docker",
            &["version", "--format", "Engine {{.Server.Version}}"],
        );
        if stage.compose.is_some() {
            stage.scale(Peer::Compose, 0)?;
        }
        Ok(stage)
    }

    /// What the containers of a peer carry.
    fn label(&self, peer: Peer) -> String {
        match peer {
            Peer::Compose => format!("com.docker.compose.project={}", self.name),
            Peer::Swarm => format!("com.docker.swarm.service.name={}", self.name),
        }
    }

    /// Containers from nothing, and away again; nothing where the peer is not there.
    async fn launch(
        &self,
        daemon: &DockerClient,
        peer: Peer,
        size: usize,
    ) -> Result<Vec<Duration>> {
        let is_there = match peer {
            Peer::Compose => self.compose.is_some(),
            Peer::Swarm => self.swarm.is_some(),
        };
        if !is_there {
            return Ok(Vec::new());
        }
        let times = self.launch_and_keep(daemon, peer, size).await?;
        self.scale(peer, 0)?;
        until_gone(daemon, &self.label(peer)).await?;
        Ok(times)
    }

    async fn launch_and_keep(
        &self,
        daemon: &DockerClient,
        peer: Peer,
        size: usize,
    ) -> Result<Vec<Duration>> {
        let begun = (Instant::now(), now_ms());
        self.scale(peer, size)?;
        started_since(daemon, &self.label(peer), begun, size).await
    }

    fn scale(&self, peer: Peer, size: usize) -> Result<()> {
        match peer {
            Peer::Compose => {
                let scale = format!("web={size}");
                self.ask_compose(&["up", "--detach", "--timeout", "1", "--scale", &scale])
            }
            Peer::Swarm if size == 0 => run("docker", &["service", "rm", &self.name]),
            Peer::Swarm => {
                let replicas = size.to_string();
                let how = [
                    "--detach",
                    "--quiet",
                    "--no-resolve-image",
                    "--restart-delay",
                    "0s",
                ];
                let what = [
                    "--replicas",
                    &replicas,
                    "--name",
                    &self.name,
                    IMAGE,
                    "sleep",
                ];
                run(
                    "docker",
                    &[&["service", "create"], &how[..], &what].concat(),
                )
            }
        }
    }

    fn ask_compose(&self, args: &[&str]) -> Result<()> {
        let Some((_, words)) = &self.compose else {
            return Ok(());
        };
        let file = self.folder.path().join("compose.yaml");
        let file = file.to_str().context("a path")?;
        let project = ["--project-name", &self.name, "--file", file];
        run(words[0], &[&words[1..], &project[..], args].concat())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.ask_compose(&["down", "--timeout", "1"]);
        let _ = run("docker", &["service", "rm", &self.name]);
        if self.began_swarm {
            let _ = run("docker", &["swarm", "leave", "--force"]);
            let _ = run("docker", &["network", "rm", "docker_gwbridge"]);
        }
    }
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!(
            "{program} {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
