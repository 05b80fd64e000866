//! Bills of roll-ups, beside bills of the same tasks one by one: generated histories in a real database, whatever they are
//! grouped by and wherever they are cut, must be the same to the last unit.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

use super::*;
use crate::domain::{
    CpuUnits, DesiredStatus, EndEvidence, FamilyRevision, IdSource, LastStatus, MeasuredUse,
    MemoryMib, NetworkMode, Task, TaskDefinition, TaskSpec, TaskUse, UsageChange, UsageInterval,
    UseSource,
};
use crate::meter::rollup::roll_up;
use crate::meter::sheet::{PriceBook, SheetText, differ_from};

const START: i64 = 1_767_225_600_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = START + 5 * DAY;

fn at(millis: i64) -> TimestampMs {
    TimestampMs::from_millis(millis)
}

/// A store and what is in it.
struct World {
    _folder: TempDir,
    store: Store,
    ids: std::sync::Mutex<u128>,
    records: Vec<UsageRecord>,
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let ids = Ids;
        let store = Store::open(&folder.path().join("data"), &ids, at(START))
            .await
            .unwrap();
        Self {
            _folder: folder,
            store,
            ids: std::sync::Mutex::new(1 << 64),
            records: Vec::new(),
        }
    }

    /// Records a task as it was drawn, with its interval, which goes on if it has no end.
    async fn add(&mut self, record: UsageRecord) {
        let interval = record.usage.interval.clone();
        let definition = TaskDefinition {
            family: interval.definition.family.clone(),
            size: None,
            network_mode: NetworkMode::Awsvpc,
            runtime: None,
            containers: Vec::new(),
            volumes: Vec::new(),
        };
        let mut task = Task::new(
            interval.task_id.clone(),
            interval.cluster.clone(),
            TaskSpec::new(definition, interval.definition.revision),
            interval.opened_at,
        );
        task.version = 0;
        task.tags.clone_from(&record.tags);
        if let Some(service) = &record.service {
            task.group = format!("service:{service}");
        }
        let tasks = std::slice::from_ref(&task);
        self.store.create_tasks(tasks, None).await.unwrap();
        task.pull_started_at = Some(interval.opened_at);
        task.last_status = LastStatus::Pending;
        let mut changes = vec![UsageChange::Open(UsageInterval {
            closed: None,
            ..interval.clone()
        })];
        if let Some((at, evidence)) = interval.closed {
            task.planned_status = DesiredStatus::Stopped;
            task.last_status = LastStatus::Stopped;
            (task.stopped_at, task.cleaned_at) = (Some(at), Some(at));
            changes.push(UsageChange::Close { at, evidence });
        }
        changes.extend(record.usage.used.map(UsageChange::Measure));
        self.store.record_task(&task, &[], &changes).await.unwrap();
        self.records.push(record);
    }

    fn draw(&self, random: &mut StdRng) -> UsageRecord {
        let id = {
            let mut ids = self.ids.lock().unwrap();
            *ids += 1;
            *ids
        };
        let opened = START + random.random_range(0..4 * DAY);
        // Also some that begin or end exactly with an hour or a day.
        let opened = if random.random_bool(0.2) {
            opened / HOUR * HOUR
        } else {
            opened
        };
        let length = match random.random_range(0..6) {
            0 => 0,
            1 => random.random_range(1..60_000),
            2 => random.random_range(1..HOUR),
            3 => random.random_range(1..3 * DAY),
            4 => DAY,
            _ => random.random_range(1..4 * HOUR),
        };
        let goes_on = random.random_bool(0.1);
        let evidence = [EndEvidence::Engine, EndEvidence::Estimated][random.random_range(0..2)];
        let service = random.random_range(0..3);
        let tag = random.random_range(0..3);
        let used = random.random_bool(0.7).then(|| MeasuredUse {
            cpu_ns: random.random_range(0..1 << 40),
            memory_kib_ms: random.random_range(0..1 << 45),
            memory_peak_bytes: 1,
            network_rx_bytes: 2,
            network_tx_bytes: 3,
            block_read_bytes: 4,
            block_write_bytes: 5,
            measured_until: at(opened),
            source: UseSource::Cgroup,
        });
        UsageRecord {
            usage: TaskUse {
                interval: UsageInterval {
                    task_id: format!("{id:032x}").parse().unwrap(),
                    cluster: "default".parse().unwrap(),
                    definition: FamilyRevision {
                        family: format!("f{}", random.random_range(0..3)).parse().unwrap(),
                        revision: random.random_range(1..3),
                    },
                    cpu: CpuUnits([256, 1_024, 777][random.random_range(0..3)]),
                    memory: MemoryMib([512, 3_000, 1][random.random_range(0..3)]),
                    opened_at: at(opened),
                    closed: (!goes_on).then(|| (at(opened + length), evidence)),
                },
                used,
            },
            service: (service > 0).then(|| format!("s{service}").parse().unwrap()),
            tags: (tag > 0)
                .then(|| ("team".to_owned(), format!("t{tag}")))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }
    }

    /// Rolls up until nothing is left to do.
    async fn roll_up(&self) {
        while self.store.roll_up(7, roll_up).await.unwrap() > 0 {}
        while self.store.price_rollups(5, roll_up).await.unwrap() > 0 {}
    }

    async fn wrong(&self) -> Vec<String> {
        let checks = self.store.books(at(NOW)).await.unwrap().checks(at(NOW));
        let wrong = checks.into_iter().flat_map(|check| check.differences);
        // Nobody wrote containers down here.
        wrong
            .filter(|what| !what.contains("another time"))
            .collect()
    }
}

