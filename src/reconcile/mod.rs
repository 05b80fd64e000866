//! The one loop: observe, plan, record, act.
//!
//! Start-up, crash recovery, an engine's event, an API call and the timer all end in the same round of one
//! task (`round`). A wake-up says only which task to look at. A round costs what its task costs, whatever
//! else exists. The loop never answers a request, and holds nothing that it could not lose: what is worth
//! keeping is a row in the store before the engine is asked for anything.

mod autoscale;
mod budget;
mod clean;
mod heartbeat;
mod images;
mod measure;
mod rollup;
mod round;
mod schedule;
mod service;
mod warm;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::bell::{Bell, Subject};
use crate::clock::Clock;
use crate::domain::{DurationMs, IdSource, Policy, PulledImage};
use crate::engine::{Engine, EngineStatus};
use crate::meter::sheet::PriceBook;
use crate::store::{KeptLogs, Store};

/// What the loop works with.
pub struct Parts {
    /// Desired and recorded state.
    pub store: Store,
    /// What runs containers.
    pub engine: Arc<dyn Engine>,
    /// Whether that one answers.
    pub engine_status: EngineStatus,
    /// Who wants to be looked at.
    pub bell: Bell,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the IDs of the tasks of services and schedules come from.
    pub ids: Arc<dyn IdSource>,
    /// What the operator lets tasks have.
    pub policy: Policy,
    /// What things cost.
    pub prices: Arc<PriceBook>,
    /// The limits.
    pub limits: Limits,
}

/// The loop's limits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many tasks are looked at in parallel.
    pub rounds_at_once: usize,
    /// How long one round may wait for the engine, over all of its steps.
    pub round_deadline: Duration,
    /// How long rounds that have begun may go on after the loop was told to stop. Giving one up is as safe as
    /// a crash.
    pub stop_within: Duration,
    /// The first pause after a round that failed; doubled each time.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How often is looked at the memory of what runs, and how often the heart beats.
    pub measure_every: Duration,
    /// How long a period is after which services are scaled by what their tasks used in it.
    pub scale_every: Duration,
    /// How often everything is compared with what the engine lists, for hints that never came.
    pub sweep_every: Duration,
    /// Log bytes of a container that are kept after it is gone.
    pub kept_log_bytes: u64,
    /// How much is kept of all logs together.
    pub kept_logs: KeptLogs,
    /// How often that is seen to.
    pub prune_every: Duration,
    /// For how long an image that Neargate pulled stays after nobody needs it any more; `None`: for ever.
    pub unused_images_stay: Option<DurationMs>,
    /// How often usage is rolled up while tasks end.
    pub roll_up_every: Duration,
    /// For how long the intervals of tasks stay after they have ended; `None`: for ever.
    pub usage_stays: Option<DurationMs>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rounds_at_once: 64,
            round_deadline: Duration::from_mins(2),
            stop_within: Duration::from_secs(10),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            measure_every: Duration::from_secs(1),
            scale_every: Duration::from_secs(20),
            sweep_every: Duration::from_secs(30),
            kept_log_bytes: 10 * 1_048_576,
            kept_logs: KeptLogs::default(),
            prune_every: Duration::from_mins(10),
            unused_images_stay: None,
            roll_up_every: Duration::from_secs(5),
            usage_stays: None,
        }
    }
}

/// A look at a subject. It is over when this is dropped, also by a panic: nobody would look at the subject again otherwise.
struct Look {
    bell: Bell,
    subject: Subject,
}

impl Drop for Look {
    fn drop(&mut self) {
        self.bell.done(&self.subject);
    }
}

/// The loop.
pub struct Reconciler {
    parts: Parts,
    /// How often in a row a subject's round has failed. Losing it costs an earlier retry.
    failures: Mutex<HashMap<Subject, u32>>,
    /// What runs and is measured. Losing it costs a sample.
    meters: measure::Meters,
    /// The host's clocks, and until when was seen that tasks ran.
    pulse: heartbeat::Pulse,
    /// That a task was cleaned up. Losing it costs a late roll-up.
    cleaned: Notify,
    /// Images that were pulled, and of which that is not on record yet. Losing them costs their room on the engine's disk.
    unnoted_images: Mutex<Vec<PulledImage>>,
}

impl Reconciler {
    /// A loop over `parts`, at rest.
    pub fn new(parts: Parts) -> Arc<Self> {
        let store = parts.store.for_the_loop();
        Arc::new(Self {
            parts: Parts { store, ..parts },
            failures: Mutex::new(HashMap::new()),
            meters: measure::Meters::default(),
            pulse: heartbeat::Pulse::default(),
            cleaned: Notify::new(),
            unnoted_images: Mutex::default(),
        })
    }

