//! Reference, parallel, chunkwise and recurrent forms give one answer, whole or cut anywhere; nothing sees the future.

mod common;

use astrocytic_attention::{AttentionInput, Form};
use burn::tensor::Tensor;
use common::{assert_same, device, input, layer, relative_error, variants};

const BOUND: f64 = 1e-5;

#[test]
fn forms_agree() {
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        for steps in [1, 2, 23] {
            let x = input(2, steps, 3, &device);
            let run = |form| {
                let mut state = layer.empty_state(2);
                let context = layer.forward_state(AttentionInput::self_attn(x.clone()).form(form), &mut state).context;
                (context, state.memory)
            };
            let (expected, memory) = run(Form::Recurrent);
            let chunks = [1, 2, 7, 16, 64, steps, steps + 3].map(Form::Chunkwise);
            for form in chunks.into_iter().chain([Form::Parallel]) {
                let (found, found_memory) = run(form);
                let error = relative_error(found, expected.clone());
                assert!(error < BOUND, "{name}, {steps} steps, {form:?}: {error:e}");
                let error = relative_error(found_memory, memory.clone());
                assert!(error < BOUND, "{name}, {steps} steps, {form:?}, memory: {error:e}");
            }
        }
    }
}

#[test]
fn a_cut_sequence_goes_on_where_it_was() {
    let device = device();
    let steps = 11;
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        let x = input(2, steps, 4, &device);
        let mut whole_state = layer.empty_state(2);
        let whole = layer.forward_state(AttentionInput::self_attn(x.clone()), &mut whole_state).context;
        for cut in 1..steps {
            let mut state = layer.empty_state(2);
            let part = |start, length| AttentionInput::self_attn(x.clone().narrow(1, start, length));
            let first = layer.forward_state(part(0, cut), &mut state).context;
            let second = layer.forward_state(part(cut, steps - cut), &mut state).context;
            let error = relative_error(Tensor::cat(vec![first, second], 1), whole.clone());
            assert!(error < BOUND, "{name}, cut at {cut}: {error:e}");
            let error = relative_error(state.memory, whole_state.memory.clone());
            assert!(error < BOUND, "{name}, cut at {cut}, memory: {error:e}");
        }
    }
}

#[test]
fn the_future_changes_no_bit_of_the_past() {
    let device = device();
    for (name, config) in variants() {
        let layer = layer(&config.with_causal(true), &device);
        let x = input(1, 19, 5, &device);
        let before = layer.forward(AttentionInput::self_attn(x.clone())).context;
        for t in [1, 6, 7, 18] {
            let changed = x.clone().slice_fill([0..1, t..19, 0..16], 1e3);
            let after = layer.forward(AttentionInput::self_attn(changed)).context;
            let past = |context: Tensor<3>| context.narrow(1, 0, t);
            assert_same(past(after), past(before.clone()), &format!("{name}, changed at {t}"));
        }
    }
}
