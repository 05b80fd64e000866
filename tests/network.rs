//! Networks on the real engine: one for each cluster, with addresses of its own.

use serde_json::{Value, json};

use crate::harness::{Server, docker, eventually, require_engine, workload};

/// A server with these lines in its configuration file.
fn server_with(config: &str, warm: &str) -> Server {
    require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", warm]);
    let path = server.folder().join("neargate.toml");
    std::fs::write(&path, config).unwrap();
    server.env("NEARGATE_CONFIG", path.to_str().unwrap());
    server.boot();
    server
}

fn run_in(server: &Server, cluster: &str, definition: &str) -> String {
    let (status, answer) = server.post(
        "/v1/tasks",
        &json!({ "taskDefinition": definition, "cluster": cluster }),
    );
    assert_eq!(status, 201, "{answer:#}");
    answer["tasks"][0]["taskId"].as_str().unwrap().to_owned()
}

fn make_cluster(server: &Server, name: &str) {
    server.cli(&["clusters", "create", name]).ok();
}

fn fetch(task: &str, url: &str) -> Result<String, String> {
    let name = format!("neargate-{task}-main");
    docker(&[
        "exec",
        &name,
        "/workload",
        "get",
        "--timeout-ms",
        "2000",
        url,
    ])
}

fn address_of(task: &Value) -> String {
    task["address"].as_str().expect("an address").to_owned()
}

fn subnet_of(server: &Server, cluster: &str) -> Result<String, String> {
    let name = format!("neargate-{}-{cluster}", server.instance());
    docker(&[
        "network",
        "inspect",
        "--format",
        "{{range .IPAM.Config}}{{.Subnet}}{{end}}",
        &name,
    ])
}

#[test]
fn tasks_of_one_cluster_reach_each_other_and_those_of_another_do_not() {
    let server = server_with("address_pool = \"10.214.0.0/16\"\n", "0");
    make_cluster(&server, "blue");
    server.register_workload("web", &["serve"]);
    let (first, second) = (
        run_in(&server, "default", "web"),
        run_in(&server, "default", "web"),
    );
    let blue = run_in(&server, "blue", "web");
    let first_address = address_of(&server.wait_for(&first, "RUNNING"));
    server.wait_for(&second, "RUNNING");
    let blue_address = address_of(&server.wait_for(&blue, "RUNNING"));
    assert_ne!(
        subnet_of(&server, "default").unwrap(),
        subnet_of(&server, "blue").unwrap()
    );
    assert!(first_address.starts_with("10.214."), "{first_address}");

    let url = format!("http://{first_address}:8080/healthz");
    eventually("a task of the same cluster to be reached", || {
        fetch(&second, &url)
    });
    assert!(fetch(&blue, &url).is_err(), "blue must not reach default");
    let url = format!("http://{blue_address}:8080/healthz");
    assert!(fetch(&first, &url).is_err(), "default must not reach blue");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let status = runtime.block_on(async { reqwest::get(&url).await.unwrap().status() });
    assert_eq!(status, 200, "the host reaches both");
}

#[test]
fn a_network_goes_with_its_cluster_and_warm_sandboxes_with_it() {
    let server = server_with("address_pool = \"10.215.0.0/16\"\n", "1");
    make_cluster(&server, "blue");
    server.register_workload("web", &["serve"]);
    let task = run_in(&server, "blue", "web");
    server.wait_for(&task, "RUNNING");
    eventually("a warm sandbox on the network of blue", || {
        let network = format!("network=neargate-{}-blue", server.instance());
        let found = docker(&["ps", "--filter", &network, "--format", "{{.Names}}"])?;
        if found.contains("neargate-warm-") {
            Ok(())
        } else {
            Err(found)
        }
    });
    server.stop(&task);
    server.wait_for(&task, "STOPPED");
    server.cli(&["clusters", "delete", "blue"]).ok();
    eventually("the network of blue to be gone", || {
        match subnet_of(&server, "blue") {
            Err(error) if error.contains("No such network") || error.contains("not found") => {
                Ok(())
            }
            other => Err(format!("{other:?}\n{}", server.log())),
        }
    });
    assert!(subnet_of(&server, "default").is_ok(), "the others stay");
}

