//! Bills of generated histories: they agree with the oracle, and however they are cut, with each other.

mod rolled;

use num_bigint::BigInt;
use proptest::prelude::*;

use super::oracle::{History, Written, WrittenSheet};
use super::*;
use crate::domain::{CpuUnits, MeasuredUse, MemoryMib, TaskUse, UsageInterval, UseSource};
use crate::meter::sheet::{PriceBook, SheetText};

/// Where the histories lie: about the change of the prices, and of a day.
const HOUR_MS: i64 = 3_600_000;
const START: i64 = 1_767_225_600_000;
const NOW: i64 = START + 40 * HOUR_MS;

fn at(millis: i64) -> TimestampMs {
    TimestampMs::from_millis(millis)
}

/// The sheet that the oracle reads from its parts, as Neargate reads it from its text.
fn read(sheet: &WrittenSheet) -> PriceSheet {
    use std::fmt::Write as _;
    let mut text = format!(
        "description = \"generated\"\ncurrency = \"USD\"\ngranularity_ms = {}\nminimum_ms = {}\n",
        sheet.granularity_ms, sheet.minimum_ms
    );
    for (from, written) in &sheet.prices {
        write!(text, "[[price]]\nfrom = \"{}\"\n", at(*from)).unwrap();
        match written {
            Written::Plain(vcpu, gb, task) => write!(
                text,
                "vcpu_hour = \"{vcpu}\"\ngb_hour = \"{gb}\"\ntask = \"{task}\"\n"
            ),
            Written::Machine(month, vcpus, gb, share) => write!(
                text,
                "machine_month = \"{month}\"\nmachine_vcpus = {vcpus}\nmachine_gb = {gb}\ncpu_share_percent = {share}\n"
            ),
        }
        .unwrap();
    }
    let text = SheetText {
        file: "generated.toml".to_owned(),
        name: "generated".to_owned(),
        text,
    };
    text.read().unwrap()
}

fn plain(vcpu: &str, gb: &str, task: &str) -> Written {
    Written::Plain(vcpu.to_owned(), gb.to_owned(), task.to_owned())
}

/// The shipped sheets as they are published, and others with everything that a sheet can have.
fn a_sheet() -> impl Strategy<Value = WrittenSheet> {
    let decimal = "[0-9]{1,3}\\.[0-9]{1,12}";
    let price = prop_oneof![
        (decimal, decimal, decimal).prop_map(|(vcpu, gb, task)| Written::Plain(vcpu, gb, task)),
        (decimal, 1_i64..200, 1_i64..2_000, 0_i64..=100)
            .prop_map(|(month, vcpus, gb, share)| Written::Machine(month, vcpus, gb, share)),
    ];
    let odd = (
        prop_oneof![Just(1_i64), Just(100), Just(1_000), 1_i64..100_000],
        prop_oneof![Just(0_i64), Just(60_000), 0_i64..200_000],
        proptest::collection::btree_map(-HOUR_MS..30 * HOUR_MS, price, 1..5),
    );
    let odd = odd.prop_map(|(granularity_ms, minimum_ms, prices)| WrittenSheet {
        granularity_ms,
        minimum_ms,
        prices: prices
            .into_iter()
            .map(|(from, written)| (START + from, written))
            .collect(),
    });
    let shipped = |granularity_ms, minimum_ms, price| {
        Just(WrittenSheet {
            granularity_ms,
            minimum_ms,
            prices: vec![(0, price)],
        })
    };
    prop_oneof![
        4 => odd,
        1 => shipped(1_000, 60_000, plain("0.04048", "0.004445", "0")),
        1 => shipped(1_000, 60_000, plain("0.03238", "0.00356", "0")),
        1 => shipped(1, 0, plain("0", "0.06000012", "0.0000002")),
    ]
}

