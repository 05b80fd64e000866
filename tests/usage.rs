//! What tasks used, beside what they reserved, and that the books stay right however often Neargate dies: on the real
//! engine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Server, Witness, eventually, leftovers};

/// Milliseconds that the burner says it used.
fn said(server: &Server, id: &str) -> u64 {
    let log = server.cli(&["logs", id]);
    let line = log
        .ok()
        .lines()
        .find(|line| line.contains("used "))
        .map(str::to_owned);
    let line = line.unwrap_or_else(|| panic!("no such line: {}", log.ok()));
    let words: Vec<&str> = line.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "used").unwrap();
    words[place + 1].parse().unwrap()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_task_of_fifty_milliseconds_has_its_cpu_time() {
    let server = Server::start();
    for (family, cpu_ms) in [("blink", "50"), ("burn", "400")] {
        server.register_workload(family, &["burn-cpu", "--cpu-ms", cpu_ms]);
        let id = server.run(family);
        let task = server.wait_for(&id, "STOPPED");
        let used = &task["usage"]["used"];
        assert_eq!(used["source"], "cgroup", "{task:#}");
        let (measured_ms, said_ms) = (number(&used["cpuNs"]) / 1_000_000, said(&server, &id));
        // What the runtime did in the task's cgroup before the program began counts as well.
        assert!(
            measured_ms >= said_ms && measured_ms <= said_ms + 400,
            "{measured_ms} ms measured, {said_ms} ms said: {task:#}"
        );
        assert!(number(&used["memoryPeakBytes"]) > 0, "{task:#}");
        assert!(number(&used["memoryKibMs"]) > 0, "{task:#}");
        let described = server.cli(&["describe", &id]);
        assert!(
            described.ok().contains("by the kernel, until"),
            "{}",
            described.ok()
        );
    }
    let report = server.cli(&["usage"]);
    let total = report.ok().lines().last().unwrap().to_owned();
    assert!(total.starts_with("total"), "{total}");
}

#[test]
fn memory_and_traffic_of_a_task_that_runs_are_on_record_before_it_ends() {
    let mut server = Server::prepare(&["--warm-sandboxes", "1"]);
    server.boot();
    server.register_workload("hold", &["allocate", "--mib", "64"]);
    let id = server.run("hold");
    let mib_64 = 64 << 20;
    let used = eventually("its memory to be on record", || {
        let task = server.task(&id);
        let used = task["usage"]["used"].clone();
        let enough = used["memoryPeakBytes"].as_u64() >= Some(mib_64)
            && used["memoryKibMs"].as_u64() > Some(64 * 1_024 * 1_000);
        enough.then_some(used).ok_or(format!("{task:#}"))
    });
    // A process that is killed loses nothing that was on record.
    server.kill();
    server.boot();
    server.stop(&id);
    let task = server.wait_for(&id, "STOPPED");
    let last = &task["usage"]["used"];
    for field in ["cpuNs", "memoryKibMs", "memoryPeakBytes", "networkRxBytes"] {
        assert!(
            number(&last[field]) >= number(&used[field]),
            "{field}: {used:#} {task:#}"
        );
    }
    assert_eq!(last["source"], "cgroup");
}

#[test]
fn a_task_without_a_size_is_sampled_and_says_so() {
    let server = Server::start();
    server.register(&format!(
        "family: loose\ncontainerDefinitions:\n  - {{ name: main, image: {}, memory: 64, stopTimeout: 1, command: [burn-cpu] }}\n",
        crate::harness::workload()
    ));
    let id = server.run("loose");
    let task = eventually("a sample", || {
        let task = server.task(&id);
        let used = &task["usage"]["used"];
        let is_sampled = used["source"] == "sample" && used["cpuNs"].as_u64() > Some(0);
        is_sampled.then(|| task.clone()).ok_or(format!("{task:#}"))
    });
    assert_eq!(task["limits"]["enforcedBy"], "containers", "{task:#}");
    server.stop(&id);
    server.wait_for(&id, "STOPPED");
    let described = server.cli(&["describe", &id]);
    assert!(
        described.ok().contains("later use is missing"),
        "{}",
        described.ok()
    );
}

/// Does something to the database of a server that is down.
fn damage(server: &Server, sql: &'static str) {
    use sqlx::ConnectOptions as _;
    let file = server.data_dir().join("neargate.db");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut db = options.foreign_keys(false).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        sqlx::Connection::close(db).await.unwrap();
    });
}

