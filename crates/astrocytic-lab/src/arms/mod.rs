//! The arms of a comparison: models of equal parameters that differ in their attention, and in what
//! they read at once.

mod decoders;
mod encoders;
mod model_config;
mod names;
mod sizes;

use anyhow::{Result, bail};
use astrocytic_models::DecoderConfig;
use astrocytic_models::memory::MemoryKind;

pub use model_config::{ModelConfig, parameters};
pub use sizes::Sizes;

use crate::learning::Learning;
use crate::results::Role;
use decoders::{DECODERS, DecoderArm};
use encoders::{ENCODERS, EncoderArm};

/// Added to the seeds of the arm that has others: beyond those of any experiment.
const OTHER_SEEDS: u64 = 1_000_000;

/// What an arm knows beyond its window of context.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Beyond {
    /// Nothing.
    Nothing,
    /// What its attention remembers, memory or keys and values, goes on from window to window, in
    /// training and through each document of a test.
    Carried,
    /// What it learns from the text that it is tested on.
    Learned(Learning),
}

/// One arm: a model, and what it knows beyond its window.
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// One line on what it does.
    pub description: String,
    /// What it knows beyond its window.
    pub beyond: Beyond,
    reader: Reader,
}

/// How an arm's model reads.
#[derive(Clone, Copy)]
enum Reader {
    /// From left to right, an answer after any token.
    Decoder(&'static DecoderArm),
    /// In both directions, an answer for each example.
    Encoder(&'static EncoderArm),
}

/// What may follow a model's name, what the arm knows beyond its window then, and a line on it.
const ENDINGS: [(&str, Beyond, &str); 6] = [
    ("-carried", Beyond::Carried, "its memory goes on from window to window, through whole documents"),
    ("-cached", Beyond::Carried, "it sees the keys and values of the four windows before"),
    (
        "+plastic-per-document",
        Beyond::Learned(Learning { learns: MemoryKind::ReadOut, through_documents: false }),
        "its read-out goes on learning from each document that it is tested on, by the delta rule",
    ),
    (
        "+ngram-per-document",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: false }),
        "with a memory of what followed the last tokens of each document that it is tested on, beside a plastic read-out",
    ),
    (
        "+ngram",
        Beyond::Learned(Learning { learns: MemoryKind::Ngram, through_documents: true }),
        "with such a memory, and plastic read-out, through all documents that it is tested on",
    ),
    (
        "+dynamic",
        Beyond::Learned(Learning { learns: MemoryKind::Dynamic, through_documents: true }),
        "all its weights go on learning through all documents that it is tested on, by gradient descent (dynamic evaluation)",
    ),
];

/// The arm of that name: a model's, or a decoder's with an ending that says what it knows beyond
/// its window. The arm keeps the name as it is written, which may be one from before.
///
/// # Errors
/// For a name that is none; says which there are.
pub fn arm(name: &str) -> Result<Arm> {
    let of = |role, description: &str, beyond, reader| {
        Ok(Arm { name: name.into(), role, description: description.into(), beyond, reader })
    };
    let model = |name: &str| DECODERS.iter().find(|model| model.name == name);
    let current = current(name);
    if let Some(model) = model(&current) {
        return of(model.role, model.description, Beyond::Nothing, Reader::Decoder(model));
    }
    if let Some(encoder) = ENCODERS.iter().find(|encoder| encoder.name == current) {
        return of(encoder.role, encoder.description, Beyond::Nothing, Reader::Encoder(encoder));
    }
    for (ending, beyond, what) in ENDINGS {
        if let Some(model) = current.strip_suffix(ending).and_then(model) {
            let role = if model.role == Role::Baseline { Role::Control } else { model.role };
            return of(role, &format!("{}; {what}", model.description), beyond, Reader::Decoder(model));
        }
    }
    bail!(
        "unknown arm \"{name}\"; choose from {}, each also with {}; for tasks with one answer from {}",
        DECODERS.iter().map(|model| model.name).collect::<Vec<_>>().join(", "),
        ENDINGS.map(|e| e.0).join(", "),
        ENCODERS.iter().map(|encoder| encoder.name).collect::<Vec<_>>().join(", ")
    )
}

/// What the arm of that name is called now: two arms that share this are one.
pub fn current(name: &str) -> String {
    names::current(name, &ENDINGS.map(|(ending, ..)| ending))
}

impl Arm {
    /// Whether what its attention remembers goes on from window to window.
    pub fn is_carried(&self) -> bool {
        self.beyond == Beyond::Carried
    }

    /// Whether it gives one answer for a whole example.
    pub fn is_encoder(&self) -> bool {
        matches!(self.reader, Reader::Encoder(_))
    }

    /// Unique tokens that the arm is given at a data size, and the seed of its run: those of the
    /// cell but for the arms that test the measurement itself.
    pub fn given(&self, size: u64, seed: u64) -> (u64, u64) {
        // Of the model: what it knows beyond its window changes nothing of this.
        let name = match self.reader {
            Reader::Decoder(model) => model.name,
            Reader::Encoder(encoder) => encoder.name,
        };
        match name {
            "vanilla-other-seeds" => (size, seed + OTHER_SEEDS),
            "vanilla-more-data" => (size * 3 / 2, seed),
            _ => (size, seed),
        }
    }

