//! `make bench`: how long things take, as ratios from one run.
//!
//! Whatever is compared is measured in turns (A, B, A, B, …) on the same engine in the same minutes, so that
//! a ratio holds although the machine's speed does not. The server is the release binary in a process of its
//! own; "raw" is the same container created and started through the engine's API by the same client.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it is what a benchmark is for"
)]

mod console;
mod ecs;
mod growth;
mod peers;
mod report;
mod services;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::{ContainerSpec, Daemon, NetworkSpec};
use serde_json::{Value, json};

use report::Report;

const IMAGE: &str = "neargate/workload:latest";
const ROUNDS: usize = 15;
const CALLS: usize = 300;
/// Tasks of a burst, and how often it is measured.
const BURST: usize = 32;
const BURSTS: usize = 3;
/// Raw starts under way at the same time: more of them only lengthen each one.
const AT_ONCE: usize = 8;

fn main() -> Result<()> {
    // `cargo test --all-targets` runs benchmarks too; there is nothing to prove then.
    if std::env::args().any(|arg| arg == "--test") || !std::env::args().any(|arg| arg == "--bench")
    {
        println!("benchmarks run with: make bench");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(bench())
}

/// The parts, in turn; `cargo bench --bench launch -- NAME…` measures some of them, and writes nothing down.
async fn bench() -> Result<()> {
    let parts: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let is_asked = |name: &str| parts.is_empty() || parts.iter().any(|part| part == name);
    let mut report = Report::begin()?;
    let mut points = Vec::new();
    let mut engine = "the simulated engine".to_owned();
    if is_asked("engine") || is_asked("peers") {
        let daemon = DockerClient::connect(None).context("the engine")?;
        let info = daemon
            .info()
            .await
            .context("no Docker engine answers: docker/engine up")?;
        engine = format!("Docker Engine {} (API {})", info.version, info.api_version);
        if is_asked("engine") {
            one_task(&mut report, &daemon).await?;
        }
        let pool = BURST.to_string();
        let many = Server::start(&["--warm-sandboxes", &pool]).await?;
        many.register("sleep", &["sleep"]).await?;
        if is_asked("engine") {
            bursts_of(&mut report, &daemon, &many).await?;
        }
        if is_asked("peers") {
            peers::tell(&mut report, &daemon, &many).await?;
        }
    }
    if is_asked("ecs") {
        calls(&mut report).await?;
        ecs::tell(&mut report).await?;
    }
    if is_asked("load") {
        points = growth::points(&mut report).await?;
    }
    if is_asked("console") {
        console::tell(&mut report).await?;
    }
    if parts.is_empty() {
        report.write(&engine, &points)?;
    }
    Ok(())
}

/// What is measured, the figure, and what is asked of it.
const HEADS: [&str; 3] = ["what", "figure", "bound"];

async fn one_task(report: &mut Report, daemon: &DockerClient) -> Result<()> {
    report.section(
        "One task on a real engine",
        "Raw is creating and starting the same container through the engine's API with the same client, on Docker's default bridge unless \
         it says\notherwise. Ratios are of medians, with the smallest and the largest of a pair.",
    );
    report.table(&HEADS);
    let server = Server::start(&["--warm-sandboxes", "2"]).await?;
    report.row(
        "first answer after start, empty database",
        format!("{} ms", server.first_answer.as_millis()),
        "100 ms",
    );
    server.register("sleep", &["sleep"]).await?;
    let idle = server.idle(Duration::from_secs(10))?;
    report.row(
        "idle: CPU of one core",
        format!("{:.2} %", idle.cpu_percent),
        "0.5 %",
    );
    report.row(
        "idle: resident memory",
        format!("{:.1} MB", idle.resident_mb),
        "40 MB",
    );

    let cold = Server::start(&["--warm-sandboxes", "0"]).await?;
    cold.register("sleep", &["sleep"]).await?;
    let launches = launches(daemon, &server, &cold).await?;
    tell_launches(report, &launches);
    tell_noticed(report, &noticed(daemon, &server).await?);
    let (replacements, beside) = services::replaced(daemon, &server).await?;
    report.row(
        "a service's container killed from outside, to its replacement RUNNING, × a warm launch",
        ratio(&replacements, &beside),
        "1.3",
    );
    Ok(())
}

fn tell_launches(report: &mut Report, launches: &Launches) {
    report.row(
        "raw create + start, median",
        format!("{} ms", median(&launches.raw).as_millis()),
        "",
    );
    report.row(
        "raw on a bridge of its own, as tasks are, × raw",
        ratio(&launches.raw_own, &launches.raw),
        "",
    );
    report.row(
        "run to RUNNING, warm sandbox, × raw",
        ratio(&launches.warm, &launches.raw),
        "0.5",
    );
    report.row(
        "run to RUNNING, warm sandbox, × raw on a bridge of its own",
        ratio(&launches.warm, &launches.raw_own),
        "0.5",
    );
    report.row(
        "run to RUNNING, no warm sandbox, × raw",
        ratio(&launches.cold, &launches.raw),
        "1.15",
    );
    report.row(
        "run to RUNNING, no warm sandbox, × raw on a bridge of its own",
        ratio(&launches.cold, &launches.raw_own),
        "1.15",
    );
    report.row(
        "stop to STOPPED, × raw stop",
        ratio(&launches.stop, &launches.raw_stop),
        "",
    );
}

async fn bursts_of(report: &mut Report, daemon: &DockerClient, many: &Server) -> Result<()> {
    let (raw, ours) = bursts(daemon, many).await?;
    report.row(
        &format!(
            "{BURST} tasks at once, all RUNNING, as many warm sandboxes, × raw at {AT_ONCE} at once"
        ),
        ratio(&ours, &raw),
        "0.6",
    );
    report.row(
        &format!("a service scaled from 0 to {BURST}, all RUNNING, × those {BURST} tasks"),
        ratio(&services::scaled(daemon, many).await?, &ours),
        "1.1",
    );
    Ok(())
}

async fn calls(report: &mut Report) -> Result<()> {
    report.section(
        "Calls",
        "On the simulated engine, durable: the answer comes when what was asked for is on the disk. moto keeps everything in memory, and \
         runs\nnothing: what it takes is what a program takes that only pretends.",
    );
    report.table(&HEADS);
    let sim = Server::start(&["--engine", "sim"]).await?;
    sim.register("sleep", &["sleep"]).await?;
    let calls = sim.run_calls(CALLS).await?;
    report.row(
        "RunTask, 1 client, p50",
        format!("{:.2} ms", millis(median(&calls))),
        "2 ms",
    );
    report.row(
        "RunTask, 1 client, p99",
        format!("{:.2} ms", millis(percentile(&calls, 99))),
        "",
    );
    Ok(())
}

#[derive(Default)]
struct Launches {
    raw: Vec<Duration>,
    raw_own: Vec<Duration>,
    raw_stop: Vec<Duration>,
    warm: Vec<Duration>,
    cold: Vec<Duration>,
    stop: Vec<Duration>,
}

async fn launches(daemon: &DockerClient, warm: &Server, cold: &Server) -> Result<Launches> {
    let mut all = Launches::default();
    let own = NetworkSpec {
        name: format!("neargate-bench-{}", std::process::id()),
        ..NetworkSpec::default()
    };
    daemon.ensure_network(&own).await?;
    for round in 0..=ROUNDS {
        let (start, stop) = raw(daemon, round, "bridge").await?;
        let (own_start, _) = raw(daemon, round, &own.name).await?;
        let (warm_start, warm_stop) = warm.launch().await?;
        let (cold_start, _) = cold.launch().await?;
        // The first round only warms up.
        if round > 0 {
            all.raw.push(start);
            all.raw_own.push(own_start);
            all.raw_stop.push(stop);
            all.warm.push(warm_start);
            all.stop.push(warm_stop);
            all.cold.push(cold_start);
        }
    }
    daemon.remove_network(&own.name).await?;
    Ok(all)
}

/// What passes after the kill of a task's container behind Neargate's back.
#[derive(Default)]
struct Noticed {
    /// From the kill to the event that says STOPPED.
    stopped: Vec<Duration>,
    /// From the kill to the daemon's own event, on a stream of events that nobody else reads.
    told: Vec<Duration>,
    /// From the one to the other.
    ours: Vec<Duration>,
}

fn tell_noticed(report: &mut Report, noticed: &Noticed) {
    report.row(
        "a container killed from outside, to STOPPED",
        format!("{} ms", median(&noticed.stopped).as_millis()),
        "50 ms",
    );
    report.row(
        "of that, until Docker itself says so, to whoever listens",
        format!("{} ms", median(&noticed.told).as_millis()),
        "",
    );
    report.row(
        "and from there to STOPPED, recorded and told",
        format!("{:.1} ms", millis(median(&noticed.ours))),
        "",
    );
}

async fn noticed(daemon: &DockerClient, server: &Server) -> Result<Noticed> {
    let mut noticed = Noticed::default();
    let label = server.label().await?;
    for _ in 0..ROUNDS {
        let mut events = server.events().await?;
        let id = server.run(1).await?.remove(0);
        wait_for(&mut events, std::slice::from_ref(&id), "RUNNING").await?;
        let container = format!("neargate-{id}-main");
        let mut raw = daemon.events(&label).await?;
        let told = tokio::spawn({
            let container = container.clone();
            async move {
                while let Some(event) = raw.next().await {
                    if event.name == container && event.action == "die" {
                        break;
                    }
                }
                Instant::now()
            }
        });
        let begun = Instant::now();
        // The call returns when the daemon has cleaned up, which nobody here waits for.
        let killing = daemon.signal_container(&container, "SIGKILL");
        let (killed, stopped) = tokio::join!(killing, async {
            wait_for(&mut events, &[id], "STOPPED").await?;
            anyhow::Ok(Instant::now())
        });
        killed?;
        let (told, stopped) = (told.await?, stopped?);
        noticed.stopped.push(stopped - begun);
        noticed.told.push(told - begun);
        noticed.ours.push(stopped.saturating_duration_since(told));
    }
    Ok(noticed)
}

/// The same number of containers, raw and as tasks, in turns.
async fn bursts(daemon: &DockerClient, server: &Server) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut raws, mut ours) = (Vec::new(), Vec::new());
    for burst in 0..BURSTS {
        let begun = Instant::now();
        let names: Vec<String> = futures_util::stream::iter(0..BURST)
            .map(|n| async move {
                let spec = raw_spec(burst * BURST + n);
                let id = daemon.create_container(&spec).await?;
                daemon.start_container(&id).await?;
                anyhow::Ok(id)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        raws.push(begun.elapsed());
        for id in names {
            daemon.remove_container(&id).await?;
        }
        server.until_warm(daemon, BURST).await?;
        let mut events = server.events().await?;
        let begun = Instant::now();
        let tasks = server.run(BURST).await?;
        wait_for(&mut events, &tasks, "RUNNING").await?;
        ours.push(begun.elapsed());
        for id in &tasks {
            server
                .post(&format!("/v1/tasks/{id}/stop"), &json!({}))
                .await?;
        }
        wait_for(&mut events, &tasks, "STOPPED").await?;
    }
    Ok((raws, ours))
}

fn raw_spec(round: usize) -> ContainerSpec {
    ContainerSpec {
        name: format!("neargate-bench-{}-{round}", std::process::id()),
        image: IMAGE.to_owned(),
        labels: [("neargate.bench".to_owned(), "raw".to_owned())].into(),
        cmd: Some(vec!["sleep".to_owned()]),
        network_mode: "bridge".to_owned(),
        nano_cpus: 250_000_000,
        memory_bytes: 512 * 1_048_576,
        pids_limit: Some(4_096),
        log_max_bytes: Some(10_485_760),
        ..ContainerSpec::default()
    }
}

/// Creates and starts the container as anybody would, and stops it again.
async fn raw(daemon: &DockerClient, round: usize, network: &str) -> Result<(Duration, Duration)> {
    let spec = ContainerSpec {
        network_mode: network.to_owned(),
        ..raw_spec(round)
    };
    let begun = Instant::now();
    let id = daemon.create_container(&spec).await?;
    daemon.start_container(&id).await?;
    let started = begun.elapsed();
    let begun = Instant::now();
    // A process that has just been started may not listen yet, and as process 1 it is then deaf to the signal.
    loop {
        daemon.signal_container(&id, "SIGTERM").await?;
        let seen = daemon.inspect_container(&id).await?;
        if seen.is_none_or(|seen| seen.status != "running") {
            break;
        }
    }
    let stopped = begun.elapsed();
    daemon.remove_container(&id).await?;
    Ok((started, stopped))
}

struct Server {
    child: Child,
    endpoint: String,
    client: reqwest::Client,
    first_answer: Duration,
    _folder: Arc<tempfile::TempDir>,
}

struct Idle {
    cpu_percent: f64,
    resident_mb: f64,
}

impl Server {
    async fn start(args: &[&str]) -> Result<Self> {
        let folder = Arc::new(tempfile::TempDir::new()?);
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_neargate"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path().join("data"))
            .args(args)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("its log")?).lines();
        let endpoint = loop {
            let line = lines.next().context("the server ended")??;
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest
                    .split_whitespace()
                    .next()
                    .context("an address")?
                    .to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let client = reqwest::Client::new();
        client
            .get(format!("{endpoint}/healthz"))
            .send()
            .await?
            .error_for_status()?;
        let first_answer = begun.elapsed();
        let server = Self {
            child,
            endpoint,
            client,
            first_answer,
            _folder: folder,
        };
        while server.get("/readyz").await?["ready"] != json!(true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(self
            .client
            .get(format!("{}{path}", self.endpoint))
            .send()
            .await?
            .json()
            .await?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self
            .client
            .post(format!("{}{path}", self.endpoint))
            .json(body)
            .send()
            .await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        if !status.is_success() {
            bail!("{status}: {body}");
        }
        Ok(body)
    }

    async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.patch(format!("{}{path}", self.endpoint));
        let answer = request.json(body).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    async fn register(&self, family: &str, command: &[&str]) -> Result<()> {
        let container = json!({ "name": "main", "image": IMAGE, "command": command });
        self.post(
            "/v1/task-definitions",
            &json!({ "family": family, "cpu": "256", "memory": "512", "containerDefinitions": [container] }),
        )
        .await?;
        Ok(())
    }

    /// From the call to the event that says RUNNING, and from the call to stop to the one that says STOPPED.
    async fn launch(&self) -> Result<(Duration, Duration)> {
        // Let the pool of warm sandboxes refill, and whatever was removed be gone.
        tokio::time::sleep(Duration::from_millis(900)).await;
        let mut events = self.events().await?;
        let begun = Instant::now();
        let id = self.run(1).await?.remove(0);
        wait_for(&mut events, std::slice::from_ref(&id), "RUNNING").await?;
        let running = begun.elapsed();
        let begun = Instant::now();
        self.post(&format!("/v1/tasks/{id}/stop"), &json!({}))
            .await?;
        wait_for(&mut events, &[id], "STOPPED").await?;
        Ok((running, begun.elapsed()))
    }

    /// From one call that runs so many tasks to the event of each that says RUNNING; they are stopped again.
    async fn launch_many(&self, count: usize) -> Result<Vec<Duration>> {
        let mut events = self.events().await?;
        let begun = Instant::now();
        let ids = self.run(count).await?;
        let mut times = Vec::with_capacity(count);
        each_line(&mut events, |line| {
            if is_task_in(line, "RUNNING") {
                times.push(begun.elapsed());
            }
            times.len() == count
        })
        .await?;
        for id in &ids {
            self.post(&format!("/v1/tasks/{id}/stop"), &json!({}))
                .await?;
        }
        wait_for(&mut events, &ids, "STOPPED").await?;
        Ok(times)
    }

    async fn events(
        &self,
    ) -> Result<impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin + use<>> {
        let answer = self
            .client
            .get(format!("{}/v1/events/stream", self.endpoint))
            .send()
            .await?;
        Ok(answer.bytes_stream())
    }

    /// Runs so many tasks; their IDs.
    async fn run(&self, count: usize) -> Result<Vec<String>> {
        let request = json!({ "taskDefinition": "sleep", "count": count });
        let answer = self.post("/v1/tasks", &request).await?;
        let tasks = answer["tasks"].as_array().context("tasks")?;
        tasks
            .iter()
            .map(|task| Ok(task["taskId"].as_str().context("a task ID")?.to_owned()))
            .collect()
    }

    /// What all of its containers carry.
    async fn label(&self) -> Result<String> {
        let status = self.get("/readyz").await?;
        let instance = status["version"]["instanceId"]
            .as_str()
            .context("an instance")?;
        Ok(format!("neargate.instance={instance}"))
    }

    /// Waits until so many sandboxes are ready.
    async fn until_warm(&self, daemon: &DockerClient, count: usize) -> Result<()> {
        let label = self.label().await?;
        loop {
            let listed = daemon.list_containers(&label).await?;
            let is_warm = |name: &str| name.starts_with("neargate-warm-");
            let ready = listed
                .iter()
                .filter(|one| is_warm(&one.name) && one.status == "running");
            if ready.count() >= count {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn run_calls(&self, count: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            let answer = self
                .post("/v1/tasks", &json!({ "taskDefinition": "sleep" }))
                .await?;
            times.push(begun.elapsed());
            let id = answer["tasks"][0]["taskId"]
                .as_str()
                .context("a task ID")?
                .to_owned();
            self.post(&format!("/v1/tasks/{id}/stop"), &json!({}))
                .await?;
        }
        Ok(times)
    }

    /// What the server takes when nobody asks for anything.
    fn idle(&self, length: Duration) -> Result<Idle> {
        std::thread::park_timeout(Duration::from_secs(3));
        let before = self.cpu_ticks()?;
        let begun = Instant::now();
        while begun.elapsed() < length {
            std::thread::park_timeout(length);
        }
        // The kernel counts in hundredths of a second.
        let used_ms = (self.cpu_ticks()? - before) as f64 * 10.0;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kib: f64 = resident.trim().trim_end_matches(" kB").parse()?;
        Ok(Idle {
            cpu_percent: used_ms / begun.elapsed().as_secs_f64() / 10.0,
            resident_mb: kib * 1_024.0 / 1e6,
        })
    }

    fn cpu_ticks(&self) -> Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let after_name = stat.rsplit_once(')').context("a name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}

/// Until the events have said of each of these tasks that it is so.
async fn wait_for(
    events: &mut (impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    ids: &[String],
    status: &str,
) -> Result<()> {
    let mut waiting: BTreeSet<String> = ids
        .iter()
        .map(|id| format!("\"subject\":\"{id}\""))
        .collect();
    each_line(events, |line| {
        if is_task_in(line, status) {
            waiting.retain(|subject| !line.contains(subject));
        }
        waiting.is_empty()
    })
    .await
}

/// Whether a line of the event stream says that a task is in this state.
fn is_task_in(line: &str, status: &str) -> bool {
    line.contains(&format!("\"status\":\"{status}\""))
}

/// Reads the event stream until `is_enough` says so of a line.
async fn each_line(
    events: &mut (impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    mut is_enough: impl FnMut(&str) -> bool,
) -> Result<()> {
    let mut text = String::new();
    loop {
        let piece = events.next().await.context("the event stream ended")??;
        text.push_str(&String::from_utf8_lossy(&piece));
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if text[..whole].lines().any(&mut is_enough) {
            return Ok(());
        }
        text.drain(..whole);
    }
}

fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The ratio of the medians, with the smallest and the largest ratio of a pair.
fn ratio(a: &[Duration], b: &[Duration]) -> String {
    let pairs: Vec<f64> = a
        .iter()
        .zip(b)
        .map(|(a, b)| a.as_secs_f64() / b.as_secs_f64())
        .collect();
    let least = pairs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = pairs.iter().copied().fold(0.0, f64::max);
    format!(
        "{:.2} ({least:.2} to {most:.2})",
        median(a).as_secs_f64() / median(b).as_secs_f64()
    )
}
