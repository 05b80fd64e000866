//! Budgets, from the engine's clock to the event: told once, also when Neargate is killed, and no new tasks while one is spent.

use std::fs;

use serde_json::{Value, json};

use crate::cli::{fails, run};
use crate::harness::{Server, eventually};

/// A dollar for each task that begins, and nothing for anything else: so sums do not depend on how fast a machine is.
const SHEET: &str = "description = \"a dollar a task\"\ncurrency = \"USD\"\ngranularity_ms = 1\nminimum_ms = 0\n\
                     [[price]]\nfrom = \"2020-01-01T00:00:00Z\"\nvcpu_hour = \"0\"\ngb_hour = \"0\"\ntask = \"1\"\n";

/// A server on the simulated engine or the real one, with that sheet.
fn server(args: &[&str]) -> Server {
    let mut server = Server::prepare(args);
    let prices = server.data_dir().join("prices");
    fs::create_dir_all(&prices).unwrap();
    fs::write(prices.join("dollar.toml"), SHEET).unwrap();
    server.boot();
    server
}

fn put(server: &Server, name: &str, says: &str) -> Value {
    let document = format!("{{period: month, priceSheet: dollar, {says}}}");
    let path = format!("/v1/budgets/{name}");
    let (status, answer) = server.send("PUT", &path, Some(document), "application/yaml");
    assert_eq!(status, 200, "{answer:#}");
    answer
}

fn budget(server: &Server, name: &str) -> Value {
    let (status, budget) = server.get(&format!("/v1/budgets/{name}"));
    assert_eq!(status, 200, "{budget:#}");
    budget
}

/// The thresholds that there were events of, in their order.
fn told(server: &Server, name: &str) -> Vec<String> {
    let (status, page) = server.get(&format!("/v1/events?subject={name}&kind=BudgetEvent"));
    assert_eq!(status, 200, "{page:#}");
    let events = page["items"].as_array().unwrap().iter();
    events
        .filter_map(|event| event["status"].as_str().map(str::to_owned))
        .collect()
}

fn wait_until_told(server: &Server, name: &str, expected: &[&str]) {
    eventually(&format!("the events of {name}"), || {
        let told = told(server, name);
        if told == expected {
            Ok(())
        } else {
            Err(format!("{told:?}\n{}", server.log()))
        }
    });
}

#[test]
fn a_threshold_is_told_once_however_often_neargate_is_killed_and_the_sum_is_that_of_the_bill() {
    crate::harness::require_engine();
    let mut server = server(&["--warm-sandboxes", "0"]);
    server.register_workload("job", &["exit", "--after-ms", "50"]);
    server.wait_for(&server.run("job"), "STOPPED");
    // One task was before it: a budget counts all of its period.
    put(
        &server,
        "all",
        "cluster: default, limit: '4', thresholds: [25, 50, 75, 100]",
    );
    wait_until_told(&server, "all", &["25%"]);
    for expected in [&["25%", "50%"][..], &["25%", "50%", "75%"]] {
        let id = server.run("job");
        // Anywhere between the task's beginning and the event of its cost.
        server.kill();
        server.boot();
        server.wait_for(&id, "STOPPED");
        wait_until_told(&server, "all", expected);
    }
    server.kill();
    server.boot();
    let last = server.run("job");
    server.wait_for(&last, "STOPPED");
    wait_until_told(&server, "all", &["25%", "50%", "75%", "100%"]);
    // `notify` keeps nobody from beginning.
    server.wait_for(&server.run("job"), "STOPPED");
    server.kill();
    server.boot();
    let stands = eventually("the sum", || {
        let stands = budget(&server, "all");
        let is_all = stands["spentNano"] == json!(5_000_000_000_u64);
        is_all.then(|| stands.clone()).ok_or(format!("{stands:#}"))
    });
    assert_eq!(stands["spentPercent"], "125.00", "{stands:#}");
    let (_, bill) = server.get("/v1/bill?groupBy=cluster&priceSheet=dollar");
    assert_eq!(bill["total"]["costNano"], stands["spentNano"], "{bill:#}");
    wait_until_told(&server, "all", &["25%", "50%", "75%", "100%"]);
}

#[test]
fn what_runs_is_counted_while_it_runs() {
    let server = Server::start_sim();
    server.register_workload("long", &["sleep"]);
    // A quarter of a vCPU and half a GB cost a ten-thousandth of a cent in less than a second.
    let says =
        "{tag: team=blue, period: day, limit: '0.000001', thresholds: [100], priceSheet: fargate}";
    let sent = Some(says.to_owned());
    let (status, answer) = server.send("PUT", "/v1/budgets/blue", sent, "application/yaml");
    assert_eq!(status, 200, "{answer:#}");
    run(&server, &["run", "long"]).ok();
    assert_eq!(budget(&server, "blue")["spentNano"], 0, "of somebody else");
    run(&server, &["run", "long", "--tag", "team=blue"]).ok();
    wait_until_told(&server, "blue", &["100%"]);
    assert_eq!(told(&server, "blue"), ["100%"]);
}

