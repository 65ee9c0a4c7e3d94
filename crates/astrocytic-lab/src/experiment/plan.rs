//! Experiments as files: a question and the studies that answer it, each a comparison on one corpus
//! at one model size.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_data::write_atomically;
use astrocytic_models::memory::MemoryKind;
use astrocytic_train::observer::Observer;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::arms::{Beyond, arm};
use crate::experiment::budget::Budget;
use crate::experiment::compare::compare_as;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::data::Data;
use crate::experiment::executor::Execution;
use crate::experiment::grid::{cap_sizes, is_trained, most_tuning_runs};
use crate::experiment::step_cost::step_cost;
use crate::experiment::stored::{Asked, stored_experiment};
use crate::provenance::identity::{self, Options};
use crate::report::{self, PlanSummary, StudySummary, Summary};

/// A plan's file in its results.
const FILE: &str = "experiment.toml";

/// A file that says what is asked and how it is answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is asked.
    pub question: String,
    /// What was expected before anything was run.
    pub expected: String,
    /// The comparisons that answer it, in order.
    pub studies: Vec<Study>,
    /// The file as it was.
    text: String,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Its name, and its folder's.
    pub name: String,
    /// All that its results depend on.
    pub config: ExperimentConfig,
}

/// The file itself: what a study does not say is as in `shared`, and what that does not say as in
/// the standard budget.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    question: String,
    expected: String,
    #[serde(default)]
    shared: Map<String, Value>,
    studies: Vec<StudyTable>,
}

#[derive(Deserialize)]
struct StudyTable {
    name: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// How long a study takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Tuning and final runs.
    pub runs: [usize; 2],
    /// Seconds of one core if no run is stopped early.
    pub seconds: f64,
}

