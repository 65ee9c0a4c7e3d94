//! Burn's [`TrainStep`] and [`InferenceStep`] for decoders and encoders, so that burn-train's
//! `Learner` trains them, with its metrics, its checkpoints and its dashboard.
//!
//! Comparisons use the loop of this crate instead, for the reasons that [`train`](crate::train)
//! names.

use astrocytic_models::{Decoder, Encoder};
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Bool, Int, Tensor};
use burn::train::{ClassificationOutput, InferenceStep, SequenceOutput, TrainOutput, TrainStep};

/// A decoder that burn-train can train: to predict each next token. (The traits are Burn's and the
/// decoder another crate's, so that a type of this crate has to stand between them.)
#[derive(Module, Debug)]
pub struct SupervisedDecoder {
    /// The model.
    pub decoder: Decoder,
}

/// Rows of tokens and the token after each.
#[derive(Debug, Clone)]
pub struct TokenBatch {
    /// `[rows, steps]`
    pub inputs: Tensor<2, Int>,
    /// `[rows, steps]`
    pub targets: Tensor<2, Int>,
}

impl SupervisedDecoder {
    fn predict(&self, batch: TokenBatch) -> SequenceOutput {
        let logits = self.decoder.forward(batch.inputs);
        let [rows, steps, vocabulary] = logits.dims();
        let loss = mean_loss(
            logits.clone().reshape([rows * steps, vocabulary]),
            batch.targets.clone().reshape([rows * steps]),
        );
        SequenceOutput::new(loss, logits, None, batch.targets)
    }
}

impl TrainStep for SupervisedDecoder {
    type Input = TokenBatch;
    type Output = SequenceOutput;

    fn step(&self, batch: TokenBatch) -> TrainOutput<SequenceOutput> {
        let output = self.predict(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for SupervisedDecoder {
    type Input = TokenBatch;
    type Output = SequenceOutput;

    fn step(&self, batch: TokenBatch) -> SequenceOutput {
        self.predict(batch)
    }
}

/// An encoder that burn-train can train: to classify each text. Gradients go back through all
/// segments of an encoder that reads them; [`replay`](crate::replay) needs less memory.
#[derive(Module, Debug)]
pub struct SupervisedEncoder {
    /// The model.
    pub encoder: Encoder,
}

/// Texts as rows of tokens, and the class of each.
#[derive(Debug, Clone)]
pub struct TextBatch {
    /// `[rows, steps]`
    pub tokens: Tensor<2, Int>,
    /// `[rows, steps]`, true where padded.
    pub padded: Tensor<2, Bool>,
    /// `[rows]`
    pub classes: Tensor<1, Int>,
}

impl SupervisedEncoder {
    fn classify(&self, batch: TextBatch) -> ClassificationOutput {
        let logits = self.encoder.forward(batch.tokens, batch.padded);
        let loss = mean_loss(logits.clone(), batch.classes.clone());
        ClassificationOutput::new(loss, logits, batch.classes)
    }
}

impl TrainStep for SupervisedEncoder {
    type Input = TextBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: TextBatch) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for SupervisedEncoder {
    type Input = TextBatch;
    type Output = ClassificationOutput;

    fn step(&self, batch: TextBatch) -> ClassificationOutput {
        self.classify(batch)
    }
}

/// Mean −ln p of the targets: logits `[rows, classes]`, targets `[rows]`.
fn mean_loss(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, targets)
}
