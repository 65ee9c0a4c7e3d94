//! Heads that attend by softmax to all steps so far, beside those that read a memory.

use astrocytic_attention::reference::add;

use crate::position::{rotate, rotate_vjp};
use crate::slices::{add_head, head, part, part_mut, rows, rows_mut};
use crate::spec::{LayerSpec, State};
use crate::window::{Window, scores, stabilizer};

/// The channels of q, k and v that belong to softmax heads, turned, steps of the state included.
pub struct Softmax {
    /// Of every query head, `[T, d]`.
    queries: Vec<Vec<f64>>,
    /// Of every key head, `[S + T, d]`.
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Softmax {
    /// From channels `[T, heads · d]`; leaves all steps in `after`.
    pub fn new(spec: &LayerSpec, channels: &[Vec<f64>; 3], state: &State, after: &mut State) -> Self {
        let (d, counts) = (spec.head_size(), spec.softmax_channels());
        let of = |i: usize, h: usize| {
            let mut x = head(&channels[i], counts[i] * d, h, d);
            if let Some(theta) = spec.softmax_rotary_theta.filter(|_| i < 2) {
                for (t, row) in x.chunks_exact_mut(d).enumerate() {
                    row.copy_from_slice(&rotate(row, (state.position + t) as f64, theta));
                }
            }
            x
        };
        let queries = (0..counts[0]).map(|h| of(0, h)).collect();
        let [keys, values] = [1, 2]
            .map(|i| (0..counts[i]).map(|h| [state.softmax[i - 1][h].clone(), of(i, h)].concat()).collect::<Vec<_>>());
        after.softmax = [keys.clone(), values.clone()];
        Self { queries, keys, values }
    }

    fn counted(&self, spec: &LayerSpec, h: usize) -> Vec<f64> {
        self.values[h].chunks_exact(spec.head_size()).flat_map(|v| [v, &[1.0]].concat()).collect()
    }

    /// What query head h reads, `[T, d]`.
    pub fn reads(&self, spec: &LayerSpec, h: usize) -> Vec<f64> {
        let (d, source) = (spec.head_size(), spec.key_head(h));
        let counted = self.counted(spec, source);
        let all = self.keys[source].len() / d;
        let queries = self.queries[h].len() / d;
        let read = |t: usize| window(&self.queries[h], &self.keys[source], &counted, [t, all - queries + t + 1, d]);
        (0..queries).flat_map(|t| read(t).read(&vec![0.0; d + 1])).collect()
    }

    /// From the gradients of the reads of all heads, `[T, d]` each, and of the state after: those of
    /// the channels and of the state before.
    pub fn vjp(&self, spec: &LayerSpec, d_reads: &[Vec<f64>], d_after: &State, first: usize) -> ([Vec<f64>; 3], State) {
        let (d, counts, mut d_before) = (spec.head_size(), spec.softmax_channels(), spec.empty_state());
        let steps = self.queries[0].len() / d;
        let mut d_channels = counts.map(|count| vec![0.0; count * d * steps]);
        let [mut d_keys, mut d_values] = [(&self.keys, 0), (&self.values, 1)].map(|(seen, i)| {
            let mut sums: Vec<Vec<f64>> = seen.iter().map(|x| vec![0.0; x.len()]).collect();
            sums.iter_mut().zip(&d_after.softmax[i]).for_each(|(sum, by)| add(sum, 1.0, by));
            sums
        });
        for (h, d_reads) in d_reads.iter().enumerate() {
            let (source, mut d_query) = (spec.key_head(h), vec![0.0; steps * d]);
            let counted = self.counted(spec, source);
            let past = self.keys[source].len() / d - steps;
            for t in 0..steps {
                let seen = past + t + 1;
                let window = window(&self.queries[h], &self.keys[source], &counted, [t, seen, d]);
                let by = window.read_vjp(&vec![0.0; d + 1], part(d_reads, t, steps));
                add(part_mut(&mut d_query, t, steps), 1.0, &by.query);
                add(rows_mut(&mut d_keys[source], d, 0..seen), 1.0, &by.key);
                for (sum, by) in d_values[source].chunks_exact_mut(d).zip(by.value.chunks_exact(d + 1)) {
                    add(sum, 1.0, &by[..d]);
                }
            }
            add_head(&mut d_channels[0], counts[0] * d, h, d, &turned_back(spec, d_query, first));
        }
        for h in 0..counts[1] {
            let past = d_keys[h].len() - steps * d;
            let new_key = turned_back(spec, d_keys[h].split_off(past), first);
            add_head(&mut d_channels[1], counts[1] * d, h, d, &new_key);
            let new_value = d_values[h].split_off(past);
            add_head(&mut d_channels[2], counts[2] * d, h, d, &new_value);
        }
        d_before.softmax = [d_keys, d_values];
        (d_channels, d_before)
    }
}

/// Query t and the `seen` first keys, as a window with no memory behind it.
fn window<'a>(query: &'a [f64], key: &'a [f64], counted: &'a [f64], [t, seen, d]: [usize; 3]) -> Window<'a> {
    let (query, key) = (rows(query, d, t..t + 1), rows(key, d, 0..seen));
    let c = stabilizer(&scores(query, key), false);
    Window { query, key, value: rows(counted, d + 1, 0..seen), log_gamma: 0.0, c, r: 0.0 }
}

fn turned_back(spec: &LayerSpec, mut d_x: Vec<f64>, first: usize) -> Vec<f64> {
    if let Some(theta) = spec.softmax_rotary_theta {
        for (t, row) in d_x.chunks_exact_mut(spec.head_size()).enumerate() {
            row.copy_from_slice(&rotate_vjp((first + t) as f64, theta, row));
        }
    }
    d_x
}
