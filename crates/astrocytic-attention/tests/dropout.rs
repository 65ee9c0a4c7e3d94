//! Dropout by a kernel: what share it drops, that it drops elements one by one and anew each time,
//! and that gradients pass where values did. One test, for Burn's random numbers belong to the process.

// Burn 0.22 deprecates its ndarray backend. It keeps its kernels until Burn drops it.
#![allow(deprecated)]

use astrocytic_attention::ops::dropout;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::{Device, Distribution, Tensor};

const ROWS: usize = 300;
const WIDTH: usize = 1_024;

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Which of a tensor of ones are kept.
fn kept(layer: &Dropout, device: &Device) -> Vec<f64> {
    let kept = numbers(dropout(Tensor::<2>::ones([ROWS, WIDTH], device), layer));
    let scale = 1.0 / (1.0 - layer.prob);
    assert!(kept.iter().all(|&x| x == 0.0 || (x / scale - 1.0).abs() < 1e-6));
    kept.into_iter().map(|x| if x == 0.0 { 0.0 } else { 1.0 }).collect()
}

/// How far the mean of a product lies from that of independent elements, in standard errors.
fn dependence(a: &[f64], b: &[f64], keeps: f64) -> f64 {
    let count = a.len().min(b.len());
    let mean = a.iter().zip(b).map(|(a, b)| (a - keeps) * (b - keeps)).sum::<f64>() / count as f64;
    mean / (keeps * (1.0 - keeps) / (count as f64).sqrt())
}

#[test]
fn elements_are_dropped_by_their_share_one_by_one_and_gradients_with_them() {
    for device in [Device::flex(), Device::ndarray()].map(Device::autodiff) {
        for probability in [0.1, 0.5] {
            let layer = DropoutConfig::new(probability).init();
            let keeps = 1.0 - probability;
            device.seed(7);
            let (first, second) = (kept(&layer, &device), kept(&layer, &device));
            let count = first.len() as f64;
            for kept in [&first, &second] {
                let share = kept.iter().sum::<f64>() / count;
                let error = (keeps * probability / count).sqrt();
                assert!((share - keeps).abs() < 4.5 * error, "{share} of {keeps}");
                for apart in [1, 2, 3, 64, WIDTH, 4_096] {
                    let found = dependence(kept, &kept[apart..], keeps);
                    assert!(found.abs() < 4.5, "{apart} apart: {found}");
                }
            }
            let found = dependence(&first, &second, keeps);
            assert!(found.abs() < 4.5, "two calls: {found}");
            device.seed(7);
            assert_eq!(kept(&layer, &device), first, "the same seed");

            // A view, and what passes back through it.
            let x = Tensor::<2>::random([WIDTH, ROWS], Distribution::Uniform(1.0, 2.0), &device).require_grad();
            let dropped = dropout(x.clone().swap_dims(0, 1), &layer);
            let gradients = dropped.clone().sum().backward();
            let gradient = numbers(x.grad(&gradients).unwrap().swap_dims(0, 1));
            for ((x, y), dx) in numbers(x.swap_dims(0, 1)).iter().zip(numbers(dropped)).zip(gradient) {
                assert!(dx == 0.0 && y == 0.0 || (x * dx / y - 1.0).abs() < 1e-6, "{x} {y} {dx}");
            }
        }

        let layer = DropoutConfig::new(0.5).init();
        let x = Tensor::<1>::random([100], Distribution::Uniform(1.0, 2.0), &device);
        let broken = dropout(x.clone() * f64::NAN, &layer);
        assert!(numbers(broken).iter().all(|x| x.is_nan()), "what is not a number stays so");
        let same = [
            dropout(x.clone(), &DropoutConfig::new(0.0).init()),
            dropout(x.clone(), &layer.clone().freeze()),
            dropout(x.clone().inner(), &layer),
        ];
        assert!(same.map(numbers).iter().all(|y| *y == numbers(x.clone())), "nothing is dropped outside of training");
    }
}