    /// Runs until `stop`; rounds that have begun get a while to finish. Tasks go on.
    ///
    /// # Panics
    ///
    /// When what runs beside the rounds, the meter say, has panicked.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.ring_services().await;
        self.ring_schedules().await;
        let mut watcher =
            AbortOnDropHandle::new(tokio::spawn(Arc::clone(&self).watch(stop.clone())));
        let mut jobs = JoinSet::new();
        jobs.spawn(Arc::clone(&self).prune_logs());
        jobs.spawn(Arc::clone(&self).measure_tasks());
        jobs.spawn(Arc::clone(&self).beat_on());
        jobs.spawn(Arc::clone(&self).scale_services());
        jobs.spawn(Arc::clone(&self).roll_usage_up());
        jobs.spawn(Arc::clone(&self).count_warm_sandboxes());
        jobs.spawn(Arc::clone(&self).keep_images());
        jobs.spawn(Arc::clone(&self).keep_budgets());
        let turns = Arc::new(Semaphore::new(self.parts.limits.rounds_at_once));
        let mut rounds = JoinSet::new();
        loop {
            let subject = tokio::select! {
                // In this order, so that a simulation repeats itself. Rounds that are over are as many as were begun below, at
                // most, so the bell is always heard.
                biased;
                () = stop.cancelled() => break,
                Some(ended) = rounds.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a round has ended badly; the next sweep looks at its subject again");
                    }
                    continue;
                }
                Some(ended) = jobs.join_next() => {
                    // Without it Neargate would go on and do half of its work. Whoever runs this starts it again.
                    if let Err(error) = ended && error.is_panic() {
                        std::panic::resume_unwind(error.into_panic());
                    }
                    continue;
                }
                subject = self.parts.bell.next() => subject,
            };
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
                break;
            };
            let this = Arc::clone(&self);
            rounds.spawn(async move {
                let look = Look {
                    bell: this.parts.bell.clone(),
                    subject,
                };
                this.look_at(&look.subject).await;
                drop(look);
                drop(turn);
            });
        }
        let finished = async { while rounds.join_next().await.is_some() {} };
        if tokio::time::timeout(self.parts.limits.stop_within, finished)
            .await
            .is_err()
        {
            tracing::warn!(
                "rounds that still wait for the engine are given up; the next start goes on with them"
            );
            rounds.shutdown().await;
        }
        let _ = (&mut watcher).await;
        self.parts.engine.shut_down().await;
    }

    /// One round of one subject, with its deadline, and what follows from its failure.
    async fn look_at(&self, subject: &Subject) {
        let limits = &self.parts.limits;
        let round = async {
            match subject {
                Subject::Task(task) => self.round(task).await,
                Subject::Service(service) => self.service_round(service).await,
                Subject::Schedule(schedule) => self.schedule_round(schedule).await,
            }
        };
        let result = tokio::time::timeout(limits.round_deadline, round).await;
        let error = match result {
            Ok(Ok(())) => {
                self.failures().remove(subject);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "the round took longer than {} s",
                limits.round_deadline.as_secs()
            ),
        };
        let failures = {
            let mut failures = self.failures();
            let count = failures.entry(subject.clone()).or_insert(0);
            *count += 1;
            *count
        };
        let pause = pause_after(failures, limits);
        tracing::warn!(%subject, error, failures, pause_ms = pause.as_millis(), "a round failed");
        self.parts
            .bell
            .ring_at(subject, tokio::time::Instant::now() + pause);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<Subject, u32>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after so many failures in a row.
fn pause_after(failures: u32, limits: &Limits) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    limits
        .first_pause
        .saturating_mul(1 << doublings)
        .min(limits.longest_pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_look_that_panics_is_over_and_its_subject_is_looked_at_again() {
        let bell = Bell::default();
        let task = Subject::Task(format!("{:032x}", 7).parse().unwrap());
        bell.ring(task.clone());
        let look = Look {
            bell: bell.clone(),
            subject: bell.next().await,
        };
        bell.ring(task.clone());
        let looked = tokio::spawn(async move {
            let _look = look;
            panic!("of the test");
        });
        assert!(looked.await.unwrap_err().is_panic());
        let again = tokio::time::timeout(Duration::from_secs(10), bell.next()).await;
        assert_eq!(again, Ok(task));
    }
}
