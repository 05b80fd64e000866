//! Neargate: your own Fargate. See `ARCHITECTURE.md` for the map of the rooms.

pub mod api;
pub mod bell;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod domain;
pub mod engine;
pub mod meter;
pub mod plan;
pub mod reconcile;
pub mod serve;
pub mod shapes;
pub mod store;
pub mod telemetry;
