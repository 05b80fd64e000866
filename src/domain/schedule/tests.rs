use proptest::prelude::*;

use super::*;

fn at(text: &str) -> TimestampMs {
    let at: jiff::Timestamp = text.parse().unwrap();
    TimestampMs::from_millis(at.as_millisecond())
}

/// The first `count` occurrences after `after`, in the zone and in UTC.
fn next(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let expression: ScheduleExpression = expression.parse().unwrap();
    let zone: ScheduleTimeZone = zone.parse().unwrap();
    let timing = Timing {
        expression: &expression,
        time_zone: &zone,
        start: None,
        end: None,
        anchored_at: at(after),
    };
    let found = timing.upcoming(at(after), count);
    let short = |at: &TimestampMs| at.to_string().replace(":00.000Z", "Z");
    found.iter().map(short).collect()
}

/// The examples of Amazon's documents, each with its first occurrences after Sunday, the 1st of November 2026, 00:00.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("0 10 * * ? *", &["2026-11-01T10:00Z", "2026-11-02T10:00Z"]),
    ("15 12 * * ? *", &["2026-11-01T12:15Z", "2026-11-02T12:15Z"]),
    (
        "0 18 ? * MON-FRI *",
        &["2026-11-02T18:00Z", "2026-11-03T18:00Z"],
    ),
    ("0 8 1 * ? *", &["2026-11-01T08:00Z", "2026-12-01T08:00Z"]),
    (
        "0/15 * * * ? *",
        &["2026-11-01T00:15Z", "2026-11-01T00:30Z"],
    ),
    (
        "0/10 * ? * MON-FRI *",
        &["2026-11-02T00:00Z", "2026-11-02T00:10Z"],
    ),
    (
        "0/5 8-17 ? * MON-FRI *",
        &["2026-11-02T08:00Z", "2026-11-02T08:05Z"],
    ),
    (
        "55/5 8-17 ? * MON-FRI *",
        &["2026-11-02T08:55Z", "2026-11-02T09:55Z"],
    ),
    (
        "0/30 20-2 ? * MON-FRI *",
        &[
            "2026-11-02T00:00Z",
            "2026-11-02T00:30Z",
            "2026-11-02T01:00Z",
            "2026-11-02T01:30Z",
            "2026-11-02T02:00Z",
            "2026-11-02T02:30Z",
            "2026-11-02T20:00Z",
        ],
    ),
    (
        "15 10 ? * 6L 2022-2027",
        &[
            "2026-11-27T10:15Z",
            "2026-12-25T10:15Z",
            "2027-01-29T10:15Z",
        ],
    ),
    ("0 9 ? * 2#1 *", &["2026-11-02T09:00Z", "2026-12-07T09:00Z"]),
    (
        "0 12 ? * 3#2 *",
        &["2026-11-10T12:00Z", "2026-12-08T12:00Z"],
    ),
    (
        "0 0 ? * TUE#5 *",
        &["2026-12-29T00:00Z", "2027-03-30T00:00Z"],
    ),
    (
        "1/10 0 1 * ? *",
        &[
            "2026-11-01T00:01Z",
            "2026-11-01T00:11Z",
            "2026-11-01T00:21Z",
        ],
    ),
    (
        "0 0 3W * ? *",
        &[
            "2026-11-03T00:00Z",
            "2026-12-03T00:00Z",
            "2027-01-04T00:00Z",
        ],
    ),
    (
        "0 0 1W * ? *",
        &[
            "2026-11-02T00:00Z",
            "2026-12-01T00:00Z",
            "2027-01-01T00:00Z",
        ],
    ),
    (
        "0 0 L * ? *",
        &[
            "2026-11-30T00:00Z",
            "2026-12-31T00:00Z",
            "2027-01-31T00:00Z",
            "2027-02-28T00:00Z",
        ],
    ),
    (
        "0 0 LW * ? *",
        &[
            "2026-11-30T00:00Z",
            "2026-12-31T00:00Z",
            "2027-01-29T00:00Z",
        ],
    ),
    (
        "0 0 31W * ? *",
        &[
            "2026-12-31T00:00Z",
            "2027-01-29T00:00Z",
            "2027-03-31T00:00Z",
        ],
    ),
    ("0 12 ? * L *", &["2026-11-07T12:00Z", "2026-11-14T12:00Z"]),
    (
        "0 1 ? * FRI-MON *",
        &[
            "2026-11-01T01:00Z",
            "2026-11-02T01:00Z",
            "2026-11-06T01:00Z",
        ],
    ),
    (
        "0 0 1 JAN,JUL ? *",
        &["2027-01-01T00:00Z", "2027-07-01T00:00Z"],
    ),
    (
        "0 0 1 jan ? 2028/2",
        &["2028-01-01T00:00Z", "2030-01-01T00:00Z"],
    ),
    ("0 12 29 2 ? *", &["2028-02-29T12:00Z", "2032-02-29T12:00Z"]),
    (
        "10-40/15 6 1,15,L * ? *",
        &[
            "2026-11-01T06:10Z",
            "2026-11-01T06:25Z",
            "2026-11-01T06:40Z",
            "2026-11-15T06:10Z",
        ],
    ),
    ("0 0 1 1 ? 2026", &[]),
];

