//! Training, fair comparisons of data efficiency, statistics and reports.
//!
//! An [`experiment`] is expanded into cells, each one training run; [`compare`] has workers run them and store
//! every line; a report is made from the stored lines alone.

pub mod arms;
pub mod bench;
pub mod cells;
pub mod checkpoint;
pub mod compare;
pub mod data;
pub mod device;
mod encoder_arms;
mod energy;
pub mod evaluate;
pub mod executor;
pub mod experiment;
mod identity;
pub mod learning;
mod machine;
pub mod minimal_pairs;
mod parallel;
pub mod plan;
pub mod program;
pub mod progress;
pub mod replay;
pub mod report;
pub mod results;
pub mod session;
pub mod simulate;
pub mod source;
pub mod statistics;
mod step_cost;
pub mod swap;
mod tensorboard;
pub mod train;
pub mod trainable;
pub mod worker;
