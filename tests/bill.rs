//! What tasks cost, from the engine's clock to the table: the sums agree, whichever way they are asked for.

use std::fs;

use serde_json::Value;

use crate::cli::{fails, run};
use crate::harness::{Server, eventually, workload};

/// What a quarter of a vCPU and half a GB cost on Fargate for so many seconds, in billionths.
fn fargate(seconds: i64) -> i64 {
    // 0.25 × 0.04048 + 0.5 × 0.004445 per hour, in 10^-12.
    let picos = 12_342_500_000 * seconds;
    (picos + 1_800_000) / 3_600_000
}

fn bill(server: &Server, query: &str) -> Value {
    let (status, bill) = server.get(&format!("/v1/bill?{query}"));
    assert_eq!(status, 200, "{bill:#}");
    bill
}

fn nano(line: &Value) -> i64 {
    line["costNano"]
        .as_i64()
        .unwrap_or_else(|| panic!("{line:#}"))
}

fn register(server: &Server, family: &str, command: &str) {
    server.register(&format!(
        "family: {family}\ncpu: 256\nmemory: 512\nrequiresCompatibilities: [FARGATE]\ncontainerDefinitions:\n  \
         - name: main\n    image: {}\n    stopTimeout: 2\n    command: {command}\n",
        workload()
    ));
}

#[test]
fn real_tasks_cost_what_their_recorded_lengths_cost() {
    let server = Server::start();
    register(&server, "short", "[exit, --after-ms, \"300\"]");
    register(&server, "long", "[sleep]");
    for _ in 0..2 {
        let short = run(&server, &["run", "short", "--tag", "team=blue"]);
        server.wait_for(short.ok().trim(), "STOPPED");
    }
    let long = run(&server, &["run", "long"]).ok().trim().to_owned();
    server.wait_for(&long, "RUNNING");

    let going = bill(&server, "groupBy=family");
    assert_eq!(going["total"]["running"], 1, "{going:#}");
    let notes = going["notes"].to_string();
    assert!(notes.contains("1 task goes on"), "{notes}");
    run(&server, &["stop", &long, "--wait"]).ok();
    server.wait_until_clean();

    // The oracle: the lengths on record, rounded up to seconds, a minute at least.
    let (_, usage) = server.get("/v1/usage");
    let lengths = usage["items"].as_array().unwrap().iter();
    let expected: i64 = lengths
        .map(|line| fargate(((line["durationMs"].as_i64().unwrap() + 999) / 1_000).max(60)))
        .sum();
    for group_by in [
        "task", "family", "service", "cluster", "tag:team", "day", "hour",
    ] {
        let bill = bill(&server, &format!("groupBy={group_by}&compare=fargate-arm"));
        assert_eq!(nano(&bill["total"]), expected, "{bill:#}");
        let lines = bill["items"].as_array().unwrap();
        assert_eq!(lines.iter().map(nano).sum::<i64>(), expected, "{bill:#}");
        let arm = bill["total"]["comparedCostNano"].as_i64().unwrap();
        assert!(arm > 0 && arm < expected, "{bill:#}");
        assert_eq!(bill["total"]["milliVcpuMs"], usage["total"]["milliVcpuMs"]);
        assert_eq!(bill["total"]["mibMs"], usage["total"]["mibMs"]);
    }
    let tags = bill(&server, "groupBy=tag:team");
    let blue = tags["items"].as_array().unwrap().iter();
    let blue: Vec<&Value> = blue.filter(|line| line["name"] == "blue").collect();
    assert_eq!(blue[0]["tasks"], 2, "{tags:#}");
    assert_eq!(nano(blue[0]), 2 * fargate(60), "{tags:#}");
    server.wait_until_clean();
}

