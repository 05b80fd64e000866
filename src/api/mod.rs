//! The API: what listens, and what answers.
//!
//! Everything that can be asked of Neargate is asked through here, by the command line as well. A front
//! (`rest`, and `ecs` within the same layers) turns what travels into domain types, calls one use case of `control`, and turns
//! the result back. It decides nothing, reads no store and asks no engine. What tasks may ask about themselves
//! is a front apart ([`metadata`]), with listeners of its own.
//!
//! Secure as it comes: on loopback it needs no token, but it answers only to names that are its own, so that
//! a web page cannot reach it by DNS rebinding; beyond loopback it does not listen without a token
//! ([`check_listen`]). Every resource that a caller can take has a limit ([`ApiLimits`]).

mod auth;
mod ecs;
mod limits;
mod listener;
pub mod metadata;
mod pages;
mod rest;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use auth::{ApiToken, Auth, Hosts, ListenRefused, WeakToken, check_listen};
pub use limits::ApiLimits;
pub use listener::{Peer, serve};
pub use pages::{ASSETS_PATH, Pages, ProblemPage, SIGN_IN_PATH};
pub(crate) use rest::{ApiError, Kind, failed, order, read_body};
pub use sign_in::{SignInRefused, SignIns, cookie};

use crate::control::Control;
use crate::domain::{IdSource, TimestampMs};

#[cfg(test)]
pub(crate) use rest::tests as testing;

/// What the API works with.
#[derive(Clone)]
pub struct ApiState {
    /// The use cases.
    pub control: Control,
    /// Who may call, and by which names.
    pub auth: Auth,
    /// The limits.
    pub limits: ApiLimits,
    /// Where the identifiers of requests come from.
    pub ids: Arc<dyn IdSource>,
    /// `docker` or `sim`: the engine that was chosen, also while it does not answer.
    pub engine_kind: String,
    /// When the server was started.
    pub started_at: TimestampMs,
    /// Ends the answers that would never end by themselves. The same token as that of [`serve`].
    pub stop: CancellationToken,
    /// Every session that goes on over a connection which is no HTTP any more: who stops the server waits for them.
    pub sessions: TaskTracker,
}

/// Everything that the API answers to; with `pages`, also the pages for people.
pub fn router(state: ApiState, pages: Option<Pages>) -> Router {
    rest::router(state, pages)
}
