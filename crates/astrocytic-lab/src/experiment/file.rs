//! An experiment's file: what a study does not say is as in `[shared]`, and what that does not say
//! as in the standard budget. All of it is checked when it is read, and every fault has its place.

use anyhow::Result;
use astrocytic_data::TokenizerKind;
use astrocytic_data::tasks::Task;
use serde_json::{Map, Value};

use crate::arms::{Defined, Sizes, find, needed, without_ending};
use crate::experiment::budget::Budget;
use crate::experiment::config::ExperimentConfig;
use crate::file::{Fault, Source, fields_of, nearest, typed};

/// Keys of the whole file.
const KEYS: [&str; 7] = ["question", "expected", "primary", "contrasts", "shared", "studies", "arms"];
/// Those of them that every study has.
const OF_EVERY_STUDY: [&str; 2] = ["primary", "contrasts"];
/// The key whose budget gives a study what its file does not say.
const BUDGET: &str = "budget";
/// A vocabulary to check models with where only the data say how large it is.
const SOME_VOCABULARY: usize = 100;

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Its name, and its folder's.
    pub name: String,
    /// All that its results depend on.
    pub config: ExperimentConfig,
}

/// What a file says.
#[derive(Debug)]
pub(super) struct PlanFile {
    pub(super) question: String,
    pub(super) expected: String,
    pub(super) studies: Vec<Study>,
    pub(super) defined: Defined,
}

/// Reads a file.
///
/// # Errors
/// With the place in the file, the study and the field.
pub(super) fn read(source: &Source) -> Result<PlanFile> {
    let of_file = |fault: Fault| source.error(&fault, "", fault.path());
    let keys = source.keys(&[]);
    if let Some(key) = keys.iter().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(of_file(Fault::unknown_field(key, KEYS)));
    }
    if source.value().get("shared").is_some_and(|shared| !shared.is_object()) {
        return Err(of_file(Fault::at("shared", "a table is wanted: [shared]")));
    }
    let defined = Defined::of(source)?;
    let reader = Reader { source, defined: &defined };
    let studies = reader.studies()?;
    reader.check_other_arms(&studies)?;
    let text = |key: &str| match source.value().get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(of_file(Fault::at(key, "text in quotation marks is wanted"))),
        None => Err(of_file(Fault::at(key, "missing; an experiment has a question, and what is expected of it"))),
    };
    Ok(PlanFile { question: text("question")?, expected: text("expected")?, studies, defined })
}

struct Reader<'a> {
    source: &'a Source,
    defined: &'a Defined,
}

