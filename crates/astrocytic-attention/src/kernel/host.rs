//! Tensors in main memory: views for kernels to read, and results that become tensors again.

// Burn 0.22 deprecates its ndarray backend. It keeps its kernels until Burn drops it.
#![allow(deprecated)]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, TensorData};

use super::real::Real;

/// A strided view of up to four axes. A fourth axis, or an only one, is contiguous.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    data: &'a [T],
    shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a, T> View<'a, T> {
    /// The size of each axis; missing axes at the end have size 1.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// All numbers in order.
    ///
    /// # Panics
    /// For a view that is not contiguous.
    pub fn numbers(&self) -> &'a [T] {
        let mut stride = 1;
        for (&size, &found) in self.shape.iter().zip(&self.strides).rev() {
            assert!(size == 1 || found == stride, "numbers of a view that is not contiguous");
            stride *= size;
        }
        &self.data[..stride]
    }

    /// The last axis at given indices of the first three.
    #[inline(always)]
    pub fn row(&self, a: usize, b: usize, c: usize) -> &'a [T] {
        let [sa, sb, sc, _] = self.strides;
        &self.data[a * sa + b * sb + c * sc..][..self.shape[3]]
    }
}

/// A result: its numbers in order, and its shape.
pub struct Output<T> {
    pub data: Vec<T>,
    pub shape: Vec<usize>,
}

/// A backend whose tensors lie in main memory.
pub trait Host: Backend {
    /// The tensor as a view, or `None` if a view cannot have its layout: then make it contiguous.
    fn view<T: Real>(tensor: &FloatTensor<Self>) -> Option<View<'_, T>>;

    /// The same tensor with its numbers in order.
    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Makes a tensor of the device.
    fn tensor<T: Real>(output: Output<T>, device: &Self::Device) -> FloatTensor<Self> {
        Self::float_from_data(TensorData::new(output.data, output.shape), device)
    }
}

/// The tensor itself if a view can have its layout, else a contiguous copy.
pub fn readable<B: Host>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let fits = match tensor.dtype() {
        DType::F64 => B::view::<f64>(&tensor).is_some(),
        _ => B::view::<f32>(&tensor).is_some(),
    };
    if fits { tensor } else { B::contiguous(tensor) }
}

/// The view of data with this layout, if there can be one.
fn view<'a, T>(data: &'a [T], shape: &[usize], strides: &[isize]) -> Option<View<'a, T>> {
    let axes = shape.len();
    let broken = |axis: usize| shape[axis] > 1 && strides[axis] != 1;
    if axes > 4 || (axes == 4 && broken(3)) || (axes == 1 && broken(0)) || strides.iter().any(|&s| s < 0) {
        return None;
    }
    let mut view = View { data, shape: [1; 4], strides: [1; 4] };
    view.shape[..axes].copy_from_slice(shape);
    for (to, &stride) in view.strides.iter_mut().zip(strides) {
        *to = stride as usize;
    }
    Some(view)
}

#[cfg(feature = "flex")]
impl Host for burn::backend::Flex {
    fn view<T: Real>(tensor: &FloatTensor<Self>) -> Option<View<'_, T>> {
        let layout = tensor.layout();
        view(tensor.storage::<T>().get(layout.start_offset()..)?, layout.shape(), layout.strides())
    }

    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor.to_contiguous()
    }
}

#[cfg(feature = "ndarray")]
impl Host for burn::backend::NdArray {
    fn view<T: Real>(tensor: &FloatTensor<Self>) -> Option<View<'_, T>> {
        use pulp::bytemuck::cast_slice;
        type Tensor = FloatTensor<burn::backend::NdArray>;
        // `cast_slice` between the same types: `T` is that of the tensor.
        if T::dtype() != tensor.dtype() {
            return None;
        }
        let (data, shape): (&[T], _) = match tensor {
            Tensor::F32(numbers) => (cast_slice(numbers.view().to_slice()?), numbers.shape()),
            Tensor::F64(numbers) => (cast_slice(numbers.view().to_slice()?), numbers.shape()),
            _ => return None,
        };
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis] as isize;
        }
        view(data, shape, &strides)
    }

    fn contiguous(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
        type Tensor = FloatTensor<burn::backend::NdArray>;
        match tensor {
            Tensor::F32(numbers) => numbers.view().as_standard_layout().into_owned().into_shared().into(),
            Tensor::F64(numbers) => numbers.view().as_standard_layout().into_owned().into_shared().into(),
            other => other,
        }
    }
}
