//! Secrets on the real engine: they reach their containers and nothing else.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use neargate::clock::RandomIds;
use neargate::domain::{
    ContainerState, InstanceId, SecretFile, SecretName, SecretReference, SecretValue,
};
use neargate::engine::docker::daemon::Daemon;
use neargate::engine::docker::names::Names;
use neargate::engine::docker::{DockerEngine, Settings};
use neargate::engine::sim::{CallFault, CallKind, SimConfig, SimDaemon};
use neargate::engine::{Engine, EngineError, Secrets};
use serde_json::json;

use crate::engine_contract::{SimTime, order};
use crate::harness::{Cli, Server, docker, eventually, workload};

/// Puts a secret through the command line's stdin.
fn put(server: &Server, name: &str, value: &str) -> Cli {
    let args = ["secret", "put", name];
    let mut child = server
        .client(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(value.as_bytes()).unwrap();
    drop(stdin);
    Cli::new(&args, &child.wait_with_output().unwrap())
}

/// A server on the real engine that logs as much as it ever does.
fn start() -> Server {
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.env("NEARGATE_LOG", "trace");
    server.boot();
    server
}

fn in_container(task: &str, container: &str, command: &[&str]) -> Result<String, String> {
    let name = format!("neargate-{task}-{container}");
    docker(&[&["exec", &name, "/workload"], command].concat())
}

/// Every file below `folder`, with what is in it.
fn files_below(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
}

/// Everything of a server that anybody can read who is not its engine.
fn everything(server: &Server, task: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    files_below(&server.data_dir(), &mut all);
    all.push(("the server's log".to_owned(), server.log().into_bytes()));
    for command in [
        vec!["describe", task],
        vec!["describe", "leak"],
        vec!["describe", "leak:1"],
        vec!["ps", "--all"],
        vec!["definitions"],
        vec!["events"],
        vec!["logs", task],
        vec!["usage"],
        vec!["status"],
        vec!["secret", "list"],
    ] {
        for format in ["table", "json", "yaml"] {
            let args = [&command[..], &["--output", format, "--verbose"]].concat();
            let answer = server.cli(&args);
            let text = format!("{}{}", answer.stdout, answer.stderr);
            all.push((args.join(" "), text.into_bytes()));
        }
    }
    for path in [
        "/openapi.json",
        "/metrics",
        "/v1/events",
        "/v1/secrets",
        "/v1/task-definitions",
    ] {
        all.push((path.to_owned(), server.get(path).1.to_string().into_bytes()));
    }
    let label = format!("label=neargate.instance={}", server.instance());
    let of_engine = |args: &[&str]| docker(&[args, &["--filter", &label]].concat()).unwrap();
    let listed = [
        of_engine(&["ps", "--all", "--no-trunc", "--format", "{{json .}}"]),
        of_engine(&["volume", "ls", "--format", "{{json .}}"]),
        of_engine(&["network", "ls", "--no-trunc", "--format", "{{json .}}"]),
    ];
    all.push((
        "what the engine lists".to_owned(),
        listed.concat().into_bytes(),
    ));
    all
}

fn assert_nowhere(all: &[(String, Vec<u8>)], values: &[&str]) {
    for (place, bytes) in all {
        for value in values {
            let found = bytes
                .windows(value.len())
                .any(|part| part == value.as_bytes());
            assert!(
                !found,
                "{value} stands in {place}:\n{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
    assert!(all.len() > 20, "nothing was looked at");
}

const LEAK: &str = "\
family: leak
cpu: 256
memory: 512
containerDefinitions:
  - name: main
    image: IMAGE
    user: \"1000\"
    stopTimeout: 1
    command: [sleep]
    environment: [{name: PLAIN, value: seen}]
    secrets:
      - {name: PASSWORD, valueFrom: db/password}
      - {name: USERNAME, valueFrom: \"arn:aws:secretsmanager:us-east-1:123456789012:secret:login-AbCdEf:username::\"}
    environmentFiles:
      - {type: s3, value: \"arn:aws:s3:::bucket/app.env\"}
    secretFiles:
      - {containerPath: /run/secrets/password, valueFrom: db/password, mode: \"0400\"}
      - {containerPath: /srv/tls/key, valueFrom: \"arn:aws:ssm:us-east-1:123456789012:parameter/tls/key\"}
  - name: side
    image: IMAGE
    stopTimeout: 1
    command: [sleep]
";

const VALUES: [&str; 4] = [
    "correct-horse-battery",
    "ann-of-cleves",
    "staple-from-a-file",
    "key\u{1}material",
];

fn put_all(server: &Server) {
    put(server, "db/password", "correct-horse-battery\n").ok();
    put(server, "login", r#"{"username":"ann-of-cleves","port":1}"#).ok();
    put(
        server,
        "bucket/app.env",
        "# lines\nFROM_FILE=staple-from-a-file\nPLAIN=hidden\nPASSWORD=hidden\n",
    )
    .ok();
    let key = server.folder().join("key.pem");
    fs::write(&key, "key\u{1}material\n").unwrap();
    server
        .cli(&[
            "secret",
            "put",
            "tls/key",
            "--from-file",
            key.to_str().unwrap(),
        ])
        .ok();
}

#[test]
fn a_secret_reaches_its_container_and_nothing_else() {
    let server = start();
    put_all(&server);
    server.register(&LEAK.replace("IMAGE", workload()));
    let task = server.run("leak");
    let running = server.wait_for(&task, "RUNNING");
    assert_eq!(
        running["lastStatus"],
        "RUNNING",
        "{running:#}\n{}",
        server.log()
    );

    for (name, value) in [
        ("PASSWORD", VALUES[0]),
        ("USERNAME", VALUES[1]),
        ("FROM_FILE", VALUES[2]),
        ("PLAIN", "seen"),
    ] {
        assert_eq!(
            in_container(&task, "main", &["env", name]).as_deref(),
            Ok(value),
            "{name}"
        );
    }
    let read = |container: &str, path: &str| in_container(&task, container, &["read-file", path]);
    assert_eq!(
        read("main", "/run/secrets/password").as_deref(),
        Ok(VALUES[0])
    );
    assert_eq!(read("main", "/srv/tls/key").as_deref(), Ok(VALUES[3]));
    let denied = read("side", "/run/secrets/password").unwrap_err();
    assert!(denied.contains("No such file"), "{denied}");
    let written = in_container(&task, "main", &["write-file", "/run/secrets/x", "y"]).unwrap_err();
    assert!(written.contains("Read-only"), "{written}");

    // A file is in no answer of the engine, and in memory alone.
    let container = format!("neargate-{task}-main");
    let inspect = docker(&["inspect", &container]).unwrap();
    assert!(!inspect.contains("material"), "{inspect}");
    let volumes = volumes_of(&server);
    assert_eq!(volumes.len(), 2, "{volumes:?}");
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    for volume in &volumes {
        let point = docker(&["volume", "inspect", "--format", "{{.Mountpoint}}", volume]).unwrap();
        assert!(
            mounts.contains(&format!("tmpfs {point} tmpfs")),
            "{point} is no tmpfs:\n{mounts}"
        );
    }
    assert_nowhere(&everything(&server, &task), &VALUES);

    server.stop(&task);
    server.wait_for(&task, "STOPPED");
    server.wait_until_clean();
    eventually("the volumes to be gone", || match volumes_of(&server) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_nowhere(&everything(&server, &task), &VALUES);
}

fn volumes_of(server: &Server) -> Vec<String> {
    let label = format!("label=neargate.instance={}", server.instance());
    let listed = docker(&["volume", "ls", "--quiet", "--filter", &label]).unwrap();
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn files_outlive_a_crash_of_the_server_and_nothing_is_left_of_them() {
    let mut server = start();
    put_all(&server);
    server.register(&LEAK.replace("IMAGE", workload()));
    let task = server.run("leak");
    server.wait_for(&task, "RUNNING");
    server.kill();
    assert_eq!(
        in_container(&task, "main", &["read-file", "/run/secrets/password"]).as_deref(),
        Ok(VALUES[0])
    );
    // Sandbox and containers go away while nobody looks: the volumes have nobody who remembers them.
    for name in ["-main", "-side", ""] {
        docker(&["rm", "--force", &format!("neargate-{task}{name}")]).unwrap();
    }
    assert_eq!(volumes_of(&server).len(), 2);
    server.boot();
    server.wait_for(&task, "STOPPED");
    eventually("the volumes to be gone", || match volumes_of(&server) {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}\n{}", server.log())),
    });
}

#[test]
fn a_secret_that_is_missing_stops_the_task_and_is_named() {
    let server = start();
    put(&server, "half", r#"{"user":"nobody-knows-me"}"#).ok();
    let definition = |name: &str, from: &str| {
        server.register(&format!(
            "family: {name}\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
             command: [sleep]\n    secrets: [{{name: A, valueFrom: \"{from}\"}}]\n",
            workload()
        ));
        let task = server.run(name);
        let stopped = server.wait_for(&task, "STOPPED");
        assert_eq!(stopped["stopCode"], "TaskFailedToStart", "{stopped:#}");
        stopped["stoppedReason"].as_str().unwrap().to_owned()
    };
    let reason = definition("missing", "nowhere/to-be-found");
    assert_eq!(
        reason,
        "ResourceInitializationError: unable to pull secrets or registry auth: secret \"nowhere/to-be-found\" does \
         not exist; hint: neargate secret put nowhere/to-be-found < FILE"
    );
    let reason = definition("keyless", "half:password::");
    assert!(reason.ends_with("without the key password"), "{reason}");

    fs::remove_file(server.data_dir().join("secret.key")).unwrap();
    let reason = definition("unsealed", "half");
    assert!(
        reason.starts_with("ResourceInitializationError: ")
            && reason.contains("secret.key, is missing"),
        "{reason}"
    );
    let refused = put(&server, "new", "value-that-nobody-sees");
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("secret.key, is missing"),
        "{}",
        refused.stderr
    );
    assert_nowhere(
        &everything(&server, "missing"),
        &["nobody-knows-me", "value-that-nobody-sees"],
    );
}

#[test]
fn secrets_are_put_listed_and_deleted() {
    let server = Server::start_sim();
    assert_eq!(put(&server, "team/db", "one\n").ok(), "team/db");
    assert_eq!(put(&server, "team/db", "two").ok(), "team/db");
    let (status, listed) = server.get("/v1/secrets");
    assert_eq!(status, 200);
    assert_eq!(listed["items"][0]["name"], "team/db");
    assert_eq!(listed["items"][0]["version"], 2);
    let arn = listed["items"][0]["arn"].as_str().unwrap().to_owned();
    assert!(server.cli(&["secret", "list"]).ok().contains("team/db"));

    server.register(&format!(
        "family: web\ncontainerDefinitions:\n  - {{name: a, image: a, memory: 64, secrets: [{{name: A, valueFrom: \"{arn}\"}}]}}\n"
    ));
    let refused = server.cli(&["secret", "delete", "team/db"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("used by web:1") && refused.stderr.contains("--force"),
        "{}",
        refused.stderr
    );
    server.cli(&["secret", "delete", "team/db", "--force"]).ok();
    let gone = server.cli(&["secret", "delete", "team/db"]);
    assert!(gone.stderr.contains("does not exist"), "{}", gone.stderr);

    for (name, value, says) in [
        ("empty", "\n", "empty"),
        ("large", &*"x".repeat(65_537), "65536 bytes"),
        ("no name", "x", "use up to 255 letters"),
    ] {
        let refused = put(&server, name, value);
        assert!(
            refused.code == 1 && refused.stderr.contains(says),
            "{refused:?}"
        );
    }
    put(&server, "largest", &"x".repeat(65_536)).ok();
    let (_, events) = server.get("/v1/events?kind=SecretPut");
    let messages: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["message"])
        .collect();
    assert_eq!(
        json!(messages),
        json!([
            "Secret team/db was put, version 1.",
            "Secret team/db was put, version 2.",
            "Secret largest was put, version 1."
        ])
    );
}

/// A store that answers what the test lets it answer.
#[derive(Default)]
struct Scripted(Mutex<Option<EngineError>>);

#[async_trait::async_trait]
impl Secrets for Scripted {
    async fn secret(&self, _: &SecretName) -> Result<Option<SecretValue>, EngineError> {
        match self.0.lock().unwrap().take() {
            Some(error) => Err(error),
            None => Ok(SecretValue::new(b"value".to_vec()).ok()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_on_the_way_the_files_are_there_when_the_container_starts() {
    let daemon = SimDaemon::new(SimConfig::default(), Arc::new(SimTime));
    daemon.add_image(workload());
    let driver = tokio::spawn(daemon.drive());
    let store = Arc::new(Scripted::default());
    let instance = InstanceId::generate(&RandomIds);
    let engine = DockerEngine::new(
        "sim",
        Arc::new(daemon.clone()),
        instance.clone(),
        Arc::new(RandomIds),
        Settings::default(),
        Arc::clone(&store) as Arc<dyn Secrets>,
    );
    let mut order = order(&[("main", &["sleep"])]);
    order.spec.containers[0].secrets.files = vec![SecretFile {
        folder: "/run/secrets".to_owned(),
        name: "a".to_owned(),
        from: SecretReference::parse("a").unwrap(),
        mode: 0o444,
    }];
    let names = Names::new(instance);
    let volume = names.secret_volume(&order.task_id, 0, 0);
    let advance = async || engine.advance(&order, engine.observe(&order).await?).await;

    *store.0.lock().unwrap() = Some(EngineError::Failed("the disk is full".to_owned()));
    let failed = advance().await.unwrap_err();
    assert!(failed.retryable(), "{failed:?}");
    for fault in [CallFault::AwayBefore, CallFault::AwayAfter] {
        daemon.fail_next(CallKind::Upload, fault);
        assert!(advance().await.unwrap_err().retryable());
    }
    // Created and never started: it is created again, and its files are put again.
    daemon.fail_next(CallKind::Start, CallFault::AwayBefore);
    assert!(advance().await.unwrap_err().retryable());
    let seen = advance().await.unwrap();
    let state = seen.containers.values().next().map(|one| one.state.clone());
    assert_eq!(state, Some(ContainerState::Running), "{seen:#?}");
    assert!(daemon.volume_is_filled(&volume));
    let shown = format!("{:?}", daemon.snapshot());
    assert!(!shown.contains("value\""), "{shown}");

    engine.remove(&order.task_id).await.unwrap();
    let left = daemon.list_volumes(&names.instance_filter()).await.unwrap();
    assert_eq!(left, []);
    engine.shut_down().await;
    driver.abort();
}
