//! The description of an experiment: what is compared, on what, where.

use std::time::Duration;

use anyhow::Result;

use crate::arms::{Arm, Beyond, ModelConfig, Sizes, parameters};
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::energy::Meter;
use crate::experiment::executor::{Execution, Executor};
use crate::experiment::grid::note_of_caps;
use crate::experiment::step_cost::step_cost;
use crate::provenance::machine;
use crate::results::{ArmFacts, CorpusFacts, Experiment};

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
    let mut corpus = data.facts(config);
    corpus.notes.extend(note_of_caps(given, data));
    let arms = config.arms.iter().zip(models).map(|(name, model)| {
        let arm = config.arm(name)?;
        let facts = arm_facts(config, data, &corpus, &arm, model)?;
        let joules_per_million_tokens = match measured && arm.is_trained() {
            true => joules_per_million_tokens(config, data, &arm, device)?,
            false => None,
        };
        Ok(ArmFacts { joules_per_million_tokens, ..facts })
    });
    Ok(Experiment {
        arms: arms.collect::<Result<_>>()?,
        name: match config.search {
            true => {
                format!("Search on {}: the test split is untouched, half of the tuning split stands in", config.corpus)
            }
            false => format!("Data efficiency on {}", config.corpus),
        },
        corpus,
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

/// What an arm is and costs, its energy apart.
fn arm_facts(
    config: &ExperimentConfig,
    data: &Data,
    corpus: &CorpusFacts,
    arm: &Arm,
    model: &ModelConfig,
) -> Result<ArmFacts> {
    let carried = if arm.is_carried() { config.carried_tokens() } else { 0 };
    let parameters = parameters(model)?;
    // Of keys and values a token sees half of its own window on average, and all that are carried.
    let forward = model.flops_per_token(config.context + 2 * carried);
    let Sizes { vocabulary, d_model, context, .. } = data.sizes(config);
    let mut facts = ArmFacts {
        name: arm.name.clone(),
        role: arm.role,
        description: arm.description.clone(),
        parameters,
        state_bytes: model.state_bytes(config.context + carried),
        flops_per_token: forward,
        test_flops_per_token: Some(forward),
        mean_learned_tokens: Some(0),
        joules_per_million_tokens: None,
    };
    if let Beyond::Learned(way) = arm.beyond {
        facts.state_bytes += way.learns.state_bytes(vocabulary, d_model, parameters);
        let learning = way.learns.flops_per_token(vocabulary, d_model, forward, parameters, context);
        facts.test_flops_per_token = Some(forward + learning);
        facts.mean_learned_tokens = Some(way.mean_learned_tokens(corpus));
    }
    Ok(facts)
}

fn joules_per_million_tokens(config: &ExperimentConfig, data: &Data, arm: &Arm, device: &str) -> Result<Option<f64>> {
    let joules = step_cost(config, data, &arm.name, device, ENERGY_MEASURED)?.joules;
    let tokens = data.batches(config, config.sizes[0], 0, arm.is_carried())?.tokens_per_step();
    Ok(joules.map(|joules| joules / tokens * 1e6))
}

impl Experiment {
    /// The same with descriptions as they are now: no result depends on them.
    pub(super) fn described(mut self, now: &Self) -> Self {
        for arm in &mut self.arms {
            if let Some(now) = now.arms.iter().find(|other| other.name == arm.name) {
                arm.description.clone_from(&now.description);
            }
        }
        if let Some(definitions) = now.config.get("definitions") {
            self.config["definitions"] = definitions.clone();
        }
        self
    }

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
        // Lines of a text or device that was not stored stay of an unknown one.
        if stored.corpus.sha256.is_empty() {
            self.corpus.sha256 = stored.corpus.sha256;
        }
        if stored.device.is_empty() {
            self.device = stored.device;
        }
        // Their energy was measured then.
        for (arm, before) in self.arms.iter_mut().zip(stored.arms) {
            arm.joules_per_million_tokens = before.joules_per_million_tokens;
        }
        self
    }
}
