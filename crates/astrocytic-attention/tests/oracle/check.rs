//! Central differences, and random numbers to take them at.

/// xorshift64*, enough for test data.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// In (0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    pub fn uniforms(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.uniform()).collect()
    }

    pub fn normals(&mut self, count: usize) -> Vec<f64> {
        (0..count).map(|_| self.normal()).collect()
    }
}

/// Holds `gradient` to central differences of `loss` at `x`, element by element.
pub fn check(name: &str, x: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    assert_eq!(x.len(), gradient.len(), "{name}: size of the gradient");
    let mut moved = x.to_vec();
    for i in 0..x.len() {
        let mut at = |x: f64| {
            moved[i] = x;
            loss(&moved)
        };
        // Fourth order. A step of 1e-5 is short enough where a floor of 1e-6 bends a function. Where the loss is large
        // its rounding is not small over so short a step, and a longer one tells. Where a loss bends within 1e-4, as over
        // a small normaliser, a shorter one does.
        let mut error_at = |step: f64| {
            let mut central = |step: f64| (at(x[i] + step) - at(x[i] - step)) / (2.0 * step);
            let difference = (4.0 * central(step) - central(2.0 * step)) / 3.0;
            (gradient[i] - difference).abs() / gradient[i].abs().max(difference.abs()).max(1e-3)
        };
        let size = x[i].abs().max(1.0);
        let mut error = f64::INFINITY;
        for step in [1e-5, 1e-4, 1e-6] {
            if error > 1e-6 {
                error = error.min(error_at(step * size));
            }
        }
        moved[i] = x[i];
        assert!(error <= 1e-6, "{name}[{i}]: {} by hand is off by {error:e} from the difference", gradient[i]);
    }
}

/// Largest difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
