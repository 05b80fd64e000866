//! Neargate: your own Fargate. See `ARCHITECTURE.md` for the map of the rooms.

pub mod domain;
pub mod engine;
