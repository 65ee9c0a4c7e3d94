//! Networks of neurons and astrocytes as differential equations, in f64, integrated with error control.
//!
//! - [`tripartite`]: the network that computes attention (Kozachkov, Kastanenka, Krotov, PNAS 2023), with time constants that
//!   are finite: fast neurons, slow synapses and calcium. As they part it tends to the algebra of the attention crate.
//! - [`softmax`]: two ways in which astrocytes settle to softmax exactly.
//! - [`retention`]: how much of a memory is kept from segment to segment (RMAAT, arXiv 2601.00426).
//! - [`associative_memory`]: the neuron–astrocyte associative memory (Kozachkov, Slotine, Krotov, PNAS 2025), beside a Hopfield
//!   network and a dense associative memory.
//!
//! Time is in seconds where a time constant is meant to be one of a cell; only ratios of time constants matter to results.

pub mod associative_memory;
mod error;
mod integrate;
pub mod retention;
pub mod softmax;
pub mod tripartite;

pub use error::DynamicsError;
pub use integrate::{Trajectory, integrate};
