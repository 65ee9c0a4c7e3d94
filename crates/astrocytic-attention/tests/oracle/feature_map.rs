//! Feature maps φ: one vector of size d in, one of size m out.

use super::algebra::{add, dot, outer, product, product_transposed, scale, times};
use super::linear;

/// Smallest squared length a vector is divided by.
const NORM_FLOOR: f64 = 1e-6;
/// Largest exponent of a positive random feature of a key.
const LARGEST_EXPONENT: f64 = 60.0;

/// Which feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureMap {
    /// [`elu`].
    Elu,
    /// [`relu`].
    Relu,
    /// `x`.
    Identity,
    /// [`silu`].
    Silu,
    /// [`hedgehog`].
    Hedgehog,
    /// [`positive_random`].
    PositiveRandom {
        /// m.
        features: usize,
    },
    /// [`trigonometric`].
    Trigonometric {
        /// m, even.
        features: usize,
    },
    /// [`taylor`].
    Taylor,
    /// [`dpfp`].
    Dpfp {
        /// Number of shifts ν.
        nu: usize,
    },
}

/// Whether a vector is written or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is written.
    Key,
    /// It reads.
    Query,
}

impl FeatureMap {
    /// m for vectors of size d.
    pub fn features(&self, d: usize) -> usize {
        match *self {
            Self::Elu | Self::Relu | Self::Identity | Self::Silu => d,
            Self::Hedgehog => 2 * d,
            Self::PositiveRandom { features } | Self::Trigonometric { features } => features,
            Self::Taylor => 1 + d + d * (d + 1) / 2,
            Self::Dpfp { nu } => 2 * d * nu,
        }
    }

    /// Rows of the projection (W or Ω, each row of size d) of one head; 0 where the map has none.
    pub fn directions(&self, d: usize) -> usize {
        match *self {
            Self::Hedgehog => d,
            Self::PositiveRandom { features } => features,
            Self::Trigonometric { features } => features / 2,
            _ => 0,
        }
    }

    /// φ(x) for x `[d]` and the projection `[directions, d]`.
    pub fn map(&self, x: &[f64], projection: &[f64], side: Side) -> Vec<f64> {
        match *self {
            Self::Elu => elu(x),
            Self::Relu => relu(x),
            Self::Identity => x.to_vec(),
            Self::Silu => silu(x),
            Self::Hedgehog => hedgehog(x, projection),
            Self::PositiveRandom { .. } => positive_random(x, projection, side),
            Self::Trigonometric { .. } => trigonometric(x, projection),
            Self::Taylor => taylor(x),
            Self::Dpfp { nu } => dpfp(x, nu),
        }
    }

    /// Gradients of [`map`](Self::map) by x and the projection (empty where the map has none).
    pub fn map_vjp(&self, x: &[f64], projection: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let alone = |d_x: Vec<f64>| (d_x, Vec::new());
        match *self {
            Self::Elu => alone(elu_vjp(x, d_y)),
            Self::Relu => alone(relu_vjp(x, d_y)),
            Self::Identity => alone(d_y.to_vec()),
            Self::Silu => alone(silu_vjp(x, d_y)),
            Self::Hedgehog => hedgehog_vjp(x, projection, d_y),
            Self::PositiveRandom { .. } => positive_random_vjp(x, projection, side, d_y),
            Self::Trigonometric { .. } => trigonometric_vjp(x, projection, d_y),
            Self::Taylor => alone(taylor_vjp(x, d_y)),
            Self::Dpfp { nu } => alone(dpfp_vjp(x, nu, d_y)),
        }
    }
}

/// `x / √(Σ x² + 1e-6)`.
pub fn normalize(x: &[f64]) -> Vec<f64> {
    scale(x, (dot(x, x) + NORM_FLOOR).powf(-0.5))
}

/// Gradient of [`normalize`].
pub fn normalize_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    let r = (dot(x, x) + NORM_FLOOR).powf(-0.5);
    let mut d_x = scale(d_y, r);
    add(&mut d_x, -r.powi(3) * dot(x, d_y), x);
    d_x
}

/// `elu(x) + 1 = exp(min(x, 0)) + max(x, 0)` (arXiv 2006.16236, eq. 7).
pub fn elu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.min(0.0).exp() + x.max(0.0)).collect()
}

/// Gradient of [`elu`].
pub fn elu_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    x.iter().zip(d_y).map(|(x, d_y)| d_y * x.min(0.0).exp()).collect()
}

/// `max(x, 0)`.
pub fn relu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|x| x.max(0.0)).collect()
}

/// Gradient of [`relu`]; 0 at 0.
pub fn relu_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    x.iter().zip(d_y).map(|(&x, &d_y)| if x > 0.0 { d_y } else { 0.0 }).collect()
}

/// `x · sigmoid(x)`.
pub fn silu(x: &[f64]) -> Vec<f64> {
    x.iter().map(|&x| linear::silu(x)).collect()
}

