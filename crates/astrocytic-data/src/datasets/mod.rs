//! Named corpora: what `datasets/*.toml` describes.

mod documents;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::blocks::divisible;
use crate::cache::Cache;
use crate::error::DataError;
use crate::fetch::{Client, Fields, Package, Source, Wanted, bring, sha256};
use crate::files::{Scratch, write_atomically};
use crate::text::{Text, decode, read_text};

pub use documents::Documents;
use documents::SEPARATOR;

/// The descriptions, part of the program so that it works from any folder.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("king-james-bible", include_str!("../../datasets/king-james-bible.toml")),
    ("moby-dick", include_str!("../../datasets/moby-dick.toml")),
    ("state-of-the-union", include_str!("../../datasets/state-of-the-union.toml")),
];

/// A named corpus as its TOML describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Description")]
pub struct Dataset {
    /// Its name, the file's.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// More about it.
    pub description: String,
    /// What one may do with it.
    pub licence: String,
    /// Where it is published.
    #[serde(flatten)]
    pub source: Source,
    /// Text files inside, with one `*` for all of a folder. Where neither they nor a command are named, all files at the top.
    pub files: Option<String>,
    /// Or a program inside that prints the text, and its arguments.
    pub command: Option<Vec<String>>,
    /// How the text is cut into documents.
    pub documents: Documents,
    /// How documents are dealt to the splits.
    pub split: Split,
}

/// The fields of a TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    #[serde(default)]
    name: String,
    title: String,
    description: String,
    licence: String,
    client: Option<Client>,
    packages: Option<Vec<Package>>,
    url: Option<String>,
    sha256: Option<String>,
    files: Option<String>,
    command: Option<Vec<String>>,
    documents: Documents,
    split: Split,
}

impl TryFrom<Description> for Dataset {
    type Error = String;

    fn try_from(described: Description) -> Result<Self, String> {
        let Description { name, title, description, licence, files, command, documents, split, .. } = described;
        let Description { client, packages, url, sha256, .. } = described;
        if files.is_some() && command.is_some() {
            return Err("give files or a command, not both".into());
        }
        let source = Source::try_from(Fields { client, packages, url, sha256 })?;
        Ok(Self { name, title, description, licence, source, files, command, documents, split })
    }
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
    fetch_described(&show(name)?, cache, from)
}

