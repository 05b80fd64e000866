//! Volumes on the real engine: who has what, who may write to it, and what stays.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, docker, eventually, require_engine, workload};

/// A server on the real engine whose operator has written `config`.
fn server(config: impl FnOnce(&Path) -> String) -> Server {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let folder = server.folder().canonicalize().unwrap();
    let file = folder.join("neargate.toml");
    fs::write(&file, config(&folder)).unwrap();
    server.env("NEARGATE_CONFIG", file.to_str().unwrap());
    server.boot();
    // An engine that does not answer yet is not asked where a path leads to.
    eventually("the engine to answer", || match server.log() {
        log if log.contains("the engine answers") => Ok(()),
        log => Err(log),
    });
    server
}

fn plain() -> Server {
    server(|_| String::new())
}

fn in_container(task: &str, container: &str, command: &[&str]) -> Result<String, String> {
    let name = format!("neargate-{task}-{container}");
    docker(&[&["exec", &name, "/workload"], command].concat())
}

/// The volumes that carry the label of the server and another one.
fn volumes(server: &Server, label: &str) -> Vec<String> {
    let ours = format!("label=neargate.instance={}", server.instance());
    let label = format!("label={label}");
    let args = [
        "volume", "ls", "--quiet", "--filter", &ours, "--filter", &label,
    ];
    docker(&args).unwrap().lines().map(str::to_owned).collect()
}

fn stop_and_clean(server: &Server, task: &str) {
    server.stop(task);
    server.wait_for(task, "STOPPED");
    gone(server, task);
}

fn gone(server: &Server, task: &str) {
    eventually("the task's volumes to be gone", || {
        match volumes(server, &format!("neargate.task={task}")) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}\n{}", server.log())),
        }
    });
}

/// A task of containers with these lines each, which has come up.
fn running(server: &Server, volumes: &str, containers: &[(&str, &str)]) -> String {
    server.register(&definition("v", volumes, containers));
    let task = server.run("v");
    let seen = server.wait_for(&task, "RUNNING");
    assert_eq!(seen["lastStatus"], "RUNNING", "{seen:#}\n{}", server.log());
    task
}

fn definition(family: &str, volumes: &str, containers: &[(&str, &str)]) -> String {
    let containers: Vec<String> = containers
        .iter()
        .map(|(name, lines)| {
            let command = if lines.contains("command") {
                ""
            } else {
                "command: [sleep], "
            };
            let image = workload();
            format!("  - {{name: {name}, image: {image}, stopTimeout: 1, {command}{lines}}}\n")
        })
        .collect();
    let containers = containers.concat();
    format!(
        "family: {family}\ncpu: 256\nmemory: 512\nvolumes: {volumes}\ncontainerDefinitions:\n{containers}"
    )
}

const WRITER: (&str, &str) = (
    "writer",
    "mountPoints: [{sourceVolume: shared, containerPath: /data/}]",
);
const READER: (&str, &str) = (
    "reader",
    "mountPoints: [{sourceVolume: shared, containerPath: /in, readOnly: true}]",
);

#[test]
fn containers_share_a_volume_of_the_task_and_it_goes_with_it() {
    let server = plain();
    let inheriting = "volumesFrom: [{sourceContainer: writer, readOnly: true}]";
    let containers = [WRITER, READER, ("heir", inheriting)];
    let task = running(&server, "[{name: shared}]", &containers);
    in_container(&task, "writer", &["write-file", "/data/a", "hello"]).unwrap();
    for (container, path) in [("reader", "/in/a"), ("heir", "/data/a")] {
        let read = in_container(&task, container, &["read-file", path]);
        assert_eq!(read.as_deref(), Ok("hello"), "{container}");
        let written = in_container(&task, container, &["write-file", path, "bye"]).unwrap_err();
        assert!(written.contains("Read-only"), "{container}: {written}");
    }
    let of_task = volumes(&server, &format!("neargate.task={task}"));
    assert_eq!(of_task, [format!("neargate-{task}-volume-0")]);
    // Another task of the same definition has a volume of its own.
    let other = server.run("v");
    server.wait_for(&other, "RUNNING");
    let missing = in_container(&other, "writer", &["read-file", "/data/a"]).unwrap_err();
    assert!(missing.contains("No such file"), "{missing}");
    stop_and_clean(&server, &task);
    assert_eq!(volumes(&server, &format!("neargate.task={other}")).len(), 1);
    stop_and_clean(&server, &other);
}

