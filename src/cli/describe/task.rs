//! A task: what it is, its life with the time that each step took, its containers, and what it has used.

use super::{Page, binding};
use crate::cli::table::{Field, Look, Table};
use crate::cli::{progress, time, top};
use crate::domain::TimestampMs;
use crate::shapes::{Container, Task, TaskLimits, TaskUsage, Used};

/// All that is known of `task`.
pub(super) fn render(task: &Task, now: TimestampMs, look: Look) -> String {
    let mut page = Page::new(look);
    page.entry("Task", &task.task_id);
    page.entry("Definition", &task.task_definition);
    page.entry("Cluster", &task.cluster);
    page.entry("Status", &status(task));
    page.optional(
        "Health",
        Some(task.health_status.as_str()).filter(|health| *health != "UNKNOWN"),
    );
    page.optional("Waits for", progress::waiting(task).as_deref());
    page.optional("Stop code", task.stop_code.as_deref());
    page.optional("Reason", task.stopped_reason.as_deref());
    page.entry(
        "Size",
        &format!("{} CPU units, {} MiB", task.cpu, task.memory),
    );
    page.optional("Limits", task.limits.as_ref().map(limits).as_deref());
    page.entry("Network", &network(task));
    page.optional(
        "Exec",
        task.enable_execute_command
            .then_some("enabled: neargate exec"),
    );
    page.entry("Group", &task.group);
    page.optional("Started by", task.started_by.as_deref());
    page.optional("Protected", protected(task, now).as_deref());
    let tags: Vec<String> = task
        .tags
        .iter()
        .map(|tag| format!("{}={}", tag.key, tag.value))
        .collect();
    page.optional("Tags", Some(&tags.join(", ")));

    page.heading("Life");
    page.table(&life(task, now), look);
    page.heading("Containers");
    page.table(&containers(&task.containers, now), look);
    for container in &task.containers {
        match container.restart_count {
            0 => {}
            1 => page.line(&format!("{}: started again once", container.name)),
            times => page.line(&format!("{}: started again {times} times", container.name)),
        }
        if let Some(reason) = &container.reason {
            page.line(&format!("{}: {reason}", container.name));
        }
    }
    if let Some(used) = &task.usage {
        page.heading(if used.closed_at.is_some() {
            "Usage"
        } else {
            "Usage so far"
        });
        usage(&mut page, used);
        page.end_entries("  ");
    }
    page.finish()
}

fn protected(task: &Task, now: TimestampMs) -> Option<String> {
    let until = task.protected_until.as_deref()?;
    let is_over = time::parse(until).is_none_or(|until| until <= now);
    (!is_over).then(|| format!("until {until}, from scaling in and from deployments"))
}

fn status(task: &Task) -> String {
    if task.last_status == task.desired_status {
        task.last_status.clone()
    } else {
        format!("{}, should be {}", task.last_status, task.desired_status)
    }
}

fn limits(limits: &TaskLimits) -> String {
    match limits.enforced_by.as_str() {
        "taskCgroup" => "hold for the task as a whole".to_owned(),
        "containers" => "hold for each container on its own, with its part of the size".to_owned(),
        other => other.to_owned(),
    }
}

fn network(task: &Task) -> String {
    match &task.address {
        Some(address) => format!("{}, {address}", task.network_mode),
        None => task.network_mode.clone(),
    }
}

/// Each step, when it was, and how long after the one before.
fn life(task: &Task, now: TimestampMs) -> Table {
    let steps = [
        ("created", Some(task.created_at.as_str())),
        ("pull started", task.pull_started_at.as_deref()),
        ("pull stopped", task.pull_stopped_at.as_deref()),
        ("started", task.started_at.as_deref()),
        ("healthy", task.healthy_at.as_deref()),
        ("stopping", task.stopping_at.as_deref()),
        ("execution stopped", task.execution_stopped_at.as_deref()),
        ("stopped", task.stopped_at.as_deref()),
    ];
    let mut table = Table::new(&["STEP", "AT", "", "TOOK"]).keep_whole(1);
    let mut before: Option<&str> = None;
    let mut steps: Vec<(&str, &str)> = steps
        .into_iter()
        .filter_map(|(step, at)| Some((step, at?)))
        .collect();
    // A task that ended while nobody watched is found to be stopping after its execution stopped.
    steps.sort_by_key(|(_, at)| time::parse(at));
    for (step, at) in steps {
        let took = before
            .and_then(|before| time::between(before, at))
            .map(time::length);
        table.row([
            step.into(),
            at.into(),
            time::since(at, now).into(),
            took.unwrap_or_default().into(),
        ]);
        before = Some(at);
    }
    table
}

fn containers(containers: &[Container], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "STATUS",
        "EXIT",
        "HEALTH",
        "ESSENTIAL",
        "RAN",
        "PORTS",
        "IMAGE",
    ]);
    for container in containers {
        let ports: Vec<String> = container.network_bindings.iter().map(binding).collect();
        let health = if container.health_status == "UNKNOWN" {
            ""
        } else {
            &container.health_status
        };
        table.row([
            (&container.name).into(),
            Field::status(&container.last_status),
            container
                .exit_code
                .map(|code| code.to_string())
                .unwrap_or_default()
                .into(),
            Field::status(health),
            if container.essential { "yes" } else { "no" }.into(),
            ran(container, now).unwrap_or_default().into(),
            ports.join(", ").into(),
            (&container.image).into(),
        ]);
    }
    table
}

