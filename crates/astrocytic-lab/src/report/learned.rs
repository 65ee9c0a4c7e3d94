//! What an arm learns from while it is tested: it counts as its data.

use crate::arms::{Beyond, arm};
use crate::results::{ArmFacts, CorpusFacts, Line, Phase};

/// Tokens of the test that an arm has learned from when one is predicted, on average: its loss is a
/// mean over all of them.
pub(super) fn learned_tokens(facts: &ArmFacts, corpus: &CorpusFacts) -> u64 {
    facts.mean_learned_tokens.unwrap_or_else(|| match arm(&facts.name).map(|arm| arm.beyond) {
        // Results from before it was stored: an arm's name says it.
        Ok(Beyond::Learned(way)) => way.mean_learned_tokens(corpus),
        _ => 0,
    })
}

/// Whether it learns through all documents of the test, not in each anew.
pub(super) fn learns_through(facts: &ArmFacts, corpus: &CorpusFacts) -> bool {
    let learned = learned_tokens(facts, corpus);
    learned > 0 && learned >= corpus.test_tokens / 2
}

/// Whether an arm's final runs were not trained at all: D = 0.
pub(super) fn is_untrained(arm: &str, lines: &[Line]) -> bool {
    let steps = |line: &Line| match line {
        Line::Result { cell, steps, .. } if cell.phase == Phase::Final && cell.arm == arm => Some(*steps),
        _ => None,
    };
    let mut steps = lines.iter().filter_map(steps).peekable();
    steps.peek().is_some() && steps.all(|steps| steps == 0)
}
