//! The same calls of ECS's API against Neargate on the simulated engine, durable, and against moto's server, in the same
//! minutes: `cargo bench --bench launch -- ecs`.
//!
//! moto keeps everything in memory and runs nothing; what it takes is what a program takes that only pretends. It is
//! installed by `scripts/peers`; without it, the ratios are left out.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::report::Report;
use super::{IMAGE, Server, median, millis, percentile};

/// Calls of one client, and of many at the same time.
const CALLS: usize = 300;
const CLIENTS: usize = 16;
const CALLS_OF_MANY: usize = 3_000;
/// Tasks that are stored, and that one call describes.
const STORED: usize = 10_000;
const DESCRIBED: usize = 100;
/// Tasks that one call runs, at most.
const MOST_RUN: usize = 10;

/// A server that speaks ECS's protocol.
struct Wire {
    endpoint: String,
    client: reqwest::Client,
    /// Where tasks are said to be: in turns, because moto gives each an address.
    subnets: Vec<String>,
    runs: AtomicUsize,
}

/// How it does.
struct Figures {
    run: Vec<Duration>,
    runs_per_second: f64,
    describe: Vec<Duration>,
}

pub async fn tell(report: &mut Report) -> Result<()> {
    let scale = Scale::of_environment()?;
    let server = Server::start(&["--engine", "sim"]).await?;
    let ours = Wire::new(&server.endpoint);
    let theirs = Moto::start().await?;
    let ours_found = figures(&ours, &scale).await?;
    report.row(
        "RunTask over ECS's wire, durable, 1 client, p50",
        format!("{:.2} ms", millis(median(&ours_found.run))),
        "3 ms",
    );
    report.row(
        &format!("RunTask over ECS's wire, durable, {CLIENTS} clients, a second"),
        format!("{:.0}", ours_found.runs_per_second),
        "1,000",
    );
    report.row(
        &format!(
            "DescribeTasks of {DESCRIBED} tasks, {} stored, p99",
            scale.stored
        ),
        format!("{:.2} ms", millis(percentile(&ours_found.describe, 99))),
        "10 ms",
    );
    let Some(theirs) = theirs else {
        report.row("moto is not there: scripts/peers", "", "");
        return Ok(());
    };
    let found = figures(&theirs.wire, &scale).await?;
    report.row(
        "RunTask over ECS's wire, p50, × moto",
        times(median(&ours_found.run), median(&found.run)),
        "",
    );
    report.row(
        &format!("RunTask over ECS's wire, {CLIENTS} clients, a second, × moto"),
        format!(
            "{:.1} (moto: {:.0})",
            ours_found.runs_per_second / found.runs_per_second,
            found.runs_per_second
        ),
        "",
    );
    report.row(
        &format!(
            "DescribeTasks of {DESCRIBED} tasks, {} stored, p99, × moto",
            scale.stored
        ),
        times(
            percentile(&ours_found.describe, 99),
            percentile(&found.describe, 99),
        ),
        "",
    );
    Ok(())
}

/// A ratio, and what it is of.
fn times(ours: Duration, theirs: Duration) -> String {
    format!(
        "{:.2} (moto: {:.2} ms)",
        ours.div_duration_f64(theirs),
        millis(theirs)
    )
}

/// How much is done: less to see whether it works at all, with `NEARGATE_BENCH_STORED`.
struct Scale {
    stored: usize,
    calls: usize,
    calls_of_many: usize,
}

impl Scale {
    fn of_environment() -> Result<Self> {
        let stored = match std::env::var("NEARGATE_BENCH_STORED") {
            Ok(text) => text.parse().context("NEARGATE_BENCH_STORED")?,
            Err(_) => STORED,
        };
        if stored < DESCRIBED {
            bail!("NEARGATE_BENCH_STORED must be {DESCRIBED} at least");
        }
        Ok(Self {
            stored,
            calls: CALLS.min(stored),
            calls_of_many: CALLS_OF_MANY.min(stored),
        })
    }
}

async fn figures(wire: &Wire, scale: &Scale) -> Result<Figures> {
    wire.prepare().await?;
    let mut run = Vec::new();
    for _ in 0..scale.calls {
        let (tasks, took) = wire.run(1).await?;
        run.push(took);
        wire.stop(&tasks).await?;
    }
    let begun = Instant::now();
    let mut arns = wire.run_many(scale.calls_of_many, 1).await?;
    let runs_per_second = scale.calls_of_many as f64 / begun.elapsed().as_secs_f64();
    let missing = scale.stored.saturating_sub(arns.len());
    arns.extend(wire.run_many(missing.div_ceil(MOST_RUN), MOST_RUN).await?);
    wire.settle(arns.len()).await?;
    let mut describe = Vec::new();
    for call in 0..scale.calls {
        // From all over, in another order each time.
        let some = (0..DESCRIBED)
            .map(|n| &arns[(call * 7_919 + n * (arns.len() / DESCRIBED)) % arns.len()]);
        let input = json!({ "tasks": some.collect::<Vec<_>>() });
        let begun = Instant::now();
        let answer = wire.call("DescribeTasks", &input).await?;
        describe.push(begun.elapsed());
        if answer["tasks"].as_array().map(Vec::len) != Some(DESCRIBED) {
            bail!("not all tasks were described: {}", answer["failures"]);
        }
    }
    Ok(Figures {
        run,
        runs_per_second,
        describe,
    })
}

