//! Blocks of tokens: what a subset is drawn from and a held-out text is read in, so that both come
//! from everywhere in a split.
//!
//! The documents of a split stand one after the other, each with its end token, and blocks are cut
//! from that stream: a block may hold the end of one document and the beginning of the next.

use crate::documents::TokenizedDocument;

/// The whole split, cut every `length` tokens; the last block is what is left.
pub(crate) fn cut(documents: &[TokenizedDocument], length: usize) -> Vec<TokenizedDocument> {
    let stream = Stream::new(documents);
    (0..stream.ids.len()).step_by(length.max(1)).map(|start| stream.block(start, length)).collect()
}

/// `count` blocks of `length` tokens, the first at the beginning of the split, the last at its end,
/// the others evenly between; fewer where they would not be `gap` tokens apart.
pub(crate) fn spread(
    documents: &[TokenizedDocument],
    length: usize,
    gap: usize,
    count: usize,
) -> Vec<TokenizedDocument> {
    let stream = Stream::new(documents);
    let all = stream.ids.len();
    if all == 0 {
        return Vec::new();
    }
    let length = length.clamp(1, all);
    let count = count.clamp(1, ((all + gap) / (length + gap)).max(1));
    let start = |place: usize| place * (all - length) / (count - 1).max(1);
    (0..count).map(|place| stream.block(start(place), length)).collect()
}

/// All tokens of a split.
struct Stream {
    ids: Vec<u32>,
    /// Bytes of each token: its share of its document's, because tokens are not cut back to text.
    bytes: Vec<f32>,
}

impl Stream {
    fn new(documents: &[TokenizedDocument]) -> Self {
        let share = |document: &TokenizedDocument| {
            let share = document.bytes as f32 / document.ids.len() as f32;
            std::iter::repeat_n(share, document.ids.len())
        };
        Self {
            ids: documents.iter().flat_map(|document| document.ids.iter().copied()).collect(),
            bytes: documents.iter().flat_map(share).collect(),
        }
    }

    /// A document of its own, of at most `length` tokens.
    fn block(&self, start: usize, length: usize) -> TokenizedDocument {
        let place = start..(start + length).min(self.ids.len());
        let bytes: f64 = self.bytes[place.clone()].iter().map(|&bytes| f64::from(bytes)).sum();
        TokenizedDocument { ids: self.ids[place].to_vec(), nats: None, bytes: bytes.round() as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::subset;

    /// Tokens 0, 1, 2, …; the first half of the documents has two bytes a token, the others three.
    fn documents(lengths: &[usize]) -> Vec<TokenizedDocument> {
        let mut next = 0;
        let mut document = |(place, &length): (usize, &usize)| {
            let ids = (next..next + length as u32).collect();
            next += length as u32;
            let each = if 2 * place < lengths.len() { 2 } else { 3 };
            TokenizedDocument { ids, nats: None, bytes: each * length }
        };
        lengths.iter().enumerate().map(&mut document).collect()
    }

    #[test]
    fn a_split_is_cut_without_loss_and_subsets_come_from_all_of_it() {
        let documents = documents(&[7, 90, 1, 102]);
        let blocks = cut(&documents, 8);
        assert_eq!(blocks.len(), 25);
        let all: Vec<u32> = blocks.iter().flat_map(|block| block.ids.clone()).collect();
        assert_eq!(all, (0..200).collect::<Vec<_>>());
        let bytes: usize = blocks.iter().map(|block| block.bytes).sum();
        assert_eq!(bytes, documents.iter().map(|document| document.bytes).sum::<usize>());
        let [small, large] = [40, 120].map(|size| subset(&blocks, 3, size));
        assert_eq!(large[..40], small);
        assert_eq!(small, subset(&blocks, 3, 40));
        assert_ne!(small, subset(&blocks, 4, 40));
        // Five blocks of eight tokens, not one stretch of forty.
        let jumps = small.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!(
            (2..=4).contains(&jumps) && small.iter().max().unwrap() - small.iter().min().unwrap() > 80,
            "{small:?}"
        );
        assert_eq!(cut(&documents, 1_000).len(), 1);
        assert!(cut(&[], 8).is_empty());
    }

    #[test]
    fn held_out_blocks_are_spread_with_a_gap_between_them() {
        let documents = documents(&[150, 3, 47]);
        for (length, gap, wanted, found) in
            [(8, 4, 5, 5), (8, 4, 1_000, 17), (8, 0, 25, 25), (8, 4, 1, 1), (500, 4, 3, 1), (96, 8, 9, 2)]
        {
            let blocks = spread(&documents, length, gap, wanted);
            assert_eq!(blocks.len(), found, "{length} {gap} {wanted}");
            for pair in blocks.windows(2) {
                assert!((pair[1].ids[0] - pair[0].ids[0]) as usize >= length + gap, "{length} {gap} {wanted}");
            }
            assert!(blocks.iter().all(|block| block.ids.len() == length.min(200)));
            let ends = [blocks[0].ids.first(), blocks[found - 1].ids.last()];
            assert!(found == 1 || ends == [Some(&0), Some(&199)], "{length} {gap} {wanted}");
        }
        let blocks = spread(&documents, 8, 4, 5);
        assert_eq!([blocks[0].bytes, blocks[4].bytes], [16, 24]);
        assert!(spread(&[], 8, 4, 5).is_empty());
    }
}
