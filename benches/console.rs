//! How long the console's pages take where thousands of tasks go on and thousands have stopped, and how large they are.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::report::Report;
use super::{Server, median, millis, percentile, services};

/// Services of two tasks each.
const SERVICES: usize = 5_000;
/// Tasks that have stopped, and how many of them one call runs.
const STOPPED: usize = 3_000;
const RUN_AT_ONCE: usize = 10;
/// Calls under way at the same time while these are run and stopped.
const CALLS_AT_ONCE: usize = 8;
/// How often each page is fetched.
const LOOKS: usize = 100;

/// A page of each kind, by its name. `{s}` is a service, `{r}` a task of it that runs, and `{x}` a task that has stopped.
const PAGES: [(&str, &str); 26] = [
    ("overview", "/"),
    ("service", "/services/default/{s}"),
    ("service: use", "/services/default/{s}/use?range=24h"),
    ("service: scale", "/services/default/{s}/scale"),
    ("service: deploy", "/services/default/{s}/deploy"),
    ("service: delete", "/services/default/{s}/delete"),
    ("tasks", "/tasks"),
    ("tasks that run", "/tasks?lastStatus=RUNNING"),
    ("tasks that have stopped", "/tasks?lastStatus=STOPPED"),
    (
        "tasks of a service",
        "/tasks?cluster=default&serviceName={s}",
    ),
    ("tasks: none is like this", "/tasks?lastStatus=PENDING"),
    ("task that runs", "/tasks/{r}"),
    ("task that has stopped", "/tasks/{x}"),
    ("task: stop", "/tasks/{r}/stop"),
    ("task definitions", "/task-definitions"),
    ("family", "/task-definitions/sleep"),
    ("revision", "/task-definitions/sleep/1"),
    ("revision: run", "/task-definitions/sleep/1/run"),
    ("cost by service", "/cost"),
    ("cost by family", "/cost?by=family&range=24h"),
    ("right-sizing", "/cost/rightsizing"),
    ("events", "/events"),
    ("events about a task", "/events?subject={r}"),
    (
        "events: none has that in it",
        "/events?text=nothing-like-it",
    ),
    ("create a service", "/create-service"),
    ("register a definition", "/register"),
];

/// What a page took.
struct Look {
    name: &'static str,
    first: Duration,
    times: Vec<Duration>,
    bytes: usize,
}

/// Measures and tells it.
pub async fn tell(report: &mut Report) -> Result<()> {
    let server = services::start(SERVICES).await?;
    stop_some(&server).await?;
    let tasks = SERVICES * services::TASKS_EACH;
    report.section(
        "Console",
        &format!(
            "Pages where {tasks} tasks run and {STOPPED} have stopped, {LOOKS} looks at each. What a first look takes counts for the \
             bound, too. What is added up\nover all tasks is made beside the page: the first look at costs says so."
        ),
    );
    report.table(&["page", "p50", "p99", "first look", "largest"]);
    let mut looks = Vec::new();
    for (name, path) in PAGES {
        let look = look(&server, name, &filled_in(&server, path).await?).await?;
        report.cells(&[
            name,
            &format!("{:.1} ms", millis(median(&look.times))),
            &format!("{:.1} ms", millis(percentile(&look.times, 99))),
            &format!("{:.1} ms", millis(look.first)),
            &format!("{:.1} KB", look.bytes as f64 / 1e3),
        ]);
        looks.push(look);
    }
    let of_look = |look: &Look| look.first.max(percentile(&look.times, 99));
    let slowest = looks.iter().max_by_key(|look| of_look(look));
    let largest = looks.iter().max_by_key(|look| look.bytes);
    let (slowest, largest) = slowest.zip(largest).context("pages")?;
    report.section("Bounds of the console", "What is asked of every page.");
    report.table(&super::HEADS);
    report.row(
        &format!("slowest page ({}), p99 or first look", slowest.name),
        format!("{:.1} ms", millis(of_look(slowest))),
        "100 ms",
    );
    report.row(
        &format!("largest page ({})", largest.name),
        format!("{:.1} KB", largest.bytes as f64 / 1e3),
        "200 KB",
    );
    Ok(())
}

/// Runs tasks of no service, and stops them.
async fn stop_some(server: &Server) -> Result<()> {
    futures_util::stream::iter(0..STOPPED / RUN_AT_ONCE)
        .map(|_| async move {
            for id in server.run(RUN_AT_ONCE).await? {
                server
                    .post(&format!("/v1/tasks/{id}/stop"), &json!({}))
                    .await?;
            }
            anyhow::Ok(())
        })
        .buffer_unordered(CALLS_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    loop {
        let cluster = server.get("/v1/clusters/default").await?;
        if cluster["runningTasksCount"].as_u64()
            == u64::try_from(SERVICES * services::TASKS_EACH).ok()
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// `path` with a service and tasks that there are.
async fn filled_in(server: &Server, path: &str) -> Result<String> {
    let service = format!("s{}", SERVICES / 2);
    let id = |listed: &Value| {
        let id = listed["items"][0]["taskId"].as_str();
        anyhow::Ok(id.context("a task ID")?.to_owned())
    };
    let of_service = format!("/v1/tasks?serviceName={service}&lastStatus=RUNNING");
    let runs = id(&server.get(&of_service).await?)?;
    let stopped = id(&server.get("/v1/tasks?lastStatus=STOPPED&limit=1").await?)?;
    Ok(path
        .replace("{s}", &service)
        .replace("{r}", &runs)
        .replace("{x}", &stopped))
}

async fn look(server: &Server, name: &'static str, path: &str) -> Result<Look> {
    let (first, mut body) = fetch(server, path).await?;
    // What says that it is being added up is not what the other looks are at.
    while body.contains("data-soon") {
        tokio::time::sleep(Duration::from_millis(50)).await;
        body = fetch(server, path).await?.1;
    }
    let mut bytes = body.len();
    let mut times = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let (time, body) = fetch(server, path).await?;
        times.push(time);
        bytes = bytes.max(body.len());
    }
    Ok(Look {
        name,
        first,
        times,
        bytes,
    })
}

/// A page, and how long it takes until all of it is there.
async fn fetch(server: &Server, path: &str) -> Result<(Duration, String)> {
    let begun = Instant::now();
    let answer = server
        .client
        .get(format!("{}{path}", server.endpoint))
        .header("accept", "text/html")
        .send()
        .await?;
    let status = answer.status();
    let body = answer.text().await?;
    let took = begun.elapsed();
    if !status.is_success() {
        bail!("{path}: {status}: {body}");
    }
    Ok((took, body))
}
