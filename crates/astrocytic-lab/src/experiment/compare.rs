//! The comparison: tune every arm at every size, run every seed, store every line, write the report.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_train::observer::Unit;

use crate::arms::{Beyond, ModelConfig, arm, parameters};
use crate::experiment::cells::{self, Cells};
use crate::experiment::config::{ExperimentConfig, Run};
use crate::experiment::data::Data;
use crate::experiment::energy::Meter;
use crate::experiment::executor::{Execution, Executor};
use crate::experiment::job::{Job, Training};
use crate::experiment::step_cost::step_cost;
use crate::provenance::identity::{self, Input};
use crate::provenance::machine;
use crate::report::{self, Summary};
use crate::results::{ArmFacts, Cell, Experiment, Line, Phase, Status, Trial};

/// How long an arm's energy is measured: the counters move on a thousand times a second.
const ENERGY_MEASURED: Duration = Duration::from_secs(2);

/// Runs what `folder` does not yet hold of the experiment and writes the report there.
///
/// # Errors
/// For a configuration that does not hold, a folder with another experiment or that cannot be written, and a worker that
/// fails; lines stored before stay.
pub fn compare(config: &ExperimentConfig, folder: &Path, execution: &Execution) -> Result<Summary> {
    compare_as(config, folder, execution, Asked::ByOptions, &mut || Ok(()))
}

/// How a configuration was given, and so what its fields are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// On the command line.
    ByOptions,
    /// As a study of a file.
    ByFile,
}

impl Asked {
    fn name(self, field: &str) -> String {
        match (self, field) {
            (Self::ByOptions, "arms" | "seeds" | "sizes") => format!("--{field}"),
            (Self::ByOptions, _) => format!("{field} (of --budget or --config)"),
            (Self::ByFile, _) => field.into(),
        }
    }
}

/// The same; `begin` is called once the folder is the experiment's, before anything is run.
pub(crate) fn compare_as(
    config: &ExperimentConfig,
    folder: &Path,
    execution: &Execution,
    asked: Asked,
    begin: &mut dyn FnMut() -> Result<()>,
) -> Result<Summary> {
    config.validate()?;
    let stored = stored_experiment(config, folder, &execution.device, asked)?;
    let data = Data::prepare(config, stored.is_some().then_some(folder))?;
    data.notes().iter().for_each(|note| execution.observer.note(note));
    let (given, corpus) = (config, config.corpus.clone());
    let mut config = config.clone();
    cap_sizes(&mut config, data.available())?;

    let models: Vec<ModelConfig> =
        config.arms.iter().map(|name| arm(name)?.model(data.sizes(&config))).collect::<Result<_>>()?;
    let mut experiment = describe(given, &config, &data, &models, execution, stored.is_none())?;
    let alone = cells::alone(folder)?;
    // Again, now that nobody else can begin: another may have begun meanwhile.
    if let Some(stored) = stored_experiment(given, folder, &execution.device, asked)? {
        let input = |name: &str, sha256: String| [Input { name: name.into(), sha256 }];
        let [held, now] = match stored.corpus.sha256.as_str() {
            // From before contents were stored.
            "" => [stored.corpus.name.clone(), corpus.clone()],
            sum => [sum.into(), data.sha256()],
        };
        let option = if asked == Asked::ByOptions { "--corpus" } else { "corpus" };
        let another = identity::another_input(option, &input(&stored.corpus.name, held), &input(&corpus, now));
        identity::refuse(folder, KIND, another.into_iter().collect())?;
        // Cells keep their names, however the text is called now.
        config.corpus.clone_from(&stored.corpus.name);
        experiment.config["corpus"] = stored.corpus.name.clone().into();
        experiment.name.clone_from(&stored.name);
        experiment.corpus.name.clone_from(&stored.corpus.name);
        let mut cells = Cells::new(folder);
        let lines = cells.news()?;
        if is_complete(&config, &models, &cells, &lines)? {
            // Nothing is left for this program to add to.
            return report::write(folder, &stored, &lines);
        }
        // Begun by one program or machine and gone on with by another: the results are of both.
        let both = |before: String, now: &str, between: &str| {
            if before.split(between).any(|one| one == now) { before } else { format!("{before}{between}{now}") }
        };
        experiment.commit = both(stored.commit, &experiment.commit, ", ");
        experiment.machine = both(stored.machine, &experiment.machine, "; ");
        // Their energy was measured then.
        for (arm, before) in experiment.arms.iter_mut().zip(stored.arms) {
            arm.joules_per_million_tokens = before.joules_per_million_tokens;
        }
    }
    report::save_experiment(folder, &experiment)?;
    begin()?;
    data.save_tokenizer(folder)?;
    let sha256 = data.sha256();
    drop(alone);
    drop(data);

    let mut cells = Cells::new(folder);
    let mut lines = Lines { stored: cells.news()?, cells };
    let tuning = tuning_cells(&config, &models)?;
    // Every final run of an arm at a size is as long as a tuning run.
    let final_cells = config.arms.len() * config.sizes.len() * config.seeds as usize;
    execution.observer.begin(Unit::Runs, (tuning.len() + final_cells) as u64);
    let run = |cells: Vec<(String, Cell)>, lines: &mut Lines| {
        let job = Job {
            config: config.clone(),
            corpus: corpus.clone(),
            sha256: sha256.clone(),
            program: execution.program.sha256().into(),
            device: execution.device.clone(),
            trainings: vec![],
        };
        run_cells(job, cells, folder, execution, lines)
    };
    run(tuning, &mut lines)?;
    let finals = final_cells_of(&config, &models, &lines.stored)?;
    run(finals, &mut lines)?;
    execution.observer.finish();
    lines.cells.close();
    // As it is stored: another machine may have joined.
    let (experiment, lines) = report::load(folder)?;
    report::write(folder, &experiment, &lines)
}

