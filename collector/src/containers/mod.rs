//! Containers: who they are comes from the Docker API in the background, what they use from their control groups at
//! every tick.
//!
//! `engine.rs` keeps the inventory, `rows.rs` makes the table of it, `cgroup_v1.rs` and `cgroup_v2.rs` read usage, and
//! `stats.rs` asks the engine for it where the control groups cannot be reached. A tick never waits for the engine.

mod cgroup;
mod cgroup_v1;
mod cgroup_v2;
mod describe;
mod engine;
mod inventory;
mod rows;
mod stats;
mod usage;

pub(crate) use engine::follow as follow_engine;
pub(crate) use rows::Containers;
pub(crate) use stats::{StatsBoard, poll as poll_stats};
