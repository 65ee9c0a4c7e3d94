//! Scratch memory of the backward pass.

use super::super::correction::Correction;
use super::super::decay::Decay;
use super::super::features::Slopes;
use super::super::sizes::Sizes;
use crate::kernel::real::Real;
use crate::kernel::scratch::Scratch;

/// Numbers of scratch that a task takes.
pub fn scratch(sizes: &Sizes) -> usize {
    let Sizes { c_pad: c, m_pad: m, d_pad: d, group, shared, .. } = *sizes;
    let state = m * d + m;
    let of_heads = state + c * (2 * (1 + shared) * m + (2 + shared) * d);
    let of_one = 2 * d * m + c * (4 * m + 3 * d + 3 * c + 7) + m;
    group * of_heads + of_one + Decay::<f32>::scratch(sizes) + Correction::<f32>::scratch(sizes)
}

/// Buffers of all heads lie head by head; those of one head are used again for the next.
pub struct Buffers<'a, T> {
    /// φ(q) and the gradient of q, of all query heads.
    pub q: &'a mut [T],
    pub dq: &'a mut [T],
    /// φ(k) and, as written, its gradient, of all heads.
    pub k: &'a mut [T],
    pub dk: &'a mut [T],
    /// Gradient of the reads before their normaliser, of all query heads.
    pub dr: &'a mut [T],
    /// X, what is offered to the correction, and the gradient of U, of what is written: of all heads.
    pub x: &'a mut [T],
    pub du: &'a mut [T],

    pub q_slopes: Slopes<'a, T>,
    pub k_slopes: Slopes<'a, T>,
    /// The memory before the chunk, and the gradient of that after it.
    pub h_transposed: &'a mut [T],
    pub dh_transposed: &'a mut [T],
    /// Gradient of φ(k) where the correction reads by it.
    pub dk_read: &'a mut [T],
    pub k_transposed: &'a mut [T],
    pub u: &'a mut [T],
    pub u_transposed: &'a mut [T],
    pub scores: &'a mut [T],
    pub d_scores: &'a mut [T],
    pub d_overlap: &'a mut [T],
    pub strength: &'a mut [T],
    /// Normalisers and their gradients.
    pub n: &'a mut [T],
    pub dn: &'a mut [T],
    /// Gradient of b, the log decay since the chunk's start.
    pub by_log: &'a mut [T],
    /// Gradient of β.
    pub row_sums: &'a mut [T],
    /// What the reads add to the gradient of the calcium.
    pub added: &'a mut [T],
    pub decay: Decay<'a, T>,
    pub correction: Correction<'a, T>,
}

impl<'a, T: Real> Buffers<'a, T> {
    /// The buffers and room for the gradients of the heads' memories and calcium.
    #[inline(always)]
    pub fn new(sizes: &Sizes, scratch: &'a mut [T]) -> (Self, (&'a mut [T], &'a mut [T])) {
        let Sizes { group, shared, m, d, c_pad, m_pad, d_pad, .. } = *sizes;
        let (wide, tall) = (sizes.wide(), sizes.tall());
        let mut scratch = Scratch(scratch);
        let carried = (scratch.take(group * m * d_pad), scratch.take(group * m_pad));
        let [q, dq] = [(); 2].map(|()| scratch.take(group * shared * wide));
        let [k, dk] = [(); 2].map(|()| scratch.take(group * wide));
        let dr = scratch.take(group * shared * tall);
        let [x, du] = [(); 2].map(|()| scratch.take(group * tall));
        let [q_slopes, k_slopes] =
            [(); 2].map(|()| Slopes { slopes: scratch.take(wide), inverses: scratch.take(c_pad) });
        let [h_transposed, dh_transposed] = [(); 2].map(|()| scratch.take(d * m_pad));
        let dk_read = scratch.take(wide);
        let k_transposed = scratch.take(m * c_pad);
        let u = scratch.take(tall);
        let u_transposed = scratch.take(d * c_pad);
        let [scores, d_scores, d_overlap] = [(); 3].map(|()| scratch.take(c_pad * c_pad));
        let [strength, n, dn, by_log, row_sums] = [(); 5].map(|()| scratch.take(c_pad));
        let added = scratch.take(m_pad);
        let decay = Decay::new(sizes, &mut scratch);
        let correction = Correction::new(sizes, &mut scratch);
        strength.fill(T::ONE);
        dn.fill(T::ZERO);
        let buffers = Self {
            q,
            dq,
            k,
            dk,
            dr,
            x,
            du,
            q_slopes,
            k_slopes,
            h_transposed,
            dh_transposed,
            dk_read,
            k_transposed,
            u,
            u_transposed,
            scores,
            d_scores,
            d_overlap,
            strength,
            n,
            dn,
            by_log,
            row_sums,
            added,
            decay,
            correction,
        };
        (buffers, carried)
    }
}
