//! `neargate top`: what running tasks use, from two looks at what was used so far.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::client::{Client, TaskQuery};
use super::console::{Console, Format};
use super::failure::Failure;
use super::live::Live;
use super::run::interrupted;
use super::table::Table;
use super::{Session, time};
pub(super) use crate::domain::display::bytes as size;
use crate::shapes::{ContainerStats, NetworkStats, Task, TaskStats};

/// Show what running tasks use
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
CPU is given in percent of one vCPU, over the time between two looks: 200 % is two vCPUs. On a terminal the table \
is renewed until Ctrl-C; elsewhere it is printed once, after one interval.

Example:
  neargate top --interval 5")]
pub(super) struct TopArgs {
    /// Only these tasks: their IDs, or the first digits of them
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Print the table once
    #[arg(long)]
    once: bool,
}

/// How many tasks are asked about at once.
const TASKS_AT_ONCE: usize = 8;
const NOTHING: &str = "no running tasks; all of them: neargate ps --all";

pub(super) async fn execute(session: &mut Session, args: TopArgs) -> Result<u8, Failure> {
    let is_live =
        session.console.stdout_is_terminal && session.console.format == Format::Table && !args.once;
    let mut live = Live::default();
    // One for all looks: a Ctrl-C that comes while nobody listens would be lost.
    let mut interrupted = std::pin::pin!(interrupted());
    let mut before = tokio::select! {
        before = look(session, &args.tasks) => before?,
        () = &mut interrupted => return Ok(0),
    };
    loop {
        let next = async {
            tokio::time::sleep(Duration::from_secs(args.interval)).await;
            look(session, &args.tasks).await
        };
        let now = tokio::select! {
            now = next => now?,
            () = &mut interrupted => return Ok(0),
        };
        let uses: Vec<TaskUse> = now
            .iter()
            .map(|(id, (task, stats))| {
                task_use(task, stats, before.get(id).map(|(_, stats)| stats))
            })
            .collect();
        let console = &mut session.console;
        if !console.document(&serde_json::json!({ "items": uses }))? {
            let table = table(console, &uses);
            if is_live {
                console.redraw_table(&mut live, &table, NOTHING)?;
            } else {
                console.table(&table, NOTHING)?;
                console.flush()?;
            }
        }
        if !is_live {
            return Ok(0);
        }
        before = now;
    }
}

type Looks = BTreeMap<String, (Task, TaskStats)>;

/// The running tasks with what they have used so far.
async fn look(session: &Session, wanted: &[String]) -> Result<Looks, Failure> {
    let tasks = if wanted.is_empty() {
        let query = TaskQuery {
            cluster: Some(session.cluster()),
            last_status: Some("RUNNING".to_owned()),
            ..TaskQuery::default()
        };
        session.client.tasks(&query).await?.value
    } else {
        let mut tasks = Vec::with_capacity(wanted.len());
        for task in wanted {
            tasks.push(session.client.task(task).await?.value);
        }
        tasks
    };
    let client = &session.client;
    let looks = tasks.into_iter().map(|task| with_stats(client, task));
    let found: Vec<_> = stream::iter(looks)
        .buffer_unordered(TASKS_AT_ONCE)
        .collect()
        .await;
    let mut looks = Looks::new();
    for look in found {
        let (task, stats) = look?;
        looks.insert(task.task_id.clone(), (task, stats));
    }
    Ok(looks)
}

async fn with_stats(client: &Client, task: Task) -> Result<(Task, TaskStats), Failure> {
    let stats = client.task_stats(&task.task_id).await?.value;
    Ok((task, stats))
}

/// What a task used between two looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TaskUse {
    task_id: String,
    task_definition: String,
    /// MiB that it reserves, as text.
    memory: String,
    containers: Vec<ContainerUse>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkStats>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerUse {
    name: String,
    /// Of one vCPU; nothing after the first look, and where its clock stood still.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    memory_bytes: u64,
    processes: u64,
}

