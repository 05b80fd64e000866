//! The server about itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the process is alive (`/healthz`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`.
    pub status: String,
}

/// Whether work gets done (`/readyz`): the status is 200 when `ready`, 503 otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether requests are accepted and tasks make progress.
    pub ready: bool,
    /// What runs the containers.
    pub engine: EngineStatus,
    /// `ok`, or why nothing can be recorded.
    pub store: String,
    /// Why tasks cannot ask about themselves, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_metadata: Option<String>,
    /// Which Neargate this is.
    pub version: Version,
}

/// How the engine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineStatus {
    /// `docker` or `sim`.
    pub kind: String,
    /// Its version, once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of its API, as negotiated, once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Of its host: another one after each start of it. Absent where nobody can tell, because the host is not
    /// this machine: then the exit codes that the engine makes up after a restart of the host are believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Whether it answers.
    pub state: EngineState,
    /// Why not, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub since: Option<String>,
}

/// Whether the engine answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineState {
    /// It answers.
    Ok,
    /// It does not; tasks wait until it does.
    Away,
    /// It was not asked yet.
    #[default]
    Unknown,
}

/// Which Neargate this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// The version of Neargate.
    pub version: String,
    /// Tells this Neargate's objects on an engine from another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// The process, so that it can be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
}
