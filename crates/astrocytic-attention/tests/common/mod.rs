//! The one list of variants: what enters here is held to every property.
#![allow(dead_code)]

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, DecayConfig, FeatureMapConfig as Map, Normalizer,
    Plasticity, PositionConfig,
};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Distribution, Tensor, TensorData};

/// Burn's random numbers belong to the process: one test draws at a time.
static RANDOM: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn seeded<T>(seed: u64, device: &Device, draw: impl FnOnce() -> T) -> T {
    let _alone = RANDOM.lock().unwrap_or_else(|broken| broken.into_inner());
    device.seed(seed);
    draw()
}

pub const D_MODEL: usize = 16;
pub const HEADS: usize = 2;

/// What the tests run on, its scratch memory poisoned: with the feature `wgpu` a GPU or software
/// Vulkan, where results are not the same to the bit.
pub fn device() -> Device {
    astrocytic_attention::debug::poison();
    #[cfg(feature = "wgpu")]
    return Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
    #[cfg(not(feature = "wgpu"))]
    Device::flex()
}

/// Whether the device has 64-bit and half-precision numbers.
pub const OTHER_PRECISIONS: bool = cfg!(not(feature = "wgpu"));

/// Every option at least once, by itself and in the presets.
pub fn variants() -> Vec<(&'static str, Config)> {
    variants_of_width(D_MODEL)
}

