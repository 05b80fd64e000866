//! The Docker adapter.

pub mod daemon;
