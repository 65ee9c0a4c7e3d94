//! Where cells are run: processes of this machine, or the tasks of a HyperQueue server or of a
//! Slurm cluster.
//!
//! All of them start the same worker on the same shared folder; the lock of each training keeps
//! them out of each other's way.
//!
//! Engines fill in words of their own in the names of files that they are given (`%a`,
//! `%{TASK_ID}`), and a folder may be named like one: so it is a shell, not the engine, that sends
//! a task's errors to their file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use astrocytic_data::Scratch;
use astrocytic_train::observer::Observer;

use crate::experiment::job::Job;
use crate::experiment::program::Program;

/// Slurm's limit on the tasks of an array where nobody changed it (slurm.conf, MaxArraySize 1001).
const SLURM_TASKS: usize = 1_000;
/// How often running workers are looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// One thread to a worker.
const ONE_THREAD: (&str, &str) = ("RAYON_NUM_THREADS", "1");

/// What runs the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// Processes of this machine.
    Local,
    /// The HyperQueue server that `hq` finds: a task for each training.
    HyperQueue,
    /// The Slurm cluster that `sbatch` submits to: an array job.
    Slurm,
}

/// How an experiment is carried out; none of it changes a result.
pub struct Execution {
    /// Name of the device.
    pub device: String,
    /// What runs the cells.
    pub executor: Executor,
    /// Worker processes at a time on this machine.
    pub jobs: usize,
    /// This program, which calls [`work`](crate::experiment::worker::work) for `worker JOB FOLDER`,
    /// with `--attached` to end when its standard input does, or with `--part-from VARIABLE --parts
    /// N` for a part of the trainings.
    pub program: Program,
    /// Folders of earlier experiments, whose results stand in for the same runs here.
    pub reuse: Vec<PathBuf>,
    /// Told of notes, of each run that ends, and of the studies of a file.
    pub observer: Box<dyn Observer>,
}

