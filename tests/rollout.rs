//! What a service's users notice of a deployment: nothing. Revisions come and go, two of them bad, containers are killed at
//! random, and a client that spreads its requests over the tasks that count as healthy sees none of them fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use neargate::clock::{Clock as _, SystemClock};
use neargate::domain::TimestampMs;
use serde_json::{Value, json};

use crate::cli::run;
use crate::harness::{Server, eventually};
use crate::service::{BREAKER, create, document, kill_container, steady, tasks, update};

const TASKS: usize = 6;
/// A slow machine is no failure: what is not answered at all is found out by this as well.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A web server that goes on for a while after SIGTERM, as one does that drains its connections.
const GOOD: &[&str] = &["serve", "--drain-ms", "1500"];

/// The health check may take its time where many share a CPU: it finds out who is ready, and nothing here hangs.
fn register(server: &Server, image: &str, command: &[&str]) {
    server.register(&format!(
        "family: web\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
         - name: main\n  image: {image}\n  command: {}\n  stopTimeout: 10\n  \
         healthCheck: {{command: [CMD, /workload, health], interval: 5, timeout: 30, retries: 3}}\n",
        json!(command)
    ));
}

/// What the client has seen.
#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, u64>,
    /// By task: when the request began, and what became of it.
    failures: Vec<(String, TimestampMs, String)>,
    /// Tasks whose container was killed: what was under way on them is lost, as it must be.
    killed: BTreeSet<String>,
}

fn is_healthy(task: &Value) -> bool {
    task["lastStatus"] == "RUNNING"
        && task["desiredStatus"] == "RUNNING"
        && task["healthStatus"] == "HEALTHY"
}

fn id(task: &Value) -> String {
    task["taskId"].as_str().unwrap().to_owned()
}

fn ask(task: &Value) -> Result<(), String> {
    let address = task["address"].as_str().ok_or("no address")?;
    let address: SocketAddr = format!("{address}:8080").parse().unwrap();
    let mut connection =
        TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| error.to_string())?;
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection
        .write_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(answer)
    }
}

/// Asks every task that counts as healthy, over and over.
fn client(server: &Server, seen: &Mutex<Seen>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        for task in tasks(server).iter().filter(|task| is_healthy(task)) {
            let (id, begun) = (id(task), SystemClock.now());
            let answer = ask(task);
            let mut seen = seen.lock().unwrap();
            match answer {
                Ok(()) => *seen.answers.entry(id).or_default() += 1,
                Err(error) => seen.failures.push((id, begun, error)),
            }
        }
    }
}

/// Kills the container of the `number`th healthy task.
fn kill_one(server: &Server, seen: &Mutex<Seen>, number: usize) {
    let healthy: Vec<Value> = tasks(server).into_iter().filter(is_healthy).collect();
    if let Some(victim) = healthy.get(number % healthy.len().max(1)) {
        seen.lock().unwrap().killed.insert(id(victim));
        kill_container(victim);
    }
}

fn deploy(server: &Server, seen: &Mutex<Seen>, number: usize) {
    update(server, &json!({ "taskDefinition": "web" }));
    kill_one(server, seen, number);
    std::thread::park_timeout(Duration::from_millis(number as u64 * 97 % 2_000));
    kill_one(server, seen, number / 7);
}

/// Until the good revision runs alone, and the client has had an answer of each of its tasks.
fn answered(server: &Server, seen: &Mutex<Seen>, definition: &str) {
    let there = steady(server, TASKS, definition);
    eventually("an answer of each task", || {
        let seen = seen.lock().unwrap();
        let is_silent = |task: &&Value| !seen.answers.contains_key(&id(task));
        match there.iter().find(is_silent) {
            None => Ok(()),
            Some(task) => Err(format!("{task:#}\n{:#?}", seen.failures)),
        }
    });
}

/// Until the newest deployment was given up, and the one before is complete again.
fn rolled_back(server: &Server, good: &str, bad: &str) {
    steady(server, TASKS, good);
    let (_, history) = server.get("/v1/services/web/deployments");
    let is_bad = |one: &&Value| one["taskDefinition"] == bad;
    let items = history["items"].as_array().unwrap();
    let bad = items.iter().find(is_bad).unwrap();
    assert_eq!(bad["rolloutState"], "FAILED", "{history:#}");
}

#[test]
fn no_request_to_a_healthy_task_fails_while_revisions_come_and_go() {
    let server = Server::start();
    let workload = "neargate/workload:latest";
    register(&server, workload, GOOD);
    create(&server, &document(6, BREAKER));
    steady(&server, TASKS, "web:1");
    let (seen, ended) = (Mutex::new(Seen::default()), AtomicBool::new(false));
    let chance = usize::from_str_radix(&server.instance()[..6], 16).unwrap();
    println!("chance {chance}");
    std::thread::scope(|scope| {
        scope.spawn(|| client(&server, &seen, &ended));
        let story = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            answered(&server, &seen, "web:1");
            register(&server, workload, GOOD);
            deploy(&server, &seen, chance);
            answered(&server, &seen, "web:2");

            // One that starts, and then ends.
            register(
                &server,
                workload,
                &["exit", "--after-ms", "300", "--code", "3"],
            );
            deploy(&server, &seen, chance / 3);
            rolled_back(&server, "web:2", "web:3");

            register(&server, workload, GOOD);
            deploy(&server, &seen, chance / 5);
            answered(&server, &seen, "web:4");

            // One that never starts.
            register(&server, "127.0.0.1:1/no/such:image", GOOD);
            deploy(&server, &seen, chance / 11);
            rolled_back(&server, "web:4", "web:5");

            register(&server, workload, GOOD);
            deploy(&server, &seen, chance / 13);
            answered(&server, &seen, "web:6");
        }));
        ended.store(true, Ordering::Relaxed);
        if let Err(panic) = story {
            std::panic::resume_unwind(panic);
        }
    });
    let seen = seen.into_inner().unwrap();
    for (task, begun, error) in &seen.failures {
        let record = server.task(task);
        let began_to_stop = record["stoppingAt"]
            .as_str()
            .map(|at| at.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        let was_told_to_stop = began_to_stop.is_some_and(|at| at <= begun.as_millis());
        assert!(
            seen.killed.contains(task) || was_told_to_stop,
            "a request that began at {begun} on a healthy task failed: {error}: {record:#}"
        );
    }
    let asked: usize = seen.answers.len();
    assert!(
        asked >= 4 * TASKS,
        "tasks of all four good deployments have answered: {:#?}",
        seen.answers
    );
    let total: u64 = seen.answers.values().sum();
    println!(
        "{total} answers of {asked} tasks; {} killed",
        seen.killed.len()
    );
    run(&server, &["service", "delete", "web", "--force"]).ok();
    eventually("the service to be gone", || {
        let left = tasks(&server);
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:#?}"))
        }
    });
    server.wait_until_clean();
}
