//! Minimal pairs: does a language model give the acceptable sentence of two the higher probability?
//!
//! The format and the measure are BLiMP's (Warstadt et al., TACL 2020, arXiv 1912.00582): a folder
//! of JSON-lines files, one a paradigm, each line with `sentence_good` and `sentence_bad`; a pair
//! counts where −ln p of the whole good sentence is the smaller.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use astrocytic_data::{EvaluationWindows, Text, TokenizedDocument, Tokenizer, read_text};
use astrocytic_models::Decoder;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::evaluate;
use crate::source::LanguageModel;

/// Sentences in a batch.
const ROWS: usize = 64;

/// One line of a file; other fields are not read.
#[derive(Deserialize)]
struct Pair {
    sentence_good: String,
    sentence_bad: String,
    /// The phenomenon, by which accuracies are grouped.
    #[serde(default)]
    linguistics_term: String,
}

/// What a model got right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// Of all files, each counting the same.
    pub accuracy: f64,
    /// Pairs in all.
    pub pairs: usize,
    /// Of each phenomenon, its files counting the same.
    pub phenomena: BTreeMap<String, f64>,
    /// Of each file, by its name.
    pub paradigms: BTreeMap<String, f64>,
    /// What was guessed in reading the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Scores a model on every `.jsonl` file of a folder; `look` is told of each file's accuracy.
///
/// # Errors
/// For a model without a tokenizer or a token that texts begin with, a folder without such files, a
/// line that is no pair (with its number), and a sentence beyond the model's positions.
pub fn evaluate(
    language_model: &LanguageModel,
    folder: &Path,
    device: &Device,
    look: &mut dyn FnMut(&str, f64),
) -> Result<Accuracy> {
    let LanguageModel { model, tokenizer, boundaries, .. } = language_model;
    let Some(tokenizer) = tokenizer else { bail!("the model has no tokenizer beside it") };
    // The first token of a sentence is predicted from it.
    let first = boundaries.first().or_else(|| boundaries.end.first().copied());
    let Some(first) = first else { bail!("the model's files name no token that texts begin with") };
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().context("reading the folder")?;
    // Names with a dot before them are a system's own.
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    files.retain(|path| {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl")) && !hidden(path)
    });
    files.sort();
    let (mut paradigms, mut phenomena, mut count) = (BTreeMap::new(), BTreeMap::<String, Vec<f64>>::new(), 0);
    let mut notes = Vec::new();
    for path in &files {
        let pairs = read(path, &mut notes)?;
        let name = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let right = share_right(model, tokenizer, first, &pairs, device).with_context(|| path.display().to_string())?;
        look(&name, right);
        count += pairs.len();
        phenomena.entry(pairs[0].linguistics_term.clone()).or_default().push(right);
        paradigms.insert(name, right);
    }
    if files.is_empty() {
        bail!("{} holds no .jsonl file; BLiMP's are in its folder `data`", folder.display());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    phenomena.remove("");
    Ok(Accuracy {
        accuracy: mean(&paradigms.values().copied().collect::<Vec<_>>()),
        pairs: count,
        phenomena: phenomena.into_iter().map(|(name, values)| (name, mean(&values))).collect(),
        paradigms,
        notes,
    })
}

fn read(path: &Path, notes: &mut Vec<String>) -> Result<Vec<Pair>> {
    let Text { text, notes: found } = read_text(path)?;
    notes.extend(found);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(place, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| anyhow!("{}, line {}: {error}", path.display(), place + 1))
    };
    let pairs: Vec<Pair> = lines.map(parse).collect::<Result<_>>()?;
    if pairs.is_empty() {
        bail!("{} holds no pair", path.display());
    }
    Ok(pairs)
}

