//! Which images are removed because nobody needs them any more.
//!
//! Only those that Neargate brought to the engine itself are ever looked at: what the user pulled, built or loaded is
//! his. Of those, one stays that may be needed soon, that was used not long ago, or that somebody else has given a name.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{DurationMs, EngineImage, KeptImage, TimestampMs};

/// What is decided from.
#[derive(Clone, Copy, Debug)]
pub struct ImagesWorld<'a> {
    /// What is recorded of images that were brought here.
    pub recorded: &'a [KeptImage],
    /// Those of them that the engine has, by ID.
    pub seen: &'a BTreeMap<String, EngineImage>,
    /// What tasks that are not over run, and what live services may have to run: names of images as somebody wrote
    /// them, and the digests that they were found to mean.
    pub needed: &'a BTreeSet<String>,
    /// The same of tasks that are over, with the time of their end.
    pub used: &'a BTreeMap<String, TimestampMs>,
    /// For how long an image stays that nobody needs.
    pub unused_for: DurationMs,
    /// Now.
    pub now: TimestampMs,
}

/// What becomes of the images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagesPlan {
    /// To be removed, if the engine lets it happen.
    pub remove: Vec<EngineImage>,
    /// Stay for now: when each was used last.
    pub keep: BTreeMap<String, TimestampMs>,
}

/// Decides about the images that the engine has. Of one that it has not, nothing is said.
pub fn plan(world: ImagesWorld<'_>) -> ImagesPlan {
    let mut plan = ImagesPlan::default();
    for kept in world.recorded {
        let Some(image) = world.seen.get(&kept.image.id) else {
            continue;
        };
        let is_needed = world.needed.iter().any(|name| image.is_meant_by(name));
        if is_needed || !image.is_only(&kept.image.reference) {
            plan.keep.insert(image.id.clone(), world.now);
            continue;
        }
        let uses = world.used.iter();
        let last = uses
            .filter(|(name, _)| image.is_meant_by(name))
            .map(|(_, at)| *at)
            .fold(kept.last_used_at, TimestampMs::max);
        if world.now < last.plus(world.unused_for) {
            plan.keep.insert(image.id.clone(), last);
        } else {
            plan.remove.push(image.clone());
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PulledImage;

    const HOUR: i64 = 3_600_000;

    fn at(hours: i64) -> TimestampMs {
        TimestampMs::from_millis(hours * HOUR)
    }

    /// An image `app:TAG` that came at hour 0 and was used at hour 0 last.
    fn brought(tag: &str) -> (KeptImage, EngineImage) {
        let id = format!("sha256:00{tag}");
        let kept = KeptImage {
            image: PulledImage {
                id: id.clone(),
                reference: format!("app:{tag}"),
            },
            last_used_at: at(0),
        };
        let image = EngineImage {
            id,
            tags: vec![format!("app:{tag}")],
            digests: vec![format!("app@sha256:ff{tag}")],
            size_bytes: 1,
        };
        (kept, image)
    }

    /// What becomes of images at hour 10, where they stay for 5 hours: `-` for one that goes, else the hour that it was
    /// used last.
    fn check(
        images: &[(KeptImage, EngineImage)],
        needed: &[&str],
        used: &[(&str, i64)],
        expected: &str,
    ) {
        let recorded: Vec<KeptImage> = images.iter().map(|(kept, _)| kept.clone()).collect();
        let seen = images
            .iter()
            .map(|(_, image)| (image.id.clone(), image.clone()));
        let plan = plan(ImagesWorld {
            recorded: &recorded,
            seen: &seen.collect(),
            needed: &needed.iter().map(|&name| name.to_owned()).collect(),
            used: &used
                .iter()
                .map(|&(name, hour)| (name.to_owned(), at(hour)))
                .collect(),
            unused_for: DurationMs::from_secs(5 * 3_600),
            now: at(10),
        });
        let told: Vec<String> = recorded
            .iter()
            .map(|kept| match plan.keep.get(&kept.image.id) {
                Some(last) => (last.as_millis() / HOUR).to_string(),
                None if plan.remove.iter().any(|one| one.id == kept.image.id) => "-".to_owned(),
                None => "nothing".to_owned(),
            })
            .collect();
        assert_eq!(told.join(" "), expected);
    }

    #[test]
    fn what_nobody_needs_goes_when_it_is_old_enough() {
        let images = [brought("1"), brought("2"), brought("3")];
        check(&images, &[], &[], "- - -");
        check(&images, &["app:2"], &[], "- 10 -");
        check(&images, &[], &[("app:1", 4), ("app:2", 6)], "- 6 -");
        let mut young = brought("1");
        young.0.last_used_at = at(6);
        check(&[young], &[], &[], "6");
    }

    #[test]
    fn a_digest_that_a_tag_was_found_to_mean_counts_when_the_tag_has_moved_on() {
        let (kept, mut image) = brought("1");
        image.tags.clear();
        let moved = [(kept, image)];
        check(&moved, &["app:1"], &[], "-");
        check(&moved, &["app:1", "sha256:ff1"], &[], "10");
        check(&moved, &[], &[("sha256:ff1", 9)], "9");
    }

    #[test]
    fn what_somebody_has_given_a_name_of_his_own_stays() {
        let (kept, mut image) = brought("1");
        image.tags.push("mine:1".to_owned());
        check(&[(kept, image)], &[], &[], "10");
    }

    #[test]
    fn nothing_is_said_of_an_image_that_is_not_there() {
        let (kept, _) = brought("1");
        let (_, other) = brought("2");
        check(&[(kept, other)], &[], &[], "nothing");
    }

    #[test]
    fn a_clock_that_was_set_back_removes_nothing() {
        let (mut kept, image) = brought("1");
        kept.last_used_at = at(100);
        check(&[(kept, image)], &[], &[], "100");
    }
}
