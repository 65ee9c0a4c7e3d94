//! The intervals of a report hold the truth as often as they claim: in 200 experiments simulated from
//! each of the stored studies with 50 test documents and more, without an effect and with a planted
//! one, of models that learn while they are tested too. The counts are those that are stored.

use std::path::Path;

use astrocytic_lab::report::{Calibration, calibrate};

/// Studies with documents enough. Not among them: null_paired/king-james-bible, of which one loss is read
/// beside a bend of the curve, where 89 % of the intervals hold (book/src/measuring.md).
const STUDIES: [&str; 5] = [
    "null_paired/moby-dick",
    "data_efficiency/king-james-bible-64",
    "data_efficiency/king-james-bible-96",
    "leak_efficiency/king-james-bible-64",
    "leak_efficiency/king-james-bible-96",
];

#[test]
fn intervals_hold_the_truth_in_92_to_98_of_a_hundred_experiments() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/results");
    let (mut planted, mut without, mut learning) = (0, 0, 0);
    let (mut intervals, mut held) = (0, 0);
    for study in STUDIES {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["experiment.json", "lines.jsonl"] {
            std::fs::copy(results.join(study).join(file), folder.path().join(file)).expect("stored results");
        }
        let found = calibrate(folder.path(), 200).expect("experiments");
        let stored = std::fs::read(results.join(study).join("coverage.json")).expect("a stored coverage");
        let stored: Vec<Calibration> = serde_json::from_slice(&stored).expect("a coverage");
        assert!(found == stored, "{study}: coverage.json is stale; run `astrocytic report --coverage 200`");
        for Calibration { arm, baseline, learn, coverage } in found {
            let place = format!("{study}, {arm} and {baseline}, ratio {:.2}: {coverage:?}", coverage.truth);
            println!("{place}, {:.1} %", 100.0 * coverage.share());
            assert!(coverage.intervals >= 150, "{place}");
            // Of 200 intervals of 95 %, 183 to 197 hold the truth in 99 of a hundred such counts.
            assert!((0.915..=0.99).contains(&coverage.share()), "{place}");
            if coverage.planted == 1.0 {
                assert!(coverage.significant <= 17, "{place}");
                without += 1;
            } else {
                planted += 1;
            }
            learning += usize::from(learn);
            intervals += coverage.intervals;
            held += coverage.held;
        }
    }
    assert!(planted >= 4 && without >= 4 && learning >= 4, "{planted} {without} {learning}");
    let share = held as f64 / intervals as f64;
    assert!((0.92..=0.98).contains(&share), "{share}");
}
