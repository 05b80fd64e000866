//! Why a request had no good answer.

use reqwest::Url;

use crate::cli::failure::what_to_do;
use crate::shapes::Problem;

/// Why a request had no good answer. The text is the fact; [`ClientError::hint`] is what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// Nobody is there.
    #[error("no Neargate answers at {endpoint}{}", because(reason))]
    NoAnswer {
        /// Where.
        endpoint: String,
        /// Why not, when it is more than that nobody listens.
        reason: String,
        /// Whether that is this machine.
        is_here: bool,
    },
    /// The connection broke.
    #[error("the connection to {endpoint} was lost{}", because(reason))]
    Lost {
        /// To where.
        endpoint: String,
        /// How.
        reason: String,
    },
    /// Somebody is there, and says nothing.
    #[error("{endpoint} did not answer within {seconds} s")]
    TooSlow {
        /// Where.
        endpoint: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The request was understood and not carried out.
    #[error("{}", .0.detail.as_ref().unwrap_or(&.0.title))]
    Refused(Box<Problem>),
    /// An error without a problem document: something stands in between.
    #[error("{endpoint} answered with HTTP status {status}")]
    Status {
        /// Where.
        endpoint: String,
        /// What it answered.
        status: u16,
    },
    /// Something answers that is not the API.
    #[error("what answers at {endpoint} is no Neargate that this program knows: {what}")]
    Foreign {
        /// Where.
        endpoint: String,
        /// How that showed.
        what: String,
    },
    /// The address makes no sense.
    #[error("`{endpoint}` is not the address of a Neargate: {rule}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What it must be.
        rule: &'static str,
    },
    /// Nothing can have this name.
    #[error("`{name}` is no name")]
    Name {
        /// As it was given.
        name: String,
    },
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

impl ClientError {
    /// Nobody could be connected to.
    pub(super) fn no_answer(endpoint: &Url, error: &reqwest::Error) -> Self {
        let reason = root_cause(error);
        // That a port is closed is what "no answer" usually means; there is nothing to add.
        let refused = reason.contains("refused");
        Self::NoAnswer {
            endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
            reason: if refused { String::new() } else { reason },
            is_here: super::is_loopback(endpoint),
        }
    }

    /// The connection broke.
    pub(super) fn lost(endpoint: &str, error: &reqwest::Error) -> Self {
        Self::Lost {
            endpoint: endpoint.to_owned(),
            reason: root_cause(error),
        }
    }

    /// The client itself cannot be made.
    pub(super) fn setup(endpoint: &Url, error: &reqwest::Error) -> Self {
        Self::Lost {
            endpoint: endpoint.to_string(),
            reason: root_cause(error),
        }
    }

    /// Whether the same request may be answered if it is made again later.
    pub(in crate::cli) fn retryable(&self) -> bool {
        match self {
            Self::NoAnswer { .. } | Self::Lost { .. } | Self::TooSlow { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            Self::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Foreign { .. } | Self::Endpoint { .. } | Self::Name { .. } => false,
        }
    }

    /// Whether nobody knows if the request was carried out.
    pub(in crate::cli) const fn is_unknown(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::TooSlow { .. })
    }

    /// Whether the thing that was asked for is not there.
    pub(in crate::cli) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.status == 404)
    }

    /// What to do about it.
    pub(in crate::cli) fn hint(&self) -> String {
        match self {
            Self::NoAnswer { is_here: true, .. } => "start one: neargate serve".to_owned(),
            Self::NoAnswer { .. } => {
                "is it running there? --endpoint or NEARGATE_ENDPOINT says where to look".to_owned()
            }
            Self::Lost { .. } | Self::TooSlow { .. } => "how it is: neargate status".to_owned(),
            Self::Refused(problem) => what_to_do(problem),
            Self::Status { .. } | Self::Foreign { .. } => {
                "is that the right address? --endpoint or NEARGATE_ENDPOINT says where to look"
                    .to_owned()
            }
            Self::Endpoint { .. } => format!("as in --endpoint {}", crate::cli::DEFAULT_ENDPOINT),
            Self::Name { .. } => {
                "what there is: neargate ps --all, neargate service ls, neargate definitions"
                    .to_owned()
            }
        }
    }
}

/// What lies at the bottom of `error`, where the reason is: the outer ones only say what was being done.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