/// Gradient of [`silu`].
pub fn silu_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    x.iter().zip(d_y).map(|(&x, &d_y)| linear::silu_vjp(x, d_y)).collect()
}

/// `[x, −x]`.
fn mirror(x: &[f64]) -> Vec<f64> {
    x.iter().copied().chain(x.iter().map(|x| -x)).collect()
}

fn mirror_vjp(d_y: &[f64]) -> Vec<f64> {
    let (left, right) = d_y.split_at(d_y.len() / 2);
    left.iter().zip(right).map(|(l, r)| l - r).collect()
}

/// Softmax over `[xW, −xW]`, W `[d, d]` (Hedgehog, arXiv 2402.04347, section 4.2).
pub fn hedgehog(x: &[f64], w: &[f64]) -> Vec<f64> {
    let z = mirror(&product_transposed(w, x));
    let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = z.iter().map(|z| (z - largest).exp()).collect();
    scale(&e, 1.0 / e.iter().sum::<f64>())
}

/// Gradients of [`hedgehog`] by x and W.
pub fn hedgehog_vjp(x: &[f64], w: &[f64], d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let y = hedgehog(x, w);
    let mean = dot(&y, d_y);
    let d_mirrored: Vec<f64> = y.iter().zip(d_y).map(|(y, d_y)| y * (d_y - mean)).collect();
    let d_z = mirror_vjp(&d_mirrored);
    (product(w, &d_z), outer(x, &d_z))
}

/// x' = x / d^¼, so that `q'·k' = q·k / √d`.
fn quarter(d: usize) -> f64 {
    (d as f64).powf(-0.25)
}

fn argmax(x: &[f64]) -> usize {
    (1..x.len()).fold(0, |best, i| if x[i] > x[best] { i } else { best })
}

/// `exp(min(e, 60)) / √m` with `e = Ωx' − ‖x'‖²/2`, for queries `exp(e − max e) / √m`; Ω `[m, d]` (FAVOR+, arXiv
/// 2009.14794, lemma 1).
pub fn positive_random(x: &[f64], omega: &[f64], side: Side) -> Vec<f64> {
    let x = scale(x, quarter(x.len()));
    let half = dot(&x, &x) / 2.0;
    let e: Vec<f64> = product(omega, &x).iter().map(|e| e - half).collect();
    let bounded = |e_i: f64| if side == Side::Query { e_i - e[argmax(&e)] } else { e_i.min(LARGEST_EXPONENT) };
    e.iter().map(|&e_i| bounded(e_i).exp() / (e.len() as f64).sqrt()).collect()
}

/// Gradients of [`positive_random`] by x and Ω.
pub fn positive_random_vjp(x: &[f64], omega: &[f64], side: Side, d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let y = positive_random(x, omega, side);
    let mut d_e = times(&y, d_y);
    match side {
        Side::Query => d_e[argmax(&y)] -= dot(&y, d_y),
        // At the bound nothing moves.
        Side::Key => {
            let most = LARGEST_EXPONENT.exp() / (y.len() as f64).sqrt();
            d_e.iter_mut().zip(&y).filter(|(_, y_i)| **y_i >= most).for_each(|(d_e_i, _)| *d_e_i = 0.0);
        }
    }
    let c = quarter(x.len());
    let scaled = scale(x, c);
    let mut d_scaled = product_transposed(omega, &d_e);
    add(&mut d_scaled, -d_e.iter().sum::<f64>(), &scaled);
    (scale(&d_scaled, c), outer(&d_e, &scaled))
}

/// `[cos Ωx̂, sin Ωx̂] / √(m/2)` with `x̂` as [`normalize`] makes it; Ω `[m/2, d]` (RFA, arXiv 2103.02143, eq. 3).
pub fn trigonometric(x: &[f64], omega: &[f64]) -> Vec<f64> {
    let angles = product(omega, &normalize(x));
    let size = (angles.len() as f64).powf(-0.5);
    angles.iter().map(|a| a.cos() * size).chain(angles.iter().map(|a| a.sin() * size)).collect()
}

/// Gradients of [`trigonometric`] by x and Ω.
pub fn trigonometric_vjp(x: &[f64], omega: &[f64], d_y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let y = trigonometric(x, omega);
    let n = y.len() / 2;
    let d_angles: Vec<f64> = (0..n).map(|i| y[i] * d_y[n + i] - y[n + i] * d_y[i]).collect();
    let d_unit = product_transposed(omega, &d_angles);
    (normalize_vjp(x, &d_unit), outer(&d_angles, &normalize(x)))
}

/// The weight of a pair: each stands for two of `x' ⊗ x' / √2`, but one with itself.
fn weight(i: usize, j: usize) -> f64 {
    if i == j { 0.5f64.sqrt() } else { 1.0 }
}

fn pairs(d: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..d).flat_map(move |i| (i..d).map(move |j| (i, j)))
}

