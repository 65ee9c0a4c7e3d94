//! Which files make up a model.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::error::PretrainedError;
use super::fields::without_mark;
use super::files::Files;
use super::tensors::File;
use super::{llama2c, pooling};

/// The ending of the names of indices of safetensors files.
const INDEX: &str = ".safetensors.index.json";
/// Files that say how texts become tokens, and where they begin and end.
const TEXTS: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "merges.txt",
];
/// Files of tokenizers, the newest first.
const TOKENIZERS: [&str; 4] = ["tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model"];
/// Candidates that an error names.
const MOST_NAMED: usize = 3;

/// The files of the model at `path`.
pub(super) fn find(path: &Path) -> Result<Files, PretrainedError> {
    if std::fs::metadata(path).map_err(|e| PretrainedError::file(path, e))?.is_dir() {
        return folder(path);
    }
    let folder = parent(path);
    match Format::of(path) {
        Some(Format::Index) => hugging_face(folder, parts(&read(path)?)?),
        Some(Format::Safetensors) => {
            let indices = files(folder)?.into_iter().filter(|path| Format::of(path) == Some(Format::Index));
            for index in indices {
                let parts = parts(&read(&index)?)?;
                if parts.iter().any(|part| part.file_name() == path.file_name()) {
                    return hugging_face(folder, parts);
                }
            }
            hugging_face(folder, split(path)?)
        }
        Some(Format::Gguf) => Ok(Files::Gguf(split(path)?.iter().map(|part| read(part)).collect::<Result<_, _>>()?)),
        Some(Format::Bin) => {
            let model = read(path)?;
            if is_pickle(&model.bytes) {
                return Err(pickle(path));
            }
            let own = llama2c::vocabulary(&model.bytes).map(|count| folder.join(format!("tok{count}.bin")));
            let own = own.map(|path| read_optional(&path)).transpose()?.flatten();
            let tokenizer = own.map_or_else(|| read_optional(&folder.join("tokenizer.bin")), |file| Ok(Some(file)))?;
            Ok(Files::Llama2c { model, tokenizer })
        }
        _ if path.file_name().is_some_and(|name| name == "config.json") => self::folder(folder),
        _ if is_pickle(&beginning(path)?) => Err(pickle(path)),
        _ => {
            let reason = "not a known format; give a folder with config.json, or a .safetensors, .gguf or .bin file";
            Err(PretrainedError::format(path, reason))
        }
    }
}

/// Formats by the names of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Index,
    Safetensors,
    Gguf,
    Bin,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let endings =
            [(INDEX, Self::Index), (".safetensors", Self::Safetensors), (".gguf", Self::Gguf), (".bin", Self::Bin)];
        endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| format)
    }
}

/// The model of a folder: of safetensors files those of the usual name or an index, else the only
/// model of the first format that there is.
fn folder(folder: &Path) -> Result<Files, PretrainedError> {
    let usual = ["model.safetensors", "model.safetensors.index.json"].map(|name| folder.join(name));
    if let Some(usual) = usual.iter().find(|path| path.exists()) {
        return find(usual);
    }
    // The oldest folders of Sentence Transformers keep the model in one of its own.
    if !folder.join("config.json").exists()
        && let Some(modules) = read_optional(&folder.join("modules.json"))?
        && let Some(inside) =
            pooling::modules(&modules.bytes).ok().as_deref().and_then(|all| pooling::folder(all, "Transformer"))
    {
        let mut files = find(&folder.join(inside))?;
        if let Files::HuggingFace { sentence: found, .. } = &mut files {
            *found = sentence(folder)?;
        }
        return Ok(files);
    }
    let mut paths = files(folder)?;
    // Tokenizers begin with "tok".
    paths.retain(|path| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tok")));
    let mut pickles = Vec::new();
    for format in [Format::Index, Format::Safetensors, Format::Gguf, Format::Bin] {
        let mut found = Vec::new();
        for path in paths.iter().filter(|path| Format::of(path) == Some(format)) {
            // One of several parts stands for all.
            let is_other_part = numbered(path).is_some_and(|part| part.number > 1 && part.path(1).exists());
            match format {
                _ if is_other_part => {}
                Format::Bin if is_pickle(&beginning(path)?) => pickles.push(path),
                _ => found.push(path),
            }
        }
        match &found[..] {
            [] => {}
            [path] => return find(path),
            several => {
                let names: Vec<_> = several.iter().take(MOST_NAMED).map(|path| name(path)).collect();
                let more = if several.len() > MOST_NAMED { ", …" } else { "" };
                let reason = format!("has several models: {}{more}; give one of them", names.join(", "));
                return Err(PretrainedError::format(folder, reason));
            }
        }
    }
    Err(match pickles.first() {
        Some(path) => pickle(path),
        None => {
            let reason = "has no model.safetensors, and no .safetensors, .gguf or llama2.c .bin file";
            PretrainedError::format(folder, reason)
        }
    })
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into())
}

