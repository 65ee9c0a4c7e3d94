//! Everything that was measured and worked out, as one CSV table: a row is an observation, and its
//! `kind` says of what.

use anyhow::{Context, Result};
use serde::Serialize;

use super::solved_summary::{SolvedArm, SolvedShare};
use super::summary::{ArmSummary, Contrast, Measure, Ratio, Summary, Verdict};
use crate::results::{Cell, Experiment, Line, Phase, Status, TestLoss};
use crate::statistics::{Estimate, Place};

/// Every column; empty where a kind of row has nothing to say.
#[derive(Default, Serialize)]
struct Row<'a> {
    /// evaluation, run, document, longer, ratio, contrast, difference, stream, share or d50.
    kind: &'static str,
    study: &'a str,
    commit: String,
    phase: &'static str,
    arm: &'a str,
    /// Unique training tokens, or examples.
    size: Option<u64>,
    /// What a tested model has learned from: nothing of the size where it is not trained, and what
    /// it learns from while it is tested.
    data: Option<u64>,
    seed: Option<u64>,
    learning_rate: Option<f64>,
    weight_decay: Option<f64>,
    schedule: Option<u64>,
    status: &'static str,
    step: Option<u64>,
    best_step: Option<u64>,
    tokens: Option<u64>,
    train_loss: Option<f64>,
    tuning_loss: Option<f64>,
    test_loss: Option<f64>,
    accuracy: Option<f64>,
    /// Share of right answers on the tuning split, where they are counted.
    tuning_accuracy: Option<f64>,
    /// Times the length that was trained on.
    times: Option<u32>,
    /// Seeds that solve the task, and those that were run.
    solved: Option<usize>,
    seeds: Option<usize>,
    without_carry: Option<f64>,
    plasticity: Option<f64>,
    tokens_per_second: Option<f64>,
    seconds: Option<f64>,
    peak_bytes: Option<u64>,
    document: Option<usize>,
    document_tokens: Option<u64>,
    document_loss: Option<f64>,
    baseline: &'a str,
    /// Test loss at which a ratio is read.
    loss: Option<f64>,
    estimate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    p: Option<f64>,
    p_holm: Option<f64>,
    censored: Option<f64>,
    primary: Option<bool>,
    verdict: &'static str,
}

/// The table of the studies of an experiment, each behind its name.
pub(super) fn results(studies: &[(&str, &Experiment, &[Line], &Summary)]) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for (study, experiment, lines, summary) in studies {
        for line in *lines {
            let arm = summary.arms.iter().find(|arm| arm.name == line.cell().arm);
            let row = of_line(study, experiment, line, arm);
            if let Line::Result { test: Some(test), .. } = line {
                for row in documents(&row, test) {
                    table.serialize(row)?;
                }
            }
            table.serialize(row)?;
        }
        for row in comparisons(study, summary) {
            table.serialize(row)?;
        }
    }
    table.into_inner().context("a table in memory")
}

/// A number that can be written.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn of_line<'a>(study: &'a str, experiment: &'a Experiment, line: &'a Line, of: Option<&ArmSummary>) -> Row<'a> {
    let Cell { phase, arm, size, seed, trial, .. } = line.cell();
    let row = Row {
        study,
        commit: line.made_by(&experiment.commit),
        phase: if *phase == Phase::Tune { "tune" } else { "final" },
        arm,
        size: Some(*size),
        // What is learned from while testing counts, on average.
        data: of.filter(|_| *phase == Phase::Final).map(|arm| arm.data(*size)),
        seed: Some(*seed),
        learning_rate: Some(trial.learning_rate),
        weight_decay: Some(trial.weight_decay),
        schedule: Some(trial.schedule),
        ..Row::default()
    };
    match line {
        Line::Evaluation { step, tokens, train_loss, tuning_loss, accuracy, .. } => Row {
            kind: "evaluation",
            step: Some(*step),
            tokens: Some(*tokens),
            train_loss: finite(*train_loss),
            tuning_loss: finite(*tuning_loss),
            tuning_accuracy: *accuracy,
            ..row
        },
        Line::Result {
            status,
            best_step,
            steps,
            tuning_loss,
            tuning_accuracy,
            test,
            tokens_per_second,
            seconds,
            peak_bytes,
            ..
        } => Row {
            kind: "run",
            status: if *status == Status::Finished { "finished" } else { "diverged" },
            step: Some(*steps),
            best_step: Some(*best_step),
            tuning_loss: finite(*tuning_loss),
            tuning_accuracy: *tuning_accuracy,
            test_loss: test.as_ref().and_then(|test| finite(test.loss)),
            accuracy: test.as_ref().and_then(|test| test.accuracy),
            without_carry: test.as_ref().and_then(|test| test.without_carry),
            plasticity: test.as_ref().and_then(|test| test.plasticity),
            tokens_per_second: finite(*tokens_per_second),
            seconds: finite(*seconds),
            peak_bytes: *peak_bytes,
            ..row
        },
    }
}

