//! Experiments: what is compared on what, the cells that it is expanded into, and the workers that
//! run them.

pub mod budget;
mod cell_run;
pub mod cells;
pub mod compare;
pub mod config;
mod corpora;
pub mod data;
mod describe;
mod energy;
pub mod executor;
#[cfg(test)]
mod faults;
mod file;
mod grid;
mod job;
pub mod plan;
mod predict;
pub mod program;
pub mod reading;
mod reuse;
mod rounds;
mod search;
mod solving;
mod step_cost;
mod stored;
mod validate;
pub mod worker;
