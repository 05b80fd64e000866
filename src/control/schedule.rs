//! Use cases of schedules.

use super::{Attempts, Control, ControlError, MAX_COUNT, Obstacle};
use crate::domain::{
    ClusterName, ConcurrencyPolicy, Faults, RunCause, Schedule, ScheduleDefinition, ScheduleName,
    ScheduleRun, ScheduleState, ScheduledTask, Task,
};
use crate::store::{Page, PageRequest, ScheduleRecord, StoreError};

/// A schedule, with what goes on of it.
#[derive(Clone, Debug)]
pub struct ScheduleView {
    /// The schedule.
    pub schedule: Schedule,
    /// Its tasks that have not stopped.
    pub tasks: Vec<ScheduledTask>,
    /// What became of its last occurrence.
    pub last_run: Option<ScheduleRunView>,
}

/// A run with its tasks as they are.
#[derive(Clone, Debug)]
pub struct ScheduleRunView {
    /// The run.
    pub run: ScheduleRun,
    /// Its tasks.
    pub tasks: Vec<Task>,
}

impl Control {
    /// Makes a schedule. Its runs are begun by the loop.
    pub async fn create_schedule(
        &self,
        name: ScheduleName,
        definition: ScheduleDefinition,
    ) -> Result<Schedule, ControlError> {
        self.check_schedule(&definition).await?;
        let schedule = Schedule::new(name, definition, self.clock.now());
        check_future(&schedule)?;
        let said = format!("was created: {}", schedule.definition.expression);
        let event = schedule.event(None, &said, schedule.created_at);
        let created = self.store.create_schedule(schedule.clone(), event).await;
        if let Err(StoreError::AlreadyExists { .. }) = created {
            let name = &schedule.name;
            return Err(ControlError::blocked(
                Obstacle::NameInUse,
                format!("schedule \"{name}\" exists already"),
                format!(
                    "change it: neargate schedule update {name}; or delete it first: neargate schedule delete {name}"
                ),
            ));
        }
        created?;
        self.bell.ring(&schedule.name);
        Ok(schedule)
    }

    /// Makes a schedule say what `definition` says.
    pub async fn update_schedule(
        &self,
        name: &ScheduleName,
        definition: ScheduleDefinition,
    ) -> Result<Schedule, ControlError> {
        let mut attempts = Attempts::default();
        loop {
            let now = self.clock.now();
            let mut schedule = self.known_schedule(name).await?;
            let old = schedule.definition.clone();
            // Whatever has become of its target, a schedule can be disabled.
            let is_enabled = definition.state == ScheduleState::Enabled;
            if definition.target != old.target || (is_enabled && old.state != definition.state) {
                self.check_schedule(&definition).await?;
            }
            schedule.redefine(definition.clone(), now);
            if schedule.definition.expression != old.expression {
                check_future(&schedule)?;
            }
            let said = match (old.state, definition.state) {
                (old, new) if old == new => "was updated",
                (_, ScheduleState::Enabled) => "was enabled",
                (_, ScheduleState::Disabled) => "was disabled",
            };
            let event = schedule.event(None, said, now);
            let record = ScheduleRecord::of(schedule.clone(), vec![event]);
            if attempts.landed(self.store.record_schedule(record).await)? {
                self.bell.ring(name);
                return Ok(schedule);
            }
        }
    }

    /// Deletes a schedule. Its tasks go on.
    pub async fn delete_schedule(&self, name: &ScheduleName) -> Result<(), ControlError> {
        let schedule = self.known_schedule(name).await?;
        let event = schedule.event(None, "was deleted; its tasks go on", self.clock.now());
        match self.store.delete_schedule(name, event).await {
            Err(StoreError::NotFound { .. }) => Err(no_such_schedule(name)),
            result => Ok(result?),
        }
    }

