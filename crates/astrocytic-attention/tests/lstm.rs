//! LSTM layers: sizes, what they refuse, states, and numbers at the edges. Their equations and
//! gradients are held by the oracle, their kernel with the others.

mod common;

use astrocytic_attention::debug::without_kernels;
use astrocytic_attention::{
    AstrocyticAttentionConfig, Attention, AttentionCache, AttentionConfig, AttentionError, AttentionInput, Lstm,
    LstmConfig, LstmState, SoftmaxAttentionConfig,
};
use burn::config::Config;
use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::attention::generate_autoregressive_mask;
use burn::tensor::{Bool, DType, Gradients, Tensor};
use common::{D_MODEL, HEADS, OTHER_PRECISIONS, To, assert_same, device, drawn, input, relative_error};

fn layer() -> Lstm {
    drawn(&device(), || LstmConfig::new(D_MODEL).init(&device()))
}

#[test]
fn its_parameters_are_those_of_an_attentions_projections() {
    for d_model in [8, 16, 64, 96, 128, 512] {
        let config = LstmConfig::new(d_model);
        let found = config.init(&device()).num_params();
        let softmax = SoftmaxAttentionConfig::new(d_model, 2).with_bias(false).init(&device()).num_params();
        // One number more or less in the state is so many parameters.
        let one = 5 * d_model + 8 * config.hidden_size() + 4;
        assert!(found.abs_diff(softmax) <= one / 2 + 4, "{d_model}: {found} and {softmax}");
    }
    assert_eq!((LstmConfig::new(64).hidden_size(), LstmConfig::new(64).with_hidden(Some(7)).hidden_size()), (35, 7));
}

#[test]
fn it_starts_with_open_forget_gates() {
    let layer = drawn(&device(), || LstmConfig::new(D_MODEL).with_hidden(Some(3)).init(&device()));
    let bias = layer.input.bias.as_ref().expect("gates have one").val().into_data();
    assert_eq!(bias.iter::<f32>().collect::<Vec<_>>(), [0., 0., 0., 1., 1., 1., 0., 0., 0., 0., 0., 0.]);
    let largest = layer.recurrent.weight.val().abs().max().into_scalar::<f32>();
    assert!(largest > 0.3 && largest <= 1.0 / 3f32.sqrt(), "{largest}");
    assert!(layer.output.bias.is_none() && layer.recurrent.bias.is_none());
}

