//! The example runs and does what it says.

#[path = "../examples/learner.rs"]
mod learner;

#[test]
fn burns_learner_trains_a_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let [before, after] = learner::run(folder.path());
    assert!(before > 2.0 && after < 0.5 * before, "{before} before, {after} after");
}
