//! Prompts of different lengths in one cached batch: padded tokens are as if they were not there.

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionConfig, LstmConfig, SoftmaxAttentionConfig};
use astrocytic_models::DecoderConfig;
use burn::tensor::{Bool, Device, Int, Tensor};

#[test]
fn a_padded_prompt_goes_on_as_it_would_alone() {
    let device = Device::flex();
    let softmax = SoftmaxAttentionConfig::new(16, 2).with_causal(true).with_rotary_theta(Some(100.0));
    for attention in [
        AttentionConfig::Softmax(softmax),
        AttentionConfig::Lstm(LstmConfig::new(16)),
        AttentionConfig::Astrocytic(AstrocyticAttentionConfig::tripartite(16, 2)),
        AttentionConfig::Astrocytic(AstrocyticAttentionConfig::linear(16, 2).with_causal(true).with_window(3)),
    ] {
        for positions in [None, Some(7)] {
            let model = DecoderConfig::new(11, 16, 2, 24, attention.clone()).with_positions(positions).init(&device);
            let tokens = |rows: [[i64; 5]; 2]| Tensor::<2, Int>::from_data(rows, &device);
            let prompts = tokens([[0, 0, 3, 0, 5], [1, 2, 3, 4, 5]]);
            let padded = Tensor::<2, Bool>::from_data([[true, true, false, true, false], [false; 5]], &device);
            let next = Tensor::<2, Int>::from_data([[7, 8], [9, 10]], &device);
            let mut cache = model.empty_cache(2);
            model.forward_cache_padded(prompts, padded, &mut cache);
            let found = model.forward_cache(next, &mut cache);
            for (row, whole) in [vec![3, 5, 7, 8], vec![1, 2, 3, 4, 5, 9, 10]].into_iter().enumerate() {
                let steps = whole.len();
                let alone = model.forward(Tensor::<1, Int>::from_data(&whole[..], &device).unsqueeze());
                let found = found.clone().narrow(0, row, 1);
                let expected = alone.narrow(1, steps - 2, 2);
                assert!(found.all_close(expected, Some(1e-4), Some(1e-5)), "{attention:?}, {positions:?}, row {row}");
            }
        }
    }
}