struct Ids;

impl IdSource for Ids {
    fn next_id(&self) -> u128 {
        0xfeed_f00d << 96
    }
}

/// The roll-ups' bill, and that of the tasks one by one.
async fn both(
    world: &World,
    book: &PriceBook,
    (from, to): (i64, i64),
    group_by: &GroupBy,
    family: Option<&str>,
) -> (Result<Bill, NotRolled>, Bill) {
    let period = Period {
        from: at(from),
        to: at(to),
    };
    let sheet = book.sheet(None).unwrap().clone();
    let other = book.sheet(Some("odd")).unwrap().clone();
    let query = RolledQuery {
        filter: UsageFilter {
            cluster: None,
            family: family.map(|family| family.parse().unwrap()),
        },
        from: period.from,
        to: period.to,
        by: group_by.step(),
        terms: (sheet.terms(), Some(other.terms())),
    };
    let biller = || {
        Biller::new(
            period,
            at(NOW),
            group_by.clone(),
            sheet.clone(),
            Some(other.clone()),
        )
    };
    let rolled = rolled_bill(&world.store, &query, biller()).await.unwrap();
    let mut exact = biller();
    for record in &world.records {
        let of = record.usage.interval.definition.family.to_string();
        if family.is_none_or(|family| family == of) {
            exact.add(record).unwrap();
        }
    }
    (rolled, exact.finish())
}

fn groupings() -> Vec<GroupBy> {
    let words = ["family", "service", "cluster", "tag:team", "day", "hour"];
    words.map(|word| GroupBy::parse(word).unwrap()).to_vec()
}

/// Fargate, and a sheet whose prices change in the middle of an hour.
fn book(odd_price: &str) -> PriceBook {
    let text = format!(
        "description = \"odd\"\ncurrency = \"USD\"\ngranularity_ms = 7000\nminimum_ms = 90000\n\
         [[price]]\nfrom = \"2026-01-01T10:20:30Z\"\nvcpu_hour = \"0.0123456789\"\ngb_hour = \"0.000000007\"\ntask = \"0.0000000003\"\n\
         [[price]]\nfrom = \"2026-01-03T23:59:59Z\"\nvcpu_hour = \"{odd_price}\"\ngb_hour = \"0.01\"\n"
    );
    let own = SheetText {
        file: "odd.toml".to_owned(),
        name: "odd".to_owned(),
        text,
    };
    PriceBook::new(&[own], None).unwrap()
}

/// Periods that begin and end with hours, with days, and with neither.
fn periods(random: &mut StdRng) -> Vec<(i64, i64)> {
    let mut periods = vec![
        (START - DAY, NOW + DAY),
        (START, START + 3 * DAY),
        (START + 7, NOW + 1),
    ];
    for unit in [HOUR, DAY, 1, 1] {
        let from = START + random.random_range(0..2 * DAY) / unit * unit;
        let to = from + 2 * HOUR + random.random_range(0..3 * DAY) / unit * unit;
        periods.push((from, to.max(from + unit)));
    }
    periods
}