impl Reader<'_> {
    fn studies(&self) -> Result<Vec<Study>> {
        let count = match self.source.value().get("studies") {
            Some(Value::Array(studies)) => studies.len(),
            _ => 0,
        };
        if count == 0 {
            let fault = Fault::at("studies", "no [[studies]]: at least one is needed");
            return Err(self.source.error(&fault, "", fault.path()));
        }
        let mut studies: Vec<Study> = Vec::new();
        for place in 0..count {
            let name = self.name(place, &studies).map_err(|fault| self.error(fault, "", place))?;
            let about = format!("study {name}: ");
            let config = self.config(place).map_err(|fault| self.error(fault, &about, place))?;
            self.check_models(&config, &about, place)?;
            studies.push(Study { name, config });
        }
        Ok(studies)
    }

    /// A study's name, which no study before it has.
    fn name(&self, place: usize, before: &[Study]) -> Result<String, Fault> {
        let table = self.source.value()["studies"][place].as_object();
        let name = table.and_then(|table| table.get("name")).and_then(Value::as_str);
        let name = name.ok_or_else(|| Fault::at("name", "missing; every study has a name, in quotation marks"))?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(Fault::at("name", format!("{name:?} is a folder's name; use a-z, 0-9 and -")));
        }
        if before.iter().any(|study| study.name == name) {
            return Err(Fault::at("name", format!("there are two studies of the name {name}")));
        }
        Ok(name.into())
    }

    /// A study's configuration.
    fn config(&self, place: usize) -> Result<ExperimentConfig, Fault> {
        let file = self.source.value();
        let table = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let mut said: Map<String, Value> = OF_EVERY_STUDY
            .into_iter()
            .filter_map(|key| Some((key.to_string(), file.get(key)?.clone())))
            .chain(table(&file["shared"]))
            .chain(table(&file["studies"][place]))
            .collect();
        said.remove("name");
        if ["shared", "studies"].iter().any(|key| says(&file[*key], place, "primary")) {
            return Err(Fault::at("primary", "it belongs to the whole file: write it above the first table"));
        }
        let known = fields_of::<ExperimentConfig>().iter().copied();
        let known: Vec<&str> =
            known.filter(|field| !["definitions", "primary"].contains(field)).chain([BUDGET]).collect();
        let is_known = |field: &str| known.contains(&field) || OF_EVERY_STUDY.contains(&field);
        if let Some(field) = said.keys().find(|field| !is_known(field)) {
            return Err(Fault::unknown_field(field, known));
        }
        // Whoever counts evaluations means no fixed distance.
        if said.contains_key("evaluations") && !said.contains_key("evaluate_every") {
            said.insert("evaluate_every".into(), 0.into());
        }
        let corpus = said.get("corpus").and_then(Value::as_str).unwrap_or("generated").to_string();
        let budget = said
            .remove(BUDGET)
            .map_or(Ok(Budget::Standard), |named| typed(&named).map_err(|fault: Fault| fault.within(BUDGET)));
        let budget = budget?.config(&corpus).map_err(|error| Fault::at("corpus", format!("{error:#}")))?;
        // A file names its own primary contrast.
        let budget = ExperimentConfig { primary: None, ..budget };
        let Value::Object(mut config) = serde_json::to_value(budget).expect("a configuration is data") else {
            return Err(Fault::new("a configuration is a table"));
        };
        config.extend(said);
        if let Some(Value::Array(arms)) = config.get_mut("arms") {
            *arms = self.arms(arms).map_err(|fault| fault.within("arms"))?;
        }
        if let Some(Value::Array(contrasts)) = config.get_mut("contrasts") {
            *contrasts = self.contrasts(contrasts);
        }
        let mut config: ExperimentConfig = typed(&Value::Object(config))?;
        config.definitions = needed(config.arms.iter().map(String::as_str), &self.defined.tables);
        config.validate().map_err(|error| match error.downcast::<Fault>() {
            Ok(fault) => fault,
            Err(error) => Fault::of_message(&format!("{error:#}")),
        })?;
        Ok(config)
    }

    /// Names of arms, those of patterns in their place.
    fn arms(&self, names: &[Value]) -> Result<Vec<Value>, Fault> {
        let mut arms = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let Some(text) = name.as_str() else {
                arms.push(name.clone());
                continue;
            };
            for name in self.defined.expanded(text) {
                if name.contains('{') {
                    let near = nearest(&name, self.defined.patterns())
                        .first()
                        .map_or(String::new(), |near| format!("; nearest: {near}"));
                    return Err(Fault::at(
                        &place.to_string(),
                        format!("\"{name}\" stands for no arms of the file{near}"),
                    ));
                }
                find(&name, &self.defined.tables).map_err(|fault| fault.within(place.to_string()))?;
                arms.push(name.into());
            }
        }
        Ok(arms)
    }

    /// Pairs of arms, each of a pattern's arms in its place.
    fn contrasts(&self, pairs: &[Value]) -> Vec<Value> {
        let mut all = Vec::new();
        for pair in pairs {
            let Some([Value::String(one), Value::String(other)]) = pair.as_array().map(Vec::as_slice) else {
                all.push(pair.clone());
                continue;
            };
            let [ones, others] = [one, other].map(|name| self.defined.expanded(name));
            let is_pattern = ones.len() * others.len() > 1;
            for one in &ones {
                let pairs = others.iter().map(|other| serde_json::json!([one, other]));
                // A pattern's arms are not compared with themselves.
                all.extend(
                    pairs.filter(|pair| !is_pattern || (pair[0] != pair[1] && !all.contains(pair))).collect::<Vec<_>>(),
                );
            }
        }
        all
    }

    /// Whether the arms have models of a study's sizes.
    fn check_models(&self, config: &ExperimentConfig, about: &str, place: usize) -> Result<()> {
        let (sizes, known) = nominal_sizes(config)?;
        for name in &config.arms {
            let arm = config.arm(name)?;
            arm.validate(sizes).map_err(|fault| self.error_of_arm(fault, name, about, place))?;
            if known && let Err(error) = arm.model(sizes) {
                let message = format!("{error:#}");
                // The place names the arm.
                let message = message.strip_prefix(&format!("arm {name}: ")).unwrap_or(&message);
                return Err(self.error_of_arm(Fault::new(message), name, about, place));
            }
        }
        Ok(())
    }

    /// Arms that no study has must be ones too, at the sizes of one of them.
    fn check_other_arms(&self, studies: &[Study]) -> Result<()> {
        let sizes = studies.iter().map(|study| Ok(nominal_sizes(&study.config)?.0)).collect::<Result<Vec<_>>>()?;
        let is_used = |name: &str| studies.iter().any(|study| study.config.definitions.contains_key(name));
        for name in self.defined.names.iter().filter(|name| !is_used(name)) {
            let arm = find(name, &self.defined.tables)?;
            let faults: Vec<Fault> = sizes.iter().filter_map(|&sizes| arm.validate(sizes).err()).collect();
            if let Some(fault) = faults.first().filter(|_| faults.len() == sizes.len()) {
                return Err(self.error_of_arm(fault.clone(), name, "", 0));
            }
        }
        Ok(())
    }

    /// An error of an arm at a study's sizes: where the file says the arm, or where the study says
    /// the size that does not suit it.
    fn error_of_arm(&self, fault: Fault, name: &str, about: &str, place: usize) -> anyhow::Error {
        let (fault, own) = self.defined.located(fault.within(name).within("arms"));
        let path: Vec<&str> = own.iter().map(String::as_str).collect();
        let field = fault.path().get(2).map_or("", String::as_str);
        let is_said = own.len() > 2 && self.source.has(&path[..3]);
        let is_sizes = ["heads", "d_model", "layers", "context"].contains(&field);
        if is_said || (own.len() >= 2 && !is_sizes && self.source.has(&path[..2])) {
            return self.source.error(&fault, about, &own);
        }
        let inner = Fault::new(fault.message()).moved(fault.path()[2 + usize::from(is_sizes)..].to_vec());
        let message = Fault::new(format!("arm {}: {inner}", fault.path()[1]));
        self.error(message.within(if is_sizes { field } else { "arms" }), about, place)
    }

    /// An error of a study, or of an arm of the file that it has.
    fn error(&self, fault: Fault, about: &str, place: usize) -> anyhow::Error {
        if let [key, name, _, ..] = fault.path()
            && key == "arms"
            && self.defined.names.contains(&without_ending(name, &self.defined.tables))
        {
            let (fault, own) = self.defined.located(fault);
            return self.source.error(&fault, about, &own);
        }
        error_of_study(self.source, &fault, about, place)
    }
}

