//! Data parallelism: each of several devices computes the gradients of its share of a batch, and
//! the first device takes the step with their mean. Burn's `ExecutionStrategy::multi` does the same
//! inside its `Learner` (see [`train`](crate::train)); its `ddp` sums gradients with NCCL, which
//! only CUDA devices have.

use astrocytic_data::Batch;
use astrocytic_models::gradients::Scale;
use burn::module::{ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

use crate::seed::derive_seed;
use crate::trainable::Trainable;

/// Mean −ln p of the targets and its gradients, on the model's device, which computes a share
/// itself.
///
/// # Panics
/// Where a device does.
pub(crate) fn gradients<M: Trainable>(
    model: &M,
    others: &[Device],
    batch: &Batch,
    seed: u64,
) -> (f64, GradientsParams) {
    let mut shares = batch.shares(1 + others.len()).into_iter();
    let own = shares.next().expect("a batch has a row");
    std::thread::scope(|threads| {
        // A replica is a leaf of its own in autodiff, with the model's names of parameters.
        let spawn = |((place, device), share): ((usize, &Device), Batch)| {
            let replica = model.clone().fork(device);
            let seed = derive_seed(seed, "device", place as u64 + 1);
            threads.spawn(move || {
                let (value, grads) = replica.gradients(&share, None, seed);
                (value, grads, weight(&share, batch))
            })
        };
        let running: Vec<_> = others.iter().enumerate().zip(shares).map(spawn).collect();
        let (value, mut grads) = model.gradients(&own, None, seed);
        let mut sum = value * weight(&own, batch);
        model.visit(&mut Scale { grads: &mut grads, by: weight(&own, batch) });
        for thread in running {
            let (value, theirs, weight) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            sum += value * weight;
            let theirs = theirs.to_device(&model.device().inner(), model);
            model.visit(&mut Add { grads: &mut grads, theirs, weight });
        }
        (sum, grads)
    })
}

/// Share of the targets, over which the loss is a mean.
fn weight(share: &Batch, whole: &Batch) -> f64 {
    share.targets.len() as f64 / whole.targets.len() as f64
}

struct Add<'a> {
    grads: &'a mut GradientsParams,
    theirs: GradientsParams,
    weight: f64,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(theirs) = self.theirs.remove::<D>(param.id) else { return };
        let theirs = theirs.mul_scalar(self.weight);
        let sum = match self.grads.remove::<D>(param.id) {
            Some(own) => own + theirs,
            None => theirs,
        };
        self.grads.register(param.id, sum);
    }
}

#[cfg(test)]
mod tests {
    use astrocytic_data::Batches;
    use burn::module::Module;
    use burn::tensor::TensorData;

    use super::*;
    use crate::small_models::decoder;

    struct Largest<'a>(&'a GradientsParams, &'a GradientsParams, f64, usize);

    impl ModuleVisitor for Largest<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let numbers = |grads: &GradientsParams| {
                let data: TensorData = grads.get::<D>(param.id).unwrap().into_data();
                data.try_to_vec::<f32>().unwrap()
            };
            let (one, other) = (numbers(self.0), numbers(self.1));
            let largest = one.iter().fold(0f32, |most, x| most.max(x.abs()));
            let off = one.iter().zip(&other).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            self.2 = self.2.max(f64::from(off / largest.max(1e-3)));
            self.3 += 1;
        }
    }

    #[test]
    fn gradients_are_those_of_the_whole_batch() {
        let main = crate::device::parse("flex").unwrap();
        let other = crate::device::parse("ndarray").unwrap();
        let model = decoder("tripartite", 40).init_seeded(1, &main.autodiff());
        // Three rows: the shares are not alike.
        let batch = Batches::new((0..200).map(|id| id * 7 % 40).collect(), 12, 3, 5).unwrap().batch(0);
        let (whole, expected) = model.gradients(&batch, None, 3);
        let (value, grads) = gradients(&model, &[other], &batch, 3);
        assert!((value - whole).abs() < 1e-6, "{value} for {whole}");
        let mut largest = Largest(&expected, &grads, 0.0, 0);
        model.visit(&mut largest);
        assert!(largest.2 < 1e-4 && largest.3 > 20, "off by {} in {} parameters", largest.2, largest.3);
    }
}
