//! What a worker does for cells: trains, chooses on the tuning split what is left to choose, and
//! tests.

use anyhow::Result;
use astrocytic_data::EvaluationWindows;
use astrocytic_train::checkpoint::Checkpoint;
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::evaluate;
use astrocytic_train::observer::Observer;
use astrocytic_train::seed::derive_seed;
use astrocytic_train::standing::Standing;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::train::{Event, Outcome, train};
use astrocytic_train::trainable::Trainable;
use burn::tensor::Device;

use crate::arms::{Beyond, ModelConfig};
use crate::experiment::cells::Claim;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::job::Training;
use crate::experiment::reading::{Reading, test_losses};
use crate::learning::{self, Learning};
use crate::process_memory;
use crate::provenance::machine;
use crate::results::{Cell, Line, Phase, Status, TestLoss};

/// Trains for cells that train alike, or goes on from a checkpoint, keeps the best weights, and
/// tests them as each cell's arm does; the test split is read for final cells only, once. Returns
/// the evaluations and the result of each.
///
/// # Errors
/// For a configuration that does not hold, or a checkpoint that cannot be read or written.
pub(crate) fn run_training(
    config: &ExperimentConfig,
    data: &Data,
    training: &Training,
    device: &Device,
    claim: &Claim,
    observer: &dyn Observer,
) -> Result<Vec<Line>> {
    let device = device.clone().autodiff();
    let arm = config.arm(&training.first.arm)?;
    let seed = derive_seed(arm.weights_seed(training.first.seed), "weights", 0);
    let run = CellRun { config, data, training, claim, observer };
    match arm.model(data.sizes(config))? {
        ModelConfig::Decoder(model) => run.of(model.init_seeded(seed, &device)),
        ModelConfig::Encoder(model) => run.of(model.init_seeded(seed, &device)?),
    }
}

/// Cells that need the same training, and what it needs.
struct CellRun<'a> {
    config: &'a ExperimentConfig,
    data: &'a Data,
    training: &'a Training,
    claim: &'a Claim,
    observer: &'a dyn Observer,
}

/// A trained model, and what its run says of it.
struct Trained<M> {
    outcome: Outcome<M>,
    tokens_per_second: f64,
    /// Evaluations, as lines of the first cell.
    evaluations: Vec<Line>,
}

