//! What one call of a layer asks for.

use crate::compaction::Compaction;
use crate::ops::Form;

/// What one call of a layer asks for, beside its tensors.
pub(super) struct Call<'a> {
    /// Step t sees only steps up to t.
    pub causal: bool,
    /// By which form the recurrence runs.
    pub form: Form,
    /// Goes on from the state and leaves there what is remembered; else the state is empty and is
    /// used up.
    pub remember: bool,
    /// Returns the weights too.
    pub weights: bool,
    /// Where keys are padded.
    pub compaction: Option<&'a Compaction>,
    /// Where queries are padded.
    pub query_compaction: Option<&'a Compaction>,
}
