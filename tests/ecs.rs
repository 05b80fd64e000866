//! ECS's protocol through the clients that people have: boto3 and the AWS CLI, against the real engine.
//!
//! `make test` installs them (`scripts/clients`). The scripts are in `tests/ecs`; `model.py` there holds every answer
//! against the model of ECS that botocore carries.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, python_with, require_engine};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the clients are.
pub fn clients() -> PathBuf {
    python_with("clients", "tests/ecs/requirements.txt")
}

/// Calls an operation of ECS, as a client without a library does.
pub fn call(server: &Server, operation: &str, input: &Value) -> Value {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client
            .post(server.endpoint())
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(input.to_string())
            .send();
        let answer = sent.await.unwrap();
        let status = answer.status();
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(status.is_success(), "{operation} {input}: {status} {body}");
        body
    })
}

/// Runs a script of `tests/ecs` against `server`; what it wrote.
fn run(server: &Server, program: &str, script: &str) -> String {
    run_with(server, program, script, &[])
}

/// The same with more in its environment.
pub fn run_with(server: &Server, program: &str, script: &str, env: &[(&str, String)]) -> String {
    let clients = clients();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(if program == "bash" {
        program.into()
    } else {
        clients.join(program)
    });
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let output = command
        .arg(root().join("tests/ecs").join(script))
        .env("PATH", format!("{}:{path}", clients.display()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "*")
        .env("AWS_ENDPOINT_URL", server.endpoint())
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(env.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{script} ends with {}\n{}\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn every_operation_through_boto3_is_what_the_model_says() {
    require_engine();
    let server = Server::start();
    let said = run(&server, "python", "operations.py");
    assert!(said.contains("operations are carried out"), "{said}");
}

#[test]
fn every_name_is_of_the_region_and_the_account_that_the_operator_chose() {
    let env = [
        ("NEARGATE_REGION", "eu-central-2"),
        ("NEARGATE_ACCOUNT", "123456789012"),
    ];
    let mut server = Server::start_sim_with(&[], &env);
    let said = run(&server, "python", "elsewhere.py");
    assert!(said.contains("names are of eu-central-2"), "{said}");
    // None of them was stored.
    server.shut_down();
    server.env("NEARGATE_REGION", "us-west-2");
    server.boot();
    let listed = call(&server, "ListClusters", &serde_json::json!({}));
    let all: Vec<&str> = listed["clusterArns"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        all.contains(&"arn:aws:ecs:us-west-2:123456789012:cluster/far"),
        "{all:?}"
    );
}

#[test]
fn what_ecs_knows_is_what_its_model_says() {
    let server = Server::start_sim();
    let said = run(&server, "python", "members.py");
    assert!(said.contains("of them are missed"), "{said}");
}

#[test]
fn a_session_at_the_aws_cli() {
    require_engine();
    let server = Server::start();
    run(&server, "bash", "session.sh");
}

#[test]
fn what_tasks_write_is_read_by_the_clients_of_cloudwatch_logs() {
    require_engine();
    let server = Server::start();
    let said = run(&server, "python", "logs.py");
    assert!(said.contains("the logs were read"), "{said}");
}

#[test]
fn a_service_is_scaled_by_what_its_tasks_use_and_never_beyond_its_bounds() {
    require_engine();
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "autoscaling_period_s = 1\n").unwrap();
    let path = config.path().to_str().unwrap();
    let mut server = Server::prepare(&["--warm-sandboxes", "0", "--config", path]);
    server.boot();
    let said = run(&server, "python", "scale.py");
    assert!(said.contains("it was scaled"), "{said}");
}

#[test]
fn what_terraform_applies_twice_it_finds_unchanged() {
    require_engine();
    let server = Server::start();
    let said = run(&server, "python", "terraform.py");
    assert!(said.contains("there was nothing to change"), "{said}");
}
