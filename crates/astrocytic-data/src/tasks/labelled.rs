//! Labelled texts as examples: the label is the token that is expected after the text.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::splits::{Examples, Splits, deal};
use super::wanted::Wanted;
use crate::error::DataError;
use crate::examples::Example;
use crate::labelled::{self, LabelledFile, LabelledPath, LabelledText, Labels};
use crate::tokenizer::Tokenizer;

/// Share of the training texts that is held out for a split without a file.
const HELD_OUT: f64 = 0.1;

/// Texts as examples. A text longer than the context is cut to its beginning. Labels are further
/// tokens, in alphabetical order.
pub(super) fn examples(
    path: &LabelledPath,
    wanted: &Wanted,
    tokenizer: Option<Tokenizer>,
) -> Result<Examples, DataError> {
    let Loaded { splits, labels, mut notes } = load(path)?;
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer,
        None => Tokenizer::train(wanted.tokenizer, &splits.train.iter().map(|one| &*one.text).collect::<Vec<_>>())?,
    };
    let known = tokenizer.vocabulary_size();
    let (count, mut cut) = (splits.train.len() + splits.tuning.len() + splits.test.len(), 0);
    let mut example = |one: &LabelledText| {
        let mut tokens = tokenizer.encode(&one.text)?;
        let most = wanted.context.saturating_sub(1);
        cut += usize::from(tokens.len() > most);
        tokens.truncate(most);
        tokens.push(tokenizer.end_id()?);
        let answers = vec![(tokens.len() - 1, (known + labels.class_of(one)) as u32)];
        Ok(Example { tokens, answers })
    };
    let mut encode =
        |labelled: &[LabelledText]| labelled.iter().map(&mut example).collect::<Result<Vec<_>, DataError>>();
    let encoded =
        Splits { train: encode(&splits.train)?, tuning: encode(&splits.tuning)?, test: encode(&splits.test)? };
    if cut > 0 {
        let (name, context) = (path.path.display(), wanted.context);
        notes.push(format!(
            "{name}: {cut} of {count} texts are longer than the context of {context} tokens and cut to it"
        ));
    }
    let vocabulary = known + labels.count();
    Ok(Examples { vocabulary, tokenizer: Some(tokenizer), splits: encoded, longer: vec![], notes })
}

/// The texts of a file or folder.
struct Loaded {
    splits: Splits<LabelledText>,
    /// In alphabetical order. Labels that only the test has are among them, though no model can
    /// give them.
    labels: Labels,
    notes: Vec<String>,
}

fn load(labelled_path: &LabelledPath) -> Result<Loaded, DataError> {
    let path = labelled_path.path.as_path();
    let [train, tuning, test] = if path.is_dir() { files(path)? } else { [Some(path.into()), None, None] };
    let name = path.display().to_string();
    let train = train.ok_or_else(|| DataError::text(&name, "no file in it has the word \"train\" in its name"))?;
    let LabelledFile { texts: train, labels_from, mut notes } = labelled::read(&train)?;
    let mut held_out = |path: Option<PathBuf>| -> Result<Option<Vec<LabelledText>>, DataError> {
        let Some(path) = path else { return Ok(None) };
        let LabelledFile { texts, notes: more, .. } = labelled::read(&path)?;
        notes.extend(more);
        Ok(Some(texts))
    };
    let (tuning, test) = (held_out(tuning)?, held_out(test)?);
    let all = train.iter().chain(tuning.iter().flatten()).chain(test.iter().flatten());
    let labels = Labels::of(labelled_path, labels_from, all)?;

    let mut train = deal(train);
    if test.is_none() || tuning.is_none() {
        // No text is on both sides, and each label has a text to learn from: what is held out is
        // taken from the end.
        let (mut seen, mut again, mut otherwise) = (HashMap::new(), 0, 0);
        train.retain(|one| match seen.get(&one.text) {
            None => seen.insert(one.text.clone(), one.label.clone()).is_none(),
            Some(label) => {
                again += 1;
                otherwise += usize::from(*label != one.label);
                false
            }
        });
        if again > 0 {
            notes.push(format!("{name}: repeated texts left out: {again} (with another label: {otherwise})"));
        }
        let mut labels = HashSet::new();
        train.sort_by_cached_key(|one| !labels.insert(one.label.clone()));
    }
    // Splits that have files are shuffled, so that a part of one is like the whole.
    let mut split = |given: Option<Vec<LabelledText>>| match given {
        Some(texts) => deal(texts),
        None => train.split_off(train.len() - (train.len() as f64 * HELD_OUT).ceil() as usize),
    };
    let (test, tuning) = (split(test), split(tuning));
    if [&train, &tuning, &test].iter().any(|split| split.is_empty()) {
        return Err(DataError::text(&name, "too few texts for training, tuning and test"));
    }
    Ok(Loaded { splits: Splits { train, tuning, test }, labels, notes })
}

