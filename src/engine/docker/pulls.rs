//! Pulls of images: one at a time for each image, shared by all tasks that wait for it.
//!
//! A pull goes on by itself; whoever waits is told by a hint when there is something new. It must never be
//! waited for by a round of the loop: a registry may take minutes, or never answer.
//!
//! While one goes on no image is removed, and the other way round: Docker would let go of a layer that the pull has
//! found to be there already.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{RwLock, RwLockWriteGuard, broadcast};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::daemon::{Daemon, RegistryLogin};
use crate::domain::{PulledImage, SecretReference, TaskId};
use crate::engine::{EngineError, Hint, PullProgress};
use crate::plan::pod::ImageState;

/// A pull that has not moved for so long has failed, unless the operator says otherwise. The daemon says nothing
/// while it waits for another pull of the same layer.
pub const INACTIVITY_TIMEOUT: Duration = Duration::from_mins(5);
/// Images that are remembered to have been pulled; forgotten when there are more.
const PULLED_KEPT: usize = 4_096;
/// How often a pull is tried when it fails in a way that may pass.
const TRIES: u32 = 3;
/// Between the tries; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Progress is told at most so often.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// The pulls that go on.
pub struct Pulls {
    active: Mutex<BTreeMap<Key, Pull>>,
    pulled: Mutex<Pulled>,
    next_number: AtomicU64,
    hints: broadcast::Sender<Hint>,
    inactivity_timeout: Duration,
    /// Read while an image is pulled, written while one is removed.
    removal: RwLock<()>,
    /// What was not there before, and has not been told of. Losing it costs room on the disk.
    brought: Mutex<Vec<PulledImage>>,
}

/// Who pulls the same image with another login gets another answer.
type Key = (String, Option<SecretReference>);

/// An image that is to be pulled.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub image: String,
    /// The secret that the login comes from.
    pub reference: Option<SecretReference>,
    /// What the registry is to be sent.
    pub login: Option<RegistryLogin>,
}

/// What was pulled. Losing it costs a pull that finds everything there.
#[derive(Default)]
struct Pulled {
    by_task: BTreeMap<TaskId, BTreeSet<String>>,
    ever: BTreeSet<String>,
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
    pub fn new(hints: broadcast::Sender<Hint>, inactivity_timeout: Duration) -> Self {
        Self {
            active: Mutex::new(BTreeMap::new()),
            pulled: Mutex::default(),
            next_number: AtomicU64::new(0),
            hints,
            inactivity_timeout,
            removal: RwLock::new(()),
            brought: Mutex::default(),
        }
    }

    /// No pull begins for as long as what this gives is kept; `None` while one goes on.
    pub fn none_goes_on(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        self.removal.try_write().ok()
    }

    /// The images that pulls have brought since this was asked last.
    pub fn take_brought(&self) -> Vec<PulledImage> {
        std::mem::take(&mut self.brought.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `image` was pulled for `task`.
    pub fn pulled_for(&self, image: &str, task: &TaskId) -> bool {
        let pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        let images = pulled.by_task.get(task);
        images.is_some_and(|images| images.contains(image))
    }

    /// Whether `image` was pulled for any task.
    pub fn pulled_once(&self, image: &str) -> bool {
        let pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        pulled.ever.contains(image)
    }

    /// An attempt for these tasks is over, and is not made again for them.
    fn note_pulled(&self, image: &str, tasks: &BTreeSet<TaskId>, succeeded: bool) {
        let mut pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            let images = pulled.by_task.entry(task.clone()).or_default();
            images.insert(image.to_owned());
        }
        if succeeded {
            if pulled.ever.len() >= PULLED_KEPT {
                pulled.ever.clear();
            }
            pulled.ever.insert(image.to_owned());
        }
    }

    /// How the pull of `image` stands for `task`, if it waits for one. A failure is told once.
    pub fn state(
        &self,
        image: &str,
        login: Option<&SecretReference>,
        task: &TaskId,
    ) -> Option<ImageState> {
        let key = (image.to_owned(), login.cloned());
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let pull = active.get_mut(&key)?;
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
            active.remove(&key);
        }
        Some(ImageState::Failed(reason))
    }

