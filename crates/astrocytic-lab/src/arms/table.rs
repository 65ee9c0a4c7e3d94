//! What a table says of an arm: settings of its own, and options of its attention and its model.

use std::collections::BTreeMap;

use astrocytic_attention::{AstrocyticAttentionConfig, AttentionError, LstmConfig, SoftmaxAttentionConfig};
use astrocytic_models::{DecoderConfig, EncoderConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::preset::Preset;
use crate::file::{Fault, fields_of, kebab, typed};

/// A table as it stands in a file: values by their keys.
pub type Table = Map<String, Value>;

/// Arms that a file defines, by their names.
pub type Definitions = BTreeMap<String, Table>;

/// Keys of a table that say what it begins with and what it is for.
pub(super) const ABOUT: [&str; 4] = ["base", "preset", "role", "description"];
/// What all arms of a study share.
const OF_THE_STUDY: [&str; 7] = ["d_model", "vocabulary", "classes", "context", "causal", "attention", "swapped"];
/// Dropout of softmax attention's weights; `dropout` is the model's.
pub(super) const ATTENTION_DROPOUT: &str = "attention_dropout";

/// What an arm is besides its attention and the options of its model.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    pub(super) model: Kind,
    /// A number of layers, "2x" for twice the study's, or a table with places.
    pub(super) layers: Option<Value>,
    pub(super) heads: Option<usize>,
    #[serde(rename = "match")]
    pub(super) matching: Match,
    pub(super) d_hidden: Option<usize>,
    pub(super) reads: Reads,
    /// A number of segments, or a table with their sizes.
    pub(super) segments: Option<Value>,
    pub(super) memory_tokens: Option<usize>,
    pub(super) carried: bool,
    pub(super) learns: Option<Learns>,
    pub(super) through_documents: bool,
    pub(super) data: f64,
    pub(super) seeds: Draw,
    pub(super) weights: Draw,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: Kind::Decoder,
            layers: None,
            heads: None,
            matching: Match::Parameters,
            d_hidden: None,
            reads: Reads::Whole,
            segments: None,
            memory_tokens: None,
            carried: false,
            learns: None,
            through_documents: false,
            data: 1.0,
            seeds: Draw::Same,
            weights: Draw::Same,
        }
    }
}

/// How a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Kind {
    /// From left to right, an answer after any token.
    Decoder,
    /// In both directions, an answer for each example.
    Encoder,
}

/// What an arm's feed-forward width is chosen for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) enum Match {
    /// As many parameters as vanilla.
    Parameters,
    /// As many operations per token as the arm of this name.
    Flops(String),
    /// Nothing: the width is given, or vanilla's.
    Nothing,
}

/// What an encoder reads together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Reads {
    /// All tokens.
    Whole,
    /// Segments, all that is in the memory going on to the next.
    Segments,
    /// Segments, what goes on multiplied by retention factors of long-term plasticity.
    Retention,
}

/// What learns from the text that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Learns {
    Ngram,
    ReadOut,
    Dynamic,
}

/// Whether random numbers are the cell's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Draw {
    Same,
    Other,
}

/// A table's values by what they are of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) attention: Table,
    pub(super) model: Table,
}

impl Parts {
    /// Sorts the values of a table whose attention begins as a preset.
    ///
    /// # Errors
    /// For a key that is none, and a setting that cannot be.
    pub(super) fn of(table: &Table, preset: Preset) -> Result<Self, Fault> {
        let (mut settings, mut attention, mut model) = (Table::new(), Table::new(), Table::new());
        let kind = table.get("model").map(typed).transpose().map_err(|fault: Fault| fault.within("model"))?;
        let of_attention = attention_fields(preset);
        let of_model = model_fields(kind.unwrap_or(Kind::Decoder));
        let of_settings = || fields_of::<Settings>().iter().copied();
        for (key, value) in table.iter().filter(|(key, _)| !ABOUT.contains(&key.as_str())) {
            let name = if key == "n_heads" { "heads" } else { key };
            if OF_THE_STUDY.contains(&name) {
                return Err(Fault::at(key, "the arms of a study share it; it is no option of one of them"));
            }
            let part = if of_settings().any(|field| field == name) {
                &mut settings
            } else if of_model.contains(&name) {
                &mut model
            } else if of_attention.contains(&name) {
                &mut attention
            } else if let Some(whose) = of_others(name, preset, kind.unwrap_or(Kind::Decoder)) {
                return Err(Fault::of_key(key, whose));
            } else {
                let known = ABOUT.into_iter().chain(of_settings()).chain(of_model).chain(of_attention);
                let known: Vec<&str> = known.collect();
                return Err(Fault::unknown_field(key, known));
            };
            if part.insert(name.into(), value.clone()).is_some() {
                return Err(Fault::of_key(key, "heads and n_heads are one option; write heads alone"));
            }
        }
        if let Some(dropout) = attention.remove(ATTENTION_DROPOUT) {
            attention.insert("dropout".into(), dropout);
        }
        Ok(Self { settings: typed(&Value::Object(settings))?, attention, model })
    }
}

