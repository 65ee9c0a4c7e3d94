//! Sentences of a corpus, and texts as batches of tokens for an encoder.

use anyhow::{Result, bail};
use astrocytic_data::{Cache, Corpus, Tokenizer};
use astrocytic_models::TextEncoder;
use astrocytic_models::conversion::Inputs;
use astrocytic_train::observer::Observer;
use astrocytic_train::seed::derive_seed;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::config::SwapConfig;
use super::conversion::note;

/// Fewest characters of a sentence: shorter pieces are headings and numbers.
const SHORTEST: usize = 20;
/// Texts that are embedded side by side.
pub(super) const BATCH: usize = 32;

/// Sentences to train on and others to measure on, of a corpus's training and test split.
pub(super) fn sentences(
    corpus: &str,
    config: &SwapConfig,
    notes: &mut Vec<String>,
    observer: &dyn Observer,
) -> Result<(Vec<String>, Vec<String>)> {
    let corpus = Corpus::load(corpus, &Cache::default_folder()?)?;
    note(&corpus.notes, notes, observer);
    let some = |documents: &[astrocytic_data::Document], count: usize, purpose: &str| {
        let pieces = documents.iter().flat_map(|document| document.text.split_inclusive(['.', '!', '?', '\n']));
        let mut pieces: Vec<String> =
            pieces.map(|piece| piece.trim().to_string()).filter(|piece| piece.len() >= SHORTEST).collect();
        pieces.shuffle(&mut ChaCha8Rng::seed_from_u64(derive_seed(config.seed, purpose, 0)));
        if pieces.len() < count {
            bail!("the corpus has {} sentences of that split, {count} were asked for; ask for fewer", pieces.len());
        }
        pieces.truncate(count);
        Ok(pieces)
    };
    Ok((some(&corpus.train, config.rows, "training rows")?, some(&corpus.test, config.held_out, "held-out rows")?))
}

/// Texts as batches of tokens.
pub(super) struct Texts {
    pub(super) tokenizer: Tokenizer,
    pub(super) device: Device,
}

impl Texts {
    pub(super) fn encode(&self, texts: &[String]) -> Result<Vec<Vec<i32>>> {
        let encode = |text: &String| {
            let tokens = self.tokenizer.encode_with_special(text)?;
            Ok(tokens.into_iter().map(|id| id as i32).collect())
        };
        texts.iter().map(encode).collect()
    }

    /// Rows padded to the longest.
    pub(super) fn inputs<'a>(&self, rows: impl Iterator<Item = &'a [i32]>) -> Inputs {
        let rows: Vec<&[i32]> = rows.collect();
        let steps = rows.iter().map(|row| row.len()).max().unwrap_or(1).max(1);
        let mut tokens = vec![0; rows.len() * steps];
        let mut padded = vec![true; rows.len() * steps];
        for (i, row) in rows.iter().enumerate() {
            tokens[i * steps..][..row.len()].copy_from_slice(row);
            padded[i * steps..][..row.len()].fill(false);
        }
        let shape = [rows.len(), steps];
        Inputs {
            tokens: Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &self.device),
            padded: Some(Tensor::<2, Bool>::from_data(TensorData::new(padded, shape), &self.device)),
        }
    }

    /// `[texts, d_model]`, in batches of about the same length.
    pub(super) fn embed(&self, model: &TextEncoder, rows: &[Vec<i32>]) -> Tensor<2> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&row| rows[row].len());
        let parts = order.chunks(BATCH).map(|part| {
            let Inputs { tokens, padded } = self.inputs(part.iter().map(|&row| &rows[row][..]));
            model.embed(tokens, &padded.expect("made with its padding"))
        });
        let mut back = vec![0i32; rows.len()];
        order.iter().enumerate().for_each(|(place, &row)| back[row] = place as i32);
        let count = back.len();
        Tensor::cat(parts.collect(), 0).select(0, Tensor::from_data(TensorData::new(back, [count]), &self.device))
    }
}
