//! What the daemon is asked to change, as data, and what it answers.
//!
//! As data, because a request whose caller has given up may still be carried out later.

use bytes::Bytes;

use super::Model;
use crate::domain::TimestampMs;
use crate::engine::EngineError;
use crate::engine::docker::daemon::{ContainerSpec, NetworkSpec, VolumeSpec};
use crate::engine::sim::faults::{CallKind, Trouble};

/// Something that the daemon is asked to change.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Create(Box<ContainerSpec>),
    Start(String),
    Signal {
        id: String,
        signal: String,
    },
    Rename {
        id: String,
        name: String,
    },
    Remove(String),
    Discard(String),
    Load(Bytes),
    EnsureNetwork(NetworkSpec),
    RemoveNetwork(String),
    Upload {
        id: String,
        folder: String,
        tar: Bytes,
    },
    EnsureVolume(VolumeSpec),
    RemoveVolume(String),
    RemoveImage(String),
}

impl Request {
    /// Which call it is.
    pub(crate) fn kind(&self) -> CallKind {
        match self {
            Self::Create(_) => CallKind::Create,
            Self::Start(_) => CallKind::Start,
            Self::Signal { .. } => CallKind::Signal,
            Self::Rename { .. } => CallKind::Rename,
            Self::Remove(_) => CallKind::Remove,
            Self::Discard(_) => CallKind::Discard,
            Self::Load(_) => CallKind::Load,
            Self::EnsureNetwork(_) => CallKind::EnsureNetwork,
            Self::RemoveNetwork(_) => CallKind::RemoveNetwork,
            Self::Upload { .. } => CallKind::Upload,
            Self::EnsureVolume(_) => CallKind::EnsureVolume,
            Self::RemoveVolume(_) => CallKind::RemoveVolume,
            Self::RemoveImage(_) => CallKind::RemoveImage,
        }
    }

    /// What it is about, as it was written.
    pub(crate) fn subject(&self) -> String {
        match self {
            Self::Create(spec) => spec.name.clone(),
            Self::Start(id)
            | Self::Remove(id)
            | Self::Discard(id)
            | Self::Signal { id, .. }
            | Self::Rename { id, .. }
            | Self::Upload { id, .. } => id.clone(),
            Self::Load(_) => String::new(),
            Self::EnsureNetwork(spec) => spec.name.clone(),
            Self::EnsureVolume(spec) => spec.name.clone(),
            Self::RemoveNetwork(name) | Self::RemoveVolume(name) | Self::RemoveImage(name) => {
                name.clone()
            }
        }
    }
}

/// What comes of a request that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// A container of this ID was created.
    Created(String),
    /// It is done at that time.
    DoneAt(TimestampMs),
}

/// Why a request is not granted, in the daemon's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 404: nothing is changed, because this is not there.
    NotFound(String),
    /// 409, from a creation or a renaming: the name belongs to something else.
    NameInUse(String),
    /// 409: not in this state.
    Conflict(String),
    /// 400 or 403, or 500 with words that say it would go wrong again: not like this.
    Invalid(String),
    /// 500: it went wrong.
    Failed(String),
}

impl Refusal {
    /// What it says.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::NotFound(text)
            | Self::NameInUse(text)
            | Self::Conflict(text)
            | Self::Invalid(text)
            | Self::Failed(text) => text,
        }
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(what) => Self::NotFound(what),
            Refusal::NameInUse(message) => Self::NameTaken(message),
            Refusal::Conflict(message) | Refusal::Invalid(message) => Self::Refused(message),
            Refusal::Failed(message) => Self::Failed(message),
        }
    }
}

impl Model {
    /// Carries out a request, at once.
    pub(crate) fn handle(&mut self, request: Request) -> Result<Answer, Refusal> {
        if self.outage.is_some() {
            return Err(Refusal::Failed("the daemon is not there".to_owned()));
        }
        match request {
            Request::Create(spec) => self.create(*spec).map(Answer::Created),
            Request::Start(id) => self.start(&id).map(|()| Answer::Done),
            Request::Signal { id, signal } => self.signal(&id, &signal).map(|()| Answer::Done),
            Request::Rename { id, name } => self.rename(&id, &name).map(|()| Answer::Done),
            Request::Remove(id) => self.remove(&id),
            Request::Discard(id) => self.discard(&id),
            Request::Load(tar) => self.load(&tar).map(|()| Answer::Done),
            Request::EnsureNetwork(spec) => self.ensure_network(spec).map(|_| Answer::Done),
            Request::RemoveNetwork(name) => self.remove_network(&name).map(|()| Answer::Done),
            Request::Upload { id, folder, tar } => {
                self.upload(&id, &folder, &tar).map(|()| Answer::Done)
            }
            Request::EnsureVolume(spec) => self.make_volume(&spec).map(|_| Answer::Done),
            Request::RemoveVolume(name) => self.remove_volume(&name).map(|()| Answer::Done),
            Request::RemoveImage(id) => self.remove_image(&id).map(|()| Answer::Done),
        }
    }

    /// Carries out a request some time from now, whoever waits for it by then.
    pub(crate) fn handle_later(&mut self, request: Request, after_ms: u32) {
        self.schedule(after_ms.into(), super::Timer::Late(Box::new(request)));
    }

    fn load(&mut self, tar: &[u8]) -> Result<(), Refusal> {
        self.disk_has_room("write /var/lib/docker/tmp/docker-import")?;
        self.images.load(tar).map_err(Refusal::Failed)
    }

    /// Removing what is not there succeeds.
    fn remove_image(&mut self, id: &str) -> Result<(), Refusal> {
        let user = self.containers.values().find(|one| one.is_made_from(id));
        if let Some(user) = user {
            return Err(Refusal::Conflict(format!(
                "conflict: unable to delete {id} (must be forced) - image is being used by container {}",
                user.id()
            )));
        }
        self.images.delete(id).map_err(Refusal::Conflict)
    }

    pub(super) fn disk_has_room(&self, doing: &str) -> Result<(), Refusal> {
        if self.faults.is_on(Trouble::DiskFull) {
            return Err(Refusal::Failed(format!("{doing}: no space left on device")));
        }
        Ok(())
    }
}
