#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod checkpoint;
pub mod config;
pub mod device;
pub mod document_loss;
pub mod evaluate;
pub mod held_out;
pub mod learner;
pub mod minimal_pairs;
pub mod number;
pub mod objective;
pub mod observer;
pub mod optimizer;
mod parallel;
pub mod replay;
pub mod seed;
pub mod source;
pub mod standing;
#[cfg(feature = "burn-train")]
pub mod supervised;
pub mod token_objective;
pub mod train;
pub mod trainable;

#[cfg(test)]
mod small_models;