    /// The arm's model, its feed-forward width chosen so that its parameters are those of the
    /// vanilla arm; without feed-forward layers they are what they are.
    ///
    /// # Errors
    /// For sizes that no model can have, or where parameters cannot be matched within 1 %.
    pub fn model(&self, sizes: Sizes) -> Result<ModelConfig> {
        if !sizes.feed_forward {
            return self.with_hidden(sizes, 0);
        }
        let vanilla = DECODERS[0].with_hidden(sizes, hidden_of_vanilla(sizes.d_model))?;
        let target = parameters(&ModelConfig::Decoder(vanilla))?;
        let at = |hidden: usize| parameters(&self.with_hidden(sizes, hidden)?);
        let (one, two) = (at(1)?, at(2)?);
        let hidden = 1 + (target.saturating_sub(one) as f64 / (two - one) as f64).round() as usize;
        let model = self.with_hidden(sizes, hidden)?;
        let found = parameters(&model)?;
        if (found as f64 / target as f64 - 1.0).abs() > 0.01 {
            bail!("arm {}: {found} parameters cannot be matched to vanilla's {target}; use a wider model", self.name);
        }
        Ok(model)
    }

    /// The arm's model, which must be a decoder.
    ///
    /// # Errors
    /// For an encoder, and as [`model`](Self::model).
    pub fn decoder(&self, sizes: Sizes) -> Result<DecoderConfig> {
        match self.model(sizes)? {
            ModelConfig::Decoder(model) => Ok(model),
            ModelConfig::Encoder(_) => bail!("arm {}: an encoder, where a language model is needed", self.name),
        }
    }

    fn with_hidden(&self, sizes: Sizes, hidden: usize) -> Result<ModelConfig> {
        Ok(match self.reader {
            Reader::Decoder(model) => ModelConfig::Decoder(model.with_hidden(sizes, hidden)?),
            Reader::Encoder(encoder) => ModelConfig::Encoder(encoder.with_hidden(sizes, hidden)?),
        })
    }
}

/// 8/3 of the width, as with gated feed-forward layers usual (arXiv 2002.05202), in steps of 8.
fn hidden_of_vanilla(d_model: usize) -> usize {
    (d_model * 8 / 3).div_ceil(8) * 8
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn arms_have_equal_parameters_and_unlike_models() {
        let sizes =
            Sizes { vocabulary: 512, d_model: 64, layers: 2, heads: 2, dropout: 0.1, context: 128, feed_forward: true };
        let target = parameters(&arm("vanilla").unwrap().model(sizes).unwrap()).unwrap() as f64;
        let mut seen = Vec::new();
        for name in DECODERS.iter().map(|model| model.name).chain(ENCODERS.iter().map(|encoder| encoder.name)) {
            let arm = arm(name).unwrap();
            let model = arm.model(sizes).unwrap();
            let found = parameters(&model).unwrap() as f64;
            assert!((found / target - 1.0).abs() < 0.01, "{name}: {found} against {target}");
            let own = match model {
                ModelConfig::Decoder(model) => format!("{} {:?}", model.attention, model.swapped),
                ModelConfig::Encoder(model) => format!("{} {:?}", model.attention, model.segments),
            };
            assert_eq!(seen.contains(&own), arm.given(100, 0) != (100, 0), "{name} is another arm's model");
            assert_eq!(arm.decoder(sizes).is_err(), arm.is_encoder());
            seen.push(own);
        }
        // 2 layers of 2 maps of 2 heads of 128 directions of size 32 are in the model, but nobody
        // trains them.
        let random = arm("kozachkov2023").unwrap().decoder(sizes).unwrap();
        let all = random.init(&Device::flex()).num_params() as u64;
        assert_eq!(all - parameters(&ModelConfig::Decoder(random)).unwrap(), 2 * 2 * 2 * 128 * 32);
        let bare = Sizes { feed_forward: false, ..sizes };
        assert_eq!(arm("vanilla").unwrap().decoder(bare).unwrap().d_hidden, 0);
    }

    #[test]
    fn an_ending_says_what_is_known_beyond_the_window() {
        let of = |name| arm(name).map(|arm| (arm.role, arm.beyond)).unwrap();
        assert_eq!(of("vanilla"), (Role::Baseline, Beyond::Nothing));
        assert_eq!(of("vanilla-cached"), (Role::Control, Beyond::Carried));
        assert_eq!(of("tripartite-carried"), (Role::Astrocytic, Beyond::Carried));
        let through = Learning { learns: MemoryKind::Ngram, through_documents: true };
        assert_eq!(arm("vanilla-more-data-memory").unwrap().given(100, 7), (150, 7));
        assert_eq!(arm("vanilla-other-seeds-dynamic").unwrap().given(100, 7), (100, 7 + OTHER_SEEDS));
        assert_eq!(of("tripartite-memory-through"), (Role::Astrocytic, Beyond::Learned(through)));
        // Names from before, of models, of endings, and of both.
        for (old, new) in [
            ("vanilla-decay", "forgetting-softmax"),
            ("vanilla-memory-through", "vanilla+ngram"),
            ("linear-decay-dynamic", "gated-linear+dynamic"),
            ("linear-decay-carried", "gated-linear-carried"),
            ("linear-decay+ngram", "gated-linear+ngram"),
            ("recurrent-memory", "rmt"),
        ] {
            assert_eq!(current(old), new);
            let [old, new] = [arm(old).unwrap(), arm(new).unwrap()];
            assert!(old.beyond == new.beyond && old.description == new.description && old.name != new.name);
        }
        for name in
            ["vanila", "+ngram", "vanilla+ngram-cached", "-memory", "vanilla-memory-cached", "memory", "rmaat-memory"]
        {
            assert!(arm(name).is_err_and(|e| e.to_string().contains("tripartite")), "{name}");
        }
    }
}