#[test]
fn the_examples_of_aws_mean_what_aws_says() {
    for (fields, expected) in EXAMPLES {
        let count = expected.len().max(1);
        let found = next(
            &format!("cron({fields})"),
            "UTC",
            "2026-11-01T00:00:00Z",
            count,
        );
        assert_eq!(found, *expected, "cron({fields})");
    }
}

#[test]
fn a_rate_counts_from_its_anchor_and_a_day_has_24_hours() {
    assert_eq!(
        next("rate(5 minutes)", "UTC", "2026-11-01T00:02:30Z", 2),
        ["2026-11-01T00:07:30.000Z", "2026-11-01T00:12:30.000Z"]
    );
    // In this night, the day has 25 hours.
    assert_eq!(
        next("rate(1 day)", "Europe/Zurich", "2026-10-24T22:00:00Z", 1),
        ["2026-10-25T22:00Z"]
    );
    assert_eq!(
        next("rate(1 hour)", "UTC", "2026-11-01T00:00:00Z", 1),
        ["2026-11-01T01:00Z"]
    );
}

#[test]
fn a_one_time_schedule_runs_once() {
    let one = "at(2026-11-20T13:00:00)";
    assert_eq!(
        next(one, "UTC", "2026-11-01T00:00:00Z", 9),
        ["2026-11-20T13:00Z"]
    );
    assert_eq!(
        next(one, "Asia/Tokyo", "2026-11-01T00:00:00Z", 9),
        ["2026-11-20T04:00Z"]
    );
    assert!(next(one, "UTC", "2026-11-20T13:00:00Z", 9).is_empty());
}

#[test]
fn a_time_that_a_day_does_not_have_is_skipped() {
    // The clocks go from 2:00 to 3:00 on the 28th of March 2027 in Zurich: 1:00 in UTC.
    assert_eq!(
        next(
            "cron(30 2 * * ? *)",
            "Europe/Zurich",
            "2027-03-27T00:00:00Z",
            3
        ),
        [
            "2027-03-27T01:30Z",
            "2027-03-29T00:30Z",
            "2027-03-30T00:30Z"
        ]
    );
    // The others run at their time.
    assert_eq!(
        next(
            "cron(0/30 * * * ? *)",
            "Europe/Zurich",
            "2027-03-28T00:00:00Z",
            3
        ),
        [
            "2027-03-28T00:30Z",
            "2027-03-28T01:00Z",
            "2027-03-28T01:30Z"
        ]
    );
    // In New York, on the 14th of March 2027 at 7:00 in UTC.
    assert_eq!(
        next(
            "cron(15 2 14 3 ? *)",
            "America/New_York",
            "2027-01-01T00:00:00Z",
            1
        ),
        ["2028-03-14T06:15Z"]
    );
    // Samoa had no 30th of December in 2011.
    assert_eq!(
        next(
            "cron(0 12 ? * FRI *)",
            "Pacific/Apia",
            "2011-12-24T00:00:00Z",
            1
        ),
        ["2012-01-05T22:00Z"]
    );
}

