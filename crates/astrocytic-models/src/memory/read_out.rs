//! A read-out that goes on learning: the slow part of the memory of what is read.

/// What a read-out has learned beside its trained weights. After each token its weights take a step of the delta rule,
/// `+ rate · (onehot − p) · h / |h|²`: the gradient of the token's loss by these weights alone (dynamic evaluation, Krause et
/// al., arXiv 1709.07432, of one layer).
///
/// The rule needs only what a synapse has at hand: its input and the prediction error that gates it.
#[derive(Debug, Clone)]
pub struct PlasticReadOut {
    /// Added to the read-out's weights, `[vocabulary, d_model]`.
    weights: Vec<f32>,
    rate: f32,
}

impl PlasticReadOut {
    /// One that has learned nothing.
    pub fn new(vocabulary: usize, d_model: usize, rate: f32) -> Self {
        Self { weights: vec![0.0; vocabulary * d_model], rate }
    }

    /// Adds what was learned to the model's logits.
    ///
    /// # Shapes
    /// - features, which the read-out reads: `[d_model]`; logits: `[vocabulary]`
    pub fn add_to(&self, logits: &mut [f32], features: &[f32]) {
        let rows = self.weights.chunks_exact(features.len());
        logits.iter_mut().zip(rows).for_each(|(z, w)| *z += dot(w, features));
    }

    /// Takes a step on the errors of a prediction from these features, `onehot − p`, `[vocabulary]`.
    pub fn learn(&mut self, features: &[f32], errors: &[f32]) {
        // Divided by the features' size, so that one rate serves every model.
        let step = self.rate / dot(features, features).max(f32::MIN_POSITIVE);
        for (w, error) in self.weights.chunks_exact_mut(features.len()).zip(errors) {
            w.iter_mut().zip(features).for_each(|(w, h)| *w += step * error * h);
        }
    }
}

/// In eight sums, which a vector of the machine holds.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks(8), b.chunks(8));
    let mut sums = [0.0; 8];
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::prediction::Prediction;
    use super::*;

    #[test]
    fn a_step_is_the_losss_gradient() {
        let (h, logits) = ([1.0, -2.0, 0.5], [0.3, -0.1, 0.7, 0.0]);
        let mut read_out = PlasticReadOut::new(4, 3, 0.01);
        let nats = |read_out: &mut PlasticReadOut| {
            let mut z = logits.to_vec();
            read_out.add_to(&mut z, &h);
            let prediction = Prediction::new(z);
            read_out.learn(&h, &prediction.errors(1));
            prediction.nats(1)
        };
        let found = nats(&mut read_out);
        let p: Vec<f64> = logits.iter().map(|&z: &f32| f64::from(z).exp()).collect();
        let all: f64 = p.iter().sum();
        assert!((found + (p[1] / all).ln()).abs() < 1e-6);
        for (class, w) in read_out.weights.chunks(3).enumerate() {
            for (w, h) in w.iter().zip(h) {
                let expected = 0.01 * (f64::from(u8::from(class == 1)) - p[class] / all) * f64::from(h) / 5.25;
                assert!((f64::from(*w) - expected).abs() < 1e-7);
            }
        }
        let losses: Vec<f64> = (0..50).map(|_| nats(&mut read_out)).collect();
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    }
}
