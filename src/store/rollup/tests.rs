//! Each interval is rolled up once, whatever happens; and what a year of them costs to read.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::*;
use crate::domain::{
    EndEvidence, LastStatus, MeasuredUse, Task, TaskCounts, UsageChange, UsageInterval, UseSource,
};
use crate::store::testing::{Fixture, at, stopped};
use crate::store::{NotRolled, RolledQuery, UsageFilter, UsagePart};

const DAY: i64 = 86_400_000;

/// A meter that knows neither prices nor lengths: everything is one task in the first hour and the first day.
fn meter(record: &UsageRecord, terms: &[String]) -> Option<Vec<RolledPart>> {
    record.usage.interval.closed?;
    let part = |step| RolledPart {
        step,
        starts_at: at(0),
        usage: RolledUse {
            opened: TaskCounts {
                tasks: 1,
                ..TaskCounts::default()
            },
            used_cpu_ns: record.usage.used.map_or(0, |used| used.cpu_ns.into()),
            ..RolledUse::default()
        },
        costs: vec![
            RolledCost {
                vcpu_nano: 10,
                ..RolledCost::default()
            };
            terms.len()
        ],
    };
    Some(UsageStep::ALL.map(part).to_vec())
}

fn differ_from(_: &str, other: &str) -> Option<TimestampMs> {
    other.parse().ok().map(TimestampMs::from_millis)
}

fn used(cpu_ns: u64) -> MeasuredUse {
    MeasuredUse {
        cpu_ns,
        memory_kib_ms: 0,
        memory_peak_bytes: 0,
        network_rx_bytes: 0,
        network_tx_bytes: 0,
        block_read_bytes: 0,
        block_write_bytes: 0,
        measured_until: at(1),
        source: UseSource::Cgroup,
    }
}

/// A task with an interval of no length from `opened` on, which may go on.
async fn task(fixture: &Fixture, opened: i64, is_closed: bool) -> Task {
    let mut task = fixture.created().await;
    task.pull_started_at = Some(at(opened));
    task.last_status = LastStatus::Pending;
    let mut changes = vec![UsageChange::Open(UsageInterval {
        task_id: task.id.clone(),
        cluster: task.cluster.clone(),
        definition: task.spec.definition.clone(),
        cpu: task.spec.reserved_cpu(),
        memory: task.spec.reserved_memory(),
        opened_at: at(opened),
        closed: None,
    })];
    if is_closed {
        task = stopped(task);
        task.cleaned_at = Some(at(9_000));
        changes.push(UsageChange::Close {
            at: at(opened),
            evidence: EndEvidence::NeverStarted,
        });
        changes.push(UsageChange::Measure(used(7)));
    }
    fixture
        .store
        .record_task(&task, &[], &changes)
        .await
        .unwrap();
    task
}

async fn number(fixture: &Fixture, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(&mut fixture.raw().await)
        .await
        .unwrap()
}

const OPENED: &str = "SELECT coalesce(sum(opened), 0) FROM usage_rollups WHERE step_ms = 3600000";
const COSTS: &str = "SELECT coalesce(sum(vcpu_nano), 0) FROM usage_costs WHERE step_ms = 3600000";

#[tokio::test]
async fn an_interval_is_rolled_up_once_and_only_when_it_is_closed() {
    let fixture = Fixture::new().await;
    for opened in 0..3 {
        task(&fixture, opened, true).await;
    }
    task(&fixture, 5, false).await;
    assert_eq!(fixture.store.roll_up(2, meter).await, Ok(2));
    assert_eq!(fixture.store.roll_up(2, meter).await, Ok(1));
    assert_eq!(fixture.store.roll_up(2, meter).await, Ok(0));
    assert_eq!(number(&fixture, OPENED).await, 3);
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_unrolled").await,
        1
    );
}

#[tokio::test]
async fn a_roll_up_that_fails_half_way_leaves_no_trace() {
    let fixture = Fixture::new().await;
    task(&fixture, 0, true).await;
    task(&fixture, 1, true).await;
    // The second one cannot be rolled up.
    let fails = |record: &UsageRecord, terms: &[String]| {
        let is_second = record.usage.interval.opened_at == at(1);
        if is_second {
            None
        } else {
            meter(record, terms)
        }
    };
    let answer = fixture.store.roll_up(9, fails).await;
    assert!(
        matches!(answer, Err(StoreError::Unreadable { .. })),
        "{answer:?}"
    );
    assert_eq!(number(&fixture, OPENED).await, 0);
    assert_eq!(fixture.store.roll_up(9, meter).await, Ok(2));
    assert_eq!(number(&fixture, OPENED).await, 2);
}

