//! Pulls of images: one at a time for each image, shared by all tasks that wait for it.
//!
//! A pull goes on by itself; whoever waits is told by a hint when there is something new. It must never be
//! waited for by a round of the loop: a registry may take minutes, or never answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::daemon::Daemon;
use crate::domain::TaskId;
use crate::engine::{EngineError, Hint, PullProgress};
use crate::plan::pod::ImageState;

/// A pull that has not moved for so long has failed.
const STALL_LIMIT: Duration = Duration::from_mins(5);
/// How often a pull is tried when it fails in a way that may pass.
const TRIES: u32 = 3;
/// Between the tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Progress is told at most so often.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// The pulls that go on.
pub struct Pulls {
    active: Mutex<BTreeMap<String, Pull>>,
    next_number: AtomicU64,
    hints: broadcast::Sender<Hint>,
}

#[derive(Default)]
struct Pull {
    /// Tells it from an earlier pull of the same image.
    number: u64,
    /// Ends with this.
    goes_on: Option<AbortOnDropHandle<()>>,
    progress: PullProgress,
    waiting: BTreeSet<TaskId>,
    /// Why it failed. Kept until everybody who waited has been told.
    failed: Option<String>,
}

impl Pulls {
    /// No pulls; what happens to them is told through `hints`.
    pub fn new(hints: broadcast::Sender<Hint>) -> Self {
        Self {
            active: Mutex::new(BTreeMap::new()),
            next_number: AtomicU64::new(0),
            hints,
        }
    }

    /// How the pull of `image` stands for `task`, if it waits for one. A failure is told once.
    pub fn state(&self, image: &str, task: &TaskId) -> Option<ImageState> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let pull = active.get_mut(image)?;
        let Some(reason) = pull.failed.clone() else {
            return pull
                .waiting
                .contains(task)
                .then_some(ImageState::Pulling(pull.progress));
        };
        if !pull.waiting.remove(task) {
            return None;
        }
        if pull.waiting.is_empty() {
            active.remove(image);
        }
        Some(ImageState::Failed(reason))
    }

    /// Lets `task` wait for `image`; begins to pull it unless that goes on already.
    pub fn begin(self: &Arc<Self>, daemon: &Arc<dyn Daemon>, image: &str, task: &TaskId) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let pull = active.entry(image.to_owned()).or_default();
        let goes_on = !pull.waiting.is_empty() && pull.failed.is_none();
        pull.waiting.insert(task.clone());
        if goes_on {
            return;
        }
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        (pull.number, pull.failed) = (number, None);
        let (pulls, daemon, image) = (Arc::clone(self), Arc::clone(daemon), image.to_owned());
        let goes_on = tokio::spawn(async move {
            let result = pulls.pull(daemon.as_ref(), &image).await;
            pulls.finish(&image, number, result);
        });
        pull.goes_on = Some(AbortOnDropHandle::new(goes_on));
    }

    /// `task` waits for nothing any more. A pull that nobody waits for is given up.
    pub fn leave(&self, task: &TaskId) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.retain(|_, pull| {
            pull.waiting.remove(task);
            !pull.waiting.is_empty()
        });
    }

    async fn pull(&self, daemon: &dyn Daemon, image: &str) -> Result<(), EngineError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.pull_once(daemon, image).await {
                Err(error) if error.retryable() => {
                    tracing::warn!(image, %error, "the pull failed and is tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        self.pull_once(daemon, image).await
    }

    async fn pull_once(&self, daemon: &dyn Daemon, image: &str) -> Result<(), EngineError> {
        let mut steps = daemon.pull_image(image).await?;
        let mut told = tokio::time::Instant::now();
        loop {
            let step = tokio::time::timeout(STALL_LIMIT, steps.next()).await;
            let step = step.map_err(|_| EngineError::Timeout {
                what: format!("the next bytes of image {image}"),
                limit_ms: u64::try_from(STALL_LIMIT.as_millis()).unwrap_or(u64::MAX),
            })?;
            let Some(progress) = step.transpose()? else {
                return Ok(());
            };
            let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(pull) = active.get_mut(image) {
                pull.progress = progress;
                if told.elapsed() >= TELL_EVERY {
                    told = tokio::time::Instant::now();
                    self.tell(&pull.waiting);
                }
            }
        }
    }

    fn finish(&self, image: &str, number: u64, result: Result<(), EngineError>) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.get(image).is_none_or(|pull| pull.number != number) {
            return;
        }
        let waiting = match result {
            Ok(()) => active.remove(image).map(|pull| pull.waiting),
            Err(error) => active.get_mut(image).map(|pull| {
                pull.failed = Some(format!("CannotPullContainerError: {error}"));
                pull.waiting.clone()
            }),
        };
        self.tell(&waiting.unwrap_or_default());
    }

    fn tell(&self, tasks: &BTreeSet<TaskId>) {
        for task in tasks {
            // Nobody listens while the connection is made anew; everything is looked at after that.
            let _ = self.hints.send(Hint::Task(task.clone()));
        }
    }
}
