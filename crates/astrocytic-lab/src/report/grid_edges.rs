//! Where the best point of a grid lies at its edge, so that a better one may lie beyond.

use super::summary::GridAxis;
use crate::results::{Line, Phase, Trial};

/// All axes.
const AXES: [GridAxis; 3] = [GridAxis::LearningRate, GridAxis::WeightDecay, GridAxis::Schedule];

impl GridAxis {
    /// The axis in words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LearningRate => "learning rate",
            Self::WeightDecay => "weight decay",
            Self::Schedule => "schedule",
        }
    }

    /// Values beyond which there are none.
    fn ends(self) -> [f64; 2] {
        match self {
            Self::LearningRate => [0.0, 1.0],
            Self::WeightDecay => [0.0, 100.0],
            Self::Schedule => [1.0, f64::INFINITY],
        }
    }

    fn value(self, trial: &Trial) -> f64 {
        match self {
            Self::LearningRate => trial.learning_rate,
            Self::WeightDecay => trial.weight_decay,
            Self::Schedule => trial.schedule as f64,
        }
    }
}

/// Points that an arm was tried at.
pub(super) fn tried(lines: &[Line], arm: &str, size: u64) -> Vec<Trial> {
    let mut tried: Vec<Trial> = Vec::new();
    for line in lines {
        if let Line::Result { cell, .. } = line
            && (cell.phase, cell.arm.as_str(), cell.size) == (Phase::Tune, arm, size)
            && !tried.contains(&cell.trial)
        {
            tried.push(cell.trial);
        }
    }
    tried
}

/// Axes on which no value below the best point's was tried, or none above, all else equal; an axis
/// with one value has no edges.
pub(super) fn edges(best: &Trial, tried: &[Trial]) -> Vec<GridAxis> {
    let is_edge = |axis: &GridAxis| {
        let beside = |trial: &&Trial| {
            AXES.iter().filter(|other| *other != axis).all(|other| other.value(trial) == other.value(best))
        };
        let has = |beyond: fn(f64, f64) -> bool| {
            tried.iter().filter(beside).any(|trial| beyond(axis.value(trial), axis.value(best)))
        };
        let searched = tried.iter().any(|trial| axis.value(trial) != axis.value(best));
        let ends = axis.ends().map(|end| axis.value(best) == end);
        searched && !((ends[0] || has(|value, best| value < best)) && (ends[1] || has(|value, best| value > best)))
    };
    AXES.into_iter().filter(is_edge).collect()
}

/// Axes of which one value alone was tried, with that value.
pub(super) fn fixed(trials: &[Trial]) -> Vec<(GridAxis, f64)> {
    let Some(first) = trials.first() else { return Vec::new() };
    let only = |axis: &GridAxis| trials.iter().all(|trial| axis.value(trial) == axis.value(first));
    AXES.into_iter().filter(only).map(|axis| (axis, axis.value(first))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(learning_rate: f64, weight_decay: f64, schedule: u64) -> Trial {
        Trial { learning_rate, weight_decay, schedule }
    }

    #[test]
    fn an_edge_is_where_nothing_beyond_was_tried() {
        let mut grid = Vec::new();
        for rate in [1e-3, 3e-3, 1e-2] {
            for decay in [0.1, 0.3] {
                grid.push(trial(rate, decay, 600));
            }
        }
        assert_eq!(edges(&trial(3e-3, 0.1, 600), &grid), [GridAxis::WeightDecay]);
        assert_eq!(edges(&trial(1e-2, 0.3, 600), &grid), [GridAxis::LearningRate, GridAxis::WeightDecay]);
        assert_eq!(fixed(&grid), [(GridAxis::Schedule, 600.0)]);
        // Coordinate steps: of other rates only those with the best point's decay count.
        let star = [trial(1e-3, 0.3, 600), trial(3e-3, 0.3, 600), trial(1e-2, 0.1, 600), trial(3e-3, 0.1, 600)];
        assert_eq!(edges(&trial(3e-3, 0.3, 600), &star), [GridAxis::LearningRate, GridAxis::WeightDecay]);
        assert!(edges(&grid[0], &grid[..1]).is_empty());
    }
}