#[test]
fn a_time_that_a_day_has_twice_runs_once() {
    // The clocks go from 3:00 to 2:00 on the 25th of October 2026 in Zurich: 1:00 in UTC.
    assert_eq!(
        next(
            "cron(30 2 * * ? *)",
            "Europe/Zurich",
            "2026-10-24T12:00:00Z",
            2
        ),
        ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]
    );
    // Also when one looks in between, or in the second of the two hours.
    for after in [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:10:00Z",
        "2026-10-25T01:40:00Z",
    ] {
        assert_eq!(
            next("cron(30 2 * * ? *)", "Europe/Zurich", after, 1),
            ["2026-10-26T01:30Z"],
            "{after}"
        );
    }
    // Lord Howe puts its clocks back by half an hour, at 2:00 on the 4th of April 2027: 15:00 of the day before in UTC.
    assert_eq!(
        next(
            "cron(45 1 ? * * *)",
            "Australia/Lord_Howe",
            "2027-04-03T00:00:00Z",
            2
        ),
        ["2027-04-03T14:45Z", "2027-04-04T15:15Z"]
    );
}

#[test]
fn a_start_and_an_end_bound_it() {
    let expression: ScheduleExpression = "rate(1 hour)".parse().unwrap();
    let zone = ScheduleTimeZone::default();
    let timing = Timing {
        expression: &expression,
        time_zone: &zone,
        start: Some(at("2026-11-01T12:30:00Z")),
        end: Some(at("2026-11-01T14:30:00Z")),
        anchored_at: at("2026-11-01T00:00:00Z"),
    };
    let all = timing.upcoming(at("2026-11-01T00:00:00Z"), 10);
    let expected = ["12:30", "13:30", "14:30"].map(|time| at(&format!("2026-11-01T{time}:00Z")));
    assert_eq!(all, expected);
}

/// What is wrong, what is said of it, and what is to be written.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "cron(60 * * * ? *)",
        "the minutes field has `60`: it takes 0 to 59",
        "minutes hours",
    ),
    (
        "cron(0 24 * * ? *)",
        "the hours field has `24`: it takes 0 to 23",
        "",
    ),
    (
        "cron(0 12 32 * ? *)",
        "the day-of-month field has `32`: it takes 1 to 31",
        "",
    ),
    (
        "cron(0 12 * 13 ? *)",
        "the month field has `13`: it takes 1 to 12, or JAN to DEC",
        "",
    ),
    (
        "cron(0 12 ? * 8 *)",
        "the day-of-week field has `8`: it takes 1 to 7, or SUN to SAT",
        "",
    ),
    ("cron(0 12 ? * 0 *)", "the day-of-week field has `0`", ""),
    (
        "cron(0 12 * * ? 1969)",
        "the year field has `1969`: it takes 1970 to 2199",
        "",
    ),
    (
        "cron(0 12 * * ? 2027-2026)",
        "the year field has `2027-2026`: a range",
        "",
    ),
    (
        "cron(0 12 20-10 * ? *)",
        "the day-of-month field has `20-10`: a range",
        "",
    ),
    (
        "cron(0/0 12 * * ? *)",
        "after `/` stands a number from 1 on",
        "",
    ),
    ("cron(+5 12 * * ? *)", "the minutes field has `+5`", ""),
    ("cron(, 12 * * ? *)", "the minutes field has ``", ""),
    (
        "cron(0 12 * * * *)",
        "only one of the two may say something",
        "write ? in the other",
    ),
    (
        "cron(0 12 1 * MON *)",
        "day-of-month says `1`",
        "write ? in the other",
    ),
    (
        "cron(0 12 ? * ? *)",
        "day-of-month has it as well",
        "write * in one",
    ),
    (
        "cron(0 12 ? * 3#1,6#3 *)",
        "beside a `#` nothing else can stand",
        "",
    ),
    ("cron(0 12 ? * 3#6 *)", "after `#` stands 1 to 5", ""),
    ("cron(0 12 ? * */2 *)", "it takes no `/`", ""),
    (
        "cron(0 12 30 2 ? *)",
        "means a day that no calendar has",
        "",
    ),
    (
        "cron(0 12 * * *)",
        "has 5 fields, and needs six",
        "that is cron(0 12 * * ? *)",
    ),
    (
        "cron(0 12 * * 1-5)",
        "has 5 fields",
        "that is cron(0 12 ? * MON-FRI *)",
    ),
    (
        "cron(0 0 1 * 0)",
        "has 5 fields",
        "one schedule for the days of the month",
    ),
    ("cron(0)", "has 1 fields", "every day at noon"),
    (
        "0 12 * * *",
        "is none of rate(…), cron(…) and at(…)",
        "write rate(5 minutes)",
    ),
    (
        "rate(5)",
        "it takes a value and a unit",
        "write rate(value unit)",
    ),
    ("rate(0 minutes)", "whole number from 1 on", ""),
    ("rate(1.5 hours)", "whole number", ""),
    ("rate(4294967295 days)", "ten years at most", ""),
    (
        "rate(5 seconds)",
        "the unit is `seconds`, and may be minutes, hours or days",
        "",
    ),
    (
        "at(2026-11-20)",
        "is not a date with a time",
        "scheduleExpressionTimezone",
    ),
    ("at(2026-11-20T13:00:00Z)", "is not a date with a time", ""),
    ("at(2026-02-30T13:00:00)", "is not a date with a time", ""),
];

