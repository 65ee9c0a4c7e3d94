//! How much is spent on an answer, and the experiments of these budgets.

use anyhow::Result;
use astrocytic_data::TokenizerKind;
use astrocytic_data::tasks::Task;
use serde::{Deserialize, Serialize};

use crate::experiment::config::{ExperimentConfig, Primary};

/// How much is spent on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Minutes: two sizes (where sizes are searched, four), three seeds, one control, a small model, a
    /// short search.
    Quick,
    /// Two to four hours on two cores: three sizes, four controls, a longer search.
    Standard,
    /// The headline protocol: five sizes, five seeds, every part switched off in turn. Days on two
    /// cores.
    Full,
}

impl Budget {
    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    /// The experiment of this budget on a corpus or a task.
    ///
    /// # Errors
    /// For a task that there is not.
    pub fn config(self, corpus: &str) -> Result<ExperimentConfig> {
        let config = self.of_text(corpus);
        Ok(match Task::of_corpus(corpus)? {
            Some(task) if task.is_solved_or_not() => self.of_solved(self.of_task(&task, config)),
            Some(task) => self.of_task(&task, config),
            None => config,
        })
    }

    /// What a task changes that is solved or not: sizes are searched, each twice the one before, and
    /// runs end when they solve it.
    fn of_solved(self, config: ExperimentConfig) -> ExperimentConfig {
        let doubled = |first: u64, count: u32| (0..count).map(|power| first << power).collect();
        let common = ExperimentConfig {
            solved_at: 0.99,
            arms: names(match self {
                Self::Quick => &["vanilla", "delta-product", "lstm"],
                Self::Standard | Self::Full => &[
                    "vanilla",
                    "delta-product",
                    "vanilla-convolution-gate",
                    "vanilla-deep",
                    "forgetting-softmax",
                    "lstm",
                    "tripartite",
                    "no-attention",
                ],
            }),
            primary: Some(Primary { arm: "delta-product".into(), baseline: "vanilla".into(), loss: None }),
            // Strong decay keeps a model from learning texts by heart, and without the curriculum nothing
            // leaves chance on a walk (experiments/LOG.md).
            curriculum: CURRICULUM,
            learning_rates: vec![2e-3, 4e-3, 8e-3],
            weight_decays: vec![0.1, 0.3, 1.0],
            evaluate_every: 50,
            // A plateau may be long.
            patience: 0,
            test_tokens: 1_000,
            ..config
        };
        match self {
            Self::Quick => ExperimentConfig {
                sizes: doubled(256, 4),
                seeds: 3,
                tuning_seeds: 1,
                weight_decays: vec![0.5],
                schedules: vec![1_000],
                // A coin needs some hundred steps of short texts.
                curriculum: 0.7,
                tuning_trials: 3,
                tuning_tokens: 150,
                test_tokens: 300,
                ..common
            },
            Self::Standard => ExperimentConfig {
                sizes: doubled(128, 7),
                seeds: 5,
                schedules: vec![2_000],
                tuning_trials: 5,
                evaluate_every: 100,
                ..common
            },
            Self::Full => ExperimentConfig {
                sizes: doubled(128, 9),
                seeds: 10,
                schedules: vec![1_000, 3_000, 9_000],
                tuning_trials: 12,
                evaluate_every: 150,
                ..common
            },
        }
    }

    /// What a task changes.
    fn of_task(self, task: &Task, config: ExperimentConfig) -> ExperimentConfig {
        let sizes = match task {
            Task::Labelled(_) => [50, 150, 500, 1_500, 5_000],
            Task::Scan(_) => [500, 1_000, 4_000, 8_000, 16_000],
            Task::Mqar { .. } | Task::ListOps { .. } => [500, 2_000, 8_000, 32_000, 128_000],
            // Searched, not chosen.
            Task::State(_) => [64, 128, 256, 512, 1_024],
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
            Task::State(_) => (256, 32),
        };
        // Zoology's four rates.
        let rates = [1e-4, 4.6e-4, 2.2e-3, 1e-2];
        let mut config = config;
        if matches!(task, Task::Labelled(_)) {
            // What a label follows from may be a state.
            config.arms.insert(1, "delta-product".into());
            config.primary = Some(Primary { arm: "delta-product".into(), baseline: "vanilla".into(), loss: None });
            config.curriculum = CURRICULUM;
        }
        ExperimentConfig {
            sizes: chosen.iter().map(|&place| sizes[place]).collect(),
            learning_rates: if matches!(task, Task::Mqar { .. }) { rates.into() } else { config.learning_rates },
            context,
            batch,
            tuning_tokens: 500,
            test_tokens: 2_000,
            block_tokens: 0,
            ..config
        }
    }

