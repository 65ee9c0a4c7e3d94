//! How much data a loss costs: monotone curves, data ratios, and how sure they are.
//!
//! The figure is r(L) = D_baseline(L) / D_arm(L): how many times more unique data the baseline
//! needs to reach the loss L. It is read off inside the measured range and never extrapolated.

mod bisection;
mod coverage;
mod curve;
mod estimate;
mod fit;
mod holm;
mod isotonic;
mod moments;
mod resamples;
mod solved;
mod solved_curve;

pub(crate) use bisection::{Visit, most_visits, visits};
pub use coverage::{Coverage, Population};
pub use curve::{Curve, Reading, data_for_loss, levels, ratio};
pub use estimate::Estimate;
pub use fit::Fit;
pub use holm::holm;
pub(crate) use moments::{deviation, mean};
pub use resamples::{Pair, RESAMPLES, Resamples, Runs};
pub use solved::{D50, Solved};
pub use solved_curve::{Outcomes, Place};
