//! Kernels `φ(q) · φ(k)` of many feature maps, in f64: those of the authors' notebooks to "Building
//! transformers from neurons and astrocytes" (function `get_phi`), which estimate `e^{q·k}` from m
//! random directions w, and those of the attention crate.

use astrocytic_attention::feature_map::{FeatureMap, FeatureMapConfig, Side};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::RngExt;

use super::random::{normals, seeded};

/// Features made at a time.
const CHUNK: usize = 256;
/// Where `truncated` clips `e^{w·x}`.
const THRESHOLD: f64 = 150.0;

/// Maps of random directions; x is scaled by `d^{−¼}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RandomMap {
    /// `e^{w·x − |x|²/2} / √m`: positive random features (FAVOR+, arXiv 2009.14794).
    Positive,
    /// The same with directions that are orthogonal in blocks.
    PositiveOrthogonal,
    /// `√(2/m) cos(w·x + b) e^{|x|²/2}`.
    Cosine,
    /// `1 + w·x − |x|²/2 − ½ ln m`: the first order of the positive features; no estimate of the
    /// kernel.
    Linear,
    /// `min(e^{w·x}, 150) e^{−|x|²/2} / √m`: firing that saturates.
    Truncated,
    /// `max(0, √(2/(π m)) cos(w·x + b) e^{|x|²/2})`.
    PositiveCosine,
    /// `√(2/m) sin(w·x + b) e^{|x|²/2}`, the sine held at ±1 outside of ±π/2.
    ClippedSine,
}

impl RandomMap {
    pub(super) const ALL: [Self; 7] = [
        Self::Positive,
        Self::PositiveOrthogonal,
        Self::Cosine,
        Self::Linear,
        Self::Truncated,
        Self::PositiveCosine,
        Self::ClippedSine,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive random",
            Self::PositiveOrthogonal => "positive random, orthogonal",
            Self::Cosine => "cosine",
            Self::Linear => "linear",
            Self::Truncated => "truncated positive random",
            Self::PositiveCosine => "positive cosine",
            Self::ClippedSine => "clipped sine",
        }
    }

    /// `φ(q) · φ(k)` for all pairs, `[batch, heads, steps, steps]`, of queries and keys `[batch,
    /// heads, steps, d]` in f64.
    pub(super) fn kernel(self, query: &Tensor<4>, key: &Tensor<4>, m: usize, seed: u64) -> Tensor<4> {
        let [_, heads, _, d] = query.dims();
        let device = query.device();
        let scale = (d as f64).powf(-0.25);
        let [query, key] = [query, key].map(|x| x.clone().mul_scalar(scale));
        let mut rng = seeded(seed);
        let mut sum: Option<Tensor<4>> = None;
        for (chunk, first) in (0..m).step_by(CHUNK).enumerate() {
            let count = CHUNK.min(m - first);
            let directions = match self {
                Self::PositiveOrthogonal => {
                    // Directions are orthogonal within blocks of d alone: a chunk costs at most one
                    // incomplete block.
                    let config =
                        FeatureMapConfig::PositiveRandom { features: count, seed: seed ^ (chunk as u64) << 20 };
                    let map = config.init(heads, heads, d, &device);
                    map.projection.expect("a random map has directions").val().cast(DType::F64)
                }
                _ => tensor(normals(&mut rng, heads * count, d, 1.0).concat(), [heads, count, d], &device),
            };
            let phases: Vec<f64> = (0..heads * count).map(|_| rng.random_range(0.0..std::f64::consts::TAU)).collect();
            let phases = tensor(phases, [heads, 1, count], &device).unsqueeze::<4>();
            let directions = directions.unsqueeze::<4>().transpose();
            let [of_query, of_key] = [&query, &key].map(|x| self.features(x.clone(), &directions, &phases, m as f64));
            let part = of_query.matmul(of_key.transpose());
            sum = Some(match sum {
                Some(sum) => sum + part,
                None => part,
            });
        }
        sum.expect("m is at least 1")
    }

    fn features(self, x: Tensor<4>, directions: &Tensor<4>, phases: &Tensor<4>, m: f64) -> Tensor<4> {
        let half = x.clone().square().sum_dim(3).mul_scalar(0.5);
        let along = x.matmul(directions.clone());
        match self {
            Self::Positive | Self::PositiveOrthogonal => (along - half).exp().mul_scalar(m.powf(-0.5)),
            Self::Cosine => (along + phases.clone()).cos() * half.exp().mul_scalar((2.0 / m).sqrt()),
            Self::Linear => along - half + (1.0 - 0.5 * m.ln()),
            Self::Truncated => along.exp().clamp_max(THRESHOLD) * half.neg().exp().mul_scalar(m.powf(-0.5)),
            Self::PositiveCosine => {
                let scale = (2.0 / (std::f64::consts::PI * m)).sqrt();
                ((along + phases.clone()).cos() * half.exp().mul_scalar(scale)).clamp_min(0.0)
            }
            Self::ClippedSine => {
                let quarter = std::f64::consts::FRAC_PI_2;
                let sine = (along + phases.clone()).clamp(-quarter, quarter).sin();
                sine * half.exp().mul_scalar((2.0 / m).sqrt())
            }
        }
    }
}