/// A size beyond the corpus becomes the whole of it, once.
///
/// # Errors
/// For an arm that is given more than its size where the corpus does not have it.
pub(crate) fn cap_sizes(config: &mut ExperimentConfig, available: u64) -> Result<()> {
    config.sizes.iter_mut().for_each(|size| *size = (*size).min(available));
    config.sizes.dedup();
    for name in &config.arms {
        let most = config.sizes.iter().map(|&size| Ok(arm(name)?.given(size, 0).0)).collect::<Result<Vec<_>>>()?;
        if let Some(most) = most.into_iter().max().filter(|&most| most > available) {
            bail!("sizes: {name} is given {most} at the largest, but the training split has {available}");
        }
    }
    Ok(())
}

/// What a folder holds, in errors.
const KIND: &str = "experiment";

/// The experiment that the folder holds, if it is this one; its text, which counts by what is in it, is not looked at.
pub(crate) fn stored_experiment(
    config: &ExperimentConfig,
    folder: &Path,
    device: &str,
    asked: Asked,
) -> Result<Option<Experiment>> {
    identity::refuse_others(folder, "experiment.json")?;
    if !folder.join("experiment.json").exists() {
        return Ok(None);
    }
    let (experiment, _) = report::load(folder)?;
    let stored: ExperimentConfig = serde_json::from_value(experiment.config.clone())
        .with_context(|| format!("{}/experiment.json is not of this version", folder.display()))?;
    let options = |config: &ExperimentConfig, device: &str| {
        let mut options = identity::options(config, |field| (field != "corpus").then(|| asked.name(field)))?;
        options.insert("--device".into(), device.into());
        Ok::<_, anyhow::Error>(options)
    };
    // Results from before it was stored are of any device.
    let held = if experiment.device.is_empty() { device } else { &experiment.device };
    let different = identity::differences(&options(&stored, held)?, &options(config, device)?);
    identity::refuse(folder, KIND, different)?;
    Ok(Some(experiment))
}

fn describe(
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
        let arm = arm(name)?;
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
            // Of keys and values a token sees half of its own window on average, and all that are carried.
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

fn tuning_cells(config: &ExperimentConfig, models: &[ModelConfig]) -> Result<Vec<(String, Cell)>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            for trial in config.trials() {
                for seed in config.seeds_of_tuning() {
                    cells.push(named(config, Phase::Tune, name, model, Run { size, seed, trial })?);
                }
            }
        }
    }
    Ok(cells)
}

