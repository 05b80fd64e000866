//! Images on the engine, and what their names mean.

use super::TimestampMs;

/// An image that Neargate brought to the engine: it was not there before Neargate pulled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledImage {
    /// `sha256:…`.
    pub id: String,
    /// By which name.
    pub reference: String,
}

/// The same, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// Which.
    pub image: PulledImage,
    /// When anything was last known to need it; at first, when it came.
    pub last_used_at: TimestampMs,
}

/// An image as the engine has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineImage {
    /// `sha256:…`.
    pub id: String,
    /// `repository:tag`.
    pub tags: Vec<String>,
    /// `repository@sha256:…`.
    pub digests: Vec<String>,
    /// With the layers that it shares with others, in bytes.
    pub size_bytes: u64,
}

/// What the name of an image says, however it is written: `redis`, `redis:latest` and
/// `docker.io/library/redis:latest` say the same.
///
/// Source: distribution/reference, `normalize.go`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// With its registry, unless that is Docker Hub.
    pub repository: String,
    /// `latest` where none is written; means nothing beside a digest.
    pub tag: String,
    /// `sha256:…`.
    pub digest: Option<String>,
}

impl ImageName {
    /// What `name` says, which must be one.
    pub fn of(name: &str) -> Self {
        let (name, digest) = match name.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (name, None),
        };
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (name, "latest"),
        };
        let hub = ["docker.io/", "index.docker.io/"];
        let path = hub.iter().find_map(|host| name.strip_prefix(host));
        let path = path.unwrap_or(name);
        Self {
            repository: path.strip_prefix("library/").unwrap_or(path).to_owned(),
            tag: tag.to_owned(),
            digest,
        }
    }
}

impl EngineImage {
    /// Whether somebody who writes `name` may mean this image. `name` may also be the digest that a tag was found to
    /// mean, or the ID of an image or the beginning of one. In doubt, yes.
    pub fn is_meant_by(&self, name: &str) -> bool {
        let bare = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex && self.id.starts_with(&format!("sha256:{bare}")) {
            return true;
        }
        let has_digest = |wanted: &str| {
            let own = self.digests.iter().filter_map(|one| one.split_once('@'));
            self.id == wanted || own.into_iter().any(|(_, digest)| digest == wanted)
        };
        if is_hex && has_digest(name) {
            return true;
        }
        let wanted = ImageName::of(name);
        match &wanted.digest {
            Some(digest) => has_digest(digest),
            None => self.tags.iter().any(|tag| ImageName::of(tag) == wanted),
        }
    }

    /// Whether it has no other name than those that a pull of `reference` gives.
    pub fn is_only(&self, reference: &str) -> bool {
        let own = ImageName::of(reference);
        let is_own_tag = |tag: &String| own.digest.is_none() && ImageName::of(tag) == own;
        let is_own_digest = |one: &String| ImageName::of(one).repository == own.repository;
        self.tags.iter().all(is_own_tag) && self.digests.iter().all(is_own_digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], digests: &[&str]) -> EngineImage {
        let owned = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect();
        EngineImage {
            id: "sha256:00ab".to_owned(),
            tags: owned(tags),
            digests: owned(digests),
            size_bytes: 1,
        }
    }

    #[test]
    fn a_name_may_be_written_in_several_ways() {
        let redis = image(&["redis:latest"], &["redis@sha256:02"]);
        for name in [
            "redis",
            "redis:latest",
            "library/redis",
            "docker.io/library/redis:latest",
            "index.docker.io/redis",
            "redis@sha256:02",
            "redis:7@sha256:02",
            "sha256:02",
            "sha256:00ab",
            "00a",
        ] {
            assert!(redis.is_meant_by(name), "{name}");
        }
        for name in ["redis:7", "other", "ghcr.io/redis", "redis@sha256:03", "0b"] {
            assert!(!redis.is_meant_by(name), "{name}");
        }
        let own = image(&["127.0.0.1:5000/a/b:1"], &[]);
        assert!(own.is_meant_by("127.0.0.1:5000/a/b:1"));
        assert!(!own.is_meant_by("127.0.0.1:5000/a/b") && !own.is_meant_by("a/b:1"));
    }

    #[test]
    fn a_name_that_somebody_else_gave_to_it_shows() {
        let (tag, digest) = ("redis:7", "redis@sha256:02");
        assert!(image(&[tag], &[digest]).is_only("docker.io/library/redis:7"));
        assert!(
            image(&[], &[digest]).is_only("redis:7"),
            "the tag has moved on"
        );
        assert!(image(&[], &[digest]).is_only(digest));
        assert!(!image(&[tag], &[digest]).is_only(digest));
        assert!(!image(&[tag, "mine:1"], &[digest]).is_only(tag));
        assert!(!image(&["mine:1"], &[]).is_only(tag));
        assert!(!image(&[tag], &[digest, "mine@sha256:02"]).is_only(tag));
    }
}
