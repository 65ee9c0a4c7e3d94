//! An arm's model but for the width of its feed-forward layers.

use astrocytic_dynamics::retention::LongTermPlasticity;
use astrocytic_models::{DecoderConfig, EncoderConfig, SegmentsConfig, SwappedLayer};
use serde_json::Value;

use super::attention::Attention;
use super::depth::Depth;
use super::model_config::ModelConfig;
use super::sizes::Sizes;
use super::table::{Kind, Reads, Settings, Table, overlaid};
use crate::file::{Fault, typed};

/// Segments that the longest example is cut in, where it is.
const SEGMENTS: usize = 4;
/// Tokens between them.
const MEMORY_TOKENS: usize = 8;

/// An arm's model but for the width of its feed-forward layers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    pub(super) kind: Kind,
    pub(super) attention: Attention,
    pub(super) depth: Depth,
    /// Of the arms that `depth` names.
    pub(super) swapped: Vec<Attention>,
    /// Options of the model.
    pub(super) options: Table,
    pub(super) segments: Segments,
}

/// What an encoder reads together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segments {
    reads: Reads,
    count: usize,
    memory_tokens: usize,
    /// In place of all of these.
    given: Option<SegmentsConfig>,
}

impl Segments {
    /// What settings say.
    ///
    /// # Errors
    /// For what is no number and no table of segments, or what a decoder does not have.
    pub(super) fn of(settings: &Settings) -> Result<Self, Fault> {
        let Settings { model, reads, segments, memory_tokens, .. } = settings;
        let is_said = *reads != Reads::Whole || segments.is_some() || memory_tokens.is_some();
        if *model == Kind::Decoder && is_said {
            return Err(Fault::at("model", "segments are what an encoder reads; write model = \"encoder\""));
        }
        let given = |value| typed(value).map_err(|fault| fault.within("segments"));
        let (count, given) = match segments {
            None => (SEGMENTS, None),
            Some(Value::Number(number)) => {
                let count = number.as_u64().filter(|count| *count > 0);
                let fault =
                    || Fault::at("segments", "a number above 0, or a table with length, memory_tokens and retention");
                (count.ok_or_else(fault)? as usize, None)
            }
            Some(value) => (SEGMENTS, Some(given(value)?)),
        };
        let memory_tokens = memory_tokens.unwrap_or(MEMORY_TOKENS);
        Ok(Self { reads: *reads, count, memory_tokens, given })
    }

    fn config(&self, context: usize) -> Result<Option<SegmentsConfig>, Fault> {
        if let Some(given) = &self.given {
            return Ok(Some(given.clone()));
        }
        let retention = match self.reads {
            Reads::Whole => return Ok(None),
            Reads::Segments => vec![1.0; self.count],
            Reads::Retention => LongTermPlasticity::default()
                .retention_factors(self.count)
                .map_err(|error| Fault::at("segments", error.to_string()))?,
        };
        Ok(Some(SegmentsConfig::new(context.div_ceil(self.count), self.memory_tokens, retention)))
    }
}

impl Design {
    /// The model with feed-forward layers of this width; an encoder's answer is a token, read out
    /// by the embedding, as it is for decoders.
    ///
    /// # Errors
    /// For sizes and options that no model can have, with the field.
    pub(super) fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<ModelConfig, Fault> {
        match self.kind {
            Kind::Decoder => self.decoder(sizes, hidden).map(ModelConfig::Decoder),
            Kind::Encoder => self.encoder(sizes, hidden).map(ModelConfig::Encoder),
        }
    }

    fn decoder(&self, sizes: Sizes, hidden: usize) -> Result<DecoderConfig, Fault> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, context, .. } = sizes;
        let of = |attention: &Attention| attention.config(d_model, heads, true, context);
        let swapped = self.depth.swapped(layers).map_err(|fault| fault.within("layers"))?;
        let swapped = swapped.into_iter().map(|(layer, which)| Ok(SwappedLayer::new(layer, of(&self.swapped[which])?)));
        let swapped = swapped.collect::<Result<Vec<_>, Fault>>()?;
        let layers = self.depth.count(layers);
        let model = DecoderConfig::new(vocabulary, d_model, layers, hidden, of(&self.attention)?);
        let model = overlaid(&model.with_dropout(dropout), &self.options)?.with_swapped(swapped);
        model.validate().map_err(said)?;
        Ok(model)
    }

    fn encoder(&self, sizes: Sizes, hidden: usize) -> Result<EncoderConfig, Fault> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, context, .. } = sizes;
        if self.depth.arms().next().is_some() {
            return Err(Fault::at("layers", "all layers of an encoder have one attention; write a number"));
        }
        let segments = self.segments.config(context)?;
        let together = segments.as_ref().map_or(context, |segments| segments.length + segments.memory_tokens);
        let attention = self.attention.config(d_model, heads, false, together)?;
        let layers = self.depth.count(layers);
        let model = EncoderConfig::new(vocabulary, vocabulary, d_model, layers, hidden, attention);
        let model = overlaid(&model.with_dropout(dropout).with_tied(true), &self.options)?.with_segments(segments);
        model.validate().map_err(said)?;
        Ok(model)
    }
}

fn said(error: astrocytic_attention::AttentionError) -> Fault {
    match error {
        astrocytic_attention::AttentionError::Config(message) => Fault::of_message(&message),
        other => Fault::new(other.to_string()),
    }
}