#[test]
fn a_volume_of_the_task_outlives_a_crash_of_the_server_and_goes_afterwards() {
    let mut server = plain();
    let task = running(&server, "[{name: shared}]", &[WRITER, READER]);
    in_container(&task, "writer", &["write-file", "/data/a", "kept"]).unwrap();
    server.kill();
    server.boot();
    server.wait_for(&task, "RUNNING");
    let read = in_container(&task, "reader", &["read-file", "/in/a"]);
    assert_eq!(read.as_deref(), Ok("kept"));
    server.kill();
    // Its containers go away while nobody looks.
    for name in ["-writer", "-reader", ""] {
        docker(&["rm", "--force", &format!("neargate-{task}{name}")]).unwrap();
    }
    assert_eq!(volumes(&server, &format!("neargate.task={task}")).len(), 1);
    server.boot();
    server.wait_for(&task, "STOPPED");
    gone(&server, &task);
}

#[test]
fn a_volume_of_the_cluster_outlives_its_tasks_and_a_foreign_one_is_left_alone() {
    let server = plain();
    let shared = |autoprovision: bool, name: &str| {
        format!(
            "[{{name: {name}, dockerVolumeConfiguration: {{scope: shared, autoprovision: {autoprovision}, labels: {{team: a}}}}}}]"
        )
    };
    let failing = |volumes: &str| {
        let mount = format!(
            "mountPoints: [{{sourceVolume: {}, containerPath: /data}}]",
            if volumes.contains("theirs") {
                "theirs"
            } else {
                "shared"
            }
        );
        server.register(&definition("f", volumes, &[("main", &mount)]));
        let task = server.run("f");
        let stopped = server.wait_for(&task, "STOPPED");
        assert_eq!(stopped["stopCode"], "TaskFailedToStart", "{stopped:#}");
        stopped["stoppedReason"].as_str().unwrap().to_owned()
    };
    let name = format!("neargate-{}.default.shared", server.instance());
    let reason = failing(&shared(false, "shared"));
    let make = format!(
        "docker volume create --label neargate.cluster=default --label neargate.instance={} --label \
         neargate.role=volume --label neargate.volume=shared {name}",
        server.instance()
    );
    assert_eq!(
        reason,
        format!(
            "CannotCreateVolumeError: volume shared: the cluster has no such volume; hint: set autoprovision: true, \
             or make it: {make}"
        )
    );

    let first = running(&server, &shared(true, "shared"), &[WRITER]);
    in_container(&first, "writer", &["write-file", "/data/a", "for later"]).unwrap();
    stop_and_clean(&server, &first);
    server.wait_until_clean();
    assert_eq!(volumes(&server, "team=a"), std::slice::from_ref(&name));
    let second = running(&server, &shared(false, "shared"), &[READER]);
    let read = in_container(&second, "reader", &["read-file", "/in/a"]);
    assert_eq!(read.as_deref(), Ok("for later"));
    stop_and_clean(&server, &second);

    // What the error said to type makes one that tasks can have.
    server.wait_until_clean();
    docker(&["volume", "rm", &name]).unwrap();
    let words: Vec<&str> = make.split(' ').skip(1).collect();
    docker(&words).unwrap();
    let third = running(&server, &shared(false, "shared"), &[READER]);
    stop_and_clean(&server, &third);

    let theirs = format!("neargate-{}.default.theirs", server.instance());
    docker(&["volume", "create", &theirs]).unwrap();
    let reason = failing(&shared(true, "theirs"));
    let untouched = docker(&["volume", "inspect", "--format", "{{json .Labels}}", &theirs]);
    docker(&["volume", "rm", &theirs]).unwrap();
    assert!(reason.contains("is not Neargate's"), "{reason}");
    assert!(
        matches!(untouched.as_deref(), Ok("null" | "{}")),
        "{untouched:?}"
    );
}

/// The document of a task with a folder of the host at `/host`.
fn with_folder(source: &Path, more: &str) -> String {
    let volumes = format!(
        "[{{name: host, host: {{sourcePath: {:?}}}}}]",
        source.display().to_string()
    );
    let mount = format!("mountPoints: [{{sourceVolume: host, containerPath: /host{more}}}]");
    definition("v", &volumes, &[("main", &mount)])
}

fn run(server: &Server) -> (u16, Value) {
    server.post("/v1/tasks", &json!({ "taskDefinition": "v" }))
}

