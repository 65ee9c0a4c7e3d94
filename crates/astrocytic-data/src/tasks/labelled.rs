//! Labelled texts of the user's own: the label is the token that is expected after the text.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::{Example, Examples, Splits, Wanted, deal};
use crate::error::DataError;
use crate::tokenizer::Tokenizer;

/// Share of the training texts that stands in for a split which has no file.
const HELD_OUT: f64 = 0.1;
/// More labels are no classes but a column taken by mistake.
const MOST_LABELS: usize = 1_000;

struct Labelled {
    label: String,
    text: String,
}

/// Texts, cut to the context (their beginning), and their labels as further tokens, in the order of the alphabet.
pub(super) fn examples(path: &Path, wanted: &Wanted, tokenizer: Option<Tokenizer>) -> Result<Examples, DataError> {
    let name = path.display().to_string();
    let splits = load(path)?;
    // A label that only a test has can be no answer that is right.
    let all = [&splits.train, &splits.tuning, &splits.test].into_iter().flatten();
    let labels: BTreeSet<&str> = all.map(|one| one.label.as_str()).collect();
    let labels: Vec<&str> = labels.into_iter().collect();
    if !(2..=MOST_LABELS).contains(&labels.len()) {
        let reason = format!("its texts have {} labels; from 2 to {MOST_LABELS} are needed", labels.len());
        return Err(DataError::text(&name, reason));
    }
    let tokenizer = match tokenizer {
        Some(tokenizer) => tokenizer,
        None => Tokenizer::train(wanted.tokenizer, &splits.train.iter().map(|one| &*one.text).collect::<Vec<_>>())?,
    };
    let known = tokenizer.vocabulary_size();
    let example = |one: &Labelled| {
        let label = labels.binary_search(&one.label.as_str()).expect("collected from all of them");
        let mut tokens = tokenizer.encode(&one.text)?;
        tokens.truncate(wanted.context.saturating_sub(1));
        tokens.push(tokenizer.end_id()?);
        let answers = vec![(tokens.len() - 1, (known + label) as u32)];
        Ok(Example { tokens, answers })
    };
    let encode = |labelled: &[Labelled]| labelled.iter().map(example).collect::<Result<Vec<_>, DataError>>();
    let splits = Splits { train: encode(&splits.train)?, tuning: encode(&splits.tuning)?, test: encode(&splits.test)? };
    Ok(Examples { vocabulary: known + labels.len(), tokenizer: Some(tokenizer), splits })
}

fn load(path: &Path) -> Result<Splits<Labelled>, DataError> {
    let [train, tuning, test] = if path.is_dir() { files(path)? } else { [Some(path.into()), None, None] };
    let name = path.display().to_string();
    let train = train.ok_or_else(|| DataError::text(&name, "no file in it has the word \"train\" in its name"))?;
    let mut train = deal(read(&train)?);
    if test.is_none() || tuning.is_none() {
        // No text on both sides, and of each label one to learn from: what is held out is taken from the end.
        let mut texts = HashSet::new();
        train.retain(|one| texts.insert(one.text.clone()));
        let mut labels = HashSet::new();
        train.sort_by_cached_key(|one| !labels.insert(one.label.clone()));
    }
    // Splits that have files keep their order, shuffled so that a part of one is like the whole.
    let mut held_out = |path: Option<PathBuf>| match path {
        Some(path) => Ok(deal(read(&path)?)),
        None => Ok(train.split_off(train.len() - (train.len() as f64 * HELD_OUT).ceil() as usize)),
    };
    let (test, tuning) = (held_out(test)?, held_out(tuning)?);
    if [&train, &tuning, &test].iter().any(|split| split.is_empty()) {
        return Err(DataError::text(&name, "too few texts for training, tuning and test"));
    }
    Ok(Splits { train, tuning, test })
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
            "dev" | "valid" | "validation" => Some(1),
            "test" => Some(2),
            _ => None,
        };
        let Some(place) = name.split(|c: char| !c.is_alphanumeric()).find_map(place) else { continue };
        if path.is_dir() {
            continue;
        }
        if let Some(other) = found[place].replace(path) {
            let reason = format!("both {} and {name} could be one split's; keep one of them", other.display());
            return Err(DataError::text(&folder.display().to_string(), reason));
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<Labelled>, DataError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| DataError::file(path, error))?;
    if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
        return Err(DataError::text(&name, format!("is a binary file (byte {at} is zero); give a text")));
    }
    // What is not UTF-8 is taken for Latin-1, in which every byte is the character of its number.
    let text = String::from_utf8(bytes).unwrap_or_else(|e| e.as_bytes().iter().map(|&byte| char::from(byte)).collect());
    let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => table(&name, &text, b','),
        Some("tsv") => table(&name, &text, b'\t'),
        _ => lines(&name, &text),
    }
}

