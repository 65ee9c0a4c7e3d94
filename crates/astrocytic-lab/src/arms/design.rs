//! An arm's model but for the width of its feed-forward layers.

use astrocytic_dynamics::retention::LongTermPlasticity;
use astrocytic_models::{DecoderConfig, EncoderConfig, SegmentsConfig, SwappedLayer};
use serde_json::Value;

use super::attention::Attention;
use super::depth::Depth;
use super::model_config::ModelConfig;
use super::sizes::Sizes;
use super::table::{Kind, Reads, Settings, Table, overlaid, said};
use crate::file::{Fault, typed};

/// The most parameters of a model.
const MOST_PARAMETERS: f64 = 2e9;
/// Segments that the longest example is cut in, where it is.
const SEGMENTS: usize = 4;
/// The most segments that can be asked for.
const MOST_SEGMENTS: u64 = 1 << 10;
/// Memory tokens between two segments.
const MEMORY_TOKENS: usize = 8;
/// The most memory tokens that can be asked for.
const MOST_MEMORY_TOKENS: usize = 1 << 20;

/// An arm's model but for the width of its feed-forward layers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Design {
    pub(super) kind: Kind,
    pub(super) attention: Attention,
    pub(super) depth: Depth,
    /// Of the arms that `depth` names.
    pub(super) swapped: Vec<Lent>,
    /// Options of the model.
    pub(super) options: Table,
    pub(super) segments: Segments,
}

/// Attention that another arm lends, and that arm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lent {
    pub(super) name: String,
    pub(super) attention: Attention,
    /// Whether the arm is one of a file.
    pub(super) is_own: bool,
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
        let said = [
            ("segments", segments.is_some()),
            ("reads", *reads != Reads::Whole),
            ("memory_tokens", memory_tokens.is_some()),
        ];
        if let Some((key, _)) = said.iter().find(|(_, is_said)| *is_said && *model == Kind::Decoder) {
            return Err(Fault::at(key, "segments are what an encoder reads; write model = \"encoder\" too"));
        }
        let given = |value| typed(value).map_err(|fault| fault.within("segments"));
        let (count, given) = match segments {
            None => (SEGMENTS, None),
            Some(Value::Number(number)) => {
                let count = number.as_u64().filter(|count| (1..=MOST_SEGMENTS).contains(count));
                let fault = || {
                    let forms = "or a table with length, memory_tokens and retention";
                    Fault::at("segments", format!("a number from 1 to {MOST_SEGMENTS}, {forms}"))
                };
                (count.ok_or_else(fault)? as usize, None)
            }
            Some(value) => (SEGMENTS, Some(given(value)?)),
        };
        let memory_tokens = memory_tokens.unwrap_or(MEMORY_TOKENS);
        if !(1..=MOST_MEMORY_TOKENS).contains(&memory_tokens) {
            let message = format!("memory_tokens = {memory_tokens} must be 1 to {MOST_MEMORY_TOKENS}");
            return Err(Fault::at("memory_tokens", message));
        }
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
        let model = match self.kind {
            Kind::Decoder => self.decoder(sizes, hidden).map(ModelConfig::Decoder),
            Kind::Encoder => self.encoder(sizes, hidden).map(ModelConfig::Encoder),
        }?;
        let Sizes { vocabulary, d_model, .. } = sizes;
        let layers = self.depth.count(sizes.layers).map_err(|fault| fault.within("layers"))?;
        // Three matrices of a feed-forward layer, four of an attention.
        let about = (layers as f64 * (3.0 * hidden as f64 + 4.0 * d_model as f64) + vocabulary as f64) * d_model as f64;
        if about > MOST_PARAMETERS {
            return Err(Fault::of_message(&format!(
                "d_model = {d_model}, layers = {layers} and d_hidden = {hidden} make a model of about {about:.0e} parameters; \
                 at most {MOST_PARAMETERS:.0e} can be trained here"
            )));
        }
        Ok(model)
    }

    fn decoder(&self, sizes: Sizes, hidden: usize) -> Result<DecoderConfig, Fault> {
        let Sizes { vocabulary, d_model, layers, heads, dropout, context, .. } = sizes;
        let of = |attention: &Attention| attention.config(d_model, heads, true, context);
        let swapped = self.depth.swapped(layers).map_err(|fault| fault.within("layers"))?;
        let swapped = swapped.into_iter().map(|(layer, which)| {
            let lent = &self.swapped[which];
            Ok(SwappedLayer::new(layer, of(&lent.attention).map_err(|fault| lent.fault(fault))?))
        });
        let swapped = swapped.collect::<Result<Vec<_>, Fault>>()?;
        let layers = self.depth.count(layers).map_err(|fault| fault.within("layers"))?;
        let attention = of(&self.attention)?;
        let model = DecoderConfig::new(vocabulary, d_model, layers, hidden, attention);
        let model = overlaid(&model.with_dropout(dropout), &self.options)?.with_swapped(swapped);
        if let Some(positions) = model.positions.filter(|positions| *positions < context) {
            let message = format!("positions = {positions} must be at least the context of {context} tokens");
            return Err(Fault::at("positions", message));
        }
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
        let layers = self.depth.count(layers).map_err(|fault| fault.within("layers"))?;
        let model = EncoderConfig::new(vocabulary, vocabulary, d_model, layers, hidden, attention);
        let model = overlaid(&model.with_dropout(dropout).with_tied(true), &self.options)?.with_segments(segments);
        model.validate().map_err(said)?;
        Ok(model)
    }
}

impl Lent {
    /// A fault of the attention, in the table of the arm that lends it.
    fn fault(&self, fault: Fault) -> Fault {
        let name = &self.name;
        match self.is_own {
            true => fault.within(name).within("arms").of_file(),
            false => fault,
        }
    }
}
