//! An experiment: what is compared on what, expanded into cells that can be run anywhere in any
//! order.

use anyhow::Result;
use astrocytic_data::TokenizerKind;
use astrocytic_train::config::TrainingConfig;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::arms::{Arm, Beyond, Definitions, ModelConfig, carried_tokens, find};
use crate::results::{Cell, Phase, Trial};

/// More seeds would meet those of the tuning runs.
pub(super) const MOST_SEEDS: u64 = 1_000;
/// First seed of the tuning runs; those of final runs are below it.
const TUNING_SEED: u64 = MOST_SEEDS;

/// Everything that an experiment's results depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Name of a corpus, "generated", path of a text file, or a
    /// [`Task`](astrocytic_data::tasks::Task): then sizes count examples.
    pub corpus: String,
    /// Tokenizer of texts, trained on the training split.
    pub tokenizer: TokenizerKind,
    /// Names of the arms; "vanilla" must be the first.
    pub arms: Vec<String>,
    /// Unique training tokens (examples) of each data size, ascending; a size beyond the corpus is
    /// the whole of it.
    pub sizes: Vec<u64>,
    /// Number of seeds of the final runs.
    pub seeds: u64,
    /// The first of them: a search and what is reported after it should not share seeds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_seed: u64,
    /// Number of seeds of the tuning runs, other ones.
    pub tuning_seeds: u64,
    /// Grid on which every arm is tuned at every size.
    pub learning_rates: Vec<f64>,
    /// Grid on which every arm is tuned at every size.
    pub weight_decays: Vec<f64>,
    /// Width of the stream.
    pub d_model: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Dropout.
    pub dropout: f64,
    /// Tokens of context.
    pub context: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Grid on which every arm is tuned at every size: optimizer steps of the schedule.
    pub schedules: Vec<u64>,
    /// Evaluations in a run that is not stopped early.
    pub evaluations: u64,
    /// Evaluations without improvement that stop a run.
    pub patience: u64,
    /// Share of the steps over which the learning rate rises.
    pub warmup: f64,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// Tokens of the tuning split that an evaluation reads at most, from all of its documents; or
    /// examples.
    pub tuning_tokens: u64,
    /// Tokens of the test split that are read at most, from all of its documents; or examples.
    pub test_tokens: u64,
    /// Seed of the generated language's text, and of generated examples.
    pub corpus_seed: u64,
    /// The comparison that answers the question, named before anything is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<Primary>,
    /// All comparisons that are tested, the primary one among them or not; none: every astrocytic
    /// arm with the baseline and with every control.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contrasts: Vec<[String; 2]>,
    /// Tokens of the blocks that subsets of a text, and its test, are made of; 0: whole documents.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub block_tokens: u64,
    /// Steps between evaluations at every size and schedule; 0: `evaluations` in each schedule.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evaluate_every: u64,
    /// Points of the grid, and beyond its edges, that an arm is tried at for each size at most; 0:
    /// every point of the grid.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tuning_trials: u64,
    /// Share of a schedule over which the examples that are trained on grow from the shortest to all
    /// (a curriculum); 0: all from the beginning.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub curriculum: f64,
    /// A search among ideas: the test split stays untouched, and every second document of the
    /// tuning split stands in for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
    /// Accuracy from which on a run counts as solved, for tasks that are solved or not: then the
    /// sizes are searched for the one that half of the seeds solve, runs are chosen and weights kept
    /// by accuracy on the tuning split, and training ends half of the way from here to 1. 0: losses
    /// are compared, at every size.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub solved_at: f64,
    /// Tables of the arms that are not built in, in the words of a file.
    #[serde(default, skip_serializing_if = "Definitions::is_empty")]
    pub definitions: Definitions,
}

/// A comparison that is to answer the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// The arm.
    pub arm: String,
    /// What it is compared with.
    pub baseline: String,
    /// Test loss at which the data are compared; `None`: the middle of the losses that both reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

impl ExperimentConfig {
    /// The arm of that name, one of its own or a built-in one.
    ///
    /// # Errors
    /// For a name that is none; says which are near.
    pub fn arm(&self, name: &str) -> Result<Arm> {
        Ok(find(name, &self.definitions)?)
    }

    /// Seeds of the final runs.
    pub(crate) fn final_seeds(&self) -> std::ops::Range<u64> {
        self.first_seed..self.first_seed + self.seeds
    }

    /// Seeds of the tuning runs; none where the grid is one point, and nothing to choose.
    pub(crate) fn seeds_of_tuning(&self) -> std::ops::Range<u64> {
        let seeds = if self.trials().len() > 1 { self.tuning_seeds } else { 0 };
        TUNING_SEED..TUNING_SEED + seeds
    }

