//! What a task definition says of a container's inside holds inside, on the real engine.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Server, docker, require_engine, workload};

/// A server with these lines in its configuration file.
fn server_with(config: &str) -> Server {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let path = server.folder().join("neargate.toml");
    std::fs::write(&path, config).unwrap();
    server.env("NEARGATE_CONFIG", path.to_str().unwrap());
    server.boot();
    server
}

fn name(task: &str, container: &str) -> String {
    format!("neargate-{task}-{container}")
}

/// Runs a command of the workload inside a container.
fn inside(task: &str, container: &str, command: &[&str]) -> Result<String, String> {
    docker(&[&["exec", &name(task, container), "/workload"], command].concat())
}

fn read(task: &str, container: &str, path: &str) -> String {
    inside(task, container, &["read-file", path]).unwrap()
}

/// `Name: value` lines of process 1.
fn status(task: &str, container: &str) -> BTreeMap<String, String> {
    read(task, container, "/proc/1/status")
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Whether process 1 has the capability of that number. Source: `linux/capability.h`.
fn can(task: &str, container: &str, capability: u32) -> bool {
    let effective = u64::from_str_radix(&status(task, container)["CapEff"], 16).unwrap();
    effective >> capability & 1 == 1
}

const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;

fn inspect(task: &str, container: &str) -> Value {
    let text = docker(&["inspect", "--format", "{{json .}}", &name(task, container)]);
    serde_json::from_str(&text.unwrap()).unwrap()
}

#[test]
fn what_a_definition_says_of_linux_holds_inside() {
    let server = Server::start();
    server.register(&format!(
        "family: linux\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n\
         - name: odd\n  image: {image}\n  command: [sleep]\n  stopTimeout: 1\n  \
           linuxParameters:\n    initProcessEnabled: true\n    sharedMemorySize: 32\n    \
             tmpfs: [{{containerPath: /scratch, size: 8, mountOptions: [noexec, mode=1777]}}]\n    \
             capabilities: {{add: [SYS_PTRACE], drop: [NET_RAW]}}\n  \
           ulimits: [{{name: nofile, softLimit: 123, hardLimit: 456}}]\n  \
           readonlyRootFilesystem: true\n  \
           dockerLabels: {{com.example.team: shop}}\n  \
           extraHosts: [{{hostname: db.internal, ipAddress: 192.0.2.7}}]\n  \
           systemControls: [{{namespace: net.core.somaxconn, value: '77'}}, {{namespace: kernel.shm_rmid_forced, value: '1'}}]\n  \
           hostname: box.internal\n\
         - name: user\n  image: {image}\n  command: [sleep]\n  stopTimeout: 1\n  \
           user: '1000:1001'\n  workingDirectory: /work/here\n  interactive: true\n  pseudoTerminal: true\n\
         - name: plain\n  image: {image}\n  command: [sleep]\n  stopTimeout: 1\n",
        image = workload()
    ));
    let task = server.run("linux");
    server.wait_for(&task, "RUNNING");

    // initProcessEnabled: an init is the first process, and the command its child.
    assert_eq!(status(&task, "odd")["Name"], "docker-init");
    assert_eq!(status(&task, "plain")["Name"], "workload");
    // sharedMemorySize, tmpfs.
    let mounts = read(&task, "odd", "/proc/mounts");
    let mount = |path: &str| {
        let found = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(path));
        found
            .unwrap_or_else(|| panic!("{path} in {mounts}"))
            .to_owned()
    };
    assert!(mount("/dev/shm").contains("size=32768k"), "{mounts}");
    let scratch = mount("/scratch");
    assert!(
        scratch.starts_with("tmpfs ") && scratch.contains("size=8192k"),
        "{scratch}"
    );
    assert!(scratch.contains("noexec"), "{scratch}");
    // capabilities.
    assert!(can(&task, "odd", SYS_PTRACE) && !can(&task, "plain", SYS_PTRACE));
    assert!(!can(&task, "odd", NET_RAW) && can(&task, "plain", NET_RAW));
    // The defaults of every task: nobody gains privileges, and the kernel's calls are filtered.
    assert_eq!(status(&task, "plain")["NoNewPrivs"], "1");
    assert_eq!(status(&task, "plain")["Seccomp"], "2");
    // ulimits.
    let limits = read(&task, "odd", "/proc/1/limits");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let files: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(files[3..5], ["123", "456"], "{limits}");
    // readonlyRootFilesystem.
    let written = inside(&task, "odd", &["write-file", "/file", "text"]);
    assert!(
        written.unwrap_err().contains("ead-only"),
        "nobody writes there"
    );
    inside(&task, "odd", &["write-file", "/scratch/file", "text"]).unwrap();
    inside(&task, "plain", &["write-file", "/file", "text"]).unwrap();
    // dockerLabels.
    let odd = inspect(&task, "odd");
    assert_eq!(odd["Config"]["Labels"]["com.example.team"], "shop");
    // extraHosts, hostname and the network's parameters are the task's, as its namespace is.
    for container in ["odd", "plain"] {
        let hosts = read(&task, container, "/etc/hosts");
        let line = hosts.lines().find(|line| line.contains("db.internal"));
        assert_eq!(line.unwrap().split_whitespace().next(), Some("192.0.2.7"));
        let hostname = read(&task, container, "/proc/sys/kernel/hostname");
        assert_eq!(hostname.trim(), "box.internal", "{container}");
        let backlog = read(&task, container, "/proc/sys/net/core/somaxconn");
        assert_eq!(backlog.trim(), "77", "{container}");
    }
    let forced = read(&task, "odd", "/proc/sys/kernel/shm_rmid_forced");
    assert_eq!(forced.trim(), "1");
    // user, workingDirectory.
    assert_eq!(
        status(&task, "user")["Uid"].split('\t').next(),
        Some("1000")
    );
    assert_eq!(
        status(&task, "user")["Gid"].split('\t').next(),
        Some("1001")
    );
    let id = inside(&task, "user", &["id"]).unwrap();
    assert_eq!(id, "uid=1000 gid=1001 cwd=/work/here");
    // interactive, pseudoTerminal.
    let user = inspect(&task, "user");
    assert_eq!(user["Config"]["OpenStdin"], true);
    assert_eq!(user["Config"]["Tty"], true);
    assert_eq!(odd["Config"]["Tty"], false);
    // A process with a terminal has one that controls it: the seventh field after its name in brackets.
    let terminal = |container: &str| {
        let stat = read(&task, container, "/proc/1/stat");
        let rest = stat.rsplit_once(')').unwrap().1;
        rest.split_whitespace().nth(4).unwrap().to_owned()
    };
    assert_ne!(terminal("user"), "0");
    assert_eq!(terminal("plain"), "0");
    server.stop(&task);
}

