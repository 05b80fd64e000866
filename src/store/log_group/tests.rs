//! Log groups and streams, in a store of their own.

use super::*;
use crate::domain::AwsLogs;
use crate::store::testing::{Fixture, at, stopped};

fn group(name: &str) -> LogGroup {
    LogGroup {
        name: name.parse().unwrap(),
        retention_in_days: None,
        tags: BTreeMap::new(),
        created_at: at(5),
    }
}

/// A task that was accepted, whose container writes to `/web`.
async fn writes(fixture: &Fixture) -> Task {
    let mut task = fixture.task();
    task.spec.containers[0].awslogs = Some(AwsLogs {
        group: "/web".parse().unwrap(),
        stream_prefix: Some("p".to_owned()),
    });
    let all = std::slice::from_ref(&task);
    fixture.store.create_tasks(all, None).await.unwrap();
    task
}

#[tokio::test]
async fn a_task_that_is_accepted_has_its_streams_and_their_groups() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (one, two) = (writes(&fixture).await, writes(&fixture).await);
    let name: LogGroupName = "/web".parse().unwrap();
    let first = PageRequest::first(1);
    let page = store
        .log_streams(&name, "", StreamOrder::AgeDescending, &first)
        .await
        .unwrap();
    assert_eq!(page.items[0].name, format!("p/app/{}", two.id));
    assert_eq!(
        page.items[0].writer,
        Some((two.id.clone(), "app".parse().unwrap()))
    );
    let next = PageRequest {
        limit: 1,
        token: page.next,
    };
    let page = store
        .log_streams(&name, "", StreamOrder::AgeDescending, &next)
        .await
        .unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
    for (order, prefix, expected) in [
        (StreamOrder::Name, "p/", 2),
        (StreamOrder::NameDescending, "p/app/", 2),
        (StreamOrder::Name, "q", 0),
    ] {
        let all = PageRequest::first(9);
        let page = store.log_streams(&name, prefix, order, &all).await.unwrap();
        assert_eq!(page.items.len(), expected, "{order:?} {prefix}");
        let names: Vec<&String> = page.items.iter().map(|one| &one.name).collect();
        let is_up = names.is_sorted();
        assert!(
            expected == 0 || is_up == (order == StreamOrder::Name),
            "{names:?}"
        );
    }
    // Those that had ended, or not begun, are not looked through.
    let mut ended = stopped(one.clone());
    ended.stopped_at = Some(at(9_000));
    store.record_task(&ended, &[], &[]).await.unwrap();
    let count = async |filter: StreamFilter| {
        let found = store.written_log_streams(&name, &filter, 0, 9).await;
        found.unwrap().len()
    };
    let (from, to) = (Some(at(9_001)), Some(at(999)));
    assert_eq!(count(StreamFilter::default()).await, 2);
    assert_eq!(
        count(StreamFilter {
            from,
            ..Default::default()
        })
        .await,
        1
    );
    assert_eq!(
        count(StreamFilter {
            to,
            ..Default::default()
        })
        .await,
        0
    );
    let names = vec![format!("p/app/{}", one.id)];
    assert_eq!(
        count(StreamFilter {
            names,
            ..Default::default()
        })
        .await,
        1
    );
}

#[tokio::test]
async fn a_group_is_made_once_changed_and_deleted() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let name = group("/a").name;
    store.create_log_group(group("/a")).await.unwrap();
    let again = store.create_log_group(group("/a")).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
    store.create_log_stream(&name, "s", at(7)).await.unwrap();
    let again = store.create_log_stream(&name, "s", at(7)).await;
    assert!(matches!(again, Err(StoreError::AlreadyExists { .. })));
    store.put_log_retention(&name, Some(7)).await.unwrap();
    let put = |tags: &mut BTreeMap<String, String>| {
        tags.insert("a".to_owned(), "b".to_owned());
    };
    let tagged = store.tag_log_group(&name, put).await.unwrap();
    assert_eq!(store.log_group(&name).await.unwrap(), Some(tagged.clone()));
    assert_eq!((tagged.retention_in_days, tagged.tags.len()), (Some(7), 1));
    store.delete_log_group(&name).await.unwrap();
    assert_eq!(store.log_stream(&name, "s").await.unwrap(), None);
    for result in [
        store.delete_log_group(&name).await,
        store.put_log_retention(&name, None).await,
        store.create_log_stream(&name, "s", at(7)).await,
    ] {
        assert!(
            matches!(result, Err(StoreError::NotFound { .. })),
            "{result:?}"
        );
    }
    store.create_log_group(group("/Web/a")).await.unwrap();
    store.create_log_group(group("/Web/b")).await.unwrap();
    let found = async |prefix: &str, part: &str| {
        let page = PageRequest::first(9);
        let found = store.log_groups(prefix, part, &page).await.unwrap();
        found.items.len()
    };
    assert_eq!(found("/Web", "").await, 2);
    assert_eq!(found("/web", "").await, 0);
    assert_eq!(found("", "eB/B").await, 1);
}
