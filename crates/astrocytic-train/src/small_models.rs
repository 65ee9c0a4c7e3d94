//! Small models for tests.

use astrocytic_attention::{
    AstrocyticAttentionConfig, AttentionConfig, LstmConfig, PositionConfig, SoftmaxAttentionConfig,
};
use astrocytic_models::DecoderConfig;

/// Base of rotary positions.
const ROTARY_THETA: f64 = 10_000.0;

/// Names that [`decoder`] knows.
pub(crate) const NAMES: [&str; 6] = ["softmax", "softmax-convolution-gate", "tripartite", "linear", "lstm", "off"];

/// A decoder of two layers and heads of that attention, without dropout.
pub(crate) fn decoder(name: &str, vocabulary: usize) -> DecoderConfig {
    let (d_model, heads) = (16, 2);
    let softmax = SoftmaxAttentionConfig::new(d_model, heads).with_causal(true).with_bias(false);
    let softmax = softmax.with_rotary_theta(Some(ROTARY_THETA));
    let attention = match name {
        "softmax" => AttentionConfig::Softmax(softmax),
        "softmax-convolution-gate" => AttentionConfig::Softmax(softmax.with_convolution(4).with_output_gate(true)),
        "tripartite" => {
            AttentionConfig::Astrocytic(AstrocyticAttentionConfig::tripartite(d_model, heads).with_bias(false))
        }
        "linear" => {
            let position = PositionConfig::Rotary { theta: ROTARY_THETA };
            let linear = AstrocyticAttentionConfig::linear(d_model, heads).with_causal(true).with_bias(false);
            AttentionConfig::Astrocytic(linear.with_position(position))
        }
        "lstm" => AttentionConfig::Lstm(LstmConfig::new(d_model)),
        "off" => AttentionConfig::Off,
        other => panic!("no small model {other}"),
    };
    DecoderConfig::new(vocabulary, d_model, 2, 40, attention).with_dropout(0.0)
}
