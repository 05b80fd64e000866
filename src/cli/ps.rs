//! `neargate ps`: which tasks there are.

use std::collections::BTreeMap;

use clap::Args;

use super::client::TaskQuery;
use super::console::Console;
use super::failure::Failure;
use super::table::{Field, Table};
use super::{Session, progress, time};
use crate::domain::{LastStatus, TimestampMs};
use crate::shapes::Task;

/// List tasks
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate ps --all --family web")]
pub(super) struct PsArgs {
    /// Those that have stopped, too
    #[arg(short, long)]
    all: bool,
    /// Only those of this family
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATUS", value_parser = status, conflicts_with = "all")]
    status: Option<LastStatus>,
    /// Only the IDs, one a line
    #[arg(short, long)]
    quiet: bool,
}

/// The states in which a task that has not stopped can be seen, in the order in which it passes through
/// them. The other three of ECS are never recorded here: see `domain::LastStatus`.
const ALIVE: [LastStatus; 4] = [
    LastStatus::Provisioning,
    LastStatus::Pending,
    LastStatus::Running,
    LastStatus::Stopping,
];

fn status(text: &str) -> Result<LastStatus, String> {
    LastStatus::parse(&text.to_ascii_uppercase()).ok_or_else(|| {
        let names: Vec<&str> = LastStatus::ALL
            .iter()
            .map(|status| status.as_str())
            .collect();
        format!("it is one of {}", names.join(", "))
    })
}

pub(super) async fn execute(session: &mut Session, args: PsArgs) -> Result<u8, Failure> {
    let (tasks, document) = tasks(session, &args).await?;
    if let (true, Some(name)) = (tasks.is_empty(), &session.named_cluster) {
        // A name that is mistyped has no tasks either, and is no answer.
        session.client.cluster(name).await?;
    }
    let console = &mut session.console;
    if args.quiet {
        for task in &tasks {
            console.line(&task.task_id)?;
        }
    } else if !console.document(&document)? {
        let table = table(console, &tasks, time::now());
        let hint = if args.all || args.status.is_some() {
            ""
        } else {
            "; with those that have stopped: neargate ps --all"
        };
        console.table(&table, &format!("no tasks{hint}"))?;
    }
    Ok(0)
}

/// The tasks that are wanted, newest first.
async fn tasks(
    session: &Session,
    args: &PsArgs,
) -> Result<(Vec<Task>, serde_json::Value), Failure> {
    let query = |status: Option<LastStatus>| TaskQuery {
        cluster: Some(session.cluster()),
        family: args.family.clone(),
        service: args.service.clone(),
        last_status: status.map(|status| status.to_string()),
    };
    if args.all || args.status.is_some() {
        let answer = session.client.tasks(&query(args.status)).await?;
        return Ok((answer.value, answer.document));
    }
    // One state after the other, in their order: a task only moves forward, so none slips through between
    // two questions. One that is seen twice counts as it was seen last.
    let mut seen: BTreeMap<String, (Task, serde_json::Value)> = BTreeMap::new();
    for status in ALIVE {
        let mut answer = session.client.tasks(&query(Some(status))).await?;
        let documents = answer.document["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        for (task, document) in answer.value.into_iter().zip(documents) {
            seen.insert(task.task_id.clone(), (task, document));
        }
    }
    let mut seen: Vec<_> = seen.into_values().collect();
    seen.sort_by(|(a, _), (b, _)| {
        b.created_at
            .cmp(&a.created_at)
            .then_with(|| a.task_id.cmp(&b.task_id))
    });
    let (tasks, documents): (Vec<Task>, Vec<serde_json::Value>) = seen.into_iter().unzip();
    Ok((tasks, serde_json::json!({ "items": documents })))
}

fn table(console: &Console, tasks: &[Task], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "TASK",
        "DEFINITION",
        "STATUS",
        "HEALTH",
        "CREATED",
        "ADDRESS",
        "NOTE",
    ]);
    for task in tasks {
        let health = if task.health_status == "UNKNOWN" {
            ""
        } else {
            &task.health_status
        };
        table.row([
            console.id(&task.task_id).into(),
            (&task.task_definition).into(),
            Field::status(&task.last_status),
            Field::status(health),
            time::ago(&task.created_at, now).into(),
            addresses(task).into(),
            note(task).into(),
        ]);
    }
    table
}

/// Where it can be reached: its ports on the host, else its own address.
fn addresses(task: &Task) -> String {
    let bindings = task
        .containers
        .iter()
        .flat_map(|container| &container.network_bindings);
    let ports: Vec<String> = bindings.map(super::describe::binding).collect();
    if ports.is_empty() {
        task.address.clone().unwrap_or_default()
    } else {
        ports.join(", ")
    }
}

/// What it waits for, or why it stopped.
fn note(task: &Task) -> String {
    if let Some(waiting) = progress::waiting(task) {
        return waiting;
    }
    let codes = task
        .containers
        .iter()
        .filter_map(|container| container.exit_code);
    let codes: Vec<String> = codes.map(|code| code.to_string()).collect();
    match (&task.stopped_reason, codes.is_empty()) {
        (Some(reason), true) => reason.clone(),
        (Some(reason), false) => format!("{reason} (exit {})", codes.join(", ")),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::Format;
    use crate::cli::table::Look;
    use crate::cli::tests::sample;

    #[test]
    fn a_table_of_tasks() {
        let mut waiting = sample::running_task();
        "PENDING".clone_into(&mut waiting.last_status);
        "UNKNOWN".clone_into(&mut waiting.health_status);
        waiting.waiting_for = Some("pulling busybox:1".to_owned());
        waiting.containers.clear();
        waiting.address = None;
        let tasks = [waiting, sample::running_task(), sample::stopped_task()];
        let console = Console::plain(
            Box::new(std::io::sink()),
            Box::new(std::io::sink()),
            Format::Table,
        );
        let text = table(&console, &tasks, sample::now()).render(Look::default());
        assert_eq!(
            text,
            "\
TASK                              DEFINITION  STATUS   HEALTH   CREATED    ADDRESS                 NOTE
fedcba9876543210fedcba9876543210  web:2       PENDING           2 min ago                          pulling busybox:1
fedcba9876543210fedcba9876543210  web:2       RUNNING  HEALTHY  2 min ago  127.0.0.1:8080->80/tcp
0123456789abcdef0123456789abcdef  hello:1     STOPPED           3 min ago                          Essential container in task exited (exit 3, 143)
"
        );
    }

    #[test]
    fn a_status_is_one_of_ecs() {
        assert_eq!(status("running"), Ok(LastStatus::Running));
        assert!(status("up").unwrap_err().contains("PROVISIONING"));
    }
}