/// A definition of a container with these powers.
fn powerful(powers: &str) -> String {
    format!(
        "family: powerful\ncpu: 256\nmemory: 512\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         command: [sleep]\n    stopTimeout: 1\n{powers}",
        workload()
    )
}

const PRIVILEGED: &str = "    privileged: true\n";
const ADDED: &str = "    linuxParameters: {capabilities: {add: [SYS_PTRACE, NET_ADMIN]}}\n";

#[test]
fn powers_beyond_fargate_s_are_refused_unless_the_operator_allows_them() {
    let register = |server: &Server, powers: &str| {
        server.send(
            "POST",
            "/v1/task-definitions",
            Some(powerful(powers)),
            "application/yaml",
        )
    };
    let mut server = Server::start_sim();
    let both = format!("{PRIVILEGED}{ADDED}");
    let (code, problem) = register(&server, &both);
    let text = problem.to_string();
    assert_eq!(code, 400, "{problem:#}");
    for expected in [
        "containerDefinitions[0].privileged",
        "allow_privileged = true",
        "containerDefinitions[0].linuxParameters.capabilities.add[1]",
        "is `NET_ADMIN`; as on Fargate, only `SYS_PTRACE` can be added here",
        "allowed_capabilities = [\\\"NET_ADMIN\\\"]",
    ] {
        assert!(text.contains(expected), "{expected} is not in {problem:#}");
    }
    assert!(!text.contains("add[0]"), "{problem:#}");

    // What was registered while it was allowed is refused when it is to run, by hand or by a service.
    let path = server.folder().join("neargate.toml");
    std::fs::write(&path, "allowed_capabilities = [\"NET_ADMIN\"]\n").unwrap();
    server.env("NEARGATE_CONFIG", path.to_str().unwrap());
    server.kill();
    server.boot();
    let (code, problem) = register(&server, ADDED);
    assert_eq!(code, 201, "{problem:#}");
    let (code, _) = register(&server, PRIVILEGED);
    assert_eq!(code, 400, "one does not stand for the other");
    std::fs::write(&path, "").unwrap();
    server.kill();
    server.boot();
    for (path, body) in [
        (
            "/v1/tasks",
            serde_json::json!({ "taskDefinition": "powerful" }),
        ),
        (
            "/v1/services",
            serde_json::json!({ "serviceName": "web", "taskDefinition": "powerful", "desiredCount": 1 }),
        ),
    ] {
        let (code, problem) = server.post(path, &body);
        assert_eq!(code, 400, "{problem:#}");
        assert!(problem.to_string().contains("NET_ADMIN"), "{problem:#}");
    }

    // A name that is none is refused when the server starts.
    std::fs::write(&path, "allowed_capabilities = [\"CAP_NET_ADMIN\"]\n").unwrap();
    server.kill();
    let ended = server.command().output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && said.contains("write it in capitals"),
        "{said}"
    );
}