fn task_use(task: &Task, now: &TaskStats, before: Option<&TaskStats>) -> TaskUse {
    let earlier = |name: &str| before?.containers.iter().find(|one| one.name == name);
    let containers = now.containers.iter().map(|container| ContainerUse {
        name: container.name.clone(),
        cpu_percent: earlier(&container.name).and_then(|before| cpu_percent(before, container)),
        memory_bytes: container.memory_bytes,
        processes: container.processes,
    });
    TaskUse {
        task_id: task.task_id.clone(),
        task_definition: task.task_definition.clone(),
        memory: task.memory.clone(),
        containers: containers.collect(),
        network: now.network,
    }
}

fn cpu_percent(before: &ContainerStats, now: &ContainerStats) -> Option<f64> {
    let (from, to) = (time::parse(&before.read_at)?, time::parse(&now.read_at)?);
    let passed_ms = to.as_millis() - from.as_millis();
    // Started anew in between, it counts from zero again.
    let used_ns = now.cpu_time_ns.checked_sub(before.cpu_time_ns)?;
    let percent = used_ns as f64 / 1e6 / passed_ms as f64 * 100.0;
    (passed_ms > 0).then_some((percent * 10.0).round() / 10.0)
}

fn table(console: &Console, uses: &[TaskUse]) -> Table {
    let mut table = Table::new(&[
        "TASK",
        "DEFINITION",
        "CONTAINER",
        "CPU",
        "MEMORY",
        "OF TASK",
        "PIDS",
        "RECEIVED",
        "SENT",
    ]);
    for task in uses {
        for (index, container) in task.containers.iter().enumerate() {
            // The containers of a task share its network.
            let traffic = task.network.filter(|_| index == 0);
            let bytes = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
            table.row([
                console.id(&task.task_id).into(),
                (&task.task_definition).into(),
                (&container.name).into(),
                container
                    .cpu_percent
                    .map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1} %"))
                    .into(),
                size(container.memory_bytes).into(),
                format!("{} MiB", task.memory).into(),
                container.processes.to_string().into(),
                bytes(traffic.map(|traffic| traffic.received_bytes)).into(),
                bytes(traffic.map(|traffic| traffic.sent_bytes)).into(),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::Look;
    use crate::cli::tests::sample;

    fn stats(second: u32, cpu_ms: u64) -> TaskStats {
        TaskStats {
            task_id: "x".to_owned(),
            containers: vec![ContainerStats {
                name: "web".to_owned(),
                read_at: format!("2026-01-31T08:15:{second:02}.000Z"),
                cpu_time_ns: cpu_ms * 1_000_000,
                memory_bytes: 3 << 20,
                processes: 2,
            }],
            network: Some(NetworkStats {
                received_bytes: 1_536,
                sent_bytes: 7,
            }),
        }
    }

    #[test]
    fn cpu_is_what_was_used_between_two_looks() {
        let cpu = |before: &TaskStats, now: &TaskStats| {
            task_use(&sample::running_task(), now, Some(before)).containers[0].cpu_percent
        };
        assert_eq!(cpu(&stats(0, 100), &stats(2, 1_100)), Some(50.0));
        assert_eq!(cpu(&stats(0, 0), &stats(1, 2_000)), Some(200.0));
        assert_eq!(cpu(&stats(0, 5), &stats(1, 0)), None, "it was started anew");
        assert_eq!(cpu(&stats(1, 5), &stats(1, 9)), None, "no time has passed");
        let first = task_use(&sample::running_task(), &stats(0, 100), None);
        assert_eq!(first.containers[0].cpu_percent, None);
    }

    #[test]
    fn a_table_of_what_is_used() {
        let console = Console::plain(
            Box::new(std::io::sink()),
            Box::new(std::io::sink()),
            Format::Table,
        );
        let uses = [task_use(
            &sample::running_task(),
            &stats(2, 350),
            Some(&stats(0, 100)),
        )];
        assert_eq!(
            table(&console, &uses).render(Look::default()),
            format!(
                "\
TASK                              DEFINITION  CONTAINER  CPU     MEMORY   OF TASK  PIDS  RECEIVED  SENT
fedcba9876543210fedcba9876543210  web:2       web        12.5 %  3.0 MiB  {} MiB  2     1.5 KiB   7 B
",
                sample::running_task().memory
            )
        );
        assert_eq!(
            (size(0), size(1 << 40)),
            ("0 B".to_owned(), "1.0 TiB".to_owned())
        );
    }
}
