//! Scales services: looks at what their tasks use once in each period, and records what `plan::autoscale` decides.
//!
//! Only services that are scalable targets are looked at. What is remembered from one period to the next can be lost: it
//! costs as many periods as a decision takes. That a service was scaled, and when, is on record.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Reconciler;
use crate::domain::{
    EventKind, LastStatus, NewEvent, ScalableTarget, ScalingActivity, SchedulingStrategy, Service,
    ServiceKey, ServiceStatus, ServiceTask, ServiceUse, TaskId,
};
use crate::engine::{Look, MeasureTarget};
use crate::plan::autoscale::{self as plan, PERIODS_IN, Scaling, ScalingWorld};
use crate::store::{PageRequest, ScalingRecord, StoreError};

/// What was seen of each service that can be scaled.
type Seen = BTreeMap<ServiceKey, SeenService>;

/// What was seen of one.
#[derive(Debug, Default)]
struct SeenService {
    /// For how many tasks.
    desired: u32,
    tasks: BTreeMap<TaskId, SeenTask>,
    /// What they used in the newest periods, oldest first.
    periods: VecDeque<ServiceUse>,
}

/// A task that is looked at.
#[derive(Clone, Debug)]
struct SeenTask {
    target: Arc<MeasureTarget>,
    cpu_units: u64,
    memory_bytes: u64,
    /// CPU time since it began, and when that was read, by the clock that only runs.
    last: Option<(u64, i64)>,
}

/// What tasks used, and what they could have used.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    used: u128,
    reserved: u128,
}

impl Share {
    fn add(&mut self, used: u64, reserved: u64) {
        self.used += u128::from(used);
        self.reserved += u128::from(reserved);
    }

    /// In hundredths of a percent; `None` of nothing.
    fn hundredths(self) -> Option<u64> {
        let share = (self.used * 10_000).checked_div(self.reserved)?;
        u64::try_from(share).ok()
    }
}

impl Reconciler {
    /// Looks at every service that can be scaled, again and again.
    pub(super) async fn scale_services(self: Arc<Self>) {
        let mut seen = Seen::new();
        loop {
            tokio::time::sleep(self.parts.limits.scale_every).await;
            if let Err(error) = self.scale_once(&mut seen).await {
                tracing::warn!(%error, "services cannot be scaled");
            }
        }
    }

