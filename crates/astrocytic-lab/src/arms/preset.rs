//! Attention that a table begins with, and the options that change it.

use serde::Deserialize;

use crate::results::Role;

/// Attention by the name of its constructor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Preset {
    Softmax,
    Lstm,
    Linear,
    Tripartite,
    DeltaProduct,
    Retnet,
    Kozachkov2023,
    Astromorphic,
    Off,
}

impl Preset {
    /// What an arm of it is for where it does not say.
    pub(super) fn role(self) -> Role {
        if [Self::Softmax, Self::Lstm, Self::Off].contains(&self) { Role::Control } else { Role::Astrocytic }
    }
}
