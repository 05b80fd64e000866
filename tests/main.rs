//! The integration tests: one binary, a hermetic environment for each test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and says what it saw"
)]

mod harness;

mod backup;
mod bill;
mod bounds;
mod budget;
mod capacity;
mod chaos;
mod cli;
mod console;
mod cp;
mod daemon_real;
mod daemon_service;
mod doctor;
mod ecs;
mod ecs_keys;
mod engine_contract;
mod engine_restart;
mod exec;
mod faults;
mod health;
mod history;
mod house;
mod inside;
mod kill;
mod limits;
mod logs;
mod manners;
mod metadata;
mod metrics;
mod network;
mod openapi;
mod phases;
mod port_forward;
mod readme;
mod registry;
mod remote;
mod restarts;
mod rollout;
mod runtimes;
mod samples;
mod schedule;
mod secrets;
mod serve;
mod service;
mod storm;
mod terminal;
mod top;
mod upgrade;
mod usage;
mod volumes;
mod watching;