/// Tasks from 0 ms to two days long, some of which go on.
fn a_record() -> impl Strategy<Value = UsageRecord> {
    let length = prop_oneof![0_i64..3, 0_i64..3_000, 0_i64..120_000, 0_i64..48 * HOUR_MS];
    let cpu = prop_oneof![Just(256_u32), Just(1_024), Just(16_384), 0_u32..4_000];
    let memory = prop_oneof![Just(512_u32), Just(122_880), 0_u32..9_000];
    (
        (0_i64..30 * HOUR_MS, prop::option::weighted(0.9, length)),
        (cpu, memory),
        (0_u32..3, 0_u32..3, 0_u32..4, 0_u32..3),
        any::<u128>(),
        (
            any::<bool>(),
            prop::option::of((0_u64..1 << 50, 0_u64..1 << 50)),
        ),
    )
        .prop_map(
            |((opened, length), (cpu, memory), names, id, (estimated, used))| {
                let evidence = if estimated {
                    EndEvidence::Estimated
                } else {
                    EndEvidence::Engine
                };
                let (cluster, family, service, tag) = names;
                // Names of services are those of their cluster; 0 is none.
                let service = (service > 0).then(|| format!("s{service}").parse().unwrap());
                let tags = (tag > 0).then(|| ("team".to_owned(), format!("=t{tag}")));
                let interval = UsageInterval {
                    task_id: format!("{id:032x}").parse().unwrap(),
                    cluster: format!("c{cluster}").parse().unwrap(),
                    definition: FamilyRevision {
                        family: format!("f{family}").parse().unwrap(),
                        revision: 1,
                    },
                    cpu: CpuUnits(cpu),
                    memory: MemoryMib(memory),
                    opened_at: at(START + opened),
                    closed: length.map(|length| (at(START + opened + length), evidence)),
                };
                let used = used.map(|(cpu_ns, memory_kib_ms)| measured(cpu_ns, memory_kib_ms));
                UsageRecord {
                    usage: TaskUse { interval, used },
                    service,
                    tags: tags.into_iter().collect(),
                }
            },
        )
}

fn measured(cpu_ns: u64, memory_kib_ms: u64) -> MeasuredUse {
    MeasuredUse {
        cpu_ns,
        memory_kib_ms,
        memory_peak_bytes: 0,
        network_rx_bytes: 0,
        network_tx_bytes: 0,
        block_read_bytes: 0,
        block_write_bytes: 0,
        measured_until: at(NOW),
        source: UseSource::Cgroup,
    }
}

fn history_of(record: &UsageRecord) -> History {
    let interval = &record.usage.interval;
    History {
        opened: interval.opened_at.as_millis(),
        closed: interval.closed.map(|(at, _)| at.as_millis()),
        milli_vcpu: i64::from(interval.cpu.0) * 1_000 / 1_024,
        mib: interval.memory.0.into(),
    }
}

fn bill_of(
    records: &[UsageRecord],
    sheet: &PriceSheet,
    (from, to): (i64, i64),
    group_by: GroupBy,
) -> Bill {
    let period = Period {
        from: at(from),
        to: at(to),
    };
    let mut biller = Biller::new(period, at(NOW), group_by, sheet.clone(), None);
    for record in records {
        biller.add(record).unwrap();
    }
    biller.finish()
}

