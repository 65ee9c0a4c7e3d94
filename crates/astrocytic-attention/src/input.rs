//! What goes into an attention layer and comes out: the builder names of Burn's `MhaInput`.

use burn::nn::attention::generate_autoregressive_mask;
use burn::tensor::{Bool, Int, Tensor};

use crate::error::AttentionError;
use crate::ops::Form;

/// Input of an attention layer, made and extended as `burn::nn::attention::MhaInput` is.
#[derive(Debug, Clone)]
pub struct AttentionInput {
    pub(crate) query: Tensor<3>,
    pub(crate) key: Tensor<3>,
    pub(crate) value: Tensor<3>,
    pub(crate) mask_pad: Option<Tensor<2, Bool>>,
    pub(crate) mask_attn: Option<Tensor<3, Bool>>,
    pub(crate) shared: bool,
    pub(crate) form: Option<Form>,
    pub(crate) weights: bool,
}

impl AttentionInput {
    /// Queries, keys and values from one tensor `[batch, steps, d_model]`.
    pub fn self_attn(tensor: Tensor<3>) -> Self {
        Self { shared: true, ..Self::new(tensor.clone(), tensor.clone(), tensor) }
    }

    /// Queries `[batch, steps_q, d_model]`; keys and values `[batch, steps_k, d_model]`. For self-attention use
    /// [`self_attn`](Self::self_attn): padding then holds for the queries too.
    pub fn new(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Self {
        let (mask_pad, mask_attn) = (None, None);
        Self { query, key, value, mask_pad, mask_attn, shared: false, form: None, weights: false }
    }

    /// Padding of the keys, `[batch, steps_k]`, true where padded.
    pub fn mask_pad(mut self, mask_pad: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask_pad);
        self
    }

    /// Attention mask `[batch, steps_q, steps_k]`, true where hidden. Only a causal or an empty mask can be honoured by
    /// a memory; reading it costs a copy from the device, which `causal` in the config and no mask save.
    pub fn mask_attn(mut self, mask_attn: Tensor<3, Bool>) -> Self {
        self.mask_attn = Some(mask_attn);
        self
    }

    /// Which form of the recurrence to run instead of the configured chunks.
    pub fn form(mut self, form: Form) -> Self {
        self.form = Some(form);
        self
    }

    /// Asks for the attention weights as well: `[batch, heads, steps_q, steps_k]` in the precision of the input, quadratic in
    /// memory.
    pub fn with_weights(mut self) -> Self {
        self.weights = true;
        self
    }

    /// Checks what a memory can honour and says whether the mask (or the config) makes the layer causal.
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
    fn mask_is_causal(&self) -> Result<bool, AttentionError> {
        let Some(mask) = &self.mask_attn else { return Ok(false) };
        let [batch, steps, key_steps] = mask.dims();
        if !mask.clone().any().into_scalar::<bool>() {
            return Ok(false);
        }
        let is_causal = steps == key_steps && {
            let causal = generate_autoregressive_mask(batch, steps, &mask.device());
            causal.equal(mask.clone()).all().into_scalar::<bool>()
        };
        if is_causal { Ok(true) } else { Err(AttentionError::UnsupportedMask) }
    }
}

/// Output of an attention layer.
#[derive(Debug, Clone)]
pub struct AttentionOutput {
    /// `[batch, steps_q, d_model]`.
    pub context: Tensor<3>,
    /// `[batch, heads, steps_q, steps_k]` in the precision of the input, where asked for. After a state or a cache of an
    /// astrocytic layer the columns are the new steps; of a softmax layer all steps.
    pub weights: Option<Tensor<4>>,
}

/// Padded steps moved behind the others, row by row, so that convolution, positions and memory never see them.
pub(crate) struct Compaction {
    order: Tensor<2, Int>,
    back: Tensor<2, Int>,
    padded: Tensor<2, Bool>,
    /// How many steps of each row are not padded, `[batch]`.
    pub(crate) kept: Tensor<1, Int>,
}

impl Compaction {
    pub(crate) fn new(mask_pad: &Tensor<2, Bool>) -> Self {
        let [batch, steps] = mask_pad.dims();
        let padded = mask_pad.clone().int();
        let own = Tensor::<1, Int>::arange(0..steps as i64, &mask_pad.device());
        let own = own.unsqueeze::<2>().expand([batch, steps]);
        let kept = (-padded.clone().sum_dim(1)).add_scalar(steps as i64).expand([batch, steps]);
        // Kept steps come first in their order, then the padded ones in theirs.
        let padded_so_far = padded.clone().cumsum(1);
        let back_kept = own.clone() - padded_so_far.clone();
        let back_padded = kept.clone() + padded_so_far - 1;
        let back = back_kept.mask_where(mask_pad.clone(), back_padded);
        let order = back.clone().argsort(1);
        let padded = own.greater_equal(kept.clone());
        let kept = kept.narrow(1, 0, 1);
        Self { order, back, padded, kept: kept.squeeze_dim(1) }
    }

    /// Place of each step among those kept (of a padded one, behind them), `[batch, steps]`.
    pub(crate) fn place(&self) -> Tensor<2, Int> {
        self.back.clone()
    }

    /// `[batch, steps, width]`, kept steps first.
    pub(crate) fn compact(&self, x: Tensor<3>) -> Tensor<3> {
        gather_steps(x, &self.order)
    }

    /// Every step back where it was; padded ones 0.
    pub(crate) fn restore(&self, x: Tensor<3>) -> Tensor<3> {
        let dims = x.dims();
        let hidden = self.padded.clone().unsqueeze_dim::<3>(2).expand(dims);
        gather_steps(x.mask_fill(hidden, 0.0), &self.back)
    }

    /// Weights with the padded steps of `axis` (2 queries, 3 keys) back where they were, 0 there.
    pub(crate) fn restore_axis(&self, weights: Tensor<4>, axis: usize) -> Tensor<4> {
        let dims = weights.dims();
        let shape = if axis == 2 { [dims[0], 1, dims[2], 1] } else { [dims[0], 1, 1, dims[3]] };
        let weights = weights.mask_fill(self.padded.clone().reshape(shape).expand(dims), 0.0);
        weights.gather(axis, self.back.clone().reshape(shape).expand(dims))
    }

    /// Of `[batch, heads, width + steps, size]`, steps compacted, the last `width` of each row up to its last step that is
    /// not padded.
    pub(crate) fn window(&self, x: Tensor<4>, width: usize) -> Tensor<4> {
        let [batch, heads, _, size] = x.dims();
        let places = Tensor::<1, Int>::arange(0..width as i64, &x.device()).reshape([1, 1, width, 1]);
        let first = self.kept.clone().reshape([batch, 1, 1, 1]);
        let shape = [batch, heads, width, size];
        x.gather(2, first.expand(shape) + places.expand(shape))
    }

    /// 0 in place of values at padded steps, `[batch, heads, steps]`.
    pub(crate) fn silence(&self, x: Tensor<3>) -> Tensor<3> {
        let hidden = self.padded.clone().unsqueeze_dim::<3>(1).expand(x.dims());
        x.mask_fill(hidden, 0.0)
    }
}

fn gather_steps(x: Tensor<3>, index: &Tensor<2, Int>) -> Tensor<3> {
    let dims = x.dims();
    x.gather(1, index.clone().unsqueeze_dim::<3>(2).expand(dims))
}
