//! Cross-entropy of logits with its softmax as one operation: one pass over the logits each way.

#[cfg(feature = "host-kernels")]
mod host;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Mean −ln p of the targets under softmax of the logits.
///
/// # Shapes
/// - logits: `[rows, classes]`; targets: one class for each row
///
/// # Panics
/// For a target that is no class, or another number of targets than rows.
pub fn cross_entropy(logits: Tensor<2>, targets: &[i32]) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    assert_eq!(targets.len(), rows, "cross-entropy: a target for each row");
    let wrong = targets.iter().find(|&&target| usize::try_from(target).map_or(true, |target| target >= classes));
    assert!(wrong.is_none(), "cross-entropy: target {wrong:?} is not one of {classes} classes");
    #[cfg(feature = "host-kernels")]
    {
        if let Some(loss) = host::run(&logits, targets) {
            return loss;
        }
    }
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets.to_vec(), [rows, 1]), &logits.device());
    log_softmax(logits, 1).gather(1, targets).mean().neg()
}
