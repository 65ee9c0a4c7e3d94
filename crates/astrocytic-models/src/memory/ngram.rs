//! What followed the last tokens: the fast part of the memory of what is read.

/// Rates of the memories of the last one, two and three tokens, as multiples of the read-out's:
/// what is seen seldom is learned at once.
const FACTORS: [f32; 3] = [1.25, 2.5, 3.75];
/// Rows for each number of tokens; keys that share one interfere.
const ROWS: usize = 1 << 15;

/// Logits by the last one, two and three tokens, each set learned by the delta rule: an n-gram
/// cache (Kuhn and De Mori, IEEE TPAMI 12(6), 1990) whose entries learn from what the model got
/// wrong instead of counting.
///
/// Keys hardly overlap, as in pattern separation. A token takes at most three rows of `4 ·
/// vocabulary` bytes; there are at most 3 · 2¹⁵ rows.
#[derive(Debug, Clone)]
pub struct NGramMemory {
    /// For each number of tokens its rows of logits, `[vocabulary]`, made when they are first
    /// learned.
    rows: Vec<Vec<Option<Box<[f32]>>>>,
    /// The tokens before the next one, the last of them last.
    last: Vec<usize>,
    rate: f32,
}

impl NGramMemory {
    /// One that has learned nothing; `rate` is that of the read-out beside it.
    pub fn new(rate: f32) -> Self {
        Self { rows: vec![vec![None; ROWS]; FACTORS.len()], last: Vec::new(), rate }
    }

    /// Numbers in a memory whose every row is in use.
    pub(super) fn most_numbers(vocabulary: usize) -> u64 {
        (FACTORS.len() * ROWS * vocabulary) as u64
    }

    /// Operations of reading and learning a token: a sum, and a product and a sum, of each row.
    pub(super) fn flops_per_token(vocabulary: usize) -> f64 {
        (3 * FACTORS.len() * vocabulary) as f64
    }

    /// A new document begins: no token before it is one that a token follows.
    pub fn begin(&mut self) {
        self.last.clear();
    }

    /// Adds what followed the last tokens to logits, `[vocabulary]`.
    pub fn add_to(&self, logits: &mut [f32]) {
        for (rows, row) in self.rows.iter().zip(self.keys()) {
            if let Some(weights) = &rows[row] {
                logits.iter_mut().zip(weights).for_each(|(z, w)| *z += w);
            }
        }
    }

    /// Takes a step on the errors of a prediction, `onehot(token) − p`, `[vocabulary]`, and reads
    /// the token.
    pub fn learn(&mut self, errors: &[f32], token: usize) {
        let keys: Vec<usize> = self.keys().collect();
        for ((rows, row), factor) in self.rows.iter_mut().zip(keys).zip(FACTORS) {
            let weights = rows[row].get_or_insert_with(|| vec![0.0; errors.len()].into());
            weights.iter_mut().zip(errors).for_each(|(w, error)| *w += factor * self.rate * error);
        }
        self.last.push(token);
        if self.last.len() > FACTORS.len() {
            self.last.remove(0);
        }
    }

    /// Row of the last token, of the last two, …: fewer where a document begins.
    fn keys(&self) -> impl Iterator<Item = usize> {
        (0..self.last.len()).rev().map(|from| row(&self.last[from..]))
    }
}

/// Row of the last tokens (FNV-1a).
fn row(key: &[usize]) -> usize {
    let mix = |hash: u64, &token: &usize| (hash ^ token as u64).wrapping_mul(0x0100_0000_01b3);
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ hash >> 32) as usize % ROWS
}
