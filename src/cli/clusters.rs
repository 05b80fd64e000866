//! `neargate clusters`: which clusters there are; makes and removes them.

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::table::{Field, Table};
use super::{Session, time};
use crate::domain::TimestampMs;
use crate::shapes::Cluster;

/// List, create and delete clusters
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  neargate clusters create staging")]
pub(super) struct ClustersArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Create a cluster
    #[command(after_help = "Example:\n  neargate clusters create staging")]
    Create {
        /// Its name
        name: String,
    },
    /// Delete a cluster
    #[command(after_help = "Example:\n  neargate clusters delete staging")]
    Delete {
        /// Its name
        name: String,
    },
}

pub(super) async fn execute(session: &mut Session, args: ClustersArgs) -> Result<u8, Failure> {
    let Session {
        client, console, ..
    } = session;
    match args.action {
        None => {
            let answer = client.clusters().await?;
            if !console.document(&answer.document)? {
                console.table(&table(&answer.value, time::now()), "no clusters")?;
            }
        }
        Some(Action::Create { name }) => {
            let answer = client.create_cluster(&name).await?;
            if !console.document(&answer.document)? {
                console.line(&answer.value.cluster_name)?;
            }
        }
        Some(Action::Delete { name }) => {
            let document = client.delete_cluster(&name).await?;
            if document.is_null() || !console.document(&document)? {
                console.talk(&format!("cluster {name} is deleted"));
            }
        }
    }
    Ok(0)
}

fn table(clusters: &[Cluster], now: TimestampMs) -> Table {
    let mut table = Table::new(&["CLUSTER", "STATUS", "PENDING", "RUNNING", "CREATED"]);
    for cluster in clusters {
        table.row([
            (&cluster.cluster_name).into(),
            Field::status(&cluster.status),
            cluster.pending_tasks_count.to_string().into(),
            cluster.running_tasks_count.to_string().into(),
            time::ago(&cluster.created_at, now).into(),
        ]);
    }
    table
}
