//! Whether the engine answers: written by whoever keeps the connection, read by everybody who tells people.

use tokio::sync::watch;

use super::EngineInfo;
use crate::domain::{Capacity, TimestampMs};

/// Whether the engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// It was not asked yet.
    Unknown,
    /// It does.
    Ok(EngineInfo),
    /// It does not. A normal state: everything waits, and goes on when it is back.
    Away {
        /// In one sentence.
        reason: String,
    },
}

/// The engine's state, and since when.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    sender: watch::Sender<(EngineState, TimestampMs)>,
    /// What the engine has to give, as it said last.
    capacity: watch::Sender<Option<Capacity>>,
    /// How many times the host's CPU may be reserved.
    cpu_overcommit: u32,
    /// Why containers cannot ask about themselves, where that is so.
    no_metadata: watch::Sender<Option<String>>,
}

impl EngineStatus {
    /// Not asked yet, at `now`.
    pub fn new(now: TimestampMs) -> Self {
        Self {
            sender: watch::channel((EngineState::Unknown, now)).0,
            capacity: watch::channel(None).0,
            cpu_overcommit: 1,
            no_metadata: watch::channel(None).0,
        }
    }

    /// The same, where the host's CPU may be reserved so many times. Memory is never given away twice.
    #[must_use]
    pub fn with_cpu_overcommit(self, times: u32) -> Self {
        Self {
            cpu_overcommit: times,
            ..self
        }
    }

    /// What the engine has to give, also while it is away; why that is not known otherwise.
    pub fn capacity(&self) -> Result<Capacity, String> {
        (*self.capacity.borrow()).ok_or_else(|| match &self.sender.borrow().0 {
            EngineState::Away { reason } => reason.clone(),
            EngineState::Unknown | EngineState::Ok(_) => {
                "the engine has not answered yet".to_owned()
            }
        })
    }

    /// Notes the state at `now`. True when that is news.
    pub fn set(&self, state: EngineState, now: TimestampMs) -> bool {
        if let EngineState::Ok(info) = &state {
            let units = u64::from(info.cpus) * 1_024;
            self.capacity.send_replace(Some(Capacity {
                cpu_units: units * u64::from(self.cpu_overcommit),
                memory_mib: info.memory_bytes / 1_048_576,
            }));
        }
        self.sender.send_if_modified(|current| {
            let same_kind = std::mem::discriminant(&current.0) == std::mem::discriminant(&state);
            if same_kind {
                current.0 = state;
            } else {
                *current = (state, now);
            }
            !same_kind
        })
    }

    /// The state, and since when.
    pub fn get(&self) -> (EngineState, TimestampMs) {
        self.sender.borrow().clone()
    }

    /// Notes that the metadata endpoint can be reached by containers, or why not. True when that is news.
    pub fn set_metadata(&self, why_not: Option<String>) -> bool {
        self.no_metadata.send_if_modified(|current| {
            let is_news = *current != why_not;
            *current = why_not;
            is_news
        })
    }

    /// Why the metadata endpoint cannot be reached by containers; `None` while nothing speaks against it.
    pub fn no_metadata(&self) -> Option<String> {
        self.no_metadata.borrow().clone()
    }

    /// Tells when the state changes.
    pub fn subscribe(&self) -> watch::Receiver<(EngineState, TimestampMs)> {
        self.sender.subscribe()
    }
}
