//! What a layer costs: floating-point operations as they are executed, and bytes of state.

use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, DecayConfig, LstmConfig, Normalizer, Plasticity, PositionConfig,
    SoftmaxAttentionConfig,
};

/// Bytes of an f32.
const FLOAT: u64 = 4;

/// Operations of an attention's forward pass for each of `steps` tokens of a sequence; a
/// multiply-add counts as two, an exp or a division as one. Element-wise work below 1 % of the
/// products (norms, gates) is left out.
pub fn flops_per_token(attention: &AttentionConfig, steps: usize) -> f64 {
    match attention {
        AttentionConfig::Astrocytic(config) => flops_of_memory(config, steps),
        AttentionConfig::Softmax(config) => flops_of_softmax(config, steps),
        AttentionConfig::Burn(config) => {
            flops_of_softmax(&SoftmaxAttentionConfig::new(config.d_model, config.n_heads), steps)
        }
        AttentionConfig::Lstm(config) => flops_of_lstm(config),
        AttentionConfig::Off => 0.0,
        other => unreachable!("what costs {other}?"),
    }
}

/// Bytes of an attention's state of one sequence after `steps` tokens, in f32.
pub fn state_bytes(attention: &AttentionConfig, steps: usize) -> u64 {
    match attention {
        AttentionConfig::Astrocytic(config) => bytes_of_memory(config, steps),
        AttentionConfig::Softmax(config) => bytes_of_softmax(config, steps),
        AttentionConfig::Burn(config) => {
            bytes_of_softmax(&SoftmaxAttentionConfig::new(config.d_model, config.n_heads), steps)
        }
        AttentionConfig::Lstm(config) => FLOAT * 2 * config.hidden_size() as u64,
        AttentionConfig::Off => 0,
        other => unreachable!("what takes {other}?"),
    }
}

/// Query, key, value and output projections, gate and convolutions.
fn surroundings(d_model: usize, key_width: usize, convolution: usize, gate: bool) -> f64 {
    let (d, key) = (d_model as f64, key_width as f64);
    let matrices = 2.0 * d * (2.0 * d + 2.0 * key) + if gate { 2.0 * d * d } else { 0.0 };
    matrices + 2.0 * convolution as f64 * (d + 2.0 * key)
}

fn history_bytes(d_model: usize, key_width: usize, convolution: usize) -> u64 {
    FLOAT * (convolution.saturating_sub(1) * (d_model + 2 * key_width)) as u64
}

/// Of the chunkwise form.
fn flops_of_memory(config: &AstrocyticAttentionConfig, steps: usize) -> f64 {
    let size = config.head_size();
    let (heads, key_heads) = (config.memory_heads() as f64, config.memory_key_heads() as f64);
    let (m, c) = (config.features() as f64, config.chunk.min(steps) as f64);
    let plain = matches!(config.normalizer, Normalizer::Calcium { alpha } if alpha == 1.0)
        && !matches!(config.position, PositionConfig::Distance { .. });
    let d_v = size as f64 + if plain { 1.0 } else { 0.0 };
    // Of a query head, for each write: scores and their product with the values inside a chunk, and
    // reading the state, because the forms read after every write. Of a key head: writing it.
    let (mut read, mut write) = (2.0 * c * (m + d_v) + 2.0 * m * d_v, 2.0 * m * d_v);
    if !config.causal && config.plasticity == Plasticity::Hebbian && config.decay == DecayConfig::None {
        read = 2.0 * m * d_v; // one sum over all steps
    } else if !config.causal {
        read += 2.0 * m * d_v; // what a causal pass reads is not used, and every query reads the end
    }
    if config.plasticity == Plasticity::Delta {
        let inverse = (c.log2().ceil() - 1.0).max(0.0) * 4.0 * c * c;
        write += 2.0 * c * m + inverse + 2.0 * c * (m + d_v) + 2.0 * m * d_v;
    }
    if !plain && matches!(config.normalizer, Normalizer::Calcium { .. }) {
        write += 2.0 * c * m;
        read += 4.0 * m;
    }
    let writes = config.writes_per_step as f64;
    let reads = if config.causal { writes } else { 1.0 };
    let mut maps = (heads * reads + key_heads * writes) * config.feature_map.flops(size);
    if let PositionConfig::Distance { max_steps, .. } = config.position {
        maps += 2.0 * (max_steps * size) as f64 + key_heads * config.feature_map.flops(size);
    }
    let gated = |is_gated: bool, heads: usize| if is_gated { 2.0 * (config.d_model * heads) as f64 } else { 0.0 };
    let written = config.memory_key_heads() * config.writes_per_step;
    let decaying = config.memory_key_heads() - config.undecayed_heads;
    let gates = gated(config.write_gate, written) + gated(config.decay.is_gated(), decaying);
    let memory = if config.memory { heads * reads * read + key_heads * writes * write + maps } else { 0.0 };
    // Each block of queries meets its own steps and a window before them.
    let block = config.window.min(steps) as f64;
    let window = if config.window > 0 { (block + config.window as f64) * (4.0 * size as f64 + 2.0) } else { 0.0 };
    let [_, key_width, _] = config.heads_of_channels().map(|heads| heads * size);
    surroundings(config.d_model, key_width, config.convolution, config.output_gate)
        + memory
        + heads * window
        + config.softmax_heads as f64 * flops_of_mixing(size, steps)
        + gates
}

fn bytes_of_memory(config: &AstrocyticAttentionConfig, steps: usize) -> u64 {
    let (d, memories) = (config.head_size(), config.memory_key_heads());
    let [_, key_width, _] = config.heads_of_channels().map(|heads| heads * d);
    let calcium = usize::from(matches!(config.normalizer, Normalizer::Calcium { .. }));
    FLOAT * (memories * config.features() * (d + calcium)) as u64
        + FLOAT * (memories * config.window * (2 * d + 2)) as u64
        + FLOAT * (2 * steps * config.softmax_key_heads() * d) as u64
        + history_bytes(config.d_model, key_width, config.convolution)
}

/// Scores, softmax and reads of one head.
fn flops_of_mixing(size: usize, steps: usize) -> f64 {
    (4 * size * steps + 5 * steps) as f64
}

/// Of the whole T×T matrix, as it is executed.
fn flops_of_softmax(config: &SoftmaxAttentionConfig, steps: usize) -> f64 {
    let key_width = config.d_model / config.n_heads * config.key_heads();
    let mixing = config.n_heads as f64 * flops_of_mixing(config.d_model / config.n_heads, steps);
    let around = surroundings(config.d_model, key_width, config.convolution, config.output_gate);
    let gate = if config.decay.is_gated() { 2.0 * (config.d_model * config.key_heads()) as f64 } else { 0.0 };
    // A column more of scores and reads.
    let fading = if config.decay == DecayConfig::None { 0.0 } else { (4 * config.n_heads * steps) as f64 };
    around + mixing + gate + fading
}

fn bytes_of_softmax(config: &SoftmaxAttentionConfig, steps: usize) -> u64 {
    let key_width = config.d_model / config.n_heads * config.key_heads();
    let fading = if config.decay == DecayConfig::None { 0 } else { config.key_heads() };
    FLOAT * (2 * steps * (key_width + fading)) as u64 + history_bytes(config.d_model, key_width, config.convolution)
}

/// The products, five functions of two operations each and four more operations for each number of
/// the state.
fn flops_of_lstm(config: &LstmConfig) -> f64 {
    let (d, hidden) = (config.d_model as f64, config.hidden_size() as f64);
    2.0 * (d * 4.0 * hidden + hidden * 4.0 * hidden + hidden * d) + 14.0 * hidden
}
