//! A reader of stories. A small model learns where the ball is under swapped cups, then reads a story token by token
//! with a state of constant size. After each sentence it is asked from a copy of that state; the reader itself never
//! hears the question.
//!
//! `cargo run --release --example story_reader`

use anyhow::{Context, Result, ensure};
use astrocytic_attention::{AstrocyticAttentionConfig, AttentionCache, AttentionConfig};
use astrocytic_data::tasks::{Task, Wanted};
use astrocytic_data::{Batches, EvaluationWindows, Tokenizer, TokenizerKind};
use astrocytic_models::{Decoder, DecoderCache, DecoderConfig};
use astrocytic_train::config::TrainingConfig;
use astrocytic_train::evaluate::Counted;
use astrocytic_train::token_objective::TokenObjective;
use astrocytic_train::train::{Event, train};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Three cups, at most eight events; the answers do not stand in the text.
const TASK: &str = "state:cups:things=3:events=8";
/// What can be answered. Answers are tokens of their own behind those of the text, in this order.
pub const CUPS: [&str; 3] = ["blue", "green", "red"];
const QUESTION: &str = " Where is the ball?";

/// More events than any text in training has.
pub const STORY: [&str; 12] = [
    "Nora puts the ball under blue.",
    " Swap red and blue.",
    " Otto swaps green with blue.",
    " A clock strikes.",
    " What is under red and green is exchanged.",
    " Swap blue and red.",
    " Leo exchanges green and blue.",
    " Nobody moves.",
    " Swap green and red.",
    " Vera exchanges blue and red.",
    " Swap red and green.",
    " Zoe swaps green with blue.",
];

/// A trained model with the tokenizer of its texts.
pub struct Reader {
    model: Decoder,
    tokenizer: Tokenizer,
    /// What was read so far.
    state: DecoderCache,
}

/// What is known after a sentence.
pub struct Belief {
    /// How likely the ball is under each of [`CUPS`].
    pub likely: [f32; 3],
    /// For each layer how far its memory H moved, |H − H before| / |H|.
    pub moved: Vec<f32>,
    /// Bytes of the memories.
    pub bytes: usize,
}

impl Reader {
    /// Learns from 2,000 texts; ends as soon as 99.5 % of the answers about new texts are right.
    pub fn train(mut progress: impl FnMut(u64, f64)) -> Result<Self> {
        let wanted = Wanted {
            tokenizer: TokenizerKind::BytePair { vocabulary: 1_024 },
            context: 256,
            train: 2_000,
            tuning: 200,
            test: 0,
            seed: 0,
        };
        let task = Task::of_corpus(TASK)?.context("a task of this program")?;
        let examples = task.load(&wanted, None)?;
        let batches = Batches::of_examples(examples.splits.train, 32, 0).by_length();
        let tuning = EvaluationWindows::of_examples(&examples.splits.tuning, 50)?;
        let training = TrainingConfig {
            learning_rate: 4e-3,
            weight_decay: 0.1,
            steps: 1_500,
            warmup: 0.1,
            clip: 1.0,
            evaluate_every: 50,
            patience: 0,
            seed: 0,
            carry: None,
            stop_at_accuracy: Some(0.995),
        };
        let attention = AstrocyticAttentionConfig::delta_product(64, 2);
        let config = DecoderConfig::new(examples.vocabulary, 64, 2, 160, AttentionConfig::Astrocytic(attention));
        let model = config.init_seeded(0, &Device::flex().autodiff());
        let mut objective =
            TokenObjective::new(&batches, &training).with_held_out(&tuning).with_accuracy(Counted::Answers);
        let outcome = train(model, &training, &mut objective, None, &mut |event| {
            if let Event::Evaluation { step, accuracy: Some(accuracy), .. } = event {
                progress(step, accuracy);
            }
            Ok(())
        })?;
        let state = outcome.model.empty_cache(1);
        Ok(Self { model: outcome.model, tokenizer: examples.tokenizer.context("texts have one")?, state })
    }

    /// Reads a sentence, token by token.
    pub fn read(&mut self, sentence: &str) -> Result<Belief> {
        let before = memories(&self.state);
        for token in self.tokenizer.encode(sentence)? {
            self.model.forward_cache(tokens(&[token]), &mut self.state);
        }
        let now = memories(&self.state);
        let moved = now.iter().zip(before).map(|(now, before)| {
            let size = |h: &Tensor<4>| h.clone().square().sum().sqrt().into_scalar::<f32>();
            size(&(now.clone() - before)) / size(now).max(f32::MIN_POSITIVE)
        });
        let moved = moved.collect();
        Ok(Belief { likely: self.ask()?, moved, bytes: now.iter().map(|h| 4 * h.shape().num_elements()).sum() })
    }

    /// Asks a copy of the state.
    fn ask(&self) -> Result<[f32; 3]> {
        let mut copy = self.state.clone();
        let question = self.tokenizer.encode(QUESTION)?;
        let logits = self.model.forward_cache(tokens(&question), &mut copy);
        let [_, steps, vocabulary] = logits.dims();
        ensure!(vocabulary == self.tokenizer.vocabulary_size() + CUPS.len(), "{TASK} has other answers than {CUPS:?}");
        let answers = logits.narrow(1, steps - 1, 1).narrow(2, self.tokenizer.vocabulary_size(), CUPS.len());
        let likely: Vec<f32> = softmax(answers, 2).into_data().iter::<f32>().collect();
        Ok([likely[0], likely[1], likely[2]])
    }
}

fn tokens(tokens: &[u32]) -> Tensor<2, Int> {
    let tokens: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
    Tensor::from_data(TensorData::new(tokens.clone(), [1, tokens.len()]), &Device::flex())
}

/// The synapses H of each layer, `[1, heads, m, d_v]`.
fn memories(state: &DecoderCache) -> Vec<Tensor<4>> {
    let memory = |cache: &AttentionCache| match cache {
        AttentionCache::Memory(state) => Some(state.memory.clone()),
        _ => None,
    };
    state.blocks().iter().filter_map(memory).collect()
}

#[allow(dead_code, reason = "the test reads by itself")]
fn main() -> Result<()> {
    println!("learning {TASK}");
    let mut reader = Reader::train(|step, accuracy| {
        println!("  step {step:>4}: {:5.1} % of the answers about new texts are right", 100.0 * accuracy);
    })?;
    let [first, second, third] = CUPS;
    println!("\n{:<44} {first:>6} {second:>6} {third:>6}   memories moved by", "read so far");
    for sentence in STORY {
        let Belief { likely: [a, b, c], moved, .. } = reader.read(sentence)?;
        let [a, b, c] = [a, b, c].map(|p| format!("{:.0} %", 100.0 * p));
        let moved: Vec<String> = moved.iter().map(|by| format!("{:3.0} %", 100.0 * by)).collect();
        println!("{:<44} {a:>6} {b:>6} {c:>6}   {}", sentence.trim(), moved.join(" "));
    }
    println!("\nThe memories take {} bytes, however long the story is.", reader.read(" Nobody moves.")?.bytes);
    Ok(())
}
