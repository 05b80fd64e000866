//! `neargate usage`: what tasks reserved, and for how long; beside it what they used.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Session;
use super::bill::{self, Column, Scope};
use super::client::UsageQuery;
use super::console::Console;
use super::describe::{Page, usage};
use super::failure::Failure;
use super::table::Table;
use super::time::{self, Point};
use crate::shapes::{UsageLine, UsageReport, UsageTotal, UsageVerification, Used};

/// Show what tasks have used
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
All clusters are shown, unless --cluster names one. Tasks of which any part lies within the time are shown \
with their whole length; with --group-by, with what lies within it.

Example:
  neargate usage --from 1d --group-by service")]
pub(super) struct UsageArgs {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// Only this task: its ID, or the first digits of it
    #[arg(conflicts_with_all = ["family", "from", "to", "group_by"])]
    task: Option<String>,
    /// Only tasks of this family
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Only tasks that held something after that: 10m, 1d, a date, or 2026-01-31T08:15:00Z
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    from: Option<Point>,
    /// Only tasks that held something before that
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    to: Option<Point>,
    /// One line for each: family, service, cluster, tag:KEY, day or hour, in UTC; since the beginning of this month,
    /// unless --from says otherwise
    #[arg(long, value_name = "WHAT")]
    group_by: Option<String>,
}

/// What else can be done with the record of usage.
#[derive(Clone, Copy, Debug, Subcommand)]
enum UsageCommand {
    /// Check the books: nothing lost, nothing counted twice, and as the engine says
    #[command(after_help = "\
Ends with 1, and says where, if something does not hold.

Example:
  neargate usage verify")]
    Verify,
}

async fn verify(session: &mut Session) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    let answer = client.verify_usage().await?;
    if !console.document(&answer.document)? {
        console.text(&verified(&answer.value))?;
    }
    Ok(u8::from(!answer.value.holds))
}

fn verified(report: &UsageVerification) -> String {
    let mut text = String::new();
    for check in &report.checks {
        let verdict = if check.holds { "holds" } else { "WRONG" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{verdict}  {} ({})", check.what, check.numbers);
        for difference in &check.differences {
            let _ = writeln!(text, "       {difference}");
        }
    }
    text
}

pub(super) async fn execute(session: &mut Session, args: UsageArgs) -> Result<u8, Failure> {
    if let Some(UsageCommand::Verify) = args.command {
        return verify(session).await;
    }
    let Session {
        client,
        console,
        named_cluster,
    } = session;
    if let Some(task) = &args.task {
        let answer = client.task_usage(task).await?;
        if !console.document(&answer.document)? {
            let mut page = Page::new(console.look());
            usage(&mut page, &answer.value);
            console.text(&page.finish())?;
        }
        return Ok(0);
    }
    if args.group_by.is_some() {
        let scope = Scope {
            family: args.family,
            from: args.from,
            to: args.to,
            group_by: args.group_by,
        };
        let query = bill::query(scope, named_cluster.clone());
        let answer = client.bill(&query).await?;
        if !console.document(&answer.document)? {
            bill::show(console, &answer.value, Column::Usage)?;
        }
        return Ok(0);
    }
    let now = time::now();
    let query = UsageQuery {
        cluster: named_cluster.clone(),
        family: args.family,
        from: args.from.map(|from| from.resolve(now)),
        to: args.to.map(|to| to.resolve(now)),
    };
    let mut items: Vec<UsageLine> = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = client.usage(&query, token.as_deref()).await?.value;
        items.extend(page.items);
        if page.next_token.is_none() || page.next_token == token {
            break;
        }
        token = page.next_token;
    }
    // Each page came with a total of its own; the one of all pages is made from the exact figures.
    let report = UsageReport {
        total: UsageTotal::of(&items),
        items,
        next_token: None,
    };
    if !console.document(&report)? {
        let table = table(console, &report);
        console.table(&table, "no usage")?;
    }
    Ok(0)
}