#[test]
fn what_is_wrong_is_told_with_the_field_and_what_to_write() {
    for (text, message, hint) in WRONG {
        let error = text.parse::<ScheduleExpression>().unwrap_err();
        assert!(error.message.contains(message), "{text}: {}", error.message);
        let told = error.hint.unwrap_or_default();
        assert!(told.contains(hint), "{text}: {told}");
    }
    let error = "Europe/Zurick".parse::<ScheduleTimeZone>().unwrap_err();
    assert!(error.hint.unwrap().contains("Europe/Zurich"));
    let (never, zone) = (
        "at(2027-03-28T02:30:00)".parse().unwrap(),
        "Europe/Zurich".parse().unwrap(),
    );
    let timing = Timing {
        expression: &never,
        time_zone: &zone,
        start: None,
        end: None,
        anchored_at: at("2026-01-01T00:00:00Z"),
    };
    let error = timing.check().unwrap_err();
    assert!(
        error
            .message
            .contains("it is never 2027-03-28T02:30:00 in Europe/Zurich"),
        "{error}"
    );
}

fn fields() -> impl Strategy<Value = String> {
    let minutes = prop_oneof![
        "[0-5]?[0-9]",
        Just("0/7".to_owned()),
        Just("*".to_owned()),
        Just("50-10".to_owned())
    ];
    let hours = prop_oneof![
        "1?[0-9]",
        Just("*".to_owned()),
        Just("2/3".to_owned()),
        Just("22-3".to_owned())
    ];
    let days = prop_oneof![
        "([1-9]|1[0-9]|2[0-8]) \\* \\?",
        Just("L * ?".to_owned()),
        Just("LW * ?".to_owned()),
        "([1-9]|1[0-9]|2[0-8])W \\* \\?",
        Just("31 * ?".to_owned()),
        "\\? \\* [1-7]",
        "\\? \\* [1-7]L",
        "\\? \\* [1-7]#[1-5]",
        "\\? (MAR|OCT|4) MON-FRI",
        Just("* * ?".to_owned()),
    ];
    (minutes, hours, days)
        .prop_map(|(minutes, hours, days)| format!("cron({minutes} {hours} {days} *)"))
}

