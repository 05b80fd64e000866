//! The limits of the API.

use std::time::Duration;

/// How much of each resource callers can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a request may take until its answer begins. What is streamed after that may last.
    pub request_time: Duration,
    /// How long a connection may take to send the head of its next request.
    pub header_time: Duration,
    /// Connections at the same time; further ones wait to be accepted.
    pub connections: usize,
    /// Requests in work at the same time; further ones are refused.
    pub requests: usize,
    /// Answers that are being streamed at the same time; further ones are refused.
    pub streams: usize,
    /// Commands in containers, and the like, at the same time; further ones are refused.
    pub sessions: usize,
    /// Items on a page when the caller does not say.
    pub page_default: u32,
    /// The most items on a page.
    pub page_max: u32,
    /// How long requests may take to end after the server was told to stop.
    pub drain_time: Duration,
}

impl Default for ApiLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1_048_576,
            request_time: Duration::from_secs(30),
            header_time: Duration::from_secs(30),
            connections: 2_048,
            requests: 1_024,
            streams: 256,
            sessions: 64,
            page_default: 100,
            page_max: 1_000,
            drain_time: Duration::from_secs(10),
        }
    }
}