/// The same for another width, a multiple of 8.
pub fn variants_of_width(d_model: usize) -> Vec<(&'static str, Config)> {
    let base = || Config::new(d_model, HEADS).with_chunk(7);
    let four = || Config::new(d_model, 4).with_kv_heads(Some(2)).with_chunk(7);
    let delta = || base().with_plasticity(Plasticity::Delta).with_normalizer(Normalizer::Rms);
    let window = |steps| base().with_causal(true).with_window(steps);
    let gated_window = |steps| window(steps).with_decay(DecayConfig::Gated).with_write_gate(true);
    let random = Map::PositiveRandom { features: 12, seed: 5 };
    let trigonometric = Map::Trigonometric { features: 12, seed: 5 };
    vec![
        ("kozachkov2023", Config::kozachkov2023(d_model, HEADS)),
        ("linear", Config::linear(d_model, HEADS)),
        ("astromorphic", Config::astromorphic(d_model, HEADS, 40)),
        ("retnet", Config::retnet(d_model, HEADS)),
        ("tripartite", Config::tripartite(d_model, HEADS)),
        ("relu", base().with_feature_map(Map::Relu)),
        ("relu squared", base().with_feature_map(Map::ReluSquared)),
        ("hedgehog", base().with_feature_map(Map::Hedgehog)),
        ("positive random", base().with_feature_map(random)),
        ("trigonometric, rms", base().with_feature_map(trigonometric).with_normalizer(Normalizer::Rms)),
        ("taylor", base().with_feature_map(Map::Taylor)),
        ("dpfp", base().with_feature_map(Map::Dpfp { nu: 2 })),
        ("fixed decay", base().with_decay(DecayConfig::Fixed)),
        ("learned decay", base().with_decay(DecayConfig::Learned)),
        ("griffin decay", base().with_decay(DecayConfig::Griffin)),
        ("gated decay", base().with_decay(DecayConfig::Gated)),
        ("calcium exponent", base().with_normalizer(Normalizer::Calcium { alpha: 0.5 }).with_decay(DecayConfig::Gated)),
        ("rms", base().with_normalizer(Normalizer::Rms)),
        ("no normaliser", base().with_normalizer(Normalizer::None).with_feature_map(Map::Identity)),
        ("write gate", base().with_write_gate(true)),
        ("convolution", base().with_convolution(3)),
        ("output gate", base().with_output_gate(true)),
        ("rotary", base().with_position(PositionConfig::Rotary { theta: 10_000.0 })),
        ("distance", base().with_position(PositionConfig::Distance { scale: 0.2, max_steps: 40 })),
        ("delta", delta().with_feature_map(Map::Silu)),
        ("delta, dpfp", delta().with_feature_map(Map::Dpfp { nu: 1 }).with_write_gate(true)),
        ("delta, gated decay", delta().with_feature_map(Map::Identity).with_decay(DecayConfig::Gated)),
        ("delta, no norm", delta().with_normalizer(Normalizer::None).with_feature_map(Map::Relu)),
        ("grouped queries", base().with_kv_heads(Some(1)).with_decay(DecayConfig::Gated).with_convolution(2)),
        ("negative eigenvalues", Config::tripartite(d_model, HEADS).with_largest_write(2.0).with_chunk(5)),
        ("writes that start strong", {
            let turning = Config::tripartite(d_model, HEADS).with_largest_write(2.0);
            turning.with_initial_write(Some([1.9, 1.0])).with_initial_leak(Some([1e-3, 0.05]))
        }),
        ("undecayed head", Config::tripartite(d_model, HEADS).with_undecayed_heads(1).with_chunk(5)),
        ("undecayed, fixed", four().with_decay(DecayConfig::Fixed).with_undecayed_heads(1)),
        ("undecayed, griffin", base().with_decay(DecayConfig::Griffin).with_undecayed_heads(1)),
        (
            "two writes",
            Config::tripartite(d_model, HEADS).with_largest_write(2.0).with_writes_per_step(2).with_chunk(5),
        ),
        ("three writes", {
            let grouped = four().with_writes_per_step(3).with_decay(DecayConfig::Gated).with_convolution(3);
            grouped.with_write_gate(true).with_position(PositionConfig::Rotary { theta: 100.0 })
        }),
        (
            "two writes, all at once",
            base().with_writes_per_step(2).with_undecayed_heads(1).with_decay(DecayConfig::Griffin),
        ),
        ("two writes, exponent", {
            let bent = base().with_normalizer(Normalizer::Calcium { alpha: 0.5 }).with_decay(DecayConfig::Fixed);
            bent.with_writes_per_step(2)
        }),
        ("two writes, hedgehog", delta().with_feature_map(Map::Hedgehog).with_writes_per_step(2).with_write_gate(true)),
        ("half softmax", Config::tripartite(d_model, HEADS).with_softmax_heads(1).with_chunk(5)),
        ("half softmax, grouped", {
            let half = four().with_causal(true).with_softmax_heads(2).with_softmax_rotary_theta(None);
            half.with_decay(DecayConfig::Gated).with_feature_map(random)
        }),
        ("quarter softmax, two writes", {
            let quarter = Config::tripartite(d_model, 4).with_softmax_heads(1).with_largest_write(2.0);
            quarter.with_writes_per_step(2).with_undecayed_heads(1).with_chunk(6)
        }),
        ("grouped, delta", Config::tripartite(d_model, HEADS).with_kv_heads(Some(1)).with_chunk(5)),
        ("two groups", four().with_decay(DecayConfig::Gated).with_convolution(2).with_write_gate(true)),
        ("two groups, random", four().with_feature_map(random)),
        ("two groups, delta", Config::tripartite(d_model, 4).with_kv_heads(Some(2)).with_chunk(5)),
        ("grouped, random", base().with_kv_heads(Some(1)).with_feature_map(random)),
        ("no bias", base().with_bias(false)),
        ("window", window(3)),
        ("window of one step", gated_window(1).with_feature_map(Map::Hedgehog)),
        ("window, gated decay + write gate", gated_window(8)),
        (
            "window, taylor",
            window(4).with_feature_map(Map::Taylor).with_position(PositionConfig::Rotary { theta: 100.0 }),
        ),
        ("window, random", window(30).with_feature_map(random)),
        ("window, grouped", gated_window(3).with_kv_heads(Some(1)).with_convolution(3).with_output_gate(true)),
        ("window alone", gated_window(5).with_memory(false)),
    ]
}