impl Plan {
    /// Reads a file.
    ///
    /// # Errors
    /// One line with the file, the study and the field.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(text).with_context(|| path.display().to_string())
    }

    fn parse(text: String) -> Result<Self> {
        let file: PlanFile = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| format!("line {}: ", text[..span.start].matches('\n').count() + 1));
            anyhow!("{}{}", line.unwrap_or_default(), error.message().replace('\n', " "))
        })?;
        let mut studies: Vec<Study> = Vec::new();
        for StudyTable { name, fields } in file.studies {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                bail!("study {name:?}: the name is a folder's; use a-z, 0-9 and -");
            }
            if studies.iter().any(|study| study.name == name) {
                bail!("study {name}: there are two of this name");
            }
            let corpus = fields.get("corpus").or(file.shared.get("corpus")).and_then(Value::as_str);
            let budget = Budget::Standard.config(corpus.unwrap_or("generated"));
            // A file names its own primary comparison.
            let budget = ExperimentConfig { primary: None, ..budget.with_context(|| format!("study {name}"))? };
            let Value::Object(mut config) = serde_json::to_value(budget)? else {
                bail!("a configuration is a table");
            };
            config.extend(file.shared.clone());
            config.extend(fields);
            let config: ExperimentConfig = serde_path_to_error::deserialize(Value::Object(config))
                .map_err(|error| anyhow!("study {name}: {}: {}", error.path(), error.inner()))?;
            config.validate().with_context(|| format!("study {name}"))?;
            studies.push(Study { name, config });
        }
        if studies.is_empty() {
            bail!("no [[studies]]: at least one is needed");
        }
        Ok(Self { question: file.question, expected: file.expected, studies, text })
    }

    /// Runs what `folder` does not yet hold, a folder for each study, and writes the report.
    ///
    /// # Errors
    /// For a folder with another plan, and as [`compare`](crate::experiment::compare::compare).
    pub fn run(&self, folder: &Path, execution: &Execution) -> Result<PlanSummary> {
        self.must_be_held(folder, execution)?;
        let keep = || {
            write_atomically(&folder.join(FILE), self.text.as_bytes())
                .with_context(|| format!("cannot write in {}", folder.display()))
        };
        for (place, study) in self.studies.iter().enumerate() {
            execution.observer.say(&format!("study {} of {}: {}", place + 1, self.studies.len(), study.name));
            let own = folder.join(&study.name);
            compare_as(&study.config, &own, execution, Asked::ByFile, &mut || keep())
                .with_context(|| format!("study {}", study.name))?;
        }
        keep()?;
        self.report(folder)
    }

    /// Refuses a folder where another plan has begun. Studies may be added, and those that have not
    /// begun changed; what was asked and expected stays as it was.
    fn must_be_held(&self, folder: &Path, execution: &Execution) -> Result<()> {
        identity::refuse_others(folder, FILE)?;
        if !folder.join(FILE).exists() {
            return Ok(());
        }
        let begun = Self::of_results(folder)?;
        if begun.studies.iter().all(|study| !is_begun(folder, &study.name)) {
            return Ok(());
        }
        let text = |plan: &Self| {
            let texts = [("question", &plan.question), ("expected", &plan.expected)];
            texts.into_iter().map(|(name, text)| (name.to_string(), text.as_str().into())).collect::<Options>()
        };
        let mut different = identity::differences(&text(&begun), &text(self));
        for Study { name, .. } in &begun.studies {
            if is_begun(folder, name) && self.studies.iter().all(|study| study.name != *name) {
                different.push(format!("study {name}: this folder holds it, the file does not have it"));
            }
        }
        identity::refuse(folder, "experiment", different)?;
        for Study { name, config } in &self.studies {
            stored_experiment(config, &folder.join(name), &execution.device, Asked::ByFile)
                .with_context(|| format!("study {name}"))?;
        }
        Ok(())
    }

    /// The plan that a folder's results are of.
    ///
    /// # Errors
    /// For a folder without one.
    pub fn of_results(folder: &Path) -> Result<Self> {
        Self::load(&folder.join(FILE))
    }

    /// Writes the report of what is stored; trains nothing.
    ///
    /// # Errors
    /// For stored lines that are broken, and a folder that cannot be written.
    pub fn report(&self, folder: &Path) -> Result<PlanSummary> {
        let (begun, waiting): (Vec<&Study>, Vec<&Study>) =
            self.studies.iter().partition(|study| is_begun(folder, &study.name));
        let stored = |study: &&Study| {
            let own = folder.join(&study.name);
            let (experiment, lines) = report::load(&own)?;
            Ok(report::Stored { name: study.name.clone(), folder: own, experiment, lines })
        };
        let (found, table) = report::write_all(begun.iter().map(stored).collect::<Result<_>>()?)?;
        let summarized = |(study, found): (&&Study, Summary)| {
            let ExperimentConfig { d_model, layers, heads, .. } = study.config;
            let report = format!("{}/report.html", study.name);
            StudySummary {
                study: study.name.clone(),
                model: [d_model, layers, heads],
                summary: Summary { report, ..found },
            }
        };
        let mut summary = PlanSummary {
            question: self.question.clone(),
            expected: self.expected.clone(),
            headline: String::new(),
            studies: begun.iter().zip(found).map(summarized).collect(),
            waiting: waiting.into_iter().map(|study| study.name.clone()).collect(),
            report: "report.html".into(),
        };
        summary.headline = summary.conclusion();
        report::save(folder, "results.csv", &table)?;
        report::save_json(folder, "results.json", &summary)?;
        report::save(folder, "report.html", summary.page().as_bytes())?;
        summary.report = folder.join("report.html").display().to_string();
        Ok(summary)
    }
}

/// Whether a study's first run has begun.
fn is_begun(folder: &Path, study: &str) -> bool {
    folder.join(study).join("experiment.json").exists()
}

