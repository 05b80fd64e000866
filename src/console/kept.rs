//! Figures that take long to work out. They are made beside the pages that show them and kept for a moment, so that no page
//! waits for them for long.
//!
//! What a bill takes grows with the tasks that go on, and each of them counts to the last unit. So whoever looks gets the
//! figures if they are there soon, what they were a little earlier otherwise, and at first nothing: then the page says so,
//! and asks again by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::ApiError;
use crate::domain::{DurationMs, TimestampMs};

/// For so long they are as good as new,
const FRESH: DurationMs = DurationMs::from_secs(10);
/// and for so long better than nothing.
const USABLE: DurationMs = DurationMs::from_secs(60);
/// How long a page waits for them. A test of what is on a page waits for as long as it takes.
const PATIENCE: Duration = if cfg!(test) {
    Duration::from_mins(1)
} else {
    Duration::from_millis(40)
};
/// So many of them are kept.
const MOST: usize = 32;

/// Figures, by what they are asked for with.
pub(super) struct Kept<V>(Arc<Mutex<Entries<V>>>);

type Entries<V> = BTreeMap<String, Entry<V>>;

struct Entry<V> {
    /// When they were last begun to be made.
    begun: TimestampMs,
    is_underway: bool,
    /// What they were when they were last made.
    value: Option<(TimestampMs, V)>,
}

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<V: Clone + Send + 'static> Kept<V> {
    /// The figures of `key` at `now`, which `make` makes, if need be; `None` if that takes too long for a page, and there are
    /// none from before.
    pub(super) async fn get<F>(
        &self,
        key: &str,
        now: TimestampMs,
        make: impl FnOnce() -> F,
    ) -> Result<Option<V>, ApiError>
    where
        F: Future<Output = Result<V, ApiError>> + Send + 'static,
    {
        self.get_within(PATIENCE, key, now, make).await
    }

    async fn get_within<F>(
        &self,
        patience: Duration,
        key: &str,
        now: TimestampMs,
        make: impl FnOnce() -> F,
    ) -> Result<Option<V>, ApiError>
    where
        F: Future<Output = Result<V, ApiError>> + Send + 'static,
    {
        if let Some(underway) = self.begin(key, now) {
            let figures = make();
            let task = tokio::spawn(async move {
                let value = figures.await?;
                underway.keep(value);
                Ok::<_, ApiError>(())
            });
            // What takes longer goes on beside the page.
            if let Ok(Ok(result)) = tokio::time::timeout(patience, task).await {
                result?;
            }
        }
        let entries = lock(&self.0);
        let value = entries.get(key).and_then(|entry| entry.value.as_ref());
        let value = value.filter(|(at, _)| now.since(*at) < USABLE);
        Ok(value.map(|(_, value)| value.clone()))
    }

    /// Notes that they are made anew; `None` if there is no need, or somebody does so already.
    fn begin(&self, key: &str, now: TimestampMs) -> Option<Underway<V>> {
        let mut entries = lock(&self.0);
        let entry = entries.entry(key.to_owned()).or_insert(Entry {
            begun: now,
            is_underway: false,
            value: None,
        });
        let made = entry.value.as_ref().map(|(at, _)| *at);
        let is_fresh = made.is_some_and(|at| now.since(at) < FRESH);
        if is_fresh || entry.is_underway {
            return None;
        }
        (entry.begun, entry.is_underway) = (now, true);
        while entries.len() > MOST {
            let others = entries.iter().filter(|(other, _)| *other != key);
            let oldest = others.min_by_key(|(_, entry)| entry.begun);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else {
                break;
            };
            entries.remove(&oldest);
        }
        Some(Underway {
            entries: Arc::clone(&self.0),
            key: key.to_owned(),
            begun: now,
        })
    }
}

fn lock<V>(entries: &Mutex<Entries<V>>) -> MutexGuard<'_, Entries<V>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures that are being made.
struct Underway<V> {
    entries: Arc<Mutex<Entries<V>>>,
    key: String,
    begun: TimestampMs,
}