impl CellRun<'_> {
    fn of<M: Trainable>(&self, model: M) -> Result<Vec<Line>> {
        let device = model.device().inner();
        let mark = process_memory::mark();
        let trained = self.train(model)?;
        let cells: Vec<&Cell> = std::iter::once(&self.training.first).chain(&self.training.others).collect();
        let beyond = cells.iter().map(|cell| Ok(self.config.arm(&cell.arm)?.beyond)).collect::<Result<Vec<_>>>()?;
        let readings = self.readings(&beyond, &trained.outcome, &device)?;
        let tests = self.tests(&readings, &trained.outcome, &device)?;
        Ok(lines(&cells, trained, readings, tests, process_memory::peak(mark)))
    }

    /// Trains the model; its evaluations are stored as they come.
    fn train<M: Trainable>(&self, model: M) -> Result<Trained<M>> {
        let (config, first) = (self.config, &self.training.first);
        let arm = config.arm(&first.arm)?;
        let (size, seed) = arm.given(first.size, first.seed);
        let tuning = self.data.tuning_windows(config, arm.is_carried())?;
        if size == 0 {
            return Ok(untrained(&model, &tuning));
        }
        let batches = self.data.batches(config, size, seed, arm.is_carried())?;
        let batches = batches.growing((config.curriculum * first.trial.schedule as f64) as u64);
        let how = TrainingConfig { seed: arm.weights_seed(first.seed), ..config.training(first, arm.is_carried()) };
        let tokens_per_step = batches.tokens_per_step();
        let mut evaluations = Vec::new();
        let mut objective = TokenObjective::new(&batches, &how).with_held_out(&tuning);
        if let Some(counted) = self.data.counted().filter(|_| config.solved_at().is_some()) {
            objective = objective.with_accuracy(counted);
        }
        let checkpoint = Checkpoint::new(self.claim.folder());
        let outcome = train(model, &how, &mut objective, Some(&checkpoint), &mut |event| match event {
            Event::Damaged { damage } => {
                self.observer.note(&format!("{damage}; going on from the one before"));
                Ok(())
            }
            Event::Begun { step } => {
                // Another program may have named the cell otherwise.
                evaluations = self.claim.lines_up_to(step)?.into_iter().map(|line| line.of(first)).collect();
                Ok(())
            }
            Event::Evaluation { step, train_loss, tuning_loss, accuracy } => {
                let tokens = (step as f64 * tokens_per_step).round() as u64;
                let commit = machine::commit().into();
                evaluations.push(Line::Evaluation {
                    cell: first.clone(),
                    step,
                    tokens,
                    train_loss,
                    tuning_loss,
                    accuracy,
                    commit,
                });
                self.claim.keep(&evaluations)
            }
            Event::Step { .. } => Ok(()),
        })?;
        let tokens_per_second = outcome.standing.tokens_per_second(tokens_per_step);
        Ok(Trained { outcome, tokens_per_second, evaluations })
    }

    /// How each cell's arm reads a test, and its tuning loss; where a rate is to be chosen, the
    /// best on the tuning split.
    fn readings<M: Trainable>(
        &self,
        beyond: &[Beyond],
        outcome: &Outcome<M>,
        device: &Device,
    ) -> Result<Vec<(Reading, f64)>> {
        // All that goes on learning reads the tuning text in one pass.
        let tried = |beyond: &Beyond| match *beyond {
            Beyond::Learned(way) if !outcome.diverged => way.learns.rates().map(|rate| (way, rate)).into(),
            Beyond::Learned(way) => vec![(way, 0.0)],
            Beyond::Nothing | Beyond::Carried => vec![],
        };
        let ways: Vec<_> = beyond.iter().flat_map(tried).collect();
        let losses: Vec<f64> = match outcome.model.as_decoder().filter(|_| !outcome.diverged && !ways.is_empty()) {
            Some(model) => {
                let tuning = self.data.tuning_windows(self.config, false)?;
                let losses = learning::losses(model, &tuning, &ways, device);
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
        let reading = |beyond: &Beyond| match *beyond {
            Beyond::Nothing => (Reading::Anew, outcome.standing.best_loss),
            Beyond::Carried => (Reading::Carried, outcome.standing.best_loss),
            Beyond::Learned(way) => best(way),
        };
        Ok(beyond.iter().map(reading).collect())
    }

    /// The test losses of final cells whose model did not diverge.
    fn tests<M: Trainable>(
        &self,
        readings: &[(Reading, f64)],
        outcome: &Outcome<M>,
        device: &Device,
    ) -> Result<Vec<Option<TestLoss>>> {
        if self.training.first.phase != Phase::Final || outcome.diverged {
            return Ok(vec![None; readings.len()]);
        }
        let readings: Vec<Reading> = readings.iter().map(|(reading, _)| *reading).collect();
        let losses = test_losses(self.data, self.config, &outcome.model, &readings, device)?;
        Ok(losses.into_iter().map(Some).collect())
    }
}

/// A model without data: its initial weights, evaluated once.
fn untrained<M: Trainable>(model: &M, tuning: &EvaluationWindows) -> Trained<M> {
    let model = model.valid();
    let best_loss = evaluate::mean(&evaluate::documents(&model, tuning, &model.device()));
    let standing = Standing { best_loss, ..Standing::default() };
    let outcome = Outcome { model, standing, diverged: !best_loss.is_finite() };
    Trained { outcome, tokens_per_second: f64::NAN, evaluations: Vec::new() }
}

/// The evaluations as each cell's own, and the result of each.
fn lines<M>(
    cells: &[&Cell],
    trained: Trained<M>,
    readings: Vec<(Reading, f64)>,
    tests: Vec<Option<TestLoss>>,
    peak_bytes: Option<u64>,
) -> Vec<Line> {
    let Trained { outcome, tokens_per_second, evaluations } = trained;
    let mut lines = Vec::new();
    for cell in cells {
        lines.extend(evaluations.iter().cloned().map(|line| line.of(cell)));
    }
    for ((cell, (_, tuning_loss)), test) in cells.iter().zip(readings).zip(tests) {
        lines.push(Line::Result {
            cell: Cell::clone(cell),
            status: if outcome.diverged { Status::Diverged } else { Status::Finished },
            best_step: outcome.standing.best_step,
            steps: outcome.standing.step,
            tuning_loss,
            tuning_accuracy: outcome.standing.best_accuracy,
            test,
            tokens_per_second,
            seconds: outcome.standing.seconds,
            peak_bytes,
            commit: machine::commit().into(),
        });
    }
    lines
}