impl Execution {
    /// Refuses what cannot be, before anything is begun: a file where results are to be, and
    /// earlier results that are not there.
    ///
    /// # Errors
    /// With the option.
    pub(crate) fn must_be_possible(&self, folder: &Path) -> Result<()> {
        if let Some(file) = folder.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir()) {
            bail!("--out: {} is a file, where a folder is wanted", file.display());
        }
        if let Some(missing) = self.reuse.iter().find(|folder| !folder.is_dir()) {
            bail!("--reuse: there is no folder {}", missing.display());
        }
        Ok(())
    }

    /// Has workers run the cells of a job in `folder`, and calls `look` while they do.
    ///
    /// # Errors
    /// For an engine that cannot be started, a worker that failed (with what it said), and an error
    /// of `look`; the workers of this machine are stopped then, an engine's tasks are not, and what
    /// they had finished stays.
    pub(crate) fn run(&self, job: &Job, folder: &Path, look: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let folder = std::path::absolute(folder)?;
        let cells = folder.join("cells");
        std::fs::create_dir_all(&cells).with_context(|| format!("cannot make the folder {}", cells.display()))?;
        // Of its own: another machine may be at work with its own list.
        let scratch = Scratch::new_in(&cells).with_context(|| format!("cannot write in {}", cells.display()))?;
        let (list, said) = (scratch.path().join("job.json"), scratch.path().join("said"));
        let mut file = File::create(&list)?;
        serde_json::to_writer(&mut file, job)?;
        file.sync_data()?;
        std::fs::create_dir(&said)?;

        let count = job.trainings.len();
        let commands = match self.executor {
            Executor::Local => {
                let workers = if job.goes_on { self.jobs.max(1) } else { self.jobs.clamp(1, count) };
                (0..workers).map(|_| self.local(&list, &folder)).collect()
            }
            Executor::HyperQueue => vec![self.hyperqueue(&list, &folder, &said, count)?],
            Executor::Slurm => vec![self.slurm(&list, &folder, &said, count.min(SLURM_TASKS))?],
        };
        let mut children = Vec::new();
        for (place, mut command) in commands.into_iter().enumerate() {
            let name = command.get_program().to_string_lossy().into_owned();
            let errors = said.join(format!("local-{place}"));
            // Open as long as this process lives: a worker that is attached to it ends with it.
            let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(File::create(&errors)?).spawn();
            let hint = if self.executor == Executor::Local { "" } else { ": is it installed, and on the path?" };
            children.push(KillOnDrop(child.with_context(|| format!("cannot start {name}{hint}"))?));
        }
        while !children.is_empty() {
            look()?;
            let mut running = Vec::new();
            for mut child in children {
                match child.0.try_wait()? {
                    None => running.push(child),
                    Some(status) if status.success() => {}
                    Some(status) => bail!("a worker failed: {}", why(&said)?.unwrap_or(status.to_string())),
                }
            }
            children = running;
            std::thread::sleep(INTERVAL);
        }
        look()
    }

    fn local(&self, list: &Path, folder: &Path) -> Command {
        let mut command = self.program.command();
        command.arg("worker").arg(list).arg(folder).arg("--attached").env(ONE_THREAD.0, ONE_THREAD.1);
        command
    }

    /// What a task of an engine runs, and the folder for its errors.
    fn words<'a>(&'a self, list: &'a Path, folder: &'a Path, said: &'a Path) -> Result<([&'a str; 4], &'a str)> {
        let word = |path: &'a Path| {
            path.to_str().with_context(|| format!("{}: the path is not UTF-8, which a cluster needs", path.display()))
        };
        Ok(([word(self.program.path()?)?, "worker", word(list)?, word(folder)?], word(said)?))
    }

    /// A task a training, so that the server's own tools show how far it is and a lost task is run
    /// again by it.
    fn hyperqueue(&self, list: &Path, folder: &Path, said: &Path, tasks: usize) -> Result<Command> {
        let (words, said) = self.words(list, folder, said)?;
        let mut command = Command::new("hq");
        command.args(["submit", "--wait", "--name", "astrocytic", "--cpus", "1", "--stdout", "none"]);
        command.arg("--stderr=/dev/null").arg(format!("--array=0-{}", tasks - 1));
        command.args(["--env", &format!("{}={}", ONE_THREAD.0, ONE_THREAD.1), "--"]);
        command.args(["sh", "-c", "exec 2>\"$0/$HQ_TASK_ID\"; exec \"$@\"", said]).args(words);
        command.args(["--part-from", "HQ_TASK_ID", "--parts", &tasks.to_string()]);
        Ok(command)
    }

    fn slurm(&self, list: &Path, folder: &Path, said: &Path, tasks: usize) -> Result<Command> {
        let (words, said) = self.words(list, folder, said)?;
        let words = shlex::try_join(words)?;
        // sbatch hands the lines to a shell, and may be set to leave out this process's variables.
        let lines = format!(
            "export {}={}\nexec 2>{}/\"$SLURM_ARRAY_TASK_ID\"\nexec {words} --part-from SLURM_ARRAY_TASK_ID --parts {tasks}",
            ONE_THREAD.0,
            ONE_THREAD.1,
            shlex::try_quote(said)?
        );
        let mut command = Command::new("sbatch");
        command.args(["--wait", "--job-name=astrocytic", "--ntasks=1", "--cpus-per-task=1", "--output=/dev/null"]);
        command.arg("--error=/dev/null").arg(format!("--array=0-{}", tasks - 1)).arg("--wrap").arg(lines);
        Ok(command)
    }
}

/// The line of a failed worker that says why: its own error, what a panic says after its place, or
/// the last one.
fn why(said: &Path) -> Result<Option<String>> {
    let mut last = None;
    for file in std::fs::read_dir(said)? {
        let mut bytes = Vec::new();
        File::open(file?.path())?.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let Some(found) = lines.find(|line| line.starts_with("error:") || line.contains("panicked")) else {
            last = text.lines().rfind(|line| !line.trim().is_empty()).map(String::from).or(last);
            continue;
        };
        let rest = if found.contains("panicked") { lines.next() } else { None };
        return Ok(Some(rest.unwrap_or(found).to_string()));
    }
    Ok(last)
}

struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // It has ended by itself or is not wanted any more; either way nothing is lost.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
