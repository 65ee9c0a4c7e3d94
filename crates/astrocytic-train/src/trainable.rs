//! Models that learn from batches of tokens: decoders, which predict after any token, and encoders,
//! which give a whole example one answer.

use astrocytic_attention::ops::cross_entropy;
use astrocytic_data::Batch;
use astrocytic_models::{Decoder, DecoderCache, Encoder};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::store::ModuleSnapshot;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::replay;

/// A model that can be trained and evaluated on batches.
pub trait Trainable: Module + ModuleSnapshot {
    /// Where its parameters are.
    fn device(&self) -> Device;

    /// Itself, where it is a decoder.
    fn as_decoder(&self) -> Option<&Decoder>;

    /// An empty cache for windows that are read one after another; `None` for a model that carries
    /// nothing from window to window.
    fn empty_cache(&self, rows: usize) -> Option<DecoderCache>;

    /// Steps of the longest sequence that it can read; `None`: any.
    fn most_steps(&self) -> Option<usize> {
        None
    }

    /// Logits of the answers that are expected after the tokens at `places`.
    ///
    /// # Shapes
    /// - inputs: `[rows, steps]`; places as those of a [`Batch`]; returns `[places, vocabulary]`
    fn answers(&self, inputs: Tensor<2, Int>, places: &[i32], cache: Option<&mut DecoderCache>) -> Tensor<2>;

    /// Mean −ln p of the targets, in nats, and its gradients. What is random depends on the seed.
    fn gradients(&self, batch: &Batch, cache: Option<&mut DecoderCache>, seed: u64) -> (f64, GradientsParams);
}

impl Trainable for Decoder {
    fn device(&self) -> Device {
        self.embedding.weight.val().device()
    }

    fn as_decoder(&self) -> Option<&Decoder> {
        Some(self)
    }

    fn empty_cache(&self, rows: usize) -> Option<DecoderCache> {
        Some(self.empty_cache(rows))
    }

    fn most_steps(&self) -> Option<usize> {
        self.config().positions
    }

    fn answers(&self, inputs: Tensor<2, Int>, places: &[i32], cache: Option<&mut DecoderCache>) -> Tensor<2> {
        self.forward_at(inputs, places, cache)
    }

    fn gradients(&self, batch: &Batch, cache: Option<&mut DecoderCache>, seed: u64) -> (f64, GradientsParams) {
        let device = Trainable::device(self);
        device.seed(seed);
        let inputs = inputs(batch, &device);
        let logits = match (&batch.places, cache) {
            (Some(places), cache) => self.forward_at(inputs, places, cache),
            (None, cache) => {
                let logits = match cache {
                    Some(cache) => self.forward_cache(inputs, cache),
                    None => self.forward(inputs),
                };
                logits.reshape([batch.inputs.len(), self.config().vocabulary])
            }
        };
        let loss = cross_entropy(logits, &batch.targets);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        (value, GradientsParams::from_grads(loss.backward(), self))
    }
}

/// An example ends with the token after which its answer is expected; the rest of its row is
/// padding.
impl Trainable for Encoder {
    fn device(&self) -> Device {
        self.device()
    }

    fn as_decoder(&self) -> Option<&Decoder> {
        None
    }

    fn empty_cache(&self, _rows: usize) -> Option<DecoderCache> {
        None
    }

    fn answers(&self, inputs: Tensor<2, Int>, places: &[i32], _cache: Option<&mut DecoderCache>) -> Tensor<2> {
        let padded = padding(inputs.dims(), places, &inputs.device());
        self.forward(inputs, padded)
    }

    fn gradients(&self, batch: &Batch, _cache: Option<&mut DecoderCache>, seed: u64) -> (f64, GradientsParams) {
        let device = self.device();
        let inputs = inputs(batch, &device);
        let places = batch.places.as_deref().unwrap_or_default();
        let padded = padding(inputs.dims(), places, &device);
        replay::gradients(self, inputs, padded, &batch.targets, seed)
    }
}

fn inputs(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    let steps = batch.inputs.len() / batch.rows;
    Tensor::from_data(TensorData::new(batch.inputs.clone(), [batch.rows, steps]), device)
}

/// True behind the place of each row.
///
/// # Panics
/// Unless each row has one place.
fn padding([rows, steps]: [usize; 2], places: &[i32], device: &Device) -> Tensor<2, Bool> {
    let own = |row: usize| places.get(row).map(|&place| place as usize).filter(|place| place / steps == row);
    let ends: Option<Vec<usize>> = (0..rows).map(own).collect();
    let ends = ends.filter(|_| places.len() == rows).expect("an encoder gives each example one answer");
    let padded: Vec<bool> = (0..rows * steps).map(|at| at > ends[at / steps]).collect();
    Tensor::from_data(TensorData::new(padded, [rows, steps]), device)
}