    fn of_text(self, corpus: &str) -> ExperimentConfig {
        match self {
            Self::Quick => quick(corpus),
            Self::Standard => standard(corpus),
            Self::Full => full(corpus),
        }
    }
}

/// Share of a schedule in which the shortest examples come first.
const CURRICULUM: f64 = 0.35;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn quick(corpus: &str) -> ExperimentConfig {
    ExperimentConfig {
        corpus: corpus.into(),
        tokenizer: TokenizerKind::BytePair { vocabulary: 512 },
        arms: names(&["vanilla", "tripartite", "vanilla-convolution-gate"]),
        sizes: vec![2_048, 8_192],
        seeds: 3,
        first_seed: 0,
        tuning_seeds: 2,
        learning_rates: vec![1e-3, 3e-3, 8e-3],
        weight_decays: vec![0.1, 0.5, 2.0],
        d_model: 64,
        layers: 2,
        heads: 2,
        dropout: 0.1,
        context: 64,
        batch: 8,
        schedules: vec![150, 300, 600],
        evaluations: 10,
        patience: 4,
        warmup: 0.1,
        clip: 1.0,
        tuning_tokens: 4_096,
        test_tokens: 15_360,
        corpus_seed: 0,
        primary: Some(Primary { arm: "tripartite".into(), baseline: "vanilla".into(), loss: None }),
        contrasts: vec![],
        block_tokens: 256,
        evaluate_every: 50,
        tuning_trials: 9,
        search: false,
        solved_at: 0.0,
        curriculum: 0.0,
        definitions: Default::default(),
    }
}

fn standard(corpus: &str) -> ExperimentConfig {
    ExperimentConfig {
        arms: names(&["vanilla", "tripartite", "vanilla-convolution-gate", "vanilla-wide", "linear", "no-attention"]),
        sizes: vec![4_096, 12_288, 36_864],
        schedules: vec![400, 1_200, 3_600],
        evaluations: 12,
        evaluate_every: 100,
        patience: 8,
        // Enough for an optimum on the grid, with a look beyond it on every side.
        tuning_trials: 16,
        tuning_tokens: 8_000,
        test_tokens: 60_000,
        ..quick(corpus)
    }
}

fn full(corpus: &str) -> ExperimentConfig {
    ExperimentConfig {
        arms: names(&[
            "vanilla",
            "tripartite",
            "tripartite-write-dropout",
            "vanilla-convolution-gate",
            "vanilla-wide",
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
        schedules: vec![1_000, 4_000, 16_000],
        d_model: 128,
        layers: 3,
        heads: 4,
        context: 128,
        batch: 16,
        evaluations: 30,
        evaluate_every: 100,
        patience: 30,
        tuning_trials: 25,
        tuning_tokens: 30_000,
        test_tokens: 200_000,
        ..quick(corpus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_budget_holds() {
        for budget in [Budget::Quick, Budget::Standard, Budget::Full] {
            for corpus in ["generated", "labelled:a.csv", "scan:length", "mqar:512x64", "listops:100"] {
                let config = budget.config(corpus).unwrap();
                config.validate().unwrap();
                // A search reaches every axis both ways.
                let axes = [config.learning_rates.len(), config.weight_decays.len(), config.schedules.len()];
                assert!(axes.iter().all(|&values| values >= 3) && config.tuning_trials >= 7, "{budget:?} {corpus}");
                // A block is a unit of the test, and of a task a hundredth of the examples.
                let units = config.test_tokens / config.block_tokens.max(config.test_tokens / 100);
                assert!(config.tuning_seeds >= 2 && units >= 50, "{budget:?} {corpus}");
            }
            let solved = budget.config("state:cups").unwrap();
            solved.validate().unwrap();
            assert!(solved.solved_at() == Some(0.99) && solved.sizes.windows(2).all(|pair| pair[1] == 2 * pair[0]));
            assert!(budget.config("scan:left").is_err());
        }
    }
}
