#![doc = include_str!("../README.md")]

pub mod checkpoint;
pub mod config;
pub mod device;
pub mod document_loss;
pub mod evaluate;
pub mod gradients;
pub mod learner;
pub mod number;
pub mod objective;
pub mod observer;
pub mod optimizer;
mod parallel;
pub mod replay;
pub mod seed;
pub mod standing;
pub mod token_objective;
pub mod train;
pub mod trainable;

#[cfg(test)]
mod small_models;
