//! Identity of a run: the program, the options and the contents of the inputs that its result
//! depends on. The spelling of a path is no part of it. A run stores its identity in its folder
//! when it begins, after all inputs are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use astrocytic_data::write_atomically;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::provenance::machine;

/// The files by which a folder is known to be a run's, and whose.
const MARKS: [(&str, &str); 4] = [
    ("session.json", "a model that `train` made"),
    ("conversion.json", "a conversion of `swap`"),
    ("experiment.json", "a comparison"),
    ("experiment.toml", "an experiment of `run`"),
];
/// Files that a run writes. In a folder that holds no run they are somebody else's.
const WRITTEN: [&str; 5] = ["config.json", "model.safetensors", "tokenizer.json", "result.json", "report.html"];
/// An error names at most so many options.
const NAMED: usize = 4;

/// Values by the names of options.
pub(crate) type Options = BTreeMap<String, Value>;

/// A configuration's fields as options. `name` gives the option of a field; `None` leaves the field
/// out.
pub(crate) fn options(config: &impl Serialize, name: impl Fn(&str) -> Option<String>) -> Result<Options> {
    let fields: BTreeMap<String, Value> = serde_json::from_value(serde_json::to_value(config)?)?;
    Ok(fields.into_iter().filter_map(|(field, value)| Some((name(&field)?, value))).collect())
}

