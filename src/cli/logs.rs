//! `neargate logs`: what a task's containers wrote.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;

use super::client::LogQuery;
use super::console::{Console, Format, short};
use super::failure::Failure;
use super::sanitise::log_line;
use super::time::{self, Point};
use super::watch::LogWish;
use super::{Session, follow, sanitise};
use crate::shapes::{LogLine, Task};

/// Show what a task's containers wrote
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate logs 4f0c -f --tail 20")]
pub(super) struct LogsArgs {
    /// The task: its ID, or the first digits of it
    task: String,
    /// Go on as new lines come, until the task has stopped
    #[arg(short, long)]
    follow: bool,
    /// Only lines from then on: 10m, 2h30m, a date, or 2026-01-31T08:15:00Z
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    since: Option<Point>,
    /// Only the last N lines of each container
    #[arg(long, value_name = "N")]
    tail: Option<u64>,
    /// Only this container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
}

pub(super) async fn execute(session: &mut Session, args: LogsArgs) -> Result<u8, Failure> {
    let task = session.client.task(&args.task).await?.value;
    let since = args.since.map(|since| since.resolve(time::now()));
    let mut printer = LogPrinter::new(std::slice::from_ref(&task), args.timestamps);
    if args.container.is_some() {
        printer = printer.of_one_container();
    }
    // What has stopped writes no more, and the server knows best how to put several logs in order.
    if !args.follow || task.last_status == "STOPPED" {
        let query = LogQuery {
            container: args.container,
            follow: false,
            since,
            tail: args.tail,
        };
        let mut lines = session.client.logs(&task.task_id, &query).await?;
        if let Some(note) = lines.note() {
            session.console.warn(note);
        }
        while let Some(line) = lines.next().await? {
            printer.print(&mut session.console, &task.task_id, &line)?;
        }
        return Ok(0);
    }
    // That a container does not exist is the server's to say.
    if let Some(name) = args
        .container
        .as_ref()
        .filter(|name| !has_container(&task, name))
    {
        let query = LogQuery {
            container: Some(name.clone()),
            ..LogQuery::default()
        };
        session.client.logs(&task.task_id, &query).await?;
    }
    let wish = LogWish {
        container: args.container,
        since,
        tail: args.tail,
    };
    follow::logs(session, task, &wish, printer).await?;
    Ok(0)
}

fn has_container(task: &Task, name: &str) -> bool {
    task.containers
        .iter()
        .any(|container| container.name == name)
}

/// Prints lines of logs, with what it takes to tell them apart.
#[derive(Clone, Debug)]
pub(super) struct LogPrinter {
    timestamps: bool,
    several_tasks: bool,
    /// The length of the longest container's name; 0 when there is one container.
    name_width: usize,
}

impl LogPrinter {
    /// For the logs of `tasks`.
    pub(super) fn new(tasks: &[Task], timestamps: bool) -> Self {
        let containers = tasks.iter().flat_map(|task| &task.containers);
        let names: BTreeSet<&str> = containers
            .map(|container| container.name.as_str())
            .collect();
        let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
        Self {
            timestamps,
            several_tasks: tasks.len() > 1,
            name_width: if names.len() > 1 { longest } else { 0 },
        }
    }

    /// There is nothing to tell apart after all.
    #[must_use]
    fn of_one_container(self) -> Self {
        Self {
            name_width: 0,
            ..self
        }
    }

    /// Prints `line` of a container of the task.
    pub(super) fn print(
        &self,
        console: &mut Console,
        task_id: &str,
        line: &LogLine,
    ) -> Result<(), Failure> {
        if console.format != Format::Table {
            console.record(line)?;
            return Ok(());
        }
        let mut text = self.prefix(task_id, line).into_bytes();
        if console.stdout_is_terminal {
            text.extend_from_slice(log_line(&line.text, console.log_colours()).as_bytes());
        } else {
            text.extend_from_slice(&line.bytes());
        }
        text.push(b'\n');
        console.bytes(&text)?;
        Ok(())
    }

    fn prefix(&self, task_id: &str, line: &LogLine) -> String {
        let mut prefix = String::new();
        if self.timestamps {
            prefix.push_str(&sanitise::one_line(&line.at));
            prefix.push(' ');
        }
        if self.several_tasks {
            prefix.push_str(short(task_id));
            prefix.push(' ');
        }
        if self.name_width > 0 {
            let name = sanitise::one_line(&line.container);
            // Writing to a string does not fail.
            let _ = write!(prefix, "{name:width$} ", width = self.name_width);
        }
        if self.several_tasks || self.name_width > 0 {
            prefix.push_str("| ");
        }
        prefix
    }
}
