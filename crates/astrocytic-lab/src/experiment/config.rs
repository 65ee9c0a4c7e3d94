//! An experiment: what is compared on what, expanded into cells that can be run anywhere in any order.

use anyhow::{Result, bail};
use astrocytic_data::TokenizerKind;
use astrocytic_data::tasks::Task;
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::evaluate;
use astrocytic_train::seed::derive_seed;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::train::{Event, train};
use astrocytic_train::trainable::Trainable;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::arms::{Arm, Beyond, ModelConfig, arm};
use crate::experiment::cells::Claim;
use crate::experiment::data::{Data, Reading};
use crate::experiment::worker::Training;
use crate::learning::{self, Learning};
use crate::results::{Cell, Line, Phase, Status, Trial};

/// More seeds would meet those of the tuning runs.
const MOST_SEEDS: u64 = 1_000;
/// First seed of the tuning runs; those of final runs are below it.
const TUNING_SEED: u64 = MOST_SEEDS;
/// More tokens than a text that this machinery is for.
const MOST_TOKENS: u64 = 1_000_000_000;
/// More entries than any vocabulary in use.
const MOST_VOCABULARY: usize = 1_000_000;

/// Everything that an experiment's results depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentConfig {
    /// Name of a corpus, "generated", path of a text file, or a [`Task`]: then sizes count examples.
    pub corpus: String,
    /// Tokenizer of texts, trained on the training split.
    pub tokenizer: TokenizerKind,
    /// Names of the arms; "vanilla" must be the first.
    pub arms: Vec<String>,
    /// Unique training tokens (examples) of each data size, ascending; a size beyond the corpus is the whole of it.
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
    /// Tokens of the tuning split that an evaluation reads at most, from all of its documents; or examples.
    pub tuning_tokens: u64,
    /// Tokens of the test split that are read at most, from all of its documents; or examples.
    pub test_tokens: u64,
    /// Seed of the generated language's text, and of generated examples.
    pub corpus_seed: u64,
    /// A search among ideas: the test split stays untouched, and every second document of the tuning split stands in for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search: bool,
}

/// How much is spent on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Minutes: two sizes, three seeds, one control, a small model.
    Quick,
    /// About an hour: three sizes, four controls, schedules tuned as well.
    Standard,
    /// The headline protocol: five sizes, five seeds, every part switched off in turn. Days on two cores.
    Full,
}

impl Budget {
    /// The experiment of this budget on a corpus or a task.
    ///
    /// # Errors
    /// For a task that there is not.
    pub fn config(self, corpus: &str) -> Result<ExperimentConfig> {
        let config = self.of_text(corpus);
        Ok(match Task::of_corpus(corpus)? {
            Some(task) => self.of_task(&task, config),
            None => config,
        })
    }

    /// What a task changes.
    fn of_task(self, task: &Task, config: ExperimentConfig) -> ExperimentConfig {
        let sizes = match task {
            Task::Labelled(_) => [50, 150, 500, 1_500, 5_000],
            Task::Scan(_) => [500, 1_000, 4_000, 8_000, 16_000],
            Task::Mqar { .. } | Task::ListOps { .. } => [500, 2_000, 8_000, 32_000, 128_000],
        };
        let chosen: &[usize] = match self {
            Self::Quick => &[1, 3],
            Self::Standard => &[0, 2, 4],
            Self::Full => &[0, 1, 2, 3, 4],
        };
        let (context, batch) = match task {
            Task::Labelled(_) => (128, 16),
            Task::Scan(_) => (64, 16),
            Task::Mqar { length, .. } => (*length, (2_048 / length).clamp(4, 32)),
            Task::ListOps { length } => (*length, (2_048 / length).clamp(4, 32)),
        };
        // Zoology's four rates.
        let rates = [1e-4, 4.6e-4, 2.2e-3, 1e-2];
        ExperimentConfig {
            sizes: chosen.iter().map(|&place| sizes[place]).collect(),
            learning_rates: if matches!(task, Task::Mqar { .. }) { rates.into() } else { config.learning_rates },
            context,
            batch,
            tuning_tokens: 500,
            test_tokens: 2_000,
            ..config
        }
    }

