//! A long short-term memory with an attention layer's surroundings: the control that tracks a
//! state and recalls nothing.

mod config;
mod state;

use burn::module::{Content, DisplaySettings, Initializer, Module, ModuleDisplay, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

pub use config::LstmConfig;
pub use state::LstmState;

use crate::compaction::Compaction;
use crate::error::AttentionError;
use crate::input::{AttentionInput, AttentionOutput};
use crate::ops::lstm;
use crate::tensor::{full_dtype, full_precision};

/// Long short-term memory (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735) with
/// forget gates (Gers et al. 2000, doi:10.1162/089976600300015015) in the place of an attention
/// layer. Causal always; its equations stand at [`ops::lstm`](crate::ops::lstm).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Lstm {
    /// From the input to the input, forget, cell and output gate, `[d_model, 4 hidden]`.
    pub input: Linear,
    /// From the hidden state to the same, `[hidden, 4 hidden]`, without bias.
    pub recurrent: Linear,
    /// From the hidden state back to `d_model`, without bias.
    pub output: Linear,
    #[module(skip)]
    config: LstmConfig,
}

impl ModuleDisplay for Lstm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("d_model", &self.config.d_model).add("hidden", &self.config.hidden_size()).optional()
    }
}

impl LstmConfig {
    /// Makes the layer.
    ///
    /// # Panics
    /// Where [`validate`](Self::validate) refuses the configuration.
    pub fn init(&self, device: &Device) -> Lstm {
        self.validate().unwrap_or_else(|fault| panic!("{fault}"));
        let hidden = self.hidden_size();
        let linear = |d_input: usize, d_output: usize| {
            let config = LinearConfig::new(d_input, d_output).with_initializer(self.initializer.clone());
            config.with_bias(false).init(device)
        };
        let bias: Tensor<1> = Initializer::Zeros.init([4 * hidden], device).val();
        let of_forget = hidden..2 * hidden;
        let bias = bias.slice_fill([of_forget], self.forget_bias).detach();
        Lstm {
            input: Linear { bias: Some(Param::from_tensor(bias)), ..linear(self.d_model, 4 * hidden) },
            recurrent: linear(hidden, 4 * hidden),
            output: linear(hidden, self.d_model),
            config: self.clone(),
        }
    }
}

impl Lstm {
    /// The configuration it was made with.
    pub fn config(&self) -> &LstmConfig {
        &self.config
    }

    /// The state before the first step.
    pub fn empty_state(&self, batch: usize) -> LstmState {
        let weight = self.recurrent.weight.val();
        let options = (&weight.device(), full_dtype(weight.dtype()));
        let zeros = || Tensor::zeros([batch, self.config.hidden_size()], options);
        LstmState { hidden: zeros(), cell: zeros() }
    }

    /// Runs over a sequence from an empty state. Padded steps read 0.
    ///
    /// # Shapes
    /// - input: `[batch, steps, d_model]`, of [`AttentionInput::self_attn`]
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error.
    pub fn forward(&self, input: AttentionInput) -> AttentionOutput {
        self.try_forward(input).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward`](Self::forward).
    ///
    /// # Errors
    /// For shapes that do not fit, queries apart from keys, a mask that is not causal, and where
    /// weights are asked for.
    pub fn try_forward(&self, input: AttentionInput) -> Result<AttentionOutput, AttentionError> {
        let state = &mut self.empty_state(input.query.dims()[0]);
        self.try_forward_state(input, state)
    }

    /// Runs over the given steps from a state, and moves the state on. A padded step leaves it as
    /// it is.
    ///
    /// # Shapes
    /// - input: `[batch, steps, d_model]`, any number of steps, the new ones only
    ///
    /// # Panics
    /// Where [`try_forward_state`](Self::try_forward_state) has an error.
    pub fn forward_state(&self, input: AttentionInput, state: &mut LstmState) -> AttentionOutput {
        self.try_forward_state(input, state).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// As [`forward_state`](Self::forward_state). After an error the state is as it was.
    ///
    /// # Errors
    /// As [`try_forward`](Self::try_forward), and for the state of another batch or another layer.
    pub fn try_forward_state(
        &self,
        input: AttentionInput,
        state: &mut LstmState,
    ) -> Result<AttentionOutput, AttentionError> {
        self.check(&input)?;
        state.check(input.query.dims()[0], self.config.hidden_size())?;
        Ok(AttentionOutput { context: self.run(input, state), weights: None })
    }

    fn check(&self, input: &AttentionInput) -> Result<(), AttentionError> {
        let fault = |text: &str| Err(AttentionError::Shape(text.into()));
        input.check_shapes(self.config.d_model, true)?;
        if !input.shared {
            return fault("an LSTM reads one sequence and has no cross-attention; make its input with self_attn");
        }
        if input.weights {
            return fault("an LSTM has no attention weights");
        }
        input.mask_is_causal().map(|_| ())
    }

    fn run(&self, input: AttentionInput, state: &mut LstmState) -> Tensor<3> {
        // The recurrence knows no padding: padded steps go behind the others.
        let compaction = input.mask_pad.as_ref().map(Compaction::new);
        let x = input.without_padded_numbers(true).query;
        let (batch, steps, dtype) = (x.dims()[0], x.dims()[1], x.dtype());
        let size = self.config.hidden_size();
        let x = compaction.as_ref().map_or(x.clone(), |compaction| compaction.compact(x));
        let before = Tensor::stack::<3>(vec![state.hidden.clone(), state.cell.clone()], 0).reshape([2, batch, 1, size]);
        let gates = full_precision(self.input.forward(x));
        let states = lstm(gates, full_precision(self.recurrent.weight.val()), before.clone());
        let last = match &compaction {
            None => states.clone().narrow(2, steps - 1, 1),
            Some(compaction) => {
                let all = Tensor::cat(vec![before, states.clone()], 2).swap_dims(0, 1);
                compaction.window(all, 1).swap_dims(0, 1)
            }
        };
        let of_last = |which: usize| last.clone().narrow(0, which, 1).reshape([batch, size]);
        *state = LstmState { hidden: of_last(0), cell: of_last(1) };
        let hidden = states.narrow(0, 0, 1).reshape([batch, steps, size]).cast(dtype);
        self.output.forward(compaction.map_or(hidden.clone(), |compaction| compaction.restore(hidden)))
    }
}
