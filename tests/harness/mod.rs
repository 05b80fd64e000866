#![allow(dead_code, reason = "each test uses a part of it")]
mod engine;
pub use engine::{docker, leftovers, require_engine, workload};
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