fn table(name: &str, text: &str, delimiter: u8) -> Result<Vec<Labelled>, DataError> {
    let mut table =
        csv::ReaderBuilder::new().delimiter(delimiter).quoting(delimiter == b',').from_reader(text.as_bytes());
    let header = table.headers().map_err(|error| DataError::text(name, error.to_string()))?;
    let column = |wanted: &str| header.iter().position(|title| title.trim().eq_ignore_ascii_case(wanted));
    let (Some(text), Some(label)) = (column("text"), column("label")) else {
        return Err(DataError::text(name, "its first line must name a column \"text\" and a column \"label\""));
    };
    let mut found = Vec::new();
    for record in table.records() {
        let record = record.map_err(|error| DataError::text(name, error.to_string()))?;
        let field = |column: usize| record.get(column).unwrap_or_default().trim().to_string();
        found.push(whole(name, record.position().map_or(0, |at| at.line()), field(label), field(text))?);
    }
    Ok(found)
}

fn lines(name: &str, text: &str) -> Result<Vec<Labelled>, DataError> {
    let numbered = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let parse = |(line, number): (&str, u64)| {
        let (label, text) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        whole(name, number, label.into(), text.trim().into())
    };
    numbered.map(parse).collect()
}

fn whole(name: &str, line: u64, label: String, text: String) -> Result<Labelled, DataError> {
    if label.is_empty() || text.is_empty() {
        let reason = format!("line {line} has no label or no text; write \"label text\", or a CSV with both columns");
        return Err(DataError::text(name, reason));
    }
    Ok(Labelled { label, text })
}

#[cfg(test)]
mod tests {
    use super::super::tests::WANTED;
    use super::*;

    fn found(path: &Path) -> Result<Examples, String> {
        examples(path, &WANTED, None).map_err(|error| error.to_string())
    }

    #[test]
    fn files_of_every_form_are_read_and_split() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<(String, String)> =
            (0..40).map(|i| (["no", "yes"][i % 2].into(), format!("text, number {i}, caf\u{e9}"))).collect();
        let lines: String = rows.iter().map(|(label, text)| format!("{label} {text}\n")).collect();
        let table = |d: &str| {
            let quote = if d == "," { "\"" } else { "" };
            let row = |(label, text): &(String, String)| format!("7{d}{quote}{text}{quote}{d}{label}\n");
            format!("id{d}Text{d}label\n") + &rows.iter().map(row).collect::<String>()
        };
        let latin: Vec<u8> = lines.chars().map(|c| c as u8).collect();
        for (name, bytes) in
            [("a.txt", lines.into_bytes()), ("b", latin), ("c.csv", table(",").into()), ("d.tsv", table("\t").into())]
        {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let Examples { vocabulary, tokenizer, splits } = found(&path).unwrap();
            let tokenizer = tokenizer.unwrap();
            assert_eq!(vocabulary, tokenizer.vocabulary_size() + 2);
            assert_eq!([splits.train.len(), splits.tuning.len(), splits.test.len()], [32, 4, 4], "{name}");
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
            ("a.txt", "yes a\nno\n", "line 2"),
            ("b.txt", "yes a\nyes b\nyes c\n", "1 labels"),
            ("c.csv", "a,b\n1,2\n", "\"label\""),
            ("d.csv", "text,label\na,yes,no\n", "line: 2"),
            ("e.csv", "text,label\na,yes\n,no\n", "line 3"),
            ("f.txt", "", "too few"),
            ("g.txt", "yes a\0b\n", "binary"),
            ("h.csv", "text,label\n\"never closed", "line: 2"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let error = found(&path).err().unwrap();
            assert!(error.contains(said) && !error.contains('\n'), "{error}");
        }
        assert!(found(&folder.path().join("absent")).is_err());
    }
}