    /// Runs what a schedule runs, now. The schedule itself goes on as if nothing had happened, but that these tasks count
    /// as going on.
    pub async fn run_schedule(&self, name: &ScheduleName) -> Result<ScheduleRunView, ControlError> {
        let mut attempts = Attempts::default();
        loop {
            let schedule = self.known_schedule(name).await?;
            let going = self.store.scheduled_tasks(name).await?;
            let policy = schedule.definition.concurrency_policy;
            if let (Some(task), true) = (going.first(), policy != ConcurrencyPolicy::Allow) {
                return Err(ControlError::conflict(
                    format!(
                        "schedule \"{name}\" has concurrencyPolicy {policy}, and its task {} still goes on",
                        task.id
                    ),
                    format!("stop it first: neargate stop {}", task.id),
                ));
            }
            let target = &schedule.definition.target;
            self.cluster(&target.cluster).await?;
            let registered = self.runnable(&target.task_definition).await?;
            let now = self.clock.now();
            let tasks = schedule
                .tasks(&registered, self.ids.as_ref(), now)
                .map_err(ControlError::Invalid)?;
            for task in tasks.iter().take(1) {
                self.check_spec(&task.spec, &target.overrides)?;
                self.check_admission(&task.cluster, &task.tags).await?;
            }
            let run = ScheduleRun::started(now, RunCause::User, &tasks, None, now);
            let record = ScheduleRecord {
                runs: vec![run.clone()],
                start: tasks.clone(),
                ..ScheduleRecord::of(schedule.clone(), vec![run.event(&schedule)])
            };
            if attempts.landed(self.store.record_schedule(record).await)? {
                for task in &tasks {
                    self.bell.ring(&task.id);
                }
                return Ok(ScheduleRunView { run, tasks });
            }
        }
    }

    /// One schedule, with what goes on of it.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<ScheduleView, ControlError> {
        let schedule = self.known_schedule(name).await?;
        self.schedule_view(schedule).await
    }

    /// Schedules by name; only those that run their tasks in `cluster`, if one is named.
    pub async fn schedules(
        &self,
        cluster: Option<ClusterName>,
        page: PageRequest,
    ) -> Result<Page<ScheduleView>, ControlError> {
        let Page { items, next } = self.store.schedules(cluster.as_ref(), &page).await?;
        let mut views = Vec::with_capacity(items.len());
        for schedule in items {
            views.push(self.schedule_view(schedule).await?);
        }
        Ok(Page { items: views, next })
    }

    /// What became of the occurrences of a schedule, newest first.
    pub async fn schedule_runs(
        &self,
        name: &ScheduleName,
        page: PageRequest,
    ) -> Result<Page<ScheduleRunView>, ControlError> {
        self.known_schedule(name).await?;
        let Page { items, next } = self.store.schedule_runs(name, &page).await?;
        let ids: Vec<_> = items.iter().flat_map(|run| run.tasks.clone()).collect();
        let mut found = self.store.tasks_by_id(&ids).await?;
        let views = items.into_iter().map(|run| {
            let tasks = run.tasks.iter().filter_map(|id| found.remove(id));
            ScheduleRunView {
                tasks: tasks.collect(),
                run,
            }
        });
        Ok(Page {
            items: views.collect(),
            next,
        })
    }

    async fn schedule_view(&self, schedule: Schedule) -> Result<ScheduleView, ControlError> {
        let name = &schedule.name;
        let tasks = self.store.scheduled_tasks(name).await?;
        let runs = self.schedule_runs(name, PageRequest::first(1)).await?;
        Ok(ScheduleView {
            schedule,
            tasks,
            last_run: runs.items.into_iter().next(),
        })
    }

    async fn known_schedule(&self, name: &ScheduleName) -> Result<Schedule, ControlError> {
        let found = self.store.schedule(name).await?;
        found.ok_or_else(|| no_such_schedule(name))
    }

    /// Whether what is asked for can ever run, as far as one can know that now.
    async fn check_schedule(&self, definition: &ScheduleDefinition) -> Result<(), ControlError> {
        let target = &definition.target;
        if !(1..=MAX_COUNT).contains(&target.count) {
            return Err(ControlError::invalid(
                "target.count",
                format!("is {}, and must be from 1 to {MAX_COUNT}", target.count),
                "make several schedules",
            ));
        }
        self.cluster(&target.cluster).await?;
        let registered = self.runnable(&target.task_definition).await?;
        let of_target = |faults: Faults| -> Faults {
            let mut found: Vec<_> = faults.iter().cloned().collect();
            for fault in &mut found {
                fault.path = format!("target.{}", fault.path);
            }
            found.into_iter().collect()
        };
        let spec = target
            .spec(&registered)
            .map_err(|faults| ControlError::Invalid(of_target(faults)))?;
        self.check_spec(&spec, &target.overrides)
    }
}

/// A schedule that will never run is a mistake.
fn check_future(schedule: &Schedule) -> Result<(), ControlError> {
    let timing = schedule.timing();
    if timing.next_after(schedule.decided_until).is_some() {
        return Ok(());
    }
    Err(ControlError::invalid(
        "scheduleExpression",
        format!(
            "is `{}`, which in {} means no time that is still to come",
            schedule.definition.expression, schedule.definition.time_zone
        ),
        "choose a later time; startDate and endDate count, too",
    ))
}

fn no_such_schedule(name: &ScheduleName) -> ControlError {
    ControlError::not_found(
        format!("schedule \"{name}\""),
        "neargate schedule ls lists those that do",
    )
}
