//! What a feature map does to a model: its normalisers, its outputs, its loss.

use anyhow::{Result, bail};
use astrocytic_attention::{Attention, FeatureMapConfig, SoftmaxAttention};
use astrocytic_models::Block;
use astrocytic_models::conversion::{Inputs, Swappable, seen_by_attention};
use astrocytic_train::observer::Observer;
use burn::tensor::{Bool, DType, Tensor};

use super::report::{LayerMapError, MapError, PaperFigureConfig};
use crate::simulate::feature_maps::{RandomMap, of_modules};

/// The last block's output with `attend` in place of each layer's attention.
pub(super) fn run<M: Swappable>(
    model: &M,
    inputs: &Inputs,
    attend: &mut dyn FnMut(usize, Tensor<3>) -> Tensor<3>,
) -> Tensor<3> {
    let start = model.start(inputs.tokens.clone());
    model.blocks().iter().enumerate().fold(start, |x, (layer, block)| block.forward_with(x, |x| attend(layer, x)))
}

/// A model, what it reads, and what its loss is.
pub(super) struct Study<'a, M> {
    /// The original.
    pub(super) model: &'a M,
    /// What it reads.
    pub(super) inputs: Inputs,
    /// Loss of the last block's output `[batch, steps, d_model]`.
    pub(super) loss: &'a dyn Fn(Tensor<3>) -> f64,
    /// Whether a step sees those before it alone.
    pub(super) causal: bool,
    /// Of what kind the loss is.
    pub(super) of: &'static str,
    /// Told which map is being measured.
    pub(super) observer: &'a dyn Observer,
}

/// The original's attention layers, and of each what it is given and gives.
pub(super) struct Layers<'a> {
    /// The layers.
    pub(super) layers: Vec<&'a SoftmaxAttention>,
    /// Input and output of each, `[batch, steps, d_model]`.
    pub(super) seen: Vec<[Tensor<3>; 2]>,
}

impl Layers<'_> {
    /// Queries, keys and values of the first layer in f64, `[batch, heads, steps, head size]`.
    pub(super) fn first(&self) -> [Tensor<4>; 3] {
        in_full(self.layers[0].heads(self.seen[0][0].clone()))
    }
}

/// The kernel of a layer's queries and keys.
pub(super) type Kernel<'a> = &'a dyn Fn(usize, &Tensor<4>, &Tensor<4>) -> Tensor<4>;

