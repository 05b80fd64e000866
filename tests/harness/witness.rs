//! What the engine itself says happened, written down by somebody who is not Neargate.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::eventually;

/// What the engine said of one container of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many of it were there at once, at most. One whose start was never asked for may be replaced.
    pub most_at_once: u32,
    at_once: u32,
    /// How often one of them was started.
    pub starts: u32,
    /// Of each end.
    pub ends: Vec<End>,
}

/// The end of a container, as the engine told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Of its process.
    pub exit_code: i64,
    /// When the engine said so: milliseconds.
    pub told_at: i64,
    /// When the process ended: milliseconds. From containerd, whose word Docker takes; `None` where it is not at hand.
    pub exited_at: Option<i64>,
}

/// When processes exited, in milliseconds, by the ID of their container.
type Exits = Arc<Mutex<BTreeMap<String, i64>>>;

/// Listens to the engine's events of one Neargate's containers.
pub struct Witness {
    child: Child,
    containerd: Option<Child>,
    seen: Arc<Mutex<BTreeMap<(String, String), Seen>>>,
}

impl Witness {
    /// Listens to what carries the label of `instance`.
    pub fn of(instance: &str) -> Self {
        let mut child = Command::new("docker")
            .args([
                "events",
                "--format",
                "{{json .}}",
                "--filter",
                "type=container",
            ])
            // It takes a while to listen, and what happens meanwhile is told afterwards. Only this instance has the label.
            .args(["--since", "1"])
            .args(["--filter", &format!("label=neargate.instance={instance}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker events");
        let stdout = child.stdout.take().unwrap();
        let seen: Arc<Mutex<BTreeMap<(String, String), Seen>>> = Arc::default();
        let shared = Arc::clone(&seen);
        let (containerd, exits) = listen_to_containerd().unzip();
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
                        // It is told of to Docker first, and Docker takes a while.
                        let exited_at = exits.as_ref().map(|exits| {
                            eventually("containerd to tell of the exit", || {
                                let id = event["id"].as_str().unwrap();
                                let known = exits.lock().unwrap().get(id).copied();
                                known.ok_or_else(|| id.to_owned())
                            })
                        });
                        one.ends.push(End {
                            exit_code: code,
                            told_at: event["timeNano"].as_i64().unwrap() / 1_000_000,
                            exited_at,
                        });
                    }
                    _ => {}
                }
            }
        });
        Self {
            child,
            containerd,
            seen,
        }
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

/// Listens to the events of the containerd below Docker, if it can be reached.
fn listen_to_containerd() -> Option<(Child, Exits)> {
    const SOCKETS: [&str; 2] = [
        "/var/run/docker/containerd/containerd.sock",
        "/run/containerd/containerd.sock",
    ];
    let socket = SOCKETS.into_iter().find(|path| Path::new(path).exists());
    let child = Command::new("ctr")
        .args(["--address", socket.unwrap_or_default()])
        .args(["--namespace", "moby", "events"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let (Some(_), Ok(mut child)) = (socket, child) else {
        eprintln!(
            "skipped: the times of ends are not compared with containerd's, which cannot be reached with ctr"
        );
        return None;
    };
    let stdout = child.stdout.take().unwrap();
    let exits = Exits::default();
    let shared = Arc::clone(&exits);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // A time of three words, the namespace, the topic, and the event.
            let Some((_, event)) = line.split_once(" /tasks/exit ") else {
                continue;
            };
            let event: Value = serde_json::from_str(event).expect("an event is JSON");
            let (id, process) = (event["container_id"].as_str(), event["id"].as_str());
            // What was executed in a container exits as well.
            if id != process {
                continue;
            }
            let at: jiff::Timestamp = event["exited_at"].as_str().unwrap().parse().unwrap();
            let id = id.unwrap().to_owned();
            shared.lock().unwrap().insert(id, at.as_millisecond());
        }
    });
    Some((child, exits))
}

impl Drop for Witness {
    fn drop(&mut self) {
        for child in [Some(&mut self.child), self.containerd.as_mut()] {
            let Some(child) = child else { continue };
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
