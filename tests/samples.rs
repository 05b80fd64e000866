//! Every file in `task-definitions/` registers, runs, and does what its comment says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Server, eventually};

/// What becomes of each sample: `Ends` by itself with this exit code, or runs until it is stopped.
enum Fate {
    Ends(i64),
    Runs,
}

const SAMPLES: &[(&str, Fate)] = &[
    ("batch", Fate::Ends(0)),
    ("hello", Fate::Ends(0)),
    ("ports", Fate::Runs),
    ("sidecar", Fate::Runs),
    ("stubborn", Fate::Runs),
    ("volume", Fate::Ends(0)),
    ("web", Fate::Runs),
];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("task-definitions")
}

#[test]
fn every_sample_is_expected_to_do_something() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    names.sort();
    let expected: Vec<&str> = SAMPLES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
}

#[test]
fn every_sample_registers_and_runs() {
    let server = Server::start();
    for (name, fate) in SAMPLES {
        let path = folder().join(format!("{name}.yaml"));
        let registered = server.cli(&["register", path.to_str().unwrap()]);
        assert_eq!(registered.ok(), format!("{name}:1"));
        let id = server.run(name);
        match fate {
            Fate::Ends(code) => {
                let task = server.wait_for(&id, "STOPPED");
                assert_eq!(
                    task["containers"][0]["exitCode"],
                    Value::from(*code),
                    "{task:#}"
                );
            }
            Fate::Runs => {
                let task = server.wait_for(&id, "RUNNING");
                assert_eq!(task["lastStatus"], "RUNNING", "{task:#}");
                check_running(&server, name, &id);
                server.stop(&id);
                let task = server.wait_for(&id, "STOPPED");
                assert_eq!(task["stopCode"], "UserInitiated", "{task:#}");
            }
        }
    }
    server.wait_until_clean();
}

fn check_running(server: &Server, name: &str, id: &str) {
    match name {
        "web" => {
            let address = server.task(id)["address"].as_str().unwrap().to_owned();
            assert!(fetch(&format!("{address}:8080")).contains("hello from task"));
        }
        "ports" => {
            let binding = server.task(id)["containers"][0]["networkBindings"][0].clone();
            assert_eq!(
                binding["bindIP"], "127.0.0.1",
                "loopback unless told otherwise"
            );
            assert_eq!(binding["containerPort"], 8080);
            assert!(
                fetch(&format!("127.0.0.1:{}", binding["hostPort"])).contains("hello from task")
            );
        }
        "sidecar" => eventually(
            "the side-car to have reached the web server on localhost",
            || {
                let task = server.task(id);
                let side = task["containers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|one| one["essential"] == false);
                match side.unwrap()["exitCode"].as_i64() {
                    Some(0) => Ok(()),
                    _ => Err(format!("{task:#}")),
                }
            },
        ),
        _ => {}
    }
}

/// The answer to `GET /` over HTTP.
fn fetch(address: &str) -> String {
    eventually("an answer", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let answer = reqwest::get(format!("http://{address}/"))
                .await
                .map_err(|error| format!("{error:?}"))?;
            answer.text().await.map_err(|error| error.to_string())
        })
    })
}