#[tokio::test]
async fn what_is_measured_after_the_roll_up_is_too_late() {
    let fixture = Fixture::new().await;
    let ended = task(&fixture, 0, true).await;
    let goes_on = task(&fixture, 0, false).await;
    fixture
        .store
        .record_use(vec![(ended.id.clone(), used(8))])
        .await
        .unwrap();
    fixture.store.roll_up(9, meter).await.unwrap();
    for task in [&ended, &goes_on] {
        fixture
            .store
            .record_use(vec![(task.id.clone(), used(9))])
            .await
            .unwrap();
    }
    let cpu = async |task: &Task| {
        let usage = fixture.store.usage(&task.id).await.unwrap().unwrap();
        usage.used.map(|used| used.cpu_ns)
    };
    assert_eq!((cpu(&ended).await, cpu(&goes_on).await), (Some(8), Some(9)));
    assert_eq!(
        number(
            &fixture,
            "SELECT sum(used_cpu_ns) FROM usage_rollups WHERE step_ms = 86400000"
        )
        .await,
        8
    );
    fixture.store.remove_usage(at(DAY), 9).await.unwrap();
    fixture
        .store
        .record_use(vec![(ended.id.clone(), used(9))])
        .await
        .unwrap();
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_measured").await,
        1
    );
}

#[tokio::test]
async fn each_interval_is_priced_once_by_each_sheet_whenever_that_comes() {
    let fixture = Fixture::new().await;
    let note = async |terms: &[&str]| {
        let terms = terms.iter().map(|text| (*text).to_owned()).collect();
        fixture
            .store
            .note_price_sheets(terms, differ_from)
            .await
            .unwrap();
    };
    for opened in 0..5 {
        task(&fixture, opened, true).await;
    }
    fixture.store.roll_up(9, meter).await.unwrap();
    assert_eq!(number(&fixture, COSTS).await, 0);
    note(&["one"]).await;
    // Two are priced; then one comes that lies before these, and one that lies behind.
    fixture.store.price_rollups(2, meter).await.unwrap();
    assert_eq!(number(&fixture, COSTS).await, 20);
    task(&fixture, 0, true).await;
    task(&fixture, 9, true).await;
    fixture.store.roll_up(9, meter).await.unwrap();
    while fixture.store.price_rollups(2, meter).await.unwrap() > 0 {}
    assert_eq!(number(&fixture, COSTS).await, 70);
    // Again it changes nothing.
    note(&["one"]).await;
    while fixture.store.price_rollups(2, meter).await.unwrap() > 0 {}
    assert_eq!(number(&fixture, COSTS).await, 70);
    // One that differs from then on only takes its place; one that differs earlier is a sheet of its own.
    note(&["10"]).await;
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_sheets").await,
        1
    );
    note(&["9"]).await;
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_sheets").await,
        2
    );
    while fixture.store.price_rollups(3, meter).await.unwrap() > 0 {}
    assert_eq!(number(&fixture, COSTS).await, 140);
}

#[tokio::test]
async fn sheets_that_are_gone_are_not_kept_without_end() {
    let fixture = Fixture::new().await;
    task(&fixture, 0, true).await;
    fixture.store.roll_up(9, meter).await.unwrap();
    for sheet in 0..SHEETS_KEPT + 5 {
        let terms = vec![format!("sheet {sheet}")];
        fixture
            .store
            .note_price_sheets(terms, differ_from)
            .await
            .unwrap();
        while fixture.store.price_rollups(9, meter).await.unwrap() > 0 {}
    }
    let kept = i64::try_from(SHEETS_KEPT).unwrap() + 1;
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_sheets").await,
        kept
    );
    assert_eq!(number(&fixture, COSTS).await, 10 * kept);
}

#[tokio::test]
async fn nothing_is_removed_that_is_not_rolled_up_or_is_to_be_kept() {
    let fixture = Fixture::new().await;
    for opened in [0, 10, DAY] {
        task(&fixture, opened, true).await;
    }
    task(&fixture, 1, false).await;
    fixture.store.roll_up(9, meter).await.unwrap();
    // The database itself refuses it, whoever asks.
    for statement in [
        "DELETE FROM usage_intervals WHERE opened_at = 0",
        "DELETE FROM usage_intervals WHERE closed_at IS NULL",
        "DELETE FROM usage_unrolled",
        "DELETE FROM usage_rollups",
        "UPDATE usage_rollups SET opened = 0, opened_measured = 0",
    ] {
        let answer = fixture.execute(statement).await;
        assert!(
            matches!(answer, Err(StoreError::Refused(_))),
            "{statement}: {answer:?}"
        );
    }
    assert_eq!(fixture.store.remove_usage(at(DAY), 1).await, Ok(1));
    assert_eq!(fixture.store.remove_usage(at(DAY), 9).await, Ok(1));
    assert_eq!(fixture.store.remove_usage(at(DAY), 9).await, Ok(0));
    assert_eq!(
        number(&fixture, "SELECT count(*) FROM usage_intervals").await,
        2
    );
    assert_eq!(number(&fixture, OPENED).await, 3);
    // What was removed stays removed.
    let answer = fixture
        .execute("UPDATE usage_history SET gone_until = 5")
        .await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
}

