//! How long a study would take.

use std::time::Duration;

use anyhow::{Context, Result};
use astrocytic_models::memory::MemoryKind;
use astrocytic_train::observer::Observer;
use serde::Serialize;

use crate::arms::{Beyond, parameters};
use crate::experiment::data::Data;
use crate::experiment::file::Study;
use crate::experiment::grid::{cap_sizes, most_runs, most_visits_of_arm, note_of_caps};
use crate::experiment::step_cost::step_cost;
use crate::report;

/// How long a study takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prediction {
    /// Tuning and final runs.
    pub runs: [usize; 2],
    /// Seconds of one core if no run is stopped early.
    pub seconds: f64,
    /// Arms that the file defines.
    pub arms: Vec<PredictedArm>,
}

/// An arm that a file defines, at the sizes of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictedArm {
    /// Its name.
    pub name: String,
    /// Trained parameters.
    pub parameters: u64,
    /// What it does.
    pub description: String,
}

impl Study {
    /// How many contrasts it has: primary ones, and others.
    pub(super) fn contrasts(&self) -> Result<[usize; 2]> {
        let config = &self.config;
        let arms = config.arms.iter().map(|name| Ok((name.as_str(), config.arm(name)?.role)));
        let arms = arms.collect::<Result<Vec<_>>>()?;
        Ok(report::count_contrasts(&arms, &serde_json::to_value(config)?))
    }

    /// Cells that the study has, or may have where it searches, and how long they take on this
    /// machine: each arm's steps are timed on one thread, as workers take them.
    ///
    /// # Errors
    /// For a corpus that cannot be had, or a device that is none.
    pub fn predict(&self, device: &str, observer: &dyn Observer) -> Result<Prediction> {
        let mut config = self.config.clone();
        let about = || format!("study {}", self.name);
        let data = Data::prepare(&config, None).with_context(about)?;
        data.notes().iter().chain(&note_of_caps(&config, &data)).for_each(|note| observer.note(note));
        cap_sizes(&mut config, &data).with_context(about)?;
        if config.solved_at().is_some() {
            observer.note(&format!(
                "study {}: each arm's sizes are searched; counted are the runs of the longest search in which the first three \
                 seeds are right about where half of all solve the task. Where they are not, it goes on at the next size",
                self.name
            ));
        }
        let mut seconds = 0.0;
        let (mut tuned, mut arms) = (Vec::new(), Vec::new());
        for name in &config.arms {
            let arm = config.arm(name)?;
            let model = arm.model(data.sizes(&config))?;
            if config.definitions.contains_key(name) {
                let (parameters, description) = (parameters(&model)?, arm.description.clone());
                arms.push(PredictedArm { name: name.clone(), parameters, description });
            }
            let training = (model, arm.is_carried(), arm.given(config.sizes[0], 0));
            // Tuning runs of arms that train alike are the same; the final runs may be others.
            let is_shared = tuned.contains(&training) && config.tuning_trials == 0;
            tuned.push(training);
            let step = step_cost(&config, &data, name, device, Duration::ZERO)?.seconds;
            // A forward pass is a third of a step, and windows overlap by half.
            let rows = if data.is_text() { 2.0 / config.context as f64 } else { 1.0 };
            let read = |count: u64| rows * count as f64 / 3.0 / config.batch as f64 * step;
            // What goes on learning reads the tuning text once for each rate, and the test text
            // once more; with all weights that is training.
            let passes = match arm.beyond {
                Beyond::Learned(way) if way.learns == MemoryKind::Dynamic => 3.0 * way.learns.rates().len() as f64,
                Beyond::Learned(way) => way.learns.rates().len() as f64,
                Beyond::Nothing | Beyond::Carried => 0.0,
            };
            let evaluations = |steps: u64| steps.div_ceil(config.steps_between_evaluations(steps)) as f64;
            let is_trained = arm.is_trained();
            let train = |steps: u64| match is_trained {
                true => steps as f64 * step + read(config.tuning_tokens) * evaluations(steps),
                false => read(config.tuning_tokens),
            };
            let learn = read(config.tuning_tokens) * passes;
            let longest = config.schedules.iter().copied().max().unwrap_or(0);
            let of_tuning = |steps: u64| learn + if is_shared { 0.0 } else { train(steps) };
            let tuning: f64 = match config.tuning_trials as usize {
                _ if !is_trained => 0.0,
                0 => config.trials().iter().map(|trial| of_tuning(trial.schedule)).sum(),
                // It may find that the longest schedule is best.
                trials => of_tuning(longest) * trials as f64,
            };
            // Where nothing is chosen, so are the final runs.
            let last = if is_shared && config.trials().len() == 1 { 0.0 } else { train(longest) };
            let last = learn + last + read(config.test_tokens) * if passes > 0.0 { 4.0 } else { 1.0 };
            let [sizes, finals] = most_visits_of_arm(&config);
            seconds += tuning * (config.seeds_of_tuning().count() * sizes) as f64 + last * finals as f64;
        }
        Ok(Prediction { runs: most_runs(&config)?, seconds, arms })
    }
}
