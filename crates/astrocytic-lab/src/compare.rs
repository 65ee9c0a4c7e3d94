//! The comparison: tune every arm at every size, run every seed, store every line, write the report.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_models::DecoderConfig;

use crate::arms::{arm, parameters};
use crate::experiment::{Data, ExperimentConfig, Run};
use crate::machine;
use crate::progress::Progress;
use crate::report::{self, Summary};
use crate::results::{ArmFacts, Cell, Experiment, Line, Phase, Status, Trial};
use crate::worker::Job;

/// First seed of the tuning runs; final runs count from 0.
const TUNING_SEED: u64 = 1_000;

/// How a comparison is carried out; none of it changes a result.
pub struct Execution<'a> {
    /// Name of the device.
    pub device: &'a str,
    /// Worker processes at a time.
    pub jobs: usize,
    /// Starts a process that runs [`serve`](crate::worker::serve) on its standard streams.
    pub worker: &'a (dyn Fn() -> Command + Sync),
}

/// Runs what `folder` does not yet hold of the experiment and writes the report there.
///
/// # Errors
/// For a configuration that does not hold, a folder with another experiment or that cannot be written, and a worker that
/// fails; lines stored before stay.
pub fn compare(config: &ExperimentConfig, folder: &Path, execution: &Execution) -> Result<Summary> {
    config.validate()?;
    let stored = stored_experiment(config, folder, execution.device)?;
    let data = Data::prepare(config, stored.as_ref().map(|_| folder))?;
    if stored.as_ref().is_some_and(|s| !s.corpus.sha256.is_empty() && s.corpus.sha256 != data.sha256()) {
        bail!(
            "{} holds an experiment on {} as it was; the text has changed since: give another --out, or remove it",
            folder.display(),
            config.corpus
        );
    }
    let given = config;
    let mut config = config.clone();
    cap_sizes(&mut config, data.train_tokens());

    let models: Vec<DecoderConfig> =
        config.arms.iter().map(|name| arm(name)?.model(data.sizes(&config))).collect::<Result<_>>()?;
    let mut experiment = describe(given, &config, &data, &models, execution.device)?;
    if let Some(before) = stored.map(|stored| stored.commit).filter(|before| !before.ends_with(&experiment.commit)) {
        // Begun by one program and gone on with another: the results are of both.
        experiment.commit = format!("{before}, {}", experiment.commit);
    }
    let _alone = lock(folder)?;
    report::save_experiment(folder, &experiment)?;
    data.save_tokenizer(folder)?;
    drop(data);

    let mut lines = report::load(folder)?.1;
    let tuning = tuning_cells(&config, &models)?;
    // Every final run of an arm at a size is as long as a tuning run.
    let final_cells = config.arms.len() * config.sizes.len() * config.seeds as usize;
    let progress = Progress::cells(tuning.len() + final_cells);
    run_cells(&config, &tuning, folder, execution, &mut lines, &progress)?;
    let finals = final_cells_of(&config, &models, &lines)?;
    run_cells(&config, &finals, folder, execution, &mut lines, &progress)?;
    progress.finish();
    report::write(folder, &experiment, &lines)
}

/// A size beyond the corpus becomes the whole of it, once.
fn cap_sizes(config: &mut ExperimentConfig, available: u64) {
    config.sizes.iter_mut().for_each(|size| *size = (*size).min(available));
    config.sizes.dedup();
}

/// The experiment that the folder holds, if it is this one.
fn stored_experiment(config: &ExperimentConfig, folder: &Path, device: &str) -> Result<Option<Experiment>> {
    if folder.join("session.json").exists() {
        bail!("{} holds a model that `train` made; give another --out", folder.display());
    }
    if !folder.join("experiment.json").exists() {
        return Ok(None);
    }
    let (experiment, _) = report::load(folder)?;
    let stored: ExperimentConfig = serde_json::from_value(experiment.config.clone())
        .with_context(|| format!("{}/experiment.json is not of this version", folder.display()))?;
    // Through JSON as the stored one, which may cost a number its last digit.
    let given: ExperimentConfig = serde_json::from_str(&serde_json::to_string(config)?)?;
    if stored != given || !experiment.device.is_empty() && experiment.device != device {
        bail!("{} holds another experiment; give another --out, or remove it", folder.display());
    }
    Ok(Some(experiment))
}

/// Keeps a second run out of the folder until it is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => bail!("another run is at work in {}; wait for it", folder.display()),
        // A file system without locks is no reason not to run.
        _ => Ok(file),
    }
}

fn describe(
    given: &ExperimentConfig,
    config: &ExperimentConfig,
    data: &Data,
    models: &[DecoderConfig],
    device: &str,
) -> Result<Experiment> {
    let arms = config.arms.iter().zip(models).map(|(name, model)| {
        let arm = arm(name)?;
        Ok(ArmFacts {
            name: name.clone(),
            role: arm.role,
            description: arm.description.into(),
            parameters: parameters(model)?,
            state_bytes: model.state_bytes(config.context),
            flops_per_token: model.flops_per_token(config.context),
        })
    });
    Ok(Experiment {
        name: format!("Data efficiency on {}", config.corpus),
        corpus: data.facts(config),
        arms: arms.collect::<Result<_>>()?,
        sizes: config.sizes.clone(),
        seeds: (0..config.seeds).collect(),
        tuning_seeds: (0..config.tuning_seeds).map(|s| TUNING_SEED + s).collect(),
        trials: config.trials(),
        context: config.context,
        batch: config.batch,
        machine: machine::describe(),
        device: device.into(),
        commit: machine::commit().into(),
        config: serde_json::to_value(given)?,
    })
}