async fn assert_same(world: &World, book: &PriceBook, random: &mut StdRng, seed: u64) {
    for period in periods(random) {
        for group_by in groupings() {
            for family in [None, Some("f1")] {
                let (rolled, exact) = both(world, book, period, &group_by, family).await;
                let rolled =
                    rolled.unwrap_or_else(|why| panic!("seed {seed}, {period:?}: {why:?}"));
                assert_eq!(
                    rolled, exact,
                    "seed {seed}, {period:?}, {group_by}, {family:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn roll_ups_are_the_sum_of_their_parts_however_they_are_grouped_and_cut() {
    for seed in 1..=6 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new().await;
        let first = book("0.02");
        world
            .store
            .note_price_sheets(first.terms(), differ_from)
            .await
            .unwrap();
        for _ in 0..25 {
            let record = world.draw(&mut random);
            world.add(record).await;
        }
        world.roll_up().await;
        // What came since is not rolled up yet.
        for _ in 0..6 {
            let record = world.draw(&mut random);
            world.add(record).await;
        }
        assert_same(&world, &first, &mut random, seed).await;
        assert_eq!(world.wrong().await, Vec::<String>::new(), "seed {seed}");

        // Another sheet comes when all of that is there. It is priced bit by bit, while others are rolled up.
        let second = book("0.03");
        world
            .store
            .note_price_sheets(second.terms(), differ_from)
            .await
            .unwrap();
        world.store.price_rollups(9, roll_up).await.unwrap();
        let all = (START - DAY, NOW + DAY);
        let (rolled, _) = both(&world, &second, all, &GroupBy::Family, None).await;
        assert_eq!(rolled, Err(NotRolled::Unpriced), "seed {seed}");
        world.store.roll_up(3, roll_up).await.unwrap();
        world.roll_up().await;
        assert_same(&world, &second, &mut random, seed).await;
        assert_same(&world, &first, &mut random, seed).await;
        assert_eq!(world.wrong().await, Vec::<String>::new(), "seed {seed}");
    }
}

#[tokio::test]
async fn what_was_removed_stays_on_every_bill_that_does_not_name_tasks() {
    let mut random = StdRng::seed_from_u64(99);
    let mut world = World::new().await;
    let prices = book("0.02");
    world
        .store
        .note_price_sheets(prices.terms(), differ_from)
        .await
        .unwrap();
    for _ in 0..40 {
        let record = world.draw(&mut random);
        world.add(record).await;
    }
    let gone = START + 3 * DAY;
    // Nothing is rolled up, so nothing may go.
    assert_eq!(world.store.remove_usage(at(gone), 100).await, Ok(0));
    assert_eq!(world.store.usage_gone_until().await, Ok(None));
    world.roll_up().await;
    let mut removed = 0;
    loop {
        match world.store.remove_usage(at(gone), 4).await.unwrap() {
            0 => break,
            some => removed += some,
        }
    }
    let old = |record: &&UsageRecord| {
        record
            .usage
            .interval
            .closed
            .is_some_and(|(end, _)| end < at(gone))
    };
    assert_eq!(removed, world.records.iter().filter(old).count());
    assert!(removed > 10, "{removed}");
    assert_eq!(world.store.usage_gone_until().await, Ok(Some(at(gone))));
    assert_eq!(world.wrong().await, Vec::<String>::new());

    // Whole hours are as they were, and so is everything since.
    for period in [
        (START - DAY, NOW + DAY),
        (START + 5 * HOUR, gone + 17),
        (gone + 5, NOW + 7),
    ] {
        for group_by in groupings() {
            let (rolled, exact) = both(&world, &prices, period, &group_by, None).await;
            assert_eq!(rolled, Ok(exact), "{period:?} {group_by}");
        }
    }
    let (rolled, _) = both(&world, &prices, (START + 5, NOW), &GroupBy::Family, None).await;
    assert_eq!(rolled, Err(NotRolled::Uneven));

    // A sheet that only says something of the future is taken for the one of before; one that changes the past is not.
    let changed = book("0.5");
    world
        .store
        .note_price_sheets(changed.terms(), differ_from)
        .await
        .unwrap();
    world.roll_up().await;
    let (rolled, _) = both(&world, &changed, (START, NOW), &GroupBy::Family, None).await;
    assert_eq!(rolled, Err(NotRolled::Unpriced));
    let (rolled, exact) = both(&world, &changed, (gone, NOW), &GroupBy::Family, None).await;
    assert_eq!(rolled, Ok(exact));
}
