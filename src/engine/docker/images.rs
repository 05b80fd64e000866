//! Which image a container is created from: pulled as the operator wants it, and each tag resolved once for
//! a task.
//!
//! A tag may come to mean another image while a task waits, for a dependency, say. So the digest that a
//! tag stood for first is reported, recorded with the task, and kept to: by the tag for as long as it means
//! the same, otherwise by the digest itself.
//!
//! An image may be removed at any time, by [`crate::reconcile`] or by anybody: a container that cannot be created for
//! want of it leads to another look, and that to another pull.

use super::daemon::ImageInspect;
use super::{DockerEngine, secrets};
use crate::domain::{EngineImage, ImageObservation, Observation};
use crate::engine::{EngineError, Order};
use crate::plan::pod::ImageState;

/// When an image is pulled that is there already.
/// Source: amazon-ecs-agent, `ECS_IMAGE_PULL_BEHAVIOR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullBehavior {
    /// For every task; the one that is there is used if the pull fails.
    Default,
    /// For every task.
    Always,
    /// By the first task that needs it since the server was started.
    Once,
    /// Never.
    #[default]
    PreferCached,
}

/// What is known of an image that a task needs.
pub(super) struct Sought {
    pub(super) state: ImageState,
    /// Set when it is there.
    pub(super) found: Option<ImageObservation>,
}

impl From<ImageState> for Sought {
    fn from(state: ImageState) -> Self {
        Self { state, found: None }
    }
}

impl DockerEngine {
    /// Whether `image` is there for the task.
    pub(super) async fn seek(
        &self,
        order: &Order,
        seen: &Observation,
        image: &str,
    ) -> Result<Sought, EngineError> {
        if let Some(found) = seen.images.get(image) {
            return Ok(Sought {
                state: ImageState::Present,
                found: Some(found.clone()),
            });
        }
        let wanted = wanted(order, image);
        let login = secrets::login_for(&order.spec, image, &self.settings.registry_logins);
        let pull = self.pulls.state(&wanted, login.as_ref(), &order.task_id);
        let behavior = self.settings.pull_behavior;
        match pull {
            Some(ImageState::Failed(reason)) if behavior == PullBehavior::Default => {
                let Some(found) = self.look(order, image).await? else {
                    return Ok(ImageState::Failed(reason).into());
                };
                tracing::warn!(image, reason, task = %order.task_id, "the pull failed; the image that is there is used");
                return Ok(found);
            }
            Some(state) => return Ok(state.into()),
            None => {}
        }
        let needs_pull = match behavior {
            _ if order.digests.contains_key(image) => false,
            PullBehavior::PreferCached => false,
            PullBehavior::Default | PullBehavior::Always => {
                !self.pulls.pulled_for(&wanted, &order.task_id)
            }
            PullBehavior::Once => !self.pulls.pulled_once(&wanted),
        };
        if needs_pull {
            return Ok(ImageState::Absent.into());
        }
        let found = self.look(order, image).await?;
        Ok(found.unwrap_or_else(|| ImageState::Absent.into()))
    }

    /// What the daemon has under an ID.
    pub(super) async fn image_by_id(&self, id: &str) -> Result<Option<EngineImage>, EngineError> {
        let found = self.daemon.inspect_image(id).await?;
        Ok(found
            .filter(|found| found.id == id)
            .map(|found| EngineImage {
                id: found.id,
                tags: found.repo_tags,
                digests: found.repo_digests,
                size_bytes: found.size_bytes,
            }))
    }

    /// Removes what nobody needs, unless it is another thing by now.
    ///
    /// By its ID and without force: then Docker refuses what a container was made from or what has got a second tag,
    /// and a tag that has moved on to another image leaves that one alone.
    pub(super) async fn remove_unused(&self, image: &EngineImage) -> Result<(), EngineError> {
        let Some(_alone) = self.pulls.none_goes_on() else {
            return Err(EngineError::Failed("an image is being pulled".to_owned()));
        };
        match self.image_by_id(&image.id).await? {
            None => Ok(()),
            Some(now) if now == *image => self.daemon.remove_image(&image.id).await,
            Some(_) => Err(EngineError::Refused("its names have changed".to_owned())),
        }
    }

    /// The image on the engine that the task means by `image`.
    async fn look(&self, order: &Order, image: &str) -> Result<Option<Sought>, EngineError> {
        let pin = order.digests.get(image);
        let mut references = vec![image.to_owned()];
        if let Some(digest) = pin {
            // One that never was in a registry has no other digest than its ID.
            references.extend([with_digest(image, digest), digest.clone()]);
        }
        for reference in references {
            let Some(found) = self.daemon.inspect_image(&reference).await? else {
                continue;
            };
            if pin.is_some_and(|pin| !is(&found, pin)) {
                continue;
            }
            let digest = pin.cloned().unwrap_or_else(|| digest_of(&found, image));
            self.remember_digest(&found.id, &digest);
            return Ok(Some(Sought {
                state: ImageState::Present,
                found: Some(ImageObservation { digest, reference }),
            }));
        }
        Ok(None)
    }
}

/// What is to be pulled for the task, where it needs `image`.
pub(super) fn wanted(order: &Order, image: &str) -> String {
    match order.digests.get(image) {
        Some(digest) => with_digest(image, digest),
        None => image.to_owned(),
    }
}

/// Whether that is the digest of an image, or its ID.
fn is(found: &ImageInspect, digest: &str) -> bool {
    let of_repository = |one: &String| one.split_once('@').is_some_and(|(_, of)| of == digest);
    found.id == digest || found.repo_digests.iter().any(of_repository)
}

/// The digest that an image has in the repository of `image`, in any other, or else its ID.
fn digest_of(found: &ImageInspect, image: &str) -> String {
    let repository = repository(image);
    let digests = found
        .repo_digests
        .iter()
        .filter_map(|one| one.split_once('@'));
    let own = digests.clone().find(|(of, _)| *of == repository);
    own.or_else(|| digests.clone().next())
        .map_or_else(|| found.id.clone(), |(_, digest)| digest.to_owned())
}

fn with_digest(image: &str, digest: &str) -> String {
    format!("{}@{digest}", repository(image))
}

/// Without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[last..].find(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_the_digest_of_its_own_repository() {
        for (image, expected) in [
            ("redis", "redis"),
            ("redis:7", "redis"),
            ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
            ("x/y:1@sha256:00", "x/y"),
        ] {
            assert_eq!(repository(image), expected);
        }
        let found = ImageInspect {
            id: "sha256:id".to_owned(),
            repo_tags: Vec::new(),
            size_bytes: 0,
            repo_digests: vec!["other@sha256:01".to_owned(), "redis@sha256:02".to_owned()],
        };
        assert_eq!(digest_of(&found, "redis:7"), "sha256:02");
        assert_eq!(digest_of(&found, "unknown"), "sha256:01");
        assert!(is(&found, "sha256:01") && is(&found, "sha256:id") && !is(&found, "sha256:03"));
        assert_eq!(with_digest("redis:7", "sha256:02"), "redis@sha256:02");
    }
}