    fn of_text(self, corpus: &str) -> ExperimentConfig {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let quick = ExperimentConfig {
            corpus: corpus.into(),
            tokenizer: TokenizerKind::BytePair { vocabulary: 512 },
            arms: names(&["vanilla", "tripartite", "vanilla-convolution-gate"]),
            sizes: vec![4_096, 16_384],
            seeds: 3,
            first_seed: 0,
            tuning_seeds: 1,
            learning_rates: vec![3e-3, 8e-3],
            weight_decays: vec![0.5],
            d_model: 64,
            layers: 2,
            heads: 2,
            dropout: 0.1,
            context: 64,
            batch: 8,
            schedules: vec![600],
            evaluations: 10,
            patience: 3,
            warmup: 0.1,
            clip: 1.0,
            tuning_tokens: 6_000,
            test_tokens: 12_000,
            corpus_seed: 0,
            search: false,
        };
        match self {
            Self::Quick => quick,
            Self::Standard => ExperimentConfig {
                arms: names(&["vanilla", "tripartite", "vanilla-convolution-gate", "linear", "no-attention"]),
                sizes: vec![4_096, 12_288, 36_864],
                weight_decays: vec![0.3, 1.5],
                schedules: vec![800, 2_400],
                evaluations: 12,
                patience: 4,
                tuning_tokens: 8_000,
                test_tokens: 60_000,
                ..quick
            },
            Self::Full => ExperimentConfig {
                arms: names(&[
                    "vanilla",
                    "tripartite",
                    "tripartite-release",
                    "vanilla-convolution-gate",
                    "linear",
                    "tripartite-no-decay",
                    "tripartite-hebbian",
                    "tripartite-no-convolution",
                    "tripartite-no-gate",
                    "tripartite-no-write-gate",
                    "no-attention",
                ]),
                sizes: vec![16_384, 49_152, 147_456, 442_368, 1_327_104],
                seeds: 5,
                learning_rates: vec![1e-3, 3e-3, 8e-3],
                weight_decays: vec![0.1, 0.5, 2.0],
                schedules: vec![1_000, 4_000, 16_000],
                d_model: 128,
                layers: 3,
                heads: 4,
                context: 128,
                batch: 16,
                evaluations: 30,
                patience: 6,
                tuning_tokens: 30_000,
                test_tokens: 200_000,
                ..quick
            },
        }
    }
}