fn share_right(model: &Decoder, tokenizer: &Tokenizer, first: u32, pairs: &[Pair], device: &Device) -> Result<f64> {
    let mut sentences = Vec::new();
    for text in pairs.iter().flat_map(|pair| [&pair.sentence_good, &pair.sentence_bad]) {
        let ids = tokenizer.encode(text)?;
        if ids.is_empty() {
            bail!("a sentence of no token");
        }
        sentences.push(TokenizedDocument { ids, nats: None, bytes: text.len() });
    }
    let longest = sentences.iter().map(|sentence| sentence.ids.len()).max().unwrap_or(1);
    if let Some(most) = model.config().positions.filter(|&most| longest > most) {
        bail!("a sentence of {longest} tokens is longer than the model's {most} positions");
    }
    // One window holds any of them whole.
    let windows = EvaluationWindows::new(&sentences, first, longest, longest, ROWS)?;
    let losses = evaluate::documents(model, &windows, device);
    let right = losses.chunks_exact(2).filter(|pair| pair[0].nats < pair[1].nats).count();
    Ok(right as f64 / pairs.len() as f64)
}

impl Display for Accuracy {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        for (name, accuracy) in if self.phenomena.is_empty() { &self.paradigms } else { &self.phenomena } {
            writeln!(f, "{:5.1} %  {name}", 100.0 * accuracy)?;
        }
        write!(
            f,
            "{:5.1} %  all {} files, {} pairs (50 % is chance)",
            100.0 * self.accuracy,
            self.paradigms.len(),
            self.pairs
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::small_models::decoder;
    use astrocytic_data::TokenizerKind;
    use astrocytic_models::Boundaries;

    #[test]
    fn a_pair_counts_where_the_good_sentence_is_likelier() {
        let tokenizer = Tokenizer::train(TokenizerKind::Characters, &["the cats sleep. the cat sleeps."]).unwrap();
        let device = Device::flex();
        let model = decoder("softmax", tokenizer.vocabulary_size()).init_seeded(0, &device);
        let loss = |text: &str| {
            let ids = tokenizer.encode(text).unwrap();
            let document = TokenizedDocument { ids, nats: None, bytes: 0 };
            let windows = EvaluationWindows::new(&[document], tokenizer.end_id().unwrap(), 64, 64, 1).unwrap();
            evaluate::documents(&model, &windows, &device)[0].nats
        };
        let (mut better, mut worse) = ("the cat sleeps", "the cats sleeps.");
        if loss(better) > loss(worse) {
            (better, worse) = (worse, better);
        }
        let boundaries = Boundaries::between(tokenizer.end_id().unwrap());
        let model = LanguageModel { model, tokenizer: Some(tokenizer), boundaries, notes: Vec::new() };
        let folder = tempfile::tempdir().unwrap();
        let line = |good: &str, bad: &str| serde_json::json!({"sentence_good": good, "sentence_bad": bad, "linguistics_term": "agreement", "UID": "x"});
        let lines = format!("{}\n{}\n", line(better, worse), line(worse, better));
        std::fs::write(folder.path().join("half.jsonl"), lines).unwrap();
        let all = format!("\u{feff}{}", line(better, worse));
        std::fs::write(folder.path().join("all.JSONL"), all).unwrap();
        let found = evaluate(&model, folder.path(), &device, &mut |_, _| {}).unwrap();
        assert_eq!((found.paradigms["half"], found.paradigms["all"], found.pairs), (0.5, 1.0, 3));
        assert_eq!((found.accuracy, found.phenomena["agreement"]), (0.75, 0.75));

        // A byte that is not UTF-8 is read by itself and noted.
        let stray = line("the cat sleeps, she says", "the cats sleeps.").to_string().replace("she", "\u{e9}");
        let stray: Vec<u8> = stray.chars().map(|c| c as u8).collect();
        std::fs::write(folder.path().join("all.JSONL"), stray).unwrap();
        let noted = evaluate(&model, folder.path(), &device, &mut |_, _| {}).unwrap().notes;
        assert!(noted.len() == 1 && noted[0].contains("1 byte"), "{noted:?}");

        std::fs::write(folder.path().join("all.JSONL"), "{\"sentence_good\": \"a\"}\n").unwrap();
        let error = evaluate(&model, folder.path(), &device, &mut |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        let empty = tempfile::tempdir().unwrap();
        assert!(evaluate(&model, empty.path(), &device, &mut |_, _| {}).is_err());
    }
}
