//! The processor's kernel of dropout: what is kept is a hash of an element's place under a key, so
//! that the backward pass finds it again and nothing is stored.

use std::mem::MaybeUninit;

use burn::tensor::{Distribution, Int, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::kernel::host::{Output, View};
use crate::kernel::operation::{Kernel, Pass, has_kernels, inputs, run as run_kernel};
use crate::kernel::real::Real;
use crate::kernel::scratch::Fresh;

/// The tensor after dropout by the kernel, where there is one for the tensor.
pub(super) fn run<const D: usize>(x: &Tensor<D>, probability: f64) -> Option<Tensor<D>> {
    let count: usize = x.dims().iter().product();
    // Elsewhere, to wait for a key would be slow.
    if count == 0 || !has_kernels(&x.clone().into_dispatch()) {
        return None;
    }
    let all = x.clone().reshape([count]);
    let key = Tensor::<1, Int>::random([2], Distribution::Uniform(0.0, f64::from(i32::MAX)), &x.device());
    let key = key.into_data().iter::<u64>().fold(0, |key, part| key << 32 | part);
    let dropped: Tensor<1> = run_kernel(Dropout { key, probability }, DropoutInputs { x: all.into() })?;
    Some(dropped.reshape(x.dims()))
}

/// Elements at a time; each block has a key of its own.
const BLOCK: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Dropout {
    key: u64,
    probability: f64,
}

inputs! {
    /// The input of dropout, `[elements]`.
    DropoutInputs { x }
}

impl Kernel for Dropout {
    type Inputs<X> = DropoutInputs<X>;

    fn forward<T: Real>(&self, inputs: DropoutInputs<View<T>>, _: bool) -> (Output<T>, Vec<T>) {
        (self.applied(inputs.x), Vec::new())
    }

    fn backward<T: Real>(&self, pass: &Pass<Self, T>) -> DropoutInputs<Option<Output<T>>> {
        DropoutInputs { x: Some(self.applied(pass.grad)) }
    }
}

impl Dropout {
    /// The same elements are dropped of whatever it is applied to.
    #[expect(unsafe_code, reason = "results are written into memory that was not cleared")]
    fn applied<T: Real>(&self, x: View<T>) -> Output<T> {
        let x = x.numbers();
        let mut data = Fresh::new(x.len());
        let arch = pulp::Arch::new();
        let blocks = data.places()[..x.len()].par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).enumerate();
        blocks.for_each(|(block, (y, x))| {
            let key = mixed(self.key.wrapping_add((block as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            arch.dispatch(Block { key: [key as u32, (key >> 32) as u32], probability: self.probability, x, y });
        });
        // SAFETY: the blocks are all of it, and each is written whole.
        let data = unsafe { data.written(x.len()) };
        Output { shape: vec![data.len()], data }
    }
}

struct Block<'a, T> {
    key: [u32; 2],
    probability: f64,
    x: &'a [T],
    y: &'a mut [MaybeUninit<T>],
}

impl<T: Real> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { key: [first, second], probability, x, y } = self;
        let dropped = (probability * 2f64.powi(32)) as u32;
        let kept = T::from_f64(1.0 / (1.0 - probability));
        for (place, (y, &x)) in y.iter_mut().zip(x).enumerate() {
            let drawn = scattered(scattered(place as u32 ^ first).wrapping_add(second));
            // A product, so that what is not a number stays so.
            y.write(x * if drawn < dropped { T::ZERO } else { kept });
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mixed(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}

/// The finaliser of MurmurHash3 for 32 bits: each bit of the result hangs on every bit.
#[inline(always)]
fn scattered(bits: u32) -> u32 {
    let bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    let bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^ (bits >> 16)
}