impl ExperimentConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// One line with the field, its value and what would do.
    pub fn validate(&self) -> Result<()> {
        for name in &self.arms {
            arm(name)?;
        }
        if self.arms.first().map(String::as_str) != Some("vanilla") || self.arms.len() < 2 {
            bail!("arms: need \"vanilla\" first and at least one other, got {:?}", self.arms);
        }
        let mut distinct = self.arms.clone();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != self.arms.len() {
            bail!("arms: each only once, got {:?}", self.arms);
        }
        if self.seeds == 0 || self.tuning_seeds == 0 {
            bail!("seeds: at least 1 is needed (3 for an ablation, 5 for a headline)");
        }
        if self.first_seed.saturating_add(self.seeds) > MOST_SEEDS || self.tuning_seeds > MOST_SEEDS {
            bail!(
                "seeds: at most {MOST_SEEDS}, got {} from {} on and {} for tuning",
                self.seeds,
                self.first_seed,
                self.tuning_seeds
            );
        }
        if let Some(size) = self.sizes.iter().find(|&&size| size > MOST_TOKENS) {
            bail!("sizes: at most {MOST_TOKENS} tokens, got {size}");
        }
        if !(self.clip > 0.0 && self.clip.is_finite() && (0.0..1.0).contains(&self.warmup)) {
            bail!("clip = {} must be above 0 and warmup = {} in [0, 1)", self.clip, self.warmup);
        }
        for (name, value, most) in [
            ("d_model", self.d_model, 1 << 14),
            ("layers", self.layers, 1 << 10),
            ("heads", self.heads, 1 << 14),
            ("context", self.context, 1 << 20),
            ("batch", self.batch, 1 << 20),
        ] {
            if value > most {
                bail!("{name}: at most {most}, got {value}");
            }
        }
        if let TokenizerKind::BytePair { vocabulary } = self.tokenizer
            && vocabulary > MOST_VOCABULARY
        {
            bail!("tokenizer: at most {MOST_VOCABULARY} entries, got {vocabulary}");
        }
        if self.sizes.is_empty() || self.sizes.windows(2).any(|w| w[0] >= w[1]) {
            bail!("sizes: must be ascending and at least one, got {:?}", self.sizes);
        }
        let task = Task::of_corpus(&self.corpus)?;
        let text = task.is_none();
        let examples =
            self.sizes[self.sizes.len() - 1].saturating_add(self.tuning_tokens).saturating_add(self.test_tokens);
        if !text && examples.saturating_mul(self.context as u64) > MOST_TOKENS {
            bail!("sizes: {examples} examples of up to {} tokens are more than {MOST_TOKENS} tokens", self.context);
        }
        for name in self.arms.iter().filter(|_| !text) {
            if arm(name)?.beyond != Beyond::Nothing {
                bail!("arms: {name} remembers what it read before, which examples of a task do not have");
            }
        }
        let one_answer = task.as_ref().is_some_and(Task::has_one_answer);
        for name in self.arms.iter().filter(|_| !one_answer) {
            if arm(name)?.is_encoder() {
                bail!("arms: {name} gives one answer for an example, which labelled texts and ListOps have");
            }
        }
        if text && self.sizes[0] <= self.context as u64 {
            bail!("sizes: {} tokens are not more than one context of {}", self.sizes[0], self.context);
        }
        let rates = self.learning_rates.iter().all(|&r| r > 0.0 && r <= 1.0) && !self.learning_rates.is_empty();
        let decays = self.weight_decays.iter().all(|&w| (0.0..=100.0).contains(&w)) && !self.weight_decays.is_empty();
        if !rates || !decays {
            bail!("learning_rates must be in (0, 1] and weight_decays in [0, 100], at least one of each");
        }
        if [self.context, self.batch, self.d_model, self.layers, self.heads].contains(&0)
            || self.schedules.is_empty()
            || self.schedules.contains(&0)
            || [self.sizes[0], self.evaluations, self.tuning_tokens, self.test_tokens].contains(&0)
        {
            bail!("context, batch, sizes of the model, schedules, evaluations and tokens must all be above 0");
        }
        Ok(())
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

    /// Tokens whose keys and values an arm that carries them sees beside its window: a state that is many times the size of
    /// a memory's.
    pub(crate) fn carried_tokens(&self) -> usize {
        4 * self.context
    }

    pub(crate) fn training(&self, cell: &Cell, carried: bool) -> TrainingConfig {
        let steps = cell.trial.schedule;
        TrainingConfig {
            learning_rate: cell.trial.learning_rate,
            weight_decay: cell.trial.weight_decay,
            steps,
            warmup: self.warmup,
            clip: self.clip,
            evaluate_every: steps.div_ceil(self.evaluations),
            patience: self.patience,
            seed: cell.seed,
            carry: carried.then(|| self.carried_tokens()),
        }
    }

    /// A cell, named by a hash of all that its result depends on.
    ///
    /// # Errors
    /// For an arm that is none.
    pub fn cell(&self, phase: Phase, arm: &Arm, model: &ModelConfig, run: Run) -> Result<Cell> {
        let Run { size, seed, trial } = run;
        let mut cell = Cell { id: String::new(), phase, arm: arm.name.clone(), size, seed, trial };
        let mut text =
            serde_json::to_string(&(self.of_one_run(), model, &cell, self.training(&cell, arm.is_carried())))?;
        if arm.given(size, seed) != (size, seed) {
            text += &serde_json::to_string(&arm.given(size, seed))?;
        }
        if let Beyond::Learned(way) = arm.beyond {
            text += &serde_json::to_string(&(way, way.learns.rates()))?;
        }
        cell.id = name_of(&text);
        Ok(cell)
    }

    /// A name for what a cell trains: cells that differ only in what is done with the trained model have the same.
    pub(crate) fn training_name(&self, cell: &Cell, model: &ModelConfig) -> Result<String> {
        let arm = arm(&cell.arm)?;
        let given = arm.given(cell.size, cell.seed);
        Ok(name_of(&serde_json::to_string(&(self.of_one_run(), model, given, self.training(cell, arm.is_carried())))?))
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
            ..self.clone()
        }
    }
}

/// Whether a number is left out of a file.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn name_of(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|b| format!("{b:02x}")).collect()
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

/// Trains for cells that train alike, or goes on from a checkpoint, keeps the best weights, and tests them as each cell's arm
/// does; the test split is read for final cells only, once. Returns the evaluations and the result of each.
///
/// # Errors
/// For a configuration that does not hold, or a checkpoint that cannot be read or written.
pub(crate) fn run_training(
    config: &ExperimentConfig,
    data: &Data,
    training: &Training,
    device: &Device,
    claim: &Claim,
) -> Result<Vec<Line>> {
    let device = device.clone().autodiff();
    let arm = arm(&training.first.arm)?;
    let seed = derive_seed(arm.given(training.first.size, training.first.seed).1, "weights", 0);
    match arm.model(data.sizes(config))? {
        ModelConfig::Decoder(model) => run_model(config, data, training, model.init_seeded(seed, &device), claim),
        ModelConfig::Encoder(model) => run_model(config, data, training, model.init_seeded(seed, &device)?, claim),
    }
}