/// Final cells with the rates that did best on the tuning split.
fn final_cells_of(config: &ExperimentConfig, models: &[ModelConfig], lines: &[Line]) -> Result<Vec<(String, Cell)>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            let trial = match config.trials()[..] {
                [only] => only,
                _ => chosen_trial(name, size, lines)?,
            };
            for seed in config.final_seeds() {
                cells.push(named(config, Phase::Final, name, model, Run { size, seed, trial })?);
            }
        }
    }
    Ok(cells)
}

/// Whether every run of the experiment is done.
fn is_complete(config: &ExperimentConfig, models: &[ModelConfig], cells: &Cells, lines: &[Line]) -> Result<bool> {
    let done = |found: Vec<(String, Cell)>| found.iter().all(|(_, cell)| cells.is_done(cell));
    Ok(done(tuning_cells(config, models)?) && done(final_cells_of(config, models, lines)?))
}

/// A cell after the name of its training.
fn named(config: &ExperimentConfig, phase: Phase, name: &str, model: &ModelConfig, run: Run) -> Result<(String, Cell)> {
    let cell = config.cell(phase, &arm(name)?, model, run)?;
    Ok((config.training_name(&cell, model)?, cell))
}

/// The point of the grid with the lowest mean tuning loss; a diverged run counts as infinite.
fn chosen_trial(name: &str, size: u64, lines: &[Line]) -> Result<Trial> {
    let mut losses: Vec<(Trial, Vec<f64>)> = Vec::new();
    for line in lines {
        let Line::Result { cell, status, tuning_loss, .. } = line else { continue };
        if cell.phase != Phase::Tune || cell.arm != name || cell.size != size {
            continue;
        }
        let good = *status == Status::Finished && tuning_loss.is_finite();
        let loss = if good { *tuning_loss } else { f64::INFINITY };
        match losses.iter_mut().find(|(other, _)| *other == cell.trial) {
            Some((_, found)) => found.push(loss),
            None => losses.push((cell.trial, vec![loss])),
        }
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let best = losses.iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
    best.map(|(trial, _)| *trial).ok_or_else(|| anyhow!("no tuning run of {name} at {size} tokens is stored"))
}

/// Has those of the cells run that have no result yet; `lines` get what was stored meanwhile, by whomever.
fn run_cells(
    mut job: Job,
    mut cells: Vec<(String, Cell)>,
    folder: &Path,
    execution: &Execution,
    lines: &mut Lines,
) -> Result<()> {
    let all = cells.len();
    cells.retain(|(_, cell)| !lines.cells.is_done(cell));
    execution.observer.skip((all - cells.len()) as u64);
    if cells.is_empty() {
        return Ok(());
    }
    for (name, cell) in &cells {
        match job.trainings.iter_mut().find(|training| training.name == *name) {
            Some(training) => training.others.push(cell.clone()),
            None => job.trainings.push(Training { name: name.clone(), first: cell.clone(), others: vec![] }),
        }
    }
    let own: HashSet<&str> = cells.iter().map(|(_, cell)| cell.id.as_str()).collect();
    execution.run(&job, folder, &mut || {
        for line in lines.cells.news()? {
            if let Some(message) = message(&line).filter(|_| own.contains(line.cell().id.as_str())) {
                execution.observer.advance(1, message);
            }
            lines.stored.push(line);
        }
        Ok(())
    })?;
    match cells.iter().find(|(_, cell)| !lines.cells.is_done(cell)) {
        None => Ok(()),
        Some((_, cell)) => bail!(
            "the workers ended without a result of the cell {} ({} at {}, seed {}); start again to go on",
            cell.id,
            cell.arm,
            cell.size,
            cell.seed
        ),
    }
}

/// What a result says in a line.
fn message(line: &Line) -> Option<String> {
    let Line::Result { cell, tuning_loss, test, tokens_per_second, .. } = line else { return None };
    let phase = if cell.phase == Phase::Tune { "tuning" } else { "final" };
    let loss = test.as_ref().map_or(*tuning_loss, |test| test.loss);
    Some(format!(
        "{phase} {} at {}, seed {}: loss {loss:.3}, {tokens_per_second:.0} tokens/s",
        cell.arm, cell.size, cell.seed
    ))
}

/// What the folder holds, and a view of it that learns what comes.
struct Lines {
    stored: Vec<Line>,
    cells: Cells,
}
