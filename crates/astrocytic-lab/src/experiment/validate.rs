//! What an experiment can be.

use anyhow::{Result, bail};
use astrocytic_data::TokenizerKind;
use astrocytic_data::tasks::Task;

use crate::arms::{Beyond, current};
use crate::experiment::config::{ExperimentConfig, MOST_SEEDS, Primary};
use crate::file::{Fault, did_you_mean};

/// More tokens than a text that this machinery is for.
const MOST_TOKENS: u64 = 1_000_000_000;
/// More than any machine reads at once.
const MOST_TOKENS_OF_A_STEP: usize = 1 << 22;
/// More points than any search tries.
const MOST_TRIALS: u64 = 100_000;
/// More entries than any vocabulary in use.
const MOST_VOCABULARY: usize = 1_000_000;

impl ExperimentConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// One line with the field, its value and what would do.
    pub fn validate(&self) -> Result<()> {
        self.validate_arms()?;
        self.validate_what_is_above_zero()?;
        self.validate_contrasts()?;
        self.validate_seeds()?;
        self.validate_ranges()?;
        self.validate_solved()?;
        self.validate_sizes()?;
        self.validate_arms_for_data()?;
        self.validate_grid()
    }

    fn validate_arms(&self) -> Result<()> {
        for name in &self.arms {
            self.arm(name).map_err(|error| Fault::at("arms", error.to_string()))?;
        }
        if self.arms.first().map(String::as_str) != Some("vanilla") || self.arms.len() < 2 {
            bail!("arms: need \"vanilla\" first and at least one other, got {:?}", self.arms);
        }
        let mut distinct: Vec<_> = self.arms.iter().map(|name| current(name, &self.definitions)).collect();
        distinct.sort();
        distinct.dedup();
        if distinct.len() != self.arms.len() {
            bail!("arms: each only once, got {:?}", self.arms);
        }
        Ok(())
    }

    /// Whether what is to be compared is there.
    fn validate_contrasts(&self) -> Result<()> {
        let known = |name: &str| match self.arms.iter().any(|arm| arm == name) {
            true => Ok(()),
            false => {
                let near = did_you_mean(name, self.arms.iter().map(String::as_str));
                Err(Fault::new(format!("\"{name}\" is none of the study's arms, {}{near}", self.arms.join(", "))))
            }
        };
        if let Some(primary) = &self.primary {
            known(&primary.arm).map_err(|fault| fault.within("arm").within("primary"))?;
            known(&primary.baseline).map_err(|fault| fault.within("baseline").within("primary"))?;
        }
        if let Some(Primary { arm, baseline, loss }) = &self.primary {
            if arm == baseline {
                return Err(Fault::at("primary", format!("\"{arm}\" is compared with itself")).into());
            }
            if let Some(loss) = loss.filter(|loss| !(*loss > 0.0 && loss.is_finite())) {
                return Err(Fault::at("loss", format!("{loss} must be above 0")).within("primary").into());
            }
        }
        for (place, pair) in self.contrasts.iter().enumerate() {
            let fault = |said: &str| {
                let pair = format!("\"{}\" and \"{}\" {said}", pair[0], pair[1]);
                Fault::new(pair).within(place.to_string()).within("contrasts")
            };
            if pair[0] == pair[1] {
                return Err(fault("are one arm").into());
            }
            if self.contrasts[..place].contains(pair) {
                return Err(fault("are compared twice").into());
            }
            for (side, name) in pair.iter().enumerate() {
                let within =
                    |fault: Fault| fault.within(side.to_string()).within(place.to_string()).within("contrasts");
                known(name).map_err(within)?;
            }
        }
        Ok(())
    }

    fn validate_seeds(&self) -> Result<()> {
        let Self { seeds, first_seed, tuning_seeds, .. } = *self;
        if seeds == 0 {
            bail!("seeds: at least 1 is needed (3 for an ablation, 5 for a headline)");
        }
        if first_seed.saturating_add(seeds) > MOST_SEEDS {
            bail!("seeds: at most {MOST_SEEDS}, got {seeds} from {first_seed} on");
        }
        if tuning_seeds > MOST_SEEDS {
            bail!("tuning_seeds: at most {MOST_SEEDS}, got {tuning_seeds}");
        }
        Ok(())
    }

    /// What is more than this machinery is for.
    fn validate_ranges(&self) -> Result<()> {
        if let Some(size) = self.sizes.iter().find(|&&size| size > MOST_TOKENS) {
            bail!("sizes: at most {MOST_TOKENS} tokens, got {size}");
        }
        if !(self.clip > 0.0 && self.clip.is_finite()) {
            bail!("clip = {} must be above 0", self.clip);
        }
        for (name, share) in [("warmup", self.warmup), ("dropout", self.dropout)] {
            if !(0.0..1.0).contains(&share) {
                bail!("{name} = {share} must be in [0, 1)");
            }
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
        if self.batch.saturating_mul(self.context) > MOST_TOKENS_OF_A_STEP {
            bail!(
                "batch: {} sequences of {} tokens; at most {MOST_TOKENS_OF_A_STEP} tokens can be read in a step",
                self.batch,
                self.context
            );
        }
        if self.tuning_trials > MOST_TRIALS {
            bail!("tuning_trials: at most {MOST_TRIALS}, got {}", self.tuning_trials);
        }
        if let TokenizerKind::BytePair { vocabulary } = self.tokenizer
            && vocabulary > MOST_VOCABULARY
        {
            bail!("tokenizer: at most {MOST_VOCABULARY} entries, got {vocabulary}");
        }
        Ok(())
    }

    fn validate_sizes(&self) -> Result<()> {
        if self.sizes.is_empty() || self.sizes.windows(2).any(|w| w[0] >= w[1]) {
            bail!("sizes: must be ascending and at least one, got {:?}", self.sizes);
        }
        let is_text = Task::of_corpus(&self.corpus)?.is_none();
        let examples =
            self.sizes[self.sizes.len() - 1].saturating_add(self.tuning_tokens).saturating_add(self.test_tokens);
        if !is_text && examples.saturating_mul(self.context as u64) > MOST_TOKENS {
            bail!("sizes: {examples} examples of up to {} tokens are more than {MOST_TOKENS} tokens", self.context);
        }
        Ok(())
    }

    /// Whether a text, or the examples of a task, are what the arms can learn.
    fn validate_arms_for_data(&self) -> Result<()> {
        let task = Task::of_corpus(&self.corpus)?;
        for name in self.arms.iter().filter(|_| task.is_some()) {
            if self.arm(name)?.beyond != Beyond::Nothing {
                bail!("arms: {name} remembers what it read before, which examples of a task do not have");
            }
        }
        for name in &self.arms {
            let of_arm = |fault: Fault| fault.within("data").within(name).within("arms").of_file();
            self.validate_given(name, task.is_none()).map_err(of_arm)?;
        }
        let one_answer = task.as_ref().is_some_and(Task::has_one_answer);
        for name in self.arms.iter().filter(|_| !one_answer) {
            if self.arm(name)?.is_encoder() {
                bail!("arms: {name} gives one answer for an example, which labelled texts and ListOps have");
            }
        }
        if task.is_none() && self.sizes[0] <= self.context as u64 {
            bail!("sizes: {} tokens are not more than one context of {}", self.sizes[0], self.context);
        }
        Ok(())
    }

    /// Whether what counts as solved can be, and belongs to what is compared.
    fn validate_solved(&self) -> Result<()> {
        let (solved_at, curriculum) = (self.solved_at, self.curriculum);
        if !(0.0..=1.0).contains(&curriculum) {
            bail!("curriculum = {curriculum} must be in [0, 1], a share of the schedule");
        }
        if curriculum > 0.0 && Task::of_corpus(&self.corpus)?.is_none() {
            bail!("curriculum = {curriculum}: a text has no examples to begin with the shortest of; leave it out");
        }
        if solved_at == 0.0 {
            return Ok(());
        }
        if !(solved_at > 0.0 && solved_at <= 1.0) {
            bail!("solved_at = {solved_at} must be in (0, 1], an accuracy; 0: losses are compared");
        }
        if Task::of_corpus(&self.corpus)?.is_none() {
            bail!("solved_at = {solved_at}: a text has no answers to be right; leave it out");
        }
        if self.primary.as_ref().is_some_and(|primary| primary.loss.is_some()) {
            return Err(Fault::at("loss", "where solved_at is given, no losses are compared").within("primary").into());
        }
        for name in &self.arms {
            if !self.arm(name)?.is_trained() {
                bail!("arms: {name} is not trained, so that no size of data solves anything");
            }
        }
        Ok(())
    }

    /// Whether an arm that is given another share of the data is given what it can learn from.
    fn validate_given(&self, name: &str, is_text: bool) -> Result<(), Fault> {
        let arm = self.arm(name).map_err(|error| Fault::new(error.to_string()))?;
        let given = |size: Option<&u64>| size.map_or(0, |&size| arm.given(size, 0).0);
        let (least, most) = (given(self.sizes.first()), given(self.sizes.last()));
        let (units, needed) = if is_text { ("tokens", self.context as u64 + 1) } else { ("examples", 1) };
        let smallest = self.sizes[0];
        // A size that is itself too small is the study's fault.
        if arm.is_trained() && least < needed && smallest >= needed {
            let message =
                format!("it is given {least} of the {smallest} {units} of the smallest size; it needs {needed}");
            return Err(Fault::new(message));
        }
        if most > MOST_TOKENS {
            return Err(Fault::new(format!("it is given {most} {units} at the largest size; at most {MOST_TOKENS}")));
        }
        Ok(())
    }

    fn validate_grid(&self) -> Result<()> {
        let rates = self.learning_rates.iter().all(|&r| r > 0.0 && r <= 1.0) && !self.learning_rates.is_empty();
        let decays = self.weight_decays.iter().all(|&w| (0.0..=100.0).contains(&w)) && !self.weight_decays.is_empty();
        if !rates {
            bail!("learning_rates: must be in (0, 1], at least one, got {:?}", self.learning_rates);
        }
        if !decays {
            bail!("weight_decays: must be in [0, 100], at least one, got {:?}", self.weight_decays);
        }
        Ok(())
    }

    fn validate_what_is_above_zero(&self) -> Result<()> {
        for (name, value) in [
            ("context", self.context as u64),
            ("batch", self.batch as u64),
            ("d_model", self.d_model as u64),
            ("layers", self.layers as u64),
            ("heads", self.heads as u64),
            ("evaluations", self.evaluations),
            ("tuning_tokens", self.tuning_tokens),
            ("test_tokens", self.test_tokens),
            ("tuning_seeds", self.tuning_seeds),
        ] {
            if value == 0 {
                bail!("{name}: must be above 0");
            }
        }
        if self.schedules.is_empty() {
            bail!("schedules: at least one is needed");
        }
        for (name, values) in [("sizes", &self.sizes), ("schedules", &self.schedules)] {
            if let Some(place) = values.iter().position(|&value| value == 0) {
                return Err(Fault::at(&place.to_string(), "must be above 0").within(name).into());
            }
        }
        Ok(())
    }
}
