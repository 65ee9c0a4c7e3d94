//! Which files make up a model.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::PretrainedError;
use super::{File, Files, llama2c};

/// The files of the model at `path`.
pub(super) fn find(path: &Path) -> Result<Files, PretrainedError> {
    if std::fs::metadata(path).map_err(|e| PretrainedError::file(path, e))?.is_dir() {
        return folder(path);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => hugging_face(folder, vec![read(path)?]),
        Some("gguf") => Ok(Files::Gguf(read(path)?)),
        Some("bin") => {
            let model = read(path)?;
            let own = llama2c::vocabulary(&model.bytes).map(|count| folder.join(format!("tok{count}.bin")));
            let own = own.map(|path| read_optional(&path)).transpose()?.flatten();
            let tokenizer = own.map_or_else(|| read_optional(&folder.join("tokenizer.bin")), |file| Ok(Some(file)))?;
            Ok(Files::Llama2c { model, tokenizer })
        }
        _ => {
            let reason = "not a known format; give a folder with config.json, or a .safetensors, .gguf or .bin file";
            Err(PretrainedError::format(path, reason))
        }
    }
}

fn folder(folder: &Path) -> Result<Files, PretrainedError> {
    if let Some(weights) = read_optional(&folder.join("model.safetensors"))? {
        return hugging_face(folder, vec![weights]);
    }
    let Some(index) = read_optional(&folder.join("model.safetensors.index.json"))? else {
        return match &single(folder)?[..] {
            [file] => find(file),
            files => {
                let reason =
                    format!("has no model.safetensors and {} .gguf or .bin files; give one of a model", files.len());
                Err(PretrainedError::format(folder, reason))
            }
        };
    };
    let weights = parts(&index)?.iter().map(|part| read(&folder.join(part))).collect::<Result<_, _>>()?;
    hugging_face(folder, weights)
}

/// The GGUF and llama2.c models of a folder; tokenizers begin with "tok".
fn single(folder: &Path) -> Result<Vec<PathBuf>, PretrainedError> {
    let fail = |e| PretrainedError::file(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let is_model = path.extension().is_some_and(|extension| extension == "gguf" || extension == "bin");
        let is_tokenizer = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tok"));
        if is_model && !is_tokenizer && path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: HashMap<String, String>,
}

/// Names of the files of an index, each once.
fn parts(index: &File) -> Result<BTreeSet<String>, PretrainedError> {
    let Index { weight_map } =
        serde_json::from_slice(&index.bytes).map_err(|e| PretrainedError::format(&index.path, e))?;
    let parts: BTreeSet<String> = weight_map.into_values().collect();
    // A name with folders in it could be any file of the system.
    let is_plain = |part: &str| {
        let mut components = Path::new(part).components();
        matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
    };
    match parts.iter().find(|part| !is_plain(part)) {
        Some(part) => Err(PretrainedError::format(&index.path, format!("{part:?} is not a file beside it"))),
        None => Ok(parts),
    }
}

fn hugging_face(folder: &Path, weights: Vec<File>) -> Result<Files, PretrainedError> {
    let config = read(&folder.join("config.json"))?;
    let tokenizer = read_optional(&folder.join("tokenizer.json"))?;
    Ok(Files::HuggingFace { config, weights, tokenizer })
}

fn read(path: &Path) -> Result<File, PretrainedError> {
    let fail = |e| PretrainedError::file(path, e);
    // A pipe or a device may have no end.
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(PretrainedError::format(path, "not an ordinary file"));
    }
    Ok(File { path: path.into(), bytes: std::fs::read(path).map_err(fail)? })
}

fn read_optional(path: &Path) -> Result<Option<File>, PretrainedError> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_files_beside_the_index() {
        let index = |map: &str| File { path: "i".into(), bytes: format!("{{\"weight_map\": {map}}}").into_bytes() };
        let found = parts(&index(r#"{"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}"#)).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["1.safetensors", "2.safetensors"]);
        for bad in [r#"{"a": "../b"}"#, r#"{"a": "/b"}"#, r#"{"a": ".."}"#, r#"{"a": ""}"#, "3", r#"{"a": 1}"#] {
            assert!(parts(&index(bad)).is_err(), "{bad}");
        }
    }
}
