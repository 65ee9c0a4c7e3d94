//! The examples run and do what they say.

#[path = "../../../examples/burn_text_classification.rs"]
mod burn_text_classification;
#[path = "../../../examples/swap_own_model.rs"]
mod swap_own_model;

#[test]
fn a_model_of_ones_own_is_swapped() {
    let [before, after, tuned] = swap_own_model::run().unwrap();
    assert!(before > 0.95 && tuned > 0.95, "{before} before the swap, {after} after it, {tuned} after training");
}

#[test]
fn a_text_classifier_learns_with_either_attention() {
    for accuracy in burn_text_classification::run() {
        assert!(accuracy > 0.95, "{accuracy}");
    }
}
