//! The search for an arm's best point: steps along the axes of the grid, and beyond their ends.
//!
//! What is tried next follows from what was tried alone, so that a search that was interrupted goes
//! on as it would have, on whatever machine.

use std::cmp::Ordering;

use crate::results::Trial;

/// An axis is continued by at most so many steps.
const REACH: i64 = 64;

/// How well a point did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    /// What its accuracy lacks of the one at which training ends; `None` where losses are compared.
    pub(super) missing: Option<f64>,
    /// Its loss, which decides between equals.
    pub(super) loss: f64,
}

impl Score {
    /// Whether no other point can have a higher accuracy, so that nothing is left to look for.
    fn is_solved(&self) -> bool {
        self.missing == Some(0.0)
    }

    /// The better one first.
    fn order(&self, other: &Self) -> Ordering {
        let missing = |score: &Self| score.missing.unwrap_or(0.0);
        missing(self).total_cmp(&missing(other)).then(self.loss.total_cmp(&other.loss))
    }
}

/// The values that a search begins with, ascending.
#[derive(Debug, Clone)]
pub(super) struct Axes {
    learning_rates: Axis,
    weight_decays: Axis,
    schedules: Axis,
}

#[derive(Debug, Clone)]
struct Axis {
    values: Vec<f64>,
    most: f64,
    /// Whether only whole numbers are on it.
    whole: bool,
}

impl Axes {
    /// # Panics
    /// For an axis without a value.
    pub(super) fn new(learning_rates: &[f64], weight_decays: &[f64], schedules: &[u64]) -> Self {
        let schedules: Vec<f64> = schedules.iter().map(|&steps| steps as f64).collect();
        Self {
            learning_rates: Axis::new(learning_rates, 1.0, false),
            weight_decays: Axis::new(weight_decays, 100.0, false),
            schedules: Axis::new(&schedules, f64::from(u32::MAX), true),
        }
    }

    /// Where a search without a better idea begins.
    pub(super) fn middle(&self) -> Trial {
        let Self { learning_rates, weight_decays, schedules } = self;
        Trial {
            learning_rate: learning_rates.middle(),
            weight_decay: weight_decays.middle(),
            schedule: schedules.middle() as u64,
        }
    }

    /// The points one step away, up and down: along the schedule, the rate, and the decay. The
    /// schedule moves losses most (experiments/LOG.md, 2026-11-24).
    fn neighbours(&self, of: Trial) -> [Vec<Trial>; 3] {
        let rates = self.learning_rates.neighbours(of.learning_rate).into_iter().flatten();
        let decays = self.weight_decays.neighbours(of.weight_decay).into_iter().flatten();
        let schedules = self.schedules.neighbours(of.schedule as f64).into_iter().flatten();
        [
            schedules.map(|steps| Trial { schedule: steps as u64, ..of }).collect(),
            rates.map(|learning_rate| Trial { learning_rate, ..of }).collect(),
            decays.map(|weight_decay| Trial { weight_decay, ..of }).collect(),
        ]
    }
}

impl Axis {
    fn new(values: &[f64], most: f64, whole: bool) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        Self { values, most, whole }
    }

    fn middle(&self) -> f64 {
        self.values[(self.values.len() - 1) / 2]
    }

    /// The values above and below. An axis with one value is not searched.
    fn neighbours(&self, value: f64) -> [Option<f64>; 2] {
        let last = self.last();
        match (-REACH..=last + REACH).find(|&place| self.at(place) == Some(value)) {
            Some(place) if last > 0 => [self.at(place + 1), self.at(place - 1)],
            _ => [None, None],
        }
    }

    fn last(&self) -> i64 {
        self.values.len() as i64 - 1
    }

    /// The value at a place; beyond the ends the ratio of the last two values goes on.
    fn at(&self, place: i64) -> Option<f64> {
        let last = self.last();
        if (0..=last).contains(&place) {
            return Some(self.values[place as usize]);
        }
        let (end, before, beyond) = match place > last {
            true => (self.values.last()?, self.values.iter().rev().nth(1)?, place - last),
            false => (self.values.first()?, self.values.get(1)?, -place),
        };
        let value = (0..beyond).fold(*end, |value, _| value * (end / before));
        let value = if self.whole { value.round() } else { three_digits(value) };
        (value > 0.0 && value <= self.most).then_some(value)
    }
}

