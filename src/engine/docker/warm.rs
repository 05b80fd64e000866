//! Keeps the pool of warm sandboxes filled and true to what the daemon has, and gives all back.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;

use super::daemon::ContainerSummary;
use super::pool::{self, Before};
use super::{DockerEngine, translate};
use crate::engine::EngineError;

/// A refill begins when nobody has taken a sandbox for so long and no container is being started: the starts of tasks
/// come first.
const QUIET: Duration = Duration::from_millis(100);
/// But it does not wait longer than this where tasks are started all the time.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After a refill that failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Refills the pool in the background for as long as the engine is in use.
pub(super) fn spawn(engine: &Arc<DockerEngine>) {
    if engine.settings.warm_sandboxes == 0 {
        return;
    }
    let refill = Arc::clone(&engine.refill);
    let engine = Arc::downgrade(engine);
    tokio::spawn(async move {
        loop {
            refill.notified().await;
            let until_quiet = async {
                while tokio::time::timeout(QUIET, refill.notified()).await.is_ok()
                    || engine.upgrade().is_some_and(|engine| engine.is_starting())
                {}
            };
            // Nothing is wrong if it was not: it has waited long enough.
            let _ = tokio::time::timeout(LONGEST_WAIT, until_quiet).await;
            if !fill(&engine).await {
                return;
            }
        }
    });
}

/// Makes sandboxes until there are enough. False when the engine is no longer in use.
async fn fill(engine: &Weak<DockerEngine>) -> bool {
    // Clusters that none could be made for: others are not to wait for them.
    let mut failed = BTreeSet::new();
    loop {
        let Some(engine) = engine.upgrade() else {
            return false;
        };
        let making = engine.making.lock().await;
        if engine.closed.is_cancelled() {
            return false;
        }
        let enough = engine.settings.warm_sandboxes as usize;
        let clusters = engine.warm_clusters();
        let short = |cluster: &&String| {
            !failed.contains(*cluster) && engine.pool.len(&engine.names.network(cluster)) < enough
        };
        let Some(cluster) = clusters.iter().find(short) else {
            drop(making);
            drop(engine);
            if failed.is_empty() {
                return true;
            }
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
            failed.clear();
            continue;
        };
        if let Err(error) = add_one(&engine, cluster).await {
            tracing::debug!(%error, "no warm sandbox could be made");
            failed.insert(cluster.clone());
        }
    }
}

async fn add_one(engine: &DockerEngine, cluster: &str) -> Result<(), EngineError> {
    let facts = engine.prepared().await?;
    engine.network(cluster).await?;
    let name = engine.names.warm(engine.ids.next_id());
    let spec = translate::warm_sandbox(&engine.names, &facts, cluster, name);
    let inspect = engine.create_and_start(&spec, |_| true).await?;
    engine.pool.put(pool::warm(inspect));
    Ok(())
}

/// Compares the pool with what the daemon has, and removes the warm sandboxes that nobody can use.
pub(super) async fn tidy(engine: &DockerEngine) -> Result<(), EngineError> {
    let _making = engine.making.lock().await;
    let before = engine.pool.before_a_list();
    let listed = engine
        .daemon
        .list_containers(&engine.names.instance_filter())
        .await?;
    sort_out(engine, &before, &listed).await;
    Ok(())
}

/// As [`tidy`], with a list that is there already. `making` must be held since before it was asked for.
pub(super) async fn sort_out(engine: &DockerEngine, before: &Before, listed: &[ContainerSummary]) {
    let most = if engine.closed.is_cancelled() {
        0
    } else {
        engine.settings.warm_sandboxes as usize
    };
    let clusters = engine.warm_clusters();
    let networks = clusters.iter().map(|cluster| engine.names.network(cluster));
    let networks: Vec<String> = networks.collect();
    let spent = engine
        .pool
        .sort_out(&engine.names, before, listed, &networks, most);
    let removals = spent.iter().map(|id| remove_if_warm(engine, id));
    for error in join_all(removals).await.into_iter().filter_map(Result::err) {
        tracing::warn!(%error, "a warm sandbox that nobody can use stays for now");
    }
    engine.refill.notify_one();
}

/// Looks once more before it removes: the task that was to have it may have got it after all.
async fn remove_if_warm(engine: &DockerEngine, id: &str) -> Result<(), EngineError> {
    match engine.daemon.inspect_container(id).await? {
        Some(seen) if engine.names.is_warm(&seen.name) => engine.daemon.remove_container(id).await,
        _ => Ok(()),
    }
}

/// Removes all warm sandboxes, and the networks that no task is on.
pub(super) async fn give_back(engine: &DockerEngine) {
    engine.closed.cancel();
    let result = match engine.own_networks().await {
        Ok(networks) => {
            let clusters = networks.into_iter().map(|(cluster, _)| cluster).collect();
            engine.remove_networks(&clusters).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        tracing::warn!(%error, "warm sandboxes and networks stay until the next start");
    }
}