/// The folder's files for training, tuning and test, by their names.
fn files(folder: &Path) -> Result<[Option<PathBuf>; 3], DataError> {
    let mut found = [None, None, None];
    let fault = |error| DataError::file(folder, error);
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let place = |word: &str| match word {
            "train" | "training" => Some(0),
            "dev" | "val" | "valid" | "validation" => Some(1),
            "test" => Some(2),
            _ => None,
        };
        let Some(place) = name.split(|c: char| !c.is_alphanumeric()).find_map(place) else { continue };
        // Names with a dot before them are a system's own.
        if path.is_dir() || name.starts_with('.') {
            continue;
        }
        if let Some(other) = found[place].replace(path) {
            let reason = format!("both {} and {name} could be one split's; keep one of them", other.display());
            return Err(DataError::text(&folder.display().to_string(), reason));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::wanted::WANTED;
    use super::*;

    fn found(path: &Path) -> Result<Examples, String> {
        let path = LabelledPath { path: path.into(), labels: None };
        examples(&path, &WANTED, None).map_err(|error| error.to_string())
    }

    #[test]
    fn files_of_every_form_are_read_and_split() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<(String, String)> =
            (0..40).map(|i| (["no", "yes"][i % 2].into(), format!("text, number {i}, caf\u{e9}"))).collect();
        let lines: String = rows.iter().map(|(label, text)| format!("{label} {text}\n")).collect();
        let table = rows.iter().map(|(label, text)| format!("7,\"{text}\",{label}\n")).collect::<String>();
        let object = |(label, text): &(String, String)| format!("{{\"text\": \"{text}\", \"label\": \"{label}\"}}\n");
        let objects: String = rows.iter().map(object).collect();
        let mut one_stray = format!("Text, Label\n{}", table.replace("7,\"", "\"")).into_bytes();
        let first = one_stray.iter().position(|&byte| byte == 0xc3).unwrap();
        one_stray.splice(first..first + 2, [0xe9]);
        for (name, bytes, notes) in [
            ("a.txt", lines.clone().into_bytes(), 0),
            ("b", lines.chars().map(|c| c as u8).collect(), 1),
            ("c.csv", format!("id,Text,label\n{table},,\n").into(), 1),
            ("d.tsv", format!("id\tText\tlabel\n{}", table.replace(",\"", "\t").replace("\",", "\t")).into(), 0),
            ("e.JSONL", objects.into(), 0),
            ("Reviews.CSV", one_stray, 1),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let Examples { vocabulary, tokenizer, splits, notes: found, .. } = found(&path).unwrap();
            let tokenizer = tokenizer.unwrap();
            assert_eq!(vocabulary, tokenizer.vocabulary_size() + 2);
            assert_eq!([splits.train.len(), splits.tuning.len(), splits.test.len()], [32, 4, 4], "{name}");
            assert_eq!(found.len(), notes, "{found:?}");
            for example in [splits.train, splits.tuning, splits.test].concat() {
                let (&end, text) = example.tokens.split_last().unwrap();
                let text = tokenizer.decode(text).unwrap();
                let label = rows.iter().find(|row| row.1 == text).unwrap().0 == "yes";
                assert_eq!(end, tokenizer.end_id().unwrap());
                assert_eq!(example.answers, [(example.tokens.len() - 1, (vocabulary - 2) as u32 + u32::from(label))]);
            }
        }
    }

    #[test]
    fn what_is_left_out_or_cut_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let lines: String = (0..40).map(|i| format!("{} text {i}\n", i % 2)).collect();
        let long = format!("1 {}\n", "a text without end ".repeat(100));
        std::fs::write(&path, format!("{lines}0 text 4\n\n{long}0 text 3\n")).unwrap();
        let notes = found(&path).unwrap().notes;
        let parts = [
            "1 blank row is left out",
            "repeated texts left out: 2 (with another label: 1)",
            "1 of 41 texts are longer",
        ];
        assert!(parts.iter().zip(&notes).all(|(part, note)| note.contains(part)) && notes.len() == 3, "{notes:?}");
    }

    #[test]
    fn a_folders_splits_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, count: usize| {
            let text: String = (0..count).map(|i| format!("{} text {i}\n", i % 3)).collect();
            std::fs::write(folder.path().join(name), text).unwrap();
        };
        let sizes = || {
            let splits = found(folder.path())?.splits;
            Ok::<_, String>([splits.train.len(), splits.tuning.len(), splits.test.len()])
        };
        write("README", 1);
        write("latest.txt", 3);
        assert!(sizes().unwrap_err().contains("train"));
        write("x.train", 30);
        assert_eq!(sizes().unwrap(), [24, 3, 3]);
        write("x.dev", 9);
        write("x.test", 12);
        assert_eq!(sizes().unwrap(), [30, 9, 12]);
        write("y.train", 30);
        assert!(sizes().unwrap_err().contains("both"));
    }

    #[test]
    fn texts_that_cannot_be_used_say_why() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, said) in [
            ("a.txt", "yes a\nyes b\nyes c\n", "1 label in 3 texts"),
            ("b.txt", "", "0 labels"),
            ("c.csv", "text,label\n,\n", "at least 2"),
            ("f.csv", "text,label\na,x\na,y\na,x\na,y\n", "too few"),
            ("d.txt", "I saw it\nThe film\nGood one\nI did\n", "2 seen only once"),
            ("e.txt", "text,label\na b,x\nc d,y\n", "the columns text and label"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = found(&path).err().unwrap();
            assert!(error.contains(said) && !error.contains('\n'), "{error}");
        }
        assert!(found(&folder.path().join("absent")).is_err());
    }
}