/// A line for each option that is not the same.
pub(crate) fn differences(held: &Options, asked: &Options) -> Vec<String> {
    let names = held.keys().chain(asked.keys().filter(|name| !held.contains_key(*name)));
    let of = |options: &Options, name| match options.get(name) {
        None | Some(Value::Null) => "nothing".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let differs = names.filter(|name| held.get(*name) != asked.get(*name));
    differs
        .map(|name| format!("{name}: this folder holds {}, you ask for {}", of(held, name), of(asked, name)))
        .collect()
}

/// Refuses to go on where something differs; `what` is what the folder holds.
pub(crate) fn refuse(folder: &Path, what: &str, mut differences: Vec<String>) -> Result<()> {
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(NAMED);
    differences.truncate(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let differences = differences.join("; ");
    bail!(
        "{} holds another {what}: {differences}{more}; ask for the same to go on, or give another --out",
        folder.display()
    )
}

/// Refuses a folder that holds something else than a run of this kind, whose file is named `own`.
pub(crate) fn refuse_others(folder: &Path, own: &str) -> Result<()> {
    let there = |file: &str| folder.join(file).exists();
    if let Some((_, what)) = MARKS.iter().find(|(file, _)| *file != own && there(file)) {
        bail!("{} holds {what}; give another --out", folder.display());
    }
    match WRITTEN.iter().find(|file| !there(own) && there(file)) {
        Some(file) => bail!("{} holds a {file} that is no run's of this program; give another --out", folder.display()),
        None => Ok(()),
    }
}

/// The version and commit of this program.
pub(crate) fn program() -> String {
    format!("{} ({})", env!("CARGO_PKG_VERSION"), machine::commit())
}

/// Something that an option names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Input {
    /// As it was typed when the run began.
    pub(crate) name: String,
    /// Of what was read.
    pub(crate) sha256: String,
}

/// One difference between what was read when a run began and what is read now, if there is one.
pub(crate) fn another_input(option: &str, held: &[Input], asked: &[Input]) -> Option<String> {
    let sums = |inputs: &[Input]| inputs.iter().map(|input| input.sha256.clone()).collect::<Vec<_>>();
    if sums(held) == sums(asked) {
        return None;
    }
    let say = |inputs: &[Input]| match inputs {
        [] => "nothing".into(),
        inputs => {
            let one = |input: &Input| format!("{} (sha256 {:.12}…)", input.name, input.sha256);
            inputs.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    };
    Some(format!("{option}: this folder holds {}, you ask for {}", say(held), say(asked)))
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    program: String,
    options: Options,
    inputs: BTreeMap<String, Vec<Input>>,
}

/// A folder in which a run is to begin, or has begun.
pub(crate) struct Place {
    folder: PathBuf,
    file: &'static str,
    what: &'static str,
    options: Options,
    begun: bool,
}

impl Place {
    /// Checks that `folder` is free or holds a run with these options; writes nothing. `file` is
    /// the name of the run's file; errors call the run `what`.
    ///
    /// # Errors
    /// For a folder with another run.
    pub(crate) fn new(folder: &Path, file: &'static str, what: &'static str, options: Options) -> Result<Self> {
        refuse_others(folder, file)?;
        let mut place = Self { folder: folder.to_path_buf(), file, what, options, begun: false };
        place.begun = place.held()?.is_some();
        Ok(place)
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether this run has begun there before.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// What began there, if its options are these.
    fn held(&self) -> Result<Option<Identity>> {
        let path = self.folder.join(self.file);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let held: Identity = serde_json::from_str(&text).with_context(|| {
            format!("{}: broken, or of another version; give another --out, or remove the folder", path.display())
        })?;
        let mut different = differences(&held.options, &self.options);
        if held.program != program() {
            different.push(format!(
                "the program: this folder holds what {} began, this is {}",
                held.program,
                program()
            ));
        }
        refuse(&self.folder, self.what, different)?;
        Ok(Some(held))
    }

    /// Begins the run or goes on with it, once all inputs are read. `inputs` are keyed by the
    /// option that names them. No other process can begin there until the returned lock is dropped.
    ///
    /// # Errors
    /// For a folder where another process is at work, that holds a run on other inputs, or that
    /// cannot be written.
    pub(crate) fn begin(&self, inputs: impl IntoIterator<Item = (&'static str, Vec<Input>)>) -> Result<File> {
        let lock = lock(&self.folder)?;
        let inputs: BTreeMap<String, Vec<Input>> =
            inputs.into_iter().map(|(option, inputs)| (option.to_string(), inputs)).collect();
        // Again, now that nobody else can begin.
        if let Some(held) = self.held()? {
            let of = |inputs: &BTreeMap<String, Vec<Input>>, option| inputs.get(option).cloned().unwrap_or_default();
            let options = held.inputs.keys().chain(inputs.keys().filter(|option| !held.inputs.contains_key(*option)));
            let different =
                options.filter_map(|option| another_input(option, &of(&held.inputs, option), &of(&inputs, option)));
            refuse(&self.folder, self.what, different.collect())?;
            return Ok(lock);
        }
        let identity = Identity { program: program(), options: self.options.clone(), inputs };
        let path = self.folder.join(self.file);
        let mut json = serde_json::to_vec_pretty(&identity)?;
        json.push(b'\n');
        write_atomically(&path, &json).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(lock)
    }
}

/// Keeps a second run out of the folder until it is dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => bail!("another run is at work in {}; wait for it", folder.display()),
        // A file system without locks is no reason not to run.
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: &Path, steps: u64) -> Result<Place> {
        let config = serde_json::json!({ "steps": steps, "learning_rate": 0.1 + 0.2, "corpus": "x" });
        let name = |field: &str| (field != "corpus").then(|| format!("--{}", field.replace('_', "-")));
        Place::new(folder, "session.json", "run", options(&config, name)?)
    }

    fn text(name: &str, sha256: &str) -> [(&'static str, Vec<Input>); 1] {
        [("--corpus", vec![Input { name: name.into(), sha256: sha256.into() }])]
    }

    #[test]
    fn a_run_is_its_options_and_contents_and_begins_late() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        // What somebody else made is not written over.
        let own = folder.path().join("own");
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("model.safetensors"), "the only copy").unwrap();
        let error = place(&own, 40).err().unwrap().to_string();
        assert!(error.contains("model.safetensors") && error.contains("--out"), "{error}");
        // What never began claims nothing.
        assert!(!place(&out, 40).unwrap().has_begun() && !out.exists());
        drop(place(&out, 80).unwrap().begin(text("a.txt", "1111")).unwrap());
        assert!(place(&out, 80).unwrap().has_begun());
        let error = place(&out, 40).err().unwrap().to_string();
        assert!(error.contains("--steps: this folder holds 80, you ask for 40"), "{error}");
        assert!(error.contains("--out") && !error.contains("rate"), "{error}");
        // The same text by another path; another text by the same; and one process at a time.
        let held = place(&out, 80).unwrap().begin(text("./b/a.txt", "1111")).unwrap();
        let error = place(&out, 80).unwrap().begin(text("a.txt", "1111")).unwrap_err().to_string();
        assert!(error.contains("at work"), "{error}");
        drop(held);
        let error = place(&out, 80).unwrap().begin(text("a.txt", "2222")).unwrap_err().to_string();
        assert!(error.contains("--corpus: this folder holds a.txt (sha256 1111"), "{error}");
        assert!(error.contains("you ask for a.txt (sha256 2222"), "{error}");
        assert!(place(&out, 80).unwrap().begin([]).unwrap_err().to_string().contains("you ask for nothing"));

        // Another program's run is not gone on with.
        let path = out.join("session.json");
        let other = std::fs::read_to_string(&path).unwrap().replace(&program(), "0.0.9 (abc)");
        std::fs::write(&path, other).unwrap();
        let error = place(&out, 80).err().unwrap().to_string();
        assert!(error.contains("0.0.9 (abc)") && error.contains(&program()), "{error}");
        std::fs::write(&path, "{").unwrap();
        assert!(format!("{:#}", place(&out, 80).err().unwrap()).contains("broken"));
        let other = Place::new(&out, "conversion.json", "conversion", Options::new()).err().unwrap().to_string();
        assert!(other.contains("`train`"), "{other}");
    }

    #[test]
    fn many_differences_are_counted() {
        let all = |value: u64| -> Options { (0..6).map(|i| (format!("--o{i}"), value.into())).collect() };
        let error = refuse(Path::new("out"), "run", differences(&all(1), &all(2))).unwrap_err().to_string();
        assert!(error.contains("--o3: this folder holds 1, you ask for 2") && error.contains("and 2 more"), "{error}");
        refuse(Path::new("out"), "run", differences(&all(1), &all(1))).unwrap();
    }
}
