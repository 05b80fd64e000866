//! `neargate budget`: what tasks may cost, and how much of that is spent.

use clap::{Args, Subcommand};

use super::describe::Page;
use super::failure::Failure;
use super::parse::{self, Source};
use super::table::{Field, Look, Table};
use super::{Session, apply, time};
use crate::domain::TimestampMs;
use crate::domain::display::Tone;
use crate::shapes::{Budget, BudgetAction, BudgetPeriod, PutBudgetRequest};

/// Limit what tasks may cost: put, list and delete budgets
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
A budget covers the tasks of a cluster, of a service, or with a tag, in each day or month: docs/budgets.md.

Example:
  neargate budget put -f budgets/hello.yaml
  neargate budget list")]
pub(super) struct BudgetArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Put budgets, in place of those of the same name
    #[command(after_help = "Example:\n  neargate budget put -f budgets/hello.yaml")]
    Put {
        /// Budgets in YAML or JSON; `-` is stdin
        #[arg(short, long = "file", value_name = "FILE", value_parser = parse::source, required = true)]
        files: Vec<Source>,
    },
    /// List budgets, and how much of them is spent
    #[command(visible_alias = "ls", after_help = "Example:\n  neargate budget list")]
    List,
    /// Show all that is known of a budget
    #[command(after_help = "Example:\n  neargate budget describe hello")]
    Describe {
        /// The budget
        name: String,
    },
    /// Delete budgets; tasks that they kept from beginning begin
    #[command(after_help = "Example:\n  neargate budget delete hello")]
    Delete {
        /// The budgets
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) async fn execute(session: &mut Session, args: BudgetArgs) -> Result<u8, Failure> {
    match args.action {
        Action::Put { files } => put(session, &files).await,
        Action::List => {
            let answer = session.client.budgets().await?;
            if !session.console.document(&answer.document)? {
                let nothing = "no budgets; make one: neargate budget put -f FILE";
                session.console.table(&table(&answer.value), nothing)?;
            }
            Ok(0)
        }
        Action::Describe { name } => {
            let answer = session.client.budget(&name).await?;
            if !session.console.document(&answer.document)? {
                let look = session.console.look();
                let text = render(&answer.value, time::now(), look);
                session.console.text(&text)?;
            }
            Ok(0)
        }
        Action::Delete { names } => {
            for name in &names {
                session.client.delete_budget(name).await?;
                session.console.talk(&format!("budget {name} is deleted"));
            }
            Ok(0)
        }
    }
}

/// All files are read before anything is put.
async fn put(session: &mut Session, files: &[Source]) -> Result<u8, Failure> {
    let mut wanted = Vec::new();
    for file in files {
        let document = apply::document(file)?;
        let request = PutBudgetRequest::read(&document);
        wanted.push(request.map_err(|faults| apply::of_faults(&file.name(), &faults))?);
    }
    for (file, request) in files.iter().zip(&wanted) {
        let name = request.name.clone().unwrap_or_default();
        let answer = session.client.put_budget(&name, request).await;
        let answer = answer.map_err(|error| Failure::of_document(&file.name(), error))?;
        if !session.console.document(&answer.document)? {
            session.console.line(&answer.value.name)?;
            session.console.talk(&stands(&answer.value));
        }
    }
    Ok(0)
}

fn covers(budget: &Budget) -> String {
    match budget {
        Budget { tag: Some(tag), .. } => format!("tag {tag}"),
        Budget {
            service: Some(service),
            cluster: Some(cluster),
            ..
        } => format!("service {cluster}/{service}"),
        other => format!("cluster {}", other.cluster.as_deref().unwrap_or_default()),
    }
}

const fn period(budget: &Budget) -> &'static str {
    match budget.period {
        BudgetPeriod::Day => "day",
        BudgetPeriod::Month => "month",
    }
}

