//! The attention op by variant, length and direction, for work on the kernels: `cargo bench --bench attention`.
//! (`astrocytic bench` measures the same beside other libraries, and memory.)

use std::hint::black_box;

use astrocytic_attention::ops::{Attend, Attended, Feature, softmax_attention};
use astrocytic_attention::{Form, Plasticity};
use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 8;
const HEADS: usize = 4;
const SIZE: usize = 32;

/// Name, plasticity (`None` is softmax) and whether the memory decays.
const VARIANTS: [(&str, Option<Plasticity>, bool); 5] = [
    ("linear", Some(Plasticity::Hebbian), false),
    ("gated", Some(Plasticity::Hebbian), true),
    ("delta", Some(Plasticity::Delta), false),
    ("gated delta", Some(Plasticity::Delta), true),
    ("softmax", None, false),
];

fn attention(criterion: &mut Criterion) {
    // Kernels and products use all threads of a pool that this one belongs to.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global().expect("no pool before this one");
    for (direction, device) in [("forward", Device::flex()), ("forward and backward", Device::flex().autodiff())] {
        let mut group = criterion.benchmark_group(direction);
        group.sample_size(20);
        for steps in [128, 1024, 4096] {
            group.throughput(Throughput::Elements((BATCH * steps) as u64));
            let draw = || Tensor::<4>::random([BATCH, steps, HEADS, SIZE], Distribution::Normal(0.0, 1.0), &device);
            let [query, key, value] = [draw(), draw(), draw()];
            let backward = device.is_autodiff();
            let [query, key, value] = [query, key, value].map(|x| if backward { x.require_grad() } else { x });
            let decay = Tensor::<3>::random([BATCH, steps, HEADS], Distribution::Normal(3.0, 1.0), &device);
            for (name, plasticity, decays) in VARIANTS {
                let run = || {
                    let (query, key, value) = (query.clone(), key.clone(), value.clone());
                    let Some(plasticity) = plasticity else { return softmax_attention(query, key, value, true) };
                    let delta = plasticity == Plasticity::Delta;
                    let attend = Attend {
                        plasticity,
                        feature: if delta { Feature::Silu } else { Feature::Elu },
                        unit: delta,
                        calcium: !delta,
                        causal: true,
                        form: Form::Chunkwise(64),
                    };
                    let log_decay = decays.then(|| log_sigmoid(decay.clone()));
                    attend.run(Attended { query, key, value, log_decay, strength: None }, None, false).0
                };
                group.bench_function(BenchmarkId::new(name, steps), |bencher| {
                    bencher.iter(|| {
                        let reads = run();
                        if backward {
                            black_box(query.grad(&reads.sum().backward()));
                        } else {
                            black_box(reads);
                        }
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
