//! Decay: log a ≤ 0 of one head at one step.

use super::linear::{softplus, softplus_vjp};

/// How fast the memory leaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decay {
    /// log a = 0.
    None,
    /// [`fixed`].
    Fixed,
    /// [`learned`].
    Learned,
    /// [`gated`].
    Gated,
}

/// `log(1 − 2^{−5−h})` of head h (RetNet, arXiv 2307.08621, eq. 8).
pub fn fixed(head: usize) -> f64 {
    (-(-5.0 - head as f64).exp2()).ln_1p()
}

/// `−softplus(p)`.
pub fn learned(p: f64) -> f64 {
    -softplus(p)
}

/// Gradient of [`learned`].
pub fn learned_vjp(p: f64, d_log_decay: f64) -> f64 {
    -softplus_vjp(p, d_log_decay)
}

/// `−softplus(z) · e^A` with `z = x·w + b` (Mamba-2, arXiv 2405.21060; Gated DeltaNet, arXiv 2412.06464).
pub fn gated(z: f64, a: f64) -> f64 {
    -softplus(z) * a.exp()
}

/// Gradients of [`gated`] by z and A.
pub fn gated_vjp(z: f64, a: f64, d_log_decay: f64) -> (f64, f64) {
    (-softplus_vjp(z, d_log_decay) * a.exp(), gated(z, a) * d_log_decay)
}

#[cfg(test)]
mod tests {
    use super::super::check::check;
    use super::*;

    #[test]
    fn gradients() {
        for (z, a) in [(0.3, -0.5), (-4.0, 1.2), (6.0, 0.0)] {
            check("learned", &[z], &[learned_vjp(z, 2.0)], |z| 2.0 * learned(z[0]));
            let (d_z, d_a) = gated_vjp(z, a, 2.0);
            check("gated", &[z, a], &[d_z, d_a], |x| 2.0 * gated(x[0], x[1]));
        }
    }

    #[test]
    fn values() {
        assert!((fixed(0).exp() - 31.0 / 32.0).abs() < 1e-15 && (fixed(2).exp() - 127.0 / 128.0).abs() < 1e-15);
        assert!((learned(0.0).exp() - 0.5).abs() < 1e-15);
        assert!((gated(0.0, 3f64.ln()).exp() - 0.125).abs() < 1e-15);
    }
}
