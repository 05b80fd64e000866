//! The pages of costs.

use super::*;
use crate::clock::{Clock as _, SystemClock};
use crate::domain::{
    DesiredStatus, DurationMs, EndEvidence, LastStatus, MeasuredUse, Task, TaskId, TimestampMs,
    UsageChange, UsageInterval, UseSource,
};

use crate::store::{PageRequest, TaskFilter};

const HOUR: i64 = 3_600_000;

impl Browser {
    /// Records a task that ran for `seconds`, at most 3,600, and began `hours` before the hour that is running, in a service
    /// or none, with a tag. It begins with an hour, so that a bill by time has it in one hour and in one day.
    async fn spend(
        &self,
        number: u128,
        hours: i64,
        seconds: u32,
        service: Option<&str>,
        team: &str,
    ) {
        if number == 1 {
            self.api.run_hello(1).await;
        }
        let (all, first) = (TaskFilter::default(), PageRequest::first(1));
        let some = self.api.store.tasks(&all, &first).await.unwrap();
        let spec = some.items[0].spec.clone();
        let hour = SystemClock.now().as_millis() / HOUR * HOUR;
        let now = TimestampMs::from_millis(hour - hours * HOUR);
        let id: TaskId = format!("{:032x}", 0xabc0_0000_u128 + number)
            .parse()
            .unwrap();
        let mut task = Task::new(id, "default".parse().unwrap(), spec, now);
        if let Some(service) = service {
            task.group = format!("service:{service}");
        }
        task.tags.insert("team".to_owned(), team.to_owned());
        self.api
            .store
            .create_tasks(std::slice::from_ref(&task), None)
            .await
            .unwrap();
        let interval = UsageInterval {
            task_id: task.id.clone(),
            cluster: task.cluster.clone(),
            definition: task.spec.definition.clone(),
            cpu: task.spec.reserved_cpu(),
            memory: task.spec.reserved_memory(),
            opened_at: now,
            closed: None,
        };
        task.pull_started_at = Some(now);
        task.last_status = LastStatus::Pending;
        let opened = [UsageChange::Open(interval)];
        self.api
            .store
            .record_task(&task, &[], &opened)
            .await
            .unwrap();
        let mut task = self.api.store.task(&task.id).await.unwrap().unwrap();
        let at = now.plus(DurationMs::from_secs(seconds));
        task.last_status = LastStatus::Stopped;
        task.planned_status = DesiredStatus::Stopped;
        task.execution_stopped_at = Some(at);
        task.stopped_at = Some(at);
        let measured = MeasuredUse {
            cpu_ns: u64::from(seconds) * 50_000_000,
            memory_kib_ms: u64::from(seconds) * 1_000 * 100 * 1_024,
            memory_peak_bytes: 100 << 20,
            network_rx_bytes: 0,
            network_tx_bytes: 0,
            block_read_bytes: 0,
            block_write_bytes: 0,
            measured_until: at,
            source: UseSource::Cgroup,
        };
        let changes = [
            UsageChange::Measure(measured),
            UsageChange::Close {
                at,
                evidence: EndEvidence::Engine,
            },
        ];
        self.api
            .store
            .record_task(&task, &[], &changes)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_empty_bill_teaches() {
    let mut browser = Browser::new().await;
    for path in ["/cost", "/cost?by=time&range=24h", "/cost?by=tag&tag=team"] {
        let html = browser.page(path).await;
        assert!(
            html.contains("Nothing was reserved in that time."),
            "{path}: {html}"
        );
        assert!(html.contains("neargate bill"), "{path}: {html}");
    }
    let html = browser.page("/cost/rightsizing").await;
    assert!(html.contains("neargate rightsize"), "{html}");
}

#[tokio::test]
async fn the_bill_is_shown_by_service_family_cluster_tag_and_time_and_is_that_of_the_api() {
    let mut browser = Browser::new().await;
    browser
        .spend(1, 30, 3_600, Some("web"), "<script>blue</script>")
        .await;
    browser.spend(2, 2, 1_800, None, "green").await;
    // 0.25 vCPU and 0.5 GB for an hour cost 0.0123425, for half of one 0.00617125.
    for (path, parts) in [
        (
            "/cost",
            &[
                "href=\"/services/default/web\"",
                "(no service)",
                "0.0123 USD",
                "0.0185 USD",
                "66.67 %",
            ][..],
        ),
        (
            "/cost?by=family",
            &["href=\"/task-definitions/hello\"", "0.0185 USD", "100.00 %"],
        ),
        ("/cost?by=cluster", &[">default<", "0.0185 USD"]),
        (
            "/cost?by=tag&tag=team",
            &["&#60;script&#62;blue", "green", "0.00617 USD"],
        ),
        ("/cost?by=time&range=30d", &["all of it", "0.0123 USD"]),
        ("/cost?range=24h", &["(no service)", "0.00617 USD"]),
    ] {
        let html = browser.page(path).await;
        for part in parts {
            assert!(html.contains(part), "{path}: {part} is not in {html}");
        }
        assert_eq!(
            html.matches("<svg").count(),
            3,
            "{path}: the stack, CPU and memory"
        );
    }
    let html = browser.page("/cost?by=service&range=7d").await;
    let bill = browser
        .api
        .get("/v1/bill?groupBy=service&from=6d")
        .await
        .json();
    let exact = bill["total"]["cost"].as_str().unwrap();
    assert!(
        html.contains(&format!("title=\"{exact} USD\"")),
        "{exact} is not in {html}"
    );
}

#[tokio::test]
async fn what_was_reserved_stands_beside_what_was_used() {
    let mut browser = Browser::new().await;
    browser.spend(1, 2, 3_600, Some("web"), "blue").await;
    let html = browser.page("/cost?range=24h").await;
    assert!(
        html.contains("<title>CPU, reserved and used</title>"),
        "{html}"
    );
    assert!(
        html.contains("<title>Memory, reserved and used</title>"),
        "{html}"
    );
    assert!(
        html.contains("900.000000 vCPU-s, 1800.000000 GB-s"),
        "{html}"
    );
    assert!(
        html.contains("180.000000 vCPU-s, 360.000000 GB-s") || html.contains("180.000000 vCPU-s"),
        "{html}"
    );
    assert!(
        html.contains("no data"),
        "hours without tasks have none: {html}"
    );
}

#[tokio::test]
async fn exports_and_advice_are_linked_with_what_the_page_shows() {
    let mut browser = Browser::new().await;
    for number in 1..4 {
        browser.spend(number, 3, 3_600, Some("web"), "blue").await;
    }
    let html = browser.page("/cost?by=tag&tag=team&cluster=default").await;
    for (part, kind) in [("format=csv", "text/csv"), ("format=focus", "text/csv")] {
        let link = html
            .split("href=\"")
            .find(|link| link.split('"').next().unwrap().contains(part))
            .unwrap();
        let path = link
            .split('"')
            .next()
            .unwrap()
            .replace("&#38;", "&")
            .replace("&amp;", "&");
        assert!(
            path.contains("groupBy=tag%3Ateam") && path.contains("cluster=default"),
            "{path}"
        );
        let answer = browser.api.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.header("content-type").starts_with(kind), "{path}");
    }
    let html = browser
        .page("/cost/rightsizing?range=24h&cluster=default")
        .await;
    for part in ["hello", "web", "3 of 3", "0.25 vCPU, 512 MiB", "100.0 MiB"] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_as_a_page() {
    let mut browser = Browser::new().await;
    for path in [
        "/cost?by=%3Cb%3E",
        "/cost?range=1y",
        "/cost?by=tag",
        "/cost?cluster=%20x",
        "/cost/rightsizing?range=x",
    ] {
        let answer = browser.go(path).await;
        if path == "/cost?cluster=%20x" {
            assert_eq!(
                answer.status, 200,
                "{path}: spaces around a name do not matter"
            );
        } else {
            assert_eq!(answer.status, 400, "{path}");
        }
        check_page(&answer);
    }
}

#[tokio::test]
async fn the_use_of_a_service_is_shown_over_an_hour_a_day_and_a_week_and_nothing_is_made_up() {
    let mut browser = Browser::new().await;
    let path = "/services/default/web/use";
    assert_eq!(browser.go(path).await.status, 404);
    browser.spend(1, 2, 1_800, Some("web"), "blue").await;
    browser.spend(2, 2, 1_800, Some("other"), "blue").await;
    let service = r#"{"serviceName":"web","taskDefinition":"hello","desiredCount":0}"#;
    let answer = browser
        .api
        .post("/v1/services", "application/json", service)
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    for range in ["24h", "7d"] {
        let html = browser.page(&format!("{path}?range={range}")).await;
        assert_eq!(html.matches("<svg").count(), 2, "{range}: {html}");
        assert!(
            html.contains("no data"),
            "times without tasks have none: {html}"
        );
    }
    let html = browser.page(path).await;
    // Two hours ago, and of the other service nothing is in it: 0.25 vCPU for half of an hour, or in two parts.
    assert!(!html.contains("reserved 0.250 vCPU"), "{html}");
    let html = browser.page(&format!("{path}?range=1h")).await;
    assert!(
        html.contains("there is no data") && !html.contains("<svg"),
        "{html}"
    );
    assert_eq!(browser.go(&format!("{path}?range=1y")).await.status, 400);
}
