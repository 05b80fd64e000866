//! Figures for Prometheus of what tasks reserve and use: those of the ledger, and only growing, also when Neargate is killed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Server, eventually};

/// What is shown, by name and labels. Checks that no counter is smaller than in `before`, and that none is gone.
fn scrape(server: &Server, before: &mut BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let (status, text) = server.get("/metrics");
    let text = text.as_str().unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let is_new = found.insert(name.to_owned(), value).is_none();
        assert!(is_new, "{name} is there twice:\n{text}");
    }
    for (name, value) in before.iter() {
        let is_counter = name.contains("_seconds_total{");
        assert!(
            !is_counter || found[name] >= *value,
            "{name} was {value}:\n{text}"
        );
    }
    before.clone_from(&found);
    found
}

/// What `usage` says of the tasks of `families`: vCPU-seconds and GB-seconds reserved, and the same used.
fn usage(server: &Server, families: &[&str]) -> [f64; 4] {
    let (status, report) = server.get("/v1/usage?limit=1000");
    assert_eq!(status, 200, "{report:#}");
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let mut sums = [0.0; 4];
    for line in report["items"].as_array().unwrap() {
        if !families.contains(&line["family"].as_str().unwrap()) {
            continue;
        }
        let used = &line["used"];
        for (sum, part) in sums.iter_mut().zip([
            number(&line["milliVcpuMs"]) / 1e6,
            number(&line["mibMs"]) / 1_024e3,
            number(&used["cpuNs"]) / 1e9,
            number(&used["memoryKibMs"]) / (1_048_576.0 * 1e3),
        ]) {
            *sum += part;
        }
    }
    sums
}

/// The same, as Prometheus reads it.
fn shown(figures: &BTreeMap<String, f64>, of: &str, labels: &str) -> [f64; 4] {
    ["reserved_vcpu", "reserved_gb", "used_vcpu", "used_gb"].map(|what| {
        let name = format!("neargate_{of}_{what}_seconds_total{{{labels}}}");
        *figures
            .get(&name)
            .unwrap_or_else(|| panic!("no {name} in {figures:#?}"))
    })
}

fn is_about(one: [f64; 4], other: [f64; 4]) -> bool {
    let pairs = one.iter().zip(other);
    let mut near = pairs.map(|(one, other)| (one - other).abs() <= 1e-6 * one.max(1.0));
    near.all(|is_near| is_near)
}

#[test]
fn figures_are_those_of_the_ledger_and_only_grow_also_when_neargate_is_killed() {
    crate::harness::require_engine();
    let mut server = Server::prepare(&["--warm-sandboxes", "0"]);
    server.boot();
    server.register_workload("job", &["burn-cpu", "--cpu-ms", "60"]);
    server.register_workload("web", &["sleep"]);
    let mut before = BTreeMap::new();
    let service = json!({ "serviceName": "shop", "taskDefinition": "web", "desiredCount": 2 });
    assert_eq!(server.post("/v1/services", &service).0, 201);
    let of_shop = |state: &str| {
        format!("neargate_service_tasks{{cluster=\"default\",service=\"shop\",state=\"{state}\"}}")
    };
    eventually("both to run", || {
        let figures = scrape(&server, &mut before);
        let states = ["desired", "pending", "running"].map(|state| figures[&of_shop(state)]);
        let expected = [2.0, 0.0, 2.0];
        let both_run = is_about_states(states, expected);
        both_run.then_some(()).ok_or(format!("{states:?}"))
    });
    for _ in 0..2 {
        server.wait_for(&server.run("job"), "STOPPED");
        scrape(&server, &mut before);
    }
    let deleted = server.send(
        "DELETE",
        "/v1/services/shop?force=true",
        None,
        "application/json",
    );
    assert!(deleted.0 < 300, "{deleted:?}");
    eventually("the service to be over", || {
        let (_, tasks) = server.get("/v1/tasks?family=web&status=RUNNING");
        let figures = scrape(&server, &mut before);
        let (_, report) = server.get("/v1/usage");
        let lines = report["items"].as_array().unwrap();
        let are_over = lines.iter().all(|line| line["closedAt"].is_string());
        let is_gone = !figures.contains_key(&of_shop("desired"));
        (are_over && is_gone)
            .then_some(())
            .ok_or(format!("{tasks:#}"))
    });

    server.wait_until_clean();
    for is_again in [false, true] {
        // A task counts to its end when nothing of it is left, and until ten seconds ago before that.
        eventually("the figures to be those of the ledger", || {
            let figures = scrape(&server, &mut before);
            let all = usage(&server, &["job", "web"]);
            assert!(all[2] >= 0.12, "two burners: {all:?}");
            let cluster = shown(&figures, "cluster", "cluster=\"default\"");
            let of_service = usage(&server, &["web"]);
            let service = shown(&figures, "service", "cluster=\"default\",service=\"shop\"");
            let agree = is_about(cluster, all) && is_about(service, of_service);
            agree.then_some(()).ok_or(format!(
                "{is_again}: {cluster:?} {all:?}, {service:?} {of_service:?}"
            ))
        });
        server.kill();
        server.boot();
    }
}

fn is_about_states(one: [f64; 3], other: [f64; 3]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| (one - other).abs() < 0.5)
}