/// Rounded, so that names of cells do not hang on the last bit.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// What is to be tried next, of at most `budget` points in all; nothing once the best point has no
/// untried neighbour or solves the task with every seed, or the budget is spent.
///
/// A round tries the untried neighbours of the best point so far along one axis, the first that has
/// any. Rounds follow from `tried` alone: those that are complete are replayed, and of one that is
/// not, what is missing is next.
pub(super) fn next(axes: &Axes, start: Trial, tried: &[(Trial, Score)], budget: usize) -> Vec<Trial> {
    let mut seen: Vec<(Trial, Score)> = Vec::new();
    let mut round = vec![start];
    while !round.is_empty() {
        let known = |trial: &Trial| tried.iter().find(|(other, _)| other == trial).copied();
        let (found, missing): (Vec<_>, Vec<_>) = round.iter().partition(|trial| known(trial).is_some());
        if !missing.is_empty() {
            return missing;
        }
        seen.extend(found.iter().filter_map(known));
        if seen.iter().any(|(_, score)| score.is_solved()) {
            break;
        }
        let left = budget.saturating_sub(seen.len());
        let untried = |trial: &Trial| seen.iter().all(|(other, _)| other != trial);
        round = match best(&seen) {
            Some(best) => {
                let along = axes.neighbours(best).map(|points| points.into_iter().filter(untried).collect::<Vec<_>>());
                along.into_iter().find(|points| !points.is_empty()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        round.truncate(left);
    }
    Vec::new()
}

/// The point that did best; of equals, as where all diverged, the one with smaller values.
pub(super) fn best(tried: &[(Trial, Score)]) -> Option<Trial> {
    let order = |(a, of_a): &&(Trial, Score), (b, of_b): &&(Trial, Score)| {
        let smaller = a.learning_rate.total_cmp(&b.learning_rate).then(a.weight_decay.total_cmp(&b.weight_decay));
        of_a.order(of_b).then(smaller).then(a.schedule.cmp(&b.schedule))
    };
    tried.iter().min_by(order).map(|(trial, _)| *trial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes() -> Axes {
        Axes::new(&[1e-3, 3e-3, 8e-3], &[0.1, 0.5, 2.0], &[400, 1_200, 3_600])
    }

    impl Score {
        fn of_loss(loss: f64) -> Self {
            Self { missing: None, loss }
        }
    }

    fn trial(learning_rate: f64, weight_decay: f64, schedule: u64) -> Trial {
        Trial { learning_rate, weight_decay, schedule }
    }

    /// A bowl in the logarithms, lowest at that point.
    fn bowl(lowest: Trial) -> impl Fn(Trial) -> f64 {
        move |at| {
            (at.learning_rate / lowest.learning_rate).ln().powi(2)
                + (at.weight_decay / lowest.weight_decay).ln().powi(2)
                + (at.schedule as f64 / lowest.schedule as f64).ln().powi(2)
        }
    }

    /// Whether every neighbour of a point was tried.
    fn is_interior(point: Trial, tried: &[(Trial, Score)]) -> bool {
        axes().neighbours(point).iter().flatten().all(|near| tried.iter().any(|(other, _)| other == near))
    }

    /// The rounds of a search and what was tried in all.
    fn search(loss: impl Fn(Trial) -> f64, start: Trial, budget: usize) -> (Vec<Vec<Trial>>, Vec<(Trial, Score)>) {
        let (mut rounds, mut tried) = (Vec::new(), Vec::new());
        loop {
            let round = next(&axes(), start, &tried, budget);
            if round.is_empty() {
                return (rounds, tried);
            }
            tried.extend(round.iter().map(|&trial| (trial, Score::of_loss(loss(trial)))));
            rounds.push(round);
        }
    }

    #[test]
    fn an_axis_goes_on_by_its_last_ratio_in_round_numbers() {
        let Axes { learning_rates, weight_decays, schedules } = axes();
        assert_eq!(learning_rates.neighbours(8e-3), [Some(0.0213), Some(3e-3)]);
        assert_eq!(learning_rates.neighbours(0.0213), [Some(0.0569), Some(8e-3)]);
        assert_eq!(learning_rates.neighbours(1e-3), [Some(3e-3), Some(3.33e-4)]);
        assert_eq!(learning_rates.neighbours(0.405), [None, Some(0.152)]);
        assert_eq!(weight_decays.neighbours(0.1), [Some(0.5), Some(0.02)]);
        assert_eq!(weight_decays.neighbours(32.0), [None, Some(8.0)]);
        assert_eq!(schedules.neighbours(400.0), [Some(1_200.0), Some(133.0)]);
        assert_eq!(schedules.neighbours(1.0)[1], None);
        // A decay of zero is an end; a value that is on no axis, and an axis of one, have no neighbours.
        assert_eq!(Axis::new(&[0.5, 0.0], 100.0, false).neighbours(0.0), [Some(0.5), None]);
        assert_eq!(Axis::new(&[0.5, 0.0], 100.0, false).neighbours(0.5), [None, Some(0.0)]);
        assert_eq!(learning_rates.neighbours(0.7), [None, None]);
        assert_eq!(Axis::new(&[0.5], 100.0, false).neighbours(0.5), [None, None]);
    }

    #[test]
    fn an_optimum_beyond_the_edge_is_found_and_is_interior() {
        let lowest = trial(0.0569, 8.0, 1_200);
        let (rounds, tried) = search(bowl(lowest), axes().middle(), 100);
        assert_eq!(rounds[0], [trial(3e-3, 0.5, 1_200)]);
        assert_eq!(rounds[1], [trial(3e-3, 0.5, 3_600), trial(3e-3, 0.5, 400)]);
        assert_eq!(rounds[2], [trial(8e-3, 0.5, 1_200), trial(1e-3, 0.5, 1_200)]);
        assert_eq!(best(&tried), Some(lowest));
        // It ended because every neighbour was tried, not for want of budget.
        assert!(is_interior(lowest, &tried));
        assert!(tried.len() < 30, "{}", tried.len());
        // From the optimum of another size it is the same.
        let (_, near) = search(bowl(lowest), trial(0.0213, 8.0, 400), 100);
        assert!(best(&near) == Some(lowest) && near.len() < tried.len());
    }

    #[test]
    fn a_budget_is_kept_and_nothing_is_tried_twice() {
        for budget in 1..30 {
            let (_, tried) = search(bowl(trial(0.152, 8.0, 10_800)), axes().middle(), budget);
            assert!(tried.len() <= budget);
            assert!(budget > 20 || tried.len() == budget, "{budget} {}", tried.len());
            for (place, (one, _)) in tried.iter().enumerate() {
                assert!(tried[..place].iter().all(|(other, _)| other != one));
            }
        }
    }

    #[test]
    fn the_standard_budget_reaches_an_interior_optimum_and_the_quick_one_seldom() {
        // Whose lowest point lies on the grid.
        let rates = [1e-3, 3e-3, 8e-3];
        let decays = [0.1, 0.5, 2.0];
        let schedules = [400, 1_200, 3_600];
        let mut all = Vec::new();
        for rate in rates {
            for decay in decays {
                all.extend(schedules.map(|schedule| trial(rate, decay, schedule)));
            }
        }
        for (budget, share) in [(9, 0.1), (16, 1.0)] {
            let ended = |lowest: &&Trial| {
                let (_, tried) = search(bowl(**lowest), axes().middle(), budget);
                is_interior(best(&tried).unwrap(), &tried)
            };
            let found = all.iter().filter(ended).count() as f64 / all.len() as f64;
            assert!(found >= share, "{budget}: {found}");
        }
    }

    #[test]
    fn a_round_that_was_tried_in_part_is_gone_on_with() {
        let loss = bowl(trial(0.0213, 2.0, 3_600));
        let (rounds, tried) = search(&loss, axes().middle(), 15);
        let mut known: Vec<(Trial, Score)> = Vec::new();
        for round in &rounds {
            // Whichever came first, and whatever it says of the rest.
            for (place, &trial) in round.iter().enumerate().rev() {
                assert_eq!(next(&axes(), axes().middle(), &known, 15), round[..=place]);
                known.insert(0, (trial, Score::of_loss(loss(trial))));
            }
        }
        assert_eq!(known.len(), tried.len());
        assert_eq!(best(&known), best(&tried));
    }

    #[test]
    fn what_diverged_is_left_behind() {
        let lowest = bowl(trial(3.33e-4, 0.5, 1_200));
        let loss = |at: Trial| if at.learning_rate > 2e-3 { f64::INFINITY } else { lowest(at) };
        let (_, tried) = search(loss, axes().middle(), 20);
        assert_eq!(best(&tried), Some(trial(3.33e-4, 0.5, 1_200)));
        // All did: it ends, and names one of them.
        let (_, tried) = search(|_| f64::INFINITY, axes().middle(), 20);
        assert!(tried.len() <= 20 && best(&tried).is_some());
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn accuracy_comes_first_and_what_is_solved_ends_the_search() {
        let score = |missing, loss| Score { missing: Some(missing), loss };
        let [a, b, c] = [1e-3, 3e-3, 8e-3].map(|rate| trial(rate, 0.5, 1_200));
        assert_eq!(best(&[(a, score(0.2, 0.1)), (b, score(0.1, 0.9)), (c, score(0.1, 0.8))]), Some(c));
        let mut tried = vec![(axes().middle(), score(0.3, 1.0))];
        let round = next(&axes(), axes().middle(), &tried, 20);
        assert_eq!(round.len(), 2);
        tried.extend([(round[0], score(0.0, 0.4)), (round[1], score(0.1, 0.2))]);
        assert!(next(&axes(), axes().middle(), &tried, 20).is_empty());
        assert_eq!(best(&tried), Some(round[0]));
    }
}