impl<'a, M: Swappable> Study<'a, M> {
    /// The model's layers.
    ///
    /// # Errors
    /// Where one of them is not softmax attention.
    pub(super) fn layers(&self) -> Result<Layers<'a>> {
        let layers = self.model.blocks().iter().map(softmax_of).collect::<Result<_>>()?;
        Ok(Layers { layers, seen: seen_by_attention(self.model, &self.inputs) })
    }

    /// Errors of every map that is not trained.
    pub(super) fn maps(&self, config: &PaperFigureConfig, layers: &Layers) -> Vec<MapError> {
        let [query, ..] = layers.first();
        let [_, heads, _, d] = query.dims();
        let mut maps = Vec::new();
        for map in RandomMap::ALL {
            for &m in &config.features {
                self.observer.say(&format!("{} with {m} features", map.name()));
                let seed = |layer: usize| config.seed.wrapping_add(1_000 * layer as u64);
                maps.push(self.measure(map.name(), m, layers, &|layer, q, k| map.kernel(q, k, m, seed(layer))));
            }
        }
        for (name, map) in [
            ("elu + 1", FeatureMapConfig::Elu),
            ("relu", FeatureMapConfig::Relu),
            ("Taylor, second order", FeatureMapConfig::Taylor),
            ("DPFP, 2 shifts", FeatureMapConfig::Dpfp { nu: 2 }),
            ("Hedgehog, untrained", FeatureMapConfig::Hedgehog),
        ] {
            let module = map.init(heads, heads, d, &query.device());
            let kernel: Kernel = &|_, q, k| of_modules([&module, &module], heads, q, k);
            maps.push(self.measure(name, map.features(d), layers, kernel));
        }
        maps
    }

    /// Losses of the original and of the model without attention.
    pub(super) fn ends(&self) -> [f64; 2] {
        let original = run(self.model, &self.inputs, &mut |layer, x| {
            self.model.blocks()[layer].attention.forward(self.inputs.attention(x)).context
        });
        let without = run(self.model, &self.inputs, &mut |_, x| x.zeros_like());
        [original, without].map(self.loss)
    }

    /// Errors of the model with this kernel of `m` features in every layer.
    pub(super) fn measure(&self, name: &str, m: usize, layers: &Layers, kernel: Kernel) -> MapError {
        let errors: Vec<LayerMapError> =
            (0..layers.layers.len()).map(|layer| self.layer_error(layer, layers, kernel)).collect();
        let end = run(self.model, &self.inputs, &mut |place, x| {
            let layer = layers.layers[place];
            let [query, key, value] = in_full(layer.heads(x));
            output(layer, self.visible(kernel(place, &query, &key)), value)
        });
        let mean = |of: fn(&LayerMapError) -> f64| errors.iter().map(of).sum::<f64>() / errors.len() as f64;
        MapError {
            map: name.into(),
            m,
            error_normaliser: mean(|error| error.normaliser),
            error_output: mean(|error| error.output),
            loss: (self.loss)(end),
            layers: errors,
        }
    }

    /// Errors of one layer, given the original's input.
    fn layer_error(&self, place: usize, Layers { layers, seen }: &Layers, kernel: Kernel) -> LayerMapError {
        let (layer, [x, expected]) = (layers[place], &seen[place]);
        let [query, key, value] = in_full(layer.heads(x.clone()));
        let weights = self.visible(kernel(place, &query, &key));
        let exact = self.visible(softmax_kernel(&query, &key));
        let [found, wanted] = [&weights, &exact].map(|weights| weights.clone().sum_dim(3));
        let mut relative: Vec<f64> = (found / wanted - 1.0).abs().into_data().iter::<f64>().collect();
        relative.sort_by(f64::total_cmp);
        let error = (output(layer, weights, value) - expected.clone()).square().mean();
        let size = expected.clone().square().mean();
        LayerMapError {
            normaliser: relative[relative.len() / 2],
            output: f64::from((error / size).sqrt().into_scalar::<f32>()),
        }
    }

    /// Zeroes what a causal model does not see.
    pub(super) fn visible(&self, kernel: Tensor<4>) -> Tensor<4> {
        if !self.causal {
            return kernel;
        }
        let shape @ [.., steps, keys] = kernel.dims();
        let hidden = Tensor::<2, Bool>::tril_mask([steps, keys], 0, &kernel.device());
        kernel.mask_fill(hidden.unsqueeze::<4>().expand(shape), 0.0)
    }
}

fn softmax_of(block: &Block) -> Result<&SoftmaxAttention> {
    match &block.attention {
        Attention::Softmax(layer) if layer.convolution.is_none() && layer.gate.is_none() && layer.decay.is_none() => {
            Ok(layer)
        }
        _ => bail!("the model's attention is not softmax attention in every layer; give a pretrained model"),
    }
}

fn in_full(heads: [Tensor<4>; 3]) -> [Tensor<4>; 3] {
    heads.map(|x| x.cast(DType::F64))
}

/// `e^{q·k/√d}`.
pub(super) fn softmax_kernel(query: &Tensor<4>, key: &Tensor<4>) -> Tensor<4> {
    let d = query.dims()[3] as f64;
    query.clone().matmul(key.clone().transpose()).mul_scalar(d.powf(-0.5)).exp()
}

/// The layer's output for weights that are not yet normalised.
fn output(layer: &SoftmaxAttention, weights: Tensor<4>, value: Tensor<4>) -> Tensor<3> {
    // Nothing is read where nothing fires.
    let sum = weights.clone().sum_dim(3);
    let sum = sum.clone().mask_fill(sum.equal_elem(0.0), 1.0);
    let weights = weights / sum;
    let [batch, heads, steps, d] = value.dims();
    let reads = weights.matmul(value).swap_dims(1, 2).reshape([batch, steps, heads * d]);
    layer.output.forward(reads.cast(DType::F32))
}
