//! The integration tests: one binary, a hermetic environment for each test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod harness;

mod daemon_real;
mod engine_contract;
mod house;
