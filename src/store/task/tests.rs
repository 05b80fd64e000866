use serde_json::json;

use super::*;
use crate::domain::{
    ContainerRecord, ContainerStatus, DesiredStatus, HealthStatus, LastStatus, LimitsEnforcedBy,
    NetworkBinding, Protocol, StopCode,
};
use crate::store::TOKENS_KEPT;
use crate::store::testing::{Fixture, at, cluster, stopped};
use crate::store::{EventFilter, Tuning};

/// A task in which every column has a value of its own.
fn with_everything(fixture: &Fixture) -> Task {
    let mut task = stopped(fixture.task());
    task.started_by = Some("me".to_owned());
    task.tags = [("k".to_owned(), "v".to_owned())].into();
    task.overrides = json!({"cpu": "256", "containerOverrides": []});
    task.stop_request = Some(StopRequest {
        at: at(1_001),
        code: StopCode::UserInitiated,
        reason: Some("enough".to_owned()),
    });
    task.stop_code = Some(StopCode::UserInitiated);
    task.stopped_reason = Some("because".to_owned());
    task.waiting = Some("for nothing".to_owned());
    task.address = Some("10.0.0.2".to_owned());
    task.limits = Some(LimitsEnforcedBy::TaskCgroup);
    task.pull_started_at = Some(at(1_002));
    task.pull_stopped_at = Some(at(1_003));
    task.started_at = Some(at(1_004));
    task.healthy_at = Some(at(1_004));
    task.stopping_at = Some(at(1_005));
    task.execution_stopped_at = Some(at(1_006));
    task.stopped_at = Some(at(1_007));
    task.cleaned_at = Some(at(1_008));
    task.version = 9;
    let ended = ContainerRecord {
        last_status: ContainerStatus::Stopped,
        attempt: 3,
        restart_count: 2,
        runtime_id: Some("abc".to_owned()),
        image_digest: Some("sha256:1".to_owned()),
        started_at: Some(at(1_009)),
        finished_at: Some(at(1_010)),
        exit_code: Some(137),
        reason: Some("killed".to_owned()),
        health: HealthStatus::Unhealthy,
        network_bindings: vec![NetworkBinding {
            bind_ip: "0.0.0.0".to_owned(),
            container_port: 80,
            host_port: 8080,
            protocol: Protocol::Udp,
        }],
    };
    task.containers = [
        ("app".parse().unwrap(), ended),
        ("side".parse().unwrap(), ContainerRecord::default()),
    ]
    .into();
    task
}

fn token(text: &str, hash: &str) -> ClientToken {
    ClientToken {
        token: text.to_owned(),
        request_hash: hash.to_owned(),
    }
}

#[tokio::test]
async fn every_column_comes_back_as_it_was_written() {
    let fixture = Fixture::new().await;
    let task = with_everything(&fixture);
    let created = fixture
        .store
        .create_tasks(std::slice::from_ref(&task), None);
    assert_eq!(created.await, Ok(Created::New));
    let found = fixture.store.task(&task.id).await.unwrap();
    assert_eq!(found, Some(task));

    let new = fixture.created().await;
    let mut recorded = with_everything(&fixture);
    recorded.id = new.id.clone();
    recorded.version = 0;
    fixture
        .store
        .record_task(&recorded, &[], &[])
        .await
        .unwrap();
    // Recording does not write what the user wrote, nor what the task was accepted with.
    recorded.version = 1;
    recorded.stop_request = None;
    recorded.started_by = None;
    recorded.tags.clear();
    recorded.overrides = json!({});
    let found = fixture.store.task(&new.id).await.unwrap();
    assert_eq!(found, Some(recorded));
}

#[tokio::test]
async fn an_accepted_task_has_its_event() {
    let fixture = Fixture::new().await;
    let task = fixture.created().await;
    let all = EventFilter::default();
    let events = fixture.store.events(1, &all, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].event.kind, EventKind::TaskStateChange);
    assert_eq!(events[0].event.subject, task.id.to_string());
    assert_eq!(events[0].event.status.as_deref(), Some("PROVISIONING"));
}

#[tokio::test]
async fn tasks_are_accepted_all_or_none() {
    let fixture = Fixture::new().await;
    let known = fixture.created().await;
    let seq = *fixture.store.event_seq().borrow();
    let new = fixture.task();
    let refused = fixture
        .store
        .create_tasks(&[new.clone(), known], None)
        .await;
    assert!(matches!(refused, Err(StoreError::AlreadyExists { .. })));
    assert_eq!(fixture.store.task(&new.id).await.unwrap(), None);
    assert_eq!(*fixture.store.event_seq().borrow(), seq);
}

#[tokio::test]
async fn a_task_needs_a_cluster_that_exists() {
    let fixture = Fixture::new().await;
    let mut task = fixture.task();
    task.cluster = cluster("nowhere");
    let refused = fixture
        .store
        .create_tasks(std::slice::from_ref(&task), None)
        .await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "cluster `nowhere` does not exist"
    );
    let refused = fixture
        .store
        .create_tasks(&[fixture.task(), task], None)
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn a_token_makes_two_calls_one_for_a_day() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let first = fixture.task();
    let created = store.create_tasks(std::slice::from_ref(&first), Some(token("t", "h")));
    assert_eq!(created.await, Ok(Created::New));
    let seq = *store.event_seq().borrow();

    let mut second = fixture.task();
    let again = store.create_tasks(std::slice::from_ref(&second), Some(token("t", "h")));
    assert_eq!(again.await, Ok(Created::Replayed(vec![first.id.clone()])));
    assert_eq!(store.task(&second.id).await.unwrap(), None);
    let other = store.create_tasks(std::slice::from_ref(&second), Some(token("t", "x")));
    assert_eq!(other.await, Err(StoreError::TokenReused));
    assert_eq!(*store.event_seq().borrow(), seq);

    let name = cluster("blue");
    store.create_cluster(&name, at(1)).await.unwrap();
    let mut elsewhere = fixture.task();
    elsewhere.cluster = name;
    let other_cluster = store.create_tasks(std::slice::from_ref(&elsewhere), Some(token("t", "x")));
    assert_eq!(other_cluster.await, Ok(Created::New));

    second.created_at = first.created_at.plus(TOKENS_KEPT);
    let next_day = store.create_tasks(std::slice::from_ref(&second), Some(token("t", "x")));
    assert_eq!(next_day.await, Ok(Created::New));
}

