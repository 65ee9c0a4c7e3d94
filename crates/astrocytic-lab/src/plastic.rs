//! A read-out that goes on learning from the text it reads. After each token every weight that spoke takes a step of the delta
//! rule, `+ rate · (onehot − p) · key`: the gradient of the token's loss by that weight alone (dynamic evaluation, arXiv
//! 1709.07432, of one layer). It needs nothing but what the synapse has at hand, no gradient passes through the layers, and the
//! state has a bound. Biologically: slow plasticity that prediction errors gate, and keys that hardly overlap (pattern
//! separation).

use astrocytic_train::document_loss::DocumentLoss;

/// Rates of the memories of the last one, two and three tokens, as multiples of the read-out's: what is seen seldom is learned
/// at once.
const OF_LAST_TOKENS: [f32; 3] = [1.25, 2.5, 3.75];

/// Rows of a memory; keys that share one interfere.
const ROWS: usize = 1 << 15;

/// Numbers in a memory whose every row is in use.
pub(crate) fn most_numbers(vocabulary: usize) -> u64 {
    (OF_LAST_TOKENS.len() * ROWS * vocabulary) as u64
}

/// What was learned so far.
pub(crate) struct PlasticReadOut {
    /// Added to the read-out's weights, `[vocabulary, d_model]`.
    read_out: Vec<f32>,
    /// Rows of logits by the last tokens, each `[vocabulary]`, made when they are first needed.
    memories: Vec<Vec<Option<Box<[f32]>>>>,
    /// Tokens read.
    read: Vec<usize>,
    rate: f32,
}

impl PlasticReadOut {
    /// One that has learned nothing, with a memory of what followed the last tokens or without.
    pub(crate) fn new(vocabulary: usize, d_model: usize, remembers: bool, rate: f32) -> Self {
        let memories = if remembers { OF_LAST_TOKENS.len() } else { 0 };
        Self {
            read_out: vec![0.0; vocabulary * d_model],
            memories: vec![vec![None; ROWS]; memories],
            read: Vec::new(),
            rate,
        }
    }

    /// A new document begins: what stood before it is no longer what a token follows.
    pub(crate) fn begin(&mut self) {
        self.read.clear();
    }

    /// Adds −ln p of a target to the loss and learns from it. `h` is what the read-out reads, `logits` what it says without
    /// what was learned.
    pub(crate) fn read(&mut self, h: &[f32], logits: &[f32], target: usize, loss: &mut DocumentLoss) {
        let rows = self.read_out.chunks_exact(h.len());
        let mut z: Vec<f32> = logits.iter().zip(rows).map(|(z, w)| z + dot(w, h)).collect();
        let mut spoke: Vec<(f32, &mut Box<[f32]>)> = Vec::new();
        for (last, (memory, factor)) in self.memories.iter_mut().zip(OF_LAST_TOKENS).enumerate() {
            // At a document's beginning fewer tokens stand before.
            let Some(key) = self.read.len().checked_sub(last + 1).map(|from| &self.read[from..]) else { continue };
            let row = memory[place(key)].get_or_insert_with(|| vec![0.0; z.len()].into());
            z.iter_mut().zip(row.iter()).for_each(|(z, w)| *z += w);
            spoke.push((factor * self.rate, row));
        }
        let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = z.iter().map(|z| (z - most).exp()).sum();
        loss.nats -= f64::from(z[target] - most - sum.ln());
        loss.tokens += 1;
        let error = |(class, z): (usize, &f32)| f32::from(u8::from(class == target)) - (z - most).exp() / sum;
        let errors: Vec<f32> = z.iter().enumerate().map(error).collect();
        // Normalised, so that one rate serves whatever the size of what is read.
        let step = self.rate / dot(h, h).max(f32::MIN_POSITIVE);
        for (w, error) in self.read_out.chunks_exact_mut(h.len()).zip(&errors) {
            w.iter_mut().zip(h).for_each(|(w, h)| *w += step * error * h);
        }
        for (rate, row) in spoke {
            row.iter_mut().zip(&errors).for_each(|(w, error)| *w += rate * error);
        }
        self.read.push(target);
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

/// Row of the last tokens (FNV-1a).
fn place(key: &[usize]) -> usize {
    let mix = |hash: u64, &token: &usize| (hash ^ token as u64).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ hash >> 32) as usize % ROWS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(read_out: &mut PlasticReadOut, h: &[f32], logits: &[f32], target: usize) -> f64 {
        let mut loss = DocumentLoss { nats: 0.0, tokens: 0 };
        read_out.read(h, logits, target, &mut loss);
        loss.nats
    }

    #[test]
    fn a_step_is_the_losss_gradient() {
        let (h, logits) = ([1.0, -2.0, 0.5], [0.3, -0.1, 0.7, 0.0]);
        let mut read_out = PlasticReadOut::new(4, 3, false, 0.01);
        let found = nats(&mut read_out, &h, &logits, 1);
        let p: Vec<f64> = logits.iter().map(|&z: &f32| f64::from(z).exp()).collect();
        let all: f64 = p.iter().sum();
        assert!((found + (p[1] / all).ln()).abs() < 1e-6);
        for (class, w) in read_out.read_out.chunks(3).enumerate() {
            for (w, h) in w.iter().zip(h) {
                let expected = 0.01 * (f64::from(u8::from(class == 1)) - p[class] / all) * f64::from(h) / 5.25;
                assert!((f64::from(*w) - expected).abs() < 1e-7);
            }
        }
        let losses: Vec<f64> = (0..50).map(|_| nats(&mut read_out, &h, &logits, 1)).collect();
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    }

    #[test]
    fn what_followed_the_last_tokens_is_remembered() {
        // What the read-out reads says nothing here; the text repeats itself, each token decided by the two before it.
        let text = [0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1, 0, 2];
        let of = |remembers| {
            let mut read_out = PlasticReadOut::new(3, 2, remembers, 0.8);
            text.map(|target| nats(&mut read_out, &[1.0, 0.0], &[0.0; 3], target))
        };
        let (alone, both) = (of(false), of(true));
        let last = |losses: [f64; 20]| losses[12..].iter().sum::<f64>() / 8.0;
        assert!(last(both) < 0.1 && last(alone) > 0.8, "{alone:?} {both:?}");
        let mut read_out = PlasticReadOut::new(3, 2, true, 0.8);
        let first = nats(&mut read_out, &[1.0, 0.0], &[0.0; 3], 0);
        assert!((first - 3f64.ln()).abs() < 1e-6);
        read_out.begin();
        assert!(read_out.read.is_empty());
    }
}
