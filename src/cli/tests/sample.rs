//! Answers of the API that tests show.

use serde_json::json;

use crate::cli::time;
use crate::domain::TimestampMs;
use crate::shapes::{
    Container, LogLine, NetworkBinding, Tag, Task, TaskDefinition, TaskUsage, Used,
};

pub(in crate::cli) const CREATED: &str = "2026-01-31T08:15:00.000Z";

/// The time at which everything is shown.
pub(in crate::cli) fn now() -> TimestampMs {
    time::parse("2026-01-31T08:18:30.000Z").unwrap()
}

fn at(text: &str) -> String {
    format!("2026-01-31T08:{text}Z")
}

fn tag(key: &str, value: &str) -> Tag {
    Tag {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

/// A task whose essential container exited with 3.
pub(in crate::cli) fn stopped_task() -> Task {
    let container = |name: &str, image: &str, essential, exit_code, finished: &str| Container {
        name: name.to_owned(),
        image: image.to_owned(),
        runtime_id: Some("c0ffee".to_owned()),
        last_status: "STOPPED".to_owned(),
        exit_code: Some(exit_code),
        health_status: "UNKNOWN".to_owned(),
        essential,
        started_at: Some(at("15:02.500")),
        finished_at: Some(at(finished)),
        ..Container::default()
    };
    let mut proxy = container("proxy", "proxy:2", false, 143, "15:04.600");
    proxy.reason = Some("stopped because an essential container ended".to_owned());
    Task {
        task_id: "0123456789abcdef0123456789abcdef".to_owned(),
        cluster: "default".to_owned(),
        task_definition: "hello:1".to_owned(),
        family: "hello".to_owned(),
        revision: 1,
        group: "family:hello".to_owned(),
        started_by: Some("ci".to_owned()),
        tags: vec![tag("team", "blue"), tag("stage", "\x1b[31m")],
        last_status: "STOPPED".to_owned(),
        desired_status: "STOPPED".to_owned(),
        health_status: "UNKNOWN".to_owned(),
        stop_code: Some("EssentialContainerExited".to_owned()),
        stopped_reason: Some("Essential container in task exited".to_owned()),
        cpu: "256".to_owned(),
        memory: "512".to_owned(),
        network_mode: "awsvpc".to_owned(),
        containers: vec![
            container("hello", "neargate/workload:latest", true, 3, "15:04.500"),
            proxy,
        ],
        overrides: json!({}),
        created_at: CREATED.to_owned(),
        pull_started_at: Some(at("15:00.012")),
        pull_stopped_at: Some(at("15:02.300")),
        started_at: Some(at("15:02.500")),
        stopping_at: Some(at("15:04.500")),
        execution_stopped_at: Some(at("15:04.600")),
        stopped_at: Some(at("15:04.650")),
        version: 9,
        usage: Some(TaskUsage {
            opened_at: "2026-01-31T08:15:00.012Z".to_owned(),
            closed_at: Some(at("15:04.600")),
            end_evidence: Some("engine".to_owned()),
            duration_ms: 4_588,
            vcpu_seconds: "1.147000".to_owned(),
            gb_seconds: "2.294000".to_owned(),
            used: Some(Used {
                vcpu_seconds: "0.050123".to_owned(),
                gb_seconds: "0.004000".to_owned(),
                cpu_ns: 50_123_456,
                memory_kib_ms: 4_194_304,
                memory_peak_bytes: 3 << 20,
                network_rx_bytes: 1_536,
                network_tx_bytes: 90,
                block_read_bytes: 0,
                block_write_bytes: 4_096,
                measured_until: Some(at("15:04.640")),
                source: "cgroup".to_owned(),
            }),
        }),
        ..Task::default()
    }
}

/// A task that runs and is healthy.
pub(in crate::cli) fn running_task() -> Task {
    Task {
        task_id: "fedcba9876543210fedcba9876543210".to_owned(),
        cluster: "default".to_owned(),
        task_definition: "web:2".to_owned(),
        family: "web".to_owned(),
        revision: 2,
        group: "family:web".to_owned(),
        last_status: "RUNNING".to_owned(),
        desired_status: "RUNNING".to_owned(),
        health_status: "HEALTHY".to_owned(),
        cpu: "256".to_owned(),
        memory: "512".to_owned(),
        network_mode: "bridge".to_owned(),
        address: Some("172.17.0.5".to_owned()),
        containers: vec![Container {
            name: "web".to_owned(),
            image: "nginx:1".to_owned(),
            runtime_id: Some("c0ffee".to_owned()),
            last_status: "RUNNING".to_owned(),
            health_status: "HEALTHY".to_owned(),
            essential: true,
            started_at: Some(at("16:27.000")),
            network_bindings: vec![NetworkBinding {
                bind_ip: "127.0.0.1".to_owned(),
                container_port: 80,
                host_port: 8080,
                protocol: "tcp".to_owned(),
            }],
            ..Container::default()
        }],
        created_at: "2026-01-31T08:16:26.000Z".to_owned(),
        pull_started_at: Some(at("16:26.010")),
        pull_stopped_at: Some(at("16:26.020")),
        started_at: Some(at("16:27.000")),
        healthy_at: Some(at("16:32.000")),
        version: 4,
        usage: Some(TaskUsage {
            opened_at: "2026-01-31T08:16:26.010Z".to_owned(),
            closed_at: None,
            end_evidence: None,
            duration_ms: 123_990,
            vcpu_seconds: "30.997500".to_owned(),
            gb_seconds: "61.995000".to_owned(),
            used: None,
        }),
        ..Task::default()
    }
}

/// A revision with two containers.
pub(in crate::cli) fn definition() -> TaskDefinition {
    TaskDefinition {
        task_definition: "hello:1".to_owned(),
        family: "hello".to_owned(),
        revision: 1,
        status: "ACTIVE".to_owned(),
        registered_at: CREATED.to_owned(),
        deregistered_at: None,
        warnings: vec!["taskRoleArn: there are no roles here".to_owned()],
        document: json!({
            "family": "hello",
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": 512,
            "containerDefinitions": [
                {
                    "name": "hello",
                    "image": "neargate/workload:latest",
                    "command": ["log", "--lines", "5"],
                    "portMappings": [{ "containerPort": 80, "hostPort": 8080 }],
                },
                {
                    "name": "proxy",
                    "image": "proxy:2",
                    "essential": false,
                    "portMappings": [{ "containerPort": 53, "protocol": "udp" }],
                },
            ],
        }),
    }
}

/// A line that `container` wrote at `millis` after the beginning.
pub(in crate::cli) fn line(container: &str, millis: u32, text: &str) -> LogLine {
    LogLine {
        at: format!("2026-01-31T08:15:03.{millis:03}Z"),
        container: container.to_owned(),
        stream: "stdout".to_owned(),
        text: text.to_owned(),
        bytes_base64: None,
    }
}
