//! What is written of a bill, against the rules of the formats.

use std::collections::BTreeMap;

use super::focus::HEAD;
use super::*;
use crate::domain::{
    CpuUnits, EndEvidence, FamilyRevision, MemoryMib, TaskUse, UsageInterval, UsageRecord,
};
use crate::meter::bill::{Biller, GroupBy, Period};
use crate::meter::sheet::PriceBook;

const START: i64 = 1_767_225_600_000;

fn record(id: u32, name: &str, length_ms: Option<i64>) -> UsageRecord {
    let at = TimestampMs::from_millis;
    let opened_at = START + 1_500 * i64::from(id);
    let interval = UsageInterval {
        task_id: format!("{id:032x}").parse().unwrap(),
        cluster: "default".parse().unwrap(),
        definition: FamilyRevision {
            family: name.parse().unwrap(),
            revision: 3,
        },
        cpu: CpuUnits(256),
        memory: MemoryMib(512),
        opened_at: at(opened_at),
        closed: length_ms.map(|length| (at(opened_at + length), EndEvidence::Estimated)),
    };
    UsageRecord {
        usage: TaskUse {
            interval,
            used: None,
        },
        service: Some("-shop".parse().unwrap()),
        tags: BTreeMap::from([("team".to_owned(), "=HYPERLINK(\"x\",1)".to_owned())]),
    }
}

fn bill_by(group_by: &str, sheet: &str) -> Bill {
    let at = TimestampMs::from_millis;
    let book = PriceBook::default();
    let period = Period {
        from: at(START),
        to: at(START + 86_400_000),
    };
    let group_by = GroupBy::parse(group_by).unwrap();
    let sheet = book.sheet(Some(sheet)).unwrap().clone();
    let other = book.sheet(Some("fargate-arm")).unwrap().clone();
    let now = at(START + 7_200_000);
    let mut biller = Biller::new(period, now, group_by, sheet, Some(other));
    for record in [
        record(1, "web", Some(90_500)),
        record(2, "-web", Some(20)),
        record(3, "web", None),
    ] {
        biller.add(&record).unwrap();
    }
    Bill::new(&biller.finish(), &"feedf00d".parse().unwrap())
}

/// The fields of a table as RFC 4180 has them.
fn read(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {
                assert_eq!(chars.next(), Some('\n'), "a line ends with CR and LF");
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(c),
        }
    }
    assert!(
        row.is_empty() && field.is_empty(),
        "the last line has an end"
    );
    rows
}

#[test]
fn a_bill_says_what_its_lines_come_to() {
    let bill = bill_by("family", "fargate");
    assert_eq!(bill.from, "2026-01-01T00:00:00.000Z");
    let names: Vec<_> = bill.items.iter().map(|line| line.name.as_deref()).collect();
    assert_eq!(names, [Some("web"), Some("-web")]);
    let nanos: i64 = bill.items.iter().map(|line| line.cost_nano).sum();
    assert_eq!(nanos, bill.total.cost_nano);
    // A minute of a quarter of a vCPU and half a GB.
    assert_eq!(bill.items[1].cost, "0.000205708");
    assert_eq!(bill.total.share, "100.00");
    assert!(bill.items[1].compared_cost_nano.unwrap() < bill.items[1].cost_nano);
    assert_eq!(
        bill.notes,
        [
            "1 task goes on and is counted until 2026-01-01T02:00:00.000Z",
            "of 2 tasks nobody recorded the end: it is estimated"
        ]
    );
}

#[test]
fn no_field_of_a_table_is_a_formula_and_all_can_be_read_back() {
    let rows = read(&bill_by("tag:team", "fargate").csv());
    let (head, rows) = rows.split_first().unwrap();
    assert_eq!(rows.len(), 1);
    let column = |name: &str| head.iter().position(|column| column == name).unwrap();
    assert_eq!(rows[0][column("name")], "'=HYPERLINK(\"x\",1)");
    assert_eq!(rows[0][column("tasks")], "3");

    for text in [
        bill_by("task", "fargate").csv(),
        bill_by("task", "fargate").focus(),
    ] {
        let rows = read(&text);
        for row in &rows {
            assert_eq!(row.len(), rows[0].len(), "{row:?}");
            for field in row {
                assert!(!field.starts_with(['=', '+', '-', '@']), "{field}");
            }
        }
        assert!(text.contains("'-web") || text.contains("of -web"), "{text}");
        assert!(text.contains("'-shop"), "{text}");
    }
}

