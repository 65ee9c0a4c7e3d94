//! A corpus in tokens, ready to be batched.

use sha2::{Digest, Sha256};

use crate::corpus::{Corpus, Document};
use crate::documents::TokenizedDocument;
use crate::error::DataError;
use crate::token_blocks;
use crate::tokenizer::{Tokenizer, TokenizerKind};

/// A corpus in tokens.
pub struct TokenizedCorpus {
    /// What made the tokens.
    pub tokenizer: Tokenizer,
    /// To learn from.
    pub train: Vec<TokenizedDocument>,
    /// To choose rates and to stop by.
    pub tuning: Vec<TokenizedDocument>,
    /// To report, read once.
    pub test: Vec<TokenizedDocument>,
    /// What was guessed or left out in reading the text.
    pub notes: Vec<String>,
}

impl TokenizedCorpus {
    /// Tokenizes a corpus; where no tokenizer is given, one of that kind is trained on the training
    /// split.
    ///
    /// # Errors
    /// For a tokenizer that cannot be trained, or a text that it cannot encode.
    pub fn new(corpus: Corpus, kind: TokenizerKind, tokenizer: Option<Tokenizer>) -> Result<Self, DataError> {
        let tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => {
                let texts: Vec<&str> = corpus.train.iter().map(|d| d.text.as_str()).collect();
                Tokenizer::train(kind, &texts)?
            }
        };
        let encode = |documents: &[Document]| tokenizer.encode_documents(documents);
        let (train, tuning, test) = (encode(&corpus.train)?, encode(&corpus.tuning)?, encode(&corpus.test)?);
        Ok(Self { tokenizer, train, tuning, test, notes: corpus.notes })
    }

    /// The same with at most about so many tokens in its tuning and its test split, from all of
    /// their documents.
    pub fn with_held_out_tokens(mut self, tuning: u64, test: u64) -> Self {
        self.tuning = first_tokens(self.tuning, tuning);
        self.test = first_tokens(self.test, test);
        self
    }

    /// The same in blocks of `length` tokens. The training split is cut into them; of the others
    /// there are as many as make so many tokens, evenly spread, at least `gap` tokens apart. Where
    /// the entropy is known it is that of whole documents, and these stay.
    pub fn in_blocks(mut self, length: u64, gap: usize, tuning: u64, test: u64) -> Self {
        if self.test.iter().any(|document| document.nats.is_some()) {
            return self.with_held_out_tokens(tuning, test);
        }
        let wanted = |tokens: u64| (tokens / length.max(1)) as usize;
        let (tuning, test, length) = (wanted(tuning), wanted(test), length as usize);
        self.train = token_blocks::cut(&self.train, length);
        self.tuning = token_blocks::spread(&self.tuning, length, gap, tuning);
        self.test = token_blocks::spread(&self.test, length, gap, test);
        self
    }

    /// SHA-256 of the tokens of all splits.
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        for split in [&self.train, &self.tuning, &self.test] {
            digest.update((split.len() as u64).to_le_bytes());
            for document in split {
                digest.update((document.ids.len() as u64).to_le_bytes());
                document.ids.iter().for_each(|id| digest.update(id.to_le_bytes()));
            }
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// At most about `wanted` tokens, of every document its beginning: a few whole ones would say
/// little about the others. Where the entropy is known it is that of whole documents, and the first
/// of them are taken.
fn first_tokens(mut documents: Vec<TokenizedDocument>, wanted: u64) -> Vec<TokenizedDocument> {
    if documents.iter().any(|document| document.nats.is_some()) {
        let mut sum = 0;
        let fits = |document: &TokenizedDocument| {
            let more = sum < wanted;
            sum += document.ids.len() as u64;
            more
        };
        return documents.into_iter().take_while(fits).collect();
    }
    // Short documents leave their share to the longer ones.
    let mut lengths: Vec<usize> = documents.iter().map(|document| document.ids.len()).collect();
    lengths.sort_unstable();
    let (mut left, mut most) = (wanted as usize, 0);
    for (place, length) in lengths.iter().enumerate() {
        most = (left / (lengths.len() - place)).max(1);
        if *length > most {
            break;
        }
        (left, most) = (left - length, usize::MAX);
    }
    for document in &mut documents {
        // In proportion, because tokens are not cut back to text here.
        let kept = document.ids.len().min(most);
        document.bytes = document.bytes * kept / document.ids.len().max(1);
        document.ids.truncate(kept);
    }
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(lengths: &[usize], nats: Option<f64>) -> Vec<TokenizedDocument> {
        lengths.iter().map(|&n| TokenizedDocument { ids: vec![1; n], nats, bytes: 2 * n }).collect()
    }

    #[test]
    fn every_document_gives_its_beginning_and_short_ones_leave_their_share() {
        let lengths = |documents: Vec<TokenizedDocument>| documents.iter().map(|d| d.ids.len()).collect::<Vec<_>>();
        assert_eq!(lengths(first_tokens(documents(&[5, 50, 2, 40], None), 27)), [5, 10, 2, 10]);
        assert_eq!(lengths(first_tokens(documents(&[5, 50], None), 1_000)), [5, 50]);
        assert_eq!(lengths(first_tokens(documents(&[9, 9], None), 1)), [1, 1]);
        assert_eq!(lengths(first_tokens(documents(&[5, 50, 2, 40], Some(1.0)), 27)), [5, 50]);
        assert_eq!(first_tokens(documents(&[50], None), 10)[0].bytes, 20);
    }
}
