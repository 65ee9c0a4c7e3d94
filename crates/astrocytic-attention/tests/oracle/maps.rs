//! Feature maps and decays held to their reference functions, and those to central differences.

use astrocytic_attention::feature_map::Side;
use astrocytic_attention::reference::{
    dot, normalize, normalize_vjp, scale, sigmoid, sigmoid_vjp, silu, silu_vjp, softplus, softplus_vjp,
};
use burn::tensor::{DType, Tensor, TensorData};

use crate::check::{Random, check, distance};
use crate::common::{OTHER_PRECISIONS, device, variants};
use crate::numbers;

#[test]
fn functions_of_the_reference() {
    let mut random = Random::new(1);
    type Number = (&'static str, fn(f64) -> f64, fn(f64, f64) -> f64);
    let numbers: [Number; 3] =
        [("sigmoid", sigmoid, sigmoid_vjp), ("silu", silu, silu_vjp), ("softplus", softplus, softplus_vjp)];
    for (name, f, vjp) in numbers {
        for x in [-30.0, -2.0, -0.1, 0.0, 0.7, 5.0, 40.0] {
            check(name, &[x], &[vjp(x, 1.5)], |x| 1.5 * f(x[0]));
        }
        assert!(f(-800.0).is_finite() && f(800.0).is_finite() && vjp(-800.0, 1.0).is_finite(), "{name}");
    }
    for x in [vec![0.0; 3], vec![1e-3, 2e-3, -1e-3], random.normals(3)] {
        let c = random.normals(3);
        check("normalize", &x, &normalize_vjp(&x, &c), |x| dot(&c, &normalize(x)));
    }
}

#[test]
fn references_of_feature_maps_have_their_gradients() {
    let mut random = Random::new(2);
    for (name, config) in variants() {
        let map = config.feature_map;
        for d in [1, 3, 4] {
            let rows = map.init(1, 1, d, &device()).projection.map_or(0, |projection| projection.val().dims()[1]);
            for side in [Side::Key, Side::Query] {
                let (x, other) = (random.normals(d), random.normals(d));
                let projection = random.normals(rows * d);
                let y = map.reference(&x, &projection, side);
                assert_eq!(y.len(), map.features(d));
                let c = random.normals(y.len());
                let (d_x, d_projection) = map.reference_vjp(&x, &projection, side, &c);
                let name = format!("{name}, d {d}, {side:?}");
                check(&name, &x, &d_x, |x| dot(&c, &map.reference(x, &projection, side)));
                check(&name, &projection, &d_projection, |p| dot(&c, &map.reference(&x, p, side)));

                assert!(!map.has_positive_features() || y.iter().all(|&y| y >= 0.0), "{name}: {y:?}");
                let kernel = dot(&y, &map.reference(&other, &projection, side));
                assert!(!map.has_positive_kernel() || kernel >= 0.0, "{name}: {kernel}");
                let [x, other] = [x, other].map(|x| scale(&x, 0.1));
                let [q, k] = [&x, &other].map(|x| map.reference(x, &projection, side));
                let difference = dot(&q, &k) - (dot(&x, &other) / (d as f64).sqrt()).exp();
                assert!(!map.imitates_softmax() || difference.abs() < 1e-4, "{name}: {difference:e}");
                assert!(map.flops(d).is_finite() && map.flops(d) >= 0.0);
            }
        }
    }
}

#[test]
fn feature_maps_are_their_references() {
    if !OTHER_PRECISIONS {
        return;
    }
    let device = device();
    let mut random = Random::new(3);
    for (name, config) in variants() {
        for d in [1, 4, 5] {
            let map = config.feature_map.init(1, 1, d, &device);
            let projection =
                map.projection.as_ref().map_or(Vec::new(), |projection| numbers(projection.val().cast(DType::F64)));
            for side in [Side::Key, Side::Query] {
                let x = random.normals(3 * d);
                let expected: Vec<f64> =
                    x.chunks(d).flat_map(|x| config.feature_map.reference(x, &projection, side)).collect();
                let x = Tensor::<4>::from_data(TensorData::new(x, [1, 1, 3, d]), (&device, DType::F64));
                let error = distance(&numbers(map.forward(x, side)), &expected);
                assert!(error < 1e-12, "{name}, d {d}, {side:?}: {error:e}");
            }
        }
    }
}

#[test]
fn references_of_decays_have_their_gradients() {
    for (name, config) in variants() {
        for (z, rate) in [(0.3, -0.5), (-4.0, 1.2), (6.0, 0.0)] {
            for head in [0, 2] {
                let log_decay = |x: &[f64]| config.decay.reference(head, x[0], x[1]);
                assert!(log_decay(&[z, rate]) <= 0.0, "{name}");
                let found = config.decay.reference_vjp(head, z, rate, 2.0);
                check(name, &[z, rate], &found, |x| 2.0 * log_decay(x));
            }
        }
    }
}