/// With `causal` on and off, where a variant can be both: a window and softmax heads only look back.
pub fn ways(config: &Config) -> &'static [bool] {
    if config.window > 0 || config.softmax_heads > 0 { &[true] } else { &[true, false] }
}

/// A layer with weights away from their special initial values, the same for the same variant.
pub fn layer(config: &Config, device: &Device) -> AstrocyticAttention {
    seeded(11, device, || {
        let mut layer = config.init(device);
        let nudge = |t: Tensor<2>| {
            let noise = Tensor::random(t.dims(), Distribution::Normal(0.0, 0.3), device);
            (t + noise).detach()
        };
        if let Some(filters) = &mut layer.convolution {
            for filter in filters {
                filter.kernel = Param::from_tensor(nudge(filter.kernel.val()));
            }
        }
        layer.visit(&mut Materialize);
        if let Some(scale) = &mut layer.window_scale {
            let heads = config.n_heads;
            let values = (0..heads).map(|h| 0.5 - h as f32).collect::<Vec<_>>();
            *scale = Param::from_tensor(Tensor::from_data(TensorData::new(values, [heads]), device));
        }
        layer
    })
}

/// Casts every parameter.
pub struct To(pub DType);

impl ModuleMapper for To {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

/// The same layer with the same value in all writes of a step, so that weights summed over them
/// times that value are what is read.
pub fn with_one_value(mut layer: AstrocyticAttention) -> AstrocyticAttention {
    let (value, config) = (layer.value.clone(), layer.config().clone());
    let first = config.softmax_key_heads() * config.head_size();
    let (count, times) = (config.memory_key_heads() * config.head_size(), config.writes_per_step - 1);
    if let Some(further) = &mut layer.further {
        let of_memories = value.weight.val().narrow(1, first, count).repeat_dim(1, times);
        further.value.weight = Param::from_tensor(of_memories);
        let of_memories = |bias: Param<Tensor<1>>| bias.val().narrow(0, first, count).repeat_dim(0, times);
        further.value.bias = value.bias.map(|bias| Param::from_tensor(of_memories(bias)));
    }
    layer
}

/// A module whose parameters are drawn while no other test draws.
pub fn drawn<M: Module>(device: &Device, make: impl FnOnce() -> M) -> M {
    seeded(12, device, || {
        let module = make();
        module.visit(&mut Materialize);
        module
    })
}

/// Burn draws a parameter when it is first used.
struct Materialize;

impl ModuleVisitor for Materialize {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        param.val();
    }
}

pub fn input(batch: usize, steps: usize, seed: u64, device: &Device) -> Tensor<3> {
    seeded(seed, device, || Tensor::random([batch, steps, D_MODEL], Distribution::Normal(0.0, 1.0), device))
}

/// Root mean square of the difference, relative to that of `expected`.
pub fn relative_error<const D: usize>(found: Tensor<D>, expected: Tensor<D>) -> f64 {
    let found: Vec<f64> = found.into_data().convert_dtype(DType::F64).iter::<f64>().collect();
    let expected: Vec<f64> = expected.into_data().convert_dtype(DType::F64).iter::<f64>().collect();
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().chain(&expected).all(|x| x.is_finite()), "not finite");
    let square = |xs: &mut dyn Iterator<Item = f64>| xs.map(|x| x * x).sum::<f64>();
    let difference = square(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
    let size = square(&mut expected.iter().copied());
    if difference == 0.0 { 0.0 } else { (difference / size.max(1e-300)).sqrt() }
}

/// The same to the bit; on a GPU, whose sums come in any order, the forms' bound.
pub fn assert_same<const D: usize>(found: Tensor<D>, expected: Tensor<D>, what: &str) {
    if cfg!(feature = "wgpu") {
        let error = relative_error(found, expected);
        assert!(error < 1e-5, "{what}: {error:e}");
    } else {
        let bits = |tensor: Tensor<D>| tensor.into_data().iter::<f32>().map(f32::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(found), bits(expected), "{what}");
    }
}
