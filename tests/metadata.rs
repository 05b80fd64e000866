//! The metadata endpoint, asked from inside containers of the real engine.

use serde_json::Value;

use crate::harness::{Server, docker, eventually, workload};

/// A task of two containers that stay, with figures in its definition that its metadata must repeat.
fn two_containers(family: &str) -> String {
    format!(
        "family: {family}\ncpu: 256\nmemory: 512\nrequiresCompatibilities: [FARGATE]\ncontainerDefinitions:\n  \
         - name: web\n    image: {image}\n    command: [serve]\n    cpu: 128\n    memory: 256\n    stopTimeout: 2\n    \
         portMappings: [{{containerPort: 8080}}]\n    dockerLabels: {{team: shop}}\n  \
         - name: side\n    image: {image}\n    command: [sleep]\n    stopTimeout: 2\n",
        image = workload()
    )
}

/// Runs a command of the workload inside a container of a task.
fn inside(task: &str, container: &str, command: &[&str]) -> Result<String, String> {
    let name = format!("neargate-{task}-{container}");
    docker(&[&["exec", &name, "/workload"], command].concat())
}

/// A variable of a container's environment.
fn variable(task: &str, container: &str, name: &str) -> Option<String> {
    let all = inside(task, container, &["env"]).unwrap();
    let mut lines = all.lines().filter_map(|line| line.split_once('='));
    let found = lines.find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned())
}

fn address(task: &str, container: &str) -> String {
    variable(task, container, "ECS_CONTAINER_METADATA_URI_V4").expect("the endpoint's address")
}

fn get(task: &str, container: &str, url: &str) -> Result<Value, String> {
    let text = inside(task, container, &["get", "--timeout-ms", "20000", url])?;
    serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
}

