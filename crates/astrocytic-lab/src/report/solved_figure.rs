//! The plot of a task that is solved or not.

use anyhow::Result;

use super::figures::{aside, of_arm};
use super::plot::{Axis, Plot, Series, plain};
use super::solved_summary::SolvedSummary;
use super::words::tokens;
use crate::results::Experiment;

/// Share of seeds that solve the test against unique examples, as a stand-alone SVG.
///
/// # Errors
/// If it cannot be drawn.
pub(super) fn solved_svg(experiment: &Experiment, solved: &SolvedSummary) -> Result<String> {
    let arms = solved.arms.len();
    let most = experiment.seeds.len();
    let series = solved.arms.iter().zip(&experiment.arms).enumerate().map(|(index, (arm, facts))| {
        // Arms side by side, so that their points do not hide one another.
        let place = |size: u64| size as f64 * (1.0 + 3.0 * aside(index, arms));
        let points = |all: bool| {
            let own = arm.shares.iter().filter(move |share| (share.seeds >= most) == all);
            own.map(|share| (place(share.size), 100.0 * share.share())).collect::<Vec<_>>()
        };
        Series {
            line: arm.shares.iter().map(|share| (place(share.size), 100.0 * share.share())).collect(),
            dots: points(true),
            points: points(false),
            ..of_arm(index, &arm.arm, facts.role)
        }
    });
    Plot {
        size: (1120, 430),
        title: "Seeds that solve the task against unique data".into(),
        x: Axis {
            label: "unique training examples".into(),
            log: true,
            ticks: Some(experiment.sizes.iter().map(|&size| size as f64).collect()),
            format: tokens,
        },
        y: Axis {
            label: "solved (% of seeds)".into(),
            log: false,
            ticks: Some(vec![0.0, 25.0, 50.0, 75.0, 100.0]),
            format: plain,
        },
        series: series.collect(),
        rule: Some(50.0),
    }
    .svg()
}
