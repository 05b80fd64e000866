//! What a price sheet may say, and what it means.

use super::*;
use crate::domain::{CpuUnits, EndEvidence, FamilyRevision, MemoryMib};

fn sheet(text: &str) -> Result<PriceSheet, SheetError> {
    let text = SheetText {
        file: "prices/own.toml".to_owned(),
        name: "own".to_owned(),
        text: text.to_owned(),
    };
    text.read()
}

/// A sheet with that head and those prices.
fn written(granularity_ms: i64, minimum_ms: i64, prices: &str) -> PriceSheet {
    let head = format!(
        "description = \"d\"\ncurrency = \"USD\"\ngranularity_ms = {granularity_ms}\nminimum_ms = {minimum_ms}\n"
    );
    sheet(&(head + prices)).unwrap()
}

fn at(millis: i64) -> TimestampMs {
    TimestampMs::from_millis(millis)
}

/// One vCPU and one GB.
fn interval(opened: i64, closed: Option<i64>) -> UsageInterval {
    UsageInterval {
        task_id: "0".repeat(32).parse().unwrap(),
        cluster: "default".parse().unwrap(),
        definition: FamilyRevision {
            family: "web".parse().unwrap(),
            revision: 1,
        },
        cpu: CpuUnits(1_024),
        memory: MemoryMib(1_024),
        opened_at: at(opened),
        closed: closed.map(|at| (TimestampMs::from_millis(at), EndEvidence::Engine)),
    }
}

fn nanos(sheet: &PriceSheet, interval: &UsageInterval, until: i64) -> i128 {
    sheet.accrued(interval, at(until)).cost.total().0
}

const SOME: i64 = 1_700_000_000_000;

#[test]
fn the_shipped_sheets_can_be_read_and_cost_what_is_published() {
    let book = PriceBook::default();
    let hour = interval(SOME, Some(SOME + 3_600_000));
    for (name, cost) in [
        // One vCPU and one GB for an hour.
        ("fargate", 40_480_000 + 4_445_000),
        ("fargate-arm", 32_380_000 + 3_560_000),
        ("lambda", 60_000_120 + 200),
    ] {
        let sheet = book.sheet(Some(name)).unwrap();
        assert_eq!(nanos(sheet, &hour, SOME * 2), cost, "{name}");
        assert!(sheet.source.is_some(), "{name}");
    }
    assert_eq!(book.sheet(None).unwrap().name, "fargate");
    let own = book.sheet(Some("own")).unwrap_err();
    assert!(own.hint.contains("prices/own.toml"), "{own:?}");
    let none = book.sheet(Some("azure")).unwrap_err();
    assert_eq!(none.message, "there is no price sheet \"azure\"");
    assert!(none.hint.contains("fargate, fargate-arm, lambda, own"));
}

#[test]
fn fargate_bills_seconds_and_a_minute_at_least() {
    let book = PriceBook::default();
    let fargate = book.sheet(Some("fargate")).unwrap();
    let cost = |length| nanos(fargate, &interval(SOME, Some(SOME + length)), SOME * 2);
    let minute = cost(60_000);
    // 0.044925 / 60
    assert_eq!(minute, 748_750);
    for length in [0, 1, 59_999] {
        assert_eq!(cost(length), minute, "{length}");
    }
    assert_eq!(cost(60_001), cost(61_000));
    assert!(cost(60_001) > minute);
}

#[test]
fn what_goes_on_is_counted_to_the_millisecond() {
    let sheet = written(
        1_000,
        60_000,
        "[[price]]\nfrom = \"1970-01-01T00:00:00Z\"\nvcpu_second = \"1\"\n",
    );
    let going = interval(0, None);
    assert_eq!(nanos(&sheet, &going, 1_500), 1_500_000_000);
    let ended = interval(0, Some(1_500));
    // The last millisecond brings what rounding and the minimum add.
    assert_eq!(nanos(&sheet, &ended, 1_499), 1_499_000_000);
    assert_eq!(nanos(&sheet, &ended, 1_500), 60_000_000_000);
    assert_eq!(nanos(&sheet, &ended, 9_999_999), 60_000_000_000);
}

#[test]
fn a_change_of_price_cuts_an_interval() {
    let sheet = written(
        1,
        0,
        "[[price]]\nfrom = \"1970-01-01T00:00:10Z\"\nvcpu_second = \"1\"\ntask = \"0.5\"\n\
         [[price]]\nfrom = \"1970-01-01T00:00:20Z\"\nvcpu_second = \"2\"\ngb_second = \"1\"\n",
    );
    let second = 1_000_000_000;
    for (opened, closed, cost, unpriced) in [
        (12_000, 18_000, 6 * second + second / 2, 0),
        (12_000, 20_000, 8 * second + second / 2, 0),
        (15_000, 25_000, 20 * second + second / 2, 0),
        (20_000, 21_000, 3 * second, 0),
        (5_000, 12_000, 2 * second, 5_000),
        (1_000, 3_000, 0, 2_000),
    ] {
        let interval = interval(opened, Some(closed));
        let accrued = sheet.accrued(&interval, at(99_000));
        assert_eq!(accrued.cost.total().0, cost, "{opened}..{closed}");
        assert_eq!(accrued.unpriced_ms, unpriced, "{opened}..{closed}");
    }
}