fn fetch_described(dataset: &Dataset, cache: &Cache, from: Option<&Path>) -> Result<(PathBuf, Vec<String>), DataError> {
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
            (divisible(&name, dataset.documents.cut(&text))?, notes)
        }
        given => {
            let archive = match &given {
                Some(Given::Archive(file)) => Some(file.as_path()),
                _ => None,
            };
            let wanted = Wanted { name: &dataset.name, otherwise: "give a file you have with --from" };
            let unpacked = bring(wanted, &dataset.source, archive, work.path())?;
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

/// What a file of the user's is: what is published, or a text.
fn given(dataset: &Dataset, file: &Path) -> Result<Given, DataError> {
    let published = dataset.source.only_sha256();
    if let Some(expected) = published
        && sha256(file)?.eq_ignore_ascii_case(expected)
    {
        return Ok(Given::Archive(file.into()));
    }
    let name = file.display().to_string();
    match read_text(file) {
        Ok(read) if read.text.trim().is_empty() => Err(DataError::text(&name, "is empty; give a text")),
        Ok(read) => Ok(Given::Text(name, read)),
        Err(DataError::Text { name, reason }) if published.is_some() => {
            let reason = format!("is not the published file (its sha256 differs), and as a text it {reason}");
            Err(DataError::Text { name, reason })
        }
        Err(error) => Err(error),
    }
}

/// The documents of what was unpacked, and notes on how they were read.
fn read_documents(dataset: &Dataset, unpacked: &Path) -> Result<(Vec<String>, Vec<String>), DataError> {
    if let Some([program, arguments @ ..]) = dataset.command.as_deref() {
        let Text { text, notes } = printed_by(dataset, &unpacked.join(program), arguments, unpacked)?;
        return Ok((dataset.documents.cut(&text), notes));
    }
    let (mut documents, mut notes) = (Vec::new(), Vec::new());
    for path in matching(unpacked, dataset.files.as_deref().unwrap_or("*"))? {
        let read = read_text(&path)?;
        documents.extend(dataset.documents.cut(&read.text));
        notes.extend(read.notes);
    }
    Ok((documents, notes))
}

/// What a program prints that was unpacked.
fn printed_by(dataset: &Dataset, program: &Path, arguments: &[String], folder: &Path) -> Result<Text, DataError> {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|e| DataError::file(program, e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let reason = format!("{}: {}; install the libraries it names", program.display(), said.trim());
        return Err(DataError::fetch(&dataset.name, reason));
    }
    decode(&program.display().to_string(), &output.stdout)
}

/// The files of a pattern with one `*` in its last part, in the order of their names.
fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, DataError> {
    let (inside, file) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let (before, after) = file.split_once('*').unwrap_or((file, ""));
    let folder = folder.join(inside);
    let entries = std::fs::read_dir(&folder).map_err(|e| DataError::file(&folder, e))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && name.starts_with(before) && name.ends_with(after)
    });
    paths.sort();
    Ok(paths)
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
        }
        assert!(show("moby").unwrap_err().to_string().contains("moby-dick"));
    }

    /// A corpus whose one file is published at a URL.
    fn published(url: String, sha256: &str) -> Dataset {
        let toml = format!(
            "name = \"own\"\ntitle = \"\"\ndescription = \"\"\nlicence = \"\"\nurl = \"{url}\"\nsha256 = \"{sha256}\"\n\
             documents = {{ heading = \"CHAPTER \" }}\nsplit = \"random\""
        );
        toml::from_str(&toml).unwrap()
    }

    #[test]
    fn a_file_at_a_url_is_checked_cut_and_cached() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let file = folder.path().join("book.txt");
        let text = "CHAPTER 1\nCall me.\nCHAPTER 2\nThe end.\nCHAPTER 3\nMore.\n";
        std::fs::write(&file, text).unwrap();
        let url = format!("file://{}", file.display());
        let damaged = published(url.clone(), &"0".repeat(64));
        let error = fetch_described(&damaged, &cache, None).unwrap_err().to_string();
        assert!(error.contains("sha256") && error.contains("--from"), "{error}");
        assert_eq!(left_over(cache.folder()), Vec::<PathBuf>::new());

        let dataset = published(url, &sha256(&file).unwrap());
        let (path, notes) = fetch_described(&dataset, &cache, None).unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().matches(SEPARATOR).count(), notes.len()), (2, 0));
        // Fetched once; and the file itself, given by the user, is known by its checksum.
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&file, &elsewhere).unwrap();
        assert_eq!(fetch_described(&dataset, &cache, None).unwrap().0, path);
        assert_eq!(fetch_described(&dataset, &cache, Some(&elsewhere)).unwrap().1, [""; 0]);
    }

    #[test]
    fn a_description_names_packages_or_a_url() {
        let common = "title = \"\"\ndescription = \"\"\nlicence = \"\"\ndocuments = \"files\"\nsplit = \"random\"\n";
        let sha256 = format!("sha256 = \"{}\"\n", "0".repeat(64));
        let url = "url = \"https://a.org/b\"\n";
        let read = |text: &str| toml::from_str::<Dataset>(&format!("{common}{text}"));
        let dataset = read(&format!("{url}{sha256}")).unwrap();
        let json = serde_json::to_value(&dataset).unwrap();
        assert!(json["url"].is_string() && json.get("client").is_none(), "{json}");
        for (wrong, part) in [
            ("".into(), "client and packages, or url and sha256"),
            (url.into(), "client and packages, or url and sha256"),
            (format!("{url}{sha256}client = \"npm\""), "client and packages, or url and sha256"),
            (format!("{url}sha256 = \"12\""), "64 hexadecimal digits"),
            (format!("{url}{sha256}files = \"a\"\ncommand = [\"b\"]"), "not both"),
            (format!("{url}{sha256}colour = 1"), "colour"),
        ] {
            let error = read(&wrong).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
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
}
