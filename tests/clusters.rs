//! Cells as tasks of real engines: a HyperQueue server on loopback, one of whose two workers is
//! killed in the middle; the same server as its Python package brings it, where a worker is lost,
//! or a task killed; and the Slurm cluster that is there.
//!
//! Skipped, saying so, where there is no `hq`, no package `hyperqueue`, or no cluster.

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use program::{astrocytic, succeed, text};
use serde_json::Value;

struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(180), "{what}: not in three minutes");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An experiment of a moment: 8 tuning and 8 final cells.
fn plan(folder: &Path) -> PathBuf {
    let file = folder.join("small.toml");
    let plan = "question = \"q\"\nexpected = \"e\"\nprimary = { arm = \"linear\", baseline = \"vanilla\" }\n[[studies]]\nname = \"one\"\ncorpus = \"generated\"\n\
        tokenizer = \"bpe:300\"\narms = [\"vanilla\", \"linear\"]\nsizes = [1024, 4096]\nseeds = 2\n\
        learning_rates = [0.01, 0.005]\nweight_decays = [0.1]\nschedules = [60]\nevaluations = 3\nd_model = 32\nlayers = 1\n\
        context = 32\ntuning_tokens = 1000\ntest_tokens = 2000\ntuning_trials = 0\ntuning_seeds = 1\n";
    std::fs::write(&file, plan).unwrap();
    file
}

fn each_once(lines: &Path) {
    let lines = std::fs::read_to_string(lines).unwrap();
    let mut ids: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["kind"] == "result")
        .map(|line| line["cell"]["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 8 + 8);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8 + 8, "a cell was run twice");
}

fn hq(server: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("hq");
    command.args(arguments).env("HQ_SERVER_DIR", server).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn every_cell_is_done_once_though_a_worker_is_killed() {
    if Command::new("hq").arg("--version").output().is_err() {
        println!("skipped: there is no hq (HyperQueue) on the path");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = folder.path().join("server");
    let _server = Stopped(hq(&server, &["server", "start"]).spawn().unwrap());
    wait_until("the server starts", || hq(&server, &["server", "info"]).status().unwrap().success());
    let worker = || Stopped(hq(&server, &["worker", "start", "--cpus", "1"]).spawn().unwrap());
    let (killed, _other) = (worker(), worker());

    let file = plan(folder.path());
    let out = folder.path().join("out");
    let mut run = astrocytic(&["run", text(&file), "--out", text(&out), "--executor", "hyperqueue"]);
    let mut run = Stopped(run.env("HQ_SERVER_DIR", &server).spawn().unwrap());
    let lines = out.join("one/lines.jsonl");
    wait_until("a first result", || std::fs::read_to_string(&lines).is_ok_and(|text| text.contains("\"result\"")));
    drop(killed);
    assert!(run.0.wait().unwrap().success());

    each_once(&lines);
}

/// A process that runs a cell of that folder.
fn cell_process(out: &Path) -> Option<String> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let command = String::from_utf8(std::fs::read(process.path().join("cmdline")).ok()?).ok()?;
        let worker = concat!(env!("CARGO_BIN_EXE_astrocytic"), "\0worker\0");
        let runs = command.starts_with(worker) && command.contains(text(out));
        runs.then(|| process.file_name().to_string_lossy().into_owned())
    })
}

/// HyperQueue's server with two workers, of its Python package, and an `hq` for it.
struct Packaged {
    folder: tempfile::TempDir,
    serving: Child,
    said: BufReader<ChildStdout>,
}

impl Drop for Packaged {
    /// It ends with its standard input.
    fn drop(&mut self) {
        drop(self.serving.stdin.take());
        let _ = self.serving.wait();
    }
}

impl Packaged {
    fn start() -> Option<Self> {
        let import = Command::new("python3").args(["-c", "import hyperqueue"]).stderr(Stdio::null()).status();
        if !import.is_ok_and(|status| status.success()) {
            println!("skipped: python3 has no package hyperqueue");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hq.py");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(bin.join("hq"), format!("#!/bin/sh\nexec python3 '{}' \"$@\"\n", script.display())).unwrap();
        std::fs::set_permissions(bin.join("hq"), PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new("python3");
        command.arg(&script).arg("server").arg(folder.path().join("server"));
        let mut serving = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(serving.stdout.take().unwrap());
        let mut packaged = Self { folder, serving, said };
        packaged.wait_for("ready");
        Some(packaged)
    }

    fn wait_for(&mut self, word: &str) {
        let mut lines = self.said.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == word), "the server ended before \"{word}\"");
    }

    /// As if the machine of one of the two workers had died.
    fn lose_a_worker(&mut self) {
        writeln!(self.serving.stdin.as_mut().unwrap(), "lose").unwrap();
        self.wait_for("lost");
    }

    fn run(&self, file: &Path, out: &Path) -> Command {
        let mut run = astrocytic(&["run", text(file), "--out", text(out), "--executor", "hyperqueue"]);
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        run.env("HQ_SERVER_DIR", self.folder.path().join("server")).env("PATH", path);
        run
    }
}

fn wait_for_a_checkpoint(out: &Path) {
    let has_checkpoint = |cell: std::fs::DirEntry| cell.path().join("checkpoint").exists();
    wait_until("a cell has a checkpoint", || {
        std::fs::read_dir(out.join("one/cells")).is_ok_and(|cells| cells.flatten().any(has_checkpoint))
    });
}

#[test]
fn every_cell_is_done_once_though_a_worker_is_lost() {
    let Some(mut hq) = Packaged::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (plan(folder.path()), folder.path().join("out"));
    let mut run = Stopped(hq.run(&file, &out).spawn().unwrap());
    wait_for_a_checkpoint(&out);
    hq.lose_a_worker();
    let mut ended = None;
    wait_until("the run ends", || {
        ended = run.0.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()));

    each_once(&out.join("one/lines.jsonl"));
}

#[test]
fn what_a_killed_task_left_is_done_by_the_same_command() {
    let Some(hq) = Packaged::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (plan(folder.path()), folder.path().join("out"));
    let first = hq.run(&file, &out).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_a_checkpoint(&out);
    // The one that is found may have ended just then.
    let kill =
        |process: String| Command::new("sh").arg("-c").arg(format!("kill -9 {process}")).status().unwrap().success();
    wait_until("a cell's process is killed", || cell_process(&out).is_some_and(kill));
    let first = first.wait_with_output().unwrap();
    let error = String::from_utf8(first.stderr).unwrap();
    assert!(!first.status.success() && error.contains("a worker failed"), "{error}");
    succeed(hq.run(&file, &out));

    each_once(&out.join("one/lines.jsonl"));
}

#[test]
fn a_slurm_cluster_does_every_cell_once() {
    if !Command::new("sinfo").output().is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no Slurm cluster");
        return;
    }
    // Not in /tmp, which the nodes of a cluster do not share.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (file, out) = (plan(folder.path()), folder.path().join("it's out"));
    succeed(astrocytic(&["run", text(&file), "--out", text(&out), "--executor", "slurm"]));
    each_once(&out.join("one/lines.jsonl"));
}
