use std::collections::BTreeSet;

use super::*;
use crate::domain::{
    Capacity, CpuUnits, EventKind, LastStatus, MemoryMib, NewEvent, UsageChange, UsageInterval,
};
use crate::store::testing::{Fixture, at};
use crate::store::{EventFilter, Store};

fn notice(subject: &str) -> NewEvent {
    NewEvent {
        at: at(1),
        kind: EventKind::TaskNotice,
        cluster: None,
        subject: subject.to_owned(),
        status: None,
        message: String::new(),
    }
}

/// Records an event and then fails with `error`.
async fn write_and_fail(store: &Store, error: StoreError) -> Result<(), StoreError> {
    store
        .writer()
        .write(move |db| {
            Box::pin(async move {
                event::insert(db, &notice("lost")).await?;
                Err(error)
            })
        })
        .await
}

/// Keeps the writer busy until the sender is used, so that what comes meanwhile makes one group.
async fn hold(store: &Store) -> oneshot::Sender<()> {
    let (release, released) = oneshot::channel::<()>();
    let (start, begun) = oneshot::channel::<()>();
    let store = store.clone();
    tokio::spawn(async move {
        store
            .writer()
            .write(move |_| {
                Box::pin(async move {
                    let _ = start.send(());
                    let _ = released.await;
                    Ok(())
                })
            })
            .await
    });
    begun.await.unwrap();
    release
}

async fn subjects(store: &Store) -> Vec<(u64, String)> {
    let all = EventFilter::default();
    let events = store.events(1, &all, 1_000).await.unwrap();
    events
        .into_iter()
        .map(|event| (event.seq, event.event.subject))
        .collect()
}

#[tokio::test]
async fn many_writers_share_commits() {
    let fixture = Fixture::new().await;
    let before = fixture.store.write_counts();
    let writers: Vec<_> = (0..64)
        .map(|n| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.record_event(notice(&n.to_string())).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let after = fixture.store.write_counts();
    assert_eq!(after.jobs - before.jobs, 64);
    let commits = after.commits - before.commits;
    assert!(commits < 32, "{commits} commits");
    let events = subjects(&fixture.store).await;
    let numbers: Vec<u64> = events.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (2..66).collect::<Vec<u64>>());
    let names: BTreeSet<String> = events.into_iter().map(|(_, subject)| subject).collect();
    assert_eq!(names.len(), 64);
}

#[tokio::test]
async fn a_refused_job_leaves_no_trace_and_disturbs_nobody() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let release = hold(store).await;
    let before = store.write_counts();
    let (first, refused, last, ()) = tokio::join!(
        store.record_event(notice("first")),
        write_and_fail(store, StoreError::Stale),
        store.record_event(notice("last")),
        async {
            release.send(()).unwrap();
        }
    );
    assert_eq!(
        (first, refused, last),
        (Ok(()), Err(StoreError::Stale), Ok(()))
    );
    let after = store.write_counts();
    assert_eq!(
        after.commits - before.commits,
        2,
        "the holder's and the group's"
    );
    let expected = [(2, "first".to_owned()), (3, "last".to_owned())];
    assert_eq!(subjects(store).await, expected);
    // Alone, without a savepoint, it is the same.
    let refused = write_and_fail(store, StoreError::Stale).await;
    assert_eq!(refused, Err(StoreError::Stale));
    store.record_event(notice("after")).await.unwrap();
    assert_eq!(subjects(store).await.last(), Some(&(4, "after".to_owned())));
}

#[tokio::test]
async fn a_group_that_cannot_be_committed_is_not_in_effect_at_all() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let release = hold(store).await;
    let (first, failed, last, ()) = tokio::join!(
        store.record_event(notice("first")),
        write_and_fail(store, StoreError::Full),
        store.record_event(notice("last")),
        async {
            release.send(()).unwrap();
        }
    );
    let full = || Err(StoreError::Full);
    assert_eq!((first, failed, last), (full(), full(), full()));
    assert_eq!(subjects(store).await, []);
    assert_eq!(*store.event_seq().borrow(), 1);
    // The writer goes on with another connection.
    store.record_event(notice("after")).await.unwrap();
    assert_eq!(subjects(store).await, [(2, "after".to_owned())]);
}

#[tokio::test]
async fn a_job_is_carried_out_also_when_its_caller_has_gone() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let release = hold(store).await;
    {
        let mut call = Box::pin(store.record_event(notice("orphan")));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    release.send(()).unwrap();
    store.record_event(notice("after")).await.unwrap();
    assert_eq!(subjects(store).await.len(), 2);
}

