//! What an error looks like: a problem document of RFC 9457, with a hint and the faults of a document.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Fault, Faults};

/// Why a request was not carried out (`application/problem+json`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Which kind of problem it is: a URI that never changes its meaning. Programs decide by it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words, the same for every problem of it.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, fact first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where it happened: the path of the request, or the ID under which the log has more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Everything that is wrong with the document that was sent, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemError {
    /// Where, as `containerDefinitions[1].portMappings[0].hostPort`; empty for the document as a whole.
    pub path: String,
    /// Line in the text that was sent, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column in that line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Fault> for ProblemError {
    fn from(fault: &Fault) -> Self {
        Self {
            path: fault.path.clone(),
            line: fault.position.map(|(line, _)| line),
            column: fault.position.map(|(_, column)| column),
            message: fault.message.clone(),
            hint: fault.hint.clone(),
        }
    }
}

impl ProblemError {
    /// Every fault of `faults`, in its order.
    pub fn list(faults: &Faults) -> Vec<Self> {
        faults.iter().map(Self::from).collect()
    }
}