#[test]
fn a_bill_of_the_past_is_the_same_after_a_restart_and_in_every_format() {
    let mut server = Server::prepare(&["--engine", "sim"]);
    let prices = server.data_dir().join("prices");
    fs::create_dir_all(&prices).unwrap();
    let sheet = "description = \"ours\"\ncurrency = \"EUR\"\ngranularity_ms = 1\nminimum_ms = 0\n[[price]]\n\
                 from = \"2020-01-01T00:00:00Z\"\nvcpu_second = \"1\"\n";
    fs::write(prices.join("cellar.toml"), sheet).unwrap();
    server.boot();
    server.register_workload("job", &["exit", "--after-ms", "200"]);
    for _ in 0..3 {
        run(&server, &["run", "job", "--wait", "--tag", "team==SUM(A1)"]).ok();
    }
    server.wait_until_clean();
    let (_, usage) = server.get("/v1/usage");
    let milliseconds = usage["total"]["durationMs"].as_i64().unwrap();
    // An end that the engine dates may lie somewhat after the moment at which it was recorded.
    let closed: jiff::Timestamp = usage["items"][2]["closedAt"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let to = (closed + jiff::SignedDuration::from_millis(100)).to_string();
    let period = format!("from=2026-01-01T00:00:00Z&to={to}&priceSheet=cellar&groupBy=task");
    let before = bill(&server, &period);
    // A quarter of a vCPU at 1 EUR per second.
    assert_eq!(nano(&before["total"]), milliseconds * 250_000);
    assert_eq!(before["priceSheet"]["currency"], "EUR");

    server.kill();
    server.boot();
    let after = bill(&server, &period);
    assert_eq!(before["items"], after["items"]);
    assert_eq!(before["total"], after["total"]);

    // What is issued stays as it is, also when the prices are changed afterwards.
    let issued = run(
        &server,
        &["bill", "--issue", "--sheet", "cellar", "--to", &to],
    );
    assert!(issued.stderr.contains("bill 1, issued"), "{issued:#?}");
    fs::write(prices.join("cellar.toml"), sheet.replace("\"1\"", "\"2\"")).unwrap();
    server.shut_down();
    server.boot();
    let again = run(&server, &["bill", "--issued", "1"]);
    assert_eq!(issued.ok(), again.ok());
    let doubled = bill(&server, &period);
    assert_eq!(nano(&doubled["total"]), 2 * nano(&before["total"]));
    let (_, list) = server.get("/v1/bills");
    assert_eq!(
        list["items"][0]["cost"], before["total"]["cost"],
        "{list:#}"
    );
    fs::write(prices.join("cellar.toml"), sheet).unwrap();
    server.shut_down();
    server.boot();

    let said = run(&server, &["bill", "--sheet", "cellar"]);
    assert!(
        said.ok().contains(after["total"]["cost"].as_str().unwrap()),
        "{said:#?}"
    );
    assert!(
        said.stderr
            .contains("in EUR, by the price sheet cellar: ours"),
        "{said:#?}"
    );
    let usage = run(&server, &["usage", "--group-by", "family"]);
    assert!(
        !usage.ok().contains("COST") && usage.ok().contains("job"),
        "{usage:#?}"
    );

    let csv = server.cli(&["bill", "--group-by", "tag:team", "--format", "csv"]);
    assert_eq!(csv.ok().lines().count(), 2, "{csv:#?}");
    assert!(csv.ok().contains(",'=SUM(A1),"), "{csv:#?}");
    let focus = server.cli(&["bill", "--format", "focus", "--sheet", "cellar"]);
    let nanos = focus.ok().lines().skip(1).map(|row| {
        let cost = row.split(',').next().unwrap();
        cost.replace('.', "").parse::<i64>().unwrap()
    });
    assert_eq!(nanos.sum::<i64>(), nano(&after["total"]), "{focus:#?}");
    let json = run(&server, &["bill", "--format", "json", "--sheet", "cellar"]);
    let json: Value = serde_json::from_str(json.ok()).unwrap();
    assert_eq!(json["total"], bill(&server, "priceSheet=cellar")["total"]);
}

#[test]
fn a_bill_is_the_same_when_its_tasks_are_rolled_up_however_often_neargate_is_killed() {
    let mut server = Server::prepare(&["--engine", "sim"]);
    server.boot();
    server.register_workload("job", &["exit", "--after-ms", "50"]);
    for _ in 0..3 {
        for _ in 0..2 {
            run(&server, &["run", "job", "--wait"]).ok();
        }
        server.kill();
        server.boot();
    }
    let by_task = bill(&server, "groupBy=task");
    assert_eq!(by_task["total"]["tasks"], 6, "{by_task:#}");
    eventually("all of them to be rolled up", || {
        let (_, verified) = server.get("/v1/usage/verification");
        assert_eq!(verified["holds"], true, "{verified:#}");
        let mut checks = verified["checks"].as_array().unwrap().iter();
        let rolled = checks.find(|one| one["what"].as_str().unwrap().contains("roll-ups"));
        let numbers = rolled.unwrap()["numbers"].as_str().unwrap().to_owned();
        if numbers.starts_with("6 tasks, ") {
            Ok(())
        } else {
            Err(numbers)
        }
    });
    for group_by in ["family", "service", "cluster", "day", "hour"] {
        let rolled = bill(&server, &format!("groupBy={group_by}"));
        assert_eq!(rolled["total"], by_task["total"], "{rolled:#}");
    }
}

#[test]
fn what_a_bill_cannot_be_is_said_with_what_to_type() {
    let server = Server::start_sim();
    for (arguments, words) in [
        (
            &["--sheet", "azure"][..],
            &[
                "there is no price sheet \"azure\"",
                "fargate, fargate-arm, lambda, own",
            ][..],
        ),
        (
            &["--sheet", "own"],
            &["has no price yet", "prices/own.toml"],
        ),
        (&["--group-by", "month"], &["groupBy", "tag:KEY, day, hour"]),
        (
            &["--from", "1h", "--to", "2h"],
            &["does not lie after from"],
        ),
        (&["--issue"], &["is not over yet"]),
        (&["--issued", "7"], &["bill 7 does not exist"]),
    ] {
        let said = run(&server, &[&["bill"], arguments].concat());
        fails(&said, 1, words);
    }
    let nothing = run(&server, &["bill"]);
    assert_eq!(
        (nothing.ok(), nothing.stderr.trim_end()),
        ("", "nothing was reserved in that time")
    );
}

#[test]
fn advice_on_sizes_is_given_to_each_family_and_says_what_it_rests_on() {
    let server = Server::start_sim();
    server.register_workload("job", &["exit", "--after-ms", "100"]);
    run(&server, &["run", "job", "--wait"]).ok();
    let (status, advice) = server.get("/v1/rightsize?marginPercent=30");
    assert_eq!(
        (status, &advice["marginPercent"]),
        (200, &30.into()),
        "{advice:#}"
    );
    let job = &advice["items"][0];
    assert_eq!((&job["family"], &job["tasks"]), (&"job".into(), &1.into()));
    assert!(
        job["reason"]
            .as_str()
            .unwrap()
            .contains("too little was measured")
    );
    let said = run(&server, &["rightsize", "--margin", "30"]);
    assert!(said.ok().contains("256/512"), "{said:#?}");
    assert!(said.stderr.contains("with 30 % to spare"), "{said:#?}");
    fails(
        &run(&server, &["rightsize", "--margin", "1001"]),
        2,
        &["0..=1000"],
    );
}

#[test]
fn a_bad_price_sheet_keeps_the_server_from_starting_and_says_where() {
    let server = Server::prepare(&["--engine", "sim"]);
    let prices = server.data_dir().join("prices");
    fs::create_dir_all(&prices).unwrap();
    let sheet = "description = \"ours\"\ncurrency = \"EUR\"\ngranularity_ms = 1\nminimum_ms = 0\n[[price]]\n\
                 from = \"2020-01-01T00:00:00Z\"\nvcpu_hour = \"cheap\"\n";
    fs::write(prices.join("own.toml"), sheet).unwrap();
    let output = server.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    for word in [
        "prices/own.toml:7: vcpu_hour is \"cheap\"",
        "hint: write a number",
    ] {
        assert!(said.contains(word), "no `{word}` in {said}");
    }
}
