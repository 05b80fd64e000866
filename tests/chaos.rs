//! Chaos on a real engine: services and tasks under load, while at random Neargate is killed, the engine is restarted with
//! and without live-restore or frozen, containers are killed, paused and removed, and the disk of the data folder fills up.
//!
//! Nomad's bar: whenever only Neargate died, running processes go on with the same PID and are never restarted. Besides:
//! nothing is ever there twice, everything ends as it should, nothing is left over. The run ends in a table. `make chaos`
//! runs it for as long as `CHAOS_SECONDS` says. The clock of a running process cannot be moved from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::faults::SmallDisk;
use crate::harness::{OwnEngine, Server, docker, eventually};
use crate::service;

/// How long faults are injected in `make test`.
const SECONDS: u64 = 12;
/// Tasks of the service.
const DESIRED: usize = 3;
/// What the tasks that end by themselves end with, and the others when they are asked to.
const QUICK_CODE: i64 = 7;
const TERM_CODE: i64 = 9;

/// A container that runs, by its task and name: its ID, its process and when that was started.
type Running = BTreeMap<Owner, Process>;

/// A task's ID and the name of one of its containers.
type Owner = (String, String);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    id: String,
    pid: String,
    started_at: String,
}

/// What runs of tasks, as the engine says.
fn running(host: &str, instance: &str) -> Result<Vec<(Owner, Process)>, String> {
    let engine = |args: &[&str]| docker(&[&["--host", host], args].concat());
    let label = format!("label=neargate.instance={instance}");
    let ids = engine(&["ps", "--quiet", "--no-trunc", "--filter", &label])?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let format = "{{index .Config.Labels \"neargate.task\"}} {{index .Config.Labels \"neargate.container\"}} \
                  {{.Id}} {{.State.Pid}} {{.State.StartedAt}} {{.State.Running}}";
    let mut args = vec!["inspect", "--format", format];
    args.extend(ids.lines());
    // One may be gone by now.
    let lines = engine(&args)?;
    let lines = lines
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    // A sandbox belongs to no container of a task's.
    let of_tasks = lines.filter(|words| words.len() == 6 && words[5] == "true");
    let parsed = of_tasks.map(|words| {
        let process = Process {
            id: words[2].to_owned(),
            pid: words[3].to_owned(),
            started_at: words[4].to_owned(),
        };
        ((words[0].to_owned(), words[1].to_owned()), process)
    });
    Ok(parsed.filter(|(owner, _)| !owner.0.is_empty()).collect())
}

/// Looks at the engine all the time, and writes down what was ever there.
struct Watcher {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    looks: u64,
    /// Each process of each container of a task.
    processes: BTreeMap<Owner, BTreeSet<Process>>,
    /// Two of one container at once.
    duplicates: Vec<String>,
}

impl Watcher {
    fn of(host: String, instance: String) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let over = Arc::new(AtomicBool::new(false));
        let (shared, is_over) = (Arc::clone(&seen), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(all) = running(&host, &instance) {
                    let mut seen = shared.lock().unwrap();
                    seen.looks += 1;
                    let mut now = BTreeMap::new();
                    for (owner, process) in all {
                        if let Some(other) = now.insert(owner.clone(), process.clone()) {
                            let both = format!("{owner:?}: {other:?} and {process:?}");
                            seen.duplicates.push(both);
                        }
                        seen.processes.entry(owner).or_default().insert(process);
                    }
                }
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        Self {
            seen,
            over,
            thread: Some(thread),
        }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Chaos {
    watcher: Watcher,
    server: Server,
    disk: SmallDisk,
    engine: OwnEngine,
    random: StdRng,
    faults: BTreeMap<&'static str, u32>,
    /// Tasks whose IDs were answered, and the code that each ends with if nobody does anything to it.
    promised: BTreeMap<String, i64>,
    /// Tasks that something was done to.
    hit: BTreeSet<String>,
    /// Containers that are paused.
    paused: Vec<String>,
    /// Processes that went on while Neargate was dead, looked at one by one.
    survived: u64,
}

#[test]
fn whatever_happens_to_a_real_engine_and_to_neargate_tasks_end_as_they_should() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("NEARGATE_TEST_SEED");
    let seed = seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    eprintln!("NEARGATE_TEST_SEED={seed}");
    let mut chaos = Chaos::begin(seed);
    let length = Duration::from_secs(number("CHAOS_SECONDS").unwrap_or(SECONDS));
    let begun = Instant::now();
    let mut round = 0;
    while begun.elapsed() < length || round < KINDS {
        chaos.run_tasks();
        // Each kind once, and then whatever comes.
        let kind = if round < KINDS {
            round
        } else {
            chaos.random.random_range(0..KINDS)
        };
        chaos.fault(kind);
        round += 1;
    }
    chaos.end();
}

/// How many kinds of faults there are.
const KINDS: usize = 8;

impl Chaos {
    fn begin(seed: u64) -> Self {
        let engine = OwnEngine::start_third();
        let mut server = Server::prepare(&["--warm-sandboxes", "1"]);
        let disk = SmallDisk::mount(&server.data_dir(), 16);
        server.env("DOCKER_HOST", &engine.host());
        server.boot();
        server.register_workload("quick", &["exit", "--code", "7", "--after-ms", "300"]);
        server.register_workload("sleep", &["sleep", "--term-code", "9"]);
        server.register_workload("web", &["sleep", "--term-code", "9"]);
        service::create(
            &server,
            &service::document(u32::try_from(DESIRED).unwrap(), ""),
        );
        service::steady(&server, DESIRED, "web:1");
        Self {
            watcher: Watcher::of(engine.host(), server.instance().to_owned()),
            server,
            disk,
            engine,
            random: StdRng::seed_from_u64(seed),
            faults: BTreeMap::new(),
            promised: BTreeMap::new(),
            hit: BTreeSet::new(),
            paused: Vec::new(),
            survived: 0,
        }
    }

