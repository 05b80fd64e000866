//! Docker's own health checks.
//!
//! As in the daemon (moby `daemon/health.go`): the first check comes one interval after the start, the next
//! one interval after the end of the last; failures in the start period do not count; the state changes at
//! once on success and after so many failures in a row otherwise, and only changes are told. A monitor that
//! stops, because the container is paused or has ended, leaves `unhealthy` behind without telling anyone.

use super::{Model, Timer};
use crate::domain::{HealthCheck, HealthStatus};
use crate::engine::sim::program::{CheckResult, check_health};

/// The daemon keeps no more of a check's output.
const LONGEST_OUTPUT_BYTES: usize = 4096;

/// The health of one container.
#[derive(Clone, Debug)]
pub(super) struct Health {
    check: HealthCheck,
    status: HealthStatus,
    failures: u32,
    output: Option<String>,
    /// Tells monitors apart: what was meant for an earlier one is dropped.
    monitor: u32,
    watching: bool,
}

impl Health {
    pub(super) fn new(check: HealthCheck) -> Self {
        Self {
            check,
            status: HealthStatus::Unknown,
            failures: 0,
            output: None,
            monitor: 0,
            watching: false,
        }
    }

    /// Docker's `starting` is unknown.
    pub(super) fn status(&self) -> HealthStatus {
        self.status
    }

    /// What the last check said, if it failed.
    pub(super) fn last_output(&self) -> Option<String> {
        self.output.clone()
    }
}

impl Model {
    /// Begins to watch a container; `fresh` forgets what an earlier monitor found.
    pub(super) fn watch_health(&mut self, number: u64, fresh: bool) {
        let Some(health) = self
            .containers
            .get_mut(&number)
            .and_then(|c| c.health.as_mut())
        else {
            return;
        };
        if fresh {
            health.output = None;
        }
        health.status = HealthStatus::Unknown;
        health.failures = 0;
        health.monitor += 1;
        health.watching = true;
        self.schedule_check(number);
    }

    /// Watches a container no longer.
    pub(super) fn unwatch_health(&mut self, number: u64) {
        if let Some(health) = self
            .containers
            .get_mut(&number)
            .and_then(|c| c.health.as_mut())
            && health.watching
        {
            health.watching = false;
            health.monitor += 1;
            health.status = HealthStatus::Unhealthy;
        }
    }

    fn schedule_check(&mut self, number: u64) {
        if let Some(health) = self.containers.get(&number).and_then(|c| c.health.as_ref()) {
            let interval_ms = health.check.interval.as_millis().max(1).unsigned_abs();
            let monitor = health.monitor;
            let timer = Timer::CheckBegins {
                container: number,
                monitor,
            };
            self.schedule(interval_ms, timer);
        }
    }

    pub(super) fn check_begins(&mut self, number: u64, monitor: u32) {
        let now = self.now;
        let Some(container) = self.containers.get(&number) else {
            return;
        };
        let (Some(health), Some(process)) = (&container.health, &container.process) else {
            return;
        };
        if health.monitor != monitor {
            return;
        }
        let age_ms = now.since(process.began).as_millis().unsigned_abs();
        let mut result = check_health(
            &health.check,
            &container.repository,
            &process.script,
            age_ms,
        );
        let timeout_ms = health.check.timeout.as_millis().max(1).unsigned_abs();
        if result.takes_ms > timeout_ms {
            let limit = timeout_ms as f64 / 1_000.0;
            result = CheckResult {
                takes_ms: timeout_ms,
                exit_code: -1,
                output: format!("Health check exceeded timeout ({limit}s)"),
            };
        }
        let command = health.check.command.get(1..).unwrap_or_default().join(" ");
        self.tell(number, &format!("exec_create: {command}"));
        self.tell(number, &format!("exec_start: {command}"));
        let takes_ms = result.takes_ms;
        let timer = Timer::CheckEnds {
            container: number,
            monitor,
            result,
        };
        self.schedule(takes_ms, timer);
    }

    pub(super) fn check_ends(&mut self, number: u64, monitor: u32, mut result: CheckResult) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let (Some(health), Some(process)) = (&mut container.health, &container.process) else {
            return;
        };
        if health.monitor != monitor {
            return;
        }
        let before = health.status;
        let failed = result.exit_code != 0;
        if failed {
            let age = now.since(process.began);
            let forgiven = before == HealthStatus::Unknown && age < health.check.start_period;
            if !forgiven {
                health.failures += 1;
            }
            if health.failures >= health.check.retries.max(1) {
                health.status = HealthStatus::Unhealthy;
            }
        } else {
            health.failures = 0;
            health.status = HealthStatus::Healthy;
        }
        let end = result.output.floor_char_boundary(LONGEST_OUTPUT_BYTES);
        result.output.truncate(end);
        health.output = failed.then_some(result.output);
        let after = health.status;
        self.tell(number, "exec_die");
        if after != before {
            let word = if after == HealthStatus::Healthy {
                "healthy"
            } else {
                "unhealthy"
            };
            self.tell(number, &format!("health_status: {word}"));
        }
        self.schedule_check(number);
    }
}
