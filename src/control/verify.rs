//! Whether the books of the meter are right: by themselves, and beside what the engine knows.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::{Control, ControlError};
use crate::domain::{
    BooksCheck, ContainerState, ContainerStatus, Goal, LastStatus, Observation, Task, TaskId,
};
use crate::engine::Order;

/// An engine tells the end of a container in two ways: by an event, and when it is asked. The event comes when it has
/// cleaned up, which is some milliseconds later.
const TOLERANCE_MS: i64 = 1_000;

impl Control {
    /// Checks everything that must hold. Costs a look at every interval, and one at each container that is there.
    pub async fn verify_usage(&self) -> Result<Vec<BooksCheck>, ControlError> {
        let now = self.clock.now();
        let mut checks = self.store.books(now).await?.checks(now);
        checks.push(self.engine_agrees().await?);
        Ok(checks)
    }

    async fn engine_agrees(&self) -> Result<BooksCheck, ControlError> {
        let tasks = self.store.unfinished_tasks().await?;
        // The record of a task goes by the wall clock as it stood when it began.
        let newest = self
            .store
            .clock_stretches()
            .await?
            .last()
            .map(|last| last.seq);
        let looks = join_all(tasks.iter().map(|task| self.compare(task, newest))).await;
        let mut check = BooksCheck {
            what: "the times of every container that the engine knows are those on record",
            numbers: String::new(),
            differences: Vec::new(),
        };
        let (mut containers, mut silent) = (0, 0);
        for look in looks {
            match look? {
                Some((count, differences)) => {
                    containers += count;
                    check.differences.extend(differences);
                }
                None => silent += 1,
            }
        }
        check.numbers = format!("{containers} containers of {} tasks", tasks.len());
        if silent > 0 {
            check.numbers = format!("{}; {silent} could not be looked at", check.numbers);
        }
        Ok(check)
    }

    /// How many containers of a task the engine has, and where they differ from the record; `None` when it does not say.
    async fn compare(
        &self,
        id: &TaskId,
        newest: Option<i64>,
    ) -> Result<Option<(usize, Vec<String>)>, ControlError> {
        let _permit = self.figures.acquire().await;
        let Some(before) = self.store.task(id).await? else {
            return Ok(None);
        };
        if before.last_status == LastStatus::Provisioning {
            return Ok(Some((0, Vec::new())));
        }
        let opening = self.store.opening(id).await?;
        if opening.map(|(_, seq)| seq) != newest {
            return Ok(None);
        }
        let Ok(seen) = self.engine.confirm(&self.look_order(&before)).await else {
            return Ok(None);
        };
        // Read after that: what the engine knew then is on record by now, or is about to be, and then nothing of it is.
        let Some(task) = self.store.task(id).await? else {
            return Ok(None);
        };
        Ok(Some((seen.containers.len(), differences(&task, &seen))))
    }

    fn look_order(&self, task: &Task) -> Order {
        let attempts = task.containers.iter();
        Order {
            task_id: task.id.clone(),
            cluster: task.cluster.to_string(),
            spec: task.spec.clone(),
            goal: Goal::Run,
            known: BTreeMap::new(),
            attempts: attempts
                .map(|(name, one)| (name.clone(), one.attempt))
                .collect(),
            digests: BTreeMap::new(),
            is_missed: false,
            now: self.clock.now(),
            wall: self.clock.now(),
        }
    }
}

fn differences(task: &Task, seen: &Observation) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, seen) in &seen.containers {
        let Some(record) = task.containers.get(name) else {
            continue;
        };
        if record.attempt != seen.attempt {
            continue;
        }
        let mut differ = |what: &str, engine: String, record: String| {
            differences.push(format!(
                "task {}, container {name}: the engine says that it {what} {engine}, the record says {record}",
                task.id
            ));
        };
        if let (Some(engine), Some(record)) = (seen.started_at, record.started_at)
            && engine != record
        {
            differ("started at", engine.to_string(), record.to_string());
        }
        match (&seen.state, record.finished_at) {
            (ContainerState::Exited { finished_at, .. }, Some(record)) => {
                let apart = record.as_millis() - finished_at.as_millis();
                if apart.abs() > TOLERANCE_MS {
                    differ("ended at", finished_at.to_string(), record.to_string());
                }
            }
            (ContainerState::Running, Some(finished_at))
                if record.last_status == ContainerStatus::Stopped =>
            {
                differ(
                    "runs and ended",
                    "never".to_owned(),
                    finished_at.to_string(),
                );
            }
            _ => {}
        }
    }
    differences
}