    async fn scale_once(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let mut before = std::mem::take(seen);
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let found = self.parts.store.scalable_targets(&page).await?;
            for (key, target) in found.items {
                let mut service = before.remove(&key).unwrap_or_default();
                match self.scale(&key, &target, &mut service).await {
                    // Somebody was quicker: the next period decides anew.
                    Ok(()) | Err(StoreError::Stale) => {}
                    Err(error) => return Err(error),
                }
                seen.insert(key, service);
            }
            match found.next {
                Some(token) => page.token = Some(token),
                None => return Ok(()),
            }
        }
    }

    async fn scale(
        &self,
        key: &ServiceKey,
        target: &ScalableTarget,
        seen: &mut SeenService,
    ) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let service = store.service(key).await?;
        let Some(service) = service.filter(|one| one.status != ServiceStatus::Inactive) else {
            // As in AWS, a service that is gone is no target any more.
            return store.remove_scalable_target(key).await;
        };
        let is_counted = service.configuration.scheduling_strategy == SchedulingStrategy::Replica;
        if service.status != ServiceStatus::Active || !is_counted {
            return Ok(());
        }
        let tasks = store.service_tasks(key).await?;
        self.end_activities(&service, &tasks).await?;
        if seen.desired != service.desired_count {
            seen.desired = service.desired_count;
            seen.periods.clear();
        }
        self.look_at_use(&tasks, seen).await?;
        let policies = store.scaling_policies(key).await?;
        let scaling = plan::plan(ScalingWorld {
            service: key,
            target,
            policies: &policies,
            periods: seen.periods.make_contiguous(),
            desired: service.desired_count,
            now: self.parts.clock.now(),
        });
        match scaling {
            Some(scaling) => self.record_scaling(service, target, scaling).await,
            None if target.has_new_bounds => {
                let new = ScalableTarget {
                    has_new_bounds: false,
                    ..target.clone()
                };
                store.put_scalable_target(key, Some(target), &new).await
            }
            None => Ok(()),
        }
    }

    async fn record_scaling(
        &self,
        mut service: Service,
        old: &ScalableTarget,
        scaling: Scaling,
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let is_out = scaling.desired > service.desired_count;
        let mut target = old.clone();
        let bounds = target.min_capacity..=target.max_capacity;
        let is_moved_into_them =
            std::mem::take(&mut target.has_new_bounds) && !bounds.contains(&service.desired_count);
        // What the bounds ask for is no reason to wait before a policy asks for more.
        if !is_moved_into_them {
            let scaled_at = if is_out {
                &mut target.scaled_out_at
            } else {
                &mut target.scaled_in_at
            };
            *scaled_at = Some(now);
        }
        service.desired_count = scaling.desired;
        service.is_steady = false;
        let id = format!("{:032x}", self.parts.ids.next_id());
        let activity = ScalingActivity::new(id, scaling.desired, scaling.cause, now);
        let (key, name) = (service.key.clone(), &service.key.name);
        let message = format!(
            "(service {name}) Message: {} Cause: {}.",
            activity.message, activity.cause
        );
        let event = NewEvent {
            at: now,
            kind: EventKind::ServiceEvent,
            cluster: Some(key.cluster.to_string()),
            subject: name.to_string(),
            status: None,
            message,
        };
        let record = ScalingRecord {
            old_target: old.clone(),
            target,
            service,
            activity,
            event,
        };
        self.parts.store.record_scaling(record).await?;
        self.parts.bell.ring(&key);
        Ok(())
    }

    /// An activity is over when the service has as many tasks, or is to have another number.
    async fn end_activities(
        &self,
        service: &Service,
        tasks: &[ServiceTask],
    ) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let mut open = store.open_scaling_activities(&service.key).await?;
        let running = tasks.iter().filter(|task| task.occupies());
        let running = running.filter(|task| task.last_status == LastStatus::Running);
        let is_there = running.count() == service.desired_count as usize;
        open.retain(|activity| is_there || activity.desired_count != service.desired_count);
        if open.is_empty() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        let ended = open.into_iter();
        let ended = ended.map(|activity| activity.ended(service.desired_count, now));
        store.close_scaling_activities(ended.collect()).await
    }

    /// Adds what the service's tasks used since they were looked at last.
    async fn look_at_use(
        &self,
        tasks: &[ServiceTask],
        seen: &mut SeenService,
    ) -> Result<(), StoreError> {
        let mut before = std::mem::take(&mut seen.tasks);
        let runs =
            |task: &&ServiceTask| task.is_wanted() && task.last_status == LastStatus::Running;
        for task in tasks.iter().filter(runs) {
            let known = match before.remove(&task.id) {
                Some(known) => Some(known),
                None => self.task_to_see(&task.id).await?,
            };
            if let Some(known) = known {
                seen.tasks.insert(task.id.clone(), known);
            }
        }
        let targets: Vec<_> = seen
            .tasks
            .values()
            .map(|task| Arc::clone(&task.target))
            .collect();
        if targets.is_empty() {
            seen.periods.clear();
            return Ok(());
        }
        let readings = self.parts.engine.measure(&targets, Look::All).await;
        let now_ms = self.parts.clock.reading().running_ms;
        let (mut cpu, mut memory) = (Share::default(), Share::default());
        for (id, reading) in &readings {
            let (Some(task), Some(counts)) = (seen.tasks.get_mut(id), reading.counts) else {
                continue;
            };
            // A task that is new is counted when there is a period of it.
            if let Some((cpu_ns, at_ms)) = task.last.replace((counts.cpu_ns, now_ms)) {
                let length_ms = now_ms.saturating_sub(at_ms).unsigned_abs();
                // 1,024 units are a processor, and it has 1,000,000 ns in each millisecond.
                let used = counts.cpu_ns.saturating_sub(cpu_ns);
                cpu.add(used, length_ms * task.cpu_units * 1_000_000 / 1_024);
                memory.add(reading.memory_bytes, task.memory_bytes);
            }
        }
        let used = ServiceUse {
            cpu: cpu.hundredths(),
            memory: memory.hundredths(),
        };
        if used.cpu.is_some() || used.memory.is_some() {
            seen.periods.push_back(used);
        }
        while seen.periods.len() > PERIODS_IN {
            seen.periods.pop_front();
        }
        Ok(())
    }

    async fn task_to_see(&self, id: &TaskId) -> Result<Option<SeenTask>, StoreError> {
        let found = self.parts.store.task(id).await?;
        Ok(found.map(|task| SeenTask {
            target: Arc::new(MeasureTarget {
                task: task.id.clone(),
                containers: task
                    .spec
                    .containers
                    .iter()
                    .map(|one| one.name.clone())
                    .collect(),
            }),
            cpu_units: u64::from(task.spec.reserved_cpu().0),
            memory_bytes: u64::from(task.spec.reserved_memory().0) << 20,
            last: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_tasks_together() {
        let mut share = Share::default();
        assert_eq!(share.hundredths(), None, "nothing is reserved");
        share.add(1, 4);
        share.add(4, 4);
        assert_eq!(share.hundredths(), Some(6_250));
    }
}
