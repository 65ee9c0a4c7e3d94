//! What an arm learns from while it is tested: it counts as its data.

use crate::arms::{Beyond, arm};
use crate::results::{ArmFacts, CorpusFacts};

/// Tokens of the test that an arm learns from before the last of them is predicted.
pub(super) fn learned_tokens(facts: &ArmFacts, corpus: &CorpusFacts) -> u64 {
    facts.learned_tokens.unwrap_or_else(|| match arm(&facts.name).map(|arm| arm.beyond) {
        // Results from before it was stored: an arm's name says it.
        Ok(Beyond::Learned(way)) if way.through_documents => corpus.test_tokens,
        Ok(Beyond::Learned(_)) => corpus.test_tokens / corpus.test_documents.max(1) as u64,
        _ => 0,
    })
}
