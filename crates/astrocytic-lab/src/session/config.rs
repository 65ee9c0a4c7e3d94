//! What one training run depends on.

use anyhow::{Result, bail};
use astrocytic_data::TokenizerKind;
use astrocytic_data::tasks::Task;
use astrocytic_train::config::TrainingConfig;
use serde::{Deserialize, Serialize};

use crate::arms::{Arm, Beyond, Definitions, find, needed};
use crate::experiment::budget::Budget;
use crate::experiment::config::ExperimentConfig;

/// Everything that one training run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// Name of a corpus, "generated", or path of a text file.
    pub corpus: String,
    /// Tokenizer, trained on the training split.
    pub tokenizer: TokenizerKind,
    /// Name of the arm.
    pub arm: String,
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
    /// Unique training tokens; `None` is all.
    pub tokens: Option<u64>,
    /// Optimizer steps at most.
    pub steps: u64,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Steps between evaluations and checkpoints.
    pub evaluate_every: u64,
    /// Evaluations without improvement that end the run; 0 never.
    pub patience: u64,
    /// Seed.
    pub seed: u64,
    /// Tables of the arm, and of those it is made of, where it is not built in.
    #[serde(default, skip_serializing_if = "Definitions::is_empty")]
    pub definitions: Definitions,
}

impl SessionConfig {
    /// A run of a study's arm: its text, its sizes, the middle of its learning rates and weight
    /// decays, and the longest of its schedules. Tables are those of the study's file.
    pub fn of_study(self, study: &ExperimentConfig, arm: &str, tables: &Definitions) -> Self {
        let middle = |values: &[f64]| {
            let mut values = values.to_vec();
            values.sort_by(f64::total_cmp);
            values.get(values.len().saturating_sub(1) / 2).copied()
        };
        let ExperimentConfig { d_model, layers, heads, dropout, context, batch, tokenizer, .. } = *study;
        Self {
            corpus: study.corpus.clone(),
            tokenizer,
            arm: arm.into(),
            d_model,
            layers,
            heads,
            dropout,
            context,
            batch,
            steps: study.schedules.last().copied().unwrap_or(self.steps),
            learning_rate: middle(&study.learning_rates).unwrap_or(self.learning_rate),
            weight_decay: middle(&study.weight_decays).unwrap_or(self.weight_decay),
            // Of a name that is none, all that are near are to be said.
            definitions: if find(arm, tables).is_ok() { needed([arm], tables) } else { tables.clone() },
            ..self
        }
    }

    /// The arm.
    ///
    /// # Errors
    /// For a name that is none; says which are near.
    pub(super) fn arm(&self) -> Result<Arm> {
        Ok(find(&self.arm, &self.definitions)?)
    }

    /// The corpus and the model as those of an experiment.
    ///
    /// # Errors
    /// For a corpus that is a task, and sizes that no experiment can have.
    pub(super) fn experiment(&self) -> Result<ExperimentConfig> {
        if Task::of_corpus(&self.corpus)?.is_some() {
            bail!("corpus {}: `train` makes language models; a task is run by `compare`", self.corpus);
        }
        let experiment = ExperimentConfig {
            tokenizer: self.tokenizer,
            d_model: self.d_model,
            layers: self.layers,
            heads: self.heads,
            dropout: self.dropout,
            context: self.context,
            batch: self.batch,
            sizes: vec![self.tokens.unwrap_or(self.context as u64 + 1)],
            definitions: self.definitions.clone(),
            ..Budget::Full.config(&self.corpus)?
        };
        experiment.validate()?;
        Ok(experiment)
    }

    /// Refuses an arm that cannot be trained alone, or not on so many devices.
    ///
    /// # Errors
    /// One line with the arm and what would do.
    pub(super) fn validate_arm(&self, devices: usize) -> Result<()> {
        let (name, arm) = (&self.arm, self.arm()?);
        if arm.is_encoder() {
            bail!("arm {name}: an encoder, where a language model is needed");
        }
        if let Beyond::Learned(_) = arm.beyond {
            bail!("arm {name}: it learns in tests of `compare`; train the arm that it is made of");
        }
        if arm.given(2, 0) != (2, 0) || arm.weights_seed(0) != 0 {
            bail!("arm {name}: its data or its seeds are others than those of a run; train the arm that it is made of");
        }
        if arm.is_carried() && devices > 1 {
            bail!("arm {name}: it carries its memory from batch to batch; train it on one device");
        }
        if self.batch < devices {
            bail!("--batch {}: fewer sequences than the {devices} devices", self.batch);
        }
        Ok(())
    }

    /// How the model is trained.
    ///
    /// # Errors
    /// For rates that cannot be.
    pub(super) fn training(&self, experiment: &ExperimentConfig) -> Result<TrainingConfig> {
        let training = TrainingConfig {
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            steps: self.steps,
            warmup: experiment.warmup,
            clip: experiment.clip,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
            seed: self.seed,
            carry: self.arm()?.is_carried().then(|| experiment.carried_tokens()),
            stop_at_accuracy: None,
        };
        training.validate()?;
        Ok(training)
    }
}