const ZONES: [&str; 5] = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The next occurrence is a later one, none lies between, and each local time has one.
    #[test]
    fn the_next_occurrence_is_the_next(
        fields in fields(),
        zone in 0..ZONES.len(),
        after in 1_700_000_000_000_i64..1_900_000_000_000,
        part in 0.0..1.0_f64,
    ) {
        let expression: ScheduleExpression = fields.parse().unwrap();
        let zone: ScheduleTimeZone = ZONES[zone].parse().unwrap();
        let after = TimestampMs::from_millis(after);
        let timing = Timing { expression: &expression, time_zone: &zone, start: None, end: None, anchored_at: after };
        let next = timing.next_after(after).unwrap();
        prop_assert!(next > after);
        // Whoever looks between has the same next one.
        #[expect(clippy::cast_possible_truncation, reason = "a share of a length")]
        let between = (next.since(after).as_millis() as f64 * part) as i64;
        let between = TimestampMs::from_millis((after.as_millis() + between).min(next.as_millis() - 1));
        prop_assert_eq!(timing.next_after(between), Some(next));
        // What is due is found, however it is looked for.
        let several = timing.upcoming(after, 20);
        let last = *several.last().unwrap();
        prop_assert_eq!(timing.due(after, last), Some(Due { latest: last, count: 20 }));
        prop_assert_eq!(timing.due(last, last), None);
        let local = |at: &TimestampMs| {
            let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
            at.in_tz(&zone.to_string()).unwrap().datetime()
        };
        let locals: Vec<_> = several.iter().map(local).collect();
        prop_assert!(locals.windows(2).all(|two| two[0] < two[1]), "{:?}", locals);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(cron|rate|at)?\\(?[-0-9*?LW#/, A-Z:T]{0,40}\\)?") {
        let _ = text.parse::<ScheduleExpression>();
    }
}

fn definition(expression: &str) -> ScheduleDefinition {
    ScheduleDefinition {
        expression: expression.parse().unwrap(),
        time_zone: ScheduleTimeZone::default(),
        start_date: None,
        end_date: None,
        description: None,
        state: ScheduleState::Enabled,
        concurrency_policy: ConcurrencyPolicy::Allow,
        missed_runs: MissedRuns::RunOnce,
        starting_deadline: None,
        target: ScheduleTarget {
            cluster: "default".parse().unwrap(),
            task_definition: "web".parse().unwrap(),
            count: 1,
            overrides: TaskOverrides::default(),
            overrides_document: serde_json::json!({}),
            enable_execute_command: false,
            tags: BTreeMap::new(),
            group: None,
            propagate_tags: false,
        },
    }
}

#[test]
fn what_was_before_a_change_is_no_occurrence_of_it() {
    let now = at("2026-11-01T00:00:30Z");
    let mut schedule = Schedule::new("a".parse().unwrap(), definition("rate(10 minutes)"), now);
    assert_eq!(
        schedule.upcoming(2),
        [now, at("2026-11-01T00:10:30Z")],
        "a rate runs at once"
    );

    let later = at("2026-11-01T05:00:00Z");
    let disabled = ScheduleDefinition {
        state: ScheduleState::Disabled,
        ..definition("rate(10 minutes)")
    };
    schedule.redefine(disabled, now);
    assert!(schedule.upcoming(2).is_empty());
    schedule.redefine(definition("rate(10 minutes)"), later);
    assert_eq!(
        schedule.upcoming(1),
        [at("2026-11-01T05:00:30Z")],
        "it misses nothing, and keeps its beat"
    );

    schedule.redefine(definition("cron(0 * * * ? *)"), later);
    assert_eq!(
        schedule.upcoming(1),
        [at("2026-11-01T06:00:00Z")],
        "what was decided stays so"
    );
    schedule.decided_until = later;
    schedule.redefine(
        definition("cron(0 0/1 * * ? *)"),
        at("2026-11-01T04:00:00Z"),
    );
    assert_eq!(
        schedule.upcoming(1),
        [at("2026-11-01T06:00:00Z")],
        "whatever the clock does"
    );
}

#[test]
fn it_is_stored_and_read() {
    let stored = serde_json::to_string(&definition("cron(0 3 ? * 6L *)")).unwrap();
    let read: ScheduleDefinition = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, definition("cron(0 3 ? * 6L *)"));
    let name = ScheduleName::of_started_by("schedule/nightly").unwrap();
    assert_eq!(name.started_by(), "schedule/nightly");
    assert_eq!(ScheduleName::of_started_by("ci"), None);
}
