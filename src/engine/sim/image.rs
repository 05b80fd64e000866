//! Images: their names, what a simulated registry says to a pull, and what the daemon has.
//!
//! Nothing is ever fetched from anywhere. Which names can be pulled, and how slowly, is decided by the name
//! alone (the conventions stand in the comment of [`super`]); identifiers and sizes come from a hash of it,
//! so that the same name is the same image in every run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::workload;
use crate::engine::docker::daemon::ImageInspect;

/// Entries of a tar that are read are small: a manifest and a configuration.
const LONGEST_DOCUMENT_BYTES: u64 = 1024 * 1024;

/// `[registry/]repository[:tag][@digest]`, in the daemon's reading of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageName {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageName {
    /// `None` when it is not the name of an image.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) if digest.starts_with("sha256:") => {
                (rest, Some(digest.to_owned()))
            }
            Some(_) => return None,
            None => (name, None),
        };
        let (registry, path) = match rest.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), path)
            }
            _ => (None, rest),
        };
        let (repository, tag) = match path.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let well_formed = !repository.is_empty()
            && repository.bytes().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'/' | b'.' | b'_' | b'-')
            })
            && tag.as_deref() != Some("");
        if !well_formed {
            return None;
        }
        let registry = registry.filter(|host| host != "docker.io");
        let repository = match &registry {
            None => repository.strip_prefix("library/").unwrap_or(repository),
            Some(_) => repository,
        };
        Some(Self {
            registry,
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }

    /// Registry and repository.
    pub(crate) fn familiar(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The repository without registry.
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The same for every way of writing the same image.
    pub(crate) fn canonical(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.familiar()),
            (None, Some(tag)) => format!("{}:{tag}", self.familiar()),
            (None, None) => format!("{}:latest", self.familiar()),
        }
    }
}

/// What a registry says to a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RegistryAnswer {
    /// There is no such image, or not for us; asking again would not help.
    Refuses(String),
    /// It could not be asked; asking again may help.
    Fails(String),
    /// It comes, layer by layer.
    Layers(Layers),
}

/// How an image comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layers {
    /// Bytes of each.
    pub(crate) bytes: Vec<u64>,
    /// So many times slower than usual.
    pub(crate) slowness: u64,
    /// Nothing ever comes.
    pub(crate) stalled: bool,
    /// The connection breaks after the first layer.
    pub(crate) breaks: bool,
}

/// What the simulated registry of `name` says.
pub(crate) fn ask_registry(name: &ImageName) -> RegistryAnswer {
    let reference = name.canonical();
    if name.registry.as_deref() == Some("localhost:1") {
        return RegistryAnswer::Fails(
            "Get \"http://localhost:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused"
                .to_owned(),
        );
    }
    let folder = name
        .repository
        .split_once('/')
        .map_or("", |(folder, _)| folder);
    if folder == "missing" || name.tag.as_deref() == Some("missing") {
        return RegistryAnswer::Refuses(format!(
            "manifest for {reference} not found: manifest unknown: manifest unknown"
        ));
    }
    match folder {
        "denied" => RegistryAnswer::Refuses(format!(
            "pull access denied for {}, repository does not exist or may require 'docker login': \
             denied: requested access to the resource is denied",
            name.familiar()
        )),
        "limited" => RegistryAnswer::Fails(
            "toomanyrequests: You have reached your pull rate limit. You may increase the limit by \
             authenticating and upgrading: https://www.docker.com/increase-rate-limit"
                .to_owned(),
        ),
        _ => RegistryAnswer::Layers(Layers {
            bytes: layer_bytes(&reference),
            slowness: if folder == "slow" { 10 } else { 1 },
            stalled: folder == "stalled",
            breaks: folder == "broken",
        }),
    }
}

/// From 1 to 5 layers of 1 to 32 MiB.
fn layer_bytes(reference: &str) -> Vec<u64> {
    let hash = Sha256::digest(format!("layers of {reference}"));
    let count = usize::from(hash[0] % 5) + 1;
    hash.iter()
        .skip(1)
        .take(count)
        .map(|byte| (u64::from(byte % 32) + 1) * 1024 * 1024)
        .collect()
}

/// 64 hexadecimal digits that stand for `text`.
pub(crate) fn hex_digest(text: impl AsRef<[u8]>) -> String {
    Sha256::digest(text)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// An image that the daemon has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// `sha256:…`.
    pub(crate) id: String,
    /// Without registry and tag.
    pub(crate) repository: String,
    /// `repository@sha256:…`; none when it was loaded.
    pub(crate) repo_digests: Vec<String>,
    /// What it runs.
    pub(crate) entrypoint: Vec<String>,
    /// The arguments of that.
    pub(crate) cmd: Vec<String>,
    /// Its own environment.
    pub(crate) env: Vec<String>,
    /// What asks it to stop.
    pub(crate) stop_signal: String,
    /// Of its layers.
    pub(crate) size_bytes: u64,
}

