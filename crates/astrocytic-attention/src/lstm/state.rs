//! What a long short-term memory remembers between calls: constant in size.

use burn::tensor::{Device, Int, Tensor};

use crate::error::AttentionError;
use crate::tensor_map::{Bytes, Load, Select, TensorMap, ToDevice};

/// State of an [`Lstm`](super::Lstm), in f32 or wider. Made by its `empty_state`.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// Hidden state h, `[batch, hidden]`.
    pub hidden: Tensor<2>,
    /// Cell state c, `[batch, hidden]`.
    pub cell: Tensor<2>,
}

impl LstmState {
    /// The same without the graph of its gradients: truncated backpropagation through time.
    pub fn detach(self) -> Self {
        Self { hidden: self.hidden.detach(), cell: self.cell.detach() }
    }

    /// The same on another device.
    pub fn to_device(self, device: &Device) -> Self {
        self.map(&mut ToDevice(device))
    }

    /// These rows of the batch, in this order and as often as they are named: beam search.
    ///
    /// # Panics
    /// For a row that there is not, as Burn's `Tensor::select`.
    pub fn select(self, rows: Tensor<1, Int>) -> Self {
        self.map(&mut Select(rows))
    }

    /// Bytes that the state takes.
    pub fn bytes(&self) -> usize {
        let mut bytes = Bytes::default();
        self.clone().map(&mut bytes);
        bytes.0
    }

    /// Refuses a batch or a layer that the state is not of.
    pub(super) fn check(&self, batch: usize, hidden: usize) -> Result<(), AttentionError> {
        let [rows, size] = self.hidden.dims();
        if rows != batch {
            return Err(AttentionError::Shape(format!("batch {batch} is not that of the state, {rows}")));
        }
        if size != hidden || self.cell.dims() != [rows, size] {
            return Err(AttentionError::Shape("the state was made by a layer of another configuration".into()));
        }
        Ok(())
    }

    pub(crate) fn map(self, with: &mut impl TensorMap) -> Self {
        Self { hidden: with.map("hidden", self.hidden), cell: with.map("cell", self.cell) }
    }

    pub(crate) fn load(load: &mut Load) -> Result<Self, AttentionError> {
        Ok(Self { hidden: load.required("hidden")?, cell: load.required("cell")? })
    }
}