    /// Runs a task or two; what is refused is not promised.
    fn run_tasks(&mut self) {
        let (family, code) = if self.random.random_bool(0.6) {
            ("quick", QUICK_CODE)
        } else {
            ("sleep", TERM_CODE)
        };
        let request = json!({ "taskDefinition": family, "count": self.random.random_range(1..3) });
        let (status, answer) = self.server.post("/v1/tasks", &request);
        assert!(status == 201 || status == 507, "{status} {answer:#}");
        for task in answer["tasks"].as_array().into_iter().flatten() {
            let id = task["taskId"].as_str().unwrap().to_owned();
            self.promised.insert(id, code);
        }
    }

    fn count(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    fn pause(&mut self, most_ms: u64) {
        let pause = self.random.random_range(0..most_ms);
        std::thread::park_timeout(Duration::from_millis(pause));
    }

    fn running(&self) -> Running {
        let look = || running(&self.engine.host(), self.server.instance());
        eventually("the engine to say what runs", look)
            .into_iter()
            .collect()
    }

    fn fault(&mut self, kind: usize) {
        match kind {
            0 => self.kill_neargate(),
            1 => self.restart_engine(true),
            2 => self.freeze_engine(),
            3 => self.hurt("container killed", &["kill"]),
            4 => self.pause_container(),
            5 => self.hurt("container removed", &["rm", "--force"]),
            6 => self.fill_disk(),
            _ => self.restart_engine(false),
        }
    }

    /// Whatever runs goes on, with the same PID.
    fn kill_neargate(&mut self) {
        self.count("neargate killed (-9)");
        self.pause(300);
        let before = self.running();
        self.server.kill();
        self.pause(500);
        self.server.boot();
        self.pause(500);
        self.unharmed(&before);
    }

    /// What sleeps has gone on since `before`, and is none the worse for it.
    fn unharmed(&mut self, before: &Running) {
        let after = self.running();
        for (owner, process) in before {
            let is_quick = self.promised.get(&owner.0) == Some(&QUICK_CODE);
            if is_quick || self.hit.contains(&owner.0) {
                continue;
            }
            let task = self.server.task(&owner.0);
            if task["desiredStatus"] == "STOPPED" {
                continue;
            }
            assert_eq!(after.get(owner), Some(process), "{owner:?}: {task:#}");
            let restarts = &task["containers"][0]["restartCount"];
            assert!(restarts.is_null() || *restarts == json!(0), "{task:#}");
            self.survived += 1;
        }
    }

    fn restart_engine(&mut self, live_restore: bool) {
        let before = self.running();
        if live_restore {
            self.count("engine restarted, live-restore");
            // What the engine is starting when it is told to go, it may take down with it.
            let mut caught = self.unfinished();
            caught.retain(|task| !before.keys().any(|owner| owner.0 == *task));
            self.hit.extend(caught);
        } else {
            self.count("engine restarted");
            self.unpause();
            self.engine.set_live_restore(false);
            // All that there are: what has not been started yet may be caught in the middle.
            self.hit.extend(self.unfinished());
        }
        self.engine.shut_down();
        self.pause(300);
        self.engine.boot();
        if live_restore {
            self.unharmed(&before);
        } else {
            self.hit.extend(self.unfinished());
            self.engine.set_live_restore(true);
        }
    }

    fn freeze_engine(&mut self) {
        self.count("engine frozen (SIGSTOP)");
        let before = self.running();
        self.engine.signal("STOP");
        self.pause(1_500);
        self.engine.signal("CONT");
        self.unharmed(&before);
    }

    /// A container of a task that runs.
    fn victim(&mut self) -> Option<(String, Process)> {
        let all: Vec<_> = self.running().into_iter().collect();
        if all.is_empty() {
            return None;
        }
        let (owner, process) = all[self.random.random_range(0..all.len())].clone();
        self.hit.insert(owner.0.clone());
        Some((owner.0, process))
    }

    fn hurt(&mut self, what: &'static str, command: &[&str]) {
        let Some((_, process)) = self.victim() else {
            return;
        };
        self.count(what);
        // It may have ended by itself.
        let _ = self.engine.docker(&[command, &[&process.id]].concat());
    }

    fn pause_container(&mut self) {
        self.unpause();
        let Some((_, process)) = self.victim() else {
            return;
        };
        self.count("container paused");
        if self.engine.docker(&["pause", &process.id]).is_ok() {
            self.paused.push(process.id);
        }
        self.pause(500);
    }

    fn unpause(&mut self) {
        for id in std::mem::take(&mut self.paused) {
            let _ = self.engine.docker(&["unpause", &id]);
        }
    }

    fn fill_disk(&mut self) {
        self.count("data folder full");
        let before = self.running();
        self.disk.fill();
        self.run_tasks();
        self.pause(700);
        self.disk.free();
        self.unharmed(&before);
    }

    fn unfinished(&self) -> Vec<String> {
        let (_, page) = self.server.get("/v1/tasks?limit=1000");
        let all = page["items"].as_array().unwrap();
        let unfinished = all.iter().filter(|task| task["lastStatus"] != "STOPPED");
        let ids = unfinished.map(|task| task["taskId"].as_str().unwrap().to_owned());
        ids.collect()
    }

    /// The faults stop: the service has what it wants, each task ends, and nothing is left.
    fn end(mut self) {
        self.unpause();
        service::steady(&self.server, DESIRED, "web:1");
        let (status, answer) =
            self.server
                .send("DELETE", "/v1/services/web?force=true", None, "text/plain");
        assert!(status < 300, "{answer:#}");
        for (id, code) in &self.promised {
            if *code == TERM_CODE {
                self.server.stop(id);
            }
        }
        let ended: Vec<Value> = self
            .promised
            .keys()
            .map(|id| self.server.wait_for(id, "STOPPED"))
            .collect();
        service::inactive(&self.server);
        let (_, page) = self.server.get("/v1/tasks?limit=1000");
        let all = page["items"].as_array().unwrap().clone();
        let seen = self.watcher.seen();
        let errors = ended.iter().map(|task| self.check(task));
        let meter_error_ms = errors.max().unwrap_or_default();
        // A task is started once: nothing here asks for restarts.
        let restarted: Vec<_> = seen
            .processes
            .iter()
            .filter(|(_, processes)| processes.len() > 1)
            .collect();
        let verified = self.server.cli(&["usage", "verify"]);
        verified.ok();
        let label = format!("label=neargate.instance={}", self.server.instance());
        self.server.shut_down();
        let engine = &self.engine;
        let left = eventually("the engine to list", || {
            let containers = engine.docker(&["ps", "--all", "--quiet", "--filter", &label])?;
            let volumes = engine.docker(&["volume", "ls", "--quiet", "--filter", &label])?;
            Ok(format!("{containers}\n{volumes}").trim().to_owned())
        });
        self.table(&[
            ("tasks run", all.len().to_string()),
            ("processes seen", seen.processes.len().to_string()),
            (
                "went on, same PID (times looked at)",
                self.survived.to_string(),
            ),
            ("restarts", restarted.len().to_string()),
            ("duplicates", seen.duplicates.len().to_string()),
            ("leftovers", left.lines().count().to_string()),
            ("metering error, ms", meter_error_ms.to_string()),
        ]);
        assert!(restarted.is_empty(), "{restarted:#?}");
        assert_eq!(seen.duplicates, Vec::<String>::new());
        assert_eq!(left, "", "nothing is left over");
        assert_eq!(meter_error_ms, 0, "{ended:#?}");
        assert!(self.survived > 0 && seen.looks > 0, "{seen:?}");
    }

    /// The end of a promised task; how far its interval is from what the engine said, if that is what it was closed by.
    fn check(&self, task: &Value) -> i64 {
        let id = task["taskId"].as_str().unwrap();
        let container = &task["containers"][0];
        assert!(task["stopCode"].is_string(), "{task:#}");
        if !self.hit.contains(id) && container["startedAt"].is_string() {
            let expected = json!(self.promised[id]);
            // One that was asked to stop before its process could hear it ends otherwise.
            let is_asked = task["stopCode"] == "UserInitiated";
            assert!(
                container["exitCode"] == expected || is_asked,
                "{expected}: {task:#}"
            );
        }
        if task["usage"]["endEvidence"] != "engine" {
            return 0;
        }
        let time = |value: &Value| -> i64 {
            let time: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
            time.as_millisecond()
        };
        (time(&task["usage"]["closedAt"]) - time(&container["finishedAt"])).abs()
    }

    fn table(&self, figures: &[(&str, String)]) {
        for (kind, count) in &self.faults {
            eprintln!("| {kind:<35} | {count:>6} |");
        }
        for (what, count) in figures {
            eprintln!("| {what:<35} | {count:>6} |");
        }
    }
}
