//! The memory's inputs as kernels of the processor read them.

use super::super::backend::{EachInput, MemoryTensors};
use crate::kernel::host::{Host, View, readable};
use crate::kernel::real::Real;

/// Views of the inputs, by name.
#[derive(Clone, Copy)]
pub struct Views<'a, T> {
    /// `[batch, steps_q, heads, m]`.
    pub query: View<'a, T>,
    /// `[batch, steps, key heads, m]`.
    pub key: View<'a, T>,
    /// `[batch, steps, key heads, d]`.
    pub value: View<'a, T>,
    /// `[batch, steps, key heads]`, as the strength.
    pub log_decay: Option<View<'a, T>>,
    pub strength: Option<View<'a, T>>,
    /// H before the first step, `[batch, key heads, m, d]`.
    pub memory: Option<View<'a, T>>,
    /// g before the first step, `[batch, key heads, m]`.
    pub calcium: Option<View<'a, T>>,
}

impl<'a, T: Real> Views<'a, T> {
    /// Of tensors that are [`readable_inputs`].
    pub fn new<B: Host>(tensors: &'a MemoryTensors<B>) -> Self {
        let view = |tensor| B::view(tensor).expect("readable");
        Self {
            query: view(&tensors.query),
            key: view(&tensors.key),
            value: view(&tensors.value),
            log_decay: tensors.log_decay.as_option().map(view),
            strength: tensors.strength.as_option().map(view),
            memory: tensors.memory.as_option().map(view),
            calcium: tensors.calcium.as_option().map(view),
        }
    }

    /// Which inputs are given.
    pub fn given(&self) -> EachInput<bool> {
        EachInput {
            query: true,
            key: true,
            value: true,
            log_decay: self.log_decay.is_some(),
            strength: self.strength.is_some(),
            memory: self.memory.is_some(),
            calcium: self.calcium.is_some(),
        }
    }
}

/// The inputs in a layout that kernels read.
pub fn readable_inputs<B: Host>(tensors: MemoryTensors<B>) -> MemoryTensors<B> {
    let MemoryTensors { query, key, value, log_decay, strength, memory, calcium } = tensors;
    MemoryTensors {
        query: readable::<B>(query),
        key: readable::<B>(key),
        value: readable::<B>(value),
        log_decay: log_decay.map(readable::<B>),
        strength: strength.map(readable::<B>),
        memory: memory.map(readable::<B>),
        calcium: calcium.map(readable::<B>),
    }
}
