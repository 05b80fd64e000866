use std::collections::BTreeMap;

use super::*;
use crate::domain::{
    ConcurrencyPolicy, DesiredStatus, MissedRuns, ScheduleDefinition, ScheduleState,
    ScheduleTarget, ScheduleTimeZone, StopCode, TaskOverrides,
};
use crate::store::testing::{Fixture, at, stopped};

fn schedule(name: &str) -> Schedule {
    let target = ScheduleTarget {
        cluster: "default".parse().unwrap(),
        task_definition: "web".parse().unwrap(),
        count: 1,
        overrides: TaskOverrides::default(),
        overrides_document: serde_json::json!({}),
        enable_execute_command: false,
        tags: BTreeMap::new(),
        group: None,
        propagate_tags: false,
    };
    let definition = ScheduleDefinition {
        expression: "rate(1 minute)".parse().unwrap(),
        time_zone: ScheduleTimeZone::default(),
        start_date: None,
        end_date: None,
        description: None,
        state: ScheduleState::Enabled,
        concurrency_policy: ConcurrencyPolicy::Allow,
        missed_runs: MissedRuns::RunOnce,
        starting_deadline: None,
        target,
    };
    Schedule::new(name.parse().unwrap(), definition, at(1_000))
}

async fn created(fixture: &Fixture, name: &str) -> Schedule {
    let schedule = schedule(name);
    let event = schedule.event(None, "was created", at(1_000));
    let store = &fixture.store;
    store
        .create_schedule(schedule.clone(), event)
        .await
        .unwrap();
    schedule
}

/// A record that starts one task for `time`.
fn start(fixture: &Fixture, schedule: &Schedule, time: i64) -> ScheduleRecord {
    let mut task = fixture.task();
    task.started_by = Some(schedule.name.started_by());
    let run = ScheduleRun::started(
        at(time),
        RunCause::Schedule,
        std::slice::from_ref(&task),
        None,
        at(time),
    );
    ScheduleRecord {
        start: vec![task],
        runs: vec![run.clone()],
        ..ScheduleRecord::of(
            Schedule {
                decided_until: at(time),
                ..schedule.clone()
            },
            vec![run.event(schedule)],
        )
    }
}

async fn tasks(fixture: &Fixture, name: &str) -> usize {
    let name = name.parse().unwrap();
    fixture.store.scheduled_tasks(&name).await.unwrap().len()
}

#[tokio::test]
async fn a_run_is_recorded_with_its_tasks_or_not_at_all() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let one = created(&fixture, "one").await;
    assert_eq!(store.schedule(&one.name).await.unwrap(), Some(one.clone()));
    store
        .record_schedule(start(&fixture, &one, 2_000))
        .await
        .unwrap();
    assert_eq!(tasks(&fixture, "one").await, 1);

    // Who has not seen that is refused, and leaves nothing.
    let stale = store.record_schedule(start(&fixture, &one, 3_000)).await;
    assert_eq!(stale, Err(StoreError::Stale));
    let seen = store.schedule(&one.name).await.unwrap().unwrap();
    assert_eq!((seen.version, seen.decided_until), (2, at(2_000)));

    // The same occurrence again, from whoever has: the database refuses it.
    let twice = store.record_schedule(start(&fixture, &seen, 2_000)).await;
    assert!(matches!(twice, Err(StoreError::Refused(_))), "{twice:?}");
    let back = Schedule {
        decided_until: at(1_500),
        ..seen.clone()
    };
    let back = store
        .record_schedule(ScheduleRecord::of(back, vec![]))
        .await;
    assert!(matches!(back, Err(StoreError::Refused(_))), "{back:?}");
    assert_eq!(tasks(&fixture, "one").await, 1, "nothing of it is left");
    let runs = store
        .schedule_runs(&one.name, &PageRequest::first(9))
        .await
        .unwrap();
    assert_eq!(runs.items.len(), 1);
    assert_eq!(runs.items[0].tasks.len(), 1);
}

