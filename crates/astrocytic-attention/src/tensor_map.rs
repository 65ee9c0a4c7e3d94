//! Every tensor of what a layer remembers, one after another: what moving, cutting, counting and saving have in common.

use std::collections::BTreeMap;

use burn::tensor::kind::{Basic, Kind, TensorKind};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::error::AttentionError;

/// Names of the histories of short convolutions.
pub(crate) const HISTORY: [&str; 3] = ["query_history", "key_history", "value_history"];

/// Tensors as plain data, by their names.
pub(crate) type NamedTensors = BTreeMap<String, TensorData>;

/// Makes one tensor from another. The batch is the first axis of each.
pub(crate) trait TensorMap {
    fn map<const D: usize, K: Basic>(&mut self, name: &str, x: Tensor<D, K>) -> Tensor<D, K>;

    /// The same of truth values.
    fn map_bool<const D: usize>(&mut self, name: &str, x: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.map(name, x)
    }

    /// Several of one kind.
    fn each<const D: usize, const N: usize>(&mut self, names: [&str; N], xs: [Tensor<D>; N]) -> [Tensor<D>; N] {
        let mut names = names.into_iter();
        xs.map(|x| self.map(names.next().expect("as many as tensors"), x))
    }
}

/// Moves each to a device.
pub(crate) struct ToDevice<'a>(pub &'a Device);

impl TensorMap for ToDevice<'_> {
    fn map<const D: usize, K: Basic>(&mut self, _name: &str, x: Tensor<D, K>) -> Tensor<D, K> {
        x.to_device(self.0)
    }
}

/// Takes these rows of each.
pub(crate) struct Select(pub Tensor<1, Int>);

impl TensorMap for Select {
    fn map<const D: usize, K: Basic>(&mut self, _name: &str, x: Tensor<D, K>) -> Tensor<D, K> {
        x.select(0, self.0.clone())
    }

    /// Through numbers: flex selects truth values into another type than it made them of.
    fn map_bool<const D: usize>(&mut self, name: &str, x: Tensor<D, Bool>) -> Tensor<D, Bool> {
        self.map(name, x.int()).bool()
    }
}

/// Counts the bytes of each.
#[derive(Default)]
pub(crate) struct Bytes(pub usize);

impl TensorMap for Bytes {
    fn map<const D: usize, K: Basic>(&mut self, _name: &str, x: Tensor<D, K>) -> Tensor<D, K> {
        self.0 += x.shape().num_elements() * x.dtype().size();
        x
    }
}

/// Writes each down.
#[derive(Default)]
pub(crate) struct Record(pub NamedTensors);

impl TensorMap for Record {
    fn map<const D: usize, K: Basic>(&mut self, name: &str, x: Tensor<D, K>) -> Tensor<D, K> {
        self.0.insert(name.into(), x.to_data());
        x
    }
}

/// Tensors that were written down, on their way back to a device.
pub(crate) struct Load<'a>(pub NamedTensors, pub &'a Device);

impl Load<'_> {
    /// The tensor of this name, if there is one.
    pub(crate) fn optional<const D: usize, K: Basic + TensorKind>(
        &mut self,
        name: &str,
    ) -> Result<Option<Tensor<D, K>>, AttentionError> {
        let Some(data) = self.0.remove(name) else { return Ok(None) };
        let (rank, dtype) = (data.shape().num_dims(), data.dtype());
        let of_kind = match K::KIND {
            Kind::Float => dtype.is_float(),
            Kind::Int => dtype.is_int() || dtype.is_uint(),
            Kind::Bool => dtype.is_bool(),
        };
        if rank != D || !of_kind {
            let text = format!("record: {name} has {rank} axes of {dtype:?}, not {D} of {}", K::name());
            return Err(AttentionError::Shape(text));
        }
        Ok(Some(Tensor::from_data(data, (self.1, dtype))))
    }

    /// The tensor of this name.
    pub(crate) fn required<const D: usize, K: Basic + TensorKind>(
        &mut self,
        name: &str,
    ) -> Result<Tensor<D, K>, AttentionError> {
        let missing = || AttentionError::Shape(format!("record: {name} is missing"));
        self.optional(name)?.ok_or_else(missing)
    }

    /// All of these, or none.
    pub(crate) fn each<const D: usize, const N: usize>(
        &mut self,
        names: [&str; N],
    ) -> Result<Option<[Tensor<D>; N]>, AttentionError> {
        if !self.0.contains_key(names[0]) {
            return Ok(None);
        }
        let tensors = names.iter().map(|name| self.required(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(tensors.try_into().ok())
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self) -> Result<(), AttentionError> {
        match self.0.keys().next() {
            Some(name) => Err(AttentionError::Shape(format!("record: {name} is no tensor of this cache"))),
            None => Ok(()),
        }
    }
}