/// A row for each document of a run's test, and for each test on longer examples.
fn documents<'a>(run: &Row<'a>, test: &TestLoss) -> Vec<Row<'a>> {
    let of_run = |kind| Row {
        kind,
        study: run.study,
        commit: run.commit.clone(),
        phase: run.phase,
        arm: run.arm,
        size: run.size,
        data: run.data,
        seed: run.seed,
        ..Row::default()
    };
    let longer = test.longer.iter().map(|longer| Row {
        times: Some(longer.times),
        accuracy: Some(longer.accuracy),
        ..of_run("longer")
    });
    let row = |(document, found): (usize, &astrocytic_train::document_loss::DocumentLoss)| Row {
        document: Some(document),
        document_tokens: Some(found.tokens),
        document_loss: finite(found.nats / found.tokens as f64),
        ..of_run("document")
    };
    test.documents.iter().enumerate().map(row).chain(longer).collect()
}

/// What was worked out.
fn comparisons<'a>(study: &'a str, summary: &'a Summary) -> Vec<Row<'a>> {
    let of = |kind, arm: &'a str, baseline: &'a str, value: Option<&Estimate>| Row {
        kind,
        study,
        arm,
        baseline,
        estimate: value.map(|value| value.estimate),
        low: value.and_then(|value| value.interval[0]),
        high: value.and_then(|value| value.interval[1]),
        p: value.and_then(|value| value.p),
        censored: value.map(|value| value.censored),
        ..Row::default()
    };
    let ratio = |kind, ratio: &'a Ratio| Row {
        loss: Some(ratio.loss),
        ..of(kind, &ratio.arm, &ratio.baseline, Some(&ratio.value))
    };
    let contrast = |contrast: &'a Contrast| {
        let (loss, size) = match contrast.measure {
            Measure::Ratio { loss } => (loss, None),
            Measure::Difference { tokens } => (None, Some(tokens)),
            Measure::Solved { .. } => (None, None),
        };
        Row {
            loss,
            size,
            p_holm: contrast.p_holm,
            primary: Some(contrast.primary),
            verdict: name(contrast.verdict),
            ..of("contrast", &contrast.arm, &contrast.baseline, contrast.value.as_ref())
        }
    };
    let differences = summary.differences.iter().map(|difference| Row {
        size: Some(difference.tokens),
        ..of("difference", &difference.arm, &difference.baseline, Some(&difference.value))
    });
    let streams = summary.streams.iter().map(|s| Row { tokens: Some(s.tokens), ..ratio("stream", &s.ratio) });
    let ratios = summary.ratios.iter().map(|found| ratio("ratio", found));
    let solved = summary.solved.iter().flat_map(|solved| &solved.arms).flat_map(|arm| solved_rows(study, arm));
    summary.contrasts.iter().map(contrast).chain(ratios).chain(differences).chain(streams).chain(solved).collect()
}

/// How many seeds solve the task at each size, and the size that half of them need: `censored` where
/// it lies beyond the sizes.
fn solved_rows<'a>(study: &'a str, arm: &'a SolvedArm) -> Vec<Row<'a>> {
    let of = |kind| Row { kind, study, arm: &arm.arm, ..Row::default() };
    let share = |share: &SolvedShare| Row {
        size: Some(share.size),
        solved: Some(share.solved),
        seeds: Some(share.seeds),
        ..of("share")
    };
    let d50 = arm.d50.map(|d50| Row {
        estimate: Some(d50.size),
        low: d50.interval[0],
        high: d50.interval[1],
        censored: Some(if d50.place == Place::Inside { 0.0 } else { 1.0 }),
        ..of("d50")
    });
    arm.shares.iter().map(share).chain(d50).collect()
}

/// A verdict as it is stored.
fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NotEstablished => "not-established",
        Verdict::Bounded => "bounded",
        Verdict::NotMeasured => "not-measured",
    }
}
