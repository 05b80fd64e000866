//! Schedules for a person: in a table, on a page.

use crate::cli::console::short;
use crate::cli::describe::Page;
use crate::cli::table::{Field, Look, Table};
use crate::cli::time;
use crate::domain::TimestampMs;
use crate::domain::display::Tone;
use crate::shapes::{Schedule, ScheduleRun, ScheduleRunTask, ScheduleState};

/// Schedules under a head.
pub(super) fn table(schedules: &[Schedule], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "SCHEDULE",
        "STATE",
        "EXPRESSION",
        "TIME ZONE",
        "DEFINITION",
        "TASKS",
        "NEXT RUN",
        "LAST RUN",
    ]);
    for schedule in schedules {
        let next = schedule.next_runs.first();
        table.row([
            (&schedule.name).into(),
            state(schedule.state),
            (&schedule.schedule_expression).into(),
            (&schedule.schedule_expression_timezone).into(),
            (&schedule.target.task_definition).into(),
            schedule.running_task_ids.len().to_string().into(),
            next.map_or_else(String::new, |at| time::ahead(at, now))
                .into(),
            schedule
                .last_run
                .as_ref()
                .map_or_else(Field::default, outcome),
        ]);
    }
    table
}

fn state(state: ScheduleState) -> Field {
    match state {
        ScheduleState::Enabled => Field::new("ENABLED", Tone::Good),
        ScheduleState::Disabled => Field::new("DISABLED", Tone::Past),
    }
}

/// What became of a run, and of its tasks where it had any.
fn outcome(run: &ScheduleRun) -> Field {
    if run.outcome != "STARTED" {
        let tone = match run.outcome.as_str() {
            "SKIPPED" => Tone::Past,
            _ => Tone::Bad,
        };
        return Field::new(&run.outcome, tone);
    }
    let is_over = |task: &&ScheduleRunTask| task.last_status == "STOPPED";
    let has_failed = |task: &&ScheduleRunTask| is_over(task) && task.exit_code != Some(0);
    let failed = run.tasks.iter().filter(has_failed).count();
    if failed > 0 {
        return Field::new(format!("{failed} of {} failed", run.tasks.len()), Tone::Bad);
    }
    if run.tasks.iter().all(|task| is_over(&task)) {
        return Field::new("succeeded", Tone::Good);
    }
    Field::new("goes on", Tone::Busy)
}

/// All that is known of a schedule. `runs` are its last ones, newest first.
pub(super) fn render(
    schedule: &Schedule,
    runs: &[ScheduleRun],
    now: TimestampMs,
    look: Look,
) -> String {
    let mut page = Page::new(look);
    page.entry("Schedule", &schedule.name);
    page.optional("Description", schedule.description.as_deref());
    page.entry("State", word(&schedule.state).as_str());
    page.entry("Expression", &schedule.schedule_expression);
    page.entry("Time zone", &schedule.schedule_expression_timezone);
    page.optional("Not before", schedule.start_date.as_deref());
    page.optional("Not after", schedule.end_date.as_deref());
    let target = &schedule.target;
    page.entry(
        "Runs",
        &format!(
            "{} of {} in cluster {}",
            target.count.unwrap_or(1),
            target.task_definition,
            target.cluster.as_deref().unwrap_or_default()
        ),
    );
    page.entry("Concurrency", &word(&schedule.concurrency_policy));
    let deadline = schedule.starting_deadline_seconds;
    let deadline = deadline.map_or_else(String::new, |seconds| {
        format!(", no later than {seconds} s after its time")
    });
    page.entry(
        "Missed runs",
        &format!("{}{deadline}", word(&schedule.missed_runs)),
    );
    if let Some(pending) = &schedule.pending_run {
        let waits = format!("the run for {pending}, for earlier tasks to stop");
        page.entry("Waits", &waits);
    }
    page.entry("Created", &time::ago(&schedule.created_at, now));
    page.heading("Next runs");
    if schedule.next_runs.is_empty() {
        page.line("none");
    }
    for at in &schedule.next_runs {
        page.line(&time::moment_ahead(at, now));
    }
    page.heading("Last runs");
    if runs.is_empty() {
        page.line("none yet");
    } else {
        page.table(&last_runs(runs), look);
    }
    page.finish()
}

fn last_runs(runs: &[ScheduleRun]) -> Table {
    let mut table = Table::new(&["TIME", "BY", "OUTCOME", "TASKS", "NOTE"]);
    for run in runs {
        let tasks: Vec<String> = run.tasks.iter().map(result).collect();
        table.row([
            (&run.scheduled_for).into(),
            (&run.cause).into(),
            outcome(run),
            tasks.join(", ").into(),
            run.reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}

/// `0123456789ab exit 0`
fn result(task: &ScheduleRunTask) -> String {
    let result = match (task.exit_code, &task.stop_code) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(code)) => code.clone(),
        (None, None) => task.last_status.clone(),
    };
    format!("{} {result}", short(&task.task_id))
}

/// A value as the API writes it.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes::{ConcurrencyPolicy, ScheduleTarget};

    fn schedule() -> Schedule {
        Schedule {
            name: "nightly".to_owned(),
            schedule_expression: "cron(0 3 * * ? *)".to_owned(),
            schedule_expression_timezone: "Europe/Zurich".to_owned(),
            concurrency_policy: ConcurrencyPolicy::Forbid,
            target: ScheduleTarget {
                cluster: Some("default".to_owned()),
                task_definition: "report".to_owned(),
                ..ScheduleTarget::default()
            },
            next_runs: vec!["2026-02-01T02:00:00.000Z".to_owned()],
            created_at: "2026-01-31T08:15:00.000Z".to_owned(),
            ..Schedule::default()
        }
    }

    fn run(outcome: &str, exit_code: Option<i64>) -> ScheduleRun {
        let task = |exit_code| ScheduleRunTask {
            task_id: "0123456789abcdef0123456789abcdef".to_owned(),
            last_status: "STOPPED".to_owned(),
            exit_code: Some(exit_code),
            ..ScheduleRunTask::default()
        };
        ScheduleRun {
            scheduled_for: "2026-01-31T02:00:00.000Z".to_owned(),
            cause: "schedule".to_owned(),
            outcome: outcome.to_owned(),
            tasks: exit_code.map(task).into_iter().collect(),
            ..ScheduleRun::default()
        }
    }

    #[test]
    fn a_page_has_the_next_times_and_how_the_last_runs_ended() {
        let now = time::parse("2026-01-31T08:18:30.000Z").unwrap();
        let mut skipped = run("SKIPPED", None);
        skipped.reason = Some("task 4f0c of an earlier run still goes on".to_owned());
        let runs = [skipped, run("STARTED", Some(3)), run("STARTED", Some(0))];
        let text = render(&schedule(), &runs, now, Look::default());
        for words in [
            "cron(0 3 * * ? *)",
            "Europe/Zurich",
            "1 of report in cluster default",
            "forbid",
            "runOnce",
            "2026-02-01T02:00:00.000Z  in 17 h",
            "task 4f0c of an earlier run still goes on",
            "1 of 1 failed",
            "0123456789ab exit 3",
            "succeeded",
        ] {
            assert!(text.contains(words), "no `{words}` in\n{text}");
        }
        let row = table(&[schedule()], now).render(Look::default());
        assert!(row.contains("ENABLED") && row.contains("in 17 h"), "{row}");
    }
}