impl Wire {
    fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            client: reqwest::Client::new(),
            subnets: vec!["subnet-1".to_owned()],
            runs: AtomicUsize::new(0),
        }
    }

    /// A request with a signature that neither server verifies.
    fn request(&self, service: &str) -> reqwest::RequestBuilder {
        let credential = format!("Credential=any/20260101/us-east-1/{service}/aws4_request");
        let signature = format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0");
        let request = self.client.post(format!("{}/", self.endpoint));
        request.header("authorization", signature)
    }

    async fn call(&self, operation: &str, input: &Value) -> Result<Value> {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let answer = self
            .request("ecs")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(input.to_string())
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{operation}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// The cluster and the definition. Without a network: one has room for a thousand tasks.
    async fn prepare(&self) -> Result<()> {
        self.call("CreateCluster", &json!({ "clusterName": "default" }))
            .await?;
        let container = json!({
            "name": "main", "image": IMAGE, "command": ["sleep"], "cpu": 256, "memory": 512,
        });
        let definition = json!({
            "family": "sleep", "cpu": "256", "memory": "512", "networkMode": "none",
            "containerDefinitions": [container],
        });
        self.call("RegisterTaskDefinition", &definition).await?;
        Ok(())
    }

    /// Runs so many tasks with one call: their ARNs, and how long it took.
    async fn run(&self, count: usize) -> Result<(Vec<String>, Duration)> {
        let turn = self.runs.fetch_add(1, Ordering::Relaxed) % self.subnets.len();
        let network = json!({ "subnets": [self.subnets[turn]], "securityGroups": [] });
        let input = json!({
            "taskDefinition": "sleep", "launchType": "FARGATE", "count": count,
            "networkConfiguration": { "awsvpcConfiguration": network },
        });
        let begun = Instant::now();
        let answer = self.call("RunTask", &input).await?;
        let took = begun.elapsed();
        let tasks = answer["tasks"].as_array().context("tasks")?;
        let arns = tasks
            .iter()
            .map(|task| Ok(task["taskArn"].as_str().context("an ARN")?.to_owned()))
            .collect::<Result<Vec<_>>>()?;
        if arns.len() != count {
            bail!("not all tasks were run: {}", answer["failures"]);
        }
        Ok((arns, took))
    }

    /// The same by many clients, so many calls altogether.
    async fn run_many(&self, calls: usize, count: usize) -> Result<Vec<String>> {
        let all: Vec<Vec<String>> = futures_util::stream::iter(0..calls)
            .map(|_| async move { anyhow::Ok(self.run(count).await?.0) })
            .buffer_unordered(CLIENTS)
            .try_collect()
            .await?;
        Ok(all.concat())
    }

    async fn stop(&self, arns: &[String]) -> Result<()> {
        for arn in arns {
            self.call("StopTask", &json!({ "task": arn })).await?;
        }
        Ok(())
    }

    /// Waits until nothing is on its way any more, so that what comes is not measured beside it.
    async fn settle(&self, running: usize) -> Result<()> {
        loop {
            let shown = self.call("DescribeClusters", &json!({})).await?;
            let cluster = &shown["clusters"][0];
            let pending = cluster["pendingTasksCount"].as_u64().unwrap_or_default();
            let count = cluster["runningTasksCount"].as_u64().unwrap_or_default();
            // moto's tasks are never pending, and it moves them on when it is asked.
            if pending == 0 || count >= u64::try_from(running)? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// moto's server, for as long as this lives.
struct Moto {
    child: Child,
    wire: Wire,
}

impl Moto {
    /// `None` where it is not installed.
    async fn start() -> Result<Option<Self>> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        if !program.exists() {
            return Ok(None);
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let wire = Wire::new(&format!("http://127.0.0.1:{port}"));
        let mut moto = Self { child, wire };
        let begun = Instant::now();
        while moto.wire.call("ListClusters", &json!({})).await.is_err() {
            if begun.elapsed() > Duration::from_mins(1) {
                bail!("moto does not answer");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let form = "Action=DescribeSubnets&Version=2016-11-15";
        let request = moto.wire.request("ec2");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let text = request.body(form).send().await?.text().await?;
        let subnets = text.split("<subnetId>").skip(1);
        moto.wire.subnets = subnets
            .filter_map(|rest| Some(rest.split_once('<')?.0.to_owned()))
            .collect();
        if moto.wire.subnets.is_empty() {
            bail!("moto has no subnets: {text}");
        }
        Ok(Some(moto))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
