//! Where a step stands.

use astrocytic_attention::reference::{outer, product_transposed};

/// Turns the pairs `(x_i, x_{i+d/2})` by `position · θ^{−2i/d}` (arXiv 2104.09864, the half-split layout).
pub fn rotate(x: &[f64], position: f64, theta: f64) -> Vec<f64> {
    let half = x.len() / 2;
    let mut turned = vec![0.0; x.len()];
    for i in 0..half {
        let (sin, cos) = (position * theta.powf(-2.0 * i as f64 / x.len() as f64)).sin_cos();
        turned[i] = x[i] * cos - x[i + half] * sin;
        turned[i + half] = x[i + half] * cos + x[i] * sin;
    }
    turned
}

/// Gradient of [`rotate`]: the turn back.
pub fn rotate_vjp(position: f64, theta: f64, d_y: &[f64]) -> Vec<f64> {
    rotate(d_y, -position, theta)
}

/// `r_j = exp(−|position − j| · scale)` for j below `max_steps` (arXiv 2312.10925, section 3).
pub fn nearness(position: f64, scale: f64, max_steps: usize) -> Vec<f64> {
    (0..max_steps).map(|j| (-(position - j as f64).abs() * scale).exp()).collect()
}

/// `r W`, what the feature map turns into the key of the distance memory; r as [`nearness`] makes it, W `[len r, d]`.
pub fn distance_key(nearness: &[f64], w: &[f64]) -> Vec<f64> {
    product_transposed(w, nearness)
}

/// Gradient of [`distance_key`] by W.
pub fn distance_key_vjp(nearness: &[f64], d_y: &[f64]) -> Vec<f64> {
    outer(nearness, d_y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check};
    use astrocytic_attention::reference::dot;

    #[test]
    fn gradients() {
        let mut random = Random::new(5);
        for d in [2, 6] {
            let (x, c) = (random.normals(d), random.normals(d));
            check("rotate", &x, &rotate_vjp(7.0, 100.0, &c), |x| dot(&c, &rotate(x, 7.0, 100.0)));
            let (r, w) = (nearness(3.0, 0.2, 5), random.normals(5 * d));
            check("distance", &w, &distance_key_vjp(&r, &c), |w| dot(&c, &distance_key(&r, w)));
        }
    }

    #[test]
    fn only_the_distance_counts() {
        let mut random = Random::new(6);
        let (q, k) = (random.normals(6), random.normals(6));
        let score = |a: f64, b: f64| dot(&rotate(&q, a, 1e4), &rotate(&k, b, 1e4));
        assert!((score(9.0, 4.0) - score(5.0, 0.0)).abs() < 1e-12);
        assert!((score(0.0, 0.0) - dot(&q, &k)).abs() < 1e-12);
        assert_eq!(nearness(1.0, 0.5, 3), [(-0.5f64).exp(), 1.0, (-0.5f64).exp()]);
    }
}
