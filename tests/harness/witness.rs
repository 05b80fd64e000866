//! What the engine itself says happened, written down by somebody who is not Neargate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What the engine said of one container of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many of it were there at once, at most. One whose start was never asked for may be replaced.
    pub most_at_once: u32,
    at_once: u32,
    /// How often one of them was started.
    pub starts: u32,
    /// Exit code and time in milliseconds of each end.
    pub ends: Vec<(i64, i64)>,
}

/// Listens to the engine's events of one Neargate's containers.
pub struct Witness {
    child: Child,
    seen: Arc<Mutex<BTreeMap<(String, String), Seen>>>,
}

impl Witness {
    /// Listens from now on to what carries the label of `instance`.
    pub fn of(instance: &str) -> Self {
        let mut child = Command::new("docker")
            .args([
                "events",
                "--format",
                "{{json .}}",
                "--filter",
                "type=container",
            ])
            .args(["--filter", &format!("label=neargate.instance={instance}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker events");
        let stdout = child.stdout.take().unwrap();
        let seen: Arc<Mutex<BTreeMap<(String, String), Seen>>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).expect("an event is JSON");
                let labels = &event["Actor"]["Attributes"];
                let (Some(task), Some(name)) = (
                    labels["neargate.task"].as_str(),
                    labels["neargate.container"].as_str(),
                ) else {
                    continue;
                };
                let mut seen = shared.lock().unwrap();
                let one = seen.entry((task.to_owned(), name.to_owned())).or_default();
                match event["Action"].as_str().unwrap_or_default() {
                    "create" => {
                        one.at_once += 1;
                        one.most_at_once = one.most_at_once.max(one.at_once);
                    }
                    "destroy" => one.at_once = one.at_once.saturating_sub(1),
                    "start" => one.starts += 1,
                    "die" => {
                        let code = labels["exitCode"].as_str().unwrap().parse().unwrap();
                        one.ends
                            .push((code, event["timeNano"].as_i64().unwrap() / 1_000_000));
                    }
                    _ => {}
                }
            }
        });
        Self { child, seen }
    }

    /// Everything so far, by task and container.
    pub fn seen(&self) -> BTreeMap<(String, String), Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// What was seen of one container.
    pub fn container(&self, task: &str, name: &str) -> Seen {
        self.seen()
            .remove(&(task.to_owned(), name.to_owned()))
            .unwrap_or_default()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
