//! A device whose default is half precision computes in the precision that it is given. (A process
//! of its own: a device's default is set once.)

mod common;

use astrocytic_attention::position::rotate;
use astrocytic_attention::{AttentionInput, LstmConfig, PositionConfig};
use burn::module::Module;
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use common::{D_MODEL, To, layer, relative_error, variants};

#[test]
fn positions_above_256_stay_apart_where_the_default_is_bf16() {
    let mut device = Device::flex();
    device.configure(FloatDType::BF16).expect("nothing was made on it yet");
    assert_eq!(Tensor::<1>::zeros([1], &device).dtype(), DType::BF16);
    #[allow(deprecated)]
    let other = Device::ndarray();

    // By hand: what stands at position p is turned by p radians.
    let places = [255, 256, 257, 2_049];
    let turned = |device: &Device| {
        let x = Tensor::<4>::from_data(TensorData::new([1f32, 0.0].repeat(4), [1, 1, 4, 2]), (device, DType::F32));
        rotate(x, Tensor::<2, Int>::from_data([places], device), 1e4).into_data().iter::<f32>().collect::<Vec<_>>()
    };
    let expected: Vec<f32> = places.iter().flat_map(|&p| [(p as f32).cos(), (p as f32).sin()]).collect();
    for (found, expected) in turned(&device).iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
    }

    // And every variant as on a device whose default is f32.
    let steps = 300;
    let numbers: Vec<f32> = (0..steps * D_MODEL).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
    let x = |device: &Device| {
        Tensor::<3>::from_data(TensorData::new(numbers.clone(), [1, steps, D_MODEL]), (device, DType::F32))
    };
    for (name, config) in variants() {
        let config = match config.position {
            PositionConfig::Distance { scale, .. } => {
                config.with_position(PositionConfig::Distance { scale, max_steps: steps })
            }
            _ => config,
        };
        let half = layer(&config.with_causal(true), &device).map(&mut To(DType::F32));
        let full = half.clone().to_device(&other);
        let found = half.forward(AttentionInput::self_attn(x(&device))).context;
        let expected = full.forward(AttentionInput::self_attn(x(&other))).context;
        let expected = Tensor::<3>::from_data(expected.into_data(), (&device, DType::F32));
        let error = relative_error(found, expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }

    let half = LstmConfig::new(D_MODEL).init(&device).map(&mut To(DType::F32));
    let full = half.clone().to_device(&other);
    let found = half.forward(AttentionInput::self_attn(x(&device))).context;
    let expected = full.forward(AttentionInput::self_attn(x(&other))).context;
    let error = relative_error(found, Tensor::from_data(expected.into_data(), (&device, DType::F32)));
    assert!(error < 1e-5, "lstm: {error:e}");
}