impl Study {
    /// Cells that the study has, or may have where it searches, and how long they take on this
    /// machine: each arm's steps are timed on one thread, as workers take them.
    ///
    /// # Errors
    /// For a corpus that cannot be had, or a device that is none.
    pub fn predict(&self, device: &str, observer: &dyn Observer) -> Result<Prediction> {
        let mut config = self.config.clone();
        let data = Data::prepare(&config, None)?;
        data.notes().iter().for_each(|note| observer.note(note));
        cap_sizes(&mut config, data.available())?;
        let mut seconds = 0.0;
        let mut tuned = Vec::new();
        for name in &config.arms {
            let arm = arm(name)?;
            let training = (arm.model(data.sizes(&config))?, arm.is_carried(), arm.given(config.sizes[0], 0));
            // Tuning runs of arms that train alike are the same; the final runs may be others.
            let is_shared = tuned.contains(&training) && config.tuning_trials == 0;
            tuned.push(training);
            let step = step_cost(&config, &data, name, device, Duration::ZERO)?.seconds;
            // A forward pass is a third of a step, and windows overlap by half.
            let rows = if data.is_text() { 2.0 / config.context as f64 } else { 1.0 };
            let read = |count: u64| rows * count as f64 / 3.0 / config.batch as f64 * step;
            // What goes on learning reads the tuning text once for each rate, and the test text
            // once more; with all weights that is training.
            let passes = match arm.beyond {
                Beyond::Learned(way) if way.learns == MemoryKind::Dynamic => 3.0 * way.learns.rates().len() as f64,
                Beyond::Learned(way) => way.learns.rates().len() as f64,
                Beyond::Nothing | Beyond::Carried => 0.0,
            };
            let evaluations = |steps: u64| steps.div_ceil(config.steps_between_evaluations(steps)) as f64;
            let is_trained = is_trained(name, config.sizes[0])?;
            let train = |steps: u64| match is_trained {
                true => steps as f64 * step + read(config.tuning_tokens) * evaluations(steps),
                false => read(config.tuning_tokens),
            };
            let learn = read(config.tuning_tokens) * passes;
            let longest = config.schedules.iter().copied().max().unwrap_or(0);
            let of_tuning = |steps: u64| learn + if is_shared { 0.0 } else { train(steps) };
            let tuning: f64 = match config.tuning_trials as usize {
                _ if !is_trained => 0.0,
                0 => config.trials().iter().map(|trial| of_tuning(trial.schedule)).sum(),
                // It may find that the longest schedule is best.
                trials => of_tuning(longest) * trials as f64,
            };
            // Where nothing is chosen, so are the final runs.
            let last = if is_shared && config.trials().len() == 1 { 0.0 } else { train(longest) };
            let last = learn + last + read(config.test_tokens) * if passes > 0.0 { 4.0 } else { 1.0 };
            let of_size = tuning * config.seeds_of_tuning().count() as f64 + last * config.seeds as f64;
            seconds += of_size * config.sizes.len() as f64;
        }
        let finals = config.arms.len() * config.sizes.len() * config.seeds as usize;
        Ok(Prediction { runs: [most_tuning_runs(&config)?, finals], seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Plan> {
        Plan::parse(text.into())
    }

    const HEAD: &str = "question = \"q\"\nexpected = \"e\"\n[shared]\nseeds = 2\nd_model = 32\n";

    #[test]
    fn a_study_is_what_it_says_then_what_is_shared_then_the_budget() {
        let plan = parse(&format!("{HEAD}[[studies]]\nname = \"a\"\ncorpus = \"moby-dick\"\nd_model = 48\n")).unwrap();
        let config = &plan.studies[0].config;
        assert_eq!((config.corpus.as_str(), config.seeds, config.d_model), ("moby-dick", 2, 48));
        assert_eq!(config.sizes, Budget::Standard.config("x").unwrap().sizes);
    }

    #[test]
    fn the_projects_own_files_hold() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
        assert!(files.len() >= 3);
        for path in files {
            Plan::load(&path).unwrap();
        }
    }

    /// Runs that are stored must be found again, whatever budgets and programs have become.
    #[test]
    fn the_projects_own_files_say_what_was_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
        let mut held = 0;
        for entry in std::fs::read_dir(folder.join("results")).unwrap() {
            let results = entry.unwrap().path();
            if !results.join(FILE).exists() {
                continue;
            }
            let name = results.file_name().unwrap().to_str().unwrap().to_string();
            let plan = Plan::load(&folder.join(format!("{name}.toml"))).unwrap();
            assert_eq!(Plan::of_results(&results).unwrap().studies, plan.studies, "{name}");
            for Study { name: study, config } in plan.studies.iter().filter(|study| is_begun(&results, &study.name)) {
                let (experiment, _) = report::load(&results.join(study)).unwrap();
                let stored: ExperimentConfig = serde_json::from_value(experiment.config).unwrap();
                assert_eq!(stored, *config, "{name}/{study}");
                held += 1;
            }
        }
        assert!(held >= 20, "{held}");
    }

    #[test]
    fn a_faulty_file_is_refused_with_the_place() {
        for (tail, said) in [
            ("", "studies"),
            ("[[studies]]\nname = \"a\"\nwidth = 3\n", "unknown field `width`"),
            ("[[studies]]\nname = \"a/b\"\n", "use a-z"),
            ("[[studies]]\nname = \"a\"\n[[studies]]\nname = \"a\"\n", "two of this name"),
            ("[[studies]]\nname = \"a\"\nseeds = 0\n", "seeds"),
            ("[[studies]]\nname = \"a\"\ncorpus = \"scan:left\"\n", "study a: scan:left"),
            ("[[studies]]\nname = \"a\"\nseeds = \"5\"\n", "study a: seeds: invalid type"),
            ("[[studies]\n", "line 6"),
        ] {
            let error = format!("{:#}", parse(&format!("{HEAD}{tail}")).unwrap_err());
            assert!(error.contains(said) && !error.contains('\n'), "{error}");
        }
    }
}
