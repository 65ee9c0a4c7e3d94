//! Optimizer and schedule of all training: AdamW, warm-up and cosine.

use anyhow::{Result, anyhow};
use burn::lr_scheduler::LrSchedulerConfig;
use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig;
use burn::lr_scheduler::linear::LinearLrSchedulerConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::config::TrainingConfig;

/// AdamW (arXiv 1711.05101) whose weight decay spares vectors: norms, biases and decay rates.
pub fn optimizer<M: Module>(model: &M, weight_decay: f64) -> ModuleOptimizer {
    let adam = AdamWConfig::new().with_beta_2(0.95).with_epsilon(1e-8);
    let mut vectors = Vectors(Vec::new());
    model.visit(&mut vectors);
    let decaying = adam.clone().with_weight_decay(weight_decay as f32).init();
    let spared = adam.with_weight_decay(0.0).build();
    decaying.with_group(ParamGroup::from_ids(vectors.0), spared, None)
}

struct Vectors(Vec<ParamId>);

impl ModuleVisitor for Vectors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.0.push(param.id);
        }
    }
}

/// Warm-up to the peak rate, then a cosine down to a tenth of it.
///
/// # Errors
/// For rates that cannot be.
pub fn schedule(config: &TrainingConfig) -> Result<ModuleLrScheduler> {
    let peak = config.learning_rate;
    let steps = config.steps as usize;
    let warmup = ((steps as f64 * config.warmup) as usize).max(1);
    let rest = (steps - warmup.min(steps)).max(1);
    let rise = LinearLrSchedulerConfig::new(peak / warmup as f64, peak, warmup);
    let fall = CosineAnnealingLrSchedulerConfig::new(peak, rest).with_min_lr(peak * 0.1);
    let phases = vec![LrSchedulerConfig::Linear(rise), LrSchedulerConfig::Cosine(fall)];
    SequentialLrSchedulerConfig::new(phases, vec![warmup]).init().map_err(|e| anyhow!("learning rate: {e}"))
}
