//! What is asked of tasks whose usage was removed is answered from roll-ups, or refused with what to ask instead.

use super::Api;
use crate::domain::{
    CpuUnits, DesiredStatus, EndEvidence, LastStatus, MemoryMib, TaskId, TimestampMs, UsageChange,
    UsageInterval, UsageStep,
};
use crate::meter::rollup::roll_up;
use crate::meter::sheet::{PriceBook, differ_from};

const DAY: i64 = 86_400_000;

/// Has a task have run for a minute, 100 days before some midnight; returns that midnight.
async fn an_old_task(api: &Api) -> (TaskId, i64) {
    let ids = api.run_hello(1).await;
    let id: TaskId = ids[0].parse().unwrap();
    let mut task = api.store.task(&id).await.unwrap().unwrap();
    let midnight = UsageStep::Day.start_of(task.created_at).as_millis();
    let opened_at = TimestampMs::from_millis(midnight - 100 * DAY);
    let closed_at = TimestampMs::from_millis(opened_at.as_millis() + 60_000);
    task.pull_started_at = Some(opened_at);
    task.planned_status = DesiredStatus::Stopped;
    task.last_status = LastStatus::Stopped;
    (task.stopped_at, task.cleaned_at) = (Some(closed_at), Some(closed_at));
    let interval = UsageInterval {
        task_id: id.clone(),
        cluster: task.cluster.clone(),
        definition: task.spec.definition.clone(),
        cpu: CpuUnits(1_024),
        memory: MemoryMib(1_024),
        opened_at,
        closed: None,
    };
    let changes = [
        UsageChange::Open(interval),
        UsageChange::Close {
            at: closed_at,
            evidence: EndEvidence::NeverStarted,
        },
    ];
    api.store.record_task(&task, &[], &changes).await.unwrap();
    (id, midnight)
}

#[tokio::test]
async fn after_their_time_tasks_are_on_the_bill_without_their_names() {
    let api = Api::new().await;
    let (id, midnight) = an_old_task(&api).await;
    let at = |ms: i64| TimestampMs::from_millis(midnight + ms);
    let bill = async |from: i64, group_by: &str| {
        let query = format!(
            "/v1/bill?from={}&to={}&groupBy={group_by}",
            at(from),
            at(-DAY)
        );
        api.get(&query).await
    };
    let before = bill(-120 * DAY, "family").await.json();
    // A minute of a vCPU and a GB.
    assert_eq!(before["total"]["costNano"], 674_667 + 74_083, "{before:#}");
    let issued = api
        .post(
            &format!(
                "/v1/bills?from={}&to={}&groupBy=task",
                at(-120 * DAY),
                at(-DAY)
            ),
            super::JSON,
            "",
        )
        .await
        .json();

    let terms = PriceBook::default().terms();
    api.store
        .note_price_sheets(terms, differ_from)
        .await
        .unwrap();
    while api.store.price_rollups(9, roll_up).await.unwrap() > 0 {}
    assert_eq!(api.store.roll_up(9, roll_up).await, Ok(1));
    let rolled = bill(-120 * DAY, "family").await.json();
    assert_eq!(
        (&rolled["items"], &rolled["total"]),
        (&before["items"], &before["total"])
    );
    assert_eq!(api.store.remove_usage(at(-32 * DAY), 9).await, Ok(1));

    let after = bill(-120 * DAY, "family").await.json();
    assert_eq!(
        (&after["items"], &after["total"]),
        (&before["items"], &before["total"])
    );
    let shown = api.get("/v1/bills/1").await.json();
    assert_eq!(shown["bill"], issued["bill"]);

    let gone = at(-32 * DAY);
    let removed = format!(
        "the usage of single tasks that ended before {gone} was removed, as usage_retention_days says"
    );
    for (answer, told) in [
        (
            bill(-120 * DAY, "task").await,
            format!("ask for the time from {gone} on, or for a bill by family"),
        ),
        (
            bill(-120 * DAY + 5, "day").await,
            "begin and end at full hours, as with --from".to_owned(),
        ),
        (
            api.get(&format!("/v1/usage?from={}", at(-120 * DAY))).await,
            format!("ask for the time from {gone} on"),
        ),
        (
            api.get(&format!("/v1/rightsize?from={}", at(-120 * DAY)))
                .await,
            format!("ask for the time from {gone} on"),
        ),
    ] {
        let problem = answer.problem();
        assert!(
            problem.starts_with("400 ") && problem.contains(&removed) && problem.contains(&told),
            "{problem}"
        );
    }
    let usage = api.get(&format!("/v1/tasks/{id}/usage")).await.problem();
    assert!(
        usage.contains("ended so long ago that its usage was removed"),
        "{usage}"
    );
    assert_eq!(bill(-31 * DAY, "task").await.status, 200);
    assert_eq!(api.get("/v1/usage").await.status, 200);

    let verified = api.get("/v1/usage/verification").await.json();
    let told = verified.to_string();
    assert!(
        told.contains(&format!(
            "the intervals of 1 of them, from before {gone}, were removed"
        )),
        "{told}"
    );
    assert!(!told.contains("has no interval"), "{told}");
}