/// How FOCUS 1.2 describes a column: its name, whether each dataset must have it, whether it may be null, its type.
///
/// Transcribed from the specification's chapter "Columns", the tables "Content constraints"
/// (<https://focus.finops.org/focus-specification/v1-2/>; in its repository, `FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec`
/// on GitHub, the files of `specification/columns/`). `M` is mandatory, `C` conditional,
/// `R` recommended.
const FOCUS_1_2: &[(&str, char, bool, &str)] = &[
    ("AvailabilityZone", 'R', true, "String"),
    ("BilledCost", 'M', false, "Decimal"),
    ("BillingAccountId", 'M', false, "String"),
    ("BillingAccountName", 'M', true, "String"),
    ("BillingAccountType", 'C', true, "String"),
    ("BillingCurrency", 'M', false, "String"),
    ("BillingPeriodEnd", 'M', false, "DateTime"),
    ("BillingPeriodStart", 'M', false, "DateTime"),
    ("CapacityReservationId", 'C', true, "String"),
    ("CapacityReservationStatus", 'C', true, "String"),
    ("ChargeCategory", 'M', false, "String"),
    ("ChargeClass", 'M', true, "String"),
    ("ChargeDescription", 'M', true, "String"),
    ("ChargeFrequency", 'R', false, "String"),
    ("ChargePeriodEnd", 'M', false, "DateTime"),
    ("ChargePeriodStart", 'M', false, "DateTime"),
    ("CommitmentDiscountCategory", 'C', true, "String"),
    ("CommitmentDiscountId", 'C', true, "String"),
    ("CommitmentDiscountName", 'C', true, "String"),
    ("CommitmentDiscountQuantity", 'C', true, "Decimal"),
    ("CommitmentDiscountStatus", 'C', true, "String"),
    ("CommitmentDiscountType", 'C', true, "String"),
    ("CommitmentDiscountUnit", 'C', true, "String"),
    ("ConsumedQuantity", 'C', true, "Decimal"),
    ("ConsumedUnit", 'C', true, "String"),
    ("ContractedCost", 'M', false, "Decimal"),
    ("ContractedUnitPrice", 'C', true, "Decimal"),
    ("EffectiveCost", 'M', false, "Decimal"),
    ("InvoiceId", 'R', true, "String"),
    ("InvoiceIssuerName", 'M', false, "String"),
    ("ListCost", 'M', false, "Decimal"),
    ("ListUnitPrice", 'C', true, "Decimal"),
    ("PricingCategory", 'C', true, "String"),
    ("PricingCurrency", 'C', true, "String"),
    ("PricingCurrencyContractedUnitPrice", 'C', true, "Decimal"),
    ("PricingCurrencyEffectiveCost", 'C', true, "Decimal"),
    ("PricingCurrencyListUnitPrice", 'C', true, "Decimal"),
    ("PricingQuantity", 'M', true, "Decimal"),
    ("PricingUnit", 'M', true, "String"),
    ("ProviderName", 'M', false, "String"),
    ("PublisherName", 'M', false, "String"),
    ("RegionId", 'C', true, "String"),
    ("RegionName", 'C', true, "String"),
    ("ResourceId", 'C', true, "String"),
    ("ResourceName", 'C', true, "String"),
    ("ResourceType", 'C', true, "String"),
    ("ServiceCategory", 'M', false, "String"),
    ("ServiceName", 'M', false, "String"),
    ("ServiceSubcategory", 'R', false, "String"),
    ("SkuId", 'C', true, "String"),
    ("SkuMeter", 'C', true, "String"),
    ("SkuPriceDetails", 'C', true, "KeyValue"),
    ("SkuPriceId", 'C', true, "String"),
    ("SubAccountId", 'C', true, "String"),
    ("SubAccountName", 'C', true, "String"),
    ("SubAccountType", 'C', true, "String"),
    ("Tags", 'C', true, "KeyValue"),
];

