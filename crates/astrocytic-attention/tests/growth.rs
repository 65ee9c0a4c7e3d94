//! What the composed form takes, forward and backward, grows with the length of a sequence and not with
//! its square: bytes in use at once, and bytes asked for in all, which a loop of `narrow`s multiplies.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use astrocytic_attention::debug::without_kernels;
use astrocytic_attention::ops::{MemoryInputs, MemorySpec, memory_attention};
use astrocytic_attention::{FeatureMapConfig, Form, Plasticity};
use burn::tensor::{Device, Distribution, Tensor};

/// Counts what the whole process asks for.
struct Counting;

static ASKED: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature; this one passes on to the system's")]
// SAFETY: each call is passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(layout.size(), Relaxed);
        MOST.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes asked for in all, and at most in use beyond those before, for a sequence of `steps`.
fn bytes(spec: MemorySpec, decays: bool, steps: usize) -> [f64; 2] {
    let device = Device::flex().autodiff();
    let draw = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad();
    let [query, key, value] = [(); 3].map(|()| draw([1, steps, 1, 8]));
    let numbers = |draw: Tensor<4>| draw.abs().squeeze_dim::<3>(3);
    let log_decay = decays.then(|| -numbers(draw([1, steps, 1, 1])));
    let strength = Some(numbers(draw([1, steps, 1, 1])));
    let (before, in_use) = (ASKED.load(Relaxed), USED.load(Relaxed));
    MOST.store(in_use, Relaxed);
    let inputs = MemoryInputs { query, key: key.clone(), value, log_decay, strength };
    let gradient = without_kernels(|| {
        let gradients = memory_attention(&spec, inputs, None, false).0.sum().backward();
        key.grad(&gradients).expect("a leaf")
    });
    assert!(gradient.sum().into_scalar::<f32>().is_finite());
    [ASKED.load(Relaxed) - before, MOST.load(Relaxed) - in_use].map(|bytes| bytes as f64)
}

#[test]
fn the_composed_form_is_linear_in_the_length() {
    for plasticity in [Plasticity::Hebbian, Plasticity::Delta] {
        for (calcium, decays) in [(true, true), (false, true), (false, false)] {
            let delta = plasticity == Plasticity::Delta;
            if delta && calcium {
                continue;
            }
            let feature = FeatureMapConfig::Elu.element_wise().expect("element-wise");
            let form = Form::Chunkwise(16);
            let spec = MemorySpec { plasticity, feature, unit: delta, calcium, causal: true, form };
            let [short, long] = [1_024, 8_192].map(|steps| bytes(spec, decays, steps));
            for (what, short, long) in [("in all", short[0], long[0]), ("at once", short[1], long[1])] {
                let growth = long / short;
                assert!(
                    growth < 8.8,
                    "{plasticity:?}, decays {decays}, {what}: {growth:.1} times for 8 times the steps"
                );
            }
        }
    }
}
