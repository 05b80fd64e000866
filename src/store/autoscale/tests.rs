//! Targets, policies and activities, in a store of their own.

use std::collections::BTreeMap;

use super::*;
use crate::domain::{EventKind, PolicyKind, ServiceConfiguration, ServiceStatus, SuspendedState};
use crate::store::ServiceRecord;
use crate::store::testing::{Fixture, at};

fn key() -> ServiceKey {
    ServiceKey {
        cluster: "default".parse().unwrap(),
        name: "web".parse().unwrap(),
    }
}

fn target() -> ScalableTarget {
    ScalableTarget {
        id: "a".repeat(32),
        min_capacity: 1,
        max_capacity: 4,
        role_arn: None,
        suspended: SuspendedState::default(),
        tags: BTreeMap::new(),
        created_at: at(1),
        has_new_bounds: true,
        scaled_out_at: None,
        scaled_in_at: None,
    }
}

fn service() -> Service {
    Service {
        key: key(),
        status: ServiceStatus::Active,
        desired_count: 1,
        configuration: ServiceConfiguration::default(),
        tags: BTreeMap::new(),
        deployments: Vec::new(),
        task_sets: Vec::new(),
        last_completed: None,
        is_steady: true,
        waiting: None,
        created_at: at(0),
        deleted_at: None,
        version: 1,
    }
}

fn record(service: Service, number: u32) -> ScalingRecord {
    ScalingRecord {
        old_target: target(),
        target: target(),
        activity: ScalingActivity::new(
            format!("{number:032x}"),
            2,
            "why".to_owned(),
            at(i64::from(number)),
        ),
        event: NewEvent {
            at: at(5),
            kind: EventKind::ServiceEvent,
            cluster: Some("default".to_owned()),
            subject: "web".to_owned(),
            status: None,
            message: "scaled".to_owned(),
        },
        service,
    }
}

async fn put(
    store: &Store,
    old: Option<&ScalableTarget>,
    new: &ScalableTarget,
) -> Result<(), StoreError> {
    store.put_scalable_target(&key(), old, new).await
}

#[tokio::test]
async fn scaling_is_recorded_as_a_whole_or_not_at_all() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let mut service = service();
    let made = ServiceRecord::of(service.clone(), Vec::new());
    store.create_service(made, None).await.unwrap();
    let scaled = store.record_scaling(record(service.clone(), 0)).await;
    assert!(matches!(scaled, Err(StoreError::Stale)), "it is no target");
    put(store, None, &target()).await.unwrap();
    service.desired_count = 2;
    for number in 0..=ACTIVITIES_KEPT {
        store
            .record_scaling(record(service.clone(), number))
            .await
            .unwrap();
        let again = store.record_scaling(record(service.clone(), 999)).await;
        assert!(
            matches!(again, Err(StoreError::Stale)),
            "its version is old"
        );
        service.version += 1;
    }
    let stored = store.service(&key()).await.unwrap().unwrap();
    assert_eq!(stored.desired_count, 2);
    let mut changed = target();
    changed.max_capacity = 9;
    let again = put(store, None, &changed).await;
    assert!(matches!(again, Err(StoreError::Stale)), "it is there");
    put(store, Some(&target()), &changed).await.unwrap();
    let again = put(store, Some(&target()), &changed).await;
    assert!(matches!(again, Err(StoreError::Stale)), "it was changed");
    let stale = store.record_scaling(record(service.clone(), 999)).await;
    assert!(
        matches!(stale, Err(StoreError::Stale)),
        "the target has changed"
    );

    let first = PageRequest::first(1);
    let page = store
        .scaling_activities(Some(&key()), &first)
        .await
        .unwrap();
    assert_eq!(page.items[0].1.started_at, at(i64::from(ACTIVITIES_KEPT)));
    let open = store.open_scaling_activities(&key()).await.unwrap();
    assert_eq!(
        open.len(),
        ACTIVITIES_KEPT as usize,
        "the oldest is forgotten"
    );
    let ended = open.into_iter().map(|one| one.ended(2, at(9)));
    store
        .close_scaling_activities(ended.collect())
        .await
        .unwrap();
    assert_eq!(store.open_scaling_activities(&key()).await.unwrap(), []);
    store.remove_scalable_target(&key()).await.unwrap();
    let page = store.scaling_activities(None, &first).await.unwrap();
    assert_eq!(page.items, []);
}

#[tokio::test]
async fn policies_belong_to_a_target_and_go_with_it() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let policy = |name: &str, target: u64| ScalingPolicy {
        id: "b".repeat(32),
        name: name.to_owned(),
        kind: PolicyKind::StepScaling,
        configuration: serde_json::json!({ "a": target }),
        tracking: None,
        created_at: at(2),
    };
    let early = store.put_scaling_policy(&key(), &policy("a", 1)).await;
    assert!(
        matches!(early, Err(StoreError::NotFound { .. })),
        "{early:?}"
    );
    put(store, None, &target()).await.unwrap();
    for one in [policy("b", 1), policy("a", 1), policy("b", 2)] {
        store.put_scaling_policy(&key(), &one).await.unwrap();
    }
    let found = store.scaling_policies(&key()).await.unwrap();
    assert_eq!(found, [policy("a", 1), policy("b", 2)]);
    store.remove_scaling_policy(&key(), "a").await.unwrap();
    let again = store.remove_scaling_policy(&key(), "a").await;
    assert!(
        matches!(again, Err(StoreError::NotFound { .. })),
        "{again:?}"
    );
    store.remove_scalable_target(&key()).await.unwrap();
    assert_eq!(store.scaling_policies(&key()).await.unwrap(), []);
    let page = store.scalable_targets(&PageRequest::first(9)).await;
    assert_eq!(page.unwrap().items, []);
}
