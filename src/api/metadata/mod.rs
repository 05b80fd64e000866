//! The metadata endpoint: what a task is told about itself, in the words of ECS's version 4.
//!
//! It has listeners and a router of its own, on the host's address on the network of each cluster, and knows
//! nothing of the control API: that one is never reachable through it. An answer is given only to whoever
//! knows the container's secret address and asks from its task's own address. It must never tell one task
//! anything of another, and never change anything.

mod answers;
mod door;
mod key;

pub use door::Door;
pub use key::{Key, KeyError};
