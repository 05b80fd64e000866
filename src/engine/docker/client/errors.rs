//! What a failed call means.
//!
//! The one place where bollard's errors and the daemon's sentences become an [`EngineError`]. The daemon's
//! status codes changed between versions and are not enough by themselves, so its words are read as well;
//! they have been stable for years. What is not known here is [`EngineError::Failed`]: trying again is
//! the mistake that does no harm. "Not there" is only said when the daemon itself said so: a 404 of a
//! proxy, or of a path that an old daemon does not know, is a failure.

use std::time::Duration;

use bollard::errors::Error;

use super::super::super::EngineError;

/// What is asked for. Each has a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Ask,
    Inspect,
    List,
    Create,
    Start,
    Signal,
    Rename,
    Remove,
    Discard,
    ReadLogs,
    ReadStats,
    Pull,
    Load,
    CreateNetwork,
    RemoveNetwork,
    Upload,
    CreateVolume,
    InspectVolume,
    Download,
    RemoveVolume,
    RemoveImage,
    Exec,
}

impl Verb {
    /// How long the daemon may take. A quiet one needs milliseconds; these are for one that starts many
    /// containers at once, when all of its answers become slow, lists most of all.
    ///
    /// For logs, which are streams, it is the longest silence.
    const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Inspect | Self::InspectVolume | Self::Signal | Self::Rename => 10,
            // `GET /info` counts all containers and images.
            Self::Ask | Self::List | Self::ReadLogs | Self::ReadStats => 20,
            Self::Create
            | Self::CreateNetwork
            | Self::RemoveNetwork
            | Self::Upload
            | Self::CreateVolume
            | Self::Download
            | Self::Exec
            // To begin with: the stream that follows has limits of its own.
            | Self::Pull
            | Self::RemoveVolume => 30,
            // Of a container with many files; of an image onto a slow disk.
            Self::Start | Self::Remove | Self::Discard | Self::RemoveImage | Self::Load => 60,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Inspect | Self::InspectVolume => "inspect",
            Self::List => "list",
            Self::Create | Self::CreateNetwork | Self::CreateVolume => "create",
            Self::Start => "start",
            Self::Signal => "signal",
            Self::Rename => "rename",
            Self::Remove
            | Self::Discard
            | Self::RemoveNetwork
            | Self::RemoveVolume
            | Self::RemoveImage => "remove",
            Self::Upload => "put files into",
            Self::Download => "take files out of",
            Self::Exec => "run a command in",
            Self::ReadLogs => "read the logs of",
            Self::ReadStats => "read the figures of",
            Self::Pull => "pull",
            Self::Load => "load",
        }
    }
}

/// One call: what is asked for, and of what.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) verb: Verb,
    /// `container web`, say.
    pub(super) subject: String,
    /// How long the daemon may take.
    pub(super) limit: Duration,
}

impl Call {
    pub(super) fn new(verb: Verb, subject: impl Into<String>) -> Self {
        Self {
            verb,
            subject: subject.into(),
            limit: verb.limit(),
        }
    }