const fn action(budget: &Budget) -> &'static str {
    match budget.action {
        BudgetAction::Notify => "notify",
        BudgetAction::StopNewTasks => "stopNewTasks",
    }
}

/// `12.50 of 25.00 USD in this month (50.00 %)`.
fn stands(budget: &Budget) -> String {
    match (&budget.spent, &budget.spent_percent) {
        (Some(spent), Some(percent)) => format!(
            "{} of {} {} in this {} ({percent} %)",
            short(spent),
            short(&budget.limit),
            budget.currency,
            period(budget)
        ),
        _ => format!(
            "nobody knows: there is no price sheet \"{}\" any more",
            budget.price_sheet
        ),
    }
}

/// Without the zeros at its end, but for two decimals.
fn short(money: &str) -> String {
    let Some((whole, decimals)) = money.split_once('.') else {
        return money.to_owned();
    };
    let (cents, rest) = decimals.split_at(decimals.len().min(2));
    format!("{whole}.{cents}{}", rest.trim_end_matches('0'))
}

fn table(budgets: &[Budget]) -> Table {
    let mut table = Table::new(&[
        "BUDGET", "COVERS", "PERIOD", "SPENT", "LIMIT", "%", "ACTION", "STATE",
    ]);
    for budget in budgets {
        let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), short);
        table.row([
            (&budget.name).into(),
            covers(budget).into(),
            period(budget).into(),
            text(&budget.spent).into(),
            format!("{} {}", short(&budget.limit), budget.currency).into(),
            budget
                .spent_percent
                .clone()
                .unwrap_or("-".to_owned())
                .into(),
            action(budget).into(),
            state(budget),
        ]);
    }
    table
}

fn state(budget: &Budget) -> Field {
    match (&budget.stops_until, budget.reached.last()) {
        (Some(_), _) => Field::new("no new tasks", Tone::Bad),
        (None, Some(percent @ 100..)) => Field::new(format!("{percent} % reached"), Tone::Bad),
        (None, Some(percent)) => Field::new(format!("{percent} % reached"), Tone::Busy),
        (None, None) => Field::new("within", Tone::Good),
    }
}

fn render(budget: &Budget, now: TimestampMs, look: Look) -> String {
    let mut page = Page::new(look);
    page.entry("Budget", &budget.name);
    page.entry("Covers", &covers(budget));
    page.entry("Spent", &stands(budget));
    page.entry(
        "Period",
        &match (&budget.period_start, &budget.period_end) {
            (Some(start), Some(end)) => format!("{}, {start} to {end}", period(budget)),
            _ => period(budget).to_owned(),
        },
    );
    page.entry("Price sheet", &budget.price_sheet);
    let percents = |list: &[u32]| {
        let listed: Vec<String> = list.iter().map(|one| format!("{one} %")).collect();
        listed.join(", ")
    };
    page.entry("Events at", &percents(&budget.thresholds));
    if !budget.reached.is_empty() {
        page.entry("Reached", &percents(&budget.reached));
    }
    page.entry("Action", action(budget));
    page.optional("Now", budget.reason.as_deref());
    page.entry("Created", &time::ago(&budget.created_at, now));
    page.entry("Changed", &time::ago(&budget.updated_at, now));
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_told_in_few_words() {
        let mut budget = Budget {
            name: "blue".to_owned(),
            tag: Some("team=blue".to_owned()),
            limit: "25.000000000".to_owned(),
            currency: "USD".to_owned(),
            spent: Some("12.500100000".to_owned()),
            spent_percent: Some("50.00".to_owned()),
            ..Budget::default()
        };
        assert_eq!(covers(&budget), "tag team=blue");
        assert_eq!(
            stands(&budget),
            "12.5001 of 25.00 USD in this month (50.00 %)"
        );
        budget.tag = None;
        budget.cluster = Some("default".to_owned());
        assert_eq!(covers(&budget), "cluster default");
        budget.service = Some("web".to_owned());
        assert_eq!(covers(&budget), "service default/web");
    }
}