impl<V> Underway<V> {
    fn keep(&self, value: V) {
        if let Some(entry) = lock(&self.entries).get_mut(&self.key) {
            entry.value = Some((self.begun, value));
        }
    }
}

/// Whatever has become of them, they can be made again.
impl<V> Drop for Underway<V> {
    fn drop(&mut self) {
        if let Some(entry) = lock(&self.entries).get_mut(&self.key) {
            entry.is_underway = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use tokio::sync::oneshot;

    use super::*;
    use crate::api::Kind;

    const NONE: Duration = Duration::ZERO;

    fn at(seconds: u32) -> TimestampMs {
        TimestampMs::from_millis(1_000_000).plus(DurationMs::from_secs(seconds))
    }

    fn figures(value: u32) -> Ready<Result<u32, ApiError>> {
        ready(Ok(value))
    }

    /// Waits until nothing is under way.
    async fn finish(kept: &Kept<u32>) {
        while lock(&kept.0).values().any(|entry| entry.is_underway) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_made_soon_is_shown_and_kept_for_a_moment() {
        let kept = Kept::default();
        let get = |value, now| kept.get("a", now, move || figures(value));
        assert_eq!(get(1, at(0)).await.unwrap(), Some(1));
        assert_eq!(get(2, at(9)).await.unwrap(), Some(1));
        assert_eq!(get(3, at(10)).await.unwrap(), Some(3));
        let other = kept.get("b", at(10), || figures(7)).await;
        assert_eq!(other.unwrap(), Some(7), "they are not mixed up");
    }

    #[tokio::test]
    async fn nobody_waits_for_what_takes_long_and_it_is_made_once() {
        let kept = Kept::default();
        let (go_on, wait) = oneshot::channel();
        let slow = async move { Ok(wait.await.unwrap_or(0)) };
        let first = kept.get_within(NONE, "a", at(0), || slow).await;
        assert_eq!(first.unwrap(), None);
        let second = kept.get("a", at(1), || async { unreachable!("it is underway") });
        assert_eq!(second.await.unwrap(), None);
        go_on.send(5).unwrap();
        finish(&kept).await;
        // In the meantime it was made, as of when it was begun.
        let third = kept.get("a", at(9), || figures(0)).await;
        assert_eq!(third.unwrap(), Some(5));
        // What was is shown while what is takes its time, but not for ever.
        let (_go_on, wait) = oneshot::channel::<u32>();
        let slow = async move { Ok(wait.await.unwrap_or(0)) };
        let old = kept.get_within(NONE, "a", at(30), || slow).await;
        assert_eq!(old.unwrap(), Some(5));
        let too_old = kept.get_within(NONE, "a", at(60), || figures(0)).await;
        assert_eq!(too_old.unwrap(), None);
    }

    #[tokio::test]
    async fn what_fails_is_told_and_can_be_tried_again() {
        let kept = Kept::default();
        let fail = || async { Err::<u32, _>(ApiError::new(Kind::NotFound, "no such sheet")) };
        assert!(kept.get("a", at(0), fail).await.is_err());
        assert_eq!(kept.get("a", at(0), || figures(1)).await.unwrap(), Some(1));
        let panic = || async { panic!("as a test may") };
        assert_eq!(kept.get("b", at(0), panic).await.unwrap(), None);
        assert_eq!(kept.get("b", at(0), || figures(2)).await.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn only_so_many_are_kept() {
        let kept = Kept::default();
        for number in 0..100 {
            let key = number.to_string();
            let got = kept.get(&key, at(number), move || figures(number)).await;
            assert_eq!(got.unwrap(), Some(number));
        }
        assert_eq!(lock(&kept.0).len(), MOST);
        assert_eq!(
            kept.get("99", at(99), || figures(0)).await.unwrap(),
            Some(99)
        );
    }
}
