//! What is alike in the models whose attention is swapped: blocks over embedded tokens.

use astrocytic_attention::{AttentionConfig, AttentionError, AttentionInput};
use burn::module::Module;
use burn::store::ModuleSnapshot;
use burn::tensor::{Bool, Int, Tensor};

use crate::block::Block;
use crate::decoder::Decoder;
use crate::text_encoder::TextEncoder;

/// Tokens of some rows.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[rows, steps]`
    pub tokens: Tensor<2, Int>,
    /// `[rows, steps]`, true where padded.
    pub padded: Option<Tensor<2, Bool>>,
}

impl Inputs {
    /// A block's input as that of its attention.
    pub fn attention(&self, x: Tensor<3>) -> AttentionInput {
        let input = AttentionInput::self_attn(x);
        match &self.padded {
            Some(padded) => input.mask_pad(padded.clone()),
            None => input,
        }
    }
}

/// A model whose attention can be swapped.
pub trait Swappable: Module + ModuleSnapshot {
    /// Its blocks, first to last.
    fn blocks(&self) -> &[Block];

    /// What goes into the first of them.
    fn start(&self, tokens: Tensor<2, Int>) -> Tensor<3>;

    /// Swaps the attention of a block, its projections kept.
    ///
    /// # Errors
    /// For an attention that does not fit.
    fn swap_layer(&mut self, layer: usize, attention: &AttentionConfig) -> Result<(), AttentionError>;
}

impl Swappable for Decoder {
    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn start(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embed(tokens, 0)
    }

    fn swap_layer(&mut self, layer: usize, attention: &AttentionConfig) -> Result<(), AttentionError> {
        self.swap(layer, attention)
    }
}

impl Swappable for TextEncoder {
    fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    fn start(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embed_tokens(tokens)
    }

    fn swap_layer(&mut self, layer: usize, attention: &AttentionConfig) -> Result<(), AttentionError> {
        self.swap(layer, attention)
    }
}

/// What goes into and comes out of the attention of each block.
pub fn seen_by_attention(model: &impl Swappable, inputs: &Inputs) -> Vec<[Tensor<3>; 2]> {
    let mut seen = Vec::new();
    model.blocks().iter().fold(model.start(inputs.tokens.clone()), |x, block| {
        block.forward_with(x, |x| {
            let context = block.attention.forward(inputs.attention(x.clone())).context;
            seen.push([x, context.clone()]);
            context
        })
    });
    seen
}