fn groupings() -> [GroupBy; 7] {
    [
        "task", "family", "service", "cluster", "tag:team", "day", "hour",
    ]
    .map(|text| GroupBy::parse(text).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Every line of single tasks, and the total, agree with the oracle to the last billionth.
    #[test]
    fn a_bill_is_what_the_oracle_says(
        records in proptest::collection::vec(a_record(), 1..8),
        sheet in a_sheet(),
        from in -HOUR_MS..32 * HOUR_MS,
        length in 1_i64..60 * HOUR_MS,
    ) {
        let period = (START + from, START + from + length);
        let bill = bill_of(&records, &read(&sheet), period, GroupBy::Task);
        let mut sum = BigInt::from(0);
        for record in &records {
            let expected = sheet.cost(&history_of(record), period.0, period.1, NOW);
            let id = &record.usage.interval.task_id;
            let line = bill.lines.iter().find(|line| matches!(&line.subject, Subject::Task(task) if task.id == *id));
            let billed = line.map_or(0, |line| line.sums.accrued.cost.total().0);
            prop_assert_eq!(BigInt::from(billed), expected.clone(), "{:?}", record);
            sum += expected;
        }
        prop_assert_eq!(BigInt::from(bill.total.accrued.cost.total().0), sum);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// However it is grouped, the lines come to the total, and the total is the same.
    #[test]
    fn every_grouping_comes_to_the_same_total(
        records in proptest::collection::vec(a_record(), 0..20),
        sheet in a_sheet(),
    ) {
        let sheet = read(&sheet);
        let period = (START, START + 36 * HOUR_MS + 1);
        let expected = bill_of(&records, &sheet, period, GroupBy::Task).total;
        for group_by in groupings() {
            let steps = group_by.step_ms().is_some();
            let bill = bill_of(&records, &sheet, period, group_by);
            prop_assert_eq!(bill.total, expected);
            let mut sum = Sums::default();
            for line in &bill.lines {
                sum += line.sums;
            }
            prop_assert_eq!(sum.accrued, expected.accrued);
            prop_assert_eq!(sum.duration_ms, expected.duration_ms);
            prop_assert_eq!(sum.used.cpu_ns, expected.used.cpu_ns);
            prop_assert_eq!(sum.used.memory_kib_ms, expected.used.memory_kib_ms);
            prop_assert!(steps || sum == expected);
        }
    }

    /// Wherever a period is cut, nothing is lost and nothing counted twice.
    #[test]
    fn cutting_a_period_anywhere_conserves_everything(
        records in proptest::collection::vec(a_record(), 0..12),
        sheet in a_sheet(),
        cuts in proptest::collection::vec(0_i64..80 * HOUR_MS, 0..6),
        at_an_edge in any::<prop::sample::Index>(),
    ) {
        let sheet = read(&sheet);
        let (from, to) = (START - 1, START + 81 * HOUR_MS);
        let whole = bill_of(&records, &sheet, (from, to), GroupBy::Family).total;
        let mut cuts: Vec<i64> = cuts.into_iter().map(|cut| START + cut).collect();
        // Also exactly where something begins or ends.
        let edges: Vec<i64> = records
            .iter()
            .flat_map(|record| {
                let closed = record.usage.interval.closed.map(|(at, _)| at.as_millis());
                [Some(record.usage.interval.opened_at.as_millis()), closed]
            })
            .flatten()
            .collect();
        if !edges.is_empty() {
            cuts.push(edges[at_an_edge.index(edges.len())]);
        }
        cuts.extend([from, to]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut sum = Sums::default();
        for pair in cuts.windows(2) {
            sum += bill_of(&records, &sheet, (pair[0], pair[1]), GroupBy::Family).total;
        }
        prop_assert_eq!(sum.accrued, whole.accrued);
        prop_assert_eq!(sum.duration_ms, whole.duration_ms);
    }
}

/// A task of family `web` with one vCPU and one GB.
fn record(id: u32, opened: i64, closed: Option<i64>) -> UsageRecord {
    let interval = UsageInterval {
        task_id: format!("{id:032x}").parse().unwrap(),
        cluster: "default".parse().unwrap(),
        definition: FamilyRevision {
            family: "web".parse().unwrap(),
            revision: 1,
        },
        cpu: CpuUnits(1_024),
        memory: MemoryMib(1_024),
        opened_at: at(opened),
        closed: closed.map(|closed| (at(closed), EndEvidence::Estimated)),
    };
    UsageRecord {
        usage: TaskUse {
            interval,
            used: None,
        },
        service: None,
        tags: BTreeMap::new(),
    }
}

#[test]
fn a_bill_says_what_goes_on_and_what_is_estimated() {
    let fargate = PriceBook::default().sheet(None).unwrap().clone();
    let records = [
        record(1, START, Some(START + 90_000)),
        record(2, NOW - 5_000, None),
    ];
    let bill = bill_of(&records, &fargate, (START, NOW + HOUR_MS), GroupBy::Family);
    let [line] = &bill.lines[..] else {
        panic!("{bill:#?}")
    };
    let Sums {
        tasks,
        running,
        estimated,
        duration_ms,
        ..
    } = line.sums;
    assert_eq!((tasks, running, estimated, duration_ms), (2, 1, 1, 95_000));
    // 95 s of one vCPU and one GB.
    assert_eq!(line.sums.accrued.cost.total().0, 1_123_125 + 62_396);
}

#[test]
fn what_stood_idle_is_told_of_those_that_were_measured() {
    let fargate = PriceBook::default().sheet(None).unwrap().clone();
    let mut busy = record(1, START, Some(START + 100_000));
    // A quarter of a vCPU, and half a GB, all the time.
    busy.usage.used = Some(measured(25_000_000_000, 512 * 1_024 * 100_000));
    let unseen = record(2, START, Some(START + 900_000));
    let bill = bill_of(&[busy, unseen], &fargate, (START, NOW), GroupBy::Family);
    let used = bill.total.used;
    assert_eq!(
        (used.idle_vcpu(), used.idle_memory()),
        (Some(7_500), Some(5_000))
    );
    assert_eq!(used.tasks, 1);
    assert_eq!(Used::default().idle_vcpu(), None);
}

#[test]
fn the_dearest_comes_first_and_time_in_its_order() {
    let fargate = PriceBook::default().sheet(None).unwrap().clone();
    let mut long = record(1, START, Some(START + 2 * HOUR_MS));
    long.usage.interval.definition.family = "long".parse().unwrap();
    let records = [record(2, START, Some(START + 1)), long];
    let families = bill_of(&records, &fargate, (START, NOW), GroupBy::Family);
    let subjects: Vec<&Subject> = families.lines.iter().map(|line| &line.subject).collect();
    assert_eq!(
        subjects,
        [
            &Subject::Family("long".to_owned()),
            &Subject::Family("web".to_owned())
        ]
    );
    let hours = bill_of(&records, &fargate, (START + 5, NOW), GroupBy::Hour);
    let starts: Vec<&Subject> = hours.lines.iter().map(|line| &line.subject).collect();
    assert_eq!(
        starts,
        [
            &Subject::Time(at(START)),
            &Subject::Time(at(START + HOUR_MS))
        ]
    );
    assert_eq!(hours.total.tasks, 1, "the other one is over before");
}

#[test]
fn a_bill_does_not_grow_without_end() {
    let fargate = PriceBook::default().sheet(None).unwrap().clone();
    let period = Period {
        from: at(0),
        to: at(NOW),
    };
    let mut biller = Biller::new(period, at(NOW), GroupBy::Hour, fargate, None);
    assert_eq!(biller.add(&record(1, 0, None)), Err(TooManyLines));
}

#[test]
fn what_bills_are_grouped_by_is_typed() {
    for group_by in groupings() {
        assert_eq!(GroupBy::parse(&group_by.to_string()), Some(group_by));
    }
    for text in [
        "",
        "tag:",
        "tag",
        "month",
        &format!("tag:{}", "k".repeat(129)),
    ] {
        assert_eq!(GroupBy::parse(text), None, "{text:?}");
    }
}

#[test]
fn shares_are_hundredths_of_a_percent() {
    for (part, whole, hundredths) in [(1, 3, 3_333), (2, 3, 6_667), (5, 5, 10_000), (1, 0, 0)] {
        assert_eq!(share(part, whole), hundredths);
    }
}