/// An error of a study: where it says the field, where `[shared]` does, or the file, or else where
/// the study begins.
pub(super) fn error_of_study(source: &Source, fault: &Fault, about: &str, place: usize) -> anyhow::Error {
    let study = vec!["studies".to_string(), place.to_string()];
    let roots = [study.clone(), vec!["shared".to_string()], vec![]];
    let first = fault.path().first().cloned();
    let said = first.and_then(|first| {
        let with = |root: &Vec<String>| [root.clone(), vec![first.clone()]].concat();
        let has = |path: &Vec<String>| source.has(&path.iter().map(String::as_str).collect::<Vec<_>>());
        // Under `arms` of the file are its arms.
        let of_file = OF_EVERY_STUDY.contains(&first.as_str());
        roots.into_iter().find(|root| has(&with(root)) && (of_file || !root.is_empty()))
    });
    let place = said.map_or(study, |root| [root.as_slice(), fault.path()].concat());
    source.error(fault, about, &place)
}

/// Whether a table, or the one at a place of a list of tables, has a key.
fn says(value: &Value, place: usize, key: &str) -> bool {
    value.get(key).is_some() || value.get(place).is_some_and(|table| table.get(key).is_some())
}

/// Sizes of a study's models before its data are read, and whether the data can say no others.
fn nominal_sizes(config: &ExperimentConfig) -> Result<(Sizes, bool)> {
    let ExperimentConfig { d_model, layers, heads, dropout, context, .. } = *config;
    let task = Task::of_corpus(&config.corpus)?;
    let (vocabulary, known) = match config.tokenizer {
        TokenizerKind::BytePair { vocabulary } => (vocabulary, task.is_none()),
        TokenizerKind::Characters => (SOME_VOCABULARY, false),
    };
    let feed_forward = !matches!(task, Some(Task::Mqar { .. }));
    Ok((Sizes { vocabulary, d_model, layers, heads, dropout, context, feed_forward }, known))
}