#[test]
fn a_configuration_is_read_back_and_a_wrong_one_is_named() {
    let config = AttentionConfig::Lstm(LstmConfig::new(D_MODEL).with_hidden(Some(5)));
    assert_eq!(AttentionConfig::load_binary(config.to_string().as_bytes()).unwrap(), config);
    assert!(config.is_causal() && config.d_model() == Some(D_MODEL));
    assert_eq!(config.init(&device()).config(), config);
    for (config, part) in [
        (LstmConfig::new(0), "d_model"),
        (LstmConfig::new(4).with_hidden(Some(0)), "hidden"),
        (LstmConfig::new(4).with_hidden(Some(1 << 20)), "hidden"),
        (LstmConfig::new(4).with_forget_bias(f64::NAN), "forget_bias"),
    ] {
        let error = AttentionConfig::from(config).validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn what_it_cannot_honour_is_refused_by_name() {
    let (device, layer) = (device(), layer());
    let x = || input(2, 5, 9, &device);
    let causal = generate_autoregressive_mask(2, 5, &device);
    let hole = causal.clone().slice_fill([1..2, 4..5, 2..3], true);
    let masked = |mask| AttentionInput::self_attn(x()).mask_attn(mask);
    let plain = layer.forward(AttentionInput::self_attn(x())).context;
    assert_same(layer.forward(masked(causal)).context, plain, "the causal mask says nothing new");
    assert_eq!(layer.try_forward(masked(hole)).unwrap_err(), AttentionError::UnsupportedMask);
    for (input, part) in [
        (AttentionInput::new(x(), x(), x()), "cross-attention"),
        (AttentionInput::new(x(), x().narrow(1, 0, 4), x().narrow(1, 0, 4)), "as many queries as keys"),
        (AttentionInput::self_attn(x()).with_weights(), "weights"),
        (AttentionInput::self_attn(Tensor::zeros([2, 5, 3], &device)), "d_model"),
    ] {
        let error = layer.try_forward(input).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mut state = LstmConfig::new(D_MODEL).with_hidden(Some(3)).init(&device).empty_state(2);
    let error = layer.try_forward_state(AttentionInput::self_attn(x()), &mut state).unwrap_err().to_string();
    assert!(error.contains("another configuration"), "{error}");
    let mut attention = Attention::Lstm(layer);
    let error = attention.swap(AstrocyticAttentionConfig::linear(D_MODEL, HEADS)).unwrap_err().to_string();
    assert!(error.contains("an LSTM has no queries") && attention.plain_config().is_none(), "{error}");
    attention.swap(AttentionConfig::Off).unwrap();
}

#[test]
fn any_split_of_a_sequence_is_the_whole_and_its_state_stays_small() {
    let (device, layer) = (device(), layer());
    let x = input(3, 9, 14, &device);
    let whole = layer.forward(AttentionInput::self_attn(x.clone())).context;
    let mut last = layer.empty_state(3);
    layer.forward_state(AttentionInput::self_attn(x.clone()), &mut last);
    for cuts in [vec![4, 5], vec![1; 9], vec![8, 1], vec![2, 3, 4]] {
        let (mut state, mut start) = (layer.empty_state(3), 0);
        let parts = cuts.iter().map(|&steps| {
            let part = AttentionInput::self_attn(x.clone().narrow(1, start, steps));
            start += steps;
            assert_eq!(state.bytes(), 3 * 2 * 4 * LstmConfig::new(D_MODEL).hidden_size());
            layer.forward_state(part, &mut state).context
        });
        let found = Tensor::cat(parts.collect::<Vec<_>>(), 1);
        assert!(relative_error(found, whole.clone()) < 1e-5, "{cuts:?}");
        assert!(relative_error(state.cell, last.cell.clone()) < 1e-5, "{cuts:?}");
        assert!(relative_error(state.hidden, last.hidden.clone()) < 1e-5, "{cuts:?}");
    }
}

#[test]
fn a_padded_step_leaves_the_whole_state_as_it_is() {
    let (device, layer) = (device(), layer());
    let x = input(1, 9, 8, &device);
    let mut expected = layer.empty_state(1);
    layer.forward_state(AttentionInput::self_attn(x.clone().narrow(1, 0, 5)), &mut expected);
    let mut state = expected.clone();
    let nothing = Tensor::<2, Bool>::from_data([[true; 4]], &device);
    let call = AttentionInput::self_attn(x.narrow(1, 5, 4)).mask_pad(nothing);
    let context = layer.forward_state(call, &mut state).context;
    assert_eq!(context.abs().max().into_scalar::<f32>(), 0.0);
    assert_same(state.hidden, expected.hidden, "hidden");
    assert_same(state.cell, expected.cell, "cell");
}

#[test]
fn a_detached_state_has_no_graph() {
    let device = device().autodiff();
    let layer = drawn(&device, || LstmConfig::new(D_MODEL).init(&device));
    let x = Tensor::<3>::from_data(input(1, 6, 21, &common::device()).into_data(), &device).require_grad();
    let mut cache = AttentionCache::Lstm(layer.empty_state(1));
    let attention = Attention::Lstm(layer);
    attention.forward_cache(AttentionInput::self_attn(x.clone()), &mut cache);
    let mut cache = cache.truncate(3);
    let next = Tensor::<3>::ones([1, 2, D_MODEL], &device).require_grad();
    let grads = attention.forward_cache(AttentionInput::self_attn(next.clone()), &mut cache).context.sum().backward();
    assert!(x.grad(&grads).is_none() && next.grad(&grads).is_some());
}

/// Holds every parameter's gradient to be finite.
struct Finite<'a>(&'a Gradients, &'a str);

impl ModuleVisitor for Finite<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let grad = param.val().grad(self.0).expect("trained");
        assert!(grad.is_finite().all().into_scalar::<bool>(), "{}: gradient of a parameter", self.1);
    }
}

#[test]
fn extreme_inputs_give_finite_outputs_and_gradients() {
    let plain = device();
    let device = plain.clone().autodiff();
    let layer = drawn(&device, || LstmConfig::new(D_MODEL).init(&device));
    let hold = |what: &str, size: f64| {
        let x = Tensor::<3>::from_inner(input(2, 9, 15, &plain)).mul_scalar(size).require_grad();
        let context = layer.forward(AttentionInput::self_attn(x.clone())).context;
        assert!(context.clone().is_finite().all().into_scalar::<bool>(), "{what}: output");
        let grads = context.sum().backward();
        let grad = x.grad(&grads).expect("x was asked for its gradient");
        assert!(grad.is_finite().all().into_scalar::<bool>(), "{what}: gradient");
        layer.visit(&mut Finite(&grads, what));
    };
    for (what, size) in [("large", 1e4), ("huge", 1e30), ("zero", 0.0), ("denormal", 1e-40)] {
        hold(what, size);
        without_kernels(|| hold(&format!("{what}, composed"), size));
    }
}

#[test]
fn a_long_sequence_stays_finite() {
    let (device, layer) = (device(), layer());
    let x = input(1, 65_536, 22, &device);
    let mut state = layer.empty_state(1);
    let context = layer.forward_state(AttentionInput::self_attn(x), &mut state).context;
    assert!(context.is_finite().all().into_scalar::<bool>() && state.cell.is_finite().all().into_scalar::<bool>());
}

#[test]
fn half_precision_keeps_the_state_in_single() {
    if !OTHER_PRECISIONS {
        return;
    }
    let (device, layer) = (device(), layer());
    let x = input(1, 33, 16, &device);
    let expected = layer.forward(AttentionInput::self_attn(x.clone())).context;
    for (dtype, bound) in [(DType::F16, 2e-2), (DType::BF16, 2e-1), (DType::F64, 1e-5)] {
        let other = layer.clone().map(&mut To(dtype));
        let mut state = other.empty_state(1);
        let found = other.forward_state(AttentionInput::self_attn(x.clone().cast(dtype)), &mut state).context;
        let LstmState { hidden, cell } = state;
        let kept = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        assert_eq!((found.dtype(), hidden.dtype(), cell.dtype()), (dtype, kept, kept));
        let error = relative_error(found, expected.clone());
        assert!(error < bound, "{dtype:?}: {error:e}");
    }
}