#[test]
fn while_a_budget_is_spent_nothing_new_begins_and_everybody_says_why() {
    let server = server(&["--engine", "sim"]);
    server.register_workload("web", &["sleep"]);
    put(
        &server,
        "tight",
        "cluster: default, limit: '2', action: stopNewTasks",
    );
    let service = json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 2 });
    let (status, answer) = server.post("/v1/services", &service);
    assert_eq!(status, 201, "{answer:#}");
    wait_until_told(&server, "tight", &["50%", "80%", "100%"]);

    let month = &budget(&server, "tight")["periodStart"];
    let month = &month.as_str().unwrap()[..7];
    let words = [
        "budget \"tight\" of cluster default is spent: 2.00 USD",
        month,
        "neargate budget put",
    ];
    fails(&run(&server, &["run", "web"]), 1, &words);
    let scaled = run(&server, &["service", "scale", "web", "4"]);
    assert_eq!(scaled.code, 0, "{scaled:#?}");
    eventually("the service to say what it waits for", || {
        let said = run(&server, &["service", "explain", "web"]);
        let says_all = words.iter().all(|word| said.stdout.contains(word));
        let is_told = says_all && said.stdout.starts_with("2 tasks wait: ");
        is_told.then_some(()).ok_or(format!("{said:#?}"))
    });
    let (_, running) = server.get("/v1/services/web");
    assert_eq!(running["runningCount"], 2, "what runs is left alone");

    // A schedule goes on, and its run says why it has no tasks.
    let nightly = json!({
        "name": "beat", "scheduleExpression": "rate(5 minutes)", "target": { "taskDefinition": "web" },
    });
    let (status, answer) = server.post("/v1/schedules", &nightly);
    assert_eq!(status, 201, "{answer:#}");
    eventually("the run to be recorded", || {
        let (_, runs) = server.get("/v1/schedules/beat/runs");
        let first = &runs["items"][0];
        let reason = first["reason"].as_str().unwrap_or_default();
        let is_told = first["outcome"] == "FAILED" && reason.contains(words[0]);
        is_told.then_some(()).ok_or(format!("{runs:#}"))
    });
    fails(&run(&server, &["schedule", "run", "beat"]), 1, &words);
    run(&server, &["schedule", "delete", "beat"]).ok();

    let listed = run(&server, &["budget", "list"]);
    assert!(listed.ok().contains("no new tasks"), "{listed:#?}");
    let described = run(&server, &["budget", "describe", "tight"]);
    assert!(
        described.ok().contains("2.00 of 2.00 USD"),
        "{described:#?}"
    );

    // More money, and all goes on by itself.
    put(
        &server,
        "tight",
        "cluster: default, limit: '200', action: stopNewTasks",
    );
    eventually("the service to go on", || {
        let (_, service) = server.get("/v1/services/web");
        let has_all = service["runningCount"] == 4;
        has_all.then_some(()).ok_or(format!("{service:#}"))
    });
    run(&server, &["run", "web"]).ok();
}

#[test]
fn tasks_that_wait_for_a_budget_begin_when_it_is_deleted() {
    let server = server(&["--engine", "sim"]);
    server.register_workload("web", &["sleep"]);
    put(
        &server,
        "tight",
        "service: web, limit: '1', action: stopNewTasks",
    );
    put(
        &server,
        "other",
        "service: api, limit: '1', action: stopNewTasks",
    );
    let service = json!({ "serviceName": "web", "taskDefinition": "web", "desiredCount": 1 });
    assert_eq!(server.post("/v1/services", &service).0, 201);
    wait_until_told(&server, "tight", &["50%", "80%", "100%"]);
    assert_eq!(told(&server, "other"), Vec::<String>::new());
    // Its service is held, others are not.
    run(&server, &["run", "web"]).ok();
    run(&server, &["service", "scale", "web", "2"]).ok();
    eventually("the service to wait", || {
        let (_, service) = server.get("/v1/services/web");
        let waiting = service["waiting"].as_str().unwrap_or_default();
        let waits = waiting.contains("budget \"tight\" of service default/web");
        waits.then_some(()).ok_or(format!("{service:#}"))
    });
    run(&server, &["budget", "delete", "tight"]).ok();
    eventually("the service to go on", || {
        let (_, service) = server.get("/v1/services/web");
        let has_all = service["runningCount"] == 2;
        has_all.then_some(()).ok_or(format!("{service:#}"))
    });
}

#[test]
fn what_a_budget_cannot_be_is_said_with_what_to_type() {
    let server = Server::start_sim();
    let folder = server.folder().join("budget.yaml");
    let file = folder.to_str().unwrap();
    for (document, words) in [
        (
            "name: a\ncluster: default\nperiod: day\nlimit: '0'\n",
            &["limit", "no amount of money", ":4"][..],
        ),
        ("name: a\nperiod: day\nlimit: '1'\n", &["whose cost counts"]),
        (
            "name: a\ncluster: nowhere\nperiod: day\nlimit: '1'\n",
            &["cluster \"nowhere\" does not exist"],
        ),
        (
            "name: a\ncluster: default\nperiod: day\nlimit: '1'\npriceSheet: own\n",
            &["has no price yet"],
        ),
        (
            "name: a\ncluster: default\nperiod: day\nlimit: '1'\ncurrency: EUR\n",
            &["is in USD"],
        ),
    ] {
        fs::write(&folder, document).unwrap();
        fails(&run(&server, &["budget", "put", "-f", file]), 1, words);
    }
    fails(
        &run(&server, &["budget", "describe", "a"]),
        1,
        &["budget \"a\" does not exist"],
    );
    fails(
        &run(&server, &["budget", "delete", "a"]),
        1,
        &["budget \"a\" does not exist"],
    );
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/budgets/hello.yaml");
    let made = run(&server, &["budget", "put", "-f", sample]);
    assert_eq!(made.ok(), "hello");
    assert!(
        made.stderr
            .contains("0.00 of 1.00 USD in this day (0.00 %)"),
        "{made:#?}"
    );
    let again = run(&server, &["budget", "put", "-f", sample]);
    assert_eq!(again.ok(), "hello");
    let (_, page) = server.get("/v1/events?subject=hello");
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page:#}");
}
