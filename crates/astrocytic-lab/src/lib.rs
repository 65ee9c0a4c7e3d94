//! Fair comparisons of data efficiency, statistics and reports.
//!
//! An [`experiment`] is expanded into cells, each one training run; [`experiment::compare`] has
//! workers run them and store every line; a [`report`] is made from the stored lines alone.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod arms;
pub mod bench;
pub mod experiment;
pub mod file;
pub mod learning;
mod process_memory;
mod provenance;
pub mod report;
pub mod results;
pub mod session;
pub mod simulate;
mod solved_runs;
pub mod statistics;
pub mod swap;