fn run_model<M: Trainable>(
    config: &ExperimentConfig,
    data: &Data,
    training: &Training,
    model: M,
    claim: &Claim,
) -> Result<Vec<Line>> {
    let Training { first, others, .. } = training;
    let device = model.device();
    let trained = arm(&first.arm)?;
    let carried = trained.is_carried();
    let (size, seed) = trained.given(first.size, first.seed);
    let batches = data.batches(config, size, seed, carried)?;
    let tuning = data.tuning_windows(config, carried)?;
    let how = TrainingConfig { seed, ..config.training(first, carried) };
    let mut lines = Vec::new();
    let checkpoint = Checkpoint::new(claim.folder());
    let tokens_per_step = batches.tokens_per_step();
    let mut objective = TokenObjective::new(&batches, &how).with_held_out(&tuning);
    let outcome = train(model, &how, &mut objective, Some(&checkpoint), &mut |event| match event {
        Event::Damaged { damage } => {
            eprintln!("note: {damage}; going on from the one before");
            Ok(())
        }
        Event::Begun { step } => {
            // Another program may have named the cell otherwise.
            lines = claim.lines_up_to(step)?.into_iter().map(|line| line.of(first)).collect();
            Ok(())
        }
        Event::Evaluation { step, train_loss, tuning_loss } => {
            let tokens = (step as f64 * tokens_per_step).round() as u64;
            lines.push(Line::Evaluation { cell: first.clone(), step, tokens, train_loss, tuning_loss });
            claim.keep(&lines)
        }
        Event::Step { .. } => Ok(()),
    })?;
    let device = device.inner();
    let cells: Vec<&Cell> = std::iter::once(first).chain(others).collect();
    let beyond = cells.iter().map(|cell| Ok(arm(&cell.arm)?.beyond)).collect::<Result<Vec<_>>>()?;
    // All that goes on learning reads the tuning text in one pass.
    let tried = |beyond: &Beyond| match *beyond {
        Beyond::Learned(way) if !outcome.diverged => way.learns.rates().map(|rate| (way, rate)).into(),
        Beyond::Learned(way) => vec![(way, 0.0)],
        Beyond::Nothing | Beyond::Carried => vec![],
    };
    let ways: Vec<_> = beyond.iter().flat_map(tried).collect();
    let losses: Vec<f64> = match outcome.model.as_decoder().filter(|_| !outcome.diverged) {
        Some(model) => {
            let losses = learning::losses(model, &tuning, &ways, &device);
            losses.iter().map(|documents| evaluate::mean(documents)).collect()
        }
        None => vec![f64::NAN; ways.len()],
    };
    let best = |wanted: Learning| {
        let own = ways.iter().zip(&losses).filter(|((way, _), _)| *way == wanted);
        // A rate at which nothing finite is left is the last to be taken.
        let order = |loss: f64| if loss.is_finite() { loss } else { f64::INFINITY };
        let best = own.min_by(|a, b| order(*a.1).total_cmp(&order(*b.1))).expect("there are rates");
        (Reading::Learning(wanted, best.0.1), *best.1)
    };
    let read: Vec<(Reading, f64)> = beyond
        .into_iter()
        .map(|beyond| match beyond {
            Beyond::Nothing => (Reading::Anew, outcome.standing.best_loss),
            Beyond::Carried => (Reading::Carried, outcome.standing.best_loss),
            Beyond::Learned(way) => best(way),
        })
        .collect();
    let reads_test = first.phase == Phase::Final && !outcome.diverged;
    let tests = match reads_test {
        true => {
            let readings: Vec<Reading> = read.iter().map(|(reading, _)| *reading).collect();
            data.test_losses(config, &outcome.model, &readings, &device)?.into_iter().map(Some).collect()
        }
        false => vec![None; cells.len()],
    };
    let evaluations = lines.clone();
    for other in others {
        lines.extend(evaluations.iter().cloned().map(|line| line.of(other)));
    }
    for ((cell, (_, tuning_loss)), test) in cells.into_iter().zip(read).zip(tests) {
        lines.push(Line::Result {
            cell: cell.clone(),
            status: if outcome.diverged { Status::Diverged } else { Status::Finished },
            best_step: outcome.standing.best_step,
            steps: outcome.standing.step,
            tuning_loss,
            test,
            tokens_per_second: outcome.standing.tokens_per_second(tokens_per_step),
            seconds: outcome.standing.seconds,
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_budget_holds() {
        for budget in [Budget::Quick, Budget::Standard, Budget::Full] {
            for corpus in ["generated", "labelled:a.csv", "scan:length", "mqar:512x64", "listops:100"] {
                budget.config(corpus).unwrap().validate().unwrap();
            }
            assert!(budget.config("scan:left").is_err());
        }
    }
}
