//! `kill -9` at any moment: nothing is lost, doubled, restarted or left over.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Seen, Server, Witness, eventually, leftovers};

/// How often the server is killed. Each time at another moment of several tasks' lives.
const KILLS: usize = 20;

/// What one task is expected to come to.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Ends by itself with this code.
    Exits(i64),
    /// Runs until it is told to stop.
    Sleeps,
}

/// The server, and what it has promised so far: a task whose ID was answered must never be lost.
struct Story {
    server: Server,
    random: StdRng,
    promised: BTreeMap<String, Kind>,
    stopped: Vec<String>,
}

#[test]
fn killed_at_random_moments_it_loses_nothing() {
    let seed = std::env::var("NEARGATE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000_u64));
    eprintln!("NEARGATE_TEST_SEED={seed}");
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "1"]);
    server.boot();
    server.register_workload("quick", &["exit", "--code", "7", "--after-ms", "300"]);
    server.register_workload("sleep", &["sleep", "--term-code", "9"]);
    let witness = Witness::of(server.instance());
    let mut story = Story {
        server,
        random: StdRng::seed_from_u64(seed),
        promised: BTreeMap::new(),
        stopped: Vec::new(),
    };
    for _ in 0..KILLS {
        story.act();
        let pause = story.random.random_range(0..400);
        std::thread::park_timeout(Duration::from_millis(pause));
        story.server.kill();
        // Sometimes what runs gets time to end while nobody is there to see it.
        if story.random.random_bool(0.4) {
            std::thread::park_timeout(Duration::from_millis(600));
        }
        story.server.boot();
    }
    story.settle();
    story.check(&witness);
}

impl Story {
    /// Runs a task or two, and perhaps stops one.
    fn act(&mut self) {
        for _ in 0..self.random.random_range(1..3) {
            let (family, kind) = if self.random.random_bool(0.5) {
                ("quick", Kind::Exits(7))
            } else {
                ("sleep", Kind::Sleeps)
            };
            let id = self.server.run(family);
            self.promised.insert(id, kind);
        }
        if self.random.random_bool(0.5) {
            let sleeping = self
                .promised
                .iter()
                .find(|(id, kind)| matches!(kind, Kind::Sleeps) && !self.stopped.contains(id));
            if let Some((id, _)) = sleeping.map(|(id, kind)| (id.clone(), *kind)) {
                self.server.stop(&id);
                self.stopped.push(id);
            }
        }
    }

    /// Lets everything come to its end, and checks on the way that what ran was adopted and not restarted.
    fn settle(&mut self) {
        let running: Vec<(String, Value)> = self
            .promised
            .iter()
            .filter(|(id, kind)| matches!(kind, Kind::Sleeps) && !self.stopped.contains(id))
            .map(|(id, _)| (id.clone(), self.server.wait_for(id, "RUNNING")))
            .collect();
        self.server.kill();
        self.server.boot();
        for (id, before) in &running {
            let after = self.server.wait_for(id, "RUNNING");
            for field in ["runtimeId", "startedAt"] {
                assert_eq!(
                    before["containers"][0][field], after["containers"][0][field],
                    "{id}: {field}"
                );
            }
            self.server.stop(id);
        }
        for id in self.promised.keys() {
            self.server.wait_for(id, "STOPPED");
        }
        self.server.wait_until_clean();
    }

    fn check(&mut self, witness: &Witness) {
        for (id, kind) in &self.promised {
            let task = self.server.task(id);
            // The engine's command line prints its events a little later than they happen.
            let seen = eventually("the witness to have seen the end", || {
                let seen = witness.container(id, "main");
                if seen.ends.len() == seen.starts as usize {
                    Ok(seen)
                } else {
                    Err(format!("{seen:?}"))
                }
            });
            check_task(id, *kind, &task, &seen);
        }
        let expected: Vec<&String> = self.promised.keys().collect();
        let listed = self.all_tasks();
        assert_eq!(
            listed.len(),
            expected.len(),
            "no task is lost and none is doubled"
        );
        self.check_events();
        self.server.shut_down();
        assert_eq!(leftovers(self.server.instance()), Vec::<String>::new());
    }

    fn all_tasks(&self) -> Vec<Value> {
        let (status, page) = self.server.get("/v1/tasks?limit=1000");
        assert_eq!(status, 200);
        page["items"].as_array().unwrap().clone()
    }

    /// Every change of a task's state has exactly one event, in order, and the numbers have no holes.
    fn check_events(&self) {
        let (status, page) = self.server.get("/v1/events?limit=1000");
        assert_eq!(status, 200);
        let events = page["items"].as_array().unwrap();
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event["seq"], json!(index + 1));
        }
        for id in self.promised.keys() {
            let order = ["PROVISIONING", "PENDING", "RUNNING", "STOPPING", "STOPPED"];
            let ranks: Vec<usize> = events
                .iter()
                .filter(|event| {
                    event["subject"] == json!(id) && event["kind"] == json!("TaskStateChange")
                })
                .map(|event| {
                    order
                        .iter()
                        .position(|status| event["status"] == json!(status))
                        .unwrap()
                })
                .collect();
            assert!(ranks.is_sorted_by(|a, b| a < b), "{id}: {ranks:?}");
            assert_eq!(
                (ranks.first(), ranks.last()),
                (Some(&0), Some(&4)),
                "{id}: {ranks:?}"
            );
        }
    }
}

fn check_task(id: &str, kind: Kind, task: &Value, seen: &Seen) {
    let container = &task["containers"][0];
    let context = format!("{id} {kind:?}: {task:#} {seen:?}");
    assert!(seen.most_at_once <= 1, "two at once: {context}");
    assert!(seen.starts <= 1, "started twice: {context}");
    if let Some(end) = seen.ends.first() {
        assert_eq!(container["exitCode"], json!(end.exit_code), "{context}");
        // It ended after it began, and before the engine told of it, which it did while nobody may have
        // been there to hear: whoever took the time of noticing for the end would be found out here.
        let time = |field: &str| -> i64 {
            let time: jiff::Timestamp = container[field].as_str().unwrap().parse().unwrap();
            time.as_millisecond()
        };
        let (started, finished) = (time("startedAt"), time("finishedAt"));
        assert!(started <= finished && finished <= end.told_at, "{context}");
        let exited_at = end.exited_at.map(|at| at.max(started));
        assert!(exited_at.is_none_or(|at| at == finished), "{context}");
        assert_eq!(
            task["executionStoppedAt"], container["finishedAt"],
            "{context}"
        );
        assert_eq!(
            task["usage"]["closedAt"], container["finishedAt"],
            "{context}"
        );
        assert_eq!(task["usage"]["endEvidence"], json!("engine"), "{context}");
    }
    if let Kind::Exits(code) = kind {
        assert_eq!(container["exitCode"], json!(code), "{context}");
        assert_eq!(
            task["stopCode"],
            json!("EssentialContainerExited"),
            "{context}"
        );
    } else {
        assert_eq!(task["stopCode"], json!("UserInitiated"), "{context}");
    }
    if task["pullStartedAt"].is_string() {
        assert_eq!(
            task["usage"]["openedAt"], task["pullStartedAt"],
            "{context}"
        );
        assert!(
            task["usage"]["durationMs"].as_i64().unwrap() >= 0,
            "{context}"
        );
    } else {
        assert!(task["usage"].is_null(), "{context}");
    }
}
