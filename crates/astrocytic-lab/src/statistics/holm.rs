//! Correction of p-values for the number of comparisons.

/// Holm's step-down correction over a fixed family, in the order given. A comparison that cannot be
/// tested has no p-value and stays in the family: the others are corrected for it too.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let value = |index: usize| p[index].unwrap_or(1.0);
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let mut corrected = vec![None; p.len()];
    let mut highest = 0.0f64;
    for (rank, &index) in order.iter().enumerate() {
        highest = highest.max((value(index) * (p.len() - rank) as f64).min(1.0));
        corrected[index] = p[index].map(|_| highest);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_agrees_with_a_case_by_hand() {
        // Sorted 0.005, 0.01, 0.03, 0.04 → 4·0.005, 3·0.01, 2·0.03, max(2·0.03, 0.04).
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005].map(Some));
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found.unwrap() - expected).abs() < 1e-12);
        }
        assert_eq!(holm(&[Some(0.9), Some(0.8)]), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn what_cannot_be_tested_stays_in_the_family() {
        assert_eq!(holm(&[None, Some(0.01), None]), [None, Some(0.03), None]);
    }
}
