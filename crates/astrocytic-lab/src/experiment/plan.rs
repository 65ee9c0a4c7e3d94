//! Experiments as files: a question and the studies that answer it, each a comparison on one corpus
//! at one model size.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_data::write_atomically;

use crate::arms::Definitions;
use crate::experiment::budget::Budget;
use crate::experiment::compare::compare_as;
use crate::experiment::config::ExperimentConfig;
use crate::experiment::corpora::missing;
use crate::experiment::executor::Execution;
use crate::experiment::file::{PlanFile, error_of_study, read};
use crate::experiment::stored::{Asked, stored_experiment};
use crate::file::{Fault, Source, did_you_mean};
use crate::provenance::identity::{self, Options};
use crate::report::{self, PlanSummary, StudySummary, Summary};

pub use crate::experiment::file::Study;
pub use crate::experiment::predict::{PredictedArm, Prediction};

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
    /// Names of the arms that it defines, in order.
    pub arms: Vec<String>,
    /// Their tables.
    pub definitions: Definitions,
    /// The file as errors call it.
    name: String,
    /// The file as it was.
    text: String,
}

impl Plan {
    /// Reads a file and checks all that it says.
    ///
    /// # Errors
    /// With the place in the file, the study and the field.
    pub fn load(path: &Path) -> Result<Self> {
        Self::of(Source::read(path)?)
    }

