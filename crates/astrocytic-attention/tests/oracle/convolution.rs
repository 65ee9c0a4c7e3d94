//! Short causal convolution, channel by channel.

/// `out_tc = Σ_{j<w} kernel_cj x_{t−(w−1)+j, c}`: the last tap is the present.
///
/// x `[T, C]`, kernel `[C, w]`, history (the rows before the first) `[w − 1, C]`; returns out `[T, C]` and the history
/// for what follows.
pub fn convolve(x: &[f64], kernel: &[f64], width: usize, history: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let channels = kernel.len() / width;
    let all = [history, x].concat();
    let out = (0..x.len()).map(|i| (0..width).map(|j| kernel[i % channels * width + j] * all[i + j * channels]).sum());
    (out.collect(), all[x.len()..].to_vec())
}

/// Gradients of [`convolve`] by x, kernel and history.
pub fn convolve_vjp(
    x: &[f64],
    kernel: &[f64],
    width: usize,
    history: &[f64],
    d_out: &[f64],
    d_history: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let channels = kernel.len() / width;
    let all = [history, x].concat();
    let mut d_all = [vec![0.0; x.len()], d_history.to_vec()].concat();
    let mut d_kernel = vec![0.0; kernel.len()];
    for (i, d_out) in d_out.iter().enumerate() {
        for j in 0..width {
            let tap = i % channels * width + j;
            d_all[i + j * channels] += d_out * kernel[tap];
            d_kernel[tap] += d_out * all[i + j * channels];
        }
    }
    let d_x = d_all.split_off(history.len());
    (d_x, d_kernel, d_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check};
    use astrocytic_attention::reference::dot;

    #[test]
    fn the_last_tap_is_the_present() {
        let (out, history) = convolve(&[1.0, 2.0, 3.0], &[10.0, 1.0], 2, &[5.0]);
        assert_eq!((out, history), (vec![51.0, 12.0, 23.0], vec![3.0]));
    }

    #[test]
    fn gradients() {
        let mut random = Random::new(4);
        for (steps, channels, width) in [(5, 3, 4), (1, 2, 3), (2, 1, 4), (0, 2, 2)] {
            let past = (width - 1) * channels;
            let [x, kernel, history, c, c_history] =
                [steps * channels, channels * width, past, steps * channels, past].map(|n| random.normals(n));
            let loss = |x: &[f64], kernel: &[f64], history: &[f64]| {
                let (out, history) = convolve(x, kernel, width, history);
                dot(&c, &out) + dot(&c_history, &history)
            };
            let (d_x, d_kernel, d_history) = convolve_vjp(&x, &kernel, width, &history, &c, &c_history);
            check("x", &x, &d_x, |x| loss(x, &kernel, &history));
            check("kernel", &kernel, &d_kernel, |kernel| loss(&x, kernel, &history));
            check("history", &history, &d_history, |history| loss(&x, &kernel, history));
        }
    }
}