impl Image {
    /// What a pull of `name` brings.
    pub(crate) fn pulled(name: &ImageName) -> Self {
        let reference = name.canonical();
        let digest = name.digest.clone().unwrap_or_else(|| {
            format!("sha256:{}", hex_digest(format!("manifest of {reference}")))
        });
        let is_workload = workload::is_workload(name.repository());
        let argument =
            |wanted: bool, word: &str| wanted.then(|| word.to_owned()).into_iter().collect();
        Self {
            id: format!("sha256:{}", hex_digest(format!("image of {digest}"))),
            repository: name.repository().to_owned(),
            repo_digests: vec![format!("{}@{digest}", name.familiar())],
            entrypoint: argument(is_workload, workload::EXECUTABLE),
            cmd: argument(!is_workload, "/run"),
            env: Vec::new(),
            stop_signal: "SIGTERM".to_owned(),
            size_bytes: layer_bytes(&reference).iter().sum(),
        }
    }
}

/// The images that the daemon has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images {
    by_id: BTreeMap<String, Image>,
    /// Canonical names.
    ids: BTreeMap<String, String>,
}

impl Images {
    /// The image of that name or ID.
    pub(crate) fn find(&self, name: &str) -> Option<&Image> {
        if let Some(image) = self.by_id.get(name) {
            return Some(image);
        }
        let canonical = ImageName::parse(name)?.canonical();
        self.by_id.get(self.ids.get(&canonical)?)
    }

    /// What an inspection of that name or ID says.
    pub(crate) fn inspect(&self, name: &str) -> Option<ImageInspect> {
        self.find(name).map(|image| ImageInspect {
            id: image.id.clone(),
            repo_tags: self.tags(&image.id).cloned().collect(),
            repo_digests: image.repo_digests.clone(),
            size_bytes: image.size_bytes,
        })
    }

    /// The IDs of all.
    pub(crate) fn all(&self) -> BTreeSet<String> {
        self.by_id.keys().cloned().collect()
    }

    /// The tags that stand for an ID.
    fn tags<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a String> {
        self.ids
            .iter()
            .filter(move |(name, of)| *of == id && !name.contains('@'))
            .map(|(name, _)| name)
    }

    /// Removes an image by its ID, with its names; why not, if it has more than one tag. Nothing if it is not there.
    pub(crate) fn delete(&mut self, id: &str) -> Result<(), String> {
        if self.tags(id).count() > 1 {
            return Err(format!(
                "conflict: unable to delete {id} (must be forced) - image is referenced in multiple repositories"
            ));
        }
        self.ids.retain(|_, of| of != id);
        self.by_id.remove(id);
        Ok(())
    }

    /// Has `image`, from now on, under `name`.
    pub(crate) fn add(&mut self, name: &ImageName, image: Image) {
        self.ids.insert(name.canonical(), image.id.clone());
        self.by_id.insert(image.id.clone(), image);
    }

    /// Forgets a name, and the image if it was its last one.
    pub(crate) fn remove(&mut self, name: &ImageName) -> bool {
        let Some(id) = self.ids.remove(&name.canonical()) else {
            return false;
        };
        if !self.ids.values().any(|other| *other == id) {
            self.by_id.remove(&id);
        }
        true
    }

    /// Every name, with the ID that it stands for.
    pub(crate) fn names(&self) -> &BTreeMap<String, String> {
        &self.ids
    }

    /// Takes the images of a tar as `docker save` makes it.
    pub(crate) fn load(&mut self, tar: &[u8]) -> Result<(), String> {
        for (name, image) in read_tar(tar)? {
            self.add(&name, image);
        }
        Ok(())
    }
}

fn read_tar(tar: &[u8]) -> Result<Vec<(ImageName, Image)>, String> {
    let documents =
        read_documents(tar).map_err(|error| format!("Error processing tar file: {error}"))?;
    let manifest = documents
        .get("manifest.json")
        .ok_or("open manifest.json: no such file or directory")?;
    let manifest: serde_json::Value =
        serde_json::from_slice(manifest).map_err(|e| e.to_string())?;
    let mut loaded = Vec::new();
    for entry in manifest.as_array().into_iter().flatten() {
        let config_path = entry["Config"].as_str().unwrap_or_default();
        let config = documents
            .get(config_path)
            .ok_or_else(|| format!("open {config_path}: no such file or directory"))?;
        for tag in words(&entry["RepoTags"]) {
            let name = ImageName::parse(&tag).ok_or("invalid reference format")?;
            let image = from_config(&name, config)?;
            loaded.push((name, image));
        }
    }
    Ok(loaded)
}

fn from_config(name: &ImageName, config: &[u8]) -> Result<Image, String> {
    let document: serde_json::Value = serde_json::from_slice(config).map_err(|e| e.to_string())?;
    let settings = &document["config"];
    Ok(Image {
        id: format!("sha256:{}", hex_digest(config)),
        repository: name.repository().to_owned(),
        repo_digests: Vec::new(),
        entrypoint: words(&settings["Entrypoint"]),
        cmd: words(&settings["Cmd"]),
        env: words(&settings["Env"]),
        stop_signal: settings["StopSignal"]
            .as_str()
            .unwrap_or("SIGTERM")
            .to_owned(),
        size_bytes: 0,
    })
}

fn read_documents(tar: &[u8]) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut documents = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if entry.size() <= LONGEST_DOCUMENT_BYTES {
            let mut bytes = Vec::new();
            entry.take(LONGEST_DOCUMENT_BYTES).read_to_end(&mut bytes)?;
            documents.insert(path, bytes);
        }
    }
    Ok(documents)
}

fn words(value: &serde_json::Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}
