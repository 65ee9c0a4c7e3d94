//! How the steps of a text become its embedding, in the files of Sentence Transformers:
//! modules.json, which names the steps of the computation, and its pooling's config.json.

use std::fmt::{Display, Formatter};
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::PretrainedError;
use super::fields::{Fields, without_mark};
use super::tensors::File;

/// How the steps of a text become its embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooling {
    /// Which steps count.
    pub steps: PooledSteps,
    /// Whether the vector is brought to length 1.
    pub normalized: bool,
}

/// Which steps of a text its embedding is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PooledSteps {
    /// The first step, BERT's `[CLS]`.
    First,
    /// The mean over the steps that are not padded.
    Mean,
}

impl Default for Pooling {
    /// The mean, brought to length 1.
    fn default() -> Self {
        Self { steps: PooledSteps::Mean, normalized: true }
    }
}

impl Display for Pooling {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        f.write_str(match self.steps {
            PooledSteps::First => "first token",
            PooledSteps::Mean => "mean over tokens",
        })?;
        f.write_str(if self.normalized { ", brought to length 1" } else { "" })
    }
}

/// A step of the computation.
#[derive(Deserialize)]
pub(super) struct StoredModule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

impl StoredModule {
    /// The name of its class.
    fn class(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }
}

/// The steps that modules.json names.
pub(super) fn modules(json: &[u8]) -> Result<Vec<StoredModule>, serde_json::Error> {
    serde_json::from_slice(without_mark(json))
}

/// The folder of a class's files, where it is one of its own.
pub(super) fn folder<'a>(modules: &'a [StoredModule], class: &str) -> Option<&'a Path> {
    let module = modules.iter().find(|module| module.class() == class)?;
    let path = Path::new(&module.path);
    let mut components = path.components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)).then_some(path)
}

/// What the files say, of which each may be missing.
pub(super) fn read(files: &[File]) -> Result<Pooling, PretrainedError> {
    let mut pooling = Pooling::default();
    for file in files {
        if file.path.ends_with("modules.json") {
            let modules = modules(&file.bytes).map_err(|e| PretrainedError::format(&file.path, e))?;
            let known = ["Transformer", "Pooling", "Normalize", "Dropout"];
            if let Some(other) = modules.iter().map(StoredModule::class).find(|class| !known.contains(class)) {
                let reason = format!("module {other} is not supported; Transformer, Pooling and Normalize are");
                return Err(PretrainedError::config(&file.path, reason));
            }
            pooling.normalized = modules.iter().any(|module| module.class() == "Normalize");
        } else {
            pooling.steps = steps(&Fields::from_json(&file.path, &file.bytes)?)?;
        }
    }
    Ok(pooling)
}

/// One flag for each kind of pooling; in newer files its name.
fn steps(fields: &Fields) -> Result<PooledSteps, PretrainedError> {
    let kinds: Vec<&str> = match fields.get("pooling_mode") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => {
            let flags = fields.map.iter().filter(|(_, value)| **value == Value::Bool(true));
            flags.filter_map(|(name, _)| name.strip_prefix("pooling_mode_")).collect()
        }
    };
    match kinds[..] {
        [] | ["mean" | "mean_tokens"] => Ok(PooledSteps::Mean),
        ["cls" | "cls_token"] => Ok(PooledSteps::First),
        _ => Err(fields
            .error(format!("pooling_mode = {} is not supported; mean_tokens or cls_token alone is", kinds.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_both(modules: Option<&str>, pooling: Option<&str>) -> Result<Pooling, String> {
        let file = |path: &str, text: &str| File { path: path.into(), bytes: text.into() };
        let modules = modules.map(|text| file("a/modules.json", text));
        let pooling = pooling.map(|text| file("a/1_Pooling/config.json", text));
        let files: Vec<File> = modules.into_iter().chain(pooling).collect();
        read(&files).map_err(|e| e.to_string())
    }

    #[test]
    fn pooling_is_as_the_files_say() {
        let modules = |last: &str| {
            let module = |class: &str, path: &str| {
                format!(
                    "{{\"idx\": 0, \"name\": \"0\", \"path\": \"{path}\", \"type\": \"sentence_transformers.models.{class}\"}}"
                )
            };
            format!("[{}, {}, {}]", module("Transformer", ""), module("Pooling", "1_Pooling"), module(last, "2_X"))
        };
        let (first, mean) = (PooledSteps::First, PooledSteps::Mean);
        let cls =
            r#"{"word_embedding_dimension": 4, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
        let newer = r#"{"pooling_mode": "cls", "include_prompt": true}"#;
        let found =
            |modules: Option<&str>, pooling: Option<&str>| read_both(modules, pooling).map(|p| (p.steps, p.normalized));
        assert_eq!(found(None, None), Ok((mean, true)));
        assert_eq!(found(None, Some(cls)), Ok((first, true)));
        assert_eq!(found(None, Some(&format!("\u{feff}{cls}"))), Ok((first, true)));
        assert_eq!(found(Some(&modules("Normalize")), Some(newer)), Ok((first, true)));
        assert_eq!(found(Some(&modules("Dropout")), Some(r#"{"pooling_mode_mean_tokens": true}"#)), Ok((mean, false)));
        for (modules, pooling, part) in [
            (modules("Dense"), cls, "Dense"),
            (modules("Normalize"), r#"{"pooling_mode_max_tokens": true}"#, "max_tokens"),
            (
                modules("Normalize"),
                r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
                "cls_token",
            ),
            ("{".into(), cls, "modules.json"),
            (modules("Normalize"), "[", "1_Pooling"),
        ] {
            let error = read_both(Some(&modules), Some(pooling)).unwrap_err();
            assert!(error.contains(part) && error.lines().count() == 1, "{error}");
        }
        let stored = super::modules(modules("Dense").as_bytes()).unwrap();
        assert_eq!(folder(&stored, "Pooling"), Some(Path::new("1_Pooling")));
        assert_eq!(folder(&stored, "Transformer"), None);
        let outside = super::modules(br#"[{"type": "Pooling", "path": "../x"}]"#).unwrap();
        assert_eq!(folder(&outside, "Pooling"), None);
    }
}