#[test]
fn powers_that_the_operator_allows_hold_in_the_container() {
    let server = server_with("allow_privileged = true\nallowed_capabilities = [\"NET_ADMIN\"]\n");
    server.register(&powerful(ADDED));
    let added = server.run("powerful");
    let seen = server.wait_for(&added, "RUNNING");
    assert_eq!(seen["lastStatus"], "RUNNING", "{seen:#}");
    assert!(can(&added, "main", NET_ADMIN) && can(&added, "main", SYS_PTRACE));
    assert!(!can(&added, "main", SYS_ADMIN));
    assert_eq!(status(&added, "main")["NoNewPrivs"], "1");

    server.register(&powerful(PRIVILEGED));
    let privileged = server.run("powerful");
    let seen = server.wait_for(&privileged, "RUNNING");
    let by_hand = docker(&["run", "--rm", "--privileged", workload(), "id"]);
    if by_hand.is_ok() {
        assert_eq!(seen["lastStatus"], "RUNNING", "{seen:#}");
        assert!(can(&privileged, "main", SYS_ADMIN));
        let status = status(&privileged, "main");
        let filters = (status["NoNewPrivs"].as_str(), status["Seccomp"].as_str());
        assert_eq!(filters, ("0", "0"));
    } else {
        // Where nobody can have all powers, because the machine itself has not, it fails as it does by hand.
        let reason = seen["stoppedReason"].as_str().unwrap();
        let expected = "CannotStartContainerError: unable to apply caps: operation not permitted";
        assert_eq!(reason, expected, "{by_hand:?}");
    }
    // Neargate's own sandbox gets none of it, and neither does whoever does not ask.
    server.register_workload("plain", &["sleep"]);
    let plain = server.run("plain");
    server.wait_for(&plain, "RUNNING");
    assert!(!can(&plain, "main", NET_ADMIN));
    for task in [added, privileged, plain] {
        server.stop(&task);
    }
}