#[test]
fn a_full_address_plan_is_said_and_what_clashes_is_skipped() {
    // Room for two clusters; somebody else has the first half.
    let foreign = format!("foreign-{}", std::process::id());
    docker(&["network", "create", "--subnet", "10.216.0.0/24", &foreign]).unwrap();
    let checked = std::panic::catch_unwind(|| {
        let server = server_with("address_pool = \"10.216.0.0/21\"\n", "0");
        make_cluster(&server, "blue");
        server.register_workload("web", &["serve"]);
        let task = run_in(&server, "default", "web");
        server.wait_for(&task, "RUNNING");
        assert_eq!(subnet_of(&server, "default").unwrap(), "10.216.4.0/22");
        let waiting = run_in(&server, "blue", "web");
        eventually("the task to say what it waits for", || {
            let task = server.task(&waiting);
            let says = task.to_string();
            if says.contains(
                "the address pool 10.216.0.0/21 has no block left for the network of cluster blue",
            ) && says
                .contains("hint: delete clusters that are not needed, or set another address_pool")
            {
                Ok(())
            } else {
                Err(format!("{task:#}"))
            }
        });
        // It goes on when there is room.
        docker(&["network", "rm", &foreign]).unwrap();
        server.wait_for(&waiting, "RUNNING");
        assert_eq!(subnet_of(&server, "blue").unwrap(), "10.216.0.0/22");
    });
    let _ = docker(&["network", "rm", &foreign]);
    checked.unwrap();
}

#[test]
fn a_network_without_an_address_left_makes_its_tasks_wait() {
    // Eight addresses: the block itself, the bridge, the broadcast, and five tasks.
    let server = server_with("address_pool = \"10.217.0.0/29\"\n", "0");
    server.register_workload("web", &["serve"]);
    let tasks: Vec<String> = (0..5).map(|_| run_in(&server, "default", "web")).collect();
    for task in &tasks {
        server.wait_for(task, "RUNNING");
    }
    let waiting = run_in(&server, "default", "web");
    eventually("the sixth to say what it waits for", || {
        let task = server.task(&waiting);
        assert_ne!(task["lastStatus"], "STOPPED", "{task:#}");
        if task
            .to_string()
            .contains("has no address left for one more task")
        {
            Ok(())
        } else {
            Err(format!("{task:#}"))
        }
    });
    server.stop(&tasks[0]);
    server.wait_for(&waiting, "RUNNING");
}

#[test]
fn what_the_operator_allows_no_more_is_not_begun_for_a_service() {
    let mut server = Server::prepare(&["--engine", "sim"]);
    let path = server.folder().join("neargate.toml");
    std::fs::write(&path, "allow_host_network = true\n").unwrap();
    server.env("NEARGATE_CONFIG", path.to_str().unwrap());
    server.boot();
    server.register(
        "family: near\nnetworkMode: host\ncontainerDefinitions: [{ name: main, image: neargate/workload:latest, \
         memory: 64, command: [sleep] }]\n",
    );
    let service = json!({ "serviceName": "near", "taskDefinition": "near", "desiredCount": 1 });
    let (status, answer) = server.post("/v1/services", &service);
    assert_eq!(status, 201, "{answer:#}");
    let tasks = |server: &Server, status: &str| {
        let (_, page) = server.get(&format!("/v1/tasks?lastStatus={status}"));
        page["items"].as_array().unwrap().clone()
    };
    eventually("its task to run", || {
        match tasks(&server, "RUNNING").len() {
            1 => Ok(()),
            n => Err(format!("{n} run")),
        }
    });
    server.shut_down();
    std::fs::write(&path, "").unwrap();
    server.boot();
    // The simulated engine forgets its containers, so the service needs another task.
    let reason = eventually("that one to be refused", || {
        let stopped = tasks(&server, "STOPPED");
        let refused = stopped
            .iter()
            .find(|task| task["stopCode"] == "TaskFailedToStart");
        refused
            .map(|task| task["stoppedReason"].to_string())
            .ok_or(format!("{stopped:#?}"))
    });
    assert!(
        reason.contains("networkMode `host` is not allowed here"),
        "{reason}"
    );
    assert!(tasks(&server, "RUNNING").is_empty());
}

#[test]
fn the_host_network_is_for_those_whom_the_operator_allows_it() {
    let document = format!(
        "family: near\ncpu: 256\nmemory: 512\nnetworkMode: host\ncontainerDefinitions:\n  - name: main\n    image: {}\n    \
         command: [serve, --port, \"18099\"]\n    stopTimeout: 2\n",
        workload()
    );
    let strict = Server::start_sim();
    let (status, problem) = strict.send(
        "POST",
        "/v1/task-definitions",
        Some(document.clone()),
        "application/yaml",
    );
    assert_eq!(status, 400, "{problem:#}");
    assert!(
        problem.to_string().contains("allow_host_network = true"),
        "{problem:#}"
    );

    let server = server_with("allow_host_network = true\n", "0");
    server.register(&document);
    let task = server.run("near");
    let seen = server.wait_for(&task, "RUNNING");
    assert_eq!(seen["lastStatus"], "RUNNING", "{seen:#}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    eventually("the task to answer on the host itself", || {
        let answer = runtime.block_on(reqwest::get("http://127.0.0.1:18099/healthz"));
        answer.map(drop).map_err(|error| format!("{error:?}"))
    });
}