fn tuning_cells(config: &ExperimentConfig, models: &[DecoderConfig]) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            for trial in config.trials() {
                for seed in (0..config.tuning_seeds).map(|s| TUNING_SEED + s) {
                    cells.push(config.cell(Phase::Tune, arm(name)?, model, Run { size, seed, trial })?);
                }
            }
        }
    }
    Ok(cells)
}

/// Final cells with the rates that did best on the tuning split.
fn final_cells_of(config: &ExperimentConfig, models: &[DecoderConfig], lines: &[Line]) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for &size in &config.sizes {
        for (name, model) in config.arms.iter().zip(models) {
            let trial = chosen_trial(name, size, lines)?;
            for seed in 0..config.seeds {
                cells.push(config.cell(Phase::Final, arm(name)?, model, Run { size, seed, trial })?);
            }
        }
    }
    Ok(cells)
}

/// The point of the grid with the lowest mean tuning loss; a diverged run counts as infinite.
fn chosen_trial(name: &str, size: u64, lines: &[Line]) -> Result<Trial> {
    let mut losses: Vec<(Trial, Vec<f64>)> = Vec::new();
    for line in lines {
        let Line::Result { cell, status, tuning_loss, .. } = line else { continue };
        if cell.phase != Phase::Tune || cell.arm != name || cell.size != size {
            continue;
        }
        let loss = if *status == Status::Finished { *tuning_loss } else { f64::INFINITY };
        match losses.iter_mut().find(|(other, _)| *other == cell.trial) {
            Some((_, found)) => found.push(loss),
            None => losses.push((cell.trial, vec![loss])),
        }
    }
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let best = losses.iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
    best.map(|(trial, _)| *trial).ok_or_else(|| anyhow!("no tuning run of {name} at {size} tokens is stored"))
}

/// Runs the cells that have no result yet, and appends every line to `lines.jsonl` as it comes.
fn run_cells(
    config: &ExperimentConfig,
    cells: &[Cell],
    folder: &Path,
    execution: &Execution,
    lines: &mut Vec<Line>,
    progress: &Progress,
) -> Result<()> {
    let done: HashSet<String> = lines.iter().filter_map(result_id).collect();
    let (finished, waiting): (Vec<_>, Vec<_>) = cells.iter().cloned().partition(|cell| done.contains(&cell.id));
    progress.skip(finished.len() as u64);
    if waiting.is_empty() {
        return Ok(());
    }
    let path = folder.join("lines.jsonl");
    report::cut_unfinished_line(&path)?;
    let mut file =
        OpenOptions::new().create(true).append(true).open(&path).with_context(|| path.display().to_string())?;
    let queue = Mutex::new(VecDeque::from(waiting));
    let job = Job { config: config.clone(), folder: folder.to_path_buf(), device: execution.device.into() };
    let (sender, receiver) = mpsc::channel::<Line>();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..execution.jobs.clamp(1, cells.len()))
            .map(|_| {
                let (sender, queue, job) = (sender.clone(), &queue, &job);
                scope.spawn(move || drive_worker((execution.worker)(), job, queue, &sender))
            })
            .collect();
        drop(sender);
        for line in receiver {
            store(&mut file, &line)?;
            progress.line(&line);
            lines.push(line);
        }
        for worker in workers {
            worker.join().map_err(|_| anyhow!("a worker's thread panicked"))??;
        }
        Ok(())
    })
}

fn result_id(line: &Line) -> Option<String> {
    match line {
        Line::Result { cell, .. } => Some(cell.id.clone()),
        Line::Evaluation { .. } => None,
    }
}

fn store(file: &mut File, line: &Line) -> Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text).context("lines.jsonl")?;
    if matches!(line, Line::Result { .. }) {
        file.sync_data().context("lines.jsonl")?;
    }
    Ok(())
}

/// Feeds cells to one worker process until none is left.
fn drive_worker(
    mut command: Command,
    job: &Job,
    queue: &Mutex<VecDeque<Cell>>,
    sender: &mpsc::Sender<Line>,
) -> Result<()> {
    let child = command
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting a worker process")?;
    let mut child = KillOnDrop(child);
    let mut input = child.0.stdin.take().context("a worker without standard input")?;
    let mut output = BufReader::new(child.0.stdout.take().context("a worker without standard output")?).lines();
    let errors = child.0.stderr.take().context("a worker without standard error")?;
    let errors = std::thread::spawn(move || {
        let mut said = BufReader::new(errors).lines().map_while(Result::ok);
        // The line that says why: its own error, or what a panic says after its place.
        let found = said.find(|line| line.starts_with("error:") || line.contains("panicked"));
        let rest = found.as_ref().filter(|line| line.contains("panicked")).and_then(|_| said.next());
        said.for_each(drop);
        rest.or(found)
    });
    let mut send = |text: String| input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
    let mut work = || -> Result<()> {
        send(serde_json::to_string(job)?)?;
        loop {
            let next = queue.lock().map_err(|_| anyhow!("the queue of cells is broken"))?.pop_front();
            let Some(cell) = next else { return Ok(()) };
            send(serde_json::to_string(&cell)?)?;
            loop {
                let text = output.next().context("it ended in the middle of a cell")??;
                let line: Line = serde_json::from_str(&text).with_context(|| format!("it wrote \"{text}\""))?;
                let ended = matches!(line, Line::Result { .. });
                if sender.send(line).is_err() {
                    return Ok(());
                }
                if ended {
                    break;
                }
            }
        }
    };
    let result = work();
    drop(input);
    if result.is_err() {
        drop(child);
        let said = errors.join().ok().flatten().unwrap_or_default();
        return result.with_context(|| format!("a worker failed: {said}"));
    }
    Ok(())
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // It has ended by itself or is not wanted any more; either way nothing is lost.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
