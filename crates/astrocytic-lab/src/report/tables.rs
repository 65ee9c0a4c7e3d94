//! Everything that was measured and worked out, as one CSV table: a row is an observation, and its
//! `kind` says of what.

use anyhow::{Context, Result};
use serde::Serialize;

use super::summary::{ArmSummary, Contrast, Measure, Ratio, Summary, Verdict};
use crate::results::{Cell, Experiment, Line, Phase, Status, TestLoss};
use crate::statistics::Estimate;

/// Every column; empty where a kind of row has nothing to say.
#[derive(Default, Serialize)]
struct Row<'a> {
    /// evaluation, run, document, ratio, contrast, difference or stream.
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
        Line::Evaluation { step, tokens, train_loss, tuning_loss, .. } => Row {
            kind: "evaluation",
            step: Some(*step),
            tokens: Some(*tokens),
            train_loss: finite(*train_loss),
            tuning_loss: finite(*tuning_loss),
            ..row
        },
        Line::Result {
            status, best_step, steps, tuning_loss, test, tokens_per_second, seconds, peak_bytes, ..
        } => Row {
            kind: "run",
            status: if *status == Status::Finished { "finished" } else { "diverged" },
            step: Some(*steps),
            best_step: Some(*best_step),
            tuning_loss: finite(*tuning_loss),
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

/// A row for each document of a run's test.
fn documents<'a>(run: &Row<'a>, test: &TestLoss) -> Vec<Row<'a>> {
    let row = |(document, found): (usize, &astrocytic_train::document_loss::DocumentLoss)| Row {
        kind: "document",
        document: Some(document),
        document_tokens: Some(found.tokens),
        document_loss: finite(found.nats / found.tokens as f64),
        study: run.study,
        commit: run.commit.clone(),
        phase: run.phase,
        arm: run.arm,
        size: run.size,
        data: run.data,
        seed: run.seed,
        ..Row::default()
    };
    test.documents.iter().enumerate().map(row).collect()
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
    summary.contrasts.iter().map(contrast).chain(ratios).chain(differences).chain(streams).collect()
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