#[test]
fn a_container_is_told_what_ecs_would_tell_it() {
    let server = Server::start();
    server.register(&two_containers("shop"));
    let task = server.run("shop");
    let recorded = server.wait_for(&task, "RUNNING");
    let base = address(&task, "web");
    assert_eq!(
        variable(&task, "web", "AWS_EXECUTION_ENV").as_deref(),
        Some("AWS_ECS_FARGATE")
    );

    let web = get(&task, "web", &base).unwrap();
    let arn = format!("arn:aws:ecs:us-east-1:000000000000:task/default/{task}");
    assert_eq!(web["Name"], "web", "{web:#}");
    assert_eq!(web["Image"], workload());
    assert_eq!(web["DesiredStatus"], "RUNNING");
    assert_eq!(web["KnownStatus"], "RUNNING");
    assert_eq!(web["Type"], "NORMAL");
    assert_eq!(web["LogDriver"], "json-file");
    assert_eq!(
        web["Limits"],
        serde_json::json!({"CPU": 128, "Memory": 256})
    );
    assert_eq!(web["Labels"]["team"], "shop");
    assert_eq!(web["Labels"]["com.amazonaws.ecs.container-name"], "web");
    assert_eq!(web["Labels"]["com.amazonaws.ecs.task-arn"], arn.as_str());
    assert_eq!(
        web["Labels"]["com.amazonaws.ecs.task-definition-family"],
        "shop"
    );
    assert_eq!(
        web["Labels"]["com.amazonaws.ecs.task-definition-version"],
        "1"
    );
    assert_eq!(web["Ports"][0]["ContainerPort"], 8080);
    assert_eq!(web["Networks"][0]["NetworkMode"], "awsvpc");
    assert_eq!(web["Networks"][0]["IPv4Addresses"][0], recorded["address"]);
    let id = docker(&[
        "inspect",
        "--format",
        "{{.Id}}",
        &format!("neargate-{task}-web"),
    ])
    .unwrap();
    assert_eq!(web["DockerId"], id.as_str());
    assert!(web["ImageID"].as_str().unwrap().starts_with("sha256:"));
    assert!(web["StartedAt"].is_string() && web["CreatedAt"].is_string());
    let container_arn = web["ContainerARN"].as_str().unwrap();
    assert!(
        container_arn.contains(":container/default/"),
        "{container_arn}"
    );

    // Both containers of the task have an address of their own, and are told of the same task.
    let side = address(&task, "side");
    assert_ne!(side, base);
    assert_eq!(get(&task, "side", &side).unwrap()["Name"], "side");
    let told = get(&task, "side", &format!("{side}/task")).unwrap();
    assert_eq!(told["TaskARN"], arn.as_str(), "{told:#}");
    assert_eq!(
        told["Cluster"],
        "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    );
    assert_eq!(
        (&told["Family"], &told["Revision"]),
        (&"shop".into(), &"1".into())
    );
    assert_eq!(told["LaunchType"], "FARGATE");
    assert_eq!(told["AvailabilityZone"], "us-east-1a");
    assert_eq!(told["DesiredStatus"], "RUNNING");
    assert_eq!(told["KnownStatus"], "RUNNING");
    assert_eq!(
        told["Limits"],
        serde_json::json!({"CPU": 0.25, "Memory": 512})
    );
    assert!(told["PullStartedAt"].is_string() && told["PullStoppedAt"].is_string());
    assert_eq!(told["Containers"][0], web, "the same in both answers");
    assert_eq!(told["Containers"].as_array().unwrap().len(), 2);

    // The sample workload reads it, as an application would.
    let hello = inside(&task, "side", &["get", "http://127.0.0.1:8080/"]).unwrap();
    assert_eq!(hello, format!("hello from task {task} container web"));
}

#[test]
fn figures_are_docker_s_own_with_the_traffic_of_the_task() {
    let server = Server::start();
    server.register(&two_containers("shop"));
    let task = server.run("shop");
    server.wait_for(&task, "RUNNING");
    let base = address(&task, "web");
    let web = get(&task, "web", &format!("{base}/stats")).unwrap();
    assert!(web["read"].is_string(), "{web:#}");
    assert!(
        web["cpu_stats"]["cpu_usage"]["total_usage"]
            .as_u64()
            .unwrap()
            > 0,
        "{web:#}"
    );
    assert!(
        web["precpu_stats"]["cpu_usage"]["total_usage"]
            .as_u64()
            .unwrap()
            > 0,
        "{web:#}"
    );
    assert!(
        web["memory_stats"]["usage"].as_u64().unwrap() > 0,
        "{web:#}"
    );
    assert!(
        web["networks"]["eth0"]["rx_bytes"].as_u64().unwrap() > 0,
        "{web:#}"
    );
    let all = get(&task, "web", &format!("{base}/task/stats")).unwrap();
    let told = get(&task, "web", &format!("{base}/task")).unwrap();
    for container in told["Containers"].as_array().unwrap() {
        let figures = &all[container["DockerId"].as_str().unwrap()];
        assert!(
            figures["memory_stats"]["usage"].as_u64().unwrap() > 0,
            "{all:#}"
        );
    }
}

#[test]
fn an_endpoint_answers_only_for_its_own_task() {
    let server = Server::start();
    server.register(&two_containers("shop"));
    let (mine, other) = (server.run("shop"), server.run("shop"));
    server.wait_for(&mine, "RUNNING");
    server.wait_for(&other, "RUNNING");
    let base = address(&mine, "web");
    assert!(get(&mine, "web", &base).is_ok());
    for path in ["", "/task", "/stats", "/task/stats", "/taskWithTags"] {
        let url = format!("{base}{path}");
        let stolen = get(&other, "web", &url).unwrap_err();
        assert!(
            stolen.contains("answered 404"),
            "another task, {path}: {stolen}"
        );
    }
    // Nor does it help to be the task and to guess.
    let guessed = format!("{}{}", &base[..base.len() - 32], "0".repeat(32));
    assert!(
        get(&mine, "web", &guessed)
            .unwrap_err()
            .contains("answered 404")
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let status = runtime.block_on(async { reqwest::get(&base).await.unwrap().status() });
    assert_eq!(status, 404, "the host itself is no task either");
}

#[test]
fn the_control_api_is_not_reachable_from_a_task() {
    let server = Server::start();
    server.register(&two_containers("shop"));
    let task = server.run("shop");
    server.wait_for(&task, "RUNNING");
    let base = address(&task, "web");
    let door = base.split("/v4/").next().unwrap();
    for path in [
        "/",
        "/v1/tasks",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/v4/",
    ] {
        let error = inside(&task, "web", &["get", &format!("{door}{path}")]).unwrap_err();
        assert!(error.contains("answered 404"), "{path}: {error}");
    }
    let gateway = door
        .trim_start_matches("http://")
        .split(':')
        .next()
        .unwrap();
    let port = server.endpoint().rsplit(':').next().unwrap();
    let error = inside(
        &task,
        "web",
        &["get", &format!("http://{gateway}:{port}/healthz")],
    )
    .unwrap_err();
    assert!(error.to_lowercase().contains("refused"), "{error}");
}

#[test]
fn the_address_is_the_same_after_a_crash() {
    let mut server = Server::start();
    server.register(&two_containers("shop"));
    let task = server.run("shop");
    server.wait_for(&task, "RUNNING");
    let base = address(&task, "web");
    let before = get(&task, "web", &base).unwrap();
    server.kill();
    assert!(get(&task, "web", &base).is_err(), "nobody is there");
    server.boot();
    let after = eventually("the endpoint to answer again", || get(&task, "web", &base));
    assert_eq!(after, before);
    server.stop(&task);
    server.wait_for(&task, "STOPPED");
    // Closed with the last network, open for nobody.
    server.wait_until_clean();
}

#[test]
fn a_task_without_a_way_to_ask_is_not_told_to() {
    let server = Server::start();
    server.register(&format!(
        "family: alone\ncpu: 256\nmemory: 512\nnetworkMode: none\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         command: [sleep]\n    stopTimeout: 2\n",
        workload()
    ));
    let task = server.run("alone");
    server.wait_for(&task, "RUNNING");
    assert_eq!(
        variable(&task, "main", "ECS_CONTAINER_METADATA_URI_V4"),
        None
    );
    assert_eq!(variable(&task, "main", "AWS_EXECUTION_ENV"), None);
}

#[test]
fn where_it_cannot_listen_status_says_why_and_tasks_run() {
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    let config = server.folder().join("neargate.toml");
    std::fs::write(&config, "metadata_port = 0\n").unwrap();
    server.env("NEARGATE_CONFIG", config.to_str().unwrap());
    crate::harness::require_engine();
    server.boot();
    server.register_workload("web", &["serve"]);
    let task = server.run("web");
    server.wait_for(&task, "RUNNING");
    assert_eq!(
        variable(&task, "main", "ECS_CONTAINER_METADATA_URI_V4"),
        None
    );
    let status = server.cli(&["status"]);
    assert!(
        status.ok().contains("Metadata  is off: metadata_port is 0"),
        "{status:#?}"
    );
}