#[test]
fn what_is_added_at_the_end_has_the_price_of_the_end() {
    let sheet = written(
        10_000,
        0,
        "[[price]]\nfrom = \"1970-01-01T00:00:00Z\"\nvcpu_second = \"1\"\n\
         [[price]]\nfrom = \"1970-01-01T00:00:05Z\"\nvcpu_second = \"2\"\n",
    );
    // 5 s at 1, 1 s at 2, and 4 s that are added at 2.
    let cost = nanos(&sheet, &interval(0, Some(6_000)), 9_000);
    assert_eq!(cost, (5 + 2 + 8) * 1_000_000_000);
    // It ended in the last millisecond of the earlier price.
    let cost = nanos(&sheet, &interval(0, Some(5_000)), 9_000);
    assert_eq!(cost, 10 * 1_000_000_000);
}

#[test]
fn a_machine_costs_its_price_when_it_is_full_for_a_month() {
    let sheet = written(
        1,
        0,
        "[[price]]\nfrom = \"1970-01-01T00:00:00Z\"\nmachine_month = \"73\"\nmachine_vcpus = 2\nmachine_gb = 10\n\
         cpu_share_percent = 60\n",
    );
    let mut month = interval(0, Some(730 * 3_600_000));
    month.cpu = CpuUnits(2_048);
    month.memory = MemoryMib(10_240);
    let cost = sheet.accrued(&month, at(SOME)).cost;
    assert_eq!(cost.vcpu.0, 43_800_000_000);
    assert_eq!(cost.memory.0, 29_200_000_000);
}

#[test]
fn a_sheet_of_the_operators_replaces_the_shipped_one() {
    let own = SheetText {
        file: "/data/prices/own.toml".to_owned(),
        name: "own".to_owned(),
        text: "description = \"ours\"\ncurrency = \"EUR\"\ngranularity_ms = 1\nminimum_ms = 0\n\
               [[price]]\nfrom = \"2026-01-01T00:00:00Z\"\nvcpu_hour = \"0.01\"\n"
            .to_owned(),
    };
    let book = PriceBook::new(std::slice::from_ref(&own), Some("own")).unwrap();
    assert_eq!(book.sheet(None).unwrap().description, "ours");
    let error = PriceBook::new(&[], Some("own")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "price_sheet in the configuration: the price sheet \"own\" has no price yet"
    );
    let odd = SheetText {
        name: "my sheet".to_owned(),
        ..own
    };
    let error = PriceBook::new(&[odd], None).unwrap_err();
    assert!(error.hint.contains("64 letters"), "{error:?}");
}

#[test]
fn what_is_wrong_is_said_with_its_line_and_what_to_write() {
    const HEAD: &str =
        "description = \"d\"\ncurrency = \"USD\"\ngranularity_ms = 1\nminimum_ms = 0\n";
    const FROM: &str = "[[price]]\nfrom = \"2026-01-01T00:00:00Z\"\n";
    for (text, place, message, hint) in [
        (
            "currency = \"usd\"\ndescription = \"d\"\ngranularity_ms = 1\nminimum_ms = 0\n"
                .to_owned(),
            1,
            "currency is \"usd\"",
            "USD",
        ),
        (
            HEAD.replace("granularity_ms = 1", "granularity_ms = 0"),
            3,
            "granularity_ms is 0",
            "from 1 to",
        ),
        (
            HEAD.to_owned() + "surprise = 1\n",
            5,
            "unknown field `surprise`",
            "fargate.toml",
        ),
        (
            HEAD.to_owned() + "[[price]]\nfrom = \"soon\"\ngb_hour = \"1\"\n",
            6,
            "from is \"soon\"",
            "2026-01-31T00:00:00Z",
        ),
        (
            format!("{HEAD}{FROM}vcpu_hour = 0.04\n"),
            7,
            "invalid type",
            "in quotes",
        ),
        (
            format!("{HEAD}{FROM}vcpu_hour = \"1,5\"\n"),
            7,
            "vcpu_hour is \"1,5\"",
            "0.04048",
        ),
        (
            format!("{HEAD}{FROM}vcpu_hour = \"10001\"\n"),
            7,
            "more than 10000",
            "larger unit",
        ),
        (
            format!("{HEAD}{FROM}vcpu_second = \"3\"\n"),
            7,
            "more than 10000",
            "larger unit",
        ),
        (
            format!("{HEAD}{FROM}gb_hour = \"1\"\ngb_second = \"1\"\n"),
            8,
            "per hour and one per second",
            "leave one",
        ),
        (
            format!("{HEAD}{FROM}gb_hour = \"1\"\n{FROM}gb_hour = \"2\"\n"),
            9,
            "not later",
            "in the order",
        ),
        (format!("{HEAD}{FROM}"), 5, "neither", "machine_vcpus"),
        (
            format!("{HEAD}{FROM}machine_month = \"9\"\nvcpu_hour = \"1\"\n"),
            5,
            "neither",
            "vcpu_hour",
        ),
    ] {
        let error = sheet(&text).unwrap_err();
        assert_eq!(error.place, format!("prices/own.toml:{place}"), "{error:?}");
        assert!(error.message.contains(message), "{error:?}");
        assert!(error.hint.contains(hint), "{error:?}");
    }
}
