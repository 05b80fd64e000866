//! What services take: a replacement, a scale-out, and thousands of them at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt};
use neargate::engine::docker::client::DockerClient;
use neargate::engine::docker::daemon::Daemon;
use serde_json::json;

use super::{BURST, BURSTS, ROUNDS, Server, each_line, is_task_in, percentile};

/// Tasks of each service.
pub const TASKS_EACH: usize = 2;
/// Tasks that are stopped to see what the replacement of one costs.
const STOPPED: usize = 100;
/// Calls under way at the same time while services are made.
const CALLS_AT_ONCE: usize = 8;
/// Long enough for the safety net to come by.
const IDLE: Duration = Duration::from_secs(32);

/// From a kill behind Neargate's back to the event that the replacement is RUNNING, and beside it a launch with a warm
/// sandbox. Each service is killed once: one whose tasks keep failing is held back.
pub async fn replaced(
    daemon: &DockerClient,
    server: &Server,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut replacements, mut launches) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (launch, _) = server.launch().await?;
        replacements.push(replace(daemon, server, &format!("replaced-{round}")).await?);
        launches.push(launch);
    }
    Ok((replacements, launches))
}

/// The same once, with a service of this name.
pub async fn replace(daemon: &DockerClient, server: &Server, name: &str) -> Result<Duration> {
    let mut events = server.events().await?;
    service(server, name, 1).await?;
    each_line(&mut events, |line| is_task_in(line, "RUNNING")).await?;
    let listed = server.get(&format!("/v1/tasks?serviceName={name}")).await?;
    let id = listed["items"][0]["taskId"].as_str().context("a task")?;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let begun = Instant::now();
    daemon
        .signal_container(&format!("neargate-{id}-main"), "SIGKILL")
        .await?;
    each_line(&mut events, |line| is_task_in(line, "RUNNING")).await?;
    let took = begun.elapsed();
    let nothing = json!({ "desiredCount": 0 });
    server
        .patch(&format!("/v1/services/{name}"), &nothing)
        .await?;
    each_line(&mut events, |line| is_task_in(line, "STOPPED")).await?;
    Ok(took)
}

/// From the call that scales a service from nothing to a burst's size, to the event that the last task is RUNNING.
pub async fn scaled(daemon: &DockerClient, server: &Server) -> Result<Vec<Duration>> {
    service(server, "scaled", 0).await?;
    let mut times = Vec::new();
    for _ in 0..BURSTS {
        server.until_warm(daemon, BURST).await?;
        let mut events = server.events().await?;
        let begun = Instant::now();
        scale(server, BURST).await?;
        tasks_in(&mut events, "RUNNING").await?;
        times.push(begun.elapsed());
        scale(server, 0).await?;
        tasks_in(&mut events, "STOPPED").await?;
    }
    Ok(times)
}

async fn scale(server: &Server, count: usize) -> Result<()> {
    let change = json!({ "desiredCount": count });
    server.patch("/v1/services/scaled", &change).await?;
    Ok(())
}

/// Waits for a burst's number of tasks in that state.
async fn tasks_in(
    events: &mut (impl StreamExt<Item = reqwest::Result<bytes::Bytes>> + Unpin),
    status: &str,
) -> Result<()> {
    let mut left = BURST;
    each_line(events, |line| {
        left -= usize::from(is_task_in(line, status));
        left == 0
    })
    .await
}

async fn service(server: &Server, name: &str, count: usize) -> Result<()> {
    let request = json!({ "serviceName": name, "taskDefinition": "sleep", "desiredCount": count });
    server.post("/v1/services", &request).await?;
    Ok(())
}

/// What a server with many services takes.
pub struct Load {
    /// CPU time for one task that is stopped, and replaced.
    pub event: Duration,
    /// Of one core, when nothing happens.
    pub idle_percent: f64,
    /// Resident.
    pub resident_mb: f64,
    /// `DescribeServices` of one service.
    pub describe_p99: Duration,
}

/// A server on the simulated engine with so many services of two tasks each, all of which run.
pub async fn start(services: usize) -> Result<Server> {
    let server = Server::start(&["--engine", "sim"]).await?;
    // Without a network: one has room for a thousand tasks.
    let definition = json!({
        "family": "sleep", "cpu": "256", "memory": "512", "networkMode": "none",
        "containerDefinitions": [{ "name": "main", "image": super::IMAGE, "command": ["sleep"] }],
    });
    server.post("/v1/task-definitions", &definition).await?;
    let shared = &server;
    futures_util::stream::iter(0..services)
        .map(|n| async move { service(shared, &format!("s{n}"), TASKS_EACH).await })
        .buffer_unordered(CALLS_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    while running(&server).await? < services * TASKS_EACH {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(server)
}

/// What such a server takes.
pub async fn load(services: usize) -> Result<Load> {
    let server = start(services).await?;
    // What is new is measured and put on record once, soon after its start: that is not idling yet.
    tokio::time::sleep(IDLE).await;
    let idle = server.idle(IDLE)?;
    let mut described = Vec::new();
    for n in 0..services.min(1_000) {
        let path = format!("/v1/services/s{}", n * 7 % services);
        let begun = Instant::now();
        server.get(&path).await?;
        described.push(begun.elapsed());
    }
    Ok(Load {
        event: event(&server, services).await?,
        idle_percent: idle.cpu_percent,
        resident_mb: idle.resident_mb,
        describe_p99: percentile(&described, 99),
    })
}

async fn running(server: &Server) -> Result<usize> {
    let cluster = server.get("/v1/clusters/default").await?;
    let count = cluster["runningTasksCount"].as_u64().context("a count")?;
    Ok(usize::try_from(count)?)
}

async fn event(server: &Server, services: usize) -> Result<Duration> {
    let mut victims = Vec::new();
    for n in 0..STOPPED {
        let name = n * services / STOPPED;
        let path = format!("/v1/tasks?serviceName=s{name}&desiredStatus=RUNNING");
        let listed = server.get(&path).await?;
        // Of services that are fewer than the victims, each has as many as it has tasks.
        let nth = if services < STOPPED {
            n % TASKS_EACH
        } else {
            0
        };
        let id = listed["items"][nth]["taskId"].as_str().context("a task")?;
        victims.push(id.to_owned());
    }
    let mut events = server.events().await?;
    let before = server.cpu_ticks()?;
    for id in &victims {
        server
            .post(&format!("/v1/tasks/{id}/stop"), &json!({}))
            .await?;
    }
    let mut left = STOPPED;
    each_line(&mut events, |line| {
        left -= usize::from(is_task_in(line, "RUNNING"));
        left == 0
    })
    .await?;
    // What is cleaned up after a task belongs to it.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The kernel counts in hundredths of a second.
    let used = Duration::from_millis(10 * (server.cpu_ticks()? - before));
    Ok(used / u32::try_from(STOPPED)?)
}