    /// Lets `task` wait for an image; begins to pull it unless that goes on already.
    pub fn begin(self: &Arc<Self>, daemon: &Arc<dyn Daemon>, wanted: Wanted, task: &TaskId) {
        let key = (wanted.image.clone(), wanted.reference.clone());
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let pull = active.entry(key.clone()).or_default();
        let goes_on = !pull.waiting.is_empty() && pull.failed.is_none();
        pull.waiting.insert(task.clone());
        if goes_on {
            return;
        }
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        (pull.number, pull.failed) = (number, None);
        let (pulls, daemon) = (Arc::clone(self), Arc::clone(daemon));
        let goes_on = tokio::spawn(async move {
            let result = pulls.pull(daemon.as_ref(), &key, &wanted).await;
            pulls.finish(&key, number, result);
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
        drop(active);
        let mut pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        pulled.by_task.remove(task);
    }

    async fn pull(
        &self,
        daemon: &dyn Daemon,
        key: &Key,
        wanted: &Wanted,
    ) -> Result<(), EngineError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.pull_and_note(daemon, key, wanted).await {
                Err(error) if error.retryable() => {
                    tracing::warn!(image = wanted.image, %error, "the pull failed and is tried again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                result => return result,
            }
        }
        self.pull_and_note(daemon, key, wanted).await
    }

    /// Pulls, and notes the image if it was not there before. Where that cannot be known, it counts as somebody
    /// else's.
    async fn pull_and_note(
        &self,
        daemon: &dyn Daemon,
        key: &Key,
        wanted: &Wanted,
    ) -> Result<(), EngineError> {
        let _no_removal = self.removal.read().await;
        let before = daemon.list_images().await;
        self.pull_once(daemon, key, wanted).await?;
        if let Ok(before) = before
            && let Ok(Some(now)) = daemon.inspect_image(&wanted.image).await
            && !before.contains(&now.id)
        {
            let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
            brought.push(PulledImage {
                id: now.id,
                reference: wanted.image.clone(),
            });
        }
        Ok(())
    }

    async fn pull_once(
        &self,
        daemon: &dyn Daemon,
        key: &Key,
        Wanted { image, login, .. }: &Wanted,
    ) -> Result<(), EngineError> {
        let limit = self.inactivity_timeout;
        let mut steps = daemon.pull_image(image, login.as_ref()).await?;
        let (mut moved, mut told) = (Instant::now(), Instant::now());
        // What came too soon after the last word is told when that is long enough ago, also if nothing follows.
        let mut untold = false;
        loop {
            let until = if untold {
                (told + TELL_EVERY).min(moved + limit)
            } else {
                moved + limit
            };
            match tokio::time::timeout_at(until, steps.next()).await {
                Ok(None) => return Ok(()),
                Ok(Some(progress)) => {
                    let progress = progress?;
                    moved = Instant::now();
                    let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(pull) = active.get_mut(key)
                        && pull.progress != progress
                    {
                        (pull.progress, untold) = (progress, true);
                    }
                }
                Err(_) if moved.elapsed() >= limit => {
                    return Err(EngineError::Timeout {
                        what: format!("the next bytes of image {image}"),
                        limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                    });
                }
                Err(_) => {}
            }
            if untold && told.elapsed() >= TELL_EVERY {
                (told, untold) = (Instant::now(), false);
                let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(pull) = active.get(key) {
                    self.tell(&pull.waiting);
                }
            }
        }
    }

    fn finish(&self, key: &Key, number: u64, result: Result<(), EngineError>) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        if active.get(key).is_none_or(|pull| pull.number != number) {
            return;
        }
        let succeeded = result.is_ok();
        let waiting = match result {
            Ok(()) => active.remove(key).map(|pull| pull.waiting),
            Err(error) => active.get_mut(key).map(|pull| {
                pull.failed = Some(format!("CannotPullContainerError: {error}"));
                pull.waiting.clone()
            }),
        };
        let waiting = waiting.unwrap_or_default();
        self.note_pulled(&key.0, &waiting, succeeded);
        self.tell(&waiting);
    }

    fn tell(&self, tasks: &BTreeSet<TaskId>) {
        for task in tasks {
            // Nobody listens while the connection is made anew; everything is looked at after that.
            let _ = self.hints.send(Hint::Task(task.clone()));
        }
    }
}
