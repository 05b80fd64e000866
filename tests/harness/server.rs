//! A server in a process of its own, on a data folder and a port of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::Stream;
use super::engine::remove_all;
use super::{PATIENCE, eventually};

/// A server. When it is dropped, it is killed and everything that carries its label is removed.
pub struct Server {
    folder: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
    endpoint: String,
    instance: Option<String>,
}

impl Server {
    /// Starts one on the real engine, without warm sandboxes, and waits until it answers.
    pub fn start() -> Self {
        super::require_engine();
        let mut server = Self::prepare(&["--warm-sandboxes", "0"]);
        server.boot();
        server
    }

    /// Starts one on the simulated engine, and waits until it answers.
    pub fn start_sim() -> Self {
        let mut server = Self::prepare(&["--engine", "sim"]);
        server.boot();
        server
    }

    /// Starts one on the simulated engine, with these flags and variables besides.
    pub fn start_sim_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut server = Self::prepare(&[&["--engine", "sim"], args].concat());
        for (name, value) in env {
            server.env(name, value);
        }
        server.boot();
        server
    }

    /// One that is not started yet, with these flags beside `--listen` and `--data-dir`.
    pub fn prepare(args: &[&str]) -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: Vec::new(),
            child: None,
            log: Arc::default(),
            endpoint: String::new(),
            instance: None,
        }
    }

    /// Sets a variable of its environment.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of the test, removed with the server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = neargate();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.data_dir())
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it and waits until it says where it listens.
    pub fn boot(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("neargate starts");
        let stderr = child.stderr.take().expect("its log");
        self.child = Some(child);
        let log = Arc::clone(&self.log);
        log.lock().unwrap().clear();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = log.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        self.endpoint = eventually("the server to listen", || {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            let log = self.log();
            let start = log
                .find("listening on http://")
                .ok_or(format!("log:\n{log}"))?;
            let rest = &log[start + "listening on ".len()..];
            Ok(rest.split_whitespace().next().unwrap().to_owned())
        });
        let ready = self.get("/readyz").1;
        self.instance = ready["version"]["instanceId"].as_str().map(str::to_owned);
    }

    /// SIGKILL, as a crash.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits until it has ended; it must do so cleanly.
    pub fn shut_down(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        let status = eventually("the server to end", || {
            child.try_wait().unwrap().ok_or(self.log())
        });
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The label of everything that it makes.
    pub fn instance(&self) -> &str {
        self.instance.as_deref().expect("it was started")
    }

    /// The command line, talking to this server.
    pub fn cli(&self, args: &[&str]) -> Cli {
        let output = self.client(args).output().expect("neargate runs");
        Cli::new(args, &output)
    }

    /// The same, before it is run.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = neargate();
        command.args(args).env("NEARGATE_ENDPOINT", &self.endpoint);
        command
    }

    /// The same, while it runs.
    pub fn stream(&self, args: &[&str]) -> Stream {
        Stream::start(args, &self.client(args))
    }

    /// `GET path`: the status and the JSON of the answer.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, None, "application/json")
    }

    /// `POST path` with JSON.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, Some(body.to_string()), "application/json")
    }

    /// Any request, on a connection of its own.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        content_type: &str,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.endpoint);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = reqwest::Client::builder()
                .timeout(PATIENCE)
                .build()
                .unwrap();
            let mut request = client.request(method.parse().unwrap(), &url);
            if let Some(body) = body {
                request = request.header("content-type", content_type).body(body);
            }
            let answer = request
                .send()
                .await
                .unwrap_or_else(|error| panic!("{method} {url}: {error:?}"));
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            (
                status,
                serde_json::from_str(&text).unwrap_or(Value::String(text)),
            )
        })
    }

    /// Registers a task definition given as YAML.
    pub fn register(&self, yaml: &str) -> Value {
        let (status, answer) = self.send(
            "POST",
            "/v1/task-definitions",
            Some(yaml.to_owned()),
            "application/yaml",
        );
        assert_eq!(status, 201, "{answer:#}");
        answer
    }

    /// Registers a family `name` with one container `main` that runs the workload with `command`.
    pub fn register_workload(&self, name: &str, command: &[&str]) -> Value {
        self.register(&format!(
            "family: {name}\ncpu: 256\nmemory: 512\nrequiresCompatibilities: [FARGATE]\n\
             containerDefinitions:\n  - name: main\n    image: {}\n    stopTimeout: 2\n    command: {}\n",
            super::workload(),
            serde_json::to_string(command).unwrap(),
        ))
    }

    /// Runs one task of `definition` and gives its ID.
    pub fn run(&self, definition: &str) -> String {
        let (status, answer) = self.post(
            "/v1/tasks",
            &serde_json::json!({ "taskDefinition": definition }),
        );
        assert_eq!(status, 201, "{answer:#}");
        answer["tasks"][0]["taskId"].as_str().unwrap().to_owned()
    }

    /// A task.
    pub fn task(&self, id: &str) -> Value {
        let (status, task) = self.get(&format!("/v1/tasks/{id}"));
        assert_eq!(status, 200, "{task:#}");
        task
    }

    /// Asks a task to stop.
    pub fn stop(&self, id: &str) {
        let (status, answer) = self.post(&format!("/v1/tasks/{id}/stop"), &serde_json::json!({}));
        assert_eq!(status, 200, "{answer:#}");
    }

    /// Waits until a task has come to `status`, or beyond it.
    pub fn wait_for(&self, id: &str, status: &str) -> Value {
        let order = [
            "PROVISIONING",
            "PENDING",
            "ACTIVATING",
            "RUNNING",
            "DEACTIVATING",
            "STOPPING",
            "DEPROVISIONING",
            "STOPPED",
        ];
        let rank = |name: &str| order.iter().position(|one| *one == name).unwrap();
        eventually(&format!("task {id} to be {status}"), || {
            let task = self.task(id);
            let now = task["lastStatus"].as_str().unwrap();
            if rank(now) >= rank(status) {
                Ok(task)
            } else {
                Err(format!("{task:#}\n{}", self.log()))
            }
        })
    }

    /// Waits until nothing of any task is left on the engine: containers, networks, sandboxes in use.
    pub fn wait_until_clean(&self) {
        eventually("the engine to be clean", || {
            let label = format!("label=neargate.instance={}", self.instance());
            let left = super::docker(&[
                "ps",
                "--all",
                "--filter",
                &label,
                "--format",
                "{{.Names}} {{.Status}}",
            ])?;
            let left: Vec<&str> = left
                .lines()
                .filter(|name| !name.starts_with("neargate-warm-"))
                .collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}\n{}", self.log()))
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
        if let Some(instance) = &self.instance {
            remove_all(instance);
        }
    }
}

/// The binary under test, in an environment without any setting of the user's.
pub fn neargate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neargate"));
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("NEARGATE_"))
        {
            command.env_remove(name);
        }
    }
    command
        .env("NO_COLOR", "1")
        .env("COLUMNS", "160")
        .stdin(Stdio::null());
    command
}

/// What a run of the command line gave.
#[derive(Debug)]
pub struct Cli {
    pub command: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Cli {
    pub fn new(args: &[&str], output: &Output) -> Self {
        Self {
            command: format!("neargate {}", args.join(" ")),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output, if it succeeded.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout.trim_end()
    }
}