/// The values that FOCUS 1.2 allows in a column, where it lists them: from the tables "Allowed values" of the same files.
/// Of the subcategories, those of `Compute`.
const FOCUS_ALLOWED: &[(&str, &[&str])] = &[
    (
        "ChargeCategory",
        &["Usage", "Purchase", "Tax", "Credit", "Adjustment"],
    ),
    ("ChargeClass", &["Correction"]),
    ("ChargeFrequency", &["One-Time", "Recurring", "Usage-Based"]),
    ("ServiceCategory", &["Compute"]),
    (
        "ServiceSubcategory",
        &[
            "Containers",
            "End User Computing",
            "Quantum Compute",
            "Serverless Compute",
            "Virtual Machines",
            "Other (Compute)",
        ],
    ),
];

/// Units of time in the plural, and of data, with how many bytes one has: from `specification/attributes/unit_format.md`.
const FOCUS_TIMES: [&str; 6] = ["Years", "Months", "Days", "Hours", "Minutes", "Seconds"];
const FOCUS_DATA: &[(&str, i128)] = &[
    ("B", 1),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Whether `unit` is one that FOCUS can have: simple ones in the plural, compound ones with a hyphen and the last in the
/// plural. What is counted and not listed can have any name.
fn is_unit(unit: &str) -> bool {
    let is_plain = |one: &str| !one.is_empty() && one.bytes().all(|b| b.is_ascii_alphabetic());
    match unit.split_once('-') {
        Some((of, time)) => {
            let is_data = FOCUS_DATA.iter().any(|(name, _)| *name == of);
            is_plain(of) && (is_data || !of.ends_with(['B', 'b'])) && FOCUS_TIMES.contains(&time)
        }
        None => is_plain(unit) && unit.ends_with('s') && unit.starts_with(char::is_uppercase),
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match digits.split_once('.') {
        Some((whole, part)) => is_digits(whole) && is_digits(part),
        None => is_digits(digits),
    }
}

/// `2026-01-31T08:15:00Z`, in whole seconds and UTC, as FOCUS writes times.
fn is_date_time(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

#[test]
fn focus_has_the_columns_types_and_nulls_of_the_specification() {
    let known: BTreeMap<_, _> = FOCUS_1_2.iter().map(|row| (row.0, row)).collect();
    for (name, level, ..) in FOCUS_1_2 {
        assert!(*level != 'M' || HEAD.contains(name), "{name} is mandatory");
    }
    for name in HEAD {
        assert!(
            known.contains_key(name) || name.starts_with("x_"),
            "{name} is not of FOCUS"
        );
    }
    for (group_by, sheet) in [
        ("task", "fargate"),
        ("task", "lambda"),
        ("family", "lambda"),
        ("service", "fargate"),
        ("cluster", "fargate"),
        ("tag:none", "fargate"),
        ("hour", "fargate"),
        ("day", "fargate"),
    ] {
        let text = bill_by(group_by, sheet).focus();
        let rows = read(&text);
        assert_eq!(rows[0], HEAD);
        for row in &rows[1..] {
            for (name, field) in HEAD.iter().zip(row) {
                let Some((_, _, may_be_null, kind)) = known.get(name) else {
                    continue;
                };
                let context = format!("{group_by} {name}: {field:?}");
                assert!(*may_be_null || !field.is_empty(), "{context}");
                let is_right = field.is_empty()
                    || match *kind {
                        "Decimal" => is_decimal(field),
                        "DateTime" => is_date_time(field),
                        "KeyValue" => {
                            serde_json::from_str::<BTreeMap<String, String>>(field).is_ok()
                        }
                        _ => true,
                    };
                assert!(is_right, "{context}");
                let allowed = FOCUS_ALLOWED.iter().find(|(column, _)| column == name);
                if let Some((_, allowed)) = allowed.filter(|_| !field.is_empty()) {
                    assert!(allowed.contains(&field.as_str()), "{context}");
                }
                if name.ends_with("Unit") {
                    assert!(is_unit(field), "{context}");
                }
                if name.ends_with("Currency") {
                    let is_code = field.len() == 3 && field.bytes().all(|b| b.is_ascii_uppercase());
                    assert!(is_code, "{context}");
                }
                // What is absent is NULL, which CSV writes as nothing: no words stand for it.
                assert!(
                    !["NULL", "null", "N/A", "-", "{}"].contains(&field.as_str())
                        || *name == "Tags",
                    "{context}"
                );
            }
        }
    }
}

/// A quantity is what its unit says: memory is counted in MiB, and an hour of 1,024 of them is one GiB-hour.
#[test]
fn focus_quantities_are_in_the_units_that_they_name() {
    let text = bill_by("family", "fargate").focus();
    let rows = read(&text);
    let of = |row: &[String], name: &str| {
        row[HEAD.iter().position(|column| *column == name).unwrap()].clone()
    };
    let bill = bill_by("family", "fargate");
    let of_memory = |row: &&Vec<String>| of(row, "ConsumedUnit").ends_with("B-Hours");
    for (line, row) in bill.items.iter().zip(rows[1..].iter().filter(of_memory)) {
        let unit = of(row, "ConsumedUnit");
        let data = unit.strip_suffix("-Hours").unwrap();
        let bytes = FOCUS_DATA.iter().find(|(name, _)| *name == data).unwrap().1;
        let exact = i128::from(line.mib_ms) * (1 << 20) * 1_000_000_000 / (bytes * 3_600_000);
        let said: i128 = of(row, "ConsumedQuantity")
            .replace('.', "")
            .parse()
            .unwrap();
        assert!((said - exact).abs() <= 1, "{said} {exact} {unit}");
        assert_eq!(of(row, "PricingUnit"), unit);
    }
}

/// What FOCUS says of several columns together, for charges like ours.
#[test]
fn focus_comes_to_the_bill_and_keeps_the_rules_between_columns() {
    for (group_by, sheet) in [("task", "fargate"), ("task", "lambda"), ("hour", "fargate")] {
        let bill = bill_by(group_by, sheet);
        let rows = read(&bill.focus());
        let of = |row: &[String], name: &str| {
            row[HEAD.iter().position(|column| *column == name).unwrap()].clone()
        };
        let mut nanos = 0_i64;
        for row in &rows[1..] {
            let cost = of(row, "BilledCost");
            nanos += cost.replace('.', "").parse::<i64>().unwrap();
            for same in ["EffectiveCost", "ListCost", "ContractedCost"] {
                assert_eq!(of(row, same), cost);
            }
            assert_eq!(of(row, "ChargeCategory"), "Usage");
            for set in [
                "PricingQuantity",
                "PricingUnit",
                "ConsumedQuantity",
                "ConsumedUnit",
            ] {
                assert_ne!(of(row, set), "", "{set}");
            }
            assert!(
                of(row, "ChargePeriodStart") < of(row, "ChargePeriodEnd"),
                "{row:?}"
            );
            assert!(of(row, "BillingPeriodStart") <= of(row, "ChargePeriodStart"));
            assert!(of(row, "ChargePeriodEnd") <= of(row, "BillingPeriodEnd"));
            assert_eq!(
                of(row, "ResourceId").is_empty(),
                of(row, "ResourceType").is_empty()
            );
            assert_eq!(
                of(row, "SubAccountId").is_empty(),
                of(row, "SubAccountName").is_empty()
            );
        }
        assert_eq!(nanos, bill.total.cost_nano, "{group_by} {sheet}");
    }
}
