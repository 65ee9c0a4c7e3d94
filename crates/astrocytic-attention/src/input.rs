//! What goes into an attention layer and comes out: the builder names of Burn's `MhaInput`.

use burn::tensor::{Bool, Tensor};

use crate::error::AttentionError;
use crate::mask::{AttentionMask, MaskKind};
use crate::ops::Form;

/// Input of an attention layer, made and extended as `burn::nn::attention::MhaInput` is.
#[derive(Debug, Clone)]
pub struct AttentionInput {
    pub(crate) query: Tensor<3>,
    pub(crate) key: Tensor<3>,
    pub(crate) value: Tensor<3>,
    pub(crate) mask_pad: Option<Tensor<2, Bool>>,
    pub(crate) mask_attn: Option<AttentionMask>,
    pub(crate) shared: bool,
    pub(crate) form: Option<Form>,
    pub(crate) weights: bool,
}

impl AttentionInput {
    /// Queries, keys and values from one tensor `[batch, steps, d_model]`.
    pub fn self_attn(tensor: Tensor<3>) -> Self {
        Self { shared: true, ..Self::new(tensor.clone(), tensor.clone(), tensor) }
    }

    /// Queries `[batch, steps_q, d_model]`; keys and values `[batch, steps_k, d_model]`. For
    /// self-attention use [`self_attn`](Self::self_attn): padding then holds for the queries too.
    pub fn new(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Self {
        let (mask_pad, mask_attn) = (None, None);
        Self { query, key, value, mask_pad, mask_attn, shared: false, form: None, weights: false }
    }

    /// Padding of the keys, `[batch, steps_k]`, true where padded.
    pub fn mask_pad(mut self, mask_pad: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask_pad);
        self
    }

    /// Attention mask `[batch, steps_q, steps_k]`, true where hidden. Only a causal or an empty
    /// mask can be honoured by a memory; reading it costs a copy from the device, which `causal` in
    /// the config and no mask save. Layers that are given clones of one [`AttentionMask`] read it
    /// once.
    pub fn mask_attn(mut self, mask_attn: impl Into<AttentionMask>) -> Self {
        self.mask_attn = Some(mask_attn.into());
        self
    }

    /// Which form of the recurrence to run instead of the configured chunks.
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// Asks for the attention weights as well: `[batch, heads, steps_q, steps_k]` in the precision
    /// of the input, quadratic in memory. Of a layer with several writes a step each is the sum of
    /// those of a step's writes.
    pub fn with_weights(mut self) -> Self {
        self.weights = true;
        self
    }

    /// Checks what a memory can honour and says whether the mask (or the config) makes the layer
    /// causal.
    pub(crate) fn check(&self, d_model: usize, causal: bool) -> Result<bool, AttentionError> {
        self.check_shapes(d_model, causal)?;
        if self.form == Some(Form::Chunkwise(0)) {
            return Err(AttentionError::Shape("form: chunks must have at least 1 step".into()));
        }
        let masked = self.mask_is_causal()?;
        self.check_shapes(d_model, masked)?;
        Ok(causal || masked)
    }

    /// Checks the shapes of tensors and masks.
    pub(crate) fn check_shapes(&self, d_model: usize, causal: bool) -> Result<(), AttentionError> {
        self.check_tensors(d_model)?;
        let fault = |text: String| Err(AttentionError::Shape(text));
        let ([batch, steps, _], key_steps) = (self.query.dims(), self.key.dims()[1]);
        if let Some(mask) = self.mask_pad.as_ref().filter(|mask| mask.dims() != [batch, key_steps]) {
            return fault(format!("mask_pad must be [{batch}, {key_steps}], got {:?}", mask.dims()));
        }
        if let Some(mask) = self.mask_attn.as_ref().filter(|mask| mask.dims() != [batch, steps, key_steps]) {
            return fault(format!("mask_attn must be [{batch}, {steps}, {key_steps}], got {:?}", mask.dims()));
        }
        if causal && steps != key_steps {
            return fault(format!("a causal layer needs as many queries as keys, got {steps} and {key_steps}"));
        }
        Ok(())
    }

    /// Checks the shapes of queries, keys and values.
    pub(crate) fn check_tensors(&self, d_model: usize) -> Result<(), AttentionError> {
        let fault = |text: String| Err(AttentionError::Shape(text));
        let [batch, steps, width] = self.query.dims();
        let [key_batch, key_steps, key_width] = self.key.dims();
        if width != d_model || key_width != d_model || self.value.dims()[2] != d_model {
            return fault(format!(
                "the last axis of query, key and value must be d_model = {d_model}, got {width}, {key_width}, {}",
                self.value.dims()[2]
            ));
        }
        if key_batch != batch || self.value.dims()[0] != batch || self.value.dims()[1] != key_steps {
            return fault(format!(
                "query {:?}, key {:?} and value {:?} must share the batch, key and value the steps",
                self.query.dims(),
                self.key.dims(),
                self.value.dims()
            ));
        }
        if batch == 0 || steps == 0 || key_steps == 0 {
            return fault(format!("query {:?} and key {:?} must not be empty", self.query.dims(), self.key.dims()));
        }
        Ok(())
    }

    /// Zeros at padded steps: whatever they hold, they reach nothing, where 0 times it might.
    pub(crate) fn without_padded_numbers(self, causal: bool) -> Self {
        let Some(mask) = self.mask_pad.clone() else { return self };
        let clear = |x: Tensor<3>| {
            let dims = x.dims();
            x.mask_fill(mask.clone().unsqueeze_dim::<3>(2).expand(dims), 0.0)
        };
        if self.shared {
            let x = clear(self.key);
            return Self { query: x.clone(), key: x.clone(), value: x, ..self };
        }
        let query = if causal { clear(self.query) } else { self.query };
        Self { query, key: clear(self.key), value: clear(self.value), ..self }
    }

    /// Whether the mask is the causal one; none and an empty one are not, another is refused.
    pub(crate) fn mask_is_causal(&self) -> Result<bool, AttentionError> {
        match self.mask_attn.as_ref().map(AttentionMask::kind) {
            None | Some(MaskKind::Empty) => Ok(false),
            Some(MaskKind::Causal) => Ok(true),
            Some(MaskKind::Other) => Err(AttentionError::UnsupportedMask),
        }
    }
}

/// Output of an attention layer.
#[derive(Debug, Clone)]
pub struct AttentionOutput {
    /// `[batch, steps_q, d_model]`.
    pub context: Tensor<3>,
    /// `[batch, heads, steps_q, steps_k]` in the precision of the input, where asked for. After a
    /// state or a cache of an astrocytic layer the columns are the new steps; of a softmax layer
    /// all steps.
    pub weights: Option<Tensor<4>>,
}