/// How many days a year has, and groups, for the measured one.
const DAYS: i64 = 365;

/// Roll-ups of 100,000 tasks on each day, of 20 groups, priced by one sheet.
async fn a_year(fixture: &Fixture) {
    let terms = vec!["one".to_owned()];
    fixture
        .store
        .note_price_sheets(terms, differ_from)
        .await
        .unwrap();
    while fixture.store.price_rollups(9, meter).await.unwrap() > 0 {}
    fixture
        .execute(
            "INSERT INTO usage_groups (cluster, family, service, tags)
             WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19)
             SELECT 'default', 'family-' || (i / 4), 'service-' || i, '{\"team\":\"blue\"}' FROM n",
        )
        .await
        .unwrap();
    fixture
        .execute(
            "INSERT INTO usage_rollups
             WITH RECURSIVE day(at) AS (SELECT 0 UNION ALL SELECT at + 86400000 FROM day WHERE at < 364 * 86400000)
             SELECT 86400000, at, id, 5000, 3, 5000, 20, 0, 20, 1500000000, 375000000000, 768000000000,
                    100000000000000, 5000000000000000, 375000000000, 768000000000
               FROM day CROSS JOIN usage_groups",
        )
        .await
        .unwrap();
    fixture
        .execute(
            "INSERT INTO usage_costs
             SELECT s.id, step_ms, starts_at, group_id, milli_vcpu_ms, mib_ms, opened, 4000000000, 400000000, 0, 0
               FROM usage_rollups CROSS JOIN usage_sheets s",
        )
        .await
        .unwrap();
}

/// What `days` of it come to: tasks, KiB-ms and billionths; and the least time that it took to say so.
async fn read(
    fixture: &Fixture,
    days: i64,
    by: Option<UsageStep>,
) -> ((u64, i128, i128), Duration) {
    let query = RolledQuery {
        filter: UsageFilter::default(),
        from: at(0),
        to: at(days * DAY),
        by,
        terms: ("one".to_owned(), None),
    };
    let mut least = Duration::MAX;
    let mut sums = (0, 0, 0);
    for _ in 0..5 {
        sums = (0, 0, 0);
        let began = Instant::now();
        let mut look = |part: UsagePart<'_>| {
            if let UsagePart::Rolled { usage, costs, .. } = part {
                sums.0 += usage.opened.tasks;
                sums.1 += usage.used_memory_kib_ms;
                sums.2 += costs[0].vcpu_nano + costs[0].memory_nano;
            }
            ControlFlow::Continue(())
        };
        let answer = fixture.store.rolled_usage(&query, &mut look).await.unwrap();
        least = least.min(began.elapsed());
        assert_eq!(answer, Ok(()));
    }
    (sums, least)
}

#[tokio::test]
async fn a_year_of_100_000_tasks_a_day_is_read_from_a_few_rows() {
    let fixture = Fixture::new().await;
    a_year(&fixture).await;
    for by in [None, Some(UsageStep::Day)] {
        let (sums, day) = read(&fixture, 1, by).await;
        assert_eq!(
            sums,
            (100_000, 20 * 5_000_000_000_000_000, 20 * 4_400_000_000)
        );
        let (sums, year) = read(&fixture, DAYS, by).await;
        // That is more KiB-ms than a column holds.
        let times = i128::from(DAYS);
        assert_eq!(
            sums,
            (
                36_500_000,
                times * 20 * 5_000_000_000_000_000,
                times * 20 * 4_400_000_000
            )
        );
        println!("36,500,000 tasks, by {by:?}: a day in {day:?}, a year in {year:?}");
        assert!(year < day * 365, "a year took {year:?}, and a day {day:?}");
    }
}

#[tokio::test]
async fn without_a_whole_hour_or_its_prices_nothing_is_said() {
    let fixture = Fixture::new().await;
    a_year(&fixture).await;
    let ask = async |from: i64, to: i64, terms: &str| {
        let query = RolledQuery {
            filter: UsageFilter::default(),
            from: at(from),
            to: at(to),
            by: None,
            terms: (terms.to_owned(), None),
        };
        let mut look = |_: UsagePart<'_>| ControlFlow::Break(());
        fixture.store.rolled_usage(&query, &mut look).await.unwrap()
    };
    assert_eq!(ask(1, 3_600_001, "one").await, Err(NotRolled::Uneven));
    assert_eq!(ask(0, DAY, "two").await, Err(NotRolled::Unpriced));
    assert_eq!(ask(0, DAY, "one").await, Ok(()));
}
