//! What happened to containers: the last 256 events, and the faults on their way there.

use std::collections::{BTreeMap, VecDeque};

use super::{Container, Model, Timer};
use crate::domain::TimestampMs;
use crate::engine::docker::daemon::ContainerEvent;
use crate::engine::sim::faults::take_one;

/// As many as Docker keeps.
const MOST_EVENTS: usize = 256;
/// How long after the end of a process the event says that it was, about as with Docker.
const NOTICED_AFTER_MS: i64 = 35;

/// The newest events, each with its place in the sequence of all. A reader keeps the place up to which it
/// has read; who reads too late has missed what is no longer kept.
#[derive(Debug, Default)]
pub(crate) struct EventRing {
    kept: VecDeque<ContainerEvent>,
    so_far: u64,
}

impl EventRing {
    /// How many there were, and so the place of the next.
    pub(crate) fn so_far(&self) -> u64 {
        self.so_far
    }

    /// What is kept from `place` on, of containers with a label `key=value` (or `key`).
    pub(crate) fn since(&self, place: u64, label: &str) -> Vec<ContainerEvent> {
        let first_kept = self.so_far - self.kept.len() as u64;
        let skip = usize::try_from(place.saturating_sub(first_kept)).unwrap_or(usize::MAX);
        self.kept
            .iter()
            .skip(skip)
            .filter(|event| has_label(&event.labels, label))
            .cloned()
            .collect()
    }

    /// A daemon that was restarted remembers nothing.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    fn push(&mut self, event: ContainerEvent) {
        if self.kept.len() >= MOST_EVENTS {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
        self.so_far += 1;
    }
}

/// Whether a filter `key=value`, `key`, or nothing at all lets these labels pass.
pub(super) fn has_label(labels: &BTreeMap<String, String>, filter: &str) -> bool {
    match filter.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => filter.is_empty() || labels.contains_key(filter),
    }
}

impl Model {
    /// Tells that something happened to a container, unless a fault is in the way.
    pub(super) fn tell(&mut self, container: u64, action: &str) {
        if self.outage.is_some() {
            return;
        }
        let Some(event) = self
            .containers
            .get(&container)
            .map(|c| event_of(c, action, self.told_at(action)))
        else {
            return;
        };
        if take_one(&mut self.faults.events_lost) {
            return;
        }
        if take_one(&mut self.faults.events_late) {
            let by_ms = self.faults.events_late_by_ms;
            self.schedule(by_ms.into(), Timer::Publish(event));
            return;
        }
        if take_one(&mut self.faults.events_doubled) {
            self.publish(event.clone());
        }
        self.publish(event);
    }

    /// An end is told when the daemon has noticed, and carries that time; the end itself is on record as it was.
    fn told_at(&self, action: &str) -> TimestampMs {
        let late_ms = if action == "die" { NOTICED_AFTER_MS } else { 0 };
        TimestampMs::from_millis(self.daemon_time().as_millis() + late_ms)
    }

    pub(super) fn publish(&mut self, event: ContainerEvent) {
        if self.outage.is_none() {
            self.events.push(event);
            self.changes += 1;
        }
    }
}

fn event_of(container: &Container, action: &str, at: TimestampMs) -> ContainerEvent {
    ContainerEvent {
        id: container.id().to_owned(),
        name: container.name().to_owned(),
        labels: container.labels().clone(),
        action: action.to_owned(),
        exit_code: (action == "die").then_some(container.exit_code),
        at,
    }
}