    /// The error of a call that took too long.
    pub(super) fn timed_out(&self) -> EngineError {
        EngineError::Timeout {
            what: format!("{} {}", self.verb.as_str(), self.subject),
            limit_ms: u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The host is short of something, which may change.
const SHORTAGE: &[&str] = &[
    "no space left on device",
    "cannot allocate memory",
    "resource temporarily unavailable",
    "too many open files",
    "device or resource busy",
    "deadline exceeded",
];

/// Docker has given all of its address pools to networks.
const NO_SUBNET: &[&str] = &[
    "non-overlapping ipv4 address pool",
    "predefined address pools have been fully subscribed",
];

/// The network has given all of its addresses to containers.
const NO_ADDRESS: &str = "no available ipv4 addresses on this network";

/// The bridge has no port left for one more container.
const BRIDGE_FULL: &str = "exchange full";

/// A start that will go wrong every time: it is about the command, the image or the definition.
const UNSTARTABLE: &[&str] = &[
    "oci runtime",
    "executable file not found",
    "exec format error",
    "no such file or directory",
    "permission denied",
    "not a directory",
    "error mounting",
    "invalid mount",
    "unable to find user",
    "unable to find group",
    "cannot join network of a non running container",
    "port is already allocated",
    "address already in use",
];

/// A pull that went wrong on the way, not because of what was asked for.
const REGISTRY_AWAY: &[&str] = &[
    "no such host",
    "dial tcp",
    "connection refused",
    "connection reset",
    "i/o timeout",
    "tls handshake timeout",
    "client.timeout",
    "request canceled",
    "unexpected eof",
    ": eof",
    "server misbehaving",
    "failure in name resolution",
    "toomanyrequests",
    "too many requests",
    "500 internal server error",
    "502 bad gateway",
    "503 service unavailable",
    "504 gateway",
];

/// A pull that the registry has answered with no.
const REGISTRY_SAYS_NO: &[&str] = &[
    "denied",
    "unauthorized",
    "not found",
    "manifest unknown",
    "no matching manifest",
];

/// What the error of a call means.
pub(super) fn engine_error(call: &Call, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => answered(call, status_code, &message),
        // The head of the answer said 200, so there is no status to read.
        Error::DockerStreamError { error } => answered(call, 400, &error),
        Error::RequestTimeoutError => call.timed_out(),
        Error::SocketNotFoundError(_) => EngineError::Away("no such socket".to_owned()),
        Error::HyperLegacyError { .. }
        | Error::HyperResponseError { .. }
        | Error::IOError { .. } => away(&innermost(&error)),
        Error::CertPathError { .. }
        | Error::CertParseError { .. }
        | Error::CertMultipleKeys { .. }
        | Error::NoNativeCertsError { .. }
        | Error::LoadNativeCertsErrors { .. }
        | Error::URLParseError { .. }
        | Error::InvalidURIError { .. }
        | Error::InvalidURIPartsError { .. }
        | Error::HttpClientError { .. } => EngineError::Refused(tidy(&error.to_string())),
        _ => EngineError::Failed(format!(
            "an answer about {} could not be read: {}",
            call.subject,
            tidy(&innermost(&error))
        )),
    }
}

fn away(why: &str) -> EngineError {
    let why = tidy(why);
    EngineError::Away(if why.contains("Permission denied") {
        format!("{why}; hint: run as root or as a member of the group docker")
    } else {
        why
    })
}

/// What an answer means that is not a success.
fn answered(call: &Call, status: u16, message: &str) -> EngineError {
    let lower = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let text = tidy(message);
    if says(NO_SUBNET) {
        return EngineError::Refused(format!(
            "the engine has no subnet left for a network; hint: docker network prune, \
             or more default-address-pools in its daemon.json ({text})"
        ));
    }
    if says(&[BRIDGE_FULL]) {
        return EngineError::Failed(format!(
            "the cluster's network has no port left for one more task: a bridge of Linux has 1,023; hint: stop \
             tasks, or run in another cluster ({text})"
        ));
    }
    if says(&[NO_ADDRESS]) {
        return EngineError::Failed(format!(
            "the cluster's network has no address left for one more task; hint: stop tasks, or run in another \
             cluster ({text})"
        ));
    }
    if says(SHORTAGE) {
        return EngineError::Failed(text);
    }
    match (call.verb, status) {
        (Verb::Pull, _) if says(REGISTRY_AWAY) => EngineError::Failed(text),
        // `remove x: volume is in use - [0123…]`, `A volume named x already exists with another driver`
        // `conflict: unable to delete 0123… (must be forced) - image is being used by stopped container 4567…`
        (Verb::Pull, 400..=499)
        | (Verb::CreateVolume | Verb::RemoveVolume | Verb::RemoveImage, 409) => {
            EngineError::Refused(text)
        }
        // `get x: no such volume`
        (Verb::InspectVolume, 404) if says(&["no such volume"]) => {
            EngineError::NotFound(call.subject.clone())
        }
        (Verb::Pull, _) if says(REGISTRY_SAYS_NO) => EngineError::Refused(text),
        (Verb::Start, _) if says(UNSTARTABLE) => EngineError::Refused(text),
        // `You cannot remove a running container`, `container is paused and must be unpaused`
        (Verb::Discard, 409) if says(&["running", "paused"]) => EngineError::Refused(text),
        // `Could not find the file /x in container 0123…`
        (Verb::Download | Verb::Upload, 404) if says(&["could not find the file"]) => {
            EngineError::NotFound(text)
        }
        (_, 404) => match missing(call, &text) {
            Some(what) => EngineError::NotFound(what),
            None => EngineError::Failed(text),
        },
        (Verb::Create | Verb::Rename, 409) if says(&["already in use"]) => {
            EngineError::NameTaken(text)
        }
        // The daemon was replaced by another version since it was asked for its own.
        (_, 400) if says(&["client version"]) => EngineError::Failed(text),
        // `can not get logs from container which is dead or marked for removal`
        // `Container 0123… is not running`, `is paused, unpause the container before exec`
        (_, 400 | 401 | 403 | 501) | (Verb::ReadLogs | Verb::Exec, 409) => {
            EngineError::Refused(text)
        }
        _ => EngineError::Failed(text),
    }
}

/// What is not there, if the daemon says so.
fn missing(call: &Call, text: &str) -> Option<String> {
    if let Some(what) = text.strip_prefix("No such ") {
        return Some(what.replacen(": ", " ", 1));
    }
    match text.strip_suffix(" not found") {
        Some("page" | "404 page") => None,
        Some(what) => Some(what.to_owned()),
        None if text.contains("No such ") => Some(call.subject.clone()),
        None => None,
    }
}

/// Whether a call failed because things already are as it would have made them.
pub(super) fn is_settled(call: &Call, error: &Error) -> bool {
    let Error::DockerResponseServerError {
        status_code,
        message,
    } = error
    else {
        return false;
    };
    let gone = *status_code == 404 && missing(call, &tidy(message)).is_some();
    match call.verb {
        Verb::Signal => gone || message.contains("is not running"),
        Verb::Remove | Verb::Discard => gone || message.contains("already in progress"),
        // `get x: no such volume`
        Verb::RemoveVolume => *status_code == 404 && message.contains("no such volume"),
        Verb::RemoveNetwork | Verb::RemoveImage => gone,
        Verb::CreateNetwork => *status_code == 409 && message.contains("already exists"),
        Verb::Rename => message.contains("same name as its current name"),
        _ => false,
    }
}

/// The error that all others stand for: `Connection refused (os error 111)`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Which parts of the daemon the message went through says nothing to the user.
const LAYERS: &[&str] = &[
    "Error response from daemon: ",
    "failed to create task for container: ",
    "failed to create shim task: ",
    "failed to create shim: ",
    "OCI runtime create failed: ",
    "runc create failed: ",
    "starting container process caused: ",
    "container init caused: ",
    "unable to start container process: ",
    "error during container init: ",
];

/// The longest text that is kept of the daemon's.
const TEXT_LIMIT_BYTES: usize = 1_000;

/// The daemon's sentence without the layers that it came through, on one line, without anything that a
/// terminal could take for a command (it may quote what a user wrote), and not without end.
fn tidy(message: &str) -> String {
    let flat: String = message
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut text = flat.as_str();
    while let Some(rest) = LAYERS
        .iter()
        .find_map(|layer| text.strip_prefix(layer))
        .or_else(|| source_line(text))
    {
        text = rest;
    }
    let text = text.strip_suffix(": unknown").unwrap_or(text);
    text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)].to_owned()
}

/// What follows a place in runc's source: `container_linux.go:380: `.
fn source_line(text: &str) -> Option<&str> {
    let (place, rest) = text.split_once(": ")?;
    let (file, line) = place.split_once(".go:")?;
    let is_place = !file.contains(' ') && line.bytes().all(|b| b.is_ascii_digit());
    is_place.then_some(rest)
}

#[cfg(test)]
mod tests;
