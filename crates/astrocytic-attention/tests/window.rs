//! The sliding window beside the memory: what it is when there is nothing else, and its limits.

mod common;

use astrocytic_attention::{
    AstrocyticAttention, AstrocyticAttentionConfig as Config, AttentionInput, PositionConfig, SoftmaxAttentionConfig,
};
use common::{D_MODEL, device, input, relative_error, variants};

#[test]
fn a_window_over_everything_is_softmax_attention() {
    let device = device();
    let x = input(2, 20, 1, &device);
    for (name, config) in variants().into_iter().filter(|(_, config)| config.window > 0) {
        let theta = if let PositionConfig::Rotary { theta } = config.position { Some(theta) } else { None };
        let softmax = SoftmaxAttentionConfig::new(D_MODEL, config.n_heads)
            .with_causal(true)
            .with_kv_heads(config.kv_heads)
            .with_rotary_theta(theta)
            .with_convolution(config.convolution)
            .with_output_gate(config.output_gate)
            .init(&device);
        let layer = AstrocyticAttention::from_softmax(&softmax, &config.with_window(20)).unwrap();
        let [found, expected] = [
            layer.forward(AttentionInput::self_attn(x.clone())).context,
            softmax.forward(AttentionInput::self_attn(x.clone())).context,
        ];
        let error = relative_error(found, expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
}

#[test]
fn what_a_window_cannot_have_is_refused() {
    let window = |config: Config| config.with_window(4).validate().unwrap_err().to_string();
    assert!(window(Config::new(16, 2)).contains("causal"));
    assert!(window(Config::tripartite(16, 2)).contains("calcium"));
    assert!(Config::new(16, 2).with_memory(false).validate().unwrap_err().to_string().contains("window"));
}
