//! An attention mask, and what is known of it.

use std::sync::{Arc, OnceLock};

use burn::nn::attention::generate_autoregressive_mask;
use burn::tensor::{Bool, Tensor};

/// An attention mask, `[batch, steps_q, steps_k]`, true where hidden.
///
/// What kind of mask it is costs a copy from the device. Clones share the answer, so that a model
/// whose layers are given clones of one mask asks once.
#[derive(Debug, Clone)]
pub struct AttentionMask {
    hidden: Tensor<3, Bool>,
    kind: Arc<OnceLock<MaskKind>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaskKind {
    /// It hides nothing.
    Empty,
    /// It hides later steps, and nothing else.
    Causal,
    Other,
}

impl From<Tensor<3, Bool>> for AttentionMask {
    fn from(hidden: Tensor<3, Bool>) -> Self {
        Self { hidden, kind: Arc::default() }
    }
}

impl AttentionMask {
    /// The mask itself.
    pub fn hidden(&self) -> Tensor<3, Bool> {
        self.hidden.clone()
    }

    pub(crate) fn dims(&self) -> [usize; 3] {
        self.hidden.dims()
    }

    /// A mask of its own for some of the queries and keys, each a first step and a number.
    pub(crate) fn part(&self, queries: [usize; 2], keys: [usize; 2]) -> Self {
        self.hidden().narrow(1, queries[0], queries[1]).narrow(2, keys[0], keys[1]).into()
    }

    pub(crate) fn kind(&self) -> MaskKind {
        *self.kind.get_or_init(|| {
            let [batch, steps, key_steps] = self.dims();
            let mut found = vec![self.hidden().any()];
            if steps == key_steps {
                let causal = generate_autoregressive_mask(batch, steps, &self.hidden.device());
                found.push(causal.equal(self.hidden()).all());
            }
            // One copy from the device.
            let found: Vec<bool> = Tensor::cat(found, 0).into_data().iter::<bool>().collect();
            match found[..] {
                [false, ..] => MaskKind::Empty,
                [true, true] => MaskKind::Causal,
                _ => MaskKind::Other,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn a_mask_is_known_to_its_clones() {
        let device = Device::flex();
        let causal = generate_autoregressive_mask(2, 5, &device);
        let none = causal.clone().bool_xor(causal.clone());
        let first_hidden = none.clone().slice_fill([0..2, 0..5, 0..1], true);
        let cases = [
            (causal.clone(), MaskKind::Causal),
            (none.clone(), MaskKind::Empty),
            (first_hidden, MaskKind::Other),
            // As many later queries as there are keys, and fewer.
            (none.narrow(1, 2, 3), MaskKind::Empty),
            (causal.narrow(1, 2, 3), MaskKind::Other),
        ];
        for (hidden, expected) in cases {
            let mask = AttentionMask::from(hidden);
            let clone = mask.clone();
            assert_eq!(mask.kind(), expected);
            assert_eq!(clone.kind.get(), Some(&expected), "asked once");
        }
    }
}