/// The files of a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, PretrainedError> {
    let fail = |e| PretrainedError::file(folder, e);
    let entries = std::fs::read_dir(folder).map_err(fail)?;
    let mut paths = entries.map(|entry| Ok(entry.map_err(fail)?.path())).collect::<Result<Vec<_>, _>>()?;
    // Names with a dot before them are a system's own, such as what macOS keeps beside every file
    // on other disks.
    paths.retain(|path| path.is_file() && !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

/// The folder that `path` is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name that ends with its number among several parts, as in model-00001-of-00003.gguf.
struct Numbered<'a> {
    path: &'a Path,
    name: String,
    /// Byte at which the number starts.
    at: usize,
    number: usize,
    count: usize,
}

/// Digits of a part's number, and of how many there are.
const DIGITS: usize = 5;

fn numbered(path: &Path) -> Option<Numbered<'_>> {
    let name = path.file_name()?.to_str()?;
    let stem = &name[..name.rfind('.')?];
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (before, number) = rest.rsplit_once('-')?;
    let digits = |text: &str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
    let [number, count] = [number, count].map(|text| digits(text).then(|| text.parse().ok())?);
    let (number, count) = number.zip(count)?;
    (1..=count).contains(&number).then(|| Numbered { path, name: name.into(), at: before.len() + 1, number, count })
}

impl Numbered<'_> {
    /// Where part `number` is.
    fn path(&self, number: usize) -> PathBuf {
        let mut name = self.name.clone();
        name.replace_range(self.at..self.at + DIGITS, &format!("{number:05}"));
        self.path.with_file_name(name)
    }
}

/// All parts of the file at `path`, by their names: itself alone where it is not one of several.
fn split(path: &Path) -> Result<Vec<PathBuf>, PretrainedError> {
    let Some(part) = numbered(path) else { return Ok(vec![path.into()]) };
    let all: Vec<PathBuf> = (1..=part.count).map(|number| part.path(number)).collect();
    match all.iter().find(|path| !path.exists()) {
        Some(missing) => {
            let reason = format!("is one of {} parts; {} is not beside it", part.count, name(missing));
            Err(PretrainedError::format(path, reason))
        }
        None => Ok(all),
    }
}

#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: HashMap<String, String>,
}

/// The files of an index, each once.
fn parts(index: &File) -> Result<Vec<PathBuf>, PretrainedError> {
    let Index { weight_map } =
        serde_json::from_slice(without_mark(&index.bytes)).map_err(|e| PretrainedError::format(&index.path, e))?;
    let parts: BTreeSet<String> = weight_map.into_values().collect();
    // A name with folders in it could be any file of the system.
    let is_plain = |part: &str| {
        let mut components = Path::new(part).components();
        matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
    };
    match parts.iter().find(|part| !is_plain(part)) {
        Some(part) => Err(PretrainedError::format(&index.path, format!("{part:?} is not a file beside it"))),
        None => Ok(parts.iter().map(|part| index.path.with_file_name(part)).collect()),
    }
}

