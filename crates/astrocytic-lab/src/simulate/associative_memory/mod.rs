//! `simulate associative-memory`: what a network of neurons and astrocytes recalls, and how much it
//! holds.

mod course;
mod page;
mod report;
mod run;

pub use report::{Capacity, MemoryConfig, MemoryReport};
pub use run::associative_memory;
