//! The description of an experiment: what is compared, on what, where.

use std::time::Duration;

use anyhow::Result;

use crate::arms::{Beyond, ModelConfig, parameters};
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::energy::Meter;
use crate::experiment::executor::{Execution, Executor};
use crate::experiment::step_cost::step_cost;
use crate::provenance::machine;
use crate::results::{ArmFacts, Experiment};

/// How long an arm's energy is measured: the counters move on a thousand times a second.
const ENERGY_MEASURED: Duration = Duration::from_secs(2);

/// Describes the experiment; energy is measured where it is `new`. `given` is the configuration as
/// it was asked for, `config` the same with sizes that the corpus has.
pub(super) fn describe(
    given: &ExperimentConfig,
    config: &ExperimentConfig,
    data: &Data,
    models: &[ModelConfig],
    execution: &Execution,
    new: bool,
) -> Result<Experiment> {
    let device = execution.device.as_str();
    let local = execution.executor == Executor::Local;
    let measured = new && local && Meter::new(device).is_some();
    let sizes = data.sizes(config);
    let arms = config.arms.iter().zip(models).map(|(name, model)| {
        let arm = config.arm(name)?;
        let joules = match measured {
            true => step_cost(config, data, name, device, ENERGY_MEASURED)?.joules,
            false => None,
        };
        let carried = if arm.is_carried() { config.carried_tokens() } else { 0 };
        let tokens = data.batches(config, config.sizes[0], 0, arm.is_carried())?.tokens_per_step();
        Ok(ArmFacts {
            name: name.clone(),
            role: arm.role,
            description: arm.description.clone(),
            parameters: parameters(model)?,
            state_bytes: model.state_bytes(config.context + carried)
                + match arm.beyond {
                    Beyond::Learned(way) => way.learns.state_bytes(sizes.vocabulary, sizes.d_model, parameters(model)?),
                    Beyond::Nothing | Beyond::Carried => 0,
                },
            // Of keys and values a token sees half of its own window on average, and all that are
            // carried.
            test_flops_per_token: None,
            learned_tokens: None,
            flops_per_token: model.flops_per_token(config.context + 2 * carried),
            joules_per_million_tokens: joules.map(|joules| joules / tokens * 1e6),
        })
    });
    Ok(Experiment {
        name: match config.search {
            true => {
                format!("Search on {}: the test split is untouched, half of the tuning split stands in", config.corpus)
            }
            false => format!("Data efficiency on {}", config.corpus),
        },
        corpus: data.facts(config),
        arms: arms.collect::<Result<_>>()?,
        sizes: config.sizes.clone(),
        seeds: config.final_seeds().collect(),
        tuning_seeds: config.seeds_of_tuning().collect(),
        trials: config.trials(),
        context: config.context,
        batch: config.batch,
        machine: machine::describe() + if local { "" } else { " (started there, run by a cluster)" },
        device: device.into(),
        commit: machine::commit().into(),
        config: serde_json::to_value(given)?,
    })
}

impl Experiment {
    /// The description of an experiment that was begun before, by this program or another, on this
    /// machine or another: the results are of both.
    pub(super) fn joined(mut self, stored: Self) -> Self {
        let both = |before: String, now: &str, between: &str| {
            if before.split(between).any(|one| one == now) { before } else { format!("{before}{between}{now}") }
        };
        self.commit = both(stored.commit, &self.commit, ", ");
        self.machine = both(stored.machine, &self.machine, "; ");
        // Cells keep their names, however the text is called now.
        self.config["corpus"] = stored.corpus.name.clone().into();
        self.name = stored.name;
        self.corpus.name = stored.corpus.name;
        // Their energy was measured then.
        for (arm, before) in self.arms.iter_mut().zip(stored.arms) {
            arm.joules_per_million_tokens = before.joules_per_million_tokens;
        }
        self
    }
}
