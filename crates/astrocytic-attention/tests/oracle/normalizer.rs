//! What a read is divided by.

use astrocytic_attention::reference::{add, dot, scale, times};

/// Smallest calcium normaliser, and smallest calcium under an exponent.
pub const CALCIUM_FLOOR: f64 = 1e-18;
const RMS_FLOOR: f64 = 1e-5;

/// `n = φ(q) · g^α`; g is floored first where α ≠ 1 (PNAS 2023, doi 10.1073/pnas.2219150120, eq. 12; arXiv 2312.10925).
pub fn calcium(query: &[f64], g: &[f64], alpha: f64) -> f64 {
    query.iter().zip(g).map(|(q, &g)| q * bend(g, alpha)).sum()
}

/// Gradients of [`calcium`] by φ(q) and g.
pub fn calcium_vjp(query: &[f64], g: &[f64], alpha: f64, d_n: f64) -> (Vec<f64>, Vec<f64>) {
    let d_query = g.iter().map(|&g| d_n * bend(g, alpha)).collect();
    let slope = |g: f64| match alpha {
        1.0 => 1.0,
        _ if g > CALCIUM_FLOOR => alpha * g.powf(alpha - 1.0),
        _ => 0.0,
    };
    (d_query, query.iter().zip(g).map(|(q, &g)| d_n * q * slope(g)).collect())
}

fn bend(g: f64, alpha: f64) -> f64 {
    if alpha == 1.0 { g } else { g.max(CALCIUM_FLOOR).powf(alpha) }
}

/// `y / max(n, 1e-18)`.
pub fn divide(y: &[f64], n: f64) -> Vec<f64> {
    scale(y, 1.0 / n.max(CALCIUM_FLOOR))
}

/// Gradients of [`divide`] by y and n; the latter is 0 under the floor.
pub fn divide_vjp(y: &[f64], n: f64, d_out: &[f64]) -> (Vec<f64>, f64) {
    let d_n = if n > CALCIUM_FLOOR { -dot(d_out, y) / (n * n) } else { 0.0 };
    (divide(d_out, n), d_n)
}

/// `y / √(mean y² + 1e-5) ⊙ w`.
pub fn rms(y: &[f64], weight: &[f64]) -> Vec<f64> {
    scale(&times(y, weight), rms_scale(y))
}

/// Gradients of [`rms`] by y and w.
pub fn rms_vjp(y: &[f64], weight: &[f64], d_out: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let r = rms_scale(y);
    let d_unit = times(d_out, weight);
    let mut d_y = scale(&d_unit, r);
    add(&mut d_y, -r.powi(3) * dot(y, &d_unit) / y.len() as f64, y);
    (d_y, scale(&times(d_out, y), r))
}

fn rms_scale(y: &[f64]) -> f64 {
    (dot(y, y) / y.len() as f64 + RMS_FLOOR).powf(-0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Random, check};

    #[test]
    fn gradients() {
        let mut random = Random::new(7);
        for size in [1, 5] {
            let [y, weight, c] = [size; 3].map(|n| random.normals(n));
            let (query, mut g) = (random.uniforms(size), random.uniforms(size));
            g[0] = if size == 1 { 0.5 } else { -0.3 }; // below the floor
            for alpha in [1.0, 0.25] {
                let (d_query, d_g) = calcium_vjp(&query, &g, alpha, 1.5);
                check("calcium, query", &query, &d_query, |query| 1.5 * calcium(query, &g, alpha));
                check("calcium, g", &g, &d_g, |g| 1.5 * calcium(&query, g, alpha));
            }
            let (d_y, d_weight) = rms_vjp(&y, &weight, &c);
            check("rms, y", &y, &d_y, |y| dot(&c, &rms(y, &weight)));
            check("rms, weight", &weight, &d_weight, |weight| dot(&c, &rms(&y, weight)));
            for n in [2.0, 0.01, -1.0] {
                let small = scale(&y, 1e-5);
                let (d_y, d_n) = divide_vjp(&small, n, &c);
                check("divide, y", &small, &d_y, |y| dot(&c, &divide(y, n)));
                check("divide, n", &[n], &[d_n], |n| dot(&c, &divide(&small, n[0])));
            }
        }
    }

    #[test]
    fn floors() {
        assert!((divide(&[1.0], 0.0)[0] / 1e18 - 1.0).abs() < 1e-12);
        assert_eq!(divide_vjp(&[1.0], 5e-19, &[1.0]).1, 0.0);
        assert!((calcium(&[2.0, 3.0], &[4.0, 0.0], 0.5) - (4.0 + 3e-9)).abs() < 1e-15);
        assert_eq!(calcium(&[2.0, 3.0], &[4.0, -1.0], 1.0), 5.0);
        assert_eq!(calcium_vjp(&[1.0], &[5e-19], 0.5, 1.0).1, [0.0]);
    }
}