fn hugging_face(folder: &Path, weights: Vec<PathBuf>) -> Result<Files, PretrainedError> {
    let config = read(&folder.join("config.json"))?;
    let tokenizers = TOKENIZERS.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let tokenizer = tokenizers.map(|path| read(&path)).transpose()?;
    let weights = weights.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let texts = TEXTS.map(|name| read_optional(&folder.join(name)));
    let texts = texts.into_iter().filter_map(Result::transpose).collect::<Result<_, _>>()?;
    Ok(Files::HuggingFace { config, weights, tokenizer, sentence: sentence(folder)?, texts })
}

/// What a folder of Sentence Transformers has beside the model.
fn sentence(folder: &Path) -> Result<Vec<File>, PretrainedError> {
    let modules = read_optional(&folder.join("modules.json"))?;
    let known = modules.as_ref().and_then(|file| pooling::modules(&file.bytes).ok()).unwrap_or_default();
    let inside = pooling::folder(&known, "Pooling").unwrap_or(Path::new("1_Pooling"));
    let pooling = read_optional(&folder.join(inside).join("config.json"))?;
    Ok(modules.into_iter().chain(pooling).collect())
}

fn read(path: &Path) -> Result<File, PretrainedError> {
    let fail = |e| PretrainedError::file(path, e);
    // A pipe or a device may have no end.
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(PretrainedError::format(path, "not an ordinary file"));
    }
    let bytes = std::fs::read(path).map_err(fail)?;
    if bytes.starts_with(b"version https://git-lfs") {
        let reason = "a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`";
        return Err(PretrainedError::format(path, reason));
    }
    Ok(File { path: path.into(), bytes })
}

fn read_optional(path: &Path) -> Result<Option<File>, PretrainedError> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// The first bytes of a file.
fn beginning(path: &Path) -> Result<Vec<u8>, PretrainedError> {
    use std::io::Read;

    let fail = |e| PretrainedError::file(path, e);
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(fail)?.take(16).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

/// Whether a file is what torch.save writes: a zip archive, or a pickle of protocol 2 or later.
fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, b'}' | b']' | b'c' | b'(' | b'\x8a' | 0x95, ..])
}

fn pickle(path: &Path) -> PretrainedError {
    let reason = "a PyTorch pickle, which may run code and is not read; convert it to safetensors: in Python, \
                  transformers.AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER), \
                  AutoModel for an encoder";
    PretrainedError::format(path, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_files_beside_the_index() {
        let index = |map: &str| File { path: "f/i".into(), bytes: format!("\u{feff}{{\"weight_map\": {map}}}").into() };
        let found = parts(&index(r#"{"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"}"#)).unwrap();
        assert_eq!(found, [Path::new("f/1.safetensors"), Path::new("f/2.safetensors")]);
        for bad in [r#"{"a": "../b"}"#, r#"{"a": "/b"}"#, r#"{"a": ".."}"#, r#"{"a": ""}"#, "3", r#"{"a": 1}"#] {
            assert!(parts(&index(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_of_parts() {
        let found = |name: &str| numbered(name.as_ref()).map(|part| (part.number, part.count, part.path(2)));
        let second = "a/m-00002-of-00003.GGUF";
        assert_eq!(found("a/m-00001-of-00003.GGUF"), Some((1, 3, second.into())));
        assert_eq!(found(second), Some((2, 3, second.into())));
        for other in ["m.gguf", "m-1-of-3.gguf", "m-00004-of-00003.gguf", "m-00000-of-00003.gguf", "m-0000é-of-00003.g"]
        {
            assert_eq!(found(other), None);
        }
    }

    #[test]
    fn pickles_by_their_beginning() {
        for pickle in [&b"PK\x03\x04x"[..], b"\x80\x02}q", b"\x80\x02\x8a\nl", b"\x80\x04\x95", b"\x80\x02ccollections"]
        {
            assert!(is_pickle(pickle));
        }
        // A width of 640 begins like one.
        for other in [&b"GGUF"[..], &640i32.to_le_bytes(), b"", b"\x80"] {
            assert!(!is_pickle(other));
        }
    }
}
