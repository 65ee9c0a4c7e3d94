//! Text from a decoder, a token at a time.

use astrocytic_attention::Form;
use burn::tensor::{Int, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::decoder::{Decoder, DecoderCache};
use crate::memory::{Prediction, ReadMemory};
use crate::sampling::Sampling;

/// Tokens of a prompt whose logits are computed together, where all of them are needed.
const TOGETHER: usize = 256;

/// Draws tokens one after another: an endless iterator.
pub struct Generator<'a> {
    model: &'a Decoder,
    sampling: Sampling,
    random: ChaCha8Rng,
    route: Route,
    /// Tokens that the model has not seen yet.
    pending: Vec<u32>,
    remembering: Option<Remembering>,
}

/// A memory that learns from the text, and what was said with it of the token to come.
struct Remembering {
    memory: ReadMemory,
    /// The features that the prediction was made from, `[d_model]`, and the prediction.
    said: Option<(Vec<f32>, Prediction)>,
}

/// How the logits of the next token are computed. Both give the same.
enum Route {
    /// From the state, a step at a time.
    Recurrent(Box<DecoderCache>),
    /// From the whole text, each time anew, with the T×T matrix.
    Parallel(Vec<u32>),
}

impl<'a> Generator<'a> {
    /// Continues `prompt`, which must not be empty, with each token's cost independent of the length for an astrocytic
    /// model.
    ///
    /// # Panics
    /// For an empty prompt.
    pub fn recurrent(model: &'a Decoder, prompt: &[u32], sampling: Sampling) -> Self {
        Self::new(model, prompt, sampling, Route::Recurrent(Box::new(model.empty_cache(1))))
    }

    /// The same text by the quadratic form: slow, to check against.
    ///
    /// # Panics
    /// For an empty prompt.
    pub fn parallel(model: &'a Decoder, prompt: &[u32], sampling: Sampling) -> Self {
        Self::new(model, prompt, sampling, Route::Parallel(Vec::new()))
    }

    /// Goes on learning from the prompt and from what it writes: each token is predicted before anything is learned from it.
    pub fn remembering(self, memory: ReadMemory) -> Self {
        Self { remembering: Some(Remembering { memory, said: None }), ..self }
    }

    fn new(model: &'a Decoder, prompt: &[u32], sampling: Sampling, route: Route) -> Self {
        assert!(!prompt.is_empty(), "generate: the prompt must have at least one token");
        let random = ChaCha8Rng::seed_from_u64(sampling.seed);
        Self { model, sampling, random, route, pending: prompt.to_vec(), remembering: None }
    }

    fn next_logits(&mut self) -> Vec<f64> {
        let tokens = self.pending.as_slice();
        let logits = match &mut self.route {
            Route::Recurrent(cache) => self.model.forward_cache(inputs(self.model, tokens), cache),
            Route::Parallel(text) => {
                text.extend_from_slice(tokens);
                self.model.forward_form(inputs(self.model, text), Form::Parallel)
            }
        };
        let [_, steps, _] = logits.dims();
        logits.narrow(1, steps - 1, 1).into_data().iter::<f64>().collect()
    }

    /// The same from a model that remembers, which first reads what it has not seen.
    fn remembered_logits(&mut self, remembering: &mut Remembering) -> Vec<f64> {
        for tokens in self.pending.chunks(TOGETHER) {
            let features = match &mut self.route {
                Route::Recurrent(cache) => {
                    let places: Vec<i32> = (0..tokens.len() as i32).collect();
                    self.model.features_at(inputs(self.model, tokens), &places, Some(cache))
                }
                Route::Parallel(text) => {
                    text.extend_from_slice(tokens);
                    let places: Vec<i32> = ((text.len() - tokens.len()) as i32..text.len() as i32).collect();
                    self.model.features_form(inputs(self.model, text), &places, Form::Parallel)
                }
            };
            remembering.read(self.model, tokens, features);
        }
        let said = remembering.said.iter().flat_map(|(_, prediction)| prediction.logits());
        said.map(|&logit| f64::from(logit)).collect()
    }
}

/// Tokens as a batch of one row, `[1, steps]`.
fn inputs(model: &Decoder, tokens: &[u32]) -> Tensor<2, Int> {
    let tokens: Vec<i64> = tokens.iter().map(|&token| i64::from(token)).collect();
    let shape = [1, tokens.len()];
    Tensor::from_data(TensorData::new(tokens, shape), &model.embedding.weight.val().device())
}

impl Remembering {
    /// Learns each token, then predicts the next from its features, `[tokens, d_model]`.
    fn read(&mut self, model: &Decoder, tokens: &[u32], features: Tensor<2>) {
        let config = model.config();
        let logits: Vec<f32> = model.read_out(features.clone()).into_data().iter::<f32>().collect();
        let features: Vec<f32> = features.into_data().iter::<f32>().collect();
        let rows = features.chunks_exact(config.d_model).zip(logits.chunks_exact(config.vocabulary));
        for (&token, (features, logits)) in tokens.iter().zip(rows) {
            if let Some((before, prediction)) = self.said.take() {
                self.memory.learn(&before, &prediction, token as usize);
            }
            self.said = Some((features.to_vec(), self.memory.predict(features, logits)));
        }
    }
}

impl Iterator for Generator<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let logits = match self.remembering.take() {
            Some(mut remembering) => {
                let logits = self.remembered_logits(&mut remembering);
                self.remembering = Some(remembering);
                logits
            }
            None => self.next_logits(),
        };
        let token = self.sampling.draw(&logits, &mut self.random);
        self.pending = vec![token];
        Some(token)
    }
}