#[tokio::test]
async fn only_the_newest_runs_are_remembered_and_they_come_in_pages() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut one = created(&fixture, "one").await;
    for time in 1..=i64::from(RUNS_KEPT) + 5 {
        let outcome = RunOutcome::Skipped;
        let run = ScheduleRun::not_started(at(2_000 + time), outcome, "why", at(2_000 + time));
        let record = ScheduleRecord {
            runs: vec![run],
            ..ScheduleRecord::of(one.clone(), vec![])
        };
        store.record_schedule(record).await.unwrap();
        one.version += 1;
    }
    let first = store
        .schedule_runs(&one.name, &PageRequest::first(60))
        .await
        .unwrap();
    assert_eq!(first.items[0].scheduled_for, at(2_105));
    let rest = PageRequest {
        limit: 60,
        token: first.next,
    };
    let rest = store.schedule_runs(&one.name, &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (40, None));
    assert_eq!(rest.items[39].scheduled_for, at(2_006));
}

#[tokio::test]
async fn those_whose_time_has_come_are_found_and_those_that_wait() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let due = created(&fixture, "due").await;
    let waiting = created(&fixture, "waiting").await;
    let later = created(&fixture, "later").await;
    let decided = |of: &Schedule, pending| Schedule {
        decided_until: at(600_000),
        pending,
        ..of.clone()
    };
    let pending = crate::domain::PendingRun {
        scheduled_for: at(600_000),
        reason: None,
    };
    for schedule in [decided(&waiting, Some(pending)), decided(&later, None)] {
        store
            .record_schedule(ScheduleRecord::of(schedule, vec![]))
            .await
            .unwrap();
    }
    let found = store.due_schedules(at(30_000)).await.unwrap();
    assert_eq!(found, [due.name.clone(), waiting.name.clone()]);
    assert_eq!(store.active_schedules().await.unwrap().len(), 3);
    let page = store.schedules(None, &PageRequest::first(2)).await.unwrap();
    assert_eq!(page.items.len(), 2);
    assert!(page.next.is_some());
    let elsewhere = "elsewhere".parse().unwrap();
    let page = store
        .schedules(Some(&elsewhere), &PageRequest::first(2))
        .await
        .unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn its_tasks_count_until_they_have_stopped() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let one = created(&fixture, "one").await;
    let record = start(&fixture, &one, 2_000);
    let task = record.start[0].clone();
    store.record_schedule(record).await.unwrap();
    let seen = store.scheduled_tasks(&one.name).await.unwrap();
    assert!(!seen[0].is_stopping);
    let request = StopRequest {
        at: at(3_000),
        code: StopCode::UserInitiated,
        reason: None,
    };
    let asked = store.request_stop(&task.id, request).await.unwrap();
    assert!(store.scheduled_tasks(&one.name).await.unwrap()[0].is_stopping);
    let over = stopped(asked);
    assert_eq!(over.planned_status, DesiredStatus::Stopped);
    store.record_task(&over, &[], &[]).await.unwrap();
    assert_eq!(tasks(&fixture, "one").await, 0);
}

#[tokio::test]
async fn a_deleted_one_is_gone_and_its_name_is_free_for_another() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let old = created(&fixture, "one").await;
    store
        .record_schedule(start(&fixture, &old, 2_000))
        .await
        .unwrap();
    let event = old.event(None, "was deleted", at(3_000));
    store
        .delete_schedule(&old.name, event.clone())
        .await
        .unwrap();
    let again = store.delete_schedule(&old.name, event).await;
    assert!(
        matches!(again, Err(StoreError::NotFound { .. })),
        "{again:?}"
    );
    let mut new = schedule("one");
    new.created_at = at(4_000);
    let event = new.event(None, "was created", at(4_000));
    store
        .create_schedule(new.clone(), event.clone())
        .await
        .unwrap();
    let twice = store.create_schedule(new.clone(), event).await;
    assert!(
        matches!(twice, Err(StoreError::AlreadyExists { .. })),
        "{twice:?}"
    );
    // What was decided about the old one is not about this one, although both have version 1.
    let stale = store.record_schedule(start(&fixture, &old, 2_000)).await;
    assert_eq!(stale, Err(StoreError::Stale));
    let runs = store
        .schedule_runs(&new.name, &PageRequest::first(9))
        .await
        .unwrap();
    assert!(runs.items.is_empty());
    assert_eq!(tasks(&fixture, "one").await, 1, "its tasks go on");
}
