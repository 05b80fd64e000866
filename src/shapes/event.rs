//! Events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Counts up from 1 without holes; the `id` of the live stream.
    pub seq: u64,
    /// When it happened.
    #[schema(format = DateTime)]
    pub at: String,
    /// What kind of thing happened: `TaskStateChange`, say.
    pub kind: String,
    /// The cluster that it happened in, if it did in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What it is about: a task ID, `family:revision`, a cluster's name, or `neargate`.
    pub subject: String,
    /// For a change of state, the new state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// One sentence for people.
    pub message: String,
}

impl From<&domain::Event> for Event {
    fn from(domain::Event { seq, event }: &domain::Event) -> Self {
        Self {
            seq: *seq,
            at: event.at.to_string(),
            kind: event.kind.to_string(),
            cluster: event.cluster.clone(),
            subject: event.subject.clone(),
            status: event.status.clone(),
            message: event.message.clone(),
        }
    }
}
