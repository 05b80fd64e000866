//! How tasks get on, said on stderr: a line for each change of state and, while a task waits, what for.
//!
//! On a terminal, what a task waits for is a bar that changes in place and goes away. Elsewhere it is a
//! line, but only when more has changed than a number: a log of a build wants no line for every percent.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::console::{Console, short};
use super::sanitise::one_line;
use super::time;
use crate::shapes::{PullProgress, Task};

/// More bars than this say nothing to anybody.
const MOST_BARS: usize = 8;
const TICK: Duration = Duration::from_millis(120);

/// What has been said of each task.
#[derive(Debug, Default)]
pub(super) struct Progress {
    said: HashMap<String, Said>,
}

#[derive(Debug, Default)]
struct Said {
    status: String,
    waiting: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Says what is new about `task`.
    pub(super) fn update(&mut self, console: &mut Console, task: &Task) {
        let bars = self.said.values().filter(|said| said.bar.is_some()).count();
        let said = self.said.entry(task.task_id.clone()).or_default();
        if said.status != task.last_status {
            said.status.clone_from(&task.last_status);
            console.talk(&state_line(task));
        }
        let waiting = waiting(task).unwrap_or_default();
        if waiting.is_empty() {
            if let Some(bar) = said.bar.take() {
                bar.finish_and_clear();
            }
        } else if console.stderr_is_terminal {
            if said.bar.is_none() && bars < MOST_BARS {
                said.bar = Some(new_bar(console));
            }
            if let Some(bar) = &said.bar {
                bar.set_message(one_line(&format!("{}  {waiting}", short(&task.task_id))));
            }
        } else if without_numbers(&waiting) != without_numbers(&said.waiting) {
            console.talk(&format!("{}  {waiting}", short(&task.task_id)));
        }
        said.waiting = waiting;
    }
}

/// What a task waits for and, while images come, how much of them is there.
pub(super) fn waiting(task: &Task) -> Option<String> {
    let waiting = task.waiting_for.as_ref()?;
    let comes = |pull: &&PullProgress| pull.total_bytes > 0 && task.pull_stopped_at.is_none();
    let Some(pull) = task.pull.as_ref().filter(comes) else {
        return Some(waiting.clone());
    };
    let tenths = |bytes: u64| {
        let tenths = bytes / 100_000;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    Some(format!(
        "{waiting}: {} of {} MB",
        tenths(pull.current_bytes),
        tenths(pull.total_bytes)
    ))
}

fn new_bar(console: &Console) -> ProgressBar {
    // It must not stay behind, however the command ends.
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    let bar = console.bars.add(bar);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// `0123456789ab  STOPPED  Essential container in task exited (hello exited with 1)`
fn state_line(task: &Task) -> String {
    let line = format!("{}  {}", short(&task.task_id), task.last_status);
    match task.last_status.as_str() {
        "PROVISIONING" => format!("{line}  {}", task.task_definition),
        "RUNNING" => {
            let started = task.started_at.as_deref();
            match started.and_then(|at| time::between(&task.created_at, at)) {
                Some(took) => format!("{line}  after {}", time::length(took)),
                None => line,
            }
        }
        "STOPPED" => {
            let reason = task.stopped_reason.as_deref().unwrap_or_default();
            let codes = task.containers.iter().filter_map(|container| {
                let code = container.exit_code?;
                Some(format!("{} exited with {code}", container.name))
            });
            let codes: Vec<String> = codes.collect();
            if codes.is_empty() {
                format!("{line}  {reason}")
            } else {
                format!("{line}  {reason} ({})", codes.join(", "))
            }
        }
        _ => line,
    }
}

fn without_numbers(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_ascii_digit() && *character != '.')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::Format;
    use crate::cli::tests::{Buffer, sample};

    #[test]
    fn a_log_of_a_build_gets_a_line_for_each_step_and_none_for_each_percent() {
        let (stdout, stderr) = (Buffer::default(), Buffer::default());
        let mut console = Console::plain(
            Box::new(stdout.clone()),
            Box::new(stderr.clone()),
            Format::Table,
        );
        let mut progress = Progress::default();
        let mut task = sample::stopped_task();
        for (status, waiting) in [
            ("PROVISIONING", None),
            ("PENDING", Some("pulling busybox:1: 1.5 of 3.0 MB")),
            ("PENDING", Some("pulling busybox:1: 2.5 of 3.0 MB")),
            ("PENDING", Some("a free port")),
            ("RUNNING", None),
            ("RUNNING", None),
            ("STOPPED", None),
        ] {
            status.clone_into(&mut task.last_status);
            task.waiting_for = waiting.map(str::to_owned);
            progress.update(&mut console, &task);
        }
        assert_eq!(stdout.text(), "");
        assert_eq!(
            stderr.text(),
            "0123456789ab  PROVISIONING  hello:1\n\
             0123456789ab  PENDING\n\
             0123456789ab  pulling busybox:1: 1.5 of 3.0 MB\n\
             0123456789ab  a free port\n\
             0123456789ab  RUNNING  after 2.5 s\n\
             0123456789ab  STOPPED  Essential container in task exited (hello exited with 3, proxy exited with 143)\n"
        );
    }
}