#[test]
fn a_folder_of_the_host_is_had_only_below_those_that_the_operator_lists() {
    let strict = plain();
    let document = with_folder(Path::new("/srv"), "");
    let (status, problem) = strict.send(
        "POST",
        "/v1/task-definitions",
        Some(document),
        "application/yaml",
    );
    assert_eq!(status, 400, "{problem:#}");
    assert!(
        problem.to_string().contains("allowed_host_paths"),
        "{problem:#}"
    );

    let server = server(|folder| {
        for below in ["open/here", "closed"] {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        format!(
            "allowed_host_paths = [{:?}, \"/run\", \"/var\", {:?}]\n",
            folder.join("open"),
            folder.join("data")
        )
    });
    let folder = server.folder().canonicalize().unwrap();
    let open = folder.join("open");
    symlink(folder.join("closed"), open.join("out")).unwrap();
    symlink("here", open.join("link")).unwrap();
    fs::create_dir(server.data_dir().join("deep")).unwrap();
    for (source, says) in [
        (folder.join("closed"), "does not lead into a folder"),
        (open.join("out"), "does not lead into a folder"),
        (open.join("../closed"), "does not lead into a folder"),
        (
            open.join("here/../../closed"),
            "does not lead into a folder",
        ),
        (Path::new("/").to_owned(), "does not lead into a folder"),
        (open.join("missing"), "does not exist on the engine's host"),
        (
            Path::new("/var/run").to_owned(),
            "belongs to the engine or to Neargate",
        ),
        (
            Path::new("/var/run/docker.sock").to_owned(),
            "neither a folder nor a plain file",
        ),
        (
            Path::new("/var/lib/docker/volumes").to_owned(),
            "belongs to the engine or to Neargate",
        ),
        (server.data_dir(), "belongs to the engine or to Neargate"),
        (
            folder.join("data/deep"),
            "belongs to the engine or to Neargate",
        ),
    ] {
        server.register(&with_folder(&source, ""));
        let (status, problem) = run(&server);
        let told = problem.to_string();
        assert!(
            status == 400 && told.contains(says) && told.contains("volumes[0].host.sourcePath"),
            "{}: {status} {problem:#}",
            source.display()
        );
    }

    server.register(&with_folder(&open.join("link"), ""));
    let task = server.run("v");
    server.wait_for(&task, "RUNNING");
    in_container(&task, "main", &["write-file", "/host/a", "from within"]).unwrap();
    assert_eq!(
        fs::read_to_string(open.join("here/a")).unwrap(),
        "from within"
    );
    stop_and_clean(&server, &task);
    assert!(open.join("here/a").exists(), "the folder is the host's");

    server.register(&with_folder(&open.join("here"), ", readOnly: true"));
    let task = server.run("v");
    server.wait_for(&task, "RUNNING");
    let read = in_container(&task, "main", &["read-file", "/host/a"]);
    assert_eq!(read.as_deref(), Ok("from within"));
    let written = in_container(&task, "main", &["write-file", "/host/a", "x"]).unwrap_err();
    assert!(written.contains("Read-only"), "{written}");
    stop_and_clean(&server, &task);
}

#[test]
fn a_folder_that_becomes_a_symlink_after_the_check_is_not_mounted() {
    let server = server(|folder| {
        fs::create_dir_all(folder.join("open/here")).unwrap();
        fs::create_dir_all(folder.join("closed")).unwrap();
        format!("allowed_host_paths = [{:?}]\n", folder.join("open"))
    });
    let folder = server.folder().canonicalize().unwrap();
    let here = folder.join("open/here");
    let volumes = format!(
        "[{{name: host, host: {{sourcePath: {:?}}}}}]",
        here.display().to_string()
    );
    server.register(&definition(
        "v",
        &volumes,
        &[
            ("first", "essential: false"),
            (
                "second",
                "dependsOn: [{containerName: first, condition: COMPLETE}], mountPoints: [{sourceVolume: host, containerPath: /host}]",
            ),
        ],
    ));
    let task = server.run("v");
    let first = format!("neargate-{task}-first");
    eventually("the first container to run", || {
        docker(&["exec", &first, "/workload", "id"])
    });
    fs::rename(&here, folder.join("open/was-here")).unwrap();
    symlink(folder.join("closed"), &here).unwrap();
    docker(&["kill", &first]).unwrap();
    let stopped = server.wait_for(&task, "STOPPED");
    let reason = stopped["stoppedReason"].as_str().unwrap();
    assert!(
        reason.starts_with("CannotCreateVolumeError: volume host: ")
            && reason.contains("does not lead into a folder"),
        "{reason}"
    );
}

#[test]
fn what_an_image_declares_as_a_volume_goes_with_its_container() {
    let server = plain();
    let image = format!("neargate/volume-test:{}", server.instance());
    let context = server.folder().join("image");
    fs::create_dir_all(&context).unwrap();
    fs::write(
        context.join("Dockerfile"),
        format!("FROM {}\nVOLUME /anonymous\n", workload()),
    )
    .unwrap();
    let built = Command::new("docker")
        .args(["build", "--quiet", "--tag", &image])
        .arg(&context)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let document = definition("v", "[]", &[("main", "user: \"0\"")]).replace(workload(), &image);
    server.register(&document);
    let task = server.run("v");
    server.wait_for(&task, "RUNNING");
    let format = "{{range .Mounts}}{{.Name}}{{end}}";
    let name = docker(&[
        "inspect",
        "--format",
        format,
        &format!("neargate-{task}-main"),
    ])
    .unwrap();
    assert_eq!(name.len(), 64, "{name}");
    server.stop(&task);
    server.wait_for(&task, "STOPPED");
    server.wait_until_clean();
    let left = docker(&["volume", "inspect", &name]);
    let _ = docker(&["image", "rm", &image]);
    assert!(left.is_err(), "{left:?}");
}