    /// Every point of the grid.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for &learning_rate in &self.learning_rates {
            for &weight_decay in &self.weight_decays {
                trials.extend(self.schedules.iter().map(|&schedule| Trial { learning_rate, weight_decay, schedule }));
            }
        }
        trials
    }

    /// Tokens whose keys and values an arm that carries them sees beside its window: a state that
    /// is many times the size of a memory's.
    pub(crate) fn carried_tokens(&self) -> usize {
        carried_tokens(self.context)
    }

    /// Accuracy from which on a run counts as solved, where runs are solved or not.
    pub fn solved_at(&self) -> Option<f64> {
        (self.solved_at > 0.0).then_some(self.solved_at)
    }

    /// Accuracy on the tuning split at which a run of that phase ends. A tuning run ends half of the way
    /// from what counts as solved to 1, where its grid point is good enough; a final run, whose test
    /// counts, when every answer is right.
    pub(crate) fn stop_at_accuracy(&self, phase: Phase) -> Option<f64> {
        self.solved_at().map(|solved_at| match phase {
            Phase::Tune => (1.0 + solved_at) / 2.0,
            Phase::Final => 1.0,
        })
    }

    /// Steps between the evaluations of a schedule.
    pub(crate) fn steps_between_evaluations(&self, schedule: u64) -> u64 {
        if self.evaluate_every > 0 { self.evaluate_every } else { schedule.div_ceil(self.evaluations) }
    }

    pub(crate) fn training(&self, cell: &Cell, carried: bool) -> TrainingConfig {
        let steps = cell.trial.schedule;
        TrainingConfig {
            learning_rate: cell.trial.learning_rate,
            weight_decay: cell.trial.weight_decay,
            steps,
            warmup: self.warmup,
            clip: self.clip,
            evaluate_every: self.steps_between_evaluations(steps),
            patience: self.patience,
            seed: cell.seed,
            carry: carried.then(|| self.carried_tokens()),
            stop_at_accuracy: self.stop_at_accuracy(cell.phase),
        }
    }

    /// A cell, named by a hash of all that its result depends on.
    ///
    /// # Errors
    /// For an arm that is none.
    pub fn cell(&self, phase: Phase, arm: &Arm, model: &ModelConfig, run: Run) -> Result<Cell> {
        let Run { size, seed, trial } = run;
        let mut cell = Cell { id: String::new(), phase, arm: arm.name.clone(), size, seed, trial };
        let mut text = self.text_of_run(model, &cell, &self.training(&cell, arm.is_carried()))?;
        if arm.given(size, seed) != (size, seed) {
            text += &serde_json::to_string(&arm.given(size, seed))?;
        }
        text += &other_weights(arm, size, seed);
        if let Beyond::Learned(way) = arm.beyond {
            text += &serde_json::to_string(&(way, way.learns.rates()))?;
        }
        cell.id = name_of(&text);
        Ok(cell)
    }

    /// A name for what a cell trains: cells that differ only in what is done with the trained model
    /// have the same.
    pub(crate) fn training_name(&self, cell: &Cell, model: &ModelConfig) -> Result<String> {
        let arm = self.arm(&cell.arm)?;
        let given = arm.given(cell.size, cell.seed);
        let mut text = self.text_of_run(model, &given, &self.training(cell, arm.is_carried()))?;
        text += &other_weights(&arm, cell.size, cell.seed);
        Ok(name_of(&text))
    }

    /// The text that names of runs are hashes of.
    fn text_of_run(&self, model: &ModelConfig, run: &impl Serialize, training: &TrainingConfig) -> Result<String> {
        let [config, run, training] =
            [serde_json::to_string(&self.of_one_run())?, serde_json::to_string(run)?, serde_json::to_string(training)?];
        Ok(format!("[{config},{},{run},{training}]", model.named()?))
    }

    /// What other runs there are does not matter to one.
    fn of_one_run(&self) -> Self {
        Self {
            arms: vec![],
            sizes: vec![],
            seeds: 0,
            first_seed: 0,
            tuning_seeds: 0,
            learning_rates: vec![],
            weight_decays: vec![],
            schedules: vec![],
            primary: None,
            contrasts: vec![],
            tuning_trials: 0,
            // What they come to is in the model.
            definitions: Definitions::new(),
            ..self.clone()
        }
    }
}

/// What names a run whose weights are not drawn from the seed of its data.
fn other_weights(arm: &Arm, size: u64, seed: u64) -> String {
    let weights = arm.weights_seed(seed);
    if weights == arm.given(size, seed).1 { String::new() } else { format!("weights {weights}") }
}

/// Whether a number is left out of a file.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_nothing(number: &f64) -> bool {
    *number == 0.0
}

fn name_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// What distinguishes the runs of an arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Unique tokens.
    pub size: u64,
    /// Seed.
    pub seed: u64,
    /// Point of the grid.
    pub trial: Trial,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::arms::Sizes;
    use crate::report;

    /// Folders of `experiments/results` with stored lines.
    fn studies() -> Vec<PathBuf> {
        let results = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/results");
        let within = |folder: &PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let folders = within(&results).filter(|path| path.is_dir()).collect::<Vec<_>>();
        let deeper = folders.iter().flat_map(within).filter(|path| path.is_dir());
        let mut all: Vec<PathBuf> = folders.iter().cloned().chain(deeper).collect();
        all.retain(|folder| folder.join("lines.jsonl").exists() && folder.join("experiment.json").exists());
        all
    }

    /// A stored run is found again only under the same name.
    #[test]
    fn cells_have_the_names_that_stored_lines_have() {
        let (mut found, mut arms) = (0, BTreeSet::new());
        for folder in studies() {
            let (experiment, lines) = report::load(&folder).unwrap();
            let config: ExperimentConfig = serde_json::from_value(experiment.config.clone()).unwrap();
            let ExperimentConfig { d_model, layers, heads, dropout, context, .. } = config;
            let (vocabulary, feed_forward) = (experiment.corpus.vocabulary, !config.corpus.starts_with("mqar"));
            let sizes = Sizes { vocabulary, d_model, layers, heads, dropout, context, feed_forward };
            let mut seen = BTreeSet::new();
            for Cell { id, phase, arm: name, size, seed, trial } in lines.iter().map(|line| line.cell()).cloned() {
                if seen.insert((name.clone(), phase == Phase::Final)) {
                    let arm = config.arm(&name).unwrap();
                    let model = arm.model(sizes).unwrap();
                    let same = config.cell(phase, &arm, &model, Run { size, seed, trial }).unwrap().id == id;
                    found += u32::from(same);
                    arms.extend(same.then_some(name));
                }
            }
        }
        // The oldest runs are of programs whose models or rates were others.
        assert!(found >= 328 && arms.len() >= 36, "{found} of {arms:?}");
    }
}
