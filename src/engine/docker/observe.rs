//! From what the daemon says to what the adapter reports.

use std::sync::PoisonError;

use super::DockerEngine;
use super::daemon::ContainerInspect;
use super::names::Names;
use crate::domain::{
    ContainerObservation, ContainerState, HealthStatus, NetworkObservation, TimestampMs,
};

impl DockerEngine {
    pub(super) fn observe_container(
        &self,
        inspect: &ContainerInspect,
        now: TimestampMs,
    ) -> ContainerObservation {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        ContainerObservation {
            attempt: Names::attempt(&inspect.labels),
            runtime_id: inspect.id.clone(),
            image_digest: digests.get(&inspect.image_id).cloned(),
            state: observe_state(inspect, now),
            started_at: inspect.started_at,
            health: inspect.health.unwrap_or(HealthStatus::Unknown),
            health_output: inspect.health_output.clone(),
            is_paused: inspect.status == "paused",
            is_ending: false,
        }
    }
}

pub(super) fn cannot_start(error: &str) -> String {
    format!("CannotStartContainerError: {error}")
}

/// Docker's words for the states: `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`.
pub(super) fn observe_state(inspect: &ContainerInspect, now: TimestampMs) -> ContainerState {
    match inspect.status.as_str() {
        // A start that failed leaves it `created`, with the error.
        "created" if inspect.error.is_none() => ContainerState::Created,
        "created" => ContainerState::Exited {
            exit_code: Some(inspect.exit_code),
            oom_killed: false,
            finished_at: now,
            error: inspect.error.as_deref().map(cannot_start),
        },
        "running" | "paused" | "restarting" => ContainerState::Running,
        // It was to be removed unstarted, and is not gone yet: it has never run, so there is no end of it to tell.
        "removing" | "dead" if inspect.started_at.is_none() => ContainerState::Created,
        _ => ContainerState::Exited {
            exit_code: Some(inspect.exit_code),
            oom_killed: inspect.oom_killed,
            finished_at: inspect.finished_at.unwrap_or(now),
            error: inspect
                .error
                .clone()
                .filter(|_| inspect.started_at.is_none()),
        },
    }
}

pub(super) fn observe_network(sandbox: Option<&ContainerInspect>) -> NetworkObservation {
    match sandbox {
        None => NetworkObservation::Absent,
        Some(sandbox) => match sandbox.status.as_str() {
            // It is started when the network is made, which finds it by its name.
            "created" => NetworkObservation::Absent,
            "running" | "paused" | "restarting" => NetworkObservation::Up {
                address: sandbox.ip_address.clone(),
                bindings: sandbox.bindings.clone(),
            },
            _ => NetworkObservation::Down,
        },
    }
}

/// The network of a container that owns its task's namespace; `None` for one that joined a sandbox's. With
/// its process the namespace has ended, but nobody is cut off: there was no other in it.
pub(super) fn observe_own_network(container: &ContainerInspect) -> Option<NetworkObservation> {
    if container.network_mode.starts_with("container:") {
        return None;
    }
    Some(match observe_network(Some(container)) {
        NetworkObservation::Down => NetworkObservation::Absent,
        network => network,
    })
}