    /// The experiment of a newcomer: a task that must be tracked beside the built-in language.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn first_look(budget: Budget) -> Result<Self> {
        let text = include_str!("first_look.toml").replace("\"quick\"", &format!("\"{}\"", budget.name()));
        Self::of(Source::parse("first_look.toml".into(), text)?)
    }

    pub(super) fn of(source: Source) -> Result<Self> {
        let PlanFile { question, expected, studies, defined } = read(&source)?;
        let (name, text) = (source.name().into(), source.text().into());
        Ok(Self { question, expected, studies, arms: defined.names, definitions: defined.tables, name, text })
    }

    /// The study of that name, or the only one.
    ///
    /// # Errors
    /// For a name that is none, and no name where there are several; says which there are.
    pub fn study(&self, name: Option<&str>) -> Result<&Study> {
        let names = || self.studies.iter().map(|study| study.name.as_str());
        match (name, &self.studies[..]) {
            (None, [only]) => Ok(only),
            (None, _) => {
                bail!("{} has several studies; add --study: {}", self.name, names().collect::<Vec<_>>().join(", "))
            }
            (Some(name), studies) => studies.iter().find(|study| study.name == name).ok_or_else(|| {
                let near = did_you_mean(name, names());
                anyhow!("{} has no study {name}, but {}{near}", self.name, names().collect::<Vec<_>>().join(", "))
            }),
        }
    }

    /// Runs what `folder` does not yet hold, a folder for each study, and writes the report.
    ///
    /// # Errors
    /// For a folder with another plan, and as [`compare`](crate::experiment::compare::compare).
    pub fn run(&self, folder: &Path, execution: &Execution) -> Result<PlanSummary> {
        execution.must_be_possible(folder)?;
        self.must_be_held(folder, execution)?;
        self.must_have_primary(folder)?;
        self.must_have_corpora()?;
        let keep = || {
            write_atomically(&folder.join(FILE), self.text.as_bytes())
                .with_context(|| format!("cannot write in {}", folder.display()))
        };
        for (place, study) in self.studies.iter().enumerate() {
            execution.observer.say(&format!("study {} of {}: {}", place + 1, self.studies.len(), study.name));
            let own = folder.join(&study.name);
            compare_as(&study.config, &own, execution, Asked::ByFile, &mut || keep())
                .with_context(|| format!("study {}", study.name))?;
            // Its comparisons are corrected together with those of the whole file.
            self.report(folder)?;
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

    /// Refuses corpora that are not there.
    ///
    /// # Errors
    /// With the place in the file and the study.
    pub fn must_have_corpora(&self) -> Result<()> {
        for (place, Study { name, config }) in self.studies.iter().enumerate() {
            if let Some(message) = missing(&config.corpus) {
                let source = Source::parse(self.name.clone(), self.text.clone())?;
                return Err(error_of_study(&source, &Fault::at("corpus", message), &format!("study {name}: "), place));
            }
        }
        Ok(())
    }

    /// Refuses to begin without a contrast that answers the question. What has begun goes on.
    ///
    /// # Errors
    /// With what is missing.
    pub fn must_have_primary(&self, folder: &Path) -> Result<()> {
        let without = self.studies.iter().find(|study| study.config.primary.is_none() && !study.config.search);
        let begun = self.studies.iter().any(|study| is_begun(folder, &study.name));
        if let Some(study) = without.filter(|_| !begun) {
            bail!(
                "{}: study {}: primary: missing; name the contrast that answers the question, before it is run: primary = \
                 {{ arm = \"…\", baseline = \"…\" }}",
                self.name,
                study.name
            );
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
        let mut untested = [0, 0];
        for study in &waiting {
            let [primary, others] = study.contrasts()?;
            untested = [untested[0] + primary, untested[1] + others];
        }
        let (found, table) = report::write_all(begun.iter().map(stored).collect::<Result<_>>()?, untested)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::budget::Budget;

    fn parse(text: &str) -> Result<Plan> {
        Plan::of(Source::parse("a.toml".into(), text.into())?)
    }

    const HEAD: &str = "question = \"q\"\nexpected = \"e\"\n[shared]\nseeds = 2\nd_model = 32\n";

    #[test]
    fn a_study_is_what_it_says_then_what_is_shared_then_the_budget() {
        let plan = parse(&format!("{HEAD}[[studies]]\nname = \"a\"\ncorpus = \"moby-dick\"\nd_model = 48\n")).unwrap();
        let config = &plan.study(None).unwrap().config;
        assert_eq!((config.corpus.as_str(), config.seeds, config.d_model), ("moby-dick", 2, 48));
        assert_eq!(config.sizes, Budget::Standard.config("x").unwrap().sizes);
    }

    #[test]
    fn the_projects_own_files_hold() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = Vec::new();
        for folder in ["experiments", "examples/experiments"] {
            let paths = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
            files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "toml")));
        }
        let stored = std::fs::read_dir(root.join("experiments/results")).unwrap();
        files.extend(stored.map(|entry| entry.unwrap().path().join(FILE)).filter(|path| path.exists()));
        assert!(files.len() >= 20, "{files:?}");
        for path in files {
            let plan = Plan::load(&path).unwrap();
            let is_example = path.parent().is_some_and(|folder| folder.ends_with("examples/experiments"));
            assert!(!is_example || plan.must_have_primary(Path::new("no such folder")).is_ok(), "{path:?}");
        }
    }

    #[test]
    fn arms_of_a_file_go_where_their_studies_go() {
        let text = "primary = { arm = \"mine-elu\", baseline = \"vanilla\" }\n[arms.\"mine-{feature_map}\"]\n\
                    base = \"gated-linear\"\nfeature_map = [\"elu\", \"taylor\"]\n[arms.other]\nbase = \"linear\"\n";
        let study = "[[studies]]\nname = \"a\"\narms = [\"vanilla\", \"mine-{feature_map}\"]\n";
        let plan = parse(&format!("question = \"q\"\nexpected = \"e\"\n{text}{study}")).unwrap();
        let config = &plan.studies[0].config;
        assert_eq!(config.arms, ["vanilla", "mine-elu", "mine-taylor"]);
        assert_eq!(config.definitions.keys().collect::<Vec<_>>(), ["mine-elu", "mine-taylor"]);
        assert_eq!(config.primary.as_ref().unwrap().arm, "mine-elu");
        assert_eq!(plan.arms, ["mine-elu", "mine-taylor", "other"]);
        // Workers and stored results read it as JSON.
        let stored = serde_json::to_string(config).unwrap();
        assert_eq!(&serde_json::from_str::<ExperimentConfig>(&stored).unwrap(), config);
        assert!(plan.study(Some("b")).is_err_and(|error| error.to_string().contains("has no study b, but a")));
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
}