/// What has an option that the arm does not have.
fn of_others(name: &str, preset: Preset, kind: Kind) -> Option<String> {
    let arms = format!("this arm's preset is {}", kebab(&format!("{preset:?}")));
    let others = [(Preset::Linear, "astrocytic"), (Preset::Softmax, "softmax"), (Preset::Lstm, "LSTM")];
    let whose = others.into_iter().find(|(preset, _)| attention_fields(*preset).contains(&name));
    if let Some((_, whose)) = whose {
        return Some(format!("an option of {whose} attention; {arms}"));
    }
    let [other, arms] = match kind {
        Kind::Decoder => [Kind::Encoder, Kind::Decoder],
        Kind::Encoder => [Kind::Decoder, Kind::Encoder],
    };
    let word = |kind: Kind| if kind == Kind::Decoder { "a decoder" } else { "an encoder" };
    model_fields(other).contains(&name).then(|| format!("an option of {}; this arm is {}", word(other), word(arms)))
}

/// Options of a preset's attention, as a table names them.
fn attention_fields(preset: Preset) -> Vec<&'static str> {
    let fields = match preset {
        Preset::Off => &[],
        Preset::Softmax => fields_of::<SoftmaxAttentionConfig>(),
        Preset::Lstm => fields_of::<LstmConfig>(),
        _ => fields_of::<AstrocyticAttentionConfig>(),
    };
    let name = |field: &&'static str| if *field == "dropout" { ATTENTION_DROPOUT } else { field };
    let own = fields.iter().map(name).filter(|field| *field != "n_heads" && !OF_THE_STUDY.contains(field));
    own.collect()
}

/// Options of a model that are none of an arm's settings.
fn model_fields(kind: Kind) -> Vec<&'static str> {
    let fields = match kind {
        Kind::Decoder => fields_of::<DecoderConfig>(),
        Kind::Encoder => fields_of::<EncoderConfig>(),
    };
    let given = |field: &&str| ["layers", "d_hidden", "segments", "boundaries"].contains(field);
    fields.iter().copied().filter(|field| !given(field) && !OF_THE_STUDY.contains(field)).collect()
}

/// A configuration with the values of a table in place of its own.
///
/// # Errors
/// For a key or a value that it cannot have.
pub(super) fn overlaid<T>(config: &T, table: &Table) -> Result<T, Fault>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    let mut value = serde_json::to_value(config).expect("a configuration is data");
    overlay(&mut value, table);
    typed(&value)
}

/// Tables are laid over structs field by field; over everything else, enums too, as a whole.
fn overlay(value: &mut Value, table: &Table) {
    let Value::Object(fields) = value else { return };
    for (key, new) in table {
        match (fields.get_mut(key), new) {
            (Some(old), Value::Object(new)) if is_struct(old) => overlay(old, new),
            _ => {
                fields.insert(key.clone(), new.clone());
            }
        }
    }
}

/// Fields are in lower case, variants are not.
fn is_struct(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.keys().all(|key| key.starts_with(|c: char| c.is_ascii_lowercase())))
}

/// What a model's configuration says, in the words of files.
pub(super) fn said(error: AttentionError) -> Fault {
    match error {
        AttentionError::Config(message) => Fault::of_message(&message.replace("n_heads", "heads")),
        other => Fault::new(other.to_string()),
    }
}