/// `φ(q) · φ(k)` of the attention crate's maps of queries and of keys. The keys' map has
/// `key_heads` heads; `key` repeats each for the query heads of its group.
pub(super) fn of_modules(maps: [&FeatureMap; 2], key_heads: usize, query: &Tensor<4>, key: &Tensor<4>) -> Tensor<4> {
    let [of_query, of_key] = maps;
    let query = of_query.forward(query.clone(), Side::Query);
    let [batch, heads, steps, d] = key.dims();
    let group = heads / key_heads;
    let own = key.clone().reshape([batch, key_heads, group, steps * d]).narrow(2, 0, 1);
    let key = of_key.forward(own.reshape([batch, key_heads, steps, d]), Side::Key);
    let m = key.dims()[3];
    let key = key.unsqueeze_dim::<5>(2).expand([batch, key_heads, group, steps, m]);
    query.matmul(key.reshape([batch, heads, steps, m]).transpose())
}

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short queries and keys, for which few features have moderate tails, and `e^{q·k/√d}`.
    fn case() -> [Tensor<4>; 3] {
        let device = Device::flex();
        let mut rng = seeded(1);
        let mut draw = || tensor(normals(&mut rng, 10, 4, 0.5).concat(), [1, 2, 5, 4], &device);
        let [query, key] = [draw(), draw()];
        let exact = query.clone().matmul(key.clone().transpose()).mul_scalar(0.5).exp();
        [query, key, exact]
    }

    fn error(found: Tensor<4>, exact: &Tensor<4>) -> f64 {
        ((found - exact.clone()).square().mean() / exact.clone().square().mean()).sqrt().into_scalar::<f64>()
    }

    #[test]
    fn maps_that_estimate_the_kernel_tend_to_it_as_the_root_of_m() {
        let [query, key, exact] = case();
        for map in [RandomMap::Positive, RandomMap::PositiveOrthogonal, RandomMap::Cosine, RandomMap::Truncated] {
            let mean = |m: usize| {
                let squares = (0..12).map(|seed| error(map.kernel(&query, &key, m, seed), &exact).powi(2));
                (squares.sum::<f64>() / 12.0).sqrt()
            };
            let (few, many) = (mean(64), mean(4096));
            assert!((4.0..16.0).contains(&(few / many)) && many < 0.15, "{map:?}: {few} {many}");
        }
    }

    #[test]
    fn the_others_do_not() {
        let [query, key, exact] = case();
        for map in [RandomMap::Linear, RandomMap::PositiveCosine, RandomMap::ClippedSine] {
            let found = error(map.kernel(&query, &key, 8192, 0), &exact);
            assert!(found > 0.2, "{map:?}: {found}");
        }
    }

    #[test]
    fn features_are_those_of_the_formulas() {
        let device = Device::flex();
        let one = |value: f64| tensor(vec![value], [1, 1, 1, 1], &device);
        // x = 0.5, w = 3, b = 2, m = 4.
        let of = |map: RandomMap| map.features(one(0.5), &one(3.0), &one(2.0), 4.0).into_scalar::<f64>();
        let (u, half) = (1.5f64, 0.125f64);
        for (map, expected) in [
            (RandomMap::Positive, (u - half).exp() / 2.0),
            (RandomMap::Cosine, 0.5f64.sqrt() * (u + 2.0).cos() * half.exp()),
            (RandomMap::Linear, 1.0 + u - half - 0.5 * 4f64.ln()),
            (RandomMap::Truncated, u.exp() * (-half).exp() / 2.0),
            (RandomMap::PositiveCosine, 0.0),
            (RandomMap::ClippedSine, 0.5f64.sqrt() * half.exp()),
        ] {
            assert!((of(map) - expected).abs() < 1e-12, "{map:?}");
        }
    }
}
