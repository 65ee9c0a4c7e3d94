//! Linear layers.

use astrocytic_attention::reference::{add, product, product_transposed};

/// `x W + b` for every row; x `[rows, inputs]`, W `[inputs, outputs]`, b `[outputs]` or empty.
pub fn linear(x: &[f64], inputs: usize, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let row = |x: &[f64]| {
        let mut y = product_transposed(weight, x);
        add(&mut y, 1.0, bias);
        y
    };
    x.chunks_exact(inputs).flat_map(row).collect()
}

/// Gradients of [`linear`] by x, W and b.
pub fn linear_vjp(x: &[f64], inputs: usize, weight: &[f64], d_y: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let outputs = weight.len() / inputs;
    let (mut d_weight, mut d_bias) = (vec![0.0; weight.len()], vec![0.0; outputs]);
    let mut d_x = Vec::with_capacity(x.len());
    for (x, d_y) in x.chunks_exact(inputs).zip(d_y.chunks_exact(outputs)) {
        d_x.extend(product(weight, d_y));
        d_weight.chunks_exact_mut(outputs).zip(x).for_each(|(row, &x)| add(row, x, d_y));
        add(&mut d_bias, 1.0, d_y);
    }
    (d_x, d_weight, d_bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check};
    use astrocytic_attention::reference::*;

    #[test]
    fn gradients() {
        let mut random = Random::new(1);
        for (rows, inputs, outputs) in [(1, 1, 1), (3, 4, 2), (2, 1, 5)] {
            let [x, weight, bias, c] =
                [rows * inputs, inputs * outputs, outputs, rows * outputs].map(|n| random.normals(n));
            let (d_x, d_weight, d_bias) = linear_vjp(&x, inputs, &weight, &c);
            check("x", &x, &d_x, |x| dot(&c, &linear(x, inputs, &weight, &bias)));
            check("weight", &weight, &d_weight, |weight| dot(&c, &linear(&x, inputs, weight, &bias)));
            check("bias", &bias, &d_bias, |bias| dot(&c, &linear(&x, inputs, &weight, bias)));
        }
        type Number = (&'static str, fn(f64) -> f64, fn(f64, f64) -> f64);
        let numbers: [Number; 3] =
            [("sigmoid", sigmoid, sigmoid_vjp), ("silu", silu, silu_vjp), ("softplus", softplus, softplus_vjp)];
        for (name, f, vjp) in numbers {
            for x in [-30.0, -2.0, -0.1, 0.0, 0.7, 5.0, 40.0] {
                check(name, &[x], &[vjp(x, 1.5)], |x| 1.5 * f(x[0]));
            }
            assert!(f(-800.0).is_finite() && f(800.0).is_finite() && vjp(-800.0, 1.0).is_finite(), "{name}");
        }
    }
}