/// How long its process ran, or has run so far.
fn ran(container: &Container, now: TimestampMs) -> Option<String> {
    let started = container.started_at.as_deref()?;
    let millis = match &container.finished_at {
        Some(finished) => time::between(started, finished)?,
        None if container.last_status == "RUNNING" => now.since(time::parse(started)?).as_millis(),
        None => return None,
    };
    Some(time::length(millis))
}

/// What was reserved, and for how long; and what of it was used.
pub(in crate::cli) fn usage(page: &mut Page, usage: &TaskUsage) {
    page.entry("Length", &time::length(usage.duration_ms));
    let used = |of: &str, used: Option<&str>| match used {
        Some(used) => format!("{of} reserved, {used} used"),
        None => format!("{of} reserved"),
    };
    let measured = usage.used.as_ref();
    let (cpu, memory) = (
        measured.map(|used| used.vcpu_seconds.as_str()),
        measured.map(|used| used.gb_seconds.as_str()),
    );
    page.entry("vCPU-seconds", &used(&usage.vcpu_seconds, cpu));
    page.entry("GB-seconds", &used(&usage.gb_seconds, memory));
    if let Some(used) = measured {
        beside(page, used);
    }
    page.entry("From", &usage.opened_at);
    page.optional("Until", usage.closed_at.as_deref());
    page.optional("The end is", usage.end_evidence.as_deref().map(evidence));
}

/// What is used and not reserved, and how exact it all is.
fn beside(page: &mut Page, used: &Used) {
    page.entry("Memory peak", &top::size(used.memory_peak_bytes));
    let both = |what: &str, there: u64, and: &str, back: u64| {
        format!("{} {what}, {} {and}", top::size(there), top::size(back))
    };
    let (rx, tx) = (used.network_rx_bytes, used.network_tx_bytes);
    page.entry("Network", &both("received", rx, "sent", tx));
    let (read, written) = (used.block_read_bytes, used.block_write_bytes);
    page.entry("Disk", &both("read", read, "written", written));
    let until = used.measured_until.as_deref().unwrap_or_default();
    page.entry(
        "Measured",
        &match used.source.as_str() {
            "sample" => {
                format!("by the engine's statistics, last at {until}: later use is missing")
            }
            _ => format!("by the kernel, until {until}"),
        },
    );
}

fn evidence(evidence: &str) -> &str {
    match evidence {
        "engine" => "recorded by the engine",
        "never_started" => "when it was given up; it never started",
        "estimated" => "estimated: nobody recorded it",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sample;

    #[test]
    fn a_task_that_has_stopped() {
        assert_eq!(
            render(&sample::stopped_task(), sample::now(), Look::default()),
            "\
Task        0123456789abcdef0123456789abcdef
Definition  hello:1
Cluster     default
Status      STOPPED
Stop code   EssentialContainerExited
Reason      Essential container in task exited
Size        256 CPU units, 512 MiB
Network     awsvpc
Group       family:hello
Started by  ci
Tags        team=blue, stage=\\x1b[31m

Life
  STEP               AT                                   TOOK
  created            2026-01-31T08:15:00.000Z  3 min ago
  pull started       2026-01-31T08:15:00.012Z  3 min ago  12 ms
  pull stopped       2026-01-31T08:15:02.300Z  3 min ago  2.2 s
  started            2026-01-31T08:15:02.500Z  3 min ago  200 ms
  stopping           2026-01-31T08:15:04.500Z  3 min ago  2.0 s
  execution stopped  2026-01-31T08:15:04.600Z  3 min ago  100 ms
  stopped            2026-01-31T08:15:04.650Z  3 min ago  50 ms

Containers
  NAME   STATUS   EXIT  ESSENTIAL  RAN    IMAGE
  hello  STOPPED  3     yes        2.0 s  neargate/workload:latest
  proxy  STOPPED  143   no         2.1 s  proxy:2
  proxy: stopped because an essential container ended

Usage
  Length        4.5 s
  vCPU-seconds  1.147000 reserved, 0.050123 used
  GB-seconds    2.294000 reserved, 0.004000 used
  Memory peak   3.0 MiB
  Network       1.5 KiB received, 90 B sent
  Disk          0 B read, 4.0 KiB written
  Measured      by the kernel, until 2026-01-31T08:15:04.640Z
  From          2026-01-31T08:15:00.012Z
  Until         2026-01-31T08:15:04.600Z
  The end is    recorded by the engine
"
        );
    }

    #[test]
    fn a_task_that_runs() {
        let text = render(&sample::running_task(), sample::now(), Look::default());
        for line in [
            "Status      RUNNING\n",
            "Health      HEALTHY\n",
            "Network     bridge, 172.17.0.5\n",
            "  healthy       2026-01-31T08:16:32.000Z  1 min ago  5.0 s\n",
            "  web   RUNNING  HEALTHY  yes        2 min 03 s  127.0.0.1:8080->80/tcp  nginx:1\n",
            "\nUsage so far\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
    }
}
