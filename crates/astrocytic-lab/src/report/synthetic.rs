//! Made-up experiments for the tests of the report.

use astrocytic_train::document_loss::DocumentLoss;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::results::{ArmFacts, Cell, CorpusFacts, Experiment, Line, Phase, Role, Status, TestLoss, Trial};

/// Learning rate, weight decay, and how much worse than the best.
const TRIALS: [(f64, f64, f64); 4] = [(1e-3, 0.1, 0.08), (1e-3, 1.0, 0.05), (3e-3, 0.1, 0.03), (3e-3, 1.0, 0.0)];

/// Four arms, four sizes, five seeds, entropy unknown.
pub(super) fn standard() -> (Experiment, Vec<Line>) {
    let arms = [
        ("vanilla", Role::Baseline, 1.0),
        ("tripartite", Role::Astrocytic, 1.6),
        ("calcium-gate", Role::Astrocytic, 1.05),
        ("vanilla+conv+gate", Role::Control, 1.2),
    ];
    experiment("Data efficiency on moby-dick", &arms, &[16_384, 65_536, 262_144, 1_048_576], 5, None)
}

/// Three arms, two sizes, three seeds, a source of known entropy.
pub(crate) fn quick() -> (Experiment, Vec<Line>) {
    let arms =
        [("vanilla", Role::Baseline, 1.0), ("tripartite", Role::Astrocytic, 1.1), ("linear", Role::Control, 0.7)];
    experiment("Data efficiency on generated", &arms, &[16_000, 64_000], 3, Some(1.472_31))
}

fn experiment(
    name: &str,
    arms: &[(&str, Role, f64)],
    sizes: &[u64],
    seeds: u64,
    entropy: Option<f64>,
) -> (Experiment, Vec<Line>) {
    let experiment = Experiment {
        name: name.into(),
        corpus: corpus(name.rsplit(' ').next().unwrap(), entropy),
        arms: arms.iter().map(|&(name, role, _)| facts(name, role)).collect(),
        sizes: sizes.to_vec(),
        seeds: (0..seeds).collect(),
        tuning_seeds: vec![1_000],
        trials: TRIALS
            .map(|(learning_rate, weight_decay, _)| Trial { learning_rate, weight_decay, schedule: 600 })
            .to_vec(),
        context: 256,
        batch: 16,
        machine: "2 cores, 8 GiB".into(),
        device: "flex".into(),
        commit: "unknown".into(),
        config: serde_json::json!({"corpus": name, "layers": 4}),
    };
    (experiment, lines(arms, sizes, seeds))
}

fn corpus(name: &str, entropy: Option<f64>) -> CorpusFacts {
    CorpusFacts {
        name: name.into(),
        tokenizer: "byte-pair, 512".into(),
        vocabulary: 512,
        train_tokens: 2_100_000,
        tuning_tokens: 60_000,
        test_tokens: 61_440,
        test_documents: 60,
        bytes_per_token: 2.31,
        entropy,
        sha256: String::new(),
        examples: false,
        notes: Vec::new(),
    }
}

fn facts(name: &str, role: Role) -> ArmFacts {
    ArmFacts {
        name: name.into(),
        role,
        description: format!("what {name} does, in one line of words"),
        parameters: 957_696,
        state_bytes: 1_048_576,
        flops_per_token: 2.1e6,
        test_flops_per_token: None,
        mean_learned_tokens: None,
        joules_per_million_tokens: None,
    }
}

/// Runs whose losses follow a law: an arm's factor says how much more data it seems to have.
fn lines(arms: &[(&str, Role, f64)], sizes: &[u64], seeds: u64) -> Vec<Line> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut noise = move || (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0;
    let difficulty: Vec<f64> = (0..60).map(|_| 0.2 * noise()).collect();
    let mut lines = Vec::new();
    for &size in sizes {
        for &(arm, _, factor) in arms {
            let mean = 1.2 + 25.0 * (size as f64 * factor).powf(-0.25);
            let mut run = |phase, seed, learning_rate: f64, weight_decay: f64, aside: f64| {
                let cell = Cell {
                    id: format!("{phase:?}-{arm}-{size}-{seed}-{learning_rate}-{weight_decay}"),
                    phase,
                    arm: arm.into(),
                    size,
                    seed,
                    trial: Trial { learning_rate, weight_decay, schedule: 600 },
                };
                let end = mean + aside + 0.015 * noise();
                let evaluations = 10 + (seed % 3);
                for i in 1..=evaluations {
                    let tuning_loss = end + (5.0 - end) * (-0.55 * i as f64).exp() + 0.004 * noise();
                    let (step, tokens, train_loss) = (i * 100, i * 409_600, tuning_loss - 0.1);
                    lines.push(Line::Evaluation {
                        cell: cell.clone(),
                        step,
                        tokens,
                        train_loss,
                        tuning_loss,
                        accuracy: None,
                        commit: String::new(),
                    });
                }
                let document = |d: &f64| DocumentLoss { nats: 1_024.0 * (end + d + 0.01 * noise()), tokens: 1_024 };
                let documents: Vec<DocumentLoss> = difficulty.iter().map(document).collect();
                let loss = documents.iter().map(|d| d.nats).sum::<f64>() / (1_024.0 * documents.len() as f64);
                lines.push(Line::Result {
                    cell,
                    status: Status::Finished,
                    best_step: evaluations * 100 - 200,
                    steps: evaluations * 100,
                    tuning_loss: end,
                    tuning_accuracy: None,
                    test: (phase == Phase::Final).then_some(TestLoss {
                        loss,
                        documents,
                        accuracy: None,
                        longer: vec![],
                        classes: vec![],
                        without_carry: None,
                        plasticity: None,
                    }),
                    tokens_per_second: 9_500.0 + 300.0 * noise(),
                    seconds: 61.0,
                    peak_bytes: None,
                    commit: String::new(),
                });
            };
            for (rate, decay, aside) in TRIALS {
                run(Phase::Tune, 1_000, rate, decay, aside);
            }
            (0..seeds).for_each(|seed| run(Phase::Final, seed, 3e-3, 1.0, 0.0));
        }
    }
    lines
}