/// `[1, x', x'_i x'_j for i < j, x'_i² / √2]`, the pairs row by row, so that `φ(q)·φ(k) = 1 + s + s²/2` for `s = q·k / √d`
/// (Based, arXiv 2402.18668).
pub fn taylor(x: &[f64]) -> Vec<f64> {
    let x = scale(x, quarter(x.len()));
    let products: Vec<f64> = pairs(x.len()).map(|(i, j)| weight(i, j) * x[i] * x[j]).collect();
    [&[1.0], x.as_slice(), products.as_slice()].concat()
}

/// Gradient of [`taylor`].
pub fn taylor_vjp(x: &[f64], d_y: &[f64]) -> Vec<f64> {
    let d = x.len();
    let c = quarter(d);
    let scaled = scale(x, c);
    let (d_linear, d_products) = d_y[1..].split_at(d);
    let mut d_scaled = d_linear.to_vec();
    for ((i, j), d_product) in pairs(d).zip(d_products) {
        d_scaled[i] += weight(i, j) * d_product * scaled[j];
        d_scaled[j] += weight(i, j) * d_product * scaled[i];
    }
    scale(&d_scaled, c)
}

/// `r ⊙ roll(r, j)` for j = 1…ν with `r = relu([x, −x])`, `roll(r, j)_i = r_{i−j}` (arXiv 2102.11174, eq. 37).
pub fn dpfp(x: &[f64], nu: usize) -> Vec<f64> {
    let r = relu(&mirror(x));
    let n = r.len();
    (1..=nu).flat_map(|j| (0..n).map(move |i| (i, rolled(i, j, n)))).map(|(i, k)| r[i] * r[k]).collect()
}

/// Gradient of [`dpfp`].
pub fn dpfp_vjp(x: &[f64], nu: usize, d_y: &[f64]) -> Vec<f64> {
    let mirrored = mirror(x);
    let r = relu(&mirrored);
    let n = r.len();
    let mut d_r = vec![0.0; n];
    for j in 1..=nu {
        for i in 0..n {
            let (k, d_y) = (rolled(i, j, n), d_y[(j - 1) * n + i]);
            d_r[i] += d_y * r[k];
            d_r[k] += d_y * r[i];
        }
    }
    mirror_vjp(&relu_vjp(&mirrored, &d_r))
}

/// Where feature i of `roll(r, j)` comes from.
fn rolled(i: usize, j: usize, n: usize) -> usize {
    (i + n - j % n) % n
}

#[cfg(test)]
mod tests {
    use super::super::check::{Random, check, distance};
    use super::*;

    fn maps() -> [FeatureMap; 10] {
        use FeatureMap::*;
        [
            Elu,
            Relu,
            Identity,
            Silu,
            Hedgehog,
            PositiveRandom { features: 7 },
            Trigonometric { features: 6 },
            Taylor,
            Dpfp { nu: 1 },
            Dpfp { nu: 3 },
        ]
    }

    #[test]
    fn gradients() {
        let mut random = Random::new(2);
        for map in maps() {
            for d in [1, 3, 4] {
                for side in [Side::Key, Side::Query] {
                    let x = random.normals(d);
                    let projection = random.normals(map.directions(d) * d);
                    let y = map.map(&x, &projection, side);
                    assert_eq!(y.len(), map.features(d));
                    let c = random.normals(y.len());
                    let (d_x, d_projection) = map.map_vjp(&x, &projection, side, &c);
                    let name = format!("{map:?}, d {d}, {side:?}");
                    check(&name, &x, &d_x, |x| dot(&c, &map.map(x, &projection, side)));
                    check(&name, &projection, &d_projection, |p| dot(&c, &map.map(&x, p, side)));
                }
            }
        }
        for x in [vec![0.0; 3], vec![1e-3, 2e-3, -1e-3], random.normals(3)] {
            let c = random.normals(3);
            check("normalize", &x, &normalize_vjp(&x, &c), |x| dot(&c, &normalize(x)));
        }
    }

    #[test]
    fn kernels() {
        let mut random = Random::new(3);
        let (q, k) = (random.normals(4), random.normals(4));
        let s = dot(&q, &k) / 2.0;
        assert!((dot(&taylor(&q), &taylor(&k)) - (1.0 + s + s * s / 2.0)).abs() < 1e-12);
        assert!((hedgehog(&q, &random.normals(16)).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let omega = random.normals(20);
        let unit = trigonometric(&q, &omega);
        assert!((dot(&unit, &unit) - 1.0).abs() < 1e-12);
        let largest = positive_random(&q, &omega, Side::Query).into_iter().fold(0.0, f64::max);
        assert!((largest - 0.2f64.sqrt()).abs() < 1e-12);
        // [1, 0, 0, 2] rolled by one is [2, 1, 0, 0].
        assert!(distance(&dpfp(&[1.0, -2.0], 1), &[2.0, 0.0, 0.0, 0.0]) < 1e-12);
        assert_eq!(distance(&dpfp(&[1.0, -2.0], 5)[16..], &dpfp(&[1.0, -2.0], 1)), 0.0);
    }
}
