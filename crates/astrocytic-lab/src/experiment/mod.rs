//! Experiments: what is compared on what, the cells that it is expanded into, and the workers that run them.

pub mod cells;
pub mod compare;
pub mod config;
pub mod data;
mod energy;
pub mod executor;
pub mod plan;
pub mod program;
mod step_cost;
pub mod worker;