#[tokio::test]
async fn a_stale_record_is_refused() {
    let fixture = Fixture::new().await;
    let mut task = fixture.created().await;
    fixture.store.record_task(&task, &[], &[]).await.unwrap();
    task.last_status = LastStatus::Pending;
    let refused = fixture.store.record_task(&task, &[], &[]).await;
    assert_eq!(refused, Err(StoreError::Stale));
    let unknown = fixture.task();
    let refused = fixture.store.record_task(&unknown, &[], &[]).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
    let found = fixture.store.task(&task.id).await.unwrap().unwrap();
    assert_eq!(
        (found.version, found.last_status),
        (1, LastStatus::Provisioning)
    );
}

#[tokio::test]
async fn a_status_never_goes_back() {
    let fixture = Fixture::new().await;
    let mut task = fixture.created().await;
    for (place, status) in LastStatus::ALL.iter().enumerate() {
        task.last_status = *status;
        task.started_at = Some(at(5));
        if *status == LastStatus::Stopped {
            task = stopped(task);
        }
        fixture.store.record_task(&task, &[], &[]).await.unwrap();
        task.version += 1;
        for earlier in &LastStatus::ALL[..place] {
            let mut back = task.clone();
            back.last_status = *earlier;
            back.stopped_at = None;
            let refused = fixture.store.record_task(&back, &[], &[]).await;
            assert!(
                matches!(refused, Err(StoreError::Refused(_))),
                "{status} to {earlier}: {refused:?}"
            );
        }
    }
    let past_the_store = fixture
        .execute("UPDATE tasks SET last_status = 'RUNNING', stopped_at = NULL")
        .await;
    assert!(matches!(past_the_store, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn the_first_request_to_stop_counts() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut task = fixture.created().await;
    let first = StopRequest {
        at: at(2_000),
        code: StopCode::UserInitiated,
        reason: Some("first".to_owned()),
    };
    let second = StopRequest {
        at: at(3_000),
        code: StopCode::UserInitiated,
        reason: None,
    };
    let asked = store.request_stop(&task.id, first.clone()).await.unwrap();
    assert_eq!(asked.stop_request, Some(first.clone()));
    assert_eq!(asked.version, 0, "the planner's next record is not stale");
    let seq = *store.event_seq().borrow();
    let again = store.request_stop(&task.id, second.clone()).await.unwrap();
    assert_eq!(again, asked);
    assert_eq!(*store.event_seq().borrow(), seq);

    // A planner that read the task before does not undo it.
    task.planned_status = DesiredStatus::Running;
    store.record_task(&task, &[], &[]).await.unwrap();
    let found = store.task(&task.id).await.unwrap().unwrap();
    assert_eq!(found.stop_request, Some(first));

    let refused = fixture
        .execute("UPDATE tasks SET stop_requested_at = NULL, stop_request_reason = NULL")
        .await;
    assert!(matches!(refused, Err(StoreError::Refused(_))));
    let unknown = store.request_stop(&fixture.task().id, second).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn what_has_stopped_is_not_asked_to_stop() {
    let fixture = Fixture::new().await;
    let task = stopped(fixture.created().await);
    fixture.store.record_task(&task, &[], &[]).await.unwrap();
    let seq = *fixture.store.event_seq().borrow();
    let request = StopRequest {
        at: at(10_000),
        code: StopCode::UserInitiated,
        reason: None,
    };
    let found = fixture.store.request_stop(&task.id, request).await.unwrap();
    assert_eq!(found.stop_request, None);
    assert_eq!(*fixture.store.event_seq().borrow(), seq);
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_half_written() {
    let tuning = Tuning {
        max_pages: Some(160),
        ..Tuning::default()
    };
    let fixture = Fixture::with(tuning).await;
    let store = &fixture.store;
    let mut big = fixture.task();
    big.overrides = json!("x".repeat(20_000));
    let mut accepted = 0;
    let error = loop {
        big.id = TaskId::generate(&fixture.ids);
        let seq = *store.event_seq().borrow();
        match store
            .create_tasks(&[fixture.task(), big.clone()], None)
            .await
        {
            Ok(_) => accepted += 2,
            Err(error) => {
                assert_eq!(*store.event_seq().borrow(), seq);
                break error;
            }
        }
    };
    assert_eq!(error, StoreError::Full);
    assert!(error.retryable());
    assert_eq!(store.unfinished_tasks().await.unwrap().len(), accepted);
    // What still fits is still taken.
    fixture.created().await;
    let all = EventFilter::default();
    let events = store.events(0, &all, 1_000).await.unwrap();
    assert_eq!(events.len(), accepted + 2);
    assert_eq!(
        events.last().map(|event| event.seq),
        Some(accepted as u64 + 2)
    );
}
