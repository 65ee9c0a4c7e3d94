//! Text of tokens as they come: the same text as that of all of them at once.
//!
//! A decoder of the `tokenizers` crate is a chain of stages from pieces to text. Here each stage
//! gives a piece as soon as no later one can change it. (The library's own stream gives up where a
//! later piece changes the text before it, as the bytes of a character do, and keeps the text that
//! is held back at the end.)

mod stage;
#[cfg(test)]
mod tests;

use tokenizers::Tokenizer;

use crate::error::DataError;
use stage::{Stage, add_stages};

/// Decodes tokens one by one. Made by
/// [`Tokenizer::decode_stream`](crate::Tokenizer::decode_stream).
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    stages: Vec<Stage>,
    /// Text of the prompt that the stages still hold; it is not given out.
    known: String,
}

impl<'a> DecodeStream<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        let mut stages = Vec::new();
        match tokenizer.get_decoder() {
            Some(decoder) => add_stages(decoder, &mut false, &mut stages),
            None => stages.push(Stage::Join { begun: false }),
        }
        Self { tokenizer, stages, known: String::new() }
    }

    /// Continues after the tokens of a prompt, whose own text is not given out.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn after(mut self, prompt: &[u32]) -> Result<Self, DataError> {
        let mut given = String::new();
        for &token in prompt {
            given += &self.push(token)?;
        }
        let whole = Self { stages: self.stages.clone(), known: String::new(), ..self };
        self.known = whole.finish()?;
        Ok(self)
    }

    /// The text that this token completes, which may be none.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn push(&mut self, token: u32) -> Result<String, DataError> {
        let added = self.tokenizer.get_added_vocabulary();
        let piece = self.tokenizer.id_to_token(token).filter(|piece| !added.is_special_token(piece));
        let pieces = run(&mut self.stages, Vec::from_iter(piece))?;
        Ok(self.fresh(pieces))
    }

    /// The text that waited for tokens to come.
    ///
    /// # Errors
    /// If the library refuses.
    pub fn finish(mut self) -> Result<String, DataError> {
        let mut text = String::new();
        for first in 0..self.stages.len() {
            let pieces = self.stages[first].finish()?;
            let pieces = run(&mut self.stages[first + 1..], pieces)?;
            text += &self.fresh(pieces);
        }
        Ok(text)
    }

    /// Pieces without what is known of them.
    fn fresh(&mut self, pieces: Vec<String>) -> String {
        let text = pieces.concat();
        if let Some(rest) = self.known.strip_prefix(&text) {
            self.known = rest.to_string();
            return String::new();
        }
        let known = std::mem::take(&mut self.known);
        // Where tokens changed the prompt's last characters, those come again.
        text.strip_prefix(&known).map(str::to_string).unwrap_or(text)
    }
}

/// Pieces through all stages.
fn run(stages: &mut [Stage], mut pieces: Vec<String>) -> Result<Vec<String>, DataError> {
    for stage in stages {
        let mut next = Vec::new();
        for piece in pieces {
            next.extend(stage.push(piece)?);
        }
        pieces = next;
    }
    Ok(pieces)
}