#[tokio::test]
async fn what_comes_after_the_close_is_told_so() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let release = hold(store).await;
    let (before, (), ()) =
        tokio::join!(store.record_event(notice("before")), store.close(), async {
            release.send(()).unwrap();
        });
    assert_eq!(before, Ok(()));
    let after = store.record_event(notice("after")).await;
    assert_eq!(after, Err(StoreError::Closed));
    let read = store.events(0, &EventFilter::default(), 1).await;
    assert_eq!(read, Err(StoreError::Closed));
    store.close().await;
}

#[tokio::test]
async fn what_is_one_statement_is_taken_back_by_itself_and_disturbs_nobody() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let known = fixture.created().await;
    let (new, mut stale, mut large) = (fixture.task(), known.clone(), fixture.created().await);
    let before = *store.event_seq().borrow();
    let mut elsewhere = fixture.task();
    elsewhere.cluster = "nowhere".parse().unwrap();
    (stale.version, stale.waiting) = (7, Some("for nothing".to_owned()));
    large.last_status = LastStatus::Pending;
    let opened = UsageInterval {
        task_id: large.id.clone(),
        cluster: large.cluster.clone(),
        definition: large.spec.definition.clone(),
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        opened_at: at(1),
        closed: None,
    };
    let opens = [UsageChange::Open(opened)];
    let told = [notice("told of what is refused")];
    let release = hold(store).await;
    let counts = store.write_counts();
    let (first, twice, nowhere, outdated, no_room, last, ()) = tokio::join!(
        store.create_tasks(std::slice::from_ref(&new), None),
        store.create_tasks(std::slice::from_ref(&known), None),
        store.create_tasks(std::slice::from_ref(&elsewhere), None),
        store.record_task(&stale, &told, &[]),
        store.admit_task(&large, &told, &opens, Capacity::default()),
        store.record_event(notice("last")),
        async {
            release.send(()).unwrap();
        }
    );
    assert_eq!(store.write_counts().commits - counts.commits, 2);
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    let exists = StoreError::AlreadyExists {
        what: format!("task `{}`", known.id),
    };
    assert_eq!(twice, Err(exists));
    assert_eq!(nowhere, Err(StoreError::not_found("cluster `nowhere`")));
    assert_eq!(outdated, Err(StoreError::Stale));
    assert_eq!(no_room, Err(StoreError::NoRoom));
    assert_eq!(store.task(&known.id).await.unwrap(), Some(known));
    let left = store.task(&large.id).await.unwrap().unwrap();
    assert_eq!(left.last_status, LastStatus::Provisioning);
    assert_eq!(store.usage(&large.id).await, Ok(None));
    assert_eq!(store.reserved().await, Ok(Capacity::default()));
    let numbers = subjects(store).await.into_iter().map(|(seq, _)| seq);
    let numbers: Vec<u64> = numbers.filter(|seq| *seq > before).collect();
    assert_eq!(
        numbers,
        [before + 1, before + 2],
        "dense, and only of what took effect"
    );
}

#[tokio::test]
async fn the_loop_lets_others_go_first_and_has_a_part_of_each_group() {
    let fixture = Fixture::new().await;
    let (store, patient) = (&fixture.store, fixture.store.for_the_loop());
    let release = hold(store).await;
    let before = store.write_counts();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..2 * PATIENT_BESIDE {
        let patient = patient.clone();
        waiting.spawn(async move { patient.record_event(notice(&format!("loop {n}"))).await });
    }
    let store = store.clone();
    waiting.spawn(async move { store.record_event(notice("somebody")).await });
    // All of them have handed their jobs over when each was asked once.
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    while let Some(written) = waiting.join_next().await {
        written.unwrap().unwrap();
    }
    let names: Vec<String> = subjects(&fixture.store)
        .await
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    let place = |name: &str| names.iter().position(|one| one == name).unwrap();
    assert!(place("somebody") < place("loop 0"), "{names:?}");
    let commits = fixture.store.write_counts().commits - before.commits;
    assert_eq!(
        commits, 3,
        "the holder's, one with all that others waited for, and one with the rest"
    );
}

#[tokio::test]
async fn what_the_loop_handed_over_before_the_end_is_carried_out() {
    let fixture = Fixture::new().await;
    let patient = fixture.store.for_the_loop();
    let release = hold(&fixture.store).await;
    let writes: Vec<_> = (0..3 * PATIENT_BESIDE)
        .map(|n| {
            let patient = patient.clone();
            tokio::spawn(async move { patient.record_event(notice(&n.to_string())).await })
        })
        .collect();
    tokio::task::yield_now().await;
    release.send(()).unwrap();
    fixture.store.close().await;
    for write in writes {
        assert_eq!(write.await.unwrap(), Ok(()));
    }
}
