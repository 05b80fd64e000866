//! Keeps the pool of warm sandboxes filled, takes over what an earlier process left, and gives all back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;

use super::pool::{self, Warm};
use super::{DockerEngine, translate};
use crate::engine::EngineError;

/// A refill begins when nobody has taken a sandbox for so long: in a burst, the starts of tasks come first.
const QUIET: Duration = Duration::from_millis(100);
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
            while tokio::time::timeout(QUIET, refill.notified()).await.is_ok() {}
            if !fill(&engine).await {
                return;
            }
        }
    });
}

/// Makes sandboxes until there are enough. False when the engine is no longer in use.
async fn fill(engine: &Weak<DockerEngine>) -> bool {
    loop {
        let Some(engine) = engine.upgrade() else {
            return false;
        };
        let making = engine.making.lock().await;
        if engine.closed.is_cancelled() {
            return false;
        }
        if engine.pool.len() >= engine.settings.warm_sandboxes as usize {
            return true;
        }
        if let Err(error) = add_one(&engine).await {
            tracing::debug!(%error, "no warm sandbox could be made");
            drop(making);
            drop(engine);
            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
        }
    }
}

async fn add_one(engine: &DockerEngine) -> Result<(), EngineError> {
    let facts = engine.prepared().await?;
    let name = engine.names.warm(engine.ids.next_id());
    let spec = translate::warm_sandbox(&engine.names, &facts, name);
    let inspect = engine.create_and_start(&spec, |_| true).await?;
    engine.pool.put(pool::warm(inspect));
    Ok(())
}

/// Takes over the sandboxes that the daemon has, and removes those that cannot be used.
pub(super) async fn adopt(engine: &DockerEngine) -> Result<(), EngineError> {
    engine.pool.forget_all();
    let listed = engine
        .daemon
        .list_containers(&engine.names.instance_filter())
        .await?;
    let (mut usable, mut spent) = pool::sort_out(&engine.names, &listed);
    let keep = engine.settings.warm_sandboxes as usize;
    spent.extend(usable.drain(keep.min(usable.len())..));
    for id in usable {
        if let Some(inspect) = engine.daemon.inspect_container(&id).await? {
            engine.pool.put(pool::warm(inspect));
        }
    }
    let removals = join_all(spent.iter().map(|id| engine.daemon.remove_container(id))).await;
    removals.into_iter().collect::<Result<Vec<()>, _>>()?;
    engine.refill.notify_one();
    Ok(())
}

/// Removes all warm sandboxes, and the network unless a task is on it.
pub(super) async fn give_back(engine: &DockerEngine) {
    engine.closed.cancel();
    let _making = engine.making.lock().await;
    let warm: Vec<Warm> = engine.pool.forget_all();
    join_all(
        warm.iter()
            .map(|one| engine.daemon.remove_container(&one.id)),
    )
    .await;
    if let Err(error) = engine.daemon.remove_network(&engine.names.network()).await {
        tracing::debug!(%error, "the network stays");
    }
}
