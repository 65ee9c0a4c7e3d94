//! Presets: the configurations of the literature, and this project's own.

use super::config::{AstrocyticAttentionConfig, Normalizer};
use crate::decay::DecayConfig;
use crate::feature_map::FeatureMapConfig;
use crate::ops::Plasticity;
use crate::position::PositionConfig;

impl AstrocyticAttentionConfig {
    /// The network of Kozachkov, Kastanenka and Krotov (PNAS 2023, doi 10.1073/pnas.2219150120):
    /// positive random features, Hebbian writes, calcium normaliser; tends to softmax attention as
    /// features grow.
    pub fn kozachkov2023(d_model: usize, n_heads: usize) -> Self {
        let features = 4 * d_model / n_heads.max(1);
        Self::new(d_model, n_heads).with_feature_map(FeatureMapConfig::PositiveRandom { features, seed: 0 })
    }

    /// Linear attention (Katharopoulos et al., arXiv 2006.16236): elu + 1, Hebbian, calcium
    /// normaliser.
    pub fn linear(d_model: usize, n_heads: usize) -> Self {
        Self::new(d_model, n_heads)
    }

    /// The astromorphic transformer (arXiv 2312.10925): elu + 1, calcium to the power α = 0.25, and
    /// a distance memory for sequences of up to `max_steps`.
    pub fn astromorphic(d_model: usize, n_heads: usize, max_steps: usize) -> Self {
        Self::new(d_model, n_heads)
            .with_normalizer(Normalizer::Calcium { alpha: 0.25 })
            .with_position(PositionConfig::Distance { scale: 0.1, max_steps })
    }

    /// RetNet-like (arXiv 2307.08621): a fixed decay for each head, rotary positions, RMS norm,
    /// output gate.
    pub fn retnet(d_model: usize, n_heads: usize) -> Self {
        Self::new(d_model, n_heads)
            .with_causal(true)
            .with_feature_map(FeatureMapConfig::Identity)
            .with_decay(DecayConfig::Fixed)
            .with_normalizer(Normalizer::Rms)
            .with_position(PositionConfig::Rotary { theta: 10_000.0 })
            .with_output_gate(true)
    }

    /// This project's default: delta rule with gated decay and write strength (Gated DeltaNet,
    /// arXiv 2412.06464), short convolution, output gate, RMS norm for each head.
    pub fn tripartite(d_model: usize, n_heads: usize) -> Self {
        Self::new(d_model, n_heads)
            .with_causal(true)
            .with_feature_map(FeatureMapConfig::Silu)
            .with_decay(DecayConfig::Gated)
            .with_normalizer(Normalizer::Rms)
            .with_plasticity(Plasticity::Delta)
            .with_write_gate(true)
            .with_convolution(4)
            .with_output_gate(true)
            .with_chunk(32)
    }

    /// A memory that tracks a state: that of [`tripartite`](Self::tripartite) with writes that can turn
    /// a sign (arXiv 2411.12537), two of them a token, so that they can rotate (DeltaProduct, arXiv
    /// 2502.10297). Writes begin between erasing and turning what is stored, half of the heads do not
    /// decay, and reads keep their size: without a norm for each head it shows how much of what is
    /// stored lies along a query. Few heads with many features do best.
    pub fn delta_product(d_model: usize, n_heads: usize) -> Self {
        Self::tripartite(d_model, n_heads)
            .with_normalizer(Normalizer::None)
            .with_largest_write(2.0)
            .with_initial_write(Some([1.0, 1.9]))
            .with_writes_per_step(2)
            .with_undecayed_heads(n_heads / 2)
    }
}
