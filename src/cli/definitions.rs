//! `neargate definitions`: which task definitions there are; takes them out of use and removes them.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::table::{Field, Table};
use super::{Session, parse, time};
use crate::domain::TimestampMs;
use crate::shapes::TaskDefinition;

/// List, deregister and delete task definitions
#[derive(Clone, Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  neargate definitions web --all"
)]
pub(super) struct DefinitionsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only those of this family
    family: Option<String>,
    /// Those that were deregistered, too
    #[arg(short, long)]
    all: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Take a revision out of use: no new task can be run from it
    #[command(after_help = "Example:\n  neargate definitions deregister web:3")]
    Deregister {
        /// The revision
        #[arg(value_name = "FAMILY:REV", value_parser = parse::revision)]
        revision: String,
    },
    /// Delete a revision
    #[command(after_help = "Example:\n  neargate definitions delete web:3")]
    Delete {
        /// The revision
        #[arg(value_name = "FAMILY:REV", value_parser = parse::revision)]
        revision: String,
    },
}

pub(super) async fn execute(session: &mut Session, args: DefinitionsArgs) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    match args.action {
        None => {
            let status = (!args.all).then_some("ACTIVE");
            let answer = client.definitions(args.family.as_deref(), status).await?;
            if !console.document(&answer.document)? {
                let table = table(&answer.value, time::now());
                console.table(
                    &table,
                    "no task definitions; make one: neargate register FILE",
                )?;
            }
        }
        Some(Action::Deregister { revision }) => {
            let answer = client.deregister(&revision).await?;
            if !console.document(&answer.document)? {
                console.line(&answer.value.task_definition)?;
            }
        }
        Some(Action::Delete { revision }) => {
            let document = client.delete_definition(&revision).await?;
            if document.is_null() || !console.document(&document)? {
                console.talk(&format!("task definition {revision} is deleted"));
            }
        }
    }
    Ok(0)
}

fn table(definitions: &[TaskDefinition], now: TimestampMs) -> Table {
    let mut table = Table::new(&[
        "DEFINITION",
        "STATUS",
        "REGISTERED",
        "CPU",
        "MEMORY",
        "CONTAINERS",
    ]);
    for definition in definitions {
        let document = &definition.document;
        let containers = document["containerDefinitions"]
            .as_array()
            .into_iter()
            .flatten();
        let names: Vec<&str> = containers
            .filter_map(|container| container["name"].as_str())
            .collect();
        table.row([
            (&definition.task_definition).into(),
            Field::status(&definition.status),
            time::ago(&definition.registered_at, now).into(),
            scalar(&document["cpu"]).into(),
            scalar(&document["memory"]).into(),
            names.join(", ").into(),
        ]);
    }
    table
}

/// A text or a number of a document, as text: people write `cpu: 256` as often as `cpu: "256"`.
pub(super) fn scalar(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        serde_json::Value::Bool(truth) => truth.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::Look;
    use crate::cli::tests::sample;

    #[test]
    fn a_table_of_definitions() {
        let text = table(&[sample::definition()], sample::now()).render(Look::default());
        assert_eq!(
            text,
            "\
DEFINITION  STATUS  REGISTERED  CPU  MEMORY  CONTAINERS
hello:1     ACTIVE  3 min ago   256  512     hello, proxy
"
        );
    }
}
