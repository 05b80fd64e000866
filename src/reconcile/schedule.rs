//! One round of one schedule: read, decide, and record all of it at once, the tasks of a run among it.
//!
//! The engine is not asked for anything here: a task that was recorded gets rounds of its own.

use std::time::Duration;

use super::Reconciler;
use super::round::RoundError;
use crate::domain::{
    Capacity, Faults, NewEvent, PendingRun, RunCause, RunOutcome, Schedule, ScheduleName,
    ScheduleRun, Shortage, StopCode, StopRequest, Task, TaskDefinitionStatus, TimestampMs,
};
use crate::plan::schedule::{self as plan, ScheduleWorld};
use crate::store::{ScheduleRecord, StoreError};

/// Nobody sleeps for longer: by then, the clock may have been set.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

impl Reconciler {
    /// Takes one schedule as far as it can go now.
    pub(super) async fn schedule_round(&self, name: &ScheduleName) -> Result<(), RoundError> {
        let store = &self.parts.store;
        let Some(schedule) = store.schedule(name).await? else {
            return Ok(());
        };
        let tasks = store.scheduled_tasks(name).await?;
        let now = self.parts.clock.now();
        let plan = plan::plan(ScheduleWorld {
            schedule: &schedule,
            tasks: &tasks,
            now,
        });
        if let Some(at) = plan.wake_at {
            let wait = at.since(now).to_std().min(LONGEST_SLEEP);
            self.parts
                .bell
                .ring_at(name, tokio::time::Instant::now() + wait);
        }
        if plan.is_empty(&schedule) {
            return Ok(());
        }
        let mut runs = plan.dropped;
        let mut start = Vec::new();
        if let Some(run) = plan.start {
            let (decided, tasks) = self.begin(&schedule, run, now).await?;
            runs.push(decided);
            start = tasks;
        }
        let request = |reason| StopRequest {
            at: now,
            code: StopCode::ServiceSchedulerInitiated,
            reason: Some(reason),
        };
        let stop = plan.stop.into_iter();
        let stop: Vec<_> = stop.map(|(id, why)| (id, request(why))).collect();
        let mut events: Vec<NewEvent> = plan.events;
        events.extend(runs.iter().map(|run| run.event(&schedule)));
        let to_ring: Vec<_> = start.iter().map(|task| task.id.clone()).collect();
        let to_ring: Vec<_> = to_ring
            .into_iter()
            .chain(stop.iter().map(|(id, _)| id.clone()))
            .collect();
        let recorded = store
            .record_schedule(ScheduleRecord {
                schedule: plan.schedule,
                runs,
                start,
                stop,
                events,
            })
            .await;
        match recorded {
            Ok(()) => {}
            // A user was quicker: what was decided is decided anew.
            Err(StoreError::Stale) => {
                self.parts.bell.ring(name);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        for task in &to_ring {
            self.parts.bell.ring(task);
        }
        Ok(())
    }

    /// The tasks of a run, or why it has none. Whatever is wrong with this one, the schedule goes on.
    async fn begin(
        &self,
        schedule: &Schedule,
        run: PendingRun,
        now: TimestampMs,
    ) -> Result<(ScheduleRun, Vec<Task>), StoreError> {
        Ok(match self.tasks_of_run(schedule, now).await? {
            Ok(tasks) => {
                let (at, cause) = (run.scheduled_for, RunCause::Schedule);
                let run = ScheduleRun::started(at, cause, &tasks, run.reason, now);
                (run, tasks)
            }
            Err(why) => {
                let (at, outcome) = (run.scheduled_for, RunOutcome::Failed);
                (ScheduleRun::not_started(at, outcome, why, now), Vec::new())
            }
        })
    }

    async fn tasks_of_run(
        &self,
        schedule: &Schedule,
        now: TimestampMs,
    ) -> Result<Result<Vec<Task>, String>, StoreError> {
        let target = &schedule.definition.target;
        let store = &self.parts.store;
        if store.cluster(&target.cluster).await?.is_none() {
            return Ok(Err(format!("cluster {} does not exist", target.cluster)));
        }
        if store.admission(&target.cluster, now).await?.is_draining {
            return Ok(Err(format!(
                "the container instance of cluster {} is DRAINING: no task is started",
                target.cluster
            )));
        }
        let wanted = &target.task_definition;
        let found = store
            .task_definition(&wanted.family, wanted.revision)
            .await?;
        let Some(found) = found else {
            return Ok(Err(match wanted.revision {
                Some(_) => format!("task definition {wanted} does not exist"),
                None => format!("task definition {wanted} has no active revision"),
            }));
        };
        if found.status == TaskDefinitionStatus::Inactive {
            return Ok(Err(format!("task definition {wanted} is INACTIVE")));
        }
        let tasks = match schedule.tasks(&found, self.parts.ids.as_ref(), now) {
            Ok(tasks) => tasks,
            Err(faults) => return Ok(Err(told(&faults))),
        };
        let Some(first) = tasks.first() else {
            return Ok(Ok(tasks));
        };
        if let Some(why) = self.never_fits(first) {
            return Ok(Err(why));
        }
        let hold = self.hold(&first.cluster, None, &first.tags).await?;
        Ok(hold.map_or(Ok(tasks), |hold| Err(hold.reason)))
    }

    /// Why no empty host could take a task, if so.
    fn never_fits(&self, task: &Task) -> Option<String> {
        let host = self.parts.engine_status.capacity().ok()?;
        let wanted = Capacity::reserved_by(&task.spec);
        match Shortage::of(host, Capacity::default(), wanted) {
            Some(Shortage::Never(why)) => Some(why),
            _ => None,
        }
    }

    /// Asks for a look at every schedule that will run.
    pub(super) async fn ring_schedules(&self) {
        match self.parts.store.active_schedules().await {
            Ok(names) => names.iter().for_each(|name| self.parts.bell.ring(name)),
            Err(error) => tracing::error!(%error, "the schedules cannot be read"),
        }
    }
}

/// All that is wrong, in one sentence.
fn told(faults: &Faults) -> String {
    let each = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.path, fault.message));
    each.collect::<Vec<_>>().join("; ")
}
