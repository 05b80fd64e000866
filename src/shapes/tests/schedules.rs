//! Documents of schedules.

use super::*;
use crate::domain::{ConcurrencyPolicy, MissedRuns, ScheduleState};
use crate::shapes::ParsedSchedule;

fn read(text: &str) -> Result<ParsedSchedule, Faults> {
    ParsedSchedule::parse(&Document::read(text.as_bytes(), Format::Yaml)?, None)
}

#[test]
fn a_schedule_has_defaults() {
    let parsed =
        read("name: nightly\nscheduleExpression: rate(1 day)\ntarget: {taskDefinition: web}")
            .unwrap();
    assert_eq!(parsed.name.as_str(), "nightly");
    let definition = parsed.definition;
    assert_eq!(definition.time_zone.to_string(), "UTC");
    assert_eq!(definition.state, ScheduleState::Enabled);
    assert_eq!(definition.concurrency_policy, ConcurrencyPolicy::Allow);
    assert_eq!(definition.missed_runs, MissedRuns::RunOnce);
    assert_eq!(definition.target.count, 1);
    assert_eq!(definition.target.cluster.as_str(), "default");
    assert_eq!(definition.target.group, None);
}

#[test]
fn all_faults_of_a_schedule_are_told_at_their_places() {
    let text = "\
name: a b
scheduleExpression: cron(0 25 * * ? *)
scheduleExpressionTimezone: Mars/Olympus
startDate: 2026-11-20
endDate: 2026-11-20T13:00:00Z
concurrencyPolicy: never
startingDeadlineSeconds: 5
target:
  taskDefinition: web:0
  count: 101
  group: service:web
  propagateTags: SERVICE
  overrides: {containerOverrides: [{name: app, environment: [{name: ''}]}]}
";
    let told = told(&read(text).unwrap_err());
    for words in [
        "1:1: name: is `a b`, which is not a schedule name",
        "2:1: scheduleExpression: the hours field has `25`: it takes 0 to 23",
        "3:1: scheduleExpressionTimezone: `Mars/Olympus` is not a time zone",
        "4:1: startDate: is `2026-11-20`, which is not a point in time",
        "6:1: concurrencyPolicy",
        "7:1: startingDeadlineSeconds",
        "9:3: target.taskDefinition: is `web:0`",
        "10:3: target.count",
        "11:3: target.group: is `service:web`",
        "12:3: target.propagateTags: is `SERVICE`",
        "target.overrides.containerOverrides[0].environment[0].name: is empty",
    ] {
        assert!(told.contains(words), "no `{words}` in\n{told}");
    }
    let missing = read("target: {}").unwrap_err();
    assert_eq!(missing.iter().count(), 3, "{}", super::told(&missing));
    let backwards = "name: a\nscheduleExpression: rate(1 day)\nstartDate: 2026-11-20T13:00:00Z\n\
                     endDate: 2026-11-19T13:00:00Z\ntarget: {taskDefinition: web}";
    let backwards = super::told(&read(backwards).unwrap_err());
    assert!(
        backwards.contains("endDate: lies before startDate"),
        "{backwards}"
    );
    let never = "name: a\nscheduleExpression: at(2027-03-28T02:30:00)\nscheduleExpressionTimezone: Europe/Zurich\n\
                 target: {taskDefinition: web}";
    let never = super::told(&read(never).unwrap_err());
    assert!(
        never.contains("it is never 2027-03-28T02:30:00 in Europe/Zurich"),
        "{never}"
    );
}