#[test]
fn books_that_do_not_agree_are_told_with_exit_code_1() {
    let mut server = Server::start_sim();
    server.register_workload("job", &["exit", "--after-ms", "10"]);
    for _ in 0..2 {
        server.wait_for(&server.run("job"), "STOPPED");
    }
    let right = server.cli(&["usage", "verify"]);
    assert!(right.ok().contains("2 tasks, 2 intervals"), "{right:#?}");
    server.shut_down();
    // Whoever goes past the database's own guards: an interval is gone, and another one is longer than its task was.
    damage(
        &server,
        "DROP TRIGGER usage_intervals_stay; DROP TRIGGER usage_intervals_close_once;
         DELETE FROM usage_intervals WHERE task_id = (SELECT min(task_id) FROM usage_intervals);
         UPDATE usage_intervals SET closed_at = closed_at + 60000;",
    );
    server.boot();
    let wrong = server.cli(&["usage", "verify"]);
    assert_eq!(wrong.code, 1, "{wrong:#?}");
    for word in [
        "2 tasks, 1 intervals",
        "has no interval",
        "ended at another time",
    ] {
        assert!(wrong.stdout.contains(word), "no `{word}` in {wrong:#?}");
    }
    let (status, answer) = server.get("/v1/usage/verification");
    assert_eq!(status, 200, "the question was answered");
    assert_eq!(answer["holds"], false, "{answer:#}");
}

/// Tasks that are run while Neargate dies.
const TASKS: usize = 200;
const KILLS: usize = 10;

#[test]
fn short_tasks_are_all_billed_once_and_to_their_end_while_neargate_is_killed() {
    let seed = std::env::var("NEARGATE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| rand::rng().random_range(0..1_000_000_u64));
    eprintln!("NEARGATE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.boot();
    let lengths = ["1", "20", "150", "600", "3000"];
    for ms in lengths {
        server.register(&format!(
            "family: short-{ms}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - {{ name: main, image: {}, \
             command: [exit, --after-ms, '{ms}'] }}\n",
            crate::harness::workload()
        ));
    }
    let witness = Witness::of(server.instance());
    let begun = Instant::now();
    let mut promised = Vec::new();
    for _ in 0..KILLS {
        for _ in 0..TASKS / KILLS {
            let ms = lengths[random.random_range(0..lengths.len())];
            promised.push(server.run(&format!("short-{ms}")));
        }
        std::thread::park_timeout(Duration::from_millis(random.random_range(0..2_500)));
        server.kill();
        if random.random_bool(0.3) {
            std::thread::park_timeout(Duration::from_millis(500));
        }
        server.boot();
    }
    for id in &promised {
        server.wait_for(id, "STOPPED");
    }
    eprintln!("{TASKS} tasks and {KILLS} kills in {:?}", begun.elapsed());

    server.wait_until_clean();
    let (status, report) = server.get("/v1/usage?limit=1000");
    assert_eq!(status, 200);
    let lines = report["items"].as_array().unwrap();
    let mut billed: BTreeMap<&str, &Value> = BTreeMap::new();
    for line in lines {
        let id = line["taskId"].as_str().unwrap();
        assert!(billed.insert(id, line).is_none(), "billed twice: {id}");
    }
    assert_eq!(billed.len(), TASKS, "no task is missing");
    for id in &promised {
        check_bill(&server, &witness, id, billed[id.as_str()]);
    }
    let verified = server.cli(&["usage", "verify"]);
    assert!(
        verified.ok().contains("200 tasks, 200 intervals"),
        "{}",
        verified.ok()
    );
    server.shut_down();
    assert_eq!(leftovers(server.instance()), Vec::<String>::new());
}

fn check_bill(server: &Server, witness: &Witness, id: &str, line: &Value) {
    let task = server.task(id);
    let container = &task["containers"][0];
    let context = format!("{line:#} {task:#}");
    assert_eq!(line["endEvidence"], "engine", "{context}");
    assert_eq!(line["closedAt"], container["finishedAt"], "{context}");
    assert_eq!(line["openedAt"], task["pullStartedAt"], "{context}");
    let time = |value: &Value| -> i64 {
        let time: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
        time.as_millisecond()
    };
    let length = time(&line["closedAt"]) - time(&line["openedAt"]);
    assert_eq!(line["durationMs"], json!(length), "{context}");
    let seen = eventually("the witness to have seen the end", || {
        let seen = witness.container(id, "main");
        if seen.starts == 1 && seen.ends.len() == 1 {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    });
    let (started, finished) = (
        time(&container["startedAt"]),
        time(&container["finishedAt"]),
    );
    let end = &seen.ends[0];
    assert!(
        started <= finished && finished <= end.told_at,
        "{end:?}: {context}"
    );
    // What exits at once may have done so before Docker has noted its start.
    let exited_at = end.exited_at.map(|at| at.max(started));
    assert!(
        exited_at.is_none_or(|at| at == finished),
        "{end:?}: {context}"
    );
    assert_eq!(line["used"]["source"], "cgroup", "{context}");
    assert!(number(&line["used"]["cpuNs"]) > 0, "{context}");
}
