//! `neargate bill`: what tasks reserved, used and cost.

use clap::{Args, ValueEnum};

use super::Session;
use super::client::{BillQuery, UsageQuery};
use super::console::{Console, Format};
use super::failure::Failure;
use super::table::Table;
use super::time::{self, Point};
use crate::shapes::{Bill, BillLine};

/// Show what tasks have cost
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
All clusters are on it, unless --cluster names one. Times, days and hours are those of UTC. What tasks held outside of \
the time asked for is not on the bill.

Example:
  neargate bill --from 2026-10-01 --to 2026-11-01 --group-by service --compare fargate")]
pub(super) struct BillArgs {
    #[command(flatten)]
    pub(super) scope: Scope,
    /// The price sheet: fargate, fargate-arm, lambda, own, or one in prices/ in the data folder
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
    /// What it would have cost by another price sheet
    #[arg(long, value_name = "NAME")]
    compare: Option<String>,
    /// Issue it: it is kept as it is now and never changes, so its time must be over
    #[arg(long)]
    issue: bool,
    /// Show the bill that was issued with this number
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["family", "from", "to", "group_by", "sheet", "compare", "issue"])]
    issued: Option<u64>,
    /// How it is written; focus is FOCUS 1.2 as CSV, which tools for cloud costs read
    #[arg(long, value_enum, value_name = "table|json|csv|focus", hide_possible_values = true, default_value_t = BillFormat::Table)]
    format: BillFormat,
}

/// Of what a bill is.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Scope {
    /// Only tasks of this family
    #[arg(long, value_name = "FAMILY")]
    pub(super) family: Option<String>,
    /// From when on: 10m, 1d, a date, or 2026-01-31T08:15:00Z; this month unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    pub(super) from: Option<Point>,
    /// Until when; now unless said otherwise
    #[arg(long, value_name = "TIME", value_parser = time::point)]
    pub(super) to: Option<Point>,
    /// One line for each: task, family, service, cluster, tag:KEY, day or hour
    #[arg(long, value_name = "WHAT")]
    pub(super) group_by: Option<String>,
}

/// How a bill is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum BillFormat {
    /// For people.
    #[default]
    Table,
    /// The API's answer.
    Json,
    /// A table for programs.
    Csv,
    /// FOCUS 1.2.
    Focus,
}

pub(super) async fn execute(session: &mut Session, args: BillArgs) -> Result<u8, Failure> {
    let mut scope = args.scope;
    if args.format == BillFormat::Focus && scope.group_by.is_none() {
        scope.group_by = Some("task".to_owned());
    }
    let Session {
        client,
        console,
        named_cluster,
    } = session;
    let query = BillQuery {
        price_sheet: args.sheet,
        compare: args.compare,
        ..query(scope, named_cluster.clone())
    };
    let (document, bill, number) = if args.issue || args.issued.is_some() {
        let answer = match args.issued {
            Some(number) => client.issued_bill(number).await?,
            None => client.issue_bill(&query).await?,
        };
        let issued = answer.value;
        (answer.document, issued.bill, Some(issued.number))
    } else {
        let answer = client.bill(&query).await?;
        (answer.document, answer.value, None)
    };
    let bill = &bill;
    match args.format {
        BillFormat::Csv => table_of_values(console, &bill.csv())?,
        BillFormat::Focus => table_of_values(console, &bill.focus())?,
        BillFormat::Json => {
            console.format = Format::Json;
            console.document(&document)?;
        }
        BillFormat::Table => {
            if !console.document(&document)? {
                show(console, bill, Column::Cost)?;
            }
        }
    }
    if let Some(number) = number {
        console.talk(&format!("bill {number}, issued {}", bill.as_of));
    }
    Ok(0)
}

/// Asks for `scope`.
pub(super) fn query(scope: Scope, cluster: Option<String>) -> BillQuery {
    let now = time::now();
    BillQuery {
        usage: UsageQuery {
            cluster,
            family: scope.family,
            from: scope.from.map(|from| from.resolve(now)),
            to: scope.to.map(|to| to.resolve(now)),
        },
        group_by: scope.group_by,
        price_sheet: None,
        compare: None,
    }
}

/// A terminal gets nothing that it would obey; anything else gets the values as they are.
fn table_of_values(console: &mut Console, text: &str) -> Result<(), Failure> {
    if !console.stdout_is_terminal {
        return Ok(console.text(text)?);
    }
    for line in text.split_terminator("\r\n") {
        console.line(line)?;
    }
    Ok(())
}

/// What the last columns of a bill are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Money.
    Cost,
    /// Nothing but what was reserved and used.
    Usage,
}

/// Shows `bill` to a person.
pub(super) fn show(console: &mut Console, bill: &Bill, column: Column) -> Result<(), Failure> {
    let table = table(console, bill, column);
    console.table(&table, "nothing was reserved in that time")?;
    if bill.items.is_empty() {
        return Ok(());
    }
    if column == Column::Cost {
        let sheet = &bill.price_sheet;
        console.talk(&format!(
            "{} to {}, in {}, by the price sheet {}: {}",
            bill.from, bill.to, sheet.currency, sheet.name, sheet.description
        ));
    }
    for note in &bill.notes {
        console.talk(note);
    }
    Ok(())
}

fn table(console: &Console, bill: &Bill, column: Column) -> Table {
    let mut table = Table::new(&[
        "NAME",
        "CLUSTER",
        "TASKS",
        "VCPU-SECONDS",
        "GB-SECONDS",
        "VCPU USED",
        "GB USED",
        "VCPU IDLE",
        "GB IDLE",
        "COST",
        "SHARE",
        "COMPARED",
        "NOTE",
    ]);
    if bill.items.is_empty() {
        return table;
    }
    for line in &bill.items {
        let name = match (&line.name, &line.task) {
            (Some(id), Some(_)) => console.id(id).to_owned(),
            (Some(name), None) => name.clone(),
            (None, _) => format!("(no {})", bill.group_by),
        };
        let cluster = line.cluster.as_deref().filter(|cluster| *cluster != name);
        row(&mut table, &name, cluster.unwrap_or_default(), line, column);
    }
    row(&mut table, "total", "", &bill.total, column);
    table
}

fn row(table: &mut Table, name: &str, cluster: &str, line: &BillLine, column: Column) {
    let used = line.used.clone().unwrap_or_default();
    let percent =
        |share: Option<String>| share.map(|share| format!("{share} %")).unwrap_or_default();
    let money = |text: &str| match column {
        Column::Cost => text.to_owned(),
        Column::Usage => String::new(),
    };
    let mut notes = Vec::new();
    if line.running > 0 {
        notes.push(match line.task {
            Some(_) => "goes on".to_owned(),
            None => format!("{} go on", line.running),
        });
    }
    if line.estimated > 0 {
        notes.push(match line.task {
            Some(_) => "estimated".to_owned(),
            None => format!("{} estimated", line.estimated),
        });
    }
    let compared = line.compared_cost.as_deref().unwrap_or_default();
    table.row([
        name.into(),
        cluster.into(),
        line.tasks.to_string().into(),
        (&line.vcpu_seconds).into(),
        (&line.gb_seconds).into(),
        used.vcpu_seconds.into(),
        used.gb_seconds.into(),
        percent(used.idle_vcpu).into(),
        percent(used.idle_memory).into(),
        money(&line.cost).into(),
        percent(Some(line.share.clone())).into(),
        money(compared).into(),
        notes.join(", ").into(),
    ]);
}
