//! Whatever the paths are called and whatever lies at the program's path meanwhile: workers are the
//! program that began, of a process, of `sbatch` or of `hq`. The two engines are stand-ins that do
//! as the real ones do with what they are given.
#![cfg(target_os = "linux")]

mod program;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use program::text;

/// Like them, each refuses a name with words that it would fill in; in the middle of a test it may
/// put `$NEW` in the place of `$PROGRAM`, before or after it has run its tasks.
const SBATCH: &str = r#"#!/bin/sh
for word; do
  [ "$before" = --wrap ] && lines=$word
  case "$word" in
    --array=*) last=${word##*-} ;;
    --error=*%* | --output=*%*) echo "error: $word has a pattern" >&2; exit 3 ;;
  esac
  before=$word
done
[ "$REPLACE" = before ] && mv "$NEW" "$PROGRAM"
task=0
while [ $task -le "$last" ]; do
  SLURM_ARRAY_TASK_ID=$task sh -c "$lines" >/dev/null 2>&1 || failed=1
  task=$((task + 1))
done
[ "$REPLACE" = after ] && [ -e "$NEW" ] && mv "$NEW" "$PROGRAM"
exit ${failed:-0}
"#;
const HQ: &str = r#"#!/bin/sh
while [ "$1" != -- ]; do
  case "$1" in
    --array=*) last=${1##*-} ;;
    *%{*) echo "error: $1 has a placeholder" >&2; exit 3 ;;
  esac
  shift
done
shift
[ "$REPLACE" = before ] && mv "$NEW" "$PROGRAM"
task=0
while [ $task -le "$last" ]; do
  HQ_TASK_ID=$task "$@" >/dev/null 2>&1 || failed=1
  task=$((task + 1))
done
[ "$REPLACE" = after ] && [ -e "$NEW" ] && mv "$NEW" "$PROGRAM"
exit ${failed:-0}
"#;

/// A folder with a copy of the program, the two stand-ins and a plan of two studies.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder };
        std::fs::create_dir(place.path("bin")).unwrap();
        for (name, script) in [("sbatch", SBATCH), ("hq", HQ)] {
            place.script(&format!("bin/{name}"), script);
        }
        std::fs::copy(env!("CARGO_BIN_EXE_astrocytic"), place.path("program")).unwrap();
        let plan = "question = \"q\"\nexpected = \"e\"\nprimary = { arm = \"linear\", baseline = \"vanilla\" }\n[shared]\ncorpus = \"text.txt\"\ntokenizer = \"char\"\narms = \
            [\"vanilla\", \"linear\"]\nsizes = [1024]\nseeds = 2\nlearning_rates = [0.01]\nweight_decays = [0.1]\nschedules = \
            [30]\nevaluations = 2\nd_model = 16\nlayers = 1\ncontext = 16\ntuning_tokens = 500\ntest_tokens = 500\n\
            [[studies]]\nname = \"one\"\n[[studies]]\nname = \"other\"\nd_model = 24\n";
        std::fs::write(place.path("plan.toml"), plan).unwrap();
        let line = |i: usize| format!("Anna has {i} foxes and {} hens.\n", i % 7);
        std::fs::write(place.path("text.txt"), (0..900).map(line).collect::<String>()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, script: &str) {
        std::fs::write(self.path(name), script).unwrap();
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn run(&self, out: &Path, executor: &str) -> Command {
        let mut command = Command::new(self.path("program"));
        command.args(["run", text(&self.path("plan.toml")), "--out", text(out), "--executor", executor, "--jobs", "1"]);
        command.current_dir(self.folder.path());
        let path = format!("{}:{}", text(&self.path("bin")), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("NEW", self.path("new")).env("PROGRAM", self.path("program"));
        command
    }
}

fn results(out: &Path, study: &str) -> usize {
    let lines = std::fs::read_to_string(out.join(study).join("lines.jsonl")).unwrap_or_default();
    lines.lines().filter(|line| line.contains("\"kind\":\"result\"")).count()
}

fn must_succeed(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn any_path_will_do() {
    let place = Place::new();
    let names = ["o/50%data", "%a %% %{TASK_ID} it's \"out\" $HOME `id` \\ back", "two\nlines; exit 1 #"];
    for executor in ["slurm", "hyperqueue", "local"] {
        for (number, name) in names.iter().enumerate() {
            let out = place.path(executor).join(name);
            must_succeed(&place.run(&out, executor).output().unwrap());
            assert_eq!([results(&out, "one"), results(&out, "other")], [4, 4], "{executor}: {name}");
            assert!(out.join("report.html").exists());
            // Nothing beside it.
            assert_eq!(std::fs::read_dir(place.path(executor)).unwrap().count(), number + 1);
        }
    }
}

/// Starts a plan and calls `meanwhile` when its first study has a result.
fn started(place: &Place, meanwhile: impl FnOnce()) -> Output {
    let out = place.path("out");
    let mut run = place.run(&out, "local");
    let child = run.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while results(&out, "one") == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no result in a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
    meanwhile();
    child.wait_with_output().unwrap()
}

#[test]
fn a_program_that_is_replaced_or_removed_runs_to_its_end() {
    for removed in [false, true] {
        let place = Place::new();
        let marker = place.path("the new one ran");
        place.script("new", &format!("#!/bin/sh\ntouch '{}'\nexit 1\n", marker.display()));
        let output = started(&place, || match removed {
            true => std::fs::remove_file(place.path("program")).unwrap(),
            false => std::fs::rename(place.path("new"), place.path("program")).unwrap(),
        });
        must_succeed(&output);
        assert!(!marker.exists());
        assert_eq!([results(&place.path("out"), "one"), results(&place.path("out"), "other")], [4, 4]);
    }
}

#[test]
fn a_cluster_that_would_run_another_program_is_told_so() {
    for (executor, when, done, said) in [
        ("slurm", "before", 0, "replaced since the run began"),
        ("slurm", "after", 4, "replaced or removed while it ran"),
        ("hyperqueue", "before", 0, "replaced since the run began"),
        ("hyperqueue", "after", 4, "replaced or removed while it ran"),
    ] {
        let place = Place::new();
        // It would run.
        let mut new = std::fs::read(place.path("program")).unwrap();
        new.push(0);
        std::fs::write(place.path("new"), new).unwrap();
        std::fs::set_permissions(place.path("new"), PermissionsExt::from_mode(0o755)).unwrap();
        // What a task says is found wherever it is written.
        let out = place.path("50%{data} %a it's");
        let output = place.run(&out, executor).env("REPLACE", when).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && error.contains(said), "{executor}, {when}: {error}");
        assert_eq!([results(&out, "one"), results(&out, "other")], [done, 0], "{executor}, {when}");
        // Started again it goes on.
        must_succeed(&place.run(&out, executor).output().unwrap());
        assert_eq!([results(&out, "one"), results(&out, "other")], [4, 4], "{executor}, {when}");
    }
}