fn table(console: &Console, report: &UsageReport) -> Table {
    let mut table = Table::new(&[
        "TASK",
        "DEFINITION",
        "CLUSTER",
        "FROM",
        "LENGTH",
        "VCPU-SECONDS",
        "USED",
        "GB-SECONDS",
        "USED",
        "NOTE",
    ]);
    for line in &report.items {
        let note = match (line.closed_at.is_some(), line.end_evidence.as_deref()) {
            (false, _) => "goes on",
            (true, Some("estimated")) => "estimated",
            (true, Some("never_started")) => "never started",
            (true, _) => "",
        };
        table.row([
            console.id(&line.task_id).into(),
            format!("{}:{}", line.family, line.revision).into(),
            (&line.cluster).into(),
            (&line.opened_at).into(),
            time::length(line.duration_ms).into(),
            (&line.vcpu_seconds).into(),
            cpu_used(line.used.as_ref()).into(),
            (&line.gb_seconds).into(),
            memory_used(line.used.as_ref()).into(),
            note.into(),
        ]);
    }
    let total = &report.total;
    if total.tasks > 1 {
        table.row([
            "total".into(),
            format!("{} tasks", total.tasks).into(),
            "".into(),
            "".into(),
            time::length(total.duration_ms).into(),
            (&total.vcpu_seconds).into(),
            cpu_used(total.used.as_ref()).into(),
            (&total.gb_seconds).into(),
            memory_used(total.used.as_ref()).into(),
            "".into(),
        ]);
    }
    table
}

fn cpu_used(used: Option<&Used>) -> String {
    used.map(|used| used.vcpu_seconds.clone())
        .unwrap_or_default()
}

fn memory_used(used: Option<&Used>) -> String {
    used.map(|used| used.gb_seconds.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::Format;
    use crate::cli::table::Look;

    fn line(task: &str, closed_at: Option<&str>) -> UsageLine {
        UsageLine {
            task_id: task.repeat(32),
            family: "hello".to_owned(),
            revision: 1,
            cluster: "default".to_owned(),
            milli_vcpu: 250,
            memory_mib: 512,
            opened_at: "2026-01-31T08:15:00.000Z".to_owned(),
            closed_at: closed_at.map(str::to_owned),
            duration_ms: 60_000,
            end_evidence: closed_at.map(|_| "estimated".to_owned()),
            milli_vcpu_ms: 15_000_000,
            mib_ms: 30_720_000,
            vcpu_seconds: "15.000000".to_owned(),
            gb_seconds: "30.000000".to_owned(),
            used: closed_at.map(|_| Used {
                vcpu_seconds: "3.500000".to_owned(),
                gb_seconds: "1.250000".to_owned(),
                cpu_ns: 3_500_000_000,
                memory_kib_ms: 1_310_720_000,
                source: "cgroup".to_owned(),
                ..Used::default()
            }),
        }
    }

    #[test]
    fn a_check_that_does_not_hold_says_where() {
        let check = |holds, differences: &[&str]| crate::shapes::UsageCheck {
            what: "one and one are two".to_owned(),
            holds,
            numbers: "1 + 1".to_owned(),
            differences: differences.iter().map(|&one| one.to_owned()).collect(),
        };
        let report = UsageVerification {
            holds: false,
            checks: vec![check(true, &[]), check(false, &["they are 3"])],
        };
        assert_eq!(
            verified(&report),
            "holds  one and one are two (1 + 1)\nWRONG  one and one are two (1 + 1)\n       they are 3\n"
        );
    }

    #[test]
    fn a_report_ends_with_its_total() {
        let items = vec![line("a", Some("2026-01-31T08:16:00.000Z")), line("b", None)];
        let report = UsageReport {
            total: UsageTotal::of(&items),
            items,
            next_token: None,
        };
        let console = Console::plain(
            Box::new(std::io::sink()),
            Box::new(std::io::sink()),
            Format::Table,
        );
        assert_eq!(
            table(&console, &report).render(Look::default()),
            "\
TASK                              DEFINITION  CLUSTER  FROM                      LENGTH      VCPU-SECONDS  USED      GB-SECONDS  USED      NOTE
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  hello:1     default  2026-01-31T08:15:00.000Z  1 min 00 s  15.000000     3.500000  30.000000   1.250000  estimated
bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb  hello:1     default  2026-01-31T08:15:00.000Z  1 min 00 s  15.000000               30.000000             goes on
total                             2 tasks                                        2 min 00 s  30.000000     3.500000  60.000000   1.250000
"
        );
    }
}
