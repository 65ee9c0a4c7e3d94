//! The names of `burn::nn::attention` over [`Attention`]: a model that holds a `MultiHeadAttention`
//! changes its `use` line, loads its old records, and then swaps attention in one line.
//!
//! ```
//! use astrocytic_attention::AstrocyticAttentionConfig;
//! // Before: use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
//! use astrocytic_attention::drop_in::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let mut attention: MultiHeadAttention = MultiHeadAttentionConfig::new(64, 4).init(&device); // or a record loaded
//! attention.swap(AstrocyticAttentionConfig::linear(64, 4))?;
//! let context = attention.forward(MhaInput::self_attn(Tensor::zeros([2, 10, 64], &device))).context;
//! assert_eq!(context.dims(), [2, 10, 64]);
//! # Ok::<(), astrocytic_attention::AttentionError>(())
//! ```
//!
//! What a swap keeps: the weights and biases of `query`, `key`, `value` and `output`, their names
//! in records and their parameter ids (and so an optimizer's state). What is new: the parts that
//! the astrocytic configuration switches on. What is dropped: dropout of the attention weights,
//! which a memory never makes (the nearest is `write_dropout`), and `min_float`, since a memory
//! leaves out what is hidden. Masks mean the same, with two differences: a query that sees nothing
//! reads 0 instead of the mean of all values, and of `mask_attn` only the causal and the empty are
//! possible; another is refused.

use burn::config::Config;
use burn::nn::Initializer;
use burn::nn::attention as burns;
use burn::tensor::Device;

pub use burn::nn::attention::{
    GeneratePaddingMask, SeqLengthOption, generate_autoregressive_mask, generate_padding_mask,
};

pub use crate::attention::{Attention as MultiHeadAttention, AttentionCache as MhaCache};
pub use crate::input::{AttentionInput as MhaInput, AttentionOutput as MhaOutput};

use crate::astrocytic::AstrocyticAttentionConfig;
use crate::attention::{Attention, AttentionConfig};
use crate::error::AttentionError;

/// Configuration of Burn's layer, whose JSON it reads, and of what takes its place.
#[derive(Config, Debug)]
pub struct MultiHeadAttentionConfig {
    /// Width of the input and the output.
    pub d_model: usize,
    /// Number of heads; divides `d_model`.
    pub n_heads: usize,
    /// Dropout of the attention weights; an astrocytic layer has none. Default: 0.1
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Score of what is hidden; an astrocytic layer leaves it out. Default: -1.0e4
    #[config(default = -1.0e4)]
    pub min_float: f64,
    /// Softmax with one more in the denominator; an astrocytic layer refuses it. Default: false
    #[config(default = false)]
    pub quiet_softmax: bool,
    /// Initialisation of the projections. Default: as Burn's
    #[config(default = "Initializer::KaimingUniform{gain: 1.0 / 3f64.sqrt(), fan_out_only: false}")]
    pub initializer: Initializer,
    /// Bias of the key projection. Default: true
    #[config(default = true)]
    pub key_bias: bool,
    /// Bias of the value projection. Default: true
    #[config(default = true)]
    pub value_bias: bool,
    /// Bias of the query projection. Default: true
    #[config(default = true)]
    pub query_bias: bool,
    /// Bias of the output projection. Default: true
    #[config(default = true)]
    pub output_bias: bool,
    /// The memory in place of softmax. Its `initializer` is for what Burn's layer does not have; in
    /// place of its `bias` stands `query_bias`. Default: `None`, which is Burn's own layer
    pub astrocytic: Option<AstrocyticAttentionConfig>,
}

impl MultiHeadAttentionConfig {
    /// Burn's own part.
    fn of_burn(&self) -> AttentionConfig {
        AttentionConfig::Burn(burns::MultiHeadAttentionConfig {
            d_model: self.d_model,
            n_heads: self.n_heads,
            dropout: self.dropout,
            min_float: self.min_float,
            quiet_softmax: self.quiet_softmax,
            initializer: self.initializer.clone(),
            key_bias: self.key_bias,
            value_bias: self.value_bias,
            query_bias: self.query_bias,
            output_bias: self.output_bias,
        })
    }

    /// Checks that the settings fit each other.
    ///
    /// # Errors
    /// [`AttentionError::Config`] with the field and what would do.
    pub fn validate(&self) -> Result<(), AttentionError> {
        self.of_burn().validate()?;
        let fault = |text: &str| Err(AttentionError::Config(text.into()));
        match &self.astrocytic {
            Some(_) if self.quiet_softmax => {
                fault("quiet_softmax = true has no counterpart in an astrocytic layer; set it to false")
            }
            Some(_) if [self.key_bias, self.value_bias, self.output_bias] != [self.query_bias; 3] => {
                fault("an astrocytic layer has biases in all four projections or in none; set all four alike")
            }
            Some(config) => {
                config.validate().and_then(|()| config.has_sizes([self.d_model, self.n_heads, self.n_heads]))
            }
            None => Ok(()),
        }
    }

    /// Makes the layer. Burn's and astrocytic layers draw the same projections from the same seed.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Attention {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let mut layer = self.of_burn().init(device);
        if let Some(config) = &self.astrocytic {
            layer.swap(config).unwrap_or_else(|fault| panic!("{fault}"));
        }
        layer
    }
}
