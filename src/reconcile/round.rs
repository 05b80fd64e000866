//! One round of one task: look, decide, make the decision durable, and only then act on it.

use super::Reconciler;
use super::heartbeat::TaskClock;
use crate::domain::{
    Capacity, ContainerStatus, Goal, Known, LastStatus, Observation, Shortage, Task, TaskId,
    UsageChange,
};
use crate::engine::{EngineError, Order};
use crate::meter;
use crate::plan::task::{self as plan, Next, Sighting};
use crate::store::StoreError;

/// Waiting tasks that are looked at when one has ended; more of them can hardly fit.
const RUNG_AT_ONCE: u32 = 64;

/// Why a round could not be finished. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Reconciler {
    /// Takes one task as far as it can go now.
    pub(super) async fn round(&self, id: &TaskId) -> Result<(), RoundError> {
        self.note_pulled_images().await?;
        let Some(mut task) = self.parts.store.task(id).await? else {
            return Ok(());
        };
        if task.is_finished() {
            return Ok(());
        }
        let by = self.clock_of(&task).await?;
        let mut seen = None;
        // Nothing is asked of the engine before the task is PENDING, so it has nothing until then.
        if task.last_status != LastStatus::Provisioning {
            match self
                .parts
                .engine
                .observe(&self.order(&task, Goal::Run, &by))
                .await
            {
                Ok(observation) => {
                    let now = self.parts.clock.reading();
                    let mut observation = by.carried(observation, None, now)?;
                    observation.last_alive = self.last_alive(&task, &by).await?;
                    self.begin_to_measure(&task, &observation, &by).await?;
                    seen = Some(observation);
                }
                Err(error) => return self.note_silence(task, error, &by).await,
            }
        }
        let shortage = self.shortage(&task).await?;
        let mut reached_for = None;
        loop {
            let only_looked = reached_for.is_none();
            let sighting = match (&seen, &shortage) {
                (Some(seen), _) => Sighting::Seen(seen),
                (None, Some(shortage)) => Sighting::NoRoom(shortage),
                (None, None) => Sighting::NeverAsked,
            };
            let next = self.decide(&mut task, sighting, only_looked, &by).await?;
            let goal = match next {
                Next::Nothing => return Ok(()),
                Next::Clean => return self.clean(task, &by).await,
                Next::Advance(goal) => goal,
            };
            if reached_for == Some(goal) {
                self.come_back(id, seen.as_ref(), &by);
                return Ok(());
            }
            reached_for = Some(goal);
            let order = self.order(&task, goal, &by);
            if let Some(seen) = &seen {
                self.keep_earlier_logs(&task, seen).await?;
            }
            let before = seen.take().unwrap_or_default();
            match self.parts.engine.advance(&order, before.clone()).await {
                Ok(observation) => {
                    let now = self.parts.clock.reading();
                    let observation = by.carried(observation, Some(&before), now)?;
                    // A container that cannot be started may be one that the task can do without: what it
                    // held up goes on once that is recorded, and nobody else would ring for it.
                    if observation.failure.is_some() {
                        reached_for = None;
                    }
                    self.begin_to_measure(&task, &observation, &by).await?;
                    seen = Some(observation);
                }
                Err(error) => return self.note_silence(task, error, &by).await,
            }
        }
    }

    /// Decides, and makes durable what was decided before anybody acts on it.
    ///
    /// Looking does not tell what a task waits for and how far its pulls are, acting does. So where the engine
    /// `only_looked` and is about to act, those stay as they are, or they would come and go with each round.
    async fn decide(
        &self,
        task: &mut Task,
        sighting: Sighting<'_>,
        only_looked: bool,
        by: &TaskClock,
    ) -> Result<Next, StoreError> {
        let reading = self.parts.clock.reading();
        let mut plan = plan::plan(task, sighting, by.now(reading));
        for event in &mut plan.events {
            event.at = reading.wall;
        }
        if only_looked && plan.events.is_empty() && matches!(plan.next, Next::Advance(_)) {
            plan.task.waiting.clone_from(&task.waiting);
            plan.task.pull = task.pull;
        }
        self.record(task, plan.task, &plan.events, by).await?;
        Ok(plan.next)
    }

    /// Records `new` in place of `task`, with what it does to the usage interval.
    pub(super) async fn record(
        &self,
        task: &mut Task,
        new: Task,
        events: &[crate::domain::NewEvent],
        by: &TaskClock,
    ) -> Result<(), StoreError> {
        if *task == new && events.is_empty() {
            return Ok(());
        }
        let mut usage = meter::fold(task, &new);
        self.clock_is_known(&usage, by).await?;
        let last_use = self.last_use(task, &new, by).await?;
        usage.extend(last_use.map(UsageChange::Measure));
        let store = &self.parts.store;
        let begins = |change: &UsageChange| matches!(change, UsageChange::Open(_));
        match self.parts.engine_status.capacity() {
            Ok(host) if usage.iter().any(begins) => {
                store.admit_task(&new, events, &usage, host).await?;
            }
            _ => store.record_task(&new, events, &usage).await?,
        }
        if let Some(service) = new.service()
            && matters_to_a_service(task, &new)
        {
            self.parts.bell.ring(&service);
        }
        if let Some(schedule) = new.schedule()
            && new.last_status == LastStatus::Stopped
            && task.last_status != LastStatus::Stopped
        {
            self.parts.bell.ring(&schedule);
        }
        *task = new;
        task.version += 1;
        let ends = |change: &UsageChange| matches!(change, UsageChange::Close { .. });
        if usage.iter().any(ends) {
            self.meters.forget(&task.id);
            self.ring_waiting().await?;
        }
        Ok(())
    }

    /// Why a task that nothing was asked for yet cannot be handed to the engine, if so.
    async fn shortage(&self, task: &Task) -> Result<Option<Shortage>, StoreError> {
        if task.last_status != LastStatus::Provisioning {
            return Ok(None);
        }
        if let Some(why) = self.parts.policy.refuses(&task.spec) {
            return Ok(Some(Shortage::Never(why)));
        }
        let now = self.parts.clock.now();
        let admission = self.parts.store.admission(&task.cluster, now).await?;
        if admission.is_any_held {
            let service = task.service().map(|service| service.name);
            let hold = self
                .hold(&task.cluster, service.as_ref(), &task.tags)
                .await?;
            if let Some(hold) = hold {
                return Ok(Some(Shortage::Now(hold.reason)));
            }
        }
        let host = match self.parts.engine_status.capacity() {
            Ok(host) => host,
            Err(why) => return Ok(Some(Shortage::Now(why))),
        };
        let wanted = Capacity::reserved_by(&task.spec);
        Ok(Shortage::of(host, admission.reserved, wanted))
    }

    /// Asks for a look at tasks that may wait for what was just given back, the oldest first.
    async fn ring_waiting(&self) -> Result<(), StoreError> {
        for task in &self.parts.store.provisioning_tasks(RUNG_AT_ONCE).await? {
            self.parts.bell.ring(task);
        }
        Ok(())
    }

    /// The engine did not answer: nothing is concluded from that, but the task says what it waits for.
    async fn note_silence(
        &self,
        mut task: Task,
        error: EngineError,
        by: &TaskClock,
    ) -> Result<(), RoundError> {
        let reason = error.to_string();
        let plan = plan::plan(&task, Sighting::Unknown(&reason), self.parts.clock.now());
        self.record(&mut task, plan.task, &plan.events, by).await?;
        Err(error.into())
    }

    /// Asks to be woken when the engine said so.
    fn come_back(&self, id: &TaskId, seen: Option<&Observation>, by: &TaskClock) {
        if let Some(at) = seen.and_then(|seen| seen.wake_at) {
            let reading = self.parts.clock.reading();
            let wait = at.since(by.now(reading)).to_std();
            self.parts
                .bell
                .ring_at(id, tokio::time::Instant::now() + wait);
        }
    }

    /// What the engine is to know about a task that is to go to `goal`.
    pub(super) fn order(&self, task: &Task, goal: Goal, by: &TaskClock) -> Order {
        let reading = self.parts.clock.reading();
        let known = task.containers.iter().filter_map(|(name, record)| {
            let known = match record.last_status {
                ContainerStatus::Pending => return None,
                ContainerStatus::Running => Known::Started,
                ContainerStatus::Stopped => Known::Ended,
            };
            Some((name.clone(), known))
        });
        Order {
            task_id: task.id.clone(),
            cluster: task.cluster.to_string(),
            spec: task.spec.clone(),
            goal,
            known: known.collect(),
            attempts: task
                .containers
                .iter()
                .map(|(name, record)| (name.clone(), record.attempt))
                .collect(),
            digests: task
                .spec
                .containers
                .iter()
                .filter_map(|one| Some((one.image.clone(), task.image_digest(&one.image)?)))
                .collect(),
            is_missed: task.service().is_some(),
            now: by.now(reading),
            wall: reading.wall,
        }
    }
}

/// Whether a service's planner would see a difference.
fn matters_to_a_service(old: &Task, new: &Task) -> bool {
    let seen = |task: &Task| {
        (
            task.last_status,
            task.desired_status(),
            task.checked_health(),
        )
    };
    seen(old) != seen(new) || old.waiting != new.waiting
}
