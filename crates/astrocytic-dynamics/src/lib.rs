#![doc = include_str!("../README.md")]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod associative_memory;
mod error;
mod integrate;
pub mod retention;
pub mod softmax;
pub mod tripartite;

pub use error::DynamicsError;
pub use integrate::{Trajectory, integrate};
