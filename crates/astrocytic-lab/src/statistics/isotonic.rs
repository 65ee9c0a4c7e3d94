//! Monotone regression.

/// The non-decreasing values that are nearest to the given ones (weighted least squares), by pooling
/// adjacent violators.
pub(crate) fn isotonic(values: &[(f64, f64)]) -> Vec<f64> {
    // Blocks of (mean, weight, count), each higher than the one before.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for &(value, weight) in values {
        let mut block = (value, weight, 1);
        while let Some(&(mean, before, count)) = blocks.last().filter(|last| last.0 > block.0) {
            let weight = before + block.1;
            block = ((mean * before + block.0 * block.1) / weight, weight, count + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violators_are_pooled_by_their_weights() {
        let found = isotonic(&[(0.1, 1.0), (0.6, 1.0), (0.4, 3.0), (0.9, 1.0), (0.8, 1.0)]);
        let expected = [0.1, 0.45, 0.45, 0.85, 0.85];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12), "{found:?}");
        assert!(isotonic(&[]).is_empty());
    }
}
