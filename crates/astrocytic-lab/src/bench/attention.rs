//! The attention op alone, and the machine's matrix products.

use std::hint::black_box;

use anyhow::{Result, bail};
use astrocytic_attention::ops::{MemoryInputs, MemorySpec, memory_attention};
use astrocytic_attention::{FeatureMapConfig, Form, Plasticity};
use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Distribution, Tensor};

use super::clock::{median, time};
use super::pull_back::pull_back;
use super::request::Direction;
use super::row::{AttentionRow, PeakRow};
use crate::process_memory;

/// Ours, the plain one first; then softmax: ours, and Burn's own layer with its four projections.
pub(super) const VARIANTS: [&str; 6] = ["linear", "gated", "delta", "tripartite", "softmax", "burn-mha"];

/// Steps in a chunk: of the four tried (16, 32, 64, 128) the fastest for heads of 32 to 64.
const CHUNK: usize = 64;

/// Times a variant for `[batch, heads, head_dim, seq_len]`.
///
/// # Errors
/// For a variant that is not ours.
pub(super) fn measure(
    variant: &str,
    direction: Direction,
    [batch, heads, d, steps]: [usize; 4],
    seconds: f64,
    name: &str,
    device: &Device,
) -> Result<AttentionRow> {
    let backward = direction == Direction::ForwardBackward;
    device.seed(0);
    let before = process_memory::mark();
    let on = if backward { device.clone().autodiff() } else { device.clone() };
    let draw = || Tensor::<4>::random([batch, steps, heads, d], Distribution::Normal(0.0, 1.0), &on);
    let [query, key, value] = [draw(), draw(), draw()].map(|x| if backward { x.require_grad() } else { x });
    let number = || Tensor::<3>::random([batch, steps, heads], Distribution::Normal(1.0, 1.0), &on);
    let leaf = |x: Tensor<3>| if backward { x.detach().require_grad() } else { x };
    let decays = matches!(variant, "gated" | "tripartite");
    let log_decay = decays.then(|| leaf(log_sigmoid(number() + 2.0)));
    let strength = (variant == "tripartite").then(|| leaf(sigmoid(number())));
    let upstream = draw().detach();
    let spec = spec(variant);
    let d_wide = heads * d;
    let mha = (variant == "burn-mha").then(|| {
        let layer = MultiHeadAttentionConfig::new(d_wide, heads).with_dropout(0.0).init(&on);
        let mask = generate_autoregressive_mask(batch, steps, &on);
        (layer, mask)
    });
    let (op, [forward, both]) = operations(variant, [heads, d, steps])?;
    let operations = (batch * heads * steps) as f64 * if backward { both } else { forward };

    let run = || -> Tensor<1> {
        let (query, key, value) = (query.clone(), key.clone(), value.clone());
        let read = match (&mha, op) {
            (Some((layer, mask)), _) => {
                let wide = |x: Tensor<4>| x.reshape([batch, steps, d_wide]);
                let input = MhaInput::new(wide(query), wide(key), wide(value)).mask_attn(mask.clone());
                layer.forward(input).context.reshape([batch, steps, heads, d])
            }
            (None, "softmax") => astrocytic_attention::ops::softmax_attention(query, key, value, true),
            _ => {
                let x = MemoryInputs { query, key, value, log_decay: log_decay.clone(), strength: strength.clone() };
                memory_attention(&spec, x, None, false).0
            }
        };
        if backward { pull_back(read, upstream.clone()) } else { read.narrow(1, 0, 1).sum() }
    };
    let times = time(seconds, || {
        let read = run();
        if backward {
            let gradients = read.backward();
            black_box(query.grad(&gradients));
            black_box(value.grad(&gradients));
        }
        device.sync().expect("the device ends what it was given");
    });
    let ms_median = median(times.clone());
    Ok(AttentionRow {
        op: op.into(),
        variant: variant.into(),
        device: name.into(),
        direction,
        batch,
        heads,
        head_dim: d,
        seq_len: steps,
        ms_median,
        ms_min: times.into_iter().fold(f64::INFINITY, f64::min),
        gflops: Some(operations / ms_median / 1e6),
        peak_mb: process_memory::rise(before),
    })
}

/// The memory that a variant runs.
fn spec(variant: &str) -> MemorySpec {
    let delta = matches!(variant, "delta" | "tripartite");
    MemorySpec {
        plasticity: if delta { Plasticity::Delta } else { Plasticity::Hebbian },
        feature: if delta { FeatureMapConfig::Silu } else { FeatureMapConfig::Elu }
            .element_wise()
            .expect("an element-wise map"),
        unit: delta,
        calcium: !delta,
        causal: true,
        form: Form::Chunkwise(CHUNK),
    }
}

/// The op's name, and the operations of its matrix products for one step of one head: forward, and
/// forward and backward together. Triangles count as the half that they are.
fn operations(variant: &str, [heads, d, steps]: [usize; 3]) -> Result<(&'static str, [f64; 2])> {
    let (c, m, t) = (CHUNK as f64, d as f64, steps as f64);
    Ok(match variant {
        "linear" | "gated" => ("astrocytic", [2.0 * c * m + 4.0 * m * m, 7.0 * c * m + 14.0 * m * m]),
        "delta" | "tripartite" => ("astrocytic", [4.0 * c * m + 6.0 * m * m, 16.0 * c * m + 20.0 * m * m]),
        "softmax" => ("softmax", [2.0 * t * m, 7.0 * t * m]),
        "burn-mha" => {
            let projections = 8.0 * m * (heads * d) as f64;
            ("softmax", [4.0 * t * m + projections, 12.0 * t * m + 3.0 * projections])
        }
        _ => bail!("unknown variant \"{variant}\"; choose from {}", VARIANTS.join(", ")),
    })
}

/// The product of two square matrices of size 2,048.
pub(super) fn matrix_peak(device: &Device) -> PeakRow {
    const SIDE: usize = 2048;
    let draw = || Tensor::<2>::random([SIDE, SIDE], Distribution::Default, device);
    let (a, b) = (draw(), draw());
    let times = time(1.0, || drop(black_box(a.clone().matmul(b.clone()).narrow(0, 0, 1).into_data())));
    PeakRow { op: "matrix_peak".into(), gflops: 2.0 * (SIDE as f64).powi(3) / median(times) / 1e6 }
}
