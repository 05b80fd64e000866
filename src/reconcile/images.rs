//! Cleans up images that Neargate pulled and nobody needs any more, where the operator wants that.
//!
//! A removal may be given up, refused or carried out late: all that is lost with an image is the time of a pull, since a
//! container that cannot be created for want of its image leads to another one. So nothing here is made durable ahead, and
//! what a crash leaves is found by the next look.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::Reconciler;
use super::round::RoundError;
use crate::domain::{
    DurationMs, EngineImage, EventKind, KeptImage, NewEvent, PulledImage, TimestampMs,
};
use crate::engine::EngineError;
use crate::plan::images::{ImagesPlan, ImagesWorld, plan};
use crate::store::StoreError;

/// How often images are looked at, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));
/// For how many looks an image stays that nobody needs, if there is time for so many.
const LOOKS: u32 = 12;

impl Reconciler {
    /// Looks at the images now and then, for as long as the loop runs.
    pub(super) async fn keep_images(self: Arc<Self>) {
        let (least, most) = LOOK_EVERY;
        let pause = match self.parts.limits.unused_images_stay {
            Some(stay) => (stay.to_std() / LOOKS).clamp(least, most),
            None => most,
        };
        loop {
            match self.look_at_images().await {
                // That the engine is away is said elsewhere.
                Ok(()) | Err(RoundError::Engine(EngineError::Away(_))) => {}
                Err(error) => {
                    tracing::warn!(%error, "the images cannot be looked at; that is tried again");
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes down which images were brought to the engine. Before a container is created from one, so that a crash after
    /// that forgets none.
    pub(super) async fn note_pulled_images(&self) -> Result<(), StoreError> {
        let images = {
            let mut unnoted = self.unnoted_images();
            unnoted.extend(self.parts.engine.take_pulled_images());
            unnoted.clone()
        };
        if images.is_empty() {
            return Ok(());
        }
        let now = self.parts.clock.now();
        let store = &self.parts.store;
        store.note_pulled_images(images.clone(), now).await?;
        // The engine tells each once: whatever else becomes of the write, they are written down by the next round.
        self.unnoted_images().retain(|one| !images.contains(one));
        Ok(())
    }

    fn unnoted_images(&self) -> MutexGuard<'_, Vec<PulledImage>> {
        let images = self.unnoted_images.lock();
        images.unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_at_images(&self) -> Result<(), RoundError> {
        let (store, engine) = (&self.parts.store, &self.parts.engine);
        self.note_pulled_images().await?;
        let mut recorded = store.pulled_images().await?;
        if recorded.is_empty() {
            return Ok(());
        }
        let there = engine.image_ids().await?;
        for gone in recorded.extract_if(.., |kept| !there.contains(&kept.image.id)) {
            store.forget_pulled_image(gone.image.id, None).await?;
        }
        let Some(stay) = self.parts.limits.unused_images_stay else {
            return Ok(());
        };
        let mut plan = self.plan_images(&recorded, stay).await?;
        for image in std::mem::take(&mut plan.remove) {
            match engine.remove_image(&image).await {
                Ok(()) => self.tell_removed(&recorded, image, stay).await?,
                Err(error) if error.retryable() => {
                    tracing::info!(image = image.id, %error, "an unused image stays for now");
                }
                // Somebody uses it.
                Err(error) => {
                    tracing::info!(image = image.id, %error, "an unused image stays");
                    plan.keep.insert(image.id, self.parts.clock.now());
                }
            }
        }
        store.keep_pulled_images(plan.keep).await?;
        Ok(())
    }

    async fn plan_images(
        &self,
        recorded: &[KeptImage],
        stay: DurationMs,
    ) -> Result<ImagesPlan, RoundError> {
        let (store, engine) = (&self.parts.store, &self.parts.engine);
        let mut seen = BTreeMap::new();
        for kept in recorded {
            let found = engine.image(&kept.image.id).await?;
            seen.extend(found.map(|image| (image.id.clone(), image)));
        }
        let now = self.parts.clock.now();
        let begin = TimestampMs::from_millis(now.as_millis() - stay.as_millis());
        let used = if recorded.iter().any(|kept| kept.last_used_at <= begin) {
            store.used_images(begin).await?
        } else {
            BTreeMap::new()
        };
        // Last, so that a task that was accepted meanwhile is seen.
        let needed = store.needed_images().await?;
        Ok(plan(ImagesWorld {
            recorded,
            seen: &seen,
            needed: &needed,
            used: &used,
            unused_for: stay,
            now,
        }))
    }

    async fn tell_removed(
        &self,
        recorded: &[KeptImage],
        image: EngineImage,
        stay: DurationMs,
    ) -> Result<(), StoreError> {
        let kept = recorded.iter().find(|kept| kept.image.id == image.id);
        let reference = kept.map_or(&image.id, |kept| &kept.image.reference);
        let event = NewEvent {
            at: self.parts.clock.now(),
            kind: EventKind::ImageRemoved,
            cluster: None,
            subject: reference.clone(),
            status: None,
            message: format!(
                "Image {reference} ({}) was removed: nothing has needed it for {} h. Its size was {} MiB, with the layers \
                 that other images share.",
                image.id,
                stay.as_millis() / 3_600_000,
                image.size_bytes.div_ceil(1 << 20)
            ),
        };
        tracing::info!(image = image.id, reference, "an unused image was removed");
        self.parts
            .store
            .forget_pulled_image(image.id, Some(event))
            .await
    }
}
