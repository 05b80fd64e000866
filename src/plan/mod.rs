//! Decisions. PURE: the world goes in, actions and a report come out.
//!
//! Nothing here waits, asks a clock, draws a random number or knows a store or an engine; what it needs of
//! those it is given. Whoever calls it carries out what it says and adds no choice of its own.
//!
//! [`task`] decides what becomes of a task as a whole. [`pod`] decides container by container, for engines
//! that have no pods of their own. [`network`] finds addresses for the network of a cluster. [`service`] decides
//! which tasks there should be, [`autoscale`] how many of them, [`schedule`] which are run because it is time, [`images`] which images are not needed any more,
//! [`budget`] what is told of what tasks cost, and whether new ones may begin.

pub mod autoscale;
pub mod budget;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod images;
pub mod network;
pub mod pod;
pub mod restart;
pub mod schedule;
pub mod service;
pub mod task;
